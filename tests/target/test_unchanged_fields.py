"""Nothing changes that was not loaded: updates and creations, on every kind of server."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from kafinea_sandbox import Sandbox
from kafinea_sandbox.modules.model import Field
from kafinea_sandbox.operations.table import OPERATIONS
from kafinea_sandbox.server.request_log import Request
from tests.target.running import Run, empty, load, matched, messages, write_requests

DIALECTS = ("kafinea", "stock", "frevo", "corebos", "legacy")
TWO_DECIMALS = {"no_of_currency_decimals": "2", "currency_decimal_separator": "."}
POINT_GROUPS = {"currency_decimal_separator": ",", "currency_grouping_separator": "."}
FAITHFUL = {
    "no_of_currency_decimals": "8",
    "currency_decimal_separator": ".",
    "currency_grouping_separator": ",",
    "time_zone": "UTC",
}
"""The formats in which no server changes anything."""
OTHERS = "OTHER_FIELDS_CHANGED"
TRACES = {"modifiedtime", "modifiedby"}
FULL = {"update_method": "full"}

MODULES: dict[str, tuple[str, dict[str, Any], str]] = {
    "Contacts": (
        "cf_853",
        {"lastname": "Été", "cf_855": "-1234.567", "cf_861": "99.95", "cf_857": "7"},
        "title",
    ),
    "Accounts": ("accountname", {"annual_revenue": "1234567.89120000"}, "description"),
    "Leads": ("lastname", {"company": "ACME", "annualrevenue": "0.12345000"}, "description"),
    "Potentials": (
        "potentialname",
        {
            "amount": "124.24490000",
            "closingdate": "2026-01-01",
            "sales_stage": "Prospecting",
        },
        "nextstep",
    ),
    "Products": (
        "productcode",
        {"productname": "Desk", "unit_price": "10.12345678", "qtyinstock": "1.125"},
        "description",
    ),
}
"""By module: its key, a record with numbers that two decimals do not hold, a text to change."""
DAMAGED = {
    "Contacts": {"cf_855"},
    "Accounts": {"annual_revenue"},
    "Leads": {"annualrevenue"},
    "Potentials": {"amount"},
    "Products": {"unit_price", "qtyinstock"},
}


@contextmanager
def server(
    dialect: str, formats: Mapping[str, Any] = FAITHFUL, **options: Any
) -> Iterator[Sandbox]:
    """A Kafinea without records, whose API user has these formats."""
    with empty(dialect=dialect, **options) as sandbox:
        for user in (1, 2):
            sandbox.change("Users", user, {"conv_rate": "1.00000", **formats})
        yield sandbox


def fill(sandbox: Sandbox, module: str, count: int = 3, **more: Any) -> str:
    """Insert so many records; return the name of their key."""
    key, values, _ = MODULES[module]
    for number in range(count):
        sandbox.insert(module, values | {key: f"K{number}"} | more)
    return key


def change(module: str, count: int = 3, **more: Any) -> list[str]:
    """The lines of a stream that changes one text of each."""
    key, _, text = MODULES[module]
    return messages(module, *({key: f"K{n}", text: "new"} | more for n in range(count)))


def streams(module: str, **more: Any) -> dict[str, Any]:
    return matched(module, MODULES[module][0], **more)


def as_joe(sandbox: Sandbox) -> dict[str, str]:
    return {"username": "joe", "access_key": sandbox.access_key_of("joe")}


def stored(sandbox: Sandbox, module: str) -> list[dict[str, Any]]:
    return sandbox.sql(f'SELECT * FROM "{module}" WHERE _deleted = 0 ORDER BY _number')


def differing(
    before: list[dict[str, Any]], after: list[dict[str, Any]], *but: str
) -> list[set[str]]:
    """The columns in which each record differs, without the traces of every write."""
    return [
        {name for name in old if old[name] != new[name]} - TRACES - {*but}
        for old, new in zip(before, after, strict=True)
    ]


def elements(sandbox: Sandbox) -> list[dict[str, Any]]:
    """What each update was sent."""
    return [
        json.loads(request.params["element"])
        for request in sandbox.requests
        if request.operation in {"update", "revise"} and request.params["element"] != "{}"
    ]


# Nothing else changes


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_update_with_matching_formats_changes_only_loaded_fields(dialect, module):
    with server(dialect) as sandbox:
        fill(sandbox, module, description="Été & <b>gras</b> &amp;")
        before = stored(sandbox, module)
        run = load(sandbox, change(module), streams=streams(module))
        assert run.tally == {"updated": 3}
        text = MODULES[module][2]
        assert differing(before, stored(sandbox, module)) == [{text}] * 3
        assert load(sandbox, change(module), streams=streams(module)).tally == {"unchanged": 3}


@pytest.mark.parametrize(
    "formats", [TWO_DECIMALS, POINT_GROUPS, {"conv_rate": "1.25", "currency_id": 2}]
)
@pytest.mark.parametrize("user", ["joe"])
@pytest.mark.parametrize("module", [name for name in MODULES if name != "Products"])
@pytest.mark.parametrize("dialect", ["stock", "corebos"])  # the two ways to read numbers
def test_revise_is_safe_with_any_formats_of_the_user(dialect, module, user, formats):
    with server(dialect, formats) as sandbox:
        more = {} if user == "admin" else as_joe(sandbox)
        fill(sandbox, module)
        before = stored(sandbox, module)
        run = load(sandbox, change(module), streams=streams(module), **more)
        assert run.tally == {"updated": 3}
        assert differing(before, stored(sandbox, module)) == [{MODULES[module][2]}] * 3
        assert write_requests(sandbox) == ["revise"] * 3
        assert all(sent.keys() == {"id", MODULES[module][2]} for sent in elements(sandbox))


# OTHER_FIELDS_CHANGED


def rounding(module: str) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Servers that round what they are sent back: dialect, options, settings."""
    found = [("legacy", {}, {}), ("stock", {"revise": False}, {}), ("frevo", {}, FULL)]
    return [*found, ("stock", {}, {})] if module == "Products" else found


