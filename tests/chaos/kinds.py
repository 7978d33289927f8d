"""The kinds of schedules, and a run of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.chaos import schedule
from tests.chaos.disk import mounted
from tests.chaos.extraction import Extraction
from tests.chaos.load import Load
from tests.chaos.programs import Failure
from tests.chaos.schedule import Schedule
from tests.chaos.server import Chaos


class Kind(NamedTuple):
    """How the schedules of a kind are made, and what runs under them."""

    schedule: Callable[[int], Schedule]
    course: type[Extraction | Load]


KINDS = {
    "tap": Kind(schedule.for_tap, Extraction),
    "writers": Kind(schedule.for_writers, Extraction),
    "target": Kind(schedule.for_target, Load),
    "people": Kind(schedule.for_people, Load),
}


def run(kind: str, plan: Schedule, directory: Path) -> str:
    """Run a schedule; return what happened in a line.

    Raises:
        Failure: A promise was not kept.
    """
    with mounted(directory / "disk") as disk:
        chaos = Chaos(directory / "server", plan, disk)
        try:
            return KINDS[kind].course(chaos, disk.path).run()
        except Failure as failure:
            raise Failure("\n".join((str(failure), *chaos.log))) from None
        finally:
            chaos.close()
