"""What `kafinea verify` says: a row for each module, what is wrong, and how it knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from kafinea.suggestions import listed
from kafinea_cli.verify.check import Result

KINDS: Mapping[str, str] = {
    "missing": "no row in the warehouse",
    "superfluous": "no record in Kafinea",
    "stale": "another modifiedtime",
    "duplicate": "several rows",
    "different": "other values",
}
"""What may be wrong with a record, and what that means."""

_SHOWN = 5
_FEWEST = 10


def row(result: Result) -> dict[str, Any]:
    """Return a module as a row: how many records of each kind."""
    kinds = {kind: len(getattr(result, kind)) for kind in KINDS}
    return {
        "module": result.module,
        "records": result.records,
        "rows": result.rows,
        **kinds,
        "later": result.later,
        "hidden": result.hidden,
        "unreadable": result.unreadable,
    }


def document(results: Sequence[Result], absent: Sequence[str]) -> dict[str, Any]:
    """Return all that was found, with the ids."""
    return {
        "equal": all(result.is_right for result in results),
        "modules": [
            {
                **asdict(result),
                "until": result.until.isoformat() if result.until else None,
                "equal": result.is_right,
            }
            for result in results
        ],
        "without_table": list(absent),
    }


def findings(results: Iterable[Result]) -> Iterator[str]:
    """Yield a line for each kind of wrong records of a module, with the first ids."""
    for result in results:
        if result.error:
            yield f"{result.module}: not compared: {result.error}"
        for kind, meaning in KINDS.items():
            if ids := list(getattr(result, kind)):
                yield f"{result.module}: {len(ids):,} {kind} ({meaning}): {_first(ids, result)}"
        if len(result.stale) >= _FEWEST and len(result.stale) * 2 > result.rows:
            yield (
                f"{result.module}: most rows are stale. Is `timezone` (TAP_KAFINEA_TIMEZONE) the "
                "one with which the rows were extracted?"
            )


def remarks(
    results: Sequence[Result], absent: Sequence[str], lines: Sequence[str], state: str | None
) -> Iterator[str]:
    """Yield what to know about the result.

    Args:
        results: The results.
        absent: The modules without a table.
        lines: The tables of lines, which were not compared.
        state: The file of the state; None if there is none.
    """
    if any(result.later for result in results):
        later = sum(result.later for result in results)
        if state:
            yield (
                f"Not yet extracted: {later:,}, changed after the bookmarks in {state}. The next "
                "run extracts them."
            )
        else:
            yield (
                f"Not yet extracted: {later:,}, changed at or after the newest row of their table. "
                "If the next run does not extract them, they are lost: verify with --state."
            )
    if hidden := sum(result.hidden for result in results):
        yield f"Hidden: {hidden:,}. This user may not read the records of these rows."
    if unreadable := sum(result.unreadable for result in results):
        yield f"Unreadable: {unreadable:,}. The server counts these records, but returns none."
    if absent:
        yield f"Modules without a table in the warehouse: {listed(absent)}."
    if lines:
        yield f"Tables that were not compared: {listed(lines)} (lines of documents)."


def repaired(results: Sequence[Result], path: str) -> str:
    """Return what was written for the loader."""
    count = sum(result.repaired for result in results)
    wrong = sum(len(result.wrong) + len(result.superfluous) for result in results)
    withheld = sum(result.withheld for result in results)
    text = f"Repair: {count:,} of {wrong:,}, written to {'stdout' if path == '-' else path}."
    if withheld:
        text += (
            f" Not {withheld:,} superfluous rows, more than `deletions_limit` allows at once. Is "
            "this the warehouse of this instance? If the records were deleted, set it to 100 "
            "(TAP_KAFINEA_DELETIONS_LIMIT)."
        )
    if count + withheld < wrong:
        text += " The others were changed or deleted meanwhile, or cannot be read."
    return text + (f" Load it: `target-... < {path}`, then verify again." if path != "-" else "")


def verdict(results: Sequence[Result], state: str | None, *, deep: bool) -> str:
    """Return the result in one sentence."""
    if wrong := [result for result in results if not result.is_right]:
        count = sum(len(result.wrong) + len(result.superfluous) for result in wrong)
        if not count:
            return f"Not proven: {len(wrong):,} of {_modules(results)} could not be compared."
        return f"Not equal: {count:,} wrong in {len(wrong):,} of {_modules(results)}."
    until = f"up to the bookmarks in {state}" if state else "up to the newest row of each table"
    compared = f"`id` and `modifiedtime` of {_modules(results)}"
    if deep:
        compared += f", and all values of {sum(r.sampled for r in results):,} records"
    return f"Equal {until}: {compared}."


def _modules(results: Sequence[Result]) -> str:
    return f"{len(results):,} modules" if len(results) != 1 else "1 module"


def _first(ids: Sequence[str], result: Result) -> str:
    shown = [
        f"{record_id} ({', '.join(result.different[record_id][:_SHOWN])})"
        if record_id in result.different and ids == list(result.different)
        else record_id or "(no id)"
        for record_id in ids[:_SHOWN]
    ]
    return ", ".join(shown) + (", ..." if len(ids) > _SHOWN else "")
