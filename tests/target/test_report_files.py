"""The load report and the rejects file: where they are written, and what no run destroys."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from kafinea.load import Result, Status
from kafinea.load.reporting.results_file import ResultsFile
from tests.target.running import Files, command, load, matched, messages, state

LOGGER = logging.getLogger("target-kafinea")
STREAMS = matched("Contacts", "cf_853")
SETTINGS = ("outcomes_path", "rejects_path")


def good(key, **values):
    return {"cf_853": key, "lastname": f"Name {key}", **values}


def bad(key):
    return good(key, cf_863="no date")


LINES = messages("Contacts", good("a"), bad("b"))


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]


def is_told(setting, text):
    """Whether each line of a file is what the setting asks for, of the records of LINES."""
    lines = lines_of(text)
    if setting == "rejects_path":
        return [line["type"] for line in lines] == ["SCHEMA", "RECORD"]
    return sorted(line["outcome"] for line in lines) == ["created", "rejected"]


def one_error(run):
    assert run.code == 1
    assert "Traceback" not in run.stderr
    (error,) = run.errors
    return error


# What is not a regular file


@pytest.mark.parametrize("setting", SETTINGS)
def test_report_path_may_be_a_link(sandbox, tmp_path, setting):
    link, behind = tmp_path / "link", tmp_path / "elsewhere" / "file.jsonl"
    behind.parent.mkdir()
    behind.write_text('{"type":"STATE","value":"of an earlier run"}\n')
    inode = behind.stat().st_ino
    link.symlink_to(behind)
    load(sandbox, LINES, streams=STREAMS, max_rejects=1, check=False, **{setting: str(link)})
    assert link.is_symlink()
    assert behind.stat().st_ino == inode
    first, rest = behind.read_text().split("\n", 1)
    assert "of an earlier run" in first
    assert is_told(setting, rest)
    assert {path.name for path in tmp_path.rglob("*")} == {"link", "elsewhere", "file.jsonl"}


@pytest.mark.parametrize("setting", SETTINGS)
def test_report_path_may_be_a_dangling_link(sandbox, tmp_path, setting):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "file.jsonl")
    load(sandbox, LINES, streams=STREAMS, max_rejects=1, check=False, **{setting: str(link)})
    assert link.is_symlink()
    assert is_told(setting, (tmp_path / "file.jsonl").read_text())


@pytest.mark.parametrize("setting", SETTINGS)
def test_report_path_may_be_a_named_pipe(sandbox, tmp_path, setting):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    run = load(sandbox, LINES, streams=STREAMS, max_rejects=1, check=False, **{setting: str(pipe)})
    reader.join(20)
    assert run.code == 0
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert is_told(setting, read[0])


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("made_by", ["link", "mknod"])
def test_report_path_may_be_a_device(sandbox, tmp_path, setting, made_by):
    device = tmp_path / "null"
    if made_by == "link":
        device.symlink_to("/dev/null")
    else:
        try:
            os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
            device.write_text("x")
        except PermissionError:
            pytest.skip("only root makes devices, and not everywhere")
    run = load(
        sandbox, LINES, streams=STREAMS, max_rejects=1, check=False, **{setting: str(device)}
    )
    assert run.code == 0
    assert stat.S_ISCHR(device.stat().st_mode)
    assert device.is_symlink() == (made_by == "link")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["null"]


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("into", ["pipe", "file"])
def test_report_path_may_be_stdout_without_states(sandbox, tmp_path, setting, into):
    files = Files(tmp_path)
    config = files.config(sandbox, streams=STREAMS, max_rejects=1, **{setting: "/dev/stdout"})
    done = started(files, config, LINES, into)
    assert done.returncode == 0, done.stderr
    assert is_told(setting, done.stdout)
    assert Path("/dev/stdout").is_symlink()


@pytest.mark.parametrize("setting", SETTINGS)
def test_report_and_states_never_share_stdout(sandbox, tmp_path, setting):
    """A runner that keeps the last line as the state would keep a record."""
    files = Files(tmp_path)
    config = files.config(sandbox, streams=STREAMS, max_rejects=1, **{setting: "/dev/stdout"})
    done = started(files, config, [*LINES, state({"done": 1})], "pipe")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    (error,) = [line for line in done.stderr.splitlines() if "ERROR" in line]
    assert setting in error
    assert '"done"' not in done.stdout


def test_report_path_may_be_stderr_or_the_null_device(sandbox, tmp_path):
    files = Files(tmp_path)
    config = files.config(
        sandbox,
        streams=STREAMS,
        max_rejects=1,
        rejects_path="/dev/stderr",
        outcomes_path="/dev/null",
    )
    arguments = [sys.executable, "-m", "target_kafinea", "--config", config]
    arguments += ["--input", files.input([*LINES, state({"done": 1})])]
    done = subprocess.run(
        arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("{")]
    assert is_told("rejects_path", "\n".join(told))


def started(files, config, lines, into):
    arguments = ["--config", config, "--input", files.input(lines)]
    if into == "pipe":
        return command(*arguments)
    path = files.directory / "stdout"
    with path.open("w") as out:
        done = subprocess.run(
            [sys.executable, "-m", "target_kafinea", *arguments],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    done.stdout = path.read_text()
    return done


# A disk that is full


@pytest.mark.parametrize("setting", SETTINGS)
def test_full_disk_ends_the_run_in_one_line_after_the_last_valid_state(sandbox, setting):
    first = [] if setting == "outcomes_path" else messages("Contacts", good("a"), good("b"))
    lines = [*first, state({"done": "ab"}), *messages("Contacts", bad("c"), state={"done": "abc"})]
    run = load(sandbox, lines, streams=STREAMS, max_rejects=-1, check=False, **{setting: FULL})
    error = one_error(run)
    assert f"`{setting}` can no longer be written: No space left on device" in error
    assert run.states == [{"done": "ab"}]
    assert stat.S_ISCHR(Path(FULL).stat().st_mode)


FULL = "/dev/full"


LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
from target_kafinea.__main__ import main
main()
"""
"""The command, on a disk that is full when a file has 5,000 bytes."""


