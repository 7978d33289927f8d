"""How values and keys are shown to people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kafinea.load.approval.plan_lines import PlanLine
from kafinea.shown import shown
from kafinea_cli.diff.reading import NOT_SHOWN
from kafinea_cli.exact import csv_value

EMPTY = "(empty)"
_LONGEST = 200  # characters of a value
_OF_A_LINE = {"productid": "", "quantity": "quantity ", "listprice": "price "}


class ValueTexts:
    """Texts for the values of a plan.

    Args:
        new_names: What the records to be created are known by, by their provisional id.
    """

    def __init__(self, new_names: Mapping[str, str]) -> None:
        self._new_names = new_names

    def of(self, value: Any, natural_key: Any = None) -> str:
        """Return the text of a value.

        Args:
            value: The value.
            natural_key: What it was looked up by, if it is the id of another record.
        """
        if is_empty(value):
            return EMPTY
        if value is NOT_SHOWN:
            return "(no value: `outcomes_values` is off)"
        if isinstance(value, list):
            lines = (self._line(one) if isinstance(one, dict) else self.of(one) for one in value)
            return shown("; ".join(lines), _LONGEST)
        text = str(value)
        if text in self._new_names:
            return f"new: {self._new_names[text]}"
        if natural_key not in (None, "", value):
            return shown(f"{natural_key} ({text})", _LONGEST)
        return shown(csv_value(value), _LONGEST) if text.strip() else repr(text)

    def record(self, values: Mapping[str, Any], keys: Mapping[str, Any]) -> str:
        """Return the values of a whole record in one line."""
        filled = {name: value for name, value in values.items() if not is_empty(value)}
        return ", ".join(
            f"{shown(name)}: {self.of(value, keys.get(name))}" for name, value in filled.items()
        )

    def _line(self, line: Mapping[str, Any]) -> str:
        """Return a line of a document: its product, its quantity, its price."""
        known = {name: mark for name, mark in _OF_A_LINE.items() if not is_empty(line.get(name))}
        return " ".join(f"{mark}{self.of(line[name])}" for name, mark in known.items())


def key_text(line: PlanLine) -> str:
    """Return what a record is looked for by."""
    return shown(", ".join(f"{name}: {csv_value(value)}" for name, value in line.key.items()))


def name_of(line: PlanLine) -> str:
    """Return what a new record is known by to who reads of it elsewhere."""
    return shown(", ".join(csv_value(value) for value in line.key.values()) or line.module)


def is_empty(value: Any) -> bool:
    """Whether a value is none."""
    return value is None or value in ("", [])
