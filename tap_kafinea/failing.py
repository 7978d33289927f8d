"""What fails one stream, and what stops the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from singer_sdk.exceptions import SyncLifecycleSignal

from kafinea.errors import Closed, FatalError, KafineaError
from singer_kafinea.logs import unforeseen
from tap_kafinea.maps import StreamFailed

STOPS_THE_RUN = (
    *(FatalError, Closed),
    OSError,  # of this machine: the output, a disk
    SyncLifecycleSignal,  # of the SDK: a dry run has its record
)
"""What no stream can do without. A server that is away is found by a request that must succeed."""


@contextmanager
def suppress_failures_of_a_stream() -> Iterator[None]:
    """Pass over an error of a block, unless it stops the run."""
    try:
        yield
    except STOPS_THE_RUN:
        raise
    except Exception:  # noqa: BLE001 whatever it is
        return


def as_shown(error: Exception) -> KafineaError:
    """Return an error that may be shown: the text of one that nobody foresaw may hold a value."""
    if isinstance(error, KafineaError):
        return error
    return StreamFailed(unforeseen(error, "tap-kafinea"))
