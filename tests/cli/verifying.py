"""A company, its warehouse, and the command `kafinea verify` between both."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

from kafinea_sandbox import Sandbox
from tests.cli.running import run, variables
from tests.loaders.conftest import DuckDB, Warehouse
from tests.tap.running import Output, command, parse


class Verified(NamedTuple):
    """What the command has done."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.stdout)
        return document

    @property
    def modules(self) -> list[dict[str, Any]]:
        modules: list[dict[str, Any]] = self.document["modules"]
        return modules

    @property
    def wrong(self) -> dict[str, dict[str, Any]]:
        kinds = ("missing", "superfluous", "stale", "duplicate", "different", "error")
        found = {
            one["module"]: {kind: one[kind] for kind in kinds if one[kind]} for one in self.modules
        }
        return {module: one for module, one in found.items() if one}


class Company:
    """A company, and what the tap and the exact loader have made of it."""

    def __init__(
        self,
        sandbox: Sandbox,
        warehouse: Warehouse,
        path: Path,
        *,
        user: str | None = None,
        **settings: Any,
    ) -> None:
        self.sandbox, self.warehouse, self.path = sandbox, warehouse, path
        self.user = user or sandbox.username
        self.settings = settings
        self.state: Any = None
        self.rows, self.sql = warehouse.rows, warehouse.rows

    def run(self, **settings: Any) -> Output:
        """Extract, and load."""
        config = {
            "url": self.sandbox.url,
            "username": self.user,
            "access_key": self.sandbox.access_key_of(self.user),
            "timezone": self.sandbox.instance.options.timezone,
            **self.settings,
            **settings,
        }
        (self.path / "tap.json").write_text(json.dumps(config))
        arguments = ["--config", str(self.path / "tap.json")]
        if self.state:
            arguments += ["--state", self.state_file()]
        done = command(*arguments)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        self.warehouse.load(*lines)
        output = parse(lines)
        self.state = deepcopy(output.state)
        return output

    def state_file(self) -> str:
        path = self.path / "last-state.json"
        path.write_text(json.dumps(self.state))
        return str(path)

    def load(self, path: Path) -> None:
        self.warehouse.load(*path.read_text("utf-8").split("\n")[:-1])

    def count(self, module: str) -> int:
        """How many records the user can read."""
        rows = self.sandbox.rows(module)
        return (
            sum(row.get("status") != "Inactive" for row in rows) if module == "Users" else len(rows)
        )

    def old(self, module: str, by: str = "modifiedtime") -> list[str]:
        """The ids in the warehouse, those that were changed last at the end."""
        return [row[0] for row in self.rows(f'SELECT id FROM kafinea."{module}" ORDER BY {by}, id')]

    @property
    def address(self) -> str:
        if isinstance(self.warehouse, DuckDB):
            return f"duckdb:///{self.warehouse.path}"
        return self.warehouse.database.uri()  # type: ignore[attr-defined]

    def verify(self, *arguments: str, **settings: Any) -> Verified:
        return self.verify_as("json", *arguments, **settings)

    def verify_as(
        self, form: str, *arguments: str, schema: str = "kafinea", url: str = "", **settings: Any
    ) -> Verified:
        options = self.settings | settings
        environment = variables(
            self.sandbox,
            KAFINEA_URL=url or self.sandbox.url,
            KAFINEA_USERNAME=self.user,
            KAFINEA_ACCESS_KEY=self.sandbox.access_key_of(self.user),
            KAFINEA_WAREHOUSE=self.address,
            TAP_KAFINEA_TIMEZONE=self.sandbox.instance.options.timezone,
            TAP_KAFINEA_DELETIONS=options.get("deletions", "off"),
            TAP_KAFINEA_MODULES=json.dumps(options.get("modules", [])),
            **{f"TAP_KAFINEA_{name.upper()}": value for name, value in settings.items()},
        )
        shape = [] if form == "table" else [f"--{form}"]
        if "--warehouse" in arguments:
            del environment["KAFINEA_WAREHOUSE"]
        done = run(["verify", *shape, "--schema", schema, *arguments], environment, self.path)
        return Verified(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def held(self, script: str) -> Iterator[None]:
        """Let another process do something with the DuckDB file until the end of the block."""
        path = self.address.removeprefix("duckdb:///")
        with subprocess.Popen(
            [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout
            process.stdout.readline()
            yield
            process.communicate(b"\n")
