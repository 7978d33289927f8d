"""Who reads, and the proof that each run read every record once."""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from benchmarks.measure import Server, Took, WrongResult, emptied, run, write_config
from benchmarks.tables import PREFIX, ids_of
from benchmarks.vtql import PAGE

MODULE = "Contacts"
Ids = Mapping[str, list[str]]
"""The ids that were read, by stream, in the order in which they came."""


@dataclass(frozen=True)
class Reader:
    """One way to read.

    Attributes:
        command: Without the names of its files.
        ids: Finds the ids in what it wrote; None if it only counts bytes.
        is_tap: It is a Singer tap.
        is_parallel: It uses several sessions.
    """

    command: tuple[str, ...]
    ids: Callable[[Path], Ids] | None
    is_tap: bool = False
    is_parallel: bool = False


class _Record(msgspec.Struct):
    id: str
    email: str | None = None


class _Message(msgspec.Struct):
    type: str
    stream: str = ""
    record: _Record | None = None


def _singer_ids(directory: Path) -> Ids:
    decoder, ids = msgspec.json.Decoder(_Message), defaultdict(list)
    with (directory / "out").open("rb") as lines:
        for line in lines:
            message = decoder.decode(line)
            if message.type == "RECORD" and message.record:
                ids[message.stream].append(_checked(message.record))
    return ids


def _json_line_ids(directory: Path) -> Ids:
    return {MODULE: list(_ids_in(directory / "out"))}


def _dlt_ids(directory: Path) -> Ids:
    files = (directory / "records" / "kafinea" / MODULE.lower()).iterdir()
    return {MODULE: [one for file in files for one in _ids_in(file)]}


def _ids_in(file: Path) -> Iterator[str]:
    decoder = msgspec.json.Decoder(_Record)
    with file.open("rb") as lines:
        for line in lines:
            yield _checked(decoder.decode(line))


def _checked(record: _Record) -> str:
    if record.email is not None and record.email != f"contact{record.id[3:]}@example.com":
        raise WrongResult(f"{record.id} has the values of another record")
    return record.id


def _rival(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"benchmarks.rivals.{name}")


TAP = "tap-kafinea"
COOKIECUTTER = "cookiecutter tap"
LIMIT = "raw HTTP"
READERS = {
    TAP: Reader(
        (str(Path(sys.executable).with_name(TAP)),), _singer_ids, is_tap=True, is_parallel=True
    ),
    COOKIECUTTER: Reader(_rival("sdk_tap"), _singer_ids, is_tap=True),
    "dlt": Reader(_rival("dlt_source"), _dlt_ids),
    "script": Reader(_rival("script"), _json_line_ids),
    LIMIT: Reader(_rival("limit"), None, is_parallel=True),
}


def warm_up(server: Server, work: Path) -> None:
    """Let each reader read a little: catalogs, byte code, and the server's templates are made."""
    for who, reader in READERS.items():
        server.order("set_up", formulas={MODULE: PAGE})
        if reader.is_tap:
            _write_catalog(server, who, work / f"{who}.json")
        read(server, who, work, rows=PAGE)


def read(
    server: Server, who: str, work: Path, *, rows: int, latency_ms: int = 0, sessions: int = 1
) -> Took:
    """Read all contacts and return what it took.

    Raises:
        WrongResult: Records are missing or doubled.
    """
    server.order("set_up", latency_ms=latency_ms, formulas={MODULE: rows})
    reader, directory = READERS[who], emptied(work / "run")
    ids = ids_of(MODULE, rows)
    config = write_config(server, directory, max_sessions=sessions, module=MODULE)
    (directory / "work.json").write_text(json.dumps(_pages(ids)))
    catalog = work / f"{who}.json"
    files: list[str | Path] = (
        ["--config", config, "--catalog", catalog] if reader.is_tap else [config]
    )
    took = run([*reader.command, *files], directory, server, sessions=sessions)
    if reader.ids:
        _expect_all(reader.ids(directory), {MODULE: _wire(ids)})
    elif took.rows != rows or took.page_bytes > int((directory / "out").read_text()):
        raise WrongResult(f"{who}: {took.rows} of {rows} rows")
    return took


