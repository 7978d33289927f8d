"""A plan, and the run that applies it: what is in the plan is written, and nothing else."""

from __future__ import annotations

import json
import os
import stat
from contextlib import contextmanager
from itertools import count

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kafinea import Client, SettingsError
from kafinea.load import Load, LoadOptions, Status
from kafinea.load.approval.approved_plan import PlanNotReached
from tests.target.running import Files, empty, in_process, matched, messages, write_requests

ACCOUNT = {"account_id": {"module": "Accounts", "match_on": "accountname", "create": True}}


@contextmanager
def loading(sandbox, path=None, *, module="Contacts", match_on="cf_853", **options):
    with (
        Client(sandbox.url, sandbox.username, sandbox.access_key) as client,
        Load(
            client,
            module,
            match_on=match_on,
            references=ACCOUNT if module == "Contacts" else None,
            options=LoadOptions(plan_path=path and str(path), **options),
        ) as load,
    ):
        yield load


def results_of(sandbox, records, path=None, **options):
    with loading(sandbox, path, **options) as load:
        return list(load(records))


def planned(sandbox, records, path, **options):
    """Write a plan."""
    before = len(write_requests(sandbox))
    results = results_of(sandbox, records, path, dry_run=True, **options)
    assert len(write_requests(sandbox)) == before
    return results


def applied(sandbox, records, path, **options):
    """Apply a plan; also one of which the input does not bring all."""
    results = []
    try:
        with loading(sandbox, path, **options) as load:
            results.extend(load(records))
    except PlanNotReached:
        pass
    return results


def codes(results):
    return [result.rejection.code if result.rejection else None for result in results]


# What a plan allows, for any input


FIELDS = {
    "phone": st.sampled_from(["1", "2", None]),
    "title": st.sampled_from(["Dr", "", " x "]),
    "account_id": st.sampled_from(["Acme", "Beta"]),
    "donotcall": st.booleans(),
    "_sdc_deleted_at": st.sampled_from([None, None, "2026-01-01"]),
}
SHOWN = ("lastname", "phone", "title", "account", "donotcall")
KEYS = st.integers(0, 3)
RECORDS = st.lists(st.tuples(KEYS, st.fixed_dictionaries({}, optional=FIELDS)), max_size=7)


def rows(sandbox, prefix):
    """The contacts of a test by their keys, without what differs each time."""
    accounts = {row["id"]: row["accountname"] for row in sandbox.rows("Accounts")}
    found = {}
    for row in sandbox.rows("Contacts"):
        if row["cf_853"].startswith(prefix):
            name = accounts.get(row["account_id"], row["account_id"]).removeprefix(prefix)
            shown = {**row, "account": name}
            found[row["cf_853"].removeprefix(prefix)] = {name: shown[name] for name in SHOWN}
    return found


def named(records, prefix):
    """The records of a test, with keys that no other test has."""
    found = []
    for key, values in records:
        record = {"lastname": "A", **values, "cf_853": f"{prefix}{key}"}
        if name := values.get("account_id"):
            record["account_id"] = f"{prefix}{name}"
        found.append(record)
    return found


PREFIXES = (f"t{number} " for number in count())


@pytest.fixture(scope="module")
def shared():
    with empty() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def plan_path(tmp_path_factory):
    return tmp_path_factory.mktemp("plan") / "plan.jsonl"


def property_test(examples):
    return hypothesis_settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@property_test(25)
@given(stored=RECORDS, records=RECORDS, breaks_after=st.none() | st.integers(0, 6))
def test_plan_and_its_run_leave_what_a_direct_load_leaves(
    shared, plan_path, stored, records, breaks_after
):
    direct, by_plan = next(PREFIXES), next(PREFIXES)
    results_of(shared, [*named(stored, direct), *named(stored, by_plan)], hard_delete=True)
    results_of(shared, named(records, direct), hard_delete=True)
    wanted = named(records, by_plan)
    simulated = planned(shared, wanted, plan_path, hard_delete=True)
    if breaks_after is not None:  # a first try is stopped somewhere
        with loading(shared, plan_path, hard_delete=True) as load:
            for number, _ in enumerate(load(wanted)):
                if number == breaks_after:
                    break
    results = applied(shared, wanted, plan_path, hard_delete=True)
    assert set(codes(results)) <= {None}, [result.rejection for result in results]
    if breaks_after is None:
        assert [one.status for one in results] == [one.status for one in simulated]
    assert rows(shared, by_plan) == rows(shared, direct)


CHANGES = st.lists(
    st.tuples(KEYS, st.sampled_from(["phone", "title", "mobile", "delete", "create"])), max_size=3
)


@property_test(25)
@given(stored=RECORDS, records=RECORDS, changes=CHANGES)
def test_what_was_changed_since_the_plan_is_never_overwritten(
    shared, plan_path, stored, records, changes
):
    prefix = next(PREFIXES)
    results_of(shared, named(stored, prefix), hard_delete=True)
    wanted = named(records, prefix)
    simulated = planned(shared, wanted, plan_path, hard_delete=True)
    since = {}
    for key, change in changes:
        found = [r for r in shared.rows("Contacts") if r["cf_853"] == f"{prefix}{key}"]
        if change == "create" and not found:
            shared.insert("Contacts", {"cf_853": f"{prefix}{key}", "lastname": "New"})
            since[key] = {"lastname": "New"}
        elif change == "delete" and found:
            shared.remove("Contacts", found[0]["id"].partition("x")[2])
            since[key] = None
        elif change not in {"create", "delete"} and found:
            shared.change("Contacts", found[0]["id"].partition("x")[2], {change: "Changed"})
            since.setdefault(key, {})[change] = "Changed"
    results = applied(shared, wanted, plan_path, hard_delete=True)
    after = {
        row["cf_853"].removeprefix(prefix): row
        for row in shared.rows("Contacts")
        if row["cf_853"].startswith(prefix)
    }
    for key, values in since.items():
        if values is None:
            assert f"{key}" not in after  # it is not created again
        else:
            assert {name: after[f"{key}"][name] for name in values} == values
    for result, plan in zip(results, simulated, strict=True):
        if result.rejection:
            assert result.rejection.code == "CHANGED_SINCE_PLAN"
        else:
            assert result.status in {plan.status, Status.UNCHANGED}
