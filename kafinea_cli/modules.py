"""The command `kafinea modules`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from kafinea.client import Client
from kafinea.describe import Module, ModuleInfo
from kafinea.extract.discovery import has_ids
from kafinea_cli.connection import connection_options, opened
from kafinea_cli.describing import described
from kafinea_cli.output import Column, Output, output_options

_COLUMNS = (
    Column("name", "Module", is_name=True),
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
    """List the modules, and what the user may do.

    \b
    Examples:
      kafinea modules
      kafinea modules --json | jq -r '.[] | select(.create) | .name'
    """  # noqa: D301 click keeps the lines behind the character \b
    with opened(options) as instance:
        output.rows(_rows(instance.client), _COLUMNS)


def _rows(client: Client) -> Iterator[dict[str, Any]]:
    infos = client.listtypes()
    for name, module in described(client, infos):
        yield _row(infos[name], module)


def _row(info: ModuleInfo, module: Module | None) -> dict[str, Any]:
    row: dict[str, Any] = {"name": info.name, "label": info.label}
    if module is None:
        return row | {"read": False}
    return row | {
        "id_prefix": module.id_prefix,
        "fields": len(module.fields),
        "read": module.retrieveable and has_ids(module),
        "create": module.createable,
        "update": module.updateable,
        "delete": module.deleteable,
        "lines": module.is_inventory,
    }
