"""The server's own list of deleted records: the undocumented operation `sync`."""

from __future__ import annotations

from dataclasses import dataclass

from kafinea.caller import Caller
from kafinea.parsing import are_ids, flag, mapping, members, whole, wrong


@dataclass(frozen=True)
class Deletions:
    """A page of deleted records.

    Attributes:
        ids: The ids of deleted records.
        until: The time of the last change on the page, in seconds; the next page is after it.
        more: Whether there is one.
    """

    ids: list[str]
    until: int
    more: bool


def deleted_since(client: Caller, module: str, since: int) -> Deletions:
    """Return which records were deleted after a moment, page by page.

    Some servers lack the operation, and on others it fails. It is for administrators, and gives
    the changed records too, which are ignored.

    Args:
        client: The instance.
        module: The module's name.
        since: Seconds since 1970, more than 0.

    Raises:
        Refused: The user is no administrator, or the module has no such list.
        WrongAnswer: The server answers with something else.
        Unavailable: The server does not have the operation, or cannot be reached.
    """
    parameters = {
        "modifiedTime": str(since),
        "elementType": module,
        "syncType": "application",  # without it, only the records that this user owns
    }
    answer = mapping(client.call("GET", "sync", parameters, of=module)) or {}
    ids, until = members(answer.get("deleted")), whole(answer.get("lastModifiedTime"))
    if ids is None or until is None or "more" not in answer or not are_ids(ids):
        raise wrong(f"sync of {module}", "changes")
    return Deletions(ids, until, flag(answer["more"]))