@pytest.mark.parametrize(
    ("module", "dialect", "options", "more"),
    [(module, *case) for module in MODULES for case in rounding(module)],
)
@pytest.mark.parametrize("user", ["admin"])
def test_update_rounds_one_record_at_most(module, dialect, options, more, user):
    with server(dialect, TWO_DECIMALS, **options) as sandbox:
        more = more | ({} if user == "admin" else as_joe(sandbox))
        key = fill(sandbox, module, 8)
        before = stored(sandbox, module)
        new = MODULES[module][1] | {key: "new"}
        if module == "Products":
            new |= {"unit_price": "10.12", "qtyinstock": "1.25"}
        else:
            new = {n: v for n, v in new.items() if n not in DAMAGED[module]}
        lines = [
            *change(module, 8),
            json.dumps({"type": "RECORD", "stream": module, "record": new}),
        ]
        properties = {name: {"type": ["string", "null"]} for name in new}
        lines[0] = messages(module, {key: "", MODULES[module][2]: ""}, properties=properties)[0]
        other = messages("Vendors", {"vendorname": "V"})
        vendors = matched("Vendors", "vendorname")
        run = load(sandbox, lines, other, streams=streams(module) | vendors, **more)
        assert run.code == 1
        assert run.tally == {"rejected": 8, "created": 2}
        assert set(run.codes) == {OTHERS}
        after = stored(sandbox, module)[:8]
        touched = differing(before, after, MODULES[module][2])
        assert sorted(touched, key=len) == [*[set()] * 7, DAMAGED[module]]
        assert len(elements(sandbox)) == 2  # the update, and the try to put back
        check_first(run, before, touched, DAMAGED[module], "could not be restored")


def check_first(
    run: Run,
    before: list[dict[str, Any]],
    touched: list[set[str]],
    damaged: set[str],
    said: str,
) -> None:
    """One record tells all; its old values stand in the rejects file and nowhere else."""
    (first,) = (one for one in run.rejects if one["type"] == "RECORD" and "before" in one)
    at = next(n for n, names in enumerate(touched) if names)
    # `currency1` is the unit price under another name.
    old = {n: float(v) for n, v in first["before"].items() if n != "currency1"}
    assert old == {name: float(before[at][name]) for name in damaged}
    assert said in first["message"]
    assert "number of decimals" in first["message"]
    assert "My preferences" in first["message"]
    assert "allow_changes" in first["message"]
    assert all(name in first["message"] for name in damaged)
    told = run.stderr + json.dumps(run.outcomes)
    assert not [name for name in damaged if str(before[at][name]).rstrip("0") in told]


@pytest.mark.parametrize(
    ("formats", "causes"),
    [
        (POINT_GROUPS, ["decimal and grouping separator"]),
        (FAITHFUL | {"time_zone": "Asia/Tokyo"}, ["time zone"]),
    ],
)
def test_update_on_corebos_misreads_one_record_at_most(formats, causes):
    with server("corebos", formats) as sandbox:
        fill(sandbox, "Contacts", cf_891="2026-07-01 12:34:00")
        before = stored(sandbox, "Contacts")
        run = load(sandbox, change("Contacts"), streams=streams("Contacts"), **FULL)
        assert (run.code, run.codes) == (1, [OTHERS] * 3)
        touched = differing(before, stored(sandbox, "Contacts"), "title")
        assert len([names for names in touched if names]) == 1
        (message,) = (r["message"] for r in run.rejects if "before" in r)
        assert all(cause in message for cause in causes)


