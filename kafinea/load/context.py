"""The Kafinea instance as all streams of a run share it: what was learned once is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from itertools import count
from threading import Condition, Lock
from typing import Any

from kafinea.client import Client
from kafinea.describe import Module
from kafinea.errors import Code, KafineaError, Refused, Unavailable
from kafinea.load import checks
from kafinea.load.keys import KeyValues
from kafinea.load.lookup import Finder
from kafinea.load.outcomes import Rejection
from kafinea.load.plan import Key, LoadPlan, Modules
from kafinea.load.references import References
from kafinea.load.server import Server
from kafinea.load.writer import Writer
from kafinea.page_query import number
from kafinea.values import ServerZone

_FIRST_PRETENDED = 10**9
"""The number of the first record that a dry run pretends to create; real ones stay far below."""


class Stopped(KafineaError):
    """The run is to stop: a write was not begun."""


class LoadContext:
    """One instance during one run.

    Args:
        client: The instance.
        zone: The server's time zone.
        lookups: Runs several look-ups at a time.
        dry_run: Write nothing.
        gapless: Modules whose numbers must have no gaps; nothing is deleted there but on demand.
    """

    def __init__(
        self,
        client: Client,
        zone: ServerZone,
        lookups: ThreadPoolExecutor,
        *,
        dry_run: bool,
        gapless: frozenset[str],
    ) -> None:
        self.client = client
        self.zone = zone
        self.dry_run = dry_run
        self._gapless = gapless
        self.modules = Modules(client)
        self.lookups = lookups
        self.finder = Finder(client, self.modules, lookups.map)
        self.server = Server(client)
        self.references = References(self.finder, self._create_referenced)
        self._existing: dict[str, bool | Rejection] = {}
        self._pretended_ids: set[str] = set()
        self._unused = count(_FIRST_PRETENDED)
        self._stopping = False
        self._in_flight = 0
        self._writes = Condition()
        self._learning = Lock()

    @cached_property
    def user_id(self) -> str:
        """The id of the user that the target works as."""
        return self.client.user_id()

    @property
    def owners(self) -> frozenset[str] | None:
        """The ids of all users and groups; None when this user may not read them."""
        with self._learning:  # by one thread for all
            return self._owners

    @cached_property
    def _owners(self) -> frozenset[str] | None:
        try:
            users = {row["id"] for row in self.client.records("Users", ["user_name"])}
            groups = {row["id"] for row in self.client.records("Groups", ["groupname"])}
        except Refused:
            return None
        return frozenset(users | groups)

    @cached_property
    def owner_prefixes(self) -> frozenset[str]:
        """The id prefixes of users and groups."""
        prefixes = self.modules.prefixes(["Users", "Groups"])
        return frozenset({*prefixes, self.user_id.partition("x")[0]})

    @contextmanager
    def writing(self) -> Iterator[Client]:
        """Yield a session to write in; none any more once the run is to stop.

        Raises:
            Stopped: It is.
        """
        self.server.formats  # noqa: B018 asked for once, before the first write
        with self.client.one_session() as session:
            if self._stopping:
                raise Stopped
            with self._writes:
                self._in_flight += 1
            try:
                yield session
            finally:
                with self._writes:
                    self._in_flight -= 1
                    self._writes.notify_all()

    def stop(self, patience: float) -> None:
        """Begin no more writes, and wait so many seconds for those that are under way."""
        self._stopping = True
        with self._writes:
            self._writes.wait_for(lambda: not self._in_flight, patience)

    def learn_existing(self, module: str, ids: Iterable[str]) -> None:
        """Find out which records exist, for `exists`."""
        unknown = {one for one in ids if not isinstance(self._existing.get(one), bool)}
        found = self.finder.by_id(module, unknown)
        self._existing |= {one: each.failure or bool(each.record) for one, each in found.items()}

    def exists(self, module: str, record_id: str) -> bool:
        """Whether a record of a module exists.

        Raises:
            Rejection: The server fails at this record.
        """
        if record_id not in self._existing:
            self.learn_existing(module, [record_id])
        exists = self._existing[record_id]
        if isinstance(exists, Rejection):
            raise exists
        return exists

    def pretend(
        self,
        module: Module,
        record_id: str | None,
        record: dict[str, Any] | None,
        lines: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """In a dry run, let what follows find a record as it would have been written."""
        if record_id is None:
            record_id = f"{module.id_prefix}x{next(self._unused)}"
        self._pretended_ids.add(record_id)
        self._existing[record_id] = record is not None
        self.finder.pretend(module.name, record_id, record and {**record, "id": record_id}, lines)

    def is_pretended(self, record_id: str) -> bool:
        """Whether a record is only pretended to be as it is found."""
        return record_id in self._pretended_ids

    def forget(self, record_id: str, *, deleted: bool) -> None:
        """Forget what was known of a record that was changed or deleted."""
        self.references.forget(record_id)
        if deleted:
            self._existing[record_id] = False

    def with_owner(self, values: dict[str, Any], key: Key) -> dict[str, Any]:
        """Return the values of a new record; without an owner it belongs to the API's user."""
        if "assigned_user_id" not in key.module.fields or values.get("assigned_user_id"):
            return values
        return {**values, "assigned_user_id": self.user_id}

    def _create_referenced(self, key: Key, values: KeyValues) -> str:
        """Create a record that another refers to, from its natural key alone."""
        wanted = self.with_owner(dict(zip(key.fields, values, strict=True)), key)
        checks.check_mandatory(key.module, wanted, complete=True)
        if self.dry_run:
            self.pretend(key.module, None, wanted)
            pretended = self.finder.one(key, values)
            return pretended["id"] if pretended else ""
        with self.writing() as session:
            finder = Finder(session, self.modules)
            plan = LoadPlan("", key.module, match_on=key.fields)
            writer = Writer(session, plan, self.server)
            try:
                outcome = writer.create(wanted, None, lambda: finder.one(key, values))
            except Rejection as rejection:
                # Another load may have created it since, where the server takes a value only once.
                found = finder.one(key, values) if rejection.code == Code.DUPLICATE else None
                if found is None:
                    raise
                return str(found["id"])
        made = outcome.id or ""
        if not {*outcome.altered}.isdisjoint(key.fields):
            is_gone = self.undo(plan, made)
            end = "; it was deleted again" if is_gone else f" as {made}"
            text = f"{key.fields[0]}: {key.module.name} was created with another key{end}"
            raise Rejection("KEY_ALTERED", text)
        made = self._first_created(plan, key, values, made)
        self._existing[made] = True
        return made

    def _first_created(self, plan: LoadPlan, key: Key, values: KeyValues, made: str) -> str:
        """Return the id of the first record that has a key, which another load may have created."""
        ids = [row["id"] for row in self.finder.by_key(key, {values})[values].equal]
        first: str = min([made, *ids], key=number)
        if first == made or self.undo(plan, made):
            return first
        text = f"{key.fields[0]}: another load created the same {key.module.name} at the same "
        raise Rejection("CREATED_TWICE", f"{text}moment: {first}, {made}")

    def is_gapless(self, module: Module) -> bool:
        """Whether the numbers of a module must have no gaps."""
        return module.name in self._gapless

    def undo(self, plan: LoadPlan, record_id: str) -> bool:
        """Delete a record that this run has just created; return whether it is gone.

        Args:
            plan: How it went into its module.
            record_id: Its id.
        """
        if self.is_gapless(plan.module) or plan.why_not("delete"):
            return False
        try:
            with self.writing() as session:
                Writer(session, plan, self.server).delete(record_id)
        except (Rejection, Unavailable):
            return False
        self.forget(record_id, deleted=True)
        return True
