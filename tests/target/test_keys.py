"""When two keys are equal, and what becomes of records that are nearly.

Each pair is tried twice: in the one function that decides, and over a socket, on a database that
does not tell case and accents apart.
"""

# ruff: noqa: RUF001 - look-alikes are what this is about

from __future__ import annotations

import html
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafinea.describe import Field
from kafinea.load.lookup import keys
from kafinea.load.lookup.folding import fold
from kafinea.load.results import Rejected
from tests.small_server import SmallServer, serving
from tests.target.running import empty, load, matched, messages, write_requests

EQUAL, CASE, ACCENTS, BOTH = "equal", "case", "accents", "accents and case"
LOOKS = "characters that look alike"
PAIRS = [
    ("ACME", "ACME", EQUAL),
    ("ACME", "ACME ", EQUAL),
    ("ACME", "  ACME", EQUAL),
    ("ACME", "ACME\t", EQUAL),
    ("ACME", "ACME\n", EQUAL),
    ("ACME", "ACME\u00a0", EQUAL),
    ("Zoé", "Zoe\u0301", EQUAL),
    ("ACME", "Acme", CASE),
    ("SOCIÉTÉ", "Société", CASE),
    ("ΟΔΟΣ", "οδος", CASE),
    ("ẞ", "ß", CASE),
    ("Muller", "Müller", ACCENTS),
    ("cote", "côté", ACCENTS),
    ("MULLER", "Müller", BOTH),
    ("Straße", "Strasse", LOOKS),
    ("STRASSE", "Straße", LOOKS),
    ("Straße", "Strase", LOOKS),
    ("œuf", "oeuf", LOOKS),
    ("Ærø", "Aero", LOOKS),
    ("İzmir", "izmir", BOTH),
    ("ısı", "isi", LOOKS),
    ("１２", "12", LOOKS),
    ("x²", "x2", LOOKS),
    ("a b", "a\u00a0b", LOOKS),
    ("a b", "a\tb", LOOKS),
    ("ACME", "AC\u00adME", LOOKS),
    ("ACME", "AC\u200bME", LOOKS),
    ("ACME", "\ufeffACME", LOOKS),
    ("L'Autre", "L’Autre", LOOKS),
    ("a-b", "a–b", LOOKS),
    ("ファ", "ふぁ", LOOKS),
]
EMOJI = [("😀", "😁", LOOKS), ("😀", "????", LOOKS)]  # which the sandbox's database cannot hold
BY_KEY = matched("Contacts", "cf_853")
TEXT = Field(name="cf_853", label="Key", type="string")
NUMBER = Field(name="cf_855", label="Number", type="double")
MOMENT = Field(name="cf_863", label="Day", type="date")
COMPLETE = [
    ((TEXT,), ("0",), True),
    ((TEXT,), (" ",), False),
    ((NUMBER,), ("0",), False),
    ((NUMBER,), ("-0.00",), False),
    ((NUMBER,), ("0.5",), True),
    ((NUMBER,), ("",), False),
    ((TEXT, NUMBER), ("A", "0"), True),
    ((TEXT, NUMBER), ("A", ""), False),
    ((NUMBER, TEXT), ("0", "0"), True),
    ((NUMBER, NUMBER), ("0", "0"), False),
]


def row(number, *values):
    return {"id": f"12x{number}", **dict(zip(("cf_853", "cf_855"), values, strict=False))}


def upsert(sandbox, *names, streams=BY_KEY, **more):
    records = [{"cf_853": name, "lastname": f"{n}"} for n, name in enumerate(names)]
    return load(sandbox, messages("Contacts", *records), streams=streams, max_rejects=-1, **more)


def contact(sandbox, key, **values):
    return sandbox.insert("Contacts", {"lastname": "Old", "cf_853": key, **values})


def stored(sandbox):
    return sorted(one["cf_853"] for one in sandbox.rows("Contacts"))


# The function that decides


@pytest.mark.parametrize(("left", "right", "differ_in"), PAIRS + EMOJI)
@pytest.mark.parametrize("turned", [False, True])
def test_key_match_needs_an_equal_value_or_another_case(left, right, differ_in, turned):
    wanted, there = (right, left) if turned else (left, right)
    rows = [row(1, there)]
    if differ_in in {EQUAL, CASE}:
        assert keys.choose([TEXT], (wanted,), rows) == rows[0]
        return
    with pytest.raises(Rejected, match="12x1") as raised:
        keys.choose([TEXT], (wanted,), rows)
    assert raised.value.rejection.code == "AMBIGUOUS_KEY"
    assert str(raised.value).endswith(f"differs in {differ_in}")


@pytest.mark.parametrize(("left", "right", "differ_in"), PAIRS + EMOJI[:1])
def test_keys_that_may_be_equal_are_in_one_group(left, right, differ_in):
    assert keys.key_of((left,), [TEXT]) == keys.key_of((right,), [TEXT])


