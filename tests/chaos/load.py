"""A load under chaos: the target, until the server has what was loaded and nothing else."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.chaos.programs import Done, Failure, Programs, command, write_json
from tests.chaos.server import Chaos
from tests.chaos.writers import EDITED, KEY

STREAM = "Contacts"
OTHERS = 30
"""Records that the load is not about; people change them meanwhile."""
MOST_RUNS = 8
MOST_QUIET_RUNS = 3
MOST_QUIET_REQUESTS = 6
"""For each record."""
_PROPERTIES = {
    KEY: {"type": ["string", "null"]},
    "lastname": {"type": ["string", "null"]},
    "phone": {"type": ["string", "null"]},
    "cf_855": {"type": ["number", "null"]},
    "cf_857": {"type": ["integer", "null"]},
    "birthday": {"type": ["string", "null"], "format": "date"},
    "cf_891": {"type": ["string", "null"], "format": "date-time"},
}
_IN_A_NIGHT = datetime(2025, 10, 25, 23, 0, tzinfo=timezone.utc)
"""Some of the hours that follow come twice in Paris."""
_SET_BY_THE_SERVER = {"modifiedtime", "modifiedby", "source"}
_NAMES = ("é ß œ", "O'Brien", "a\\b", "=1+1", "%s %n", "x & y", "مرحبا")


class Load:
    """Runs of the target; then the server has what was loaded, and nothing else has changed.

    Args:
        chaos: The server, and what happens.
        directory: For the files of the programs.
    """

    def __init__(self, chaos: Chaos, directory: Path) -> None:
        self.chaos, self.world, self.directory = chaos, chaos.world, directory
        self.programs = Programs(chaos)
        self.zone = ZoneInfo(chaos.world["timezone"])
        self.records = [_record(n) for n in range(self.world["records"])]
        self.input = directory / "input.jsonl"
        self.codes: list[str] = []

    def run(self) -> str:
        """Return what happened in a line.

        Raises:
            Failure: A promise was not kept.
        """
        self._fill()
        before = {row["id"]: row for row in self._rows()}
        self.input.write_text("".join(f"{line}\n" for line in self._lines()), "utf-8")
        for _ in range(MOST_RUNS):
            self._check_states(*self._run(self.world["loads"]))
            if not self.chaos.pending:
                break
            self._change_some()
        runs = len(self.codes)
        self.chaos.end()
        for _ in range(MOST_QUIET_RUNS):
            requests = self.chaos.count
            (done,) = self._run()
            if done.code == 0:
                break
        else:
            raise Failure(
                f"The last of {MOST_QUIET_RUNS} quiet runs failed:\n{done.stderr[-3000:]}"
            )
        requests = self.chaos.count - requests
        if requests > MOST_QUIET_REQUESTS * len(self.records):
            raise Failure(f"The quiet run took {requests} requests")
        self._check_states(done)
        if _claimed(done) != len(self.records) - 1:
            raise Failure(f"The quiet run has confirmed its records up to {_claimed(done)} only")
        self._check_server(before)
        written = len(self._writes())
        self._run()
        if len(self._writes()) > written:
            raise Failure("A run of the same input has written again")
        return f"{self.chaos.count} requests, {runs} runs: {' '.join(self.codes)}"

    def _fill(self) -> None:
        """A third of the records exist, with other values; others have nothing to do with them."""
        for record in self.records[::3]:
            self.chaos.sandbox.insert(
                "Contacts",
                {
                    KEY: record[KEY],
                    "lastname": "old",
                    "fax": f"fax {record[KEY]}",
                    "cf_861": "7.25",
                },
            )
        for module in ("Contacts", "Leads", "Accounts"):
            self.chaos.writers.fill(module, OTHERS)

    def _change_some(self) -> None:
        """The next run has other values for every fifth record, so it has something to update."""
        for record in self.records[len(self.codes) % 5 :: 5]:
            record["phone"] = f"{len(self.codes)}{record['cf_857']}"
        self.input.write_text("".join(f"{line}\n" for line in self._lines()), "utf-8")

    def _lines(self) -> list[str]:
        schema = {"type": "object", "properties": _PROPERTIES}
        lines = [{"type": "SCHEMA", "stream": STREAM, "schema": schema, "key_properties": [KEY]}]
        for n, record in enumerate(self.records):
            lines += [
                {"type": "RECORD", "stream": STREAM, "record": record},
                {"type": "STATE", "value": {"done": n}},
            ]
        return [json.dumps(line, default=datetime.isoformat) for line in lines]

    def _run(self, loads: int = 1) -> list[Done]:
        """Run the target, or several of them at once."""
        self.chaos.settle()
        done = self.programs.run({f"target{n or ''}": self._command(n) for n in range(loads)})
        self.codes.append("/".join(str(one.code) for one in done.values()))
        return [*done.values()]

    def _command(self, number: int) -> list[str]:
        sandbox = self.chaos.sandbox
        config = {
            "url": sandbox.url,
            "username": sandbox.username,
            "access_key": sandbox.access_key,
            "max_sessions": self.world["max_sessions"],
            "timezone": self.world["timezone"],
            "streams": {STREAM: {"match_on": [KEY]}},
            "outcomes_path": str(self.directory / f"outcomes{number}.jsonl"),
            "rejects_path": str(self.directory / f"rejects{number}.jsonl"),
            "max_rejects": -1 if self.chaos.pending else 0,
            "request_timeout": 3 if self.chaos.pending else 60,
        }
        path = write_json(self.directory / f"target{number}.json", config)
        return command("target_kafinea", path, "--input", str(self.input))

    def _check_states(self, *done: Done) -> None:
        """What a state claims is on the server, unless the record was rejected."""
        there = {row[KEY]: row for row in self._rows()}
        rejected = self._rejected()
        for record in self.records[: max(map(_claimed, done)) + 1]:
            row = there.get(record[KEY])
            if record[KEY] not in rejected and (row is None or not self._holds(row, record)):
                raise Failure(f"A state claims {record}, on the server: {row}")

    def _rejected(self) -> set[str]:
        """The keys that the rejects name; those of a killed run are in a `.part`."""
        texts = [path.read_text("utf-8") for path in self.directory.glob("rejects*")]
        return {
            record[KEY] for record in self.records if any(f'"{record[KEY]}"' in t for t in texts)
        }

    def _check_server(self, before: dict[str, Any]) -> None:
        rows = self._rows()
        keys = Counter(row[KEY] for row in rows if row[KEY])
        wanted = {record[KEY]: record for record in self.records}
        if twice := [key for key, number in keys.items() if number > 1]:
            raise Failure(f"On the server twice: {twice}")
        if keys.keys() != wanted.keys():
            raise Failure(f"Missing or too many: {keys.keys() ^ wanted.keys()}")
        for row in rows:
            if not row[KEY]:
                continue  # one of the writers'
            if not self._holds(row, wanted[row[KEY]]):
                raise Failure(f"Loaded: {wanted[row[KEY]]}, on the server: {row}")
            old = before.get(row["id"], {EDITED: ""})
            if changed := [name for name in old if not self._is_as_it_was(name, row, old)]:
                values = {name: (old[name], row[name]) for name in changed}
                edits = self.chaos.writers.edits.get(row["id"])
                raise Failure(f"{row['id']}: not loaded, but changed: {values}, edited: {edits}")
        self._check_others()

    def _holds(self, row: dict[str, Any], record: dict[str, Any]) -> bool:
        return all(self._same(row[name], value) for name, value in record.items())

    def _same(self, wire: str, value: Any) -> bool:
        if isinstance(value, datetime):
            return value.astimezone(self.zone).strftime("%Y-%m-%d %H:%M:%S") == wire
        if isinstance(value, int | float):
            return Decimal(wire or "0") == Decimal(str(value))
        return wire == value

    def _is_as_it_was(self, name: str, row: dict[str, Any], old: dict[str, Any]) -> bool:
        if name in {*_PROPERTIES, *_SET_BY_THE_SERVER}:
            return True
        edits = self.chaos.writers.edits.get(row["id"]) if name == EDITED else None
        if edits and self.chaos.sandbox.instance.has("revise"):
            return row[name] == edits[-1]
        return row[name] in [old[name], *(edits or [])]

    def _check_others(self) -> None:
        """No request has named a record of the writers."""
        loaded = self.chaos.sandbox.sql(f'SELECT _number FROM "Contacts" WHERE {KEY} != ?', [""])
        ours = {row["_number"] for row in loaded}
        for request in self._writes():
            if request.operation == "create" or request.params.get("element") == "{}":
                continue
            element = json.loads(request.params.get("element", "{}"))
            identity = element.get("id") or request.params.get("id")
            number = int(identity.rpartition("x")[2])
            if request.operation in {"update", "revise"} and number not in ours:
                raise Failure(f"{request.operation} of a record that was not loaded: {identity}")

    def _writes(self) -> list[Any]:
        operations = {"create", "update", "revise", "delete"}
        return [
            request
            for request in self.chaos.requests
            if request.operation in operations and request.params.get("element") != "{}"
        ]

    def _rows(self) -> list[dict[str, Any]]:
        return self.chaos.sandbox.rows("Contacts")


def _claimed(done: Done) -> int:
    """The last record that a state of a run claims; -1 if none."""
    lines = [line for line in done.stdout.splitlines(keepends=True) if line.endswith("\n")]
    return max((json.loads(line)["done"] for line in lines), default=-1)


def _record(n: int) -> dict[str, Any]:
    return {
        KEY: f"key {n}",
        "lastname": f"{_NAMES[n % len(_NAMES)]} {n}",
        "phone": f"0{n}",
        "cf_855": n + 0.25,
        "cf_857": n,
        "birthday": f"19{n % 60 + 30}-0{n % 9 + 1}-1{n % 10}",
        "cf_891": _IN_A_NIGHT + timedelta(minutes=3 * n),
    }
