"""What is checked of a whole record before it is written, with what the run knows of the instance.

`checks` has what needs the record alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kafinea.describe import Field
from kafinea.load.context import LoadContext
from kafinea.load.plan import LoadPlan, Write
from kafinea.load.results import Rejected
from kafinea.load.server.server_rules import AMOUNTS, side_effects
from kafinea.load.writing import checks

Values = Mapping[str, Any]
Lines = Sequence[Values]


class RecordChecks:
    """Checks the records of a stream.

    Args:
        plan: How they go into their module.
        context: What the streams of the run share.
    """

    def __init__(self, plan: LoadPlan, context: LoadContext) -> None:
        self._plan = plan
        self._module = plan.module
        self._context = context

    def check_creation(self, values: Values, lines: Lines | None) -> None:
        """Check a record that is to be created.

        Raises:
            Rejected: It may not be, or the server would store something else.
        """
        checks.check_mandatory(self._module, values, complete=True)
        if self._plan.lines:
            checks.check_lines(lines or [])
        self._check_values(values, lines)

    def check_update(self, record_id: str, changes: Values, lines: Lines | None) -> None:
        """Check a record that is to be updated, as `check_creation` does."""
        checks.check_mandatory(self._module, changes, complete=False)
        self._refuse_side_effects(record_id, changes, lines)
        self._check_values(changes, lines)

    def refuse_unwritable(self, write: Write, record_id: str | None = None) -> None:
        """Refuse to write a module that this user may not write so.

        Raises:
            Rejected: It is one.
        """
        if reason := self._plan.why_not(write):
            raise Rejected("NOT_WRITABLE", reason, id=record_id)

    def _refuse_side_effects(self, record_id: str, changes: Values, lines: Lines | None) -> None:
        """Refuse an update that changes what the API does not show."""
        adds_up = self._module.is_inventory and not AMOUNTS.isdisjoint(changes)
        if adds_up and self._plan.lines is None:
            text = "this server does not support lines, so it cannot recalculate the totals"
            raise Rejected("NOT_SUPPORTED", text, id=record_id)
        if lost := side_effects(self._module.name, has_lines=bool(lines) or adds_up):
            refuse_side_effect(self._plan, record_id, lost)

    def _check_values(self, values: Values, lines: Lines | None) -> None:
        """Check what the server would take and change silently."""
        for name, wire in values.items():
            known = self._module.fields[name]
            if self._context.options.unknown_picklist == "reject":
                checks.check_picklist(known, wire)
            if known.type == "owner":
                self._context.owners.check(known, wire)
            self._check_reference(known, wire)
        if self._plan.lines:
            product = self._plan.lines.fields["productid"]
            for line in lines or ():
                self._check_reference(product, line["productid"])

    def _check_reference(self, known: Field, wire: str | None) -> None:
        if known.type != "reference" or wire is None:
            return
        modules = self._context.modules
        checks.check_reference(known, wire, modules.prefixes(known.refers_to))
        module = modules.of(wire, known.refers_to)
        if module and not self._context.existing.exists(module, wire):
            raise Rejected(
                "UNRESOLVED_REFERENCE", f"{known.name}: no record of {module} has this id"
            )


def refuse_side_effect(plan: LoadPlan, record_id: str, lost: str) -> None:
    """Refuse an update with a side effect, unless the stream accepts it.

    Raises:
        Rejected: It does not.
    """
    if plan.accept_side_effects:
        return
    text = (
        f"writing the record has a side effect that the API does not show: {lost}. "
        "To accept it, set `accept_side_effects`"
    )
    raise Rejected("SIDE_EFFECTS", text, id=record_id)
