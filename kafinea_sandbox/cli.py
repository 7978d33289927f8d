"""The command `kafinea sandbox`."""

from __future__ import annotations

import json
import signal
import sqlite3
import threading
import webbrowser
from typing import Any

import click

from kafinea_sandbox.dialects import DIALECTS

_EXTRA = ("uvicorn", "starlette", "lark", "tomli")


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default="any free port",
    help="Port on 127.0.0.1.",
)
@click.option(
    "--data",
    default=":memory:",
    show_default=True,
    help="Directory for the database, kept for the next start. :memory: keeps nothing.",
)
@click.option(
    "--dialect",
    type=click.Choice(list(DIALECTS)),
    default="kafinea",
    show_default=True,
    help="Server to imitate: kafinea, stock (vtiger 8.0), frevo (F-RevoCRM 8.0), corebos (coreBOS) "
    "or legacy (vtiger 6.5).",
)
@click.option(
    "--rows",
    default=5000,
    show_default=True,
    help="Approximate number of records of the demo company, if the database is new. 0: none.",
)
@click.option("--seed", default=1, show_default=True, help="Random seed of the demo company.")
@click.option(
    "--latency-ms", default=0.0, show_default=True, help="Milliseconds added to each response."
)
@click.option("--open", "in_browser", is_flag=True, help="Open its page in the browser.")
def sandbox(port: int, data: str, *, in_browser: bool, **options: Any) -> None:
    """Run a local server with the API of Kafinea.

    The sandbox has the data of a demo company. When it is ready, it prints one line of JSON with
    its URL and the access key. Its page, at that URL, shows what it contains, how to log in, and
    the last requests.

    \b
    Examples:
      kafinea sandbox --port 8080
      kafinea sandbox --dialect corebos --latency-ms 50 --open

    To change the server while it runs, send POST requests to its `control`, with the
    `control_token` of the line of JSON:

    \b
      TOKEN=...
      post() { curl --json "$2" -H "Authorization: Bearer $TOKEN" \\
        http://127.0.0.1:8080/_control/$1; }
      post set_field '{"module": "Contacts", "name": "cf_901", "type": "integer"}'
      post remove_field '{"module": "Contacts", "name": "cf_901"}'
      post set_rights '{"module": "Contacts", "without": ["create"]}'
      post answer_writes '{"answer": false}'

    \b
    set_field      adds a field, or changes the one with this name: `type`, `label`,
                   `mandatory`, `values` of a picklist, `refers_to` of a reference
    set_rights     `without`: `read`, `create`, `update`, `delete`; [] gives them back
    answer_writes  true answers requests that write again
    faults         other faults, such as {"kind": "status", "status": 503, "times": 3};
                   {"clear": true} ends them
    """  # noqa: D301 click keeps the lines behind the character \b
    try:
        from kafinea_sandbox.sandbox import Sandbox  # noqa: PLC0415 - an optional extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise click.ClickException(
            f"{error.name} is not installed. "
            "Install the extra `sandbox` of singer-kafinea, see docs/install.md."
        ) from None
    click.echo("Preparing the demo company ...", err=True)
    try:
        prepared = Sandbox(data=data, port=port, **options)
    except OSError as error:
        raise click.ClickException(str(error)) from None
    except sqlite3.Error as error:
        raise click.ClickException(f"--data {data}: {error}") from None
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with prepared as running:
        facts = {
            "url": running.url,
            "username": running.username,
            "access_key": running.access_key,
            "control": f"{running.url}/_control",
            "control_token": running.control_token,
        }
        click.echo(json.dumps(facts))
        click.echo(
            f"Kafinea sandbox at {running.url}, for this machine only. Press Ctrl-C to stop it.",
            err=True,
        )
        if in_browser and not webbrowser.open(running.url):
            click.echo("No browser was found on this machine.", err=True)
        stop.wait()
    click.echo("Bye.", err=True)
