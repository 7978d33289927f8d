"""Runs: the state behind each batch, kills, lost connections, and input that is none."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading

import duckdb
import pytest
from exact_loaders import reading
from exact_loaders.duckdb_database import DuckDB
from exact_loaders.postgres_database import Postgres

from tests.loaders.conftest import lines, record, schema

TEXT = {"type": ["string", "null"]}
UNMEASURED = "unset COVERAGE_PROCESS_CONFIG"
"""`make coverage` could write no file either, and would say so."""


def state(value):
    return {"type": "STATE", "value": value}


def test_state_is_emitted_behind_each_batch_as_it_came(warehouse):
    messages = [schema()]
    for number in range(7):
        messages += [record({"id": str(number)}), f'{{"type":"STATE","value":{{"n":{number}.10}}}}']
    done = warehouse.run(*messages, batch_size_rows=3)
    assert done.stdout.splitlines() == ['{"n":1.10}', '{"n":4.10}', '{"n":6.10}']


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143)])
def test_killed_run_has_written_what_its_state_covers(warehouse, number, code):
    with subprocess.Popen(
        warehouse.command(batch_size_rows=2), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as loader:  # fmt: skip
        assert loader.stdin
        assert loader.stdout
        for place in range(5):
            messages = [schema()] * (place == 0) + [record({"id": str(place)}), state({"n": place})]
            loader.stdin.write("".join(json.dumps(each) + "\n" for each in messages))
        loader.stdin.flush()
        read = [json.loads(loader.stdout.readline())["n"] for _ in range(2)]
        loader.send_signal(number)
        loader.stdin.close()
        assert loader.wait() == code
        assert loader.stdout.read() == ""
    assert warehouse.rows('SELECT id FROM kafinea."Contacts" ORDER BY 1') == [
        (str(place),) for place in range(4)
    ]
    assert read == [0, 2]


@pytest.mark.parametrize("statements", range(1, 5))
def test_run_that_is_stopped_while_it_creates_a_table_is_repeated(
    warehouse, statements, monkeypatch
):
    database = DuckDB if warehouse.name == "duckdb" else Postgres
    run, done = database._run, []

    def stopping(self, sql, *values):
        result = run(self, sql, *values)
        done.extend([sql] * ("CREATE SCHEMA" not in sql))
        if len(done) == statements:
            sys.exit(143)
        return result

    monkeypatch.setattr(database, "_run", stopping)
    input_ = [schema(a=TEXT), record({"id": "1", "a": "x"})]
    assert warehouse.run(*input_).returncode in {143, 0}  # 0: it needs fewer statements
    monkeypatch.undo()
    for _ in range(2):
        warehouse.load(*input_)
    assert warehouse.rows('SELECT id, a FROM kafinea."Contacts"') == [("1", "x")]


AT_THE_END = "import atexit, os, signal; atexit.register(os.kill, os.getpid(), signal.SIGTERM); "
"""Schedulers send SIGTERM again, and may do so when Python ends. It handles signals until then."""


def test_second_signal_ends_a_run_that_is_ending(warehouse):
    python, c, code, *arguments = warehouse.command(batch_size_rows=1)
    with subprocess.Popen(
        [python, c, AT_THE_END + code, *arguments], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as loader:  # fmt: skip
        messages = [schema(), record({"id": "1"}), state({"n": 1}), record({"id": "2"})]
        loader.stdin.write("".join(json.dumps(each) + "\n" for each in messages))
        loader.stdin.flush()
        loader.stdout.readline()
        loader.send_signal(signal.SIGINT)
        log = loader.stderr.read()
        assert loader.wait() == 143
    assert "Stopped by signal 2" in log
    assert "Traceback" not in log


def test_signal_during_a_query_ends_the_program(tmp_path):
    """DuckDB looks for signals itself, and reports what their handlers raise as an error."""
    database = DuckDB(str(tmp_path / "warehouse.duckdb"), "kafinea")
    before = signal.signal(signal.SIGUSR1, lambda *_: sys.exit(143))
    try:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with pytest.raises(SystemExit) as end:
            database._run("SELECT count(*) FROM range(1_000_000_000_000)")
    finally:
        signal.signal(signal.SIGUSR1, before)
        database.close()
    assert end.value.code == 143


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("no json", "Line 2 of the input is not a Singer message"),
        ("[]", "Line 2 of the input is not a Singer message"),
        ('{"type": "RECORD", "stream": "Contacts"}', "a RECORD without `record`"),
        ('{"type": "OTHER"}', "unknown `type`"),
        ('{"type": "RECORD", "stream": "Nowhere", "record": {}}', "before its schema"),
        ('{"type": "SCHEMA", "stream": "X", "schema": {}}', "no `properties`"),
        ('{"type": "RECORD", "stream": "Contacts", "record": {"a": "private"}}', "its key (`id`)"),
        ('{"type": "RECORD", "stream": "Contacts", "record": [1]}', "not an object"),
        (
            f'{{"type": "RECORD", "stream": "Contacts", "record": {{"a": 1e{"9" * 20}}}}}',
            "not JSON",
        ),
        ('{"type": "BATCH", "stream": "Contacts", "encoding": {}, "manifest": []}', "batch_config"),
    ],
)
def test_bad_input_is_one_line(warehouse, line, text):
    done = warehouse.run(schema(a=TEXT), line)
    assert done.returncode == 1
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert "private" not in done.stderr


@pytest.mark.parametrize(
    ("blocks", "text"), [(1, "File too large"), (0, "No usable temporary directory found")]
)
def test_full_temporary_folder_is_one_line(warehouse, blocks, text):
    """No file can grow beyond some blocks of 512 bytes, which fails where a full disk does."""
    if warehouse.name == "postgres":
        return  # it needs no files
    warehouse.load(schema(a=TEXT))
    done = subprocess.run(
        ["sh", "-c", f'{UNMEASURED}; ulimit -f {blocks}; exec "$@"', "sh", *warehouse.command()],
        input=lines([schema(a=TEXT), record({"id": "1", "a": "private" * 999}), state({"n": 1})]),
        capture_output=True,
        check=False,
    )
    log = done.stderr.decode()
    assert (done.returncode, done.stdout) == (1, b"")
    assert f"A file cannot be read or written: {text}" in log
    assert "Traceback" not in log
    assert "private" not in log
    warehouse.load(schema(a=TEXT), record({"id": "1", "a": "x"}))
    assert warehouse.rows('SELECT id FROM kafinea."Contacts"') == [("1",)]


def test_commit_to_a_full_disk_is_one_line(warehouse):
    """No file can grow beyond 100 KB: the lines of JSON fit, DuckDB's log of changes does not."""
    if warehouse.name == "postgres":
        return  # its server has the disk
    wide = schema(**{f"c{n}": {"type": ["integer", "null"]} for n in range(20)})
    rows = [record({"id": str(n)}) for n in range(2000)]
    warehouse.load(wide, record({"id": "kept"}))
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 200; exec "$@"', "sh", *warehouse.command()],
        input=lines([wide, *rows, state({"n": 1})]),
        capture_output=True,
        check=False,
    )
    log = done.stderr.decode()
    assert (done.returncode, done.stdout) == (1, b"")
    assert "DuckDB cannot write its file: " in log
    assert "Traceback" not in log
    assert warehouse.rows('SELECT id FROM kafinea."Contacts"') == [("kept",)]
    warehouse.load(wide, *rows)
    assert warehouse.rows('SELECT count(*) FROM kafinea."Contacts"') == [(2001,)]


