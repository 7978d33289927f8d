"""The load engine without Singer: as a notebook uses it, and its parts."""

from __future__ import annotations

import uuid
from datetime import date, datetime, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafinea import Client, SettingsError
from kafinea.errors import Closed
from kafinea.load import Load, LoadOptions, Status
from kafinea.load.load import BATCH_SIZE
from kafinea.load.stream.grouping import grouped
from tests.target.running import write_requests


def client_of(sandbox):
    return Client(sandbox.url, sandbox.username, sandbox.access_key)


def contacts(count, **more):
    return [{"cf_853": f"{n}", "lastname": f"Name {n}", **more} for n in range(count)]


def test_load_gives_a_result_for_each_record_in_their_order(sandbox):
    with client_of(sandbox) as client, Load(client, "Contacts", match_on="cf_853") as load:
        records = contacts(250)
        first, second = list(load(records)), list(load(reversed(records)))
    assert {result.status for result in first} == {Status.CREATED}
    assert [(result.status, result.id) for result in second] == [
        (Status.UNCHANGED, result.id) for result in reversed(first)
    ]
    stored = {row["id"]: row["cf_853"] for row in sandbox.rows("Contacts")}
    assert [stored[result.id] for result in first] == [record["cf_853"] for record in records]


def test_load_takes_values_as_python_has_them(sandbox):
    record = {
        "cf_853": "a",
        "lastname": "Roux",
        "birthday": date(1980, 2, 1),
        "donotcall": True,
        "support_end_date": datetime(2026, 1, 1, tzinfo=timezone.utc),
        "cf_857": Decimal(12),
        "phone": float("nan"),
    }
    with client_of(sandbox) as client, Load(client, "Contacts", match_on=["cf_853"]) as load:
        (result,) = load([record])
    assert result.status is Status.CREATED, result.rejection
    (row,) = sandbox.rows("Contacts")
    assert (row["birthday"], row["support_end_date"]) == ("1980-02-01", "2026-01-01")
    assert (row["donotcall"], row["cf_857"], row["phone"]) == ("1", "12", "")


def test_load_takes_values_as_data_frames_have_them(sandbox):
    record = {
        "cf_853": np.str_("a"),
        "lastname": uuid.UUID(int=1),
        "cf_855": 1.5,
        "cf_857": np.int64(12),
        "cf_861": np.float64(0.1),
        "donotcall": np.bool_(True),
        "birthday": np.datetime64("1980-02-01"),
        "support_end_date": pd.Timestamp("2026-01-01"),
        "phone": pd.NA,
        "mobile": pd.NaT,
        "cf_889": np.array(["Alpha"]),
        "_sdc_deleted_at": pd.NaT,
    }
    options = LoadOptions(hard_delete=True)
    with (
        client_of(sandbox) as client,
        Load(client, "Contacts", match_on="cf_853", options=options) as load,
    ):
        (result,) = load([record])
    assert result.status is Status.CREATED, result.rejection
    (row,) = sandbox.rows("Contacts")
    assert row["lastname"] == str(uuid.UUID(int=1))
    assert [Decimal(row[name]) for name in ("cf_855", "cf_857", "cf_861")] == [
        Decimal("1.5"),
        Decimal(12),
        Decimal("0.1"),
    ]
    assert (row["donotcall"], row["birthday"], row["cf_889"]) == ("1", "1980-02-01", "Alpha")
    assert (row["support_end_date"], row["phone"], row["mobile"]) == ("2026-01-01", "", "")


@pytest.mark.parametrize("missing", [float("nan"), np.nan, pd.NaT, pd.NA, None])
def test_missing_value_deletes_no_record(sandbox, missing):
    stored = sandbox.insert("Contacts", {"lastname": "Roux"})
    options = LoadOptions(hard_delete=True)
    with client_of(sandbox) as client, Load(client, "Contacts", options=options) as load:
        (result,) = load([{"id": stored, "lastname": "Roux", "_sdc_deleted_at": missing}])
    assert (result.status, len(sandbox.rows("Contacts"))) == (Status.UNCHANGED, 1)


def test_source_may_reuse_its_dict(sandbox):
    def rows():
        row = {}
        for n in range(300):
            row.update(cf_853=f"{n}", lastname=f"Name {n}")
            yield row

    with client_of(sandbox) as client, Load(client, "Contacts", match_on="cf_853") as load:
        assert {result.status for result in load(rows())} == {Status.CREATED}
    assert {row["cf_853"] for row in sandbox.rows("Contacts")} == {f"{n}" for n in range(300)}


@pytest.mark.parametrize("value", [b"by", {"s"}, object(), ("a", 1), float("inf")])
def test_value_that_has_no_text_is_rejected(sandbox, value):
    with client_of(sandbox) as client, Load(client, "Contacts", match_on="cf_853") as load:
        (result,) = load([{"cf_853": "a", "lastname": "Roux", "cf_889": value, "cf_855": value}])
    assert result.rejection.code == "INVALID_VALUE"
    assert sandbox.rows("Contacts") == []


