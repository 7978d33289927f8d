"""The command `kafinea count`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click

from kafinea.errors import KafineaError, NotCounted, Refused, Unavailable
from kafinea.extract.discovery import NotRead
from kafinea.page_query import count as count_records
from kafinea.query import is_name
from kafinea_cli.connection import Instance, connection_options, opened
from kafinea_cli.output import Column, Output, output_options

_COLUMNS = (Column("name", "Module", is_name=True), Column("label", "Label"),
            Column("records", "Records", right=True))  # fmt: skip


@click.command()
@click.argument("modules", nargs=-1, metavar="[MODULE]...")
@output_options
@connection_options
def count(modules: Sequence[str], output: Output, **options: Any) -> None:
    """Count the records of each MODULE.

    Without MODULE, it counts all modules that the setting `modules` selects.

    The exit code is 1 if one of them cannot be counted.

    \b
    Examples:
      kafinea count
      kafinea count Contacts Accounts
      kafinea count --json | jq 'map(.records) | add'
    """  # noqa: D301 click keeps the lines behind the character \b
    with opened(options) as instance:
        failures: list[str] = []
        output.rows(_rows(instance, modules, failures), _COLUMNS)
        for text in failures:
            output.note(text)
        if failures:
            click.get_current_context().exit(1)


def _rows(
    instance: Instance, names: Sequence[str], failures: list[str]
) -> Iterator[dict[str, Any]]:
    """Yield the modules with their numbers of records, several counted at a time."""
    known = instance.modules.shown
    for name in names:
        if name not in known:
            raise NotRead(instance.modules.not_found(name))
    names = names or [name for name in known if instance.modules.takes(name) and is_name(name)]
    threads = ThreadPoolExecutor(instance.client.max_sessions)

    def counted(name: str) -> int | KafineaError:
        try:
            return count_records(instance.client.query, name)
        except (NotCounted, Refused) as error:
            return error
        except Unavailable as error:
            instance.client.listtypes()  # fails as well when the server is away
            return error

    try:
        for name, number in zip(names, threads.map(counted, names), strict=True):
            if isinstance(number, KafineaError):
                failures.append(f"{name} cannot be counted: {number}")
            records = number if isinstance(number, int) else None
            yield {"name": name, "label": known[name].label, "records": records}
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
