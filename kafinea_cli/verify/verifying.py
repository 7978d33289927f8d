"""Verifying modules one after the other: which have a table, and what is wrong in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kafinea.client import Client
from kafinea.describe import LINES, SECRET_FIELDS, Module
from kafinea.errors import KafineaError, Unavailable
from kafinea.extract.clock import Clock
from kafinea.extract.discovery import Modules
from kafinea.extract.line_fields import line_module
from kafinea.extract.line_rows import DOCUMENT, NUMBER
from kafinea.extract.options import Options
from kafinea.suggestions import listed
from kafinea.values import ValueType, value_type_of
from kafinea_cli.connection import Instance
from kafinea_cli.verify.check import Check, Result
from kafinea_cli.verify.due import due_of_tables, with_state
from kafinea_cli.verify.repair import Repair, lines_of
from kafinea_cli.verify.subject import Subject, types_of_lines
from kafinea_cli.verify.warehouse import NotThere, Table, Warehouse, WarehouseError
from tap_kafinea.line_table import schema_of_table


@dataclass(frozen=True)
class Plan:
    """What is verified.

    Attributes:
        modules: Knows why a module fails.
        subjects: The modules that have a table.
        absent: The modules that have none.
        deletions_limit: The percentage of a module's rows that a repair reports as deleted at most.
    """

    modules: Modules
    subjects: Sequence[Subject]
    absent: Sequence[str]
    deletions_limit: float


def planned(instance: Instance, names: Sequence[str], warehouse: Warehouse) -> Plan:
    """Return which modules have a table, and how they are compared with it.

    Args:
        instance: The instance.
        names: The modules, or patterns of them; none for those that the settings select.
        warehouse: The warehouse.

    Raises:
        NotThere: There is no such module, or a module that is named has no table, or none has.
        KafineaError: The instance or the warehouse cannot be read.
    """
    client, config = instance.client, instance.config
    modules = Modules(client, config["username"], names) if names else instance.modules
    if names:
        modules.look_for(modules.shown)
        for name in modules.missing:
            raise NotThere(modules.not_found(name))
    clock = Clock(config.get("timezone"), client.server_time)
    options = Options(
        page_size=int(config["page_size"]),
        lookback=config["lookback_seconds"],
        start=instance.zone.setting("start_date", config.get("start_date")),
    )
    subjects, absent = [], []
    for module in modules.described:
        if table := warehouse.table(module.name, [*_types_of(module), LINES]):
            subjects.append(_subject(client, clock, options, module, table, warehouse))
        else:
            absent.append(module.name)
    if not subjects or (names and absent):
        raise NotThere(_no_table(absent, warehouse))
    return Plan(modules, subjects, absent, config["deletions_limit"])


def _subject(
    client: Client,
    clock: Clock,
    options: Options,
    module: Module,
    table: Table,
    warehouse: Warehouse,
) -> Subject:
    if "id" not in table.columns:
        raise WarehouseError(f"The table {table.name} has no column `id`.")
    types = {name: type_ for name, type_ in _types_of(module).items() if name in table.columns}
    of_lines = types_of_lines(client, module) if LINES in table.columns else {}
    lines = _table_of_lines(client, module, warehouse)
    return Subject(client, clock, options, module, table, lines, types, of_lines)


def _no_table(modules: Sequence[str], warehouse: Warehouse) -> str:
    """Return the sentences for modules without a table, with the schemas that have one."""
    others = [name for name in warehouse.schemas(modules) if name != warehouse.schema]
    text = f"The schema {warehouse.schema} of the warehouse has no table of {listed(modules)}."
    if others:
        return f"{text} Set --schema to {' or '.join(others)}."
    return f"{text} Extract and load first."


def results(
    plan: Plan,
    warehouse: Warehouse,
    *,
    state: Mapping[str, Any] | None = None,
    deep: int = 0,
    repair: Callable[[bytes], object] | None = None,
) -> Iterator[Result]:
    """Yield what is wrong with each module. What cannot be compared stops no other.

    Args:
        plan: The modules.
        warehouse: The warehouse.
        state: The state of the tap, if it is known.
        deep: How many records of each module to compare value by value.
        repair: Takes the lines of the Singer messages that repair the warehouse.

    Raises:
        KafineaError: The instance or the warehouse is away.
    """
    some = plan.subjects[0]
    tables = {subject.module: subject.table for subject in plan.subjects}
    due = due_of_tables(warehouse, tables, some.clock.zone, some.options)
    if state is not None:
        due = with_state(due, state, some.client.url, some.clock.zone, some.options)
    for subject in plan.subjects:
        one = due[subject.module]
        try:
            result = Check(subject, warehouse, one, deep=deep).run()
            if repair:
                _repair(Repair(subject, warehouse, one, result, plan.deletions_limit), repair)
            yield result
        except WarehouseError:
            raise
        except KafineaError as error:
            why = plan.modules.why(subject.module, error)
            if isinstance(why, Unavailable):
                subject.client.listtypes()  # fails as well when the server is away
            if why is not None:
                yield Result(subject.module, error=str(why))


def _repair(made: Repair, write: Callable[[bytes], object]) -> None:
    for line in lines_of(made.messages()):
        write(line)


def _types_of(module: Module) -> Mapping[str, ValueType]:
    return {
        name: value_type_of(module.fields[name].type)
        for name in module.readable
        if name not in SECRET_FIELDS
    }


def _table_of_lines(client: Client, module: Module, warehouse: Warehouse) -> Table | None:
    """Return the table of the lines of a module's documents, if there is one."""
    if not module.is_inventory:
        return None
    fields = schema_of_table(module, line_module(client))["properties"]
    table = warehouse.table(module.name + LINES, fields)
    return table if table and {DOCUMENT, NUMBER} <= table.columns.keys() else None
