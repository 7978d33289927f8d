"""Records that were deleted, as a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from singer_sdk.streams import Stream
from typing_extensions import override

from kafinea.describe import MODIFIED, Module
from kafinea.errors import IncompleteRead, Refused
from kafinea.extract.checkpoint import URL, now, of_instance
from kafinea.extract.deletion_scan import DeletionDetector, Scan
from kafinea.extract.deletion_sync import INSTEAD, DeletionList, NoSuchOperation
from kafinea.extract.id_snapshots import SnapshotStore
from tap_kafinea.sdk import KafineaStream, KafineaTap
from tap_kafinea.streams import ModuleStream

Row = dict[str, Any]

NAME = "deleted_records"

SCHEMA = {
    "type": "object",
    "title": "Deleted records",
    "properties": {
        "module": {"type": "string", "description": "The module of the record"},
        "id": {"type": "string", "description": "Its id, such as 12x34"},
        "detected_at": {
            "type": ["string", "null"],
            "format": "date-time",
            "description": "When the deletion was found; null if the record exists again",
        },
    },
    "required": ["module", "id"],
}
_FAILURES_OF_ALL = 2
"""When `sync` fails at so many modules and has worked at none, no other is asked."""


def discover(tap: KafineaTap, modules: Sequence[Module]) -> list[Stream]:
    """Return the streams that the settings require."""
    return [DeletedRecords(tap)] if modules and tap.config["deletions"] != "off" else []


def from_catalog(tap: KafineaTap, name: str, _: Mapping[str, Any]) -> Stream | None:
    """Return the stream of a catalog entry, if it is this one."""
    return DeletedRecords(tap) if name == NAME else None


class DeletedRecords(KafineaStream):
    """The deleted records of the modules that are extracted, as they are found."""

    def __init__(self, tap: KafineaTap) -> None:
        super().__init__(tap, NAME, SCHEMA)
        self.primary_keys = ["module", "id"]
        self.replication_key = "detected_at"

    @property
    @override
    def continues(self) -> bool:
        return any(self.stream_state.get(key) for key in ("scanned", "synced"))

    @cached_property
    def detector(self) -> DeletionDetector | None:
        """What finds deleted records by comparing ids, if settings and catalog require it."""
        if self.config["deletions"] != "scan" or not self.selected:
            return None
        client = self.run_context.client
        return DeletionDetector(
            client,
            SnapshotStore(self.config["deletions_path"]),
            url=client.url,
            user=self.config["username"].casefold(),
            reported=_by_module(self.stream_state, "scanned"),
            page_size=self.run_context.options.page_size,
            limit=self.config["deletions_limit"],
            limit_setting="`deletions_limit` (TAP_KAFINEA_DELETIONS_LIMIT)",
        )

    @override
    def get_records(self, context: Mapping[str, Any] | None) -> Iterable[Row]:
        if self.config["deletions"] == "sync":
            yield from map(self.selected_fields, self._synced())
        elif self.detector:
            yield from map(self.selected_fields, self._scanned(self.detector))

    def _scanned(self, detector: DeletionDetector) -> Iterator[Row]:
        """Yield what the scans have found; each module was scanned before it was read."""
        reported = _by_module(self.stream_state, "scanned")
        for module, scan in detector.done.items():
            yield from _rows(module, scan)
            reported[module] = scan.at.isoformat()
        self.failures += detector.failures.values()

    def _synced(self) -> Iterator[Row]:
        """Yield what the server's own list of deletions contains."""
        state, context = self.stream_state, self.run_context
        state[URL] = of_instance(state.get(URL), context.client.url)
        deletions = DeletionList(context.client, context.clock.zone, context.options.lookback)
        refused: dict[str, Refused] = {}
        failed: dict[str, NoSuchOperation] = {}
        for done, module in enumerate(self._modules_with_a_list()):
            try:
                yield from self._synced_of(module, deletions, _by_module(state, "synced"))
            except Refused as error:
                refused[module] = error
            except IncompleteRead as error:
                self.fail(error, module)
            except NoSuchOperation as error:
                failed[module] = error
                if len(failed) == done + 1 == _FAILURES_OF_ALL:
                    break  # the operation is missing
        for module, failure in failed.items():
            self.fail(failure, f"{NAME} of {module}")
        if refused:
            names, last = ", ".join(refused), next(reversed(refused.values()))
            text = f"The server refuses to report the deletions of {names}: {last}. Only "
            text += f"administrators may read all of them. {INSTEAD}"
            self.fail(NoSuchOperation(text))

    def _synced_of(
        self, module: str, deletions: DeletionList, bookmarks: dict[str, Any]
    ) -> Iterator[Row]:
        for ids, bookmark in deletions.of(module, bookmarks.get(module)):
            at = now().isoformat()
            for record_id in ids:
                yield {"module": module, "id": record_id, "detected_at": at}
            if bookmark is not None:
                bookmarks[module] = bookmark

    def _modules_with_a_list(self) -> list[str]:
        """Return the modules to request. The server has no list of those that it does not date."""
        streams = [
            stream
            for stream in self._tap.streams.values()
            if isinstance(stream, ModuleStream) and stream.selected
        ]
        if undated := [stream.name for stream in streams if not _is_dated(stream)]:
            self.logger.info(
                "`sync` cannot report deletions of %s. `scan` can.", ", ".join(undated)
            )
        return [stream.name for stream in streams if _is_dated(stream)]


def _rows(module: str, scan: Scan) -> Iterator[Row]:
    for change in scan.changes:
        found = ((change.gone, change.at.isoformat()), (change.back, None))
        for numbers, at in found:
            for number in numbers:
                yield {"module": module, "id": f"{scan.prefix}x{number}", "detected_at": at}


def _is_dated(stream: ModuleStream) -> bool:
    # Some modules spell it ModifiedTime.
    return MODIFIED in map(str.lower, stream.schema["properties"])


def _by_module(state: dict[str, Any], key: str) -> dict[str, Any]:
    kept: dict[str, Any] = state.setdefault(key, {})
    return kept
