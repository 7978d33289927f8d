"""Which modules there are, which of them `modules` takes, and why one of them fails."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cached_property

from kafinea.client import Client
from kafinea.describe import Module, ModuleInfo
from kafinea.errors import KafineaError, Refused, SettingsError, Unavailable
from kafinea.page_query import count
from kafinea.query import is_name, select
from kafinea.suggestions import listed, nearest

logger = logging.getLogger(__name__)

_NOT = "!"


class NotRead(KafineaError):
    """A module cannot be read. The text contains what can be done.

    Args:
        is_final: False if the server may be the reason, and not a right or a name.
    """

    def __init__(self, message: str, *, is_final: bool = True) -> None:
        super().__init__(message)
        self.is_final = is_final


class Modules:
    """The modules of an instance, as far as the setting `modules` takes them.

    Args:
        client: The connection to the instance.
        username: Its user, for messages.
        patterns: Names and patterns; those after a `!` are left out. All modules if there are none
            without a `!`.

    Attributes:
        missing: What `modules` names and the instance does not show, and the error of it. The
            others are read, and the run fails at its end.
    """

    def __init__(self, client: Client, username: str, patterns: Sequence[str]) -> None:
        self.missing: dict[str, NotRead] = {}
        self._client = client
        self._username = username
        # A variable of the environment gives "Contacts, Leads", or nothing at all, with blanks.
        given = [pattern.strip() for pattern in patterns]
        self._taken = [pattern for pattern in given if pattern and not pattern.startswith(_NOT)]
        self._left_out = [
            pattern.removeprefix(_NOT).strip() for pattern in given if pattern.startswith(_NOT)
        ]

    @cached_property
    def shown(self) -> Mapping[str, ModuleInfo]:
        """The modules that the instance shows to this user, by name."""
        return self._client.listtypes()

    def takes(self, name: str) -> bool:
        """Whether `modules` takes a module of this name."""
        is_taken = not self._taken or any(_matches(name, pattern) for pattern in self._taken)
        return is_taken and not any(_matches(name, pattern) for pattern in self._left_out)

    # Discovery

    @cached_property
    def described(self) -> list[Module]:
        """The modules to extract, described once in a run, several at a time.

        Raises:
            SettingsError: There are none.
        """
        self.look_for(self.shown)
        self._check_what_is_left_out()
        described = self._describe_all([name for name in self.shown if self.takes(name)])
        if not described:
            raise self._nothing_described()
        self.warn_of_missing()
        return described

    def look_for(self, names: Iterable[str]) -> list[str]:
        """Find what `modules` names among names, and take note of what the instance does not show.

        Args:
            names: Those of the streams that there are.

        Returns:
            The names and patterns that only other modules of the instance have.
        """
        there, elsewhere = list(names), []
        for pattern in self._taken:
            if any(_matches(name, pattern) for name in there):
                continue
            if any(_matches(name, pattern) for name in self.shown):
                elsewhere.append(pattern)
            else:
                self.missing[pattern] = NotRead(f"`modules`: {self.not_found(pattern)}")
        return elsewhere

    def warn_of_lost(self, known: Iterable[str]) -> None:
        """Name the modules that an earlier run read and that this user no longer sees."""
        taken = [name for name in known if self.takes(name)]
        if lost := sorted(name for name in taken if name not in self.shown):
            logger.warning(
                "The state contains %s, but user %r can no longer see them in this instance. "
                "Their rows stay as they are. Check the rights of the user.",
                ", ".join(lost),
                self._username,
            )

    def warn_of_missing(self) -> None:
        """Name what `modules` names and the instance does not show."""
        for error in self.missing.values():
            logger.warning("%s It is left out.", error)

    def not_found(self, name: str) -> str:
        """Return the sentences for a module that was not found, with the names that are near."""
        near = nearest(name, self._names_and_labels)
        known = list(dict.fromkeys(self._names_and_labels[text] for text in near))
        meant = " or ".join(f"`{module}`{self._label(module)}" for module in known)
        question = f"Did you mean {meant}?" if meant else f"Available: {listed(self.shown)}."
        return f"Module {name!r} not found, or user {self._username!r} may not read it. {question}"

    def _describe_all(self, names: Sequence[str]) -> list[Module]:
        threads = ThreadPoolExecutor(self._client.max_sessions)
        try:
            described = threads.map(self.describe_one, filter(_is_askable, names))
            return [module for module in described if module]
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def describe_one(self, name: str) -> Module | None:
        """Describe a module. If its records cannot be read: log why, and return None."""
        try:
            # By the name of `listtypes`, whatever capitals its description has.
            module = replace(self._client.describe(name), name=name)
        except Refused as error:
            self._leave_out(name, f"cannot be described: {error}", is_final=error.is_final)
            return None
        except Unavailable as error:
            self._client.listtypes()  # fails as well when the server is away
            text = f"{name} cannot be described: {str(error).rstrip('.')}."
            text = f"{text} {self.how_to_leave_out(name)}"
            self.missing[name] = NotRead(text, is_final=False)
            return None
        if not module.retrieveable:
            self._leave_out(name, f"cannot be read by user {self._username!r}.", is_final=True)
        elif not has_ids(module):
            logger.info("%s is left out: its records have no `id`, so they cannot be read.", name)
        else:
            return module
        return None

    def _leave_out(self, name: str, why: str, *, is_final: bool) -> None:
        """Extract without a module; the run fails at its end if `modules` names it."""
        if _is_among(name, self._taken):
            self.missing[name] = NotRead(f"`modules`: {name} {why}", is_final=is_final)
        else:
            logger.warning("%s is left out, because it %s", name, why)

    def _check_what_is_left_out(self) -> None:
        for pattern in self._left_out:
            # A pattern may be meant for another instance as well.
            if is_name(pattern) and not any(_matches(name, pattern) for name in self.shown):
                near = nearest(pattern, self.shown)
                meant = f" Did you mean `!{near[0]}`?" if near else ""
                logger.warning("`modules` excludes %r, which is not a module.%s", pattern, meant)

    def _nothing_described(self) -> SettingsError:
        text = f"`modules` selects no module. Available: {listed(self.shown)}."
        why = next(iter(self.missing.values()), NotRead(text))
        error = SettingsError(str(why))
        error.is_final = why.is_final
        return error

    @cached_property
    def _names_and_labels(self) -> Mapping[str, str]:
        labels = {
            label: info.name
            for info in self.shown.values()
            for label in (info.label, info.singular)
        }
        return labels | {name: name for name in self.shown}

    def _label(self, name: str) -> str:
        label = self.shown[name].label
        return f' (label "{label}")' if label not in {name, ""} else ""

    # A module that fails

    def why(self, name: str, error: Exception) -> Exception | None:
        """Return the error to report for a module whose records cannot be read or counted.

        Args:
            name: The module.
            error: What went wrong.

        Returns:
            None when it cannot be read by design, which is no failure.

        Raises:
            KafineaError: The server is away.
        """
        if not isinstance(error, (Refused, Unavailable)):
            return error
        if name not in self._client.listtypes():
            return NotRead(self.not_found(name))
        if isinstance(error, Refused) and self._has_no_ids(name):
            logger.info("%s is left out: its records cannot be queried by `id`.", name)
            return None
        text = f"{str(error).rstrip('.')}. {self.how_to_leave_out(name)}"
        return NotRead(text, is_final=error.is_final)

    def how_to_leave_out(self, name: str) -> str:
        """Return the sentence that explains how to extract without a module."""
        if _is_among(name, self._taken):
            return "To extract without it, remove it from `modules`."
        left_out = (f"{_NOT}{pattern}" for pattern in (*self._left_out, name))
        modules = ", ".join(f'"{pattern}"' for pattern in (*(self._taken or "*"), *left_out))
        return f"To extract without it, set `modules` to [{modules}]."

    def _has_no_ids(self, name: str) -> bool:
        """Whether this is a helper table that has no key, or refuses queries by it."""
        try:
            module = self._client.describe(name)
            if module.is_entity or not has_ids(module):
                return not has_ids(module)
            count(self._client.query, name)
        except Refused:
            return False
        try:
            self._client.query(select(name, ["id"], limit=1))
        except Refused as error:
            return error.is_final  # else its database failed
        return False


def has_ids(module: Module) -> bool:
    """Whether the records of a module have ids; helper tables such as ProductTaxes may not."""
    return "id" in module.fields


def _is_askable(name: str) -> bool:
    if not is_name(name):
        logger.warning("%r is left out: a query cannot contain this module name.", name)
    return is_name(name)


def _is_among(name: str, names: Iterable[str]) -> bool:
    return name.casefold() in map(str.casefold, names)


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name.casefold(), pattern.casefold())
