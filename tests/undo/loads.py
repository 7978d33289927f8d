"""Loads that are taken back, and what a Kafinea holds before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kafinea import Client
from kafinea.load import Load, LoadOptions, Result
from kafinea.load.undo import Undo, Undone
from kafinea_sandbox import Sandbox
from kafinea_sandbox.company import settings as demo_settings

FAITHFUL = {
    "no_of_currency_decimals": "8",
    "currency_decimal_separator": ".",
    "currency_grouping_separator": ",",
    "conv_rate": "1.00000",
}
"""Formats of a user that change no number."""

_TRACES = {
    *("id", "createdtime", "modifiedtime", "modifiedby", "source"),
    *("contact_no", "account_no", "quote_no", "salesorder_no", "product_no", "document_no"),
}
_LINE_TRACES = {"id", "parent_id", "sequence_no", "image", "purchase_cost", "margin"}
_NAMES = {
    "Accounts": "accountname",
    "Contacts": "lastname",
    "Products": "productname",
}


def small_company(**options: Any) -> Sandbox:
    """A Kafinea without records, whose API user has formats that change no number."""
    sandbox = Sandbox(company=demo_settings.rows(), **options)
    for user in (1, 2):
        sandbox.change("Users", user, FAITHFUL)
    return sandbox


def client_of(sandbox: Sandbox, **options: Any) -> Client:
    return Client(sandbox.url, sandbox.username, sandbox.access_key, **options)


@contextmanager
def loading(client: Client, module: str, path: Path, **more: Any):
    """Yield what loads records of a module, and notes its writes."""
    mapping = {name: more.pop(name) for name in ("match_on", "references", "fields") if name in more}
    accept = more.pop("accept_side_effects", False)
    options = LoadOptions(undo_path=str(path), **{"hard_delete": True, **more})
    with Load(
        client, module, options=options, accept_side_effects=accept, **mapping
    ) as load:
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
    held: dict[str, Any] = {}
    for module in modules:
        rows = sandbox.rows(module)
        held[module] = sorted(
            sorted((name, names.get(value, value)) for name, value in row.items()
                   if name not in _TRACES)
            for row in rows
        )
        if "LineItem" in sandbox.instance.tables:
            lines: dict[str, list[Any]] = {row["id"]: [] for row in rows}
            for line in sandbox.rows("LineItem"):
                if line["parent_id"] in lines:
                    values = {k: names.get(v, v) for k, v in line.items() if k not in _LINE_TRACES}
                    lines[line["parent_id"]].append(sorted(values.items()))
            held[f"lines of {module}"] = sorted(lines.values())
    return held
