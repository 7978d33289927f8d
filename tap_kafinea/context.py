"""What the streams of a run share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kafinea import Client
from kafinea.extract.clock import Clock
from kafinea.extract.deletion_scan import DeletionDetector
from kafinea.extract.discovery import Modules
from kafinea.extract.options import Options
from kafinea.extract.prefetch import Prefetch


@dataclass(frozen=True)
class RunContext:
    """What the streams of a run share.

    Attributes:
        client: The instance.
        modules: Its modules, as far as the settings take them.
        clock: The server's time zone.
        options: How to extract.
        prefetch: Returns what prepares the first pass of each stream; it begins when first called.
        detector: Returns what finds deleted records by comparing ids, if that is wanted. To be
            called once the state is loaded.
    """

    client: Client
    modules: Modules
    clock: Clock
    options: Options
    prefetch: Callable[[], Prefetch]
    detector: Callable[[], DeletionDetector | None]
