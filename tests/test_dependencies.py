"""What pip installs: no more than what is imported, and each extra only what it is for."""

from __future__ import annotations

import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

grimp = pytest.importorskip("grimp")  # of the extra `dev`

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT, LOADERS = (
    tomllib.loads((ROOT / folder / "pyproject.toml").read_text("utf-8"))["project"]
    for folder in (".", "loaders")
)
DISTRIBUTIONS = {"tomli": ["tomli"], "dlt": ["dlt"], **packages_distributions()}
"""By what is imported. The first two are not in every environment."""

EXTRAS = {
    "kafinea_cli": ("cli", "export", "verify"),
    "kafinea_sandbox": ("sandbox",),
    "dlt_kafinea": ("dlt",),
}
"""The extras that a package of this project may import. The others import none."""

CORE = ("kafinea", "singer_kafinea", "tap_kafinea", "target_kafinea", "airbyte_kafinea")


def required(*extras: str, project: dict = PROJECT) -> set[str]:
    """Return the names of what a project requires with these extras."""
    lists = [project["optional-dependencies"][extra] for extra in extras]
    lines = [*project["dependencies"], *(line for each in lists for line in each)]
    return {canonicalize_name(Requirement(line).name) for line in lines}


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    """By package of this project: the distributions that it imports."""
    roots = {*CORE, *EXTRAS, "exact_loaders"}
    graph = grimp.build_graph(*roots, include_external_packages=True, cache_dir=None)
    found: dict[str, set[str]] = {root: set() for root in roots}
    for module in graph.modules:
        name = module.partition(".")[0]
        if name not in roots and name not in sys.stdlib_module_names:
            names = {canonicalize_name(each) for each in DISTRIBUTIONS[name]}
            for importer in graph.find_modules_that_directly_import(module):
                found[importer.partition(".")[0]] |= names
    return found


def test_tap_and_target_alone_require_exactly_what_they_import(imported):
    assert set().union(*(imported[name] for name in CORE)) == required()


@pytest.mark.parametrize("package", EXTRAS)
def test_extras_of_a_package_are_what_it_imports_beyond(package, imported):
    assert imported[package] - required() == required(*EXTRAS[package]) - required()


def test_loaders_require_exactly_what_they_import(imported):
    assert imported["exact_loaders"] == required("duckdb", "postgres", project=LOADERS)
