"""What a command loads before it does anything: no more than it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

VERSION = """
import importlib, sys
from singer_kafinea.command import exit_code
package, plugin = sys.argv[1:]
plugin = getattr(importlib.import_module(package + ".__main__"), plugin)
sys.argv = [package, "--version"]
exit_code(plugin.cli, plugin.logger)
print(*sys.modules)
"""


def packages(*arguments):
    """Return the packages outside the standard library that a program has loaded at its end."""
    output = subprocess.run(
        [sys.executable, "-c", *arguments], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    names = {name.partition(".")[0] for name in output.splitlines()[-1].split()}
    return names - sys.stdlib_module_names


@pytest.mark.parametrize("command", ["tap", "target"])
def test_command_imports_the_sdk_its_own_packages_and_msgspec_only(command):
    sdk = packages(f"import singer_sdk.{command}_base, sys; print(*sys.modules)")
    own = {f"{command}_kafinea", "singer_kafinea", "kafinea"}
    loaded = packages(VERSION, f"{command}_kafinea", f"{command.title()}Kafinea")
    assert loaded - sdk == {*own, "msgspec"}
    assert "numpy" not in loaded  # which the joblib of the SDK imports where it is installed
