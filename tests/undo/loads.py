"""Loads that are taken back, and what a Kafinea holds before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from kafinea import Client
from kafinea.load import Load, LoadOptions, Result
from kafinea.load.undo import Undo, Undone
from kafinea.parsing import decimal
from kafinea_sandbox import Sandbox
from kafinea_sandbox.company import settings as demo_settings

DIALECTS = ("kafinea", "stock", "frevo", "corebos", "legacy")
FAITHFUL = {
    "no_of_currency_decimals": "8",
    "currency_decimal_separator": ".",
    "currency_grouping_separator": ",",
    "conv_rate": "1.00000",
}
"""Formats of a user that change no number."""

_NOT_COMPARED = {
    *("id", "createdtime", "modifiedtime", "modifiedby", "source"),
    *("account_no", "contact_no", "document_no", "invoice_no", "quote_no", "salesorder_no"),
    *("parent_id", "sequence_no", "image", "purchase_cost", "margin"),
}
_NAMES = {"Accounts": "accountname", "Products": "productname"}
_MAPPING = ("match_on", "references", "allow_changes", "accept_side_effects")


def small_company(**options: Any) -> Sandbox:
    """A Kafinea without records, whose API user has formats that change no number."""
    sandbox = Sandbox(company=demo_settings.rows(), **options)
    for user in (1, 2):
        sandbox.change("Users", user, FAITHFUL)
    return sandbox


def client_of(sandbox: Sandbox, **options: Any) -> Client:
    return Client(sandbox.url, sandbox.username, sandbox.access_key, **options)


@contextmanager
def loading(
    client: Client, module: str, path: Path, **more: Any
) -> Iterator[Callable[..., list[Result]]]:
    """Yield what loads records of a module and notes its writes."""
    mapping = {name: more.pop(name) for name in _MAPPING if name in more}
    options = LoadOptions(undo_path=str(path), hard_delete=True, **more)
    with Load(client, module, options=options, **mapping) as load:
        yield lambda *records: list(load(records))


def undo(client: Client, path: Path, **options: Any) -> list[Undone]:
    with Undo(str(path), client, **options) as undoing:
        return list(undoing())


def actions(undone: Iterable[Undone]) -> dict[str, int]:
    return dict(Counter(one.action.value for one in undone))


def contents(sandbox: Sandbox, *modules: str) -> dict[str, Any]:
    """What the modules hold, whatever the ids and document numbers are."""
    names = {
        row["id"]: f"{module} {row[name]}"
        for module, name in _NAMES.items()
        for row in sandbox.rows(module)
    }
    has_lines = "LineItem" in sandbox.instance.tables
    lines = sandbox.rows("LineItem") if has_lines else []
    return {
        module: sorted(
            (
                _plain(row, names),
                [_plain(line, names) for line in lines if line["parent_id"] == row["id"]],
            )
            for row in sandbox.rows(module)
        )
        for module in modules
    }


def _plain(row: dict[str, Any], names: dict[str, str]) -> list[tuple[str, str]]:
    compared = {name: value for name, value in row.items() if name not in _NOT_COMPARED}
    return sorted((name, _value(names.get(value, value))) for name, value in compared.items())


def _value(value: Any) -> str:
    number = Decimal(0) if value in ("", None) else decimal(value)  # one to the server
    return str(value) if number is None else str(number.normalize())
