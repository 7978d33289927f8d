"""What a test can do to a running sandbox besides using its API, in process or over HTTP."""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, Literal, get_args

from kafinea_sandbox.database import prices
from kafinea_sandbox.database.tables import Table
from kafinea_sandbox.instance.instance import Instance
from kafinea_sandbox.modules.model import Field, is_price
from kafinea_sandbox.records import stored
from kafinea_sandbox.server.faults import Fault, Faults
from kafinea_sandbox.server.request_log import RequestLog

Values = dict[str, Any]
Right = Literal["read", "create", "update", "delete"]

_WRITES = ("create", "update", "revise", "delete", "add_related", "fileupload")


class Control:
    """Reads and changes the data of a sandbox, its clock, its sessions and its faults."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.faults = Faults()
        """The active faults: `faults.add("status", operation="create", status=502)`."""
        self.requests = RequestLog()
        """The requests received."""
        self._unanswered: list[Fault] = []

    def rows(self, module: str) -> list[Values]:
        """The records of a module by id, as a query answers them, without the columns of lines."""
        table = self.instance.tables[module]
        columns = {n: c.wire for n, c in table.queryable().items() if not c.field.of_line}
        wires = ", ".join(columns.values())
        sql = f'SELECT {wires} FROM "{module}" t WHERE _deleted = 0 ORDER BY _number'
        return [dict(zip(columns, row, strict=True)) for row in self.instance.store.rows(sql)]

    def count(self, module: str) -> int:
        """The number of records of a module."""
        sql = f'SELECT count(*) FROM "{self.instance.tables[module].name}" WHERE _deleted = 0'
        return int(self.instance.store.value(sql))

    def sql(self, text: str, params: Sequence[Any] = ()) -> list[Values]:
        """Run a statement on the database; its tables are in `database.create`.

        Raises:
            sqlite3.Error: The statement is invalid, or it would open other files.
        """
        with self.instance.store.write() as db:
            db.set_authorizer(_allowed)
            try:
                cursor = db.execute(text, params)
                names = [column[0] for column in cursor.description or ()]
                return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            finally:
                db.set_authorizer(_NO_AUTHORIZER)

    def change(
        self, module: str, number: int | str, values: Values, modifiedtime: str | None = None
    ) -> None:
        """Change a record without the API. Its modifiedtime becomes `modifiedtime`, or now.

        A modifiedtime among the values is stored as it is: None, or "0000-00-00 00:00:00".
        """
        table = self.instance.tables[module]
        columns = self._modified(table, modifiedtime) | _to_store(table, values)
        stored.set_columns(self.instance, table, _number(number), columns)
        self._set_prices(table, _number(number), values)

    def insert(self, module: str, values: Values, modifiedtime: str | None = None) -> str:
        """Insert a record without the API and its checks. Returns its id."""
        table = self.instance.tables[module]
        number_field = table.module.number_field
        times = self._modified(table, modifiedtime)
        own: Values = {
            "assigned_user_id": 1,
            "modifiedby": 1,
            "createdtime": modifiedtime or self.instance.clock.text(),
        }
        own = {name: value for name, value in own.items() if name in table.blanks}
        with self.instance.store.write():
            if number_field:
                sql = "SELECT value FROM _counter WHERE module = ?"
                used = self.instance.store.value(sql, (module,))
                own[number_field] = f"{table.module.number_prefix}{used + 1}"
            columns = {**table.blanks, **own, **times, **_to_store(table, values)}
            number = stored.insert(self.instance, table, columns)
            self._set_prices(table, number, values)
        return table.wire_id(number)

    def remove(self, module: str, number: int | str) -> None:
        """Delete a record without the API."""
        stored.remove(self.instance, self.instance.tables[module], _number(number))

    def redefine(self, module: str, *fields: Field, without: Sequence[str] = ()) -> None:
        """Add, replace (by name) and remove fields of a module, as an administrator does.

        Stored values stay as they are, also those of removed fields.
        """
        present = self.instance.tables[module].module
        kept = {f.name: f for f in present.fields if f.name not in without}
        new = [field for field in fields if field.name not in kept]
        kept |= {field.name: field for field in fields if field.name in kept}
        self.instance.redefine(replace(present, fields=(*new, *kept.values())))

    def set_field(self, module: str, name: str, label: str = "", **settings: Any) -> None:
        """Add a field to a module, or replace the one of this name.

        Args:
            module: The module.
            name: The name of the field.
            label: Its label; its name if empty.
            settings: The other attributes of `Field`, such as `type`.
        """
        given: Values = {n: tuple(v) if isinstance(v, list) else v for n, v in settings.items()}
        self.redefine(module, Field(name, label or name, **given))

    def remove_field(self, module: str, name: str) -> None:
        """Remove a field of a module, as an administrator does. Its values stay stored.

        Raises:
            KeyError: The module has no such field.
        """
        if name not in {field.name for field in self.instance.tables[module].module.fields}:
            raise KeyError(name)
        self.redefine(module, without=[name])

    def set_rights(self, module: str, without: Sequence[Right] = ()) -> None:
        """Take rights in a module away from all users; give back those that are not named.

        Args:
            module: The module.
            without: The rights to take away. Without `read`, the module does not exist for users.
        """
        if unknown := set(without) - set(get_args(Right)):
            raise ValueError(f"Unknown rights: {', '.join(sorted(unknown))}")
        name, options = self.instance.tables[module].name, self.instance.options
        absent = {*options.absent} - {name} | ({name} if "read" in without else set())
        closed = {**options.closed, name: [right for right in without if right != "read"]}
        self.instance.options = replace(options, absent=sorted(absent), closed=closed)

    def answer_writes(self, *, answer: bool, seconds: float = 30) -> None:
        """Stop answering requests that write, or answer them again.

        Args:
            answer: Whether they are answered. If not, nothing is written.
            seconds: How long a request waits before its connection is reset.
        """
        self.faults.remove(self._unanswered)
        self._unanswered = (
            []
            if answer
            else [
                self.faults.add("hang", operation=name, seconds=seconds, times=None)
                for name in _WRITES
            ]
        )

    def expire_sessions(self, code: str = "INVALID_SESSIONID") -> int:
        """End all sessions; the next request of each answers `code`."""
        return self.instance.sessions.expire(code)

    def set_time(self, moment: datetime | str | None = None, *, running: bool = False) -> None:
        """Stop the server's clock at a time, or let it run from there. None: the real time."""
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment)
        self.instance.clock.set(moment, running=running)

    def over_http(self, name: str, body: bytes) -> tuple[bytes, int]:
        """`POST /_control/<name>` with the arguments as a JSON object: the body and the status.

        The names are those of the methods, and `faults` and `requests`. Both return all; `clear`:
        true deletes them.
        """
        actions = {
            **{n: getattr(self, n) for n in _METHODS},
            "faults": self._faults,
            "requests": self._requests,
        }
        if name not in actions:
            return json.dumps({"actions": sorted(actions)}).encode(), 200 if not name else 404
        try:
            result = actions[name](**json.loads(body or b"{}"))
            return json.dumps({"result": result}).encode(), 200
        except Exception as error:  # noqa: BLE001 - any error is the caller's: return it
            return json.dumps({"error": f"{type(error).__name__}: {error}"}).encode(), 400

    def _faults(self, *, clear: bool = False, **settings: Any) -> list[Values]:
        if clear:
            self.faults.clear()
        if settings:
            self.faults.add(**settings)
        return [asdict(fault) for fault in self.faults]

    def _requests(self, *, clear: bool = False) -> list[Values]:
        requests = [asdict(request) for request in self.requests]
        if clear:
            self.requests.clear()
        return requests

    def _set_prices(self, table: Table, number: int, values: Values) -> None:
        if table.name in prices.PRICED:
            with self.instance.store.write() as db:
                prices.load(db, table.name, number, values)

    def _modified(self, table: Table, modifiedtime: str | None) -> Values:
        if table.modified is None:
            return {}
        return {table.modified: modifiedtime or self.instance.clock.text()}