@pytest.mark.parametrize(
    ("values", "tally"),
    [
        ({"amount": 100}, {"updated": 1}),
        ({"sales_stage": "Closed Won"}, {"updated": 1}),
        ({"nextstep": "call"}, {"rejected": 1}),
    ],
)
def test_forecast_follows_from_amount_and_stage_only(values, tally):
    """The server's own workflow sets it."""
    workflows: dict[str, dict[str, str]] = {}
    with server("stock", workflows=workflows) as sandbox:
        stored = {"potentialname": "Deal", "sales_stage": "Prospecting", "forecast_amount": "10"}
        sandbox.insert("Potentials", {**stored, "closingdate": "2026-01-01", "amount": "50"})
        workflows["Potentials"] = {"forecast_amount": "20"}
        lines = messages("Potentials", {"potentialname": "Deal", **values})
        assert load(sandbox, lines, streams=streams("Potentials")).tally == tally


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("allowed", "tally"),
    [
        ([], {"rejected": 3}),
        (["firstname"], {"rejected": 3}),
        (["cf_887"], {"updated": 3}),
        (["*"], {"updated": 3}),
    ],
)
def test_allow_changes_names_what_workflows_may_set(dialect, allowed, tally):
    with server(dialect, workflows={"Contacts": {"cf_887": "touched"}}) as sandbox:
        fill(sandbox, "Contacts", cf_887="secret")
        more = {"allow_changes": allowed} if allowed else {}
        run = load(sandbox, change("Contacts"), streams=streams("Contacts", **more))
        assert run.tally == tally
        touched = [row["cf_887"] for row in stored(sandbox, "Contacts")]
        if "updated" in tally:
            assert touched == ["touched"] * 3
            assert all(line["also_changed"] == ["cf_887"] for line in run.outcomes)
        else:
            assert sorted(touched) == ["secret", "secret", "touched"]
            assert run.codes == [OTHERS] * 3
            assert run.code == 1
        assert "secret" not in run.stderr + json.dumps(run.outcomes)


def test_changed_fields_are_restored_where_possible():
    """As after a workflow that sets a field once. With `revise`, nothing shows that it was one."""
    workflows = {"Contacts": {"cf_887": "touched"}}
    with server("stock", workflows=workflows, revise=False) as sandbox:
        fill(sandbox, "Contacts", cf_887="mine")
        before = stored(sandbox, "Contacts")
        before_the_second_write(sandbox, workflows.clear)
        run = load(sandbox, change("Contacts"), streams=streams("Contacts"))
        assert run.codes == [OTHERS] * 3
        assert sum("The old values were restored" in line["message"] for line in run.outcomes) == 1
        touched = differing(before, stored(sandbox, "Contacts"))
        assert sorted(touched, key=len) == [set(), set(), {"title"}]


@pytest.mark.parametrize("sessions", [1, 4])
@pytest.mark.parametrize("dialect", ["kafinea", "stock", "corebos", "legacy"])
def test_updates_are_all_checked(dialect, sessions):
    """A workflow is switched on in the middle of a run."""
    workflows: dict[str, dict[str, str]] = {}
    with server(dialect, workflows=workflows) as sandbox:
        fill(sandbox, "Contacts", 12, cf_887="mine")
        before_the_second_write(
            sandbox, lambda: workflows.update({"Contacts": {"cf_887": "touched"}})
        )
        run = load(
            sandbox, change("Contacts", 12), streams=streams("Contacts"), max_sessions=sessions
        )
        touched = {r["cf_853"] for r in stored(sandbox, "Contacts") if r["cf_887"] == "touched"}
        told = {one["record"]["cf_853"] for one in run.rejects if one.get("before")}
        assert run.tally == {"updated": 1, "rejected": 11}
        assert touched == told
        assert 1 <= len(touched) <= sessions


def before_the_second_write(sandbox: Sandbox, act: Callable[[], None]) -> None:
    """Do something just before the second update comes."""
    add, seen = sandbox.requests.add, [0]

    def adding(operation: str, method: str, params: dict[str, str]) -> Request:
        seen[0] += operation in {"revise", "update"} and params["element"] != "{}"
        if seen[0] == 2:
            act()
        return add(operation, method, params)

    sandbox.requests.add = adding  # type: ignore[method-assign]


def test_first_update_of_each_set_of_fields_goes_alone():
    """The others wait until it was looked at; what was sound for one field says nothing of two."""
    with server("stock", latency_ms=3) as sandbox:
        fill(sandbox, "Contacts", 12)
        records = [{"cf_853": f"K{n}", "title" if n < 6 else "fax": "new"} for n in range(12)]
        run = load(sandbox, messages("Contacts", *records), streams=streams("Contacts"))
        assert run.tally == {"updated": 12}
        requests = list(sandbox.requests)
        for name in ("title", "fax"):
            writes = [
                n
                for n, request in enumerate(requests)
                if request.operation == "revise" and f'"{name}"' in request.params["element"]
            ]
            first = json.loads(requests[writes[0]].params["element"])["id"]
            looked = next(
                n
                for n, request in enumerate(requests)
                if n > writes[0] and request.params == {"id": first}
            )
            assert writes[1] > looked
            assert len(writes) == 6


