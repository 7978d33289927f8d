"""What has to be written so that a record is as before the load. Nothing here sends.

A field gets its old value only if it still holds what the load left in it. What the server derives
by itself, such as totals, follows.
"""

from __future__ import annotations

import html
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from kafinea.client import Record
from kafinea.describe import LINES, Field
from kafinea.load.plan import LoadPlan
from kafinea.load.records import WireValues
from kafinea.load.server.server_rules import LINE_SERVERS_OWN, is_kept, is_sent, may_follow
from kafinea.load.undo.notes import Change
from kafinea.load.undo.undone import Conflict
from kafinea.load.writing.comparing import same_lines, same_value
from kafinea.load.writing.unintended_changes import other_changes
from kafinea.values import ValueType, value_type_of

_EMPTY = ("", None, "0000-00-00", "0000-00-00 00:00:00")
_OF_A_FILE = frozenset({"filename", "filetype", "filesize", "imagename", "imageattachmentids"})
_NUMBERS = {ValueType.NUMBER, ValueType.INTEGER}


@dataclass(frozen=True)
class OtherRecords:
    """What is known of the records that others refer to.

    Attributes:
        created: The ids that the load has created. References to those that are deleted are empty.
        recreated: The new ids of deleted records, by their old ones.
    """

    created: Collection[str]
    recreated: Mapping[str, str]

    def renamed(self, value: Any) -> Any:
        """Return the new id of a record that was created anew; what else it is stays."""
        return self.recreated.get(value, value) if isinstance(value, str) else value


