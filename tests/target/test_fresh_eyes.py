"""What a review with fresh eyes found: each test failed before its fix."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.small_server import Raw, SmallServer, serving
from tests.target.running import Run, empty, load, matched, messages
from tests.target.test_documents_with_lines import Shop


def contacts(server: SmallServer, *records: dict[str, Any], **more: Any) -> Run:
    """Load contacts that are told apart by their code."""
    access = {"url": server.url, "username": "admin", "access_key": "0123456789abcdef"}
    streams = matched("Contacts", "code", **more.pop("stream", {}))
    return load(None, messages("Contacts", *records), streams=streams, **access, **more)


def test_one_session_is_enough_for_totals_that_need_the_taxes_of_a_product() -> None:
    """The thread that writes holds the only session, and asked for another one: for ever."""
    with empty(dialect="stock") as sandbox:
        shop = Shop(sandbox)
        untaxed = sandbox.insert("Products", {"productname": "Free", "unit_price": "10.0"})
        quote = shop.record("Quotes", "Q1", 1) | {"hdnTaxType": "individual"}
        quote["LineItems"][0]["productid"] = untaxed
        lines = messages("Quotes", quote)
        run = load(sandbox, lines, streams=matched("Quotes", "subject"), max_sessions=1)
        assert run.tally == {"created": 1}


@pytest.mark.parametrize("revises", [True, False])
def test_what_others_write_before_an_update_is_proven_stays(revises: bool) -> None:
    """The update was sent once more, with the record as it was before: theirs was undone."""
    server = SmallServer(revises=revises)
    server.answer = lambda _operation, _stored, sent: sent  # it does not show the record
    done: list[str] = []

    def meanwhile(operation: str, _: Any) -> None:
        if operation == "query" and server.count("update", "revise") == 6 and not done:
            done.append(operation)
            server.row("12x104").update(phone="theirs", modifiedby="19x5")

    server.before = meanwhile
    with serving(server):
        for n in range(6):
            server.insert(lastname=f"n{n}", code=f"c{n}", phone=f"{n}")
        run = contacts(server, *[{"code": f"c{n}", "lastname": f"new{n}"} for n in range(6)])
    assert server.row("12x104")["phone"] == "theirs"
    assert run.codes == ["OTHER_FIELDS_CHANGED"]
    assert server.count("update", "revise") == 6


def test_a_server_without_revise_may_name_the_operation_that_it_does_not_know() -> None:
    """The two messages differed, so `revise` seemed to be there, and no update was possible."""
    server = SmallServer(revises=False)
    server.unknown = "Unknown operation {} requested"
    with serving(server):
        server.insert(lastname="old", code="c1")
        run = contacts(server, {"code": "c1", "lastname": "new"})
    assert run.tally == {"updated": 1}


def test_an_answer_to_a_creation_that_repeats_what_was_sent_proves_nothing() -> None:
    """The record was reported as created although the server had stored another name."""
    server = SmallServer()
    server.store = lambda _, old, sent: old | sent | {"lastname": sent["lastname"].upper()}
    server.answer = lambda _operation, _stored, sent: sent
    with serving(server):
        run = contacts(server, {"code": "c1", "lastname": "new"}, {"code": "c2", "lastname": "new"})
    assert run.codes == ["NOT_AS_SENT", "NOT_AS_SENT"]
    assert len(server.rows) == 1


@pytest.mark.parametrize("odd", [["."], 1, {}, None])
def test_formats_of_the_user_that_are_no_texts_are_no_traceback(odd: Any) -> None:
    server = SmallServer()
    names = ("currency_decimal_separator", "currency_grouping_separator", "conv_rate")
    server.user = {"id": "19x1", "no_of_currency_decimals": odd, **dict.fromkeys(names, odd)}
    with serving(server):
        run = contacts(server, {"code": "c1", "lastname": "new", "amount": 1.5})
    assert run.tally == {"created": 1}


def test_a_server_that_has_no_room_for_every_second_write_rejects_no_record() -> None:
    """After three refusals in a row, which is one record of eight, it was a final reject."""
    server = SmallServer()
    sent: Counter[str] = Counter()

    def before(operation: str, said: dict[str, str]) -> None:
        element = said.get("element", "{}")
        sent[element] += 1
        if operation in {"create", "revise"} and element != "{}" and sent[element] < 5:
            raise Raw(503, b"no room", Retry_After="0")

    server.before = before
    with serving(server):
        server.insert(lastname="old", code="c0")
        run = contacts(server, *[{"code": f"c{n}", "lastname": "new"} for n in range(3)])
    assert run.tally == {"updated": 1, "created": 2}
    assert len(server.rows) == 3


def test_what_the_run_had_no_time_to_check_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """They counted as updated, the state covered them, and nothing said that none was checked."""
    monkeypatch.setattr("kafinea.retry._FIRST_WAIT", 0.01)
    server = SmallServer()
    server.answer = lambda _operation, _stored, sent: sent

    def before(operation: str, _: Any) -> None:
        if operation in {"query", "retrieve", "listtypes"} and server.count("revise") == 4:
            raise Raw(500)

    server.before = before
    with serving(server):
        for n in range(4):
            server.insert(lastname="old", code=f"c{n}")
        run = contacts(server, *[{"code": f"c{n}", "lastname": "new"} for n in range(4)])
    assert run.code == 1
    assert "the run ended before 0 created and 3 updated records were checked: 12x" in run.stderr
