"""Settings that nobody reads: a typing error, and so a run that does what nobody wanted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from json import loads
from typing import Any

from singer_sdk.helpers.capabilities import (
    ACTIVATE_VERSION_CONFIG,
    ADD_RECORD_METADATA_CONFIG,
    BATCH_CONFIG,
    EMIT_ACTIVATE_VERSION_CONFIG,
    FLATTENING_CONFIG,
    STREAM_MAPS_CONFIG,
    TARGET_BATCH_SIZE_ROWS_CONFIG,
    TARGET_LOAD_METHOD_CONFIG,
    TARGET_VALIDATE_RECORDS_CONFIG,
)

from kafinea.suggestions import did_you_mean, nearest

_OF_THE_SDK = frozenset(
    name
    for schema in (
        *(ACTIVATE_VERSION_CONFIG, ADD_RECORD_METADATA_CONFIG, BATCH_CONFIG),
        *(EMIT_ACTIVATE_VERSION_CONFIG, FLATTENING_CONFIG, STREAM_MAPS_CONFIG),
        *(TARGET_BATCH_SIZE_ROWS_CONFIG, TARGET_LOAD_METHOD_CONFIG, TARGET_VALIDATE_RECORDS_CONFIG),
    )
    for name in schema["properties"]
)
"""What the SDK reads from the settings of any tap or target, whether `--about` lists it or not."""

_NO_SETTINGS = frozenset({"loglevel"})
"""What the SDK reads from the environment under the plugin's name besides."""
_YES_OR_NO = frozenset({"true", "1", "yes", "on", "false", "0", "no", "off", ""})
"""How a variable says yes or no. The SDK would take whatever else it says for a no."""
_SURELY_MEANT = 0.85
"""How like a setting the name of a variable must be: others may belong to another program."""


def unknown_settings(
    config: Mapping[str, Any], schema: Mapping[str, Any], *, of_each: Mapping[str, Any]
) -> list[str]:
    """Return what is wrong with the names of settings, a sentence for each.

    Args:
        config: The settings.
        schema: The plugin's own JSON Schema of them.
        of_each: For settings that are objects of objects, the JSON Schema of one of these.
    """
    known = {*schema["properties"], *_OF_THE_SDK}
    found = [_sentence(name, name, known) for name in config if name not in known]
    for setting, of_one in of_each.items():
        entries = config.get(setting)
        for name, entry in entries.items() if isinstance(entries, dict) else ():
            known = set(of_one["properties"])
            unknown = [key for key in entry if key not in known] if isinstance(entry, dict) else []
            found += [_sentence(f"{setting}.{name}.{key}", key, known) for key in unknown]
    return found


def unknown_variables(
    environment: Iterable[str], prefix: str, schema: Mapping[str, Any]
) -> list[str]:
    """Return which variables of the environment seem to be settings that are spelt otherwise.

    Args:
        environment: The names of all variables.
        prefix: What the names of the plugin's variables begin with.
        schema: The plugin's own JSON Schema of its settings.
    """
    known = {*schema["properties"], *_OF_THE_SDK}
    found = []
    for variable in sorted(environment):
        if not variable.startswith(prefix):
            continue
        name = variable.removeprefix(prefix).lower()
        # Meltano has variables for parts of objects (STREAMS_VISITORS), and its own begin with `_`.
        if name.startswith("_") or name in known | _NO_SETTINGS:
            continue
        meant = nearest(name, known, cutoff=_SURELY_MEANT)
        if meant and not any(name.startswith(f"{setting}_") for setting in known):
            found.append(
                f"The variable {variable} is not a setting. Did you mean "
                f"{prefix}{meant[0].upper()}?"
            )
    return found


def unreadable_variables(
    environment: Mapping[str, str], prefix: str, schema: Mapping[str, Any]
) -> list[str]:
    """Return which variables of the environment hold nothing that their setting can be.

    Args:
        environment: All variables.
        prefix: What the names of the plugin's variables begin with.
        schema: The plugin's own JSON Schema of its settings.
    """
    found = []
    for name, definition in schema["properties"].items():
        variable = f"{prefix}{name.upper()}"
        types = set(definition.get("type", ()))
        if variable not in environment or "string" in definition.get("items", {}).get("type", ()):
            continue  # the SDK reads a list of texts also from a,b,c
        if "integer" in types and not _is_made_by(int, environment[variable]):
            found.append(f"{variable} is not a whole number.")
        elif "boolean" in types and environment[variable].lower() not in _YES_OR_NO:
            found.append(f"{variable} is neither true nor false.")
        elif {"array", "object"} & types and not _is_made_by(loads, environment[variable]):
            found.append(f"{variable} is not JSON.")
    return found


def with_numbers(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with numbers where they have text.

    The SDK leaves some numbers of the environment as text, and so does Meltano.
    """
    types = {name: definition.get("type", ()) for name, definition in schema["properties"].items()}
    of_number = {name for name, type_names in types.items() if "number" in type_names}
    return {name: _number(value) if name in of_number else value for name, value in config.items()}


def _number(text: Any) -> Any:
    """Return the number that a text is; what is none stays, and is found to be of a wrong type."""
    if not isinstance(text, str):
        return text
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return number if number.is_finite() else text


def no_objects(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, str]:
    """Return which settings have parts and are something else than an object, and what to write."""
    parts = {
        name: definition.get("properties") for name, definition in schema["properties"].items()
    }
    return {
        name: (
            f"`{name}` is not an object. Write an object with {', '.join(parts[name])}, as the "
            "README shows."
        )
        for name, value in config.items()
        if parts.get(name) and not isinstance(value, dict)
    }


def _is_made_by(make: Callable[[str], object], text: str) -> bool:
    try:
        make(text)
    except ValueError:
        return False
    return True


def _sentence(path: str, name: str, known: Collection[str]) -> str:
    return f"There is no setting `{path}`.{did_you_mean(name, known)}"
