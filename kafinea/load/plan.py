"""How a stream goes into a module: decided, and checked against describe, before any record."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Literal

from kafinea.describe import LINE_MODULE, LINES, MODIFIED, SECRET_MODULES, Field, Module
from kafinea.errors import Refused, SettingsError
from kafinea.load.field_policies import WRITE_ALL, FieldPolicies
from kafinea.load.modules import Modules
from kafinea.load.named_fields import (
    HOW_TO_MAP,
    check_key_field,
    check_names,
    check_twice,
    existing_field,
    is_servers_own,
    writable_field,
)
from kafinea.load.stream_mapping import ReferenceMapping, StreamMapping
from kafinea.values import ValueType, value_type_of

FILE_PATH = "_file_path"
FILE_BASE64 = "_file_base64"
FILE_NAME = "filename"
RELATED_TO = "_related_to"

_FOLDERS = "DocumentFolders"
_OWNERS = ("Users", "Groups")
_FILE_PROPERTIES = {
    "Documents": {
        **{name: name for name in (FILE_PATH, FILE_BASE64, RELATED_TO)},
        **{name: name for name in (FILE_NAME, "filetype")},
    },
    "Products": {FILE_PATH: FILE_PATH, FILE_BASE64: FILE_BASE64, "imagename": FILE_NAME},
}
"""The properties of a file, by module, and what each means."""
_NEVER_WRITTEN = {
    **dict.fromkeys(
        SECRET_MODULES, "users cannot be written: the API does not return their passwords and keys"
    ),
    LINE_MODULE: "lines are written with their document, in its LineItems",
}

Write = Literal["create", "update", "delete"]


@dataclass(frozen=True)
class Key:
    """A natural key: the fields that identify a record of a module."""

    module: Module
    fields: tuple[str, ...]

    @cached_property
    def described(self) -> tuple[Field, ...]:
        """The fields as the module describes them."""
        return tuple(self.module.fields[name] for name in self.fields)


@dataclass(frozen=True)
class Reference:
    """How a natural key in a record becomes the id of another record.

    Attributes:
        keys: Where to look, in this order.
        create: Create the record in the first module when there is none.
    """

    keys: tuple[Key, ...]
    create: bool = False


@dataclass(frozen=True)
class LoadPlan:
    """How the records of a stream are loaded.

    Attributes:
        stream: The stream's name.
        module: The module they go into.
        keys: The natural keys that identify a record without an id; the first that finds exactly
            one record decides.
        fields: For each property of the stream that is loaded, the field it goes to.
        references: For each field, and for `LineItems.productid`, how to resolve natural keys.
        id_property: The property that holds a Kafinea id, if any.
        lines_property: The property that holds the lines, if any.
        lines: The module of lines, for modules that have them, where the server offers them.
        ignored: Properties that are not loaded because the server fills these fields in itself.
        files: The properties of a file, by their meaning.
        allow_changes: The fields that may change besides those loaded; `*` stands for all.
        accept_side_effects: Update records although the server then changes what the API does
            not show.
        policies: What an update may overwrite, and what an empty value means.
        conflict_on: The property that contains when a row was extracted; None if none does.
    """

    stream: str
    module: Module
    keys: tuple[Key, ...] = ()
    fields: Mapping[str, Field] = field(default_factory=dict)
    references: Mapping[str, Reference] = field(default_factory=dict)
    id_property: str | None = None
    lines_property: str | None = None
    lines: Module | None = None
    ignored: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    allow_changes: frozenset[str] = frozenset()
    accept_side_effects: bool = False
    policies: FieldPolicies = WRITE_ALL
    conflict_on: str | None = None

    @cached_property
    def match_on(self) -> tuple[str, ...]:
        """The fields of all keys."""
        return tuple(dict.fromkeys(name for key in self.keys for name in key.fields))

    @property
    def keys_shown(self) -> str:
        """The keys, for messages: `siret, lastname + phone`; of one alone, its fields."""
        if len(self.keys) == 1:
            return ", ".join(self.match_on)
        return ", ".join(" + ".join(key.fields) for key in self.keys)

    @cached_property
    def texts(self) -> frozenset[str]:
        """The properties whose texts need no check."""
        return frozenset(
            name
            for name, known in self.fields.items()
            if value_type_of(known.type) is ValueType.TEXT and known.type != "time"
        )

    @property
    def has_times(self) -> bool:
        """Whether it depends on the server's time zone what is loaded, or what has changed."""
        types = {value_type_of(known.type) for known in self.fields.values()}
        return self.conflict_on is not None or ValueType.DATETIME in types

    def allows_change(self, name: str) -> bool:
        """Whether a field may change although it was not loaded, or otherwise than it was sent."""
        return not self.allow_changes.isdisjoint({name, "*"})

    @property
    def refers_to_itself(self) -> bool:
        """Whether its records may refer, by a natural key, to others of the same module."""
        keys = (key for reference in self.references.values() for key in reference.keys)
        return any(key.module.name == self.module.name for key in keys)

    def why_not(self, write: Write) -> str | None:
        """Why records are not written so, if they are not. They may still be compared."""
        if self.module.name in _NEVER_WRITTEN:
            return _NEVER_WRITTEN[self.module.name]
        may = getattr(self.module, f"{write}able")
        return None if may else f"this user may not {write} {self.module.name}"


