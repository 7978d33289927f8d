"""Which fields the lines of a document have."""

from __future__ import annotations

from dataclasses import replace

from kafinea.client import Client
from kafinea.describe import LINE_MODULE, Field, Module
from kafinea.errors import Refused

# `retrieve` gives it even where no module describes it. coreBOS has none.
_ID = Field("id", "lineitem id", "string")

# What coreBOS gives of a line, and describes nowhere (include/Webservices/Retrieve.php). The place
# of a line is that in its list.
_PDO_LINE = (
    Field("sequence_no", "Sequence No", "integer"),
    Field("productid", "Number of the product or service", "string"),
    Field("wsproductid", "Product or service", "reference", refers_to=("Products", "Services")),
    Field("linetype", "Module of the product or service", "string"),
    Field("comment", "Comment", "text"),
    Field("qty", "Quantity", "double"),
    Field("listprice", "List Price", "double"),
    Field("discount", "Has a discount", "boolean"),
    Field("discount_type", "Kind of discount: amount or percentage", "string"),
    Field("discount_percentage", "Discount Percent", "double"),
    Field("discount_amount", "Discount Amount", "double"),
)

# Documents describe the fields of their lines too, most of the decimals as texts.
_TEXTS_OF_LINES = frozenset({"productid", "comment", "image"})


def line_module(client: Client) -> Module | None:
    """Return the module of the lines; None where there is none, or not for this user.

    Raises:
        WrongAnswer: The server does not describe it.
    """
    try:
        return client.describe(LINE_MODULE)
    except Refused:
        return None


def line_fields(document: Module, line: Module | None) -> list[Field]:
    """Return the fields of a line, `id` first where lines have one.

    Args:
        document: The module of the document.
        line: The module of the lines (see `line_module`).
    """
    if line is None and not document.line_columns:
        return [*_PDO_LINE]
    line = line or _line_as_described_by(document)
    return [_ID, *(line.fields[name] for name in line.queryable if name != _ID.name)]


def _line_as_described_by(document: Module) -> Module:
    """Return what a document's module contains of its lines, as `retrieve` gives them."""
    described = [
        field if field.name in _TEXTS_OF_LINES else replace(field, type="double")
        for field in (document.fields[name] for name in sorted(document.line_columns))
    ]
    place = Field("sequence_no", "sequence_no", "integer")
    fields = {field.name: field for field in (place, *described)}
    return replace(document, name=LINE_MODULE, is_entity=False, fields=fields)
