"""Who writes, and the proof that each record is on the server once and as it came."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks.measure import Server, Took, WrongResult, emptied, run, write_config

MODULE = "Contacts"
_TYPES = {
    **dict.fromkeys(("lastname", "firstname", "email", "phone", "title", "department"), "string"),
    **dict.fromkeys(("leadsource", "mailingstreet", "mailingcity", "mailingzip"), "string"),
    **dict.fromkeys(("description", "cf_853"), "string"),
    "donotcall": "boolean",
    "cf_857": "integer",
}
_TITLE = "Rue de la Paix"


@dataclass(frozen=True)
class Writer:
    """One way to write.

    Attributes:
        command: Without the names of its files.
        is_target: It is a Singer target.
        is_parallel: It uses several sessions.
    """

    command: tuple[str, ...]
    is_target: bool = False
    is_parallel: bool = False


def _rival(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"benchmarks.rivals.{name}")


TARGET = "target-kafinea"
COOKIECUTTER = "cookiecutter target"
LIMIT = "raw creations"
WRITERS = {
    TARGET: Writer(
        (str(Path(sys.executable).with_name(TARGET)),), is_target=True, is_parallel=True
    ),
    COOKIECUTTER: Writer(_rival("sdk_target"), is_target=True),
    LIMIT: Writer(_rival("limit"), is_parallel=True),
}


def load(
    server: Server, who: str, work: Path, *, rows: int, latency_ms: int = 0, sessions: int = 1
) -> Took:
    """Load new records and return what it took.

    Raises:
        WrongResult: Records are missing or doubled.
    """
    server.order("set_up", latency_ms=latency_ms, stored=[MODULE])
    took = _run(server, who, work, rows, sessions)
    _check(server, rows)
    return took


def reload(
    server: Server, who: str, work: Path, *, rows: int, latency_ms: int = 0, sessions: int = 1
) -> Took:
    """Load records that are there and return what it took.

    Raises:
        WrongResult: The server has other records than before.
    """
    load(server, who, work, rows=rows, sessions=sessions)
    before = server.ask(f"records={MODULE}")
    server.order("forget", latency_ms=latency_ms)
    took = _run(server, who, work, rows, sessions)
    if server.ask(f"records={MODULE}") != before:
        raise WrongResult(f"{who}: it changed records that were up to date")
    return took


def change(
    server: Server, who: str, work: Path, *, rows: int, latency_ms: int = 0, sessions: int = 1
) -> Took:
    """Load records that are there with another title, and return what it took.

    Raises:
        WrongResult: Records were not changed, or others than these are there.
    """
    load(server, who, work, rows=rows, sessions=sessions)
    server.order("forget", latency_ms=latency_ms)
    took = _run(server, who, work, rows, sessions, title="Changed")
    _check(server, rows, title="Changed")
    return took


def _run(
    server: Server, who: str, work: Path, rows: int, sessions: int, title: str = _TITLE
) -> Took:
    writer, directory = WRITERS[who], emptied(work / "run")
    records = _records(rows, title)
    config = write_config(
        server, directory, max_sessions=sessions, streams={MODULE: {"match_on": "email"}}
    )
    if writer.is_target:
        source = directory / "messages.jsonl"
        source.write_text("".join(f"{json.dumps(one)}\n" for one in _messages(records)))
        return run(
            [*writer.command, "--config", config],
            directory,
            server,
            source=source,
            sessions=sessions,
        )
    (directory / "work.json").write_text(json.dumps(_creations(records)))
    return run([*writer.command, config], directory, server, sessions=sessions)


def _check(server: Server, rows: int, title: str = _TITLE) -> None:
    names = ("email", "lastname", "title")
    stored, expected = (
        [tuple(record[name] for name in names) for record in records]
        for records in (server.ask(f"records={MODULE}"), _records(rows, title))
    )
    if sorted(stored) != sorted(expected):
        raise WrongResult(f"{len(stored)} records on the server, {rows} expected as they came")


def _records(rows: int, title: str) -> list[dict[str, Any]]:
    values = {"string": "Rue de la Paix", "boolean": True, "integer": 12}
    return [
        {name: values[kind] for name, kind in _TYPES.items()}
        | {"lastname": f"Dupont {number}", "email": f"new{number}@example.com"}
        | {"leadsource": "Partner", "phone": f"+33 1 {number:08}", "title": title}
        for number in range(rows)
    ]


def _messages(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    properties = {name: {"type": [kind, "null"]} for name, kind in _TYPES.items()}
    schema = {"type": "object", "properties": properties}
    head = {"type": "SCHEMA", "stream": MODULE, "schema": schema, "key_properties": ["email"]}
    return [head, *({"type": "RECORD", "stream": MODULE, "record": one} for one in records)]


def _creations(records: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    return [
        (
            "POST",
            urlencode(
                {"operation": "create", "elementType": MODULE, "element": json.dumps(record)}
            ),
        )
        for record in records
    ]
