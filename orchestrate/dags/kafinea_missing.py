"""Finds what `modules` names and the catalog lacks. It does not need Airflow."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase


def missing(modules: Sequence[str] | None, found: Collection[str]) -> list[str]:
    """Return the names and patterns of `modules` that no stream of the catalog has.

    The tap only warns of them when it creates a catalog: the module does not exist, or the user
    may no longer read it. A task for each fails, as a run of the tap for all modules would.
    """
    wanted = dict.fromkeys(name for name in modules or () if not name.startswith("!"))
    return [name for name in wanted if not any(_matches(stream, name) for stream in found)]


def _matches(stream: str, pattern: str) -> bool:
    """Return whether `modules` takes a module, as the tap decides it."""
    return fnmatchcase(stream.casefold(), pattern.casefold())
