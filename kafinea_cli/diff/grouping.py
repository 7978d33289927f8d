"""What changes, in groups: records that get the same change are one group, the largest first.

Where each record of a field gets another value, they are one group too. The records are read twice:
once to count, once for the examples. So no more than a number is kept for each different change.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from kafinea.load.approval.plan_lines import PlanLine
from kafinea_cli.diff.reading import NOT_SHOWN, Source
from kafinea_cli.diff.values import ValueTexts, is_empty, key_text, name_of

OUTCOMES = ("created", "updated", "unchanged", "deleted", "rejected")
SEVERAL = "(different values)"

_PART = 20
"""A change is a group of its own if at least one in so many changes of its field is like it."""
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str, order="deterministic")


@dataclass(frozen=True)
class Example:
    """One record of a group.

    Attributes:
        key: What it is looked for by.
        id: Its id, if it exists.
        old: The old value, where each record has another one.
        new: The new value.
        text: Its values, or why it is rejected.
    """

    key: str
    id: str = ""
    old: str = ""
    new: str = ""
    text: str = ""


@dataclass
class Group:
    """Records that get the same change.

    Attributes:
        kind: `created`, `updated`, `deleted` or `rejected`.
        name: The field, or the code of the rejection.
        old: The old value of the field.
        new: The new value.
        count: How many records.
        examples: Some of them.
    """

    kind: str
    name: str = ""
    old: str = ""
    new: str = ""
    count: int = 0
    examples: list[Example] = field(default_factory=list)


@dataclass
class StreamGroups:
    """The changes of a stream.

    Attributes:
        name: The stream; or the module, of records that are created because others refer to them.
        is_referred_to: Whether it is such a module.
        counts: How many records came to which result.
        groups: What is deleted, created, changed and rejected.
        left_out: How many groups of changes are not among them.
        records_left_out: How many changes these have.
    """

    name: str
    is_referred_to: bool
    counts: Counter[str]
    groups: list[Group]
    left_out: int = 0
    records_left_out: int = 0


_Stream = tuple[bool, str]
_Kind = tuple[bool, bool, bool]  # whether the old value is empty, the new one is, and is not shown


def grouped(source: Source, limit: int, examples: int) -> list[StreamGroups]:
    """Return the changes of each stream.

    Args:
        source: The plan or the report.
        limit: The maximum number of groups of changed fields of a stream; 0 for all.
        examples: The maximum number of examples of a group.
    """
    counting = _Counting()
    source.read(counting.add)
    showing = _Showing(counting, limit, examples)
    source.read(showing.add)
    return showing.streams()


class _Counting:
    """Counts the changes, each by its hash."""

    def __init__(self) -> None:
        self.outcomes: dict[_Stream, Counter[str]] = defaultdict(Counter)
        self.changes: dict[tuple[_Stream, str], dict[_Kind, Counter[int]]] = {}
        self.new_names: dict[str, str] = {}

    def add(self, line: PlanLine) -> None:
        stream = _stream(line)
        self.outcomes[stream][line.outcome] += 1
        if line.outcome == "created" and line.id:
            self.new_names[line.id] = name_of(line)
        for name, old, new in _changes(line):
            kinds = self.changes.setdefault((stream, name), {})
            kinds.setdefault(_kind(old, new), Counter())[_hash(old, new)] += 1


class _Showing:
    """Collects the groups, with examples."""

    def __init__(self, counting: _Counting, limit: int, examples: int) -> None:
        self._counting = counting
        self._examples = examples
        self._texts = ValueTexts(counting.new_names)
        self._others: dict[_Stream, dict[tuple[str, str], Group]] = defaultdict(dict)
        self._groups: dict[tuple[_Stream, str, _Kind, int | None], Group] = {}
        self._left_out: dict[_Stream, list[int]] = {}
        for stream in counting.outcomes:
            sizes = sorted(self._sizes(stream), key=lambda one: (-one[0], one[1][1]))
            kept = sizes[: limit or None]
            self._groups |= {slot: Group("updated", slot[1], count=size) for size, slot in kept}
            self._left_out[stream] = [size for size, _ in sizes[len(kept) :]]

    def _sizes(self, stream: _Stream) -> Iterator[tuple[int, Any]]:
        """Yield the size of each group of changes of a stream, and what the group is known by."""
        for (of_stream, name), kinds in self._counting.changes.items():
            if of_stream != stream:
                continue
            total = sum(map(Counter.total, kinds.values()))
            for kind, counts in kinds.items():
                rest = counts.total()
                for change, count in counts.items():
                    if len(counts) == 1 or (count > 1 and count * _PART >= total):
                        yield count, (stream, name, kind, change)
                        rest -= count
                if rest:
                    yield rest, (stream, name, kind, None)

    def add(self, line: PlanLine) -> None:
        stream = _stream(line)
        if line.outcome in {"created", "deleted", "rejected"}:
            slot = (line.outcome, line.code or "")
            group = self._others[stream].setdefault(slot, Group(*slot))
            group.count += 1
            if len(group.examples) < self._examples:
                values = line.before if line.outcome == "deleted" else line.after
                others = {name: value for name, value in values.items() if name not in line.key}
                text = line.message or self._texts.record(others, line.keys)
                record_id = "" if line.outcome == "created" and line.id else line.id or ""
                group.examples.append(Example(key_text(line), self._id(record_id), text=text))
        for name, old, new in _changes(line):
            self._add_change(stream, line, name, old, new)

    def _add_change(self, stream: _Stream, line: PlanLine, name: str, old: Any, new: Any) -> None:
        kind = _kind(old, new)
        group = self._groups.get((stream, name, kind, _hash(old, new)))
        is_same = group is not None
        group = group or self._groups.get((stream, name, kind, None))
        if group is None or (group.old and len(group.examples) >= self._examples):
            return
        texts = self._texts.of(old), self._texts.of(new, line.keys.get(name))
        group.old, group.new = texts
        if not is_same:
            group.old = texts[0] if kind[0] else SEVERAL
            group.new = texts[1] if kind[1] else SEVERAL
        record_id = self._id(line.id or "")
        group.examples.append(Example(key_text(line), record_id, *(() if is_same else texts)))

    def _id(self, record_id: str) -> str:
        """Return an id as it is shown; a provisional one is not."""
        return "new" if record_id in self._counting.new_names else record_id

    def streams(self) -> list[StreamGroups]:
        found = []
        for stream, counts in self._counting.outcomes.items():
            is_referred_to, name = stream
            others = self._others[stream].values()
            by_size = sorted(others, key=lambda group: -group.count)
            changed = [group for slot, group in self._groups.items() if slot[0] == stream]
            groups = [
                *(group for group in by_size if group.kind == "deleted"),
                *changed,
                *(group for group in by_size if group.kind == "created"),
                *(group for group in by_size if group.kind == "rejected"),
            ]
            left_out = self._left_out[stream]
            found.append(
                StreamGroups(name, is_referred_to, counts, groups, len(left_out), sum(left_out))
            )
        return found


def _stream(line: PlanLine) -> _Stream:
    return line.stream is None, line.stream or line.module


def _changes(line: PlanLine) -> Iterator[tuple[str, Any, Any]]:
    """Yield the fields of an update with their old and new values."""
    if line.outcome == "updated":
        for name in line.before.keys() | line.after.keys():
            yield name, line.before.get(name), line.after.get(name)


def _kind(old: Any, new: Any) -> _Kind:
    return is_empty(old), is_empty(new), NOT_SHOWN in (old, new)


def _hash(old: Any, new: Any) -> int:
    known = [one if one is not NOT_SHOWN else None for one in (old, new)]
    return hash(_encoder.encode(known))
