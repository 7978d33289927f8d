"""The rooms of `make mutants`: the files that are changed, and the tests that must notice it.

A room needs tests that are quick, because each of its thousand changes runs those that reach the
function. All are run within the process.
"""

from __future__ import annotations


def of(file: str, *tests: str) -> list[str]:
    """Return some tests of a file, where the others take too long."""
    return [f"{file}::{test}" for test in tests]


ROOMS = {
    "values": {
        "files": ["kafinea/values.py", "kafinea/parsing.py", "kafinea/row_decoder.py"],
        "tests": [
            "tests/kafinea/test_values.py",
            "tests/kafinea/test_server_zone.py",
            "tests/kafinea/test_parsing.py",
        ],
    },
    "query": {
        "files": ["kafinea/query.py", "kafinea/conditions.py"],
        "tests": ["tests/kafinea/test_query.py", "tests/kafinea/test_conditions.py"],
    },
    "authentication": {
        "files": ["kafinea/auth.py", "kafinea/login.py"],
        "tests": [
            "tests/kafinea/test_login.py",
            "tests/kafinea/test_session_in_requests.py",
            "tests/kafinea/test_first_contact.py",
            *of(
                "tests/kafinea/test_auth.py",
                "test_a_read_goes_on_after_the_session_has_ended",
                "test_a_create_is_sent_again_after_the_session_has_ended_and_done_once",
                "test_a_key_that_is_changed_during_the_run_is_tried_three_times_in_all",
                "test_a_login_that_fails_once_is_tried_again_whatever_needs_it",
                "test_a_logout_that_fails_does_no_harm",
                "test_a_redirect_to_no_address_is_a_redirect",
                "test_a_token_or_session_of_megabytes_is_none",
                "test_extendsession_is_granted_by_get_or_by_post_or_not_at_all",
                "test_leaving_logs_out_of_every_session",
                "test_no_credential_follows_a_redirect",
                "test_the_login_reports_the_users_formats",
                "test_threads_that_share_a_session_log_in_once",
            ),
        ],
    },
    "passes": {
        "files": ["kafinea/extract/passes.py"],
        "tests": ["tests/extract/test_passes.py"],
    },
    "pages": {
        "files": [
            "kafinea/keyset.py",
            "kafinea/page_query.py",
            "kafinea/module_reader.py",
            "kafinea/columns.py",
        ],
        "tests": [
            *of(
                "tests/kafinea/test_parallel_reader.py",
                "test_what_stays_and_may_be_read_comes_once_and_in_order",
                "test_records_that_come_in_behind_the_page_that_shows_the_end_push_none_out",
                "test_a_full_page_shows_no_end_however_many_came",
            ),
            *of(
                "tests/kafinea/test_module_reader.py",
                "test_a_newest_change_is_one_that_a_bookmark_can_hold",
                "test_a_server_that_does_not_order_by_id_is_an_error",
                "test_a_server_that_repeats_the_same_page_is_an_error",
                "test_the_newest_change_is_found_however_few_records_a_server_gives",
            ),
            "tests/kafinea/pages",
        ],
    },
    "matching": {
        "files": [
            "kafinea/load/lookup/keys.py",
            "kafinea/load/lookup/folding.py",
            "kafinea/load/lookup/in_turn.py",
        ],
        "tests": [
            "tests/target/test_natural_keys.py",
            *of(
                "tests/target/test_keys.py",
                "test_key_match_needs_an_equal_value_or_another_case",
                "test_key_match_takes_the_nearest_record",
                "test_key_of_zeros_is_not_complete",
                "test_keys_that_may_be_equal_are_in_one_group",
            ),
        ],
    },
    "comparing": {
        "files": ["kafinea/load/writing/comparing.py", "kafinea/load/writing/merged_lines.py"],
        "tests": ["tests/target/test_comparing.py", "tests/target/test_merge.py"],
    },
}
