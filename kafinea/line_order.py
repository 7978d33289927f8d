"""The order of the lines of a document. Servers give lines by their ids, which they reuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from kafinea.parsing import is_id, number_in, whole

Line = TypeVar("Line", bound=Mapping[str, Any])


def in_order(lines: Sequence[Line]) -> list[Line]:
    """Return the lines of one document in their order."""
    return sorted(lines, key=_place)


def _place(line: Mapping[str, Any]) -> tuple[int, int]:
    line_id: Any = line.get("id")  # what `retrieve` gives has none, or one of its own kind
    return whole(line.get("sequence_no")) or 0, number_in(line_id) if is_id(line_id) else 0
