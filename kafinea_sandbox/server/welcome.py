"""The page at the root of the sandbox: what it holds, how to log in, and the last requests."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from string import Template

from kafinea_sandbox.server.answers import HTML, Answer
from kafinea_sandbox.server.control import Control
from kafinea_sandbox.server.request_log import Request

USERNAME = "admin"
_MOST_REQUESTS = 30
_LONGEST = 160  # characters of a query
_SHOWN = ("query", "elementType", "id", "sourceRecordId", "relatedLabel", "modifiedTime")
"""The parameters of requests that are shown. Others contain records, or secrets."""


def welcome(control: Control, host: str) -> Answer:
    """Return the page.

    Args:
        control: The sandbox.
        host: The name and port that the browser uses, which may be forwarded ones.
    """
    user = control.instance.user_named(USERNAME)
    requests = list(control.requests)
    parts = {
        "dialect": control.instance.dialect.name,
        "url": f"http://{host}",
        "username": USERNAME,
        "access_key": user.access_key if user else "",
        "received": f"{len(requests):,} received.",
    }
    page = Template(_file("page.html")).substitute(
        {name: escape(text) for name, text in parts.items()},
        modules="".join(_module_row(control, name) for name in sorted(control.instance.tables)),
        requests="".join(map(_request_row, reversed(requests[-_MOST_REQUESTS:]))),
        css=_file("page.css"),
        script=_file("page.js"),
    )
    return Answer(page.encode(), content_type=HTML, headers={"content-security-policy": _policy()})


def _module_row(control: Control, name: str) -> str:
    label = control.instance.tables[name].module.label
    return _row(f"<code>{escape(name)}</code>", escape(label), f"{control.count(name):,}")


def _request_row(request: Request) -> str:
    of = " ".join(text for name in _SHOWN if (text := request.params.get(name)))
    failed = request.code or (request.status if request.status != 200 else None)
    result = failed or "ok" if request.status else "none yet"
    if request.fault:
        result = f"{result} (fault: {request.fault})"
    kind = ' class="failed"' if failed or request.fault else ""
    return _row(
        f"{datetime.fromtimestamp(request.received).astimezone():%H:%M:%S}",
        f"{escape(request.method)} {escape(request.operation)}",
        escape(of if len(of) <= _LONGEST else f"{of[:_LONGEST]}…"),
        str(request.session or ""),
        f"<span{kind}>{escape(str(result))}</span>",
    )


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _policy() -> str:
    """What the browser may do: run this script, and ask the sandbox."""
    css, script = (_digest(_file(name)) for name in ("page.css", "page.js"))
    return (
        f"default-src 'none'; style-src '{css}'; script-src '{script}'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


@cache
def _file(name: str) -> str:
    return files("kafinea_sandbox.server").joinpath(f"page/{name}").read_text("utf-8")
