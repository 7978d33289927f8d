"""From a parsed query to SQL, and from SQL to the rows of the answer."""

# ruff: noqa: S608 - names come from `modules`, values are parameters

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from kafinea_sandbox.database.store import fold
from kafinea_sandbox.database.tables import Column, Table
from kafinea_sandbox.errors import ApiError, QueryFails, no_owner
from kafinea_sandbox.instance.instance import Instance
from kafinea_sandbox.instance.users import User
from kafinea_sandbox.query.grammar import Condition, Query, Value

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_MOMENT = re.compile(
    r"\s*(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]+(\d{1,2})(?::(\d{1,2})(?::(\d{1,2}))?)?)?"
)
_FILES = "imageattachmentids"
_MANY = 2000
_MAX = 2**62
_NO_MOMENT = "0000-00-00"  # MariaDB reads a text that is not a date as this
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "Z": "\x1a"}


class Statement:
    """One query on its way to SQL."""

    def __init__(self, instance: Instance, user: User, table: Table, query: Query) -> None:
        self.instance = instance
        self.user = user
        self.table = table
        self.query = query
        unseen = instance.unseen(table, user)
        self.known = {name: c for name, c in table.queryable().items() if name not in unseen}
        self.most = instance.dialect.max_rows
        self.selected = self._columns(query.columns or tuple(self.known))
        filtered = self._columns(condition.field for condition in query.conditions)
        self.params: list[Any] = []
        self.unindexed = ""
        joined = filtered if query.counts else self.selected + filtered
        self.parts = {"base"} | {column.part for column in joined}

    def _columns(self, names: Iterable[str]) -> list[Column]:
        names = tuple(names)
        for name in names:
            if name not in self.known:
                raise _denied(name)
        return [self.known[name] for name in names]

    def count(self) -> list[dict[str, str]]:
        """The number of all rows, those the user may not read included; LIMIT does not matter."""
        sql = f"SELECT count(*) {self._source()}"
        row = {"count": str(self.instance.store.value(sql, self.params))}
        return [row | {"id": ""} if self.instance.dialect.more_info else row]

    def rows(self) -> list[dict[str, Any]]:
        """The rows of one page."""
        fields = self._fields()
        found = self.instance.store.rows(self._page(fields), self.params)
        hidden = self.instance.hidden(self.table)
        shown = [row for row in found if row[0] not in hidden]
        self.instance.check_encodable(self.table, (row[0] for row in shown), self.selected)
        records = [(row[0], dict(zip(fields, row[1:], strict=True))) for row in shown]
        if self.instance.dialect.owners_looked_up:
            self._look_up_owners(record for _, record in records)
        for _, record in records if _FILES in fields else ():
            if record[_FILES] is None:
                del record[_FILES]
        if "line" in self.parts and self.instance.dialect.collapse:
            # SQL counted rows of lines; a record shows once, with the columns of its last line.
            return list(dict(records).values())
        return [record for _, record in records]

    def _look_up_owners(self, records: Iterable[dict[str, Any]]) -> None:
        """A record without an owner fails the page, unless the owner is not selected."""
        owners = [column.key for column in self.selected if column.kind == "owner"]
        if any(record[key].isdigit() for record in records for key in owners):
            raise no_owner(self.instance.dialect)

    def _fields(self) -> dict[str, str]:
        """The SQL of every key of a row; of two with one name, the later in the first's place."""
        fields = {column.key: column.wire for column in self.selected}
        if "id" in self.known:  # ProductTaxes has none
            fields.setdefault("id", self.known["id"].wire)
        has_files = self.table.has_files and self.instance.dialect.image_ids
        if self.query.columns is None and has_files:
            prefix = self.table.prefix
            fields[_FILES] = (
                f"(SELECT group_concat('{prefix}x' || _number, ',') FROM _file"
                " WHERE parent = t._number)"
            )
        return fields

    def _page(self, fields: dict[str, str]) -> str:
        self.unindexed = self._less_selective()
        chosen = ", ".join(["t._number", *fields.values()])
        return f"SELECT {chosen} {self._source()} {self._order()} {self._limit()}"

    def _less_selective(self) -> str:
        """The worse index of a page that is limited by id and by time of change.

        SQLite cannot know whether a moment is long ago. Walking by id is right unless few records
        changed since.
        """
        changed = [c for c in self.query.conditions if c.field == self.table.modified]
        if not changed or self.query.order[:1] != ("id",) or "OR" in self.query.glue:
            return ""
        times = " AND ".join(self._condition(condition) for condition in changed)
        some = f'SELECT 1 FROM "{self.table.name}" t WHERE {times} LIMIT {_MANY}'
        found = self.instance.store.value(f"SELECT count(*) FROM ({some})", self.params)
        self.params.clear()
        return changed[0].field if found == _MANY else "id"

    def _source(self) -> str:
        join = ""
        if "line" in self.parts:
            join = ' LEFT JOIN "LineItem" l ON l.parent_id = t._number'
        return f'FROM "{self.table.name}" t{join} WHERE {self._where()}'

    def _where(self) -> str:
        wanted = ["t._deleted = 0", *self.instance.visible(self.table, self.user)]
        if self.query.conditions:
            wanted.append(f"({self._conditions()})")
        return " AND ".join(wanted)

    def _conditions(self) -> str:
        # SQL's own precedence decides: AND before OR.
        words = [self._condition(self.query.conditions[0])]
        for glue, condition in zip(self.query.glue, self.query.conditions[1:], strict=True):
            words += [glue, self._condition(condition)]
        return " ".join(words)

    def _condition(self, condition: Condition) -> str:
        # A plus sign hides a column from the choice of an index.
        return ("+" if condition.field == self.unindexed else "") + self._compared(condition)

    def _compared(self, condition: Condition) -> str:
        column = self.known[condition.field]
        if condition.operator == "LIKE":
            left, read = _like(column)
            self.params.append(read(condition.values[0]))
            return f"{left} LIKE ? ESCAPE '\\'"
        exact = self.instance.options.collation == "binary"
        pairs = [_comparison(column, value, exact=exact) for value in condition.values]
        self.params += [param for _, param in pairs]
        if condition.operator in {"<", "<=", "!="} and column.kind == "datetime":
            # A value that is not a valid datetime is never selected.
            return (
                f"({column.sql} {condition.operator} ? AND {column.sql} > '{_NO_MOMENT} 00:00:00')"
            )
        if condition.operator != "IN":
            return f"{pairs[0][0]} {condition.operator} ?"
        if len({left for left, _ in pairs}) == 1:
            return f"{pairs[0][0]} IN ({', '.join('?' * len(pairs))})"
        return "(" + " OR ".join(f"{left} = ?" for left, _ in pairs) + ")"

    def _order(self) -> str:
        terms = [_sortable(self._joined(name)) for name in self.query.order]
        if terms:
            terms[-1] += f" {self.query.direction}"
        elif self.table.name == "Documents":
            terms = ["t._number % 2"]  # without ORDER BY the order is arbitrary: seen on Documents
        if "line" in self.parts:
            terms.append("l._number")
        return f"ORDER BY {', '.join(terms)}" if terms else ""

    def _joined(self, name: str) -> Column:
        """A column to sort by, whose table must be part of the statement already."""
        column = self.known.get(name)
        if name == "id" and column is None:
            raise _denied(name)
        if column is None or column.part not in self.parts:
            raise QueryFails
        return column

    def _limit(self) -> str:
        most = self.most
        if not self.query.limit:
            return f"LIMIT {most}"
        count = self.query.limit[-1]
        # PHP 8 finds any word greater than the maximum.
        rows = min(_plain(count), most) if _digits(count) or count.quoted else most
        offset = _plain(self.query.limit[0]) if len(self.query.limit) > 1 else 0
        return f"LIMIT {rows} OFFSET {offset}"


