"""The data dictionary: what `describe` answers, each module asked once, and no secrets."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from kafinea.describe import SECRET_FIELDS
from kafinea_sandbox import Sandbox
from kafinea_sandbox.modules.model import Field
from tests.conftest import connect
from tests.tap.running import discover, extract
from tests.target.running import empty

ALL = ("kafinea", "stock", "frevo", "corebos", "legacy")
NAMES = {"Modules", "Fields", "PicklistValues"}
FEW = ["Accounts", "Contacts", "Currency", "Invoice", "Users"]
STATUS = Field(
    "cf_991",
    "Statut &amp; suivi",
    "picklist",
    values=("Open", "Closed", "Open", ""),
    labels=("Ouvert", "Fermé &gt; 1 an", "Ouvert", "Aucun"),
    default="Open",
)


def answers(sandbox, names):
    """What the server answers, as it stands on the wire."""
    with connect(sandbox) as client:
        return {name: client.call("GET", "describe", {"elementType": name}) for name in names}


def rows(output, stream, **wanted):
    return [row for row in output.records(stream) if all(row[key] == wanted[key] for key in wanted)]


def asked(sandbox):
    requests = [r for r in sandbox.requests if r.operation in {"listtypes", "describe"}]
    return Counter(request.params.get("elementType", "") for request in requests)


def only_dictionary(catalog):
    streams = [one for one in catalog["streams"] if one["tap_stream_id"] in NAMES]
    return {"streams": streams}


@pytest.mark.parametrize("dialect", ALL)
def test_dictionary_holds_what_describe_answers(dialect):
    with empty(dialect=dialect) as sandbox:
        sandbox.redefine("Accounts", STATUS)
        told = answers(sandbox, FEW)
        sandbox.requests.clear()
        output = extract(sandbox, modules=FEW, dictionary=True, line_items="off")
        assert asked(sandbox) == {"": 1, **dict.fromkeys(FEW, 1)}

        modules = {row["module"]: row for row in output.records("Modules")}
        assert modules.keys() == {*FEW}
        for name, row in modules.items():
            assert row["label"] == told[name]["label"]
            assert row["id_prefix"] == told[name]["idPrefix"]
            assert row["is_entity"] is told[name]["isEntity"]
            assert row["createable"] is row["retrieveable"] is True
        assert modules["Contacts"]["singular_label"] == "Contact"

        for name in FEW:
            said = {one["name"]: one for one in told[name]["fields"]}
            fields = {row["field"]: row for row in rows(output, "Fields", module=name)}
            assert [*fields] == [one for one in said if one not in SECRET_FIELDS]
            assert [row["position"] for row in fields.values()] == [*range(1, len(fields) + 1)]
            for field, row in fields.items():
                assert row["type"] == said[field]["type"]["name"]
                assert row["is_mandatory"] is bool(said[field]["mandatory"])
                assert row["refers_to"] == (said[field]["type"].get("refersTo") or None)
        (status,) = rows(output, "Fields", module="Accounts", field="cf_991")
        assert status.pop("position") > 0
        assert status == {
            "module": "Accounts",
            "field": "cf_991",
            "label": "Statut & suivi",
            "type": "picklist",
            "is_mandatory": False,
            "is_editable": True,
            "is_unique": False,
            "refers_to": None,
            "default_value": "Open",
        }
        values = rows(output, "PicklistValues", module="Accounts", field="cf_991")
        assert [(row["value"], row["label"], row["position"]) for row in values] == [
            ("Open", "Ouvert", 1),
            ("Closed", "Fermé > 1 an", 2),
            ("", "Aucun", 3),
        ]
        assert not SECRET_FIELDS & {row["field"] for row in output.records("Fields")}


def test_dictionary_keys_identify_rows_and_schema_has_each_column(sandbox):
    output = extract(sandbox, dictionary=True)
    keys = {"Modules": 1, "Fields": 2, "PicklistValues": 3}
    for stream, length in keys.items():
        (schema,) = (m for m in output.messages if m["type"] == "SCHEMA" and m["stream"] == stream)
        key = schema["key_properties"]
        assert key == ["module", "field", "value"][:length]
        found = output.records(stream)
        assert len({tuple(row[name] for name in key) for row in found}) == len(found) > 0
        assert {*found[0]} == {*schema["schema"]["properties"]}


def test_dictionary_is_off_by_default(sandbox):
    assert not NAMES & {one["stream"] for one in discover(sandbox)["streams"]}


def test_dictionary_with_catalog_describes_each_module_once(sandbox):
    catalog = only_dictionary(discover(sandbox, modules=["Accounts", "Leads"], dictionary=True))
    sandbox.requests.clear()
    output = extract(sandbox, catalog=catalog, modules=["Accounts", "Leads"])
    assert asked(sandbox) == {"": 1, "Accounts": 1, "Leads": 1}
    assert not sandbox.requests.of("query")
    assert {row["module"] for row in output.records("Fields")} == {"Accounts", "Leads"}


def test_dictionary_drops_removed_fields_with_a_new_version(sandbox):
    sandbox.redefine("Leads", STATUS)
    first = extract(sandbox, modules=["Leads"], dictionary=True)
    sandbox.redefine("Leads", without=["cf_991"])
    second = extract(sandbox, modules=["Leads"], dictionary=True, state=first.state)
    assert rows(first, "Fields", field="cf_991")
    assert not rows(second, "Fields", field="cf_991")
    for stream in NAMES:
        before, after = (
            [m for m in output.messages if m.get("stream") == stream] for output in (first, second)
        )
        assert [m["type"] for m in after] == [
            "SCHEMA",
            *["RECORD"] * (len(after) - 2),
            "ACTIVATE_VERSION",
        ]
        versions = [{m["version"] for m in told[1:]} for told in (before, after)]
        assert len(versions[0]) == len(versions[1]) == 1
        assert max(versions[0]) < min(versions[1])


def test_dictionary_leaves_out_modules_that_cannot_be_described(sandbox, caplog):
    catalog = only_dictionary(discover(sandbox, modules=["Accounts", "L*"], dictionary=True))
    denied = '{"success":false,"error":{"message":"denied","code":"ACCESS_DENIED"}}'
    sandbox.faults.add(
        "status", operation="describe", contains="Leads", status=200, body=denied, times=None
    )
    output = extract(sandbox, catalog=catalog, modules=["Accounts", "L*"])
    assert {row["module"] for row in output.records("Modules")} == {"Accounts", "LineItem"}
    assert "Leads is left out, because it cannot be described" in caplog.text


def test_dictionary_gives_way_to_a_module_of_the_same_name():
    with Sandbox(rows=50) as sandbox:
        told = answers(sandbox, ["Leads"])["Leads"] | {"name": "fields", "label": "Fields"}
        for operation, result in (("listtypes", {"types": ["fields"]}), ("describe", told)):
            body = json.dumps({"success": True, "result": result})
            sandbox.faults.add("status", operation=operation, status=200, body=body, times=None)
        catalog = discover(sandbox, dictionary=True)
        names = {one["tap_stream_id"] for one in catalog["streams"]}
        assert names == {"fields", "Modules", "DictionaryFields", "PicklistValues"}
        catalog["streams"] = [one for one in catalog["streams"] if one["stream"] != "fields"]
        output = extract(sandbox, catalog=catalog)
        assert rows(output, "DictionaryFields", module="fields", field="lastname")
