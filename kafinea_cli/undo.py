"""The command `kafinea undo`."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import click

from kafinea.load.undo import Action, Undo, Undone
from kafinea.progress import Progress
from kafinea_cli.connection import connection_options, opened
from kafinea_cli.output import Column, Output, Row, output_options

logger = logging.getLogger(__name__)

_COLUMNS = (Column("action", "Action", is_name=True), Column("module", "Module", is_name=True),
            Column("id", "Id"), Column("fields", "Fields"), Column("conflicts", "Left as they are"),
            Column("text", "Note"))  # fmt: skip


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--dry-run", is_flag=True, help="Show what would be done; write nothing to Kafinea.")
@click.option("--values", is_flag=True, help="Show the values of conflicts.")
@click.option("--undo-path", help="File to note the writes of this undo in, as a load does.")
@output_options
@connection_options
def undo(
    file: str, dry_run: bool, values: bool, undo_path: str | None, output: Output, **options: Any
) -> None:
    """Take a load back.

    FILE is the undo file of the load (the setting `undo_path` of target-kafinea). New records are
    deleted, changed fields get their old values, deleted records are created anew. What was changed
    since the load is left as it is, and listed as a conflict. The exit code is 1 if something is
    left. You can repeat the command.

    \b
    Examples:
      kafinea undo undo.jsonl --dry-run
      kafinea undo undo.jsonl
    """  # noqa: D301 click keeps the lines behind the character \b
    with (
        opened(options) as instance,
        Undo(file, instance.client, dry_run=dry_run, undo_path=undo_path) as undoing,
    ):
        counts: Counter[Action] = Counter()
        output.rows(_rows(undoing, counts, with_values=values), _COLUMNS)
        output.note(_summary(counts, dry_run=dry_run))
        if counts[Action.CONFLICT] or counts[Action.FAILED]:
            click.get_current_context().exit(1)


def _rows(undoing: Undo, counts: Counter[Action], *, with_values: bool) -> Iterator[Row]:
    # On a terminal, the rows themselves show how far it is.
    shows_rows = sys.stdout.isatty()
    with nullcontext() if shows_rows else Progress("undo", undoing.total, logger) as progress:
        for undone in undoing():
            counts[undone.action] += 1
            yield _row(undone, with_values=with_values)
            if progress:
                progress.advance(1)


def _row(undone: Undone, *, with_values: bool) -> Row:
    conflicts: list[Any] = [one.field for one in undone.conflicts]
    if with_values:
        conflicts = [
            {"field": one.field, "before": one.before, "loaded": one.loaded, "now": one.now}
            for one in undone.conflicts
        ]
    return {
        "action": undone.action.value,
        "module": undone.module,
        "id": undone.id,
        "fields": list(undone.fields),
        "conflicts": conflicts,
        "text": undone.text,
    }


def _summary(counts: Counter[Action], *, dry_run: bool) -> str:
    known = [f"{counts[action]:,} {action.value}" for action in Action if counts[action]]
    text = ", ".join(known) or "the load has written nothing"
    return f"Dry run, nothing was written: {text}" if dry_run else f"Undo: {text}"