def _denied(name: str) -> ApiError:
    return ApiError("ACCESS_DENIED", f"Permission to access '.{name}.' attribute denied.")


def _digits(value: Value) -> bool:
    return value.text.lstrip("+-").isdigit()


def _plain(value: Value) -> int:
    """A number that MariaDB takes after LIMIT: no sign, no quotes."""
    if value.quoted or not value.text.isdigit():
        raise QueryFails
    return min(int(value.text), _MAX)


def _sortable(column: Column) -> str:
    if column.kind == "number":
        return f"CAST({column.sql} AS REAL)"
    return f"rtrim(fold({column.sql}))" if column.kind == "text" else column.sql


def _comparison(column: Column, value: Value, *, exact: bool) -> tuple[str, Any]:
    """The left side and the parameter of a comparison."""
    if column.kind in {"id", "reference", "owner"}:
        return column.sql, _number_of_id(column, value)
    if column.kind in {"date", "datetime"}:
        return column.sql, _moment(_word(value), column.kind)
    if column.kind == "number" or not value.quoted:
        return f"CAST({column.sql} AS REAL)", _number(_word(value))
    if exact:
        return column.sql, _unescape(value.text)
    return f"rtrim(fold({column.sql}))", fold(_unescape(value.text)).rstrip(" ")


def _like(column: Column) -> tuple[str, Callable[[Value], str]]:
    if column.kind in {"id", "reference", "owner"}:
        return f"CAST({column.sql} AS TEXT)", lambda value: value.text.partition("x")[2]
    return f"fold({column.sql})", lambda value: fold(_unescape(_word(value)))


def _number_of_id(column: Column, value: Value) -> int:
    """The number after the x. What precedes it is ignored."""
    _, x, number = value.text.partition("x")
    if x:
        return min(int(_number(number)), _MAX)
    if column.kind == "reference":
        raise ApiError("INVALID_ID_ATTRIBUTE", "Id specified is incorrect")
    raise QueryFails


def _word(value: Value) -> str:
    """The text of a value. MariaDB takes a word without quotes for an unknown column."""
    if not value.quoted and not _digits(value):
        raise QueryFails
    return value.text


def _number(text: str) -> float:
    """The number a text begins with, else 0."""
    match = _NUMBER.match(text)
    return float(match.group()) if match else 0.0


def _moment(text: str, kind: str) -> str:
    match = _MOMENT.match(text)
    if not match:
        return _NO_MOMENT
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60):
        return _NO_MOMENT
    date, time = f"{year:04}-{month:02}-{day:02}", f"{hour:02}:{minute:02}:{second:02}"
    if kind == "date" and time == "00:00:00":
        return date
    return f"{date} {time}"


def _unescape(text: str) -> str:
    r"""A text as MariaDB reads it between quotes: `\\` is one backslash, `\%` stays for LIKE."""
    if "\\" not in text:
        return text
    return re.sub(
        r"\\([^%_])", lambda match: _ESCAPES.get(match[1], match[1]), text, flags=re.DOTALL
    )
