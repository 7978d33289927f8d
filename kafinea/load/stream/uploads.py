"""Sending the files of records, and putting documents among those of other records."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from io import BytesIO
from threading import Lock
from typing import Protocol

from kafinea.client import Client
from kafinea.errors import NO_OPERATION, OutcomeUnknown, Refused
from kafinea.files import upload
from kafinea.load.context import LoadContext
from kafinea.load.rejecting import reject_unforeseen
from kafinea.load.results import Rejected
from kafinea.load.stream.record_files import RecordFile
from kafinea.load.stream.stored_files import DOCUMENTS, has_document, has_file

_TRIES = 3


class Uploads(Protocol):
    """What sends files. `ServerUploads` does; a dry run has `SimulatedUploads`."""

    def check_support(self) -> None:
        """Check that the server takes files.

        Raises:
            Rejected: It takes none.
        """

    def session(self) -> AbstractContextManager[Client]:
        """Return a session to look and to send in."""

    def upload(self, session: Client, record_id: str, file: RecordFile) -> None:
        """Send the file of a record.

        Raises:
            Rejected: It is not stored.
        """

    def relate(self, session: Client, source: str, document_id: str) -> None:
        """Put a document among those of a record.

        Raises:
            Rejected: It is not there.
        """


class ServerUploads:
    """Sends the files of a module to the server. Threads share it.

    Args:
        module: The module's name.
        context: What the streams of the run share.
    """

    def __init__(self, module: str, context: LoadContext) -> None:
        self._module = module
        self._client = context.client
        self._gate = context.gate
        self._takes_files: bool | None = None
        self._asking = Lock()

    def check_support(self) -> None:
        """Try an upload to nothing, once: a server that takes files refuses it. See `Uploads`."""
        with self._asking:
            if self._takes_files is None:
                self._takes_files = self._ask_whether_it_takes_files()
        if not self._takes_files:
            raise Rejected(
                "NOT_SUPPORTED", "this server has no operation FileUpload, so it accepts no files"
            )

    def session(self) -> AbstractContextManager[Client]:
        """Return a session to write in."""
        return self._gate.session()

    def upload(self, session: Client, record_id: str, file: RecordFile) -> None:
        """Send a file until it can be read back. When an answer was lost, look before resending."""
        kind = "Attachment" if self._module == DOCUMENTS else "Image"
        with reject_unforeseen(is_sent=True):
            for _ in range(_TRIES):
                failure = ""
                try:
                    upload(session, record_id, file.name, file.content, attachment_type=kind)
                except OutcomeUnknown as error:
                    failure = str(error)
                if has_file(session, self._module, session.retrieve(record_id), file):
                    return
                if not failure:
                    break
            reason = failure or "The server reported that it stored the file."
            raise Rejected("FILE_NOT_STORED", f"{reason} The file is not in {record_id}.")

    def relate(self, session: Client, source: str, document_id: str) -> None:
        """Add a document until it is there. Servers say that it was done in any case."""
        for _ in range(_TRIES):
            with suppress(OutcomeUnknown):  # adding twice does no harm
                session.add_related(source, DOCUMENTS, document_id)
            if has_document(session, source, document_id):
                return
        text = f"{document_id} could not be added to the documents of {source}"
        raise Rejected("NOT_RELATED", text)

    def _ask_whether_it_takes_files(self) -> bool:
        for _ in range(_TRIES):
            try:
                upload(self._client, "", "", BytesIO())
            except Refused as error:
                return error.code not in NO_OPERATION
            except OutcomeUnknown:  # no such operation, or a failure that passes
                self._client.listtypes()
            else:
                return True
        return False
