"""Mutation testing: which changes of the code no test notices.

Mutmut changes the code in one place at a time, and runs the tests that reach the function. The
section `[tool.mutmut]` of pyproject.toml names both. A change that passes all tests is a survivor.
Either a test is written that fails with it, or `survivors.txt` explains it: what the code does is
the same, or does not matter.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

EXPLANATIONS = Path(__file__).with_name("survivors.txt")
NOTICED = {"killed", "timeout"}


def main() -> str | None:
    """Run mutmut and return what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="such as kafinea.values*; all by default")
    names = parser.parse_args().names
    subprocess.run([sys.executable, "-m", "mutmut", "run", *names], check=True)
    explained = explanations(EXPLANATIONS.read_text("utf-8"))
    survived = dict(survivors())
    unexplained = [f"{name}\n    {change}" for name, change in survived.items() if change not in explained]
    stale = explained - set(survived.values())
    print(f"{len(survived)} survivors, {len(unexplained)} of them not explained")
    problems = []
    if unexplained:
        problems.append("These changes pass all tests:\n" + "\n".join(unexplained))
    if stale and not names:
        problems.append("These are explained and do not survive:\n" + "\n".join(sorted(stale)))
    return "\n\n".join(problems) or None


def explanations(text: str) -> set[str]:
    """Return the changes that are explained: all lines but the last one of each paragraph."""
    return {change for part in text.strip().split("\n\n") for change in part.splitlines()[:-1]}


def survivors() -> Iterator[tuple[str, str]]:
    """Yield the name of each survivor, and what is changed."""
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        for name, code in data.exit_code_by_key.items():
            if code is not None and status_by_exit_code[code] not in NOTICED:
                yield name, changed(name, path)


def changed(name: str, path: Path) -> str:
    """Return a change as one line, which does not depend on where it is in the file."""
    lines = get_diff_for_mutant(name, path=path).splitlines()[2:]  # after the names of the files
    old, new = (" ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
    function, of_class = orig_function_and_class_names_from_key(name)
    where = ".".join(filter(None, [*path.with_suffix("").parts, of_class, function]))
    return f"{where}: {old} => {new}"


if __name__ == "__main__":
    sys.exit(main())
