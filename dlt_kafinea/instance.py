"""What the resources of a source share: the settings, and in one extraction the connection."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any, Protocol

import dlt
from dlt.common.configuration.container import Container
from dlt.common.destination.capabilities import DestinationCapabilitiesContext
from dlt.common.pipeline import PipelineContext
from dlt.common.storages.load_package import LoadPackageStateInjectableContext
from dlt.extract.exceptions import CurrentSourceNotAvailable

from dlt_kafinea.arrow import Storage
from dlt_kafinea.deletions import Deletions
from dlt_kafinea.settings import Settings
from kafinea import Client
from kafinea.errors import KafineaError
from kafinea.extract.batch import Run
from kafinea.extract.checkpoint import Checkpoint
from kafinea.extract.clock import Clock
from kafinea.extract.discovery import Modules
from kafinea.extract.prefetch import Prefetch

CHECKPOINT = "checkpoint"
"""Key of a resource's state: where its reading stands."""

_WITHOUT_NUL = {"postgres", "redshift"}


class Member(Protocol):
    """A resource, as the others of its source see it."""

    name: str
    is_incremental: bool

    def start(self, shared: Shared, state: Mapping[str, Any]) -> Run:
        """Return a run from what the state of the resource keeps."""


class Instance:
    """A Kafinea instance with its settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.options = settings.options
        self.members: dict[str, Member] = {}
        self._shared: Shared | None = None

    def connect(self) -> Client:
        """Return a client, which logs out when it is closed."""
        settings = self.settings
        return Client(
            settings.url,
            settings.username,
            settings.access_key,
            max_sessions=settings.max_sessions,
            request_timeout=settings.request_timeout,
            allow_http=settings.allow_http,
        )

    def modules(self, client: Client) -> Modules:
        """Return the modules, as far as the settings take them."""
        return Modules(client, self.settings.username, self.settings.modules)

    def join(self, name: str) -> Shared:
        """Return what a resource shares with those that are extracted together with it."""
        load_id = _load_id()
        if self._shared is None or self._shared.load_id != load_id or not self._shared.awaits(name):
            if self._shared:
                self._shared.close()
            self._shared = Shared(self, self._together_with(name), load_id)
        return self._shared

    def _together_with(self, name: str) -> dict[str, Member]:
        """Return the resources of the current extraction; only this one if there is no pipeline."""
        source = current_source()
        selected = source.selected_resources if source else [name]
        return {name: self.members[name] for name in selected if name in self.members}


class Shared:
    """The connection of one extraction. It logs out when the last resource has left.

    Args:
        instance: The instance.
        members: The resources that are extracted.
        load_id: dlt's name for the extraction.

    Attributes:
        client: The connection.
        modules: The modules of the instance.
        clock: The server's time zone.
        deletions: Finds deleted records, if the settings require that.
        storage: What the destination can store.
        runs: The run of each resource.
        prefetch: Sends the first requests of all of them.
    """

    def __init__(
        self, instance: Instance, members: Mapping[str, Member], load_id: str | None
    ) -> None:
        self.load_id = load_id
        self.options = instance.options
        self._waiting = set(members)
        self._cleanup = ExitStack()
        self.client = self._cleanup.enter_context(instance.connect())
        self.modules = instance.modules(self.client)
        self.clock = Clock(
            instance.settings.timezone,
            self.client.server_time,
            full_refresh='run the pipeline once with refresh="drop_sources"',
        )
        self.storage = _storage()
        states = {name: dlt.current.resource_state(name) for name in members}
        self.deletions = Deletions(instance.settings, self.client, self.clock, states)
        self.clock.begin(
            {name: checkpoint_in(states[name]) for name, it in members.items() if it.is_incremental}
        )
        self.runs: dict[str, Run] = {}
        for name, member in members.items():
            # What fails here alone fails again when it is the resource's turn.
            with suppress(KafineaError):
                self.runs[name] = member.start(self, states[name])
        prepare = {name: run.prepare for name, run in self.runs.items()}
        self.prefetch = Prefetch(prepare, self.client.max_sessions)
        self._cleanup.callback(self.prefetch.close)

    def awaits(self, name: str) -> bool:
        """Whether a resource has not begun yet."""
        return name in self._waiting

    def leave(self, name: str) -> None:
        """Take note that a resource has ended."""
        self._waiting.discard(name)
        if not self._waiting:
            self.close()

    def close(self) -> None:
        """Log out."""
        self._cleanup.close()


def checkpoint_in(state: Mapping[str, Any]) -> Checkpoint:
    """Return where the reading of a resource stands.

    Raises:
        StateError: Its state was changed by hand.
    """
    return Checkpoint.from_dict(state.get(CHECKPOINT) or {})


def current_source() -> Any | None:
    """Return the source that dlt extracts; None where a resource is read without a pipeline."""
    try:
        return dlt.current.source()
    except CurrentSourceNotAvailable:
        return None


def _storage() -> Storage:
    container = Container()
    if DestinationCapabilitiesContext not in container:  # read without a pipeline
        return Storage()
    capabilities = container[DestinationCapabilitiesContext]
    kind = container[PipelineContext].pipeline().destination.destination_type.rpartition(".")[2]
    return Storage(has_lists=capabilities.supports_nested_types, has_nul=kind not in _WITHOUT_NUL)


def _load_id() -> str | None:
    container = Container()
    if LoadPackageStateInjectableContext not in container:
        return None
    load_id: str = container[LoadPackageStateInjectableContext].load_id
    return load_id
