"""A server between the tap and a sandbox that changes answers: the attacks of a hostile server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.small_server import Local, listening

Change = Callable[[str, dict[str, str], Any], Any]
"""Given the operation, its parameters and the result, returns the result to send instead."""

_RAW = re.compile(r'"raw:([^"]*)"')


@contextmanager
def mutating(url: str, change: Change) -> Iterator[str]:
    """Yield the address of a server whose answers are those of another one, changed.

    A text `raw:...` in a result is sent as it is, without quotes: numbers that Python cannot write.
    """
    there = urlsplit(url)

    class Handler(Local):
        def respond(self, body: str) -> None:
            form = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
            connection = HTTPConnection(str(there.hostname), there.port or 80)
            connection.request(self.command, self.path, body.encode() or None, form)
            answer = connection.getresponse().read()
            connection.close()
            parameters = self.parameters(body)
            result = json.loads(answer)
            if result.get("success"):
                operation = parameters.get("operation", "")
                result["result"] = change(operation, parameters, result["result"])
                answer = _RAW.sub(r"\1", json.dumps(result)).encode()
            self.send(200, answer, {})

    with listening(Handler, _Quiet) as address:
        yield address


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Print nothing: the server behind it has gone away, at the end of a test."""
