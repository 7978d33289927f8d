"""The SDK's standard tests of a target, as far as they can be mapped to modules of Kafinea.

They send streams of their own invention (`TestCamelcase`, `test_strings`, ...). The setting
`streams` says where they go, as a user would say it for any source: their ids become names, the
rest goes into fields of the type nearest. With `max_rejects` at 0, every record must get there.
"""

from __future__ import annotations

import atexit

import pytest
from singer_sdk.testing import get_target_test_class

from target_kafinea.target import TargetKafinea
from tests.target.running import empty, settings

_sandbox = empty().__enter__()
atexit.register(_sandbox.__exit__)


def _contacts(id_="id", **fields):
    return {"module": "Contacts", "match_on": "lastname", "fields": {id_: "lastname", **fields}}


STREAMS = {
    "test_array_data": _contacts(fruits="cf_889"),
    "TestCamelcase": _contacts("Id", clientName="firstname"),
    "test_duplicate_records": _contacts(metric="cf_857"),
    "test_strings": _contacts(info="description"),
    "test_strings_in_objects": _contacts(info=None),
    "test_strings_in_arrays": _contacts(strings="cf_889"),
    "test_no_pk": _contacts(metric="cf_857"),
    "test_optional_attributes": _contacts(optional="firstname"),
    "example_stream": _contacts(name="firstname"),
    "record_missing_fields": _contacts(optional="firstname"),
    "test_record_missing_key_property": _contacts(metric="cf_857"),
}


class _Ended(TargetKafinea):
    """The target, and what the command does at its end: the SDK's runner knows nothing of it."""

    def listen(self, *arguments, **options):
        with self.cleanup:
            super().listen(*arguments, **options)


_Standard = get_target_test_class(
    _Ended,
    config={
        **settings(_sandbox),
        "streams": STREAMS,
        "max_rejects": -1,
        "unknown_picklist": "allow",
    },
)

NOT_FOR_US = {
    "camelcase_complex_schema": "a schema of 20 properties without records: nothing to map",
    "schema_no_properties": "objects of unknown shape have no place in a module",
    "schema_updates": "`fields` would have to name properties that come with a later schema",
    "special_chars_in_attributes": "the only attribute is a nested object",
    "record_missing_key_property": "expects the run to stop: here the record is rejected (NO_KEY)",
}


class TestTargetKafinea(_Standard):
    pass


def _skipped(reason):
    @pytest.mark.skip(reason=reason)
    def test(self):
        pass

    return test


for _name, _reason in NOT_FOR_US.items():
    assert hasattr(_Standard, f"test_target_{_name}")
    setattr(TestTargetKafinea, f"test_target_{_name}", _skipped(_reason))
