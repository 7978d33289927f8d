"""What a hostile or broken server answers ends in one error of that module; the others are read."""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from copy import deepcopy

import pytest

from kafinea.errors import KafineaError, WrongAnswer
from kafinea_sandbox import Sandbox
from tap_kafinea.tap import TapKafinea
from tests.mutating_proxy import mutating
from tests.tap.running import _Collector, parse, settings

LONG = "9" * 5000
HUGE = "raw:1e99999999"
BEYOND = "raw:1e99999999999999999999"  # not even a `Decimal`
NO_NUMBERS = [HUGE, LONG, "raw:-1", "raw:1.5", "12", None, [], {}, True, "9" * 30, "²"]


@pytest.fixture(scope="module")
def company():
    with Sandbox(rows=60) as sandbox:
        yield sandbox


@contextmanager
def attacked(company, change=lambda _o, _p, result: result):
    """Yield what runs the tap over a server that changes answers, and how the run ended."""
    changes = [change]

    def changed(*asked):
        return changes[0](*asked)

    with mutating(company.url, changed) as url:

        def run(state=None, change=None, **more):
            changes[0] = change or changes[0]
            writer, error = _Collector(), None
            config = settings(company, **{"timezone": "UTC", **more}) | {"url": url}
            tap = None
            try:
                tap = TapKafinea(config=config, state=deepcopy(state), message_writer=writer)
                tap.sync_all()
            except KafineaError as failure:
                error = failure
            finally:
                if tap:
                    tap.client.close()
            return parse(writer.lines), error

        yield run


def honest(_operation, _parameters, result):
    return result


def only(operation, change, **of):
    """Return what changes the answers of one operation, to requests with these parameters."""

    def changed(asked, parameters, result):
        if asked == operation and all(
            text in parameters.get(name, "") for name, text in of.items()
        ):
            return change(result)
        return result

    return changed


def without_a_name(described):
    del described["fields"][0]["name"]
    return described


@pytest.mark.parametrize(
    "change",
    [
        *(
            lambda _, said=said: said
            for said in ([], None, "", "text", 5, {}, {"name": "Contacts"})
        ),
        lambda described: {**described, "fields": "lastname"},
        lambda described: {**described, "fields": []},
        lambda described: {**described, "fields": ["lastname"]},
        lambda described: {**described, "name": "Leads"},
        lambda described: {**described, "idPrefix": "12x"},
        lambda described: {**described, "idPrefix": ["12"]},
        without_a_name,
    ],
)
def test_describe_with_invalid_answer_fails_its_module_only(company, change):
    wrong = only("describe", change, elementType="Contacts")
    with attacked(company, wrong) as run:
        for modules in (["Contacts", "Leads"], ["!Invoice*", "Contact*", "Leads"]):
            output, error = run(modules=modules)
            assert "describe of Contacts: the server's answer contains no " in str(error)
            assert "may not" not in str(error)
            assert output.ids("Leads")
            assert not output.records("Contacts")


def test_describe_with_name_in_other_case_is_accepted(company):
    def loud(described):
        return {**described, "name": described["name"].upper()}

    with attacked(company, only("describe", loud)) as run:
        output, error = run(modules=["Contacts"], dictionary=True)
    assert error is None
    assert output.ids("Contacts")
    assert [row["module"] for row in output.records("Modules")] == ["Contacts"]


@pytest.mark.parametrize(
    "said",
    [None, [], "", "text", 5, {}, {"types": 5}, {"types": [["Contacts"]]}, {"types": [None]}],
)
def test_listtypes_with_invalid_answer_fails_the_run(company, said):
    with attacked(company, only("listtypes", lambda _: said)) as run:
        output, error = run(modules=["Contacts"])
        assert isinstance(error, WrongAnswer)
        assert str(error) == "listtypes: the server's answer contains no list of modules."
        assert not output.messages


@pytest.mark.parametrize("said", [HUGE, "raw:-1", "many", ["5"], None, "9" * 5000])
def test_count_with_invalid_answer_fails_its_module_only(company, said):
    wrong = only("query", lambda _: [{"count": said}], query="SELECT count(*) FROM Contacts")
    with attacked(company, wrong) as run:
        output, error = run(modules=["Contacts", "Leads"])
        assert "Contacts: the server returned no record count" in str(error)
        assert output.ids("Leads")


