"""What the server and the wire allow: threads that send known requests and only count bytes.

`http.client`, for `requests` takes four times its CPU. The work is a list of forms, one for each
request, without the session.

python -m benchmarks.rivals.limit CONFIG
"""

from __future__ import annotations

import hashlib
import http.client
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlencode, urlsplit

config = json.loads(Path(sys.argv[1]).read_text())
work: SimpleQueue[tuple[str, str]] = SimpleQueue()


def ask(connection: http.client.HTTPConnection, method: str, form: str) -> bytes:
    """Send one request."""
    if method == "GET":
        connection.request("GET", f"/webservice.php?{form}")
    else:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/webservice.php", form, headers)
    return connection.getresponse().read()


def log_in(connection: http.client.HTTPConnection, key: str) -> str:
    """Return the name of a new session."""
    form = {"operation": "login", "username": config["username"], "accessKey": key}
    return str(json.loads(ask(connection, "POST", urlencode(form)))["result"]["sessionName"])


def take_all(connection: http.client.HTTPConnection, session: str) -> int:
    """Send requests until there are no more; return the bytes of the answers."""
    received = 0
    while True:
        try:
            method, form = work.get_nowait()
        except Empty:
            return received
        received += len(ask(connection, method, f"{form}&sessionName={session}"))


def main() -> None:
    """Log in, send everything, print how many bytes came."""
    count = config["max_sessions"]
    connections = [http.client.HTTPConnection(urlsplit(config["url"]).netloc) for _ in range(count)]
    form = urlencode({"operation": "getchallenge", "username": config["username"]})
    answer: Any = json.loads(ask(connections[0], "GET", form))
    key = hashlib.md5((answer["result"]["token"] + config["access_key"]).encode()).hexdigest()
    for method, form in json.loads(Path(sys.argv[1]).with_name("work.json").read_text()):
        work.put((method, form))
    with ThreadPoolExecutor(count) as threads:
        sessions = list(threads.map(log_in, connections, [key] * count))
        print(sum(threads.map(take_all, connections, sessions)))


if __name__ == "__main__":
    main()
