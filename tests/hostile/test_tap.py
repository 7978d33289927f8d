"""The tap, whatever the server answers and whatever it is given: typed rows, or one clear error."""

from __future__ import annotations

import json
from decimal import Decimal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hostile.server import AnyServer
from tests.hostile.shapes import ANY, CHANGES, JSON, bodies, changed, examples, success
from tests.small_server import serving
from tests.tap.running import command, parse

PEOPLE = 7
SETTINGS = {
    "username": "admin",
    "access_key": "k" * 16,
    "modules": ["Contacts", "Accounts"],
    "timezone": "Europe/Paris",
    "dictionary": True,
    "max_sessions": 1,
    "request_timeout": 5,
    "relations": [{"module": "Accounts", "related": "Contacts"}],
}
ALONE = {**SETTINGS, "modules": ["Contacts"], "relations": []}
MORE_SETTINGS = {
    "page_size": 5,
    "lookback_seconds": 3,
    "start_date": "2026-01-01",
    "stream_maps": {"Contacts": {"x": "lastname"}},
    "flattening_enabled": False,
    "deletions": "off",
    "files": {"enabled": False},
    "line_items": "embed",
    "max_requests_per_minute": 10_000,
}
OPERATIONS = ["getchallenge", "login", "listtypes", "describe", "query", "query", "retrieve"]
OPERATIONS += ["relatedtypes", "query_related"]
MOST_REQUESTS = 2_100
"""A server that counts records without end is asked for 500 pages of each module, twice."""


@pytest.fixture(scope="module")
def server():
    types = {"percent": "double", "odd": "odd", "time": "time", "yes": "boolean"}
    with serving(AnyServer(**types)) as server:
        for n in range(PEOPLE):
            server.insert(lastname=f"A{n}", amount=f"{n}.50", born="2001-02-03", many="a |##| b")
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tap")


def run(server, folder, *options, is_edited=False, **files):
    """Run the tap with files of any text, and check what holds however it ends.

    Args:
        server: The server.
        folder: Where the files go.
        options: Of the command.
        is_edited: Whether the schemas are not those of the tap.
        files: The text of the config, the catalog or the state.
    """
    config = json.dumps({"url": server.url, **SETTINGS})
    arguments = []
    for name, content in {"config": config, **files}.items():
        path = folder / f"{name}.json"
        path.write_bytes(content.encode("utf-8", "surrogatepass"))
        arguments += [f"--{name}", str(path)]
    done = command(*arguments, *options)
    said = done.stderr
    assert done.returncode in {0, 1, 2}, said
    assert "Traceback" not in said, said
    assert "a bug in" not in said, said
    assert (done.returncode != 0) == ("ERROR" in said), said
    assert len(server.requests) < MOST_REQUESTS
    if not options and not is_edited:
        check_rows(done.stdout)
    return done


def check_rows(output):
    """Check that each record is as its schema says, and that all is JSON."""
    validators = {}
    for line in output.splitlines():
        message = json.loads(line, parse_float=Decimal, parse_constant=pytest.fail)
        if message["type"] == "SCHEMA":
            jsonschema.Draft7Validator.check_schema(message["schema"])
            validators[message["stream"]] = jsonschema.Draft7Validator(
                message["schema"], format_checker=jsonschema.FormatChecker(["date"])
            )
        elif message["type"] == "RECORD":
            validators[message["stream"]].validate(message["record"])


# What the server answers


@examples(25)
@given(st.sampled_from(OPERATIONS), JSON | CHANGES, st.integers(0, 6), st.booleans())
def test_any_answer_is_typed_rows_or_an_error(server, folder, operation, text, first, is_once):
    def answer(number, honest):
        if number < first or (is_once and number > first):
            return None
        return success(text if isinstance(text, str) else changed(honest, text))

    server.begin(**{operation: answer})
    done = run(server, folder)
    if operation == "query" and done.returncode == 0:
        assert len(set(parse(done.stdout.splitlines()).ids("Contacts"))) == PEOPLE, done.stderr


