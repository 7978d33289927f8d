"""Names of files, made of what others wrote."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

from kafinea.shown import UNFIT

_LONGEST_NAME = 200  # bytes; most systems take 255, and a name gets `.part` and a dot while written
_LONGEST_SUFFIX = 20
_LONGEST_END = 500  # characters at either end that are looked at: long runs of accents take time
_UNSAFE = re.compile(rf'{UNFIT.pattern}|[/\\:*?"<>|]')
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d\xb9\xb2\xb3]) *(\.|\Z)",
    re.ASCII | re.IGNORECASE,
)


def safe_name(name: str) -> str:
    """Return a name that is as near to the given one as every system takes it.

    It does not begin with a dot: such names are ours.
    """
    ends = name if len(name) <= 2 * _LONGEST_END else name[:_LONGEST_END] + name[-_LONGEST_END:]
    text = _UNSAFE.sub("_", unicodedata.normalize("NFC", ends)).strip(". ")
    if not text or _RESERVED.match(text):
        text = f"_{text}"
    suffix = PurePosixPath(text).suffix
    if len(suffix.encode()) > _LONGEST_SUFFIX:
        suffix = ""
    stem = text.removesuffix(suffix).encode()[: _LONGEST_NAME - len(suffix.encode())]
    return stem.decode(errors="ignore").rstrip(". ") + suffix
