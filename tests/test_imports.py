"""The contracts of pyproject.toml on imports, and the one that import-linter does not have."""

from __future__ import annotations

from pathlib import Path

import pytest

grimp = pytest.importorskip("grimp")  # of the extra `dev`, as the other
read_configuration = pytest.importorskip("importlinter.api").read_configuration

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def test_no_module_imports_a_package_that_contains_it():
    """Such an import is a circle. The contract "No circles" compares siblings only."""
    packages = read_configuration(str(PYPROJECT))["session_options"]["root_packages"]
    graph = grimp.build_graph(*packages, cache_dir=None)
    circles = [
        f"{module} imports {imported}, which contains it"
        for module in sorted(graph.modules)
        for imported in sorted(graph.find_modules_directly_imported_by(module))
        if module.startswith(f"{imported}.")
    ]
    assert circles == [], "Import the module that defines the name, not its package."