@pytest.mark.parametrize(
    ("value", "deletions"),
    [
        *((value, "scan") for value in (["x", "5"], {"x": "5"}, 5, "12x-5", "12x" + "9" * 20)),
        ("12x5\n12x6", "off"),
        ("x", "off"),
        (BEYOND, "off"),
    ],
)
def test_record_with_invalid_id_costs_no_other_record(company, tmp_path, value, deletions):
    settings = {"deletions": deletions, "deletions_path": str(tmp_path), "modules": ["Contacts"]}
    there = [row["id"] for row in company.rows("Contacts")]
    victim = there[7]

    def spoilt(operation, _, result):
        if operation == "retrieve" and result["id"] == victim:
            return {**result, "id": value}
        if operation == "query":
            return [{**row, "id": value} if row.get("id") == victim else row for row in result]
        return result

    with attacked(company, spoilt) as run:
        output, error = run(**settings)
        assert {*output.ids("Contacts")} == {*there} - {victim}
        assert f"could not be read completely: {victim}" in str(error)
        again, error = run(output.state, honest, **settings)
        assert error is None
        assert victim in again.ids("Contacts")


@pytest.mark.parametrize("modules", [["Contacts", "Leads"], ["Campaigns", "Leads"]])
def test_records_of_another_module_fail_the_module_only(company, modules, caplog):
    def foreign(rows):
        return [*rows, *({**row, "id": "99x7"} for row in rows[-1:])]

    wrong = [only(one, foreign, query=" FROM Contacts") for one in ("query", "query_related")]
    related = [{"module": "Campaigns", "related": "Contacts"}] if "Campaigns" in modules else []
    with attacked(company, lambda *asked: wrong[0](*asked[:2], wrong[1](*asked))) as run:
        output, error = run(modules=modules, relations=related)
        assert error
        assert "the server returned 99x7, a record of another module" in caplog.text
        assert output.ids("Leads")
        assert not output.records("Contacts")


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_numbers_of_extreme_size_take_no_time(company, tmp_path, value):
    def spoilt(operation, _, result):
        if operation == "getchallenge":
            return {**result, "expireTime": value, "serverTime": value}
        if operation == "describe":
            for field in result["fields"]:
                field["type"]["maxUploadFileSize"] = value
        if operation == "query":
            return [{**row, "filesize": value} if "filesize" in row else row for row in result]
        if operation == "files_retrieve":
            return [{**one, "filesize": value} for one in result]
        return {**result, "lastModifiedTime": value} if operation == "sync" else result

    files = {"enabled": True, "path": str(tmp_path)}
    with attacked(company, spoilt) as run:
        output, error = run(modules=["Documents"], files=files, deletions="sync")
        assert len(output.ids("Documents")) == company.count("Documents")
        if value != "12":
            assert error
        _, error = run(output.state, honest, modules=["Documents"], files=files, deletions="sync")
        assert error is None


@pytest.mark.parametrize("seconds", [7200, 10**17])
def test_sync_time_in_the_future_hides_no_deletion(company, seconds):
    ahead = int(time.time()) + seconds

    def later(result):
        return {**result, "lastModifiedTime": ahead, "more": True}

    options = {"modules": ["Contacts"], "deletions": "sync"}
    with attacked(company, only("sync", later)) as run:
        output, error = run(**options)
        assert error is None
        gone = output.ids("Contacts")[3]
        company.remove("Contacts", gone)
        again, error = run(output.state, honest, **options)
        assert (again.ids("deleted_records")[-1:], error) == ([gone], None)


DATES = ["2026-1-1 1:1:1", "2026-11-22  07:54:35", "\uff12026-11-22 07:54:35", "10000-01-01", "x"]


