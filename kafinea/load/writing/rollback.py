"""Deleting records that this run has just created and that must not stay."""

from __future__ import annotations

from kafinea.describe import Module
from kafinea.errors import Unavailable
from kafinea.load.options import LoadOptions
from kafinea.load.plan import LoadPlan
from kafinea.load.results import Rejected
from kafinea.load.server.behavior import ServerBehavior
from kafinea.load.writing.record_writer import RecordWriter
from kafinea.load.writing.write_gate import WriteGate


class Rollback:
    """Deletes records that this run has just created.

    Args:
        gate: Gives sessions to write in.
        server: What is known of the server.
        options: Where nothing may be deleted.
    """

    def __init__(self, gate: WriteGate, server: ServerBehavior, options: LoadOptions) -> None:
        self._gate = gate
        self._server = server
        self._gapless = options.serial_modules

    def is_gapless(self, module: Module) -> bool:
        """Whether the numbers of a module must have no gaps, so that nothing is deleted there."""
        return module.name in self._gapless

    def delete(self, plan: LoadPlan, record_id: str) -> bool:
        """Delete a record; return whether it is gone.

        Args:
            plan: How it went into its module.
            record_id: Its id.
        """
        if self.is_gapless(plan.module) or plan.why_not("delete"):
            return False
        try:
            with self._gate.session() as session:
                RecordWriter(session, plan, self._server).delete(record_id)
        except (Rejected, Unavailable):
            return False
        return True
