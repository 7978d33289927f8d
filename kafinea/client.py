"""The client: one method for each documented operation.

Files have a module of their own, `kafinea.files`; so has the undocumented operation `sync`,
`kafinea.deletion_feed`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from kafinea import describe, envelope
from kafinea.caller import Caller
from kafinea.errors import (
    NO_OPERATION,
    PERHAPS_PASSING,
    Code,
    OutcomeUnknown,
    Refused,
    Unavailable,
)
from kafinea.line_order import in_order
from kafinea.module_reader import ModuleReader
from kafinea.parsing import are_ids, is_id, members, prefix_of, wrong
from kafinea.query import AnyOf, Condition, Query, as_query
from kafinea.shown import shown

Record = dict[str, Any]
"""A record as the wire has it: texts as a rule; `retrieve` also gives numbers, nulls and lists."""

_NO_ID = ("", None)

_LONGEST_REFUSAL = 30  # seconds; it reads nothing that is stored


class Client(Caller):
    """A Kafinea instance, as one of its users: `Caller` has the arguments and the sessions."""

    # Discovery

    def listtypes(self, field_types: Sequence[str] = ()) -> dict[str, describe.ModuleInfo]:
        """Return the modules this user can use, by name.

        Args:
            field_types: Only modules that have a field of one of these types.

        Raises:
            WrongAnswer: The server answers with no list of modules.
        """
        parameters = {"fieldTypeList": json.dumps(list(field_types))} if field_types else {}
        return describe.modules(self.call("GET", "listtypes", parameters))

    def _describe(self, module: str) -> describe.Module:
        parameters = {"elementType": module}
        try:
            answer = self.call("GET", "describe", parameters, of=module)
        except Refused as error:
            if error.code not in PERHAPS_PASSING:
                raise
            # Nobody may take that for a module that this user may not use.
            raise Unavailable(str(error)) from None
        described = describe.module(answer, module)
        self.requests.learn(module, described.id_prefix)
        return described

    def describe(self, module: str) -> describe.Module:
        """Return a module and its fields.

        Raises:
            Refused: There is no such module for this user. Case matters.
            Unavailable: The server fails.
            WrongAnswer: The server answers with no description of it.
        """
        described = self._describe(module)
        if described.may_have_lines and module in self._modules_with_lines:
            return replace(described, named_by_lines=True)
        return described

    @cached_property
    def _modules_with_lines(self) -> tuple[str, ...]:
        """The modules that the module of the lines names; none where there is no such module."""
        try:
            parent = self._describe(describe.LINE_MODULE).fields.get("parent_id")
        except Refused:
            return ()
        return parent.refers_to if parent else ()

    def relatedtypes(self, module: str) -> dict[str, str] | None:
        """Return the related lists of a module: the module of each, by the label of the list.

        Kafinea does not document this operation, and not all servers of the family have it.

        Returns:
            None when the server has no such operation.

        Raises:
            Refused: There is no such module for this user.
        """
        parameters = {"elementType": module}
        try:
            # A server without the operation fails as by a mistake of its own.
            client = self.giving_up_after(2)
            answer = client.call("GET", "relatedtypes", parameters, of=module)
        except Refused as error:
            if error.code != Code.UNKNOWN_OPERATION:
                raise
            return None
        except Unavailable as error:
            if error.busy or error.nothing_done:
                raise
            return None
        return describe.related_lists(answer, module)

    # Reading

    def retrieve(self, id: str) -> Record:
        """Return one record by its id, with its lines if it has any.

        Raises:
            Refused: There is no such record for this user.
            WrongAnswer: The answer contains no record, or another record.
        """
        answer = self.call("GET", "retrieve", {"id": id})
        if not isinstance(answer, dict) or answer.get("id") != id:
            raise wrong(f"retrieve of {shown(id)}", "such record")
        record = _with_lines_in_order(_without_secrets(answer))
        if self._watch:
            self._watch.has_read(record)
        return record

    def query(self, query: str) -> list[Record]:
        """Return what a query gives: 100 records at most, and `[]` also when it fails in SQL.

        Args:
            query: VTQL with its final semicolon (see `kafinea.query`).
        """
        query = as_query(query)
        return self._checked(
            "query", query.module, self._send_query("query", query, {"query": query})
        )

    def query_deferred(self, query: str) -> Callable[[], list[Record]]:
        """Send a query and return what decodes its records, for those who read ahead.

        Until it is called, the answer stays as it was received: records take ten times the memory,
        and when they wait, twice the time to be made and used.
        """
        query, read = as_query(query), envelope.result_later
        answer = self._send_query("query", query, {"query": query}, read=read)

        def records() -> list[Record]:
            try:
                return self._checked("query", query.module, answer())
            except Unavailable:  # broken, although it looked good
                return self.query(query)

        return records

    def records(
        self, module: str, columns: Iterable[str] = ("*",), where: Sequence[Condition | AnyOf] = ()
    ) -> Iterator[Record]:
        """Yield all records that meet the conditions, in the order of their ids.

        Raises:
            IncompleteRead: The server counted records and gave none of them.
        """
        sessions = self.max_sessions
        for page in ModuleReader(self, module, columns, where, sessions=sessions):
            yield from page

    def query_related(self, id: str, related_label: str, query: str) -> list[Record]:
        """Return records of a related list of a record, 100 at most.

        Args:
            id: The record whose related list it is.
            related_label: The label of the list, as the API names it.
            query: VTQL, with or without its semicolon. The server adds its own condition: avoid OR.
        """
        query = as_query(query)
        parameters = {
            "id": id,
            "relatedLabel": related_label,
            "query": query.rstrip().removesuffix(";"),
        }
        answer = self._send_query("query_related", query, parameters)
        return self._checked("query_related", query.module, answer)

    def _send_query(
        self,
        operation: str,
        query: Query,
        parameters: Mapping[str, str],
        read: Callable[..., Any] = envelope.result,
    ) -> Any:
        of, kind = query.module, query.shape
        return self.call("GET", operation, parameters, of=of, kind=kind, read=read)

    def _checked(self, operation: str, module: str, answer: Any) -> list[Record]:
        records = _checked(operation, module, answer)
        if records and (id := records[0].get("id")):
            self.requests.learn(module, prefix_of(id))
        return records

    # Writing

    def create(self, module: str, element: Mapping[str, Any]) -> Record:
        """Create a record and return it as the server stored it.

        Args:
            module: The module's name.
            element: Wire values by field name. The server changes bad values silently.

        Raises:
            OutcomeUnknown: The answer was lost; the record may exist.
            Refused: The server refused it.
        """
        return self._write_element("create", module, element)

    def update(self, module: str, element: Mapping[str, Any]) -> Record:
        """Replace a record and return it as the server stored it.

        Args:
            module: The module's name.
            element: Its `id` and all its fields: some servers blank those that are missing.

        Raises:
            OutcomeUnknown: The answer was lost; the record may be changed.
            Refused: The server refused it.
        """
        return self._write_element("update", module, element)

    def revise(self, module: str, element: Mapping[str, Any]) -> Record:
        """Change some fields of a record and return it as the server stored it.

        Kafinea does not document this operation, and not all servers have it (`can_revise`).

        Args:
            module: The module's name.
            element: Its `id` and the fields to change; an empty text clears a reference as well.

        Raises:
            OutcomeUnknown: The answer was lost; the record may be changed.
            Refused: The server refused it.
        """
        return self._write_element("revise", module, element)

    def can_revise(self) -> bool:
        """Whether the server has the operation `revise`. Nothing is written to find out.

        An element without an id is refused; a server without the operation answers as it does to
        any name that is none.

        Raises:
            Unavailable: The server has no room for requests.
        """
        asking = self.timing_out_after(_LONGEST_REFUSAL)
        patient, brief = asking.giving_up_after(2), asking.giving_up_after(1)
        answer = patient._refusal("revise", writes=False)  # noqa: SLF001 it is one of us
        if answer is None:
            return False
        return answer != brief._refusal("reviseNothingAtAll", writes=False)  # noqa: SLF001 as above

    def is_answered(self, operation: str) -> bool:
        """Whether the server answers a write at all: one that names no record and no module.

        It writes nothing, because it is refused. So a record that cannot be written is told apart
        from a server that cannot write. It is refused at once, so it is not waited for for long.

        Raises:
            Unavailable: The server cannot be reached.
        """
        try:
            asking = self.timing_out_after(_LONGEST_REFUSAL)
            return asking._refusal(operation, writes=True) is not None  # noqa: SLF001 one of us
        except Unavailable as error:
            if error.busy:
                return False
            raise

    def _refusal(self, operation: str, *, writes: bool) -> str | None:
        """Return how the server refuses a write of nothing; None when it fails at it.

        Args:
            operation: Its name.
            writes: Whether to send it only once, because it writes.

        Raises:
            Unavailable: The server has no room for requests.
        """
        try:
            self.call("POST", operation, {"element": "{}"}, writes=writes)
        except Refused as error:
            if error.code in NO_OPERATION:
                return error.code  # some servers number their messages
            return str(error).replace(operation, "")  # some servers name it in their message
        except Unavailable as error:
            if error.busy or error.nothing_done:
                raise
            return None
        return ""

    def delete(self, id: str) -> None:
        """Delete a record.

        Raises:
            OutcomeUnknown: The answer was lost; the record may be deleted.
            Refused: There is no such record for this user, or it is deleted already.
        """
        self.write("delete", {"id": id})

    def add_related(self, source_id: str, related_label: str, related_id: str) -> None:
        """Add a record to a related list. Servers answer "successful" to nearly anything.

        Raises:
            OutcomeUnknown: The answer was lost. Adding a record twice does no harm.
        """
        parameters = {
            "sourceRecordId": source_id,
            "relatedLabel": related_label,
            "relationIdLabel": related_label,  # the name that other servers of the family read
            "relatedRecordId": related_id,
        }
        self.write("add_related", parameters)

    def _write_element(self, operation: str, module: str, element: Mapping[str, Any]) -> Record:
        text = json.dumps(element, default=str)
        answer = self.write(operation, {"elementType": module, "element": text})
        if not isinstance(answer, dict) or not is_id(answer.get("id")):
            raise OutcomeUnknown(
                f"{operation} of {module}: the server's answer contains no record."
            )
        return _with_lines_in_order(_without_secrets(answer))


def _checked(operation: str, module: str, answer: Any) -> list[Record]:
    """Return the records of an answer.

    Raises:
        WrongAnswer: It holds something else, or what should be an id is none.
    """
    records = members(answer)
    if records is None or not all(type(record) is dict for record in records):
        raise wrong(f"{operation} of {module}", "list of records")
    ids = [record.get("id") for record in records]
    # Some rows have none: those of a count, and of tables without ids.
    if not are_ids(ids) and not are_ids([id for id in ids if id not in _NO_ID]):
        raise wrong(f"{operation} of {module}", "ids of records")
    if records and not describe.SECRET_FIELDS.isdisjoint(records[0]):
        return [_without_secrets(record) for record in records]
    return records


def _without_secrets(record: Record) -> Record:
    return {name: value for name, value in record.items() if name not in describe.SECRET_FIELDS}


def _with_lines_in_order(record: Record) -> Record:
    lines = record.get(describe.LINES)
    if isinstance(lines, list) and all(isinstance(line, dict) for line in lines):
        return {**record, describe.LINES: in_order(lines)}
    return record
