"""The import of the SDK, which is most of the time that a command takes to start."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import what stands in the block without what only takes time.

    Importing makes no garbage, and looking for some takes a third of the time. The SDK imports
    joblib, which imports numpy where it is installed: a sixth of the time, and no command has
    arrays. Later imports find numpy.
    """
    gc.disable()
    hides_numpy = "numpy" not in sys.modules
    if hides_numpy:
        sys.modules["numpy"] = None  # type: ignore[assignment]  # Python: importing it fails
    try:
        yield
    finally:
        if hides_numpy:
            del sys.modules["numpy"]
        gc.freeze()
        gc.enable()
