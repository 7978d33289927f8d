"""Tables: created for a stream, and adapted when its schema or its values change."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from exact_loaders.columns import Column, Kind
from exact_loaders.database import Database, Found
from exact_loaders.errors import CorrectFirst, LoaderError


class Table:
    """The table of a stream.

    Args:
        database: Where it is.
        name: Its name.
        keys: The names of its key columns.
        logger: Where changes are logged.
    """

    def __init__(
        self, database: Database, name: str, keys: Sequence[str], logger: logging.Logger
    ) -> None:
        self.name, self.keys = name, keys
        self._database, self._logger = database, logger
        self.columns: dict[str, Column] = {}

    def prepare(self, wanted: Mapping[str, Column], *, must_exist: bool = False) -> None:
        """Create the table, or adapt it: columns are added and widened, none is removed.

        Args:
            wanted: The columns that the table must have.
            must_exist: Whether the tap leaves out rows because the table has them already.

        Raises:
            LoaderError: It has a column that cannot be taken over, or it must exist and does not.
        """
        with self._database.exclusive(self.name):
            existing = self._database.existing(self.name)
            if existing is None and must_exist:
                raise CorrectFirst(
                    f"Table {self.name} does not exist, but the state of the tap says that its "
                    "rows were loaded, so the tap emits only what has changed since. Restore the "
                    "table, or extract the stream again with `meltano run --full-refresh`."
                )
            if existing is None:
                self._database.create(self.name, wanted.values(), self.keys)
                self._database.comment(self.name, [col for col in wanted.values() if col.comment])
                self.columns = dict(wanted)
                return
            known = {self._folded(found.column.name): found for found in existing.columns}
            if not existing.is_ours:
                self._take_over(known, wanted)
            self._add([col for name, col in wanted.items() if self._folded(name) not in known])
            self.columns = self._as_stored(wanted, known)
            self._widen(wanted)
            self._comment(known, wanted)

    def widen(self, wanted: Mapping[str, Column]) -> None:
        """Widen columns, so that they hold the values of others of the same name."""
        with self._database.exclusive(self.name):
            existing = self._database.existing(self.name)  # another run may have widened it
            stored = existing.columns if existing else []
            known = {self._folded(found.column.name): found for found in stored}
            self.columns = self._as_stored(self.columns, known)
            self._widen(wanted)

    def _as_stored(
        self, columns: Mapping[str, Column], known: Mapping[str, Found]
    ) -> dict[str, Column]:
        """Return columns with the types that they have in the table."""
        stored = {}
        for name, column in columns.items():
            found = known.get(self._folded(name))
            has = found.column if found else column
            stored[name] = replace(column, kind=has.kind, scale=has.scale)
        return stored

    def _widen(self, wanted: Mapping[str, Column]) -> None:
        for name, column in wanted.items():
            has = self.columns[name]
            wider = has.widened(column)
            needs_scale = self._database.reading.has_decimal_limit and wider.scale != has.scale
            if wider.kind is has.kind and not (wider.kind is Kind.DECIMAL and needs_scale):
                continue
            if not self._database.convert(self.name, wider):
                wider = replace(wider, kind=Kind.TEXT)
                self._database.convert(self.name, wider)
            self.columns[name] = wider
            self._logger.warning(
                "%s.%s is now of type %s. It has values that do not fit its type, %s.",
                *(self.name, name, _described(wider), _described(has)),
            )

    def _take_over(self, known: dict[str, Found], wanted: Mapping[str, Column]) -> None:
        """Convert the columns of another loader to the types that this one creates."""
        for name, found in known.items():
            want = next((col for each, col in wanted.items() if self._folded(each) == name), None)
            if want is None:
                continue
            column = replace(found.column, scale=want.scale)
            if found.taken_over is not None:
                if not found.taken_over or not self._convert(column, found.taken_over):
                    raise LoaderError(
                        f"{self.name}.{column.name} was created by another loader, with a type "
                        "that cannot be converted exactly. Drop the table and extract the stream "
                        "again with `meltano run --full-refresh`."
                    )
            elif expression := self._database.conversions.get((column.kind, want.kind)):
                column = replace(column, kind=want.kind)
                if not self._convert(column, expression):
                    continue
            else:
                continue
            known[name] = Found(column)
        self._database.take_over(self.name, self.keys)
        self._logger.warning(
            "Table %s was created by another loader. Its columns were converted.", self.name
        )

    def _convert(self, column: Column, expression: str) -> bool:
        return self._database.convert(self.name, column, expression)

    def _add(self, columns: Sequence[Column]) -> None:
        if columns:
            self._database.add(self.name, columns)
            names = ", ".join(column.name for column in columns)
            self._logger.info("Table %s has new columns: %s", self.name, names)

    def _comment(self, known: Mapping[str, Found], wanted: Mapping[str, Column]) -> None:
        changed = []
        for name, column in wanted.items():
            found = known.get(self._folded(name))
            if column.comment and (found is None or found.column.comment != column.comment):
                changed.append(column)
        self._database.comment(self.name, changed)

    def _folded(self, name: str) -> str:
        return name.lower() if self._database.folds_names else name


def _described(column: Column) -> str:
    is_decimal = column.kind is Kind.DECIMAL
    return f"decimal with {column.scale} digits" if is_decimal else column.kind.value
