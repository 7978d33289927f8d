"""The changes on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kafinea_cli.diff.grouping import OUTCOMES, Example, Group, StreamGroups
from kafinea_cli.diff.reading import About
from kafinea_cli.diff.wording import hint, left_out, name_of, title
from kafinea_cli.output import Column, Output

_OLD, _NEW, _QUIET = "red", "green", "dim"
_STYLES = {"deleted": "bold red", "created": "bold green", "rejected": "bold yellow"}


def show(output: Output, about: About, streams: Sequence[StreamGroups]) -> None:
    """Write the changes.

    Args:
        output: The terminal.
        about: What they are of.
        streams: The changes of each stream.
    """
    output.line(title(about), "bold")
    if about.where:
        output.line(about.where)
    output.line()
    columns = [Column(name, name.capitalize(), right=True) for name in OUTCOMES]
    rows = [
        {"name": name_of(one), **{name: f"{one.counts[name]:,}" for name in OUTCOMES}}
        for one in streams
    ]
    output.rows(rows, [Column("name", "Stream", is_name=True), *columns])
    for stream in streams:
        _show_stream(output, stream)
    output.line()
    output.line(hint(about))


def _show_stream(output: Output, stream: StreamGroups) -> None:
    if not stream.groups:
        return
    output.line()
    output.line(name_of(stream), "bold")
    width = max(len(f"{group.count:,}") for group in stream.groups)
    for group in stream.groups:
        noun = "record " if group.count == 1 else "records"
        output.pieces((f"  {group.count:>{width},} {noun}  ", ""), *_heading(group))
        indent = (" " * (width + len(noun) + 7), "")
        for example in group.examples:
            output.pieces(indent, *_example(group, example))
        if group.count > len(group.examples):
            output.pieces(indent, ("...", _QUIET))
    if stream.left_out:
        output.line(f"  {left_out(stream)} `--limit 0` shows them.")


def _heading(group: Group) -> Iterable[tuple[str, str]]:
    if group.kind == "updated":
        yield f"{group.name}: ", "bold"
        yield group.old, _OLD
        yield " → ", ""
        yield group.new, _NEW
        return
    yield group.kind, _STYLES[group.kind]
    if group.name:
        yield f": {group.name}", ""


def _example(group: Group, example: Example) -> Iterable[tuple[str, str]]:
    yield example.key, ""
    if example.id:
        yield f"  {example.id}", _QUIET
    if example.old:
        yield "  ", ""
        yield example.old, _OLD
        yield " → ", ""
        yield example.new, _NEW
    if example.text and group.kind == "rejected":
        yield f"  {example.text}", ""
    elif example.text:
        yield f"  {example.text}", _QUIET
