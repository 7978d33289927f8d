"""Which records stand in a related list of which, as rows: a pair of ids each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from kafinea.client import Client
from kafinea.dividing import FAILURES_AT_FIRST, may_lie_in_the_request
from kafinea.errors import Code, IncompleteRead, Refused, Unavailable
from kafinea.extract.checkpoint import Checkpoint
from kafinea.extract.clock import Clock
from kafinea.extract.options import Options
from kafinea.extract.rows import Part
from kafinea.extract.run import ExtractionRun, Source
from kafinea.module_reader import ModuleReader
from kafinea.page_query import Page, is_there
from kafinea.parallel_reader import map_ahead
from kafinea.recovery import BadRecord, Recovery
from kafinea.related import RELATED, SOURCE, RelatedList, related_ids


def start(
    client: Client,
    related: RelatedList,
    checkpoint: Checkpoint,
    *,
    clock: Clock,
    options: Options,
    is_incremental: bool,
    name: str,
) -> ExtractionRun:
    """Return a run over the lists of the records that were changed.

    Args:
        client: The instance.
        related: The list.
        checkpoint: Where the last run ended.
        clock: The server's time zone.
        options: How to extract.
        is_incremental: Whether to read the lists of changed records only; not where their module
            has no `modifiedtime`.
        name: The stream's name, for messages.

    Raises:
        StateError: The checkpoint is that of another instance.
    """
    source = Source(client, related.module, name, clock, options, is_incremental)

    def make(recovery: Recovery) -> RelatedRows:
        return RelatedRows(client, related, recovery)

    return ExtractionRun(source, make, checkpoint)


class RelatedRows:
    """The pairs of a related list, in the order of the records that have the list.

    Args:
        client: The instance.
        related: The list.
        recovery: Takes note of the records whose lists cannot be read.
    """

    has_times: ClassVar[bool] = False
    has_versions: ClassVar[bool] = False  # who may not read all of a list is only warned
    is_whole = True
    columns = ("id",)
    complete = None
    complete_at_once = 1

    def __init__(self, client: Client, related: RelatedList, recovery: Recovery) -> None:
        self._client = client
        self._list = related
        self._recovery = recovery
        self._giving: str | None = None

    def open(self, _: object) -> RelatedRows:
        """Return this: each list is a request of its own."""
        return self

    def parts(self, _: ModuleReader, pages: Iterable[Page]) -> Iterator[Part]:
        """Yield the list of each record."""
        sources = (record["id"] for page in pages for record in page)
        for source_id, related in map_ahead(self._list_of, sources, self._client.max_sessions):
            rows = [{SOURCE: source_id, RELATED: related_id} for related_id in related or ()]
            yield Part(rows, [source_id], is_read=related is not None)

    def report(self) -> None:
        """Do nothing: a list has no values."""

    def _list_of(self, source_id: str) -> tuple[str, list[str] | None]:
        """Return the record, and the ids in its list; none of them where it cannot be read."""
        try:
            hasty = self._client.giving_up_after(FAILURES_AT_FIRST)
            return source_id, self._related_ids(hasty, source_id)
        except Unavailable as error:
            self._client.listtypes()  # fails as well when the server is away
            # It is there. So one more try shows whether it is this list at which it fails.
            last = self._client if error.silent else self._client.giving_up_after(1)
        except (Refused, IncompleteRead) as error:
            return source_id, self._left_out(source_id, error)
        try:
            return source_id, self._related_ids(last, source_id)
        except (Refused, IncompleteRead, Unavailable) as error:
            return source_id, self._left_out(source_id, error)

    def _related_ids(self, client: Client, source_id: str) -> list[str]:
        found = related_ids(client, self._list, source_id, giving=self._giving)
        if found:
            self._giving = source_id
        return found

    def _left_out(
        self, source_id: str, error: Refused | IncompleteRead | Unavailable
    ) -> list[str] | None:
        """Note that a list cannot be read; an empty one where its record was deleted meanwhile.

        Raises:
            Refused: There is no such list at all.
            IncompleteRead: It is one too many.
            Unavailable: The server has no room, or is too slow.
        """
        if isinstance(error, Unavailable) and (error.silent or not may_lie_in_the_request(error)):
            raise error
        if isinstance(error, Refused) and error.code == Code.UNKOWN_ENTITY:
            raise error
        if not is_there(self._client.query, self._list.module, source_id):
            return []
        self._recovery.meet(source_id, error)
        self._recovery.fail(BadRecord(source_id, (self._list.label,), str(error)))
        return None
