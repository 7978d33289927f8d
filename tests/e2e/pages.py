"""Follows a page of the documentation as its reader would, in a copy of the project.

Every block of a page means something:

- Behind a paragraph that ends with the name of a file, such as "`load/a.sql`:", it is that file.
  `.env` and `meltano.yml` are there already, so it is added to them: mappings into mappings, and
  into the entry of the same name.
- `sh` is typed in the project's folder. `kafinea sandbox` goes on in a terminal of its own.
- `text` and `json` right behind it are what it prints: these lines, in this order. `...` stands
  for whatever is not the same each time. When one of them is an error, the command must fail.
- `python` is run, `sql` is asked of `warehouse.duckdb`. A query, also one within a command, must
  give rows, and no column of nothing but nulls among those that it names.

A page that links to "the sandbox" of README.md begins with the blocks of that section. Its
ports are replaced by free ones; nothing else is.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import requests
import yaml

from kafinea import Client

ROOT = Path(__file__).resolve().parents[2]
SANDBOX = "The sandbox"

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`([\w./-]+)`:\n\n\Z")
_MADE = (".venv", ".venv-meltano", ".meltano/extractors", ".meltano/loaders", ".meltano/stamp")
_PORT = re.compile(r"\b80[89]\d\b")
_OWN_SETTINGS = ("TAP_", "TARGET_", "MELTANO_")


@dataclass(frozen=True)
class Block:
    """A block of a page.

    Attributes:
        language: Its language.
        text: What stands in it.
        file: The file that it is, if the paragraph before it says so.
        printed: What it prints, if the page shows that.
    """

    language: str
    text: str
    file: str | None = None
    printed: str | None = None


def documents() -> list[str]:
    """The paths of all pages, from the project's folder."""
    return ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def sections(page: str) -> dict[str, str]:
    """The sections of a page, by their titles."""
    before, *found = re.split(r"^## (.*)\n", text_of(page), flags=re.MULTILINE)
    return {"": before, **dict(zip(found[::2], found[1::2], strict=True))}


def anchors(page: str) -> set[str]:
    """The headings of a page, as links name them."""
    return {_anchor(title) for title in re.findall(r"^#+ (.*)", text_of(page), re.MULTILINE)}


def _anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.casefold()).replace(" ", "-")


def blocks(text: str) -> list[Block]:
    """The blocks of a text, each with what it prints."""
    found: list[Block] = []
    end = 0
    for match in _BLOCK.finditer(text):
        language, content = match.groups()
        between, end = text[end : match.start()], match.end()
        file = _FILE.search(between)
        if language in {"text", "json"} and not between.strip():
            found[-1] = Block(found[-1].language, found[-1].text, printed=content)
        else:
            found.append(Block(language, content, file[1] if file else None))
    return found


def queries(command: str) -> list[tuple[str, str]]:
    """The queries in a command, each with the warehouse that it is asked of."""
    warehouses = re.findall(r"duckdb\.connect\('(.+?)'", command)
    asked = re.findall(r"\.sql\(('''|')(.*?)\1\)", command, re.DOTALL)
    return [(warehouses[0], query) for _, query in asked]


