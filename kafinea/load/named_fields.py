"""The fields and properties that the settings of a stream name: whether there are such."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from kafinea.describe import Field, Module
from kafinea.errors import SettingsError
from kafinea.load.server.server_rules import SERVERS_OWN, TOTALS
from kafinea.suggestions import suggestion

HOW_TO_MAP = " Map the property to a field in `fields`; null leaves it out."

_FILE_TYPES = frozenset({"file", "image"})


def is_servers_own(module: Module, name: str) -> bool:
    """Whether a tap may bring this field along although it cannot be written."""
    if name in SERVERS_OWN or (module.is_inventory and name in TOTALS):
        return True
    known = module.fields.get(name)
    if known is None:
        return False
    return not known.editable or known.type in _FILE_TYPES or name in module.line_columns


def writable_field(where: str, module: Module, name: str, advice: str = "") -> Field:
    """Return the field that a setting names, which is to be written.

    Raises:
        SettingsError: There is none, or the server sets it itself.
    """
    known = existing_field(where, module, name, advice)
    if is_servers_own(module, name):
        raise SettingsError(
            f"{where}: the server sets {module.name}.{name} itself, so it cannot be written."
        )
    return known


def check_key_field(where: str, module: Module, name: str) -> None:
    """Check that a record may be known by a field, which the setting `match_on` names.

    Raises:
        SettingsError: There is none, or a new record would not have the value of its row in it.
    """
    existing_field(where, module, name)
    if name != "id" and is_servers_own(module, name):
        raise SettingsError(
            f"{where}: the server sets {module.name}.{name} itself, so it cannot be a key. Load "
            "the `id` of the records, or match on another field."
        )


def existing_field(where: str, module: Module, name: str, advice: str = "") -> Field:
    """Return the field that a setting names.

    Raises:
        SettingsError: There is none.
    """
    if name not in module.fields:
        raise SettingsError(
            f"{where}: {module.name} has no field {name!r}.{suggestion(name, module.fields)}"
            f"{advice}"
        )
    return module.fields[name]


def check_names(where: str, names: Iterable[str], properties: Collection[str]) -> None:
    """Check that the properties that a setting names are there.

    Raises:
        SettingsError: One is not.
    """
    for name in names:
        if name not in set(properties):
            raise SettingsError(
                f"{where}: the stream has no property {name!r}.{suggestion(name, properties)}"
            )


def check_twice(where: str, fields: Mapping[str, Field]) -> None:
    """Check that no two properties go to the same field.

    Raises:
        SettingsError: Two do.
    """
    goes_to = {known.name: name for name, known in fields.items()}
    for name, known in fields.items():
        if goes_to[known.name] != name:
            raise SettingsError(
                f"{where}: {name!r} and {goes_to[known.name]!r} both map to "
                f"{known.name!r}. Leave one out with null in `fields`."
            )
