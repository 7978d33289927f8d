"""Natural keys: the only place that decides whether two of them are equal.

Databases do not agree on it. Most ignore case and accents, some take `ß` for `s`, `œ`
for `oe`, or any two emoji for the same, and all find records by their own rule. So what the
database gives for a key is compared once more here, by one rule:

1. Texts are equal when they are the same after Unicode NFC and without white space at both ends.
2. If no record is equal in that sense: when they differ in case only, and exactly one record does.
3. Any other record that the database gives for a key is never taken for it, and never passed over.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Context, Decimal
from typing import Any

from kafinea.client import Record
from kafinea.describe import Field
from kafinea.load.lookup.folding import fold
from kafinea.load.results import Rejected
from kafinea.query import encoded_size
from kafinea.values import ServerZone, ValueType, encode, value_type_of

KeyValues = tuple[str, ...]
"""The wire values of a natural key."""

_UTC = ServerZone()  # the same for both sides of a comparison
_ALL_DIGITS = Context(prec=300)  # more than any number that is read has
_CASE, _ACCENTS, _LOOKS = "case", "accents", "characters that look alike"
_LONGEST_KEY = 4_000  # bytes in the URL
_LONGEST_CHARACTER = 12  # bytes in the URL
_SIGMA = "\u03c3"  # which has another form at the end of a word
_MOST_NAMED = 5
_IDS_SHOWN = 10

_HTML = frozenset("&<>\"'")
_PLAIN = re.compile(r"[A-Za-z0-9 .,_@/+#-]|[^\W\d_]")
_NAMES = {"\\": "a backslash", "'": "an apostrophe", '"': "a quotation mark", "%": "a percent sign"}


# Equal or not


def canonical(text: str) -> str:
    """Return a text in the form in which equal texts are the same.

    White space is all that Unicode calls so: nobody sees a tab or a no-break space at the end.
    """
    return text.strip() if text.isascii() else unicodedata.normalize("NFC", text).strip()


def equal_part(value: Any, field: Field) -> str:
    """Return one value of a key in the form in which equal ones are the same."""
    return canonical(_text(value)) if _is_text(field) else _typed(value, field)


def spellings(value: str, field: Field) -> set[str]:
    """Return the forms in which equal values may be stored, as far as a query can contain them.

    Not all databases take an `é` in one character and in two for the same. Some hold texts as HTML
    and show them decoded (measured).
    """
    if not _is_text(field):
        return {value}
    forms = {value}
    if not value.isascii() or value != value.strip():
        composed = canonical(value)
        forms |= {composed, unicodedata.normalize("NFD", composed)}
    if _HTML.isdisjoint(value):
        return forms
    return {form for one in forms for form in (one, *_as_html(one))}


def choose(fields: Sequence[Field], wanted: KeyValues, rows: Sequence[Record]) -> Record | None:
    """Return the one record that a key means, of those that the database gives for it.

    Args:
        fields: The fields of the key.
        wanted: Its values.
        rows: The records.

    Returns:
        None when there is none.

    Raises:
        Rejected: Several are equal to it, or none is and some are nearly.
    """
    equal, near = part(fields, wanted, rows)
    if len(equal) == 1:
        return equal[0]
    if equal:
        raise Rejected("AMBIGUOUS_KEY", f"several records have this key: {_ids(equal)}")
    differences = [(row, _differences(fields, wanted, row)) for row in near]
    in_case = [row for row, differs in differences if differs == {_CASE}]
    if len(in_case) == 1:
        return in_case[0]
    if not near:
        return None
    seen = {one for _, differs in differences for one in differs}
    names = ", ".join(field.name for field in fields)
    raise Rejected(
        "AMBIGUOUS_KEY",
        f"no record has exactly this key. The database returns {_ids(near)} for it, but {names} "
        f"differs in {' and '.join(sorted(seen))}",
    )


def part(
    fields: Sequence[Field], wanted: KeyValues, rows: Iterable[Record]
) -> tuple[list[Record], list[Record]]:
    """Part the records that are equal to a key from those that are not."""
    form = tuple(map(equal_part, wanted, fields))
    equal: list[Record] = []
    near: list[Record] = []
    for row in rows:
        is_equal = all(
            value == row.get(field.name) or one == equal_part(row.get(field.name), field)
            for field, value, one in zip(fields, wanted, form, strict=True)
        )
        (equal if is_equal else near).append(row)
    return equal, near


def _differences(fields: Sequence[Field], wanted: KeyValues, row: Record) -> set[str]:
    """Return in what a record differs from a key; no more than that: the values stay unsaid."""
    pairs = [
        (equal_part(value, field), equal_part(row.get(field.name), field))
        for field, value in zip(fields, wanted, strict=True)
    ]
    return {word for left, right in pairs if left != right for word in _words(left, right)}


def _words(left: str, right: str) -> set[str]:
    if _lower(left) == _lower(right):
        return {_CASE}
    if _without_accents(left) == _without_accents(right):
        return {_ACCENTS}
    if _lower(_without_accents(left)) == _lower(_without_accents(right)):
        return {_ACCENTS, _CASE}
    return {_LOOKS}


def _lower(text: str) -> str:
    """Return a text in lower case, character by character: ß is no ss, and İ is no i."""
    lower = (small if len(small := each.lower()) == 1 else each for each in text)
    return unicodedata.normalize("NFC", "".join(lower).replace("ς", _SIGMA))


def _without_accents(text: str) -> str:
    plain = unicodedata.normalize("NFD", text)
    return "".join(each for each in plain if not unicodedata.combining(each))


def _as_html(text: str) -> tuple[str, str]:
    """Return a text as PHP writes it in HTML, without and with quotation marks encoded."""
    tags = html.escape(text, quote=False)
    return tags, tags.replace('"', "&quot;").replace("'", "&#039;")


# Perhaps the same


def key_of(values: Sequence[Any], fields: Sequence[Field]) -> KeyValues:
    """Return a key in a form that is the same for all keys that any database takes for the same.

    It only groups: records that may mean the same one are written one after the other.
    """
    return tuple(map(folded_part, values, fields))


def folded_part(value: Any, field: Field) -> str:
    """Return one value of a key in the form of `key_of`."""
    return fold(_text(value)) if _is_text(field) else _typed(value, field)


# Keys that cannot be looked up


def is_complete(values: Sequence[str], fields: Sequence[Field]) -> bool:
    """Whether a key has a value in each of its fields, so that it finds no record without values.

    Servers store 0 in a number or a box that was never filled in (measured). So a 0 in one field
    distinguishes records only together with another one.
    """
    return all(value.strip() for value in values) and not all(map(_is_zero, values, fields))


def _is_zero(value: str, field: Field) -> bool:
    return not _is_text(field) and _typed(value, field).strip("-") == "0"


def check(name: str, value: str) -> None:
    """Check that a value of a key can be looked up.

    Raises:
        Rejected: No query can hold it, or it would find every record without a value.
    """
    if half := next((each for each in value if "\ud800" <= each <= "\udfff"), None):
        text = f"{name}: the text contains half a character (unpaired surrogate {_named(half)})"
        raise Rejected("INVALID_KEY", text)
    if not fold(value):
        what = odd_characters(value) or "spaces"
        raise Rejected("INVALID_KEY", f"{name}: the key has no visible characters, only {what}")
    is_short = len(value) * _LONGEST_CHARACTER <= _LONGEST_KEY
    if not is_short and encoded_size(value) > _LONGEST_KEY:
        raise Rejected("INVALID_KEY", f"{name}: the value is too long for a key")


def odd_characters(value: str) -> str:
    """Name the characters of a value that servers may not accept, never the others."""
    odd = dict.fromkeys(each for each in value if not _is_plain(each))
    names = list(dict.fromkeys(map(_named, odd)))
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _is_plain(character: str) -> bool:
    return character <= "\uffff" and _PLAIN.fullmatch(character) is not None


def _named(character: str) -> str:
    if character in _NAMES:
        return _NAMES[character]
    if character.isascii() and character.isprintable():
        return f"'{character}'"
    return f"U+{ord(character):04X}"


def _is_text(field: Field) -> bool:
    return value_type_of(field.type) is ValueType.TEXT


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _typed(value: Any, field: Field) -> str:
    """Return a value that is no text, whatever its digits or its form."""
    kind = value_type_of(field.type)
    try:
        if kind in {ValueType.NUMBER, ValueType.INTEGER}:
            number = encode(value, ValueType.NUMBER, _UTC) or ""
            return format(Decimal(number).normalize(_ALL_DIGITS), "f")
        return str(encode(value, kind, _UTC))
    except (ValueError, TypeError, ArithmeticError):
        return fold(_text(value))  # a stored value that does not fit its type


def listed(ids: Sequence[str]) -> str:
    """Return ids for a message: the first ones, and how many more there are."""
    more = f" and {len(ids) - _IDS_SHOWN:,} more" if len(ids) > _IDS_SHOWN else ""
    return ", ".join(ids[:_IDS_SHOWN]) + more


def _ids(rows: Sequence[Record]) -> str:
    return listed([str(row["id"]) for row in rows])
