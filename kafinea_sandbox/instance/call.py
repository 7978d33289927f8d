"""A call of one operation, and what its user may do."""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from kafinea_sandbox.database.tables import Table
from kafinea_sandbox.errors import ApiError, denied
from kafinea_sandbox.instance.formats import Formats, formats_of
from kafinea_sandbox.instance.instance import Instance
from kafinea_sandbox.instance.sessions import Session
from kafinea_sandbox.instance.users import User


@dataclass
class Call:
    """A call of one operation, after the parameters of the request were read."""

    instance: Instance
    operation: str
    method: str
    params: dict[str, str]
    session_id: str = ""
    session: Session | None = None

    @cached_property
    def user(self) -> User:
        """The user of the session, with their current preferences."""
        if self.session is None:  # pragma: no cover - only login and getchallenge come without
            raise denied()
        return self.instance.user(self.session.user.number) or self.session.user

    @cached_property
    def formats(self) -> Formats:
        """The user's formats of numbers and datetimes."""
        instance = self.instance
        return formats_of(
            self.user.row,
            servers_zone=instance.clock.zone,
            own=instance.dialect.writes.user_formats,
        )

    def may_use(self, table: Table) -> bool:
        """Whether the user may use the module."""
        instance = self.instance
        absent = table.name in {*instance.options.absent, *instance.dialect.unreachable}
        return not absent and (table.name != "Users" or self.user.is_admin)

    def table(self, name: str) -> Table:
        """A module by its exact name."""
        table = self.instance.tables.get(name)
        if table is None or not self.may_use(table):
            raise denied(f"for name : {name}")
        return table

    def check_open(self, table: Table, what: str) -> None:
        """Check that records of the module may be created, updated or deleted.

        Raises:
            ApiError: They may not.
        """
        if what in self.instance.options.closed.get(table.name, ()):
            raise denied()

    def record(self, wire_id: str | None) -> tuple[Table, int]:
        """The record of an id that the user may work with.

        Raises:
            ApiError: There is no such record; its code depends on the reason.
        """
        table, number = self.instance.table_of(wire_id or "")
        if not self.may_use(table):
            raise denied()
        if self._is_of_another_module(table, number):
            raise ApiError("INVALID_ID_ATTRIBUTE", "Id specified is incorrect")
        exists = self._finds(table, number, ["_deleted = 0"])
        visible = exists and self._finds(table, number, self.instance.visible(table, self.user))
        if table.is_actor and not visible:
            raise ApiError("RECORD_NOT_FOUND", "Record you are trying to access is not found")
        if not exists:
            raise denied()
        if not visible or number in self.instance.hidden(table):
            raise ApiError("ACCESS_DENIED", "Permission to read given object is denied")
        return table, number

    def _is_of_another_module(self, table: Table, number: int) -> bool:
        if table.is_actor:
            return False
        sql = "SELECT module FROM _entity WHERE _number = ? AND _deleted = 0"
        return self.instance.store.value(sql, (number,)) not in {None, table.name}

    def _finds(self, table: Table, number: int, conditions: list[str]) -> bool:
        where = " AND ".join(["_number = ?", *conditions])
        sql = f'SELECT 1 FROM "{table.name}" t WHERE {where}'
        return bool(self.instance.store.value(sql, (number,)))