class Reader:
    """Somebody who types what a page says, in a folder.

    Args:
        directory: The folder.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._served: list[subprocess.Popen[str]] = []
        self._ports: dict[str, str] = {}
        self._tokens: dict[str, str] = {}

    def read(self, text: str, *, without: Container[str] = ()) -> None:
        """Do what a section says.

        Args:
            text: The section.
            without: Blocks that are left out.
        """
        for block in blocks(_PORT.sub(self._free_port, text)):
            if block.text not in without:
                self._do(block)

    def client(self, port: int = 8080) -> Client:
        """A client of the Kafinea that the page started at this port."""
        return Client(f"http://127.0.0.1:{self._ports[str(port)]}", "admin", "kafineaSandbox01")

    def type(self, commands: str, *, fails: bool = False) -> str:
        """Type commands, and return what they print; they must succeed, or else fail."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self.directory, env=self.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        printed = done.stdout
        assert bool(done.returncode) == fails, f"{commands}ends with {done.returncode}\n{printed}"
        return printed

    def kafinea(self, action: str, port: int = 8080, **told: Any) -> Any:
        """Look behind the Kafinea that the page started at this port; see `Control.over_http`."""
        url = f"http://127.0.0.1:{self._ports[str(port)]}"
        token = {"Authorization": f"Bearer {self._tokens[url]}"}
        answer = requests.post(f"{url}/_control/{action}", json=told, headers=token, timeout=60)
        return answer.json()["result"]

    def ask(self, sql: str, warehouse: str = "warehouse.duckdb") -> list[tuple[Any, ...]]:
        """Ask a warehouse."""
        with duckdb.connect(self.directory / warehouse, read_only=True) as connection:
            connection.execute(f"SET file_search_path = '{self.directory}'")
            return connection.execute(sql).fetchall()

    def tables(self) -> list[str]:
        """The tables of the warehouse."""
        return [name for (name,) in self.ask("SELECT table_name FROM information_schema.tables")]

    def count(self, table: str) -> int:
        """How many rows a table of the warehouse has."""
        return self.ask(f'SELECT count(*) FROM kafinea."{table}"')[0][0]

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The lines of a file of JSON lines."""
        text = (self.directory / name).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def close(self) -> None:
        """End what the page has left running."""
        for process in self._served:
            process.send_signal(signal.SIGTERM)
        for process in self._served:
            process.communicate(timeout=60)

    def _do(self, block: Block) -> None:
        path = self.directory / (block.file or "")
        if block.file == "meltano.yml":
            known = yaml.safe_load(path.read_text(encoding="utf-8"))
            path.write_text(yaml.safe_dump(merged(known, yaml.safe_load(block.text))), "utf-8")
            _make_old(path)
        elif block.file == ".env":
            with path.open("a", encoding="utf-8") as settings:
                settings.write(block.text)
        elif block.file:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "sh":
            self._try(block)
        elif block.language == "python":
            command = f".venv/bin/python -W error -c {shlex.quote(block.text)}"
            self._try(replace(block, text=command))
        elif block.language == "sql":
            self._ask_in_earnest(block.text)
        else:
            raise AssertionError(f"What is this block for?\n{block}")

    def _try(self, block: Block) -> None:
        shown = block.printed or ""
        if "kafinea sandbox" in block.text:
            printed = self._serve(block.text)
        else:
            printed = self.type(block.text, fails="[error" in shown)
        for warehouse, query in queries(block.text):
            self._ask_in_earnest(query, warehouse)
        missing = first_missing(shown, printed)
        assert missing is None, f"{block.text}\ndoes not print\n{missing}\nbut\n{printed}"

    def _ask_in_earnest(self, query: str, warehouse: str = "warehouse.duckdb") -> None:
        rows = self.ask(query, warehouse)
        assert rows, f"{query}\ngives no rows"
        if "*" in query.partition("FROM")[0]:
            return  # all columns, whatever they are for
        for place, values in enumerate(zip(*rows, strict=True)):
            assert any(value is not None for value in values), f"{query}\nnulls in column {place}"

    def _serve(self, command: str) -> str:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],  # so a signal to the shell is one to the server
            cwd=self.directory, env=self.environment(),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self._served.append(process)
        assert process.stdout
        printed = process.stdout.readline()
        facts = json.loads(printed)
        self._tokens[facts["url"]] = facts["control_token"]
        return printed

    def environment(self) -> dict[str, str]:
        """The environment of the commands."""
        own = {k: v for k, v in os.environ.items() if not k.startswith(_OWN_SETTINGS)}
        # The environments are those of the project that is copied. Nothing is put into them.
        return {**own, "NO_COLOR": "1", "MELTANO_AUTO_INSTALL": "false"}

    def _free_port(self, match: re.Match[str]) -> str:
        if match[0] not in self._ports:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self._ports[match[0]] = str(free.getsockname()[1])
        return self._ports[match[0]]


class Project(Reader):
    """A copy of the project, with the environments that were made in it, for one reader.

    Args:
        directory: Where to put it.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        for name in listed.stdout.split("\0"):
            if not (ROOT / name).is_file():
                continue
            copy = directory / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy)
            _make_old(copy)
        (directory / ".meltano").mkdir()
        for name in _MADE:
            if (ROOT / name).exists():
                (directory / name).symlink_to(ROOT / name)

    def follow(self, page: str, *, without: Container[str] = ()) -> Iterator[str]:
        """Do what a page says, and yield the title of each section that is done.

        Args:
            page: Its path.
            without: Sections and blocks that are left out.
        """
        found = sections(page)
        if page == "README.md" or f"README.md#{_anchor(SANDBOX)}" in text_of(page):
            found = {SANDBOX: sections("README.md")[SANDBOX], **found}
        for title, text in found.items():
            if title not in without:
                self.read(text, without=without)
                yield title


def _make_old(path: Path) -> None:
    """Let make see that a file is older than what was made of it."""
    os.utime(path, (0, 0))


def merged(known: Any, told: Any) -> Any:
    """Put what is told into what is known: mappings into mappings, named entries into theirs."""
    if isinstance(known, dict) and isinstance(told, dict):
        return {**known, **{name: merged(known.get(name), value) for name, value in told.items()}}
    if _is_named(known) and _is_named(told):
        entries = {one["name"]: one for one in known}
        return list({**entries, **{one["name"]: merged(entries.get(one["name"]), one)
                                   for one in told}}.values())  # fmt: skip
    return told


def _is_named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) and "name" in one for one in value)


def first_missing(wanted: str, printed: str) -> str | None:
    """The first of the wanted lines that was not printed in its order, if any."""
    lines: Iterator[str] = iter(printed.splitlines())
    for line in wanted.splitlines():
        pattern = ".*".join(map(re.escape, line.strip().split("...")))
        if not any(re.search(pattern, one) for one in lines):
            return line
    return None
