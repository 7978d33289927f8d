"""How deep lists and objects nest: the SDK copies what it is given, and Python gives up at 500."""

from __future__ import annotations

from typing import Any


def is_deeper(value: Any, most: int) -> bool:
    """Whether lists and objects nest more than so many deep.

    Args:
        value: What was read of JSON.
        most: How many may stand within each other.
    """
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(most):
        inner = (item.values() if isinstance(item, dict) else item for item in level)
        level = [each for values in inner for each in values if isinstance(each, (dict, list))]
        if not level:
            return False
    return True
