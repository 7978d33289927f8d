"""Which settings a command has, where they come from, and the instance that they lead to."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from kafinea.client import Client
from kafinea.errors import SettingsError
from kafinea.extract.discovery import Modules
from kafinea.values import ServerZone
from singer_kafinea.env_file import load_env_file

Function = TypeVar("Function", bound=Callable[..., Any])

PREFIX = "TAP_KAFINEA_"
SHORT_PREFIX = "KAFINEA_"
CONNECTION = ("url", "username", "access_key")
"""The settings without which there is no connection."""


@dataclass(frozen=True)
class Instance:
    """A Kafinea instance, as the settings describe it.

    Attributes:
        client: The connection.
        zone: The time zone of the server's date-times.
        modules: Its modules, as far as the setting `modules` selects them.
        config: The settings of the tap, with their defaults. They contain the access key.
    """

    client: Client
    zone: ServerZone
    modules: Modules
    config: Mapping[str, Any]


def connection_options(function: Function) -> Function:
    """Add the options of the connection to a command.

    The access key has none: the options of a command are shown to all users of the machine.
    """
    function = click.option("--username", help="Name of the API user.")(function)
    return click.option("--url", help="Address of the Kafinea instance.")(function)


@contextmanager
def opened(options: Mapping[str, Any]) -> Iterator[Instance]:
    """Yield the instance that the settings lead to. At the end, its sessions are closed.

    Nothing is sent before the first request.

    Args:
        options: The options of the command that are settings: those of `connection_options`.

    Raises:
        SettingsError: A setting is missing or wrong.
    """
    # They import the SDK, which takes most of a second.
    from singer_kafinea.connection import zone_of  # noqa: PLC0415
    from tap_kafinea.settings import SETTINGS  # noqa: PLC0415
    from tap_kafinea.tap import TapKafinea  # noqa: PLC0415

    config = settings_of_tap(options, SETTINGS)
    if missing := [name for name in CONNECTION if not config.get(name)]:
        raise _not_set(missing)
    with _own_signals():
        tap = TapKafinea(config=config, catalog={"streams": []})  # else it discovers all streams
    with tap.cleanup:
        yield Instance(tap.client, zone_of(tap.config), tap.context.modules, tap.config)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep what signals do. A tap that is made handles them, and speaks of its state."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def settings_of_tap(options: Mapping[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of the tap, each from the first of these places that has it.

    1. The options.
    2. The variables `KAFINEA_URL`, `KAFINEA_USERNAME` and `KAFINEA_ACCESS_KEY`.
    3. The variables of the tap, such as `TAP_KAFINEA_URL`.
    4. The same variables in `.env`, in this folder or the nearest one above that has the file.
    5. The settings of `tap-kafinea` in `meltano.yml`, which is searched for in the same way.

    Args:
        options: The options of the command that are settings.
        schema: The JSON Schema of the settings.

    Raises:
        SettingsError: A variable has a value that its setting cannot have, or `.env` or
            `meltano.yml` cannot be read.
    """
    from singer_sdk.configuration._dict_config import parse_environment_config  # noqa: PLC0415

    from kafinea_cli import meltano  # noqa: PLC0415
    from singer_kafinea.connection import wrong_settings  # noqa: PLC0415
    from singer_kafinea.settings import unreadable_variables  # noqa: PLC0415

    given = set_in_environment(options)
    load_env_file()
    if wrong := unreadable_variables(os.environ, PREFIX, schema):
        raise wrong_settings(wrong, {}, PREFIX)
    config = meltano.settings_of_tap(schema["properties"])
    config |= parse_environment_config(schema, PREFIX, os.devnull)
    for name in CONNECTION:
        if value := given.get(name) or _variable(name):
            config[name] = value
    return config


def set_in_environment(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings of the connection that the options or the environment have."""
    found = {name: options.get(name) or _variable(name) for name in CONNECTION}
    return {name: value for name, value in found.items() if value}


def _variable(setting: str) -> str | None:
    """Return the value that the environment has for a setting of the connection."""
    return os.environ.get(f"{SHORT_PREFIX}{setting.upper()}") or os.environ.get(
        f"{PREFIX}{setting.upper()}"
    )


def _not_set(settings: list[str]) -> SettingsError:
    named = ", ".join(f"`{name}` ({SHORT_PREFIX}{name.upper()})" for name in settings)
    return SettingsError(
        f"Not set: {named}. Run `kafinea init`, which asks for the connection and writes "
        "`.env`, or set the variables."
    )
