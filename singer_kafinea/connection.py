"""The settings that lead to a Kafinea instance, and the way there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any

from singer_sdk import typing as th

from kafinea import Client, SettingsError, transport
from kafinea.values import ServerZone

WHERE: tuple[th.Property[Any], ...] = (
    th.Property(
        "url",
        th.StringType,
        required=True,
        title="Address",
        description="Address of your Kafinea instance, such as https://apps.kafinea.com/YourKafinea",
    ),
    th.Property(
        "username",
        th.StringType,
        required=True,
        title="User",
        description="Name of the API user, such as `admin`",
    ),
    th.Property(
        "access_key",
        th.StringType,
        required=True,
        secret=True,
        title="Access key",
        description='Access key of the API user ("My preferences" in Kafinea), not the password',
    ),
)
HOW: tuple[th.Property[Any], ...] = (
    th.Property(
        "max_sessions",
        th.IntegerType(minimum=1, maximum=64),
        default=4,
        title="Concurrent sessions",
        description="Maximum number of concurrent sessions, and so of concurrent requests",
    ),
    th.Property(
        "request_timeout",
        th.NumberType(exclusive_minimum=0, maximum=3600),
        default=120,
        title="Request timeout",
        description="Number of seconds to wait for the server to respond",
    ),
    th.Property(
        "max_requests_per_minute",
        th.IntegerType(minimum=1),
        title="Requests per minute",
        description="Maximum number of requests in a minute, which are sent evenly, such as `300`. "
        "If not set: no limit",
    ),
    th.Property(
        "allow_http",
        th.BooleanType,
        default=False,
        title="Allow http",
        description="Accept `http://` for a host other than this machine. The access key is then "
        "not protected",
    ),
)
TIMEZONE: th.Property[Any] = th.Property(
    "timezone",
    th.StringType,
    title="Time zone",
    description="Time zone of the server's date-times, such as Europe/Paris. If not set: UTC",
)

_WHERE_TO_SET = "Correct them in `.env`, in meltano.yml or in the --config file."


def connect(config: Mapping[str, Any], cleanup: ExitStack) -> Client:
    """Return the client that the settings describe.

    Args:
        config: The settings.
        cleanup: Logs the client out when the command ends.

    Raises:
        SettingsError: `url` cannot be used.
    """
    client = Client(
        config["url"],
        config["username"],
        config["access_key"],
        max_sessions=config["max_sessions"],
        request_timeout=float(config["request_timeout"]),  # the SDK reads a Decimal
        allow_http=config["allow_http"],
        max_requests_per_minute=config.get("max_requests_per_minute"),
    )
    cleanup.callback(client.close)
    return client


def zone_of(config: Mapping[str, Any]) -> ServerZone:
    """Return the time zone of the server's date-times.

    Raises:
        SettingsError: There is no such zone.
    """
    return ServerZone(config.get("timezone"))


def problems_of_connection(config: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with the settings that the tap and the target share, by setting.

    What is missing, or of another type, the JSON Schema of the settings finds.
    """
    problems = {
        name: f"`{name}` is empty."
        for name in ("url", "username", "access_key")
        if isinstance(value := config.get(name), str) and not value.strip()
    }
    if isinstance(url := config.get("url"), str) and "url" not in problems:
        allow_http = bool(config.get("allow_http"))
        problems |= problem("url", lambda: transport.endpoint(url, allow_http=allow_http))
    if isinstance(config.get("timezone"), str):
        problems |= problem("timezone", lambda: zone_of(config))
    return problems


def problem(setting: str, use: Callable[[], object]) -> dict[str, str]:
    """Return what is wrong with a setting, found by using it; nothing if it is right."""
    try:
        use()
    except SettingsError as error:
        return {setting: str(error)}
    return {}


def wrong_settings(
    errors: Iterable[object],
    config: Mapping[str, Any],
    prefix: str,
    problems: Mapping[str, str] | None = None,
) -> SettingsError:
    """Return all that is wrong with the settings, in one line, and where each of them is set.

    Args:
        errors: What the SDK or others say. The SDK's texts show the value that is wrong, which may
            be the secret.
        config: The settings.
        prefix: What the names of the plugin's environment variables begin with.
        problems: What is wrong besides, by setting.
    """
    secret = repr(config.get("access_key"))
    of_sdk = [str(text).replace(secret, "***") for text in errors]
    named = [(text, _setting_in(text)) for text in of_sdk]
    named += [(text, name) for name, text in (problems or {}).items()]
    sentences = [_sentence(text, prefix, setting) for text, setting in named]
    plugin = prefix.partition("_")[0].lower()
    page = f'README.md describes them in "Settings of the {plugin}".'
    return SettingsError(f"Settings: {' '.join(sentences)} {_WHERE_TO_SET} {page}")


def _sentence(text: str, prefix: str, setting: str | None) -> str:
    """Return what is wrong, with the environment variable of the setting."""
    variable = f" ({prefix}{setting.upper()})" if setting else ""
    return text.rstrip(".") + variable + ("" if text.endswith("?") else ".")


def _setting_in(text: str) -> str | None:
    """Return which setting a text of the SDK is about."""
    match = re.search(r"^'(\w+)' is a required property$|config\['(\w+)'\]", text)
    return (match[1] or match[2]) if match else None
