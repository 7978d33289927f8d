"""Secrets in texts, wherever they stand: what masks them in messages and in the log.

A request has its session and its query in its URL, and libraries log URLs.
"""

from __future__ import annotations

import html
import json
import logging
import re
from collections.abc import Mapping
from urllib.parse import quote, quote_plus

from typing_extensions import override

from kafinea.errors import KafineaError
from kafinea.shown import LONGEST_LINE, shown

MASK = "***"

_SHORTEST = 8
"""Characters. What is shorter is no secret, and may be a word of any message."""
_MOST = 1_000
"""Secrets that are kept: sessions and tokens of long ago are worth nothing."""

_TELLTALE = (BaseException, bytes, bytearray, Mapping, list, tuple, set)

_secrets: dict[str, None] = {}

_NAMES = r"sessionName|sessionId|accessKey|access_key|password|passwd|token|\w*secret\w*"
_HEADERS = r"(?:proxy-)?authorization|(?:set-)?cookie|x-amz-security-token"
_MASKED = (
    (re.compile(r"\?[\w.%\[\]-]+=\S*?(?=[)\]\"',:;]*(?:\s|$))"), "?..."),
    (re.compile(r"(?is)\b(query|element|fileContents)=.*"), rf"\1={MASK}"),
    (re.compile(rf"(?i)\b({_NAMES})=[^&\s]*"), rf"\1={MASK}"),
    (re.compile(rf"(?is)([\"'](?:{_NAMES})[\"']\s*:\s*)([\"']).*?(?:\2|$)"), rf"\1{MASK}"),
    (re.compile(rf"(?i)\b({_HEADERS})\b[\"']?\s*[:=].*"), rf"\1: {MASK}"),
    (re.compile(r"//[^\s/]+@"), f"//{MASK}@"),  # a password in an address
    (re.compile(r"\b[0-9a-fA-F]{32,}\b"), MASK),  # digests, sessions, signatures
)


def remember(*secrets: str) -> None:
    """Note texts that neither a message nor the log may show."""
    for secret in secrets:
        for form in _forms(secret) if len(secret) >= _SHORTEST else ():
            _secrets.pop(form, None)  # to be the newest again
            _secrets[form] = None
    for oldest in list(_secrets)[: max(0, len(_secrets) - _MOST)]:
        _secrets.pop(oldest, None)


def _forms(secret: str) -> set[str]:
    """Return a text as it is and as it is written elsewhere. Those of most keys are the same."""
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    in_text = {json.dumps(each)[1:-1] for each in escaped}
    others = (html.escape(secret), quote(secret), quote_plus(secret), repr(secret)[1:-1])
    return {secret, *escaped, *in_text, *others}


def masked(text: str) -> str:
    """Return a text without secrets, parameters of requests, and passwords in addresses."""
    for secret in list(_secrets):
        text = text.replace(secret, MASK)
    for pattern, instead in _MASKED:
        text = pattern.sub(instead, text)
    return text


def line(text: object) -> str:
    """Return a text as one line of a log: without secrets, and harmless to a terminal."""
    # Twice the length: what is cut before it is masked may begin to look like something else.
    return shown(masked(str(text)[: 2 * LONGEST_LINE]), LONGEST_LINE)


class Cleaning(logging.Filter):
    """Cleans the log of a library, which holds whole URLs and what servers answer."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        clean(record)
        return True


def clean(record: logging.LogRecord) -> None:
    """Leave one line of a log record, without secrets, contents of records, and traceback."""
    arguments = record.args or ()
    if isinstance(arguments, tuple):
        record.args = tuple(map(simple, arguments))
    elif "%(" in str(record.msg):
        record.args = {name: simple(value) for name, value in arguments.items()}
    else:  # `logging` takes it out of the tuple
        record.args = (simple(arguments),)
    record.msg, record.args = line(_message(record)), None
    record.exc_info = record.exc_text = None


def simple(value: object) -> object:
    """Return a value, or only its type: errors, bytes and lists repeat what was sent or came."""
    if isinstance(value, KafineaError) or not isinstance(value, _TELLTALE):
        return value
    return type(value).__name__


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (KeyError, TypeError, ValueError):  # the mistake of who logs
        return str(record.msg)
