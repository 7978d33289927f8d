"""What a load has added to related lists: the API cannot take anything out of them."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from kafinea.client import Client
from kafinea.errors import Refused
from kafinea.load.modules import Modules
from kafinea.load.undo.notes import UndoNotes
from kafinea.load.undo.undone import Action, Undone
from kafinea.parsing import prefix_of
from kafinea.query import Condition, select


def left_links(
    client: Client, modules: Modules, notes: UndoNotes, gone: AbstractSet[str]
) -> Iterator[Undone]:
    """Yield the pairs that the load has added to related lists and that are still there.

    Args:
        client: The instance.
        modules: Its modules.
        notes: The undo file.
        gone: The records that do not exist any more; in a dry run, that would not.
    """
    pairs = {(link.id, link.label, link.related) for link in notes.links}
    pairs = {pair for pair in pairs if gone.isdisjoint((pair[0], pair[2]))}
    if not pairs:
        return
    names = modules.prefixes(modules.names)
    for source, label, related in sorted(pairs):
        module = names.get(prefix_of(related), label)
        query = select(module, ["id"], where=[Condition("id", "=", related)])
        try:
            is_there = bool(client.query_related(source, label, query))
        except Refused:  # the record that had the list is gone
            is_there = False
        if is_there:
            text = (
                f"the API cannot remove {related} from its list {label!r}. If it was not there "
                "before the load, remove it in Kafinea"
            )
            yield Undone(Action.CONFLICT, names.get(prefix_of(source), ""), source, text=text)
