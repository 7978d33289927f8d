"""The settings of the tap, as all commands read them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click
from dotenv import find_dotenv, load_dotenv
from singer_sdk.configuration._dict_config import parse_environment_config

from singer_kafinea.connection import wrong_settings
from singer_kafinea.settings import unreadable_variables, with_numbers

Function = TypeVar("Function", bound=Callable[..., Any])

PREFIX = "TAP_KAFINEA_"
_CONNECTION = ("url", "username", "access_key")


def connection_options(function: Function) -> Function:
    """Add the options of the connection to a command.

    The access key has none: the options of a command are shown to all users of the machine.
    """
    function = click.option("--username", help="Name of the API user.")(function)
    return click.option("--url", help="Address of the Kafinea instance.")(function)


def settings_of_tap(options: dict[str, str | None], schema: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of the tap, from what is set first in this order.

    The options; the variables `KAFINEA_URL`, `KAFINEA_USERNAME` and `KAFINEA_ACCESS_KEY`; the
    variables of the tap, such as `TAP_KAFINEA_URL`. A variable of the environment comes before the
    same one in `.env`, which is looked for in this folder and those above it.

    Args:
        options: The options of the command that are settings.
        schema: The JSON Schema of the settings.

    Raises:
        SettingsError: A variable has a value that its setting cannot have.
    """
    load_dotenv(find_dotenv(usecwd=True), override=False)
    if wrong := unreadable_variables(os.environ, PREFIX, schema):
        raise wrong_settings(wrong, {}, PREFIX)
    config = with_numbers(parse_environment_config(schema, PREFIX, os.devnull), schema)
    for name in _CONNECTION:
        if value := options.get(name) or os.environ.get(f"KAFINEA_{name.upper()}"):
            config[name] = value
    return config
