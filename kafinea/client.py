"""The client: one method for each documented operation."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from io import SEEK_END
from types import TracebackType
from typing import Any, BinaryIO

from typing_extensions import Self

from kafinea import describe, envelope, transport
from kafinea.answers import are_ids, flag, is_id, mapping, members, text, whole, wrong
from kafinea.contents import lift_into
from kafinea.errors import (
    PERHAPS_PASSING,
    Code,
    IncompleteRead,
    OutcomeUnknown,
    Refused,
    Unavailable,
)
from kafinea.module_reader import ModuleReader
from kafinea.query import Condition
from kafinea.retry import TRIES, until_answered
from kafinea.sessions import Session, Sessions
from kafinea.shown import shown

Record = dict[str, Any]
"""A record as the wire has it: texts as a rule; `retrieve` also gives numbers, nulls and lists."""

_CONNECT_TIMEOUT = 10  # seconds
_NO_ID = ("", None)


@dataclass(frozen=True)
class File:
    """What the server tells of a stored file."""

    name: str
    mime_type: str
    size: int


@dataclass(frozen=True)
class Deletions:
    """What a page of `sync` tells of deleted records.

    Attributes:
        ids: The ids of deleted records.
        until: The time of the last change on the page, in seconds; the next page is behind it.
        more: Whether there is one.
    """

    ids: list[str]
    until: int
    more: bool


class Client:
    """A Kafinea instance, as one of its users.

    Threads may share a client. It opens as many sessions as are in use at once, up to
    `max_sessions`; a request beyond that waits for its turn, in the order of arrival. So do
    requests for which the server has no room: the client sends fewer at once when it says so, and
    when more at once only take longer. Nothing is sent before the first request. Use it in a `with`
    block, or call `close`, to log out.

    Args:
        url: The address of the instance, with or without `webservice.php`.
        username: The user's name.
        access_key: The user's access key ("My preferences" in Kafinea), not the password.
        max_sessions: The most sessions, and so requests, at once.
        request_timeout: Seconds to wait for an answer to begin or to go on.
        allow_http: Accept plain http for a host that is not this machine.

    Raises:
        SettingsError: The address cannot be used.
    """

    def __init__(
        self,
        url: str,
        username: str,
        access_key: str,
        *,
        max_sessions: int = 4,
        request_timeout: float = 120,
        allow_http: bool = False,
    ) -> None:
        self.max_sessions = max_sessions
        self._address = transport.endpoint(url, allow_http=allow_http)
        self._timeout = (min(_CONNECT_TIMEOUT, request_timeout), request_timeout)
        self._sessions = Sessions(self._address, username, access_key, max_sessions, self._timeout)
        self._single: Session | None = None
        self._held = threading.local()
        self._most_failures = TRIES

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Log out of all sessions, for good; any thread may call it.

        Other threads that wait for their turn or for another try get `Closed`. A request that is
        under way is not waited for: it gets its answer, and its session expires by itself.
        """
        self._sessions.close()

    @contextmanager
    def one_session(self) -> Iterator[Client]:
        """Yield this client with a single session of its own for the time of the block.

        A server runs the requests of a session one after the other. So what is asked in the
        session of a write that gave no answer is answered only when that write has ended.

        The session counts as one of `max_sessions`. Within the block, whatever this thread asks of
        any copy of this client goes through it too: threads that hold all sessions and ask for one
        more would wait for ever.
        """
        with self._session() as session:
            client = copy(self)
            client.max_sessions = 1
            client._single = session  # noqa: SLF001 it is one of us
            before, self._held.session = getattr(self._held, "session", None), session
            try:
                yield client
            finally:
                self._held.session = before

    def giving_up_after(self, failures: int) -> Client:
        """Return this client for requests that may themselves be why the server fails.

        Args:
            failures: After how many failures of the server's own the last one is raised. One that
                has no room, or cannot be reached, is asked as often as ever.
        """
        client = copy(self)
        client._most_failures = failures  # noqa: SLF001 it is one of us
        return client

    @property
    def url(self) -> str:
        """The full address of the instance, which distinguishes it from others."""
        return self._address

    def open_sessions(self, count: int) -> None:
        """Log in to so many sessions in the background, for requests that will be sent at once."""
        self._sessions.open(count)

    def user_id(self) -> str:
        """Return the id of the user that the client works as, such as 19x1."""
        return until_answered(self._user_id, wait=self._sessions.wait)

    def profile(self) -> Mapping[str, str]:
        """Return what the login reported of the server and the user, such as `date_format`.

        Few servers report more than their version.
        """
        return until_answered(self._profile, wait=self._sessions.wait)

    def server_time(self) -> datetime | None:
        """Return the time by the server's clock; None before a login, or if it gives none."""
        return self._sessions.server_time()

    def wait(self, seconds: float) -> None:
        """Wait, but no longer than until the client is closed.

        Raises:
            Closed: It is.
        """
        self._sessions.wait(seconds)

    # Discovery

    def listtypes(self, field_types: Sequence[str] = ()) -> dict[str, describe.ModuleInfo]:
        """Return the modules this user can use, by name.

        Args:
            field_types: Only modules that have a field of one of these types.

        Raises:
            WrongAnswer: The server answers with no list of modules.
        """
        parameters = {"fieldTypeList": json.dumps(list(field_types))} if field_types else {}
        return describe.modules(self._read("listtypes", parameters))

    def _describe(self, module: str) -> describe.Module:
        parameters = {"elementType": module}
        return describe.module(self._call("GET", "describe", parameters, of=module), module)

    def describe(self, module: str) -> describe.Module:
        """Return a module and its fields.

        Raises:
            Refused: There is no such module for this user. Case matters.
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
            answer = client._call("GET", "relatedtypes", parameters, of=module)  # noqa: SLF001
        except Refused as error:
            if error.code != Code.UNKNOWN_OPERATION:
                raise
            return None
        except Unavailable as error:
            if error.busy or error.nothing_done:
                raise
            return None
        return describe.related_lists(answer, module)

    # ModuleReader

    def retrieve(self, id: str) -> Record:
        """Return one record by its id, with its lines if it has any.

        Raises:
            Refused: There is no such record for this user.
            WrongAnswer: The server answers with no record, or with another one.
        """
        answer = self._read("retrieve", {"id": id})
        if not isinstance(answer, dict) or answer.get("id") != id:
            raise wrong(f"retrieve of {shown(id)}", "such record")
        return _without_secrets(answer)

    def query(self, query: str) -> list[Record]:
        """Return what a query gives: 100 records at most, and `[]` also when it fails in SQL.

        Args:
            query: VTQL with its final semicolon (see `kafinea.query`).
        """
        return self._records("query", {"query": query})

    def ask(self, query: str) -> Callable[[], list[Record]]:
        """Send a query and return what gives its records, for those who ask ahead.

        Until it is called, the answer stays as it came: records take ten times the memory, and
        when they wait, twice the time to be made and used.
        """
        answer = self._query("query", {"query": query}, read=envelope.result_later)

        def records() -> list[Record]:
            try:
                return _checked("query", query, answer())
            except Unavailable:  # broken, although it looked good
                return self.query(query)

        return records

    def records(
        self, module: str, columns: Iterable[str] = ("*",), where: Sequence[Condition] = ()
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
            query: VTQL without the semicolon. The server adds its own condition: avoid OR.
        """
        parameters = {
            "id": id,
            "relatedLabel": related_label,
            "query": query.rstrip().removesuffix(";"),
        }
        return self._records("query_related", parameters)

    def files_retrieve(self, id: str, into: BinaryIO, *, max_bytes: int | None = None) -> File:
        """Write the contents of a stored file into an open one, and tell what it is.

        Args:
            id: The id of the file, which is not that of its document.
            into: An open file; it is emptied first, and again before another try.
            max_bytes: Leave a file that is larger.

        Raises:
            Refused: There is no such file.
            TooLarge: It is larger; what was written is of no use.
            IncompleteRead: The contents are not as long as the server says they are.
        """
        lift = lift_into(into, max_bytes)
        # With its id, for files take very different times.
        answer = self._call("GET", "files_retrieve", {"id": id}, of=id, lift=lift)
        said = answer[0] if isinstance(answer, list) and answer else answer
        return _file(f"files_retrieve of {id}", said, "filecontents", into)

    def retrievedocattachment(
        self, document_id: str, into: BinaryIO, *, max_bytes: int | None = None
    ) -> File:
        """Write the file of a document into an open one, and tell what it is.

        Only coreBOS has this operation; it has no ids of files.

        Args:
            document_id: The id of the document.
            into: An open file; it is emptied first, and again before another try.
            max_bytes: Leave a file that is larger.

        Raises:
            Refused: There is no such document, or it has no file.
            TooLarge: It is larger; what was written is of no use.
            IncompleteRead: The contents are not as long as the server says they are.
        """
        operation = "retrievedocattachment"
        parameters = {"id": document_id, "returnfile": "1"}
        answer = self._call(
            "POST",
            operation,
            parameters,
            of=document_id,
            writes=False,
            lift=lift_into(into, max_bytes),
        )
        said = (mapping(answer) or {}).get(document_id)
        if not said:
            text = f"{operation} of {document_id}: the document has no file."
            raise Refused(text, code=Code.RECORD_NOT_FOUND)
        return _file(f"{operation} of {document_id}", said, "attachment", into)

    def sync(self, module: str, since: int) -> Deletions:
        """Return which records were deleted after a moment, page by page.

        The operation is not documented: some servers lack it, and on others it fails. It is for
        administrators, and gives the changed records too, which are ignored.

        Args:
            module: The module's name.
            since: Seconds since 1970, more than 0.

        Raises:
            Refused: The user is no administrator, or the module has no such list.
            WrongAnswer: The server answers with something else.
            Unavailable: The server does not have the operation, or cannot be reached.
        """
        parameters = {
            "modifiedTime": str(since),
            "elementType": module,
            "syncType": "application",  # without it, only the records that this user owns
        }
        answer = mapping(self._call("GET", "sync", parameters, of=module)) or {}
        ids, until = members(answer.get("deleted")), whole(answer.get("lastModifiedTime"))
        if ids is None or until is None or "more" not in answer or not are_ids(ids):
            raise wrong(f"sync of {module}", "changes")
        return Deletions(ids, until, flag(answer["more"]))

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
        patient, brief = self.giving_up_after(2), self.giving_up_after(1)
        answer = patient._refusal("revise", writes=False)  # noqa: SLF001 it is one of us
        if answer is None:
            return False
        return answer != brief._refusal("reviseNothingAtAll", writes=False)  # noqa: SLF001 as above

    def is_answered(self, operation: str) -> bool:
        """Whether the server answers a write at all: one that names no record and no module.

        It writes nothing, for it is refused. So a record that cannot be written is told apart
        from a server that cannot write.
        """
        try:
            return self._refusal(operation, writes=True) is not None
        except Unavailable:
            return False

    def _refusal(self, operation: str, *, writes: bool) -> str | None:
        """Return how the server refuses a write of nothing; None when it fails at it.

        Args:
            operation: Its name.
            writes: Whether to ask once only, as for a write.

        Raises:
            Unavailable: The server has no room for requests.
        """
        try:
            self._call("POST", operation, {"element": "{}"}, writes=writes)
        except Refused as error:
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
        self._write("delete", {"id": id})

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
        self._write("add_related", parameters)

    def file_upload(
        self,
        parent_id: str,
        file_name: str,
        content: BinaryIO,
        *,
        attachment_type: str = "Attachment",
    ) -> Any:
        """Upload a file and link it to a document, or an image to a product.

        Args:
            parent_id: The id of the document or product.
            file_name: The file's name.
            content: The file, opened; it must be able to seek.
            attachment_type: `Attachment`, or `Image` for a product.

        Raises:
            OutcomeUnknown: The answer was lost; the file may be there.
            Refused: The server refused it.
        """
        parameters = {
            "parentId": parent_id,
            "attachmentType": attachment_type,
            "fileName": file_name,
        }
        return self._write("FileUpload", parameters, upload=("fileContents", content))

    def extendsession(self) -> bool:
        """Ask for a longer session; return whether the server granted it."""
        with self._session() as session:
            return session.auth.extend_session()

    # Sending

    def _read(self, operation: str, parameters: Mapping[str, str]) -> Any:
        return self._call("GET", operation, parameters)

    def _records(self, operation: str, parameters: Mapping[str, str]) -> list[Record]:
        return _checked(operation, parameters["query"], self._query(operation, parameters))

    def _query(self, operation: str, parameters: Mapping[str, str], **how: Any) -> Any:
        of = _module_of(parameters["query"])
        return self._call("GET", operation, parameters, of=of, **how)

    def _write_element(self, operation: str, module: str, element: Mapping[str, Any]) -> Record:
        text = json.dumps(element, default=str)
        answer = self._write(operation, {"elementType": module, "element": text})
        if not isinstance(answer, dict) or not is_id(answer.get("id")):
            raise OutcomeUnknown(f"{operation} of {module}: the server answers with no record.")
        return _without_secrets(answer)

    def _write(self, operation: str, parameters: Mapping[str, str], **transfer: Any) -> Any:
        try:
            return self._call("POST", operation, parameters, **transfer)
        except Unavailable as error:
            if error.nothing_done:
                raise
            text = f"{error} It is not known whether it was done."
            raise OutcomeUnknown(text, busy=error.busy) from None
        except Refused as error:
            if error.code in PERHAPS_PASSING:
                raise OutcomeUnknown(f"{error} It is not known whether it was done.") from None
            raise

    def _call(
        self,
        method: str,
        operation: str,
        parameters: Mapping[str, str],
        *,
        of: str = "",
        writes: bool | None = None,
        read: Callable[..., Any] = envelope.result,
        **transfer: Any,
    ) -> Any:
        label = f"{operation} of {of}" if of else operation
        parameters = {"operation": operation, **parameters}
        kind = label + _form(parameters.get("query", ""))
        return until_answered(
            lambda: self._send(method, parameters, label, kind, read, transfer),
            wait=self._sessions.wait,
            writes=method == "POST" if writes is None else writes,
            most_failures=self._most_failures,
        )

    def _user_id(self) -> str:
        with self._session() as session:
            return session.auth.user_id()

    def _profile(self) -> Mapping[str, str]:
        with self._session() as session:
            session.auth.user_id()  # logs in if need be
            return session.auth.profile

    def _send(
        self,
        method: str,
        parameters: Mapping[str, str],
        label: str,
        kind: str,
        read: Callable[..., Any],
        transfer: Mapping[str, Any],
    ) -> Any:
        with self._session() as session, self._sessions.turn(session, kind):
            response = transport.send(
                session.http,
                method,
                self._address,
                parameters,
                auth=session.auth,
                timeout=self._timeout,
                **transfer,
            )
            return read(response, label)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        if single := self._single or getattr(self._held, "session", None):
            with single.lock:
                yield single
        else:
            with self._sessions.one() as session:
                yield session


