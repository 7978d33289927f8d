"""A sandbox as a context manager: uvicorn in a thread, on the loopback interface."""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
from typing_extensions import Self

from kafinea_sandbox import loading
from kafinea_sandbox.company import company as demo
from kafinea_sandbox.control import Control
from kafinea_sandbox.gate import Gate
from kafinea_sandbox.instance import Instance, Options
from kafinea_sandbox.server import Server
from kafinea_sandbox.spec import File, Relation, Row
from kafinea_sandbox.store import Store

Items = Iterable["Row | File | Relation"]
_FILE = "kafinea.sqlite"


class Sandbox(Control):
    """A local Kafinea, from `with` until the end of its block.

    Args:
        dialect: kafinea, stock, frevo, corebos or legacy.
        rows: The size of the demo company, roughly its number of contacts.
        seed: Another seed, another company.
        latency_ms: Added to every request.
        data: A directory in which the database stays; `:memory:` forgets it at the end.
        port: 0: any that is free.
        company: Instead of the demo company, these records.
        options: The other fields of `Options`.
    """

    def __init__(
        self,
        dialect: str = "kafinea",
        rows: int = 5000,
        seed: int = 1,
        latency_ms: float = 0,
        data: str | Path = ":memory:",
        *,
        port: int = 0,
        company: Items | None = None,
        **options: Any,
    ) -> None:
        self._socket = socket.create_server(("127.0.0.1", port))
        self._temporary = TemporaryDirectory(prefix="kafinea-") if data == ":memory:" else None
        directory = Path(self._temporary.name if self._temporary else data)
        self._store = _database(directory / _FILE, rows, seed, company)
        options |= {"dialect": dialect, "latency_ms": latency_ms}
        super().__init__(Instance(self._store, Options(**options)))
        self._gate = Gate(self._socket.getsockname()[1])
        self._app = Server(self, self._gate)
        config = uvicorn.Config(
            self._app,
            lifespan="off",
            ws="none",
            log_level="critical",
            access_log=False,
            proxy_headers=False,  # it would hide the connection from `misfortune.cut`
            server_header=False,
            date_header=False,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )

    @property
    def url(self) -> str:
        """The base address; the endpoint is `/webservice.php` under it, or under any path."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    @property
    def control_token(self) -> str:
        """What a request to `/_control` sends: `Authorization: Bearer <token>`."""
        return self._gate.token

    @property
    def username(self) -> str:
        """The administrator's name. There is also `joe`, who is none."""
        return "admin"

    @property
    def access_key(self) -> str:
        """The administrator's access key."""
        return self.access_key_of(self.username)

    def access_key_of(self, name: str) -> str:
        """A user's access key."""
        user = self.instance.user_named(name)
        if user is None:
            raise KeyError(name)
        return user.access_key

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("The sandbox could not be started")
            time.sleep(0.001)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()
        self._thread.join()
        self._socket.close()
        self._app.workers.shutdown()
        self._store.close()
        if self._temporary:
            self._temporary.cleanup()


class _Server(uvicorn.Server):
    """Stops at once: uvicorn waits for visitors to leave, a tenth of a second at a time."""

    def stop(self) -> None:
        """End the server, from another thread."""
        self._loop.call_soon_threadsafe(self._ended.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        await super().startup(sockets)

    async def main_loop(self) -> None:
        await self._ended.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for task in self.server_state.tasks:
            task.cancel()
        await asyncio.sleep(0)
        for connection in list(self.server_state.connections):
            connection.transport.abort()  # of a visitor who still waits for an answer
        await asyncio.sleep(0)
        for listening in sockets or []:
            listening.close()


def _database(path: Path, rows: int, seed: int, company: Items | None) -> Store:
    """The database at the path, filled if it is new."""
    if path.exists():
        store = Store(path)
        store.value("PRAGMA schema_version")  # fails here, if it is no database
        return store
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if company is not None:
        return _filled(path, company)
    if path.parent.name.startswith("kafinea-"):
        shutil.copyfile(_template(rows, seed), path)
        return Store(path)
    return _filled(path, demo(rows, seed))


_templates: dict[tuple[int, int], Path] = {}
_templates_lock = threading.Lock()


def _template(rows: int, seed: int) -> Path:
    """A filled database to copy from: made once per process, for the sake of many small tests."""
    with _templates_lock:
        if (rows, seed) not in _templates:
            directory = TemporaryDirectory(prefix="kafinea-")
            atexit.register(directory.cleanup)
            path = Path(directory.name) / _FILE
            _filled(path, demo(rows, seed)).close()
            _templates[rows, seed] = path
        return _templates[rows, seed]


def _filled(path: Path, items: Items) -> Store:
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    # Records may have been loaded into it that are of real people.
    os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL, 0o600))
    store = Store(unfinished)
    loading.create(store)
    loading.load(store, items)
    store.close()
    unfinished.rename(path)
    return Store(path)
