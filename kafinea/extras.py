"""The optional packages: what is said where the extra that installs one is missing."""

from __future__ import annotations

from importlib.util import find_spec

from kafinea.errors import SettingsError


def require(package: str, extra: str) -> None:
    """Check that an optional package is installed, without importing it.

    Args:
        package: The package, as it is imported.
        extra: The extra of singer-kafinea that installs it.

    Raises:
        SettingsError: It is not installed.
    """
    if find_spec(package) is None:
        raise SettingsError(f"{package} is not installed. {advice(extra)}")


def advice(extra: str) -> str:
    """Return what to do where an extra is missing.

    It contains no command: the package may be from an index, from git, a wheel or a clone.
    """
    return f"Install the extra `{extra}` of singer-kafinea, see docs/install.md."
