"""Input that is none: one clear line that names the place, and what came before it is loaded."""

from __future__ import annotations

import http.server
import json
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import ClassVar

import pytest

from target_kafinea import huge_numbers, reader
from tests.target.running import Files, empty, in_process, load, matched, messages, state

STREAMS = matched("Contacts", "cf_853")
SCHEMA, ADA, BOB = messages(
    "Contacts", {"cf_853": "a", "lastname": "Ada"}, {"cf_853": "b", "lastname": "Bob"}
)
SECRET = "Lovelace"


def of(**more):
    return json.dumps(
        {"type": "RECORD", "stream": "Contacts", "record": {"lastname": SECRET}} | more
    )


def schema(stream="Contacts", **more):
    said = {"type": "object", "properties": {"cf_853": {}, "lastname": {}}}
    return json.dumps({"type": "SCHEMA", "stream": stream, "schema": said, **more})


@pytest.fixture(scope="module")
def server():
    with empty() as sandbox:
        yield sandbox


def load_bytes(server, tmp_path, *lines: bytes | str, **more):
    """Run the target on these lines; bytes go in as they are."""
    files = Files(tmp_path)
    raw = [line if isinstance(line, bytes) else line.encode() for line in lines]
    path = tmp_path / "input.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in raw))
    config = files.config(server, **{"streams": STREAMS, **more})
    return files.read(*in_process(["--config", config, "--input", str(path)]))


HUGE = ["1e99999999999999999999", "9" * 5000]
HUGE_STATE = '{"type": "STATE", "value": {"at": HUGE}}'

BAD_LINES = {
    "latin-1": (of().replace(SECRET, "Andr\xe9").encode("latin-1"), "not UTF-8"),
    "latin-1 in a name": (of(x=1).replace('"x"', '"\xe9"').encode("latin-1"), "not UTF-8"),
    "utf-16": (of().encode("utf-16"), "byte order mark"),
    "a byte order mark": (b"\xef\xbb\xbf" + of().encode(), "byte order mark"),
    "brackets": (b"[" * 100_000, "deep"),
    "brackets in a record": (of(record={"x": 0}).replace("0", "[" * 400 + "]" * 400), "deep"),
    "objects in a record": (
        of(record={"x": 0}).replace("0", '{"a":' * 200 + "1" + "}" * 200),
        "deep",
    ),
    "an empty line": (b"", "empty"),
    "spaces": (b"  \t ", "empty"),
    "a NUL": (of().replace(SECRET, "\0"), "not JSON"),
    "NaN": (of().replace(f'"{SECRET}"', "NaN"), "not JSON"),
    "Infinity": (of().replace(f'"{SECRET}"', "-Infinity"), "not JSON"),
    "a state with an exponent out of range": (HUGE_STATE.replace("HUGE", HUGE[0]), "range"),
    "a state with a number of 5,000 digits": (HUGE_STATE.replace("HUGE", HUGE[1]), "range"),
    "a huge number and no end": (of(lastname=1).replace("1", HUGE[1])[:-1] + r',"\"\"\"', "JSON"),
    "two messages in a line": (of() + of(), "not JSON"),
    "half a message": (of()[:-5], "not JSON"),
    "half a character in half a message": (of(record={"x": "\ud83d"})[:-1], "not JSON"),
    "a list": (b"[]", "not an object"),
    "a number": (b"1", "not an object"),
    "no type": (b'{"stream": "Contacts"}', "`type`"),
    "a list for a type": (of(type=["RECORD"]), "type"),
    "null for a type": (of(type=None), "type"),
    "another type": (of(type="ROW"), "type"),
    "null for a record": (of(record=None), "`record`"),
    "a list for a record": (of(record=[SECRET]), "`record`"),
    "a text for a record": (of(record=SECRET), "`record`"),
    "a list for a stream": (of(stream=["Contacts"]), "`stream`"),
    "a number for a stream": (of(stream=1), "`stream`"),
    "an empty stream": (of(stream=""), "`stream`"),
    "a record before its schema": (of(stream="Accounts"), "'Accounts'"),
    "a version before its schema": (of(type="ACTIVATE_VERSION", stream="x", version=1), "'x'"),
    "no version": (of(type="ACTIVATE_VERSION"), "`version`"),
    "a batch before its schema": (of(type="BATCH", stream="x"), "'x'"),
    "null for a state": (b'{"type": "STATE", "value": null}', "`value`"),
    "a list for a state": (b'{"type": "STATE", "value": [1]}', "`value`"),
    "a state without a value": (b'{"type": "STATE"}', "`value`"),
    "null for a schema": (schema(schema=None), "`schema`"),
    "a list for a schema": (schema(schema=[]), "`schema`"),
    "true for a schema": (schema(schema=True), "`schema`"),
    "a schema without properties": (schema(schema={"type": "object"}), "`properties`"),
    "a list of properties": (schema(schema={"properties": ["lastname"]}), "`properties`"),
    "a text of key properties": (schema(key_properties="id"), "`key_properties`"),
    "numbers of key properties": (schema(key_properties=[1]), "`key_properties`"),
    "a list of key properties": (schema(key_properties=[["id"]]), "`key_properties`"),
    "a list for the stream of a schema": (schema(["Contacts"]), "`stream`"),
    "a stream that drives terminals": (schema("\x1b[31mx\r\n"), r"\x1b"),
    "a schema 900 deep": (
        schema(schema={"properties": {"x": 0}}).replace("0", '{"not":' * 900 + "{}" + "}" * 900),
        "deep",
    ),
}