def make_plan(
    stream: str, properties: Collection[str], mapping: StreamMapping, modules: Modules
) -> LoadPlan:
    """Decide how a stream is loaded.

    Args:
        stream: The stream's name.
        properties: The names of the properties of its schema.
        mapping: What the settings say of it.
        modules: The modules of the instance.

    Raises:
        SettingsError: A module or field is missing or cannot be written.
    """
    where = f"Stream {stream!r}"
    module = modules.find(mapping.module or stream, where)
    if module.name not in _NEVER_WRITTEN and not (module.createable or module.updateable):
        raise SettingsError(f"{where}: this user may neither create nor update {module.name}.")
    check_names(f"{where}, `fields`", mapping.fields, properties)
    only_time = _time_of_extraction(where, module, properties, mapping)
    for name in chain.from_iterable(mapping.match_on):
        check_key_field(f"{where}, `match_on`", module, name)
    id_property = lines_property = None
    fields: dict[str, Field] = {}
    ignored = []
    files = _file_properties(where, module, properties, mapping)
    for name in properties:
        goes_to = mapping.goes_to(name)
        if goes_to is None or name.startswith("_sdc_") or name in {*files.values(), only_time}:
            continue
        if goes_to == "id":
            id_property = name
        elif goes_to == LINES and module.is_inventory:
            lines_property = name
        elif name not in mapping.fields and is_servers_own(module, goes_to):
            ignored.append(name)
        else:
            fields[name] = writable_field(where, module, goes_to, HOW_TO_MAP)
    check_twice(where, fields)
    return LoadPlan(
        stream=stream,
        module=module,
        keys=tuple(Key(module, names) for names in mapping.match_on),
        fields=fields,
        references=_references(
            where, module, _with_folders(module, fields, mapping, modules), modules
        ),
        id_property=id_property,
        lines_property=lines_property,
        lines=module_of_lines(module, modules),
        ignored=tuple(ignored),
        files=files,
        allow_changes=_allowed_changes(where, module, mapping.allow_changes),
        accept_side_effects=mapping.accept_side_effects,
        policies=_checked_policies(where, module, mapping.policies),
        conflict_on=mapping.conflict_on,
    )


def module_of_lines(module: Module, modules: Modules) -> Module | None:
    """Return the module of lines; none where the server offers no lines, as coreBOS does."""
    if not module.is_inventory or LINE_MODULE not in modules.names:
        return None
    try:
        return modules.get(LINE_MODULE)
    except Refused:
        return None  # listed, and closed to this user


def _allowed_changes(where: str, module: Module, names: Iterable[str]) -> frozenset[str]:
    for name in names:
        if name != "*":
            existing_field(f"{where}, `allow_changes`", module, name)
    return frozenset(names)


def _time_of_extraction(
    where: str, module: Module, properties: Collection[str], mapping: StreamMapping
) -> str | None:
    """Return the property of `conflict_on`, if it is not loaded into a field as well."""
    name = mapping.conflict_on
    if name is None:
        return None
    check_names(f"{where}, `conflict_on`", [name], properties)
    if MODIFIED not in module.queryable:
        raise SettingsError(
            f"{where}, `conflict_on`: {module.name} has no {MODIFIED}, so nothing shows when a "
            "record was changed. Remove the setting."
        )
    is_loaded = name in mapping.fields or (
        name in module.fields and not is_servers_own(module, name)
    )
    return None if is_loaded else name


