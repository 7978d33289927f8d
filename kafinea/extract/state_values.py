"""What the values of a state may be: what is wrong is found before the first request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kafinea.parsing import is_id, local_time, moment

Check = Callable[[Any], bool]

_YEARS = range(1000, 9999)  # with room for the offsets and look-backs of all zones


def wrong_key(state: Mapping[str, Any], checks: Mapping[str, Check]) -> str | None:
    """Return the first key whose value fails its check, if there is one. Null is no value."""
    return next(
        (
            key
            for key, is_right in checks.items()
            if state.get(key) is not None and not is_right(state[key])
        ),
        None,
    )


def is_text(value: Any) -> bool:
    """Whether this is a string."""
    return isinstance(value, str)


def is_flag(value: Any) -> bool:
    """Whether this is true or false."""
    return isinstance(value, bool)


def is_moment(value: Any) -> bool:
    """Whether this is an ISO 8601 date-time."""
    try:
        return isinstance(value, str) and moment(value).year in _YEARS
    except ValueError:
        return False


def is_wire(value: Any) -> bool:
    """Whether this is a date-time as the server writes it."""
    try:
        return local_time(value).year in _YEARS
    except ValueError:
        return False


def are_ids(value: Any) -> bool:
    """Whether these are ids of records."""
    return isinstance(value, list) and all(map(is_id, value))


def below(limit: int) -> Check:
    """Return the check for an integer from 0 up to, and without, a limit."""
    return lambda value: type(value) is int and 0 <= value < limit