_METHODS = (
    "rows", "count", "sql", "change", "insert", "remove", "set_field", "remove_field", "set_rights",
    "answer_writes", "expire_sessions", "set_time",
)  # fmt: skip


# Tests change rows and tables. These actions open files, or end the transaction.
_REFUSED = {
    sqlite3.SQLITE_ATTACH,  # VACUUM INTO, too
    sqlite3.SQLITE_CREATE_VTABLE,
    sqlite3.SQLITE_DETACH,
    sqlite3.SQLITE_PRAGMA,
    sqlite3.SQLITE_SAVEPOINT,
    sqlite3.SQLITE_TRANSACTION,
}
_OF_FILES = {"edit", "load_extension", "readfile", "writefile"}


def _allowed(action: int, _: str | None, name: str | None, *__: str | None) -> int:
    is_of_files = action == sqlite3.SQLITE_FUNCTION and (name or "").lower() in _OF_FILES
    return sqlite3.SQLITE_DENY if action in _REFUSED or is_of_files else sqlite3.SQLITE_OK


def _anything(*_: object) -> int:
    return sqlite3.SQLITE_OK


_NO_AUTHORIZER = None if sys.version_info >= (3, 11) else _anything  # Python 3.10 takes no None


def _number(number: int | str) -> int:
    """The number of a record, from a number or an id."""
    return number if isinstance(number, int) else int(number.rpartition("x")[2])


def _to_store(table: Table, values: Values) -> Values:
    """Values to store: references and owners may be ids, all others are stored as they are."""
    linked = {name for name, c in table.columns.items() if c.kind in {"reference", "owner"}}
    return {
        name: _number(value) if name in linked and value else value
        for name, value in values.items()
        if table.name not in prices.PRICED or not is_price(name)
    }
