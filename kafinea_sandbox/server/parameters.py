"""How PHP reads a request: `$_GET` and `$_POST`."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.requests import Request

from kafinea_sandbox.errors import Fatal


@dataclass
class Parameters:
    """The parameters of one request."""

    get: dict[str, str]
    post: dict[str, str] = field(default_factory=dict)

    def any(self, name: str) -> str:
        """`operation`, `sessionName` and `format` are taken from either place."""
        return self.post.get(name) or self.get.get(name) or ""

    def of(self, verb: str) -> dict[str, str]:
        """The parameters an operation reads: one that is falsy ("0" too) counts as missing."""
        return {
            name: value
            for name, value in getattr(self, verb.lower()).items()
            if value not in {"", "0"}
        }


async def read(request: Request) -> Parameters:
    """Read a request. PHP fills `$_POST` from forms only; multipart ones have no user here."""
    parameters = Parameters(_pairs(request.scope["query_string"]))
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if request.method == "POST" and kind == "application/x-www-form-urlencoded":
        parameters.post = _pairs(body)
    return parameters


def _pairs(encoded: bytes) -> dict[str, str]:
    text = encoded.decode("latin-1")
    # Bytes that are not UTF-8 must survive until json_decode refuses them.
    return dict(parse_qsl(text, keep_blank_values=True, errors="surrogateescape"))


def check_format(parameters: Parameters) -> None:
    """The only format is JSON."""
    if parameters.any("format").lower() not in {"", "json"}:
        raise Fatal("Unknown format")
