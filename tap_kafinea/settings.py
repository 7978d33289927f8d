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
        title="Modules",
        description="Modules to extract: names or patterns, such as `Contacts` or `Project*`. "
        "`!` before one excludes it. If empty: all modules that the user can read",
    ),
    th.Property(
        "start_date",
        th.DateTimeType,
        title="Start date",
        description="On the first run of a module, extract only records modified at or after "
        "this time, such as `2026-01-31`. A time without a UTC offset is in `timezone`",
    ),
    th.Property(
        "end_date",
        th.DateTimeType,
        title="End date",
        description="Extract only records modified before this time, for backfills, such as "
        "`2026-02-01`",
    ),
    TIMEZONE,
    th.Property(
        "lookback_seconds",
        th.IntegerType(minimum=0, maximum=315_360_000),
        default=60,
        title="Lookback",
        description="Number of seconds before the bookmark to read again, for records that were "
        "saved late. Maximum: 10 years",
    ),
    th.Property(
        "page_size",
        th.IntegerType(minimum=1, maximum=1000),
        default=1000,
        title="Page size",
        description="Maximum number of records in a request. Servers return at most 100 or "
        "1,000; the tap detects the limit",
    ),
    th.Property(
        "line_items",
        th.StringType,
        allowed_values=["embed", "table", "off"],
        default="embed",
        title="Lines of documents",
        description="Lines of quotes, orders and invoices. `embed`: a list in each record, "
        "`LineItems`. `table`: a stream for each module, such as `InvoiceLineItems`. `off`: none",
    ),
    th.Property(
        "relations",
        th.CustomType({"type": ["array", "string"], "items": _RELATION_OR_ALL, "pattern": "^all$"}),
        title="Related lists",
        description='Related lists to extract, such as `[{"module": "Campaigns", '
        '"related": "Contacts"}]`, or `["all"]`',
    ),
    th.Property(
        "files",
        th.ObjectType(
            th.Property(
                "enabled",
                th.BooleanType,
                default=False,
                description="Download the files of documents",
            ),
            th.Property(
                "path",
                th.StringType,
                default="files",
                description="Folder or URL where the files are stored",
            ),
            th.Property(
                "max_bytes",
                th.IntegerType(minimum=1),
                description="Maximum number of bytes of a file. If not set: 2 GiB",
            ),
            additional_properties=False,
        ),
        title="Files of documents",
        description="`enabled`: download the files of documents. `path`: the folder or URL "
        "(s3://..., gs://..., az://...) where they are stored. `max_bytes`: files larger than "
        'this are not downloaded. Such as `{"enabled": true, "path": "s3://kafinea/files"}`',
    ),
    th.Property(
        "deletions",
        th.StringType,
        allowed_values=["off", "scan", "sync"],
        default="off",
        title="Deleted records",
        description="How to find deleted records. `scan`: compare the ids with those of the last "
        "scan. `sync`: use an undocumented operation of the server",
    ),
    th.Property(
        "deletions_path",
        th.StringType,
        default="deletions",
        title="Folder of the ids",
        description="Folder or URL (s3://..., gs://..., az://...) where `scan` stores the ids",
    ),
    th.Property(
        "deletions_limit",
        th.NumberType(minimum=0, maximum=100),
        default=10,
        title="Limit of deletions",
        description="Maximum percentage of a module's records that `scan` reports as deleted at "
        "once. Above it, and above 20 records, it reports none and the run fails. `100`: no limit",
    ),
    th.Property(
        "dictionary",
        th.BooleanType,
        default=False,
        title="Data dictionary",
        description="Extract the data dictionary too: the streams `Modules`, `Fields` and "
        "`PicklistValues`",
    ),
    *HOW,
).to_dict()
