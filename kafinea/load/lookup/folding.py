"""Removing from a text all differences that some database of the family ignores.

Two keys that fold alike are not equal for that reason: see `keys`. They only may be.
"""

# ruff: noqa: RUF001 - look-alikes are what this is about

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

# `unicodedata` distinguishes these, and some collation does not: utf8mb4_general_ci of MariaDB
# (ß = s), _unicode_ci (œ = oe, hiragana = katakana), _unicode_520_ci and _0900_ai_ci of MySQL
# (ø = o, ł = l, þ = th).
_LETTERS = {
    **{"æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "þ": "th", "Þ": "TH"},  # noqa: PIE800 lines
    **dict(zip("øØłŁđĐðÐħĦŧŦıŋŊ", "oOlLdDdDhHtTinN", strict=True)),
}
_ALIKE = str.maketrans(
    {
        **_LETTERS,
        **dict.fromkeys("’‘‛ʼʹ′`´＇", "'"),
        **dict.fromkeys("“”„‟″«»＂", '"'),
        **dict.fromkeys("‐‑‒–—―−﹣－", "-"),
        **{chr(code): chr(code - 0x60) for code in range(0x30A1, 0x30F7)},  # katakana
    }
)
_SMALL_KANA = str.maketrans("ぁぃぅぇぉっゃゅょゎゕゖ", "あいうえおつやゆよわかけ")
_SHARP_S = re.compile("ss+")  # ß is ss to one collation and s to another
_SUPPLEMENTARY = re.compile("[\U00010000-\U0010ffff]")
_NO_CHARACTER = "\ufffd"
_IGNORED = frozenset({"Mn", "Me", "Cc", "Cf", "Cs", "Co", "Cn"})


@lru_cache(maxsize=4096)
def fold(text: str) -> str:
    """Return a text without the differences that some database ignores."""
    if text.isascii() and text.isprintable():
        plain = text.lower().replace("`", "'")
    else:
        plain = "".join(_folded(text))
    return _SHARP_S.sub("s", plain).strip()


def _folded(text: str) -> Iterator[str]:
    # To several collations, all characters outside the basic plane are one.
    text = _SUPPLEMENTARY.sub(_NO_CHARACTER, text).translate(_ALIKE)
    text = unicodedata.normalize("NFKD", text).casefold().translate(_ALIKE)
    for each in unicodedata.normalize("NFKD", text).translate(_SMALL_KANA):
        if each.isspace():
            yield " "
        elif unicodedata.category(each) not in _IGNORED:
            yield each
