"""Texts that others wrote, as they may be shown in a message, in the log and on a terminal."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

LONGEST = 300
"""Characters of such a text that are shown."""
LONGEST_LINE = 4_000
"""Characters of a whole message or line of the log: it may name all modules."""

# Control characters (ESC, CR and LF among them), line separators, halves of characters, and what
# is not seen or turns the direction of what follows.
UNFIT = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
"""What is in no text that is shown, and in no name of a file."""


def shown(text: object, longest: int = LONGEST) -> str:
    r"""Return a text in one line, cut, with `\x1b` for what would act on a terminal."""
    whole = str(text)
    return UNFIT.sub(_escape, whole[:longest]) + ("..." if len(whole) > longest else "")


def place_of(error: BaseException) -> str:
    """Return the kind and the place of an error that nobody foresaw."""
    place = type(error).__name__
    for frame, number in list(traceback.walk_tb(error.__traceback__))[-1:]:
        place += f", {Path(frame.f_code.co_filename).name}, line {number}"
    return place


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
