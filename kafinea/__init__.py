"""The Kafinea API as Python: `Client`, its errors, its query language and its value types.

Knows nothing of Singer, and can be used by itself:

    with Client("https://apps.kafinea.com/MyCompany", "ada", access_key) as kafinea:
        contacts = kafinea.query("SELECT lastname FROM Contacts LIMIT 10;")
"""

from kafinea.auth import ChallengeAuth
from kafinea.client import Client
from kafinea.describe import Field, Module, ModuleInfo
from kafinea.errors import (
    Closed,
    CredentialsRefused,
    KafineaError,
    OutcomeUnknown,
    Refused,
    SessionEnded,
    SettingsError,
    Unavailable,
)

__all__ = [
    "ChallengeAuth",
    "Client",
    "Closed",
    "CredentialsRefused",
    "Field",
    "KafineaError",
    "Module",
    "ModuleInfo",
    "OutcomeUnknown",
    "Refused",
    "SessionEnded",
    "SettingsError",
    "Unavailable",
]
