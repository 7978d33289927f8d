"""Taking back what a load wrote, by its undo file, which `kafinea.load.writing.undo_file` writes.

with Client(url, user, key) as client, Undo("undo.jsonl", client) as undo:
    for undone in undo():
        print(undone.action, undone.id, undone.text)
"""

from kafinea.load.undo.undo import Undo
from kafinea.load.undo.undone import Action, Conflict, Undone

__all__ = ["Action", "Conflict", "Undo", "Undone"]
