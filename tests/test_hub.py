"""The definitions of the plugins for Meltano are what `--about` says, and what its Hub accepts."""

import re
import runpy

import pytest
import yaml

from tests.test_docs_match import ROOT

MAKE = runpy.run_path(str(ROOT / "hub/make.py"))
FILES = sorted((ROOT / "hub").glob("*.yml"))

CAPABILITIES = {"about", "stream-maps", "schema-flattening", "activate-version", "batch"}
OF_TAPS = {"properties", "catalog", "discover", "state", "test", "log-based", "structured-logging"}
OF_TARGETS = {"soft-delete", "hard-delete", "datatype-failsafe", "target-schema"}
OF_TARGETS |= {"validate-records"}
KINDS = {"date_iso8601", "integer", "options", "object", "array", "boolean", "string", "decimal"}
KEYS = {"name", "variant", "namespace", "label", "description", "pip_url", "executable"}
KEYS |= {"maintenance_status", "quality", "log_parser", "supported_python_versions"}
KEYS |= {"capabilities", "settings_group_validation", "settings"}
"""What the Hub's schemas of November 2026 allow: `schemas/` in the repository meltano/hub."""

REQUIRED = {"name", "namespace", "variant", "quality"}
RATINGS = {"gold", "silver", "bronze", "unknown"}
STATUSES = {"active", "beta", "development", "inactive", "unknown"}
STRINGS = {"name", "variant", "namespace", "label", "description", "pip_url", "executable"}
STRINGS |= {"log_parser"}


@pytest.mark.parametrize("plugin", MAKE["PLUGINS"], ids=lambda plugin: plugin.name)
def test_definition_is_made_from_about(plugin):
    stored = (ROOT / f"hub/{plugin.name}.yml").read_text("utf-8")
    assert stored == MAKE["definition"](plugin), "Run `make hub`."


def test_every_definition_is_made():
    assert {path.stem for path in FILES} == {plugin.name for plugin in MAKE["PLUGINS"]}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_hub_accepts_the_definition(path):
    plugin = yaml.safe_load(path.read_text("utf-8"))
    tap = path.stem.startswith("tap-")
    assert plugin.keys() - KEYS == ({"select"} if tap else plugin.keys() & {"dialect"})
    assert plugin.keys() >= REQUIRED
    assert all(isinstance(plugin[name], str) for name in STRINGS)
    assert plugin["quality"] in RATINGS
    assert plugin["maintenance_status"] in STATUSES
    assert all(re.fullmatch(r"3\.\d+", each) for each in plugin["supported_python_versions"])
    assert set(plugin["capabilities"]) <= CAPABILITIES | (OF_TAPS if tap else OF_TARGETS)
    for setting in plugin["settings"]:
        extra = setting.keys() & {"options", "sensitive"}
        assert setting.keys() - extra == {"name", "label", "description", "kind"}
        assert setting["kind"] in KINDS
        assert all(isinstance(each["value"], str) for each in setting.get("options", []))
    names = {setting["name"] for setting in plugin["settings"]}
    assert set().union(*plugin["settings_group_validation"]) <= names
