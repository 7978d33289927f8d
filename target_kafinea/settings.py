"""The settings of the target. Its README table and `meltano.yml` are checked against them."""

from __future__ import annotations

from typing import Any

from singer_sdk import typing as th

from singer_kafinea.connection import HOW, TIMEZONE, WHERE

STREAM = {
    "type": "object",
    "properties": {
        "module": {"type": "string"},
        "related": {"type": "string"},
        "match_on": {
            "type": ["string", "array"],
            "items": {"type": ["string", "array"], "items": {"type": "string"}},
        },
        "fields": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
        "allow_changes": {"type": ["string", "array"], "items": {"type": "string"}},
        "accept_side_effects": {"type": "boolean"},
        "write": {"type": ["string", "object"]},
        "null": {"type": ["string", "object"]},
        "conflict_on": {"type": "string"},
        "mirror_where": {"type": "string"},
        "on_missing": {"type": "object"},
        # `kafinea.load.plan` and `target_kafinea.nested` say more clearly what is wrong in them.
        "references": {"type": "object"},
        "nested": {"type": "object"},
    },
}

SETTINGS: dict[str, Any] = th.PropertiesList(
    *WHERE,
    th.Property(
        "streams",
        th.CustomType({"type": "object", "additionalProperties": STREAM}),
        default={},
        title="Streams",
        description="Settings of each stream: `module`, `related`, `match_on`, `fields`, "
        "`references`, `nested`, `write`, `null`, `conflict_on`, `mirror_where`, `on_missing`, "
        "`allow_changes`, `accept_side_effects`. Such as "
        '`{"visitors": {"module": "Contacts", "match_on": "email"}}`',
    ),
    th.Property(
        "load_method",
        th.StringType,
        allowed_values=["upsert", "append-only", "mirror"],
        default="upsert",
        title="Load method",
        description="`upsert`: update the records that exist, create the others. `append-only`: "
        "only create, leave existing records as they are. `mirror`: as `upsert`, then delete the "
        "records that the input does not contain, of the part of the module in `mirror_where`",
    ),
    th.Property(
        "max_deletions",
        # Meltano cannot pass on a decimal from an environment variable.
        th.IntegerType(minimum=0, maximum=100),
        default=5,
        title="Maximum of deletions",
        description="Maximum percentage of the records in `mirror_where` that `mirror` deletes or "
        "marks in a run. Above it, it deletes none and the run fails. `100`: no limit",
    ),
    th.Property(
        "update_method",
        th.StringType,
        allowed_values=["auto", "full"],
        default="auto",
        title="Update method",
        description="`auto`: send only the changed fields, if the server has the operation "
        "`revise`. `full`: always send the whole record",
    ),
    th.Property(
        "create_missing",
        th.BooleanType,
        default=True,
        title="Create missing records",
        description="Create records that are not found. `false`: reject them",
    ),
    th.Property(
        "hard_delete",
        th.BooleanType,
        default=False,
        title="Delete records",
        description="Delete the records that the input marks as deleted by a value in "
        "`_sdc_deleted_at`. `false`: leave them in Kafinea",
    ),
    th.Property(
        "unknown_picklist",
        th.StringType,
        allowed_values=["reject", "allow"],
        default="reject",
        title="Unknown picklist values",
        description="What to do with a value that is not in its picklist: `reject` the record, "
        "or `allow` the value",
    ),
    th.Property(
        "serial_modules",
        th.ArrayType(th.StringType),
        default=["Invoice", "CreditNotes"],
        title="Serial modules",
        description="Modules whose records are written one at a time, to avoid duplicate "
        "document numbers. If a run creates duplicate records in them, they are reported, not "
        "deleted",
    ),
    th.Property(
        "files_path",
        th.StringType,
        title="Folder of the files",
        description="Folder or URL (s3://..., gs://..., az://...) that contains the files of "
        "`_file_path`, such as `contracts`. If not set, no file is read",
    ),
    th.Property(
        "max_rejects",
        th.IntegerType(minimum=-1),
        default=0,
        title="Maximum of rejects",
        description="Maximum number of rejected records. Above it the run fails. `-1`: no limit",
    ),
    th.Property(
        "max_rejects_percent",
        th.NumberType(minimum=0, maximum=100),
        default=0,
        title="Maximum percentage of rejects",
        description="Maximum percentage of rejected records, where it allows more than "
        "`max_rejects`",
    ),
    th.Property(
        "quiet_hours",
        th.StringType,
        title="Quiet hours",
        description="Hours of the day in `timezone` in which nothing is written, such as "
        "`08:00-18:00`. The run waits for their end",
    ),
    th.Property(
        "dry_run",
        th.BooleanType,
        default=False,
        title="Dry run",
        description="Validate, compare and report, but write nothing to Kafinea",
    ),
    th.Property(
        "outcomes_path",
        th.StringType,
        title="Load report",
        description="File to which the load report is appended: one line of JSON for each "
        "record, with its result. Such as `outcomes.jsonl`",
    ),
    th.Property(
        "outcomes_values",
        th.BooleanType,
        default=False,
        title="Values in the load report",
        description="Add the old and new values of changed fields to the load report",
    ),
    th.Property(
        "rejects_path",
        th.StringType,
        title="Rejects file",
        description="Rejects file (dead-letter file): the rejected records of the last run. "
        "Correct them and load the file again. Such as `rejects.jsonl`",
    ),
    th.Property(
        "plan_path",
        th.StringType,
        title="Plan",
        description="File of the plan. With `dry_run`, the plan is written to it: each record with "
        "the old and new values. Otherwise the run applies this plan, and rejects what is not in "
        "it. Such as `plan.jsonl`",
    ),
    th.Property(
        "undo_path",
        th.StringType,
        title="Undo file",
        description="File in which each write is noted before it is sent, so that "
        "`kafinea undo` can take the load back. An earlier file is renamed. Such as `undo.jsonl`",
    ),
    th.Property(
        "ids_path",
        th.StringType,
        title="Ids file",
        description="File that each complete run replaces: one line of JSON for each record, with "
        "its key, its Kafinea id and its result. Such as `ids.jsonl`",
    ),
    TIMEZONE,
    *HOW,
).to_dict()
