"""The settings of the tap in `meltano.yml`."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from kafinea.errors import SettingsError

_FILE = "meltano.yml"
_TAP = "tap-kafinea"
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def settings_of_tap(known: Collection[str]) -> dict[str, Any]:
    """Return the settings of `tap-kafinea`, in this folder or the nearest one above.

    Those of the environment that `MELTANO_ENVIRONMENT` names, or of the default one, come before
    those of the plugin. Values may name variables, as `$NAME` or `${NAME}`. A setting is left out
    if one of them is not set.

    Args:
        known: The names of settings; others are left out.

    Raises:
        SettingsError: The file cannot be read.
    """
    found = next(filter(Path.is_file, (path / _FILE for path in _folders())), None)
    if not found:
        return {}
    project = _mapping(_parsed(found))
    chosen = os.environ.get("MELTANO_ENVIRONMENT") or project.get("default_environment")
    environment = _mapping(_named(project.get("environments"), chosen).get("config"))
    values: dict[str, Any] = {}
    for plugins in (project.get("plugins"), environment.get("plugins")):
        tap = _named(_mapping(plugins).get("extractors"), _TAP)
        values |= _mapping(tap.get("config"))
    expanded = {name: _expanded(value) for name, value in values.items() if name in known}
    return {name: value for name, value in expanded.items() if value is not None}


def _folders() -> Iterator[Path]:
    here = Path.cwd()
    yield from (here, *here.parents)


def _parsed(path: Path) -> Any:
    """Return what a YAML file contains.

    Raises:
        SettingsError: It is not YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeError) as error:
        mark = getattr(error, "problem_mark", None)  # its text may show a secret
        place = f": see line {mark.line + 1}" if mark else ""
        raise SettingsError(f"{path} is not YAML{place}.") from None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _named(entries: Any, name: Any) -> Mapping[str, Any]:
    """Return the entry of a list that has this name; an empty one if there is none."""
    entries = entries if isinstance(entries, list) else ()
    return next((e for e in map(_mapping, entries) if name and e.get("name") == name), {})


def _expanded(value: Any) -> Any:
    """Return a value with its variables; None if one of them is not set."""
    if isinstance(value, dict):
        return {name: _expanded(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_expanded(entry) for entry in value]
    if isinstance(value, date):  # YAML makes one of 2026-01-31
        return value.isoformat()
    if not isinstance(value, str):
        return value
    names = [one or other for one, other in _VARIABLE.findall(value)]
    if not all(name in os.environ for name in names):
        return None
    return _VARIABLE.sub(lambda match: os.environ[match[1] or match[2]], value)
