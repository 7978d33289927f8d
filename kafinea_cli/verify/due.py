"""Which records the warehouse must have, and which it cannot have yet.

A record that was changed after the last run is not wrong in the warehouse. What shows that:

- The state of the tap, if it is given: the bookmark of the module. All records up to it were
  extracted, except that the next run reads the last `lookback_seconds` before it again, as long as
  the module is not up to date.
- Else the newest `modifiedtime` in the table, or in all tables if that one has no rows. A pass of
  the tap reads all records up to the newest one, so what is older must be there. What is as old, or
  newer, may have been saved after the pass. This cannot show whether the newest rows of a table are
  lost: a table restored from a backup looks like one that was loaded last at that time.
  If no table has rows, all records are missing.
- For records without a `modifiedtime`, the greatest id in the table: later records have greater
  ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from kafinea.extract.checkpoint import Checkpoint
from kafinea.extract.options import Options
from kafinea.parsing import moment
from kafinea.values import ServerZone
from kafinea_cli.verify.warehouse import Kind, Table, Warehouse, microseconds

_ALL = 2**63 - 1
"""Later than each time, and greater than each number of an id: what has no rows lacks all."""


@dataclass(frozen=True)
class Due:
    """Which records of a module the warehouse must have.

    Attributes:
        before: Those that were last changed before this, in microseconds since 1970; None if none.
        up_to: Of those without a `modifiedtime`, the ones up to this number.
        since: Only those changed at or after this, in microseconds since 1970.
    """

    before: int | None
    up_to: int
    since: int | None = None

    def has(self, number: int, modified: int | None) -> bool:
        """Whether the warehouse must have this version of a record.

        Args:
            number: The number in its id.
            modified: Its `modifiedtime`, in microseconds since 1970; None if it has none.
        """
        if modified is None:
            return number <= self.up_to
        return self.before is not None and modified < self.before

    def ever_has(self, modified: int | None) -> bool:
        """Whether the settings let the tap extract a record at all."""
        return self.since is None or modified is None or modified >= self.since

    @property
    def until(self) -> datetime | None:
        """The moment before which the warehouse must have all changes."""
        if self.before in {None, _ALL}:
            return None
        return datetime.fromtimestamp(self.before // 1_000_000, timezone.utc)


def due_of_tables(
    warehouse: Warehouse, tables: Mapping[str, Table], zone: ServerZone, options: Options
) -> dict[str, Due]:
    """Return what each table must have, by the newest rows."""
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    since = microseconds(zone.moment(options.start)) if options.start else None
    found = {}
    for module, table in tables.items():
        newest, number = warehouse.newest(table, tomorrow)
        found[module] = Due(_moment(newest, table, zone), _ALL if number is None else number, since)
    newest_of_all = max((due.before for due in found.values() if due.before), default=_ALL)
    return {
        module: replace(due, before=newest_of_all) if due.before is None else due
        for module, due in found.items()
    }


def _moment(stored: int | str | None, table: Table, zone: ServerZone) -> int | None:
    """Return a `modifiedtime` that is stored as microseconds since 1970.

    Where it has no zone, it is in UTC or on the server's clock. The earlier one is returned.
    """
    if stored is None or table.modified is None:
        return None
    if isinstance(stored, str):
        try:
            at = moment(stored)
        except ValueError:
            return None
        if at.tzinfo:
            return microseconds(at)
        stored = microseconds(at.replace(tzinfo=timezone.utc))
    if table.modified.kind is Kind.INSTANT:
        return stored
    naive = datetime.fromtimestamp(stored // 1_000_000, timezone.utc).replace(tzinfo=None)
    return min(stored, microseconds(zone.moment(naive)))


def with_state(
    due: Mapping[str, Due], state: Mapping[str, Any], url: str, zone: ServerZone, options: Options
) -> dict[str, Due]:
    """Return what each table must have, by the state of the tap where it has a bookmark.

    Args:
        due: What they must have by their newest rows.
        state: The state.
        url: The instance.
        zone: The server's time zone.
        options: How the tap extracts.

    Raises:
        StateError: The state is that of another instance.
    """
    bookmarks = state.get("bookmarks", {})
    checkpoints = {
        module: Checkpoint.from_dict(bookmarks.get(module, {})).of_instance(url) for module in due
    }
    return {
        module: _with_checkpoint(one, checkpoints[module], zone, options)
        for module, one in due.items()
    }


def _with_checkpoint(due: Due, checkpoint: Checkpoint, zone: ServerZone, options: Options) -> Due:
    if checkpoint.bookmark is None:
        # The first pass is under way; or the module is read in full, or not in this state.
        return replace(due, before=None) if checkpoint.current else due
    wire = checkpoint.wire or zone.wire(moment(checkpoint.bookmark))
    if checkpoint.is_up_to_date:
        return replace(due, before=microseconds(zone.aware(wire)) + 1)
    return replace(due, before=microseconds(zone.aware(zone.earlier(wire, options.lookback))))
