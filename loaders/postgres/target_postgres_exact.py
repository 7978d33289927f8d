"""target-postgres 0.8.1 (MeltanoLabs), mended where it changes values, fails or forgets.

- Its `timestamp` columns have no zone, and PostgreSQL writes into them what the clock shows in the
  zone of the database's settings. Here they are `timestamptz`: the instant, whatever that zone is.
- With `use_copy`, which is faster, it takes decimals for floats.
- Lists are arrays (`text[]`, `jsonb[]`). Here they are `jsonb`.
- When a field changes its type, it fails, or rounds decimals to integers. Here the column widens.
- It can replace NUL characters, which PostgreSQL refuses, but not those within a list.
- It keeps the rows that come with a time in `_sdc_deleted_at`. Here they are deleted.
- It tells its state every five minutes, so a run that is killed begins again where it was then.
  Here it does with each batch.
- Told to stop while it writes a batch, it does not finish it, and exits with 0 all the same.
- Its errors show whole records.
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
    """Decides the types of columns."""

    @cached_property
    def jsonschema_to_sql(self) -> Any:
        """What becomes of the types of a schema."""
        types = super().jsonschema_to_sql
        types.register_format_handler("date-time", lambda _: sa.TIMESTAMP(timezone=True))
        for of_json in ("array", "object"):
            # Without a value it is NULL, not the `null` of JSON.
            types.register_type_handler(of_json, lambda _: JSONB(none_as_null=True))
        return types

    def create_engine(self) -> sa.Engine:
        """An engine whose errors do not show the values."""
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
        self.logger.warning("%s.%s becomes %s", table_name, column_name, name)
        connection.exec_driver_sql(
            f"ALTER TABLE {quote(schema_name)}.{quote(table_name)}"
            f" ALTER COLUMN {column} TYPE {name} USING {column}::{name}"
        )


def _wider(present: sa.types.TypeEngine, wanted: sa.types.TypeEngine) -> Any:
    """The type that holds what a column has and what comes; None if the present one does."""
    had, comes = (type_._type_affinity for type_ in (present, wanted))  # noqa: SLF001 - no other
    if had in {comes, sa.String} or (had, comes) == (sa.Numeric, sa.Integer):
        return None
    return sa.Numeric() if (had, comes) == (sa.Integer, sa.Numeric) else sa.Text()


class Sink(PostgresSink):
    """Writes the rows of a table."""

    connector_class = Connector

    def process_batch(self, context: dict[str, Any]) -> None:
        """Write the rows of a batch, and delete those that come as deleted."""
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
    """target-postgres with such sinks."""

    default_sink_class = Sink
    max_parallelism = 1  # target-postgres says so too, too early; `drain_one` needs it

    def drain_one(self, sink: Any) -> None:
        """Write what waits, and tell the state that it has reached."""
        if sink.current_size:
            for waiting in (*self._sinks_to_clear, *self._sinks_active.values()):
                super().drain_one(waiting)
            if self._latest_state:
                self._write_state_message(self._latest_state)

    def _handle_termination(self, signum: int, _frame: object) -> None:
        """Stop at once; the next run begins at the last state."""
        sys.exit(128 + signum)