def _checked(operation: str, query: str, answer: Any) -> list[Record]:
    """Return the records of an answer.

    Raises:
        WrongAnswer: It holds something else, or what should be an id is none.
    """
    records = members(answer)
    if records is None or not all(type(one) is dict for one in records):
        raise wrong(f"{operation} of {_module_of(query)}", "list of records")
    ids = [one.get("id") for one in records]
    # Some rows have none: those of a count, and of tables without ids.
    if not are_ids(ids) and not are_ids([one for one in ids if one not in _NO_ID]):
        raise wrong(f"{operation} of {_module_of(query)}", "ids of records")
    if records and not describe.SECRET_FIELDS.isdisjoint(records[0]):
        return [_without_secrets(record) for record in records]
    return records


def _module_of(query: str) -> str:
    module = re.search(r"(?i)\bFROM\s+(\w+)", _parts(query)[1])
    return module[1] if module else ""


def _parts(query: str) -> tuple[str, str]:
    """Return the columns of a query, which are long and hold no values, and all behind them.

    Where somebody wrote it over several lines, all counts as behind them.
    """
    place = max(0, query.upper().find(" FROM "))
    return query[:place], query[place:]


def _form(query: str) -> str:
    """Return a query without its values: queries of one form take about the same time."""
    columns, rest = _parts(query)
    return columns + re.sub(r"\?(,\s*\?)+", "?", re.sub(r"'(?:[^']|'')*'|\b\d+\b", "?", rest))


def _file(label: str, said: Any, contents: str, into: BinaryIO) -> File:
    """Return what an answer tells of a file, whose contents are written already.

    Raises:
        WrongAnswer: It tells nothing.
        IncompleteRead: There is more, or less, than it says.
    """
    told = mapping(said) or {}
    name, size = text(told.get("filename")), whole(told.get("filesize"))
    if name is None or size is None or contents not in told:
        raise wrong(label, "file")
    file = File(name, text(told.get("filetype")) or "", size)
    if (came := into.seek(0, SEEK_END)) != file.size:
        raise IncompleteRead(f"{label}: the file came with {came:,} bytes, not {file.size:,}.")
    return file


def _without_secrets(record: Record) -> Record:
    return {name: value for name, value in record.items() if name not in describe.SECRET_FIELDS}
