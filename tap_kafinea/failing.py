"""Streams that fail alone: one line says why, the others are read, and the run fails at its end."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import SyncLifecycleSignal
from singer_sdk.streams import Stream
from typing_extensions import override

from kafinea.errors import Closed, CredentialsRefused, KafineaError, SettingsError, Unavailable
from singer_kafinea.logs import unforeseen, with_traceback
from tap_kafinea.maps import StreamFailed, why_not_written

if TYPE_CHECKING:
    from tap_kafinea.tap import TapKafinea

_STOPS_THE_RUN = (
    *(SettingsError, CredentialsRefused, Closed),
    OSError,  # of this machine: the output, a disk
    SyncLifecycleSignal,  # of the SDK: a dry run has its record
)
"""What no stream can do without. The server that is away is found by asking it."""


class FailingAlone(Stream):
    """A stream whose failure stops no other.

    Attributes:
        failures: What went wrong. Each was said when it happened.
    """

    def __init__(self, tap: TapKafinea, name: str, schema: dict[str, Any]) -> None:
        super().__init__(tap, schema=schema, name=name)
        self._tap_kafinea = tap
        self._kafinea = tap.client
        self.failures: list[KafineaError] = []

    @abstractmethod
    @override
    def get_records(self, context: Mapping[str, Any] | None) -> Iterable[dict[str, Any]]: ...

    def fail(self, error: Exception, of: str | None = None) -> None:
        """Note that the stream is not complete, and say why.

        Args:
            error: What went wrong.
            of: What is not complete, if it is not all of the stream.

        Raises:
            KafineaError: The server is away, so no other stream can be read either.
        """
        why = self.why(error)
        if why is None:
            return
        if isinstance(why, Unavailable):
            self._kafinea.listtypes()  # fails as well when the server is away
        failure = as_shown(why)
        text = "%s is not complete: %s"
        self.logger.error(text, of or self.name, failure, exc_info=with_traceback(why, self.logger))
        self.failures.append(failure)

    def why(self, error: Exception) -> Exception | None:
        """Return what to say of an error, or None when it is no failure.

        Raises:
            KafineaError: The server is away.
        """
        return error

    @override
    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:
        # The SDK says that there is an error before it stops the run, which then says which.
        if level < logging.ERROR:
            super().log(message, *args, level=level, **kwargs)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            yield
        except _STOPS_THE_RUN:
            raise
        except Exception as error:
            if self.ABORT_AT_RECORD_COUNT is not None:  # a dry run has no end at which to fail
                raise
            self.fail(error)

    @override
    def _write_schema_message(self) -> None:
        with self._alone():
            self._check_maps()
            super()._write_schema_message()

    @override
    def _sync_records(
        self, context: Mapping[str, Any] | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], None, None]:
        # Behind this the SDK writes the state: what was read before a failure is not read again.
        if not self.failures:
            with self._alone():
                yield from super()._sync_records(context, write_messages=write_messages)

    @override
    def _write_record_message(self, record: dict[str, Any]) -> None:
        # As the SDK does it; a call of its method would cost as much as a map does.
        try:
            for message in self._generate_record_messages(record):
                self._tap.write_message(message)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 an expression may raise anything
            # `from None`: the error of a map may show a value.
            raise self._not_written(record, error) from None
        self.state_manager.is_flushed = False

    def _not_written(self, record: Mapping[str, Any], error: Exception) -> StreamFailed:
        key = " ".join(str(record[name]) for name in self.primary_keys if name in record)
        return StreamFailed(why_not_written(error, key))

    # What the SDK would do besides

    @property
    @override
    def emit_activate_version_messages(self) -> bool:
        """False: the SDK would tell loaders to drop the old rows before the new ones are read."""
        return False

    @override
    def get_batch_config(self, config: Mapping[str, Any]) -> None:
        """Return none: BATCH files would pass by selection, types and stream maps."""

    # For a test of the connection

    def first(self) -> dict[str, Any] | None:
        """Return the first record, if there is one."""
        return next(iter(self.get_records(None)), None)

    def check(self, record: dict[str, Any]) -> None:
        """Check that a record can be mapped.

        Raises:
            StreamFailed: It cannot, or no record can.
        """
        self._check_maps()
        try:
            for _ in self._generate_record_messages(record):
                pass
        except Exception as error:  # noqa: BLE001 as above
            raise self._not_written(record, error) from None

    def _check_maps(self) -> None:
        if failure := self._tap_kafinea.map_failures.get(self.name):
            raise failure

    @override
    def log_sync_costs(self) -> None:
        """Fail, now that all streams were read, if this one failed. The SDK calls this last.

        Raises:
            KafineaError: What went wrong first.
        """
        self._tap_kafinea.flush()
        missing = self._tap_kafinea.modules.missing
        for failure in [*self.failures, *map(StreamFailed, missing.values())]:
            streams = self._tap_kafinea.streams.values()
            failed = [one.name for one in streams if isinstance(one, FailingAlone) and one.failures]
            names = ", ".join([*failed, *missing])
            self._tap_kafinea.logger.error("Not complete: %s. The lines above say why.", names)
            failure.is_said = True
            raise failure


def as_shown(error: Exception) -> KafineaError:
    """Return an error that may be shown: the text of one that nobody foresaw may hold a value."""
    if isinstance(error, KafineaError):
        return error
    return StreamFailed(unforeseen(error, "tap-kafinea"))
