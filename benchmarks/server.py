"""A stand-in for a Kafinea server that is not the bottleneck.

It answers from memory, in its own process, over plain TCP. As on the real server, a user has one
challenge token, a session answers one request at a time, and an answer takes its time: by a timer,
not by work. `/bench` is for the bench: a POST sets the server up anew, a GET tells what it counted.

    python -m benchmarks.server        prints its port
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from secrets import token_hex
from typing import Any, cast
from urllib.parse import parse_qsl, unquote_plus

import uvloop

from benchmarks import vtql
from benchmarks.tables import Formula, Stored, describe, encode

USER, ACCESS_KEY = "bench", "a-key-of-the-stand-in"
_USER_ID = "19x1"
_SUCCESS = b'{"success":true,"result":%b}'

Parameters = dict[str, str]


class ApiError(Exception):
    """An answer with `success` false: its code."""


class Api:
    """The operations, the sessions, and what was counted."""

    def __init__(self) -> None:
        self.set_up({})

    def set_up(self, wanted: dict[str, Any]) -> None:
        """Begin anew.

        Args:
            wanted: `latency_ms`, `formulas` (rows by module), `stored` (names of empty modules).
        """
        self._tables: dict[str, Formula | Stored] = {
            name: Formula(name, rows) for name, rows in wanted.get("formulas", {}).items()
        }
        if stored := wanted.get("stored"):
            users = {"user_name": USER, "groupname": "Team"}
            self._tables |= {name: Stored(5_000) for name in stored}
            self._tables |= {name: Stored(1, [users]) for name in ("Users", "Groups")}
        self._describes = {name: encode(describe(name)) for name in self._tables}
        self._token = ""
        self.forget(wanted)

    def forget(self, wanted: dict[str, Any]) -> None:
        """End all sessions and count from zero; the records stay."""
        self.latency = wanted.get("latency_ms", 0) / 1000
        self._sessions: dict[str, float] = {}
        self.requests: Counter[str] = Counter()
        self.rows = self.page_bytes = self.under_way = self.most_under_way = 0
        self.first = self.first_query = self.last = 0.0
        self._cpu = time.process_time()

    def touch(self, wanted: dict[str, Any]) -> dict[str, list[str]]:
        """Change `count` records of each of the `modules`."""
        return {name: self._tables[name].touch(wanted["count"]) for name in wanted["modules"]}  # type: ignore[union-attr]

    def counted(self) -> dict[str, Any]:
        """Tell what was counted since the beginning."""
        return {
            "requests": dict(self.requests),
            "rows": self.rows,
            "page_bytes": self.page_bytes,
            "most_under_way": self.most_under_way,
            "first": self.first,
            "first_query": self.first_query,
            "last": self.last,
            "cpu": time.process_time() - self._cpu,
        }

    def records(self, module: str) -> list[dict[str, str]]:
        """Return all records of a stored module."""
        return list(self._tables[module].records.values())  # type: ignore[union-attr]

    def due(self, now: float, parameters: Parameters) -> float:
        """Return when the answer may go out. A session's requests stand in line."""
        session = parameters.get("sessionName", "")
        if session not in self._sessions:
            return now + self.latency
        self._sessions[session] = max(now, self._sessions[session]) + self.latency
        return self._sessions[session]

    def answer(self, parameters: Parameters) -> bytes:
        """Return the body of an answer."""
        operation = parameters.get("operation", "").lower()
        now = time.monotonic()
        self.first = self.first or now
        self.requests[operation] += 1
        if operation == "query":
            self.first_query = self.first_query or now
        try:
            if operation not in {"getchallenge", "login"}:
                self._check_session(parameters)
            return _SUCCESS % self._operations[operation](self, parameters)
        except ApiError as error:
            code = str(error)
        except (KeyError, ValueError):
            code = "ACCESS_DENIED"
        return encode({"success": False, "error": {"message": code.lower(), "code": code}})

    def _check_session(self, parameters: Parameters) -> None:
        if parameters.get("sessionName") not in self._sessions:
            raise ApiError("INVALID_SESSIONID")

    def _getchallenge(self, _: Parameters) -> bytes:
        self._token = token_hex(7)
        now = int(time.time())
        return encode({"token": self._token, "serverTime": now, "expireTime": now + 300})

    def _login(self, parameters: Parameters) -> bytes:
        # The token is not consumed; a new challenge replaces it.
        expected = hashlib.md5((self._token + ACCESS_KEY).encode()).hexdigest()
        if parameters["accessKey"] != expected:
            raise ApiError("INVALID_USER_CREDENTIALS")
        session = token_hex(10)
        self._sessions[session] = 0.0
        return encode({"sessionName": session, "userId": _USER_ID, "version": "0.22"})

    def _logout(self, parameters: Parameters) -> bytes:
        del self._sessions[parameters["sessionName"]]
        return encode({"message": "successfull"})

    def _listtypes(self, _: Parameters) -> bytes:
        information = {
            name: {"isEntity": name != "Groups", "label": name, "singular": name}
            for name in self._tables
        }
        return encode({"types": list(self._tables), "information": information})

    def _describe(self, parameters: Parameters) -> bytes:
        return self._describes[parameters["elementType"]]

    def _query(self, parameters: Parameters) -> bytes:
        query = vtql.parse(parameters["query"])
        table = self._tables[query.module]
        places = table.find(query)
        if query.columns == ("count(*)",):
            return encode([{"count": str(len(places))}])
        page = places[query.offset : query.offset + query.limit]
        body = b"[%b]" % b",".join(table.encoded(page, query.columns))
        self.rows += len(page)
        self.page_bytes += len(body)
        return body

    def _stored(self, parameters: Parameters) -> Stored:
        table = self._tables[parameters["elementType"]]
        if not isinstance(table, Stored):
            raise ApiError("ACCESS_DENIED")
        return table

    def _retrieve(self, parameters: Parameters) -> bytes:
        for table in self._tables.values():
            if isinstance(table, Stored):
                with suppress(KeyError):
                    return encode({**table.get(parameters["id"]), "label": ""})
        raise ApiError("ACCESS_DENIED")

    def _create(self, parameters: Parameters) -> bytes:
        record = self._stored(parameters).create(json.loads(parameters["element"]))
        return encode({**record, "label": ""})

    def _update(self, parameters: Parameters) -> bytes:
        record = self._stored(parameters).update(json.loads(parameters["element"]))
        return encode({**record, "label": ""})

    _operations: dict[str, Callable[[Api, Parameters], bytes]] = {
        "getchallenge": _getchallenge,
        "login": _login,
        "logout": _logout,
        "listtypes": _listtypes,
        "describe": _describe,
        "query": _query,
        "retrieve": _retrieve,
        "create": _create,
        "update": _update,
        "revise": _update,
    }


