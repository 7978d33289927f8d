"""Runs the target against a sandbox, within the process or as users do, and reads what it leaves.

Whatever a test is about, `load` also checks what holds for every run: each record that was read
has one outcome, the summary and the rejects file tell the same as the outcomes, the exit code
follows from the rejects, no session was used by two requests at once, and nothing is a traceback.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from kafinea_sandbox import Sandbox
from target_kafinea.target import TargetKafinea
from tests import commands

Record = Mapping[str, Any]

_WRITES = {"create", "update", "revise", "delete", "add_related", "fileupload"}
_TYPES = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
_SUMMARY = re.compile(
    r"\| (?:dry run: )?(\w+)(?: \(not complete\))?: ([\d,]+) created, ([\d,]+) updated,"
    r" ([\d,]+) unchanged, ([\d,]+) deleted, ([\d,]+) rejected,"
)
_OUTCOMES = ("created", "updated", "unchanged", "deleted", "rejected")


def empty(**options: Any) -> Sandbox:
    """A Kafinea with its users, groups and currencies, and not one record."""
    return Sandbox(rows=0, **options)


# What goes in


def messages(
    stream: str,
    *records: Record,
    key: Iterable[str] = (),
    properties: Mapping[str, Any] | None = None,
    state: Any = None,
) -> list[str]:
    """The lines of a stream: a SCHEMA fit for the records, the records, and a STATE if wanted."""
    lines = [
        {
            "type": "SCHEMA",
            "stream": stream,
            "schema": {
                "type": "object",
                "properties": {**_properties(records), **(properties or {})},
            },
            "key_properties": list(key),
        },
        *({"type": "RECORD", "stream": stream, "record": dict(record)} for record in records),
    ]
    if state is not None:
        lines.append({"type": "STATE", "value": state})
    return [json.dumps(line) for line in lines]


def state(value: Any) -> str:
    return json.dumps({"type": "STATE", "value": value})


def _properties(records: Iterable[Record]) -> dict[str, Any]:
    types: dict[str, set[str]] = {}
    for record in records:
        for name, value in record.items():
            types.setdefault(name, {"null"})
            if value is not None:
                types[name].add(_TYPES[type(value)])
    return {
        name: {"type": sorted(found if len(found) > 1 else {"string", "null"}, key=_last)}
        for name, found in types.items()
    }


def _last(name: str) -> tuple[bool, str]:
    return name == "null", name


# What comes out


@dataclass
class Run:
    """What one run left behind."""

    code: int
    stdout: str
    stderr: str
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    """The messages of the rejects file."""

    @property
    def tally(self) -> dict[str, int]:
        return dict(Counter(line["outcome"] for line in self.outcomes))

    @property
    def only(self) -> dict[str, Any]:
        """The outcome of the only record."""
        (outcome,) = self.outcomes
        return outcome

    @property
    def codes(self) -> list[str]:
        return [line["code"] for line in self.outcomes if line["outcome"] == "rejected"]

    @property
    def states(self) -> list[Any]:
        return [json.loads(line) for line in self.stdout.split("\n")[:-1]]

    @property
    def rejected_records(self) -> list[dict[str, Any]]:
        return [one["record"] for one in self.rejects if one["type"] == "RECORD"]

    @property
    def errors(self) -> list[str]:
        return [line for line in self.stderr.splitlines() if "ERROR" in line]

    @property
    def summary(self) -> dict[str, dict[str, int]]:
        """The numbers of the lines at the end of the log, without those that are zero."""
        found = {}
        for line in self.stderr.splitlines():
            match = _SUMMARY.search(line)
            if match:
                counts = zip(_OUTCOMES, match.groups()[1:], strict=True)
                numbers = {name: int(text.replace(",", "")) for name, text in counts}
                found[match[1]] = {name: number for name, number in numbers.items() if number}
        return found

    def of(self, *values: Any) -> list[dict[str, Any]]:
        """The outcomes of the records with these values in their key, in their order.

        Without time and run, which differ each time.
        """
        found = [line for line in self.outcomes if set(values) <= set(line["key"].values())]
        return [{k: v for k, v in line.items() if k not in {"time", "run"}} for line in found]


def settings(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    return {
        "url": sandbox.url,
        "username": sandbox.username,
        "access_key": sandbox.access_key,
        **more,
    }


def matched(stream: str, *match_on: str, **more: Any) -> dict[str, Any]:
    """The setting `streams` for one stream that is matched on these fields."""
    return {stream: {"match_on": list(match_on), **more}}


def load(sandbox: Sandbox | None, *lines: str | list[str], check: bool = True, **more: Any) -> Run:
    """Run the target within this process on these lines."""
    with tempfile.TemporaryDirectory() as directory:
        files = Files(Path(directory))
        config = files.config(sandbox, **more)
        run = files.read(*in_process(["--config", config, "--input", files.input(lines)]))
    if check and sandbox:
        _check(sandbox, run, _flat(lines), more.get("max_rejects", 0))
    return run


def write_requests(sandbox: Sandbox) -> list[str]:
    """The operations that write, in the order in which they were asked for.

    A write of nothing finds out what the server can do, and is none.
    """
    return [
        request.operation
        for request in sandbox.requests
        if request.operation in _WRITES and request.params.get("element") != "{}"
    ]


class Files:
    """The files of a run, in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def input(self, lines: Iterable[str | list[str]]) -> str:
        return self.write("input.jsonl", "".join(f"{line}\n" for line in _flat(lines)))

    def config(self, sandbox: Sandbox | None, **more: Any) -> str:
        paths = {f"{name}_path": str(self.path(name)) for name in ("outcomes", "rejects")}
        config = {**(settings(sandbox) if sandbox else {}), **paths, **more}
        return self.write("config.json", {k: v for k, v in config.items() if v is not None})

    def path(self, name: str) -> Path:
        return self.directory / f"{name}.jsonl"

    def write(self, name: str, content: Any) -> str:
        path = self.directory / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return str(path)

    def read(self, code: int, stdout: str, stderr: str) -> Run:
        return Run(code, stdout, stderr, *(self.lines(name) for name in ("outcomes", "rejects")))

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The whole lines of a file; a killed run leaves a `.part`, and half a line at its end."""
        path = self.path(name)
        part = path.with_name(f"{path.name}.part")
        found = [one for one in (part, path) if one.exists()]
        text = found[0].read_bytes() if found else b""
        return [json.loads(line) for line in text.split(b"\n")[:-1]]


def command(*arguments: str, **options: Any) -> CompletedProcess[str]:
    """Run the command `target-kafinea` as a user does."""
    return commands.program("target_kafinea", *arguments, **options)


def in_process(arguments: list[str]) -> tuple[int, str, str]:
    """Run the command within this process; return its exit code and what it wrote."""
    done = commands.in_process(TargetKafinea, *arguments)
    return done.returncode, done.stdout, done.stderr


def _flat(lines: Iterable[str | list[str]]) -> list[str]:
    return [one for line in lines for one in ([line] if isinstance(line, str) else line)]


def _check(sandbox: Sandbox, run: Run, lines: list[str], max_rejects: int) -> None:
    assert "Traceback" not in run.stderr, run.stderr
    if not any(request.fault for request in sandbox.requests):
        # Only a server that hangs is still at work when it is asked again.
        assert not [request for request in sandbox.requests if request.overlapped]
    said = Counter((line["stream"], line["outcome"]) for line in run.outcomes)
    counted = {(s, name): n for s, counts in run.summary.items() for name, n in counts.items()}
    assert counted == said, run.stderr
    assert len(run.rejected_records) == run.tally.get("rejected", 0)
    for line in run.outcomes:
        assert {"stream", "key", "id", "outcome", "changed"} <= line.keys()
        assert line["outcome"] in _OUTCOMES
        assert ("code" in line) == ("message" in line) == (line["outcome"] == "rejected")
        assert line["changed"] == sorted(line["changed"] or [])
    too_many = 0 <= max_rejects < len(run.rejected_records)
    too_many |= "OTHER_FIELDS_CHANGED" in run.codes
    fruitless = any(counts.keys() == {"rejected"} for counts in run.summary.values())
    assert run.code == int(too_many or fruitless), run.stderr
    if run.code == 0:
        read = Counter(one["stream"] for one in map(json.loads, lines) if one["type"] == "RECORD")
        assert Counter(line["stream"] for line in run.outcomes) == read
