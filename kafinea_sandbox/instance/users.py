"""The users, read from the database each time: tests change them."""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kafinea_sandbox.database.store import Store


@dataclass(frozen=True)
class User:
    """A user account."""

    number: int
    name: str
    is_admin: bool
    row: Mapping[str, Any]

    @property
    def access_key(self) -> str:
        """The secret of the API."""
        return self.row.get("accesskey") or ""

    @property
    def is_active(self) -> bool:
        """Whether the account may log in."""
        return self.row.get("status") == "Active"

    @property
    def date_format(self) -> str:
        """How the user writes dates, such as dd-mm-yyyy."""
        return self.row.get("date_format") or "yyyy-mm-dd"

    def profile(self) -> dict[str, str]:
        """What the answer of `login` contains about the user."""
        columns = {
            "username": "user_name",
            "first_name": "first_name",
            "last_name": "last_name",
            "email": "email1",
            "time_zone": "time_zone",
            "hour_format": "hour_format",
            "date_format": "date_format",
            "is_admin": "is_admin",
            "call_duration": "callduration",
            "other_event_duration": "othereventduration",
        }
        return {name: self.row.get(column) or "" for name, column in columns.items()}


def user_named(store: Store, name: str) -> User | None:
    """A user by name, in any case."""
    return _user(store, "user_name = ? COLLATE NOCASE", name)


def user_numbered(store: Store, number: int) -> User | None:
    """A user by record number."""
    return _user(store, "_number = ?", number)


def _user(store: Store, condition: str, value: Any) -> User | None:
    cursor = store.connection.execute(f"SELECT * FROM Users WHERE {condition}", (value,))
    row = cursor.fetchone()
    if row is None:
        return None
    values = {name: value for (name, *_), value in zip(cursor.description, row, strict=True)}
    is_admin = values["is_admin"] == "on"
    return User(values["_number"], values["user_name"], is_admin, values)
