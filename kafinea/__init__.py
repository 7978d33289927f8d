"""The Kafinea API as Python: a client, its errors, its query language and its value types.

    from kafinea import Client

    with Client("https://apps.kafinea.com/MyCompany", "ada", access_key) as client:
        for record in client.records("Contacts", ["lastname", "email"]):
            print(record["id"], record["lastname"])

Two engines stand on it, each with a public interface of its own:

- `kafinea.extract`: typed records of a module, all of them or those that changed;
- `kafinea.load`: creates, updates and deletes records, and reports the outcome of each.

Nothing here knows Singer. What is not named in one of these three packages is private and may
change; names that begin with an underscore are private to their module.
"""

from kafinea.auth import ChallengeAuth
from kafinea.client import Client, Record
from kafinea.describe import Field, Module, ModuleInfo
from kafinea.errors import (
    Closed,
    Code,
    CredentialsRefused,
    FatalError,
    IncompleteRead,
    KafineaError,
    NotCounted,
    NotReachable,
    OutcomeUnknown,
    QueryError,
    Refused,
    SessionEnded,
    SettingsError,
    StateError,
    StorageError,
    TooLarge,
    TooLong,
    Unavailable,
    WrongAnswer,
)
from kafinea.query import Condition, Query, select
from kafinea.row_decoder import RowDecoder
from kafinea.values import ServerZone, ValueType, encode

__all__ = [
    "ChallengeAuth",
    "Client",
    "Closed",
    "Code",
    "Condition",
    "CredentialsRefused",
    "FatalError",
    "Field",
    "IncompleteRead",
    "KafineaError",
    "Module",
    "ModuleInfo",
    "NotCounted",
    "NotReachable",
    "OutcomeUnknown",
    "Query",
    "QueryError",
    "Record",
    "Refused",
    "RowDecoder",
    "ServerZone",
    "SessionEnded",
    "SettingsError",
    "StateError",
    "StorageError",
    "TooLarge",
    "TooLong",
    "Unavailable",
    "ValueType",
    "WrongAnswer",
    "encode",
    "select",
]
