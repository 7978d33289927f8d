"""What all streams of a run share: the instance, and what was learned of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from kafinea.client import Client
from kafinea.load.lookup.existing import ExistingRecords
from kafinea.load.lookup.finder import Finder
from kafinea.load.lookup.keys import KeyValues
from kafinea.load.lookup.references import References
from kafinea.load.lookup.simulated_records import SimulatedRecords
from kafinea.load.modules import Modules
from kafinea.load.options import LoadOptions
from kafinea.load.own_writes import OwnWrites
from kafinea.load.plan import Key, LoadPlan
from kafinea.load.quiet_hours import Pauses, QuietHours
from kafinea.load.server.behavior import ServerBehavior
from kafinea.load.source_files import SourceFiles
from kafinea.load.writing.owners import Owners
from kafinea.load.writing.referenced import ReferencedRecords
from kafinea.load.writing.rollback import Rollback
from kafinea.load.writing.undo_file import UndoFile
from kafinea.load.writing.write_gate import WriteGate
from kafinea.values import ServerZone


@dataclass(frozen=True)
class LoadContext:
    """The parts that the streams of a run share. Threads share them, too.

    Attributes:
        client: The instance.
        zone: The server's time zone.
        options: What may be written.
        lookups: Runs several look-ups at a time.
        modules: The modules of the instance.
        finder: Looks records up.
        server: What is known of how the server writes.
        owners: Who may own records.
        existing: Which records exist that others refer to.
        references: Natural keys to ids.
        gate: Gives sessions to write in.
        rollback: Deletes what was just created and must not stay.
        simulated: What a dry run would have written; empty in a real run.
        source_files: The files that may be read.
        undo_file: Notes what is written; None if nothing is to be noted.
        own_writes: What this run has written, for the streams that look for conflicts.
        pauses: Holds the writes in quiet hours.
    """

    client: Client
    zone: ServerZone
    options: LoadOptions
    lookups: ThreadPoolExecutor
    modules: Modules
    finder: Finder
    server: ServerBehavior
    owners: Owners
    existing: ExistingRecords
    references: References
    gate: WriteGate
    rollback: Rollback
    simulated: SimulatedRecords
    source_files: SourceFiles
    undo_file: UndoFile | None
    own_writes: OwnWrites
    pauses: Pauses

    @classmethod
    def of(
        cls,
        client: Client,
        zone: ServerZone,
        options: LoadOptions,
        *,
        finds_conflicts: bool = False,
    ) -> LoadContext:
        """Return the parts for an instance. Nothing is sent yet.

        Args:
            client: The instance.
            zone: The server's time zone.
            options: What may be written.
            finds_conflicts: Whether a stream has the setting `conflict_on`.

        Raises:
            SettingsError: `files_path` or `undo_path` cannot be used.
            StorageError: `undo_path` cannot be written.
        """
        source_files, undo_file = SourceFiles(options.files_path), None
        if options.undo_path and not options.dry_run:
            undo_file = UndoFile(options.undo_path)
            client = client.watched_by(undo_file)
        lookups = ThreadPoolExecutor(client.max_sessions)
        modules, server, simulated = Modules(client), ServerBehavior(client), SimulatedRecords()
        finder = Finder(client, modules, lookups.map, simulated)
        owners, existing = Owners(client, modules), ExistingRecords(finder)
        gate = WriteGate(client, server)
        rollback = Rollback(gate, server, options)
        referenced = ReferencedRecords(modules, finder, owners, existing, gate, server, rollback)

        own_writes = OwnWrites(is_needed=finds_conflicts)
        hours = QuietHours.parse(options.quiet_hours) if options.quiet_hours else None
        pauses = Pauses(None if options.dry_run else hours, zone, client.wait)

        def create(key: Key, values: KeyValues) -> str:
            known = pauses.count
            if pauses.keep() != known and (found := finder.by_single_key(key, values)):
                return str(found["id"])
            record_id = referenced.create(key, values)
            own_writes.note(record_id)
            return record_id

        def simulate(key: Key, values: KeyValues) -> str:
            record_id = simulated.put(key.module, None, referenced.values(key, values))
            existing.note(record_id, exists=True)
            return record_id

        return cls(
            client=client,
            zone=zone,
            options=options,
            lookups=lookups,
            modules=modules,
            finder=finder,
            server=server,
            owners=owners,
            existing=existing,
            references=References(finder, simulate if options.dry_run else create),
            gate=gate,
            rollback=rollback,
            simulated=simulated,
            source_files=source_files,
            undo_file=undo_file,
            own_writes=own_writes,
            pauses=pauses,
        )

    def forget(self, record_id: str, *, is_deleted: bool) -> None:
        """Forget what was known of a record that was changed or deleted."""
        self.references.forget(record_id)
        if is_deleted:
            self.existing.note(record_id, exists=False)

    def roll_back(self, plan: LoadPlan, record_id: str) -> bool:
        """Delete a record that this run has just created; return whether it is gone."""
        is_gone = self.rollback.delete(plan, record_id)
        if is_gone:
            self.forget(record_id, is_deleted=True)
        return is_gone

    def close(self) -> None:
        """Begin no more look-ups; do not wait for those that are under way."""
        self.lookups.shutdown(wait=False, cancel_futures=True)
        if self.undo_file:
            self.undo_file.close()
