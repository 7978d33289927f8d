"""What the commands share: an error in one line, an end to every session, and a prompt end."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from simplejson import JSONDecodeError  # type: ignore[import-untyped]  # what the SDK reads with

from kafinea.errors import KafineaError, SettingsError, StorageError
from singer_kafinea import logs

if TYPE_CHECKING:  # importing the SDK takes most of a second, and `kafinea --help` does without
    from singer_sdk.plugin_base import PluginBase


CORRECT_FIRST = 2
"""The exit code of a tap or target that fails again until a person has corrected something, so that
schedulers do not retry it. click uses it if an option is wrong."""


def run(command: Callable[[], object], logger: logging.Logger, *, final: int = 1) -> NoReturn:
    """Run a command as the whole program, and end the program with its exit code.

    It ends at once: other threads may still be inside a request, which nothing can interrupt, and
    the interpreter would wait for them until the server answers or the request times out.

    Args:
        command: The command.
        logger: Where to log its error.
        final: The exit code after an error that stays until a person has corrected something.
    """
    logs.guard(logger)
    try:
        code = exit_code(command, logger, final)
    except BaseException as error:  # noqa: BLE001 the program ends here, whatever it is
        logs.say_unforeseen(logger, error)
        code = 1
    logging.shutdown()
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:  # not all of it was written
        code = code or 1
    os._exit(code)


def invoke(plugin: type[PluginBase]) -> None:
    """Run the command of a plugin. The SDK sets up the log when it makes it.

    Raises:
        SettingsError: The log cannot be set up, or there is no output.
    """
    try:
        cli = plugin.cli
    except Exception as error:  # noqa: BLE001 each part of a log has its own errors
        variable = f"{plugin.name.upper().replace('-', '_')}_LOGLEVEL"
        raise SettingsError(
            f"The log cannot be set up ({type(error).__name__}). Correct LOGLEVEL, {variable} and "
            "the file that SINGER_SDK_LOG_CONFIG names, or unset them."
        ) from None
    require_output()
    cli()


def require_output() -> None:
    """Refuse to run where nothing can be written to stdout.

    Raises:
        StorageError: It is closed.
    """
    if sys.stdout is None:
        raise StorageError("The output cannot be written: it is closed.")


def log_as_text() -> None:
    """Log lines that people read, also under Meltano.

    When the discovery of a catalog fails, Meltano shows all that was logged once more, as it came:
    as JSON, if it requires JSON.
    """
    if "SINGER_SDK_LOG_CONFIG" in os.environ:
        for handler in logging.getLogger().handlers:
            handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))


def exit_code(command: Callable[[], object], logger: logging.Logger, final: int = 1) -> int:
    """Run a command and return its exit code. An error is logged in one line."""
    try:
        command()
    except SystemExit as ended:  # click ends every command so
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BrokenPipeError:  # who reads the output has gone away, and knows why
        return 1
    except JSONDecodeError as error:
        problem, is_final = f"The config, catalog or state is not JSON: {error}", True
    except KafineaError as error:
        problem, is_final = "" if error.is_logged else str(error), error.is_final
    except _of_the_sdk() as error:
        problem, is_final = str(error), True
    except OSError as error:
        problem, is_final = _of_this_machine(error), False
    except Exception as error:  # noqa: BLE001 its traceback and its text may hold values
        logs.say_unforeseen(logger, error)
        return 1
    else:
        return 0
    if problem:
        # Meltano does not always report the exit code of a plugin. A log of JSON contains this.
        logger.error("%s", problem, extra={"is_final": is_final})
    return final if is_final else 1


def _of_the_sdk() -> tuple[type[Exception], ...]:
    """Return the errors of the SDK whose text is for users, if it is imported."""
    if "singer_sdk" not in sys.modules:
        return ()
    from singer_sdk.exceptions import (  # noqa: PLC0415
        ConfigurationError,
        MappingError,
        RecordsWithoutSchemaException,
    )

    return (ConfigurationError, MappingError, RecordsWithoutSchemaException)


def _of_this_machine(error: OSError) -> str:
    """Return what is wrong with a file, or with the output, which has no name."""
    if error.filename is None:
        return f"The output cannot be written: {error.strerror or error}."
    return f"{error.filename}: {error.strerror}."
