"""The demo company: true to its modules, to its arithmetic, and to the calendar."""

from __future__ import annotations

import zlib
from collections import Counter
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import islice

import pytest

from kafinea_sandbox.company import company
from kafinea_sandbox.company.calendar import DAY, Calendar
from kafinea_sandbox.company.people import FAIR_VISITORS, account_name
from kafinea_sandbox.modules import MODULES
from kafinea_sandbox.modules.model import Field
from kafinea_sandbox.rows import File, Relation, Row

NOW = datetime(2026, 11, 20, 10, 41)
MODULE = {module.name: module for module in MODULES}
FIELD = {module.name: {field.name: field for field in module.fields} for module in MODULES}
NUMBER_TYPES = {"double", "currency"}
OWN_SEQUENCE = {"LineItem", "Currency", "DocumentFolders", "Tax", "CompanyDetails"}
CENT = Decimal("0.01")


def generated(rows: int, seed: int = 1) -> list[Row | File | Relation]:
    return list(company(rows, seed, NOW))


@pytest.fixture(scope="module")
def records() -> list[Row | File | Relation]:
    return generated(5000)


@pytest.fixture(scope="module")
def rows(records: list[Row | File | Relation]) -> list[Row]:
    return [record for record in records if isinstance(record, Row)]


@pytest.fixture(scope="module")
def kinds(records: list[Row | File | Relation]) -> dict[int, str]:
    """The module of every entity, by number."""
    return {
        record.number: record.module
        for record in records
        if isinstance(record, Row) and record.module not in OWN_SEQUENCE | {"Users", "Groups"}
    }


def text(value: str | int | None) -> str:
    assert isinstance(value, str)
    return value


def test_company_is_the_same_for_the_same_seed() -> None:
    assert generated(1000, seed=7) == generated(1000, seed=7)
    assert generated(1000, seed=7) != generated(1000, seed=8)


@pytest.mark.parametrize(("wanted", "within"), [(300, 0.4), (1000, 0.3), (5000, 0.1)])
def test_company_size_is_about_that_requested(wanted: int, within: float) -> None:
    assert len(generated(wanted)) == pytest.approx(wanted, rel=within)


@pytest.mark.parametrize("seed", range(12))
def test_company_of_any_size_has_records_of_each_module(seed: int) -> None:
    found = {record.module for record in generated(300, seed) if isinstance(record, Row)}
    # The taxes of a product are fields of the product; the table ProductTaxes is empty.
    assert set(MODULE) - found == {"ProductTaxes", "InventoryDetails", "Equipment"}


@pytest.mark.parametrize("size", [0, 1, 50])
def test_company_of_size_zero_is_valid(size: int) -> None:
    assert generated(size)


def test_records_are_in_the_order_of_their_numbers(
    records: list[Row | File | Relation],
) -> None:
    sequences: dict[str, int] = {}
    for record in records:
        if isinstance(record, Relation):
            continue
        module = record.module if isinstance(record, Row) else "a file"
        people = "people" if module in {"Users", "Groups"} else "entities"
        sequence = module if module in OWN_SEQUENCE else people
        assert record.number == sequences.get(sequence, 0) + 1
        sequences[sequence] = record.number


def test_rows_contain_the_fields_of_their_module(rows: list[Row]) -> None:
    for row in rows:
        expected = {
            field.name
            for field in MODULE[row.module].fields
            if not field.of_line and "&" not in field.name
        }
        assert row.values.keys() == expected, row.module


def check_value(field: Field, value: str | int | None) -> None:
    if field.type in {"reference", "owner"}:
        assert value is None or isinstance(value, int)
    elif value is None:
        return
    elif field.scale is not None:
        assert value == f"{Decimal(text(value)):.{field.scale}f}"
    elif field.type == "boolean":
        assert value in ({"on", "off"} if field.name == "is_admin" else {"0", "1"})
    elif field.type == "integer" and value:
        assert str(int(text(value))) == value
    elif field.type == "date" and value:
        datetime.strptime(text(value), "%Y-%m-%d")
    elif field.type == "datetime" and value:
        datetime.strptime(text(value), "%Y-%m-%d %H:%M:%S")
    elif field.type == "multipicklist" and value:
        assert set(text(value).split(" |##| ")) <= set(field.values)
    assert field.size is None or len(text(value)) <= field.size, (field.name, value)


def test_values_are_the_text_of_answers(rows: list[Row]) -> None:
    for row in rows:
        for name, value in row.values.items():
            check_value(FIELD[row.module][name], value)


