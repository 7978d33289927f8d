"""Related lists as streams: which records belong together."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, count
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL
from singer_sdk.streams import Stream
from typing_extensions import override

from kafinea.client import Client
from kafinea.describe import MODIFIED, SECRET_MODULES, Module
from kafinea.dividing import FAILURES_AT_FIRST, may_lie_in_the_request
from kafinea.errors import Code, IncompleteRead, Refused, SettingsError, Unavailable, WrongAnswer
from kafinea.extract.prepared_pass import PreparedPass
from kafinea.page_query import Page, is_there
from kafinea.parallel_reader import map_ahead
from kafinea.progress import Progress
from kafinea.recovery import BadRecord
from kafinea.related import RELATED, SOURCE, RelatedList, find_list, lists_of, related_ids
from kafinea.values import ValueType
from singer_kafinea.relations import list_of, schema_of
from tap_kafinea.streams import ModuleStream, Note

if TYPE_CHECKING:
    from tap_kafinea.tap import TapKafinea


class RelationStream(ModuleStream):
    """Which records stand in a related list of which, in the order of those that have the list.

    The lists of the records that were changed are read, and all of them where their module has no
    `modifiedtime`.
    """

    STATE_MSG_LISTS = 20
    """Lists between two states. As between those of a module, a few dozen requests."""

    key: ClassVar[tuple[str, ...]] = (SOURCE, RELATED)
    has_versions = False  # who may not read all of a list is only warned, so nothing is proven
    bookmarked_by = None  # by `modifiedtime` of records that are not the stream's

    def __init__(
        self, tap: TapKafinea, name: str, one: RelatedList, *, is_incremental: bool = True
    ) -> None:
        super().__init__(tap, name, schema_of(one))
        self.module = one.module
        self._list = one
        self._giving: str | None = None
        self.forced_replication_method = (
            REPLICATION_INCREMENTAL if is_incremental else REPLICATION_FULL_TABLE
        )

    @override
    def _selected_kinds(self) -> dict[str, Any]:
        return {"id": ValueType.TEXT}

    @override
    def _records(
        self, opening: PreparedPass, note: Note, progress: Progress
    ) -> Iterator[dict[str, Any]]:
        sources = (record["id"] for page in opening.reading for record in page)
        lists = map_ahead(self._list_of, sources, self._kafinea.max_sessions)
        for done, (source_id, related) in enumerate(lists, start=1):
            for related_id in related or ():
                yield {SOURCE: source_id, RELATED: related_id}
            # Only now were all of them written.
            if related is not None:
                self._unreadable.settle([source_id])
            self._unreadable.keep()
            self.plan.advance(source_id)
            progress.advance(1)
            if done % self.STATE_MSG_LISTS == 0:
                self._write_state()

    @override
    def _rows_of(self, opening: PreparedPass, page: Page) -> Iterator[dict[str, Any]]:
        for source_id, related in map(self._list_of, (record["id"] for record in page)):
            yield from ({SOURCE: source_id, RELATED: related_id} for related_id in related or ())

    def _list_of(self, source_id: str) -> tuple[str, list[str] | None]:
        """Return the record, and the ids in its list; none of them where it cannot be read."""
        try:
            hasty = self._kafinea.giving_up_after(FAILURES_AT_FIRST)
            return source_id, self._related_ids(hasty, source_id)
        except Unavailable as error:
            self._kafinea.listtypes()  # fails as well when the server is away
            # It is there. So one more try shows whether it is this list at which it fails.
            last = self._kafinea if error.silent else self._kafinea.giving_up_after(1)
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
        if not is_there(self._kafinea.query, self.module, source_id):
            return []
        self._recovery.meet(source_id, error)
        self._recovery.fail(BadRecord(source_id, (self._list.label,), str(error)))
        return None

    def _write_state(self) -> None:
        # The SDK writes states behind so many records; most lists have none.
        self.state_manager.is_flushed = False
        self._write_state_message()

    @override
    def _increment_stream_state(
        self, latest_record: dict[str, Any], *, context: Mapping[str, Any] | None = None
    ) -> None:
        """Do nothing: a list is done when all in it is written."""


def discover(tap: TapKafinea, modules: Sequence[Module]) -> list[Stream]:
    """Return the streams that the settings ask for.

    Raises:
        SettingsError: There is no such list.
    """
    wanted = tap.config.get("relations") or []
    described = {module.name: module for module in modules}
    lists = _all_lists(tap, modules) if "all" in wanted else _named_lists(tap, wanted, described)
    streams: dict[str, Stream] = {}
    for one in lists:
        name = _name(one, {*described, *streams})
        parent = described.get(one.module) or tap.client.describe(one.module)
        streams[name] = RelationStream(tap, name, one, is_incremental=MODIFIED in parent.fields)
    return [*streams.values()]


def from_catalog(tap: TapKafinea, name: str, schema: Mapping[str, Any]) -> Stream | None:
    """Return the stream of a catalog entry, if it is one of these."""
    one = list_of(schema)
    return RelationStream(tap, name, one) if one else None


def _named_lists(
    tap: TapKafinea, wanted: Sequence[Mapping[str, str]], described: Mapping[str, Module]
) -> list[RelatedList]:
    found = []
    for said in wanted:
        names = described.keys()
        exact = _exactly(said["module"], names) or _exactly(said["module"], tap.modules.shown)
        if exact is None:
            raise SettingsError(
                f"`relations`: user {tap.config['username']!r} can use no module "
                f"{said['module']!r}."
            )
        try:
            found.append(find_list(tap.client, exact, said["related"]))
        except SettingsError as error:
            raise SettingsError(f"`relations`: {error}") from None
    return list(dict.fromkeys(found))


def _all_lists(tap: TapKafinea, modules: Sequence[Module]) -> list[RelatedList]:
    """Return the lists of all these modules whose records this user can read."""
    sources = [one.name for one in modules if one.is_entity and one.name not in SECRET_MODULES]
    threads = ThreadPoolExecutor(tap.client.max_sessions)
    try:
        told = list(threads.map(lambda name: _lists_if_told(tap, name), sources))
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
    if sources and all(lists is None for lists in told):
        raise SettingsError(
            "`relations`: the server does not tell which related lists there are. Name those that "
            'you want, such as [{"module": "Campaigns", "related": "Contacts"}].'
        )
    usable = tap.modules.shown
    return [one for lists in told for one in lists or [] if one.related in usable]


def _lists_if_told(tap: TapKafinea, module: str) -> list[RelatedList] | None:
    try:
        lists = lists_of(tap.client, module)
    except Refused as error:
        tap.logger.warning("The related lists of %s are left out: %s", module, error)
        return []
    except WrongAnswer as error:
        tap.modules.missing[f"Related lists of {module}"] = str(error)
        tap.logger.warning("The related lists of %s are left out: %s", module, error)
        return []
    if lists is None:
        tap.logger.warning("The related lists of %s are left out: they are not told.", module)
    return lists


def _exactly(name: str, names: Iterable[str]) -> str | None:
    return next((one for one in names if one.casefold() == name.casefold()), None)


def _name(one: RelatedList, taken: Collection[str]) -> str:
    """Return the name of a list's stream, such as `campaigns_contacts`."""
    name = "_".join([*_words(one.module), *(_words(one.label) or _words(one.related))])
    same = chain([name], (f"{name}_{n}" for n in count(2)))
    return next(each for each in same if each not in taken)


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", plain)]
