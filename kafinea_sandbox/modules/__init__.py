"""The modules and their fields: `MODULES`, read from the TOML files in this folder."""

from __future__ import annotations

from kafinea_sandbox.modules.read import read_modules

__all__ = ["MODULES"]

MODULES = read_modules()
"""In the order of their installation."""
