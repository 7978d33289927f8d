"""How the settings map a stream to a module: parsed, but not yet compared with the module.

`plan` compares it with what `describe` says of the module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kafinea.describe import LINES
from kafinea.errors import SettingsError
from kafinea.load.field_policies import WRITE_ALL, FieldPolicies


@dataclass(frozen=True)
class ReferenceMapping:
    """Where the natural key of another record is looked up.

    Attributes:
        module: The module of that record; None if it is not set.
        match_on: The field of the key; None if it is not set, or not one field.
        create: Create the record when there is none.
    """

    module: str | None
    match_on: str | None
    create: bool = False


@dataclass(frozen=True)
class StreamMapping:
    """How a stream goes into a module, or into a related list.

    Attributes:
        module: The module; None for the one that has the stream's name.
        related: The related list of the module that pairs go into; None for records.
        match_on: The keys that identify a record without an id, in their order, each as the names
            of its fields.
        fields: For each property that is named, the field it goes to; None leaves it out.
        references: For each field, and for `LineItems.productid`, where to look, in this order.
        allow_changes: The fields that the server may change besides; `*` stands for all.
        accept_side_effects: Update records although the server then changes what the API does
            not show.
        policies: What an update may overwrite, and what an empty value means.
        conflict_on: The property that contains when a row was extracted; None if none does.
        mirror_where: The part of the module that the stream mirrors, as conditions.
        on_missing: The values of fields that records get instead of being deleted.
    """

    module: str | None = None
    related: str | None = None
    match_on: tuple[tuple[str, ...], ...] = ()
    fields: Mapping[str, str | None] = field(default_factory=dict)
    references: Mapping[str, tuple[ReferenceMapping, ...]] = field(default_factory=dict)
    allow_changes: tuple[str, ...] = ()
    accept_side_effects: bool = False
    policies: FieldPolicies = WRITE_ALL
    conflict_on: str | None = None
    mirror_where: str | None = None
    on_missing: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, stream: str, settings: Mapping[str, Any]) -> StreamMapping:
        """Return the mapping that an entry of the setting `streams` describes.

        Args:
            stream: The stream's name.
            settings: Its entry, or nothing. What is null or an empty text is not set, as Meltano
                has it; in `fields`, both leave a property out.

        Raises:
            SettingsError: A setting has no such form.
        """
        where = f"Stream {stream!r}"
        fields = settings.get("fields") or {}
        return cls(
            module=settings.get("module") or None,
            related=settings.get("related") or None,
            match_on=_keys(where, settings.get("match_on")),
            fields={name: goes_to or None for name, goes_to in fields.items()},
            references=_references(where, settings.get("references") or {}),
            allow_changes=_names(settings.get("allow_changes")),
            accept_side_effects=bool(settings.get("accept_side_effects")),
            policies=FieldPolicies.parse(where, settings.get("write"), settings.get("null")),
            conflict_on=settings.get("conflict_on") or None,
            mirror_where=settings.get("mirror_where") or None,
            on_missing=settings.get("on_missing") or {},
        )

    def goes_to(self, name: str) -> str | None:
        """Return the field that a property goes to; None if it is left out, or has no name."""
        return self.fields.get(name, name) or None


def _keys(where: str, value: Any) -> tuple[tuple[str, ...], ...]:
    """Return the keys of `match_on`: a list of lists is several, anything else is one."""
    keys = [value] if isinstance(value, str) else list(value or ())
    if all(isinstance(name, str) for name in keys):
        keys = [keys] if any(keys) else []
    for key in keys:
        if not key or isinstance(key, str) or not all(isinstance(name, str) for name in key):
            raise SettingsError(
                f"{where}, `match_on`: write several keys as a list of lists of fields, such as "
                "[[siret], [email], [lastname, phone]]."
            )
    return tuple(dict.fromkeys(map(tuple, keys)))


def _references(where: str, settings: Any) -> dict[str, tuple[ReferenceMapping, ...]]:
    return {
        name: tuple(
            _reference(f"{where}, reference {name!r}", choice)
            for choice in (choices if isinstance(choices, list) else [choices])
        )
        for name, choices in _flat(settings)
    }


def _reference(where: str, choice: Any) -> ReferenceMapping:
    settings = choice if isinstance(choice, dict) else {}
    names, module = _names(settings.get("match_on")), settings.get("module")
    is_clear = len(names) == 1 and isinstance(module, (str, type(None)))
    if unknown := settings.keys() - {"module", "match_on", "create"}:
        raise SettingsError(
            f"{where}: unknown setting {', '.join(sorted(unknown))}. Use `module`, `match_on` and "
            "`create`."
        )
    create = bool(settings.get("create"))
    return ReferenceMapping(module, names[0] if is_clear else None, create=create)


def _flat(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the references; Meltano makes `{LineItems: {productid: ...}}` of the dotted name."""
    for name, choices in settings.items():
        if name == LINES and isinstance(choices, dict) and "module" not in choices:
            yield from ((f"{LINES}.{leaf}", inner) for leaf, inner in choices.items())
        else:
            yield name, choices


def _names(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())
