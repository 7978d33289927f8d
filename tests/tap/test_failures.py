"""What goes wrong in one stream stays there: one line, the other streams, exit code 1."""

from __future__ import annotations

import json

import pytest

from tests.tap.running import command, discover, parse, settings

MODULES = ["Accounts", "Contacts", "Leads"]


@pytest.fixture
def files(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_text(json.dumps(content), "utf-8")
        return str(path)

    return write


def errors(done):
    return [line.partition("ERROR")[2] for line in done.stderr.splitlines() if "ERROR" in line]


def run(files, config, *arguments, **options):
    done = command("--config", files("config.json", config), *arguments, **options)
    assert "Traceback" not in done.stderr
    return done, parse(done.stdout.splitlines())


# Stream maps


def mapped(**maps):
    return {"stream_maps": {"Contacts": maps}}


MAPS = {
    "a null": (mapped(x="firstname.upper()"), "property `x`: the expression fails for record {id}"),
    "a value": (mapped(x="int(lastname)"), "property `x`: the expression fails for record {id}"),
    "a filter": (mapped(__filter__="nope > 3"), "`__filter__`: the expression fails for record"),
    "no JSON": (mapped(x="'\\ud800'"), "record {id} cannot be written: UnicodeEncodeError"),
    "no expression": (mapped(x="lastname.upper("), "property `x`: the expression cannot be parsed"),
    "no filter": (mapped(__filter__="a b"), "`__filter__`: the expression cannot be parsed"),
    "no key": (mapped(id=None), "Removing key property 'id' is not permitted"),
}


@pytest.mark.parametrize("name", MAPS)
def test_a_stream_map_that_fails_is_one_line_that_names_the_place(sandbox, files, name):
    change, said = MAPS[name]
    rows = sandbox.rows("Contacts")
    # All records before the third one are sound.
    if name == "a value":
        for row in rows:
            sandbox.change("Contacts", row["id"], {"lastname": "12"})
    first = rows[2 if name in {"a null", "a value"} else 0]["id"]
    for row in rows:
        sandbox.change("Contacts", row["id"], {"firstname": "Ada"})
    sandbox.change("Contacts", first, {"firstname": None, "lastname": "Secretname"})
    done, output = run(files, settings(sandbox, modules=MODULES, **change))
    assert done.returncode == 1
    line, summary = errors(done)
    assert "Contacts is not complete: " in line
    assert said.format(id=first) in line
    assert "Not complete: Contacts." in summary
    assert "Secretname" not in done.stderr
    for other in ("Accounts", "Leads"):
        assert len(output.ids(other)) == sandbox.count(other)
        assert output.bookmark(other)["replication_key_value"]
    before = [row["id"] for row in rows[: [row["id"] for row in rows].index(first)]]
    assert output.ids("Contacts") == before
    assert output.states[-1]["bookmarks"].get("Contacts", {}).get("pass", {}).get("last_id") == (
        before[-1] if before else None
    )


def test_a_stream_map_of_a_stream_that_is_not_selected_is_no_failure(sandbox, files):
    catalog = discover(sandbox, modules=MODULES)
    for entry in catalog["streams"]:
        if entry["stream"] == "Contacts":
            entry["metadata"] = [{"breadcrumb": [], "metadata": {"selected": False}}]
    config = settings(sandbox, **mapped(x="lastname.upper("))
    done, output = run(files, config, "--catalog", files("catalog.json", catalog))
    assert (done.returncode, errors(done)) == (0, [])
    assert len(output.ids("Leads")) == sandbox.count("Leads")
