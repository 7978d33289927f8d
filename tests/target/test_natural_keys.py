"""Natural keys, within the process: which are equal, and which record is meant."""

# ruff: noqa: RUF001 - look-alikes are what this is about

from __future__ import annotations

import pytest

from kafinea.load.lookup import keys
from kafinea.load.lookup.finder import NOTHING, Found
from kafinea.load.lookup.folding import fold
from kafinea.load.lookup.in_turn import find_in_turn
from kafinea.load.plan import Key
from kafinea.load.results import Rejected, Rejection
from tests.target.test_merge import field, module

NAME, CITY = field("string", "name"), field("string", "city")
AMOUNT, DAY, TICK, LIST = (
    field(kind, kind) for kind in ("currency", "date", "boolean", "multipicklist")
)


@pytest.mark.parametrize(
    ("known", "value", "form"),
    [
        (NAME, " Zoe\u0301\u00a0", "Zoé"),
        (NAME, " ACME\t", "ACME"),
        (NAME, None, ""),
        (NAME, 12, "12"),
        (AMOUNT, "5.000", "5"),
        (AMOUNT, "1E+2", "100"),
        (AMOUNT, "-0.10", "-0.1"),
        (AMOUNT, "1" * 90, "1" * 90),
        (AMOUNT, None, ""),
        (AMOUNT, "", ""),
        (AMOUNT, " No Number ", "no number"),
        (AMOUNT, "NaN", "nan"),
        (field("integer", "n"), "07", "7"),
        (field("integer", "n"), "7.50", "7.5"),
        (DAY, "2024-02-29", "2024-02-29"),
        (DAY, "29/02/2024", "29/02/2024"),
        (TICK, "on", "1"),
        (TICK, "no", "0"),
        (LIST, "B|##|A", "B |##| A"),
        (field("datetime", "t"), "2024-02-29T10:00:00+02:00", "2024-02-29 08:00:00"),
    ],
)
def test_equal_values_have_the_same_form(known, value, form):
    assert keys.equal_part(value, known) == form


@pytest.mark.parametrize(
    ("known", "value", "forms"),
    [
        (NAME, "ACME", {"ACME"}),
        (NAME, "ACME ", {"ACME ", "ACME"}),
        (NAME, "Zoé", {"Zoé", "Zoe\u0301"}),
        (NAME, "Zoe\u0301 ", {"Zoe\u0301 ", "Zoe\u0301", "Zoé"}),
        (NAME, "A&B", {"A&B", "A&amp;B"}),
        (NAME, "l'A", {"l'A", "l&#039;A"}),
        (NAME, '<"', {'<"', '&lt;"', "&lt;&quot;"}),
        (AMOUNT, "5 ", {"5 "}),
    ],
)
def test_a_key_is_looked_up_in_all_its_spellings(known, value, forms):
    assert keys.spellings(value, known) == forms


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("ACME", "acme"),
        (" Acme  ", "acme"),
        ("L`Autre", "l'autre"),
        ("L’Autre", "l'autre"),
        ("Straße", "strase"),
        ("STRASSE", "strase"),
        ("sssass", "sas"),
        ("Œuf", "oeuf"),
        ("Łódź", "lodz"),
        ("þorn", "thorn"),
        ("ファ", "ふあ"),
        ("１２", "12"),
        ("a\tb", "a b"),
        ("a\u00adb\u200b", "ab"),
        ("😀", "\ufffd"),
        ("é" * 3, "eee"),
        ("a–b", "a-b"),
        ("ΣΟΦΟΣ", "σοφοσ"),
    ],
)
def test_folding_removes_what_some_database_ignores(text, folded):
    assert fold(text) == folded
    assert keys.key_of((text, "5.0"), (NAME, AMOUNT)) == (fold(text), "5")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("ACME", None),
        ("k" * 333, None),
        ("k" * 4000, None),
        ("k" * 4001, "name: the value is too long for a key"),
        ("é" * 666, None),
        ("é" * 667, "name: the value is too long for a key"),
        ("  ", "name: the key has no visible characters, only spaces"),
        ("\u200b \u00ad", "name: the key has no visible characters, only U+200B, U+00AD"),
        ("a\udfff", "name: the text contains half a character (unpaired surrogate U+DFFF)"),
        ("a\ud800", "name: the text contains half a character (unpaired surrogate U+D800)"),
        ("a\ud7ff\ue000", None),
    ],
)
def test_key_that_no_query_can_hold_is_rejected(value, message):
    if message is None:
        keys.check("name", value)
        return
    with pytest.raises(Rejected) as caught:
        keys.check("name", value)
    assert (caught.value.rejection.code, str(caught.value)) == ("INVALID_KEY", message)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("aZ09 .,_@/+#-é日", ""),
        ("a\\b'c\"d%e", "a backslash, an apostrophe, a quotation mark, a percent sign"),
        ("(a)(b)", "'(', ')'"),
        ("a\u00a0b\x01\u0301", "U+00A0, U+0001, U+0301"),
        ("😀", "U+1F600"),
        ("!?;:=", "'!', '?', ';', ':', '='"),
        ("!?;:=*&", "'!', '?', ';', ':', '=' and 2 more"),
    ],
)
def test_odd_characters_are_named_and_no_others(value, named):
    assert keys.odd_characters(value) == named


