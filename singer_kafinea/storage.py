"""Places where files lie: local folders, and whatever else fsspec can open."""

from __future__ import annotations

from typing import Any

import fsspec  # type: ignore[import-untyped]  # it has no types

from kafinea.errors import SettingsError

_EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gcs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "azure"),
}


def open_storage(url: str) -> tuple[Any, str]:
    """Return the file system of a path or URL, and the path in it.

    Raises:
        SettingsError: Nothing here can open it. The URL may hold a password, and is not shown.
    """
    protocol = url.partition("://")[0] if "://" in url else "file"
    try:
        system, path = fsspec.url_to_fs(url)
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        advice = f"pip install 'singer-kafinea[{extra}]'" if extra else str(error)
        raise SettingsError(f"{protocol}:// needs a package that is missing: {advice}") from None
    except Exception as error:  # noqa: BLE001 each kind of storage has its own errors
        raise SettingsError(f"{protocol}:// cannot be opened: {type(error).__name__}") from None
    return system, str(path)
