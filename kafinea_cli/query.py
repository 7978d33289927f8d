"""The command `kafinea query`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from kafinea.client import Record
from kafinea.conditions import Select, parse_select
from kafinea.errors import IncompleteRead, QueryError
from kafinea.module_reader import ModuleReader
from kafinea.page_query import PAGE_SIZE, count
from kafinea_cli.connection import Instance, connection_options, opened
from kafinea_cli.output import Output, output_options


@click.command()
@click.argument("text", metavar="QUERY")
@click.option("--all", "is_all", is_flag=True, help="Return all records, not one page.")
@output_options
@connection_options
def query(text: str, output: Output, *, is_all: bool, **options: Any) -> None:
    """Run QUERY and print the result.

    QUERY is a SELECT of Kafinea's query language. The values are printed as the server has them.

    Without --all, the server returns one page: 100 records on most servers, also without a LIMIT.
    --all requests page after page, in the order of the ids, and checks that none is missing. The
    query then has no ORDER BY and no LIMIT.

    \b
    Examples:
      kafinea query "SELECT lastname, email FROM Contacts WHERE lastname LIKE 'Du%'"
      kafinea query "SELECT count(*) FROM Invoice"
      kafinea query --all "SELECT accountname FROM Accounts" --csv > accounts.csv
    """  # noqa: D301 click keeps the lines behind the character \b
    if is_all:
        try:
            selected = _without_pages(parse_select(text))
        except QueryError as error:
            raise click.BadParameter(str(error), param_hint="QUERY") from None
    with opened(options) as instance:
        output.rows(_all(instance, selected) if is_all else _page(instance, text, output))


def _without_pages(selected: Select) -> Select:
    """Check that a query can be read page after page.

    Raises:
        QueryError: It cannot.
    """
    if selected.columns == ("count(*)",):
        raise QueryError("A count has one row. Leave out --all.")
    if selected.is_limited:
        raise QueryError("--all returns all records. Remove LIMIT, or leave out --all.")
    if selected.is_ordered:
        raise QueryError(
            "--all returns the records in the order of their ids, so that none is missing when "
            "others are saved meanwhile. Remove ORDER BY, and sort the output."
        )
    return selected


def _all(instance: Instance, selected: Select) -> Iterator[Record]:
    client = instance.client
    pages = ModuleReader(
        client, selected.module, selected.columns, selected.where, sessions=client.max_sessions
    )
    for page in pages:
        yield from page


def _page(instance: Instance, text: str, output: Output) -> Iterator[Record]:
    """Yield what a query returns, and note if that may not be all.

    Raises:
        IncompleteRead: It returns nothing, although the server counts records.
    """
    text = text.rstrip()
    page = instance.client.query(text if text.endswith(";") else f"{text};")
    yield from page
    try:
        selected = parse_select(text)
    except QueryError:  # the server has read it all the same
        return
    if len(page) and len(page) % PAGE_SIZE == 0 and not selected.is_limited:
        output.note(f"{len(page)} records are shown. There may be more: use --all.")
    if not page and not selected.is_limited:
        _explain_nothing(instance, selected)


def _explain_nothing(instance: Instance, selected: Select) -> None:
    """Check that no records is the answer: a query that fails in the database has none either.

    Raises:
        IncompleteRead: The server counts some.
    """
    if counted := count(instance.client.query, selected.module, selected.where):
        raise IncompleteRead(
            f"The server returned no records, but counts {counted:,}: the query failed in its "
            "database. Put text and dates in quotes, and select each column that ORDER BY names."
        )
