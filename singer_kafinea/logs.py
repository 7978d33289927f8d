"""What the commands log: one line for each event, whoever logs it, without secrets.

Libraries log URLs and answers, and a user's configuration of the log (SINGER_SDK_LOG_CONFIG) may
add handlers and loggers of any kind. So each record of the log is cleaned when it is made.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

from kafinea.errors import KafineaError
from kafinea.masking import clean, line, simple
from kafinea.shown import place_of

_FIELDS = frozenset(vars(logging.makeLogRecord({})))
_LONGEST_CHAIN = 10  # errors that led to an error; a recursion may have a thousand
_make = logging.Logger.makeRecord


class Figures(dict[str, Any]):
    """Numbers by name, or by stream and name. They are logged as they are."""


def guard(logger: logging.Logger) -> None:
    """Clean all that this process logs from now on, and log what Python would print.

    Args:
        logger: Where to say what goes wrong in other threads.
    """
    # Filters of loggers and handlers would miss those that come later, as s3fs brings its own. A
    # factory of records does not see `extra`.
    logging.Logger.makeRecord = _clean_record  # type: ignore[method-assign, assignment]
    logging.raiseExceptions = False  # it prints what could not be logged

    def in_thread(stopped: threading.ExceptHookArgs) -> None:
        if stopped.exc_value is not None and not isinstance(stopped.exc_value, SystemExit):
            say_unforeseen(logger, stopped.exc_value)

    def ignored(by_python: sys.UnraisableHookArgs) -> None:
        # As a rule, what failed before was said: a workbook on a full disk cannot be closed either.
        if by_python.exc_value is not None:
            logger.debug("Ignored: %s", place_of(by_python.exc_value))

    threading.excepthook = in_thread
    sys.unraisablehook = ignored
    warnings.formatwarning = _one_line
    logging.captureWarnings(True)


def say_unforeseen(logger: logging.Logger, error: BaseException) -> None:
    """Log an error that nobody foresaw in one line; with DEBUG, also how it came about."""
    logger.error("%s", unforeseen(error, logger.name), exc_info=with_traceback(error, logger))


def unforeseen(error: BaseException, command: str) -> str:
    """Return the message for an unexpected error, without its text, which may hold a value.

    Args:
        error: What was raised.
        command: Whose mistake it is.
    """
    if isinstance(error, KafineaError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted."
    place = place_of(error)
    if isinstance(error, MemoryError):
        return f"{place}: this machine has too little memory for the run. Lower `max_sessions`."
    return f"{place}. Please report this as a bug in {command}."


def with_traceback(error: BaseException, logger: logging.Logger) -> BaseException | None:
    """Return an error to log with its traceback: one that nobody foresaw, where DEBUG is on."""
    is_foreseen = isinstance(error, KafineaError)
    return error if logger.isEnabledFor(logging.DEBUG) and not is_foreseen else None


def _clean_record(logger: logging.Logger, *args: Any, **more: Any) -> logging.LogRecord:
    record = _make(logger, *args, **more)
    record.name = line(record.name)  # loggers of streams have the names of modules
    if isinstance(record.args, tuple) and record.args and _is_metric(record.args[0]):
        _clean_metric(record.args[0])
        return record
    error = record.exc_info and record.exc_info[1]
    clean(record)
    if error and logger.isEnabledFor(logging.DEBUG):
        harmless = _harmless(error)
        record.exc_info = (type(harmless), harmless, harmless.__traceback__)
    for name in vars(record).keys() - _FIELDS:  # of `extra`
        value = getattr(record, name)
        if not isinstance(value, int | float | Figures | None):
            setattr(record, name, line(simple(value)))
    return record


def _is_metric(value: object) -> bool:
    """Whether a value is a metric of the SDK, which is not imported for it."""
    metrics = sys.modules.get("singer_sdk.metrics")
    return metrics is not None and isinstance(value, metrics.Point)


def _clean_metric(point: Any) -> None:
    point.tags = {
        name: line(value) if isinstance(value, str) else value for name, value in point.tags.items()
    }


def _harmless(error: BaseException, links: int = _LONGEST_CHAIN) -> BaseException:
    """Return an error that has the name and traceback of another, and not its text."""
    kind = type(error)
    text = str(error) if isinstance(error, KafineaError) else "its text may hold a value"
    copy: BaseException = type(kind.__name__, (Exception,), {"__module__": kind.__module__})(text)
    copy.__traceback__ = error.__traceback__
    if links:
        cause, context = error.__cause__, error.__context__
        copy.__cause__ = _harmless(cause, links - 1) if cause else None
        copy.__context__ = _harmless(context, links - 1) if context else None
    copy.__suppress_context__ = error.__suppress_context__
    return copy


def _one_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any
) -> str:
    return f"{category.__name__}: {message} ({Path(filename).name}, line {lineno})"
