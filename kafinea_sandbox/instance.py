"""One installation: its database, its switches, its users, and a request on its way through it."""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from kafinea_sandbox import schema
from kafinea_sandbox.clock import Clock
from kafinea_sandbox.dialects import CUSTOM, DIALECTS
from kafinea_sandbox.errors import ApiError, denied, unencodable
from kafinea_sandbox.formats import Formats, formats_of
from kafinea_sandbox.habits import HABITS
from kafinea_sandbox.races import LineWrites
from kafinea_sandbox.sessions import IDLE_SECONDS, Session, Sessions

if TYPE_CHECKING:
    from kafinea_sandbox.schema import Column, Table
    from kafinea_sandbox.spec import Module
    from kafinea_sandbox.store import Store


@dataclass(frozen=True)
class Options:
    """What can be set about a sandbox, besides its data."""

    dialect: str = "kafinea"
    timezone: str = "UTC"
    """The zone of createdtime and modifiedtime: the server's, whatever its users prefer."""
    latency_ms: float = 0
    """Added to every request, while its session is held."""
    cores: int | None = None
    """How many requests it works on at once, the others waiting; None: all of them."""
    idle_seconds: int = IDLE_SECONDS
    update_blanks: bool | None = None
    """Whether `update` empties the fields it is not sent; None: as the dialect does."""
    revise: bool | None = None
    """Whether the operation `revise` exists; None: as in the dialect."""
    dies_at_totals: bool | None = None
    """Whether an update with lines dies before it adds up; None: as in the dialect."""
    lines_take: float = 0.005
    """The seconds in which a write of lines must not meet another, on servers where they race."""
    forgets_lines: bool = False
    """Whether the answer of an update with lines says that there are none."""
    hidden: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Records by module that nobody may read: dropped after LIMIT, and counted all the same."""
    closed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Of `create`, `update` and `delete`, by module, what nobody may do."""
    absent: Sequence[str] = ()
    """Modules that the API does not have for anybody."""
    workflows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Fields by module that a workflow sets each time a record is saved, and their values."""
    alters: Mapping[str, str] = field(default_factory=dict)
    """What storing does to the texts of a field, `Accounts.accountname`: see `alterations`."""
    collation: Literal["ci_ai", "binary"] = "ci_ai"
    """Whether the database tells texts apart that differ in case, accents, trailing spaces."""
    unencodable: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Records by module with a text that is not UTF-8: an answer that would show it is a fatal
    error, one with other fields only is not."""
    unencodable_fields: Sequence[str] = ()
    """The fields that hold it, `id` for all answers that show the record; all texts if empty."""
    unencodable_as: str = "fatal"
    """What such an answer is instead: `empty`, JSON that is `cut` off, `latin-1`, or the code of an
    error."""
    private: Sequence[str] = ()
    """Modules of which users who are no administrators see their own records only."""
    hidden_fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Fields by module that users who are no administrators neither see nor write."""
    custom: bool = False
    """Whether there is `Equipment`, a module of the company's own: it has fields of the names that
    lines have, and no lines."""
    used_token: str | None = None
    """The code with which a token is refused that was used or replaced; None: it can be used
    again while it lives, and a replaced one makes a wrong key."""


@dataclass(frozen=True)
class User:
    """An account."""

    number: int
    name: str
    is_admin: bool
    row: Mapping[str, Any]

    @property
    def access_key(self) -> str:
        """The secret of the API."""
        return self.row.get("accesskey") or ""

    @property
    def is_active(self) -> bool:
        """Whether the account may log in."""
        return self.row.get("status") == "Active"

    @property
    def date_format(self) -> str:
        """How the user writes dates, such as dd-mm-yyyy."""
        return self.row.get("date_format") or "yyyy-mm-dd"

    def profile(self) -> dict[str, str]:
        """What login tells about the user."""
        columns = {
            "username": "user_name",
            "first_name": "first_name",
            "last_name": "last_name",
            "email": "email1",
            "time_zone": "time_zone",
            "hour_format": "hour_format",
            "date_format": "date_format",
            "is_admin": "is_admin",
            "call_duration": "callduration",
            "other_event_duration": "othereventduration",
        }
        return {name: self.row.get(column) or "" for name, column in columns.items()}


class Instance:
    """The server's side of everything: operations find here what they need."""

    def __init__(self, store: Store, options: Options) -> None:
        self.store = store
        self.options = options
        self.dialect = DIALECTS[options.dialect]
        blanks = options.update_blanks
        self.update_blanks = self.dialect.update_blanks if blanks is None else blanks
        self.habits = HABITS[options.dialect]
        races = self.habits.races_for_line_ids
        self.line_writes = LineWrites(options.lines_take if races else 0)
        without = self.dialect.without_modules | (set() if options.custom else {CUSTOM})
        self.tables = schema.build(self.dialect, without)
        self.clock = Clock(options.timezone)
        self.sessions = Sessions(self)
        self._by_prefix = {table.prefix: table for table in self.tables.values()}

    def redefine(self, module: Module) -> None:
        """Give a module other fields. A new one is empty; one that is there keeps its values."""
        present = {name for _, name, *_ in self.store.rows(f'PRAGMA table_info("{module.name}")')}
        for new in schema.stored(module):
            if new.name not in present:
                column = f"\"{new.name}\" TEXT DEFAULT '{schema.empty(new) or ''}'"
                self.store.execute(f'ALTER TABLE "{module.name}" ADD COLUMN {column}')
        table = schema.build_one(module, self.tables, self.dialect)
        self.tables[module.name] = self._by_prefix[table.prefix] = table

    def has(self, operation: str) -> bool:
        """Whether an operation, by its name in lower case, exists on this server."""
        if operation == "revise":
            wanted = self.options.revise
            return self.habits.revises if wanted is None else wanted
        return operation not in self.dialect.without_operations

    @property
    def dies_at_totals(self) -> bool:
        """Whether an update with lines dies before it adds up."""
        wanted = self.options.dies_at_totals
        return self.habits.dies_at_totals if wanted is None else wanted

    def user_named(self, name: str) -> User | None:
        """A user by name, in any case."""
        return self._user("user_name = ? COLLATE NOCASE", name)

    def user(self, number: int) -> User | None:
        """A user by number."""
        return self._user("_number = ?", number)

    def _user(self, condition: str, value: Any) -> User | None:
        cursor = self.store.connection.execute(f"SELECT * FROM Users WHERE {condition}", (value,))
        row = cursor.fetchone()
        if row is None:
            return None
        values = {name: value for (name, *_), value in zip(cursor.description, row, strict=True)}
        is_admin = values["is_admin"] == "on"
        return User(values["_number"], values["user_name"], is_admin, values)

    def table_of(self, wire_id: str) -> tuple[Table, int]:
        """The module and the number in an id.

        Raises:
            ApiError: the prefix is nobody's.
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
            Fatal, Garbled, ApiError: it would have to hold a text that is not UTF-8.
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
        """Whether a record belongs to somebody who is neither a user nor a group."""
        known = "SELECT _number FROM Users UNION SELECT _number FROM Groups"
        owners = [name for name, column in table.columns.items() if column.kind == "owner"]
        lost = " OR ".join(["0", *(f'NULLIF("{name}", 0) NOT IN ({known})' for name in owners)])
        sql = f'SELECT 1 FROM "{table.name}" WHERE _number = ? AND ({lost})'
        return bool(self.store.value(sql, (number,)))

    def unseen(self, table: Table, user: User) -> frozenset[str]:
        """The names of the fields that the user's profile hides."""
        hidden = () if user.is_admin else self.options.hidden_fields.get(table.name, ())
        return frozenset(hidden)

    def hidden(self, table: Table) -> frozenset[int]:
        """The numbers of the rows that are found, and then not shown."""
        return frozenset(self.options.hidden.get(table.name, ()))