def test_duckdb_file_is_created_whole_or_not_at_all(warehouse):
    """What is left when the disk is full, or after a kill, cannot be opened any more."""
    if warehouse.name == "postgres":
        return  # its server creates nothing
    messages = [schema(a=TEXT), record({"id": "1", "a": "x"})]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 16; exec "$@"', "sh", *warehouse.command()],  # 8 KB
        input=lines(messages),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    warehouse.load(*messages)
    assert warehouse.rows('SELECT id FROM kafinea."Contacts"') == [("1",)]


def test_second_writer_of_a_duckdb_file_gets_one_message(warehouse):
    if warehouse.name == "postgres":
        return  # it takes any number of writers
    with duckdb.connect(warehouse.path):
        done = warehouse.run_command(schema())
    assert done.returncode == 1
    assert "is open in another process (PID" in done.stderr
    assert "Traceback" not in done.stderr


def test_lost_connection_is_made_again(warehouse):
    if warehouse.name == "duckdb":
        return  # it is a file
    with subprocess.Popen(
        warehouse.command(batch_size_rows=1), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as loader:  # fmt: skip
        assert loader.stdin
        assert loader.stdout
        assert loader.stderr
        for place in range(2):
            for each in [
                schema(),
                record({"id": str(place)}),
                state({"n": place}),
                record({"id": f"x{place}"}),
            ]:
                loader.stdin.write(json.dumps(each) + "\n")
            loader.stdin.flush()
            assert json.loads(loader.stdout.readline()) == {"n": place}
            warehouse.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'target-postgres-exact'"
            )
        loader.stdin.close()
        assert loader.wait() == 0, loader.stderr.read()
    assert len(warehouse.rows('SELECT id FROM kafinea."Contacts"')) == 4


