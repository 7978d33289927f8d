"""A stream as the SDK hands it over: records are collected, and loaded batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from singer_sdk.sinks import BatchSink
from singer_sdk.sinks.core import BaseJSONSchemaValidator
from typing_extensions import override

from kafinea.load import relations
from kafinea.load.asking import KEYS_AT_A_TIME
from kafinea.load.loading import Loader
from kafinea.load.matching import InputRecord
from kafinea.load.outcomes import Outcome, Rejection
from kafinea.load.plan import LoadPlan, make_plan
from kafinea.load.relations import RelationLoader
from kafinea.progress import Progress
from kafinea.shown import shown
from singer_kafinea.relations import list_of
from target_kafinea.validating import Validator

if TYPE_CHECKING:
    from target_kafinea.target import TargetKafinea


class ModuleSink(BatchSink):
    """Loads the records of one stream.

    Raises:
        SettingsError: Its module or a field is missing or cannot be written.
    """

    # Large enough that the sessions seldom wait for the last record of a half.
    MAX_SIZE_DEFAULT = 20 * KEYS_AT_A_TIME

    def __init__(
        self,
        target: TargetKafinea,
        stream_name: str,
        schema: dict[str, Any],
        key_properties: Sequence[str] | None,
    ) -> None:
        # As it came: the SDK is about to add its own columns.
        self._schema_message = deepcopy(target.message_reader.message)
        # Without the key properties: the SDK stops the run at a record that lacks one.
        super().__init__(target, stream_name, schema, None)
        self._target = target
        self._told_key_properties = key_properties
        # Here and not in `setup`: the SDK says twice what goes wrong there.
        settings = self.config["streams"].get(stream_name) or {}
        self._loader = self._relation_loader(settings) or self._module_loader(settings)

    def _relation_loader(self, settings: Mapping[str, Any]) -> RelationLoader | None:
        instance, policy = self._target.instance, self._target.policy
        properties = self.original_schema["properties"]
        known = list_of(self.original_schema)
        plan = relations.make_plan(self.stream_name, properties, settings, instance, known)
        return RelationLoader(plan, instance, policy, self._note) if plan else None

    def _module_loader(self, settings: Mapping[str, Any]) -> Loader:
        instance, policy = self._target.instance, self._target.policy
        properties = self.original_schema["properties"]
        plan = make_plan(self.stream_name, properties, settings, instance.modules)
        if plan.ignored:
            names = ", ".join(plan.ignored)
            self.logger.info("Not loaded, for the server fills them in itself: %s.", names)
        self._warn_of_unused_keys(plan, settings.get("fields") or {})
        return Loader(plan, instance, policy, self._note)

    def _warn_of_unused_keys(self, plan: LoadPlan, renamed: Mapping[str, str | None]) -> None:
        """Say which key properties of the input do not decide which record is meant."""
        used = {name for name, known in plan.fields.items() if known.name in plan.match_on}
        used |= {name for name, goes_to in renamed.items() if not goes_to}  # left out on purpose
        if unused := set(self.key_properties) - used - {plan.id_property}:
            found_by = [f"`match_on` ({', '.join(plan.match_on)})"] if plan.match_on else []
            found_by += [f"`{plan.id_property}`"] if plan.id_property else []
            self.logger.warning(
                "Stream %r: the input names %s as key_properties, which are not used. Records are "
                "found by %s. If these fields identify a record, set `streams.%s.match_on`.",
                self.stream_name,
                shown(", ".join(sorted(unused))),
                " or ".join(found_by[::-1]) or "nothing",
                self.stream_name,
            )

    @property
    @override
    def key_properties(self) -> Sequence[str]:
        return self._told_key_properties or []

    @property
    @override
    def include_sdc_metadata_properties(self) -> bool:
        # Otherwise the SDK takes `_sdc_deleted_at` away before we see it.
        return True

    @property
    @override
    def current_size(self) -> int:
        # Not all is drained when the batch is full; what is left is looked up meanwhile.
        return self._loader.size

    @property
    @override
    def is_full(self) -> bool:
        return super().is_full or self._loader.is_heavy

    @override
    def get_validator(self) -> BaseJSONSchemaValidator | None:
        return Validator(self.stream_name, self.schema) if self.validate_schema else None

    @override
    def _add_sdc_metadata_to_record(self, *_: Any, **__: Any) -> None:
        """Add nothing: the SDK's columns have no field."""

    @override
    def _parse_timestamps_in_record(self, *_: Any, **__: Any) -> None:
        """Leave dates as they came: the SDK's parsing stops the run at one that is none."""

    @override
    def _after_process_record(self, context: dict[str, Any]) -> None:
        """Log nothing: the SDK would show the batch with all its records."""

    @override
    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        reader = self._target.message_reader
        incoming = InputRecord(record, reader.message, reader.line, reader.size)
        if isinstance(self._validator, Validator) and self._validator.problem:
            incoming.rejection = Rejection("INVALID_RECORD", self._validator.problem)
        if reader.problem:
            incoming.rejection = Rejection("INVALID_VALUE", reader.problem)
        self._warn_of_what_is_not_loaded(record)
        self._target.report.expect(self.stream_name, incoming.line)
        self._loader.add(incoming)

    def _warn_of_what_is_not_loaded(self, record: dict[str, Any]) -> None:
        unknown = record.keys() - self.schema["properties"].keys() - self._warned_missing_fields
        if unknown:
            self._warned_missing_fields |= unknown
            names = shown(", ".join(sorted(unknown)))
            self.logger.warning(
                "Not loaded, for the stream's SCHEMA does not have them: %s.", names
            )

    @override
    def process_batch(self, context: dict[str, Any]) -> None:
        """Bring the records of the batch to their outcomes; when it is full, the older half."""
        batch = self._loader.take(everything=not self.is_full)
        with Progress(self.stream_name, len(batch), self.logger) as progress:
            for done in self._loader.load(batch):
                progress.advance(done)

    def _note(self, one: InputRecord, key: Mapping[str, Any], outcome: Outcome) -> None:
        self._target.report.add(self.stream_name, key, outcome, self._schema_message, one)
