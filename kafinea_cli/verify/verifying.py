"""Verifying modules one after the other: which have a table, and what is wrong in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from kafinea.client import Client
from kafinea.describe import LINES, SECRET_FIELDS, Module
from kafinea.errors import KafineaError, Unavailable
from kafinea.extract.clock import Clock
from kafinea.extract.discovery import Modules
from kafinea.extract.line_fields import line_fields, line_module
from kafinea.extract.run import Options
from kafinea.values import ValueType, value_type_of
from kafinea_cli.verify.check import Check, Result
from kafinea_cli.verify.due import due_of_tables, with_state
from kafinea_cli.verify.subject import Subject
from kafinea_cli.verify.warehouse import Warehouse, WarehouseError


@dataclass(frozen=True)
class Plan:
    """What is verified.

    Attributes:
        subjects: The modules that have a table.
        absent: The modules that have none.
        beside: The tables of the lines of documents, which are not compared.
    """

    subjects: Sequence[Subject]
    absent: Sequence[str]
    beside: Sequence[str]


def planned(
    client: Client,
    clock: Clock,
    options: Options,
    modules: Sequence[Module],
    warehouse: Warehouse,
) -> Plan:
    """Return which modules have a table, and how they are compared with it.

    Raises:
        KafineaError: The instance or the warehouse cannot be read.
    """
    make = partial(Subject, client, clock, options)
    subjects, absent, beside = [], [], []
    for module in modules:
        fields = _types_of(module)
        table = warehouse.table(module.name, [*fields, LINES])
        if table is None:
            absent.append(module.name)
            continue
        if "id" not in table.columns:
            raise WarehouseError(f"The table {table.name} has no column `id`.")
        lines = _types_of_lines(client, module) if LINES in table.columns else {}
        types = {name: fields[name] for name in fields if name in table.columns}
        subjects.append(make(module.name, table, types, lines))
        if lines_table := warehouse.table(module.name + LINES, ()):
            beside.append(lines_table.name)
    return Plan(subjects, absent, beside)


def results(
    plan: Plan,
    modules: Modules,
    warehouse: Warehouse,
    *,
    state: Mapping[str, Any] | None = None,
    deep: int = 0,
) -> Iterator[Result]:
    """Yield what is wrong with each module. What cannot be compared stops no other.

    Args:
        plan: The modules.
        modules: Knows why a module fails.
        warehouse: The warehouse.
        state: The state of the tap, if it is known.
        deep: How many records of each module to compare value by value.

    Raises:
        KafineaError: The instance or the warehouse is away.
    """
    if not plan.subjects:
        return
    some = plan.subjects[0]
    tables = {subject.module: subject.table for subject in plan.subjects}
    due = due_of_tables(warehouse, tables, some.clock.zone, some.options)
    if state is not None:
        due = with_state(due, state, some.clock.zone, some.options)
    for subject in plan.subjects:
        check = Check(subject, warehouse, due[subject.module], deep=deep)
        try:
            yield check.run()
        except WarehouseError:
            raise
        except KafineaError as error:
            why = modules.why(subject.module, error)
            if isinstance(why, Unavailable):
                subject.client.listtypes()  # fails as well when the server is away
            if why is not None:
                yield Result(subject.module, error=str(why))


def _types_of(module: Module) -> Mapping[str, ValueType]:
    return {
        name: value_type_of(module.fields[name].type)
        for name in module.readable
        if name not in SECRET_FIELDS
    }


def _types_of_lines(client: Client, module: Module) -> Mapping[str, ValueType]:
    if not module.is_inventory:
        return {}
    fields = line_fields(module, line_module(client))
    return {field.name: value_type_of(field.type) for field in fields}
