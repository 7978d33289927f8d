"""Modules that this user may not write, or not in every way."""

from __future__ import annotations

import pytest

from tests.target.running import empty, load, matched, messages, write_requests

STREAMS = matched("Contacts", "cf_853")


def closed(*operations, module="Contacts"):
    return empty(closed={module: operations})


def upsert(sandbox, *records, **more):
    return load(sandbox, messages("Contacts", *records), **{"streams": STREAMS, **more})


def person(key, name, **more):
    return {"cf_853": key, "lastname": name, **more}


def test_module_without_write_permission_is_an_error_before_the_first_record():
    with closed("create", "update") as sandbox:
        run = upsert(sandbox, person("a", "New"), check=False)
        assert run.code == 1
        (error,) = run.errors
        assert "'Contacts'" in error
        assert "neither create nor update Contacts" in error
        assert run.outcomes == []
        assert sandbox.requests.of("query") == []


@pytest.mark.parametrize(
    ("operation", "key", "gone"), [("create", "b", None), ("update", "a", None), ("delete", "a", 1)]
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_operation_without_permission_is_rejected_and_others_are_done(
    operation, key, gone, dry_run
):
    with closed(operation) as sandbox:
        for name in ("a", "same"):
            sandbox.insert("Contacts", person(name, "Old"))
        refused = person(key, "New", _sdc_deleted_at="2026-01-01T00:00:00Z" if gone else None)
        other = person("a", "New") if operation == "create" else person("c", "New")
        run = upsert(
            sandbox,
            refused,
            person("same", "Old"),
            other,
            hard_delete=True,
            max_rejects=1,
            dry_run=dry_run,
        )
        (outcome,) = run.of(key) if operation != "create" else run.of("b")
        assert (outcome["outcome"], outcome["code"]) == ("rejected", "NOT_WRITABLE")
        assert f"may not {operation} Contacts" in outcome["message"]
        assert (outcome["id"] is None) == (operation == "create")
        assert run.of("same")[0]["outcome"] == "unchanged"
        done = [] if dry_run else ["revise" if operation == "create" else "create"]
        assert write_requests(sandbox) == done


def test_reference_without_create_permission_is_an_error_before_the_first_record():
    account = {"module": "Accounts", "match_on": "accountname", "create": True}
    streams = matched("Contacts", "cf_853", references={"account_id": account})
    with closed("create", module="Accounts") as sandbox:
        record = person("a", "New", account_id="ACME")
        run = upsert(sandbox, record, streams=streams, check=False)
        assert run.code == 1
        assert "this user may not create Accounts" in run.errors[0]
        account["create"] = False
        sandbox.insert("Accounts", {"accountname": "ACME"})
        assert upsert(sandbox, record, streams=streams).tally == {"created": 1}
