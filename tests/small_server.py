"""A server that shares no code with the sandbox: one module, and whatever habits a test gives it.

It knows just the requests that the target sends, so that what the sandbox has wrong shows here.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Row = dict[str, Any]
FIELDS = {
    "lastname": "string",
    "code": "string",
    "phone": "phone",
    "amount": "currency",
    "size": "double",
    "count": "integer",
    "born": "date",
    "seen": "datetime",
    "flag": "boolean",
    "kind": "picklist",
    "many": "multipicklist",
    "account_id": "reference",
    "assigned_user_id": "owner",
    "description": "text",
    "createdtime": "datetime",
    "modifiedtime": "datetime",
    "modifiedby": "reference",
}
_CONDITION = re.compile(
    r"(\w+)\s+(IN|=|!=|>=|<=|>|<|LIKE)\s+(\((?:'(?:[^']|'')*',?\s*)+\)|'(?:[^']|'')*')"
)
_TEXT = re.compile(r"'((?:[^']|'')*)'")


class Refusal(Exception):
    """An error of the API."""

    def __init__(self, code: str, message: str = "refused") -> None:
        super().__init__(message)
        self.code = code


class Raw(Exception):
    """An answer that is no answer of the API; no status closes the connection."""

    def __init__(self, status: int | None, body: bytes = b"", **headers: str) -> None:
        super().__init__()
        self.status = status
        self.body = body
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class SmallServer:
    """One module `Contacts` (prefix 12), `Users` (19) and `Accounts` (11).

    Attributes:
        rows: The records, by number.
        requests: Each request: the operation and its parameters.
        before: Called with operation and parameters before anything is done.
        store: Called with operation, the old record (or {}) and what is sent; gives what is stored.
        answer: Called with operation, the stored record and what is sent; gives the result.
        user: The record of the user; None refuses it.
    """

    def __init__(self, *, revises: bool = True, **fields: str) -> None:
        self.fields = {**FIELDS, **fields}
        self.rows: dict[int, Row] = {}
        self.revises = revises
        self.unknown = "Unknown operation requested"
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.user: Row | None = {"id": "19x1", "no_of_currency_decimals": "8", "conv_rate": "1"}
        self.profile: Row = {}
        self.before: Callable[[str, dict[str, str]], None] = lambda *_: None
        self.store: Callable[[str, Row, Row], Row] = lambda _, old, sent: {**old, **sent}
        self.answer: Callable[[str, Row, Row], Any] = lambda _o, stored, _s: stored
        self.shown: Callable[[str, Row], Row] = lambda _, row: row
        self.same: Callable[[str], str] = lambda text: text.casefold().rstrip()
        self.prefix = b""
        self.lock = threading.RLock()
        self.clock = 0
        self.mandatory = {"lastname"}
        self.next = 100
        self.url = ""

    # What is stored

    def insert(self, **values: Any) -> str:
        with self.lock:
            self.next += 1
            empty = dict.fromkeys(self.fields, "")
            owner = {"assigned_user_id": "19x1", "modifiedby": "19x1"}
            times = dict.fromkeys(("createdtime", "modifiedtime"), self.now())
            self.rows[self.next] = {**empty, **owner, **times, **values, "id": f"12x{self.next}"}
            return f"12x{self.next}"

    def row(self, record_id: str) -> Row:
        return self.rows[int(record_id.partition("x")[2])]

    def now(self) -> str:
        self.clock += 1
        hours, seconds = divmod(self.clock, 3600)
        return f"2026-01-01 {hours % 24:02}:{seconds // 60:02}:{seconds % 60:02}"

    def count(self, *operations: str) -> int:
        return sum(
            name in operations and said.get("element") != "{}" for name, said in self.requests
        )

    # Requests

    def do(self, operation: str, said: dict[str, str]) -> Any:
        self.requests.append((operation, said))
        if operation == "getchallenge":
            return {"token": "abc", "serverTime": 1, "expireTime": 301}
        if operation == "login":
            return {
                "sessionName": "0a1b2c3d4e5f",
                "userId": "19x1",
                "version": "0.22",
                **self.profile,
            }
        if operation == "logout":
            return {"message": "successfull"}
        self.before(operation, said)
        known = getattr(self, f"_{operation}", None)
        if known is None or (operation == "revise" and not self.revises):
            raise Refusal("UNKNOWN_OPERATION", self.unknown.format(operation))
        return known(said)

    def _listtypes(self, _: Row) -> Any:
        names = ["Contacts", "Accounts", "Users", "Groups"]
        return {"types": names, "information": {n: {"isEntity": True, "label": n} for n in names}}

    def _describe(self, said: Row) -> Any:
        prefix = {"Contacts": "12", "Accounts": "11", "Users": "19", "Groups": "20"}
        name = said["elementType"]
        fields = []
        for one, kind in (self.fields if name == "Contacts" else {"user_name": "string"}).items():
            kinds: Row = {"name": kind}
            if kind == "reference":
                kinds["refersTo"] = ["Users"] if one == "modifiedby" else ["Accounts"]
            fields.append(
                {
                    "name": one,
                    "label": one,
                    "mandatory": one in self.mandatory,
                    "type": kinds,
                    "editable": one not in {"createdtime", "modifiedtime"},
                }
            )
        fields.append(
            {"name": "id", "label": "id", "type": {"name": "autogenerated"}, "editable": False}
        )
        rights = dict.fromkeys(("createable", "updateable", "deleteable", "retrieveable"), True)
        return {
            "name": name,
            "label": name,
            "idPrefix": prefix[name],
            "isEntity": True,
            "fields": fields,
            **rights,
        }

    def _query(self, said: Row) -> Any:
        query = said["query"]
        module = re.search(r" FROM (\w+)", query)[1]
        head, _, rest = query.partition(" FROM ")
        with self.lock:
            rows = list(self.rows.values()) if module == "Contacts" else []
            if module == "Users":
                rows = [{"id": "19x1", "user_name": "admin"}]
            found = [row for row in rows if self._meets(rest, row)]
            found.sort(key=lambda row: int(row["id"].partition("x")[2]), reverse=" DESC" in rest)
            if "count(*)" in head:
                return [{"count": str(len(found))}]
            limit = re.search(r"LIMIT (?:(\d+)\s*,\s*)?(\d+)", rest)
            start, most = (int(limit[1] or 0), int(limit[2])) if limit else (0, 100)
            columns = [one.strip() for one in head.removeprefix("SELECT ").split(",")]
            found = [
                self.shown("query", dict(row)) for row in found[start : start + min(most, 100)]
            ]
            if columns == ["*"]:
                return found
            return [
                {name: row[name] for name in {**dict.fromkeys(columns), "id": 0} if name in row}
                for row in found
            ]

    def _meets(self, rest: str, row: Row) -> bool:
        results = []
        for name, operator, told in _CONDITION.findall(rest):
            values = [text.replace("''", "'").replace("\\\\", "\\") for text in _TEXT.findall(told)]
            stored: Any = row.get(name) or ""
            if name == "id":
                stored, values = _number(stored), [_number(value) for value in values]
            else:
                stored, values = self.same(str(stored)), [self.same(v) for v in values]
            results.append(
                {
                    "IN": stored in values,
                    "=": stored == values[0],
                    "!=": stored != values[0],
                    ">": stored > values[0],
                    "<": stored < values[0],
                    ">=": stored >= values[0],
                    "<=": stored <= values[0],
                    "LIKE": False,
                }[operator]
            )
        return all(results)

    def _retrieve(self, said: Row) -> Any:
        if said["id"] == "19x1":
            if self.user is None:
                raise Refusal("ACCESS_DENIED")
            return self.user
        with self.lock:
            return self.shown("retrieve", dict(self._stored(said["id"])))

    def _stored(self, record_id: str) -> Row:
        try:
            return self.row(record_id)
        except (KeyError, ValueError):
            raise Refusal(
                "ACCESS_DENIED", "Permission to perform the operation is denied"
            ) from None

    def _create(self, said: Row) -> Any:
        return self._write("create", said)

    def _update(self, said: Row) -> Any:
        return self._write("update", said)

    def _revise(self, said: Row) -> Any:
        return self._write("revise", said)

    def _write(self, operation: str, said: Row) -> Any:
        sent = json.loads(said["element"])
        if not sent:
            raise Refusal("INVALID_ID_ATTRIBUTE", "Id specified is incorrect")
        with self.lock:
            record_id = self.insert() if operation == "create" else sent.get("id", "")
            old = self._stored(record_id)
            kept = {name: v for name, v in sent.items() if name in self.fields}
            new = self.store(
                operation, dict(old), {n: "" if v is None else v for n, v in kept.items()}
            )
            old.update({**new, "id": record_id, "modifiedtime": self.now(), "modifiedby": "19x1"})
            stored = dict(old)
        return self.answer(operation, stored, {**sent, "id": record_id})

    def _delete(self, said: Row) -> Any:
        with self.lock:
            self._stored(said["id"])
            del self.rows[int(said["id"].partition("x")[2])]
        return {"status": "successful"}


def _number(record_id: str) -> int:
    number = record_id.partition("x")[2]
    return int(number) if number.isdigit() and len(number) < 20 else -1


class Local(BaseHTTPRequestHandler):
    """Answers requests to this machine with what `respond` is given for them."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for each answer

    def log_message(self, *_: Any) -> None:
        pass

    def respond(self, body: str) -> None:
        raise NotImplementedError

    def parameters(self, body: str) -> dict[str, str]:
        """What was sent, in the address and in the form."""
        said = {**parse_qs(urlsplit(self.path).query), **parse_qs(body)}
        return {name: values[0] for name, values in said.items()}

    def send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def do_GET(self) -> None:
        self.respond("")

    def do_POST(self) -> None:
        self.respond(self.rfile.read(int(self.headers["Content-Length"])).decode())


@contextmanager
def listening(
    handler: type[Local], server: type[ThreadingHTTPServer] = ThreadingHTTPServer
) -> Iterator[str]:
    """Serve on a free port of this machine, and yield the address of `webservice.php`."""
    http = server(("127.0.0.1", 0), handler)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{http.server_port}/webservice.php"
    finally:
        http.shutdown()
        http.server_close()


@contextmanager
def serving(server: SmallServer) -> Iterator[SmallServer]:
    """Serve it on a free port of this machine."""

    class Handler(Local):
        def respond(self, body: str) -> None:
            parameters = self.parameters(body)
            try:
                result: Mapping[str, Any] = {
                    "success": True,
                    "result": server.do(parameters.pop("operation", ""), parameters),
                }
            except Refusal as error:
                result = {"success": False, "error": {"code": error.code, "message": str(error)}}
            except Raw as raw:
                if raw.status is None:
                    self.close_connection = True
                    self.connection.shutdown(2)
                    return
                self.send(raw.status, raw.body, raw.headers)
                return
            self.send(200, server.prefix + json.dumps(result).encode(), {})

    with listening(Handler) as server.url:
        yield server
