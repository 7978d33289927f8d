"""One installation: its database, options, users and sessions."""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

from collections.abc import Iterable

from kafinea_sandbox.database import tables
from kafinea_sandbox.database.store import Store
from kafinea_sandbox.database.tables import Column, Table
from kafinea_sandbox.dialects import CUSTOM, DIALECTS
from kafinea_sandbox.errors import denied, unencodable
from kafinea_sandbox.instance import users
from kafinea_sandbox.instance.clock import Clock
from kafinea_sandbox.instance.line_writes import LineWrites
from kafinea_sandbox.instance.options import Options
from kafinea_sandbox.instance.sessions import Sessions
from kafinea_sandbox.instance.users import User
from kafinea_sandbox.modules.model import Module


class Instance:
    """One installation: what operations need of its database, options and users."""

    def __init__(self, store: Store, options: Options) -> None:
        self.store = store
        self.options = options
        self.dialect = DIALECTS[options.dialect]
        races = self.dialect.writes.races_for_line_ids
        self.line_writes = LineWrites(options.lines_take if races else 0)
        without = self.dialect.without_modules | (set() if options.custom else {CUSTOM})
        self.tables = dict(tables.build(self.dialect, frozenset(without)))
        self.clock = Clock(options.timezone)
        self.sessions = Sessions(self.clock, self.dialect, options)
        self._by_prefix = {table.prefix: table for table in self.tables.values()}

    def redefine(self, module: Module) -> None:
        """Replace the fields of a module. New ones are empty; the others keep their values."""
        present = {name for _, name, *_ in self.store.rows(f'PRAGMA table_info("{module.name}")')}
        for new in tables.stored_fields(module):
            if new.name not in present:
                column = f"\"{new.name}\" TEXT DEFAULT '{tables.empty(new) or ''}'"
                self.store.execute(f'ALTER TABLE "{module.name}" ADD COLUMN {column}')
        table = tables.build_one(module, self.tables, self.dialect)
        self.tables[module.name] = self._by_prefix[table.prefix] = table

    def has(self, operation: str) -> bool:
        """Whether an operation, by its name in lower case, exists on this server."""
        if operation == "revise":
            wanted = self.options.revise
            return self.dialect.writes.revise if wanted is None else wanted
        return operation not in self.dialect.without_operations

    @property
    def dies_at_totals(self) -> bool:
        """Whether an update with lines fails before it computes the totals."""
        wanted = self.options.dies_at_totals
        return self.dialect.writes.dies_at_totals if wanted is None else wanted

    @property
    def update_blanks(self) -> bool:
        """Whether `update` empties the fields that it is not sent."""
        wanted = self.options.update_blanks
        return self.dialect.writes.blanks if wanted is None else wanted

    def user_named(self, name: str) -> User | None:
        """A user by name, in any case."""
        return users.user_named(self.store, name)

    def user(self, number: int) -> User | None:
        """A user by record number."""
        return users.user_numbered(self.store, number)

    def table_of(self, wire_id: str) -> tuple[Table, int]:
        """The module and the number in an id.

        Raises:
            ApiError: No module has the prefix.
        """
        prefix, _, number = wire_id.partition("x")
        table = self._by_prefix.get(prefix)
        if table is None:
            raise denied("for id")
        return table, int(number) if number.isdigit() else 0

    def visible(self, table: Table, user: User) -> list[str]:
        """SQL conditions for the rows that exist for a user at all."""
        if table.name == "Users":
            return ["t.status = 'Active'"]
        owned = "assigned_user_id" in table.columns
        if table.name in self.options.private and owned and not user.is_admin:
            return [f"t.assigned_user_id = {user.number:d}"]
        return []

    def check_encodable(
        self, table: Table, numbers: Iterable[int], columns: Iterable[Column]
    ) -> None:
        """Check that an answer with these records and columns can be written as JSON.

        Raises:
            Fatal, Garbled, ApiError: It would contain a text that is not UTF-8.
        """
        bad = self.options.unencodable.get(table.name, ())
        if bad and not set(bad).isdisjoint(numbers) and self._holds_text(columns):
            raise unencodable(self.options.unencodable_as)

    def _holds_text(self, columns: Iterable[Column]) -> bool:
        fields = self.options.unencodable_fields
        if "id" in fields:
            return True
        return any(c.field.name in fields if fields else c.is_text for c in columns)

    def has_lost_owner(self, table: Table, number: int) -> bool:
        """Whether an owner of a record is neither a user nor a group."""
        known = "SELECT _number FROM Users UNION SELECT _number FROM Groups"
        owners = [name for name, column in table.columns.items() if column.kind == "owner"]
        lost = " OR ".join(["0", *(f'NULLIF("{name}", 0) NOT IN ({known})' for name in owners)])
        sql = f'SELECT 1 FROM "{table.name}" WHERE _number = ? AND ({lost})'
        return bool(self.store.value(sql, (number,)))

    def unseen(self, table: Table, user: User) -> frozenset[str]:
        """The names of the fields that the user may not read or write."""
        hidden = () if user.is_admin else self.options.hidden_fields.get(table.name, ())
        return frozenset(hidden)

    def hidden(self, table: Table) -> frozenset[int]:
        """The numbers of the records that are found, but not shown."""
        return frozenset(self.options.hidden.get(table.name, ()))