def test_mandatory_fields_are_filled(rows: list[Row]) -> None:
    nobody_knows = {"roleid", "createdby", "defaultid", "deleted"}
    for row in rows:
        for name, value in row.values.items():
            if FIELD[row.module][name].mandatory and name not in nobody_knows:
                assert value not in ("", None), (row.module, name)


def test_references_point_to_a_record_of_an_allowed_module(
    rows: list[Row], kinds: dict[int, str]
) -> None:
    tables = {
        name: {row.number for row in rows if row.module == name}
        for name in ("Users", "Groups", "Currency", "DocumentFolders", "Tax")
    }
    for row in rows:
        for name, value in row.values.items():
            field = FIELD[row.module][name]
            if field.type == "owner":
                assert value in tables["Users"] | tables["Groups"]
            elif field.type == "reference" and isinstance(value, int):
                inside = [tables[name] for name in field.refers_to if name in tables]
                assert kinds.get(value) in field.refers_to or any(value in t for t in inside), (
                    row.module,
                    name,
                )


def test_files_and_relations_belong_to_records(
    records: list[Row | File | Relation], kinds: dict[int, str]
) -> None:
    sizes = {
        row.number: row.values["filesize"]
        for row in records
        if isinstance(row, Row) and row.module == "Documents"
    }
    for record in records:
        if isinstance(record, File):
            assert kinds[record.parent] in {"Documents", "Products"}
            if kinds[record.parent] == "Documents":
                assert sizes[record.parent] == str(len(record.content))
        elif isinstance(record, Relation):
            lists = MODULE[kinds[record.source]].related
            assert any(
                one.label == record.label
                and one.module == kinds[record.related]
                and one.follows is None
                for one in lists
            ), record


def test_files_have_their_declared_type(records: list[Row | File | Relation]) -> None:
    first = {record.mime: record for record in records if isinstance(record, File)}
    pdf, png = first["application/pdf"].content, first["image/png"].content
    start = int(pdf.split(b"startxref\n")[1].split(b"\n")[0])
    assert pdf.startswith(b"%PDF-1.4")
    assert pdf[start:].startswith(b"xref")
    for at, line in enumerate(pdf[start:].split(b"\n")[3:9], 1):
        assert pdf[int(line[:10]) :].startswith(b"%d 0 obj" % at)
    assert png.startswith(b"\x89PNG")
    assert png[12:16] == b"IHDR"
    assert int.from_bytes(png[29:33], "big") == zlib.crc32(png[12:29])


def test_dates_are_not_in_the_future(rows: list[Row]) -> None:
    now = str(NOW)
    for row in rows:
        if "modifiedtime" in row.values:
            created, changed = text(row.values["createdtime"]), text(row.values["modifiedtime"])
            assert "2023-11-21" <= created <= changed <= now
    newest = max(text(row.values.get("modifiedtime", "")) for row in rows)
    assert newest == now


def test_creation_times_are_spread_in_a_large_company() -> None:
    recent = str(NOW - timedelta(minutes=2))
    fresh = Counter(
        text(record.values["modifiedtime"]) > recent
        for record in company(50_000, now=NOW)
        if isinstance(record, Row) and "modifiedtime" in record.values
    )
    assert fresh[True] < 5


def test_numbers_and_creation_ascend_together(rows: list[Row]) -> None:
    times = [text(row.values["createdtime"]) for row in rows if "createdtime" in row.values]
    assert times == sorted(times)


def test_fair_visitors_have_the_same_modifiedtime(rows: list[Row]) -> None:
    imported = [row.values for row in rows if row.values.get("source") == "IMPORT"]
    assert len(imported) == FAIR_VISITORS
    assert len({values["modifiedtime"] for values in imported}) == 1


def test_account_names_are_unique() -> None:
    names = [account_name(nth).shown.casefold() for nth in range(300_000)]
    assert len(set(names)) == len(names)


def to_the_cent(value: Decimal) -> Decimal:
    return value.quantize(CENT, ROUND_HALF_UP)


def totals(header: Row, lines: list[Row]) -> tuple[Decimal, Decimal, Decimal]:
    """Sub total, total before tax and grand total, worked out again in decimals."""
    subtotal = Decimal(0)
    group = header.values["hdnTaxType"] == "group"
    for line in lines:
        value = {name: Decimal(text(line.values[name])) for name in LINE_NUMBERS}
        net = value["quantity"] * value["listprice"] * (100 - value["discount_percent"]) / 100
        net -= value["discount_amount"]
        tax = value["tax1"] + value["tax2"] + value["tax3"]
        subtotal += net if group else net * (100 + tax) / 100
    percent = Decimal(text(header.values["hdnDiscountPercent"] or "0"))
    left = subtotal * (100 - percent) / 100
    left -= Decimal(text(header.values["hdnDiscountAmount"] or "0"))
    total = left * (100 + Decimal(text(lines[0].values["tax1"]))) / 100 if group else left
    return to_the_cent(subtotal), to_the_cent(left), to_the_cent(total)


