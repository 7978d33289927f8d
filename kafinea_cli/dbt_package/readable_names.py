"""Readable names of columns and models: ASCII, unique, and stable when fields are added."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import NamedTuple

_LONGEST = 45
"""Characters of a name without its ends, `_id` and what makes it unique. PostgreSQL keeps 63."""
_LETTERS = str.maketrans(
    dict(zip("œæßøłđðþ\u0131", ("oe", "ae", "ss", "o", "l", "d", "d", "th", "i"), strict=True))
    | dict(zip("ŒÆØŁĐÐÞ", ("oe", "ae", "o", "l", "d", "d", "th"), strict=True))
    | {"€": " euro ", "%": " percent ", "°": " ", "№": " no "}
)
_CUSTOM = re.compile(r"cf_(?:\w+_)?(\d+)")
_NAME_OF = re.compile(r"^nom_(?:du|des|de_la|de_l|de|d)_|_name$")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# Those of PostgreSQL 18 and DuckDB 1.5 that cannot be the name of a column without quotes, and the
# columns that PostgreSQL itself adds to each table.
_RESERVED = frozenset(
    re.findall(
        r"\w+",
        """
    all analyse analyze and anti any array as asc asof asymmetric at authorization between binary
    both by case cast check collate collation column columns concurrently constraint create cross
    current_catalog current_date current_role current_schema current_time current_timestamp
    current_user default deferrable desc describe distinct do else end except false fetch for
    foreign freeze from full generated glob grant group having ilike in initially inner intersect
    into is isnull join lambda lateral leading left like limit localtime localtimestamp map natural
    not notnull null offset on only or order outer overlaps pivot pivot_longer pivot_wider placing
    positional primary qualify references returning right select semi session_user show similar
    some struct summarize symmetric system_user table tablesample then to trailing true try_cast
    union unique unpack unpivot user using variadic verbose when where window with
    cmax cmin ctid tableoid xmax xmin
    """,
    )
)


class Named(NamedTuple):
    """What gets a name.

    Attributes:
        name: Its name in Kafinea, which is unique.
        label: What people see.
        is_reference: Whether its values are ids of other records.
    """

    name: str
    label: str
    is_reference: bool


def readable_names(fields: Iterable[Named]) -> dict[str, str]:
    """Return the readable name of each field: `Payment Terms` is `payment_terms`.

    Of several with the same label, the oldest has the name: Kafinea's own fields before custom
    ones, which are numbered in the order of their creation. The others end in the name of the
    field. So no name changes when a field is added.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for field in sorted(fields, key=_age):
        chosen = next(name for name in _candidates(field) if name not in taken)
        taken.add(chosen)
        names[field.name] = chosen
    return names


def model_names(streams: Iterable[str]) -> dict[str, str]:
    """Return the readable name of each stream: `SalesOrder` is `sales_order`."""
    names: dict[str, str] = {}
    for stream in sorted(streams):
        words = _cut(_words(_CAMEL.sub("_", stream)) or "module")
        is_free = words not in names.values()
        names[stream] = words if is_free else f"{words}_{_digits(stream)}"
    return names


def _candidates(field: Named) -> Iterator[str]:
    base = _base(field)
    yield base
    yield f"{base}_{_cut(_words(field.name), 12)}"
    yield f"{base}_{_digits(field.name)}"


def _base(field: Named) -> str:
    if field.name == "id":
        return "id"
    words = _words(field.label) or _words(field.name) or "field"
    if field.is_reference:
        words = re.sub(r"_id$", "", _NAME_OF.sub("", words) or words)
    words = _cut(words) + ("_id" if field.is_reference else "")
    if words[0].isdigit():
        words = f"_{words}"
    return f"{words}_" if words in _RESERVED else words


def _age(field: Named) -> tuple[bool, bool, int, str]:
    custom = _CUSTOM.fullmatch(field.name)
    return (field.name != "id", custom is not None, int(custom[1]) if custom else 0, field.name)


def _words(text: str) -> str:
    """Return the words of a text, in lower case and ASCII, with `_` between them."""
    letters = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")


def _cut(words: str, longest: int = _LONGEST) -> str:
    """Return words that are short enough; the last one is whole where it can be."""
    if len(words) <= longest:
        return words
    kept = words[: longest + 1].rpartition("_")[0]
    return kept if len(kept) > longest // 2 else words[:longest].rstrip("_")


def _digits(name: str) -> str:
    return sha256(name.encode()).hexdigest()[:6]
