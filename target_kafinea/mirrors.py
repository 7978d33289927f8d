"""`load_method: mirror`: what a run deletes at its end, and when it deletes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from logging import Logger
from typing import Any

from kafinea.errors import SettingsError
from kafinea.load import Result, Status
from kafinea.load.context import LoadContext
from kafinea.load.mirror import Mirror, NotMirrored
from kafinea.load.plan import LoadPlan
from kafinea.load.records import InputRecord
from kafinea.load.stream_mapping import StreamMapping
from kafinea.shown import shown
from target_kafinea.report import Report

State = Mapping[str, Any]

_BROUGHT = frozenset({Status.CREATED, Status.UPDATED, Status.UNCHANGED})
_UNFINISHED = ("progress_markers", "starting_replication_value", "pass")
"""What a bookmark has while its stream is extracted: the first two in taps of the Singer SDK."""
_INCREMENTAL = ("replication_key_value", "lsn", "log_file", "log_pos")
"""What a bookmark has if the next run extracts only what has changed."""


class Mirrors:
    """The streams of a run that are mirrored. Threads share it.

    Args:
        config: The settings of the target.
        context: What the streams of the run share.
        report: Takes the results.
        logger: Where to log.
    """

    def __init__(
        self, config: Mapping[str, Any], context: LoadContext, report: Report, logger: Logger
    ) -> None:
        self._load_method: str = config["load_method"]
        self._max_percent: float = config["max_deletions"]
        self._context = context
        self._report = report
        self._logger = logger
        self._mirrors: dict[str, Mirror] = {}  # by stream
        self._schemas: dict[str, Mapping[str, Any]] = {}
        self._modules: dict[str, str] = {}  # by stream
        self._brought: defaultdict[str, set[str]] = defaultdict(set)  # by module
        self._with_records: set[str] = set()

    def begin(self, plan: LoadPlan, mapping: StreamMapping, schema: Mapping[str, Any]) -> None:
        """Prepare for a stream, before its first record.

        Args:
            plan: How its records go into their module.
            mapping: What the settings say of it.
            schema: Its SCHEMA message as it came.

        Raises:
            SettingsError: It cannot be mirrored so.
            NotMirrored: The part cannot be read.
        """
        stream = plan.stream
        if self._load_method != "mirror":
            if mapping.mirror_where:
                self._logger.warning(
                    "Stream %r: `mirror_where` has no effect, because `load_method` is `%s`.",
                    *(stream, self._load_method),
                )
            return
        if not mapping.mirror_where:
            raise SettingsError(
                f"Stream {stream!r}: with `load_method` `mirror`, set `mirror_where` to the part "
                f"of {plan.module.name} that this stream owns, such as \"leadsource = 'Web'\"."
            )
        self._modules[stream], self._schemas[stream] = plan.module.name, schema
        if stream not in self._mirrors:  # a stream may come with a second schema
            try:
                self._mirrors[stream] = Mirror(plan, mapping, self._context)
            except NotMirrored as error:
                raise NotMirrored(_refusal(stream, f"{error}.")) from None

    def note(self, stream: str, record: InputRecord, result: Result) -> None:
        """Note the result of a record of the input."""
        if stream in self._mirrors and result.status in _BROUGHT and not record.is_deleted:
            self._with_records.add(stream)
            if result.id:  # a dry run creates nothing
                self._brought[self._modules[stream]].add(result.id)

    def apply(self, last_state: State | None, absent: Collection[str]) -> list[str]:
        """Delete or mark what is missing, when the whole input is loaded.

        Args:
            last_state: The value of the STATE message after the last record of the input; None if
                there is none.
            absent: The streams with a `mirror_where` that are not in the input.

        Returns:
            For each stream of which nothing was deleted, why; the run fails for it.
        """
        doubts = {stream: self._doubt(stream, last_state) for stream in self._mirrors}
        incomplete = {
            self._modules[stream] for stream in self._modules if self._has_rejects(stream)
        }
        is_on = self._load_method == "mirror"
        failures = [
            _refusal(name, "the input has no such stream.") for name in sorted(absent) if is_on
        ]
        # Records of later streams may refer to those of earlier ones.
        for stream, mirror in reversed(self._mirrors.items()):
            if doubt := doubts[stream]:
                failures.append(_refusal(stream, f"{doubt}."))
            elif mirror.module in incomplete:
                why = "records of the input were rejected."
                self._logger.warning("%s", _refusal(stream, why))
            else:
                try:
                    self._settle(stream, mirror)
                except NotMirrored as error:
                    failures.append(_refusal(stream, f"{error}."))
        return failures

    def _settle(self, stream: str, mirror: Mirror) -> None:
        def done(_record: InputRecord, key: Mapping[str, Any], result: Result) -> None:
            schema = self._schemas[stream]
            self._report.add(stream, key, result, schema=schema, record=None, line=0)

        with self._report.timing(stream):
            brought = self._brought[mirror.module]
            missing = mirror.missing(brought, max_percent=self._max_percent)
            for _ in mirror.settle(missing, done):
                pass

    def _has_rejects(self, stream: str) -> bool:
        return bool(self._report.counts.of(stream)[Status.REJECTED.value])

    def _doubt(self, stream: str, last_state: State | None) -> str | None:
        """Return why the input may not have brought all records of a stream, if so."""
        if last_state is None:
            return "the input does not end with a STATE message, so it may have ended early"
        if syncing := last_state.get("currently_syncing"):
            text = f"by its last STATE message, the tap was still extracting {shown(str(syncing))}"
            return f"{text}, so the input ended early"
        names = {stream, str(self._schemas[stream]["stream"])}
        for bookmark in _bookmarks(last_state, names):
            if any(name in bookmark for name in _UNFINISHED):
                return "by its last STATE message, the tap was still extracting the stream"
            if key := next((name for name in _INCREMENTAL if bookmark.get(name)), None):
                return (
                    f"the tap extracts only changes of the stream (`{key}` in its state). Set its "
                    "replication method to FULL_TABLE"
                )
        if stream not in self._with_records:
            return "the input contains no record of the stream"
        return None


def _bookmarks(state: State, names: set[str]) -> Iterator[State]:
    """Yield the bookmarks of a stream, those of its partitions too."""
    bookmarks = state.get("bookmarks")
    known = bookmarks if isinstance(bookmarks, dict) else {}
    for name in names & known.keys():
        bookmark = known[name]
        partitions = bookmark.get("partitions") if isinstance(bookmark, dict) else None
        found = [bookmark, *(partitions if isinstance(partitions, list) else ())]
        yield from (one for one in found if isinstance(one, dict))


def _refusal(stream: str, why: str) -> str:
    return f"Stream {stream!r}: nothing was deleted: {why}"
