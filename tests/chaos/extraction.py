"""An extraction under chaos: tap, pipe and loader, until the warehouse equals the server."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.chaos.programs import Done, Failure, Programs, command, write_json
from tests.chaos.server import Chaos
from tests.chaos.warehouses import opened

MODULES = ("Contacts", "Leads", "Accounts")
FIRST_RECORDS = 60
"""Of each module."""
MOST_RUNS = 8
"""Runs under chaos. What then is left of the writes happens at once."""
MOST_QUIET_RUNS = 3
MOST_QUIET_REQUESTS = 400
"""Of a run that reads everything again, in pages of 5."""
_NOTHING = {"", "0000-00-00", "0000-00-00 00:00:00", None}


class Extraction:
    """Runs of the tap and a loader; then the warehouse has what the server has.

    Args:
        chaos: The server, and what happens.
        directory: For the files of the programs.
    """

    def __init__(self, chaos: Chaos, directory: Path) -> None:
        self.chaos, self.world, self.directory = chaos, chaos.world, directory
        self.programs = Programs(chaos)
        self.zone = ZoneInfo(chaos.world["timezone"])
        self.state = directory / "state.json"
        self.codes: list[str] = []

    def run(self) -> str:
        """Return what happened in a line.

        Raises:
            Failure: A promise was not kept.
        """
        with opened(self.world["warehouse"], self.directory) as self.warehouse:
            self.chaos.warehouse = self.warehouse
            try:
                return self._run_all()
            finally:
                self.chaos.settle()

    def _run_all(self) -> str:
        for module in MODULES:
            self.chaos.writers.fill(module, FIRST_RECORDS)
        for _ in range(MOST_RUNS):
            self._run()
            self._check_state()
            if not self.chaos.pending:
                break
        runs = len(self.codes)
        self.chaos.end()
        for _ in range(MOST_QUIET_RUNS):
            before = self.chaos.count
            done = self._run()
            if all(one.code == 0 for one in done.values()):
                break
        else:
            log = "\n".join(one.stderr[-3000:] for one in done.values())
            raise Failure(f"The last of {MOST_QUIET_RUNS} quiet runs failed:\n{log}")
        if self.chaos.count - before > MOST_QUIET_REQUESTS:
            raise Failure(f"The quiet run took {self.chaos.count - before} requests")
        self._check_equal()
        self._verify()
        return f"{self.chaos.count} requests, {runs} runs: {' '.join(self.codes)}"

    def _run(self) -> dict[str, Done]:
        self.chaos.settle()
        sandbox = self.chaos.sandbox
        tap = {
            "url": sandbox.url,
            "username": sandbox.username,
            "access_key": sandbox.access_key,
            "modules": list(MODULES),
            "timezone": self.world["timezone"],
            "max_sessions": self.world["max_sessions"],
            "page_size": self.world["page_size"],
            "deletions": self.world["deletions"],
            "deletions_path": str(self.directory / "deletions"),
            "deletions_limit": 100,
            "request_timeout": 3 if self.chaos.pending else 60,
        }
        loader = {
            **self.warehouse.settings,
            "default_target_schema": "kafinea",
            "hard_delete": True,
            "batch_size_rows": 20,
        }
        arguments = ["--state", str(self.state)] if self.state.exists() else []
        with ExitStack() as stack:
            if self.chaos.conditions.pop("locked_database", False):
                stack.enter_context(self.warehouse.locked())
            done = self.programs.run(
                {
                    "tap": command(
                        "tap_kafinea", write_json(self.directory / "tap.json", tap), *arguments
                    ),
                    "loader": command(
                        self.warehouse.loader, write_json(self.directory / "loader.json", loader)
                    ),
                },
                piped=True,
            )
        states = [
            line for line in done["loader"].stdout.splitlines(keepends=True) if line[-1] == "\n"
        ]
        if states:
            self.state.write_text(states[-1], "utf-8")
        self.codes.append("/".join(str(one.code) for one in done.values()))
        return done

    def _check_state(self) -> None:
        """What was changed before the bookmark is in the warehouse as it is on the server.

        A `modifiedtime` of the hour that comes twice says nothing about the order, and neither
        does one of the last minute, which is read again.
        """
        if self.world["clock"] or not self.state.exists():
            return
        bookmarks = json.loads(self.state.read_text("utf-8"))["bookmarks"]
        for module in MODULES:
            bookmark = bookmarks.get(module, {}).get("replication_key_value")
            if not bookmark:
                continue
            moment = datetime.fromisoformat(bookmark).astimezone(self.zone) - timedelta(seconds=60)
            until = moment.strftime("%Y-%m-%d %H:%M:%S")
            stored = {row["id"]: row["modifiedtime"] for row in self.warehouse.rows(module)}
            missing = [
                row["id"]
                for row in self.chaos.sandbox.rows(module)
                if row["modifiedtime"] < until
                and not self._same(row["modifiedtime"], stored.get(row["id"], ""))
            ]
            if missing:
                raise Failure(f"The state is ahead of the warehouse: {module} {missing}")

    def _check_equal(self) -> None:
        wrong = [line for module in MODULES for line in self._differences(module)]
        if wrong:
            raise Failure("The warehouse differs from the server:\n" + "\n".join(wrong[:20]))

    def _verify(self) -> None:
        """`kafinea verify` shares no code with the comparison above."""
        sandbox = self.chaos.sandbox
        options = ["verify", "--schema", "kafinea", "--deep", "10000", "--json", *MODULES]
        done = self.programs.run(
            {"verify": ["kafinea_cli", *options]},
            KAFINEA_URL=sandbox.url,
            KAFINEA_USERNAME=sandbox.username,
            KAFINEA_ACCESS_KEY=sandbox.access_key,
            KAFINEA_WAREHOUSE=self.warehouse.address,
            TAP_KAFINEA_TIMEZONE=self.world["timezone"],
            TAP_KAFINEA_DELETIONS=self.world["deletions"],
        )["verify"]
        if done.code:
            raise Failure(f"`kafinea verify` finds a difference:\n{done.stdout}{done.stderr}")

    def _differences(self, module: str) -> list[str]:
        here: dict[str, dict[str, Any]] = {}
        wrong = []
        for row in self._stored(module):
            if row["id"] in here:
                wrong.append(f"{module} {row['id']} is there twice")
            here[row["id"]] = row
        there = {row["id"]: row for row in self.chaos.sandbox.rows(module)}
        wrong += [f"{module} {key} is missing" for key in sorted(there.keys() - here.keys())]
        wrong += [f"{module} {key} was deleted" for key in sorted(here.keys() - there.keys())]
        for key in sorted(here.keys() & there.keys()):
            names = {name.lower(): name for name in there[key]}
            wrong += [
                f"{module} {key} {name}: {value!r}, on the server {there[key][names[name]]!r}"
                for name, value in ((name.lower(), value) for name, value in here[key].items())
                if name in names and not self._same(there[key][names[name]], value)
            ]
        return wrong

    def _same(self, wire: Any, value: Any) -> bool:
        if value is None:
            return wire in _NOTHING
        if isinstance(value, bool):
            return value == (wire == "1")
        if isinstance(value, int | float | Decimal):
            return Decimal(str(wire)) == Decimal(str(value))
        if isinstance(value, datetime):
            return value.astimezone(self.zone).strftime("%Y-%m-%d %H:%M:%S") == wire
        if isinstance(value, date | time):
            return value.isoformat() == wire
        return value == wire

    def _stored(self, module: str) -> list[dict[str, Any]]:
        """The rows of a module without those of deleted records, by the rule of the docs."""
        deleted = {row["id"]: row["detected_at"] for row in self.warehouse.rows("deleted_records")}
        return [
            row
            for row in self.warehouse.rows(module)
            if deleted.get(row["id"]) is None
            or (self.world["deletions"] == "sync" and deleted[row["id"]] <= row["modifiedtime"])
        ]