@pytest.mark.parametrize("name", ["outcomes", "rejects"])
def test_full_disk_leaves_complete_lines(sandbox, tmp_path, name):
    files = Files(tmp_path)
    other = {"outcomes": "rejects_path", "rejects": "outcomes_path"}[name]
    config = files.config(sandbox, streams=STREAMS, max_rejects=-1, **{other: None})
    lines = messages("Contacts", *[bad(f"{n}") for n in range(50)], state={"done": 1})
    arguments = ["--config", config, "--input", files.input(lines)]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (error,) = [line for line in done.stderr.splitlines() if "ERROR" in line]
    assert f"`{name}_path` can no longer be written: File too large" in error
    assert done.stdout == ""
    text = files.path(name).read_text()
    assert text.endswith("}\n")
    assert 5 < len(lines_of(text)) < 50


@pytest.mark.parametrize("breaks", ["input", "server"])
def test_last_valid_state_is_written_whatever_ends_the_run(sandbox, breaks):
    lines = [*messages("Contacts", good("a")), state({"done": "a"})]
    lines += [*messages("Contacts", good("b")), state({"done": "b"})]
    if breaks == "input":
        lines += ["this is no message"]
        true, written = [{"done": "b"}], {"a", "b"}  # all that came before it is written
    else:
        sandbox.faults.add("status", operation="create", nth=2, times=None, status=404)
        true, written = [{"done": "a"}], {"a"}
    run = load(sandbox, lines, streams=STREAMS, max_sessions=1, check=False)
    one_error(run)
    assert run.states == true
    assert {row["cf_853"] for row in sandbox.rows("Contacts")} == written


