"""Mutation testing: which changes of the code no test notices. `make mutants` runs it.

Mutmut changes the code in one place at a time, and runs the tests that reach the function. A change
that passes all of them is a survivor. Either a test is written that fails with it, or
`survivors.txt` explains it in a line: the code does the same, or what differs does not matter.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

from tests.mutants.rooms import ROOMS

EXPLANATIONS = Path(__file__).with_name("survivors.txt")
WORKPLACE = Path("mutants")
"""Where mutmut puts the changed code, and what came of it."""

NOTICED = {"killed", "timeout"}


def main(rooms: Sequence[str]) -> str | None:
    """Run some rooms, or all; return what is wrong."""
    explained = explanations(EXPLANATIONS.read_text("utf-8"))
    survived: set[str] = set()
    for room in rooms or ROOMS:
        shutil.rmtree(WORKPLACE, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "tests.mutants.room", room], check=True)
        of_room = set(survivors(ROOMS[room]["files"]))
        print(f"{room}: {len(of_room)} changes survive", *sorted(of_room - explained), sep="\n")
        survived |= of_room
    if unexplained := len(survived - explained):
        return f"{unexplained} changes pass all tests, and are not explained in {EXPLANATIONS.name}"
    if not rooms and (stale := explained - survived):
        return "\n".join(["These changes are explained, and do not survive:", *sorted(stale)])
    return None


def explanations(text: str) -> set[str]:
    """Return the changes that are explained: all lines but the last one of each paragraph."""
    return {change for part in text.strip().split("\n\n") for change in part.splitlines()[:-1]}


def survivors(files: Sequence[str]) -> Iterator[str]:
    """Yield the changes of these files that no test notices."""
    for path in map(Path, files):
        data = SourceFileMutationData(path=path)
        data.load()
        for name, code in data.exit_code_by_key.items():
            if status_by_exit_code[code] not in NOTICED:
                yield change(name, path)


def change(name: str, path: Path) -> str:
    """Return what is changed as one line, which does not depend on where it is in the file."""
    lines = get_diff_for_mutant(name, path=path).splitlines()[2:]  # after the names of the files
    old, new = (" ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
    function, of_class = orig_function_and_class_names_from_key(name)
    where = ".".join(filter(None, [*path.with_suffix("").parts, of_class, function]))
    return f"{where}: {old} => {new}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
