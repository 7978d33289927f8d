"""Which stored line each line of a document is, and what it keeps of it. Nothing here sends.

A write replaces all lines, and what is sent of one is all that it will have. A stored line is known
by its values and its product only: its id changes with each write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kafinea.describe import LINES, Field
from kafinea.load.results import Rejected
from kafinea.load.server.server_rules import LINE_SERVERS_OWN
from kafinea.load.writing.comparing import changed_fields, other_discount
from kafinea.parsing import decimal

Line = Mapping[str, Any]


def merged_lines(
    stored: Sequence[Line], wanted: Sequence[Line], fields: Mapping[str, Field]
) -> list[dict[str, Any]]:
    """Return the lines to send, each with what its stored line has and is not loaded.

    Raises:
        Rejected: A line may be one of several stored ones that keep different values.
    """
    known = _known(stored, wanted, fields)
    lines = []
    for place, new in enumerate(wanted):
        old = stored[known[place]] if place in known else {}
        line = {**_kept(old, new), **new, "sequence_no": str(place + 1)}
        lines.append({name: value for name, value in line.items() if value is not None})
    return lines


def _known(
    stored: Sequence[Line], wanted: Sequence[Line], fields: Mapping[str, Field]
) -> dict[int, int]:
    """Return the places of the stored lines, by the places of the lines that they become.

    Equal lines come first, so that none inherits the discount of another; then lines of the same
    product, in their order.

    Raises:
        Rejected: It is not certain.
    """
    products = [line["productid"] for line in wanted]
    is_longer = products[: len(stored)] == [line["productid"] for line in stored]

    def is_equal(old: int, new: int) -> bool:
        return not changed_fields(stored[old], wanted[new], fields)

    known = {one: one for one in range(len(stored)) if is_longer and is_equal(one, one)}
    free = [one for one in range(len(stored)) if one not in known]
    for place in range(len(wanted)):
        equal = (one for one in free if place not in known and is_equal(one, place))
        if (old := next(equal, None)) is not None:
            free.remove(old)
            known[place] = old
    for product in dict.fromkeys(products):
        olds = [one for one in free if stored[one]["productid"] == product]
        news = [one for one, its in enumerate(products) if its == product and one not in known]
        if len(olds) > len(news) or (len(olds) < len(news) and not is_longer):
            _check_choice([stored[one] for one in olds], [wanted[one] for one in news], news)
        known |= zip(news, olds, strict=False)
    return known


def _check_choice(olds: Sequence[Line], news: Sequence[Line], places: Sequence[int]) -> None:
    """Check that it does not matter which lines of a product were removed or are new.

    Raises:
        Rejected: It does.
    """
    if not (olds and news):
        return
    loaded = set(news[0]).intersection(*news[1:])
    kept: list[dict[str, Any]] = [_kept(old, {}) for old in olds]
    others = [*kept, {}] if len(olds) < len(news) else kept  # a new line has nothing
    names = [
        name
        for name in sorted(set().union(*kept) - loaded)
        if len({_plain(one.get(name)) for one in others}) > 1
    ]
    if names:
        text = (
            f"{LINES}: it is not certain which stored line of its product line {places[0] + 1} is. "
            f"Load these fields of the lines, too: {', '.join(names)}"
        )
        raise Rejected("AMBIGUOUS_LINES", text)


def _plain(value: Any) -> str:
    number = decimal(value or 0)
    return str(value) if number is None else str(number.normalize())


def _kept(old: Line, new: Line) -> dict[str, Any]:
    """Return what a line keeps. No tax goes as 0: a line without any gets those of its product."""
    gone = LINE_SERVERS_OWN | {other_discount(new)}
    taxes = {name: "0" for name in old if name.startswith("tax")}
    filled = {name: value for name, value in old.items() if value not in ("", None)}
    return {name: value for name, value in {**taxes, **filled}.items() if name not in gone}
