"""Which loaded values are written to which fields: the settings `write` and `null` of a stream.

A new record gets all values that it comes with. The policies decide what an update may overwrite,
and whether an empty value means anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from kafinea.errors import SettingsError

WritePolicy = Literal["always", "if_empty", "never"]
NullPolicy = Literal["clear", "keep"]

ALL = "*"


@dataclass(frozen=True)
class FieldPolicies:
    """The policies of a stream, by field; `*` stands for all that are not named.

    Attributes:
        write: Whether an update writes a field: `always` (the default), `if_empty` (only where the
            stored record has no value) or `never`.
        null: What an empty value does: `clear` (the default) empties the field, `keep` is as if
            the record did not have the property.
    """

    write: Mapping[str, str] = field(default_factory=dict)
    null: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, where: str, write: Any, null: Any) -> FieldPolicies:
        """Return the policies that settings describe: a word for all fields, or one for each.

        Raises:
            SettingsError: They are no policies.
        """
        return cls(
            _policies(f"{where}, `write`", write, get_args(WritePolicy)),
            _policies(f"{where}, `null`", null, get_args(NullPolicy)),
        )

    def __bool__(self) -> bool:
        return bool(self.write or self.null)

    @property
    def names(self) -> Iterator[tuple[str, str]]:
        """Each setting with a field that it names."""
        for setting, policies in (("write", self.write), ("null", self.null)):
            yield from ((setting, name) for name in policies if name != ALL)

    def may_write(self, name: str, *, is_empty: bool) -> bool:
        """Whether an update may write a field.

        Args:
            name: The field.
            is_empty: Whether the stored record has no value there.
        """
        policy = self.write.get(name, self.write.get(ALL, "always"))
        return policy == "always" or (policy == "if_empty" and is_empty)

    def ignores_null(self, name: str) -> bool:
        """Whether an empty value is as if the record did not have the property."""
        return self.null.get(name, self.null.get(ALL, "clear")) == "keep"


def _policies(where: str, setting: Any, words: tuple[str, ...]) -> dict[str, str]:
    policies = {ALL: setting} if isinstance(setting, str) else setting or {}
    one_of = f"{', '.join(f'`{word}`' for word in words[:-1])} or `{words[-1]}`"
    if not isinstance(policies, Mapping):
        raise SettingsError(f"{where}: use {one_of}, for all fields or for each by its name.")
    policies = {name: word for name, word in policies.items() if word not in (None, "")}
    for name, word in policies.items():
        if word not in words:
            raise SettingsError(f"{where}, {name}: {word!r} is not known. Use {one_of}.")
    return policies


WRITE_ALL = FieldPolicies()
"""What holds where nothing is set."""
