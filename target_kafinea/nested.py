"""Records nested in others: each becomes a record of its own stream, and one refers to the other.

    invoices: {"subject": "June", "account": {"siret": "123", "accountname": "ACME"}}

becomes two records, of which the second refers to the first by its key:

    accounts: {"siret": "123", "accountname": "ACME"}
    invoices: {"subject": "June", "account_id": "123"}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kafinea.errors import SettingsError
from kafinea.load.stream_mapping import StreamMapping
from target_kafinea.reader import Message

Settings = Mapping[str, Mapping[str, Any]]
"""The setting `streams`."""

_REFERS = ("field", "parent")


@dataclass(frozen=True)
class Nested:
    """A property with nested records.

    Attributes:
        name: Its name.
        inside: The stream of the records that contain it.
        stream: The stream that the nested records go to.
        is_parent: Whether the nested records refer to the one that contains them, and not it to
            one of them.
        reference: The field that refers.
        refers_by: The property that holds this field.
        key: The property that holds the key that is referred to.
        module: The module of the record that is referred to.
        match_on: The field of that key.
    """

    name: str
    inside: str
    stream: str
    is_parent: bool
    reference: str
    refers_by: str
    key: str
    module: str
    match_on: str

    @property
    def first(self) -> str:
        """The stream whose records are loaded first."""
        return self.inside if self.is_parent else self.stream

    @property
    def second(self) -> str:
        """The stream whose records refer to those of the other."""
        return self.stream if self.is_parent else self.inside


def nested_in(streams: Settings) -> list[Nested]:
    """Return the nested properties that the settings name.

    Raises:
        SettingsError: One of them has no such form.
    """
    return [
        _nested(streams, stream, name, one)
        for stream, settings in streams.items()
        for name, one in (settings.get("nested") or {}).items()
    ]


def with_references(streams: Settings, nested: list[Nested]) -> dict[str, dict[str, Any]]:
    """Return the settings with the references that nested records have.

    They hold for records of the rejects file as well, which come alone.

    Raises:
        SettingsError: The settings have such a reference already.
    """
    full = {name: dict(settings) for name, settings in streams.items()}
    for one in nested:
        references = full[one.second].get("references") or {}
        if one.reference in references:
            raise SettingsError(
                f"Stream {one.second!r}: `nested` of the stream {one.inside!r} makes the "
                f"reference {one.reference!r}. Remove it from `references`."
            )
        made = {one.reference: {"module": one.module, "match_on": one.match_on}}
        full[one.second]["references"] = {**references, **made}
    return full


def containing(nested: list[Nested]) -> dict[str, set[str]]:
    """Return, for each stream of nested records, the streams whose records may contain them."""
    found: dict[str, set[str]] = {one.stream: set() for one in nested}
    for _ in nested:  # as deep as they nest
        for one in nested:
            found[one.stream] |= {one.inside, *found.get(one.inside, ())}
    return found


class Splitter:
    """Takes nested records out of the messages of the streams that contain them.

    Args:
        nested: The properties with nested records.
    """

    def __init__(self, nested: list[Nested]) -> None:
        self._nested: dict[str, list[Nested]] = {}
        for one in nested:
            self._nested.setdefault(one.inside, []).append(one)
        self._streams = {one.stream for one in nested}
        self._schemas: dict[str, dict[str, Any]] = {}  # SCHEMA messages of the nested streams

    def split(self, message: Message) -> Iterator[Message]:
        """Yield a message without nested records, and theirs: first what others refer to."""
        stream, kind = message.content.get("stream"), message.content["type"]
        if kind == "SCHEMA" and (stream in self._nested or stream in self._streams):
            yield message._replace(content=self._schema(message.content))
        elif kind == "RECORD" and stream in self._nested:
            yield from self._records(message, self._nested[stream])
        else:
            yield message

    def _schema(self, content: dict[str, Any]) -> dict[str, Any]:
        """Return a SCHEMA message with the references of its records, and no nested records."""
        stream, schema = content["stream"], content["schema"]
        properties = dict(schema["properties"])
        nested = self._nested.get(stream, ())
        for one in nested:
            properties.pop(one.name, None)
            if not one.is_parent:
                properties.setdefault(one.refers_by, {})
        if stream in self._streams:
            known = self._schemas.get(stream, {"schema": {"properties": {}}})
            properties = {**known["schema"]["properties"], **properties}
        schema = {**schema, "properties": properties}
        if isinstance(required := schema.get("required"), list):
            taken = [one.name for one in nested]
            schema["required"] = [name for name in required if name not in taken]
        made = {**content, "schema": schema}
        if stream in self._streams:
            self._schemas[stream] = made
        return made

    def _records(self, message: Message, nested: list[Nested]) -> Iterator[Message]:
        record = dict(message.content["record"])
        found = [(one, record.pop(one.name)) for one in nested if one.name in record]
        if record.get("_sdc_deleted_at"):  # what it refers to, or what refers to it, is not
            found = []
        before: list[tuple[str, Any]] = []
        after: list[tuple[str, Any]] = []
        try:
            for one, value in found:
                take, made = (_referring, after) if one.is_parent else (_referred, before)
                made += [(one.stream, inner) for inner in take(one, value, record)]
        except ValueError as error:
            message = message._replace(problem=message.problem or str(error))
        if message.problem:  # rejected as a whole, so that it can be corrected as a whole
            yield message
            return
        size = message.size // (1 + len(before) + len(after))
        message = message._replace(content={**message.content, "record": record}, size=size)
        for stream, inner in before:
            yield from self._made(message, stream, inner)
        yield message
        for stream, inner in after:
            yield from self._made(message, stream, inner)

    def _made(self, message: Message, stream: str, record: dict[str, Any]) -> Iterator[Message]:
        """Yield the message of a nested record, after a SCHEMA that has all of its properties."""
        schema = self._schemas.get(stream)
        if schema is None or not record.keys() <= self._properties_of(schema, stream):
            base = schema or {"type": "SCHEMA", "stream": stream, "key_properties": []}
            known = base.get("schema") or {"type": "object", "properties": {}}
            properties = {name: {} for name in record} | known["properties"]
            content = {**base, "schema": {**known, "properties": properties}}
            yield message._replace(content=self._schema(content))
        content = {"type": "RECORD", "stream": stream, "record": record}
        yield from self.split(message._replace(content=content))

    def _properties_of(self, schema: Mapping[str, Any], stream: str) -> set[str]:
        own = {one.name for one in self._nested.get(stream, ())}
        return own.union(schema["schema"]["properties"])


def _referred(one: Nested, value: Any, record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the nested record that its record refers to, and let it refer to it.

    Raises:
        ValueError: It cannot.
    """
    if record.get(one.refers_by) not in (None, ""):
        raise ValueError(f"{one.refers_by}: the record has {one.name} as well. Leave one out")
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{one.name}: the value is not an object")
    record[one.refers_by] = None if value is None else _key(one, value)
    return [] if value is None else [value]


