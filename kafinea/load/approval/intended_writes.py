"""A write that is about to be sent, and in what it is otherwise than an approved plan has it."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from kafinea.load.approval.changes import Change
from kafinea.load.approval.plan_lines import PlanLine
from kafinea.load.results import Status


class IntendedWrite(Struct, frozen=True):
    """A write that is about to be sent.

    Attributes:
        digest: The digest of the record as it came.
        status: What would become of the record.
        id: Its id; None for a new one.
        change: What it changes.
    """

    digest: str
    status: Status
    id: str | None
    change: Change


def difference(
    line: PlanLine, write: IntendedWrite, match: Callable[[object, object], bool]
) -> str:
    """Return what is otherwise than in the plan, without values.

    Args:
        line: The line of the record.
        write: The write.
        match: Whether a value is that of the plan.
    """
    planned, changes = line.outcome, write.change.after
    if planned == Status.REJECTED.value:
        return f"the plan rejects the record ({line.code}), and it could be written now"
    if write.status is Status.CREATED:
        if planned == Status.CREATED.value:
            return "the new record would get other values than in the plan"
        return f"the record ({line.id}) is no longer found, and would be created"
    if planned == Status.CREATED.value or line.id is None:
        return "a record with this key exists since the plan was made"
    if line.id != write.id:
        return f"the record that is found is another one than in the plan ({line.id})"
    if write.status is Status.DELETED:
        return "the record to be deleted has changed since the plan was made"
    # The input is as it was, so a reference in it leads to another record than it did.
    others = [n for n, v in line.after.items() if n in changes and not match(v, changes[n])]
    if others:
        return f"the record would get other values than in the plan: {', '.join(sorted(others))}"
    names = ", ".join(sorted(changes))
    return f"since the plan was made, the record has changed in Kafinea: {names}"
