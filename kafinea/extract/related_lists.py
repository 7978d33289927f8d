"""Which related lists to extract: those that are named, or all that the user can read."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

from kafinea.client import Client
from kafinea.describe import MODIFIED, SECRET_MODULES, Module
from kafinea.errors import Refused, SettingsError, WrongAnswer
from kafinea.extract.discovery import Modules, NotRead
from kafinea.related import RelatedList, find_list, lists_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NamedList:
    """A related list as a stream.

    Attributes:
        name: The stream's name, such as `campaigns_contacts`.
        related: The list.
        is_incremental: Whether the lists of changed records can be read alone, because their module
            has a `modifiedtime`.
    """

    name: str
    related: RelatedList
    is_incremental: bool


@dataclass(frozen=True)
class RelatedLists:
    """The related lists of an instance.

    Args:
        client: The instance.
        modules: Its modules.
    """

    client: Client
    modules: Modules

    def wanted(self, setting: Any, modules: Sequence[Module]) -> list[NamedList]:
        """Return the lists that the setting `relations` requires, each with a name of its own.

        Args:
            setting: For each list its `module`, and its label or `related` module; or "all".
            modules: The modules that are extracted.

        Raises:
            SettingsError: There is no such list.
        """
        described = {module.name: module for module in modules}
        lists = self.all(modules) if "all" in setting else self.named(setting, described)
        found: dict[str, NamedList] = {}
        for related in lists:
            name = _name(related, {*described, *found})
            source = described.get(related.module) or self.client.describe(related.module)
            found[name] = NamedList(name, related, MODIFIED in source.fields)
        return [*found.values()]

    def named(
        self, wanted: Iterable[Mapping[str, str]], described: Iterable[str]
    ) -> list[RelatedList]:
        """Return the lists that the setting `relations` names.

        Args:
            wanted: For each list its `module`, and its label or `related` module.
            described: The modules that are extracted.

        Raises:
            SettingsError: There is no such list.
        """
        found, known = [], list(described)
        for entry in wanted:
            name = entry["module"]
            exact = _exactly(name, known) or _exactly(name, self.modules.shown)
            if exact is None:
                raise SettingsError(f"`relations`: {self.modules.not_found(name)}")
            try:
                found.append(find_list(self.client, exact, entry["related"]))
            except SettingsError as error:
                raise SettingsError(f"`relations`: {error}") from None
        return list(dict.fromkeys(found))

    def all(self, modules: Iterable[Module]) -> list[RelatedList]:
        """Return the lists of all these modules whose records this user can read.

        Raises:
            SettingsError: The server does not report which lists there are.
        """
        sources = [one.name for one in modules if one.is_entity and one.name not in SECRET_MODULES]
        threads = ThreadPoolExecutor(self.client.max_sessions)
        try:
            reported = list(threads.map(self._lists_of, sources))
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
        if sources and all(lists is None for lists in reported):
            raise SettingsError(
                "`relations`: the server does not report which related lists exist. List those "
                'that you want, such as [{"module": "Campaigns", "related": "Contacts"}].'
            )
        usable = self.modules.shown
        return [one for lists in reported for one in lists or [] if one.related in usable]

    def _lists_of(self, module: str) -> Sequence[RelatedList] | None:
        """Return the lists of a module; None where the server does not report them."""
        text = "The related lists of %s are left out: %s"
        try:
            lists = lists_of(self.client, module)
        except Refused as error:
            logger.warning(text, module, error)
            return []
        except WrongAnswer as error:
            missing = NotRead(str(error), is_final=False)
            self.modules.missing[f"Related lists of {module}"] = missing
            logger.warning(text, module, error)
            return []
        if lists is None:
            logger.warning(text, module, "the server does not report them.")
        return lists


def _exactly(name: str, names: Iterable[str]) -> str | None:
    return next((known for known in names if known.casefold() == name.casefold()), None)


def _name(related: RelatedList, taken: Collection[str]) -> str:
    """Return the name of a list's stream, such as `campaigns_contacts`."""
    name = "_".join([*_words(related.module), *(_words(related.label) or _words(related.related))])
    same = chain([name], (f"{name}_{n}" for n in count(2)))
    return next(each for each in same if each not in taken)


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", plain)]
