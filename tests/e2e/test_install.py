"""The built packages are complete, and work as the pages say: in an empty folder, with a new HOME.

There is no checkout on the way, and an index that has the packages: a folder with the wheels.
"""

from __future__ import annotations

import email
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import pages
from tests.e2e.pages import ROOT, Reader

pytestmark = pytest.mark.operate

BUILD = ROOT / ".venv-build/bin"
PACKAGES = {"singer_kafinea": ROOT, "singer_exact_loaders": ROOT / "loaders"}


@pytest.fixture(scope="module")
def dist(tmp_path_factory) -> Path:
    """The packages: the source distributions, and the wheels that were made from them."""
    folder: Path = tmp_path_factory.mktemp("dist")
    build(folder)
    return folder


@pytest.fixture
def reader(tmp_path, dist) -> Iterator[Reader]:
    reader = Stranger(tmp_path / "folder", dist)
    yield reader
    reader.close()


class Stranger(Reader):
    """A reader with an empty folder and a new HOME, and an index that has the packages.

    Args:
        directory: The folder.
        dist: The folder with the packages.
    """

    def __init__(self, directory: Path, dist: Path) -> None:
        directory.mkdir()
        super().__init__(directory)
        self._home = directory.parent / "home"
        self._home.mkdir()
        self._dist = dist
        self.variables: dict[str, str] = {}

    def environment(self) -> dict[str, str]:
        own = super().environment()
        for name in ("VIRTUAL_ENV", "PYTHONPATH", "MELTANO_AUTO_INSTALL"):
            own.pop(name, None)
        links = [*os.environ.get("PIP_FIND_LINKS", "").split(), str(self._dist)]
        # The activated environment comes first, as in a terminal.
        path = [self.directory / "kafinea-env/bin", self._home / ".local/bin"]
        path += [ROOT / ".venv-meltano/bin", BUILD]
        return {
            **own,
            "HOME": str(self._home),
            "PATH": os.pathsep.join([*map(str, path), own["PATH"]]),
            "PIP_FIND_LINKS": " ".join(links),
            "UV_FIND_LINKS": ",".join(links),
            **self.variables,
        }


def build(folder: Path) -> None:
    for package in PACKAGES.values():
        subprocess.run(
            [BUILD / "python", "-m", "build", "--outdir", folder, package],
            check=True, capture_output=True,
        )  # fmt: skip


def wheel(dist: Path, package: str) -> zipfile.ZipFile:
    (path,) = dist.glob(f"{package}-*.whl")
    return zipfile.ZipFile(path)


def description(dist: Path, package: str) -> str:
    """The README of a package, as an index gets it."""
    with wheel(dist, package) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith("/METADATA"))
        return str(email.message_from_bytes(archive.read(name)).get_payload())


@pytest.mark.parametrize("package", PACKAGES)
def test_wheel_has_every_file_of_its_packages_and_no_other(package, dist):
    with wheel(dist, package) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        assert any(name.endswith(".dist-info/licenses/LICENSE") for name in archive.namelist())
    folder = PACKAGES[package]
    tops = sorted({name.split("/")[0] for name in names})
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *tops],
        cwd=folder, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert sorted(names) == sorted(filter(None, listed.split("\0")))
    assert [top for top in tops if f"{top}/py.typed" not in names] == []
    assert "tests" not in tops


def test_source_distribution_has_the_pages_that_the_readme_names(dist):
    (path,) = dist.glob("singer_kafinea-*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    shown = description(dist, "singer_kafinea")
    assert set(re.findall(r"\(`([^`]+\.md|LICENSE)`\)", shown)) <= names
    assert not any(name.startswith("tests/") for name in names)


@pytest.mark.parametrize("package", PACKAGES)
def test_index_shows_the_readme_with_links_that_lead_somewhere(package, dist, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(description(dist, package), "utf-8")
    html = subprocess.run(
        [BUILD / "python", "-m", "readme_renderer", readme],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    links = re.findall(r'(?:href|src)="([^"]*)"', html)
    anchors = {f"#{anchor}" for anchor in re.findall(r'\bid="([^"]*)"', html)}
    assert links
    assert [link for link in links if not link.startswith("https://") and link not in anchors] == []


def test_packages_pass_the_checks_of_an_index(dist):
    files = sorted(map(str, dist.iterdir()))
    subprocess.run([BUILD / "twine", "check", "--strict", *files], check=True)
    wheels = [name for name in files if name.endswith(".whl")]
    subprocess.run([BUILD / "check-wheel-contents", *wheels], cwd=ROOT, check=True)


def test_building_again_gives_the_same_bytes(dist, tmp_path):
    build(tmp_path)
    first, second = (
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        for folder in (dist, tmp_path)
    )
    assert first == second


def test_readme_leads_from_pip_install_to_rows(reader):
    reader.read(pages.sections("README.md")["Start with pip"])
    assert reader.count("accounts") == len(reader.kafinea("rows", module="Accounts")) > 0
    assert reader.count("invoice") == len(reader.kafinea("rows", module="Invoice")) > 0
    assert '"bookmarks"' in (reader.directory / "state.json").read_text("utf-8")
    assert "tap-kafinea" in reader.type("tap-kafinea --about")
    assert "site-packages" in reader.type("python -c 'import kafinea; print(kafinea.__file__)'")


@pytest.fixture
def repository(tmp_path) -> Iterator[str]:
    """The address of a git server that has this repository."""
    subprocess.run(["git", "clone", "-q", "--bare", ROOT, tmp_path / "served.git"], check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        ["git", "daemon", "--export-all", "--listen=127.0.0.1", f"--port={port}",
         "--reuseaddr", f"--base-path={tmp_path}"],
        stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    address = f"git://127.0.0.1:{port}/served.git"
    while subprocess.run(["git", "ls-remote", address], capture_output=True).returncode:  # noqa: PLW1510
        assert server.poll() is None
        time.sleep(0.1)
    yield address
    os.killpg(server.pid, signal.SIGTERM)
    server.communicate()


@pytest.mark.parametrize(
    "section", ["With pip", "With pipx", "With uv", "From a wheel", "From git"]
)
def test_each_way_to_install_leads_to_the_commands(section, reader, dist, repository):
    shutil.copytree(dist, reader.directory / "dist")
    reader.variables["REPOSITORY"] = repository
    found = pages.sections("docs/install.md")
    reader.read(found[section])
    if section == "With pip":
        reader.read(found["Upgrade"])
    (name,) = (path.name for path in dist.glob("singer_kafinea-*.whl"))
    version = name.split("-")[1]
    for command in ("kafinea", "tap-kafinea", "target-kafinea", "target-duckdb-exact"):
        assert version in reader.type(f"{command} --version"), command
    reader.type("kafinea sandbox --help")


def test_plugins_are_added_to_a_meltano_project(reader):
    reader.type("meltano init .")
    shutil.copytree(ROOT / "hub", reader.directory / "hub")
    reader.type("python3 -m venv kafinea-env")
    reader.type("kafinea-env/bin/pip install 'singer-kafinea[cli,sandbox]'")
    reader.read(pages.sections("README.md")[pages.SANDBOX].replace(".venv/bin/", ""))
    reader.read(pages.sections("docs/install.md")["In an existing Meltano project"])
    assert reader.count("accounts") == len(reader.kafinea("rows", module="Accounts")) > 0
    assert "lineitem" not in map(str.lower, reader.tables())
