"""What a load may write, and where it reads files from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from kafinea.errors import SettingsError
from kafinea.load.quiet_hours import QuietHours

UpdateMethod = Literal["auto", "full"]
UnknownPicklist = Literal["reject", "allow"]
_CHOICES: dict[str, tuple[Any, ...]] = {
    "update_method": get_args(UpdateMethod),
    "unknown_picklist": get_args(UnknownPicklist),
}


@dataclass(frozen=True)
class LoadOptions:
    """The options of a load, for all of its modules.

    Attributes:
        append_only: Leave records that are found as they are.
        update_method: `auto` sends only the changed fields where the server can `revise`; `full`
            always sends the whole record.
        create_missing: Create records that are not found; if not, they are rejected.
        hard_delete: Delete records that come as deleted; if not, they are left.
        unknown_picklist: `reject` or `allow` values that a picklist does not have.
        serial_modules: Modules whose records are written one at a time, because their document
            numbers must have neither duplicates nor gaps. No new record is deleted again there.
        files_path: The folder or URL below which the files of records are read; None for none.
        quiet_hours: The hours of the day, on the server's clock, in which nothing is written, such
            as `08:00-18:00`; None for none.
        undo_path: The file to note each write in, for `kafinea.load.undo`; None for none.
        dry_run: Validate, compare and report, but write nothing to Kafinea.
        plan_path: In a dry run, the file to write the plan to. Otherwise the approved plan: what is
            not in it is rejected. None for no plan.

    Raises:
        SettingsError: A value is not one of those above.
    """

    append_only: bool = False
    update_method: UpdateMethod = "auto"
    create_missing: bool = True
    hard_delete: bool = False
    unknown_picklist: UnknownPicklist = "reject"
    serial_modules: frozenset[str] = frozenset({"Invoice", "CreditNotes"})
    files_path: str | None = None
    quiet_hours: str | None = None
    undo_path: str | None = None
    dry_run: bool = False
    plan_path: str | None = None

    def __post_init__(self) -> None:
        for name in ("append_only", "create_missing", "hard_delete", "dry_run"):
            if not isinstance(getattr(self, name), bool):
                raise SettingsError(f"`{name}` must be True or False.")
        for name, values in _CHOICES.items():
            if getattr(self, name) not in values:
                raise SettingsError(f"`{name}` must be {' or '.join(map(repr, values))}.")
        if isinstance(self.serial_modules, str):
            raise SettingsError("`serial_modules` must be a set of names of modules.")
        if self.quiet_hours is not None:
            QuietHours.parse(self.quiet_hours)
