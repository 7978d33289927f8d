"""The plan that a run applies: which writes it allows, and which were done by an earlier try.

A record of the input is known by the digest of what is loaded of it. Its line in the plan says
which write it leads to. If it would lead to another one, Kafinea is not as it was, and the record
is rejected. The exception is what the plan itself has brought about: when a run that was killed is
started again, a record may hold what a later line of the plan gave it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from threading import Lock
from typing import Any

from kafinea.client import Client
from kafinea.errors import KafineaError, SettingsError
from kafinea.load.approval.changes import PARTS, Change
from kafinea.load.approval.inputs import record_digest, reference_digest
from kafinea.load.approval.intended_writes import IntendedWrite, difference
from kafinea.load.approval.new_ids import NewIds
from kafinea.load.approval.plan_lines import PlanLine, encoder
from kafinea.load.approval.plan_reader import PlanReader
from kafinea.load.approval.plan_writer import SETTING
from kafinea.load.approval.settings import differing
from kafinea.load.approval.stored_values import StoredValues
from kafinea.load.lookup.keys import KeyValues
from kafinea.load.plan import Key
from kafinea.load.results import CHANGED_SINCE, Rejected, Status

logger = logging.getLogger(__name__)

NOT_IN_PLAN = "NOT_IN_PLAN"

_WRITES = frozenset({Status.CREATED.value, Status.UPDATED.value, Status.DELETED.value})
_WHERE = f"`{SETTING}` (TARGET_KAFINEA_{SETTING.upper()})"
_INDEXED = 16  # characters of a digest: 64 bits tell the lines of a file apart


class PlanNotReached(KafineaError):
    """The run fails: the input has not brought all that the approved plan contains."""

    is_final = True


class ApprovedPlan:
    """Allows the writes of a plan. Threads share it.

    Args:
        path: Where it is.
        client: The instance.
        settings: The settings that decide what is written.

    Raises:
        SettingsError: It is not complete, or not for this instance and these settings.
    """

    def __init__(self, path: str, client: Client, settings: dict[str, Any]) -> None:
        self._places: dict[int, list[int] | int] = {}  # by digest
        self._of_target: dict[str, list[int] | int] = {}  # by id
        self._after_deletion: dict[bytes, list[int] | int] = {}  # by key, what is created then
        self._planned: Counter[int] = Counter()  # writes by digest
        self._creations: Counter[int] = Counter()  # that may still be sent, by digest
        self._new_ids = NewIds()
        self._lock = Lock()
        self._reader = PlanReader(path, _WHERE, self._index)
        try:
            self._check_header(client, settings)
        except SettingsError:
            self.close()
            raise

        self._writes = self._planned.total()
        logger.info("Applying the plan of %s: %s writes.", self._reader.header.time, self._writes)

    def allows(self, write: IntendedWrite, values: StoredValues) -> bool:
        """Return whether a write is to be sent; False if an earlier try has done it.

        Args:
            write: The write.
            values: Compares the values of its module.

        Raises:
            Rejected: The plan does not contain it.
        """
        lines = list(self._lines_of(write.digest))
        if not lines:
            text = "not written: the plan does not contain the record as the input has it"
            raise Rejected(NOT_IN_PLAN, text, id=write.id)
        for place, line in lines:
            if self._is_planned(place, line, write, values):
                self._count(write)
                return True
        if any(self._is_done(place, line, write, values) for place, line in lines):
            return False
        text = f"not written: {difference(lines[0][1], write, self._new_ids.match)}"
        raise Rejected(CHANGED_SINCE, f"{text}. Do the dry run again", id=write.id)

    def _count(self, write: IntendedWrite) -> None:
        """Count a creation: a record without a key is created as often as it comes.

        Raises:
            Rejected: It comes more often than in the plan.
        """
        if write.status is not Status.CREATED:
            return
        slot = _slot(write.digest)
        with self._lock:
            self._creations[slot] -= 1
            if self._creations[slot] < 0:
                text = "not written: the input has the record more often than the plan creates it"
                raise Rejected(NOT_IN_PLAN, text)

    def check_part(
        self,
        digests: Sequence[str],
        name: str,
        value: Any,
        *,
        is_missing: bool,
        before: str | None = None,
    ) -> None:
        """Check what goes with a record besides its values: a file, a link, a pair.

        Args:
            digests: The digests of the records that bring it, as they came.
            name: What it is.
            value: What says which one.
            is_missing: Whether Kafinea lacks it, so that it is about to be sent.
            before: What Kafinea has in its place.

        Raises:
            Rejected: The plan does not contain it.
        """
        lines = [line for one in digests for _, line in self._lines_of(one)]
        if not lines and is_missing:
            text = "not written: the plan does not contain the record as the input has it"
            raise Rejected(NOT_IN_PLAN, text)
        planned = [
            (line.before.get(name), one)
            for line in lines
            if name in line.after
            for one in _as_list(line.after[name])
        ]
        found = [earlier for earlier, one in planned if self._new_ids.match(one, value)]
        if found and is_missing and before not in found:
            text = f"not written: {name} was changed in Kafinea since the plan was made"
            raise Rejected(CHANGED_SINCE, f"{text}. Do the dry run again")
        if found:
            return
        if planned:
            raise Rejected(NOT_IN_PLAN, f"not written: {name} is not that of the plan")
        if is_missing:
            text = f"not written: {name} was there when the plan was made, and is not now"
            raise Rejected(CHANGED_SINCE, f"{text}. Do the dry run again")

    def check_reference(self, key: Key, values: KeyValues, after: Mapping[str, Any]) -> None:
        """Check that a record may be created because others refer to it.

        Raises:
            Rejected: The plan does not contain it.
        """
        for _, line in self._lines_of(reference_digest(key, values)):
            if self._new_ids.match(line.after, after):
                return
        text = f"the plan does not create this record of {key.module.name}, to which it refers"
        raise Rejected(NOT_IN_PLAN, f"not written: {text}")

    def note_created(self, digest: str, record_id: str) -> None:
        """Note the id of a record that was created, to which later lines of the plan refer."""
        for _, line in self._lines_of(digest):
            if line.outcome == Status.CREATED.value and line.id:
                self._new_ids.note_created(line.id, record_id)

    def note_reference(self, key: Key, values: KeyValues, record_id: str) -> None:
        """Note the id of a record that was created because others refer to it."""
        self.note_created(reference_digest(key, values), record_id)

    def note_result(self, digest: str) -> None:
        """Note that the input has brought a record."""
        with self._lock:
            slot = _slot(digest)
            if slot in self._planned:
                self._planned[slot] -= 1

    def check_complete(self) -> None:
        """Check, at the end of the input, that it has brought all records that the plan writes.

        Raises:
            PlanNotReached: It has not.
        """
        if missing := sum(count for count in self._planned.values() if count > 0):
            logger.warning(
                "The input did not bring %s of the %s writes of the plan.",
                f"{missing:,}",
                f"{self._writes:,}",
            )
            raise PlanNotReached(
                "The plan was not applied as a whole, because the input has changed since. What "
                "the input brought is loaded. Do the dry run again for the rest."
            )

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    # Reading

    def _index(self, line: PlanLine, place: int) -> None:
        slot = _slot(line.input)
        _put(self._places, slot, place)
        if line.id:
            _put(self._of_target, line.id, place)
        if line.outcome == Status.CREATED.value and line.id:
            self._new_ids.add(line.id)
        is_absent = line.outcome == Status.UNCHANGED.value and line.id is None
        if is_absent or line.outcome == Status.DELETED.value:
            self._after_deletion.setdefault(_key(line), [])
        elif line.outcome == Status.CREATED.value and _key(line) in self._after_deletion:
            _put(self._after_deletion, _key(line), place)
        if line.outcome in _WRITES and line.stream is not None:
            self._planned[slot] += 1
            if line.outcome == Status.CREATED.value:
                self._creations[slot] += 1

    def _check_header(self, client: Client, settings: dict[str, Any]) -> None:
        header = self._reader.header
        if header.instance != client.url:
            text = f"the plan is for {header.instance}, and this run loads into {client.url}"
        elif header.username != client.username:
            text = f"the plan was made by the user {header.username!r}, not {client.username!r}"
        elif names := differing(header.settings, settings):
            text = f"the plan was made with other settings: {', '.join(names)}"
        else:
            return
        raise SettingsError(f"{_WHERE}: {text}. Nothing was written. Do the dry run again.")

    def _lines_of(self, digest: str) -> Iterator[tuple[int, PlanLine]]:
        for place in _listed(self._places.get(_slot(digest))):
            line = self._reader.line_at(place)
            if line.input == digest:
                yield place, line

    # Comparing

    def _is_planned(
        self, place: int, line: PlanLine, write: IntendedWrite, values: StoredValues
    ) -> bool:
        """Whether a line of the plan is this write, and Kafinea is as it was."""
        if line.outcome != write.status.value:
            return False
        change = write.change
        if write.status is Status.CREATED:
            values_only = {name: one for name, one in line.after.items() if name not in PARTS}
            return self._new_ids.match(values_only, change.after)
        if not self._new_ids.match(line.id, write.id):
            return False
        earlier = [other for other in self._places_of(line) if other < place]
        is_earlier = bool(earlier)
        if write.status is Status.DELETED:
            if not is_earlier:
                return line.whole == record_digest(change.before)
            is_new = self._new_ids.is_created_now(line.id)
            if not is_new and line.rest != self._rest(earlier, change, values):
                return False
            names = set(change.before) & values.loaded
        else:
            names = set(change.after)
            for name in names:  # what else the plan changes has its new value already
                if name not in line.after:
                    return False
                if not self._new_ids.match(line.after[name], change.after[name]):
                    return False
        return all(
            self._new_ids.match(line.before.get(name), change.before.get(name))
            or (is_earlier and self._is_as_left(name, line, change, values))
            for name in names
        )

    def _rest(self, earlier: Sequence[int], change: Change, values: StoredValues) -> str:
        """Return the digest of what earlier lines about a record do not change."""
        lines = map(self._reader.line_at, earlier)
        updates = (one for one in lines if one.outcome == Status.UPDATED.value)
        return values.rest_digest(change.before, {name for one in updates for name in one.after})

    def _is_as_left(self, name: str, line: PlanLine, change: Change, values: StoredValues) -> bool:
        """Whether a stored value is what earlier lines of the plan have made of it.

        The server may write it otherwise than it was sent, and fill in what a new record lacks.
        """
        planned = line.before.get(name)
        if planned is None and self._new_ids.is_created_now(line.id):
            return True
        return self._is_stored(name, change.before.get(name), planned, values)

    def _is_stored(self, name: str, stored: Any, planned: Any, values: StoredValues) -> bool:
        return self._new_ids.match(planned, stored) or values.are_alike(
            name, stored, self._new_ids.real(planned)
        )

    def _is_done(
        self, place: int, line: PlanLine, write: IntendedWrite, values: StoredValues
    ) -> bool:
        """Whether a record holds what later lines of the plan gave it, so that this one is past."""
        again = self._created_again(place, line)
        places = [*self._places_of(line), *again]
        later = [self._reader.line_at(other) for other in places if other > place]
        if write.status is Status.CREATED:
            return any(other.outcome == Status.DELETED.value for other in later)
        if not (again or self._new_ids.match(line.id, write.id)):
            return False
        if write.status is Status.DELETED:
            return bool(again)
        return all(
            any(self._has_stored(other, name, stored, values) for other in later)
            for name, stored in write.change.before.items()
        )

    def _has_stored(self, line: PlanLine, name: str, stored: Any, values: StoredValues) -> bool:
        """Whether a value is what a line of the plan stores; what a creation lacks is empty."""
        if name in line.after or line.outcome == Status.CREATED.value:
            return self._is_stored(name, stored, line.after.get(name), values)
        return False

    def _created_again(self, place: int, line: PlanLine) -> list[int]:
        """Return the places of lines about a record that takes the place of a deleted one."""
        created = [one for one in _listed(self._after_deletion.get(_key(line))) if one > place]
        return [other for one in created for other in self._places_of(self._reader.line_at(one))]

    def _places_of(self, line: PlanLine) -> Sequence[int]:
        """Return the places of all lines about the record of a line."""
        return _listed(self._of_target.get(line.id or ""))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _key(line: PlanLine) -> bytes:
    return encoder.encode([line.stream, line.key])


def _slot(digest: str) -> int:
    return int(digest[:_INDEXED], 16)


def _put(index: dict[Any, list[int] | int], key: Any, place: int) -> None:
    """Add a place to those of a key: nearly all have one."""
    known = index.setdefault(key, place)
    if isinstance(known, list):
        known.append(place)
    elif known != place:
        index[key] = [known, place]


def _listed(places: list[int] | int | None) -> list[int]:
    if places is None:
        return []
    return places if isinstance(places, list) else [places]
