"""Errors that reject one record instead of stopping the run: unexpected errors, server failures.

Errors that are handled elsewhere pass through: `Rejected`, `KafineaError`, and `OSError`, which is
of this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TypeVar

from kafinea.client import Client
from kafinea.errors import KafineaError, Unavailable
from kafinea.load.results import Rejected, rejection_of
from kafinea.shown import place_of

Item = TypeVar("Item")
Made = TypeVar("Made")


class _Guard:
    __slots__ = ("_is_sent",)

    def __init__(self, *, is_sent: bool) -> None:
        self._is_sent = is_sent

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if not isinstance(error, Exception) or isinstance(error, (Rejected, KafineaError, OSError)):
            return
        place = f"{place_of(error)}. Please report this as a bug"
        if self._is_sent:
            text = f"internal error after the record was sent, so it may be written: {place}"
            raise Rejected("UNKNOWN_OUTCOME", text) from None
        text = f"internal error before the record was sent: {place}"
        raise Rejected("INTERNAL_ERROR", text) from None


_NOT_SENT = _Guard(is_sent=False)
_SENT = _Guard(is_sent=True)


def reject_unforeseen(*, is_sent: bool = False) -> _Guard:
    """Return a context that rejects the record at hand for an error that no code expects.

    So a mistake in this package costs the record at which it shows, and no other.

    Args:
        is_sent: Whether something of the record was sent before, so that it may be written.

    Raises:
        Rejected: In the block, there was such an error.
    """
    return _SENT if is_sent else _NOT_SENT


def together_or_alone(
    step: Callable[[Sequence[Item]], list[Made]],
    items: Sequence[Item],
    alone: Callable[[Item, Rejected], Made],
) -> list[Made]:
    """Do a step for many records together; where that fails unforeseen, for each alone.

    Args:
        step: Takes records and returns what it made of each.
        items: The records.
        alone: Returns what becomes of the record at which the step fails.
    """
    try:
        with reject_unforeseen():
            return step(items)
    except Rejected:
        return [_done_alone(step, item, alone) for item in items]


def _done_alone(
    step: Callable[[Sequence[Item]], list[Made]],
    item: Item,
    alone: Callable[[Item, Rejected], Made],
) -> Made:
    try:
        with reject_unforeseen():
            (made,) = step([item])
    except Rejected as error:
        return alone(item, error)
    return made


@contextmanager
def reject_unavailable(client: Client, record_id: str | None = None) -> Iterator[None]:
    """Reject the record at hand when the server fails at it and answers a cheap request.

    A server that fails at this record and not at others must not stop at it in every run.

    Args:
        client: The instance.
        record_id: The Kafinea id of the record, where it is known.

    Raises:
        Rejected: It fails at this record.
        Unavailable: The server is down.
    """
    try:
        yield
    except Unavailable as error:
        if error.nothing_done:
            raise
        client.listtypes()
        raise Rejected.of(rejection_of(error, id=record_id)) from None
