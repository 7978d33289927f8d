"""Reading what is to be shown: a plan, or the last run of a load report.

Both may be long, so they are read line by line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from kafinea.errors import SettingsError
from kafinea.load.approval.plan_lines import PlanLine
from kafinea.load.approval.plan_reader import PlanReader
from kafinea.parsing import NOT_JSON

_PLAN = b'{"plan":'


@dataclass(frozen=True)
class About:
    """What is shown.

    Attributes:
        is_plan: Whether it is a plan, which can be applied.
        is_dry: Whether nothing was written to Kafinea.
        time: When it was made.
        where: The instance and the user, if it is known.
        runs: How many runs the file contains, of which the last one is shown.
    """

    is_plan: bool
    is_dry: bool
    time: str
    where: str = ""
    runs: int = 1


class _ReportLine(Struct):
    """A line of the load report."""

    time: str
    run: str
    stream: str
    key: dict[str, Any]
    outcome: str
    id: str | None = None
    changed: list[str] = []
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    code: str | None = None
    message: str | None = None
    dry_run: bool = False


_decoder = msgspec.json.Decoder(_ReportLine, float_hook=Decimal)


class Source:
    """A plan, or the last run of a load report.

    Args:
        path: Where it is.

    Attributes:
        about: What it is.

    Raises:
        SettingsError: It is neither, or a plan that is not complete or was edited.
        OSError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            self._is_plan = file.read(len(_PLAN)) == _PLAN
        self._run = ""
        self.about = self._of_plan() if self._is_plan else self._of_report()

    def read(self, each: Callable[[PlanLine], object]) -> None:
        """Call a function with the line of each record."""
        if self._is_plan:
            PlanReader(self._path, "The plan", lambda line, _: each(line)).close()
            return
        for line in self._report_lines():
            if line.run == self._run:
                each(_as_planned(line))

    def _of_plan(self) -> About:
        reader = PlanReader(self._path, "The plan", lambda *_: None)
        header = reader.header
        reader.close()
        where = f"{header.instance}, user {header.username}"
        return About(is_plan=True, is_dry=True, time=header.time, where=where)

    def _of_report(self) -> About:
        runs: set[str] = set()
        last = None
        for last in self._report_lines():
            runs.add(last.run)
        if last is None:
            raise SettingsError(f"{self._path} is empty: no record was loaded.")
        self._run = last.run
        return About(is_plan=False, is_dry=last.dry_run, time=last.time, runs=len(runs))

    def _report_lines(self) -> Iterator[_ReportLine]:
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield _decoder.decode(line)
                except NOT_JSON:
                    raise SettingsError(
                        f"{self._path}, line {number}, is neither of a plan (`plan_path`) nor of a "
                        "load report (`outcomes_path`)."
                    ) from None


def _as_planned(line: _ReportLine) -> PlanLine:
    unknown: dict[str, Any] = dict.fromkeys(line.changed, NOT_SHOWN)
    is_update = line.outcome == "updated"
    return PlanLine(
        stream=line.stream,
        module="",
        key=line.key,
        id=line.id,
        outcome=line.outcome,
        before={**unknown, **line.before} if is_update else line.before,
        after={**unknown, **line.after} if is_update else line.after,
        code=line.code,
        message=line.message,
        input="",
    )


NOT_SHOWN = msgspec.UNSET
"""The value of a field in a report without values."""
