"""What others do to a record, or a server fails at, between the steps of one write."""

from __future__ import annotations

import pytest

from tests.small_server import Raw, Refusal, SmallServer, serving
from tests.target.running import load, matched, messages

DENIED = Refusal("ACCESS_DENIED", "Permission to read given object is denied")
NO_ROWS = Raw(200, b'{"success":true,"result":[]}')


def run(server, *records, **more):
    options = {"streams": matched("Contacts", "code"), "max_rejects": -1, "max_sessions": 1}
    with serving(server):
        login = {"url": server.url, "username": "admin", "access_key": "k"}
        return load(None, messages("Contacts", *records), **login, **options | more)


def people(codes, name="New"):
    return [{"code": code, "lastname": name} for code in codes]


def server_with(codes="", **options):
    server = SmallServer(**options)
    for code in codes:
        server.insert(code=code, lastname="Old")
    return server


def names(server):
    return {row["code"]: row["lastname"] for row in server.rows.values()}


def row_of(server, code):
    return next(row for row in server.rows.values() if row["code"] == code)


def is_write(operation, said):
    return operation in {"create", "update", "revise"} and said["element"] != "{}"


def ends(result):
    return {one["key"]["code"]: one.get("code", one["outcome"]) for one in result.outcomes}


def echo(_operation, _stored, sent):
    """The answer to a write shows what was sent, and no more."""
    return sent


# Updates


def test_change_that_somebody_else_has_made_is_not_sent():
    server = server_with("a")

    def before(operation, said):
        if operation == "retrieve" and said["id"] == "12x101":
            row_of(server, "a")["lastname"] = "New"

    server.before = before
    assert run(server, *people("a")).tally == {"unchanged": 1}
    assert server.count("revise", "update") == 0


def test_update_that_is_refused_rejects_its_record_only():
    server = server_with("ab")

    def before(operation, said):
        if is_write(operation, said) and "12x101" in said["element"]:
            raise Refusal("REFERENCE_INVALID", "no such record")

    server.before = before
    result = run(server, *people("ab"))
    assert ends(result) == {"a": "REFERENCE_INVALID", "b": "updated"}
    assert result.of("a")[0]["id"] == "12x101"
    assert result.of("a")[0]["message"] == 'revise: "no such record" (REFERENCE_INVALID)'


def test_update_that_was_answered_and_is_not_stored_is_sent_again():
    server, lost = server_with("abc"), ["12x102"]
    server.answer = echo

    def store(_, old, sent):
        return {**old, **sent} if old["id"] not in lost or lost.remove(old["id"]) else old

    server.store = store
    assert run(server, *people("abc")).tally == {"updated": 3}
    assert set(names(server).values()) == {"New"}
    assert server.count("revise") == 4


def test_record_that_is_deleted_while_it_is_updated_stops_no_others():
    server = server_with("ab")

    def answer(operation, stored, sent):
        if stored["code"] == "a":
            server.rows.pop(101)
        return sent

    server.answer = answer
    assert ends(run(server, *people("ab"))) == {"a": "ACCESS_DENIED", "b": "updated"}


def test_damage_to_a_field_that_cannot_be_written_is_reported_and_not_sent_back():
    server = server_with(revises=False)
    server.insert(code="a", lastname="Old", undescribed="1")
    server.store = lambda _, old, sent: {**old, **sent, "undescribed": "2"}
    result = run(server, *people("a"))
    assert result.codes == ["OTHER_FIELDS_CHANGED"]
    assert "undescribed. The old values could not be restored" in result.only["message"]
    assert server.count("update") == 1


def test_damage_by_the_first_of_two_updates_of_a_record_is_reported():
    """It is proven before the second one, which would take the damage for what was there."""
    server = server_with("xa", revises=False)
    server.answer = echo
    damage = {1: {}, 2: {"phone": "damaged"}}
    server.store = lambda _, old, sent: old | sent | damage.get(server.count("update"), {})
    result = run(server, *people("x"), *people("a", "One"), *people("a", "Two"))
    assert [one.get("code") for one in result.of("a")] == ["OTHER_FIELDS_CHANGED"] * 2
    assert row_of(server, "a")["phone"] == ""


# Creations


def test_new_record_that_cannot_be_read_back_stops_the_creations():
    server = server_with()
    server.answer, meets = echo, server._meets
    server._meets = lambda rest, row: row["lastname"] != "New" and meets(rest, row)

    def before(operation, said):
        if operation == "retrieve" and said["id"] in {row["id"] for row in server.rows.values()}:
            raise DENIED

    server.before = before
    result = run(server, *people("abc"))
    assert result.codes == ["NOT_READABLE"] * 3
    assert (server.count("create"), len(server.rows)) == (1, 1)


def test_new_record_that_is_deleted_before_it_is_read_back_stops_no_others():
    server = server_with()

    def answer(_operation, stored, sent):
        if stored["code"] == "a":
            server.rows.clear()
        return sent

    server.answer = answer
    assert ends(run(server, *people("abc"))) == {
        "a": "NOT_READABLE",
        "b": "created",
        "c": "created",
    }


def test_new_record_that_is_stored_with_another_key_than_answered_is_deleted_again():
    server = server_with()
    server.store = lambda _, old, sent: old | sent | {"code": sent["code"].replace("b", "else")}
    server.answer = lambda _operation, stored, sent: stored | sent
    result = run(server, *people("abc"))
    assert ends(result) == {"a": "created", "b": "KEY_ALTERED", "c": "created"}
    assert names(server).keys() == {"a", "c"}


def test_new_record_that_cannot_be_looked_up_again_is_kept():
    server = server_with()

    def before(operation, said):
        if operation == "query" and "'b'" in said["query"] and server.count("create") > 1:
            raise Raw(500)

    server.before = before
    assert run(server, *people("abc")).tally == {"created": 3}
    assert (server.count("delete"), len(server.rows)) == (0, 3)


@pytest.mark.parametrize(
    ("twins", "others", "end", "left"),
    [
        (1, 0, "created", ["New"]),
        (1, 2, "AMBIGUOUS_KEY", ["Theirs"] * 2),
        (2, 0, "CREATED_TWICE", ["Theirs"]),
    ],
)
def test_record_created_twice_is_looked_up_again_when_ours_is_deleted(twins, others, end, left):
    """By then the other load may have deleted its own, too, and others may have created some."""
    server = server_with()

    def before(operation, said):
        if is_write(operation, said) and server.count("create") <= twins:
            server.insert(code="a", lastname="Theirs")
        if operation == "delete" and said["id"] and server.count("create") == 1:
            for number in [n for n, row in server.rows.items() if row["lastname"] == "Theirs"]:
                del server.rows[number]
            for _ in range(others):
                server.insert(code="a", lastname="Theirs")

    server.before = before
    assert ends(run(server, *people("a"))) == {"a": end}
    assert sorted(row["lastname"] for row in server.rows.values()) == left


def test_record_with_a_hidden_id_is_not_created_by_its_key():
    server = server_with("a")

    def before(operation, said):
        if operation == "query" and "12x101" in said["query"] and "count(" not in said["query"]:
            raise NO_ROWS

    server.before = before
    result = run(server, {"id": "12x101", "code": "z", "lastname": "New"})
    assert (result.codes, server.count("create")) == (["NOT_READABLE"], 0)
