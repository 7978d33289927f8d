"""The target: its settings, its input, and what its sinks share."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from typing_extensions import override

from kafinea.errors import FatalError, KafineaError, SettingsError
from kafinea.load import LoadOptions, Rejection
from kafinea.load.context import LoadContext
from kafinea.load.mirror import NotMirrored
from kafinea.load.results import rejected
from kafinea.suggestions import did_you_mean
from singer_kafinea.connection import connect, zone_of
from singer_kafinea.settings import unknown_settings, unknown_variables
from target_kafinea.mirrors import Mirrors
from target_kafinea.reader import Message
from target_kafinea.report import Report
from target_kafinea.sdk import SdkTarget
from target_kafinea.settings import SETTINGS, STREAM
from target_kafinea.sinks import WHERE_EXPLAINED, ModuleSink, SinkParts
from target_kafinea.states import States
from target_kafinea.waiting import Order


class TargetKafinea(SdkTarget):
    """Singer target for Kafinea."""

    name = "target-kafinea"
    package_name = "singer-kafinea"
    default_sink_class = ModuleSink
    config_jsonschema: ClassVar[dict[str, Any]] = SETTINGS

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._current_stream: str | None = None
        self._streams: set[str] = set()
        self._is_complete = False
        self._states = States()
        client = connect(self.config, self.cleanup)
        self._report = Report(self.config, self.logger, client)
        self.cleanup.callback(self._close_report)
        self.cleanup.callback(self._write_last_true_state)
        try:
            self._order = Order(self.config["streams"], self._states, self.logger)
        except SettingsError as error:
            raise SettingsError(f"{error} {WHERE_EXPLAINED}") from None
        self.message_reader.order = self._order
        self.cleanup.callback(self._order.stop)
        streams = self._order.streams
        self._context = LoadContext.of(
            client,
            zone_of(self.config),
            options_of(self.config),
            streams,
            finds_conflicts=any(stream.get("conflict_on") for stream in streams.values()),
        )
        self.cleanup.callback(self._context.close)
        self._mirrors = Mirrors(
            self.config, self._context, self._report, self._order.containing, self.logger
        )
        self._parts = SinkParts(
            self._context,
            self._report,
            self._states,
            self._mirrors,
            self.message_reader,
            streams,
        )

    @override
    def unknown(self) -> list[str]:
        schema = self.config_jsonschema
        variables = unknown_variables(os.environ, self._env_var_prefix, schema)
        return unknown_settings(self._config, schema, of_each={"streams": STREAM}) + variables

    @override
    def make_sink(
        self, stream: str, schema: dict[str, Any], keys: Sequence[str], message: Mapping[str, Any]
    ) -> ModuleSink:
        if stream in self._streams:
            self.drain_all()  # the records of the schema before: the new sink may be full first
        self._streams.add(stream)
        return ModuleSink(self, stream, schema, keys, parts=self._parts, message=message)

    @override
    def before_record(self, stream: str) -> None:
        """Load the waiting records of other streams first: this record may refer to them.

        Raises:
            TooManyRejects: More records were rejected than `max_rejects` allows.
        """
        if stream != self._current_stream or self._report.counts.has_too_many:
            self.drain_all()
            self._current_stream = stream
        self._report.counts.check()

    @override
    def reject_unmapped(
        self, stream: str, why: str, schema: Mapping[str, Any], message: Message
    ) -> None:
        self.before_record(stream)
        result = rejected(Rejection("NOT_MAPPED", message.problem or why))
        line, record = message.line, message.content
        if plan := self._context.written_plan:
            plan.note_unmapped(stream, result)
        self._report.add(stream, {}, result, schema=schema, record=record, line=line)

    @override
    def before_state(self, message: Message) -> None:
        is_dry = self._context.options.dry_run
        if not is_dry and (setting := self._report.on_stdout):
            raise SettingsError(
                f"`{setting}` (TARGET_KAFINEA_{setting.upper()}) is the standard output, to which "
                "the state is written. Set it to a file, or to /dev/stderr."
            )
        self._states.add(message.content["value"], message.line, message.size)
        if self._states.is_heavy:
            self.drain_all()

    @override
    def may_write_state(self) -> bool:
        """Return whether the state is true: a dry run has done nothing that it could cover."""
        if self._states.are_to_wait:
            return False
        self._states.clear()
        return not self._context.options.dry_run

    @override
    def finish(self) -> None:
        self._is_complete = True
        streams = self._order.streams
        absent = streams.keys() - self._streams
        for name in absent - self._order.containing.keys():
            near = did_you_mean(name, self._streams)
            self.logger.warning("`streams`: the input has no stream %r.%s", name, near)
        owning = {
            name: str(streams[name].get("module") or name)
            for name in absent
            if streams[name].get("mirror_where")
        }
        not_mirrored = self._mirrors.apply(self.message_reader.last_state, owning)
        try:
            self._check_results()
        except KafineaError:
            for why in not_mirrored:
                self.logger.warning("%s", why)
            raise
        if not_mirrored:
            raise NotMirrored(" ".join(not_mirrored))

    def _check_results(self) -> None:
        try:
            self._context.complete()
        finally:
            self._report.counts.check_all()

    @override
    def stop(self) -> None:
        self._context.gate.stop(patience=5)
        try:
            self._close_report()
        except FatalError as error:
            self.logger.error("%s", error)  # noqa: TRY400 it is one line for users

    def _write_last_true_state(self) -> None:
        """When the run breaks off, write the last state whose records all have their result.

        The SDK writes states only when all that was read has been written.
        """
        if state := self._states.last_true():
            self._states.wait(None)
            self._write_state_message(state)

    def _close_report(self) -> None:
        self._report.close(is_complete=self._is_complete)


def options_of(config: Mapping[str, Any]) -> LoadOptions:
    """Return the options of the load that the settings describe."""
    return LoadOptions(
        append_only=config["load_method"] == "append-only",
        update_method=config["update_method"],
        create_missing=config["create_missing"],
        hard_delete=config["hard_delete"],
        unknown_picklist=config["unknown_picklist"],
        serial_modules=frozenset(config["serial_modules"]),
        files_path=config.get("files_path"),
        quiet_hours=config.get("quiet_hours") or None,
        undo_path=config.get("undo_path"),
        dry_run=config["dry_run"],
        plan_path=config.get("plan_path"),
    )
