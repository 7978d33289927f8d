"""`source-kafinea spec|check|discover|read`, as Airbyte runs it."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

from airbyte_kafinea import messages, source
from kafinea.errors import KafineaError, SettingsError, Unavailable


def main() -> None:
    """Run a command. The exit code is 1 if something could not be read."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, handlers=[messages.LogHandler()], force=True)
    try:
        failed = _run(arguments)
    except KafineaError as error:
        messages.write_failure(str(error), _kind(error))
        failed = True
    sys.exit(int(failed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="source-kafinea", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("spec")
    for name in ("check", "discover", "read"):
        command = commands.add_parser(name)
        command.add_argument("--config", required=True, type=Path)
        if name == "read":
            command.add_argument("--catalog", required=True, type=Path)
            command.add_argument("--state", type=Path)
    return parser


def _run(arguments: argparse.Namespace) -> bool:
    """Run a command, and return whether something could not be read."""
    if arguments.command == "spec":
        messages.write("SPEC", spec=source.SPECIFICATION)
        return False
    if arguments.command == "check":
        messages.write("CONNECTION_STATUS", connectionStatus=_status(arguments.config))
        return False
    config = _json(arguments.config)
    if arguments.command == "discover":
        messages.write("CATALOG", catalog={"streams": source.discover(config)})
        return False
    state = _json(arguments.state) if arguments.state else []
    return source.read(config, _json(arguments.catalog), state)


def _status(config: Path) -> dict[str, str]:
    """Return whether a login succeeds and finds modules."""
    try:
        source.discover(_json(config))
    except KafineaError as error:
        return {"status": "FAILED", "message": str(error)}
    return {"status": "SUCCEEDED"}


def _json(path: Path) -> Any:
    """Return what a file contains.

    Raises:
        SettingsError: It cannot be read, or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read as JSON: {type(error).__name__}.") from None


def _kind(error: KafineaError) -> str:
    """Return who can fix it, in Airbyte's words."""
    if isinstance(error, SettingsError):
        return "config_error"
    return "transient_error" if isinstance(error, Unavailable) else "system_error"


if __name__ == "__main__":
    main()
