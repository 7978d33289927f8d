"""The commands of README.md and docs/ are typed as they stand, and lead to what the pages say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.pages import Project

pytestmark = pytest.mark.e2e


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path)
    yield project
    project.close()


def everything_is_in_the_warehouse(project: Project) -> None:
    for (module,) in project.ask("SELECT table_name FROM information_schema.tables"):
        print(module)
    tables = {
        table: project.ask(f'SELECT count(*) FROM kafinea."{table}"')[0][0]
        for (table,) in project.ask("SELECT table_name FROM information_schema.tables")
    }
    assert tables == project.counts()


PAGES = {
    "docs/first-extraction.md": {"Extract": everything_is_in_the_warehouse},
}
"""What must be true behind a section of a page."""


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_followed(page, project):
    outcomes = PAGES[page]
    followed = []
    for title in project.follow(page):
        outcomes.get(title, lambda _: None)(project)
        followed.append(title)
    assert outcomes.keys() <= set(followed)
