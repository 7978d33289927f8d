"""How a stream of pairs goes into a related list: decided before any record."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from kafinea.client import Client
from kafinea.describe import Module
from kafinea.errors import SettingsError
from kafinea.load.modules import Modules
from kafinea.load.named_fields import HOW_TO_MAP, check_names
from kafinea.load.plan import Reference, reference_to
from kafinea.load.stream_mapping import ReferenceMapping, StreamMapping
from kafinea.related import RELATED, SOURCE, RelatedList, find_list


@dataclass(frozen=True)
class RelationPlan:
    """How the records of a stream go into a related list.

    Attributes:
        stream: The stream's name.
        related_list: The list.
        modules: The module of each side, by `source_id` and `related_id`.
        properties: The property that holds each side.
        references: How to resolve natural keys, for the sides that have some.
    """

    stream: str
    related_list: RelatedList
    modules: Mapping[str, Module]
    properties: Mapping[str, str]
    references: Mapping[str, Reference]


def make_relation_plan(
    stream: str,
    properties: Collection[str],
    mapping: StreamMapping,
    client: Client,
    modules: Modules,
    known: RelatedList | None = None,
) -> RelationPlan | None:
    """Decide how a stream is loaded, if it goes into a related list.

    Args:
        stream: Its name.
        properties: Those of its records.
        mapping: What the settings say of it. `related` names the list.
        client: The instance.
        modules: Its modules.
        known: The list that its records were read from, if its schema says so.

    Raises:
        SettingsError: There is no such list, or a property is missing.
    """
    where = f"Stream {stream!r}"
    source, label = _list_of(where, known, mapping)
    if not label:
        return None
    module = modules.find(source, where)
    try:
        related_list = find_list(client, module.name, label)
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}") from None
    sides = {SOURCE: module, RELATED: modules.find(related_list.related, where)}
    references = {
        name: _reference(f"{where}, reference {name!r}", choices, sides.get(name), modules)
        for name, choices in mapping.references.items()
    }
    sources = _properties(where, properties, mapping)
    return RelationPlan(stream, related_list, sides, sources, references)


def _list_of(where: str, known: RelatedList | None, mapping: StreamMapping) -> tuple[str, str]:
    """Return the module and the list that a stream goes to; nothing if it goes to no list."""
    if mapping.related is None:
        read_from = None if mapping.module else known
        return (read_from.module, read_from.label) if read_from else ("", "")
    if mapping.module is None:
        raise SettingsError(f"{where}: set `module` to the module that has the related list.")
    if mapping.match_on:
        raise SettingsError(
            f"{where}: `match_on` does not apply to a related list. Set the keys of both sides in "
            f"`references`, under {SOURCE} and {RELATED}."
        )
    if mapping.policies or mapping.conflict_on or mapping.mirror_where:
        raise SettingsError(
            f"{where}: `write`, `null`, `conflict_on` and `mirror_where` do not apply to a related "
            "list, to which records are only added. Remove them."
        )
    return mapping.module, mapping.related


def _reference(
    where: str, choices: Sequence[ReferenceMapping], module: Module | None, modules: Modules
) -> Reference:
    if module is None:
        raise SettingsError(f"{where}: a related list has only {SOURCE} and {RELATED}.")
    named = [replace(choice, module=choice.module or module.name) for choice in choices]
    return reference_to(where, named, (module.name,), modules)


def _properties(where: str, properties: Collection[str], mapping: StreamMapping) -> dict[str, str]:
    """Return which property holds the source, and which the related record."""
    check_names(f"{where}, `fields`", mapping.fields, properties)
    found: dict[str, str] = {}
    for name in properties:
        side = mapping.goes_to(name)
        if side is None or name.startswith("_sdc_"):
            continue
        if side not in {SOURCE, RELATED} or side in found:
            raise SettingsError(
                f"{where}: a related list has one {SOURCE} and one {RELATED}, so {name!r} cannot "
                f"be loaded.{HOW_TO_MAP}"
            )
        found[side] = name
    for side in (SOURCE, RELATED):
        if side not in found:
            raise SettingsError(
                f"{where}: the stream has no property {side!r}. Map one to it in `fields`."
            )
    return found
