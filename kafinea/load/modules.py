"""The modules of the instance, each described once."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from kafinea.client import Client
from kafinea.describe import Module
from kafinea.errors import Refused, SettingsError


class Modules:
    """The modules of the instance, each described once.

    Args:
        client: The instance.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._names: list[str] = []
        self._described: dict[str, Module] = {}

    @property
    def names(self) -> list[str]:
        """The modules that this user can use."""
        if not self._names:
            self._names = list(self._client.listtypes())
        return self._names

    def find(self, name: str, said_by: str) -> Module:
        """Return a module by its name in any case.

        Args:
            name: The name.
            said_by: Who names it, for the message.

        Raises:
            SettingsError: There is none.
        """
        for exact in self.names:
            if exact.casefold() == name.casefold():
                return self.get(exact)
        raise SettingsError(f"{said_by}: there is no module {name!r}.{near(name, self.names)}")

    def get(self, name: str) -> Module:
        """Return a module by its exact name."""
        if name not in self._described:
            self._described[name] = self._client.describe(name)
        return self._described[name]

    def of(self, record_id: str, names: Iterable[str]) -> str | None:
        """Return which of these modules a record belongs to, by its id."""
        return self.prefixes(names).get(record_id.partition("x")[0])

    def prefixes(self, names: Iterable[str]) -> dict[str, str]:
        """Return the id prefixes of those of the modules that this user can use."""
        found = {}
        for name in names:
            if name in self.names:
                try:
                    found[self.get(name).id_prefix] = name
                except Refused:
                    continue  # listed, and closed to this user
        return found


def near(name: str, names: Iterable[str]) -> str:
    """Return a sentence with the names that are like one that is not there, if there are some."""
    found = get_close_matches(name, list(names), n=3)
    return f" There is {', '.join(found)}." if found else ""
