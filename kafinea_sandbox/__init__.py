"""A local Kafinea: an HTTP server that behaves like the real one, with a demo company in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kafinea_sandbox.sandbox import Sandbox

__all__ = ["Sandbox"]


def __getattr__(name: str) -> Any:
    """Load the server only when it is wanted: the modules and the company need none."""
    if name == "Sandbox":
        from kafinea_sandbox.sandbox import Sandbox  # noqa: PLC0415 - see above

        return Sandbox
    raise AttributeError(name)
