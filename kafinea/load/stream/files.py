"""Files of documents and images of products: each sent once, whole, and linked.

A record contains its file in `_file_path` or `_file_base64`. The record is written first, then its
file, then what it is linked with; and each only if it is not there yet. So a run that was stopped
in between is finished by the next one.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from msgspec.structs import replace as with_changes

from kafinea.client import Client, Record
from kafinea.errors import Refused
from kafinea.load.approval.changes import FILE, LINKS
from kafinea.load.approval.inputs import InputDigests
from kafinea.load.context import LoadContext
from kafinea.load.plan import FILE_NAME, RELATED_TO, LoadPlan
from kafinea.load.records import InputRecord, MatchedRecord, WireValues
from kafinea.load.rejecting import reject_unavailable, reject_unforeseen
from kafinea.load.results import Rejected, Result, Status
from kafinea.load.stream.conflicts import Conflicts
from kafinea.load.stream.record_files import RecordFile, RecordFiles, sources_of, value_of
from kafinea.load.stream.simulation import SimulatedUploads
from kafinea.load.stream.stored_files import (
    DOCUMENTS,
    attached,
    attachments,
    has_document,
    has_file,
)
from kafinea.load.stream.uploads import ServerUploads, Uploads
from kafinea.parsing import is_id

Write = Callable[[MatchedRecord], Result]


class Files:
    """Brings files and links with the records of one stream.

    Args:
        plan: How its records go into their module.
        context: What the streams of the run share.
        conflicts: Refuses to overwrite what was changed since.
    """

    def __init__(self, plan: LoadPlan, context: LoadContext, conflicts: Conflicts) -> None:
        self._plan = plan
        self._module = plan.module
        self._properties = plan.files
        self._means = {name: means for means, name in plan.files.items()}
        self._context = context
        self._conflicts = conflicts
        self._read = RecordFiles(plan, context.source_files)
        self._digests = InputDigests(plan)
        is_dry = context.options.dry_run
        self._uploads: Uploads = (
            SimulatedUploads(context) if is_dry else ServerUploads(plan.module.name, context)
        )
        self._with_documents: set[str] = set()  # the records that are known to have such a list

    def load(self, record: MatchedRecord, write: Write) -> Result:
        """Write a record, its file, and what it is linked with.

        Args:
            record: The record.
            write: Writes the record itself.

        Raises:
            Rejected: Something of it cannot be written.
        """
        with self._read.of(record.input) as file:
            sources = self._sources_of(record.input)
            if file:
                self._uploads.check_support()
                self._check_planned(record.input, FILE, file.described, is_missing=False)
            if file and record.stored is None:
                values = record.prepared.values | self._values_of(record.input, file)
                record = with_changes(record, prepared=with_changes(record.prepared, values=values))
            result = write(record)
            record_id = result.id or record.prepared.id or ""
            if result.status is Status.UNCHANGED and not record_id:
                return result
            is_written = result.status is not Status.UNCHANGED
            try:
                with (
                    reject_unforeseen(is_sent=is_written),
                    reject_unavailable(self._context.client),
                ):
                    return self._complete(record, result, record_id, file, sources)
            except Refused as error:
                raise Rejected(error.code, str(error), id=record_id) from None
            except Rejected as error:
                known_id = error.rejection.id or record_id
                raise Rejected.of(replace(error.rejection, id=known_id)) from None

    # What the record contains

    def _values_of(self, record: InputRecord, file: RecordFile) -> WireValues:
        """Return the values that a new document has because of its file."""
        if self._module.name != DOCUMENTS:
            return {}
        filetype = value_of(record, self._properties.get("filetype"))
        mime_type = filetype or mimetypes.guess_type(file.name)[0]
        values: WireValues = {
            FILE_NAME: file.name,
            "filetype": str(mime_type or "application/octet-stream"),
            "filesize": str(file.size),
            "filestatus": "1",
            "filelocationtype": "I",
        }
        return {name: value for name, value in values.items() if name in self._module.fields}

    def _sources_of(self, record: InputRecord) -> list[str]:
        """Return the records among whose documents this one is to be."""
        ids = [self._id_of(source) for source in sources_of(self._plan, record)]
        for source in ids:
            self._check_source(source)
        return ids

    def _id_of(self, source: str) -> str:
        reference = self._plan.references.get(RELATED_TO)
        return (
            self._context.references.resolve(reference, source, RELATED_TO) if reference else source
        )

    def _check_source(self, source: str) -> None:
        if source in self._with_documents or source in self._context.simulated:
            return
        if not is_id(source):
            raise Rejected("UNRESOLVED_REFERENCE", f"{RELATED_TO}: the value is not an id")
        try:
            has_document(self._context.client, source, f"{self._module.id_prefix}x0")
        except Refused as error:
            text = f"{RELATED_TO}: {source} has no list of documents: {error}"
            raise Rejected("UNRESOLVED_REFERENCE", text) from None
        self._with_documents.add(source)

    # What is written

    def _complete(
        self,
        record: MatchedRecord,
        result: Result,
        record_id: str,
        file: RecordFile | None,
        sources: Iterable[str],
    ) -> Result:
        """Bring what a record lacks besides its values."""
        if record_id in self._context.simulated:
            return result
        is_new = result.status is Status.CREATED
        changed: list[str] = []
        parts: dict[str, Any] = {}
        before: str | None = None
        with self._uploads.session() as session:
            stored = {} if is_new else session.retrieve(record_id)
            if file and (is_new or not self._is_provided(session, stored, file)):
                if not is_new:
                    self._conflicts.admit(record, stored)
                before = attached(stored)
                self._check_planned(
                    record.input, FILE, file.described, is_missing=True, before=before
                )
                self._uploads.upload(session, record_id, file)
                changed.append(file.source)
                parts[FILE] = file.described
            for source in sources:
                if is_new or not has_document(session, source, record_id):
                    self._check_planned(record.input, LINKS, source, is_missing=True)
                    self._uploads.relate(session, source, record_id)
                    self._context.own_writes.note(source)
                    changed.append(self._properties[RELATED_TO])
                    parts.setdefault(LINKS, []).append(source)
        return _with_changes(result, record_id, changed, {FILE: before} if before else {}, parts)

    def _check_planned(
        self,
        record: InputRecord,
        name: str,
        value: str,
        *,
        is_missing: bool,
        before: str | None = None,
    ) -> None:
        """Check that the approved plan contains a file or a link, if there is such a plan."""
        if approved := self._context.approved_plan:
            digest = self._digests.of(record)
            approved.check_part([digest], name, value, is_missing=is_missing, before=before)

    def _is_provided(self, session: Client, stored: Record, file: RecordFile) -> bool:
        """Whether a record needs no file: where what is found is left as it is, any will do."""
        policies, means = self._plan.policies, self._means[file.source]
        if not policies.may_write(means, is_empty=True):
            return True
        if self._context.options.append_only or not policies.may_write(means, is_empty=False):
            return bool(attachments(stored))
        return has_file(session, self._module.name, stored, file)


def _with_changes(
    result: Result,
    record_id: str,
    changed: list[str],
    before: Mapping[str, Any],
    parts: Mapping[str, Any],
) -> Result:
    if not changed:
        return result
    after = {**(result.after or {}), **parts}
    if result.status is Status.CREATED:
        return replace(result, after=after)
    names = tuple(dict.fromkeys([*result.changed, *changed]))
    return replace(
        result,
        status=Status.UPDATED,
        id=record_id,
        changed=names,
        before={**(result.before or {}), **before} or None,
        after=after,
        modifiedtime=None,
    )
