"""One HTTP exchange with `webservice.php`. What the answer means is in `kafinea.envelope`.

Errors made here never hold the request: `requests` puts the whole URL, session id included, into
its own errors.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any, BinaryIO
from urllib.parse import urlencode, urlsplit, urlunsplit

import requests
from requests.auth import AuthBase
from urllib3.exceptions import LocationParseError

from kafinea.connection import is_loopback
from kafinea.contents import Form, Lift, bounded
from kafinea.errors import SettingsError
from kafinea.masking import Cleaning
from kafinea.query import PLAIN_IN_URL
from kafinea.unanswered import no_answer

Timeout = tuple[float, float]
"""Seconds to connect and seconds between two bytes of the answer."""

_SCRIPT = "webservice.php"
_MOST_COOKIES = 50
"""What browsers keep of one host. Each goes with each request, and a server may set ever more."""
_PIECE = 2**18  # bytes of an answer to read at a time


for _name in [name for name in logging.Logger.manager.loggerDict if name.startswith("urllib3.")]:
    logging.getLogger(_name).addFilter(Cleaning())  # those below a logger do not pass its filters


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
        raise SettingsError("`url` must not contain a user name or password.")
    if parts.scheme == "http" and not (allow_http or is_loopback(parts.hostname)):
        raise SettingsError(
            f"`url` uses http, so the credentials would be sent to {parts.hostname} unencrypted. "
            "Use https. If the server has only http, set `allow_http` to true."
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
        NotReachable: The address cannot be reached as it is written.
    """
    if len(http.cookies) > _MOST_COOKIES:
        http.cookies.clear()
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
    except (requests.RequestException, LocationParseError) as error:
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