LINE_NUMBERS = (
    *("quantity", "listprice", "discount_percent", "discount_amount"),
    *("tax1", "tax2", "tax3"),
)


def test_totals_are_exact(rows: list[Row]) -> None:
    lines: dict[int, list[Row]] = {}
    for row in rows:
        if row.module == "LineItem":
            parent = row.values["parent_id"]
            assert isinstance(parent, int)
            lines.setdefault(parent, []).append(row)
    headers = [row for row in rows if MODULE[row.module].is_inventory]
    assert {row.number for row in headers} == lines.keys()
    seen = set()
    for header in headers:
        money = {
            name: Decimal(text(header.values[name]))
            for name in header.values
            if FIELD[header.module][name].scale == 8 and header.values[name] is not None
        }
        expected = totals(header, lines[header.number])
        assert (money["hdnSubTotal"], money["pre_tax_total"], money["hdnGrandTotal"]) == expected
        for settled in {"received", "paid", "refunded"} & money.keys():
            assert money[settled] + money["balance"] == money["hdnGrandTotal"]
        seen.add((header.values["hdnTaxType"], header.values["hdnDiscountPercent"]))
    assert len(seen) == 4  # both kinds of tax, with and without a discount


def test_long_invoices_have_about_a_page_of_lines(rows: list[Row]) -> None:
    lengths = Counter(row.values["parent_id"] for row in rows if row.module == "LineItem")
    assert {99, 100, 101, 250} <= set(lengths.values())


def test_invoices_have_the_lines_of_their_orders(rows: list[Row]) -> None:
    orders = {row.number: row.values for row in rows if row.module == "SalesOrder"}
    invoices = [row.values for row in rows if row.module == "Invoice"]
    ordered = [values for values in invoices if values["salesorder_id"]]
    assert len(ordered) > 20
    for values in ordered:
        order = orders[int(values["salesorder_id"] or 0)]
        for same in ("account_id", "contact_id", "hdnGrandTotal", "potential_id"):
            assert values[same] == order[same]
    assert {values["invoicestatus"] for values in invoices} >= {"Paid", "Sent"}
    overdue = [
        v for v in invoices if v["invoicestatus"] == "Sent" and text(v["duedate"]) < "2026-11"
    ]
    assert overdue


def test_texts_include_hostile_ones(rows: list[Row]) -> None:
    everything = "\n".join(
        value for row in rows for value in row.values.values() if isinstance(value, str)
    )
    for hostile in ("O'Brien", "&amp;", "\\", '"', "東京", "\r\n", "<b>", " |##| "):
        assert hostile in everything


def test_company_of_a_million_records_is_generated_one_by_one() -> None:
    assert sum(1 for _ in islice(company(1_000_000, now=NOW), 20_000)) == 20_000


@pytest.mark.parametrize(
    ("now", "last"),
    [
        (datetime(2026, 11, 20, 3, 0), "2026-11-19 18:59:59"),
        (datetime(2026, 11, 20, 10, 41), "2026-11-20 10:41:00"),
        (datetime(2026, 11, 20, 23, 0), "2026-11-20 18:59:59"),
        (datetime(2026, 11, 22, 9, 0), "2026-11-22 09:00:00"),
        (datetime(2028, 2, 29, 9, 0), "2028-02-29 09:00:00"),
    ],
)
def test_calendar_has_working_hours_until_now(now: datetime, last: str) -> None:
    calendar = Calendar(now)
    assert calendar.stamp(calendar.end) == last
    worked = {
        datetime.strptime(calendar.date(moment), "%Y-%m-%d").weekday()
        for moment in range(0, calendar.end - 2 * DAY, DAY)
    }
    assert worked == {0, 1, 2, 3, 4}
    assert list(company(100, now=now))


def test_modules_are_consistent() -> None:
    assert len({module.name for module in MODULES}) == len(MODULES) == 38
    for module in MODULES:
        names = [field.name for field in module.fields]
        assert len(set(names)) == len(names), module.name
        assert module.number_field is None or module.number_field in names
        for field in module.fields:
            assert set(field.refers_to) <= set(MODULE)


def test_related_lists_name_real_fields() -> None:
    for source, lists in ((module.name, module.related) for module in MODULES):
        for one in lists:
            if one.follows is not None:
                assert source in FIELD[one.module][one.follows].refers_to
