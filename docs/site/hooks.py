"""The site has some files from outside of docs/, such as README.md, its home page.

The pages link to each other as files of the repository do, so that they can be read there as well.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_ROOT = Path(__file__).resolve().parents[2]
_OUTSIDE = {
    "README.md": "index.md",
    "README.fr.md": "index.fr.md",
    "SECURITY.md": "security-policy.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
    "LICENSE": "LICENSE",
}
"""Files of the repository, and what they are called in the site."""

_FOR_DEVELOPERS = {"architecture.md", "style.md"}

_LOADED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=.?https?:[^>]*>")
_logger = get_plugin_logger("site")

_LINK = re.compile(r"(?<=\]\()([^)#:\s]+)(?=[)#])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files from outside of docs/."""
    for source, page in _OUTSIDE.items():
        content = (_ROOT / source).read_text("utf-8")
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Let the links of a page lead to the pages of the site, and find those for users first."""
    if page.file.src_uri in _FOR_DEVELOPERS:
        page.meta["search"] = {"boost": 0.2}
    names = {name: source for source, name in _OUTSIDE.items()}
    source = names.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    folder = posixpath.dirname(source)

    def in_site(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[1]))
        name = _OUTSIDE.get(target, target.removeprefix("docs/"))
        return posixpath.relpath(name, posixpath.dirname(page.file.src_uri) or ".")

    return _LINK.sub(in_site, markdown)


def on_post_page(output: str, *, page: Page, **_: Any) -> str:
    """Check that a browser loads nothing from other servers for a page."""
    for tag in _LOADED.findall(output):
        _logger.warning("%s loads from another server: %s", page.file.src_uri, tag)
    return output