@pytest.mark.parametrize(("fields", "values", "is_complete"), COMPLETE)
def test_key_of_zeros_is_not_complete(fields, values, is_complete):
    assert keys.is_complete(values, fields) is is_complete


@pytest.mark.parametrize(
    ("there", "wanted", "taken"),
    [
        (["Muller", "Müller"], "Müller", "Müller"),
        (["zoe", "Zoe"], "Zoe", "Zoe"),
        (["Zoe", "Zoé"], "zoe", "Zoe"),
        (["zoe", "ZOE"], "Zoe", None),
        (["Zoe", "Zoe "], "Zoe", None),
        (["Zoé", "Zoë"], "Zoe", None),
    ],
)
def test_key_match_takes_the_nearest_record(there, wanted, taken):
    rows = [row(n, name) for n, name in enumerate(there)]
    if taken:
        assert keys.choose([TEXT], (wanted,), rows)["cf_853"] == taken
        return
    with pytest.raises(Rejected, match="12x0, 12x1"):
        keys.choose([TEXT], (wanted,), rows)


@pytest.mark.parametrize(
    ("field", "there", "wanted", "is_equal"),
    [
        (NUMBER, "5.000", "5", True),
        (NUMBER, "5.001", "5", False),
        (NUMBER, f"{'1' * 40}2", f"{'1' * 40}3", False),
        (NUMBER, "1e999999999", "5", False),
        (TEXT, "0012", "12", False),
        (MOMENT, "2024-02-29", "2024-02-29", True),
        (MOMENT, "0000-00-00", "2024-02-29", False),
    ],
)
def test_key_match_compares_other_types_by_value(field, there, wanted, is_equal):
    equal, near = keys.part([field], (wanted,), [{"id": "12x1", field.name: there}])
    assert (len(equal), len(near)) == (is_equal, not is_equal)


ODD = st.text(
    st.sampled_from("aAeéÉèßsSİıiIœoOE１1’' \t\u00a0\u00ad\u200b\u0301\u0308ΣσςΩ😀😁ﬁkK")
    | st.characters(max_codepoint=0x24F),
    max_size=6,
)


@given(ODD)
def test_key_folding_ignores_what_makes_no_difference(text):
    folded = fold(text)
    assert fold(folded) == folded
    for same in (
        f" {text}\t",
        unicodedata.normalize("NFD", text),
        unicodedata.normalize("NFC", text),
    ):
        assert fold(same) == folded


@given(ODD, ODD)
def test_keys_that_match_are_written_in_sequence(left, right):
    try:
        taken = keys.choose([TEXT], (left,), [row(1, right)])
    except Rejected:
        return
    assert taken
    assert fold(left) == fold(right)


@given(ODD, ODD)
def test_key_match_and_grouping_agree(left, right):
    def verdict(wanted, there):
        try:
            return bool(keys.choose([TEXT], (wanted,), [row(1, there)]))
        except Rejected as error:
            return str(error)

    assert verdict(left, right) == verdict(right, left)


@given(ODD)
def test_key_query_forms_are_equal_to_the_key(text):
    for spelling in keys.spellings(text, TEXT):
        shown = {keys.equal_part(one, TEXT) for one in (spelling, html.unescape(spelling))}
        assert keys.equal_part(text, TEXT) in shown


# Over a socket: what is stored, and what is loaded


def does_not_tell_apart(left, right):
    """Whether the sandbox's database takes two keys for the same; others are never given."""
    plain = [unicodedata.normalize("NFKD", text).casefold() for text in (left, right)]
    plain = ["".join(c for c in text if not unicodedata.combining(c)).rstrip(" ") for text in plain]
    return plain[0] == plain[1]


@pytest.mark.parametrize(("there", "wanted", "differ_in"), PAIRS)
def test_upsert_updates_only_an_equal_key_or_another_case(sandbox, there, wanted, differ_in):
    old = contact(sandbox, there)
    run = upsert(sandbox, wanted)
    if differ_in in {EQUAL, CASE}:
        assert (run.tally, run.only["id"]) == ({"updated": 1}, old)
    elif does_not_tell_apart(there, wanted):
        assert run.codes == ["AMBIGUOUS_KEY"]
        assert old in run.only["message"]
        assert f"differs in {differ_in}" in run.only["message"]
        assert there not in run.only["message"]
        assert write_requests(sandbox) == []
    else:
        assert run.tally == {"created": 1}
    assert upsert(sandbox, wanted).tally in ({"unchanged": 1}, {"rejected": 1})


