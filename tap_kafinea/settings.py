"""The settings of the tap. Its README table and `meltano.yml` are checked against them."""

from __future__ import annotations

from typing import Any

from singer_sdk import typing as th

from singer_kafinea.connection import HOW, TIMEZONE, WHERE

_RELATION = {
    "type": "object",
    "additionalProperties": False,
    "required": ["module", "related"],
    "properties": {"module": {"type": "string"}, "related": {"type": "string"}},
}
# Meltano takes a list only, or makes one of the letters of a text.
_RELATION_OR_ALL = {"anyOf": [_RELATION, {"enum": ["all"]}]}

SETTINGS: dict[str, Any] = th.PropertiesList(
    *WHERE,
    th.Property(
        "modules",
        th.ArrayType(th.StringType),
        description=(
            "Modules to extract, by name or pattern, such as Contacts or Project*; !Name or "
            "!Pattern leaves out; all that the user can read if empty"
        ),
    ),
    th.Property(
        "start_date",
        th.DateTimeType,
        description="On the first run of a module, only records modified since; without an "
        "offset, in `timezone`",
    ),
    th.Property(
        "end_date", th.DateTimeType, description="Only records modified before, for backfills"
    ),
    TIMEZONE,
    th.Property(
        "lookback_seconds",
        th.IntegerType(minimum=0, maximum=315_360_000),
        default=60,
        description="Seconds before the bookmark to read again, for records saved late; at "
        "most 10 years",
    ),
    th.Property(
        "page_size",
        th.IntegerType(minimum=1, maximum=1000),
        default=1000,
        description="Most records to ask for at a time; servers give 100 or 1,000 at most, "
        "which the tap finds by itself",
    ),
    th.Property(
        "line_items",
        th.StringType,
        allowed_values=["embed", "table", "off"],
        default="embed",
        description="`embed` gives quotes, orders and invoices their lines, in `LineItems`; "
        "`table` makes a stream of the lines of each module, such as `InvoiceLineItems`",
    ),
    th.Property(
        "relations",
        th.CustomType({"type": ["array", "string"], "items": _RELATION_OR_ALL, "pattern": "^all$"}),
        description='Related lists to extract, such as [{"module": "Campaigns", '
        '"related": "Contacts"}], or "all"',
    ),
    th.Property(
        "files",
        th.ObjectType(
            th.Property("enabled", th.BooleanType, default=False),
            th.Property("path", th.StringType, default="files"),
            th.Property("max_bytes", th.IntegerType(minimum=1)),
            additional_properties=False,
        ),
        description="`enabled` downloads the files of documents into `path`, a folder or an "
        "fsspec URL; those over `max_bytes` are left there",
    ),
    th.Property(
        "deletions",
        th.StringType,
        allowed_values=["off", "scan", "sync"],
        default="off",
        description="How to find deleted records: `scan` compares the ids with those of the "
        "last scan, `sync` asks the server's own undocumented operation",
    ),
    th.Property(
        "deletions_path",
        th.StringType,
        default="deletions",
        description="Folder or fsspec URL where `scan` keeps the ids",
    ),
    th.Property(
        "deletions_limit",
        th.NumberType(minimum=0, maximum=100),
        default=10,
        description="When `scan` misses more than this percentage of a module at once, and "
        "more than 20 records, it reports nothing and the run fails; 100 reports everything",
    ),
    th.Property(
        "dictionary",
        th.BooleanType,
        default=False,
        description="Extract what Kafinea says of its modules, fields and picklist values as "
        "well, in `Modules`, `Fields` and `PicklistValues`",
    ),
    *HOW,
).to_dict()
