"""The data model as one HTML page, which needs no network."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.resources import files
from string import Template

from kafinea_cli.model.document import Document

_SCRIPTS = ("model", "dom", "search", "layout", "picture", "details", "main")
"""The parts of the script. Each uses only those before it."""

_IN_SCRIPT = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
"""The document cannot end the element that it is in: JSON has these characters in strings only."""


def page(model: Document) -> str:
    """Return the page of a document."""
    css = _template("page.css")
    script = "\n".join(_template(f"{name}.js") for name in _SCRIPTS)
    return Template(_template("page.html")).substitute(
        title=escape(f"Data model of {model['instance']}"),
        policy=_policy(css, script),
        css=css,
        model=json.dumps(model, ensure_ascii=False).translate(_IN_SCRIPT),
        script=script,
    )


def _policy(css: str, script: str) -> str:
    """The content security policy: the browser runs this script only, and loads nothing."""
    return (
        f"default-src 'none'; style-src '{_digest(css)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _template(name: str) -> str:
    return files("kafinea_cli.model").joinpath(f"template/{name}").read_text("utf-8")
