"""The users and groups that may own records."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from threading import Lock
from typing import Any

from kafinea.client import Client
from kafinea.describe import Field, Module
from kafinea.errors import Refused
from kafinea.load.modules import Modules
from kafinea.load.results import Rejected
from kafinea.parsing import is_id

_OWNER = "assigned_user_id"


class Owners:
    """Who may own records. Threads share it.

    Args:
        client: The instance.
        modules: Its modules.
    """

    def __init__(self, client: Client, modules: Modules) -> None:
        self._client = client
        self._modules = modules
        self._learning = Lock()

    def with_owner(self, module: Module, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a new record; without an owner it belongs to the API's user."""
        if _OWNER not in module.fields or values.get(_OWNER):
            return dict(values)
        return {**values, _OWNER: self._user_id}

    def check(self, field: Field, wire: str | None) -> None:
        """Check that the value of an owner field is a user or group.

        Raises:
            Rejected: It is none; the server would make the record and fail.
        """
        if wire is None or field.type != "owner" or wire == self._user_id:
            return
        with self._learning:  # by one thread for all
            ids = self._ids
        is_one = wire.partition("x")[0] in self._prefixes if ids is None else wire in ids
        if not is_one or not is_id(wire):
            raise Rejected("UNKNOWN_OWNER", f"{field.name}: no user or group has this id")

    @cached_property
    def _user_id(self) -> str:
        return self._client.user_id()

    @cached_property
    def _ids(self) -> frozenset[str] | None:
        """The ids of all users and groups; None when this user may not read them."""
        try:
            users = {row["id"] for row in self._client.records("Users", ["user_name"])}
            groups = {row["id"] for row in self._client.records("Groups", ["groupname"])}
        except Refused:
            return None
        return frozenset(users | groups)

    @cached_property
    def _prefixes(self) -> frozenset[str]:
        """The id prefixes of users and groups."""
        prefixes = self._modules.prefixes(["Users", "Groups"])
        return frozenset({*prefixes, self._user_id.partition("x")[0]})