@dataclass
class Call:
    """One request, after its parameters were read."""

    instance: Instance
    operation: str
    method: str
    params: dict[str, str]
    session_id: str = ""
    session: Session | None = None

    @cached_property
    def user(self) -> User:
        """Who is asking, with the preferences of this moment."""
        if self.session is None:  # pragma: no cover - only login and getchallenge come without
            raise denied()
        return self.instance.user(self.session.user.number) or self.session.user

    @cached_property
    def formats(self) -> Formats:
        """How the user writes numbers and moments."""
        instance = self.instance
        return formats_of(
            self.user.row, servers_zone=instance.clock.zone, own=instance.habits.own_formats
        )

    def may_use(self, table: Table) -> bool:
        """Whether the module is there for the user."""
        instance = self.instance
        absent = table.name in {*instance.options.absent, *instance.dialect.unreachable}
        return not absent and (table.name != "Users" or self.user.is_admin)

    def table(self, name: str) -> Table:
        """A module by its exact name."""
        table = self.instance.tables.get(name)
        if table is None or not self.may_use(table):
            # The space before nothing is the server's.
            raise ApiError(
                "ACCESS_DENIED", f"Permission to perform the operation is denied for name : {name}"
            )
        return table

    def check_open(self, table: Table, what: str) -> None:
        """Check that records of the module may be created, updated or deleted.

        Raises:
            ApiError: they may not.
        """
        if what in self.instance.options.closed.get(table.name, ()):
            raise ApiError("ACCESS_DENIED", "Permission to perform the operation is denied")

    def record(self, wire_id: str | None) -> tuple[Table, int]:
        """The record of an id that the user may work with.

        Raises:
            ApiError: no such record, in one of the ways in which the API says so.
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
