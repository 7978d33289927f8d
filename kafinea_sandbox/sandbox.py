"""A sandbox as a context manager: an HTTP server in a thread, on the loopback interface."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
from typing_extensions import Self

from kafinea_sandbox.database.open import Items, open_database, open_temporary
from kafinea_sandbox.instance.instance import Instance
from kafinea_sandbox.instance.options import Options
from kafinea_sandbox.server.app import Server
from kafinea_sandbox.server.control import Control
from kafinea_sandbox.server.gate import Gate
from kafinea_sandbox.server.stoppable import StoppableServer


class Sandbox(Control):
    """A sandbox, which runs until the end of its `with` block.

    Args:
        dialect: kafinea, stock, frevo, corebos or legacy.
        rows: The size of the demo company, roughly its number of records. 0: no records, but
            users, groups, currencies, taxes and folders.
        seed: Another seed is another company.
        latency_ms: Added to every request.
        data: A directory that keeps the database; `:memory:` deletes it at the end.
        port: 0: any free port.
        company: Records instead of those of the demo company.
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
        opened = open_temporary if self._temporary else open_database
        self._store = opened(directory, rows, seed, company)
        options |= {"dialect": dialect, "latency_ms": latency_ms}
        super().__init__(Instance(self._store, Options(**options)))
        self._gate = Gate(self._socket.getsockname()[1])
        self._app = Server(self, self._gate)
        config = uvicorn.Config(
            self._app,
            lifespan="off",
            ws="none",
            log_config=None,  # the logging of the process stays as it is
            log_level="critical",
            access_log=False,
            proxy_headers=False,  # it would hide the connection from `apply_faults.cut`
            server_header=False,
            date_header=False,
        )
        self._server = StoppableServer(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )

    @property
    def url(self) -> str:
        """The base URL. The endpoint is `/webservice.php`, under it or under any path."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    @property
    def control_token(self) -> str:
        """The token for requests to `/_control`: `Authorization: Bearer <token>`."""
        return self._gate.token

    @property
    def username(self) -> str:
        """The name of the administrator. `joe` is another user, without administrator rights."""
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
