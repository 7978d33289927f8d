"""The options of a sandbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

IDLE_SECONDS = 1440
"""PHP's session.gc_maxlifetime: in practice nothing else ends a session."""


@dataclass(frozen=True)
class Options:
    """The options of a sandbox, besides its data."""

    dialect: str = "kafinea"
    timezone: str = "UTC"
    """The zone of createdtime and modifiedtime: the server's, not that of its users."""
    latency_ms: float = 0
    """Added to every request, while its session is held."""
    idle_seconds: int = IDLE_SECONDS
    """A session that is idle for longer has ended."""
    update_blanks: bool | None = None
    """Whether `update` empties the fields that it is not sent. None: as in the dialect."""
    revise: bool | None = None
    """Whether the operation `revise` exists. None: as in the dialect."""
    dies_at_totals: bool | None = None
    """Whether an update with lines fails before it computes the totals. None: as in the dialect."""
    lines_take: float = 0.005
    """How many seconds a write of lines takes, on servers where concurrent ones lose lines."""
    forgets_lines: bool = False
    """Whether the answer of an update with lines contains no lines."""
    hidden: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Record numbers by module that no user may read: dropped after LIMIT, but counted."""
    closed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Those of `create`, `update` and `delete` that no user may do, by module."""
    absent: Sequence[str] = ()
    """Modules that no user may use."""
    workflows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Values by module and field, which a workflow sets each time a record is saved."""
    alters: Mapping[str, str] = field(default_factory=dict)
    """How the server changes the text of a field (`Accounts.accountname`) when it stores it: see
    `records.alterations`."""
    collation: Literal["ci_ai", "binary"] = "ci_ai"
    """How the database compares text: `ci_ai` ignores case, accents and trailing spaces."""
    unencodable: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Record numbers by module with a text that is not UTF-8. An answer that would contain it is a
    fatal error; an answer with other fields is not."""
    unencodable_fields: Sequence[str] = ()
    """The fields with such a text. `id`: every answer with the record fails. Empty: all texts."""
    unencodable_as: str = "fatal"
    """What the answer is: `fatal`, `empty`, JSON that is `cut` off, `latin-1`, or an error code."""
    private: Sequence[str] = ()
    """Modules of which a user sees only their own records, unless they are an administrator."""
    hidden_fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Fields by module that only administrators can read and write."""
    custom: bool = False
    """Whether the custom module `Equipment` exists. Its fields have names of line fields, but its
    records have no lines."""
    used_token: str | None = None
    """The error code for a token that was used or replaced. None: a token can be used again until
    it expires, and a replaced one is answered as a wrong key."""
