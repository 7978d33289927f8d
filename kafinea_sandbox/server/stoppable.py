"""A uvicorn server that another thread can stop at once."""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from typing_extensions import override


class StoppableServer(uvicorn.Server):
    """Stops at once. uvicorn would wait for clients to disconnect, in steps of 0.1 seconds."""

    def stop(self) -> None:
        """End the server, from another thread."""
        self._loop.call_soon_threadsafe(self._ended.set)

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        await super().startup(sockets)

    @override
    async def main_loop(self) -> None:
        await self._ended.wait()

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for task in self.server_state.tasks:
            task.cancel()
        await asyncio.sleep(0)
        for connection in list(self.server_state.connections):
            connection.transport.abort()  # of a client that still waits for an answer
        await asyncio.sleep(0)
        for listening in sockets or []:
            listening.close()
