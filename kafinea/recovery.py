"""Records that no answer of the server can hold, and what can be had of them all the same.

One text that is not UTF-8, or one owner that was removed, makes the server fail at each answer that
would show it (measured). Other fields of the record can be had.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from kafinea.client import Client, Record
from kafinea.dividing import Error, divided, may_lie_in_the_request
from kafinea.errors import IncompleteRead, KafineaError, Refused, Unavailable
from kafinea.page_query import is_there
from kafinea.query import Condition, select

logger = logging.getLogger(__name__)

_Asked = TypeVar("_Asked")

MOST_BAD = 500
"""Bad records of one reading, after which the module as a whole is at fault."""

_MANY = 3
"""Fields of one record at which the server seldom fails, unless it is away."""


@dataclass(frozen=True)
class BadRecord:
    """A record that the server counts and cannot give whole.

    Attributes:
        id: Its id.
        fields: Those that could not be had and are null; None if nothing of the record could.
        reason: The answer of the server.
    """

    id: str
    fields: tuple[str, ...] | None
    reason: str

    def __str__(self) -> str:
        """Return what is wrong, in a sentence."""
        if not self.fields:
            return f"{self.id} could not be read: {self.reason}"
        are = "are" if len(self.fields) > 1 else "is"
        return f"{self.id} is incomplete, {', '.join(self.fields)} {are} null: {self.reason}"


class Recovery:
    """Gets what can be had of the records of a module at which the server fails.

    Args:
        client: The instance.
        module: The module's name.

    Attributes:
        failed: The records that could not be had whole.
    """

    def __init__(self, client: Client, module: str) -> None:
        self.failed: list[BadRecord] = []
        self._patient, self._client = client, client.giving_up_after(1)
        self._module = module
        self._missing: tuple[str, ...] = ()
        self._met = 0

    def read(self, record_id: str, columns: Sequence[str], error: Error) -> Record | None:
        """Return what can be had of a record; None if nothing can.

        Args:
            record_id: The record.
            columns: The fields to get; `*` for what `retrieve` gives.
            error: The answer of the server to the request for the record.

        Raises:
            IncompleteRead: It is one too many.
            Unavailable: The server is away.
        """
        self.meet(record_id, error)
        names = [name for name in columns if name != "id"]
        if not names:
            return {"id": record_id}
        if record := self._answer(self._retrieved, record_id):
            return record
        record, missing = {"id": record_id}, tuple(names)
        for _ in range(2):
            if not self._is_shown(record_id):
                break
            asked = [name for name in missing if name != "*"]
            record |= self._in_parts(record_id, asked)
            missing = tuple(name for name in names if name not in record)
            if len(missing) < _MANY or missing == self._missing:
                break  # else the server may have been away in between
        if not missing:
            return record
        if len(record) == 1 and not is_there(self._patient.query, self._module, record_id):
            return None  # deleted meanwhile
        self._missing = missing
        is_lost = len(record) == 1
        self.fail(BadRecord(record_id, None if is_lost else missing, str(error)))
        return None if is_lost else record

    @property
    def has_lost(self) -> bool:
        """Whether nothing at all could be had of some record."""
        return any(bad.fields is None for bad in self.failed)

    def has_failed(self, record_id: str) -> bool:
        """Whether a record could not be had whole."""
        return any(bad.id == record_id for bad in self.failed)

    def fail(self, bad: BadRecord) -> None:
        """Take note of a record that could not be had whole."""
        is_logged = any((bad.id, bad.fields) == (known.id, known.fields) for known in self.failed)
        self.failed.append(bad)
        if not is_logged:
            logger.warning("%s: %s", self._module, bad)

    def meet(self, record_id: str, error: KafineaError) -> None:
        """Count a record at which the server failed.

        Raises:
            IncompleteRead: It is one too many.
        """
        self._met += 1
        if self._met > MOST_BAD:
            raise IncompleteRead(
                f"{self._module}: the server failed at {MOST_BAD} records, so extraction of the "
                f"module stopped before {record_id}. Check the server's log, or one of these "
                f"records: {error}"
            )

    def _in_parts(self, record_id: str, names: Sequence[str]) -> Record:
        """Return the fields that queries give."""

        def fields(some: Sequence[str], _: int = 1) -> Record:
            return self._queried(record_id, some)

        # Records that are alike, such as those of one owner, fail at the same fields.
        good = [name for name in names if name not in self._missing]
        if self._missing and good and (record := self._answer(fields, good)):
            return record
        parts, _ = divided(names, fields, lambda: None)
        return {name: value for _, some in parts for name, value in some.items()}

    def _is_shown(self, record_id: str) -> bool:
        """Whether a query gives at least the id, now or when the server is there again."""

        def shown(one: str) -> Record:
            return self._queried(one, ["id"])

        if self._answer(shown, record_id):
            return True
        is_counted = is_there(self._patient.query, self._module, record_id)
        return is_counted and bool(self._answer(shown, record_id))

    def _queried(self, record_id: str, columns: Sequence[str]) -> Record:
        where = [Condition("id", "=", record_id)]
        rows = self._client.query(select(self._module, columns, where=where))
        return rows[0] if rows and rows[0].get("id") == record_id else {}

    def _retrieved(self, record_id: str) -> Record:
        return self._client.retrieve(record_id)

    def _answer(self, ask: Callable[[_Asked], Record], what: _Asked) -> Record | None:
        """Return an answer; None if the server fails at it or refuses it.

        Raises:
            Unavailable: The server is away.
        """
        try:
            return ask(what)
        except (Refused, Unavailable) as error:
            if isinstance(error, Unavailable) and not may_lie_in_the_request(error):
                raise
            return None
