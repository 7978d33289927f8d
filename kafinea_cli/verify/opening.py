"""Opening the warehouse that an address names."""

from __future__ import annotations

import re

from kafinea.extras import advice
from kafinea_cli.verify.warehouse import NotThere, Warehouse, WarehouseError

_DUCKDB = re.compile(r"duckdb:///(.+)")
_POSTGRES = re.compile(r"postgres(?:ql)?(?:\+\w+)?(://.+)")


def open_warehouse(address: str, schema: str | None, *, sync: bool) -> Warehouse:
    """Return the warehouse.

    Args:
        address: `duckdb:///file` or `postgresql://user@host/database`.
        schema: The schema of its tables; None for the one that its loader uses by default.
        sync: As of `Warehouse`.

    Raises:
        NotThere: The address names no warehouse.
        WarehouseError: It cannot be opened.
    """
    try:
        if found := _DUCKDB.fullmatch(address):
            from kafinea_cli.verify.duckdb_warehouse import DuckDBWarehouse  # noqa: PLC0415

            return DuckDBWarehouse(found[1], schema or "main", sync=sync)
        if found := _POSTGRES.fullmatch(address):
            from kafinea_cli.verify.postgres_warehouse import PostgresWarehouse  # noqa: PLC0415

            return PostgresWarehouse(f"postgresql{found[1]}", schema or "public", sync=sync)
    except ImportError:
        raise WarehouseError(
            f"The driver of the warehouse is not installed. {advice('verify')}"
        ) from None
    # The address may hold a password, so it is not shown.
    raise NotThere(
        "--warehouse (KAFINEA_WAREHOUSE) is not the address of a warehouse. Write "
        "duckdb:///warehouse.duckdb or postgresql://user@host:5432/database."
    )