def test_updates_that_cannot_fail_prove_nothing():
    """The first record has no number; those behind it have, and the server rounds."""
    with server("legacy", TWO_DECIMALS) as sandbox:
        key = fill(sandbox, "Contacts", 1, cf_855="0.000")
        for number in range(1, 9):
            sandbox.insert("Contacts", MODULES["Contacts"][1] | {key: f"K{number}"})
        before = stored(sandbox, "Contacts")
        one_by_one = {"max_sessions": 1, "max_rejects": -1}
        run = load(sandbox, change("Contacts", 9), streams=streams("Contacts"), **one_by_one)
        assert run.tally == {"updated": 1, "rejected": 8}
        touched = differing(before, stored(sandbox, "Contacts"), "title")
        assert len([names for names in touched if names]) == 1


@pytest.mark.parametrize("place", ["before the write", "after the write"])
def test_concurrent_change_of_a_user_is_not_reverted(place):
    """Somebody edits the record between the look before an update and the one after it."""
    with server("stock") as sandbox:
        fill(sandbox, "Contacts")

        def edit(operation: str) -> None:
            if operation == "revise":
                sandbox.sql("UPDATE Contacts SET fax = 'by hand', modifiedby = 6")

        at_write(sandbox, edit, later=place == "after the write")
        run = load(sandbox, change("Contacts"), streams=streams("Contacts"), check=False)
        assert {row["fax"] for row in stored(sandbox, "Contacts")} == {"by hand"}
        assert run.codes == [OTHERS] * 3
        assert sum("nothing was restored" in line["message"] for line in run.outcomes) == 1
        assert len(elements(sandbox)) == 1


def at_write(sandbox: Sandbox, act: Callable[[str], None], *, later: bool) -> None:
    """Let somebody act just before a write, or before the request that follows it."""
    add, last = sandbox.requests.add, [""]

    def adding(operation: str, method: str, params: dict[str, str]) -> Request:
        write = operation if params.get("element", "{}") != "{}" else ""
        act(last[0] if later else write)
        last[0] = write
        return add(operation, method, params)

    sandbox.requests.add = adding  # type: ignore[method-assign]


# What is sent

NEVER = {"modifiedby", "createdtime", "modifiedtime", "creator", "contact_no", "source", "label"}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("user", ["admin", "joe"])
def test_fields_set_by_the_server_are_never_sent(dialect, user):
    """A user who is no administrator may name nobody above them, in `modifiedby` either."""
    with server(dialect) as sandbox:
        more = {} if user == "admin" else as_joe(sandbox)
        fill(sandbox, "Contacts")
        run = load(sandbox, change("Contacts"), streams=streams("Contacts"), **FULL, **more)
        assert run.tally == {"updated": 3}
        assert all(NEVER.isdisjoint(sent) for sent in elements(sandbox))
        assert all(len(sent) > 20 for sent in elements(sandbox))
        assert write_requests(sandbox) == ["update"] * 3


@pytest.mark.parametrize("method", ["auto", "full"])
@pytest.mark.parametrize("dialect", ["stock", "frevo"])
def test_fields_hidden_by_a_profile_stay(dialect, method):
    hidden = {"Contacts": ["cf_855", "fax"]}
    with server(dialect, hidden_fields=hidden) as sandbox:
        fill(sandbox, "Contacts", fax="1")
        before = stored(sandbox, "Contacts")
        more = as_joe(sandbox) | {"update_method": method}
        run = load(sandbox, change("Contacts"), streams=streams("Contacts"), **more)
        assert run.tally == {"updated": 3}
        assert differing(before, stored(sandbox, "Contacts")) == [{"title"}] * 3


@pytest.mark.parametrize(
    ("dialect", "options", "method", "operation"),
    [
        *((name, {}, "auto", "update" if name == "legacy" else "revise") for name in DIALECTS),
        ("kafinea", {"revise": False}, "auto", "update"),
        ("legacy", {"revise": True}, "auto", "revise"),
        ("stock", {}, "full", "update"),
    ],
)
def test_revise_is_used_where_available(dialect, options, method, operation):
    with server(dialect, **options) as sandbox:
        fill(sandbox, "Contacts", 1)
        before = stored(sandbox, "Contacts")
        lines = change("Contacts", 1)
        assert load(sandbox, lines, streams=streams("Contacts"), update_method=method).code == 0
        assert write_requests(sandbox) == [operation]
        assert differing(before, stored(sandbox, "Contacts")) == [{"title"}]


def test_update_method_that_is_unknown_is_refused():
    with server("stock") as sandbox:
        fill(sandbox, "Contacts", 1)
        run = load(
            sandbox,
            change("Contacts", 1),
            streams=streams("Contacts"),
            update_method="half",
            check=False,
        )
        assert run.code != 0
        assert "update_method" in run.stderr
        assert write_requests(sandbox) == []


# Prices


