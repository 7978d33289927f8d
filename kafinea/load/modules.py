"""The modules of the instance, each described once."""

from __future__ import annotations

from collections.abc import Iterable

from kafinea.client import Client
from kafinea.describe import Module
from kafinea.errors import Refused, SettingsError
from kafinea.suggestions import suggestion


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

    def find(self, name: str, where: str) -> Module:
        """Return a module by its name in any case.

        Args:
            name: The name.
            where: The stream or setting that contains the name, for the message.

        Raises:
            SettingsError: There is none.
        """
        for exact in self.names:
            if exact.casefold() == name.casefold():
                return self.get(exact)
        raise SettingsError(
            f"{where}: module {name!r} not found, or this user may not use it."
            f"{suggestion(name, self.names)}"
        )

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
