"""A plan, and the run that applies it: what is in the plan is written, and nothing else."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import HealthCheck, Phase, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kafinea import Client, SettingsError
from kafinea.load import Load, LoadOptions, Status
from kafinea.load.approval.approved_plan import PlanNotReached
from kafinea.load.approval.new_ids import NewIds
from tests.target.running import Files, empty, in_process, load, messages, write_requests

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
        phases=(Phase.explicit, Phase.generate),  # to find the smallest example takes minutes
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


DELETED = {"_sdc_deleted_at": "2026-01-01"}


@property_test(20)
@example(stored=[(0, {})], records=[(0, {}), (0, DELETED), (0, {"phone": "1"})], breaks_after=2)
@example(
    stored=[(0, {})],
    records=[(0, {"phone": "2"}), (0, DELETED), (0, {}), (0, {"phone": "1"})],
    breaks_after=3,
)
@example(stored=[], records=[(0, DELETED), (0, {"phone": "1"})], breaks_after=1)
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


@property_test(20)
@example(
    stored=[(0, {})],
    records=[(0, {"phone": "1"}), (0, DELETED), (0, {"phone": "2"})],
    changes=[(0, "title")],
)
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
            # It is created again only if the plan itself deletes it before.
            planned_again = [
                one.status
                for one, record in zip(simulated, records, strict=True)
                if record[0] == key
            ]
            assert f"{key}" not in after or Status.CREATED in planned_again
        else:
            assert {name: after[f"{key}"][name] for name in values} == values
    for result, plan in zip(results, simulated, strict=True):
        if result.rejection:
            assert result.rejection.code == "CHANGED_SINCE_PLAN"
        else:
            assert result.status in {plan.status, Status.UNCHANGED}


def _removed(sandbox, key):
    for row in sandbox.rows("Contacts"):
        if row["cf_853"] == key:
            sandbox.remove("Contacts", row["id"].partition("x")[2])
            return


def _inserted(sandbox, key):
    sandbox.insert("Contacts", {"cf_853": key, "lastname": "A"})


def _changed(sandbox, key):
    (number,) = [r["id"].partition("x")[2] for r in sandbox.rows("Contacts") if r["cf_853"] == key]
    sandbox.change("Contacts", number, {"phone": "theirs"})


# How many records have the key when the plan is made, what is loaded, what happens then.
SINCE = {
    "a record with this key exists since the plan was made": (0, {"phone": "2"}, [_inserted]),
    "is no longer found, and would be created": (1, {"phone": "2"}, [_removed]),
    "is another one than in the plan": (1, {"phone": "2"}, [_removed, _inserted]),
    "the record to be deleted has changed since the plan": (1, DELETED, [_changed]),
    "the record has changed in Kafinea: phone": (1, {"phone": "2"}, [_changed]),
    "the plan rejects the record (AMBIGUOUS_KEY)": (2, {"phone": "2"}, [_removed]),
}


@pytest.mark.parametrize("why", SINCE)
def test_rejection_says_what_happened_since_the_plan(shared, plan_path, why):
    stored, values, happened = SINCE[why]
    key = f"{next(PREFIXES)}0"
    for _ in range(stored):
        _inserted(shared, key)
    records = [{"cf_853": key, "lastname": "A", **values}]
    planned(shared, records, plan_path, hard_delete=True)
    for what in happened:
        what(shared, key)
    before = [row for row in shared.rows("Contacts") if row["cf_853"] == key]
    (result,) = applied(shared, records, plan_path, hard_delete=True)
    assert result.rejection.code == "CHANGED_SINCE_PLAN"
    assert why in result.rejection.message
    assert [row for row in shared.rows("Contacts") if row["cf_853"] == key] == before


# Through the target


STREAMS = {
    "Accounts": {"match_on": "accountname"},
    "Contacts": {
        "match_on": "email",
        "references": {"account_id": {"module": "Accounts", "match_on": "accountname"}},
    },
    "Quotes": {
        "match_on": "subject",
        "references": {
            "account_id": {"module": "Accounts", "match_on": "accountname"},
            "LineItems.productid": {"module": "Products", "match_on": "productcode"},
        },
    },
    "Documents": {"match_on": "notes_title"},
    "visits": {
        "module": "Campaigns",
        "related": "Contacts",
        "references": {
            "source_id": {"module": "Campaigns", "match_on": "campaignname"},
            "related_id": {"module": "Contacts", "match_on": "email"},
        },
    },
}
QUOTE = {
    "subject": "Q1",
    "account_id": "Acme",
    "quotestage": "Created",
    "hdnTaxType": "group",
    "bill_street": "Street 1",
    "ship_street": "Street 1",
}


def everything(quantity=2, content="QUJD"):
    """An input of all kinds of streams, whose records refer to new ones of each other."""
    line = {"productid": "D-1", "quantity": quantity, "listprice": 100}
    return [
        *messages("Accounts", {"accountname": "Acme", "phone": "1"}),
        *messages(
            "Contacts",
            {"email": "a@x.example", "lastname": "A", "account_id": "Acme"},
            {"email": "b@x.example", "lastname": "B", "account_id": "Acme"},
        ),
        *messages("Quotes", {**QUOTE, "LineItems": [line]}),
        *messages("Documents", {"notes_title": "D", "filename": "d.txt", "_file_base64": content}),
        *messages("visits", {"source_id": "Fair", "related_id": "a@x.example"}),
        json.dumps({"type": "STATE", "value": {"done": True}}),
    ]


class Company:
    """A company to load into, and the files of its loads."""

    def __init__(self, sandbox, directory):
        self.sandbox = sandbox
        self.files = Files(directory)
        self.plan = directory / "plan.jsonl"
        sandbox.insert("Products", {"productname": "Desk", "productcode": "D-1"})
        sandbox.insert("Campaigns", {"campaignname": "Fair"})
        sandbox.insert("Contacts", {"email": "b@x.example", "lastname": "Old"})

    def run(self, lines, **more):
        for name in ("outcomes", "rejects"):
            self.files.path(name).unlink(missing_ok=True)
        more = {"streams": STREAMS, "plan_path": str(self.plan), **more}
        config = self.files.config(self.sandbox, **more)
        arguments = ["--config", config, "--input", self.files.input(lines)]
        return self.files.read(*in_process(arguments))

    def linked(self):
        return self.sandbox.sql("SELECT count(*) AS n FROM _relation WHERE label = 'Contacts'")


@pytest.fixture
def company(tmp_path):
    with empty() as sandbox:
        yield Company(sandbox, tmp_path)


def test_plan_of_all_kinds_of_streams_is_applied_and_applied_again(company):
    run = company.run(everything(), dry_run=True)
    assert (run.code, run.tally) == (0, {"created": 5, "updated": 1})
    assert not write_requests(company.sandbox)
    assert company.plan.stat().st_mode & 0o777 == 0o600
    run = company.run(everything())
    assert (run.code, run.tally, run.states) == (
        0,
        {"created": 5, "updated": 1},
        [{"done": True}],
    ), run.stderr
    assert "Applying the plan of" in run.stderr
    (account,) = company.sandbox.rows("Accounts")
    assert {row["account_id"] for row in company.sandbox.rows("Contacts")} == {account["id"]}
    assert company.linked()[0]["n"] == 1
    writes = write_requests(company.sandbox)
    run = company.run(everything())
    assert (run.code, run.tally) == (0, {"unchanged": 6}), run.stderr
    # The one thing more is sent to find out whether the server takes files.
    assert write_requests(company.sandbox)[len(writes) :] == ["fileupload"]


def test_record_that_is_not_as_in_the_plan_is_rejected(company):
    company.run(everything(), dry_run=True)
    run = company.run(everything(quantity=3, content="QUJE"), max_rejects=-1)
    assert run.code == 1
    codes = {line["stream"]: line.get("code") for line in run.outcomes}
    assert codes == {
        **dict.fromkeys(("Accounts", "Contacts", "visits")),
        **dict.fromkeys(("Quotes", "Documents"), "NOT_IN_PLAN"),
    }
    assert "The input did not bring 2 of the 6 writes of the plan." in run.stderr
    assert not company.sandbox.rows("Quotes")
    assert not company.sandbox.rows("Documents")


def test_run_fails_when_the_input_does_not_bring_what_is_planned(company):
    lines = everything()
    company.run(lines, dry_run=True)
    run = company.run(lines[:-3])
    assert (run.code, run.tally) == (1, {"created": 4, "updated": 1})
    assert "The input did not bring 1 of the 6 writes of the plan." in run.stderr
    assert "The plan was not applied as a whole" in run.errors[0]


def test_plan_has_the_records_whose_stream_map_fails(sandbox, tmp_path):
    path = tmp_path / "plan.jsonl"
    lines = messages("Contacts", *[{"cf_853": f"{n}", "lastname": "x"} for n in range(3)])
    more = {"streams": {"Contacts": {"match_on": "cf_853"}}, "max_rejects": 1, "check": False}
    more["stream_maps"] = {"Contacts": {"lastname": "str(1 / (int(cf_853) - 1))"}}
    for is_dry in (True, False):
        run = load(sandbox, lines, dry_run=is_dry, plan_path=str(path), **more)
        assert run.summary == {"Contacts": {"created": 2, "rejected": 1}}, run.stderr
    assert path.read_text("utf-8").count("NOT_MAPPED") == 1


def test_what_goes_with_a_record_is_rejected_when_it_was_there(company):
    company.run(everything())  # there is no plan
    assert "there is no such file" in company.run(everything()).stderr
    company.run(everything(), plan_path=None)
    company.run(everything(), dry_run=True)
    company.sandbox.sql("DELETE FROM _relation")
    run = company.run(everything(), max_rejects=-1)
    (rejected,) = [line for line in run.outcomes if "code" in line]
    assert (rejected["stream"], rejected["code"]) == ("visits", "CHANGED_SINCE_PLAN")
    assert company.linked()[0]["n"] == 0


@pytest.mark.parametrize("dialect", ["kafinea", "stock", "legacy"])
def test_lines_that_were_changed_since_the_plan_are_not_overwritten(dialect, tmp_path):
    def of_quotes(quantity):
        lines = everything(quantity=quantity)
        return [*lines[:2], *lines[5:7]]

    with empty(dialect=dialect) as sandbox:
        company = Company(sandbox, tmp_path)
        for quantity, code in ((2, 0), (3, 0), (7, 0), (3, 1)):
            is_dry = quantity == 3 and code == 0
            plan = str(company.plan) if quantity == 3 else None
            run = company.run(of_quotes(quantity), dry_run=is_dry, plan_path=plan)
            assert run.code == code, run.stderr
        assert run.codes == ["CHANGED_SINCE_PLAN"], run.stderr


def test_record_without_a_key_is_created_as_often_as_planned(sandbox, tmp_path):
    def append(number, code, **more):
        lines = messages("Contacts", *[{"lastname": "A"}] * number)
        plan = {"load_method": "append-only", "plan_path": str(tmp_path / "plan.jsonl")}
        run = load(sandbox, lines, max_rejects=9, **plan, **more)
        assert run.codes == code

    append(2, [], dry_run=True)
    append(4, ["NOT_IN_PLAN"] * 2)
    assert len(sandbox.rows("Contacts")) == 2


@pytest.mark.parametrize(
    ("dialect", "changed"), [("kafinea", "line"), ("legacy", "line"), ("kafinea", "discount")]
)
def test_document_changed_between_look_up_and_write_is_not_overwritten(dialect, changed, tmp_path):
    def of_quotes(quantity):
        lines = everything(quantity=quantity)
        quote = json.loads(lines[6])
        quote["record"]["hdnDiscountPercent"] = quantity
        return [*lines[:2], *messages("Quotes", quote["record"])]

    with empty(dialect=dialect) as sandbox:
        company = Company(sandbox, tmp_path)
        assert company.run(of_quotes(2), plan_path=None).code == 0
        assert company.run(of_quotes(3), dry_run=True).code == 0
        (quote,), (line,) = sandbox.rows("Quotes"), sandbox.rows("LineItem")
        fault = sandbox.faults.add("latency", operation="retrieve", nth=2, seconds=0.3)

        def change():
            while not fault.hits:
                time.sleep(0.005)
            if changed == "line":
                sandbox.change("LineItem", line["id"].partition("x")[2], {"quantity": "7"})
            later = "2099-01-31 08:00:00"
            sandbox.change("Quotes", quote["id"].partition("x")[2], {}, modifiedtime=later)

        colleague = threading.Thread(target=change)
        colleague.start()
        run = company.run(of_quotes(3), max_rejects=9)
        colleague.join()
        assert run.codes == ["CHANGED_SINCE_PLAN"], run.stderr
        assert Decimal(sandbox.rows("LineItem")[0]["quantity"]) == (7 if changed == "line" else 2)


def test_file_that_was_changed_since_the_plan_is_not_replaced(company):
    def of_documents(content):
        return messages(
            "Documents", {"notes_title": "D", "filename": "d.txt", "_file_base64": content}
        )

    company.run(of_documents("QUJD"), plan_path=None)
    company.run(of_documents("QUJE"), dry_run=True)
    assert json.loads(company.plan.read_text().splitlines()[1])["before"].keys() == {"_file"}
    company.run(of_documents("QUJF"), plan_path=None)
    assert company.run(of_documents("QUJE"), max_rejects=9).codes == ["CHANGED_SINCE_PLAN"]
    company.run(of_documents("QUJE"), dry_run=True)
    assert company.run(of_documents("QUJE")).tally == {"updated": 1}
    assert company.run(of_documents("QUJE")).tally == {"unchanged": 1}


# Plans that are refused


def test_plan_replaces_no_other_file(company):
    outcomes = company.files.path("outcomes")
    company.plan.write_text('{"type":"undo"}')
    for path, why in ((company.plan, "is another file"), (outcomes, "are the same file")):
        run = company.run(everything(), dry_run=True, plan_path=str(path))
        assert run.code == 1
        assert why in run.errors[-1]
    assert company.plan.read_text() == '{"type":"undo"}'


def spoil(company, how):
    """Return the settings of a run for which the plan does not hold."""
    lines = company.plan.read_bytes().splitlines(keepends=True)
    content = {
        "cut": b"".join(lines[:-1]),
        "edited": b"".join(lines).replace(b'"phone":"1"', b'"phone":"2"'),
        "shortened": b"".join([*lines[:2], *lines[3:]]),
        "twice": b"".join(lines * 2),
        "none of ours": b'{"outcome":"updated"}\n',
        "another version": b"".join(lines).replace(b'{"plan":1', b'{"plan":0'),
    }
    if how in content:
        company.plan.write_bytes(content[how])
    streams = {**STREAMS, "Accounts": {"match_on": ["accountname", "phone"]}}
    return {
        "other keys": {"streams": streams},
        "other options": {"hard_delete": True},
        "another zone": {"timezone": "Europe/Paris"},
        "another user": {"username": "Admin"},
        "another instance": {"url": f"{company.sandbox.url}/other"},
        "none": {"plan_path": f"{company.plan}.missing"},
        "no file": {"plan_path": str(company.plan.parent)},
    }.get(how, {})


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("cut", "is not complete: the dry run did not reach the end of its input. Do the dry run"),
        (
            "edited",
            "is not as the dry run wrote it, so it is not what was approved. Do the dry run",
        ),
        ("shortened", "is not as the dry run wrote it"),
        ("twice", "goes on after its end"),
        ("none of ours", "is not a plan. A dry run (`dry_run`) with `plan_path` writes one."),
        ("another version", "is of another version"),
        ("other keys", "with other settings: streams.Accounts.match_on. Nothing was written."),
        ("other options", "with other settings: hard_delete."),
        ("another zone", "with other settings: timezone."),
        ("another user", "the plan was made by the user 'admin', not 'Admin'."),
        ("another instance", "the plan is for http://127.0.0.1:"),
        ("none", "there is no such file. A dry run (`dry_run`) with `plan_path` writes the plan."),
        ("no file", "cannot be read: "),
    ],
)
def test_plan_that_does_not_hold_is_refused_before_anything_is_written(company, how, why):
    company.run(everything(), dry_run=True)
    run = company.run(everything(), **spoil(company, how))
    assert run.code == 1
    (error,) = run.errors
    assert why in error
    assert "`plan_path` (TARGET_KAFINEA_PLAN_PATH)" in error
    assert not write_requests(company.sandbox)


def test_dry_run_that_ends_early_leaves_no_plan_and_not_the_former_one(company):
    company.run(everything(), dry_run=True)
    lines = [*messages("Accounts", {"phone": "1"}, {"phone": "2"}), *everything()]
    assert company.run(lines, dry_run=True).code == 1  # more rejects than `max_rejects`
    assert "is not complete" in company.run(lines).stderr
    with loading(company.sandbox, company.plan, dry_run=True) as load:
        next(load([{"cf_853": "1", "lastname": "A"}] * 2))
    with pytest.raises(SettingsError, match="is not complete"):
        results_of(company.sandbox, [], company.plan)


def test_document_that_an_earlier_try_has_updated_and_deleted_is_left_alone(sandbox, tmp_path):
    file = {"notes_title": "x", "filename": "a.txt", "_file_base64": "YQ=="}
    more = {"module": "Documents", "match_on": "notes_title", "hard_delete": True}
    results_of(sandbox, [file], **more)
    records = [{**file, "_file_base64": "Yg=="}, {"notes_title": "x", **DELETED}]
    planned(sandbox, records, tmp_path / "plan.jsonl", **more)
    for ends in (["updated", "deleted"], ["unchanged", "unchanged"]):
        sandbox.requests.clear()
        results = applied(sandbox, records, tmp_path / "plan.jsonl", **more)
        assert [result.status.value for result in results] == ends
    assert not {"create", "delete"} & {*write_requests(sandbox)}


@pytest.mark.parametrize(
    ("loaded", "left"), [({"phone": "2"}, ["2", "Changed"]), (DELETED, ["Changed"])]
)
def test_what_is_changed_between_the_look_up_and_the_write_is_not_overwritten(
    sandbox, tmp_path, loaded, left
):
    def records(values):
        return [{"cf_853": f"{n}", "lastname": "A", **values} for n in range(100)]

    def wanted():
        yield from records(loaded)  # as many as are looked up together, while more are read
        while not any(
            "cf_853" in r.params["query"] and r.status for r in sandbox.requests.of("query")
        ):
            time.sleep(0.01)
        (number,) = [row["id"].partition("x")[2] for row in sandbox.rows("Contacts")][:1]
        sandbox.change("Contacts", number, {"phone": "Changed"})

    results_of(sandbox, records({"phone": "1"}))
    planned(sandbox, records(loaded), tmp_path / "plan.jsonl", hard_delete=True)
    sandbox.requests.clear()
    results = applied(sandbox, wanted(), tmp_path / "plan.jsonl", hard_delete=True)
    assert [one for one in codes(results) if one] == ["CHANGED_SINCE_PLAN"]
    assert sorted({row["phone"] for row in sandbox.rows("Contacts")}) == left


def test_ids_of_new_records_are_known_within_lines_and_lists():
    ids = NewIds()
    ids.note_created("new 1", "12x5")
    assert ids.real({"LineItems": [{"productid": "new 1"}], "n": 1}) == {
        "LineItems": [{"productid": "12x5"}],
        "n": 1,
    }
