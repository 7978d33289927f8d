"""Mirroring: records of a part of a module that the input does not bring are deleted, or marked.

The part is read twice, before the load of its stream and when all is loaded. Only what was there
before and has the same `modifiedtime` right before it is written may go: the source cannot know of
a record that was created or changed in Kafinea during the run. So nothing depends on clocks or time
zones.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from kafinea.client import Record
from kafinea.conditions import parse_where, typed
from kafinea.describe import MODIFIED
from kafinea.errors import KafineaError, QueryError, SettingsError
from kafinea.load.context import LoadContext
from kafinea.load.lookup.keys import listed
from kafinea.load.lookup.value_lookup import KEYS_AT_A_TIME
from kafinea.load.plan import LoadPlan, make_plan
from kafinea.load.quiet_hours import Pauses
from kafinea.load.records import InputRecord
from kafinea.load.results import CONFLICT, Rejected, Result
from kafinea.load.stream.loader import Done, Loader
from kafinea.load.stream.record_checks import RecordChecks
from kafinea.load.stream_mapping import StreamMapping
from kafinea.load.writing.checks import wire_values
from kafinea.load.writing.comparing import changed_fields
from kafinea.module_reader import ModuleReader

logger = logging.getLogger(__name__)

_TRIES = 2  # a record that is created while the part is counted is there the second time


class NotMirrored(KafineaError):
    """Nothing was deleted: it is not certain that it should be."""


class Mirror:
    """Finds, and then deletes or marks, what a stream does not bring of its part of a module.

    Args:
        plan: How the records of the stream go into their module.
        mapping: What the settings say of the stream; `mirror_where` is set.
        context: What the streams of the run share.

    Raises:
        SettingsError: The part or the values of `on_missing` are none of this module, or this user
            may not write so.
        NotMirrored: The part cannot be read.
    """

    def __init__(self, plan: LoadPlan, mapping: StreamMapping, context: LoadContext) -> None:
        self.module = plan.module.name
        self._where_text = mapping.mirror_where or ""
        where = f"Stream {plan.stream!r}"
        if MODIFIED not in plan.module.queryable:
            raise SettingsError(
                f"{where}: {self.module} cannot be mirrored. It has no {MODIFIED}, so nothing "
                "shows whether somebody changes a record during the run."
            )
        try:
            parsed = parse_where(self._where_text)
            self._where = typed(parsed, plan.module, context.zone)
        except QueryError as error:
            raise SettingsError(f"{where}, `mirror_where`: {error}") from None
        self._key_fields = plan.match_on
        self._on_missing = mapping.on_missing
        self._pauses = context.pauses
        # A pause comes before a record is looked at for the last time, not after.
        options = replace(context.options, hard_delete=True, append_only=False)
        no_pauses = Pauses(None, context.zone, context.client.wait)
        self._context = replace(context, options=options, pauses=no_pauses)
        self._plan = self._plan_of_missing(where, plan, mapping)
        self._values = self._checked_values(f"{where}, `on_missing`")
        self._before = {one: row.get(MODIFIED) for one, row in self._part([MODIFIED]).items()}

    def missing(self, brought: frozenset[str] | set[str], *, max_percent: float) -> list[Record]:
        """Return what is to be deleted or marked, when everything is loaded.

        Args:
            brought: The ids of all records of this module that the input has brought.
            max_percent: How much of the part may go, in percent.

        Raises:
            NotMirrored: More than that would, or the part cannot be read.
        """
        part = self._part([MODIFIED, *self._key_fields, *self._values])
        self._warn_of_outsiders(brought, part)
        absent = {one: row for one, row in part.items() if one not in brought}
        old = {one: row for one, row in absent.items() if self._is_as_before(one, row)}
        if new := absent.keys() - old.keys():
            self._say_what_stays(new)
        fields = self._plan.module.fields
        missing = [
            row
            for row in old.values()
            if not self._values or changed_fields(row, self._values, fields)
        ]
        # What is marked already must not make room for more.
        whole = len(self._before) - (len(old) - len(missing))
        if len(missing) * 100 > max_percent * whole:
            share = len(missing) * 100 / whole
            marked = " and not marked yet" if self._values else ""
            raise NotMirrored(
                f"{len(missing):,} of the {whole:,} records with {self._where_text}{marked} "
                f"are missing in the input ({share:.3g} %), more than `max_deletions` "
                f"({max_percent:g} %) allows, such as {listed([row['id'] for row in missing])}"
            )
        return missing

    def settle(self, missing: list[Record], done: Done) -> Iterator[int]:
        """Delete or mark records; yield how many more have their result, again and again.

        Args:
            missing: The records.
            done: Is called with the result of each.
        """

        def with_key(record: InputRecord, _key: Mapping[str, Any], result: Result) -> None:
            row: Record = record.source
            if self._was_changed_meanwhile(result):
                self._say_what_stays([row["id"]])
                return
            key = {name: row.get(name) for name in self._key_fields}
            shown = {name: value for name, value in key.items() if value not in {None, ""}}
            done(record, shown or {"id": row["id"]}, result)

        loader = Loader(self._plan, self._context, with_key)
        for some in _chunks(missing):
            self._pauses.keep()
            for number, row in enumerate(some):
                values = {"id": row["id"], MODIFIED: row.get(MODIFIED), **self._on_missing}
                is_deleted = not self._on_missing
                loader.add(InputRecord(values, number, row, is_deleted=is_deleted))
            yield from loader.load(loader.queue.take_all())

    # Before the load

    def _plan_of_missing(self, where: str, plan: LoadPlan, mapping: StreamMapping) -> LoadPlan:
        """Return how missing records are written: by their id alone, whatever has their key."""
        by_id = StreamMapping(
            module=self.module,
            fields={name: name for name in self._on_missing},
            allow_changes=mapping.allow_changes,
            accept_side_effects=mapping.accept_side_effects,
            conflict_on=MODIFIED,
        )
        names = ["id", MODIFIED, *self._on_missing]
        found = make_plan(plan.stream, names, by_id, self._context.modules)
        if why := found.why_not("update" if self._on_missing else "delete"):
            raise SettingsError(f"{where}, `load_method` `mirror`: {why}.")
        return found

    def _checked_values(self, where: str) -> dict[str, str | None]:
        """Return the values of `on_missing` as the wire has them."""
        try:
            values = wire_values(self._plan, self._on_missing, self._context.zone)
            RecordChecks(self._plan, self._context).check_update("", values, None)
        except Rejected as error:
            raise SettingsError(f"{where}: {error}.") from None
        return values

    def _part(self, names: Iterable[str]) -> dict[str, Record]:
        """Return the records of the part by id, all of them."""
        client, known = self._context.client, set(self._plan.module.queryable)
        columns = ["id", *(name for name in dict.fromkeys(names) if name in known)]
        for _ in range(_TRIES):
            reader = ModuleReader(
                client, self.module, columns, self._where, sessions=client.max_sessions
            )
            rows = {row["id"]: row for page in reader for row in page}
            if not reader.unreadable:
                return rows
        raise NotMirrored(
            f"{reader.unreadable:,} of the records with {self._where_text} cannot be read by this "
            "user"
        )

    # After the load

    def _is_as_before(self, record_id: str, row: Record) -> bool:
        return record_id in self._before and self._before[record_id] == row.get(MODIFIED)

    def _was_changed_meanwhile(self, result: Result) -> bool:
        """Whether a record is not as it was, so that it stays; an approved plan reports that."""
        code = result.rejection.code if result.rejection else None
        return code in {CONFLICT, "NOT_FOUND"} and not self._context.approved_plan

    def _say_what_stays(self, ids: Iterable[str]) -> None:
        some = sorted(ids)
        logger.info(
            "%s: %s records that the input does not contain were created or changed in Kafinea "
            "during this run, so they stay for now: %s.",
            *(self.module, f"{len(some):,}", listed(some)),
        )

    def _warn_of_outsiders(self, brought: Iterable[str], part: Mapping[str, Record]) -> None:
        """Say which records came and are outside of the part; a dry run cannot know it."""
        outside = [] if self._context.options.dry_run else sorted(set(brought) - part.keys())
        if outside:
            logger.warning(
                "%s: %s records of the input do not fulfil `mirror_where` (%s) after the load, so "
                "they will not be deleted when they are missing: %s.",
                *(self.module, f"{len(outside):,}", self._where_text, listed(outside)),
            )


def _chunks(rows: list[Record]) -> Iterator[list[Record]]:
    for at in range(0, len(rows), KEYS_AT_A_TIME):
        yield rows[at : at + KEYS_AT_A_TIME]
