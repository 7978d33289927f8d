"""Running a query."""

from __future__ import annotations

import re
from typing import Any

from kafinea_sandbox.errors import ApiError, QueryFails, denied
from kafinea_sandbox.instance.call import Call
from kafinea_sandbox.query.grammar import parse
from kafinea_sandbox.query.statement import Statement

FROM = re.compile(r"from\s+([^\s;]+)", re.IGNORECASE)
"""Where the server looks for the module, before it parses a query."""


def run(call: Call, text: str) -> list[dict[str, Any]]:
    """The rows of a query. On most servers one that the database refuses is an empty list."""
    module = FROM.search(text)
    if not module:
        raise denied("for query")
    table = call.table(module[1])  # looked up before the text is parsed
    parsed = parse(text)
    try:
        statement = Statement(call.instance, call.user, table, parsed)
        return statement.count() if parsed.counts else statement.rows()
    except QueryFails:
        if call.instance.dialect.json_refusals:
            raise ApiError(
                "DATABASE_QUERY_ERROR", "Database error while performing requested operation"
            ) from None
        return []
