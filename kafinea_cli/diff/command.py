"""The command `kafinea diff`."""

from __future__ import annotations

from pathlib import Path

import click

from kafinea_cli.output import Format, Output

_GROUPS = 10
_EXAMPLES = 3
_EXAMPLES_OF_A_PAGE = 10


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page to this file instead, for whoever approves the plan.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=_GROUPS,
    show_default=True,
    help="Maximum number of groups of changes of each stream. 0: all.",
)
def diff(file: Path, html: Path | None, limit: int) -> None:
    """Show what a load changes.

    It shows the old and the new values, in groups, the largest first.

    FILE is a plan, which a dry run with `plan_path` has written, or a load report
    (`outcomes_path`), of which the last run is shown.

    \b
    Examples:
      kafinea diff plan.jsonl
      kafinea diff plan.jsonl --html plan.html
    """  # noqa: D301 click keeps the lines behind the character \b
    from kafinea_cli.diff.grouping import grouped  # noqa: PLC0415 so that --help is quick
    from kafinea_cli.diff.reading import Source  # noqa: PLC0415

    source = Source(file)
    streams = grouped(source, limit, _EXAMPLES_OF_A_PAGE if html else _EXAMPLES)
    if html is None:
        from kafinea_cli.diff.terminal import show  # noqa: PLC0415

        show(Output(Format.TABLE), source.about, streams)
        return
    from kafinea_cli.diff.page import page  # noqa: PLC0415
    from kafinea_cli.files import whole  # noqa: PLC0415

    with whole(html) as out:
        out.write(page(source.about, streams).encode())
    click.echo(f"Wrote {html}. It contains values of records: only you can read it.")
