"""The command line of `kafinea verify`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kafinea_cli.connection import connection_options, opened
from kafinea_cli.files import whole
from kafinea_cli.output import Column, Format, Output, output_options

if TYPE_CHECKING:  # they import the SDK, which takes most of a second
    from kafinea_cli.verify.check import Result
    from kafinea_cli.verify.verifying import Plan

_ALWAYS = (
    Column("module", "Module", is_name=True),
    Column("records", "Kafinea", right=True),
    Column("rows", "Warehouse", right=True),
    Column("missing", "Missing", right=True),
    Column("superfluous", "Superfluous", right=True),
    Column("stale", "Stale", right=True),
)
_IF_ANY = (
    Column("duplicate", "Duplicate", right=True),
    Column("different", "Different", right=True),
    Column("later", "Not yet", right=True),
    Column("hidden", "Hidden", right=True),
    Column("unreadable", "Unreadable", right=True),
)


@click.command()
@click.argument("modules", nargs=-1, metavar="[MODULE]...")
@click.option(
    "--warehouse",
    "address",
    metavar="URL",
    help="The warehouse: duckdb:///FILE or postgresql://USER@HOST/DATABASE. Set a password in "
    "PGPASSWORD or .pgpass, not here. [env: KAFINEA_WAREHOUSE]",
)
@click.option("--schema", help="Schema of the tables.  [default: main or public]")
@click.option(
    "--state",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="State of the tap after its last run. With it, records that the warehouse has lost are "
    "always distinguished from those that are not yet extracted.",
)
@click.option(
    "--deep",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Also compare all values of N random records of each module.",
)
@click.option(
    "--repair",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="Write the wrong records as Singer messages, for the loader of the warehouse. `-`: to "
    "stdout.",
)
@output_options
@connection_options
def verify(
    output: Output,
    modules: Sequence[str],
    address: str | None,
    schema: str | None,
    state: Path | None,
    deep: int,
    repair: Path | None,
    **options: Any,
) -> None:
    """Compare the warehouse with the instance.

    It compares `id` and `modifiedtime` of all records, in all modules that have a table, or in
    those of MODULE. Differences are read again before they are called wrong, because Kafinea is in
    use meanwhile. The exit code is 0 if nothing is wrong, else 1.

    \b
    Examples:
      kafinea verify --warehouse duckdb:///warehouse.duckdb
      kafinea verify --warehouse postgresql://ada@db/crm --schema kafinea Invoice
      kafinea verify --warehouse duckdb:///warehouse.duckdb --deep 100 --json
      kafinea verify --warehouse duckdb:///warehouse.duckdb --repair repair.singer
    """  # noqa: D301 click keeps the lines behind the character \b
    if str(repair) == "-" and output.format is not Format.TABLE:
        raise click.UsageError("With --repair -, stdout has the messages. Write them to a file.")
    from kafinea_cli.verify import verifying  # noqa: PLC0415
    from kafinea_cli.verify.opening import open_warehouse  # noqa: PLC0415
    from kafinea_cli.verify.warehouse import NotThere  # noqa: PLC0415

    try:
        with opened(options) as instance:
            if repair:
                _refuse_maps(instance.config)
            sync = instance.config["deletions"] == "sync"
            known = _state(state) if state else None
            with (
                closing(open_warehouse(_address(address), schema, sync=sync)) as warehouse,
                _writing(repair) as write,
            ):
                plan = verifying.planned(instance, modules, warehouse)
                found = list(
                    verifying.results(plan, warehouse, state=known, deep=deep, repair=write)
                )
    except NotThere as error:
        raise click.UsageError(str(error)) from None
    _show(output, found, plan, state=state, deep=deep, repair=repair)
    if not all(result.is_right for result in found):
        click.get_current_context().exit(1)


def _address(option: str | None) -> str:
    """Return the address of the warehouse: the option, or the variable, which `.env` may have."""
    if address := option or os.environ.get("KAFINEA_WAREHOUSE"):
        return address
    raise click.UsageError("No warehouse. Set --warehouse, or KAFINEA_WAREHOUSE, also in `.env`.")


def _refuse_maps(config: Mapping[str, Any]) -> None:
    """Refuse to repair what the tap would not emit as it is.

    Raises:
        SettingsError: The settings change records or schemas.
    """
    from kafinea.errors import SettingsError  # noqa: PLC0415

    for setting in ("stream_maps", "flattening_enabled"):
        if config.get(setting):
            raise SettingsError(
                f"`{setting}` (TAP_KAFINEA_{setting.upper()}) is set, which --repair does not "
                "apply. Extract the modules again instead: remove their entries from the state."
            )


def _state(path: Path) -> Mapping[str, Any]:
    """Return the Singer state in a file, also as `meltano state get` writes it.

    Raises:
        BadParameter: The file does not contain one.
    """
    from kafinea.errors import StateError  # noqa: PLC0415
    from tap_kafinea.states import state_of  # noqa: PLC0415

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        state = state_of(content.get("singer_state", content))
    except (StateError, ValueError, AttributeError, RecursionError):
        state = {}
    if not state.get("bookmarks"):  # Meltano prints {} for a state that it does not have
        raise click.BadParameter(
            f"{path} is not a state of tap-kafinea. Store the last line that the loader writes to "
            "stdout, or the output of `meltano state get`.",
            param_hint="--state",
        )
    return state


@contextmanager
def _writing(path: Path | None) -> Iterator[Callable[[bytes], object] | None]:
    """Yield what takes the messages of the repair. The file is complete, or not there."""
    if path is None:
        yield None
    elif str(path) == "-":
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
    else:
        with whole(path) as file:
            yield file.write


def _show(
    output: Output,
    results: Sequence[Result],
    plan: Plan,
    *,
    state: Path | None,
    deep: int,
    repair: Path | None,
) -> None:
    """Write the result: as a table, or as JSON or CSV; on stderr if stdout has the repair."""
    from kafinea_cli.verify import report  # noqa: PLC0415

    if output.format is Format.JSON:
        output.document(report.document(results, plan.absent))
        return
    rows = [report.row(result) for result in results]
    columns = [*_ALWAYS, *(col for col in _IF_ANY if any(row[col.name] for row in rows))]
    if output.format is Format.CSV:
        output.rows(rows, [*_ALWAYS, *_IF_ANY])
        return
    is_piped = str(repair) == "-"
    say = output.note if is_piped else output.line
    if not is_piped:
        output.rows(rows, columns)
        output.line()
    lines = [subject.lines.name for subject in plan.subjects if subject.lines]
    source = str(state) if state else None
    for line in (*report.findings(results), *report.remarks(results, plan.absent, lines, source)):
        say(line)
    if repair and any(result.repaired or result.withheld for result in results):
        say(report.repaired(results, str(repair)))
    text = report.verdict(results, source, deep=bool(deep))
    if is_piped:
        output.note(text)
    else:
        output.line(text, "green" if all(result.is_right for result in results) else "red")
