"""The files of the package, and writing them without a loss of what a user wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from kafinea.errors import SettingsError
from kafinea_cli.dbt_package import marts, sources, staging
from kafinea_cli.dbt_package.tables import Tables

_STAGING, _MARTS = "models/staging/kafinea", "models/marts/kafinea"
_MARK = re.compile(r"(?:--|#|\{#) Written by `kafinea dbt` \(([0-9a-f]{12})\)\..*\n")
_HEADER = "Written by `kafinea dbt` ({}). Its next run overwrites this file: write into others."
_SEEDS = {
    "dbt_project.yml": """\
# `kafinea dbt` writes this file once. It is yours.
name: kafinea
version: 1.0.0
profile: kafinea
require-dbt-version: ">=1.10.6"
flags:
  send_anonymous_usage_stats: false
vars:
  # The schema of the tables: `default_target_schema` of the loader.
  kafinea_schema: kafinea
""",
    "profiles.yml": """\
# `kafinea dbt` writes this file once. It is yours.
kafinea:
  target: duckdb
  outputs:
    duckdb:
      type: duckdb
      path: "{{ env_var('TARGET_DUCKDB_PATH', 'warehouse.duckdb') }}"
      schema: analytics
      threads: 4
    postgres:
      type: postgres
      host: "{{ env_var('TARGET_POSTGRES_HOST', 'localhost') }}"
      port: "{{ env_var('TARGET_POSTGRES_PORT', '5432') | as_number }}"
      user: "{{ env_var('TARGET_POSTGRES_USER', '') }}"
      password: "{{ env_var('TARGET_POSTGRES_PASSWORD', '') }}"
      dbname: "{{ env_var('TARGET_POSTGRES_DATABASE', '') }}"
      schema: analytics
      threads: 4
""",
    ".gitignore": "target/\ndbt_packages/\nlogs/\n.user.yml\n",
}
"""Files that are written if they do not exist, and then belong to the user."""


def files_of(tables: Tables) -> dict[str, str]:
    """Return the contents of the files that each run writes, by path."""
    written = marts.written(tables)
    return {
        "macros/kafinea.sql": staging.MACROS,
        f"{_STAGING}/_kafinea__sources.yml": sources.sources(tables),
        f"{_STAGING}/_kafinea__models.yml": staging.properties(tables),
        f"{_MARTS}/_kafinea__marts.yml": marts.properties(written),
        **{
            f"{_STAGING}/{table.model}.sql": staging.model(table, tables)
            for table in tables.values()
        },
        **{f"{_MARTS}/{name}.sql": marts.model(mart, tables) for name, mart in written.items()},
    }


def write(directory: Path, files: Mapping[str, str]) -> Iterator[str]:
    """Write the files of a package, and remove those that it no longer has.

    Args:
        directory: Where the package is, or will be.
        files: The contents of its files by path.

    Yields:
        What was done with the files, a line for each kind.

    Raises:
        SettingsError: A file was not written by this command, or was changed since. Nothing is
            written then.
    """
    existing = {path: (directory / path).exists() for path in files}
    there = [path for path, exists in existing.items() if exists]
    gone = [path for path in _generated(directory) if path not in files]
    if foreign := [path for path in [*there, *gone] if not _is_ours(directory / path)]:
        raise SettingsError(
            f"Nothing was written to {directory}: these files were changed since `kafinea dbt` "
            f"wrote them, or it did not write them: {', '.join(sorted(foreign))}. Move your "
            "changes to a file of another name, delete the file, and run again."
        )
    stamped = {path: _stamped(path, content) for path, content in files.items()}
    changed = [path for path in there if _read(directory / path) != stamped[path]]
    new = [path for path in [*_SEEDS, *files] if not (directory / path).exists()]
    for path in [*new, *changed]:
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(stamped.get(path) or _SEEDS[path], encoding="utf-8", newline="\n")
    for path in gone:
        (directory / path).unlink()
    yield f"{directory}: {len(files)} files of dbt."
    for done, paths in {"New": new, "Overwritten": changed, "Removed": gone}.items():
        if paths:
            yield f"{done} ({len(paths)}): {', '.join(sorted(paths))}"


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
    return path.read_text(encoding="utf-8")
