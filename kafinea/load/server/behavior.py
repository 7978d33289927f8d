"""What a run learns about how the server writes: operations, totals, the user's formats."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from functools import cache, cached_property
from itertools import islice
from threading import Lock
from typing import Any

from kafinea.client import Client
from kafinea.describe import Module
from kafinea.errors import Refused, Unavailable
from kafinea.load.results import Rejected
from kafinea.load.server import totals
from kafinea.load.server.formats import Formats, NumberLimits, advice, read_formats
from kafinea.load.server.write_retries import WriteRetries, WritesFail
from kafinea.query import Condition, select
from kafinea.values import ValueType, value_type_of

logger = logging.getLogger(__name__)

_SAMPLE = 5


class ServerBehavior:
    """What the writes of a run have learned about the server. Threads share it.

    Args:
        client: The instance.

    Attributes:
        retries: What to do when a write failed.
        limits: Which numbers are not stored as they are sent.
        totals: Whether totals follow from lines.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.retries = WriteRetries(client)
        self.limits = NumberLimits()
        self.totals = Totals(client)
        self._learning = Lock()

    @property
    def can_revise(self) -> bool:
        """Whether the server has `revise`, which is sent changed fields only."""
        with self._learning:  # by one thread for all
            return self._can_revise

    @cached_property
    def _can_revise(self) -> bool:
        try:
            return self._client.can_revise()
        except Unavailable as error:
            raise WritesFail(f"{error} It is unknown whether the server has `revise`.") from None

    @property
    def formats(self) -> Formats:
        """The formats of the user; what about them may change records is logged once."""
        with self._learning:
            return self._formats

    @cached_property
    def _formats(self) -> Formats:
        formats = read_formats(self._client)
        for text in formats.warnings():
            logger.warning("%s", text)
        return formats

    def check_numbers(
        self,
        module: Module,
        values: Mapping[str, Any],
        stored: Mapping[str, Any],
        may_alter: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Check that the server keeps numbers as they are sent, as far as this run has seen.

        Args:
            module: The module that they go into.
            values: What is to be sent, by field name.
            stored: The record as it is; nothing when it is new.
            may_alter: Whether the server may store a field otherwise than it is sent.

        Raises:
            Rejected: It does not.
        """
        for name, wire in values.items():
            field = module.fields[name]
            is_number = value_type_of(field.type) is ValueType.NUMBER
            if not is_number or not wire or may_alter(name):
                continue
            reason, cause = self.limits.refuse(module.name, field, wire)
            kept = stored.get(name)
            if not reason and kept and self.formats.would_cut(field, kept, wire):
                reason = "the stored number is this one in the API user's formats"
                cause = "number of decimals"
            if reason:
                text = f"not sent: {name}: {reason}. {advice({cause})}"
                raise Rejected("NOT_AS_SENT", text, id=stored.get("id"))


class Totals:
    """Judges the totals of records, where the server's arithmetic is the one that we know.

    Args:
        client: The instance.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._judged: dict[str, bool] = {}
        self._learning = Lock()
        self._taxes_of = cache(self._ask_for_taxes)

    def are_right(self, module: str, record: Mapping[str, Any]) -> bool:
        """Whether the totals of a record follow from its lines, as far as that is known.

        A Kafinea may add charges or taxes of its own. So before totals are called wrong, those of
        other records are looked at: where they do not follow either, none are judged.
        """
        if totals.follow(record, self._taxes_of):
            return True
        with self._learning:
            if module not in self._judged:
                self._judged[module] = self._can_be_judged(module, record)
        return not self._judged[module]

    def _can_be_judged(self, module: str, but: Mapping[str, Any]) -> bool:
        others = list(islice(self._others(module, but), _SAMPLE))
        wrong = [one for one in others if not totals.follow(one, self._taxes_of)]
        if 2 * len(wrong) <= len(others):
            return True
        logger.warning(
            "%s: totals are not checked. The totals of records that were not loaded do not match "
            "their lines either, so this server calculates totals differently.",
            module,
        )
        return False

    def _others(self, module: str, but: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Yield other records: those first that no update of ours can have left half done."""
        columns = ["id", "createdtime", "modifiedtime", "modifiedby"]
        where = [Condition("id", "!=", but["id"])]
        query = select(module, columns, where=where, order_by=["id"], descending=True, limit=100)
        user = self._client.user_id()
        never = [
            lambda row: row["createdtime"] == row["modifiedtime"],
            lambda row: row["modifiedby"] != user,
        ]
        try:
            rows = self._client.query(query)
        except Refused:  # there are no such fields
            rows, never = self._client.query(select(module, ["id"], where=where, limit=_SAMPLE)), []
        untouched = next((some for is_so in never if (some := [*filter(is_so, rows)])), rows)
        for row in untouched:
            with suppress(Refused):
                yield self._client.retrieve(row["id"])

    def _ask_for_taxes(self, product_id: str) -> Collection[str]:
        """Return the taxes that a product is subject to, as `retrieve` gives them."""
        try:
            product = self._client.retrieve(product_id)
        except (Refused, Unavailable):
            return ()
        return [name for name, rate in product.items() if name.startswith("tax") and rate]