@pytest.mark.parametrize("decodes", [True, False])
@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        ("AT&amp;T", "AT&T"),
        ("L&#039;Oréal", "L'Oréal"),
        ("L'Oréal &amp; Co", "L'Oréal & Co"),
        ("&lt;b&gt;&quot;", '<b>"'),
    ],
)
def test_key_that_the_database_holds_as_html_is_not_created_again(there, wanted, decodes):
    server = SmallServer()
    if decodes:
        server.shown = lambda _, row: {name: html.unescape(text) for name, text in row.items()}
        server.answer = lambda _operation, row, _sent: server.shown("", row)
    old = server.insert(code=there, lastname="Old")
    with serving(server):
        login = {"url": server.url, "username": "admin", "access_key": "k"}
        lines = messages("Contacts", {"code": wanted, "lastname": "New"})
        run = load(None, lines, **login, streams=matched("Contacts", "code"), max_rejects=-1)
        if decodes:
            assert run.tally == {"updated": 1}
        else:
            assert (run.codes, old in run.only["message"]) == (["AMBIGUOUS_KEY"], True)
        assert len(server.rows) == 1


NAMES = ["Muller", "Müller", "MULLER", "Mûller", "Straße", "Strasse"]


@pytest.mark.parametrize("batch", [1, 1000])
def test_names_equal_for_the_database_are_reported_and_never_merged(sandbox, batch):
    run = upsert(sandbox, *NAMES, batch_size_rows=batch)
    by_name = {line["key"]["cf_853"]: line.get("code", line["outcome"]) for line in run.outcomes}
    assert by_name == {
        "Muller": "created",
        "Müller": "AMBIGUOUS_KEY",
        "MULLER": "updated",  # in case only
        "Mûller": "AMBIGUOUS_KEY",
        "Straße": "created",
        "Strasse": "AMBIGUOUS_KEY",
    }
    assert run.code == 0  # `max_rejects` is -1
    again = upsert(sandbox, *NAMES, batch_size_rows=batch)
    assert "created" not in again.tally
    assert sandbox.count("Contacts") == 2


@pytest.mark.parametrize("batch", [1, 1000])
def test_names_distinct_for_the_database_are_all_created(batch):
    with empty(collation="binary") as sandbox:
        assert upsert(sandbox, *NAMES, batch_size_rows=batch).tally == {"created": len(NAMES)}
        assert stored(sandbox) == sorted(NAMES)
        assert upsert(sandbox, *NAMES, batch_size_rows=batch).tally == {"unchanged": len(NAMES)}


@pytest.mark.parametrize("names", [("ACME", "ACME\t"), ("Zoé", "Zoe\u0301"), (" a", "a")])
@pytest.mark.parametrize("collation", ["ci_ai", "binary"])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("batch", [1, 1000])
def test_equal_keys_of_one_run_are_one_record_in_any_order(names, collation, turned, batch):
    names = names[::-1] if turned else names
    with empty(collation=collation) as sandbox:
        run = upsert(sandbox, *names, batch_size_rows=batch)
        assert run.tally == {"created": 1, "updated": 1}
        assert sandbox.count("Contacts") == 1


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("Muller", "Müller"), ["created", "AMBIGUOUS_KEY"]),
        (("Muller", "muller"), ["created", "updated"]),
        (("Muller", "Mueller"), ["created", "created"]),
    ],
)
def test_dry_run_takes_no_near_record(sandbox, names, expected):
    run = upsert(sandbox, *names, dry_run=True)
    assert [line.get("code", line["outcome"]) for line in run.outcomes] == expected
    assert sandbox.count("Contacts") == 0


def test_similar_names_find_their_own_record(sandbox):
    """A hundred are asked for at once, but never two that the database may take for the same."""
    pairs = [(f"Muller {n}", f"Müller {n}") for n in range(60)]
    for plain, _ in pairs:
        contact(sandbox, plain)
    contact(sandbox, pairs[0][1])
    run = upsert(sandbox, *[name for pair in pairs for name in pair])
    assert run.tally == {"updated": 61, "rejected": 59}
    assert set(run.codes) == {"AMBIGUOUS_KEY"}
    asked = [request.params["query"] for request in sandbox.requests.of("query")]
    # Two look-ups, and a count more of one that gave fifty, which some servers do not exceed.
    assert len([query for query in asked if query.count("ller ") > 5]) == 5


def test_record_found_by_a_rule_of_the_database_is_not_ignored(sandbox):
    """Its answer to one key of a hundred holds a record that no asked key explains."""
    other = contact(sandbox, "nothing like it")
    row = f'{{"cf_853":"nothing like it","lastname":"x","id":"{other}"}}'
    page = f'{{"success":true,"result":[{row}]}}'
    last = "'Z-7') ORDER"
    sandbox.faults.add(
        "status", operation="query", contains=last, status=200, body=page, times=None
    )
    run = upsert(sandbox, "Z-7", *[f"K-{n}" for n in range(20)])
    assert run.of("Z-7")[0]["code"] == "AMBIGUOUS_KEY"
    assert other in run.of("Z-7")[0]["message"]
    assert run.tally == {"created": 20, "rejected": 1}


