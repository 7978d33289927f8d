"""A load, whatever fails in it, and its undo, whatever fails in that: all is as before."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kafinea.errors import KafineaError
from tests.undo.loads import DIALECTS, actions, client_of, contents, loading, small_company, undo

_RECORDS = st.lists(
    st.fixed_dictionaries(
        {"cf_853": st.integers(0, 7).map(str)},
        optional={
            "lastname": st.sampled_from(["A", "B &amp; C", "  é ", "x"]),
            "phone": st.sampled_from([None, "1", "2"]),
            "cf_855": st.sampled_from([None, "1.5", "2.25"]),
            "birthday": st.sampled_from([None, "2000-01-02"]),
            "donotcall": st.booleans(),
            "account_id": st.sampled_from([None, "ACME", "New Ltd"]),
            "_sdc_deleted_at": st.sampled_from([None, None, None, "2026-01-01"]),
        },
    ),
    max_size=8,
)
_FAULTS = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["reset_after", "fatal_after", "reset", "truncate", "die"]),
            "operation": st.sampled_from(["create", "update", "revise", "delete", "retrieve"]),
            "nth": st.integers(1, 4),
            "times": st.sampled_from([1, 1, 2, None]),
        }
    ),
    max_size=3,
)
_ACCOUNT = {"account_id": {"module": "Accounts", "match_on": "accountname", "create": True}}


def killed_before_the_last_answer(path: Path) -> None:
    """Leave the file as a kill does between the last write and its answer: half a line."""
    lines = path.read_bytes().splitlines(keepends=True)
    if lines and b'"stored"' in lines[-1]:
        path.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_load_and_undo_leave_all_as_before(dialect):
    with small_company(dialect=dialect) as sandbox:
        acme = sandbox.insert("Accounts", {"accountname": "ACME"})

        def start_again():
            for module in ("Contacts", "Accounts"):
                for row in sandbox.rows(module):
                    if row["id"] != acme:
                        sandbox.remove(module, row["id"].partition("x")[2])
            for n in range(4):
                values = {"lastname": f"Old {n}", "phone": "9", "cf_855": "7.125"}
                sandbox.insert("Contacts", {"cf_853": f"{n}", "account_id": acme, **values})

        @settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow])
        @given(_RECORDS, _RECORDS, _FAULTS, _FAULTS, st.booleans())
        def check(first, second, load_faults, undo_faults, is_killed):
            start_again()
            before = contents(sandbox, "Contacts", "Accounts")
            sessions = 1 if is_killed else 3
            with (
                tempfile.TemporaryDirectory() as folder,
                client_of(sandbox, max_sessions=sessions) as client,
            ):
                path = Path(folder) / "undo.jsonl"
                for fault in load_faults:
                    sandbox.faults.add(**fault)
                with (
                    suppress(KafineaError),
                    loading(
                        client, "Contacts", path, match_on="cf_853", references=_ACCOUNT
                    ) as load,
                ):
                    load(*first)
                    load(*second)
                sandbox.faults.clear()
                if is_killed:
                    killed_before_the_last_answer(path)
                for fault in undo_faults:
                    sandbox.faults.add(**fault)
                with suppress(KafineaError):
                    undo(client, path)
                sandbox.faults.clear()
                undone = undo(client, path)
                assert contents(sandbox, "Contacts", "Accounts") == before
                assert not {"conflict", "failed"} & actions(undone).keys()
                assert actions(undo(client, path)).keys() <= {"nothing to do"}

        check()
