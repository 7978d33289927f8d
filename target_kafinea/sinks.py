"""A stream on its way into a module: a batch is prepared, looked up, compared and written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jsonschema
from singer_sdk.sinks import BatchSink
from singer_sdk.sinks.core import BaseJSONSchemaValidator
from typing_extensions import override

from kafinea.client import Client, Record
from kafinea.errors import SettingsError
from kafinea.progress import Progress
from target_kafinea import checks
from target_kafinea.lookup import Finder
from target_kafinea.merge import changed_fields, key_of, same_lines
from target_kafinea.outcomes import Kind, Outcome, Rejection
from target_kafinea.plan import LINES, Key, make_plan
from target_kafinea.writer import Writer

if TYPE_CHECKING:
    from target_kafinea.target import TargetKafinea


@dataclass
class Incoming:
    """A record on its way.

    Attributes:
        record: The record, after stream maps.
        message: The RECORD message as it came.
        deleted: Whether the source has deleted it.
        id: The Kafinea id it came with, then the id of the record that was found.
        values: Its wire values by field name; None clears.
        lines: Its lines, when it told any.
        stored: The record that was found.
        rejection: Why it is not written.
    """

    record: dict[str, Any]
    message: Mapping[str, Any]
    deleted: bool = False
    id: str | None = None
    values: dict[str, str | None] = field(default_factory=dict)
    lines: list[dict[str, str | None]] | None = None
    stored: Record | None = None
    stored_lines: Sequence[Mapping[str, Any]] = ()
    rejection: Rejection | None = None


class _Validator(BaseJSONSchemaValidator):
    """Notes what is wrong with a record; the SDK would log its contents and stop the run."""

    def __init__(self, schema: dict[str, Any]) -> None:
        super().__init__(schema)
        validator = jsonschema.validators.validator_for(schema, jsonschema.Draft7Validator)
        try:
            validator.check_schema(schema)
        except jsonschema.SchemaError as error:
            raise SettingsError(f"A SCHEMA message is no JSON Schema: {error.message}") from None
        self._validator = validator(schema)
        self.problem: str | None = None

    @override
    def validate(self, record: dict[str, Any]) -> None:
        error = jsonschema.exceptions.best_match(self._validator.iter_errors(record))
        self.problem = None
        if error is not None:
            where = "/".join(map(str, error.absolute_path)) or "the record"
            self.problem = f"{where} does not obey `{error.validator}` of the stream's schema"


class ModuleSink(BatchSink):
    """Loads the records of one stream."""

    MAX_SIZE_DEFAULT = 1000

    def __init__(
        self,
        target: TargetKafinea,
        stream_name: str,
        schema: dict[str, Any],
        key_properties: Sequence[str] | None,
    ) -> None:
        # The SDK stops at a record without its key; ours is decided by the plan.
        super().__init__(target, stream_name, schema, None)
        self._target = target
        self._told_key_properties = key_properties
        self._schema_message = target.message_reader.message

    @property
    @override
    def key_properties(self) -> Sequence[str]:
        return self._told_key_properties or []

    @property
    @override
    def include_sdc_metadata_properties(self) -> bool:
        # Otherwise the SDK takes `_sdc_deleted_at` away before we see it.
        return True

    @override
    def get_validator(self) -> BaseJSONSchemaValidator | None:
        return _Validator(self.schema) if self.validate_schema else None

    @override
    def _parse_timestamps_in_record(self, *_: Any, **__: Any) -> None:
        """Leave dates as they came: the SDK's parsing stops the run at one that is none."""

    @override
    def setup(self) -> None:
        """Decide how the stream is loaded, before its first record.

        Raises:
            SettingsError: A module or field is missing or cannot be written.
        """
        # Records that others may refer to are written before those that come after them.
        self._target.drain_all()
        settings = self.config["streams"].get(self.stream_name) or {}
        properties = self.original_schema["properties"]
        self._plan = make_plan(self.stream_name, properties, settings, self._target.modules)
        self._target.open_sinks.append(self)
        if self._plan.ignored:
            self.logger.info(
                "%s: the server fills in %s by itself; these properties are not loaded.",
                self.stream_name,
                ", ".join(self._plan.ignored),
            )

    @override
    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        self._target.stop_if_too_many_rejects()
        incoming = Incoming(record, self._target.message_reader.message)
        incoming.deleted = bool(record.get("_sdc_deleted_at"))
        problem = getattr(self._validator, "problem", None)
        if problem:
            incoming.rejection = Rejection("INVALID_RECORD", problem)
        context.setdefault("records", []).append(incoming)

    @override
    def process_batch(self, context: dict[str, Any]) -> None:
        """Bring every record of the batch to its outcome."""
        self._target.drain_before(self)
        incoming: list[Incoming] = context.get("records", [])
        with Progress(self.stream_name, len(incoming), self.logger) as progress:
            for record in incoming:
                self._prepare(record)
            self._resolve_references(incoming)
            self._find(incoming)
            self._learn_referenced(incoming)
            for done in self._settle(self._by_key(incoming)):
                progress.advance(done)

    @override
    def activate_version(self, new_version: int) -> None:
        self.logger.info(
            "%s: ACTIVATE_VERSION is not acted upon: no record is deleted because it did not "
            "come again.",
            self.stream_name,
        )

    @override
    def process_batch_files(self, encoding: Any, files: Sequence[str]) -> None:
        raise SettingsError(
            f"Stream {self.stream_name!r}: BATCH messages cannot be loaded. Take `batch_config` "
            "out of the settings of the tap."
        )

    # What a batch goes through, in this order

    def _prepare(self, incoming: Incoming) -> None:
        plan = self._plan
        try:
            if incoming.rejection:
                raise incoming.rejection
            incoming.id = incoming.record.get(plan.id_property or "") or None
            incoming.values = checks.wire_values(plan, incoming.record, self._target.zone)
            if plan.lines and incoming.record.get(plan.lines_property or "") is not None:
                told = incoming.record[plan.lines_property or ""]
                incoming.lines = checks.wire_lines(told, plan.lines, self._target.zone)
                checks.check_lines(incoming.lines)
        except Rejection as rejection:
            incoming.rejection = rejection

    def _resolve_references(self, batch: Sequence[Incoming]) -> None:
        """Turn natural keys into ids, all those of the batch at once."""
        for name, reference in self._plan.references.items():
            places = [place for one in _alive(batch) for place in _places(one, name)]
            told = {str(value) for _, values in places if (value := values.get(_leaf(name)))}
            self._target.references.learn(self._target.finder, reference, told)
            for incoming, values in places:
                value = values.get(_leaf(name))
                if value is None or incoming.rejection:
                    continue
                try:
                    values[_leaf(name)] = self._target.references.resolve(reference, value, name)
                except Rejection as rejection:
                    incoming.rejection = rejection

    def _find(self, batch: Sequence[Incoming]) -> None:
        """Find the records that exist, by id or else by their key."""
        plan, finder = self._plan, self._target.finder
        columns = self._columns()
        updates = self.config["load_method"] != "append-only"
        ids = {one.id for one in _alive(batch) if one.id} if updates else set()
        by_id = finder.by_id(plan.module.name, ids, columns)
        for one in _alive(batch):
            one.stored = by_id.get(one.id or "") if updates else None
        unfound = [one for one in _alive(batch) if one.stored is None and self._key(one)]
        key = Key(plan.module, plan.match_on)
        by_key = finder.by_key(key, {self._key(one) for one in unfound}, columns) if unfound else {}
        for one in unfound:
            rows = by_key.get(key_of(self._key(one), self._match_fields()), [])
            if len(rows) > 1:
                ids_text = ", ".join(row["id"] for row in rows)
                one.rejection = Rejection(
                    "AMBIGUOUS_KEY", f"several records have this key: {ids_text}"
                )
            one.stored = rows[0] if rows else None
        for one in _alive(batch):
            self._check_found(one)
        with_lines = [one for one in _alive(batch) if one.stored and one.lines is not None]
        lines = finder.lines_of({one.stored["id"] for one in with_lines if one.stored})
        for one in with_lines:
            one.stored_lines = lines[one.stored["id"]] if one.stored else ()
        self._complete_stored(batch)

    def _learn_referenced(self, batch: Sequence[Incoming]) -> None:
        """Find out which of the records referred to exist, all those of the batch at once."""
        told: dict[str, set[str]] = defaultdict(set)
        for one in _alive(batch):
            stored = one.stored or {}
            places = [(self._plan.module, one.values, stored)]
            if self._plan.lines:
                places += [(self._plan.lines, line, {}) for line in one.lines or ()]
            for module, values, old in places:
                for name, wire in values.items():
                    described = module.fields[name]
                    if described.type == "reference" and wire and wire != old.get(name):
                        prefixes = self._target.modules.prefixes(described.refers_to)
                        if referred := prefixes.get(wire.partition("x")[0]):
                            told[referred].add(wire)
        for referred, ids in told.items():
            self._target.learn_existing(referred, ids)

    def _complete_stored(self, batch: Sequence[Incoming]) -> None:
        """Read the fields that a query does not give, for the records that tell them."""
        unqueryable = {name.name for name in self._plan.fields.values()} - set(
            self._plan.module.queryable
        )
        for one in _alive(batch):
            if one.stored and unqueryable & one.values.keys():
                one.stored = self._target.client.retrieve(one.stored["id"])

    def _check_found(self, one: Incoming) -> None:
        """Reject a record that is neither found nor to be created."""
        if one.stored is not None or one.deleted:
            return
        if self._key(one) or self.config["load_method"] == "append-only":
            if not self.config["create_missing"]:
                one.rejection = Rejection("NOT_FOUND", "no record has this key")
        elif one.id:
            one.rejection = Rejection("NOT_FOUND", "no record has this id", id=one.id)
        elif self._plan.match_on:
            names = ", ".join(self._plan.match_on)
            one.rejection = Rejection("NO_KEY", f"no id, and no value in {names}")
        else:
            one.rejection = Rejection("NO_KEY", "no id, and the stream has no `match_on`")

    def _by_key(self, batch: Sequence[Incoming]) -> Iterable[list[Incoming]]:
        """Group the records that mean the same one, in the order in which they came."""
        groups: dict[Any, list[Incoming]] = defaultdict(list)
        for position, one in enumerate(batch):
            key = self._key(one)
            if one.stored is not None:
                groups["id", one.stored["id"]].append(one)
            elif key and not one.rejection:
                groups["key", key_of(key, self._match_fields())].append(one)
            else:
                groups["alone", position].append(one)
        return groups.values()

    def _settle(self, groups: Iterable[list[Incoming]]) -> Iterable[int]:
        """Write what has to be written, group by group, and yield how many records are done."""
        serial = self._plan.module.name in self.config["serial_modules"]
        workers = ThreadPoolExecutor(1 if serial else self._target.client.max_sessions)
        futures: list[Future[int]] = []
        try:
            futures.extend(workers.submit(self._settle_group, group) for group in groups)
            for future in futures:
                yield future.result()
        finally:
            workers.shutdown(cancel_futures=True)

    def _settle_group(self, group: list[Incoming]) -> int:
        for position, one in enumerate(group):
            outcome = self._settle_one(one)
            self._target.report.add(
                self.stream_name, self._shown_key(one), outcome, self._schema_message, one.message
            )
            if outcome.id and position + 1 < len(group) and outcome.kind is not Kind.REJECTED:
                self._carry_over(outcome, group[position + 1])
        return len(group)

    def _settle_one(self, one: Incoming) -> Outcome:
        try:
            if one.rejection:
                raise one.rejection
            if one.deleted:
                return self._delete(one)
            return self._create(one) if one.stored is None else self._update(one, one.stored)
        except Rejection as rejection:
            return Outcome(Kind.REJECTED, id=rejection.id or one.id, rejection=rejection)

    def _carry_over(self, outcome: Outcome, following: Incoming) -> None:
        """Let the next record of the same key see what has just been written."""
        following.stored = None
        if outcome.kind is Kind.DELETED or outcome.id is None:
            return
        if self._target.dry_run:
            following.stored = {"id": outcome.id}
            return
        following.stored = self._target.client.retrieve(outcome.id)
        following.stored_lines = following.stored.get(LINES) or ()

    # The three kinds of writes

    def _create(self, one: Incoming) -> Outcome:
        module = self._plan.module
        self._refuse_unwritable()
        values = dict(one.values)
        if "assigned_user_id" in module.fields and not values.get("assigned_user_id"):
            values["assigned_user_id"] = self._target.client.user_id()
        checks.check_mandatory(module, values, complete=True)
        if module.is_inventory:
            checks.check_lines(one.lines or [])
        self._check_changes(values, one.lines)
        if self._target.dry_run:
            return Outcome(Kind.CREATED)
        with self._target.client.one_session() as session:
            writer = Writer(session, module, self._plan.lines)
            return writer.create(values, one.lines, self._finding(session, one))

    def _update(self, one: Incoming, stored: Record) -> Outcome:
        module = self._plan.module
        record_id: str = stored["id"]
        if self.config["load_method"] == "append-only":
            return Outcome(Kind.UNCHANGED, id=record_id)
        names = changed_fields(stored, one.values, module.fields)
        lines = one.lines
        if lines is not None and self._plan.lines:
            same = same_lines(one.stored_lines, lines, self._plan.lines)
            lines = None if same else lines
        if not names and lines is None:
            return Outcome(Kind.UNCHANGED, id=record_id)
        self._refuse_unwritable()
        changes = {name: one.values[name] for name in names}
        checks.check_mandatory(module, changes, complete=False)
        self._check_changes(changes, lines)
        if self._target.dry_run:
            changed = (*names, *([LINES] if lines is not None else []))
            return Outcome(Kind.UPDATED, id=record_id, changed=changed)
        with self._target.client.one_session() as session:
            return Writer(session, module, self._plan.lines).update(record_id, changes, lines)

    def _delete(self, one: Incoming) -> Outcome:
        record_id = one.stored["id"] if one.stored else one.id
        if not self.config["hard_delete"] or one.stored is None:
            return Outcome(Kind.UNCHANGED, id=record_id)
        self._refuse_unwritable()
        if self._target.dry_run:
            return Outcome(Kind.DELETED, id=record_id)
        with self._target.client.one_session() as session:
            return Writer(session, self._plan.module).delete(one.stored["id"])

    def _refuse_unwritable(self) -> None:
        if self._plan.not_writable:
            raise Rejection("NOT_WRITABLE", self._plan.not_writable)

    def _check_changes(
        self, values: Mapping[str, str | None], lines: Sequence[Mapping[str, Any]] | None
    ) -> None:
        """Check what the server would take and change silently.

        Raises:
            Rejection: It would.
        """
        fields = self._plan.module.fields
        for name, wire in values.items():
            if self.config["unknown_picklist"] == "reject":
                checks.check_picklist(fields[name], wire)
            checks.check_owner(fields[name], wire, self._target.owners)
            self._check_reference(fields[name], wire)
        for line in lines or ():
            if self._plan.lines:
                self._check_reference(self._plan.lines.fields["productid"], line["productid"])

    def _check_reference(self, told: Any, wire: str | None) -> None:
        if told.type == "reference" and wire:
            prefixes = self._target.modules.prefixes(told.refers_to)
            checks.check_reference(told, wire, prefixes)
            module = prefixes.get(wire.partition("x")[0])
            if module and not self._target.exists(module, wire):
                raise Rejection("UNRESOLVED_REFERENCE", f"{told.name}: there is no {module} {wire}")

    # Keys

    def _match_fields(self) -> list[Any]:
        return [self._plan.module.fields[name] for name in self._plan.match_on]

    def _key(self, one: Incoming) -> tuple[str, ...]:
        """Return the wire values of the record's key; none if it has no complete one."""
        values = tuple(one.values.get(name) or "" for name in self._plan.match_on)
        return values if all(values) else ()

    def _shown_key(self, one: Incoming) -> dict[str, Any]:
        key = self._key(one)
        came_with = one.record.get(self._plan.id_property or "")
        if key and not came_with:
            return dict(zip(self._plan.match_on, key, strict=True))
        return {"id": came_with} if came_with else {}

    def _columns(self) -> list[str]:
        """Return the fields to compare, as far as a query gives them."""
        queryable = set(self._plan.module.queryable)
        told = [one.name for one in self._plan.fields.values() if one.name in queryable]
        return told or ["id"]

    def _finding(self, session: Client, one: Incoming) -> Any:
        key_values = self._key(one)
        if not key_values:
            return None
        key = Key(self._plan.module, self._plan.match_on)

        def find() -> Record | None:
            finder = Finder(session, self._target.modules)
            rows = finder.by_key(key, {key_values})[key_of(key_values, self._match_fields())]
            return rows[0] if rows else None

        return find


def _alive(batch: Iterable[Incoming]) -> Iterable[Incoming]:
    return (one for one in batch if one.rejection is None)


def _places(one: Incoming, name: str) -> list[tuple[Incoming, dict[str, str | None]]]:
    """Return where a record tells a field: in itself, or in each of its lines."""
    if name.startswith(f"{LINES}."):
        return [(one, line) for line in one.lines or ()]
    return [(one, one.values)]


def _leaf(name: str) -> str:
    return name.removeprefix(f"{LINES}.")