@pytest.mark.parametrize(("line", "said"), BAD_LINES.values(), ids=BAD_LINES.keys())
def test_invalid_line_ends_the_run_after_the_records_before_it(server, tmp_path, line, said):
    before = [SCHEMA, ADA, state({"done": 1})]
    run = load_bytes(server, tmp_path, *before, line, BOB)
    assert run.code == 1
    (error,) = run.errors
    assert "Line 4 of the input is not a Singer message: " in error
    assert said in error
    assert SECRET not in run.stderr
    assert "\x1b[31mx" not in run.stderr
    assert "Traceback" not in run.stderr
    assert [one["key"]["cf_853"] for one in run.outcomes] == ["a"]
    assert run.states == [{"done": 1}]


@pytest.mark.parametrize("number", [*HUGE, f"-{HUGE[1]}", f'[{{"x": {HUGE[0]}}}]'])
def test_number_out_of_range_rejects_its_record(server, tmp_path, number):
    record = of(record={"cf_853": 'a"', "lastname": "N"}).replace('"N"', number)
    before = ADA.replace('"a"', '"first"')
    run = load_bytes(server, tmp_path, SCHEMA, before, record, BOB, max_rejects=-1, dry_run=True)
    assert [one["key"]["cf_853"] for one in run.outcomes] == ["first", 'a"', "b"]
    assert run.codes == ["INVALID_VALUE"]
    assert run.outcomes[1]["message"] == "lastname: a number is out of range"
    kept = re.sub(r"[][{}\"x:-]", "", json.dumps(run.rejected_records[0]["lastname"])).strip()
    assert kept in HUGE  # for who corrects it
    assert "9" * 30 not in run.stderr


def test_unterminated_quotes_are_scanned_once():
    number, quotes = HUGE[1], r"\"" * 2**20
    assert huge_numbers.as_texts(f'[{number}, "{quotes}')[1]


