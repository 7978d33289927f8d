"""Whether queries give the discounts of headers rightly.

On most servers they share a column name with the discount of a line, and come under that name; only
`retrieve` has them. coreBOS gives them in queries too (measured). A record that has a
discount proves it: what a query and `retrieve` give of it must be the same.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Any

from kafinea.client import Client, Record
from kafinea.dividing import FAILURES_AT_FIRST
from kafinea.errors import Refused, Unavailable
from kafinea.parsing import decimal
from kafinea.query import Condition, select


def are_queryable(client: Client, module: str, names: Collection[str]) -> bool:
    """Whether a query gives these discounts as `retrieve` does.

    Where no record has a discount, nothing proves it. A record with an amount does not prove that
    percentages come as well, so each kind that there is has its own: two requests for each on a
    server that gives them, and one or two on others.
    """
    # A record that the server fails at proves nothing either: no need to wait for it.
    client = client.giving_up_after(FAILURES_AT_FIRST)
    is_proven = False
    try:
        for name in sorted(names):
            if queried := _with_discount(client, module, names, name):
                is_proven = _is_proven_by(client, queried, names)
                if not is_proven:
                    break
    except (Refused, Unavailable):
        return False
    return is_proven


def _with_discount(client: Client, module: str, names: Collection[str], name: str) -> Record | None:
    where = [Condition(name, ">", "0")]
    rows = client.query(select(module, sorted(names), where=where, limit=1))
    return rows[0] if rows else None


def _is_proven_by(client: Client, queried: Record, names: Collection[str]) -> bool:
    if not queried.keys() >= {"id", *names}:
        return False
    retrieved = client.retrieve(queried["id"])
    pairs = [(_amount(queried[name]), _amount(retrieved.get(name))) for name in names]
    return any(first for first, _ in pairs) and all(first == other for first, other in pairs)


def _amount(wire: Any) -> Decimal | None:
    return decimal(wire or 0)
