"""The command `kafinea model`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kafinea_cli.connection import connection_options, opened
from kafinea_cli.files import whole
from kafinea_cli.model.diagrams import dot, mermaid
from kafinea_cli.model.document import document, references
from kafinea_cli.model.markdown import markdown
from kafinea_cli.model.page import page

_FORMATS = {"html": page, "mermaid": mermaid, "dot": dot, "markdown": markdown}


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write. Without it: model.html for html; the other formats are printed.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(list(_FORMATS)),
    default="html",
    show_default=True,
    help="html: a page to search and click. mermaid, dot: a diagram of the references. "
    "markdown: a table of the fields of each module.",
)
@connection_options
def model(output: Path | None, format_: str, **options: Any) -> None:
    """Write the data model of the instance.

    It has the modules, fields, picklists and references.

    The page is one file and needs no network. The setting `modules` (TAP_KAFINEA_MODULES) chooses
    the modules.

    \b
    Examples:
      kafinea model
      kafinea model -o docs/crm.html
      kafinea model --format mermaid
    """  # noqa: D301 click keeps the lines behind the character \b
    with opened(options) as instance:
        content = document(instance.config["url"], instance.modules.described)
    text = _FORMATS[format_](content)
    if output is None and format_ == "html":
        output = Path("model.html")
    if output is None:
        click.echo(text, nl=False)
        return
    with whole(output) as file:
        file.write(text.encode())
    fields = sum(len(module["fields"]) for module in content["modules"])
    number = len(list(references(content)))
    click.echo(
        f"Wrote {output}: {len(content['modules'])} modules, {fields} fields, {number} references."
    )
