"""What the tap and the target share of their command line: its files, and the check of settings."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import IO, Any

import click
from singer_sdk import metrics
from singer_sdk.configuration._dict_config import parse_environment_config
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers._util import load_json
from singer_sdk.plugin_base import PluginBase
from typing_extensions import override

from kafinea.errors import SettingsError
from singer_kafinea.connection import problems_of_connection, wrong_settings
from singer_kafinea.env_file import load_env_file
from singer_kafinea.nesting import is_deeper
from singer_kafinea.settings import no_objects, unreadable_variables, with_numbers

_DEEPEST = 99
"""Objects and lists within each other; a catalog has 20."""


class Plugin(PluginBase):
    """A plugin that reports all errors in its settings at once, before anything else.

    Attributes:
        cleanup: What to do when the command ends, however it does; the last callback comes first.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.cleanup = ExitStack()
        # The SDK makes the plugin within a command of click, which ends it.
        if command := click.get_current_context(silent=True):
            command.call_on_close(self.cleanup.close)
        with _quiet_metrics():
            super().__init__(*arguments, **options)

    @classproperty
    @override
    def _env_var_config(cls) -> dict[str, Any]:  # noqa: N805 as the SDK's
        schema, prefix = cls.config_jsonschema, cls._env_var_prefix
        unread: ValueError | None = None
        load_env_file()
        cls.append_builtin_config(schema)
        try:
            config = parse_environment_config(schema, prefix, dotenv_path=os.devnull)
        except ValueError as error:  # the SDK reads whole numbers and JSON
            unread = error
        if wrong := unreadable_variables(os.environ, prefix, schema):
            raise wrong_settings(wrong, {}, prefix)
        if unread:
            raise unread
        return config

    def problems(self) -> dict[str, str]:
        """Return what is wrong with settings beyond their JSON Schema, by setting."""
        depth = "flattening_max_depth"
        if self.config.get("flattening_enabled") and self.config.get(depth) is None:
            return {
                depth: f"`flattening_enabled` needs `{depth}`.",
                **problems_of_connection(self.config),
            }
        return problems_of_connection(self.config)

    def unknown(self) -> list[str]:
        """Return what is an error among the names of settings."""
        return []

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        # The SDK calls this before it does anything with the settings. Its own error would log
        # the JSON Schema as well. It fills in defaults without a look at what it fills.
        config = {name: value for name, value in self._config.items() if value is not None}
        self._config = with_numbers(config, self.config_jsonschema)
        shapeless = no_objects(self._config, self.config_jsonschema)
        for name in shapeless:
            del self._config[name]
        try:
            super()._validate_config()
            errors = []
        except ConfigValidationError as error:
            errors = error.errors
        errors += self.unknown()
        problems = shapeless | self.problems()
        if errors or problems:
            raise wrong_settings(errors, self._config, self._env_var_prefix, problems)
        return []

    @classmethod
    @override
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:
        merged = super().cb_config(ctx, param, ())
        for path in value:  # one by one, to know which of them is wrong
            with naming("--config", path):
                config = super().cb_config(ctx, param, (path,))
                _refuse_deep(dict(config.config))
                _refuse_pairs(config.config)
            merged.config |= config.config
            merged.parse_env |= config.parse_env
        return merged


@contextmanager
def _quiet_metrics() -> Iterator[None]:
    """Keep the metrics of the SDK out of the log: two lines for each stream, which the summary has.

    Unless the user's configuration of the log (SINGER_SDK_LOG_CONFIG) names their logger. The SDK
    sets the level of this logger in the block.
    """
    logger = metrics.get_metrics_logger()
    is_configured = logger.handlers or logger.level not in {logging.NOTSET, logging.WARNING}
    yield
    if not is_configured:
        logger.setLevel(logging.WARNING)


def json_file(option: str, file: IO[str] | None) -> IO[str] | None:
    """Return a file of the command line again when it holds JSON.

    Raises:
        SettingsError: It does not.
    """
    if file is None:
        return None
    with naming(option, file.name):
        text = file.read()
        _refuse_deep(load_json(text))
    return io.StringIO(text)


@contextmanager
def naming(option: str, path: str) -> Iterator[None]:
    """Name the file that is being read in what goes wrong with it.

    Raises:
        SettingsError: It is not JSON, or cannot be read.
    """
    try:
        yield
    except FileNotFoundError:
        raise SettingsError(f"{option} {path}: there is no such file.") from None
    except OSError as error:
        raise SettingsError(f"{option} {path}: cannot be read: {error.strerror}.") from None
    except UnicodeError:
        raise SettingsError(f"{option} {path} is not JSON: it is not UTF-8 text.") from None
    except RecursionError:
        raise SettingsError(f"{option} {path}: objects and lists are nested too deep.") from None
    except ArithmeticError:  # an exponent of twenty digits
        raise SettingsError(f"{option} {path} contains a number that is out of range.") from None
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{option} {path} is not JSON{_place(error)}.") from None


def _refuse_deep(content: Any) -> None:
    """Refuse what is read and then cannot be copied, or written.

    Raises:
        RecursionError: It is that.
    """
    if is_deeper(content, _DEEPEST):
        raise RecursionError


def _refuse_pairs(settings: Mapping[Any, Any]) -> None:
    """Refuse settings that the SDK has made of a list of pairs.

    Raises:
        TypeError: They have other names than texts.
    """
    if not all(isinstance(name, str) for name in settings):
        raise TypeError


def _place(error: Exception) -> str:
    """Return where the JSON ends to be JSON. The text of the error may show a secret."""
    line, column = getattr(error, "lineno", None), getattr(error, "colno", None)
    return f": see line {line}, column {column}" if line and column else " with settings in it"
