"""Streams that bring pairs of records into related lists, instead of records into a module.

The server says "successful" to nearly everything, so each pair is looked for in the list of its
source before it is added, and again behind that. Adding twice does no harm: what was lost on the
way is simply added again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from kafinea.client import Client
from kafinea.describe import Module
from kafinea.dividing import divided
from kafinea.errors import IncompleteRead, OutcomeUnknown, Refused, SettingsError, Unavailable
from kafinea.load.context import LoadContext
from kafinea.load.loading import HEAVY, Done
from kafinea.load.matching import InputRecord, Policy, carefully
from kafinea.load.outcomes import Outcome, Rejection, Status, rejection_of, unforeseen
from kafinea.load.plan import Reference, check_names, reference_to
from kafinea.query import Condition, select
from kafinea.related import MOST_AT_A_TIME, RELATED, SOURCE, RelatedList, find_list, related_ids

_TRIES = 3


@dataclass(frozen=True)
class RelationPlan:
    """How the records of a stream go into a related list.

    Attributes:
        one: The list.
        modules: The module of each side, by `source_id` and `related_id`.
        properties: The property that holds each side.
        references: How to resolve natural keys, for the sides that have some.
    """

    one: RelatedList
    modules: Mapping[str, Module]
    properties: Mapping[str, str]
    references: Mapping[str, Reference]


def make_plan(
    stream: str,
    properties: Collection[str],
    settings: Mapping[str, Any],
    instance: LoadContext,
    known: RelatedList | None,
) -> RelationPlan | None:
    """Decide how a stream is loaded, if it goes into a related list.

    Args:
        stream: Its name.
        properties: Those of its records.
        settings: What `streams` says of it. `related` names the list.
        instance: The instance.
        known: The list that its records were read from, if its schema says so.

    Raises:
        SettingsError: There is no such list, or a property is missing.
    """
    where = f"Stream {stream!r}"
    source, label = _told(where, known, settings)
    if not label:
        return None
    module = instance.modules.find(source, where)
    try:
        one = find_list(instance.client, module.name, label)
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}") from None
    modules = {SOURCE: module, RELATED: instance.modules.find(one.related, where)}
    references = {
        name: _reference(f"{where}, reference {name!r}", said, modules.get(name), instance)
        for name, said in (settings.get("references") or {}).items()
    }
    return RelationPlan(one, modules, _properties(where, properties, settings), references)


def _told(where: str, known: RelatedList | None, settings: Mapping[str, Any]) -> tuple[str, str]:
    """Return the module and the list that a stream goes to; nothing if it goes to no list."""
    if not settings.get("related"):
        one = None if settings.get("module") else known
        return (one.module, one.label) if one else ("", "")
    if not settings.get("module"):
        raise SettingsError(f"{where}: tell in `module` whose related list it is.")
    if settings.get("match_on"):
        raise SettingsError(
            f"{where}: `match_on` is for records. Name the keys of both sides in `references`, "
            f"under {SOURCE} and {RELATED}."
        )
    return settings["module"], settings["related"]


def _reference(where: str, said: Any, module: Module | None, instance: LoadContext) -> Reference:
    if module is None:
        raise SettingsError(f"{where}: there is only {SOURCE} and {RELATED}.")
    told = {"module": module.name, **said} if isinstance(said, dict) else said
    return reference_to(where, told, (module.name,), instance.modules)


def _properties(
    where: str, properties: Collection[str], settings: Mapping[str, Any]
) -> dict[str, str]:
    """Return which property holds the source, and which the related record."""
    renamed = settings.get("fields") or {}
    check_names(where, renamed, properties)
    found: dict[str, str] = {}
    for name in properties:
        side = renamed.get(name, name)
        if not side or name.startswith("_sdc_"):
            continue
        if side not in {SOURCE, RELATED} or side in found:
            raise SettingsError(
                f"{where}: a related list takes one {SOURCE} and one {RELATED}, and not {name!r}. "
                "Name them in `streams`, under `fields`; null leaves a property out."
            )
        found[side] = name
    for side in (SOURCE, RELATED):
        if side not in found:
            raise SettingsError(
                f"{where} has no property {side!r}. Name it in `streams`, under `fields`."
            )
    return found


class RelationLoader:
    """Loads the records of one stream into a related list.

    Args:
        plan: How they go into it.
        instance: The instance.
        policy: What may be written.
        done: Takes note of each outcome.
    """

    def __init__(
        self, plan: RelationPlan, instance: LoadContext, policy: Policy, done: Done
    ) -> None:
        self._plan = plan
        self._instance = instance
        self._policy = policy
        self._done = done
        self._pretended: set[tuple[str, str]] = set()
        self._batch: list[InputRecord] = []
        self._weight = 0

    @property
    def size(self) -> int:
        """How many records wait for their outcome."""
        return len(self._batch)

    @property
    def is_heavy(self) -> bool:
        """Whether the records that wait take much memory."""
        return self._weight >= HEAVY

    def add(self, one: InputRecord) -> None:
        """Take a record into the batch."""
        self._prepare(one)
        self._batch.append(one)
        self._weight += one.size

    def take(self, *, everything: bool) -> list[InputRecord]:  # noqa: ARG002 as of `Loader`
        """Take what is to be loaded next out of the batch: all of it."""
        taken, self._batch, self._weight = self._batch, [], 0
        return taken

    def load(self, batch: Sequence[InputRecord]) -> Iterator[int]:
        """Bring every record to its outcome; yield how many more have theirs, again and again."""
        for side in self._plan.properties:
            carefully(partial(self._resolve, side), [one for one in batch if not one.rejection])
        for one in batch:
            if one.rejection:
                self._note(one, Outcome(Status.REJECTED, rejection=one.rejection))
                yield 1
        yield from self._settle([one for one in batch if not one.rejection])

    def _prepare(self, one: InputRecord) -> None:
        for side, name in self._plan.properties.items():
            value = one.record.get(name)
            if one.rejection:
                return
            if isinstance(value, (bool, float, list, dict)):
                one.rejection = Rejection("INVALID_VALUE", f"{side}: the value is no id or key")
            elif value in {None, ""}:
                one.rejection = Rejection("NO_KEY", f"there is no {side}")
            else:
                one.values[side] = str(value)

    def _resolve(self, side: str, batch: Sequence[InputRecord]) -> None:
        """Turn natural keys into ids, and see whether there are such records."""
        references, reference = self._instance.references, self._plan.references.get(side)
        if reference:
            told = {one.values[side] or "" for one in batch}
            references.learn(reference, told)
        for one in batch:
            try:
                if reference:
                    one.values[side] = references.resolve(reference, one.values[side] or "", side)
            except Rejection as rejection:
                one.rejection = rejection
        self._check_existence(side, [one for one in batch if not one.rejection])

    def _check_existence(self, side: str, batch: Sequence[InputRecord]) -> None:
        module = self._plan.modules[side]
        prefix = f"{module.id_prefix}x"
        own = {value for one in batch if (value := one.values[side] or "").startswith(prefix)}
        self._instance.learn_existing(module.name, own)
        for one in batch:
            value = one.values[side] or ""
            try:
                if value not in own or not self._instance.exists(module.name, value):
                    text = f"{side}: no {module.name} has this id"
                    one.rejection = Rejection("UNRESOLVED_REFERENCE", text)
            except Rejection as rejection:
                one.rejection = rejection

    def _settle(self, batch: Iterable[InputRecord]) -> Iterator[int]:
        """Settle the pairs of each source, many at a time, and several sources at a time."""
        wanted: dict[str, dict[str, list[InputRecord]]] = defaultdict(lambda: defaultdict(list))
        for one in batch:
            wanted[one.values[SOURCE] or ""][one.values[RELATED] or ""].append(one)
        parts = [
            (source, dict(list(pairs.items())[start : start + MOST_AT_A_TIME]))
            for source, pairs in wanted.items()
            for start in range(0, len(pairs), MOST_AT_A_TIME)
        ]
        workers = ThreadPoolExecutor(self._instance.client.max_sessions)
        try:
            for future in [workers.submit(self._settle_part, *part) for part in parts]:
                yield future.result()
        finally:
            workers.shutdown(cancel_futures=True)

    def _settle_part(self, source: str, wanted: Mapping[str, list[InputRecord]]) -> int:
        """Settle the pairs of one source, and return of how many records they are."""
        adding = [
            related for related, pairs in wanted.items() if not all(one.deleted for one in pairs)
        ]
        try:
            there, failed = self._there(source, list(wanted))
            missing = [one for one in adding if one not in there and one not in failed]
            failed |= self._add(source, missing)
        except (Refused, IncompleteRead) as error:
            code = error.code if isinstance(error, Refused) else "UNAVAILABLE"
            there, failed = set(), dict.fromkeys(wanted, Rejection(code, str(error)))
        except Unavailable as error:
            # A server that fails at this list and not at others must not stop at it for ever.
            if error.nothing_done:
                raise
            self._instance.client.listtypes()
            there, failed = set(), dict.fromkeys(wanted, Rejection("UNAVAILABLE", str(error)))
        except Exception as error:  # noqa: BLE001 see `unforeseen`
            there, failed = set(), dict.fromkeys(wanted, unforeseen(error, is_sent=True))
        for related, pairs in wanted.items():
            is_there = related in there
            for one in pairs:
                outcome = self._outcome(one, failed.get(related), is_there=is_there)
                is_there = is_there or outcome.kind is Status.CREATED
                self._note(one, outcome)
        return sum(map(len, wanted.values()))

    def _outcome(self, one: InputRecord, failed: Rejection | None, *, is_there: bool) -> Outcome:
        if failed:
            return Outcome(Status.REJECTED, rejection=failed)
        if one.deleted and is_there and self._policy.hard_delete:
            text = "the API cannot take a record out of a related list"
            return Outcome(Status.REJECTED, rejection=Rejection("NOT_WRITABLE", text))
        return Outcome(Status.UNCHANGED if is_there or one.deleted else Status.CREATED)

    def _there(self, source: str, related: Sequence[str]) -> tuple[set[str], dict[str, Rejection]]:
        """Return which of the records are in the list of a source, and at which the server fails.

        Raises:
            KafineaError: The server fails at the list itself.
        """
        pretended = {one for one in related if (source, one) in self._pretended}
        client = self._instance.client

        def read(part: Sequence[str], most_failures: int) -> set[str]:
            return self._read(client.giving_up_after(most_failures), source, part)

        try:
            answers, failures = divided(related, read, lambda: self._check_list(source))
        except Refused:
            if self._instance.is_pretended(source):
                return pretended, {}
            raise
        failed = {one: rejection_of(error) for one, error in failures.items()}
        return pretended.union(*(there for _, there in answers)), failed

    def _check_list(self, source: str) -> None:
        """Check that the server is there, and gives the list of a source at all."""
        client, module = self._instance.client, self._plan.modules[RELATED]
        client.listtypes()
        nothing = select(module.name, ["id"], where=[Condition("id", "=", f"{module.id_prefix}x0")])
        client.giving_up_after(1).query_related(source, self._plan.one.label, nothing)

    def _read(self, client: Client, source: str, related: Sequence[str]) -> set[str]:
        return set(related_ids(client, self._plan.one, source, related))

    def _add(self, source: str, missing: Sequence[str]) -> dict[str, Rejection]:
        """Add records to the list of a source; return those that are not in it, and why."""
        if not missing:
            return {}
        if self._instance.dry_run:
            self._pretended.update((source, one) for one in missing)
            return {}
        failed: dict[str, Rejection] = {}
        adding = missing
        # The look-up in the same session is answered when all that was sent has ended.
        with self._instance.writing() as session:
            for _ in range(_TRIES):
                failed |= {one: self._add_one(session, source, one) for one in adding}
                there = self._read(session, source, missing)
                failed = {one: why for one, why in failed.items() if one not in there}
                adding = [one for one, why in failed.items() if why.code == "UNKNOWN_OUTCOME"]
                if not adding:
                    break
        return failed

    def _add_one(self, session: Client, source: str, related: str) -> Rejection:
        """Add a record to the list of a source; return what it means if it is not in it."""
        label = self._plan.one.label
        try:
            session.add_related(source, label, related)
        except Refused as error:
            return Rejection(error.code, str(error))
        except OutcomeUnknown as error:
            return Rejection("UNKNOWN_OUTCOME", f"{error} It is not in {label!r} of {source}.")
        return Rejection(
            "NOT_RELATED",
            f"the server says that it was done, and {related} is not in {label!r} of {source}. "
            "What stands in a list because of a field is written with that field.",
        )

    def _note(self, one: InputRecord, outcome: Outcome) -> None:
        key = {side: one.record.get(name) for side, name in self._plan.properties.items()}
        shown = {side: value for side, value in key.items() if value is not None}
        self._done(one, shown, outcome)