class Night:
    """The nightly case: many modules, few changes, and the state of an earlier run.

    Args:
        server: The server.
        work: Where catalogs and states are kept.
    """

    MODULES = tuple(f"Module{number:02}" for number in range(60))
    CHANGED = MODULES[7::20]
    ROWS = 300
    CHANGES = 50
    TAPS = (TAP, COOKIECUTTER)

    def __init__(self, server: Server, work: Path) -> None:
        self._server, self._work = server, work
        server.order("set_up", formulas=dict.fromkeys(self.MODULES, self.ROWS))
        for who in self.TAPS:
            _write_catalog(server, who, work / f"{who} night.json")
            self._write_state(who)
            time.sleep(2)  # what is read again later than this is settled
            self._write_state(who)

    def read(self, who: str, *, changes: int, latency_ms: int = 0, sessions: int = 1) -> Took:
        """Read what changed since the earlier run, and return what it took.

        Args:
            who: Which tap.
            changes: How many records of each of the `CHANGED` modules have changed.
            latency_ms: Of the server.
            sessions: The most that the tap may use.

        Raises:
            WrongResult: A change is missing, or a record came twice.
        """
        changed = self._server.order(
            "set_up",
            latency_ms=latency_ms,
            formulas=dict.fromkeys(self.MODULES, self.ROWS),
            touched=dict.fromkeys(self.CHANGED if changes else (), changes),
        )
        directory = emptied(self._work / "run")
        took = self._run(who, directory, max_sessions=sessions)
        came = _singer_ids(directory)
        for module in self.MODULES:
            _expect(came.get(module, []), changed[module], module)
        return took

    def _write_state(self, who: str) -> None:
        directory = emptied(self._work / "run")
        self._run(who, directory, lookback_seconds=0)
        states = [line for line in (directory / "out").open() if '"STATE"' in line[:20]]
        self._state(who).write_text(json.dumps(json.loads(states[-1])["value"]))

    def _run(self, who: str, directory: Path, *, max_sessions: int = 4, **settings: int) -> Took:
        config = write_config(self._server, directory, max_sessions=max_sessions, **settings)
        files: list[str | Path] = [
            "--config",
            config,
            "--catalog",
            self._work / f"{who} night.json",
        ]
        if self._state(who).exists():
            files += ["--state", self._state(who)]
        return run([*READERS[who].command, *files], directory, self._server, sessions=max_sessions)

    def _state(self, who: str) -> Path:
        return self._work / f"{who} state.json"


def _write_catalog(server: Server, who: str, path: Path) -> None:
    directory = emptied(path.parent / "run")
    config = write_config(server, directory)
    run([*READERS[who].command, "--config", config, "--discover"], directory)
    (directory / "out").rename(path)


def _expect_all(read: Ids, expected: Ids) -> None:
    for stream, ids in expected.items():
        came = read.get(stream, [])
        _expect(came, ids, stream)
        if unknown := set(came) - set(ids):
            raise WrongResult(f"{stream}: {len(unknown)} unknown records")


def _expect(came: list[str], ids: Iterable[str], stream: str) -> None:
    missing, doubled = set(ids) - set(came), len(came) - len(set(came))
    if missing or doubled:
        raise WrongResult(f"{stream}: {len(missing)} records missing, {doubled} doubled")


def _wire(numbers: Iterable[int]) -> list[str]:
    return [f"{PREFIX}x{number}" for number in numbers]


def _pages(ids: Sequence[int]) -> list[tuple[str, str]]:
    """Return the requests for all pages, whose first ids are known here."""
    last_ids = ids[PAGE - 1 : len(ids) - 1 : PAGE]
    query = f"SELECT * FROM {MODULE} WHERE id > '{PREFIX}x%d' ORDER BY id LIMIT {PAGE};"
    return [
        ("GET", urlencode({"operation": "query", "query": query % last})) for last in [0, *last_ids]
    ]