@pytest.mark.parametrize("module", ["Products", "Services"])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("user", ["joe"])
def test_prices_in_other_currencies_stay_as_they_are(dialect, module, user):
    """Those there are and those there are not: sent back, a 0 would become a price of 0."""
    with server(dialect) as sandbox:
        more = {} if user == "admin" else as_joe(sandbox)
        yen = {"currency_name": "Yen", "currency_code": "JPY", "conversion_rate": "120.00000"}
        sandbox.insert("Currency", yen | {"currency_status": "Active"})
        name = "productname" if module == "Products" else "servicename"
        for number, prices in enumerate([{}, {"currency2": "77.50000000"}]):
            sandbox.insert(
                module, {name: f"K{number}", "unit_price": "10.12345678", "tax1": "20.000"} | prices
            )
        before, old = sandbox.sql("SELECT * FROM _price"), stored(sandbox, module)
        assert len(before) == 1
        records = [{name: f"K{n}", "description": "new"} for n in (0, 1)]
        run = load(sandbox, messages(module, *records), streams=matched(module, name), **more)
        assert run.tally == {"updated": 2}
        assert sandbox.sql("SELECT * FROM _price") == before
        assert differing(old, stored(sandbox, module)) == [{"description"}] * 2
        assert write_requests(sandbox) == ["update"] * 2


@pytest.mark.parametrize("dialect", ["kafinea", "stock", "legacy"])
def test_prices_of_one_product_at_most_change_for_a_foreign_user(dialect):
    with server(dialect, FAITHFUL | {"conv_rate": "1.25", "currency_id": 2}) as sandbox:
        fill(sandbox, "Products", currency2="77.50000000", unit_price="10.00000000")
        run = load(sandbox, change("Products"), streams=streams("Products"))
        assert run.codes == [OTHERS] * 3
        prices = sorted(float(row["actual"]) for row in sandbox.sql("SELECT * FROM _price"))
        assert prices[1:] == [77.5, 77.5]
        (first,) = (r for r in run.rejects if "before" in r)
        assert float(first["before"]["currency2"]) == 77.5
        assert "currency" in first["message"]
        assert "77.5" not in run.stderr
        assert "its currency is not" not in run.stderr
        assert "currency of the API user is not the base currency" in run.stderr


@pytest.mark.parametrize("accepted", [False, True])
def test_prices_are_safe_with_a_point_that_groups_digits(accepted):
    """The API does not show them, so the update is not sent."""
    formats = FAITHFUL | {"currency_grouping_separator": "."}
    with server("stock", formats) as sandbox:
        fill(sandbox, "Products", 1)
        other = MODULES["Products"][1] | {"productcode": "K1", "currency2": "77.50000000"}
        sandbox.insert("Products", other)
        before = sandbox.sql("SELECT * FROM _price")
        told = streams("Products", accept_side_effects=accepted)
        run = load(sandbox, change("Products", 2), streams=told)
        if accepted:
            assert run.tally == {"updated": 2}
            return
        assert run.tally == {"updated": 1, "rejected": 1}
        assert run.of("K1")[0]["code"] == "SIDE_EFFECTS"
        assert "grouping separator" in run.of("K1")[0]["message"]
        assert sandbox.sql("SELECT * FROM _price") == before


def test_unit_price_update_changes_nothing_else():
    with server("stock") as sandbox:
        fill(sandbox, "Products", currency2="77.50000000")
        records = [{"productcode": f"K{n}", "unit_price": 12.5} for n in range(3)]
        before = stored(sandbox, "Products")
        run = load(sandbox, messages("Products", *records), streams=streams("Products"))
        assert run.tally == {"updated": 3}
        assert differing(before, stored(sandbox, "Products")) == [{"unit_price"}] * 3
        assert {row["actual"] for row in sandbox.sql("SELECT * FROM _price")} == {"77.50000000"}


# What the API does not show

EVENT = {
    "subject": "K0",
    "date_start": "2026-01-15",
    "time_start": "10:00",
    "due_date": "2026-01-15",
    "time_end": "11:00",
    "duration_hours": "1",
    "eventstatus": "Planned",
    "activitytype": "Meeting",
}
HIDDEN = {
    "Events": (EVENT, "subject", {"location": "here"}, "invitees"),
    "Faq": (
        {"question": "K0", "faq_answer": "A", "faqstatus": "Draft"},
        "question",
        {"faq_answer": "B"},
        "owner",
    ),
    "PriceBooks": (
        {"bookname": "K0", "currency_id": 1},
        "bookname",
        {"description": "new"},
        "owner",
    ),
}


