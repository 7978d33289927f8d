"""Opening the database of a sandbox, which is created and filled if it does not exist."""

from __future__ import annotations

import atexit
import os
import shutil
import threading
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from kafinea_sandbox.company import company as demo_company
from kafinea_sandbox.database import create, load
from kafinea_sandbox.database.store import Store
from kafinea_sandbox.rows import File, Relation, Row

Items = Iterable[Row | File | Relation]


def open_database(directory: Path, rows: int, seed: int, company: Items | None) -> Store:
    """The database of a directory.

    Args:
        directory: It keeps its database, and is created if it does not exist.
        rows: The size of the demo company in a new database.
        seed: The seed of the demo company.
        company: The contents of a new database instead of the demo company.

    Raises:
        sqlite3.Error: The file there is not a database.
    """
    path = directory / "kafinea.sqlite"
    if path.exists():
        store = Store(path)
        store.value("PRAGMA schema_version")  # raises an error if it is not a database
        return store
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return _create(path, demo_company(rows, seed) if company is None else company)


def open_temporary(directory: Path, rows: int, seed: int, company: Items | None) -> Store:
    """A new database in an empty directory; a demo company is built once per process."""
    if company is not None:
        return open_database(directory, rows, seed, company)
    path = directory / "kafinea.sqlite"
    shutil.copyfile(_template(rows, seed), path)
    return Store(path)


@cache
def _empty_database() -> bytes:
    """The file of a database with empty tables. To copy it is quicker than to create it."""
    with TemporaryDirectory(prefix="kafinea-") as directory:
        store = Store(Path(directory) / "kafinea.sqlite")
        create.create(store)
        store.close()
        return store.path.read_bytes()


_templates: dict[tuple[int, int], Path] = {}
_templates_lock = threading.Lock()


def _template(rows: int, seed: int) -> Path:
    with _templates_lock:
        if (rows, seed) not in _templates:
            directory = TemporaryDirectory(prefix="kafinea-")
            atexit.register(directory.cleanup)
            store = open_database(Path(directory.name), rows, seed, None)
            store.close()
            _templates[rows, seed] = store.path
        return _templates[rows, seed]


def _create(path: Path, items: Items) -> Store:
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    # Its records may be those of real people: no other user of the machine may read them.
    with os.fdopen(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(_empty_database())
    store = Store(unfinished)
    load.load(store, items)
    store.close()
    unfinished.rename(path)
    return Store(path)
