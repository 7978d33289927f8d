"""What all streams of a run share: the instance, and what was learned of it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from kafinea.client import Client
from kafinea.load.approval.approved_plan import ApprovedPlan
from kafinea.load.approval.notes import PlanNotes
from kafinea.load.approval.plan_writer import PlanWriter
from kafinea.load.approval.settings import deciding
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
from kafinea.load.relation_plan import RelationPlan
from kafinea.load.server.behavior import ServerBehavior
from kafinea.load.source_files import SourceFiles
from kafinea.load.writing.owners import Owners
from kafinea.load.writing.record_creator import RecordCreator
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
        creator: Creates records.
        rollback: Deletes what was just created and must not stay.
        simulated: What a dry run would have written; empty in a real run.
        source_files: The files that may be read.
        written_plan: The plan that a dry run writes, if it is to write one.
        approved_plan: The plan that the run applies, if it is to apply one.
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
    creator: RecordCreator
    rollback: Rollback
    simulated: SimulatedRecords
    source_files: SourceFiles
    written_plan: PlanWriter | None
    approved_plan: ApprovedPlan | None
    undo_file: UndoFile | None
    own_writes: OwnWrites
    pauses: Pauses

    @classmethod
    def of(
        cls,
        client: Client,
        zone: ServerZone,
        options: LoadOptions,
        streams: Mapping[str, Mapping[str, Any] | None] | None = None,
        *,
        finds_conflicts: bool = False,
    ) -> LoadContext:
        """Return the parts for an instance. Nothing is sent yet.

        Args:
            client: The instance.
            zone: The server's time zone.
            options: What may be written.
            streams: The settings of each stream, for which a plan holds.
            finds_conflicts: Whether a stream has the setting `conflict_on`.

        Raises:
            SettingsError: `files_path` or `undo_path` cannot be used, or the plan of `plan_path`
                cannot be applied.
            StorageError: `undo_path` or the plan cannot be written.
        """
        source_files, undo_file = SourceFiles(options.files_path), None
        written, approved = _plans(client, zone, options, streams or {})
        if options.undo_path and not options.dry_run:
            undo_file = UndoFile(options.undo_path)
            client = client.watched_by(undo_file)
        lookups = ThreadPoolExecutor(client.max_sessions)
        modules, server, simulated = Modules(client), ServerBehavior(client), SimulatedRecords()
        finder = Finder(client, modules, lookups.map, simulated)
        owners, existing = Owners(client, modules), ExistingRecords(finder)
        gate, creator = WriteGate(client, server), RecordCreator(server)
        rollback = Rollback(gate, server, options)
        referenced = ReferencedRecords(modules, finder, owners, existing, gate, creator, rollback)

        own_writes = OwnWrites(is_needed=finds_conflicts)
        hours = QuietHours.parse(options.quiet_hours) if options.quiet_hours else None
        pauses = Pauses(None if options.dry_run else hours, zone, client.wait)

        def simulate(key: Key, values: KeyValues) -> str:
            wanted = referenced.values(key, values)
            record_id = simulated.put(key.module, None, wanted)
            existing.note(record_id, exists=True)
            if written:
                written.note_reference(key, values, record_id, wanted)
            return record_id

        def create(key: Key, values: KeyValues) -> str:
            known = pauses.count
            if pauses.keep() != known and (found := finder.by_single_key(key, values)):
                return str(found["id"])
            if approved:
                approved.check_reference(key, values, referenced.values(key, values))
            record_id = referenced.create(key, values)
            own_writes.note(record_id)
            if approved:
                approved.note_reference(key, values, record_id)
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
            creator=creator,
            rollback=rollback,
            simulated=simulated,
            source_files=source_files,
            written_plan=written,
            approved_plan=approved,
            undo_file=undo_file,
            own_writes=own_writes,
            pauses=pauses,
        )

    def plan_notes(self, plan: LoadPlan | RelationPlan) -> PlanNotes | None:
        """Return what notes the results of a stream, where there is a plan."""
        if self.written_plan or self.approved_plan:
            return PlanNotes(plan, self.written_plan, self.approved_plan)
        return None

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

    def complete(self) -> None:
        """End what needs to know that the whole input was read.

        Raises:
            StorageError: The plan cannot be written.
            PlanNotReached: The input has not brought all that the plan contains.
        """
        if self.written_plan:
            self.written_plan.complete()
        if self.approved_plan:
            self.approved_plan.check_complete()

    def close(self) -> None:
        """Begin no more look-ups; do not wait for those that are under way."""
        self.lookups.shutdown(wait=False, cancel_futures=True)
        if self.undo_file:
            self.undo_file.close()
        for plan in (self.written_plan, self.approved_plan):
            if plan:
                plan.close()


def _plans(
    client: Client,
    zone: ServerZone,
    options: LoadOptions,
    streams: Mapping[str, Mapping[str, Any] | None],
) -> tuple[PlanWriter | None, ApprovedPlan | None]:
    """Return the plan that the run writes, and the one that it applies."""
    if options.plan_path is None:
        return None, None
    settings = deciding(options, zone.name, streams)
    if options.dry_run:
        return PlanWriter(options.plan_path, client, settings), None
    return None, ApprovedPlan(options.plan_path, client, settings)