@pytest.mark.parametrize("module", HIDDEN)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_values_hidden_from_the_api_are_lost_only_if_accepted(dialect, module):
    values, key, changed, lost = HIDDEN[module]
    with server(dialect) as sandbox:
        number = int(sandbox.insert(module, values).partition("x")[2])
        sandbox.sql("INSERT INTO _invitee VALUES (?, 5)", [number])
        before = stored(sandbox, module)
        lines = messages(module, {key: "K0"} | changed)
        run = load(sandbox, lines, streams=matched(module, key))
        assert run.codes == ["SIDE_EFFECTS"]
        assert lost in run.only["message"]
        assert "accept_side_effects" in run.only["message"]
        assert run.only["id"]
        assert (write_requests(sandbox), stored(sandbox, module)) == ([], before)
        assert load(sandbox, lines, streams=matched(module, key), dry_run=True).codes == [
            "SIDE_EFFECTS"
        ]
        accepted = matched(module, key, accept_side_effects=True)
        assert load(sandbox, lines, streams=accepted).tally == {"updated": 1}
        if module != "PriceBooks":  # its currency is a reference
            new = messages(module, values | {key: "new"})
            assert load(sandbox, new, streams=matched(module, key)).tally == {"created": 1}


# Owners who are gone


@pytest.mark.parametrize("method", ["auto", "full"])
@pytest.mark.parametrize("dialect", ["kafinea", "stock", "frevo"])
def test_record_without_owner_is_not_assigned_to_the_api_user(dialect, method):
    with server(dialect) as sandbox:
        fill(sandbox, "Contacts")
        sandbox.change(
            "Contacts", stored(sandbox, "Contacts")[1]["_number"], {"assigned_user_id": 999}
        )
        before = stored(sandbox, "Contacts")
        more = {"streams": streams("Contacts"), "update_method": method}
        run = load(sandbox, change("Contacts"), **more)
        assert run.tally == {"updated": 2, "rejected": 1}
        assert run.codes == ["OWNER_GONE"]
        assert "assigned_user_id" in run.of("K1")[0]["message"]
        assert differing(before, stored(sandbox, "Contacts")) == [{"title"}, set(), {"title"}]
        owner = f"{sandbox.instance.tables['Users'].prefix}x6"
        given = messages("Contacts", {"cf_853": "K1", "title": "new", "assigned_user_id": owner})
        assert load(sandbox, given, **more).tally == {"updated": 1}
        assert stored(sandbox, "Contacts")[1]["assigned_user_id"] == 6


@pytest.mark.parametrize("dialect", ["corebos", "legacy"])
def test_record_without_owner_that_cannot_be_read_is_rejected(dialect):
    with server(dialect) as sandbox:
        fill(sandbox, "Contacts")
        sandbox.change(
            "Contacts", stored(sandbox, "Contacts")[1]["_number"], {"assigned_user_id": 999}
        )
        before = stored(sandbox, "Contacts")
        run = load(sandbox, change("Contacts"), streams=streams("Contacts"))
        assert run.tally == {"updated": 2, "rejected": 1}
        assert differing(before, stored(sandbox, "Contacts")) == [{"title"}, set(), {"title"}]


# Lost answers


