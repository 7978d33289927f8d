"""The files of the package, and writing them without a loss of what a user wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from kafinea.errors import SettingsError
from kafinea_cli.dbt_package import marts, sources, staging
from kafinea_cli.dbt_package.tables import Warehouse

_STAGING, _MARTS = "models/staging/kafinea", "models/marts/kafinea"
_MARK = re.compile(r"(?:--|#) Written by `kafinea dbt` \(([0-9a-f]{12})\)\..*\n")
_HEADER = "Written by `kafinea dbt` ({}). Its next run overwrites this file: write into others."
_SEEDS = {"dbt_project.yml": "dbt_project.yml", "profiles.yml": "profiles.yml"}
_SEEDS |= {".gitignore": "gitignore"}
"""Files that are written if they do not exist, and their templates. Then they are the user's."""


def files_of(warehouse: Warehouse) -> dict[str, str]:
    """Return the contents of the files that each run writes, by path."""
    tables = warehouse.tables
    written = marts.models(tables)
    return {
        "macros/kafinea.sql": _template("macros.sql"),
        f"{_STAGING}/_kafinea__sources.yml": sources.sources(tables),
        f"{_STAGING}/_kafinea__models.yml": staging.properties(tables),
        f"{_MARTS}/_kafinea__marts.yml": marts.properties(written),
        **{
            f"{_STAGING}/{table.model}.sql": staging.model(table, warehouse)
            for table in tables.values()
        },
        **{f"{_MARTS}/{name}.sql": sql for name, sql in written.items()},
    }


def write(directory: Path, contents: Mapping[str, str]) -> Iterator[str]:
    """Write the files of a package, and remove those that it no longer has.

    Args:
        directory: Where the package is, or will be.
        contents: The contents of its files by path.

    Yields:
        What was done with the files, a line for each kind.

    Raises:
        SettingsError: A file was not written by this command, or was changed since. Nothing is
            written then.
    """
    there = [path for path in contents if (directory / path).exists()]
    gone = [path for path in _generated(directory) if path not in contents]
    if foreign := [path for path in [*there, *gone] if not _is_ours(directory / path)]:
        raise SettingsError(
            f"Nothing was written to {directory}: these files were changed since `kafinea dbt` "
            f"wrote them, or it did not write them: {', '.join(sorted(foreign))}. Move your "
            "changes to a file of another name, delete the file, and run again."
        )
    stamped = {path: _stamped(path, content) for path, content in contents.items()}
    changed = [path for path in there if _read(directory / path) != stamped[path]]
    new = [path for path in contents if path not in there]
    seeds = [path for path in _SEEDS if not (directory / path).exists()]
    renamed = [
        f"{Path(path).stem}.{column}"
        for path in changed
        for column in staging.renamed(_read(directory / path), stamped[path])
    ]
    for path in [*seeds, *new, *changed]:
        text = stamped[path] if path in stamped else _template(_SEEDS[path])
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="\n")
    for path in gone:
        (directory / path).unlink()
    unchanged = len(there) - len(changed)
    yield f"{directory}: {len(new) + len(seeds)} files are new, {unchanged} are unchanged."
    done = {
        "Overwritten": [Path(path).name for path in changed],
        "Removed": [Path(path).name for path in gone],
        "Renamed": renamed,
    }
    yield from (f"{what}: {', '.join(sorted(names))}" for what, names in done.items() if names)


def _template(name: str) -> str:
    path = files("kafinea_cli.dbt_package") / "templates" / name
    return path.read_text(encoding="utf-8")


def _generated(directory: Path) -> list[str]:
    """Return the files in the folders of this command that have its mark."""
    return [
        path.relative_to(directory).as_posix()
        for folder in (_STAGING, _MARTS)
        for path in sorted((directory / folder).glob("*.*"))
        if path.suffix in {".sql", ".yml"} and _MARK.match(_read(path))
    ]


def _is_ours(path: Path) -> bool:
    """Whether a file is as this command wrote it."""
    text = _read(path)
    mark = _MARK.match(text)
    return mark is not None and mark[1] == _digest(text[mark.end() :])


def _stamped(path: str, content: str) -> str:
    header = _HEADER.format(_digest(content))
    return f"{'#' if path.endswith('.yml') else '--'} {header}\n{content}"


def _digest(content: str) -> str:
    return sha256(content.encode()).hexdigest()[:12]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")  # a user may have written anything