@pytest.mark.parametrize("setting", SETTINGS)
def test_report_path_that_cannot_be_written_is_an_error_before_any_write(
    sandbox, tmp_path, setting
):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "x", tmp_path / "nowhere" / "x"):
        sandbox.requests.clear()
        more = dict.fromkeys(SETTINGS) | {setting: str(path)}
        error = one_error(load(sandbox, LINES, streams=STREAMS, check=False, **more))
        assert f"`{setting}` '{path}' cannot be written" in error
        assert len(sandbox.requests) == 0


def test_report_and_rejects_in_one_file_are_an_error(sandbox, tmp_path):
    path = str(tmp_path / "file")
    run = load(sandbox, LINES, check=False, outcomes_path=path, rejects_path=path)
    assert "are the same file. Set two different paths." in one_error(run)


# The load report


def test_load_report_is_appended_to_with_time_and_run(sandbox, tmp_path):
    path = tmp_path / "report.jsonl"
    began = datetime.now(timezone.utc)
    for _ in range(3):
        load(sandbox, LINES, streams=STREAMS, check=False, outcomes_path=str(path))
    lines = lines_of(path.read_text())
    assert [line["outcome"] for line in lines if line["key"] == {"cf_853": "a"}] == [
        *("created", "unchanged", "unchanged")
    ]
    runs = [line["run"] for line in lines]
    assert len(set(runs)) == 3
    assert runs[0::2] == runs[1::2]
    for line in lines:
        assert list(line)[:2] == ["time", "run"]
        moment = datetime.fromisoformat(line["time"])
        assert moment.utcoffset() == timedelta(0)
        assert began - timedelta(seconds=1) <= moment <= datetime.now(timezone.utc)


@pytest.mark.parametrize(
    ("left", "kept"),
    [
        ('{"run":"1"}\n{"run":"2","key', ['{"run":"1"}']),
        ('{"run":"1"}\n{"run":"2"}', ['{"run":"1"}', '{"run":"2"}']),
        ('{"run', []),
        ("", []),
        ('{"run":"' + "1" * 100_000, []),
    ],
    ids=["half a line", "edited by hand", "only half a line", "empty", "half a long line"],
)
def test_load_report_with_a_partial_last_line_is_repaired(sandbox, tmp_path, left, kept):
    path = tmp_path / "report.jsonl"
    path.write_text(left)
    load(sandbox, LINES, streams=STREAMS, check=False, outcomes_path=str(path))
    text = path.read_text()
    assert text.splitlines()[: len(kept)] == kept
    assert len(lines_of(text)) == len(kept) + 2


def test_load_report_marks_the_lines_of_a_dry_run(sandbox, tmp_path):
    path = tmp_path / "report.jsonl"
    for dry in (True, False):
        load(sandbox, LINES, streams=STREAMS, check=False, outcomes_path=str(path), dry_run=dry)
    lines = lines_of(path.read_text())
    assert [line.get("dry_run") for line in lines] == [True, True, None, None]


@pytest.mark.parametrize("wanted", [False, True])
def test_load_report_has_old_values_only_if_set(tmp_path, wanted):
    path = tmp_path / "report.jsonl"
    report = ResultsFile(str(path), "run", with_values=wanted, dry_run=False)
    before = {"phone": "1", "lastname": "Roux"}
    updated = Result(Status.UPDATED, "8x1", changed=("phone",), before=before)
    deleted = Result(Status.DELETED, "8x2", before=before)
    for result in (updated, deleted):
        report.write("Contacts", {}, result)
    report.close()
    told = [line.get("before") for line in lines_of(path.read_text())]
    assert told == ([{"phone": "1"}, before] if wanted else [None, None])


# The rejects file


def asides(directory):
    return sorted(directory.glob("rejects.jsonl.*"))


