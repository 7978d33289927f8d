"""The data model as Markdown: a table of the fields of each module."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kafinea_cli.model.document import Document, Field, Module

_NAME = re.compile(r"[\w ]+", re.ASCII)
_OF_MARKDOWN = re.compile(r"[\\`*_\[\]]")
_OF_HTML = re.compile(r"[<>&|~$]")
"""Also what ends a cell, and what only some dialects of Markdown know."""


def markdown(model: Document) -> str:
    """Return the document as Markdown."""
    sections = [line for module in model["modules"] for line in _section(module)]
    return "\n".join([f"# Data model of {_plain(model['instance'])}", "", *sections])


def _section(module: Module) -> Iterator[str]:
    yield f"## {_plain(module['label'])} ({_code(module['name'])})"
    yield ""
    yield "| Field | Name | Type | Mandatory | Refers to | Values |"
    yield "|---|---|---|---|---|---|"
    for field in module["fields"]:
        yield f"| {' | '.join(_cells(field))} |"
    yield ""


def _cells(field: Field) -> tuple[str, ...]:
    return (
        _plain(field["label"]),
        _code(field["name"]),
        _code(field["type"]),
        "yes" if field["mandatory"] else "",
        ", ".join(map(_code, field["refers_to"])),
        ", ".join(_plain(value["value"]) for value in field["values"]),
    )


def _code(name: str) -> str:
    return f"`{name}`" if _NAME.fullmatch(name) else _plain(name)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    escaped = _OF_MARKDOWN.sub(r"\\\g<0>", " ".join(text.split()))
    return _OF_HTML.sub(lambda match: f"&#{ord(match[0])};", escaped)
