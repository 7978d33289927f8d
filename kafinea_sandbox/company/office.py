"""The simulation of the company: its clock, its record numbers, and its running processes.

A story is a process of the simulation: a generator that yields records, and numbers of working
seconds after which it continues. Thousands run concurrently, as deals do, so numbers and dates
ascend together, and the last deals are still open.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from random import Random
from typing import Generic, NamedTuple, TypeVar

from kafinea_sandbox.company.calendar import Calendar, days
from kafinea_sandbox.company.money import Item
from kafinea_sandbox.modules import MODULES
from kafinea_sandbox.modules.model import Field, Module
from kafinea_sandbox.rows import File, Relation, Row

Record = Row | File | Relation
Story = Iterator[Record | int]

T = TypeVar("T")

ADMIN, JOE = 1, 2
SELLERS = (JOE, 6, 7, 8, 10)
GONE = 9
"""A seller who left: inactive, but still the owner of old records."""
SALES_TEAM, SUPPORT_TEAM = 3, 5
EURO, DOLLAR = 1, 2


class Customer(NamedTuple):
    """The part of an account that later stories use."""

    number: int
    name: str
    code: str
    domain: str
    street: str
    town: tuple[str, str, str]
    country: str
    contact: int
    currency: int


class Pool(Generic[T]):
    """The last few thousand items, to pick from: memory stays bounded."""

    def __init__(self, random: Random, size: int = 3000) -> None:
        self._random = random.random
        self._size = size
        self._added = 0
        self._items: list[T] = []

    def add(self, item: T) -> None:
        """Add an item; it replaces the oldest."""
        if len(self._items) < self._size:
            self._items.append(item)
        else:
            self._items[self._added % self._size] = item
        self._added += 1

    def __bool__(self) -> bool:
        return bool(self._items)

    def pick(self) -> T:
        """A random item."""
        return self._items[int(self._random() * len(self._items))]


def blank(field: Field) -> str | None:
    """The value of a field that was not filled in."""
    if field.type in ("reference", "owner"):
        return None
    if field.type in ("boolean", "integer"):
        return "0"
    if field.scale is not None:
        return f"{0:.{field.scale}f}"
    return ""


class _Register:
    """The number of records of a module, and its empty record."""

    def __init__(self, module: Module) -> None:
        names = {field.name for field in module.fields}
        self.name = module.name
        self.number_field = module.number_field
        self.prefix = module.number_prefix
        self.count = 0
        # The columns of the lines are filled by LineItem, and nothing fills `shipping_&_...`.
        self.blank: dict[str, str | int | None] = {
            field.name: blank(field)
            for field in module.fields
            if not field.of_line and "&" not in field.name
        }
        self.owned = "assigned_user_id" in names
        self.timed = "modifiedtime" in names
        self.signed = "modifiedby" in names


class Office:
    """Creates records, and runs the stories."""

    def __init__(self, calendar: Calendar, seed: int) -> None:
        self.calendar = calendar
        self.random = Random(seed)
        self.chance = self.random.random
        self.time = 0
        self.now = calendar.stamp(0)
        self.customers: Pool[Customer] = Pool(self.random)
        self.leads: Pool[int] = Pool(self.random)
        self.goods: list[Item] = []
        self.products: list[int] = []
        self.vendors: list[tuple[int, str]] = []
        self.services: set[int] = set()
        self.campaigns: list[int] = []
        self._registers = {module.name: _Register(module) for module in MODULES}
        self._last = 0
        self._lines = 0
        self._turns = 0
        self._waiting: list[tuple[int, int, Story]] = []

    def one_of(self, items: tuple[T, ...] | list[T]) -> T:
        """A random item. `random.choice` takes four times as long."""
        return items[int(self.chance() * len(items))]

    def number(self) -> int:
        """The next number of the sequence that all entities and files share."""
        self._last += 1
        return self._last

    @property
    def total(self) -> int:
        """The number of records so far, lines included."""
        return self._last + self._lines

    def count(self, module: str) -> int:
        """The number of records of a module so far."""
        return self._registers[module].count

    def later(self, within: float = 60) -> int:
        """When a record created now was last changed: half of them never were."""
        luck = self.chance()
        if luck < 0.5:
            return self.time
        moment = self.time + int(days(within) * (2 * luck - 1) ** 2)
        return moment if moment <= self.calendar.end else self.time

    def owner(self) -> int:
        """A random owner: a seller, a team, or the seller who left."""
        luck = self.chance() * 20
        if luck < 1:
            return SALES_TEAM
        if luck < 2 and self.time * 2 < self.calendar.end:
            return GONE
        return SELLERS[int(luck * 7) % len(SELLERS)]

    def enter(self, module: str, changed: int | None = None, /, **values: str | int | None) -> Row:
        """Create a record; `changed` is the time of its last change."""
        register = self._registers[module]
        register.count += 1
        filled = register.blank.copy()
        if register.owned:
            filled["assigned_user_id"] = owner = self.owner()
            if register.signed:
                filled["modifiedby"] = ADMIN if owner == SALES_TEAM else owner
        elif register.signed:
            filled["modifiedby"] = ADMIN
        if register.timed:
            filled["createdtime"] = self.now
            moment = self.later() if changed is None else changed
            filled["modifiedtime"] = (
                self.now if moment == self.time else self.calendar.stamp(moment)
            )
        if "source" in filled:
            filled["source"] = "CRM"
        if register.number_field is not None:
            filled[register.number_field] = f"{register.prefix}{register.count}"
        filled.update(values)
        return Row(module, self.number(), filled)

    def enter_line(self, values: dict[str, str | int | None]) -> Row:
        """Create a line; lines have their own sequence of numbers."""
        self._lines += 1
        return Row("LineItem", self._lines, values)

    def start(self, story: Story, at: int) -> None:
        """Start a story at a time, unless that is after the end."""
        if at <= self.calendar.end:
            self._turns += 1
            heappush(self._waiting, (at, self._turns, story))

    def run(self) -> Iterator[Record]:
        """Run all stories, in the order of time."""
        while self._waiting:
            time, _, story = heappop(self._waiting)
            if time != self.time:
                self.time = time
                self.now = self.calendar.stamp(time)
            for step in story:
                if isinstance(step, int):
                    self.start(story, self.time + step)
                    break
                yield step
