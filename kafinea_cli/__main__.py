"""The command `kafinea`: its subcommands, each imported when it is used."""

from __future__ import annotations

import logging
from functools import partial
from importlib import import_module

import click
from typing_extensions import override

from singer_kafinea import command

_COMMANDS = {
    "dbt": "kafinea_cli.dbt",
    "sandbox": "kafinea_sandbox.cli",
}
"""The module of each command, which defines it under its own name."""


class Commands(click.Group):
    """The subcommands. A new one goes into `_COMMANDS`."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        found: click.Command = getattr(import_module(_COMMANDS[cmd_name]), cmd_name)
        return found


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Tools for Kafinea."""


def main() -> None:
    """Run the command."""
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    command.run(partial(cli, prog_name="kafinea"), logging.getLogger("kafinea"))


if __name__ == "__main__":
    main()
