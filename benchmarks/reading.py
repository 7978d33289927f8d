"""Who reads, and the proof that each run read every record once."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from benchmarks.measure import Server, Took, run
from benchmarks.server import ACCESS_KEY, USER
from benchmarks.tables import PREFIX, Formula
from benchmarks.vtql import PAGE

MODULE = "Contacts"
Ids = dict[str, list[str]]
"""The ids that were read, by stream, in the order in which they came."""


class WrongResult(Exception):
    """Records are missing, doubled, or not what the server gave."""


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
LIMIT = "no parsing"
READERS = {
    TAP: Reader((str(Path(sys.executable).with_name(TAP)),), _singer_ids, True, True),
    COOKIECUTTER: Reader(_rival("sdk_tap"), _singer_ids, True),
    "dlt": Reader(_rival("dlt_source"), _dlt_ids),
    "script": Reader(_rival("script"), _json_line_ids),
    LIMIT: Reader(_rival("limit"), None, is_parallel=True),
}


def warm_up(server: Server, work: Path) -> None:
    """Let each reader read a little: catalogs, byte code, and the server's templates are made."""
    for who, reader in READERS.items():
        server.order("set_up", formulas={MODULE: PAGE})
        if reader.is_tap:
            write_catalog(server, who, work / f"{who}.json")
        read(server, who, work, rows=PAGE)


def read(  # noqa: PLR0913 these are the axes
    server: Server, who: str, work: Path, *, rows: int, latency_ms: int = 0, sessions: int = 1
) -> Took:
    """Read all contacts and return what it took.

    Raises:
        WrongResult: Records are missing or doubled.
    """
    server.order("set_up", latency_ms=latency_ms, formulas={MODULE: rows})
    reader, directory = READERS[who], _emptied(work / "run")
    config = write_config(server, directory, max_sessions=sessions)
    table = Formula(MODULE, rows)
    if reader.is_tap:
        command = [*reader.command, "--config", config, "--catalog", work / f"{who}.json"]
    else:
        command = [*reader.command, config]
        (directory / "work.json").write_text(json.dumps(_pages(table)))
    took = run(command, directory, server)
    if reader.ids:
        expect(reader.ids(directory), {MODULE: [f"{PREFIX}x{number}" for number in table.ids]})
    elif took.rows != rows or took.page_bytes > int((directory / "out").read_text()):
        raise WrongResult(f"{who}: {took.rows} of {rows} rows")
    return took


def write_config(server: Server, directory: Path, **settings: object) -> Path:
    """Write the settings that all of them read."""
    path = directory / "config.json"
    told = {"url": server.url, "username": USER, "access_key": ACCESS_KEY, **settings}
    own = {"module": MODULE, "directory": str(directory), "work": str(directory / "work.json")}
    path.write_text(json.dumps(told | own))
    return path


def write_catalog(server: Server, who: str, path: Path) -> None:
    """Discover the modules of the server."""
    directory = _emptied(path.parent / "run")
    config = write_config(server, directory)
    run([*READERS[who].command, "--config", config, "--discover"], directory)
    (directory / "out").rename(path)


def expect(read: Ids, expected: Ids) -> None:
    """Compare what was read with what there is.

    Raises:
        WrongResult: They differ.
    """
    for stream, ids in expected.items():
        came = read.get(stream, [])
        if len(came) != len(set(came)) or set(came) != set(ids):
            missing, others = set(ids) - set(came), set(came) - set(ids)
            doubled = len(came) - len(set(came))
            raise WrongResult(
                f"{stream}: {len(missing)} missing, {doubled} doubled, {len(others)} unknown"
            )


def _pages(table: Formula) -> list[tuple[str, str]]:
    """Return the requests for all pages, whose first ids are known here."""
    before = [0, *table.ids[PAGE - 1 :: PAGE]]
    if len(table.ids) % PAGE == 0:
        before.pop()
    query = f"SELECT * FROM {MODULE} WHERE id > '{PREFIX}x%d' ORDER BY id LIMIT {PAGE};"
    return [("GET", urlencode({"operation": "query", "query": query % one})) for one in before]


def _emptied(directory: Path) -> Path:
    if directory.exists():
        for path in sorted(directory.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    directory.mkdir(parents=True, exist_ok=True)
    return directory
