"""Records that were deleted, as a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from singer_sdk.streams import Stream
from typing_extensions import override

from kafinea.deletion_feed import Deletions, deleted_since
from kafinea.describe import MODIFIED, Module
from kafinea.errors import IncompleteRead, KafineaError, Refused, Unavailable
from kafinea.extract.deletion_scan import DeletionDetector, Scan
from kafinea.extract.hidden_records import deleted
from kafinea.extract.id_snapshots import Folder
from kafinea.extract.passes import now, of_instance
from tap_kafinea.failing import FailingAlone
from tap_kafinea.streams import ModuleStream

if TYPE_CHECKING:
    from tap_kafinea.tap import TapKafinea

NAME = "deleted_records"

_SCHEMA = {
    "type": "object",
    "title": "Deleted records",
    "properties": {
        "module": {"type": "string", "description": "The module of the record"},
        "id": {"type": "string", "description": "Its id, such as 12x34"},
        "detected_at": {
            "type": ["string", "null"],
            "format": "date-time",
            "description": "When it was found deleted; null when it is there again",
        },
    },
    "required": ["module", "id"],
}
_FAILURES_OF_ALL = 2
"""When `sync` fails at so many modules and has worked at none, no other is asked."""

_DAY = 86_400

_INSTEAD = "Set `deletions` to `scan`, which works with every server and user."


def discover(tap: TapKafinea, modules: Sequence[Module]) -> list[Stream]:
    """Return the streams that the settings ask for."""
    return [DeletedRecords(tap)] if modules and tap.config["deletions"] != "off" else []


def from_catalog(tap: TapKafinea, name: str, _: Mapping[str, Any]) -> Stream | None:
    """Return the stream of a catalog entry, if it is one of these."""
    return DeletedRecords(tap) if name == NAME else None


def scans(tap: TapKafinea) -> DeletionDetector | None:
    """Return what scans modules for deleted records, if the settings and the catalog ask for it."""
    stream = tap.streams.get(NAME)
    if tap.config["deletions"] != "scan" or stream is None or not stream.selected:
        return None
    return DeletionDetector(
        tap.client,
        Folder(tap.config["deletions_path"]),
        url=tap.address,
        user=tap.config["username"].casefold(),
        told=_by_module(stream.stream_state, "scanned"),
        page_size=tap.config["page_size"],
        limit=tap.config["deletions_limit"],
    )


class DeletedRecords(FailingAlone):
    """The deleted records of the modules that are extracted, as they are found."""

    def __init__(self, tap: TapKafinea) -> None:
        super().__init__(tap, NAME, _SCHEMA)
        self._zone = tap.zone
        self.primary_keys = ["module", "id"]
        self.replication_key = "detected_at"

    @override
    def get_records(self, context: Mapping[str, Any] | None) -> Iterable[dict[str, Any]]:
        if self.config["deletions"] == "sync":
            yield from self._synced()
        elif self._tap_kafinea.scans:
            yield from self._scanned(self._tap_kafinea.scans)

    # scan

    def _scanned(self, scans: DeletionDetector) -> Iterator[dict[str, Any]]:
        """Yield what the scans have found; each module was scanned before it was read."""
        told = _by_module(self.stream_state, "scanned")
        for module, scan in scans.done.items():
            yield from _rows(module, scan)
            told[module] = scan.at.isoformat()
        self.failures += scans.failures.values()

    # sync

    def _synced(self) -> Iterator[dict[str, Any]]:
        """Yield what the server's own list of deletions tells."""
        state = of_instance(self.stream_state, self._tap_kafinea.address)
        until = _by_module(state, "synced")
        refused: dict[str, Refused] = {}
        failed: dict[str, _NoSuchOperation] = {}
        modules = self._modules_with_a_list()
        for done, module in enumerate(modules):
            try:
                yield from self._synced_of(module, until)
            except Refused as error:
                refused[module] = error
            except IncompleteRead as error:
                self.fail(error, module)
            except _NoSuchOperation as error:
                failed[module] = error
                if len(failed) == done + 1 == _FAILURES_OF_ALL:
                    break  # the operation is missing
        for module, failure in failed.items():
            self.fail(failure, f"{NAME} of {module}")
        if refused:
            names, last = ", ".join(refused), next(reversed(refused.values()))
            text = f"The server refuses to tell the deletions of {names}: {last}. It tells all of "
            text += f"them to administrators only. {_INSTEAD}"
            self.fail(_NoSuchOperation(text))

    def _synced_of(self, module: str, until: dict[str, Any]) -> Iterator[dict[str, Any]]:
        since = self._since(until.get(module))
        while True:
            page = self._page(module, since)
            at = now().isoformat()
            for one in deleted(self._kafinea.query, module, page.ids):
                yield {"module": module, "id": one, "detected_at": at}
            if page.until > now().timestamp() + _DAY:
                return  # a record dated in the future must not hide what is deleted until then
            until[module] = max(until.get(module, 0), page.until)
            if not page.more:
                return
            if page.until <= since:
                raise IncompleteRead(f"sync of {module}: the server repeats the same page.")
            since = page.until

    def _page(self, module: str, since: int) -> Deletions:
        try:
            return deleted_since(self._kafinea, module, since)
        except Unavailable as error:
            raise _NoSuchOperation(
                f"{error} Many servers do not have `sync`, or it fails there. {_INSTEAD}"
            ) from None

    def _since(self, bookmark: int | None) -> int:
        """Return from when on to ask; 0 is no moment for the server.

        As `modifiedtime` is in passes, some seconds are read again, and the hour that the clock
        shows twice.
        """
        if bookmark is None:
            return 1
        wire = self._zone.wire(datetime.fromtimestamp(bookmark, timezone.utc))
        earlier = self._zone.earlier(wire, max(self.config["lookback_seconds"], 1))
        return max(int(self._zone.aware(earlier).timestamp()), 1)

    def _modules_with_a_list(self) -> list[str]:
        """Return the modules to ask for. The server has no list of those that it does not date."""
        undated = [one.name for one in self._modules() if not _is_dated(one)]
        if undated:
            self.logger.info(
                "`sync` does not tell what was deleted of %s; `scan` does.", ", ".join(undated)
            )
        return [one.name for one in self._modules() if _is_dated(one)]

    def _modules(self) -> list[ModuleStream]:
        streams = self._tap_kafinea.streams.values()
        return [one for one in streams if type(one) is ModuleStream and one.selected]

    @override
    def _increment_stream_state(
        self, latest_record: dict[str, Any], *, context: Mapping[str, Any] | None = None
    ) -> None:
        # The state is kept by module; the SDK's would be the greatest time of all.
        pass


class _NoSuchOperation(KafineaError):
    """The server does not tell of deletions, or not this user."""


def _rows(module: str, scan: Scan) -> Iterator[dict[str, Any]]:
    for change in scan.changes:
        found = ((change.gone, change.at.isoformat()), (change.back, None))
        for numbers, at in found:
            for one in numbers:
                yield {"module": module, "id": f"{scan.prefix}x{one}", "detected_at": at}


def _is_dated(stream: ModuleStream) -> bool:
    # Some modules spell it ModifiedTime.
    return MODIFIED in map(str.lower, stream.schema["properties"])


def _by_module(state: dict[str, Any], key: str) -> dict[str, Any]:
    kept: dict[str, Any] = state.setdefault(key, {})
    return kept
