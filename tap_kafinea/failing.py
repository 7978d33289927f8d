"""What fails one stream, and what stops the run."""

from __future__ import annotations

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


def as_shown(error: Exception) -> KafineaError:
    """Return an error that may be shown: the text of one that nobody foresaw may hold a value."""
    if isinstance(error, KafineaError):
        return error
    return StreamFailed(unforeseen(error, "tap-kafinea"))
