"""The marts: what everybody wants to know, if the warehouse has the modules and fields for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from kafinea_cli.dbt_package.tables import Tables
from kafinea_cli.dbt_package.text import to_yaml

Names = Callable[[str, str], str]
"""Returns the readable name of a field of a module."""


class Mart(NamedTuple):
    """A mart.

    Attributes:
        description: What a row is, and what it counts.
        needs: The fields that it needs, by module.
        columns: The description of each column.
        sql: Its SQL. `{Invoice}` is the staging model of a module, and `{Invoice.balance}` the
            column of a field.
    """

    description: str
    needs: Mapping[str, Sequence[str]]
    columns: Mapping[str, str]
    sql: str


def written(tables: Tables) -> dict[str, Mart]:
    """Return the marts that the tables suffice for."""
    return {}


def left_out(tables: Tables) -> dict[str, str]:
    """Return the other marts, and what is missing."""
    return {}


def model(mart: Mart, tables: Tables) -> str:
    return ""


def properties(marts: Mapping[str, Mart]) -> str:
    """Return the YAML file of the marts."""
    return to_yaml({"version": 2, "models": []})
