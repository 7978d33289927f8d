"""What the commands share: an error in one line, and an end to every session."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import ExitStack

from simplejson import JSONDecodeError  # type: ignore[import-untyped]  # what the SDK reads with
from singer_sdk.exceptions import (
    ConfigurationError,
    MappingError,
    RecordsWithoutSchemaException,
)

from kafinea.errors import KafineaError

at_end = ExitStack()
"""What to do when a command ends, however it does. The SDK has no place for it."""


def run(command: Callable[[], object], logger: logging.Logger) -> None:
    """Run a command; what goes wrong is said in one line, and the exit code is 1."""
    try:
        with at_end:
            command()
    except JSONDecodeError as error:
        problem = f"The config, catalog or state is not JSON: {error}"
    except (
        KafineaError,
        FileNotFoundError,
        ConfigurationError,
        MappingError,
        RecordsWithoutSchemaException,
    ) as error:
        problem = str(error)
    else:
        return
    logger.error("%s", problem)
    sys.exit(1)
