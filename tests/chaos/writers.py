"""People who change records while the programs run."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.chaos.server import Chaos

NAMES = {"Contacts": "lastname", "Leads": "lastname", "Accounts": "accountname"}
KEY, EDITED = "cf_853", "fax"
"""Fields of a load: its key, and one that it does not load."""
_TEXTS = ("é ß 😀 œ", "O'Brien", "a\\b", "x\ny", "=1+1", "%s %n", "&amp; <b>", "مرحبا", " edge ")


class Writers:
    """Each write follows from its number and from what is stored.

    Args:
        chaos: The server.
        prefix: What the names of their records begin with; they leave others alone.
    """

    def __init__(self, chaos: Chaos, prefix: str = "") -> None:
        self._chaos = chaos
        self._prefix = prefix
        self._made = 0
        self.edits: dict[str, list[str]] = {}
        """The values that people have given the field `EDITED`, by record."""

    def write(self, writer: int, action: str, module: str, pick: int) -> None:
        """Write once."""
        getattr(self, f"_{action}")(module, pick, self._values(module, writer, pick))

    def fill(self, module: str, number: int) -> None:
        """Create the first records."""
        for pick in range(number):
            self._create(module, pick, self._values(module, 0, pick))

    def _values(self, module: str, writer: int, pick: int) -> dict[str, Any]:
        self._made += 1
        name = f"{self._prefix}{writer}-{self._made} {_TEXTS[pick % len(_TEXTS)]}"
        values: dict[str, Any] = {NAMES[module]: name.strip(), "modifiedby": 2}
        if module == "Contacts":
            values |= {
                "cf_855": f"{pick}.{pick % 1000:03}",
                "cf_857": str(pick),
                "cf_861": f"{pick}.{pick % 100:02}",
                "cf_863": f"20{pick % 90 + 10}-0{pick % 9 + 1}-1{pick % 10}",
                "cf_873": str(pick % 2),
            }
        return values

    def _create(self, module: str, _: int, values: dict[str, Any]) -> None:
        self._chaos.sandbox.insert(module, values)

    def _change(self, module: str, pick: int, values: dict[str, Any]) -> None:
        if number := self._one(module, pick):
            self._chaos.sandbox.change(module, number, values)

    def _tie(self, module: str, pick: int, values: dict[str, Any]) -> None:
        """Five records are changed within one second, as by a mass edit."""
        now = self._chaos.sandbox.instance.clock.text()
        for number in {self._one(module, pick + place) for place in range(5)} - {0}:
            self._chaos.sandbox.change(module, number, values, modifiedtime=now)

    def _edit(self, module: str, pick: int, _: dict[str, Any]) -> None:
        """A record of a load is changed: the one that the request is about, or any other."""
        loaded = [row["id"] for row in self._chaos.sandbox.rows(module) if row[KEY]]
        request = self._chaos.requests[-1].params
        record = json.loads(request.get("element") or "{}").get("id") or request.get("id")
        if record not in loaded:
            record = loaded[pick % len(loaded)]
        text = f"edit {self._made}"
        self.edits.setdefault(record, []).append(text)
        self._chaos.sandbox.change(module, record, {EDITED: text, "modifiedby": 2})

    def _date_ahead(self, module: str, pick: int, values: dict[str, Any]) -> None:
        """A record gets a `modifiedtime` hours or days in the future, as by a wrong import."""
        if number := self._one(module, pick):
            hours = 2 if pick % 2 else 72
            ahead = self._chaos.sandbox.instance.clock.now() + timedelta(hours=hours)
            text = ahead.strftime("%Y-%m-%d %H:%M:%S")
            self._chaos.sandbox.change(module, number, values, modifiedtime=text)

    def _delete(self, module: str, pick: int, _: dict[str, Any]) -> None:
        if number := self._one(module, pick):
            self._chaos.sandbox.remove(module, number)

    def _restore(self, module: str, pick: int, _: dict[str, Any]) -> None:
        """A restored record gets a new `modifiedtime`, as on vtiger (`CRMEntity::restore`)."""
        if number := self._one(module, pick, deleted=True):
            sandbox = self._chaos.sandbox
            sql = f'UPDATE "{module}" SET _deleted = 0 WHERE _number = ?'
            sandbox.sql(sql, [number])
            sandbox.sql("UPDATE _entity SET _deleted = 0 WHERE _number = ?", [number])
            sandbox.change(module, number, {})

    def _merge(self, module: str, pick: int, values: dict[str, Any]) -> None:
        """One record takes the values of two, and the other is deleted."""
        kept, merged = self._one(module, pick), self._one(module, pick + 1)
        if kept and kept != merged:
            self._chaos.sandbox.change(module, kept, values)
            self._chaos.sandbox.remove(module, merged)

    def _one(self, module: str, pick: int, *, deleted: bool = False) -> int:
        """The number of a record; 0 if there is none."""
        rows = self._chaos.sandbox.sql(
            f'SELECT _number FROM "{module}" WHERE _deleted = ? AND "{NAMES[module]}" LIKE ?'
            " ORDER BY _number",
            [int(deleted), f"{self._prefix}%"],
        )
        return int(rows[pick % len(rows)]["_number"]) if rows else 0
