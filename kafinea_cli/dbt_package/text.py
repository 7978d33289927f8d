"""Foreign text in the files of a package: dbt renders SQL and YAML as Jinja templates."""

from __future__ import annotations

import re
from typing import Any

import yaml

_OPENING = re.compile(r"\{(?=[{%#])")


def literal(text: str) -> str:
    r"""Return the template that renders as a text. Jinja would read `\r\n` as `\n`."""
    return _OPENING.sub("{{ '{' }}", text).replace("\r", "{{ '\\r' }}")


def quoted(name: str) -> str:
    """Return the name of a column in SQL."""
    return f'"{identifier(name)}"'


def identifier(name: str) -> str:
    """Return the name of a column or table within quotes in SQL, without them."""
    return literal(name.replace('"', '""'))


def value(text: str) -> str:
    """Return a string within quotes in SQL, without them."""
    return literal(text.replace("'", "''"))


def string(text: str) -> str:
    """Return a string within an expression of Jinja."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def one_line(text: str) -> str:
    """Return a text as a description."""
    return literal(" ".join(text.split()))


def to_yaml(content: Any) -> str:
    """Return a YAML document."""
    return str(yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=100))
