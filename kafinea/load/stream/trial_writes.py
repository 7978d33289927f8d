"""Trial writes: the first record of a kind is written alone and checked before the others.

What a server does to the records it is sent depends on the user's preferences and on the fields.
So the first creation of a stream, and the first update that changes a field which none has changed
before, are written while all others of their kind wait. What they show holds for those. So is the
first write for each owner: sharing rules may hide the records of others from this user.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition
from typing import Any

from kafinea.load.results import Rejected

_BAD_IN_A_ROW = 3
"""So many creations whose keys were altered, and none that was not: the server does it to all."""

_OWNER = "assigned_user_id"


def owner_in(values: Mapping[str, Any]) -> set[str]:
    """Return the feature of a write that it gives the record to this owner, if it does."""
    return {f"{_OWNER} {owner}"} if (owner := values.get(_OWNER)) else set()


@dataclass
class Trial:
    """One write.

    Attributes:
        unproven: The features that no write before was sound with; others wait for it, if it has
            any.
        has_waited: Whether it had to wait, so that what was read before may be old.
        is_sound: Set by who writes: whether it was looked at, and is as it was meant to be.
    """

    unproven: AbstractSet[str]
    has_waited: bool = False
    is_sound: bool = False

    @property
    def is_first(self) -> bool:
        """Whether it is the first of its kind."""
        return bool(self.unproven)


class TrialWrites:
    """Lets writes of one kind through: alone until they are known to be sound, then freely.

    Threads share it.
    """

    def __init__(self) -> None:
        self._sound: set[str] = set()
        self._is_trying = False
        self._stopped: tuple[str, str] | None = None  # code and message
        self._bad_in_a_row = 0
        self._changed = Condition()

    @contextmanager
    def trying(self, features: Collection[str]) -> Iterator[Trial]:
        """Write in the block, once it may begin.

        Args:
            features: What a write must have been sound with before: the fields that it changes,
                and what it exposes besides.

        Raises:
            Rejected: Writes of this kind were stopped.
        """
        with self._changed:
            has_waited = not self._may_begin(features)
            self._changed.wait_for(lambda: self._may_begin(features))
            self.check()
            trial = Trial({*features} - self._sound, has_waited)
            self._is_trying = self._is_trying or trial.is_first
        try:
            yield trial
        finally:
            with self._changed:
                if trial.is_sound:
                    self._sound.update(features)
                    self._bad_in_a_row = 0
                if trial.is_first:
                    self._is_trying = False
                self._changed.notify_all()

    def stop(self, code: str, text: str) -> None:
        """Let no further write of this kind through; they are rejected as this says."""
        with self._changed:
            self._stopped = self._stopped or (code, text)
            self._changed.notify_all()

    def check(self) -> None:
        """Check that writes of this kind go on.

        Raises:
            Rejected: They were stopped.
        """
        if self._stopped:
            raise Rejected(*self._stopped)

    def note_bad(self, code: str, text: str) -> None:
        """Note a write that was undone; when a few in a row were, stop."""
        with self._changed:
            self._bad_in_a_row += 1
            is_too_many = self._bad_in_a_row >= _BAD_IN_A_ROW
        if is_too_many:
            self.stop(code, text)

    def _may_begin(self, features: Collection[str]) -> bool:
        return bool(self._stopped or self._sound.issuperset(features) or not self._is_trying)
