"""Values that a server shows otherwise than they were sent: fewer digits, or a user's format."""

from __future__ import annotations

from tests.small_server import SmallServer, serving
from tests.target.running import load, matched, messages


def loaded(server, *records, **more):
    with serving(server):
        return load(
            None,
            messages("Contacts", *records),
            url=server.url,
            username="admin",
            access_key="k",
            streams=matched("Contacts", "code", **more),
            max_rejects=-1,
        )


def test_cents_are_loaded_where_numbers_are_shown_without_their_last_zeros():
    def trimmed(_, row):
        numbers = {name: row[name] for name in ("amount", "size") if "." in row[name]}
        return {**row, **{name: text.rstrip("0").rstrip(".") for name, text in numbers.items()}}

    server = SmallServer()
    server.shown = trimmed
    server.answer = lambda operation, stored, _: trimmed(operation, stored)
    server.insert(code="a", lastname="A", amount="1234.50", size="0.1")
    server.insert(code="b", lastname="B", amount="99.90")
    server.insert(code="c", lastname="C", amount="7.00", size="0.25")
    records = [
        {"code": "a", "amount": 1234.54, "size": 0.14},
        {"code": "b", "amount": 99.94},
        {"code": "c", "amount": 7, "size": 0.25},
    ]
    assert loaded(server, *records).tally == {"updated": 2, "unchanged": 1}
    stored = [(row["amount"], row["size"]) for row in server.rows.values()]
    assert stored == [("1234.54", "0.14"), ("99.94", ""), ("7.00", "0.25")]
