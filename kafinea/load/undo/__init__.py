"""Taking back what a load wrote, by the undo file that it has written.

with Client(url, user, key) as client, Undo("undo.jsonl", client) as undo:
    for undone in undo():
        print(undone.action, undone.id, undone.text)
"""

from kafinea.load.undo.undo import Undo
from kafinea.load.undo.undone import Action, Conflict, Undone

__all__ = ["Action", "Conflict", "Undo", "Undone"]
