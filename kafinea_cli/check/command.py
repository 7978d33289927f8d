"""The command `kafinea check`."""

from __future__ import annotations

from typing import Any

import click

from kafinea_cli.check.findings import Finding, Status
from kafinea_cli.connection import connection_options, opened
from kafinea_cli.output import Format, Output, json_option

_MARKS = {Status.OK: ("✓", "green"), Status.WARNING: ("!", "yellow"), Status.PROBLEM: ("✗", "red")}
_WIDTH = 14


@click.command()
@json_option
@connection_options
def check(output: Output, **options: Any) -> None:
    """Check the connection and the instance.

    It prints what to do about each problem. It checks the address and its encryption, the login,
    the version, the number and date formats of the user, the modules, the clock and the time zone,
    and how fast the server answers. It writes nothing, and sends about 100 requests, a few at a
    time. The exit code is 1 if there is a problem.

    \b
    Examples:
      kafinea check
      kafinea check --json | jq '.findings[] | select(.status != "ok")'
    """  # noqa: D301 click keeps the lines behind the character \b
    from kafinea_cli.check.instance import findings  # noqa: PLC0415 it takes a while

    found: list[Finding] = []
    with opened(options) as instance:
        for finding in findings(instance):
            found.append(finding)
            if output.format is Format.TABLE:
                _show(finding, output)
        requests = instance.client.requests_sent
    has_problem = any(finding.status is Status.PROBLEM for finding in found)
    if output.format is Format.JSON:
        output.document(
            {"ok": not has_problem, "requests": requests, "findings": [f.to_dict() for f in found]}
        )
    else:
        output.line(f"{requests} requests were sent. Nothing was written.", "dim")
    if has_problem:
        click.get_current_context().exit(1)


def _show(finding: Finding, output: Output) -> None:
    mark, style = _MARKS[finding.status]
    output.marked(mark, style, finding.name.capitalize().ljust(_WIDTH), finding.text)
    if finding.advice:
        output.marked(" ", "", " " * _WIDTH, finding.advice)
