"""Whether queries give the discounts of headers rightly.

On most servers they share a column name with the discount of a line, and come under that name; only
`retrieve` has them. coreBOS gives them in queries too (API-FACTS, "coreBOS"). One record that has a
discount proves it: what a query and `retrieve` give of it must be the same.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal, InvalidOperation
from typing import Any

from kafinea.client import Client, Record
from kafinea.errors import Refused, Unavailable
from kafinea.query import Condition, select


def are_queryable(client: Client, module: str, names: Collection[str]) -> bool:
    """Whether a query gives these discounts as `retrieve` does.

    Where no record has a discount, nothing proves it. It costs two requests on a server that does,
    and one or two on others.
    """
    try:
        return any(_is_proven_by(client, _with_discount(client, module, names, one), names)
                   for one in sorted(names))  # fmt: skip
    except (Refused, Unavailable):
        return False


def _with_discount(client: Client, module: str, names: Collection[str], name: str) -> Record | None:
    where = [Condition(name, ">", "0")]
    rows = client.query(select(module, sorted(names), where=where, limit=1))
    return rows[0] if rows else None


def _is_proven_by(client: Client, queried: Record | None, names: Collection[str]) -> bool:
    if queried is None or not queried.keys() >= set(names):
        return False
    retrieved = client.retrieve(queried["id"])
    pairs = [(_amount(queried[name]), _amount(retrieved.get(name))) for name in names]
    return any(one for one, _ in pairs) and all(one == other for one, other in pairs)


def _amount(wire: Any) -> Decimal | None:
    try:
        return Decimal(str(wire or 0))
    except InvalidOperation:
        return None