@pytest.mark.parametrize("fault", ["fatal_after", "reset_after", "truncate"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_update_with_lost_answer_is_read_back(dialect, fault):
    with server(dialect) as sandbox:
        fill(sandbox, "Contacts")
        before = stored(sandbox, "Contacts")
        operation = "update" if dialect == "legacy" else "revise"
        sandbox.faults.add(fault, operation=operation, contains="title")
        run = load(sandbox, change("Contacts"), streams=streams("Contacts"))
        assert run.tally == {"updated": 3}
        assert differing(before, stored(sandbox, "Contacts")) == [{"title"}] * 3
        assert len(elements(sandbox)) == 3


def test_update_with_lost_answer_still_reports_other_changes():
    with server("legacy", TWO_DECIMALS) as sandbox:
        fill(sandbox, "Contacts")
        sandbox.faults.add("fatal_after", operation="update")
        run = load(sandbox, change("Contacts"), streams=streams("Contacts"))
        assert run.codes == [OTHERS] * 3


# Creations


def contacts(count: int, **more: Any) -> list[str]:
    return messages(
        "Contacts", *({"cf_853": f"K{n}", "lastname": "x"} | more for n in range(count))
    )


@pytest.mark.parametrize(
    ("dialect", "formats", "options", "values", "cause"),
    [
        ("stock", TWO_DECIMALS, {}, {"cf_855": 0.125}, "number of decimals"),
        ("corebos", TWO_DECIMALS, {}, {"cf_855": 0.125}, "number of decimals"),
        ("legacy", TWO_DECIMALS, {}, {"cf_855": 0.125}, "number of decimals"),
        ("corebos", POINT_GROUPS, {}, {"cf_861": 1234.5}, "separator"),
        ("kafinea", FAITHFUL, {"workflows": {"Contacts": {"fax": "9"}}}, {"fax": "1"}, "workflow"),
        ("stock", FAITHFUL, {"alters": {"Contacts.fax": "cut:3"}}, {"fax": "12345"}, ""),
        (
            "corebos",
            FAITHFUL | {"time_zone": "Asia/Tokyo"},
            {},
            {"cf_891": "2026-01-01T10:00:00Z"},
            "time zone",
        ),
    ],
)
def test_creation_not_as_sent_stops_the_others(dialect, formats, options, values, cause):
    with server(dialect, formats, **options) as sandbox:
        fill(sandbox, "Contacts", 1)
        run = load(
            sandbox,
            messages(
                "Contacts", *({"cf_853": f"N{n}", "lastname": "x"} | values for n in range(6))
            ),
            messages("Vendors", {"vendorname": "V"}),
            streams=streams("Contacts") | matched("Vendors", "vendorname"),
            max_rejects=-1,
        )
        assert (run.code, run.codes) == (1, ["NOT_AS_SENT"] * 6)
        assert run.tally == {"rejected": 6, "created": 1}
        assert sandbox.count("Contacts") == 2
        assert (
            len([r for r in sandbox.requests.of("create") if r.params["elementType"] == "Contacts"])
            == 1
        )
        first = next(line for line in run.outcomes if line["id"])
        assert next(iter(values)) in first["message"]
        assert cause in first["message"]


def test_creation_may_be_altered_if_allowed():
    with server("stock", workflows={"Contacts": {"fax": "9"}}) as sandbox:
        run = load(
            sandbox, contacts(3, fax="1"), streams=streams("Contacts", allow_changes=["fax"])
        )
        assert run.tally == {"created": 3}
        assert all(line["altered"] == ["fax"] for line in run.outcomes)


NUMBERS = {
    "decimals": ("stock", TWO_DECIMALS, {"cf_855": 0.125}, "keeps only 2 decimals", "decimals"),
    "another": ("corebos", POINT_GROUPS, {"cf_861": 1234.5}, "another number", "separator"),
}


@pytest.mark.parametrize("is_allowed", [False, True])
@pytest.mark.parametrize("are_new", [False, True])
@pytest.mark.parametrize("what", NUMBERS)
def test_number_that_the_server_alters_is_sent_once_unless_that_is_allowed(
    what, are_new, is_allowed
):
    dialect, formats, values, reason, cause = NUMBERS[what]
    with server(dialect, formats) as sandbox:
        if not are_new:
            fill(sandbox, "Contacts", 3)
        allowed = streams("Contacts", allow_changes=list(values) if is_allowed else [])
        run = load(sandbox, contacts(3, **values), streams=allowed, max_rejects=-1)
        if is_allowed:
            assert run.tally == {"created" if are_new else "updated": 3}
            return
        assert run.codes == ["NOT_AS_SENT"] * 3
        if not are_new:  # new ones are stopped altogether
            later = [one["message"] for one in run.outcomes if "not sent: " in one["message"]]
            assert len(later) == 2
            assert all(reason in one and cause in one for one in later)


CURRENCY = {"conv_rate": "1.25", "currency_id": 2, "no_of_currency_decimals": "2"}


@pytest.mark.parametrize("dialect", ["stock", "frevo", "legacy", "corebos"])
@pytest.mark.parametrize(
    ("formats", "field", "bad", "good"),
    [(TWO_DECIMALS, "cf_855", 0.125, 0.25), (CURRENCY, "annual_revenue", 0.01, 1)],
)
def test_number_that_cannot_be_kept_is_stored_once(dialect, formats, field, bad, good):
    """Rejected as soon as that is known, then not sent, in the next run either."""
    module = "Contacts" if field == "cf_855" else "Accounts"
    key = MODULES[module][0]
    fixed = {"lastname": "x"} if module == "Contacts" else {}
    with server(dialect, formats | {"currency_decimal_separator": "."}) as sandbox:
        records = [{key: "G", field: good}, *({key: f"N{n}", field: bad} for n in range(4))]
        lines = messages(module, *(fixed | record for record in records))
        run = load(sandbox, lines, streams=streams(module))
        assert run.codes == ["NOT_AS_SENT"] * 4
        assert run.tally == {"created": 1, "rejected": 4}
        ids = [line for line in run.outcomes if line["outcome"] == "rejected" and line["id"]]
        written = len(ids)
        assert 1 <= written <= 4  # those under way at the same time
        sandbox.requests.clear()
        again = load(sandbox, lines, streams=streams(module))
        assert again.codes == ["NOT_AS_SENT"] * 4
        assert again.code == 1
        known = {line["id"] for line in ids}
        sent_again = [e for e in elements(sandbox) if e["id"] in known]
        assert sent_again == []


# Formats


@pytest.mark.parametrize(
    ("formats", "said"),
    [
        ({"currency_decimal_separator": ","}, ["decimal separator"]),
        ({"conv_rate": "1.25", "currency_id": 2}, ["base currency"]),
        ({}, []),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_formats_that_may_matter_are_logged_before_the_first_write(dialect, formats, said):
    with server(dialect, FAITHFUL | formats) as sandbox:
        run = load(sandbox, contacts(2), streams=streams("Contacts"))
        warned = [line for line in run.stderr.splitlines() if " of the API user is " in line]
        assert len(warned) == len(said)
        assert all(text in line for text, line in zip(said, warned, strict=True))
        assert all("My preferences" in line for line in warned)
        operations = [r.operation for r in sandbox.requests]
        retrieved = [
            n
            for n, r in enumerate(sandbox.requests)
            if r.operation == "retrieve"
            and r.params["id"] == f"{sandbox.instance.tables['Users'].prefix}x1"
        ]
        assert len(retrieved) == 1
        assert retrieved[0] < operations.index("create")


def test_formats_may_be_unreadable_for_the_user():
    with server("stock") as sandbox:
        run = load(sandbox, contacts(2), streams=streams("Contacts"), **as_joe(sandbox))
        assert run.tally == {"created": 2}
        assert " of the API user is " not in run.stderr


# A dry run


@pytest.mark.parametrize("dialect", DIALECTS)
def test_dry_run_writes_nothing(dialect):
    with server(dialect, TWO_DECIMALS) as sandbox:
        fill(sandbox, "Contacts", 2)
        before = stored(sandbox, "Contacts")
        lines = change("Contacts", 3, lastname="x")
        run = load(sandbox, lines, streams=streams("Contacts"), dry_run=True)
        assert run.tally == {"updated": 2, "created": 1}
        assert (write_requests(sandbox), stored(sandbox, "Contacts")) == ([], before)


# A custom field with every kind of number


@pytest.mark.parametrize("dialect", DIALECTS)
def test_numbers_of_every_kind_stay(dialect):
    with server(dialect) as sandbox:
        kinds = {
            "cf_2001": Field("cf_2001", "A", "double", scale=3),
            "cf_2003": Field("cf_2003", "B", "double", scale=5),
            "cf_2005": Field("cf_2005", "C", "currency", scale=2),
            "cf_2007": Field("cf_2007", "D", "currency", scale=8),
            "cf_2009": Field("cf_2009", "E", "integer"),
        }
        sandbox.redefine("Accounts", *kinds.values())
        numbers = {
            "cf_2001": "-1234.567",
            "cf_2003": "0.12345",
            "cf_2005": "1234567.89",
            "cf_2007": "10.12345600",
            "cf_2009": "-42",
        }
        fill(sandbox, "Accounts", **numbers)
        before = stored(sandbox, "Accounts")
        assert load(sandbox, change("Accounts"), streams=streams("Accounts")).tally == {
            "updated": 3
        }
        assert differing(before, stored(sandbox, "Accounts")) == [{"description"}] * 3
        told = {name: float(value) for name, value in numbers.items()} | {"cf_2009": -42}
        lines = change("Accounts", 4, **told)
        assert load(sandbox, lines, streams=streams("Accounts")).tally == {
            "unchanged": 3,
            "created": 1,
        }
        (*_, new) = stored(sandbox, "Accounts")
        assert {name: new[name] for name in numbers} == numbers


def answer_with_an_id_only(monkeypatch, operation):
    whole = OPERATIONS[operation]
    answering = whole._replace(run=lambda call: {"id": whole.run(call)["id"]})
    monkeypatch.setitem(OPERATIONS, operation, answering)


@pytest.mark.parametrize(("operation", "how"), [("revise", "auto"), ("update", "full")])
def test_records_are_read_back_a_hundred_at_a_time(monkeypatch, operation, how):
    with empty() as sandbox:
        for n in range(120):
            sandbox.insert("Contacts", {"cf_853": f"{n}", "lastname": "x"})
        answer_with_an_id_only(monkeypatch, operation)
        records = [{"cf_853": f"{n}", "phone": "1"} for n in range(120)]
        run = load(
            sandbox,
            messages("Contacts", *records),
            streams=matched("Contacts", "cf_853"),
            update_method=how,
        )
        assert run.tally == {"updated": 120}
        asked = Counter(request.operation for request in sandbox.requests)
        # Each before its update; and a few more: the first one after it, the user, who has waited.
        assert asked["retrieve"] < 120 + 12
        assert asked["query"] == 2 + 2


def test_damage_missing_from_answers_is_found_when_records_are_read_back(monkeypatch):
    with empty(dialect="stock", workflows={"Contacts": {"title": "touched"}}) as sandbox:
        sandbox.insert("Contacts", {"cf_853": "first", "lastname": "x", "title": "touched"})
        sandbox.insert("Contacts", {"cf_853": "second", "lastname": "x", "title": "Director"})
        answer_with_an_id_only(monkeypatch, "revise")
        records = [{"cf_853": key, "phone": "1"} for key in ("first", "second")]
        run = load(sandbox, messages("Contacts", *records), streams=matched("Contacts", "cf_853"))
        assert [line["outcome"] for line in run.outcomes] == ["updated", "rejected"]
        assert run.codes == ["OTHER_FIELDS_CHANGED"]
        assert run.rejects[-1]["before"] == {"title": "Director"}
