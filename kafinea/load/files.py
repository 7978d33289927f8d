"""Files of documents and images of products: each sent once, whole, and linked.

A record tells its file in `_file_path` or `_file_base64`. The record is written first, then its
file, then what it is linked with; and each only if it is not there yet. So a run that was stopped
in between is finished by the next one.
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from io import SEEK_END, BytesIO
from tempfile import SpooledTemporaryFile
from threading import Lock
from typing import Any

from typing_extensions import override

from kafinea.answers import is_id
from kafinea.client import Client, Record
from kafinea.contents import Decoder
from kafinea.errors import (
    NO_OPERATION,
    Code,
    IncompleteRead,
    OutcomeUnknown,
    Refused,
    TooLarge,
)
from kafinea.files import download, upload
from kafinea.load.context import LoadContext
from kafinea.load.matching import InputRecord, Policy
from kafinea.load.outcomes import Outcome, Rejection, Status
from kafinea.load.plan import FILE_BASE64, FILE_NAME, FILE_PATH, RELATED_TO, LoadPlan
from kafinea.page_query import number
from kafinea.query import Condition, select

_DOCUMENTS = "Documents"
_PIECE = 2**20
_IN_MEMORY = 2**20  # bytes of a file on its way; what is larger goes through a temporary file
_TRIES = 3

Write = Callable[[InputRecord], Outcome]


@dataclass(frozen=True)
class _File:
    """A file that is about to be sent.

    Attributes:
        told_in: The property that told it.
        name: Its name.
        content: The file itself.
        size: How many bytes it has.
        sha256: Their digest.
    """

    told_in: str
    name: str
    content: Any
    size: int
    sha256: str


class _Spool(SpooledTemporaryFile[bytes]):
    """A file on its way, which may have no room on this machine."""

    @override
    def write(self, piece: Any) -> int:
        try:
            return super().write(piece)
        except OSError as error:
            text = f"the temporary folder cannot take the file: {error.strerror}. Set TMPDIR"
            raise Rejection("FILE_NOT_READABLE", f"{text} to a folder with more room") from None


class Files:
    """Brings files and links with the records of one stream.

    Args:
        plan: How its records go into their module.
        instance: The instance.
        policy: What may be read and written.
    """

    def __init__(self, plan: LoadPlan, instance: LoadContext, policy: Policy) -> None:
        self._plan = plan
        self._properties = plan.files
        self._instance = instance
        self._append_only = policy.append_only
        self._sources = policy.source_files
        self._is_document = plan.module.name == _DOCUMENTS
        fields = plan.module.fields.values()
        self._most = next((one.max_bytes for one in fields if one.max_bytes), None)
        self._takes_files: bool | None = None
        self._asking = Lock()
        self._with_documents: set[str] = set()  # the records that are known to have such a list

    def settle(self, one: InputRecord, write: Write) -> Outcome:
        """Write a record, its file, and what it is linked with.

        Args:
            one: The record.
            write: Writes the record itself.

        Raises:
            Rejection: Something of it cannot be written.
        """
        with self._file_of(one) as file:
            sources = self._sources_of(one)
            if file and not self._instance.dry_run:
                self._check_that_it_takes_files()
            if file and one.stored is None:
                one.values |= self._said_of(one, file)
            outcome = write(one)
            one.id = outcome.id or one.id
            try:
                return self._complete(one, outcome, file, sources)
            except Refused as error:
                raise Rejection(error.code, str(error)) from None

    # What is told

    @contextmanager
    def _file_of(self, one: InputRecord) -> Iterator[_File | None]:
        """Yield the file of a record, read and checked, if it tells one."""
        told = {name: self._told(one, name) for name in (FILE_PATH, FILE_BASE64)}
        told_in = [name for name, value in told.items() if value]
        if not told_in:
            yield None
            return
        if len(told_in) > 1:
            raise Rejection("INVALID_VALUE", f"tell one of {FILE_PATH} and {FILE_BASE64}, not both")
        (source,) = told_in
        if not isinstance(told[source], str):
            raise Rejection("INVALID_VALUE", f"{source}: the value is no text")
        with _Spool(_IN_MEMORY) as content:
            read = self._read_path if source == FILE_PATH else self._read_base64
            name = read(told[source], content)
            if told_name := self._told(one, FILE_NAME):
                name = str(told_name)
            if not name:
                text = f"{self._properties.get(FILE_NAME, FILE_NAME)}: a file needs a name"
                raise Rejection("MANDATORY_FIELD_MISSING", text)
            size = content.seek(0, SEEK_END)
            if not size:
                raise Rejection("INVALID_VALUE", f"{source}: the file is empty, and is not taken")
            yield _File(self._properties[source], name, content, size, _sha256(content))

    def _told(self, one: InputRecord, name: str) -> Any:
        return one.told(self._properties.get(name))

    def _read_path(self, path: str, content: Any) -> str:
        """Read a file, and return its name."""
        try:
            file, name = self._sources.open(path)
            with file:
                while piece := file.read(_PIECE):
                    content.write(piece)
                    self._check_size(content.tell())
        except FileNotFoundError:
            raise Rejection("FILE_NOT_FOUND", f"{FILE_PATH}: there is no such file") from None
        except Rejection as error:
            raise Rejection(error.code, f"{FILE_PATH}: {error}") from None
        except Exception as error:  # noqa: BLE001 each kind of storage has its own errors
            text = f"{FILE_PATH}: the file cannot be read ({type(error).__name__})"
            raise Rejection("FILE_NOT_READABLE", text) from None
        return name

    def _read_base64(self, text: str, content: Any) -> str:
        """Decode a file; it has no name."""
        decoder = Decoder(content, self._most)
        try:
            for start in range(0, len(text), _PIECE):
                piece = text[start : start + _PIECE].encode("ascii")
                if b"\\" in piece:
                    raise ValueError  # noqa: TRY301 as the decoder does
                decoder.feed(piece.translate(None, b" \t\r\n"))
            decoder.finish()
        except ValueError:
            raise Rejection(
                "INVALID_VALUE", f"{FILE_BASE64}: the value is not base64, or not all of it"
            ) from None
        except TooLarge as error:
            self._check_size(error.size)
        return ""

    def _check_size(self, size: int) -> None:
        if self._most is not None and size > self._most:
            text = f"the file has more than {self._most:,} bytes, the most that Kafinea takes"
            raise Rejection("FILE_TOO_LARGE", text)

    def _said_of(self, one: InputRecord, file: _File) -> dict[str, str | None]:
        """Return what a new document says of its file."""
        if not self._is_document:
            return {}
        mime_type = self._told(one, "filetype") or mimetypes.guess_type(file.name)[0]
        said: dict[str, str | None] = {
            "filename": file.name,
            "filetype": str(mime_type or "application/octet-stream"),
            "filesize": str(file.size),
            "filestatus": "1",
            "filelocationtype": "I",
        }
        known = self._plan.module.fields
        return {name: value for name, value in said.items() if name in known}

    def _sources_of(self, one: InputRecord) -> list[str]:
        """Return the records among whose documents this one is to be."""
        told = self._told(one, RELATED_TO)
        listed = told.split(",") if isinstance(told, str) else told or []
        if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
            raise Rejection("INVALID_VALUE", f"{RELATED_TO}: the value is no list of ids")
        ids = [text for each in listed if (text := each.strip())]
        for source in ids:
            self._check_source(source)
        return ids

    def _check_source(self, source: str) -> None:
        if source in self._with_documents:
            return
        if not is_id(source):
            raise Rejection("UNRESOLVED_REFERENCE", f"{RELATED_TO}: the value is no id")
        try:
            self._is_among(self._instance.client, source, f"{self._plan.module.id_prefix}x0")
        except Refused as error:
            text = f"{RELATED_TO}: {source} has no documents: {error}"
            raise Rejection("UNRESOLVED_REFERENCE", text) from None
        self._with_documents.add(source)

    # What is written

    def _complete(
        self, one: InputRecord, outcome: Outcome, file: _File | None, sources: Iterable[str]
    ) -> Outcome:
        """Bring what a record lacks besides its values; a dry run only tells it."""
        record_id, is_new = one.id or "", outcome.kind is Status.CREATED
        is_dry = self._instance.dry_run
        if is_dry and (is_new or self._instance.is_pretended(record_id)):
            return outcome
        changed = []
        with nullcontext(self._instance.client) if is_dry else self._instance.writing() as session:
            stored = {} if is_new else session.retrieve(record_id)
            if file and not self._is_provided(session, stored, file):
                if not is_dry:
                    one.is_sent = True
                    self._upload(session, record_id, file)
                changed.append(file.told_in)
            for source in sources:
                if is_new or not self._is_among(session, source, record_id):
                    if not is_dry:
                        self._add_to(session, source, record_id)
                    changed.append(self._properties[RELATED_TO])
        return _with_changes(outcome, record_id, changed)

    def _is_provided(self, session: Client, stored: Record, file: _File) -> bool:
        """Whether a record needs no file: where what is found is left as it is, any will do."""
        if self._append_only:
            return bool(_attachments(stored))
        return self._is_there(session, stored, file)

    def _check_that_it_takes_files(self) -> None:
        """Ask once for an upload to nothing: a server that takes files refuses it.

        Raises:
            Rejection: This one takes none.
        """
        with self._asking:
            if self._takes_files is None:
                self._takes_files = self._ask_whether_it_takes_files()
        if not self._takes_files:
            raise Rejection(
                "NOT_SUPPORTED", "this server has no operation FileUpload, and takes no files"
            )

    def _ask_whether_it_takes_files(self) -> bool:
        for _ in range(_TRIES):
            try:
                upload(self._instance.client, "", "", BytesIO())
            except Refused as error:
                return error.code not in NO_OPERATION
            except OutcomeUnknown:  # no such operation, or a failure that passes
                self._instance.client.listtypes()
            else:
                return True
        return False

    def _upload(self, session: Client, record_id: str, file: _File) -> None:
        """Send a file until it can be read back. When an answer was lost, look before resending."""
        kind = "Attachment" if self._is_document else "Image"
        for _ in range(_TRIES):
            failure = ""
            try:
                upload(session, record_id, file.name, file.content, attachment_type=kind)
            except OutcomeUnknown as error:
                failure = str(error)
            if self._is_there(session, session.retrieve(record_id), file):
                return
            if not failure:
                break
        said = failure or "The server says that it has stored the file."
        raise Rejection("FILE_NOT_STORED", f"{said} {record_id} has no such file.")

    def _is_there(self, session: Client, stored: Record, file: _File) -> bool:
        """Whether a record has this file: the same bytes, whatever the server calls them.

        Of a document the last file counts, of a product any.
        """
        ids = sorted(_attachments(stored), key=number)
        if self._is_document:
            ids = ids[-1:]
        return any(_is_same(session, file_id, file) for file_id in ids)

    def _is_among(self, session: Client, source: str, record_id: str) -> bool:
        query = select(_DOCUMENTS, ["id"], where=[Condition("id", "=", record_id)])
        return bool(session.query_related(source, _DOCUMENTS, query))

    def _add_to(self, session: Client, source: str, record_id: str) -> None:
        """Put a document among those of a record. Servers say that it was done in any case."""
        for _ in range(_TRIES):
            with suppress(OutcomeUnknown):  # adding twice does no harm
                session.add_related(source, _DOCUMENTS, record_id)
            if self._is_among(session, source, record_id):
                return
        text = f"{record_id} could not be put among the documents of {source}"
        raise Rejection("NOT_RELATED", text)


class _Digest:
    """What is written here is digested and forgotten. It does what `files_retrieve` asks for."""

    def __init__(self) -> None:
        self.truncate()

    def seek(self, *_: int) -> int:
        return self._size

    def truncate(self) -> None:
        self._size = 0
        self._digest = hashlib.sha256()

    def write(self, piece: bytes) -> None:
        self._size += len(piece)
        self._digest.update(piece)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def _is_same(session: Client, file_id: str, file: _File) -> bool:
    digest: Any = _Digest()
    try:
        download(session, file_id, digest, max_bytes=file.size)
    except (TooLarge, IncompleteRead):
        return False
    except Refused as error:
        if error.code != Code.RECORD_NOT_FOUND:  # it may be the same: sending it may double it
            raise
        return False
    return bool(digest.hexdigest() == file.sha256)


def _attachments(record: Record) -> list[str]:
    ids = str(record.get("imageattachmentids") or "").split(",")
    return [text for each in ids if is_id(text := each.strip())]


def _with_changes(outcome: Outcome, record_id: str, changed: list[str]) -> Outcome:
    if not changed or outcome.kind is Status.CREATED:
        return outcome
    names = tuple(dict.fromkeys([*outcome.changed, *changed]))
    return replace(outcome, kind=Status.UPDATED, id=record_id, changed=names)


def _sha256(content: Any) -> str:
    digest = hashlib.sha256()
    content.seek(0)
    while piece := content.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()
