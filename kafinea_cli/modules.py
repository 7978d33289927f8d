"""The command `kafinea modules`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click

from kafinea.client import Client
from kafinea.describe import ModuleInfo
from kafinea.errors import Refused
from kafinea_cli.connection import connection_options, opened
from kafinea_cli.output import Column, Output, output_options

_COLUMNS = (
    Column("name", "Module"),
    Column("label", "Label"),
    Column("id_prefix", "Ids", right=True),
    Column("fields", "Fields", right=True),
    Column("read", "Read"),
    Column("create", "Create"),
    Column("update", "Update"),
    Column("delete", "Delete"),
    Column("lines", "Lines"),
)


@click.command()
@output_options
@connection_options
def modules(output: Output, **options: Any) -> None:
    """List the modules, and what the user may do with their records.

    \b
    Examples:
      kafinea modules
      kafinea modules --json | jq -r '.[] | select(.create) | .name'
    """  # noqa: D301 click keeps the lines behind the character \b
    with opened(options) as instance:
        output.rows(_rows(instance.client), _COLUMNS)


def _rows(client: Client) -> Iterator[dict[str, Any]]:
    """Yield the modules as rows, several described at a time."""
    infos = client.listtypes().values()
    threads = ThreadPoolExecutor(client.max_sessions)
    try:
        yield from threads.map(lambda info: _row(client, info), infos)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _row(client: Client, info: ModuleInfo) -> dict[str, Any]:
    row: dict[str, Any] = {"name": info.name, "label": info.label}
    try:
        module = client.describe(info.name)
    except Refused:
        return row | {"read": False}
    return row | {
        "id_prefix": module.id_prefix,
        "fields": len(module.fields),
        "read": module.retrieveable and "id" in module.fields,
        "create": module.createable,
        "update": module.updateable,
        "delete": module.deleteable,
        "lines": module.is_inventory,
    }
