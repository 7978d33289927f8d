"""Loading records into a module, from any source: a data frame, a query, a file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

from typing_extensions import Self

from kafinea.client import Client
from kafinea.errors import Closed
from kafinea.load.context import LoadContext
from kafinea.load.lookup.value_lookup import KEYS_AT_A_TIME
from kafinea.load.options import LoadOptions
from kafinea.load.plain import plain_record
from kafinea.load.plan import make_plan
from kafinea.load.records import InputRecord
from kafinea.load.results import Result
from kafinea.load.stream.loader import Loader
from kafinea.load.stream.look_ahead import Batch
from kafinea.load.stream_mapping import StreamMapping
from kafinea.values import ServerZone

BATCH_SIZE = 20 * KEYS_AT_A_TIME
"""Large enough that the sessions seldom wait for the last record of a half."""
_DELETED_AT = "_sdc_deleted_at"


class Load:
    """Creates and updates records of one module, so that it holds what it is given.

    Each record is looked up, by its `id` or else by the fields of `match_on`, and written only
    where it differs from what is stored. What was written is read back and compared.

        with Client(url, user, key) as client, Load(client, "Contacts", match_on="email") as load:
            for result in load([{"email": "ada@example.com", "lastname": "Lovelace"}]):
                print(result.status, result.id, result.rejection)

    Args:
        client: The instance. The load does not close it.
        module: The module's name.
        match_on: The field or fields that identify a record without an `id` (the upsert key).
            Several keys are a list of lists of fields: the first that finds exactly one record
            decides.
        fields: For keys of the records that are no field names, the field; None leaves one out.
        references: For fields that refer to other records by a natural key, where to look it up,
            such as `{"account_id": {"module": "Accounts", "match_on": "accountname"}}`.
        allow_changes: Fields that the server may change besides those loaded; `*` for all.
        accept_side_effects: Update records although the server then changes what the API does
            not show.
        write: What an update may overwrite: `always` (the default), `if_empty` or `never`; one
            word for all fields, or one for each by its name, with `*` for the others.
        null: What an empty value means: `clear` (the default) the field, or `keep` what it has; as
            `write`.
        conflict_on: The key of the records that contains when each was extracted. One that was
            changed in Kafinea since is rejected. Without an offset, it is in `timezone`.
        timezone: The time zone of the server's date-times, such as `Europe/Paris`. UTC if None.
        options: What may be written, and whether it is a dry run.

    It loads one module. Only the target (`target-kafinea`) mirrors a part of a module, and takes
    records apart that contain nested ones.

    At the end of its `with` block, a dry run completes its plan. A load that applies a plan raises
    `PlanNotReached` there if the records did not contain all that the plan writes.

    Raises:
        SettingsError: A setting has no such form, there is no such time zone, or `files_path`,
            `undo_path` or the plan of `plan_path` cannot be used.
        StorageError: `undo_path` or the plan cannot be written.
    """

    def __init__(
        self,
        client: Client,
        module: str,
        *,
        match_on: str | Sequence[str] | Sequence[Sequence[str]] = (),
        fields: Mapping[str, str | None] | None = None,
        references: Mapping[str, Any] | None = None,
        allow_changes: str | Sequence[str] = (),
        accept_side_effects: bool = False,
        write: str | Mapping[str, str] | None = None,
        null: str | Mapping[str, str] | None = None,
        conflict_on: str | None = None,
        timezone: str | None = None,
        options: LoadOptions | None = None,
    ) -> None:
        self._module = module
        settings = {
            "fields": fields,
            "match_on": match_on,
            "references": references,
            "allow_changes": allow_changes,
            "accept_side_effects": accept_side_effects,
            "write": write,
            "null": null,
            "conflict_on": conflict_on,
        }
        self._mapping = StreamMapping.parse(module, settings)
        zone = ServerZone(timezone)
        self._is_closed = False
        self._unfinished = 0
        self._context = LoadContext.of(
            client,
            zone,
            options or LoadOptions(),
            {module: settings},
            finds_conflicts=bool(conflict_on),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None and not (self._unfinished or self._is_closed):
                self._context.complete()
        finally:
            self.close()

    def close(self) -> None:
        """End the load. It cannot be used afterwards."""
        self._is_closed = True
        self._context.close()

    def __call__(self, records: Iterable[Mapping[str, Any]]) -> Iterator[Result]:
        """Load records, and yield the result of each, in their order.

        Nothing is written before the results are iterated. When the load breaks off, load the same
        records again: what was written is found.

        Args:
            records: Dicts of values by field name: strings, numbers, booleans, dates, lists, also
                those of numpy and pandas. None (or NaN, NaT, NA) clears a field; a field that a
                record does not have stays as it is. A record with a value in `_sdc_deleted_at` is
                deleted, if the option `hard_delete` allows it.

        Raises:
            Closed: The load was closed.
            TypeError: These are not records.
            SettingsError: The module or a field is missing or cannot be written.
            KafineaError: The load cannot go on.
        """
        if isinstance(records, (str, Mapping)) or hasattr(records, "columns"):
            raise TypeError(
                "Load takes an iterable of records, each a dict by field name. Of a pandas data "
                'frame, these are `frame.to_dict("records")`.'
            )
        return self._results(records)

    def _results(self, records: Iterable[Mapping[str, Any]]) -> Iterator[Result]:
        self._unfinished += 1
        results: dict[int, Result] = {}
        following = 0

        def in_order() -> Iterator[Result]:
            nonlocal following
            while following in results:
                yield results.pop(following)
                following += 1

        def done(record: InputRecord, _key: Mapping[str, Any], result: Result) -> None:
            results[record.number] = result

        for loader, batch in self._batches(records, done):
            for _ in loader.load(batch):
                yield from in_order()
            yield from in_order()
        self._unfinished -= 1

    def _batches(
        self, records: Iterable[Mapping[str, Any]], done: Any
    ) -> Iterator[tuple[Loader, Batch]]:
        """Yield what is to be loaded next; a new plan begins where records have other fields."""
        known: dict[str, None] = {}  # a set that keeps its order
        loader: Loader | None = None
        for number, some in enumerate(_chunks(records)):
            self._check_open()
            names = dict.fromkeys(name for record in some for name in record)
            if loader is None or not names.keys() <= known.keys():
                if loader:
                    yield loader, loader.queue.take_all()
                known |= names
                loader = self._loader(known, done)
            for position, record in enumerate(some, start=number * KEYS_AT_A_TIME):
                is_deleted = bool(record.get(_DELETED_AT))
                loader.add(InputRecord(record, position, is_deleted=is_deleted))
            if len(loader.queue) >= BATCH_SIZE:
                yield loader, loader.queue.take_older_half()
        if loader:
            yield loader, loader.queue.take_all()

    def _check_open(self) -> None:
        if self._is_closed:
            raise Closed("The load is closed. Use it within its `with` block.")

    def _loader(self, properties: Collection[str], done: Any) -> Loader:
        fields = self._mapping.fields.items()
        known = {name: field for name, field in fields if name in properties}
        mapping = replace(self._mapping, fields=known)
        if mapping.conflict_on:  # the first records may be without it
            properties = list(dict.fromkeys([*properties, mapping.conflict_on]))
        plan = make_plan(self._module, properties, mapping, self._context.modules)
        return Loader(plan, self._context, done)


def _chunks(records: Iterable[Mapping[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    chunk: list[dict[str, Any]] = []
    for record in records:
        chunk.append(plain_record(record))  # a copy: the source may change its own meanwhile
        if len(chunk) == KEYS_AT_A_TIME:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
