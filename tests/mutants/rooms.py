"""The rooms of `make mutants`: the files that are changed, and the tests that must notice it.

A room needs tests that are quick, because each of its thousand changes runs those that reach the
function. All are run within the process.
"""

from __future__ import annotations

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
        "tests": ["tests/kafinea/test_auth.py"],
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
            "kafinea/parallel_reader.py",
            "kafinea/columns.py",
        ],
        "tests": ["tests/kafinea/test_page_reading.py"],
    },
    "matching": {
        "files": [
            "kafinea/load/lookup/keys.py",
            "kafinea/load/lookup/folding.py",
            "kafinea/load/lookup/in_turn.py",
        ],
        "tests": ["tests/target/test_natural_keys.py"],
    },
    "comparing": {
        "files": ["kafinea/load/writing/comparing.py"],
        "tests": ["tests/target/test_comparing.py", "tests/target/test_merge.py"],
    },
}