def _checked_policies(where: str, module: Module, policies: FieldPolicies) -> FieldPolicies:
    files = {FILE_PATH, FILE_BASE64}.intersection(_FILE_PROPERTIES.get(module.name, ()))
    for setting, name in policies.names:
        if name not in files and not (name == LINES and module.is_inventory):
            writable_field(f"{where}, `{setting}`", module, name)
    return policies


def _file_properties(
    where: str, module: Module, properties: Iterable[str], mapping: StreamMapping
) -> dict[str, str]:
    """Return the properties of a file, and of the records that a document is linked with."""
    meaning = _FILE_PROPERTIES.get(module.name, {})
    files: dict[str, str] = {}
    for name in properties:
        means = meaning.get(mapping.goes_to(name) or "")
        if means in files:
            raise SettingsError(
                f"{where}: {name!r} and {files[means]!r} both set {means!r}. Leave one out with "
                "null in `fields`."
            )
        if means:
            files[means] = name
    if {FILE_PATH, FILE_BASE64}.isdisjoint(files):
        return {means: name for means, name in files.items() if means == RELATED_TO}
    return files


References = Mapping[str, tuple[ReferenceMapping, ...]]


def _with_folders(
    module: Module, fields: Mapping[str, Field], mapping: StreamMapping, modules: Modules
) -> References:
    """Return the references to resolve; a document may always name its folder."""
    has_folder = "folderid" in {known.name for known in fields.values()}
    if module.name != "Documents" or not has_folder or _FOLDERS not in modules.names:
        return mapping.references
    return {"folderid": (ReferenceMapping(_FOLDERS, "foldername"),), **mapping.references}


def _references(
    where: str, module: Module, references: References, modules: Modules
) -> dict[str, Reference]:
    found = {}
    for name, choices in references.items():
        here = f"{where}, reference {name!r}"
        if name == RELATED_TO and module.name == "Documents":
            found[name] = _reference_of_document(here, choices, modules)
            continue
        known = _reference_field(here, module, name, modules)
        accepted = _OWNERS if known.type == "owner" else known.refers_to
        found[name] = reference_to(here, choices, accepted, modules)
    return found


def _reference_of_document(
    where: str, choices: Sequence[ReferenceMapping], modules: Modules
) -> Reference:
    """Return how to resolve the records that a document is linked with, of whatever module."""
    reference = reference_to(where, choices, (), modules)
    if reference.create:  # two documents may be sent at the same time, and name the same record
        raise SettingsError(f"{where}: `create` does not apply to {RELATED_TO}. Remove it.")
    return reference


def reference_to(
    where: str, choices: Sequence[ReferenceMapping], accepted: tuple[str, ...], modules: Modules
) -> Reference:
    """Return how to resolve a reference.

    Args:
        where: Who sets it, for messages.
        choices: Where to look, in this order.
        accepted: The modules that it may refer to; none means any.
        modules: The modules of the instance.

    Raises:
        SettingsError: There is no such module or field, or it may not be referred to.
    """
    if not choices:
        raise _no_reference(where)
    keys = tuple(_reference_key(where, choice, accepted, modules) for choice in choices)
    if choices[0].create and not keys[0].module.createable:
        raise SettingsError(f"{where}: this user may not create {keys[0].module.name}.")
    return Reference(keys, choices[0].create)


def _reference_field(where: str, module: Module, name: str, modules: Modules) -> Field:
    if name == f"{LINES}.productid" and module.is_inventory:
        return modules.get(LINE_MODULE).fields["productid"]
    known = writable_field(where, module, name)
    if known.type not in {"reference", "owner"}:
        raise SettingsError(
            f"{where}: {module.name}.{name} is of type {known.type}, not a reference or an owner."
        )
    return known


def _no_reference(where: str) -> SettingsError:
    return SettingsError(f"{where}: set `module`, and one field of it in `match_on`.")


def _reference_key(
    where: str, choice: ReferenceMapping, accepted: tuple[str, ...], modules: Modules
) -> Key:
    if choice.module is None or choice.match_on is None:
        raise _no_reference(where)
    module = modules.find(choice.module, where)
    if accepted and module.name not in accepted:
        raise SettingsError(
            f"{where}: the field refers to {' or '.join(accepted)}, not to {module.name}."
        )
    existing_field(f"{where}, `match_on`", module, choice.match_on)
    return Key(module, (choice.match_on,))