COMPOSITE = matched("Contacts", "firstname", "cf_853")


@pytest.mark.parametrize(("collation", "end"), [("ci_ai", "AMBIGUOUS_KEY"), ("binary", "created")])
@pytest.mark.parametrize("n_others", [0, 5])
def test_key_match_compares_each_part(collation, end, n_others):
    with empty(collation=collation) as sandbox:
        contact(sandbox, "1", firstname="Zoé")
        contact(sandbox, "1", firstname="Anna")
        others = [{"firstname": f"x{n}", "cf_853": f"{n + 2}"} for n in range(n_others)]
        records = [{"firstname": "Zoe", "cf_853": "1"}, *others]
        lines = messages("Contacts", *[{**record, "lastname": "New"} for record in records])
        run = load(sandbox, lines, streams=COMPOSITE, max_rejects=-1)
        (line,) = run.of("Zoe")
        assert line.get("code", line["outcome"]) == end
        assert run.tally.get("created", 0) == n_others + (end == "created")


# Keys that no query can hold, or that the server does not bear


@pytest.mark.parametrize(
    ("key", "code", "named"),
    [
        ("   ", "NO_KEY", ""),
        ("\t\u00a0", "NO_KEY", ""),
        ("\u200b\u00ad", "INVALID_KEY", "U+200B, U+00AD"),
        ("\u0301", "INVALID_KEY", "U+0301"),
        ("k" * 9000, "INVALID_KEY", "too long"),
    ],
)
def test_key_that_cannot_be_queried_rejects_its_record_only(sandbox, key, code, named):
    contact(sandbox, "")
    run = upsert(sandbox, key, "good")
    assert run.of("good")[0]["outcome"] == "created"
    assert run.codes == [code]
    (line,) = [one for one in run.outcomes if "code" in one]
    assert named in line["message"]
    assert not named or line["message"].startswith("cf_853: ")


def test_half_a_character_rejects_its_record_only(sandbox):
    """Python writes it, no other parser of JSON takes the line."""
    records = [
        {"cf_853": "a\ud83d", "lastname": "x"},
        {"cf_853": "b", "lastname": "\udc00"},
        {"cf_853": "\\ud83d", "lastname": "x"},
        {"cf_853": "c", "lastname": "x", "cf_889": ["a", {"b": "\ud83d"}]},
    ]
    run = load(sandbox, messages("Contacts", *records), streams=BY_KEY, max_rejects=-1)
    assert run.tally == {"rejected": 3, "created": 1}
    assert run.codes == ["INVALID_VALUE"] * 3
    messages_ = [line["message"] for line in run.outcomes if "code" in line]
    assert messages_ == [
        "cf_853: the text contains half a character (unpaired surrogate U+D83D)",
        "lastname: the text contains half a character (unpaired surrogate U+DC00)",
        "cf_889: the text contains half a character (unpaired surrogate U+D83D)",
    ]
    assert stored(sandbox) == ["\\ud83d"]


def test_half_a_character_is_no_key():
    with pytest.raises(Rejected, match=r"U\+D83D") as raised:
        keys.check("cf_853", "a\ud83d")
    assert raised.value.rejection.code == "INVALID_KEY"


@pytest.mark.parametrize(
    "key", ["a\x00b", "a\x01b", "a\x7fb", "a\x1bb", "back\\slash'", "日本", "a&b"]
)
def test_key_with_odd_characters_is_found_again(sandbox, key):
    assert upsert(sandbox, key, "good").tally == {"created": 2}
    assert upsert(sandbox, key, "good").tally == {"unchanged": 2}
    assert sandbox.count("Contacts") == 2


@pytest.mark.parametrize("code", ["QUERY_SYNTAX_ERROR", "INTERNAL_SERVER_ERROR"])
@pytest.mark.parametrize(
    ("key", "named"), [("odd\\one", "a backslash"), ("odd\x01one", "U+0001"), ("odd(one", "'('")]
)
def test_key_that_the_server_cannot_read_is_named_by_its_characters(sandbox, code, key, named):
    contact(sandbox, "K-3")
    body = f'{{"success":false,"error":{{"message":"no","code":"{code}"}}}}'
    sandbox.faults.add(
        "status", operation="query", contains="'odd", status=200, body=body, times=None
    )
    run = upsert(sandbox, key, *[f"K-{n}" for n in range(50)])
    assert run.codes == ["INVALID_KEY"]
    (line,) = run.of(key)
    assert line["message"].startswith(
        f"cf_853: the server refuses a query for a value that contains {named}"
    )
    assert run.tally == {"created": 49, "updated": 1, "rejected": 1}
