"""Taking a load back, the newest write first.

Each record is looked at before it is written, and left alone where it no longer is as the load left
it. So an undo may be repeated, also after it was killed: what is taken back already is found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from types import TracebackType
from typing import Any

from typing_extensions import Self

from kafinea.client import Client
from kafinea.describe import Module
from kafinea.errors import IncompleteRead, KafineaError, Refused, SettingsError
from kafinea.load.context import LoadContext
from kafinea.load.options import LoadOptions
from kafinea.load.server.write_retries import WritesFail
from kafinea.load.undo.links import left_links
from kafinea.load.undo.notes import History, UndoNotes
from kafinea.load.undo.record_undo import RecordUndo
from kafinea.load.undo.undone import Action, Undone
from kafinea.load.writing.new_records import Candidates, Sought, find_new, may_have_made
from kafinea.load.writing.write_notes import Write
from kafinea.page_query import number
from kafinea.parsing import prefix_of
from kafinea.values import ServerZone

_AT_A_TIME = 100


class Undo:
    """Takes back what one load has written.

    Args:
        path: The undo file of the load.
        client: The instance. It is not closed.
        dry_run: Only look what there is to do.
        undo_path: The file to note the writes of the undo itself in; None for none.

    Attributes:
        total: How many records the load has written.

    Raises:
        SettingsError: It is no undo file, or one of another instance.
        StorageError: It cannot be read, or is in use.
    """

    def __init__(
        self, path: str, client: Client, *, dry_run: bool = False, undo_path: str | None = None
    ) -> None:
        self._notes = UndoNotes(path)
        options = LoadOptions(dry_run=dry_run, undo_path=undo_path)
        try:
            self._check_instance(path, client)
            self._context = LoadContext.of(client, ServerZone(), options)
        except BaseException:
            self._notes.close()
            raise
        self._records = RecordUndo(self._context, self._notes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the undo."""
        self._context.close()
        self._notes.close()

    @property
    def total(self) -> int:
        """How many records the load has written, as far as the file names them."""
        return len(self._notes.histories) + len(self._notes.unanswered)

    def __call__(self) -> Iterator[Undone]:
        """Take the load back, and yield what became of each record.

        Raises:
            KafineaError: The undo cannot go on. It may be repeated.
        """
        try:
            yield from self._undone()
        except WritesFail:
            raise KafineaError(
                "Writes to Kafinea failed repeatedly, so the undo stopped. Undo the same file "
                "again when Kafinea works: what is taken back already is found."
            ) from None

    def _undone(self) -> Iterator[Undone]:
        self._name_modules()
        yield from self._look_for_unanswered()
        histories = self._notes.histories
        self._records.prepare(histories)
        while histories:
            blocked: list[tuple[History, Undone]] = []
            for history, undone in self._all(histories):
                if undone.may_pass:
                    blocked.append((history, undone))
                else:
                    yield undone
            if len(blocked) == len(histories):  # nothing is gone that was in the way
                yield from (undone for _, undone in blocked)
                break
            histories = [history for history, _ in blocked]
        yield from left_links(
            self._context.client, self._context.modules, self._notes, self._records.gone
        )
        for write in self._notes.others:
            text = f"the API cannot take back {write.operation}"
            yield Undone(Action.CONFLICT, write.module, write.id, text=text)

    def _check_instance(self, path: str, client: Client) -> None:
        header = self._notes.header
        if header and header.url != client.url:
            raise SettingsError(
                f"{path} is the undo file of {header.url}. The connection leads to {client.url}. "
                "Set `url` (KAFINEA_URL) to the instance of the load."
            )

    def _all(self, histories: Sequence[History]) -> Iterator[tuple[History, Undone]]:
        """Take records back, several at a time as long as they are of one kind."""
        threads = ThreadPoolExecutor(self._context.client.max_sessions)
        try:
            for _, alike in groupby(histories, self._kind):
                some = list(alike)
                for start in range(0, len(some), _AT_A_TIME):
                    part = some[start : start + _AT_A_TIME]
                    self._records.look_for_referrers(part)
                    changes = [self._notes.changes(one) for one in part]
                    yield from zip(
                        part, threads.map(self._records.undo, part, changes), strict=True
                    )
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def _kind(self, history: History) -> Any:
        """What records have in common that are taken back at the same time."""
        if history.deleted and not history.created:
            return history.id  # others may refer to it, so it has to have its new id before
        return history.module, bool(history.created)

    def _name_modules(self) -> None:
        """Find out which modules records are of, where the file names none."""
        unnamed = [one for one in self._notes.histories if not one.module]
        if not unnamed:
            return
        modules = self._context.modules
        names = modules.prefixes(modules.names)
        for history in unnamed:
            history.module = names.get(prefix_of(history.id), "")

    def _updated_later(
        self, histories: Sequence[History], sought: Sought, module: Module
    ) -> Candidates:
        """Return the records that the load may have created without answer, found and updated.

        One that another user had written before the update is never certain: it may be theirs.
        """
        updated = [one for one in histories if one.module == module.name and not one.created]
        newer = [one for one in updated if number(one.id) > sought.above]
        before = [self._notes.changes(one)[0].write.before for one in newer]
        rows = {row["id"]: row for row in before if row}
        found = may_have_made(sought, rows.values(), module)
        user = self._notes.header.user if self._notes.header else ""
        if all(rows[one].get("modifiedby") == user for one in found.equal):
            return found
        return Candidates(near=found.equal)

    def _look_for_unanswered(self) -> Iterator[Undone]:
        """Find the records of creations without answer; yield where that is not certain."""
        by_module: Mapping[str, list[tuple[int, Write]]] = defaultdict(list)
        for place, write in self._notes.unanswered:
            by_module[write.module].append((place, write))
        histories = self._notes.histories
        known = {one.id for one in histories} | {*self._notes.recreated.values()}
        for name, writes in by_module.items():
            sought = [Sought(write.sent or {}, write.above or 0) for _, write in writes]
            try:
                module = self._context.modules.get(name)
                found = find_new(self._context.client, module, sought, known)
            except (Refused, IncompleteRead) as error:
                text = "the load did not get the answer to a creation, and it cannot be looked for"
                yield from (
                    Undone(Action.FAILED, name, "", text=f"{text}: {error}") for _ in writes
                )
                continue
            for (place, write), one, unknown in zip(writes, sought, found, strict=True):
                made = unknown if unknown.all else self._updated_later(histories, one, module)
                if made.certain:
                    self._notes.assign(write, made.certain, place, None)
                elif made.all:
                    text = (
                        "the load did not get the answer to a creation, and it is not certain that "
                        f"it has created {', '.join(made.all)}. Look at it in Kafinea"
                    )
                    yield Undone(Action.CONFLICT, name, "", text=text)
