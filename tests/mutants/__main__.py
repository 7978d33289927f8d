"""Mutation testing: which changes of the code no test notices. `make mutants` runs it.

Mutmut changes the code in one place at a time, and runs the tests that reach the function. A change
that passes all of them is a survivor. Either a test is written that fails with it, or
`survivors.txt` explains it in a line: the code does the same, or what differs does not matter.

Run nothing else on the machine meanwhile: mutmut ends a test that takes too long by the number of
its process, which another process may have by then.
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


def main(rooms: Sequence[str]) -> str | None:
    """Run some rooms, or all; return what is wrong."""
    explained = explanations(EXPLANATIONS.read_text("utf-8"))
    survived: set[str] = set()
    timed_out: set[str] = set()
    for room in rooms or ROOMS:
        shutil.rmtree(WORKPLACE, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "tests.mutants.room", room], check=True)
        statuses = dict(not_killed(ROOMS[room]["files"]))
        slow = {change for change, status in statuses.items() if status == "timeout"}
        of_room = statuses.keys() - slow
        print(f"{room}: {len(of_room)} changes survive", *sorted(of_room - explained), sep="\n")
        survived |= of_room
        timed_out |= slow
    if unexplained := len(survived - explained):
        return f"{unexplained} changes pass all tests, and are not explained in {EXPLANATIONS.name}"
    # On a busy machine, a change that survives may take too long.
    if not rooms and (stale := explained - survived - timed_out):
        return "\n".join(["These changes are explained, and do not survive:", *sorted(stale)])
    return None


def explanations(text: str) -> set[str]:
    """Return the changes that are explained: all lines but the last one of each paragraph."""
    return {change for part in text.strip().split("\n\n") for change in part.splitlines()[:-1]}


def not_killed(files: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the changes of these files with which no test fails, and what comes of each."""
    for path in map(Path, files):
        data = SourceFileMutationData(path=path)
        data.load()
        for name, code in data.exit_code_by_key.items():
            if (status := status_by_exit_code[code]) != "killed":
                yield change(name, path), status


def change(name: str, path: Path) -> str:
    """Return what is changed as one line, which does not depend on where it is in the file."""
    lines = get_diff_for_mutant(name, path=path).splitlines()[2:]  # after the names of the files
    old, new = (" ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
    function, of_class = orig_function_and_class_names_from_key(name)
    where = ".".join(filter(None, [*path.with_suffix("").parts, of_class, function]))
    return f"{where}: {old} => {new}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
