"""The marts: what everybody wants to know, if the warehouse has the modules and fields for it.

A template is SQL for dbt in which `<Invoice>` stands for the staging model of a module, and
`<Invoice.balance>` for the column of a field. The lines between `-- if` and `-- end` are left out,
or replaced by those after `-- else`, if the warehouse lacks one of the modules and fields in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files

import yaml

from kafinea_cli.dbt_package.tables import Tables
from kafinea_cli.dbt_package.text import to_yaml

_TEMPLATES = files("kafinea_cli.dbt_package") / "templates" / "marts"
_PLACE = re.compile(r"<(\w+)(?:\.(\w+))?>")
_OPTIONAL = re.compile(r"-- if\n(.*?)(?:-- else\n(.*?))?-- end\n", re.DOTALL)


def models(tables: Tables) -> dict[str, str]:
    """Return the SQL of each mart that the tables suffice for."""
    return {
        name: _rendered(template, tables)
        for name, template in _templates()
        if not _missing(_OPTIONAL.sub("", template), tables)
    }


def left_out(tables: Tables) -> dict[str, str]:
    """Return what is missing for each of the other marts."""
    missing = {
        name: _missing(_OPTIONAL.sub("", template), tables) for name, template in _templates()
    }
    return {name: ", ".join(places) for name, places in missing.items() if places}


def properties(written: dict[str, str]) -> str:
    """Return the YAML file of the marts.

    Args:
        written: The SQL of each mart.
    """
    described = yaml.safe_load((_TEMPLATES / "_kafinea__marts.yml").read_text(encoding="utf-8"))
    models = [
        {
            **model,
            "columns": [
                column
                for column in model["columns"]
                if re.search(rf"\b{column['name']},?\n", written[model["name"]])
            ],
        }
        for model in described["models"]
        if model["name"] in written
    ]
    return to_yaml({**described, "models": models})


def _templates() -> Iterator[tuple[str, str]]:
    for path in sorted(_TEMPLATES.iterdir(), key=lambda path: path.name):
        name, _, suffix = path.name.rpartition(".")
        if suffix == "sql":
            yield name, path.read_text(encoding="utf-8")


def _missing(template: str, tables: Tables) -> list[str]:
    """Return the modules and fields of a template that the warehouse does not have."""
    found = []
    for module, field in dict.fromkeys(_PLACE.findall(template)):
        if module not in tables:
            found.append(module)
        elif field and field not in tables[module].columns:
            found.append(f"{module}.{field}")
    return list(dict.fromkeys(found))


def _rendered(template: str, tables: Tables) -> str:
    def chosen(match: re.Match[str]) -> str:
        return (match[2] or "") if _missing(match[1], tables) else match[1]

    def place(match: re.Match[str]) -> str:
        table = tables[match[1]]
        return table.columns[match[2]].name if match[2] else f"{{{{ ref('{table.model}') }}}}"

    return _PLACE.sub(place, _OPTIONAL.sub(chosen, template))
