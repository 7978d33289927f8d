"""A new database: its tables, a company in them, and what is indexed."""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kafinea_sandbox import aftermath, prices
from kafinea_sandbox.modules import MODULES
from kafinea_sandbox.schema import empty, kind_of, stored
from kafinea_sandbox.spec import Field, File, Module, Relation, Row
from kafinea_sandbox.store import Store

_BATCH = 1000


def create(store: Store) -> None:
    """Make the empty tables."""
    with store.write() as db:
        for module in MODULES:
            columns = ", ".join(f'"{field.name}" {_affinity(field)}' for field in stored(module))
            db.execute(
                f'CREATE TABLE "{module.name}"'
                f" (_number INTEGER PRIMARY KEY, _deleted INTEGER NOT NULL DEFAULT 0, {columns})"
            )
        db.execute(
            "CREATE TABLE _entity (_number INTEGER PRIMARY KEY, module TEXT, _deleted INTEGER)"
        )
        db.execute("CREATE TABLE _relation (source INTEGER, related INTEGER, label TEXT)")
        db.execute("CREATE UNIQUE INDEX _relation_once ON _relation (source, related, label)")
        db.execute(
            "CREATE TABLE _file (_number INTEGER PRIMARY KEY, parent INTEGER, name TEXT,"
            " mime TEXT, content BLOB)"
        )
        db.execute("CREATE TABLE _counter (module TEXT PRIMARY KEY, value INTEGER)")
        prices.create_table(db)
        aftermath.create_tables(db)


def _affinity(field: Field) -> str:
    return "INTEGER" if kind_of(field) in {"owner", "reference"} else "TEXT"


def load(store: Store, items: Iterable[Row | File | Relation]) -> None:
    """Fill the tables with a company."""
    loaders = {module.name: _Loader(module) for module in MODULES}
    priced = []
    with store.write() as db:
        for item in items:
            if isinstance(item, Row):
                if item.module in prices.MODULES:
                    priced.append(item)
                loader = loaders[item.module]
                loader.add(item)
                if len(loader.rows) == _BATCH:
                    loader.flush(db)
            elif isinstance(item, File):
                db.execute("INSERT INTO _file VALUES (?, ?, ?, ?, ?)", item)
            else:
                db.execute("INSERT OR IGNORE INTO _relation VALUES (?, ?, ?)", item)
        for loader in loaders.values():
            loader.flush(db)
        for item in priced:  # the currencies are there by now
            prices.load(db, item.module, item.number, item.values)
        aftermath.keep_with_recurrence(db)
        index(db)


class _Loader:
    """Collects the rows of one module and inserts many at a time."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.rows: list[list[Any]] = []
        fields = stored(module)
        self._columns = [(field.name, empty(field)) for field in fields]
        self._dates = [i for i, f in enumerate(fields, 1) if kind_of(f).startswith("date")]
        marks = ", ".join("?" * (len(fields) + 1))
        names = ", ".join(["_number", *(f'"{field.name}"' for field in fields)])
        self._insert = f'INSERT INTO "{module.name}" ({names}) VALUES ({marks})'
        self._is_entity = module.is_entity and module.name != "Users"

    def add(self, row: Row) -> None:
        values = row.values
        record = [row.number, *(values.get(name, blank) for name, blank in self._columns)]
        for date in self._dates:
            record[date] = record[date] or None
        self.rows.append(record)

    def flush(self, db: Any) -> None:
        db.executemany(self._insert, self.rows)
        if self._is_entity:
            name = self.module.name
            db.executemany(
                "INSERT INTO _entity VALUES (?, ?, 0)", [(row[0], name) for row in self.rows]
            )
        self.rows.clear()


def index(db: Any) -> None:
    """Index what is read by number, time, parent or key, and set the automatic numbers."""
    for module in MODULES:
        for field in stored(module):
            if field.name.lower() == "modifiedtime":
                owner = (
                    ', "assigned_user_id"' if any(f.type == "owner" for f in module.fields) else ""
                )
                db.execute(
                    f'CREATE INDEX "{module.name}_modified" ON "{module.name}"'
                    f' ("{field.name}", _deleted{owner})'
                )
            elif field.unique or field.name in module.label_fields:
                db.execute(
                    f'CREATE INDEX "{module.name}_{field.name}" ON "{module.name}"'
                    f' (rtrim(fold("{field.name}")))'
                )
        if module.number_field:
            start = len(module.number_prefix) + 1
            db.execute(
                "INSERT INTO _counter SELECT ?, COALESCE(max(CAST(substr("
                f'"{module.number_field}", ?) AS INTEGER)), 0) FROM "{module.name}"',
                (module.name, start),
            )
    db.execute('CREATE INDEX "LineItem_parent" ON "LineItem" ("parent_id")')
    db.execute("CREATE INDEX _file_parent ON _file (parent)")
