"""The command `kafinea dbt`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kafinea_cli.connection import connection_options


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--catalog",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Catalog of the tap, with the modules and fields that your warehouse has. Without it: all "
    "that the settings of the tap select.",
)
@connection_options
def dbt(directory: Path, catalog: Path | None, **options: Any) -> None:
    """Write a dbt package for your warehouse.

    The package in DIRECTORY has sources, a staging model for each module, with the labels of the
    fields as names of the columns, and a few marts. Run it again when modules or fields change: it
    overwrites its own files only.

    \b
    Examples:
      kafinea dbt transform
      kafinea dbt transform --catalog catalog.json
    """  # noqa: D301 click keeps the lines behind the character \b
    from kafinea_cli.dbt_package import marts, package, tables  # noqa: PLC0415 they need the SDK

    warehouse = tables.of_catalog(catalog) if catalog else tables.of_instance(options)
    for line in package.write(directory, package.files_of(warehouse)):
        click.echo(line)
    for mart, missing in marts.left_out(warehouse.tables).items():
        click.echo(f"Not written: {mart}, which needs {missing}.")
