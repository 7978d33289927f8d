"""The command `kafinea get`."""

from __future__ import annotations

from typing import Any

import click

from kafinea.client import Client
from kafinea.describe import LINES, Module
from kafinea.extract import Extraction, Fields
from kafinea.extract.discovery import NotRead
from kafinea.parsing import is_id, prefix_of
from kafinea.query import Condition
from kafinea_cli.connection import connection_options, opened
from kafinea_cli.describing import described
from kafinea_cli.output import Format, Output, output_options
from kafinea_cli.typed_rows import Row, columns_of, rows_of


@click.command()
@click.argument("id", metavar="ID")
@output_options
@connection_options
def get(id: str, output: Output, **options: Any) -> None:
    """Print the record with this ID, such as 3x18.

    It prints the values with their labels, and the lines. --json and --csv print the record as the
    tap extracts it.

    \b
    Examples:
      kafinea get 3x18
      kafinea get 7x120 --json | jq '.[0].LineItems'
    """  # noqa: D301 click keeps the lines behind the character \b
    if not is_id(id):
        raise click.BadParameter(f"{id!r} is not an id, such as 3x18.", param_hint="ID")
    with opened(options) as instance:
        module = _module_with(instance.client, prefix_of(id))
        extraction = Extraction(
            instance.client, module.name, module.readable, line_items=True, timezone="UTC"
        )
        fields = extraction.fields
        row = next(rows_of(instance, module.name, fields, [Condition("id", "=", id)]), None)
        if row is None:
            raise NotRead(f"{module.name} has no record {id}, or this user may not read it.")
        if output.format is Format.TABLE:
            _show(row, module, fields, output)
        else:
            output.rows([row], [*fields.record, *([LINES] if fields.line else [])])


def _module_with(client: Client, prefix: str) -> Module:
    """Return the module whose ids begin with a prefix. Only `describe` reports the prefix.

    Raises:
        Refused: There is none.
    """
    for _, module in described(client, client.listtypes()):
        if module and module.id_prefix == prefix:
            return module
    raise NotRead(f"No module has ids that begin with {prefix}x, or this user may not see it.")


def _show(row: Row, module: Module, fields: Fields, output: Output) -> None:
    """Print a record for people: the values that it has, and a table of its lines."""
    output.line(f"{module.name} {row['id']}", "bold")
    output.values(
        (module.fields[name].label, name, row.get(name))
        for name in fields.record
        if name != "id" and row.get(name) is not None
    )
    if lines := row.get(LINES):
        output.line()
        output.line(f"{LINES}: {len(lines)}", "bold")
        known = [c for c in columns_of(fields.line) if any(line.get(c.name) for line in lines)]
        output.rows(lines, known)
