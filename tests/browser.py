"""A headless Chromium, if this machine has one, and pages that watch what they do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ALONE = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


def chromium() -> str | None:
    """The program, if there is one."""
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)


@contextmanager
def launched() -> Iterator[Browser]:
    """Run the browser.

    Raises:
        FileNotFoundError: There is none.
    """
    program = chromium()
    if program is None:
        raise FileNotFoundError("This machine has no Chromium. On Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_ALONE)
        yield browser
        browser.close()


@contextmanager
def visited(browser: Browser, address: str, **options) -> Iterator[Page]:
    """Open a page. At the end: it has asked no other server, and nothing in it has failed.

    Args:
        browser: The browser.
        address: Of the page.
        options: Of the context, such as `color_scheme`.
    """
    server = address.partition("#")[0]
    problems: list[str] = []
    context = browser.new_context(**({"viewport": {"width": 1400, "height": 900}} | options))
    page = context.new_page()
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: (problems.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda asked: asked.url.startswith(server) or problems.append(asked.url))
    page.goto(address)
    yield page
    context.close()
    assert problems == []