@dataclass
class Reversal:
    """What has to be written to a record.

    Attributes:
        changes: Old values, by field name.
        lines: The old lines, if they have to be written.
        conflicts: The fields that hold neither what the load wrote nor what was before it.
    """

    changes: WireValues = field(default_factory=dict)
    lines: list[WireValues] | None = None
    conflicts: list[Conflict] = field(default_factory=list)

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of all that has to be written."""
        return (*self.changes, *([LINES] if self.lines is not None else []))


@dataclass(frozen=True)
class _Effect:
    """What one write did to a field.

    Attributes:
        before: The value before it.
        after: The value after it.
        is_stored: Whether the server has shown the value after it; else it is what was sent.
    """

    before: Any
    after: Any
    is_stored: bool


_NOTHING = _Effect(None, None, is_stored=True)


def reversal(
    now: Record, changes: Sequence[Change], plan: LoadPlan, others: OtherRecords
) -> Reversal:
    """Return what has to be written so that a record is as before the updates of a load.

    Args:
        now: The whole record as it is.
        changes: What the load did with it, the first write first.
        plan: How records go into its module.
        others: What is known of other records.
    """
    found = Reversal()
    steps = [_effects(change, plan) for change in changes if _is_update(change)]
    written = dict.fromkeys(name for step in steps for name in step)
    for name in written:
        chain = [step[name] for step in steps if name in step]
        _reverse(name, chain, now, plan, others, found)
    for name, known in plan.module.fields.items():
        old = (changes[0].write.before or {}).get(name) if changes else None
        is_emptied = known.type == "reference" and now.get(name) in _EMPTY and name not in written
        if is_emptied and old in others.recreated:  # with the record that was deleted
            found.changes[name] = others.renamed(old)
    return found


def changed_since(
    now: Record, changes: Sequence[Change], plan: LoadPlan, others: OtherRecords
) -> list[Conflict]:
    """Return the fields of a record, which the load has created, that were changed since.

    Args:
        now: The whole record as it is.
        changes: What the load did with it, its creation first.
        plan: How records go into its module.
        others: What is known of other records.
    """
    creation = changes[0]
    is_whole = creation.after is not None
    left = {
        name: [_Effect(None, value, is_whole)]
        for name, value in (creation.after or creation.write.sent or {}).items()
    }
    unknown = {"id"}
    for change in changes[1:]:
        if change.write.operation == "FileUpload" and change.after is None:
            unknown |= _OF_A_FILE
        for name, effect in _effects(change, plan, writable_only=False).items():
            earlier = left.get(name, []) if change.after is None else []
            left[name] = [*earlier, effect]  # without an answer, it may have happened or not
    found = []
    for name in {**left, **now} if is_whole else left:
        effects, value = left.get(name, [_NOTHING]), now.get(name)
        if name in unknown or not _is_compared(name, plan, is_whole=is_whole):
            continue
        if not any(_holds(name, value, effect, plan, others) for effect in effects):
            found.append(Conflict(name, None, effects[-1].after, value))
    return found


def touched(changes: Sequence[Change], plan: LoadPlan) -> set[str]:
    """Return the fields that changed with the writes of a load, those that it did not load too."""
    return {
        name
        for change in changes
        if _is_update(change)
        for name in _effects(change, plan, writable_only=False)
    }


def unlike(new: Record, old: Record, plan: LoadPlan) -> list[str]:
    """Return the fields in which a record that was created anew is not as the deleted one.

    References may lead to others that were created anew, and totals follow from the lines.
    """
    module = plan.module
    left_out = {"id", "createdtime", *may_follow(module, {LINES})}
    return [
        name
        for name in other_changes(old, new, left_out, module)
        if (known := module.fields.get(name)) and known.type != "reference" and name in new
    ]


def required_and_not_kept(record: Record, plan: LoadPlan) -> WireValues:
    """Return values of the fields that the server requires and does not store for this record."""
    return {
        name: known.picklist[0]
        for name, known in plan.module.fields.items()
        if known.mandatory and known.picklist and not is_kept(known, plan.module, record)
    }


def lines_to_write(
    lines: Sequence[Mapping[str, Any]], plan: LoadPlan, others: OtherRecords
) -> list[WireValues]:
    """Return stored lines so that they can be written again."""
    fields = plan.lines.fields if plan.lines else {}
    return [
        {
            name: _line_value(others.renamed(value), fields[name])
            for name, value in line.items()
            if name in fields and name not in LINE_SERVERS_OWN
        }
        for line in lines
    ]


def wire(value: Any) -> str | None:
    """Return a stored value as it is written; None if it is empty."""
    if value in _EMPTY:
        return None
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, (int, float, Decimal)):
        return format(Decimal(str(value)), "f")
    text: str = value
    return text


def _reverse(
    name: str,
    chain: Sequence[_Effect],
    now: Record,
    plan: LoadPlan,
    others: OtherRecords,
    found: Reversal,
) -> None:
    """Go back from what a field holds now, write by write."""
    held, first = now.get(name), others.renamed(chain[0].before)
    if _is_same(name, held, first, plan):
        return  # it was taken back already, or the writes did nothing
    for effect in reversed(chain):
        old = others.renamed(effect.before)
        if _holds(name, held, effect, plan, others):
            held = old
        elif _is_same(name, held, first, plan):
            break
        elif effect.is_stored or not _is_same(name, held, old, plan):
            found.conflicts.append(Conflict(name, first, effect.after, held))
            break
    if _is_same(name, held, now.get(name), plan):
        return
    if name == LINES:
        found.lines = lines_to_write(held or [], plan, others)
    else:
        found.changes[name] = wire(held)


def _effects(change: Change, plan: LoadPlan, *, writable_only: bool = True) -> dict[str, _Effect]:
    """Return what a write did, by field name."""
    before, sent, module = change.write.before or {}, change.write.sent or {}, plan.module
    if change.after is not None:
        after = change.after
        names = [*other_changes(before, after, (), module)]
    else:
        after = sent
        names = [name for name in sent if not _is_as_sent(name, before.get(name), sent[name], plan)]
    is_stored = change.after is not None
    return {
        name: _Effect(before.get(name), after.get(name), is_stored)
        for name in names
        if not writable_only or _is_written_back(name, change, plan)
    }


def _is_written_back(name: str, change: Change, plan: LoadPlan) -> bool:
    """Whether a changed field is to be written; the others follow from those, or cannot be."""
    module = plan.module
    if name == LINES:
        return plan.lines is not None
    if name not in module.fields or name in module.line_columns or not is_sent(name, module):
        return False
    before, sent = change.write.before or {}, change.write.sent or {}
    is_derived = module.is_inventory and name in may_follow(module, {LINES})
    is_meant = name in sent and not _is_as_sent(name, before.get(name), sent[name], plan)
    return is_meant or not is_derived


def _is_compared(name: str, plan: LoadPlan, *, is_whole: bool) -> bool:
    """Whether a new record may be called changed by this field."""
    module = plan.module
    if name == LINES:
        return is_whole or plan.lines is not None
    return (name in module.fields or is_whole) and name not in may_follow(module, ())


def _holds(name: str, value: Any, effect: _Effect, plan: LoadPlan, others: OtherRecords) -> bool:
    """Whether a field holds what a write has left in it."""
    known = plan.module.fields.get(name)
    if known and known.type == "reference" and value in _EMPTY and effect.after in others.created:
        return True  # it was deleted since, by this undo or an earlier one
    if effect.is_stored:
        return _is_same(name, value, effect.after, plan)
    return _is_as_sent(name, value, effect.after, plan)


def _is_same(name: str, left: Any, right: Any, plan: LoadPlan) -> bool:
    """Whether two values that the server has shown are the same."""
    return not other_changes({name: left}, {name: right}, (), plan.module)


def _is_as_sent(name: str, stored: Any, sent: Any, plan: LoadPlan) -> bool:
    """Whether a stored value is what was sent."""
    if name == LINES and plan.lines:
        fields = plan.lines.fields
        lines = [{n: v for n, v in line.items() if n in fields} for line in sent or []]
        return same_lines(stored or [], lines, plan.lines)
    known = plan.module.fields.get(name)
    if known is None or same_value(stored, sent, known):
        return True
    # `revise` turns HTML entities into characters (measured).
    return isinstance(sent, str) and same_value(stored, html.unescape(sent), known)


def _line_value(value: Any, known: Field) -> str | None:
    """Return a value of a line. All are written, so that none keeps what stands there now."""
    text = wire(value)
    if text is None:
        return "0" if value_type_of(known.type) in _NUMBERS else ""
    return text


def _is_update(change: Change) -> bool:
    return change.write.operation in {"update", "revise"}
