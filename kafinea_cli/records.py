"""The command `kafinea records`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from kafinea.conditions import Where, parse_where, typed
from kafinea.describe import LINES, MODIFIED, Module
from kafinea.errors import QueryError, SettingsError
from kafinea.extract import Extraction, Fields
from kafinea.progress import Progress
from kafinea.query import Condition
from kafinea.values import ValueType
from kafinea_cli import files
from kafinea_cli.connection import Instance, connection_options, opened
from kafinea_cli.output import Column, Format, Output, output_options
from kafinea_cli.typed_rows import Row, columns_of, module_of, rows_of

logger = logging.getLogger(__name__)


@click.command()
@click.argument("module")
@click.option(
    "--where", help="Only records that meet these conditions, such as \"lastname = 'Roux'\"."
)
@click.option(
    "--since", help="Only records modified at or after this time. Without an offset: in `timezone`."
)
@click.option(
    "--fields", "names", help="Fields, separated by commas. LineItems: the lines of documents."
)
@click.option("--limit", type=click.IntRange(min=1), help="Maximum number of records.")
@click.option(
    "-o", "--output", "path", type=click.Path(path_type=Path),
    help="File to write: .csv, .jsonl, .parquet or .xlsx. An existing file is replaced.",
)  # fmt: skip
@output_options
@connection_options
def records(
    module: str, output: Output, where: str | None, since: str | None, names: str | None,
    limit: int | None, path: Path | None, **options: Any,
) -> None:  # fmt: skip
    """Print or write the records of MODULE.

    They are typed as the tap extracts them. A file is written completely or not at all. Numbers
    keep all their digits. .parquet and .xlsx need the extra `export`. A text that begins with `=`
    stays as it is in .csv, and a spreadsheet may run it as a formula; in .xlsx, it is text.

    \b
    Examples:
      kafinea records Contacts --limit 10
      kafinea records Contacts --fields lastname,email --where "email LIKE '%@roux.example'"
      kafinea records Invoice --since 2026-01-01 -o invoices.parquet
      kafinea records Invoice --fields subject,hdnGrandTotal,LineItems --json
    """  # noqa: D301 click keeps the lines behind the character \b
    if path:
        if output.format is not Format.TABLE:
            raise click.UsageError("Use either -o or --json or --csv.")
        _check(path)
    conditions = _parsed(where) if where else []
    with opened(options) as instance:
        found = module_of(instance, module)
        conditions = [*_typed(conditions, found, instance), *_since(since, found, instance)]
        fields = _fields(names, found, instance)
        if path:
            _write(path, instance, found.name, fields, conditions, limit, output)
        else:
            rows = rows_of(instance, found.name, fields, conditions, limit=limit)
            output.rows(rows, _columns(fields))


def _check(path: Path) -> None:
    try:
        files.check(path)
    except ValueError as error:
        if isinstance(error, SettingsError):
            raise
        raise click.BadParameter(f"{path}: {error}", param_hint="-o") from None


def _parsed(where: str) -> Where:
    try:
        return parse_where(where)
    except QueryError as error:
        raise click.BadParameter(str(error), param_hint="--where") from None


def _typed(where: Where, module: Module, instance: Instance) -> Where:
    try:
        return typed(where, module, instance.zone)
    except QueryError as error:
        raise click.BadParameter(str(error), param_hint="--where") from None


def _since(since: str | None, module: Module, instance: Instance) -> Where:
    if since is None:
        return []
    if MODIFIED not in module.fields:
        raise click.BadParameter(f"{module.name} has no {MODIFIED}.", param_hint="--since")
    try:
        moment = instance.zone.setting("--since", since)
    except SettingsError as error:
        raise click.BadParameter(str(error), param_hint="--since") from None
    return [Condition(MODIFIED, ">=", instance.zone.wire(moment))] if moment else []


def _fields(names: str | None, module: Module, instance: Instance) -> Fields:
    chosen = [name.strip() for name in names.split(",") if name.strip()] if names else None
    with_lines = chosen is not None and LINES in chosen
    if with_lines and not module.is_inventory:
        raise click.BadParameter(f"{module.name} has no lines.", param_hint="--fields")
    of_record = chosen and [name for name in chosen if name not in {LINES, "id"}]
    return Extraction(
        instance.client, module.name, of_record, line_items=with_lines, timezone="UTC"
    ).fields


def _columns(fields: Fields) -> list[Column]:
    of_record = columns_of(fields.record)
    return [*of_record, Column(LINES)] if fields.line else of_record


def _write(
    path: Path, instance: Instance, module: str, fields: Fields, where: Where, limit: int | None,
    output: Output,
) -> None:  # fmt: skip
    columns: dict[str, ValueType | None] = {**fields.record}
    if fields.line:
        columns[LINES] = None
    written = 0

    def rows() -> Iterator[Row]:
        nonlocal written
        for row in _with_progress(instance, module, fields, where, limit):
            yield row
            written += 1

    files.write(path, rows(), columns)
    output.note(f"{path}: {written:,} records of {module}")


def _with_progress(
    instance: Instance, module: str, fields: Fields, where: Where, limit: int | None
) -> Iterator[Row]:
    counted: list[int] = []
    rows = rows_of(instance, module, fields, where, limit=limit, on_count=counted.append)
    first = next(rows, None)
    if first is None:
        return
    total = min(counted[0], limit or counted[0])
    with Progress(module, total, logger) as progress:
        yield first
        progress.advance(1)
        for row in rows:
            yield row
            progress.advance(1)
