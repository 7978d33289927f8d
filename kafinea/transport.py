"""One HTTP exchange with `webservice.php`: what is sent, and what the answer means.

Errors made here never hold the request or the body of the answer: `requests` puts the whole URL,
session id included, into its own errors, and a server's error page may repeat what it was sent.
"""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timezone
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import lru_cache, partial
from typing import Any, BinaryIO
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec
import requests
from requests.auth import AuthBase

from kafinea.connection import is_loopback
from kafinea.contents import Form, Lift, bounded
from kafinea.errors import SESSION_ENDED, Code, Refused, SessionEnded, SettingsError, Unavailable
from kafinea.query import PLAIN_IN_URL
from kafinea.unanswered import no_answer

Timeout = tuple[float, float]
"""Seconds to connect and seconds between two bytes of the answer."""

_SCRIPT = "webservice.php"
_ANSWER_START = b'{"success":'
_GOOD_START, _GOOD_END = _ANSWER_START + b"true,", b"}"
_PIECE = 2**18  # bytes of an answer to read at a time
_NOT_THERE = "There is no webservice.php at this `url`, or a proxy keeps it closed."
_BUSY = frozenset({429, 502, 503, 504})


class _ApiError(msgspec.Struct):
    message: str = ""
    code: str | int = ""


class _Answer(msgspec.Struct):
    success: bool
    result: Any = None
    error: _ApiError | None = None


# Numbers with a fraction are money as a rule: they never pass through a float.
_decoder = msgspec.json.Decoder(_Answer, float_hook=Decimal)


