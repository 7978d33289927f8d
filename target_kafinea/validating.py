"""Whether records obey the schema of their stream, as `jsonschema` understands it.

A schema comes with the input, and its author is not trusted: nothing is fetched that it refers to,
and no keyword may take for ever. What would is left out, or bounded.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from decimal import Context, Decimal
from functools import cache
from typing import Any

import jsonschema
import referencing
from singer_sdk.sinks.core import BaseJSONSchemaValidator
from typing_extensions import override

from kafinea.shown import shown
from target_kafinea.reader import InputError

logger = logging.getLogger("target-kafinea")

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

_EXACT = Context(prec=1_000)
"""Taps of databases say `multipleOf: 1e-38` of numbers of 100 digits."""

_NOT_CHECKED = ("pattern", "patternProperties", "unevaluatedItems", "unevaluatedProperties")
"""Keywords of regular expressions, for which Python may need for ever, and what looks for those."""
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_MOST_REFERENCES = 100_000
"""References followed for one record: two in each of 40 places are 2^40."""
_DEEPEST = 60
"""References followed within each other, far below what Python's stack holds: where that ends, the
library of `jsonschema` that is written in Rust panics."""
_LONGEST = 10
"""Seconds of work on one record: a long list in it times a long one in its schema has no end."""

Keyword = Callable[[Any, Any, Any, Any], "Iterator[jsonschema.ValidationError] | None"]


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
        InputError: The schema is none.
    """

    def __init__(self, stream: str, schema: dict[str, Any]) -> None:
        super().__init__(schema)
        self._stream = stream
        dialect, error = self._dialect_and_error(schema)
        if error:
            where = "/".join(map(str, error.absolute_path))
            raise self._unusable(f"{where or 'it'} violates `{error.validator}`")
        self.problem: str | None = None
        self._validator = _bounded(dialect)(schema, registry=referencing.Registry())
        self._keywords = frozenset(dialect.VALIDATORS) - {"format"}  # which is not checked
        self._is_plain = (
            dialect is not jsonschema.Draft3Validator  # where `required` stands elsewhere
            and self._says_only(schema, "type", "properties", "required")
            and "object" in _list(schema.get("type", "object"))
        )
        properties = schema.get("properties", {}) if self._is_plain else {}
        self._required = frozenset(schema.get("required", ()) if self._is_plain else ())
        self._types = {name: self._plain_types(inner) for name, inner in properties.items()}
        self._lengths = {
            name: inner["maxLength"]
            for name, inner in properties.items()
            if self._types[name] and "maxLength" in inner
        }
        self._warn_of_what_is_not_checked()

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
        try:
            error = self._first_error(self._validator, record)
        except _TooSlow:
            return f"validation against the stream's schema takes more than {_LONGEST} seconds"
        if error is None:
            return None
        where = shown("/".join(map(str, error.absolute_path))) or "the record"
        return f"{where} violates `{error.validator}` of the stream's schema"

    def _dialect_and_error(
        self, schema: dict[str, Any]
    ) -> tuple[Any, jsonschema.ValidationError | None]:
        """Return which draft a schema is written in, and what is wrong with it, if anything."""
        dialect = _dialect_of(schema)
        error = self._error_of(schema, dialect)
        # Taps of databases say `exclusiveMaximum: true`, as draft 4 has it, and not which it is.
        if error and "$schema" not in schema:
            older = jsonschema.Draft4Validator
            if not self._error_of(schema, older):
                return older, None
        return dialect, error

    def _error_of(self, schema: dict[str, Any], dialect: Any) -> jsonschema.ValidationError | None:
        meta_schema = _bounded(dialect)(dialect.META_SCHEMA, registry=referencing.Registry())
        try:
            return self._first_error(meta_schema, schema)
        except _TooSlow:
            raise self._unusable(f"its validation takes more than {_LONGEST} seconds") from None

    def _first_error(self, validator: Any, instance: Any) -> jsonschema.ValidationError | None:
        """Return what is wrong with a record, or with the schema itself.

        Raises:
            InputError: That cannot be found out.
            _TooSlow: Not in a reasonable time.
        """
        _left.set(iter(range(_MOST_REFERENCES)))
        _depth.set(0)
        _until.set(time.thread_time() + _LONGEST)
        try:
            best: jsonschema.ValidationError | None = jsonschema.exceptions.best_match(
                validator.iter_errors(instance)
            )
        except (RecursionError, _TooManyReferences):
            raise self._unusable("its references are circular, or too many") from None
        except referencing.exceptions.Unresolvable as error:
            why = f"it does not contain {error.ref!r}, and nothing is fetched"
            raise self._unusable(why) from None
        except _TooSlow:
            raise
        except Exception as error:  # noqa: BLE001 `jsonschema` trusts schemas
            raise self._unusable(type(error).__name__) from None
        return best

    def _unusable(self, why: str) -> InputError:
        return InputError(f"Stream {self._stream!r}: its SCHEMA cannot be used: {shown(why)}.")

    def _plain_types(self, schema: Any) -> frozenset[type]:
        """Return the Python types that a property's schema surely accepts, if it says no more."""
        if not self._says_only(schema, "type", "maxLength"):
            return _NONE
        names = _list(schema["type"]) if "type" in schema else _PYTHON_TYPES
        return _NONE.union(*(_PYTHON_TYPES.get(name, _NONE) for name in names))

    def _says_only(self, schema: Any, *keywords: str) -> bool:
        """Whether a schema asserts nothing but by these keywords."""
        return isinstance(schema, dict) and self._keywords & schema.keys() <= set(keywords)

    def _warn_of_what_is_not_checked(self) -> None:
        found = {
            name: keywords
            for name, inner in self.schema.get("properties", {}).items()
            if (keywords := sorted(_not_checked(inner)))
        }
        rest = {name: inner for name, inner in self.schema.items() if name != "properties"}
        if keywords := sorted(_not_checked(rest)):
            found["the record"] = keywords
        if found:
            logger.warning(
                "Stream %r: not checked, because regular expressions may never end: %s.",
                self._stream,
                shown("; ".join(f"{', '.join(words)} of {name}" for name, words in found.items())),
            )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _dialect_of(schema: Mapping[str, Any]) -> Any:
    """Return which draft a schema is written in; one that is not known is taken for draft 7."""
    name = schema.get("$schema")
    known = {"$schema": name} if isinstance(name, str) else {}
    try:
        return jsonschema.validators.validator_for(known, jsonschema.Draft7Validator)
    except ValueError:  # no URL
        return jsonschema.Draft7Validator


