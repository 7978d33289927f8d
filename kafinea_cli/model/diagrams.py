"""The references of the data model as a diagram, for Mermaid or Graphviz."""

from __future__ import annotations

import re

from kafinea_cli.model.document import Document, references

_SPECIAL_IN_MERMAID = re.compile(r"[^\w .,/()-]")


def mermaid(model: Document) -> str:
    """Return an entity-relationship diagram for Mermaid."""
    entities = [
        f'  {module["name"]}["{_in_mermaid(module["label"])}"]' for module in model["modules"]
    ]
    relations = [
        f"  {module['name']} {_cardinality(mandatory=field['mandatory'])} {to['name']} : "
        f'"{_in_mermaid(field["label"])}"'
        for module, field, to in references(model)
    ]
    return "\n".join(["erDiagram", *entities, *relations, ""])


def dot(model: Document) -> str:
    """Return a directed graph for Graphviz."""
    nodes = [
        f"  {_in_dot(module['name'])} [label={_in_dot(module['label'])}];"
        for module in model["modules"]
    ]
    edges = [
        f"  {_in_dot(module['name'])} -> {_in_dot(to['name'])} [label={_in_dot(field['label'])}];"
        for module, field, to in references(model)
    ]
    style = ["  rankdir=LR;", "  node [shape=box];"]
    return "\n".join(["digraph model {", *style, *nodes, *edges, "}", ""])


def _cardinality(*, mandatory: bool) -> str:
    """Many records to one, or to none if the field may be empty."""
    return "}o--||" if mandatory else "}o--o|"


def _in_mermaid(text: str) -> str:
    """A label. Mermaid would read some characters, such as `%%`, as its own."""
    line = " ".join(text.split())
    return _SPECIAL_IN_MERMAID.sub(lambda match: f"#{ord(match[0])};", line) or "#32;"


def _in_dot(text: str) -> str:
    """A string. Graphviz would read backslashes and entities, such as `&amp;`, as its own."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{plain}"'