@pytest.mark.parametrize("wire", [*DATES, ["x"], HUGE])
@pytest.mark.parametrize("timezone", ["Europe/Paris", "America/New_York"])
def test_modifiedtime_that_is_invalid_is_no_bookmark(company, wire, timezone):
    options = {"modules": ["Contacts"], "timezone": timezone}

    def newest(rows):
        return [{**row, "modifiedtime": wire} for row in rows]

    spoilt = only("query", newest, query="SELECT modifiedtime FROM Contacts")
    with attacked(company, spoilt) as run:
        output, error = run(**options)
        assert (len(output.ids("Contacts")), error) == (company.count("Contacts"), None)
        assert "replication_key_value" not in output.bookmark("Contacts")
        again, error = run(output.state, **options)
        assert (len(again.ids("Contacts")), error) == (company.count("Contacts"), None)
        honestly, error = run(again.state, honest, **options)
        assert error is None
        assert honestly.bookmark("Contacts")["replication_key_value"]


@pytest.mark.parametrize("said", [{"id": "99x7"}, {"id": 5}, {"id": ["x"]}, [], None, "text", {}])
def test_retrieve_of_another_record_is_not_accepted(company, said):
    another = only("retrieve", lambda result: {**result, **said} if said else said)
    with attacked(company, another) as run:
        output, error = run(modules=["Invoice"])
        assert len(output.ids("Invoice")) == company.count("Invoice")
        assert "could not be read completely" in str(error)


def test_picklist_value_that_is_null_is_null_in_the_dictionary(company):
    values = [None, [], {"value": None}, {"value": ["x"]}, {"label": "L"}, {"value": "a"}]

    def odd(described):
        for field in described["fields"]:
            field["type"] |= {"picklistValues": values, "refersTo": [None, {}, "Leads"]}
            field["default"] = {"x": 1}
        return described

    with attacked(company, only("describe", odd)) as run:
        output, error = run(modules=["Contacts"], dictionary=True)
        assert error is None
        assert {row["value"] for row in output.records("PicklistValues")} == {"a"}
        fields = output.records("Fields")
        assert all(row["refers_to"] == ["Leads"] for row in fields)
        assert {row["default_value"] for row in fields} == {None}


@pytest.mark.parametrize("said", [None, [], "text", {}, {"information": "x"}])
def test_related_lists_that_are_invalid_fail_the_run_and_no_module(company, said):
    with attacked(company, only("relatedtypes", lambda _: said, elementType="Campaigns")) as run:
        output, error = run(modules=["Campaigns", "Leads"], relations="all")
        text = "relatedtypes of Campaigns: the server's answer contains no related lists"
        assert text in str(error)
        assert output.ids("Leads")
        assert output.ids("Campaigns")


ODD = [
    None,
    True,
    -1,
    0,
    HUGE,
    BEYOND,
    LONG,
    "",
    [],
    {},
    "12x-5",
    ["x"],
    {"0": {}},
    [[]],
    [{}],
    "\ud800",
]
ODD += [*DATES, "raw:" + LONG, 10**30, "12x" + "9" * 20, {"a": [1]}]
OPERATIONS = ["listtypes", "describe", "query", "query", "query", "retrieve", "sync"]
OPERATIONS += ["relatedtypes", "query_related", "files_retrieve"]


def spoil(chance, value, depth):
    """Return a result with something odd in one place of it."""
    if depth and isinstance(value, (dict, list)) and value:
        place = chance.choice([*value] if isinstance(value, dict) else range(len(value)))
        value[place] = spoil(chance, value[place], depth - 1)
        return value
    return chance.choice(ODD)


@pytest.mark.parametrize("seed", range(8))
def test_random_answers_end_in_a_kafinea_error(company, tmp_path, seed, caplog):
    chance = random.Random(seed)
    settings = {
        "modules": ["Contacts", "Invoice", "Documents", "Campaigns"],
        "relations": [{"module": "Campaigns", "related": "Contacts"}],
        "files": {"enabled": True, "path": str(tmp_path / "files")},
        "deletions": chance.choice(["scan", "sync"]),
        "deletions_path": str(tmp_path / "ids"),
        "line_items": chance.choice(["embed", "table"]),
        "dictionary": True,
    }
    attacks = chance.sample(OPERATIONS, 3)

    def attack(operation, _, result):
        if operation in attacks and chance.random() < 0.2:
            return spoil(chance, result, chance.randrange(4))
        return result

    with attacked(company, attack) as run:
        output, _ = run(**settings)
        assert "a bug in tap-kafinea" not in caplog.text
        _, error = run(output.state if output.states else None, honest, **settings)
        assert error is None
