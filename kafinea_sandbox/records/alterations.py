"""What a company's own handlers, or its database, do to a text while it is stored."""

from __future__ import annotations

import re
from collections.abc import Callable

_PLAIN: dict[str, Callable[[str], str]] = {
    "upper": str.upper,
    "trim": str.strip,
    "phone": lambda text: re.sub(r"[^\d+]", "", text),
    "drop4": lambda text: re.sub("[\U00010000-\U0010ffff]", "", text),
}


def altered(rule: str | None, text: str) -> str:
    """A text after a rule: `upper`, `trim`, `phone`, `drop4` (4-byte characters) or `cut:20`.

    Raises:
        ValueError: there is no such rule.
    """
    if rule is None:
        return text
    name, _, size = rule.partition(":")
    if name == "cut" and size.isdigit():
        return text[: int(size)]
    if name not in _PLAIN:
        raise ValueError(f"Unknown alteration: {rule}")
    return _PLAIN[name](text)
