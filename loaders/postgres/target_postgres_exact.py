"""target-postgres 0.8.1 (MeltanoLabs), with fixes for values that change and state that is lost.

The faults of target-postgres, and what this package does instead:

- `timestamp` columns have no zone. PostgreSQL stores the local time in the zone of the database's
  settings. Here, the columns are `timestamptz`, which store the instant.
- With `use_copy`, which is faster, decimals are converted to floats. Here, they stay exact.
- Lists are arrays (`text[]`, `jsonb[]`). Here, they are `jsonb`.
- If a field changes its type, the load fails, or rounds decimals to integers. Here, the column is
  widened.
- NUL characters, which PostgreSQL refuses, are not replaced within lists. Here, they are.
- Rows with a time in `_sdc_deleted_at` are kept. Here, they are deleted.
- State is emitted every five minutes, so a killed run loses up to five minutes. Here, state is
  emitted after each batch.
- On SIGTERM during a batch, the batch is not finished, but the exit code is 0. Here, it is 143.
- Errors show whole records. Here, they do not.
"""

from __future__ import annotations

import sys
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from target_postgres.connector import PostgresConnector
from target_postgres.sinks import PostgresSink
from target_postgres.target import TargetPostgres

_DELETED = "_sdc_deleted_at"
_UNREADABLE = "\N{REPLACEMENT CHARACTER}"


class Connector(PostgresConnector):
    """Defines the types of columns."""

    @cached_property
    def jsonschema_to_sql(self) -> Any:
        """The column type of each JSON Schema type."""
        types = super().jsonschema_to_sql
        types.register_format_handler("date-time", lambda _: sa.TIMESTAMP(timezone=True))
        for of_json in ("array", "object"):
            # A missing value is NULL, not the `null` of JSON.
            types.register_type_handler(of_json, lambda _: JSONB(none_as_null=True))
        return types

    def create_engine(self) -> sa.Engine:
        """Create an engine whose errors do not show values."""
        engine = super().create_engine()
        engine.hide_parameters = True
        return engine

    def _adapt_column_type(
        self,
        schema_name: str,
        table_name: str,
        column_name: str,
        sql_type: Any,
        connection: sa.Connection,
        column_object: sa.Column | None,
    ) -> None:
        wider = _wider(column_object.type, sql_type)
        if wider is None:
            return
        quote = connection.dialect.identifier_preparer.quote
        column, name = quote(column_name), wider.compile(connection.dialect)
        self.logger.warning(
            "Column %s.%s is changed to the type %s.", table_name, column_name, name
        )
        connection.exec_driver_sql(
            f"ALTER TABLE {quote(schema_name)}.{quote(table_name)}"
            f" ALTER COLUMN {column} TYPE {name} USING {column}::{name}"
        )


def _wider(present: sa.types.TypeEngine, wanted: sa.types.TypeEngine) -> Any:
    """Return the type that holds the existing and the new values, None if the column needs none."""
    had, comes = (type_._type_affinity for type_ in (present, wanted))  # noqa: SLF001 - no other
    if had in {comes, sa.String} or (had, comes) == (sa.Numeric, sa.Integer):
        return None
    return sa.Numeric() if (had, comes) == (sa.Integer, sa.Numeric) else sa.Text()


class Sink(PostgresSink):
    """Writes the rows of a table."""

    connector_class = Connector

    def process_batch(self, context: dict[str, Any]) -> None:
        """Write the rows of a batch, then delete those with a value in `_sdc_deleted_at`."""
        deleted = any(record.get(_DELETED) for record in context["records"])
        super().process_batch(context)
        if deleted:
            table = sa.table(self.table_name, sa.column(_DELETED), schema=self.schema_name)
            with self.connector._connect() as connection, connection.begin():  # noqa: SLF001 - no other
                connection.execute(sa.delete(table).where(table.c[_DELETED].is_not(None)))

    def _do_copy(
        self, connection: Any, copy_statement: str, columns: list[sa.Column], data_to_copy: Any
    ) -> None:
        dialect = connection.dialect
        columns = [sa.Column(each.name, each.type.dialect_impl(dialect)) for each in columns]
        super()._do_copy(connection, copy_statement, columns, data_to_copy)

    def sanitize_null_text_characters(self, data: Any) -> Any:
        """Replace the characters that PostgreSQL refuses, at any depth."""
        if isinstance(data, str):
            return data.replace("\0", _UNREADABLE)
        if isinstance(data, list):
            return [self.sanitize_null_text_characters(member) for member in data]
        if isinstance(data, dict):
            return {name: self.sanitize_null_text_characters(data[name]) for name in data}
        return data


class Target(TargetPostgres):
    """target-postgres with these sinks."""

    default_sink_class = Sink
    max_parallelism = 1  # target-postgres sets it too, but too early; `drain_one` needs it

    def drain_one(self, sink: Any) -> None:
        """Write all waiting rows of all sinks, then emit the state."""
        if sink.current_size:
            for waiting in (*self._sinks_to_clear, *self._sinks_active.values()):
                super().drain_one(waiting)
            if self._latest_state:
                self._write_state_message(self._latest_state)

    def _handle_termination(self, signum: int, _frame: object) -> None:
        """Exit at once. The next run resumes from the last state that was emitted."""
        sys.exit(128 + signum)
