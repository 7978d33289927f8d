"""Whether records obey the schema of their stream, as `jsonschema` understands it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import jsonschema
from singer_sdk.sinks.core import BaseJSONSchemaValidator
from typing_extensions import override

from kafinea.errors import SettingsError

_PYTHON_TYPES: Mapping[str, frozenset[type]] = {
    "null": frozenset({type(None)}),
    "boolean": frozenset({bool}),
    "integer": frozenset({int}),
    "number": frozenset({int, float, Decimal}),
    "string": frozenset({str}),
    "array": frozenset({list}),
    "object": frozenset({dict}),
}
_NONE: frozenset[type] = frozenset()
_ANY = _NONE.union(*_PYTHON_TYPES.values())


class Validator(BaseJSONSchemaValidator):
    """Notes what is wrong with a record; the SDK would log its contents and stop the run.

    Most schemas say little more than types. What obeys them plainly is not shown to `jsonschema`,
    which takes longer for it than all the rest of the target.

    Args:
        stream: The stream's name.
        schema: Its schema.

    Attributes:
        problem: What is wrong with the last record, if anything.

    Raises:
        SettingsError: The schema is none.
    """

    def __init__(self, stream: str, schema: dict[str, Any]) -> None:
        super().__init__(schema)
        validator = jsonschema.validators.validator_for(schema, jsonschema.Draft7Validator)
        try:
            validator.check_schema(schema)
        except jsonschema.SchemaError as error:
            raise SettingsError(
                f"Stream {stream!r}: its SCHEMA is no JSON Schema: {error.message}"
            ) from None
        self.problem: str | None = None
        self._validator = validator(schema)
        self._keywords = frozenset(validator.VALIDATORS) - {"format"}  # which is not checked
        self._is_plain = (
            validator is not jsonschema.Draft3Validator  # where `required` stands elsewhere
            and self._says_only(schema, "type", "properties", "required")
            and "object" in _list(schema.get("type", "object"))
        )
        properties = schema.get("properties", {}) if self._is_plain else {}
        self._required = frozenset(schema.get("required", ()) if self._is_plain else ())
        self._types = {name: self._plain_types(said) for name, said in properties.items()}
        self._lengths = {
            name: said["maxLength"]
            for name, said in properties.items()
            if self._types[name] and "maxLength" in said
        }

    @override
    def validate(self, record: dict[str, Any]) -> None:
        self.problem = None if self._is_plainly_valid(record) else self._problem_of(record)

    def _is_plainly_valid(self, record: Mapping[str, Any]) -> bool:
        if not self._is_plain or not self._required <= record.keys():
            return False
        types = self._types
        for name, value in record.items():
            if type(value) not in types.get(name, _ANY):
                return False
        for name, longest in self._lengths.items():
            value = record.get(name)
            if type(value) is str and len(value) > longest:
                return False
        return True

    def _problem_of(self, record: Mapping[str, Any]) -> str | None:
        error = jsonschema.exceptions.best_match(self._validator.iter_errors(record))
        if error is None:
            return None
        where = "/".join(map(str, error.absolute_path)) or "the record"
        return f"{where} does not obey `{error.validator}` of the stream's schema"

    def _plain_types(self, said: Any) -> frozenset[type]:
        """Return the Python types that a property's schema surely accepts, if it says no more."""
        if not self._says_only(said, "type", "maxLength"):
            return _NONE
        names = _list(said["type"]) if "type" in said else _PYTHON_TYPES
        return _NONE.union(*(_PYTHON_TYPES.get(name, _NONE) for name in names))

    def _says_only(self, schema: Any, *keywords: str) -> bool:
        """Whether a schema asserts nothing but by these keywords."""
        return isinstance(schema, dict) and self._keywords & schema.keys() <= set(keywords)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
