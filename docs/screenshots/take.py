"""Takes the screenshots of the documentation, of the demo company: `make screenshots`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from kafinea import Client
from kafinea.extract.discovery import Modules
from kafinea_cli.model.document import document
from kafinea_cli.model.page import page
from kafinea_sandbox import Sandbox
from tests.browser import launched, visited

FOLDER = Path(__file__).parent
ADDRESS = "https://apps.kafinea.com/YourKafinea"
SIZE = {"width": 1280, "height": 720}


def model(folder: Path) -> str:
    """Write the page of `kafinea model`, and return its address."""
    with (
        Sandbox(rows=300) as sandbox,
        Client(sandbox.url, sandbox.username, sandbox.access_key) as kafinea,
    ):
        content = document(ADDRESS, Modules(kafinea, sandbox.username, []).described)
    path = folder / "model.html"
    path.write_text(page(content), "utf-8")
    return path.as_uri()


def main() -> None:
    """Take them all."""
    with TemporaryDirectory() as folder, launched() as browser:
        address = f"{model(Path(folder))}#Invoice/account_id"
        with visited(browser, address, viewport=SIZE) as opened:
            opened.screenshot(path=FOLDER / "model.png")
    print(f"Written: {FOLDER / 'model.png'}")


if __name__ == "__main__":
    main()
