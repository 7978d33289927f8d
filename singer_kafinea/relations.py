"""The stream of a related list: what the tap writes, and the target reads, in its schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kafinea.related import RELATED, SOURCE, RelatedList


def schema_of(related_list: RelatedList) -> dict[str, Any]:
    """Return the JSON Schema of the stream of a list. Its titles name the list."""
    return {
        "type": "object",
        "title": f"{related_list.module}: {related_list.label}",
        "properties": {
            SOURCE: {
                "type": "string",
                "title": related_list.module,
                "description": f"id of the record of {related_list.module} that has the list",
            },
            RELATED: {
                "type": "string",
                "title": related_list.related,
                "description": f"id of a record of {related_list.related} that is in the list",
            },
        },
        "required": [SOURCE, RELATED],
    }


def list_of(schema: Mapping[str, Any]) -> RelatedList | None:
    """Return which list the stream with this schema is of, if it is one of the tap's."""
    properties = schema["properties"]
    if not {SOURCE, RELATED} <= properties.keys():
        return None
    module, _, label = str(schema.get("title", "")).partition(": ")
    related = properties[RELATED].get("title")
    return RelatedList(module, label, related) if module and label and related else None