@pytest.mark.parametrize(
    "records", [{"lastname": "x"}, pd.DataFrame({"lastname": ["x"]}), "x", [None]]
)
def test_what_is_no_records_is_a_type_error(sandbox, records):
    with client_of(sandbox) as client, Load(client, "Contacts") as load:
        with pytest.raises(TypeError, match="Load takes"):
            list(load(records))
        assert write_requests(sandbox) == []


def test_closed_load_is_an_error(sandbox):
    with client_of(sandbox) as client:
        with Load(client, "Contacts", match_on="cf_853") as load:
            results = load(contacts(1))
        with pytest.raises(Closed, match="`with`"):
            list(results)


@pytest.mark.parametrize(
    "wrong",
    [
        {"hard_delete": "no"},
        {"dry_run": "false"},
        {"update_method": "always"},
        {"unknown_picklist": "x"},
        {"serial_modules": "Contacts"},
    ],
)
def test_wrong_option_is_an_error(wrong):
    (name,) = wrong
    with pytest.raises(SettingsError, match=f"`{name}` must be"):
        LoadOptions(**wrong)


@pytest.mark.parametrize("wrong", [{"write": ["never"]}, {"null": 5}])
def test_policies_that_are_no_mapping_are_an_error(sandbox, wrong):
    with (
        client_of(sandbox) as client,
        pytest.raises(SettingsError, match="for all fields or for each by its name"),
    ):
        Load(client, "Contacts", **wrong)


def test_load_takes_records_with_other_fields_later(sandbox):
    records = [*contacts(150), *contacts(1, phone="1"), *contacts(150)]
    with client_of(sandbox) as client, Load(client, "Contacts", match_on="cf_853") as load:
        results = list(load(records))
    assert [result.status for result in results] == [
        *([Status.CREATED] * 150),
        Status.UPDATED,
        *([Status.UNCHANGED] * 150),
    ]
    assert results[150].changed == ("phone",)


def test_load_of_many_records_begins_before_all_are_read(sandbox):
    """What was looked up early is looked up again where an older one was written."""
    read = []
    count, later = 2 * BATCH_SIZE, BATCH_SIZE // 2 + 5

    def source():
        for number in range(count):
            read.append(number)
            is_good = number in {0, later}
            yield {"cf_853": "a", "lastname": f"{number}", "donotcall": None if is_good else "?"}

    with client_of(sandbox) as client, Load(client, "Contacts", match_on="cf_853") as load:
        results = load(source())
        first = next(results)
        assert len(read) <= BATCH_SIZE
        statuses = [first.status, *(one.status for one in results)]
    assert [n for n, one in enumerate(statuses) if one is Status.CREATED] == [0]
    assert [n for n, one in enumerate(statuses) if one is Status.UPDATED] == [later]
    assert len(statuses) == count
    assert write_requests(sandbox) == ["create", "revise"]


def test_load_gives_the_rejection_and_goes_on(sandbox):
    records = [{"cf_853": "a", "lastname": ""}, {"cf_853": "b", "lastname": "Roux"}]
    with client_of(sandbox) as client, Load(client, "Contacts", match_on="cf_853") as load:
        rejected, created = load(records)
    assert rejected.rejection.code == "MANDATORY_FIELD_MISSING"
    assert (created.status, created.rejection) == (Status.CREATED, None)


def test_load_writes_nothing_in_a_dry_run(sandbox):
    options = LoadOptions(dry_run=True)
    with (
        client_of(sandbox) as client,
        Load(client, "Contacts", match_on="cf_853", options=options) as load,
    ):
        results = list(load([*contacts(2), *contacts(2)]))
    assert [result.status for result in results] == [*[Status.CREATED] * 2, *[Status.UNCHANGED] * 2]
    assert write_requests(sandbox) == []


def test_load_names_a_field_that_is_not_there(sandbox):
    with (
        client_of(sandbox) as client,
        Load(client, "Contacts", match_on="emial") as load,
        pytest.raises(SettingsError, match="email"),
    ):
        list(load([{"emial": "a@b.c"}]))


# Grouping


NAMES = st.lists(st.frozensets(st.integers(0, 12), max_size=3), max_size=12)


@given(NAMES)
def test_grouping_is_the_closure_of_sharing_a_name(names):
    items = list(range(len(names)))
    groups = grouped(items, names.__getitem__)
    group_of = {item: position for position, group in enumerate(groups) for item in group}
    assert sorted(group_of) == items
    assert all(group == sorted(group) for group in groups)
    assert [group[0] for group in groups] == sorted(group[0] for group in groups)
    for item in items:
        reached = {item}
        while (
            more := {other for other in items for one in reached if names[one] & names[other]}
            - reached
        ):
            reached |= more
        assert reached == {other for other in items if group_of[other] == group_of[item]}
