"""What is written down about settings and files is what the packages say about themselves."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from packaging.version import Version

from kafinea_sandbox.modules.read import read_modules

ROOT = Path(__file__).resolve().parent.parent
SDK = ("stream_map", "faker_config", "flattening_", "add_record_metadata", "validate_records")
SDK += ("process_activate_version_messages",)
SDK_BATCHES = "Batch Size Rows"
"""What the SDK calls its setting; the loaders have one of their own."""


class Plugin(NamedTuple):
    """A plugin, and where its settings are written down."""

    name: str
    start: str
    page: str
    section: str


PLUGINS = [
    Plugin("tap-kafinea", "tap_kafinea.__main__ import main", "README.md", "Settings of the tap"),
    Plugin(
        "target-kafinea",
        "target_kafinea.__main__ import main",
        "README.md",
        "Settings of the target",
    ),
    Plugin(
        "target-duckdb",
        "exact_loaders.target_duckdb import run as main",
        "docs/loaders.md",
        "Settings of target-duckdb-exact",
    ),
    Plugin(
        "target-postgres",
        "exact_loaders.target_postgres import run as main",
        "docs/loaders.md",
        "Settings of target-postgres-exact",
    ),
]


@pytest.fixture(scope="module", params=PLUGINS, ids=[plugin.name for plugin in PLUGINS])
def plugin(request):
    return request.param


@pytest.fixture(scope="module")
def about(plugin):
    code = f"from {plugin.start}; main()"
    command = [sys.executable, "-c", code, "--about", "--format=json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["settings"]


def test_each_setting_is_explained_and_meltano_and_the_page_say_the_same(plugin, about):
    for name, setting in about["properties"].items():
        assert setting["title"]
        assert _has_example(setting) or _is_of_sdk(name, setting), name
    meltano = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    plugins = [one for kind in meltano["plugins"].values() for one in kind]
    known = next(one for one in plugins if one["name"] == plugin.name)
    assert known["settings"] == [_meltano(*item) for item in about["properties"].items()]
    if plugin.name.endswith("-kafinea"):
        assert known["settings_group_validation"] == [about["required"]]
    rows = [
        _row(name, setting, required=name in about["required"])
        for name, setting in about["properties"].items()
        if not _is_of_sdk(name, setting)
    ]
    page = (ROOT / plugin.page).read_text(encoding="utf-8")
    section = page.split(f"\n## {plugin.section}\n")[1].split("\n## ")[0]
    assert [line for line in section.splitlines() if line.startswith("| `")] == rows


def test_meltano_looks_for_new_modules_and_fields_in_each_run():
    meltano = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    (tap,) = (one for one in meltano["plugins"]["extractors"] if one["name"] == "tap-kafinea")
    assert tap["use_cached_catalog"] is False


@pytest.mark.parametrize(
    "package",
    [
        *("kafinea", "kafinea.extract", "kafinea.load", "tap_kafinea", "target_kafinea"),
        *("dlt_kafinea", "airbyte_kafinea", "loaders.exact_loaders"),
        *("kafinea_cli", "kafinea_cli.check", "kafinea_cli.init", "kafinea_cli.model"),
        *("kafinea_cli.verify", "kafinea_cli.dbt_package", "kafinea_cli.diff"),
        *(
            f"kafinea.load.{name}"
            for name in ("approval", "lookup", "reporting", "server", "stream", "undo", "writing")
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


def test_changelog_begins_with_the_version_of_both_packages_or_with_the_next():
    version, of_loaders = (
        re.search(r'^version = "(.+)"$', (ROOT / path).read_text("utf-8"), re.MULTILINE)[1]
        for path in ("pyproject.toml", "loaders/pyproject.toml")
    )
    assert version == of_loaders
    first = re.search(
        r"^## (\S+) - (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE
    )
    if first[2] == "not released yet":
        assert Version(first[1]) > Version(version)
    else:
        assert (first[1], bool(re.fullmatch(r"\d{4}-\d\d-\d\d", first[2]))) == (version, True)


def test_page_of_the_modules_has_those_of_the_sandbox():
    page = (ROOT / "docs/modules.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    named = re.findall(r"`(\w+)`", " ".join(cells))
    assert sorted(named) == sorted(module.name for module in read_modules())


def _is_of_sdk(name, setting):
    return name.startswith(SDK) or setting["title"] == SDK_BATCHES


def _has_example(setting):
    """Whether the description has an example, where neither the kind nor the default is one."""
    is_clear = "enum" in setting or "default" in setting or setting.get("secret")
    return bool(setting["description"]) and bool(
        is_clear or re.search(r"\bsuch as\b", setting["description"], re.IGNORECASE)
    )


def _kind(setting):
    if "enum" in setting:
        return "options"
    if setting.get("format") == "date-time":
        return "date_iso8601"
    kind = setting["type"] if isinstance(setting["type"], str) else setting["type"][0]
    return {"number": "decimal"}.get(kind, kind)


def _meltano(name, setting):
    options = [{"label": value, "value": value} for value in setting.get("enum", [])]
    return {
        "name": name,
        "label": setting["title"],
        **({} if _is_of_sdk(name, setting) else {"description": setting["description"]}),
        "kind": _kind(setting).replace("decimal", "string"),  # hub/make.py knows why
        **({"options": options} if options else {}),
        **({"sensitive": True} if setting.get("secret") else {}),
    }


def _row(name, setting, *, required):
    default = setting.get("default")
    shown = "required" if required else ""
    if default is not None:
        shown = f"`{json.dumps(default)}`".replace('"', "")
    return f"| `{name}` | {_kind(setting)} | {shown} | {setting['description']} |"
