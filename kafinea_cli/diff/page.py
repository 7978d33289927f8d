"""The changes as one HTML page, which needs no network and runs no script."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files
from string import Template

from kafinea.shown import LONGEST_LINE, shown
from kafinea_cli.diff.grouping import OUTCOMES, Example, Group, StreamGroups
from kafinea_cli.diff.reading import About
from kafinea_cli.diff.wording import hint, left_out, name_of, records, title


def page(about: About, streams: Sequence[StreamGroups]) -> str:
    """Return the page of the changes.

    Args:
        about: What they are of.
        streams: The changes of each stream.
    """
    css = _template("page.css")
    content = [_summary(streams), *(_stream(stream) for stream in streams if stream.groups)]
    return Template(_template("page.html")).substitute(
        policy=f"default-src 'none'; style-src '{_digest(css)}'; base-uri 'none'",
        css=css,
        title=escape(title(about)),
        where=_text(about.where),
        content="\n".join(content),
        hint=_text(hint(about)),
    )


def _summary(streams: Iterable[StreamGroups]) -> str:
    heads = "".join(f'<th class="number">{name.capitalize()}</th>' for name in OUTCOMES)
    rows = "\n".join(
        f"<tr><td>{_text(name_of(stream))}</td>{''.join(map(_number, _counts(stream)))}</tr>"
        for stream in streams
    )
    head = f"<thead><tr><th>Stream</th>{heads}</tr></thead>"
    return f'<div class="summary"><table>{head}<tbody>\n{rows}\n</tbody></table></div>'


def _counts(stream: StreamGroups) -> Iterator[int]:
    return (stream.counts[name] for name in OUTCOMES)


def _number(count: int) -> str:
    kind = "number" if count else "number zero"
    return f'<td class="{kind}">{count:,}</td>'


def _stream(stream: StreamGroups) -> str:
    parts = [f"<h2>{_text(name_of(stream))}</h2>", *map(_group, stream.groups)]
    if stream.left_out:
        parts.append(f'<p class="more">{_text(left_out(stream))}</p>')
    return "\n".join(parts)


def _group(group: Group) -> str:
    more = group.count - len(group.examples)
    rest = f'\n<p class="more">and {more:,} more</p>' if more else ""
    return (
        f'<section class="{group.kind}"><h3>{_heading(group)}'
        f'<span class="count">{records(group.count)}</span></h3>\n'
        f"{_examples(group.examples)}{rest}</section>"
    )


def _examples(examples: Sequence[Example]) -> str:
    """Return a table of the examples; a list of keys, if there is no more to say of them."""
    if not any(example.old or example.text for example in examples):
        items = "\n".join(
            f'<li>{_text(example.key)} <span class="id">{_text(example.id)}</span></li>'
            for example in examples
        )
        return f"<ul>\n{items}\n</ul>"
    rows = "\n".join(map(_example, examples))
    return f"<table><tbody>\n{rows}\n</tbody></table>"


def _heading(group: Group) -> str:
    if group.kind != "updated":
        code = f" {_text(group.name)}" if group.name else ""
        return f"<b>{group.kind.capitalize()}</b>{code}"
    return f"<b>{_text(group.name)}</b> <span>{_change(group.old, group.new)}</span>"


def _example(example: Example) -> str:
    change = _change(example.old, example.new) if example.old else _text(example.text)
    return (
        f'<tr><td class="key">{_text(example.key)}</td><td class="id">{_text(example.id)}</td>'
        f"<td>{change}</td></tr>"
    )


def _change(old: str, new: str) -> str:
    return f"<del>{_text(old)}</del> → <ins>{_text(new)}</ins>"


def _text(text: str) -> str:
    """Return a text that cannot be anything else, nor turn the direction of what is around it."""
    return f"<bdi>{escape(shown(text, LONGEST_LINE))}</bdi>" if text else ""


def _digest(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _template(name: str) -> str:
    return files("kafinea_cli.diff").joinpath(f"template/{name}").read_text("utf-8")
