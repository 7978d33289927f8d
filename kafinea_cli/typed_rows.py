"""Records of a module as the tap extracts them, from a single reading without a bookmark."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from kafinea.describe import Module
from kafinea.errors import IncompleteRead, Refused
from kafinea.extract import Fields
from kafinea.extract.checkpoint import Pass
from kafinea.extract.module_rows import ModuleContent
from kafinea.module_reader import ModuleReader
from kafinea.page_query import Page
from kafinea.query import AnyOf, Condition
from kafinea.recovery import Recovery
from kafinea.values import ValueType
from kafinea_cli.connection import Instance
from kafinea_cli.output import Column

logger = logging.getLogger(__name__)

Row = dict[str, Any]
_SHOWN = 10


def module_of(instance: Instance, name: str) -> Module:
    """Return a module.

    Raises:
        Refused: There is none of this name; the message suggests others.
    """
    try:
        return instance.client.describe(name)
    except Refused as error:
        if name in instance.modules.shown:
            raise
        raise Refused(instance.modules.not_found(name), code=error.code) from None


def rows_of(
    instance: Instance,
    module: str,
    fields: Fields,
    where: Sequence[Condition | AnyOf] = (),
    *,
    limit: int | None = None,
    on_count: Callable[[int], None] = lambda _: None,
) -> Iterator[Row]:
    """Yield the records that meet conditions, typed, in the order of their ids.

    Args:
        instance: The instance.
        module: The module.
        fields: Their fields, with types.
        where: The conditions.
        limit: The most records to yield.
        on_count: Is called with the number of records, once the server has counted them.

    Raises:
        IncompleteRead: Some could not be read whole; those that could were yielded.
        KafineaError: Not all could be read.
    """
    if not instance.config.get("timezone") and ValueType.DATETIME in fields.record.values():
        logger.warning(
            "`timezone` (TAP_KAFINEA_TIMEZONE) is not set, so the server's date-times are read as "
            "UTC. `kafinea check` shows whether they are."
        )
    client, page_size = instance.client, int(instance.config["page_size"])
    recovery = Recovery(client, module)
    content = ModuleContent(client, module, module, fields, instance.zone, page_size, recovery)
    rows = content.open(Pass())
    if limit is not None:
        page_size = min(page_size, limit)
    reading = ModuleReader(
        client,
        module,
        rows.columns,
        where,
        page_size=page_size,
        sessions=1 if limit is not None and limit <= page_size else client.max_sessions,
        complete=rows.complete,
        complete_at_once=rows.complete_at_once,
        recovery=recovery,
    )
    reading.begin()
    on_count(reading.total)
    for part in rows.parts(reading, _up_to(limit, reading)):
        yield from part.rows
    rows.report()
    if recovery.failed:
        raise _incomplete(module, list(dict.fromkeys(bad.id for bad in recovery.failed)))


def _up_to(limit: int | None, pages: Iterable[Page]) -> Iterator[Page]:
    """Yield pages up to a number of records. No page after them is requested."""
    if limit is None:
        yield from pages
        return
    for page in pages:
        yield page[:limit]
        limit -= len(page)
        if limit <= 0:
            return


def columns_of(types: Mapping[str, ValueType]) -> list[Column]:
    """Return columns of these types."""
    numbers = {ValueType.INTEGER, ValueType.NUMBER}
    return [Column(name, right=kind in numbers) for name, kind in types.items()]


def _incomplete(module: str, ids: Sequence[str]) -> IncompleteRead:
    named = ", ".join(ids[:_SHOWN]) + (", ..." if len(ids) > _SHOWN else "")
    return IncompleteRead(
        f"{module}: {len(ids):,} of the records could not be read whole: {named}. Correct them in "
        "Kafinea, or exclude them with a condition on `id`."
    )