def test_parallel_runs_share_a_table(warehouse):
    if warehouse.name == "duckdb":
        return  # one process at a time has the file
    command = warehouse.command()
    runs = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(4)]  # fmt: skip
    number = {"type": ["integer", "null"]}
    for place, run in enumerate(runs):
        messages = [
            schema("deleted_records", a=number, **{f"own_{place}": TEXT}),
            record({"id": f"{place}", "a": "text" if place == 2 else 1}, "deleted_records"),
            record({"id": "same", "a": place}, "deleted_records"),
        ]
        assert run.stdin
        run.stdin.write(lines(messages))
        run.stdin.close()
    for run in runs:
        with run:
            assert run.stderr
            printed = run.stderr.read().decode()
            assert run.wait() == 0, printed
    rows = warehouse.rows("SELECT id, a FROM kafinea.deleted_records ORDER BY id")
    assert [row[0] for row in rows] == ["0", "1", "2", "3", "same"]
    assert [row[1] for row in rows[:4]] == ["1", "1", "text", "1"]


def test_run_notices_that_another_has_widened_a_column(warehouse):
    if warehouse.name == "duckdb":
        return  # one process at a time has the file
    number = {"type": ["integer", "null"]}
    with subprocess.Popen(
        warehouse.command(batch_size_rows=1), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as first:  # fmt: skip
        assert first.stdin
        assert first.stdout
        first.stdin.write(lines([schema(a=number), state({}), record({"id": "1", "a": 1})]))
        first.stdin.flush()
        assert first.stdout.readline()
        warehouse.load(schema(a=number), record({"id": "2", "a": "text"}))
        first.stdin.write(lines([record({"id": "3", "a": 3})]))
        first.stdin.close()
        assert first.wait() == 0
    found = warehouse.rows('SELECT id, a FROM kafinea."Contacts" ORDER BY id')
    assert found == [("1", "1"), ("2", "text"), ("3", "3")]


def test_failure_to_read_is_no_end_of_the_input():
    class Broken(io.BytesIO):
        def read(self, *_):
            raise MemoryError

    with pytest.raises(MemoryError):
        list(reading.lines(io.TextIOWrapper(Broken())))


def test_table_that_is_gone_is_an_error_if_the_tap_leaves_out_its_rows(warehouse):
    """A tap that continues from a state would bring a few rows of many, and all seem well."""
    begins, continues = schema(a=TEXT), schema(a=TEXT)
    continues["schema"]["x-singer-continues"] = True
    renamed = {"stream_maps": {"Contacts": {"__alias__": "People"}}}
    for settings in ({}, renamed):
        done = warehouse.run(continues, record({"id": "1"}), state({"n": 1}), **settings)
        assert (done.returncode, done.stdout) == (2, "")
        assert "does not exist, but the state of the tap says" in done.stderr
        assert "`meltano run --full-refresh`" in done.stderr
        assert "Traceback" not in done.stderr
    warehouse.load(begins, record({"id": "1"}))
    warehouse.load(continues, record({"id": "2"}))
    assert warehouse.rows('SELECT id FROM kafinea."Contacts" ORDER BY 1') == [("1",), ("2",)]
