"""The files that commands write, among them records as CSV, JSON Lines, Parquet and Excel.

A file is written a batch at a time under another name, and gets its own name when it is complete.
So it is there whole, or not at all. Each value in it is exact.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from decimal import Decimal
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from kafinea.errors import SettingsError, StorageError
from kafinea.extras import require
from kafinea.private import refuse_planted
from kafinea.values import ValueType
from kafinea_cli.exact import csv_lines, csv_value, exact_json

Row = Mapping[str, Any]
Columns = Mapping[str, ValueType | None]
"""The type of each column; None for the lines of documents."""

_BATCH = 1000
_DIGITS, _DECIMALS = 38, 10
"""Of numbers in Parquet: the most digits that DuckDB and Snowflake take."""

_EXCEL_ROWS = 1_048_576
_EXCEL_COLUMNS = 16_384
_EXCEL_TEXT = 32_767
_EXCEL_DIGITS = 15
"""The digits of a number that Excel keeps. A number with more is written as text."""
_FIRST_DAY = date(1900, 3, 1)
"""The first day on which Excel agrees with the calendar. Earlier ones are written as text."""


class DoesNotFit(StorageError):
    """A format cannot contain a value exactly. The message names other formats."""


def check(path: Path) -> None:
    """Check, before anything is read, that a file can be written.

    Raises:
        ValueError: Its name does not end with that of a format.
        SettingsError: What writes it is not installed, or no file can have this name.
    """
    if path.suffix.lower() not in _WRITERS:
        raise ValueError(f"the name must end with one of {', '.join(_WRITERS)}.")
    _target(path)
    if package := _NEEDED.get(path.suffix.lower()):
        require(package, "export")


def write(path: Path, rows: Iterable[Row], columns: Columns) -> None:
    """Write rows into a file, whose name decides on the format. An existing file is replaced.

    Args:
        path: The file.
        rows: The rows.
        columns: Their columns.

    Raises:
        StorageError: It cannot be written, or its format cannot contain a value exactly
            (`DoesNotFit`). There is no file, or the old one.
    """
    with whole(path) as file:
        _WRITERS[path.suffix.lower()](file, rows, columns)


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file that gets its name at the end of the block, if no error ends it.

    Only this user can read it: it contains records.

    Raises:
        SettingsError: No file can have this name.
        StorageError: It cannot be written.
        OSError: Another user has put it there.
    """
    path = _target(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException as error:
        with suppress(OSError):
            part.unlink()
        if isinstance(error, OSError):
            raise StorageError(f"{path} cannot be written: {error.strerror or error}.") from None
        raise


def _target(path: Path) -> Path:
    """Return the file to write; where a path is a link, that is what it leads to.

    Raises:
        SettingsError: It would be in no folder, or would replace what is no file.
        OSError: Another user has put it there.
    """
    refuse_planted(path)
    real = Path(os.path.realpath(path))
    if not real.parent.is_dir():
        raise SettingsError(f"{path}: there is no folder {real.parent}.")
    if real.is_dir():
        raise SettingsError(f"{path} is a folder. Name a file.")
    if real.exists() and not real.is_file():  # root would replace /dev/null for the whole machine
        raise SettingsError(f"{path} is a device or a pipe. Name a file.")
    return real


def _write_pieces(
    pieces_of: Callable[[Iterable[Row], Sequence[str]], Iterator[bytes]],
    file: BinaryIO,
    rows: Iterable[Row],
    columns: Columns,
) -> None:
    file.writelines(pieces_of(rows, list(columns)))


def _json_lines(rows: Iterable[Row], names: Sequence[str]) -> Iterator[bytes]:
    for row in rows:
        yield exact_json({name: row.get(name) for name in names}) + b"\n"


# Parquet


def _write_parquet(file: BinaryIO, rows: Iterable[Row], columns: Columns) -> None:
    import pyarrow as pa  # noqa: PLC0415 an optional extra, see `check`
    from pyarrow import parquet  # noqa: PLC0415

    types = {
        ValueType.BOOLEAN: pa.bool_(),
        ValueType.INTEGER: pa.int64(),
        ValueType.NUMBER: pa.decimal128(_DIGITS, _DECIMALS),
        ValueType.DATE: pa.date32(),
        ValueType.DATETIME: pa.timestamp("us", tz="UTC"),
        ValueType.LIST: pa.list_(pa.string()),
    }
    as_text = {ValueType.DATE, ValueType.DATETIME}
    schema = pa.schema([(name, types.get(kind, pa.string())) for name, kind in columns.items()])  # type: ignore[arg-type]  # None is text

    def array_of(name: str, values: Sequence[Any]) -> Any:
        kind, arrow_type = columns[name], schema.field(name).type
        if kind is None:
            values = [its and exact_json(its).decode() for its in values]
        if kind in as_text:
            return pa.array(values, pa.string()).cast(arrow_type)
        return pa.array(values, arrow_type)

    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        remaining = iter(rows)
        while batch := list(islice(remaining, _BATCH)):
            arrays = []
            for name in columns:
                values = [row.get(name) for row in batch]
                try:
                    arrays.append(array_of(name, values))
                except (pa.ArrowException, OverflowError):
                    fits = partial(_fits, array_of, name, (pa.ArrowException, OverflowError))
                    record = next(row["id"] for row in batch if not fits(row.get(name)))
                    raise _does_not_fit(record, name, "Parquet") from None
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _fits(
    array_of: Callable[[str, Sequence[Any]], Any],
    name: str,
    errors: tuple[type[Exception], ...],
    value: Any,
) -> bool:
    try:
        array_of(name, [value])
    except errors:
        return False
    return True


# Excel


def _write_excel(file: BinaryIO, rows: Iterable[Row], columns: Columns) -> None:
    """Write a workbook with one sheet.

    Texts are written as texts, also those that look like formulas or addresses.
    """
    import xlsxwriter  # noqa: PLC0415 an optional extra, see `check`

    if len(columns) > _EXCEL_COLUMNS:
        raise DoesNotFit(f"Excel has {_EXCEL_COLUMNS:,} columns at most. {_OTHER_FORMATS}")
    try:
        # It is closed after an error too, because it has a temporary file.
        with xlsxwriter.Workbook(file, {"constant_memory": True}) as book:
            _write_sheet(book, rows, columns)
    except xlsxwriter.exceptions.FileCreateError as error:
        raise error.args[0] from None  # the OSError, such as that of a full disk


def _write_sheet(book: Any, rows: Iterable[Row], columns: Columns) -> None:
    sheet = book.add_worksheet()
    sheet.freeze_panes(1, 0)
    bold, day = book.add_format({"bold": True}), book.add_format({"num_format": "yyyy-mm-dd"})
    for place, name in enumerate(columns):
        sheet.write_string(0, place, name, bold)
    for number, row in enumerate(rows, start=1):
        if number == _EXCEL_ROWS:
            raise DoesNotFit(f"Excel has {_EXCEL_ROWS:,} rows at most. {_OTHER_FORMATS}")
        for place, (name, kind) in enumerate(columns.items()):
            try:
                _write_cell(sheet, number, place, row.get(name), kind, day)
            except OverflowError:
                raise _does_not_fit(row["id"], name, "Excel") from None


def _write_cell(
    sheet: Any, row: int, column: int, value: Any, kind: ValueType | None, day: Any
) -> None:
    """Write a value.

    Args:
        sheet: The sheet.
        row: Its row, from 0.
        column: Its column, from 0.
        value: The value.
        kind: Its type.
        day: The format of dates.

    Raises:
        OverflowError: It is longer than a cell may be.
    """
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(row, column, value)
    elif isinstance(value, int | Decimal) and is_exact_in_excel(value):
        sheet.write_number(row, column, value)
    elif kind is ValueType.DATE and (its := date.fromisoformat(value)) >= _FIRST_DAY:
        sheet.write_datetime(row, column, its, day)
    else:
        text = csv_value(value)
        if len(text) > _EXCEL_TEXT:
            raise OverflowError
        sheet.write_string(row, column, text)


def is_exact_in_excel(number: Decimal | int) -> bool:
    """Whether Excel, which has doubles only and 15 digits of them, keeps a number as it is."""
    digits = Decimal(number).as_tuple().digits
    return len("".join(map(str, digits)).strip("0")) <= _EXCEL_DIGITS


# What the formats share

_OTHER_FORMATS = "Write a .csv or .jsonl file instead."


def _does_not_fit(record_id: str, name: str, form: str) -> DoesNotFit:
    return DoesNotFit(
        f"{record_id}: {form} cannot contain the value of `{name}` exactly. {_OTHER_FORMATS}"
    )


_WRITERS: Mapping[str, Callable[[BinaryIO, Iterable[Row], Columns], None]] = {
    ".csv": partial(_write_pieces, csv_lines),
    ".jsonl": partial(_write_pieces, _json_lines),
    ".parquet": _write_parquet,
    ".xlsx": _write_excel,
}
_NEEDED = {".parquet": "pyarrow", ".xlsx": "xlsxwriter"}
