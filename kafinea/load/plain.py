"""Values of data frames and database drivers, as the engine has them: those of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID


def plain_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a record with plain values; a missing value (NaN, NaT, NA) is None.

    Raises:
        TypeError: It is not a mapping.
    """
    if not isinstance(record, Mapping):
        kind = type(record).__name__
        raise TypeError(f"Load takes records, each a dict by field name, not a {kind}.")
    return {name: plain(value) for name, value in record.items()}


def plain(value: Any) -> Any:
    """Return a value as JSON would have it: a date as a string, a float as an exact decimal.

    What has no such form is returned as it is, and its record is rejected.
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):  # numpy's as well, whose `repr` is not a number
        return Decimal(float.__repr__(value)) if value == value else None  # noqa: PLR0124 NaN
    if isinstance(value, Decimal):
        return None if value.is_nan() else value
    if isinstance(value, (date, datetime, time)):
        return value.isoformat() if value == value else None  # noqa: PLR0124 NaT of pandas
    if isinstance(value, Mapping):
        return {name: plain(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(member) for member in value]
    if isinstance(value, UUID):
        return str(value)
    return _of_numpy_and_pandas(value)


def _of_numpy_and_pandas(value: Any) -> Any:
    """Return a scalar or an array of numpy as Python has it. Neither package is imported."""
    if type(value).__name__ == "NAType":
        return None
    if not hasattr(value, "dtype") or not hasattr(value, "tolist"):
        return value
    if value.dtype.kind == "M":  # of nanoseconds, which Python would have as a number
        value = value.astype("datetime64[us]")
    return plain(value.tolist())
