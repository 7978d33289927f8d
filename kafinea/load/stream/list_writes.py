"""Adding records to related lists, and the proof that they are in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from kafinea.client import Client
from kafinea.errors import OutcomeUnknown, Refused
from kafinea.load.results import Rejection
from kafinea.load.writing.write_gate import WriteGate
from kafinea.related import RelatedList, related_ids

_TRIES = 3


class ListWrites(Protocol):
    """What adds records to a list. `ServerListWrites` does; a dry run has `SimulatedListWrites`."""

    def add(self, source: str, missing: Sequence[str]) -> dict[str, Rejection]:
        """Add records to the list of a source; return those that are not in it, and why."""

    def added(self, source: str, related: Iterable[str]) -> set[str]:
        """Return those of the records that were added to a list and that the server has not."""


class ServerListWrites:
    """Adds records to a related list on the server. Threads share it.

    Args:
        related_list: The list.
        gate: Gives sessions to write in.
    """

    def __init__(self, related_list: RelatedList, gate: WriteGate) -> None:
        self._list = related_list
        self._gate = gate

    def add(self, source: str, missing: Sequence[str]) -> dict[str, Rejection]:
        """Add records, and look whether they are in the list; see `ListWrites`."""
        failed: dict[str, Rejection] = {}
        adding = missing
        # The look-up in the same session is answered when all that was sent has ended.
        with self._gate.session() as session:
            for _ in range(_TRIES):
                failed |= {
                    related_id: self._add_one(session, source, related_id) for related_id in adding
                }
                there = set(related_ids(session, self._list, source, missing))
                failed = {
                    related_id: why for related_id, why in failed.items() if related_id not in there
                }
                adding = [
                    related_id
                    for related_id, why in failed.items()
                    if why.code == "UNKNOWN_OUTCOME"
                ]
                if not adding:
                    break
        return failed

    def added(self, source: str, related: Iterable[str]) -> set[str]:  # noqa: ARG002 as of `ListWrites`
        """Return nothing: the server has what was added."""
        return set()

    def _add_one(self, session: Client, source: str, related: str) -> Rejection:
        """Add a record to the list of a source; return what it means if it is not in it."""
        label = self._list.label
        try:
            session.add_related(source, label, related)
        except Refused as error:
            return Rejection(error.code, str(error))
        except OutcomeUnknown as error:
            text = f"{error} {related} is not in {label!r} of {source}."
            return Rejection("UNKNOWN_OUTCOME", text)
        return Rejection(
            "NOT_RELATED",
            f"the server reported success, but {related} is not in {label!r} of {source}. If the "
            "list depends on a field of the related records, load that field instead.",
        )
