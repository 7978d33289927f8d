"""Why a request got no answer: the host, the way there, or a setting of this machine.

`requests` puts the whole URL into its errors, session id included, so nothing of their text is
shown.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

import requests
import urllib3

from kafinea.errors import NotReachable, SettingsError, TooLong, Unavailable

_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PROBE_SECONDS = 2
_INVALID = (
    *(requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema),
    urllib3.exceptions.LocationParseError,  # "a..b", which `requests` lets through
)


class Endless(OSError):
    """An answer takes longer, or has more bytes, than any that has an end."""


_Error = TypeVar("_Error", bound=BaseException)


def certificates(address: str) -> str | bool:
    """Return the file of the certificates that this machine trusts; True for the usual ones.

    Raises:
        SettingsError: The variable that names it names no file.
    """
    for variable in _BUNDLES:
        path = os.environ.get(variable)
        if path and address.startswith("https:") and not os.path.exists(path):  # noqa: PTH110 as requests does
            raise SettingsError(
                f"{variable} is {path!r}, but there is no such file. Correct the variable, or "
                "unset it to use the default certificates."
            )
        if path:
            return path
    return True


def no_answer(
    error: requests.RequestException | urllib3.exceptions.LocationParseError,
    http: requests.Session,
    address: str,
    timeout: tuple[float, float],
) -> NotReachable | Unavailable:
    """Return the error for a request that got no answer.

    Args:
        error: The error of `requests`, or what it lets through.
        http: The connection.
        address: Where it was sent.
        timeout: Seconds to connect, and seconds to wait for the answer.
    """
    parts = urlsplit(address)
    host = parts.netloc
    if _behind(error, Endless):
        return TooLong(f"{host} did not finish its answer.")
    if isinstance(error, _INVALID):
        return _unusable(http, parts)
    if isinstance(error, requests.exceptions.ProxyError):
        return _proxy_fails(error, http, parts)
    if isinstance(error, requests.exceptions.SSLError):
        return _not_secure(error, host)
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return Unavailable(
            f"{host} could not be reached within {timeout[0]:g} s.", nothing_done=True
        )
    if isinstance(error, requests.exceptions.ReadTimeout):
        return Unavailable(f"{host} did not answer within {timeout[1]:g} s.", silent=True)
    if _behind(error, urllib3.exceptions.NameResolutionError):
        return Unavailable(
            f"The host name {host} cannot be resolved.", nothing_done=True, advice="Check `url`."
        )
    if _behind(error, urllib3.exceptions.NewConnectionError):
        return Unavailable(f"{host} refuses the connection.", nothing_done=True)
    if isinstance(error, requests.exceptions.ConnectionError):
        return Unavailable(f"{host} closed the connection.", silent=True)
    return Unavailable(f"The answer of {host} was cut off ({type(error).__name__}).")


def at_first(error: Unavailable, address: str) -> NotReachable | Unavailable:
    """Return the error for a request when nothing has worked before.

    Then a setting may be wrong, and it makes no sense to wait. Once something has worked, the same
    failure passes.
    """
    if error.advice:
        # A name server or a proxy may be away, and a server may show a page of maintenance.
        return NotReachable(f"{error} {error.advice}", is_final=False)
    parts = urlsplit(address)
    if parts.scheme == "http" and not error.busy and _speaks_tls(parts):
        return NotReachable(f"{parts.netloc} requires https. Write `https://` in `url`.")
    return error


def _not_secure(error: requests.RequestException, host: str) -> NotReachable | Unavailable:
    if refused := _behind(error, ssl.SSLCertVerificationError):
        return NotReachable(
            f"The certificate of {host} is not accepted: {refused.verify_message.rstrip('.')}. "
            "Check `url`, and the certificates that this machine trusts (REQUESTS_CA_BUNDLE)."
        )
    failed = _behind(error, ssl.SSLError)
    if failed is None:
        return NotReachable(f"The certificates in {_bundle()} cannot be read.")
    if failed.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"}:
        return NotReachable(
            f"{host} does not use https at this port. Check `url`: the port may be wrong, or the "
            "server may only support `http://`."
        )
    if isinstance(failed, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Unavailable(f"{host} closed the connection.", nothing_done=True)
    if failed.reason == "NO_CERTIFICATE_OR_CRL_FOUND":
        return NotReachable(f"There are no certificates in {_bundle()}.")
    return NotReachable(f"No secure connection to {host} is possible ({failed.reason}).")


def _bundle() -> str:
    return next(
        (
            f"{variable} ({os.environ[variable]})"
            for variable in _BUNDLES
            if os.environ.get(variable)
        ),
        "use",
    )


# Proxies


def _proxy_fails(
    error: requests.RequestException, http: requests.Session, parts: SplitResult
) -> Unavailable:
    name, setting = _proxy(http, parts)
    if _behind(error, urllib3.exceptions.NameResolutionError):
        return Unavailable(
            f"The host name {name} cannot be resolved.",
            nothing_done=True,
            advice=_of_proxy(setting),
        )
    # It answers, and does not let us through, such as with 407 when it wants a password.
    if refusal := re.search(r"Tunnel connection failed: (\d{3})", str(error)):
        return Unavailable(
            f"The proxy {name} ({setting}) refused the connection to {parts.netloc}: HTTP "
            f"{refusal[1]}.",
            nothing_done=True,
            advice=_of_proxy(setting) if refusal[1] < "500" else "",
        )
    return Unavailable(f"The proxy {name} ({setting}) does not answer.", nothing_done=True)


def _of_proxy(setting: str) -> str:
    return f"Check the proxy in {setting}, or name the host of `url` in NO_PROXY."


def _unusable(http: requests.Session, parts: SplitResult) -> NotReachable:
    """Return that an address is none. That of the proxy is not checked before it is used."""
    name, setting = _proxy(http, parts)
    if not name:
        return NotReachable("`url` is not a valid address.")
    return NotReachable(
        f"The proxy in {setting} is not a valid address. Write it like http://proxy.example:3128."
    )


def _proxy(http: requests.Session, parts: SplitResult) -> tuple[str, str]:
    """Return the proxy on the way, without its password, and where it was set."""
    for key in (parts.scheme, "all"):
        if proxy := http.proxies.get(key):
            variables = (f"{key}_proxy", f"{key.upper()}_PROXY")
            setting = next(
                (variable for variable in variables if os.environ.get(variable)), "system settings"
            )
            return urlsplit(proxy).netloc.rpartition("@")[2] or "?", setting
    return "", ""


# What is behind an error


def _behind(error: BaseException, kind: type[_Error]) -> _Error | None:
    """Return the error of a kind that led to another, if there is one."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, kind):
        cause = cause.__cause__ or cause.__context__
    return cause


def _speaks_tls(parts: SplitResult) -> bool:
    """Whether a port that was spoken to in http wants https."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent
    place = (parts.hostname or "", parts.port or 80)
    try:
        with (
            socket.create_connection(place, _PROBE_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname),
        ):
            return True
    except OSError:
        return False
