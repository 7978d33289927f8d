"""Records without a `modifiedtime`: NULL, or a zero date, as an import by SQL leaves them.

No comparison with a date selects them all, and the query language has no `IS NULL` (measured).
A first pass without bounds reads all records and has them; where `start_date` or `end_date` bounds
it, they are looked for here.
"""

from __future__ import annotations

from kafinea.client import Client
from kafinea.describe import MODIFIED
from kafinea.module_reader import EARLIEST, ModuleReader
from kafinea.page_query import count
from kafinea.query import Condition
from kafinea.recovery import Recovery


def undated_ids(client: Client, module: str, page_size: int, recovery: Recovery) -> list[str]:
    """Return the ids of the records of a module that have no `modifiedtime`.

    Where there are none, it costs two counts.

    Raises:
        Unavailable: The server cannot count.
    """
    dated = [Condition(MODIFIED, ">=", EARLIEST)]
    if count(client.query, module) <= count(client.query, module, dated):
        return []
    reading = ModuleReader(
        client,
        module,
        [MODIFIED],
        page_size=page_size,
        sessions=client.max_sessions,
        recovery=recovery,
    )
    return [
        record["id"]
        for page in reading
        for record in page
        if str(record.get(MODIFIED) or "") < EARLIEST
    ]
