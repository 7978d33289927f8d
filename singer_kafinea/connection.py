"""The settings that lead to a Kafinea instance, and the way there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from singer_sdk import typing as th

from kafinea import Client, SettingsError
from singer_kafinea.command import at_end

WHERE: tuple[th.Property[Any], ...] = (
    th.Property(
        "url",
        th.StringType,
        required=True,
        description="Address of your Kafinea, such as https://apps.kafinea.com/YourKafinea",
    ),
    th.Property("username", th.StringType, required=True, description="User of the API"),
    th.Property(
        "access_key",
        th.StringType,
        required=True,
        secret=True,
        description='Access key of that user ("My preferences" in Kafinea), not the password',
    ),
)
HOW: tuple[th.Property[Any], ...] = (
    th.Property(
        "max_sessions",
        th.IntegerType(minimum=1, maximum=64),
        default=4,
        description="Most sessions, and so requests, at the same time",
    ),
    th.Property(
        "request_timeout",
        th.NumberType(exclusive_minimum=0, maximum=3600),
        default=120,
        description="Seconds to wait for the server",
    ),
    th.Property(
        "allow_http",
        th.BooleanType,
        default=False,
        description="Accept http for a host that is not this machine; the access key is "
        "then not protected",
    ),
)
TIMEZONE: th.Property[Any] = th.Property(
    "timezone",
    th.StringType,
    default="UTC",
    description="Time zone of the server's date-times, such as Europe/Paris",
)


def connect(config: Mapping[str, Any]) -> Client:
    """Return the client that the settings describe. It logs out when the command ends.

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
    )
    at_end.callback(client.close)
    return client


def wrong_settings(problems: Iterable[object], config: Mapping[str, Any]) -> SettingsError:
    """Return what is wrong with the settings, in one line.

    The SDK's texts show the value that is wrong, which may be the secret.
    """
    secret = repr(config.get("access_key"))
    texts = "; ".join(str(text).replace(secret, "***") for text in problems)
    return SettingsError(f"Settings: {texts}")
