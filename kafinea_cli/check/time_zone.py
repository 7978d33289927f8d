"""Which time zone the server's date-times are in, as far as that shows.

No answer names the zone. But nobody can save a record in the future. So where the newest
`modifiedtime` of a busy instance is a few minutes old in one zone, and in the future or hours old
in the others, it is that one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from kafinea.client import Client
from kafinea.describe import MODIFIED, Module
from kafinea.errors import KafineaError, SettingsError
from kafinea.module_reader import LATEST, newest
from kafinea.values import ServerZone

OFTEN_SAVED = (
    *("ModComments", "Emails", "Events", "Calendar", "HelpDesk", "Accounts", "Contacts", "Leads"),
    *("Potentials", "Quotes", "SalesOrder", "Invoice"),
)
_USUAL = ("Europe/Paris", "UTC")
_TOLERANCE = timedelta(minutes=2)
"""By how much a record may be in the future: clocks differ."""
RECENT = timedelta(minutes=15)
"""The age up to which a record shows the zone: no two zones in use are closer."""


@dataclass(frozen=True)
class Newest:
    """The record that was saved last, of some modules.

    Attributes:
        module: Its module.
        wire: Its `modifiedtime`, as the server writes it.
        now: The time by the server's clock; by this machine's, if the server does not report it.
    """

    module: str
    wire: str
    now: datetime

    def age(self, zone: ServerZone) -> timedelta:
        """Return how long ago it was saved, if the server's date-times are in a zone."""
        return self.now - zone.aware(self.wire)

    def is_possible(self, zone: ServerZone) -> bool:
        """Whether it was not saved in the future, if the server's date-times are in a zone."""
        return self.age(zone) >= -_TOLERANCE


@dataclass(frozen=True)
class Guess:
    """A zone that may be the server's.

    Attributes:
        name: Its name.
        age: How old the newest record then is.
    """

    name: str
    age: timedelta

    @property
    def is_likely(self) -> bool:
        """Whether somebody has saved a record so recently that it shows the zone."""
        return self.age <= RECENT


def often_saved(modules: Iterable[Module], most: int = len(OFTEN_SAVED)) -> list[Module]:
    """Return the modules, at most so many, in which records are saved often, as a rule."""
    dated = {module.name: module for module in modules if MODIFIED in module.fields}
    usual = [dated[name] for name in OFTEN_SAVED if name in dated]
    others = [module for module in dated.values() if module not in usual]
    return [*usual, *others][:most]


def newest_of(client: Client, modules: Sequence[Module]) -> Newest | None:
    """Return the record that was saved last; None if there is none. One request for each module.

    Modules that cannot be read are passed over.
    """
    found: list[tuple[str, str]] = []
    for module in modules:
        with suppress(KafineaError):
            if (wire := newest(client.query, module.name)) and wire != LATEST:
                found.append((wire, module.name))
    if not found:
        return None
    wire, name = max(found)
    return Newest(name, wire, client.server_time() or datetime.now(timezone.utc))


def guess(found: Newest, profile: Mapping[str, str]) -> Guess | None:
    """Return the zone in which the newest record is the least old.

    The zones that are tried are that of the API user, of this machine, and the usual ones. Where
    two have the same time, the first one is meant.

    Args:
        found: The newest record.
        profile: What the login reported. Its `time_zone` is the user's, and often the server's.
    """
    names = dict.fromkeys([profile.get("time_zone"), *_USUAL, _of_this_machine()])
    guesses = []
    for name in filter(None, names):
        with suppress(SettingsError):
            zone = ServerZone(name)
            if found.is_possible(zone):
                guesses.append(Guess(name, found.age(zone)))
    return min(guesses, key=lambda one: one.age, default=None)


def in_words(age: timedelta) -> str:
    """Return a time span, such as `5 minutes` or `3 days`."""
    seconds = max(0, int(age.total_seconds()))
    for name, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            count = seconds // size
            return f"{count:,} {name}{'s' if count > 1 else ''}"
    return "less than a minute"


def _of_this_machine() -> str | None:
    if name := os.environ.get("TZ", "").removeprefix(":"):
        return name
    path = os.path.realpath(Path("/etc/localtime"))
    return path.partition("zoneinfo/")[2] or None
