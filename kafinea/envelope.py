"""What an HTTP answer of `webservice.php` means: a result, or one of the errors of the API.

Errors made here never hold the body of the answer: a server's error page may repeat what it was
sent (see `kafinea.echoes`).
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests

from kafinea.echoes import without_echo
from kafinea.errors import SESSION_ENDED, Code, NotReachable, Refused, SessionEnded, Unavailable
from kafinea.parsing import NOT_JSON

_ANSWER_START = b'{"success":'
_GOOD_START, _GOOD_END = _ANSWER_START + b"true,", b"}"
_NOT_THERE = "There is no webservice.php at this `url`, or a proxy blocks it. Check `url`."
_BUSY = frozenset({429, 502, 503, 504})
_CODES = frozenset(Code)
_MOST_CODES = 10**6
_LONGEST_CODE = 60
_NO_CODE = "no code"

# Both take a time that grows with the page, and not with its square.
_MARKUP = re.compile(r"(?is)<(script|style)\b.*?(?:</\1>|\Z)|<[^<>]*>")
# An apostrophe within a word, such as in "l'adresse", begins no value.
_NO_PROSE = re.compile(r"[\"`={\[&@:]|\B'|'\B|\b\w*\d{5,}|\b[0-9a-f]{13,}\b")


class _ApiError(msgspec.Struct):
    message: Any = ""
    code: Any = ""


class _Answer(msgspec.Struct):
    success: bool
    result: Any = None
    error: _ApiError | None = None


# Numbers with a fraction are money as a rule: they never pass through a float.
_decoder = msgspec.json.Decoder(_Answer, float_hook=Decimal)


def result(response: requests.Response, operation: str) -> Any:
    """Return what the API answered.

    Args:
        response: The HTTP answer, its body read.
        operation: The operation's name, for messages.

    Raises:
        SessionEnded: The session has ended.
        Refused: The API refused the request.
        Unavailable: The answer was not made by the API: an error page, a broken body.
        NotReachable: The address is not that of a `webservice.php`.
    """
    answer = None if response.status_code in _BUSY else _decode(response.content)
    if answer is None:
        raise _not_the_api(response, operation)
    if answer.success:
        return answer.result
    raise _refusal(answer.error or _ApiError(), response, operation)


def _refusal(
    error: _ApiError, response: requests.Response, operation: str
) -> SessionEnded | Refused:
    code = _code(error.code, response)
    if code == Code.DATABASE_QUERY_ERROR:
        reason = "the database refused a statement"  # the server's text may show its values
    else:
        text = error.message if isinstance(error.message, str) else ""
        reason = quoted(text, response) or "refused"
    message = f"{operation}: {reason} ({code})"
    error_type = SessionEnded if code in SESSION_ENDED else Refused
    return error_type(message, code=code)


def _code(code: Any, response: requests.Response) -> str:
    """Return the code of an error, which is a name as a rule, and the number 0 for duplicates."""
    if isinstance(code, int) and not isinstance(code, bool) and abs(code) < _MOST_CODES:
        return str(code)
    if not isinstance(code, str):
        return _NO_CODE
    if code in _CODES:
        return code
    return without_echo(code, response.request)[:_LONGEST_CODE] or _NO_CODE


def quoted(text: str, response: requests.Response) -> str:
    """Return the text of a server as it may be shown; an empty string if nothing is left."""
    shown = without_echo(text, response.request)
    return f'"{shown}"' if shown else ""


def result_later(response: requests.Response, operation: str) -> Callable[[], Any]:
    """Return what gives the result of an answer, which looks good and is not decoded before.

    Raises:
        KafineaError: As `result`. So does what is returned, if the answer is not what it seems.
    """
    body = response.content
    if response.status_code in _BUSY or not (
        body.startswith(_GOOD_START) and body.endswith(_GOOD_END)
    ):
        value = result(response, operation)
        return lambda: value
    return partial(result, response, operation)


def _decode(body: bytes) -> _Answer | None:
    """Read the envelope; PHP may have printed notices before it."""
    answer = _read(body)
    if answer is None and (start := body.rfind(_ANSWER_START)) > 0:
        answer = _read(body[start:])
    return answer


def _read(body: bytes) -> _Answer | None:
    try:
        return _decoder.decode(body)
    except NOT_JSON:
        return None


def _not_the_api(response: requests.Response, operation: str) -> Exception:
    status = response.status_code
    if response.is_redirect:
        return redirected(response)
    excerpt = _excerpt(response)
    if status in {401, 403, 404, 405, 407, 410}:
        return NotReachable(f"{operation}: HTTP {status}, {excerpt}. {_NOT_THERE}")
    if status in {413, 414, 431}:
        return Refused(f"{operation}: HTTP {status}, the request is too long.", code=str(status))
    return Unavailable(
        f"{operation}: HTTP {status}, {excerpt}.",
        retry_after=_retry_after(response),
        nothing_done=status == requests.codes.too_many_requests,
        busy=status in _BUSY,
        advice=_NOT_THERE if status < 500 and _is_page(response) else "",
    )


def _is_page(response: requests.Response) -> bool:
    """Whether something else answered: not PHP with an error, as while the database starts."""
    body = response.content.lstrip()
    if response.status_code in _BUSY or b"Fatal error" in body[:20_000]:
        return False
    return body[:1] == b"<" or _is_json(body)


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except NOT_JSON:
        return False
    return True


def redirected(response: requests.Response) -> NotReachable:
    """Return the error for a redirect: what we send holds credentials, so none is followed."""
    try:
        parts = urlsplit(response.headers["Location"])
    except ValueError:
        parts = urlsplit("")
    place = "on the same host"
    if parts.hostname:
        there = without_echo(f"{parts.scheme}://{parts.hostname}", response.request)
        place = f"at {there or 'another host'}"
    return NotReachable(
        f"The server redirects to another address {place}. Redirects are not followed, because "
        "requests contain credentials. If the new address is right, set `url` to it."
    )


def _retry_after(response: requests.Response) -> float | None:
    """Return the seconds of a Retry-After header, which is a number or a date."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return max(0.0, (moment - datetime.now(timezone.utc)).total_seconds())


def _excerpt(response: requests.Response) -> str:
    """Return in a few words what the server sent instead of an answer of the API.

    The page may repeat the request or show a statement with a record's values. So only its first
    words are shown, up to anything that could begin a value.
    """
    body = response.content
    if not body.strip():
        return "an empty body"
    if body.lstrip()[:1] in (b"{", b"["):
        return f"JSON that is not an answer or breaks off after {len(body):,} bytes"
    text = body[:20_000].decode("utf-8", "replace")
    text = _MARKUP.sub(" ", text)
    text = " ".join(html.unescape(text).split())
    words = _NO_PROSE.split(text, maxsplit=1)[0].strip()[:80]
    quote = quoted(words, response)
    return f"not JSON: {quote}" if quote else "a page that is not JSON"
