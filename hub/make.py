"""Writes the definitions of the plugins for Meltano: `python hub/make.py`, or `make hub`.

Meltano adds a plugin from such a file with `meltano add --from-ref`, and its Hub consists of them.
Everything about the settings comes from `--about`. What the Hub accepts is in the folder `schemas`
of the repository `meltano/hub`; the limits of November 2026 are noted here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Plugin:
    """What `--about` does not say of a plugin.

    Attributes:
        name: The plugin, and its command.
        label: What it connects to.
        package: What pip installs.
        run: The function of its command, as in `[project.scripts]`.
        facts: What only this kind of plugin has.
    """

    name: str
    label: str
    package: str
    run: str
    facts: Mapping[str, Any] = field(default_factory=dict)


PLUGINS = [
    Plugin(
        name="tap-kafinea",
        label="Kafinea",
        package="singer-kafinea",
        run="tap_kafinea.__main__:main",
        # Documents contain their lines, so the module LineItem is not needed.
        facts={"select": ["*.*", "!LineItem.*"]},
    ),
    Plugin(
        name="target-kafinea",
        label="Kafinea",
        package="singer-kafinea",
        run="target_kafinea.__main__:main",
    ),
    Plugin(
        name="target-duckdb-exact",
        label="DuckDB, exact",
        package="singer-exact-loaders[duckdb]",
        run="exact_loaders.target_duckdb:run",
        facts={"dialect": "duckdb"},
    ),
    Plugin(
        name="target-postgres-exact",
        label="PostgreSQL, exact",
        package="singer-exact-loaders[postgres]",
        run="exact_loaders.target_postgres:run",
        facts={"dialect": "postgres"},
    ),
]

_KINDS = {"number": "string"}
"""Types of JSON Schema that Meltano calls by another name. Its `decimal` cannot be set in the
environment (4.4): it is not written into the file of settings."""

_UNKNOWN_OF_LOADERS = {"structured-logging"}
"""Capabilities that the Hub does not accept for a loader; `log_parser` implies it."""


def definition(plugin: Plugin) -> str:
    """Return the file of a plugin."""
    about = _about(plugin)
    settings = about["settings"]
    unknown = _UNKNOWN_OF_LOADERS if plugin.name.startswith("target-") else set()
    facts = {
        "name": plugin.name,
        "variant": "singer-kafinea",
        "namespace": plugin.name.replace("-", "_"),
        "label": plugin.label,
        "description": about["description"],
        "pip_url": plugin.package,
        "executable": plugin.name,
        "maintenance_status": "active",
        "quality": "unknown",  # the Hub's own rating
        "log_parser": "singer-sdk",
        "supported_python_versions": about["supported_python_versions"],
        "capabilities": sorted(set(about["capabilities"]) - unknown),
        **plugin.facts,
        "settings_group_validation": [settings["required"]],
        "settings": [_setting(*item) for item in settings["properties"].items()],
    }
    heading = "# Made from `--about` by hub/make.py: run `make hub`.\n"
    return heading + yaml.safe_dump(facts, sort_keys=False, allow_unicode=True, width=100)


def _about(plugin: Plugin) -> dict[str, Any]:
    module, function = plugin.run.split(":")
    command = f"from {module} import {function}; {function}()"
    done = subprocess.run(
        [sys.executable, "-c", command, "--about", "--format=json"],
        check=True, capture_output=True,
    )  # fmt: skip
    about: dict[str, Any] = json.loads(done.stdout)
    return about


def _setting(name: str, said: Mapping[str, Any]) -> dict[str, Any]:
    # Without the default: Meltano would copy it into the project, which would keep it in upgrades.
    return {
        "name": name,
        "label": said["title"],
        "description": said["description"],
        **_kind(said),
        **({"sensitive": True} if said.get("secret") else {}),
    }


def _kind(said: Mapping[str, Any]) -> dict[str, Any]:
    if "enum" in said:
        values = [value for value in said["enum"] if value is not None]
        return {
            "kind": "options",
            "options": [{"label": value, "value": value} for value in values],
        }
    if said.get("format") == "date-time":
        return {"kind": "date_iso8601"}
    types = said["type"]
    first: str = types if isinstance(types, str) else types[0]
    return {"kind": _KINDS.get(first, first)}


if __name__ == "__main__":
    for each in PLUGINS:
        (HERE / f"{each.name}.yml").write_text(definition(each), encoding="utf-8")
