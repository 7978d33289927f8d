"""How a stream goes into a module: decided, and checked against describe, before any record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Literal

from kafinea.client import Client
from kafinea.describe import LINE_MODULE, LINES, SECRET_MODULES, Field, Module
from kafinea.errors import Refused, SettingsError
from kafinea.load.server_rules import SERVERS_OWN, TOTALS
from kafinea.values import ValueType, kind_of

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
"""What a record may tell of a file besides its fields, and what it means."""
_FILE_TYPES = frozenset({"file", "image"})
_NEVER_WRITTEN = {
    **dict.fromkeys(
        SECRET_MODULES, "users are not written: their passwords and keys cannot be read"
    ),
    LINE_MODULE: "lines are written with their document, as its LineItems",
}

Write = Literal["create", "update", "delete"]


@dataclass(frozen=True)
class Key:
    """A natural key: the fields of a module that tell its records apart."""

    module: Module
    fields: tuple[str, ...]


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
        match_on: The fields that tell which record is meant when there is no id.
        fields: For each property of the stream that is loaded, the field it goes to.
        references: For each field, and for `LineItems.productid`, how to resolve natural keys.
        id_property: The property that holds a Kafinea id, if any.
        lines_property: The property that holds the lines, if any.
        lines: The module of lines, for modules that have them, where the server offers them.
        ignored: Properties that are not loaded because the server fills these fields in itself.
        files: The properties that tell of a file, by what they tell.
        allow_changes: The fields that may change besides those loaded; `*` stands for all.
        accept_side_effects: Update records although the server then changes what the API does
            not show.
    """

    stream: str
    module: Module
    match_on: tuple[str, ...] = ()
    fields: Mapping[str, Field] = field(default_factory=dict)
    references: Mapping[str, Reference] = field(default_factory=dict)
    id_property: str | None = None
    lines_property: str | None = None
    lines: Module | None = None
    ignored: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    allow_changes: frozenset[str] = frozenset()
    accept_side_effects: bool = False

    @cached_property
    def texts(self) -> frozenset[str]:
        """The properties whose texts need no check."""
        return frozenset(
            name
            for name, known in self.fields.items()
            if kind_of(known.type) is ValueType.TEXT and known.type != "time"
        )

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


