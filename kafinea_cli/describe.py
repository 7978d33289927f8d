"""The command `kafinea describe`."""

from __future__ import annotations

from typing import Any

import click

from kafinea.describe import Field
from kafinea_cli.connection import connection_options, opened
from kafinea_cli.output import Column, Format, Output, output_options
from kafinea_cli.typed_rows import module_of

_COLUMNS = (
    Column("name", "Field", is_name=True),
    Column("label", "Label"),
    Column("type", "Type"),
    Column("mandatory", "Mandatory"),
    Column("editable", "Editable"),
    Column("refers_to", "Refers to"),
    Column("picklist", "Values"),
)


@click.command()
@click.argument("module")
@output_options
@connection_options
def describe(module: str, output: Output, **options: Any) -> None:
    """List the fields of MODULE. It shows labels, types, picklist values and references.

    \b
    Examples:
      kafinea describe Contacts
      kafinea describe Invoice --csv > fields.csv
    """  # noqa: D301 click keeps the lines behind the character \b
    with opened(options) as instance:
        found = module_of(instance, module)
        as_table = output.format is Format.TABLE
        output.rows((_row(field, as_table=as_table) for field in found.fields.values()), _COLUMNS)


def _row(field: Field, *, as_table: bool) -> dict[str, Any]:
    values = [{"value": value, "label": label} for value, label in field.labelled_picklist.items()]
    return {
        "name": field.name,
        "label": field.label,
        "type": field.type,
        "mandatory": field.mandatory,
        "editable": field.editable,
        "unique": field.unique,
        "default": field.default,
        "refers_to": field.refers_to,
        "picklist": field.picklist if as_table else values,
    }
