"""What is written down about settings and files is what the packages say about themselves."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kafinea_sandbox.modules.read import read_modules

ROOT = Path(__file__).resolve().parent.parent
SDK = ("stream_map", "faker_config", "flattening_", "add_record_metadata", "batch_size_rows")
SDK += ("validate_records",)


@pytest.fixture(scope="module", params=["tap", "target"])
def plugin(request):
    return request.param


@pytest.fixture(scope="module")
def about(plugin):
    command = [sys.executable, "-m", f"{plugin}_kafinea", "--about", "--format=json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["settings"]


def test_meltano_knows_the_settings(plugin, about):
    meltano = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    plugins = [one for kind in meltano["plugins"].values() for one in kind]
    known = next(one for one in plugins if one["name"] == f"{plugin}-kafinea")
    assert known["settings"] == [_meltano(*item) for item in about["properties"].items()]
    assert known["settings_group_validation"] == [about["required"]]


def test_meltano_looks_for_new_modules_and_fields_in_each_run():
    meltano = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    (tap,) = (one for one in meltano["plugins"]["extractors"] if one["name"] == "tap-kafinea")
    assert tap["use_cached_catalog"] is False


def test_readme_has_the_table_of_settings(plugin, about):
    rows = [
        _row(name, said, required=name in about["required"])
        for name, said in about["properties"].items()
        if not name.startswith(SDK)
    ]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split(f"\n## Settings of the {plugin}\n")[1].split("\n## ")[0]
    assert [line for line in section.splitlines() if line.startswith("| `")] == rows


@pytest.mark.parametrize(
    "package",
    [
        *("kafinea", "kafinea.extract", "kafinea.load", "tap_kafinea", "target_kafinea"),
        *("dlt_kafinea", "airbyte_kafinea", "loaders.exact_loaders"),
        *("kafinea_cli", "kafinea_cli.check", "kafinea_cli.init", "kafinea_cli.model"),
        *("kafinea_cli.verify", "kafinea_cli.dbt_package"),
        *(
            f"kafinea.load.{name}"
            for name in ("lookup", "reporting", "server", "stream", "writing")
        ),
    ],
)
def test_architecture_lists_each_file_of_a_package(package):
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    section = page.split(f"\n### {package}: ")[1].split("\n### ")[0]
    listed = re.findall(r"^\| `(\w+\.py)` \|", section, re.MULTILINE)
    files = [
        path.name for path in (ROOT / package.replace(".", "/")).glob("*.py") if path.name[0] != "_"
    ]
    assert sorted(listed) == sorted(files)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_files_named_in_the_docs_exist(page):
    named = re.findall(r"`((?:\w+/)+\w+\.(?:py|md|toml))`", page.read_text(encoding="utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_page_of_the_modules_has_those_of_the_sandbox():
    page = (ROOT / "docs/modules.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    named = re.findall(r"`(\w+)`", " ".join(cells))
    assert sorted(named) == sorted(module.name for module in read_modules())


def _meltano(name, said):
    kinds = {"integer": "integer", "number": "decimal", "boolean": "boolean"}
    kinds |= {"array": "array", "object": "object"}
    kind = kinds.get(said["type"][0])
    if said.get("format") == "date-time":
        kind = "date_iso8601"
    return {
        "name": name,
        **({"kind": kind} if kind else {}),
        **({"sensitive": True} if said.get("secret") else {}),
    }


def _row(name, said, *, required):
    default = f"`{json.dumps(said['default'])}`".replace('"', "") if "default" in said else ""
    return f"| `{name}` | {'yes' if required else ''} | {default} | {said['description']} |"