def _not_checked(schema: Any) -> Iterator[str]:
    """Yield the keywords within a schema, at any depth, that are not checked.

    A property of that name has a schema, and no text.
    """
    for name, inner in schema.items() if isinstance(schema, dict) else ():
        if name in _NOT_CHECKED and isinstance(inner, str) == (name == "pattern"):
            yield name
    for inner in schema.values() if isinstance(schema, dict) else _list(schema):
        if isinstance(inner, (dict, list)):
            yield from _not_checked(inner)


# Keywords that are bounded


class _TooManyReferences(Exception):
    pass


class _TooSlow(Exception):
    pass


_left: ContextVar[Iterator[int]] = ContextVar("left")
"""The references that may still be followed."""
_depth: ContextVar[int] = ContextVar("depth")
"""How many references are being followed, one within the other."""
_until: ContextVar[float] = ContextVar("until")
"""The time of this thread's own work at which it ends."""


@cache
def _bounded(dialect: Any) -> Any:
    """Return a dialect whose keywords all come to an end."""
    known: Mapping[str, Keyword] = dialect.VALIDATORS
    ours: dict[str, Keyword] = {
        **dict.fromkeys(_NOT_CHECKED, _nothing),
        "additionalProperties": _without_patterns(known["additionalProperties"]),
        "uniqueItems": _unique_items,
        "multipleOf": _multiple_of,
        "divisibleBy": _multiple_of,
        **{name: _counted(known[name]) for name in _REFERENCES if name in known},
    }
    ours = {name: _timed(ours.get(name, keyword)) for name, keyword in known.items()}
    return jsonschema.validators.extend(dialect, ours)  # type: ignore[no-untyped-call]  # has none


def _nothing(*_: Any) -> None:
    return None


def _timed(keyword: Keyword) -> Keyword:
    """Return a keyword that ends, and whose errors do not keep the value that they are about."""

    def check(*arguments: Any) -> Iterator[jsonschema.ValidationError]:
        if time.thread_time() > _until.get():
            raise _TooSlow
        for error in keyword(*arguments) or ():
            error.message, error.args = "", ()  # they repeat the value, each of many errors
            yield error

    return check


def _counted(keyword: Keyword) -> Keyword:
    def follow(*arguments: Any) -> Iterator[jsonschema.ValidationError]:
        depth = _depth.get()
        if next(_left.get(), None) is None or depth == _DEEPEST:
            raise _TooManyReferences
        _depth.set(depth + 1)
        try:
            yield from keyword(*arguments) or ()
        finally:
            _depth.set(depth)

    return follow


def _without_patterns(keyword: Keyword) -> Keyword:
    """Return what checks additional properties where no pattern says which these are."""

    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        return (
            None if "patternProperties" in schema else keyword(validator, value, instance, schema)
        )

    return check


def _unique_items(validator: Any, value: Any, instance: Any, _: Any) -> Any:
    if not (value and validator.is_type(instance, "array")):
        return
    if len({*map(_hashable, instance)}) < len(instance):
        yield jsonschema.ValidationError("items are not unique")


def _hashable(value: Any) -> Any:
    """Return what is equal for equal values. In JSON, 1 and 1.0 are, and 1 and true are not."""
    if isinstance(value, dict):
        return dict, frozenset((name, _hashable(one)) for name, one in value.items())
    if isinstance(value, list):
        return list, tuple(map(_hashable, value))
    return (bool, value) if isinstance(value, bool) else value


def _multiple_of(validator: Any, value: Any, instance: Any, _: Any) -> Any:
    if validator.is_type(instance, "number"):
        try:
            is_whole = isinstance(instance, int) and isinstance(value, int)
            rest = (
                instance % value if is_whole else _EXACT.remainder(*map(Decimal, (instance, value)))
            )
        except ArithmeticError:  # a quotient of more digits than Decimal counts with
            rest = 1
        if rest:
            yield jsonschema.ValidationError("not a multiple")
