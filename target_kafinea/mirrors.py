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
_INTERRUPTED = ("last_pk_fetched", "max_pk_values", "xmin")
"""What it has in taps for databases, while a full table is extracted; later, it is null."""
_OF_ANY_METHOD = frozenset(
    {
        *("version", "context", "partitions", "replication_key"),
        *("replication_method", "last_replication_method", "initial_full_table_complete"),
    }
)
"""What a bookmark may have though each run extracts all. Taps name the rest as they like: it says
from where on the next run extracts."""


class Mirrors:
    """The streams of a run that are mirrored. Threads share it.

    Args:
        config: The settings of the target.
        context: What the streams of the run share.
        report: Takes the results.
        containing: For each stream of nested records, the streams whose records contain them.
        logger: Where to log.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        context: LoadContext,
        report: Report,
        containing: Mapping[str, Collection[str]],
        logger: Logger,
    ) -> None:
        self._load_method: str = config["load_method"]
        self._max_percent: float = config["max_deletions"]
        self._context = context
        self._report = report
        self._containing = containing
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
            for setting in ("mirror_where", "on_missing"):
                if getattr(mapping, setting):
                    self._logger.warning(
                        "Stream %r: `%s` has no effect, because `load_method` is `%s`.",
                        *(stream, setting, self._load_method),
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

    def apply(self, last_state: State | None, absent: Mapping[str, str]) -> list[str]:
        """Delete or mark what is missing, when the whole input is loaded.

        Args:
            last_state: The value of the STATE message after the last record of the input; None if
                there is none.
            absent: The streams with a `mirror_where` that are not in the input, each with its
                module.

        Returns:
            For each stream of which nothing was deleted, why; the run fails for it.
        """
        if self._load_method != "mirror":
            return []
        doubts = {stream: self._doubt(stream, last_state) for stream in self._mirrors}
        doubts |= dict.fromkeys(sorted(absent), "the input has no such stream")
        modules = {one: name.casefold() for one, name in {**absent, **self._modules}.items()}
        with_rejects = {modules[stream] for stream in self._modules if self._has_rejects(stream)}
        failures = [_refusal(stream, f"{why}.") for stream, why in doubts.items() if why]
        # Records of later streams may refer to those of earlier ones.
        for stream, mirror in reversed(self._mirrors.items()):
            if doubts[stream]:
                continue
            module = modules[stream]
            # Their parts may overlap: a record that seems to be missing may be the other's.
            if others := [one for one, why in doubts.items() if why and modules[one] == module]:
                why = f"stream {others[0]!r}, which goes into the same module, may not be complete."
                failures.append(_refusal(stream, why))
            elif module in with_rejects:
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
        """Whether records were rejected, or records that may have contained some of the stream."""
        streams = (stream, *self._containing.get(stream, ()))
        return any(self._report.counts.of(one)[Status.REJECTED.value] for one in streams)

    def _doubt(self, stream: str, last_state: State | None) -> str | None:
        """Return why the input may not have brought all records of a stream, if so."""
        if last_state is None:
            return "the input does not end with a STATE message, so it may have ended early"
        if syncing := last_state.get("currently_syncing"):
            text = f"by its last STATE message, the tap was still extracting {shown(str(syncing))}"
            return f"{text}, so the input ended early"
        own = str(self._schemas[stream]["stream"])
        for bookmark in _bookmarks(last_state, {stream, own, *self._containing.get(own, ())}):
            is_interrupted = any(map(bookmark.get, _INTERRUPTED))
            if is_interrupted or any(name in bookmark for name in _UNFINISHED):
                return "by its last STATE message, the tap was still extracting the stream"
            names = bookmark.keys() - _OF_ANY_METHOD
            if key := next((name for name in sorted(names) if bookmark[name]), None):
                return (
                    f"the tap extracts only changes of the stream ({shown(repr(key))} in its "
                    "state). Set its replication method to FULL_TABLE"
                )
        if stream not in self._with_records:
            return "the input contains no record of the stream"
        return None


def _bookmarks(state: State, names: set[str]) -> Iterator[State]:
    """Yield the bookmarks of a stream, those of its partitions too.

    Old taps have no key `bookmarks`, or a bookmark that is a value alone.
    """
    for known in (state.get("bookmarks"), state):
        if not isinstance(known, dict):
            continue
        for name in names & known.keys():
            bookmark = known[name] if isinstance(known[name], dict) else {"bookmark": known[name]}
            partitions = bookmark.get("partitions")
            found = [bookmark, *(partitions if isinstance(partitions, list) else ())]
            yield from (one for one in found if isinstance(one, dict))


def _refusal(stream: str, why: str) -> str:
    return f"Stream {stream!r}: nothing was deleted: {why}"
