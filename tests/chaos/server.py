"""The sandbox under chaos: it counts the requests, and lets the events of a schedule happen."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from kafinea_sandbox import Sandbox
from kafinea_sandbox.company import settings as demo_settings
from kafinea_sandbox.server.request_log import Request, RequestLog
from tests.chaos.disk import Disk
from tests.chaos.schedule import Schedule
from tests.chaos.writers import Writers
from tests.undo.loads import FAITHFUL


class _CountingLog(RequestLog):
    def __init__(self, chaos: Chaos) -> None:
        super().__init__()
        self._chaos = chaos

    def add(self, operation: str, method: str, params: dict[str, str]) -> Request:
        request = super().add(operation, method, params)
        self._chaos.request_arrived(request)
        return request


class Chaos:
    """A server to which the events of a schedule happen, until they are all over.

    Args:
        directory: Where its database is kept, for a restart.
        schedule: What happens.
        disk: The disk of the programs.
    """

    def __init__(self, directory: Path, schedule: Schedule, disk: Disk) -> None:
        self.world = world = schedule.world
        self.directory, self.disk = directory, disk
        self.options = {"dialect": world["dialect"], "timezone": world["timezone"]}
        self.pending = deque(schedule.events)
        self.requests: list[Request] = []
        """Those of all servers, also before a restart."""
        self.programs: dict[str, Any] = {}
        self.conditions: dict[str, Any] = {}
        """Of the next run."""
        self.warehouse: Any = None
        """The database of the loader."""
        self.log: list[str] = []
        """How each program has ended."""
        self._threads: list[threading.Thread] = []
        self._back = threading.Event()
        self._back.set()
        self.sandbox = self._start(port=0)
        self.sandbox.change("Users", 1, FAITHFUL | {"time_zone": world["timezone"]})
        if world["clock"]:
            self.sandbox.set_time(world["clock"], running=True)
        self.writers = Writers(self, prefix="other " if "records" in world else "")

    def _start(self, port: int) -> Sandbox:
        sandbox = Sandbox(
            data=self.directory, port=port, company=demo_settings.rows(), **self.options
        )
        sandbox.requests = _CountingLog(self)
        sandbox.__enter__()
        return sandbox

    @property
    def count(self) -> int:
        """How many requests were received."""
        return len(self.requests)

    def request_arrived(self, request: Request) -> None:
        """Let what is due happen. It runs in the thread of the server, before the request does."""
        self.requests.append(request)
        while self.pending and self.pending[0].at < self.count:
            self._happen()

    def _happen(self) -> None:
        event = self.pending.popleft()
        getattr(self, event.action)(**event.details)

    def end(self) -> None:
        """Let the writes happen that are left; end all faults, and wait for the server."""
        self.settle()
        self.sandbox.faults.clear()
        while self.pending:
            if self.pending[0].action in {"write", "clock_moves"}:
                self._happen()
            else:
                self.pending.popleft()
        self.conditions.clear()
        self.sandbox.faults.clear()

    def settle(self) -> None:
        """Wait until restarts are over."""
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def close(self) -> None:
        """Stop the server."""
        self.settle()
        self.sandbox.__exit__()

    def fault(self, **settings: Any) -> None:
        """Requests from now on have a fault."""
        self.sandbox.faults.add(**settings)

    def signal(self, program: str, number: int) -> None:
        """A program gets a signal, if it runs."""
        process = self.programs.get(program)
        if process and process.poll() is None:
            with suppress(ProcessLookupError):
                process.send_signal(number)

    def pause(self, program: str, seconds: float) -> None:
        """A program stands still for a while."""
        process = self.programs.get(program)
        if process and process.poll() is None:
            process.send_signal(19)  # SIGSTOP
            threading.Timer(seconds, lambda: self.signal(program, 18)).start()  # SIGCONT

    def sessions_end(self, code: str) -> None:
        """All sessions have ended."""
        self.sandbox.expire_sessions(code)

    def foreign_challenge(self) -> None:
        """Another program of the same user takes a token, which replaces the last one."""
        user = self.sandbox.instance.user_named("admin")
        assert user is not None
        self.sandbox.instance.sessions.challenge(user)

    def restart(self) -> None:
        """The server stops, and starts again with the same data on the same port."""
        if not self._back.is_set():
            return
        self._back.clear()
        thread = threading.Thread(target=self._restart)
        self._threads.append(thread)
        thread.start()

    def _restart(self) -> None:
        old = self.sandbox
        port = int(old.url.rpartition(":")[2])
        old.__exit__()
        while True:
            try:
                new = self._start(port)
                break
            except OSError:  # connections of the old one are still closing
                continue
        new.faults = old.faults
        new.set_time(old.instance.clock.now(), running=True)
        self.sandbox = new
        self._back.set()

    def database_fails(self, how: str) -> None:
        """The database of the loader fails meanwhile."""
        thread = threading.Thread(target=getattr(self.warehouse, how))
        self._threads.append(thread)
        thread.start()

    def disk_full(self, left: int) -> None:
        """The disk of the programs is full, until they have ended."""
        self.disk.fill(left)

    def next_run(self, **conditions: Any) -> None:
        """Conditions of the run that starts next."""
        self.conditions |= conditions

    def clock_moves(self, seconds: int) -> None:
        """The server's clock goes forward."""
        clock = self.sandbox.instance.clock
        clock.set(clock.now() + timedelta(seconds=seconds), running=True)

    def write(self, **write: Any) -> None:
        """Somebody writes."""
        self.writers.write(**write)
