"""The SDK's standard tests of a tap."""

from __future__ import annotations

import atexit

from singer_sdk.testing import SuiteConfig, get_tap_test_class

from kafinea_sandbox import Sandbox
from tap_kafinea.tap import TapKafinea
from tests.tap.running import settings

# The factory discovers when this file is read, so the server has to be there already.
_sandbox = Sandbox(rows=300).__enter__()
atexit.register(_sandbox.__exit__)

TestTapKafinea = get_tap_test_class(
    TapKafinea,
    # The tests select all streams and expect the fields of those that are selected by default.
    config=settings(_sandbox, modules=["!LineItem"]),
    suite_config=SuiteConfig(max_records_limit=20, ignore_no_records_for_streams=["ProductTaxes"]),
)