class Modules:
    """The modules of the instance, each described once.

    Args:
        client: The instance.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._names: list[str] = []
        self._described: dict[str, Module] = {}

    @property
    def names(self) -> list[str]:
        """The modules that this user can use."""
        if not self._names:
            self._names = list(self._client.listtypes())
        return self._names

    def find(self, name: str, said_by: str) -> Module:
        """Return a module by its name in any case.

        Args:
            name: The name.
            said_by: Who names it, for the message.

        Raises:
            SettingsError: There is none.
        """
        for exact in self.names:
            if exact.casefold() == name.casefold():
                return self.get(exact)
        raise SettingsError(f"{said_by}: there is no module {name!r}.{_near(name, self.names)}")

    def get(self, name: str) -> Module:
        """Return a module by its exact name."""
        if name not in self._described:
            self._described[name] = self._client.describe(name)
        return self._described[name]

    def of(self, record_id: str, names: Iterable[str]) -> str | None:
        """Return which of these modules a record belongs to, by its id."""
        return self.prefixes(names).get(record_id.partition("x")[0])

    def prefixes(self, names: Iterable[str]) -> dict[str, str]:
        """Return the id prefixes of those of the modules that this user can use."""
        found = {}
        for name in names:
            if name in self.names:
                try:
                    found[self.get(name).id_prefix] = name
                except Refused:
                    continue  # listed, and closed to this user
        return found


def make_plan(
    stream: str, properties: Iterable[str], settings: Mapping[str, Any], modules: Modules
) -> LoadPlan:
    """Decide how a stream is loaded.

    Args:
        stream: The stream's name.
        properties: The names of the properties of its schema.
        settings: The stream's entry in the setting `streams`, or nothing.
        modules: The modules of the instance.

    Raises:
        SettingsError: A module or field is missing or cannot be written.
    """
    where = f"Stream {stream!r}"
    module = modules.find(settings.get("module") or stream, where)
    if module.name not in _NEVER_WRITTEN and not (module.createable or module.updateable):
        raise SettingsError(f"{where}: this user may neither create nor update {module.name}.")
    renamed = settings.get("fields") or {}
    check_names(where, renamed, properties)
    match_on = tuple(_list(settings.get("match_on")))
    for name in match_on:
        _existing_field(where, module, name)
    plan: dict[str, Any] = {"id_property": None, "lines_property": None}
    fields: dict[str, Field] = {}
    ignored = []
    files = _file_properties(where, module, properties, renamed)
    for name in properties:
        goes_to = renamed.get(name, name)
        # Meltano drops a null; an empty text means the same.
        if not goes_to or name.startswith("_sdc_") or name in files.values():
            continue
        if goes_to == "id":
            plan["id_property"] = name
        elif goes_to == LINES and module.is_inventory:
            plan["lines_property"] = name
        elif name not in renamed and _is_servers_own(module, goes_to):
            ignored.append(name)
        else:
            fields[name] = _writable_field(where, module, goes_to)
    _check_twice(where, fields)
    return LoadPlan(
        stream=stream,
        module=module,
        match_on=match_on,
        fields=fields,
        references=_references(
            where, module, _with_folders(module, fields, settings, modules), modules
        ),
        lines=_module_of_lines(module, modules),
        ignored=tuple(ignored),
        files=files,
        allow_changes=_allowed_changes(where, module, settings),
        accept_side_effects=bool(settings.get("accept_side_effects")),
        **plan,
    )


def _module_of_lines(module: Module, modules: Modules) -> Module | None:
    """Return the module of lines; none where the server offers no lines, as coreBOS does."""
    if not module.is_inventory or LINE_MODULE not in modules.names:
        return None
    try:
        return modules.get(LINE_MODULE)
    except Refused:
        return None  # listed, and closed to this user


def _allowed_changes(where: str, module: Module, settings: Mapping[str, Any]) -> frozenset[str]:
    names = _list(settings.get("allow_changes"))
    for name in names:
        if name != "*":
            _existing_field(f"{where}, `allow_changes`", module, name)
    return frozenset(names)


def _file_properties(
    where: str, module: Module, properties: Iterable[str], renamed: Mapping[str, str | None]
) -> dict[str, str]:
    """Return the properties that tell of a file, or of what a document is linked with."""
    meaning = _FILE_PROPERTIES.get(module.name, {})
    files: dict[str, str] = {}
    for name in properties:
        means = meaning.get(renamed.get(name, name) or "")
        if means in files:
            raise SettingsError(
                f"{where}: {name!r} and {files[means]!r} both tell {means!r}. Leave one out with "
                "null in `fields`."
            )
        if means:
            files[means] = name
    if {FILE_PATH, FILE_BASE64}.isdisjoint(files):
        return {means: name for means, name in files.items() if means == RELATED_TO}
    return files


def _with_folders(
    module: Module, fields: Mapping[str, Field], settings: Mapping[str, Any], modules: Modules
) -> Mapping[str, Any]:
    """Return the references to resolve; a document may name its folder without being asked."""
    told: Mapping[str, Any] = settings.get("references") or {}
    is_folder_told = "folderid" in {known.name for known in fields.values()}
    if module.name != "Documents" or not is_folder_told or _FOLDERS not in modules.names:
        return told
    return {"folderid": {"module": _FOLDERS, "match_on": "foldername"}, **told}


def _references(
    where: str, module: Module, settings: Mapping[str, Any], modules: Modules
) -> dict[str, Reference]:
    found = {}
    for name, said in _flat(settings):
        here = f"{where}, reference {name!r}"
        known = _reference_field(here, module, name, modules)
        accepted = _OWNERS if known.type == "owner" else known.refers_to
        found[name] = reference_to(here, said, accepted, modules)
    return found


def reference_to(where: str, said: Any, accepted: tuple[str, ...], modules: Modules) -> Reference:
    """Return how to resolve a reference that the settings tell of.

    Args:
        where: Who tells it, for messages.
        said: What they say: where to look, or several such places.
        accepted: The modules that it may refer to; none means any.
        modules: The modules of the instance.

    Raises:
        SettingsError: They tell too little, too much, or what is not there.
    """
    choices = said if isinstance(said, list) else [said]
    keys = tuple(_reference_key(where, choice, accepted, modules) for choice in choices)
    create = bool(choices[0].get("create"))
    if create and not keys[0].module.createable:
        raise SettingsError(f"{where}: this user may not create {keys[0].module.name}.")
    return Reference(keys, create)


def _reference_field(where: str, module: Module, name: str, modules: Modules) -> Field:
    if name == f"{LINES}.productid" and module.is_inventory:
        return modules.get(LINE_MODULE).fields["productid"]
    known = _writable_field(where, module, name)
    if known.type not in {"reference", "owner"}:
        raise SettingsError(f"{where}: {module.name}.{name} is of type {known.type}.")
    return known


def _reference_key(where: str, said: Any, accepted: tuple[str, ...], modules: Modules) -> Key:
    told = said if isinstance(said, dict) else {}
    names = _list(told.get("match_on"))
    if not isinstance(told.get("module"), str) or len(names) != 1:
        raise SettingsError(f"{where}: tell its `module`, and in `match_on` one field of it.")
    if unknown := told.keys() - {"module", "match_on", "create"}:
        raise SettingsError(f"{where}: there is no {', '.join(sorted(unknown))} to tell.")
    module = modules.find(told["module"], where)
    if accepted and module.name not in accepted:
        raise SettingsError(
            f"{where}: the field refers to {' or '.join(accepted)}, not to {module.name}."
        )
    _existing_field(where, module, names[0])
    return Key(module, tuple(names))


def _flat(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the references; Meltano makes `{LineItems: {productid: ...}}` of the dotted name."""
    for name, said in settings.items():
        if name == LINES and isinstance(said, dict) and "module" not in said:
            yield from ((f"{LINES}.{leaf}", inner) for leaf, inner in said.items())
        else:
            yield name, said


