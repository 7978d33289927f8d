"""Creating records, also where a server stores one with another key and then fails.

To a look-up by its key there is no such record, so each try would make one more. It is found by
its other values, among the records that are newer than all that were there before it was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from kafinea.client import Client, Record
from kafinea.errors import IncompleteRead, Refused
from kafinea.load.plan import LoadPlan
from kafinea.load.rejecting import reject_unavailable
from kafinea.load.results import Rejected
from kafinea.load.server.behavior import ServerBehavior
from kafinea.load.writing.new_records import Sought, find_new, highest_number
from kafinea.load.writing.record_writer import Created, Find, Lines, MayExist, RecordWriter
from kafinea.page_query import number


@dataclass(eq=False)
class _Attempt:
    """A creation that is under way.

    Attributes:
        module: The module's name.
        sought: What is sent, and which ids are older; None if that is unknown.
        known: The records that other creations have made meanwhile.
    """

    module: str
    sought: Sought | None
    known: set[str] = field(default_factory=set)


class RecordCreator:
    """Creates the records of a run. Threads share it.

    Args:
        server: What is known of the server.
    """

    def __init__(self, server: ServerBehavior) -> None:
        self._server = server
        self._highest: dict[str, int | None] = {}  # number of an id, by module
        self._under_way: list[_Attempt] = []
        self._lock = Lock()

    def create(
        self,
        session: Client,
        plan: LoadPlan,
        values: Mapping[str, Any],
        lines: Lines | None,
        find: Find | None,
    ) -> Created:
        """Create a record, once; see `RecordWriter.create`.

        Args:
            session: The session in which it is sent.
            plan: How it goes into its module.
            values: Wire values by field name.
            lines: Its lines, if it has any.
            find: Looks it up by its key; None if it has no key.

        Raises:
            Rejected: The server refused it, or it is not known whether it exists.
        """
        above = self._highest_in(session, plan.module.name) if find else None
        sent = {name: value for name, value in values.items() if value is not None}
        attempt = _Attempt(plan.module.name, None if above is None else Sought(sent, above))

        def find_lost() -> Record | None:
            try:
                found = find and find()
            except Rejected:  # another one has its key by now: this one is known by its values
                with suppress(Rejected):
                    if made := self._found(session, plan, attempt):
                        return made
                raise
            return found or self._found(session, plan, attempt)

        with self._lock:
            self._under_way.append(attempt)
        try:
            writer = RecordWriter(session, plan, self._server)
            created = writer.create(values, lines, find and find_lost)
            self._note(plan.module.name, created.record["id"])
            return created
        finally:
            with self._lock:
                self._under_way.remove(attempt)

    def _highest_in(self, session: Client, module: str) -> int | None:
        """Return the highest number of an id that the run knows of in a module, if it knows one."""
        if module not in self._highest:
            self._highest.setdefault(module, _highest_number(session, module))
        return self._highest[module]

    def _note(self, module: str, record_id: str) -> None:
        with self._lock:
            if (highest := self._highest.get(module)) is not None:
                self._highest[module] = max(highest, number(record_id))
            for attempt in self._under_way:
                attempt.known.add(record_id)

    def _found(self, session: Client, plan: LoadPlan, attempt: _Attempt) -> Record | None:
        """Return the record that a creation has made; None if it has made none.

        Raises:
            MayExist: That is not certain.
        """
        if attempt.sought is None:
            raise _may_exist("the server does not return its newest records")
        with self._lock:
            beside = [one.sought for one in self._under_way if one.module == attempt.module]
        others = [one for one in beside if one and one is not attempt.sought]
        try:
            own, *theirs = find_new(session, plan.module, [attempt.sought, *others], attempt.known)
            if not own.all:
                return None
            if len(own.all) == 1 and not any({*own.all} & {*one.all} for one in theirs):
                record, user = session.retrieve(own.all[0]), session.user_id()
                if record.get("modifiedby", user) == user:
                    return record
        except (Refused, IncompleteRead) as error:
            raise _may_exist(str(error)) from None
        text = f"the record may exist with another key, as {', '.join(own.all)}"
        raise _may_exist(text, id=own.all[0])


def _may_exist(text: str, id: str | None = None) -> MayExist:
    lost = "the response was lost, and the record was not sent again"
    return MayExist("UNKNOWN_OUTCOME", f"{lost}: {text}", id=id)


def _highest_number(session: Client, module: str) -> int | None:
    """Return the highest number of an id in a module; None if the server does not tell it."""
    try:
        with reject_unavailable(session):
            return highest_number(session.query, module)
    except (Rejected, Refused, IncompleteRead):
        return None
