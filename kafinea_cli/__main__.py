"""The command `kafinea`: its subcommands, each imported when it is used."""

from __future__ import annotations

import logging
import signal
import sys
from functools import partial
from importlib import import_module
from typing import Any

import click
from typing_extensions import override

from kafinea.extras import require
from singer_kafinea import command

_COMMANDS = {
    "init": "kafinea_cli.init.command",
    "check": "kafinea_cli.check.command",
    "modules": "kafinea_cli.modules",
    "describe": "kafinea_cli.describe",
    "count": "kafinea_cli.count",
    "records": "kafinea_cli.records",
    "get": "kafinea_cli.get",
    "query": "kafinea_cli.query",
    "diff": "kafinea_cli.diff.command",
    "verify": "kafinea_cli.verify.command",
    "undo": "kafinea_cli.undo",
    "ids": "kafinea_cli.ids",
    "model": "kafinea_cli.model.command",
    "dbt": "kafinea_cli.dbt",
    "sandbox": "kafinea_sandbox.cli",
}
"""The module of each command, which defines it under its own name."""

_INTERRUPTED = 130
"""The exit code of shells for a program that Ctrl-C has ended."""


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

    @override
    def invoke(self, ctx: click.Context) -> Any:
        command.require_output()
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            after_mark = "\n" if sys.stderr.isatty() else ""  # the terminal shows ^C
            click.echo(f"{after_mark}Interrupted.", err=True)
            ctx.exit(_INTERRUPTED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="singer-kafinea")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Look at a Kafinea instance, verify and model its warehouse, and take loads back.

    \b
    Examples:
      kafinea modules
      kafinea sandbox --port 8080
    """  # noqa: D301 click keeps the lines behind the character \b
    if ctx.invoked_subcommand != "sandbox":  # whose extra is another
        require("rich", "cli")


def main() -> None:
    """Run the command."""
    # So that no half file is left behind, and the sessions are closed.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    command.run(partial(cli, prog_name="kafinea"), logging.getLogger("kafinea"))


if __name__ == "__main__":
    main()