def _is_servers_own(module: Module, name: str) -> bool:
    """Whether a tap may bring this field along although it cannot be written."""
    if name in SERVERS_OWN or (module.is_inventory and name in TOTALS):
        return True
    known = module.fields.get(name)
    if known is None:
        return False
    return not known.editable or known.type in _FILE_TYPES or name in module.line_columns


def _writable_field(where: str, module: Module, name: str) -> Field:
    known = _existing_field(where, module, name)
    if _is_servers_own(module, name):
        raise SettingsError(
            f"{where}: the server fills in {module.name}.{name} itself; it cannot be written."
        )
    return known


def _existing_field(where: str, module: Module, name: str) -> Field:
    if name not in module.fields:
        raise SettingsError(
            f"{where}: {module.name} has no field {name!r}.{_near(name, module.fields)} Name "
            "the field in `streams`, under `fields`; null leaves a property out."
        )
    return module.fields[name]


def check_names(where: str, renamed: Iterable[str], properties: Iterable[str]) -> None:
    """Check that the properties that `fields` names are there.

    Raises:
        SettingsError: One is not.
    """
    for name in renamed:
        if name not in set(properties):
            raise SettingsError(
                f"{where} has no property {name!r}, which `fields` names.{_near(name, properties)}"
            )


def _check_twice(where: str, fields: Mapping[str, Field]) -> None:
    goes_to = {known.name: name for name, known in fields.items()}
    for name, known in fields.items():
        if goes_to[known.name] != name:
            raise SettingsError(
                f"{where}: {name!r} and {goes_to[known.name]!r} both go to "
                f"{known.name!r}. Leave one out with null in `fields`."
            )


def _near(name: str, names: Iterable[str]) -> str:
    near = get_close_matches(name, list(names), n=3)
    return f" There is {', '.join(near)}." if near else ""


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])