@examples(12)
@given(st.sampled_from(OPERATIONS), bodies(ANY), st.integers(0, 6))
def test_any_bytes_are_an_error(server, folder, operation, body_and_headers, first):
    body, headers = body_and_headers
    server.begin(**{operation: lambda number, _: (200, body, headers) if number >= first else None})
    run(server, folder)


def counting(count):
    """Return an answer to `query` that counts something else."""

    def answer(_, rows):
        return success(json.dumps([{"count": count}])) if rows and "count" in rows[0] else None

    return {"query": answer}


def same_page():
    pages = []

    def answer(_, rows):
        if rows is None or (rows and "count" in rows[0]) or len(rows) < 2:
            return None
        pages.append(rows)
        return success(json.dumps(pages[0]))

    return {"query": answer}


def before():
    """Return an answer to `query` that is that to the query before."""
    results = [[]]

    def answer(_, rows):
        results.append(rows)
        return success(json.dumps(results[-2]))

    return {"query": answer}


def others():
    def answer(_, rows):
        if not rows or "id" not in rows[0]:
            return None
        return success(json.dumps([{**row, "id": row["id"].replace("12x", "11x")} for row in rows]))

    return {"query": answer}


ENDED = b'{"success":false,"error":{"code":"INVALID_SESSIONID","message":"x"}}'
LIARS = {
    "each session is invalid": lambda: dict.fromkeys(("query", "describe"), lambda *_: ENDED),
    "the same page": same_page,
    "records of another module": others,
    "the answer to the query before": before,
    "counts none": lambda: counting("0"),
    "counts one": lambda: counting("1"),
    "counts a million": lambda: counting("1000000"),
}


@pytest.mark.parametrize("sessions", [1, 3])
@pytest.mark.parametrize("liar", LIARS)
def test_server_that_always_lies_hides_no_record(server, folder, liar, sessions):
    server.begin(**LIARS[liar]())
    # Of one module: answered as the other one, which is empty, it would be taken for empty as well.
    config = {"url": server.url, **ALONE, "max_sessions": sessions, "page_size": 3}
    done = run(server, folder, config=json.dumps(config))
    found = parse(done.stdout.splitlines()).ids("Contacts")
    assert len(found) == len(set(found))
    assert done.returncode or len(found) == PEOPLE, done.stderr


def test_ten_thousand_fields_and_megabytes_of_text_are_extracted(folder):
    with serving(AnyServer(**{f"cf_{n}": "string" for n in range(10_000)})) as server:
        server.insert(lastname="\U0001f600" * 2**20, cf_9999="last")
        config = {"url": server.url, **ALONE, "dictionary": False}
        done = run(server, folder, config=json.dumps(config))
        (row,) = parse(done.stdout.splitlines()).records("Contacts")
        assert row["cf_9999"] == "last"
        assert row["lastname"] == "\U0001f600" * 2**20


# What the tap is given


@pytest.fixture(scope="module")
def catalog(server, folder):
    server.begin()
    return json.loads(run(server, folder, "--discover").stdout)


@pytest.fixture(scope="module")
def state(server, folder):
    server.begin()
    return parse(run(server, folder).stdout.splitlines()).state


@examples(20)
@given(ANY | CHANGES)
def test_any_catalog_is_read_or_refused(server, folder, catalog, text):
    server.begin()
    text = text if isinstance(text, str) else changed(catalog, text)
    run(server, folder, catalog=text, is_edited=True)


@examples(20)
@given(ANY | CHANGES)
def test_any_state_is_read_or_refused(server, folder, state, text):
    server.begin()
    run(server, folder, state=text if isinstance(text, str) else changed(state, text))


@examples(20)
@given(ANY | CHANGES)
def test_any_config_is_read_or_refused(server, folder, text):
    server.begin()
    good = {"url": server.url, **SETTINGS, **MORE_SETTINGS}
    text = text if isinstance(text, str) else changed(good, text)
    run(server, folder, config=text, is_edited=True)