def test_harmless_oddities_are_loaded(sandbox, tmp_path):
    """Also where the machine's own encoding is another one."""
    record = '{"cf_853": "a", "lastname": "x", "lastname": "\\u00e9\u00e9"}'
    lines = [
        SCHEMA + "\r",
        f'{{"type": "RECORD", "stream": "Contacts", "time_extracted": [], "record": {record}}}\r',
        of(type="ACTIVATE_VERSION", version="x"),
        schema(key_properties=None, bookmark_properties=1),
    ]
    files = Files(tmp_path)
    config = files.config(sandbox, streams=STREAMS)
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-m", "target_kafinea", "--config", config],
        input="\n".join(lines).encode(),
        env={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [row["lastname"] for row in sandbox.rows("Contacts")] == ["\u00e9\u00e9"]


# Sizes


def test_line_too_long_is_one_error(server, tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "LONGEST_LINE", 10_000)
    fits, longer = (of(record={"cf_853": "z", "lastname": "x" * n}) for n in (9000, 20_000))
    run = load_bytes(server, tmp_path, SCHEMA, fits, longer)
    assert run.code == 1
    assert "Line 3 of the input" in run.errors[0]
    assert "longer than 10,000 bytes" in run.errors[0]
    assert "`files_path`" in run.errors[0]


def test_line_with_too_many_values_is_one_error(server, tmp_path):
    many = of(record={"cf_853": 0}).replace("0", "[" + "[]," * 2_200_000 + "[]]")
    run = load_bytes(server, tmp_path, SCHEMA, many)
    assert "more than 2,097,152 values" in run.errors[0]


PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=False)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.parametrize("text", ["x" * 2**26, "x" * 2**26 + "\U0001f600"], ids=["ascii", "wide"])
def test_long_line_takes_a_few_times_its_size_of_memory(server, tmp_path, text):
    """Text of wide characters takes four bytes for each in Python; then the value does, once."""
    files = Files(tmp_path)
    config = files.config(server, streams=STREAMS, dry_run=True)
    source = files.input([SCHEMA, of(record={"cf_853": "z", "lastname": text}), BOB])
    # A process of its own, for the peak of a child is at least the size of who has started it.
    arguments = ["-m", "target_kafinea", "--config", config, "--input", source]
    done = subprocess.run(
        [sys.executable, "-c", PEAK, sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Traceback" not in done.stderr
    assert "rejected" in done.stderr
    assert int(done.stdout.split()[-1]) * 1024 < 200 * 2**20 + 9 * 2**26


# Schemas


class Fetched(http.server.BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self):
        self.asked.append(self.path)
        body = b'{"type": "integer"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def elsewhere():
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Fetched)
    threading.Thread(target=httpd.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()


def at(url, keyword="$ref", **more):
    return {"properties": {"cf_853": {keyword: url}, "lastname": {}}, **more}


NEWER = "https://json-schema.org/draft/2020-12/schema"
OLDER = "https://json-schema.org/draft/2019-09/schema"
FETCHING = {
    "http": lambda url: at(f"{url}/a.json"),
    "a file": lambda _: at(Path(__file__).as_uri()),
    "the id of the schema": lambda url: at("a.json", **{"$id": f"{url}/b.json"}),
    "an old id": lambda url: at(
        "a.json", id=f"{url}/b", **{"$schema": "http://json-schema.org/draft-04/schema#"}
    ),
    "an id within": lambda url: {
        "properties": {"cf_853": {"$id": f"{url}/c/", "allOf": [{"$ref": "d"}]}, "lastname": {}}
    },
    "a dynamic reference": lambda url: at(f"{url}/e", "$dynamicRef", **{"$schema": NEWER}),
    "a recursive reference": lambda url: at(f"{url}/f", "$recursiveRef", **{"$schema": OLDER}),
    "no such place": lambda _: at("#/definitions/none"),
    "an anchor that is none": lambda _: at("#none"),
}


@pytest.mark.parametrize("make", FETCHING.values(), ids=FETCHING.keys())
def test_schema_references_are_not_fetched(server, tmp_path, elsewhere, make):
    Fetched.asked.clear()
    said = schema(schema=make(elsewhere))
    run = load_bytes(server, tmp_path, said, ADA)
    assert Fetched.asked == []
    assert "Traceback" not in run.stderr
    if "$recursiveRef" not in said:  # which means the schema itself, whatever it holds
        assert run.code == 1
        (error,) = run.errors
        assert "Stream 'Contacts': its SCHEMA cannot be used" in error


@pytest.mark.parametrize("name", ["$schema", "$vocabulary"])
def test_schema_meta_schema_is_not_fetched(server, tmp_path, elsewhere, name):
    Fetched.asked.clear()
    said = at("#/definitions/x", definitions={"x": {}}, **{name: f"{elsewhere}/meta"})
    load_bytes(server, tmp_path, schema(schema=said), ADA)
    assert Fetched.asked == []


def doubling(levels):
    steps = {f"d{n}": {"allOf": [{"$ref": f"#/definitions/d{n + 1}"}] * 2} for n in range(levels)}
    return {"definitions": {**steps, f"d{levels}": {}}}


ENDLESS = {
    "itself": at("#/properties/cf_853"),
    "one another": at(
        "#/definitions/a",
        definitions={"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}},
    ),
    "the whole": {"$ref": "#", "properties": {"cf_853": {}, "lastname": {}}},
    "2^40 steps": at("#/definitions/d0", **doubling(40)),
    "an id that is no URL": at("x", **{"$id": "http://[x"}),
    "a $schema that is no URL": at("#x", **{"$schema": "http://[x"}),
    "a list for a $schema": at("#", **{"$schema": []}),
    "a type that is none": {"properties": {"cf_853": {"type": "txt"}, "lastname": {}}},
    "a number for a property": {"properties": {"cf_853": 5, "lastname": {}}},
    "a text for required": {"properties": {"cf_853": {}, "lastname": {}}, "required": "lastname"},
    "multiples of 0": {"properties": {"cf_853": {"multipleOf": 0}, "lastname": {}}},
}


@pytest.mark.parametrize("said", ENDLESS.values(), ids=ENDLESS.keys())
def test_schema_that_cannot_be_used_is_one_error(server, tmp_path, said):
    run = load_bytes(server, tmp_path, schema(schema=said), ADA)
    assert run.code == 1
    (error,) = run.errors
    assert "Stream 'Contacts': its SCHEMA cannot be used" in error
    assert "Traceback" not in run.stderr


SLOW = "(a+)+$"
KEY = "a" * 60 + "!"
CHECKED = {
    "a pattern": ({"cf_853": {"pattern": SLOW}}, {}, None),
    "a pattern far down": ({"cf_853": {"anyOf": [{"not": {"pattern": SLOW}}, {}]}}, {}, None),
    "a pattern for names": ({}, {"propertyNames": {"pattern": SLOW}}, None),
    "patterns for properties": ({}, {"patternProperties": {SLOW: False}}, None),
    "other properties than patterns": (
        {},
        {"patternProperties": {SLOW: {}}, "additionalProperties": False},
        None,
    ),
    "properties that were not looked at": (
        {},
        {"$schema": NEWER, "patternProperties": {SLOW: {}}, "unevaluatedProperties": False},
        None,
    ),
    "a pattern that is none": ({"cf_853": {"pattern": "("}}, {}, None),
    "a format": ({"cf_853": {"format": "regex"}}, {}, None),
    "a huge multiple": ({"n": {"multipleOf": "HUGE"}}, {}, "multipleOf"),
    "a tiny multiple": ({"n": {"multipleOf": "TINY"}}, {}, "multipleOf"),
    "a fine multiple": ({"n": {"multipleOf": 0.5}}, {}, None),
    "items that are the same": ({"many": {"uniqueItems": True}}, {}, "uniqueItems"),
}


@pytest.mark.parametrize(("properties", "more", "problem"), CHECKED.values(), ids=CHECKED.keys())
def test_schema_keywords_are_bounded(server, tmp_path, properties, more, problem):
    names = {name: {} for name in ("cf_853", "lastname", "n", "many", KEY)}
    said = schema(schema={"properties": {**names, **properties}, **more})
    said = said.replace('"HUGE"', "1e999999999").replace('"TINY"', "1e-999999999")
    many = [{"x": n} for n in range(20_000)] + [{"x": 1.0}]
    record = {"cf_853": KEY, "lastname": "x", "n": 3, "many": many, KEY: "x"}
    left_out = dict.fromkeys(("n", "many", KEY), "")
    streams = matched("Contacts", "cf_853", fields=left_out)
    run = load_bytes(server, tmp_path, said, of(record=record), streams=streams, dry_run=True)
    assert [f"`{problem}`" in one["message"] for one in run.outcomes if "message" in one] == (
        [True] if problem else []
    )
    keywords = [one for one in ("pattern", "patternProperties") if f'"{one}"' in said]
    (warning,) = [line for line in run.stderr.splitlines() if "may never end" in line] or [""]
    assert all(keyword in warning for keyword in keywords)
    assert bool(warning) == bool(keywords)


def test_schema_that_refers_to_itself_is_checked(sandbox):
    """References within the schema are followed, as far as the record goes."""
    said = {
        "properties": {"cf_853": {}, "lastname": {"$ref": "#/definitions/name"}},
        "definitions": {"name": {"type": "string", "maxLength": 3}},
    }
    run = load(
        sandbox,
        schema(schema=said),
        [of(record={"cf_853": "a", "lastname": name}) for name in ("Ada", "Lovelace")],
        streams=STREAMS,
        max_rejects=1,
    )
    assert run.tally == {"created": 1, "rejected": 1}


def test_schema_that_the_sdk_cannot_flatten_is_one_error(server, tmp_path):
    said = {"properties": {"cf_853": {}, "lastname": [], "x": {"properties": []}}}
    more = {"flattening_enabled": True, "flattening_max_depth": 2}
    run = load_bytes(server, tmp_path, schema(schema=said), ADA, **more)
    (error,) = run.errors
    assert "Stream 'Contacts': its SCHEMA cannot be used" in error
    assert "Traceback" not in run.stderr


def test_batch_is_loaded_early_when_records_take_much_memory(sandbox, monkeypatch):
    """Whatever property of them is large, and in related lists as well."""
    monkeypatch.setattr("kafinea.load.stream.look_ahead.HEAVY", 10_000)
    records = [
        of(record={"cf_853": f"{n}", "lastname": "x", "description": "x" * 2000}) for n in range(30)
    ]
    said = schema(schema={"properties": {"cf_853": {}, "lastname": {}, "description": {}}})
    run = load(sandbox, said, records, streams=STREAMS)
    assert run.tally == {"created": 30}
    assert run.stderr.count("is full") >= 4


@pytest.mark.parametrize("value", ["12x101", "/etc/passwd", "0", {"productid": "14x1"}])
@pytest.mark.parametrize("module", ["Contacts", "Documents"])
def test_column_without_a_name_is_no_id_no_file_and_no_lines(sandbox, module, value):
    """The index of a table, as many tools export it."""
    name = {"Contacts": "lastname", "Documents": "notes_title"}[module]
    record = {name: "x", "": value}
    lines = messages(module, record, properties={"": {}})
    run = load(sandbox, lines, streams=matched(module, name))
    assert run.tally == {"created": 1}


def test_states_are_written_early_when_they_take_much_memory(sandbox, monkeypatch):
    monkeypatch.setattr("target_kafinea.states.HEAVY", 10_000)
    states = [state({"n": n, "x": "x" * 2_000}) for n in range(12)]
    run = load(sandbox, SCHEMA, ADA, states, streams=STREAMS)
    assert run.tally == {"created": 1}
    assert [one["n"] for one in run.states] == [4, 11]