class _NoParameters(logging.Filter):
    """Takes the parameters out of urllib3's debug lines: the session, and what was asked for."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                re.sub(r"(?s)\?.*", "?...", arg) if isinstance(arg, str) else arg
                for arg in record.args
            )
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_NoParameters())


def endpoint(url: str, *, allow_http: bool = False) -> str:
    """Return the address of `webservice.php` for the address a user gave.

    Args:
        url: The address of the instance, with or without `webservice.php`.
        allow_http: Accept plain http for a host that is not this machine.

    Raises:
        SettingsError: The address cannot be used.
    """
    try:
        parts = urlsplit(url.strip())
        _ = parts.port  # it is read only now, and may be none
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname or " " in parts.netloc:
        raise SettingsError(
            "`url` must be the address of your Kafinea, such as "
            "https://apps.kafinea.com/YourKafinea."
        )
    if parts.username or parts.password:
        raise SettingsError("`url` must not hold a user name or password.")
    if parts.scheme == "http" and not (allow_http or is_loopback(parts.hostname)):
        raise SettingsError(
            f"`url` uses http, which would send the access to {parts.hostname} unprotected. "
            "Use https, or set `allow_http` if you must."
        )
    path = parts.path.rstrip("/")
    if not path.endswith("/" + _SCRIPT):
        path = f"{path}/{_SCRIPT}"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def send(
    http: requests.Session,
    method: str,
    address: str,
    parameters: Mapping[str, str],
    *,
    timeout: Timeout,
    auth: AuthBase | None = None,
    upload: tuple[str, BinaryIO] | None = None,
    lift: Lift = bounded,
) -> requests.Response:
    """Send one request: its parameters in the URL for GET, in a form for POST.

    The server reads the parameters of an operation from one of the two only.

    Args:
        http: The connection.
        method: GET or POST.
        address: The full address of `webservice.php`.
        parameters: The parameters.
        timeout: Seconds to connect, and seconds to wait for the answer.
        auth: Adds the session.
        upload: The name of one more field of a form, and the file that it holds in base64.
        lift: Makes the body of the pieces that come; it may take the contents of a file out.

    Raises:
        TooLong: The answer has no end, or is larger than anything real.
        Unavailable: No answer came.
        SettingsError: The address cannot be reached as it is written.
    """
    try:
        request = _request(http, method, address, parameters)
        if upload:
            use_form(request, Form(urlencode(parameters), *upload))
        take = partial(_taken, lift=lift)
        request.hooks["response"].append(take)  # before `auth` looks at the answer
        if auth:
            request = auth(request)
        response = http.send(request, timeout=timeout, allow_redirects=False, stream=True)
        return take(response)  # `auth` may have sent it once more
    except requests.RequestException as error:
        # `from None`: the original error shows the URL.
        raise no_answer(error, http, address, timeout) from None


def _taken(response: requests.Response, *, lift: Lift, **_: Any) -> requests.Response:
    """Read an answer, once, in larger pieces than `requests` would: they cost less."""
    if not response._content:  # noqa: SLF001 it is not read yet
        with response:
            response._content = lift(response.iter_content(_PIECE))  # noqa: SLF001 requests has no other place for a body read in pieces
    return response


def use_form(request: requests.PreparedRequest, form: Form) -> None:
    """Give a request a form that is made while it is sent."""
    request.body = form  # type: ignore[assignment]  # what can be iterated over will do
    request.headers["Content-Length"] = str(len(form))


def _request(
    http: requests.Session, method: str, address: str, parameters: Mapping[str, str]
) -> requests.PreparedRequest:
    """Return a request, as `http` would prepare it. But it would check the address each time."""
    request = requests.PreparedRequest()
    request.prepare_method(method)
    request.url = _checked(address)
    request.prepare_headers(http.headers)
    request.prepare_cookies(http.cookies)
    if method == "GET":
        request.url = f"{request.url}?{urlencode(parameters, safe=PLAIN_IN_URL)}"
    else:
        request.prepare_body(parameters, files=None)
    return request


@lru_cache
def _checked(address: str) -> str:
    """Return an address as it is sent.

    Raises:
        requests.RequestException: It is none.
    """
    request = requests.PreparedRequest()
    request.prepare_url(address, params=None)
    return request.url or ""


def result(response: requests.Response, operation: str, secrets: Collection[str] = ()) -> Any:
    """Return what the API answered.

    Args:
        response: The HTTP answer, its body read.
        operation: The operation's name, for messages.
        secrets: Texts that must not stand in an error.

    Raises:
        SessionEnded: The session has ended.
        Refused: The API refused the request.
        Unavailable: The answer was not made by the API: an error page, a broken body.
        SettingsError: The address is not that of a `webservice.php`.
    """
    answer = None if response.status_code in _BUSY else _decode(response.content)
    if answer is None:
        raise _not_the_api(response, operation, secrets)
    if answer.success:
        return answer.result
    error = answer.error or _ApiError()
    code, text = str(error.code), _without(secrets, error.message)[:300]
    if code == Code.DATABASE_QUERY_ERROR:
        text = "the database refused a statement"  # the server's text may show its values
    if code in SESSION_ENDED:
        raise SessionEnded(f"{operation}: {text} ({code})", code=code)
    raise Refused(f"{operation}: {text} ({code})", code=code)


def result_later(
    response: requests.Response, operation: str, secrets: Collection[str] = ()
) -> Callable[[], Any]:
    """Return what gives the result of an answer, which looks good and is not decoded before.

    Raises:
        KafineaError: As `result`. So does what is returned, if the answer is not what it seems.
    """
    body = response.content
    if response.status_code in _BUSY or not (
        body.startswith(_GOOD_START) and body.endswith(_GOOD_END)
    ):
        value = result(response, operation, secrets)
        return lambda: value
    return partial(result, response, operation, secrets)


def _decode(body: bytes) -> _Answer | None:
    """Read the envelope; PHP may have printed notices before it."""
    answer = _read(body)
    if answer is None and (start := body.rfind(_ANSWER_START)) > 0:
        answer = _read(body[start:])
    return answer


def _read(body: bytes) -> _Answer | None:
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _not_the_api(
    response: requests.Response, operation: str, secrets: Collection[str]
) -> Exception:
    status = response.status_code
    if response.is_redirect:
        return redirected(response)
    said = _excerpt(response, secrets)
    if status in {401, 403, 404, 405, 407, 410}:
        return SettingsError(f"{operation}: HTTP {status}, {said}. {_NOT_THERE}")
    if status in {413, 414, 431}:
        return Refused(f"{operation}: HTTP {status}, the request is too long.", code=str(status))
    return Unavailable(
        f"{operation}: HTTP {status}, {said}.",
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
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def redirected(response: requests.Response) -> SettingsError:
    """Return the error for a redirect: what we send holds credentials, so none is followed."""
    try:
        parts = urlsplit(response.headers["Location"])
    except ValueError:
        parts = urlsplit("")
    place = f"at {parts.scheme}://{parts.hostname}" if parts.hostname else "on the same host"
    return SettingsError(
        f"The server points to another address {place}. Credentials are not sent there by "
        "themselves; set `url` to the new address if it is right."
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


def _excerpt(response: requests.Response, secrets: Collection[str]) -> str:
    """Say in a few words what came instead of an answer of the API.

    The page may repeat the request or show a statement with a record's values. So only its first
    words are shown, up to anything that could begin a value.
    """
    body = response.content
    if not body.strip():
        return "an empty body"
    if body.lstrip()[:1] in (b"{", b"["):
        return f"JSON that is not an answer or breaks off after {len(body):,} bytes"
    text = body[:20_000].decode("utf-8", "replace")
    text = re.sub(r"(?is)<(script|style)\b.*?</\1>|<[^>]*>", " ", text)
    text = " ".join(_without(secrets, html.unescape(text)).split())
    words = re.split(r"[\"'`={\[&@:]|\w*\d{5,}|\b[0-9a-f]{13,}\b", text, maxsplit=1)[0].strip()[:80]
    return f"not JSON: {words}" if words else "a page that is not JSON"


def _without(secrets: Collection[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