@pytest.mark.parametrize("through", ["file", "link", "stdin"])
def test_rejects_loaded_and_rejected_again_are_read_once(sandbox, tmp_path, through):
    files = Files(tmp_path)
    real = tmp_path / "real.jsonl" if through == "link" else files.path("rejects")
    records = [bad(f"{n}") for n in range(500)]
    real.write_text("".join(f"{line}\n" for line in messages("Contacts", *records)))
    if through == "link":
        files.path("rejects").symlink_to(real)
    config = files.config(sandbox, streams=STREAMS, max_rejects=-1)
    if through == "stdin":
        done = command("--config", config, input=real.read_text())
    else:
        done = command("--config", config, "--input", str(files.path("rejects")))
    assert done.returncode == 2
    assert "0 deleted, 500 rejected" in done.stderr
    keys = {one["record"]["cf_853"] for one in files.lines("rejects") if "code" in one}
    assert keys == {f"{n}" for n in range(500)}
    # What was there before is there still: put aside, or before what was appended.
    assert len(asides(tmp_path)) == (through != "link")
    assert len(files.lines("rejects")) == 501 * (1 + (through == "link"))


def test_rejects_to_load_survive_an_aborted_run(sandbox, tmp_path):
    files = Files(tmp_path)
    corrected = "".join(f"{line}\n" for line in messages("Contacts", good("a")))
    files.path("rejects").write_text(corrected)
    config = files.config(sandbox, streams=STREAMS, access_key="wr0ngKey")
    assert command("--config", config, "--input", str(files.path("rejects"))).returncode == 2
    assert files.path("rejects").read_text() == corrected
    assert asides(tmp_path) == []


def killed_with_rejects(sandbox, files, config):
    """Start a run, and kill it when it has rejected some of its records."""
    source = files.input([messages("Contacts", *[bad(f"{n}") for n in range(100)])])
    with (
        Path(source).open() as lines,
        subprocess.Popen(
            [sys.executable, "-m", "target_kafinea", "--config", config],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process,
    ):
        process.stdin.write(lines.read())
        # Another stream makes the target write what it has of the first one.
        process.stdin.write("\n".join(messages("Accounts", {"accountname": "ACME"})) + "\n")
        process.stdin.flush()
        until(lambda: len(files.lines("rejects")) == 101)
        yield process
        process.kill()


def test_rejects_of_a_killed_run_are_not_lost(sandbox, tmp_path):
    files = Files(tmp_path)
    streams = {**STREAMS, **matched("Accounts", "accountname")}
    config = files.config(sandbox, streams=streams, max_rejects=-1)
    for _ in killed_with_rejects(sandbox, files, config):
        pass
    part = tmp_path / "rejects.jsonl.part"
    with part.open("a") as file:
        file.write('{"type":"RECORD","str')  # half a line
    done = command("--config", config, "--input", files.input(LINES))
    assert done.returncode == 0, done.stderr
    (aside,) = asides(tmp_path)
    assert len(lines_of(aside.read_text())) == 101
    assert "The rejects file of an earlier run was renamed to" in done.stderr
    run = load(sandbox, aside.read_text().splitlines(), streams=streams, max_rejects=-1)
    assert run.tally == {"rejected": 100}


def test_rejects_of_two_concurrent_runs_are_not_lost(sandbox, tmp_path):
    files = Files(tmp_path)
    streams = {**STREAMS, **matched("Accounts", "accountname")}
    config = files.config(sandbox, streams=streams, max_rejects=-1)
    for process in killed_with_rejects(sandbox, files, config):
        other = Files(tmp_path / "other")
        other.directory.mkdir()
        done = command("--config", config, "--input", other.input(LINES))
        assert done.returncode == 0, done.stderr
        process.stdin.close()
        process.wait(60)
    found = [lines_of(path.read_text()) for path in (files.path("rejects"), *asides(tmp_path))]
    assert sorted(map(len, found)) == [2, 101]


def until(condition):
    while not condition():  # pytest-timeout ends it
        time.sleep(0.01)