@pytest.mark.parametrize(
    ("count", "listed"),
    [
        (0, ""),
        (2, "12x0, 12x1"),
        (10, ", ".join(f"12x{n}" for n in range(10))),
        (1210, ", ".join(f"12x{n}" for n in range(10)) + " and 1,200 more"),
    ],
)
def test_ids_are_listed_up_to_ten(count, listed):
    assert keys.listed([f"12x{n}" for n in range(count)]) == listed


NOT_EXACTLY = (
    "no record has exactly this key. The database returns {} for it, but name, city differs in {}"
)


@pytest.mark.parametrize(
    ("wanted", "rows", "chosen"),
    [
        (("ACME", "Paris"), [], None),
        (("ACME", "Paris"), [("ACME", "Paris"), ("acme", "Paris")], 0),
        (("ACME", "Paris"), [("acme", "PARIS"), ("ACMÉ", "Paris")], 0),
        (("ACME", "Paris"), [("ACME", None)],
         NOT_EXACTLY.format("12x0", "characters that look alike")),
        (("ACME", "Paris"), [("ACME", "Paris"), ("ACME ", "Paris")],
         "several records have this key: 12x0, 12x1"),
        (("ACME", "Paris"), [("acme", "Paris"), ("Acme", "Paris")],
         NOT_EXACTLY.format("12x0, 12x1", "case")),
        (("ACME", "Paris"), [("acmé", "Pâris")],
         NOT_EXACTLY.format("12x0", "accents and case")),
        (("İ", "Paris"), [("i\u0307", "Paris")],
         NOT_EXACTLY.format("12x0", "accents and case")),
    ],
)  # fmt: skip
def test_one_record_is_chosen_or_the_key_is_ambiguous(wanted, rows, chosen):
    there = [{"id": f"12x{n}", "name": a, "city": b} for n, (a, b) in enumerate(rows)]
    if isinstance(chosen, str):
        with pytest.raises(Rejected) as caught:
            keys.choose([NAME, CITY], wanted, there)
        assert (caught.value.rejection.code, str(caught.value)) == ("AMBIGUOUS_KEY", chosen)
    else:
        expected = None if chosen is None else there[chosen]
        assert keys.choose([NAME, CITY], wanted, there) == expected


# Several keys in turn


ACCOUNTS = module(NAME, CITY)
KEYS = [Key(ACCOUNTS, ("name",)), Key(ACCOUNTS, ("name", "city"))]
ONE, OTHER = {"id": "11x1"}, {"id": "11x2"}
SEVERAL = Found(equal=(ONE,), near=(OTHER,), ambiguity=Rejection("AMBIGUOUS_KEY", "several"))
NEAR = Found(equal=(OTHER,), near=(), ambiguity=Rejection("OTHER_CODE", "nearly"))
FAILED, HIDDEN = Found(failure=Rejection("UNAVAILABLE", "down")), Found(is_unreadable=True)


class Finding:
    """A finder whose records are given: those of each key, in turn."""

    def __init__(self, *found):
        self.found = dict(zip([key.fields for key in KEYS], found, strict=False))
        self.asked = []

    def by_key(self, key, values, columns):
        self.asked.append((key.fields, values, columns))
        return dict.fromkeys(values, self.found[key.fields])


@pytest.mark.parametrize(
    ("first", "second", "asks_twice", "found"),
    [
        (Found(ONE), NOTHING, False, Found(ONE, matched_on=("name",))),
        (FAILED, Found(ONE), False, Found(failure=FAILED.failure, matched_on=("name",))),
        (HIDDEN, Found(ONE), False, Found(is_unreadable=True, matched_on=("name",))),
        (NOTHING, Found(ONE), True, Found(ONE, matched_on=("name", "city"))),
        (NOTHING, NOTHING, True, NOTHING),
        (SEVERAL, Found(ONE), True, Found(ONE, matched_on=("name", "city"))),
        (SEVERAL, NOTHING, True,
         Found(equal=[ONE], near=[OTHER], ambiguity=Rejection("AMBIGUOUS_KEY", "name: several"))),
        (NOTHING, NEAR, True,
         Found(equal=[OTHER], near=[], ambiguity=Rejection("OTHER_CODE", "name + city: nearly"))),
        (SEVERAL, NEAR, True,
         Found(equal=[ONE, OTHER], near=[OTHER],
               ambiguity=Rejection("OTHER_CODE", "name: several; name + city: nearly"))),
    ],
)  # fmt: skip
def test_the_first_key_that_finds_exactly_one_record_decides(first, second, asks_twice, found):
    finder = Finding(first, second)
    wanted = {"item": (("A",), ("A", "Paris"))}
    assert find_in_turn(finder, KEYS, wanted, ["x"]) == {"item": found}
    second_time = {("A", "Paris")} if asks_twice else set()
    assert finder.asked == [(("name",), {("A",)}, ["x"]), (("name", "city"), second_time, ["x"])]


def test_a_key_without_a_value_is_passed_over():
    finder = Finding(Found(ONE), Found(OTHER))
    wanted = {"no name": ((), ("A", "Paris")), "no city": (("A",), ()), "nothing": ((), ())}
    assert find_in_turn(finder, KEYS, wanted) == {
        "no name": Found(OTHER, matched_on=("name", "city")),
        "no city": Found(ONE, matched_on=("name",)),
        "nothing": NOTHING,
    }


def test_an_only_key_is_not_named_with_what_it_finds():
    wanted = {"item": (("A",),), "nothing": ((),)}
    assert find_in_turn(Finding(SEVERAL), KEYS[:1], wanted) == {"item": SEVERAL, "nothing": NOTHING}
