"""Files of records, stored with numbers of the same sequence as records."""

from __future__ import annotations

from kafinea_sandbox.database.tables import Table
from kafinea_sandbox.instance.instance import Instance
from kafinea_sandbox.records import stored


def attach(instance: Instance, table: Table, parent: int, file: tuple[str, str, bytes]) -> None:
    """Store a file; the record takes its name, type and size from it."""
    name, mime, content = file
    name = name.replace(" ", "_")
    with instance.store.write() as db:
        number = stored.next_number(instance, table)
        row = (number, parent, name, mime, content)
        db.execute("INSERT INTO _file VALUES (?, ?, ?, ?, ?)", row)
        values = {"imagename": name}
        if table.name == "Documents":
            values = {"filename": name, "filetype": mime, "filesize": str(len(content))}
        stored.set_columns(
            instance, table, parent, {n: v for n, v in values.items() if n in table.columns}
        )
