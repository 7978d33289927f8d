"""A stream as the SDK hands it over: records are collected, and loaded batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from singer_sdk import Target
from typing_extensions import override

from kafinea.errors import SettingsError
from kafinea.load import Rejection, Result
from kafinea.load.context import LoadContext
from kafinea.load.load import BATCH_SIZE
from kafinea.load.plan import LoadPlan, make_plan
from kafinea.load.records import InputRecord
from kafinea.load.relation_plan import make_relation_plan
from kafinea.load.stream.loader import Loader
from kafinea.load.stream.relation_loader import RelationLoader
from kafinea.load.stream_mapping import StreamMapping
from kafinea.progress import Progress
from kafinea.shown import shown
from singer_kafinea.relations import list_of
from target_kafinea.mirrors import Mirrors
from target_kafinea.reader import Message, Reader
from target_kafinea.report import Report
from target_kafinea.sdk import SdkSink
from target_kafinea.states import States

WHERE_EXPLAINED = "docs/load-rules.md explains `streams` (TARGET_KAFINEA_STREAMS)."


@dataclass(frozen=True)
class SinkParts:
    """What the sinks of a run share.

    Attributes:
        context: The instance, and what was learned of it.
        report: Takes the results.
        states: Learns which records have their result.
        mirrors: Learns which records the input brings.
        reader: Has the message at hand: the SDK hands over the record alone.
        streams: The settings of the streams.
    """

    context: LoadContext
    report: Report
    states: States
    mirrors: Mirrors
    reader: Reader
    streams: Mapping[str, Mapping[str, Any]]


class ModuleSink(SdkSink):
    """Loads the records of one stream.

    Args:
        target: The target.
        stream_name: The stream's name.
        schema: Its JSON Schema.
        key_properties: Its key properties.
        parts: What the sinks share.
        message: The SCHEMA message as it came.

    Raises:
        SettingsError: Its module or a field is missing or cannot be written.
    """

    MAX_SIZE_DEFAULT = BATCH_SIZE

    def __init__(
        self,
        target: Target,
        stream_name: str,
        schema: dict[str, Any],
        key_properties: Sequence[str] | None,
        *,
        parts: SinkParts,
        message: Mapping[str, Any],
    ) -> None:
        super().__init__(target, stream_name, schema, key_properties)
        self._parts = parts
        self._schema_message = message
        # Here and not in `setup`: the SDK says twice what goes wrong there.
        settings = parts.streams.get(stream_name) or {}
        try:
            mapping = StreamMapping.parse(stream_name, settings)
            self._loader = self._relation_loader(mapping) or self._module_loader(mapping)
        except SettingsError as error:
            raise SettingsError(f"{error} {WHERE_EXPLAINED}") from None

    def _relation_loader(self, mapping: StreamMapping) -> RelationLoader | None:
        context, properties = self._parts.context, self.original_schema["properties"]
        known = list_of(self.original_schema)
        plan = make_relation_plan(
            self.stream_name, properties, mapping, context.client, context.modules, known
        )
        if plan is None:
            return None
        self._parts.report.begin(self.stream_name, plan.related_list.module)
        return RelationLoader(plan, context, self._note)

    def _module_loader(self, mapping: StreamMapping) -> Loader:
        context, properties = self._parts.context, self.original_schema["properties"]
        plan = make_plan(self.stream_name, properties, mapping, context.modules)
        if plan.ignored:
            names = ", ".join(plan.ignored)
            self.logger.info(
                "Stream %r: not loaded, because the server sets these fields: %s.",
                self.stream_name,
                names,
            )
        if plan.has_times and not context.zone.is_set:
            self.logger.warning(
                "Stream %r: `timezone` is not set, so date-times are loaded and compared as UTC. "
                "If the server is in another zone, they are wrong by hours. Set `timezone` to the "
                "zone of the server, such as Europe/Paris, or to UTC.",
                self.stream_name,
            )
        self._warn_of_unused_keys(plan, mapping)
        self._parts.report.begin(self.stream_name, plan.module.name)
        self._parts.mirrors.begin(plan, mapping, self._schema_message)
        return Loader(plan, context, self._note)

    def _warn_of_unused_keys(self, plan: LoadPlan, mapping: StreamMapping) -> None:
        """Say which key properties of the input do not decide which record is meant."""
        used = {name for name, known in plan.fields.items() if known.name in plan.match_on}
        used |= {
            name for name, goes_to in mapping.fields.items() if goes_to is None
        }  # left out on purpose
        if unused := set(self.key_properties) - used - {plan.id_property}:
            found_by = [f"`match_on` ({plan.keys_shown})"] if plan.match_on else []
            found_by += [f"`{plan.id_property}`"] if plan.id_property else []
            self.logger.warning(
                "Stream %r: the key_properties of the input (%s) are not used. Records are found "
                "by %s. If these fields identify a record, set `streams.%s.match_on`.",
                self.stream_name,
                shown(", ".join(sorted(unused))),
                " or ".join(found_by[::-1]) or "nothing",
                self.stream_name,
            )

    @property
    @override
    def current_size(self) -> int:
        # Not all is drained when the batch is full; what is left is looked up meanwhile.
        return len(self._loader.queue)

    @property
    @override
    def is_full(self) -> bool:
        return super().is_full or self._loader.queue.is_heavy

    @override
    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        message = self._parts.reader.message
        rejection = None
        if message.problem:
            rejection = Rejection("INVALID_VALUE", message.problem)
        elif problem := self.problem:
            rejection = Rejection("INVALID_RECORD", problem)
        self._warn_of_what_is_not_loaded(record)
        self._parts.states.expect(self.stream_name, message.line)
        is_deleted = bool(record.get("_sdc_deleted_at"))
        self._loader.add(
            InputRecord(record, message.line, message, message.size, is_deleted, rejection)
        )

    def _warn_of_what_is_not_loaded(self, record: dict[str, Any]) -> None:
        warned = self.warned_missing_fields
        if unknown := record.keys() - self.schema["properties"].keys() - warned:
            warned |= unknown
            names = shown(", ".join(sorted(unknown)))
            self.logger.warning(
                "Stream %r: not loaded, because its SCHEMA message does not contain them: %s.",
                self.stream_name,
                names,
            )

    @override
    def process_batch(self, context: dict[str, Any]) -> None:
        """Load the records of the batch; when it is full, the older half.

        The queue is never full then, so the last drain of the SDK takes everything.
        """
        queue = self._loader.queue
        batch = queue.take_older_half() if self.is_full else queue.take_all()
        report, size = self._parts.report, len(batch.records)
        with (
            report.timing(self.stream_name),
            Progress(self.stream_name, size, self.logger) as progress,
        ):
            for done in self._loader.load(batch):
                progress.advance(done)

    def _note(self, record: InputRecord, key: Mapping[str, Any], result: Result) -> None:
        message: Message = record.source
        is_pair = isinstance(self._loader, RelationLoader)
        source_key = {name: record.record.get(name) for name in self.key_properties}
        self._parts.mirrors.note(self.stream_name, record, result)
        self._parts.report.add(
            self.stream_name,
            key,
            result,
            schema=self._schema_message,
            record=message.content,
            line=message.line,
            source_key=None if is_pair else source_key,
        )
        self._parts.states.done(self.stream_name, message.line)
