"""The sentences that a terminal and a page have in common."""

from __future__ import annotations

from kafinea_cli.diff.grouping import StreamGroups
from kafinea_cli.diff.reading import About


def title(about: About) -> str:
    """Return what is shown, and when it was made."""
    time = about.time[:16].replace("T", " ")
    if about.is_plan:
        return f"Plan of {time} UTC"
    kind = "Dry run" if about.is_dry else "Load"
    last = f", the last of {about.runs:,} runs in the file" if about.runs > 1 else ""
    return f"{kind} of {time} UTC{last}"


def hint(about: About) -> str:
    """Return what to do next."""
    if about.is_plan:
        return "Nothing was written yet. A run with this file as `plan_path` applies this plan."
    if about.is_dry:
        return "Nothing was written. Set `plan_path` in the dry run to get a plan to apply."
    return "These changes were written to Kafinea."


def name_of(stream: StreamGroups) -> str:
    """Return the heading of a stream."""
    return f"{stream.name} (by reference)" if stream.is_referred_to else stream.name


def records(count: int) -> str:
    """Return a number of records in words."""
    return f"{count:,} {'record' if count == 1 else 'records'}"


def left_out(stream: StreamGroups) -> str:
    """Return how much of a stream is not shown."""
    groups = "1 more group" if stream.left_out == 1 else f"{stream.left_out:,} more groups"
    return f"{groups} of changes, in {records(stream.records_left_out)}."