def _referring(one: Nested, value: Any, record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the nested records that refer to their record.

    Raises:
        ValueError: They cannot.
    """
    listed = [value] if isinstance(value, dict) else value or []
    if not isinstance(listed, list) or not all(isinstance(inner, dict) for inner in listed):
        raise ValueError(f"{one.name}: the value is not a list of objects")
    if not listed:
        return []
    key = _key(one, record)
    return [{**inner, one.refers_by: key} for inner in listed]


def _key(one: Nested, record: Mapping[str, Any]) -> Any:
    key = record.get(one.key)
    if key is None or isinstance(key, (dict, list)) or not str(key).strip():
        where = one.key if one.is_parent else f"{one.name}.{one.key}"
        raise ValueError(f"{where}: the key is empty, by which {one.second} refers to {one.first}")
    return str(key) if isinstance(key, int) else key  # a reference is a text


def _nested(streams: Settings, inside: str, name: str, settings: Any) -> Nested:
    where = f"Stream {inside!r}, `nested`, {name!r}"
    known = settings if isinstance(settings, dict) else {}
    stream, refers = known.get("stream"), [one for one in _REFERS if known.get(one)]
    if unknown := known.keys() - {"stream", *_REFERS}:
        raise SettingsError(f"{where}: unknown setting {', '.join(sorted(unknown))}.")
    if not isinstance(stream, str) or len(refers) != 1:
        raise SettingsError(
            f"{where}: set `stream`, and either `field` (the field of this stream that refers to "
            "the nested record) or `parent` (the field of the nested record that refers to this "
            "one)."
        )
    if stream not in streams or stream == inside:
        raise SettingsError(f"{where}: `streams` must contain the stream {stream!r} as well.")
    is_parent = refers == ["parent"]
    referred, referring = (inside, stream) if is_parent else (stream, inside)
    mapping = StreamMapping.parse(referred, streams[referred])
    if len(mapping.match_on) != 1 or len(mapping.match_on[0]) != 1:
        raise SettingsError(
            f"{where}: records are referred to by one field. Set `match_on` of the stream "
            f"{referred!r} to one field."
        )
    ((key,),) = mapping.match_on
    reference = str(known[refers[0]])
    return Nested(
        name=name,
        inside=inside,
        stream=stream,
        is_parent=is_parent,
        reference=reference,
        refers_by=_property_of(StreamMapping.parse(referring, streams[referring]), reference),
        key=_property_of(mapping, key),
        module=mapping.module or referred,
        match_on=key,
    )


def _property_of(mapping: StreamMapping, field: str) -> str:
    """Return the property that goes to a field."""
    return next((name for name, goes_to in mapping.fields.items() if goes_to == field), field)
