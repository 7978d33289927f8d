"""A server that stores a record with another key, and then loses the answer or tells another id."""

from __future__ import annotations

import pytest

from tests.small_server import Raw, Refusal, SmallServer, serving
from tests.target.running import load, matched, messages

KEY = "CUSTOMER-{}-WITH-A-LONG-KEY"
CUT = 20
OTHER_MODULE = "18x"


def cut_and_lost():
    """A server that cuts codes, and answers no creation."""
    server = SmallServer()
    server.store = lambda _, old, sent: {**old, **sent, "code": sent["code"][:CUT]}

    def answer(operation, stored, sent):
        if operation == "create":
            raise Raw(500)
        return stored

    server.answer = answer
    return server


def customers(*numbers):
    return [{"code": KEY.format(n), "lastname": f"N{n}"} for n in numbers]


def run(server, *records, **options):
    options = {"streams": matched("Contacts", "code"), "max_rejects": -1, **options}
    login = {"url": server.url, "username": "admin", "access_key": "k"}
    return load(None, messages("Contacts", *records), **login, **options)


@pytest.mark.parametrize(
    ("count", "left", "sent"),
    [
        (1, 0, 2),
        (8, 0, 6),  # after three in a row, no more are sent
    ],
)
def test_lost_creation_with_an_altered_key_leaves_no_copies(count, left, sent):
    with serving(cut_and_lost()) as server:
        for _ in range(2):
            result = run(server, *customers(*range(count)))
            assert set(result.codes) == {"KEY_ALTERED"}
        assert len(server.rows) == left
        assert server.count("create") == sent


@pytest.mark.parametrize("code", ["DATABASE_QUERY_ERROR", "INTERNAL_SERVER_ERROR"])
@pytest.mark.parametrize("operation", ["create", "revise", "update", "delete"])
def test_write_that_the_server_did_and_calls_a_failure_counts_once(operation, code):
    """Such a code comes from what follows the write, too: a workflow, the answer itself."""
    with serving(SmallServer(revises=operation != "update")) as server:
        known = [{"code": f"{n}", "lastname": "Old"} for n in range(3)]
        if operation != "create":
            assert run(server, *known).tally == {"created": 3}
        do = server.do

        def fail_afterwards(name, said):
            answer = do(name, said)
            if name == operation and said["element" if "element" in said else "id"] != "{}":
                raise Refusal(code)
            return answer

        server.do = fail_afterwards
        change = {"lastname": "New"} if operation != "delete" else {"_sdc_deleted_at": "2026-01-01"}
        result = run(server, *[{**one, **change} for one in known], hard_delete=True)
        said = {"create": "created", "delete": "deleted"}.get(operation, "updated")
        assert result.tally == {said: 3}
        assert server.count(operation) == 3
        names = [row["lastname"] for row in server.rows.values()]
        assert names == ([] if operation == "delete" else ["New"] * 3)


def test_new_record_of_somebody_else_is_not_taken_for_a_lost_one():
    """It has all the values, and the key as this server would have altered it."""
    with serving(SmallServer()) as server:

        def before(operation, said):
            if operation == "create" and said["element"] != "{}":
                server.insert(code=KEY.format(1)[:CUT], lastname="N1", modifiedby="19x2")
                raise Raw(500)

        server.before = before
        result = run(server, *customers(1))
        (row,) = server.rows.values()
        assert (result.only["id"], result.codes) == (row["id"], ["UNKNOWN_OUTCOME"])
        assert server.count("create") == 1
        server.before = lambda *_: None
        assert run(server, *customers(1)).tally == {"created": 1}


def test_two_new_records_that_may_be_a_lost_one_are_both_kept():
    with serving(cut_and_lost()) as server:
        store = server.store

        def twice(operation, old, sent):
            server.insert(**store(operation, {}, sent))
            return store(operation, old, sent)

        server.store = twice
        result = run(server, *customers(1))
        assert result.codes == ["UNKNOWN_OUTCOME"]
        assert all(row["id"] in result.only["message"] for row in server.rows.values())
        assert (len(server.rows), server.count("create")) == (2, 1)


def test_lost_creation_of_what_somebody_else_has_just_created_is_taken_back():
    with serving(SmallServer()) as server:

        def before(operation, said):
            if operation == "create" and said["element"] != "{}":
                server.insert(code=KEY.format(1), lastname="Theirs", modifiedby="19x2")

        def answer(operation, stored, sent):
            if operation == "create":
                raise Raw(500)
            return stored

        server.before, server.answer = before, answer
        assert run(server, *customers(1)).tally == {"updated": 1}
        (row,) = server.rows.values()
        assert row["lastname"] == "N1"
        assert server.count("create") == 1


def test_lost_creation_whose_key_two_others_have_by_now_is_not_sent_again():
    with serving(SmallServer()) as server:

        def before(operation, said):
            if operation == "create" and said["element"] != "{}":
                for name in ("Theirs", "Theirs, too"):
                    server.insert(code=KEY.format(1), lastname=name)
                raise Raw(500)

        server.before = before
        result = run(server, *customers(1))
        assert result.codes == ["UNKNOWN_OUTCOME"]
        assert all(row["id"] in result.only["message"] for row in server.rows.values())
        assert (len(server.rows), server.count("create")) == (2, 1)


def test_server_that_does_not_return_its_newest_record_gets_no_second_creation():
    with serving(cut_and_lost()) as server:

        def before(operation, said):
            if " DESC" in said.get("query", ""):
                raise Refusal("QUERY_SYNTAX_ERROR")

        server.before = before
        assert run(server, *customers(1)).codes == ["UNKNOWN_OUTCOME"]
        assert server.count("create") == 1


def test_creation_that_is_answered_with_another_id_is_not_sent_again():
    with serving(SmallServer()) as server:
        server.store = lambda _, old, sent: {**old, **sent, "code": "elsewhere"}
        server.answer = lambda _, stored, _sent: {
            **stored,
            "id": stored["id"].replace("12x", OTHER_MODULE),
        }
        result = run(server, *[{"code": f"{n}", "lastname": f"N{n}"} for n in range(8)])
        assert set(result.codes) == {"UNKNOWN_OUTCOME"}
        assert OTHER_MODULE in result.outcomes[0]["message"]
        assert server.count("create") == 3


def test_newest_record_is_asked_for_once():
    with serving(SmallServer()) as server:
        assert run(server, *customers(*range(9))).tally == {"created": 9}
        asked = [said["query"] for name, said in server.requests if name == "query"]
        assert sum(" DESC" in query for query in asked) == 1
