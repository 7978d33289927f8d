"""A server between the tap and a sandbox that changes answers: the attacks of a hostile server."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Change = Callable[[str, dict[str, str], Any], Any]
"""Given the operation, its parameters and the result, returns the result to send instead."""

_RAW = re.compile(r'"raw:([^"]*)"')


@contextmanager
def mutating(url: str, change: Change) -> Iterator[str]:
    """Yield the address of a server whose answers are those of another one, changed.

    A text `raw:...` in a result is sent as it is, without quotes: numbers that Python cannot write.
    """
    there = urlsplit(url)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def log_message(self, *_: Any) -> None:
            pass

        def _respond(self, body: str) -> None:
            form = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
            connection = HTTPConnection(str(there.hostname), there.port or 80)
            connection.request(self.command, self.path, body.encode() or None, form)
            answer = connection.getresponse().read()
            connection.close()
            said = {**parse_qs(urlsplit(self.path).query), **parse_qs(body)}
            parameters = {name: values[0] for name, values in said.items()}
            operation = parameters.get("operation", "")
            result = json.loads(answer)
            if result.get("success"):
                result["result"] = change(operation, parameters, result["result"])
                answer = _RAW.sub(r"\1", json.dumps(result)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
            self.wfile.flush()

        def do_GET(self) -> None:
            self._respond("")

        def do_POST(self) -> None:
            self._respond(self.rfile.read(int(self.headers["Content-Length"])).decode())

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    http.handle_error = lambda *_: None  # type: ignore[method-assign]  # who asked has gone away
    threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{http.server_port}/webservice.php"
    finally:
        http.shutdown()
        http.server_close()