class Connection(asyncio.Protocol):
    """One kept-alive connection: a request at a time, whole ones only."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the other end."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer as soon as a request is whole."""
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < _content_length(head):
            return
        self._received = b""
        method, target, _ = head.split(b" ", 2)
        path, _, asked = target.decode().partition("?")
        if path == "/bench":
            self._send(encode(self._set_up_or_tell(method, dict(parse_qsl(asked)), body)))
            return
        parameters = _parsed(asked)
        if method == b"POST":
            parameters |= _parsed(body.decode())
        self._answer(parameters)

    def _answer(self, parameters: Parameters) -> None:
        api, loop = self._api, asyncio.get_running_loop()
        due = api.due(loop.time(), parameters)
        body = api.answer(parameters)
        api.under_way += 1
        api.most_under_way = max(api.most_under_way, api.under_way)
        if api.latency:
            loop.call_at(due, self._send_answer, body)
        else:
            self._send_answer(body)

    def _send_answer(self, body: bytes) -> None:
        self._api.under_way -= 1
        self._api.last = time.monotonic()
        self._send(body)

    def _send(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._transport.writelines([head % len(body), body])

    def _set_up_or_tell(self, method: bytes, asked: Parameters, body: bytes) -> Any:
        if method == b"GET":
            return self._api.records(asked["records"]) if asked else self._api.counted()
        wanted = json.loads(body)
        return getattr(self._api, wanted.pop("do"))(wanted)


def _content_length(head: bytes) -> int:
    _, found, after = head.lower().partition(b"content-length:")
    return int(after.split(b"\r\n", 1)[0]) if found else 0


def _parsed(text: str) -> Parameters:
    pairs = (pair.partition("=") for pair in text.split("&") if pair)
    return {unquote_plus(name): unquote_plus(value) for name, _, value in pairs}


async def _serve() -> None:
    api = Api()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(api), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    gc.disable()
    uvloop.run(_serve())
