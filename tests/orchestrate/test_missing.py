"""What `modules` names and the catalog lacks gets a task, which fails."""

from __future__ import annotations

import pytest
from kafinea_missing import missing


@pytest.mark.parametrize(
    ("modules", "found", "lost"),
    [
        (None, ["Contacts"], []),
        (["Contacts", "Campaigns"], ["Contacts"], ["Campaigns"]),
        (["contacts", "Campaigns", "Campaigns"], ["Contacts"], ["Campaigns"]),
        (["Project*", "Sales*"], ["ProjectTask"], ["Sales*"]),
        (["*", "!Campaigns", "!Gone"], ["Contacts"], []),
        (["InvoiceLineItems"], ["Invoice", "InvoiceLineItems"], []),
    ],
)
def test_what_no_stream_of_the_catalog_has_is_missing(modules, found, lost):
    assert missing(modules, found) == lost
