"""Comparing a whole record before and after a write: what else changed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

from kafinea.describe import LINES, MODIFIED, Module
from kafinea.load.server.formats import decimals_of
from kafinea.load.server.server_rules import AMOUNTS, LINE_SERVERS_OWN, is_sent, may_follow
from kafinea.load.writing.comparing import changed_fields, same_lines, whole_time
from kafinea.parsing import decimal
from kafinea.values import ValueType, value_type_of

Record = Mapping[str, Any]

_EMPTY: tuple[Any, ...] = ("", None, [], "0000-00-00", "0000-00-00 00:00:00")
_GROUPED = 1000
_ENTITY = re.compile(r"&#?\w+;")
NOT_ANSWERED = frozenset({"label", LINES, "LineItems_FinalDetails", "productid"})
"""What answers to a write leave out, or give otherwise than `retrieve`."""


def holds_the_record(answer: Record, before: Record) -> bool:
    """Whether the answer to an update is the whole record as it is stored now.

    Some answers only repeat what was sent. `modifiedtime` is never sent, so an answer that has it
    is the server's own.
    """
    if "modifiedtime" not in answer:
        return False
    return before.keys() - NOT_ANSWERED <= answer.keys()


def changed_meanwhile(
    before: Record, compared: Record, changes: Record, module: Module
) -> list[str]:
    """Return the fields that an update would change and somebody else has changed meanwhile.

    Args:
        before: The whole record before the update.
        compared: The record as it was looked up, as far as a query gives it.
        changes: The changes.
        module: Its module.
    """
    names = [name for name in changes if name in compared and name not in AMOUNTS]
    changed = changed_fields(before, {name: compared[name] for name in names}, module.fields)
    changed = changed_fields(before, {name: changes[name] for name in changed}, module.fields)
    # A query does not give all servers' discounts as `retrieve` does.
    is_touched = before.get(MODIFIED) != compared.get(MODIFIED, before.get(MODIFIED))
    return [*changed, *(name for name in changes if name in AMOUNTS and is_touched)]


def lines_changed_meanwhile(before: Record, compared: Sequence[Record], line: Module) -> bool:
    """Whether somebody else has changed the lines of a record meanwhile.

    Args:
        before: The whole record before the update.
        compared: Its lines as they were looked up.
        line: The module of lines.
    """
    now: Sequence[Record] = before.get(LINES) or []
    names = set(line.fields).intersection(*now) - LINE_SERVERS_OWN
    return not same_lines(now, [{n: one[n] for n in names if n in one} for one in compared], line)


def exposed(record: Record, module: Module) -> set[str]:
    """Return what a full update of a record exposes to the formats of the user.

    An update proves only for what the record holds that such values are kept: a number without
    decimals does not show whether they are cut. So each is named with what could be lost of it.
    """
    return {
        f"{name}={mark}"
        for name, value in record.items()
        if (mark := _at_risk(name, value, module))
    }


def _at_risk(name: str, value: Any, module: Module) -> str:
    field = module.fields.get(name)
    if value in _EMPTY or not is_sent(name, module):
        return ""
    kind = value_type_of(field.type) if field else ValueType.NUMBER
    if kind is ValueType.NUMBER and (number := _number(value)):
        return f"{decimals_of(value)} decimals" + (" of many" if abs(number) >= _GROUPED else "")
    if kind is ValueType.DATETIME:
        return "a moment" if str(value).endswith(":00") else "a moment with seconds"
    if kind is ValueType.TEXT and _ENTITY.search(str(value)):
        return "an entity"
    return ""


def other_changes(
    before: Record, after: Record, changed: Collection[str], module: Module
) -> dict[str, Any]:
    """Return the fields that an update was not meant to change and that did, with their old values.

    Args:
        before: The whole record before the update, as `retrieve` gives it.
        after: The whole record after it.
        changed: The names of the fields that the update was meant to change.
        module: The record's module.
    """
    expected = {*changed, *may_follow(module, changed)}
    names = [name for name in {**before, **after} if name not in expected]
    return {
        name: before.get(name)
        for name in names
        if not _is_same(name, before.get(name), after.get(name), module)
    }


def _is_same(name: str, before: Any, after: Any, module: Module) -> bool:
    if before == after or (before in _EMPTY and after in _EMPTY):
        return True
    if name == LINES:
        return _plain(before) == _plain(after)
    field = module.fields.get(name)
    if field and value_type_of(field.type) is ValueType.BOOLEAN:
        return _is_on(before) == _is_on(after)
    if field and field.type == "time":
        return whole_time(str(before)) == whole_time(str(after))
    if field and value_type_of(field.type) not in {ValueType.NUMBER, ValueType.INTEGER}:
        return False
    # A number is text in one answer and a number in the other; nothing and 0 are one to the server.
    left, right = _number(before), _number(after)
    return left is not None and left == right


def _plain(lines: Any) -> list[dict[str, Any]]:
    """Return lines without what a server gives them anew with each write."""
    records: Sequence[Record] = lines if isinstance(lines, list) else []
    return [
        {
            name: str(number) if (number := _number(value)) is not None else value
            for name, value in line.items()
            if name not in LINE_SERVERS_OWN
        }
        for line in records
    ]


def _is_on(value: Any) -> bool:
    return value not in _EMPTY and str(value).lower() not in {"0", "off", "no", "false"}


def _number(value: Any) -> Decimal | None:
    if value in _EMPTY:
        return Decimal(0)
    number = decimal(value)
    return None if number is None else number.normalize()
