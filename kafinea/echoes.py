"""The text of a server, without what it was sent: some repeat the record that they refuse.

The text is compared with the values that were sent letter by letter, whatever stands between the
letters: servers write a value in JSON, HTML or SQL, cut it, and change its case and its accents.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import requests

from kafinea.contents import Form
from kafinea.masking import MASK, masked
from kafinea.shown import LONGEST, shown

_LONGEST_READ = 2_000
"""Characters that are looked at of a text, with its escapes."""
_LONGEST_PROSE = 400
"""Characters that are compared, without escapes: a few more than are shown."""
_RUN = 8
"""Letters in a row that prose and a message do not have in common by chance."""
_MANY_LETTERS = 2**20
"""Letters of values beyond which only each eighth run is looked for."""
_SHORT_VALUE = 60
"""Characters of a value of which each word counts: a name, an address, no prose."""
_FEWEST = 3
"""Letters that are hidden when they are a whole word; more are within a word, too."""
_FEWEST_CUT = 4
"""Letters that are hidden when they are a whole word, and the beginning of one that was sent."""

_RECORD_ID = re.compile(r"\d+x\d+")
_QUOTED = re.compile(r"'(?:[^']|'')*'")
_LITERAL = re.compile(rf"{_QUOTED.pattern}|\b\d[\d.]*\b")
_TOKEN = re.compile(r"\d+x\d+|\w+")
_WORD = re.compile(r"[^\W_]+")
_UNBROKEN = re.compile(r"\S{40,}")  # no words: a key, an encoded file
_STRUCTURE = re.compile(r"\{|\[\s*[\[{\"']")  # JSON, PHP or Python: data
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_TAG = re.compile(r"<[^>]*>")


def without_echo(text: str, request: requests.PreparedRequest | None) -> str:
    """Return the text of a server, in one line, without values that the request contained.

    Ids of records and names of fields stay: they are how a user finds what is meant.

    Returns:
        An empty text when little is left.
    """
    prose = _prose(text)
    sent = _Sent(_parameters(request))
    covered = _covered(prose, sent)
    hidden = sum(end - start for start, end in covered)
    if not prose or 2 * hidden > len(prose):
        return ""
    return shown(_with_masks(prose, covered), LONGEST)


def _prose(text: str) -> str:
    """Return the beginning of a text, up to anything that is no prose."""
    plain = _STRUCTURE.split(_plain(text[:_LONGEST_READ]), maxsplit=1)[0]
    prose = masked(_UNBROKEN.sub(MASK, " ".join(plain.split())))
    if len(prose) > _LONGEST_PROSE:
        prose = prose[:_LONGEST_PROSE].rpartition(" ")[0]
    return prose


def _plain(text: str) -> str:
    """Return a text without the escapes of HTML, JSON and URLs, however often it was escaped."""
    for _ in range(3):
        before = text
        text = html.unescape(text)
        text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
        if re.search(r"%[0-9a-fA-F]{2}", text):
            text = unquote(text).replace("+", " ")
        if text == before:
            break
    return text


# What was sent


def _parameters(request: requests.PreparedRequest | None) -> dict[str, str]:
    """Return the parameters of a request, from its URL or its form."""
    if request is None:
        return {}
    body: Any = request.body
    form = body.fields if isinstance(body, Form) else body if isinstance(body, str) else ""
    return dict(parse_qsl(f"{urlsplit(request.url or '').query}&{form}"))


class _Sent:
    """The names and values in a request.

    Attributes:
        names: What may be shown: names of the operation, the module and the fields.
        letters: The letters of all values.
        parts: Values with few letters, and such words of short values.
        beginnings: How words of short values begin, where a message was cut.
    """

    def __init__(self, parameters: dict[str, str]) -> None:
        names = [parameters.get(name, "") for name in ("operation", "elementType", "relatedLabel")]
        values = [parameters.get("fileName", "")]
        if query := parameters.get("query"):
            names.append(_QUOTED.sub(" ", query))
            values += [found[0] for found in _LITERAL.finditer(query)]
        if element := parameters.get("element"):
            _take_apart(element, names, values)
        tokens = (token for name in names for token in _TOKEN.findall(name))
        self.names = {token.casefold() for token in tokens if not token.isdecimal()}
        values = [
            form
            for value in values
            if value and not _RECORD_ID.fullmatch(value)
            for form in _forms(value)
        ]
        letters = list(map(_letters, values))
        short = (word for value in values if len(value) <= _SHORT_VALUE for word in value.split())
        words = set(map(_letters, short))
        parts = {*letters, *words}
        self.letters = "\n".join(letters)
        self.parts = {part for part in parts if _FEWEST <= len(part) < _RUN}
        self.beginnings = {word[:end] for word in words for end in range(_FEWEST_CUT, _RUN)}


def _take_apart(element: str, names: list[str], values: list[str]) -> None:
    """Add the names and values of a record that was sent as JSON."""
    try:
        left = [json.loads(element)]
    except (ValueError, RecursionError):
        left = [element]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            names += part
            left += part.values()
        elif isinstance(part, list):
            left += part
        elif part is not None and not isinstance(part, bool):
            values.append(str(part))


def _forms(value: str) -> set[str]:
    """Return a value as servers may show it: without escapes and tags, or in the wrong encoding."""
    plain = _plain(value)
    forms = {plain, _TAG.sub("", plain), value.encode(errors="replace").decode("latin-1")}
    if date := _DATE.match(value):
        year, month, day = date.groups()
        forms |= {day + month + year, month + day + year}
    return forms


def _letters(text: str) -> str:
    """Return the letters and digits of a text, without case and accents."""
    plain = text if text.isascii() else unicodedata.normalize("NFKD", text)
    return "".join(_WORD.findall(plain.casefold()))  # a mark over a letter is no part of a word


def _covered(prose: str, sent: _Sent) -> list[tuple[int, int]]:
    """Return where words stand that hold a part of a value."""
    words = [
        (token.start() + word.start(), token.start() + word.end(), _letters(word[0]))
        for token in _TOKEN.finditer(prose)
        if token[0].casefold() not in sent.names and not _RECORD_ID.fullmatch(token[0])
        for word in _WORD.finditer(token[0])
    ]
    text = "".join(letters for *_, letters in words)
    owners = [number for number, (*_, letters) in enumerate(words) for _ in letters]
    found = {number for number, (*_, word) in enumerate(words) if word in sent.beginnings}
    # Each search takes a millisecond for a megabyte. A long run holds one of every eighth, too.
    step = 1 if len(sent.letters) < _MANY_LETTERS else _RUN
    for start in range(0, len(text) - _RUN + 1, step):
        if text[start : start + _RUN] in sent.letters:
            found.update(owners[max(0, start - step + 1) : start + _RUN + step - 1])
    for part in sent.parts:
        start = text.find(part)
        while start >= 0:
            touched = set(owners[start : start + len(part)])
            if (
                len(part) > _FEWEST
                or "".join(words[number][2] for number in sorted(touched)) == part
            ):
                found |= touched
            start = text.find(part, start + 1)
    return [words[number][:2] for number in sorted(found)]


def _with_masks(prose: str, covered: list[tuple[int, int]]) -> str:
    """Return a text with a mask for each row of covered words."""
    pieces: list[str] = []
    done = 0
    for start, end in covered:
        if not pieces or _WORD.search(prose, done, start):
            pieces += [prose[done:start], MASK]
        done = end
    return "".join([*pieces, prose[done:]])
