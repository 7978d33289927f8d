"""What is shown of what a server says: never a value that it was sent, in whatever form."""

from __future__ import annotations

import json
import time
from urllib.parse import urlencode

import pytest
import requests

from kafinea import masking
from kafinea.echoes import without_echo

RECORD = {
    "lastname": "Müller-Roux",
    "city": "Lyon",
    "birthday": "1980-02-03",
    "amount": "1250.5",
    "account_id": "11x5",
    "note": "<b>O'Brien</b> &amp; co",
    "LineItems": [{"comment": "Zanzibar desk", "quantity": 7}],
}
CREATE = {"operation": "create", "elementType": "Contacts", "element": json.dumps(RECORD)}
WHERE = "lastname = 'O''Brien' AND city = 'Lyon' AND amount > 1250"
QUERY = {"operation": "query", "query": f"SELECT id FROM Contacts WHERE {WHERE} LIMIT 0, 100;"}


def request(parameters):
    made = requests.PreparedRequest()
    made.prepare(method="POST", url="https://kafinea.example/webservice.php", data=parameters)
    return made


@pytest.mark.parametrize(
    ("sent", "text", "shown"),
    [
        (CREATE, "Permission to perform the operation is denied", None),
        (
            CREATE,
            "L&#039;enregistrement 11x5 n&#39;existe pas",
            "L'enregistrement 11x5 n'existe pas",
        ),
        (CREATE, "Mandatory: lastname, of Contacts (create)", None),
        (CREATE, "lastname: M\\u00fcller-Roux is refused", "lastname: *** is refused"),
        (CREATE, "the name MULLER ROUX is refused", "the name *** is refused"),
        (CREATE, "the name MÃ¼ller-Roux is refused", "the name *** is refused"),
        (CREATE, "the name M%C3%BCller+Roux is refused", "the name *** is refused"),
        (CREATE, "no such town as &amp;#76;yon", "no such town as ***"),
        (CREATE, "no such day as 03/02/1980 here", "no such day as *** here"),
        (CREATE, "amount is too large: 1,250.50", "amount is too large: ***"),
        (CREATE, "note of O\\'Brien & co is refused", "note of *** is refused"),
        (CREATE, "too long: zanzib", "too long: ***"),
        (CREATE, "too long: Zanz... in city", "too long: ***... in city"),
        (CREATE, "a line is to have a product", None),
        (CREATE, "line: zanzibar is no product", "line: *** is no product"),
        (CREATE, f"refused: {json.dumps(RECORD)}", "refused:"),
        (CREATE, "Müller-Roux Lyon", ""),
        (CREATE, "a\x1b[2Jb\r\nc \u202e d", "a\\x1b[2Jb c \\u202e d"),
        (
            QUERY,
            "Syntax Error near 'O\\'Brien' AND city = 'Lyon'",
            "Syntax Error near '***' AND city = '***'",
        ),
        (QUERY, "amount may not be 1250 in Contacts", "amount may not be *** in Contacts"),
        (QUERY, "token 'LIMIT' was not expected", None),
    ],
)
def test_values_that_were_sent_are_masked_and_the_rest_stays(sent, text, shown):
    assert without_echo(text, request(sent)) == (text if shown is None else shown)


def test_values_of_megabytes_are_compared_too():
    values = {
        "description": "lorem ipsum dolor " * 250_000,
        "title": "x" * 400_000 + "Zanzibar desk",
    }
    sent = request({"operation": "create", "element": json.dumps(values)})
    text = "This is no text that may stand in a record of ours: lorem ipsum dolor lorem. "
    text += "Nothing else is wrong with it, but it is of no use in Contacts"
    began = time.monotonic()
    assert without_echo(text, sent).startswith("This is no text")
    assert "lorem" not in without_echo(text, sent)
    assert "Contacts" in without_echo(text, sent)
    assert time.monotonic() - began < 60


def test_a_text_without_end_and_a_request_without_parameters():
    assert without_echo("no " * 10**6, None).endswith("...")
    assert without_echo("x" * 10**6, request({})) == "***"
    assert urlencode({}) == without_echo("", None)


def test_the_access_key_is_masked_after_any_number_of_logins():
    for number in range(2_000):
        masking.remember("q7Yt3bNw9Lk2", f"session {number:09}")
    assert masking.masked("the key q7Yt3bNw9Lk2 of session 000001999") == "the key *** of ***"
