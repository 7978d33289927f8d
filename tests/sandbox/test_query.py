from __future__ import annotations

import pytest
from sandbox_api import Api, small_company

from kafinea_sandbox import Sandbox

SYNTAX = "QUERY_SYNTAX_ERROR"
LEXER = ("INTERNAL_SERVER_ERROR", "Unknown Error while processing request")


@pytest.fixture(scope="module")
def api(stock: Sandbox) -> Api:
    """Nobody writes to this server, so that every count is known."""
    return Api(stock)


def count(api: Api, condition: str, module: str = "Contacts") -> int:
    return int(api.query(f"SELECT count(*) FROM {module} WHERE {condition};")[0]["count"])


def test_query_star_has_the_queryable_fields_in_order(api: Api):
    names = [field["name"] for field in api.ok("describe", elementType="Contacts")["fields"]]
    assert list(api.query("SELECT * FROM Contacts LIMIT 1;")[0]) == names


def test_query_values_are_text(api: Api):
    for row in api.query("SELECT * FROM Contacts;"):
        assert all(isinstance(value, str) for value in row.values())


def test_query_keywords_in_any_case_names_not(api: Api):
    assert api.query("select id from Contacts where id = '12x11' order by id limit 1;")
    unknown = "Permission to access '.LastName.' attribute denied."
    asked = api.error("query", query="SELECT LastName FROM Contacts;")
    assert asked == ("ACCESS_DENIED", unknown)
    module = api.error("query", query="SELECT id FROM contacts;")
    assert module[0] == "ACCESS_DENIED"
    assert module[1].endswith("denied for name : contacts")


def test_query_white_space(api: Api):
    assert api.query("SELECT\tid\nFROM Contacts\r\nWHERE id='12x11' ;") == [{"id": "12x11"}]


def test_query_needs_a_semicolon(api: Api):
    code, message = api.error("query", query="SELECT id FROM Contacts LIMIT 5")
    assert code == SYNTAX
    assert message.startswith("Syntax Error on line 1: token '5' Unexpected End of Input(0)")
    assert message.endswith("SEMICOLON")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM Contacts; ;",
        "SELECT id FROM Contacts WHERE (id > '12x1');",
        "SELECT id FROM Contacts WHERE lastname NOT LIKE 'a%';",
        "SELECT id FROM Contacts WHERE id NOT IN ('12x1');",
        "SELECT id FROM Contacts WHERE lastname IS NULL;",
        "SELECT id FROM Contacts WHERE cf_857 BETWEEN 1 AND 2;",
        "SELECT id FROM Contacts WHERE lastname <> 'a';",
        "SELECT id AS x FROM Contacts;",
        "SELECT DISTINCT lastname FROM Contacts;",
        "SELECT *, id FROM Contacts;",
        "SELECT count(id) FROM Contacts;",
        "SELECT max(id) FROM Contacts;",
        "SELECT id FROM Contacts LIMIT 1 OFFSET 2;",
        "SELECT id FROM Contacts LIMIT 1 ORDER BY id;",
        "SELECT id FROM Contacts ORDER BY lastname DESC, id;",
        "SELECT id FROM Contacts WHERE birthday > 2020-01-01;",
    ],
)
def test_query_syntax_errors(api: Api, text: str):
    assert api.error("query", query=text)[0] == SYNTAX


@pytest.mark.parametrize(
    "value",
    ["''", '"x"', "1.5", "`x`", "a.b", "a -- b", "a && b", "me@example.com", r"'it\'s'", r"'x\'"],
)
def test_query_with_an_invalid_word_is_an_internal_error(api: Api, value: str):
    text = f"SELECT id FROM Contacts WHERE lastname = {value};"
    assert api.error("query", query=text) == LEXER


def test_query_cannot_name_a_field_with_an_ampersand(api: Api):
    assert api.error("query", query="SELECT shipping_&_handling FROM Invoice;") == LEXER


def test_query_and_binds_tighter_than_or(api: Api):
    either = "lastname LIKE 'Dupont 00%' OR firstname = 'Bob' AND cf_857 < 20"
    assert count(api, either) == 14  # read from left to right it would be 10


def test_query_appends_id(api: Api):
    row = api.query("SELECT lastname, firstname FROM Contacts WHERE id = '12x11';")[0]
    assert list(row) == ["lastname", "firstname", "id"]


def test_query_merges_repeated_columns(api: Api):
    row = api.query("SELECT lastname, lastname FROM Contacts WHERE id = '12x11';")[0]
    assert row == {"lastname": "Dupont 001", "id": "12x11"}


def test_query_count_is_text_and_ignores_limit(api: Api):
    assert api.query("SELECT count(*) FROM Contacts LIMIT 5;") == [{"count": "130"}]


@pytest.mark.parametrize(
    ("limit", "rows"),
    [
        ("", 100),
        ("LIMIT 500", 100),
        ("LIMIT 0,500", 100),
        ("LIMIT 100,100", 30),
        ("LIMIT 130,100", 0),
        ("LIMIT 0", 0),
        ("LIMIT -1", 0),
        ("LIMIT '5'", 0),
        ("LIMIT abc", 100),
        ("LIMIT 7", 7),
    ],
)
def test_query_limit(api: Api, limit: str, rows: int):
    assert len(api.query(f"SELECT id FROM Contacts {limit};")) == rows


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM Contacts ORDER BY nope;",
        "SELECT id FROM Contacts ORDER BY cf_855;",
        "SELECT id FROM Contacts ORDER BY mailingcity;",
        "SELECT id FROM Contacts WHERE lastname = Dupont;",
        "SELECT id FROM Contacts WHERE id = 12;",
        "SELECT id FROM Contacts WHERE assigned_user_id = '1';",
    ],
)
def test_query_refused_by_the_database_is_empty(api: Api, text: str):
    assert api.query(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "SELECT mailingcity FROM Contacts ORDER BY mailingcity LIMIT 1;",
        "SELECT id FROM Contacts WHERE mailingcity != 'x' ORDER BY mailingcity LIMIT 1;",
        "SELECT id FROM Contacts WHERE cf_853 = ' ' ORDER BY cf_855 LIMIT 1;",
        "SELECT id FROM Contacts ORDER BY modifiedtime, createdtime, lastname LIMIT 1;",
        "SELECT * FROM Contacts ORDER BY cf_855 LIMIT 1;",
    ],
)
def test_query_sorts_by_columns_of_joined_tables(api: Api, text: str):
    assert len(api.query(text)) == 1


def test_query_direction_applies_to_the_last_column(api: Api):
    ids = api.column("SELECT id FROM Contacts ORDER BY firstname, id DESC LIMIT 2;")
    assert ids == ["12x139", "12x137"]  # Bob comes first, whatever DESC says


def test_query_order_by_id_is_numeric(api: Api):
    assert api.column("SELECT id FROM Contacts ORDER BY id DESC LIMIT 1;") == ["12x140"]
    assert api.column("SELECT id FROM Contacts ORDER BY id LIMIT 1;") == ["12x11"]


def test_query_without_order_by_has_an_arbitrary_order():
    with Sandbox(rows=3000) as sandbox:
        numbers = [
            int(i.partition("x")[2]) for i in Api(sandbox).column("SELECT id FROM Documents;")
        ]
    assert numbers != sorted(numbers)


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("id = '12x11'", 1),
        ("id = '11x11'", 1),  # the prefix is ignored
        ("id != '12x11'", 129),
        ("id < '12x20'", 9),
        ("id <= '12x20'", 10),
        ("id > '12x100'", 40),
        ("id >= '12x100'", 41),
        ("id > '12x0'", 130),
        ("id IN ('12x11', '99x12', '12x9999')", 2),
        ("id LIKE '12x13%'", 11),
    ],
)
def test_query_compares_ids_by_number(api: Api, condition: str, rows: int):
    assert count(api, condition) == rows


def test_query_of_references_needs_an_x(api: Api):
    text = "SELECT count(*) FROM Contacts WHERE account_id = '3';"
    assert api.error("query", query=text) == ("INVALID_ID_ATTRIBUTE", "Id specified is incorrect")
    assert count(api, "account_id = '11x1'") == 100
    assert count(api, "account_id = '12x1'") == 100
    assert count(api, "account_id IN ('11x1', '11x2')") == 120
    assert count(api, "assigned_user_id = '19x5'") == 13


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("firstname = 'zoe'", 65),
        ("firstname = 'ZOÉ '", 65),
        ("firstname IN ('bob', 'zoe')", 130),
        ("firstname LIKE 'z_é'", 65),
        ("firstname LIKE '%O%'", 130),
        ("title = ' '", 130),
        ("lastname > 'dupont 120'", 10),
        ("lastname = 0", 130),  # a text that is no number counts as 0
    ],
)
def test_query_compares_text_by_the_collation(api: Api, condition: str, rows: int):
    assert count(api, condition) == rows


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("cf_857 < 100", 99),
        ("cf_857 < '100'", 99),
        ("cf_857 = '7.0'", 1),
        ("cf_857 > '99.5'", 31),
        ("cf_857 >= +130", 1),
        ("cf_857 > -1", 130),
    ],
)
def test_query_compares_numbers(api: Api, condition: str, rows: int):
    assert count(api, condition) == rows


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("modifiedtime >= '2026-01-02 10:06:00'", 11),
        ("modifiedtime >= '2026-01-02T10:06:00Z'", 11),
        ("modifiedtime >= '2026-01-02'", 130),
        ("modifiedtime < '2026-01-02'", 0),
        ("modifiedtime >= 'garbage'", 130),
        ("modifiedtime = '2026-01-02 10:00:00'", 19),
        ("modifiedtime LIKE '2026-01-02 10:06%'", 11),
        ("birthday >= '1990-12-31'", 1),
        ("birthday > '1990-12-31'", 0),
        ("birthday = '1990-12-31 00:00:00'", 1),
        ("birthday != '1990-12-31'", 0),  # NULL matches neither = nor !=
        ("birthday >= 'garbage'", 1),
    ],
)
def test_query_compares_datetimes(api: Api, condition: str, rows: int):
    assert count(api, condition) == rows


def test_query_null_references_are_not_zero(api: Api):
    assert count(api, "account_id = '11x0'") == 0  # 10 contacts have NULL there
    assert count(api, "account_id != '11x0'") == 120


def test_query_quotes_backslashes_and_keywords_in_text(fresh_api: Api):
    for text in (r"O'Brien; (x), AND OR WHERE %", r"back\slash", "漢字 é"):
        fresh_api.contact(lastname=text)
        written = text.replace("\\", "\\\\").replace("'", "''")
        found = fresh_api.query(f"SELECT lastname FROM Contacts WHERE lastname = '{written}';")
        assert [row["lastname"] for row in found] == [text]


def test_query_wildcards_can_be_escaped(fresh_api: Api):
    fresh_api.contact(lastname="100%")
    fresh_api.contact(lastname="100x")
    assert len(fresh_api.query(r"SELECT id FROM Contacts WHERE lastname LIKE '100\%';")) == 1


def test_query_compares_multipicklists_as_text(fresh_api: Api):
    fresh_api.contact(cf_889=["Alpha", "Beta"])
    assert count(fresh_api, "cf_889 = 'Alpha |##| Beta'") == 1
    assert count(fresh_api, "cf_889 LIKE '%Beta%'") == 1


def test_query_with_a_hundred_ors(api: Api):
    condition = " OR ".join(f"id = '12x{number}'" for number in range(11, 111))
    assert count(api, condition) == 100


@pytest.mark.parametrize("by_time", [False, True])
def test_query_pages_by_keyset(api: Api, by_time: bool):
    seen: list[str] = []
    condition = ""
    order = "modifiedtime, id" if by_time else "id"
    while rows := api.query(f"SELECT * FROM Contacts {condition} ORDER BY {order} LIMIT 20;"):
        seen += [row["id"] for row in rows]
        last, time = rows[-1]["id"], rows[-1]["modifiedtime"]
        condition = f"WHERE id > '{last}'"
        if by_time:
            condition = f"WHERE modifiedtime = '{time}' AND id > '{last}'"
            condition += f" OR modifiedtime > '{time}'"
    assert len(seen) == len(set(seen)) == 130


def test_query_excludes_deleted_records(fresh_api: Api):
    fresh_api.ok_post("delete", id="12x11")
    assert fresh_api.query("SELECT count(*) FROM Contacts;") == [{"count": "129"}]
    assert fresh_api.query("SELECT id FROM Contacts WHERE id = '12x11';") == []


def test_query_of_users_has_the_active_ones_and_their_secrets(api: Api):
    users = api.query("SELECT * FROM Users;")
    assert {user["user_name"] for user in users} == {"admin", "joe", "keyless"}
    assert users[0]["accesskey"] == api.sandbox.access_key
    assert users[0]["user_password"] == users[0]["confirm_password"] == "$2y$x"
    assert users[0]["is_admin"] == "on"


def test_query_does_not_know_fields_of_retrieve(api: Api):
    asked = api.error("query", query="SELECT tax1 FROM Products;")
    assert asked == ("ACCESS_DENIED", "Permission to access '.tax1.' attribute denied.")
    assert "tax1" not in api.query("SELECT * FROM Products LIMIT 1;")[0]


def test_query_drops_hidden_records_after_the_limit():
    hidden = {"Contacts": range(11, 31)}
    with Sandbox(dialect="stock", company=small_company(), hidden=hidden) as sandbox:
        api = Api(sandbox)
        assert len(api.query("SELECT id FROM Contacts ORDER BY id LIMIT 25;")) == 5
        assert api.query("SELECT id FROM Contacts ORDER BY id LIMIT 20;") == []
        assert api.query("SELECT count(*) FROM Contacts;") == [{"count": "130"}]
        denied = ("ACCESS_DENIED", "Permission to read given object is denied")
        assert api.error("retrieve", id="12x11") == denied


def test_query_filters_private_modules_in_the_database():
    with Sandbox(dialect="stock", company=small_company(), private=["Contacts"]) as sandbox:
        joe = Api(sandbox, "joe")
        assert joe.query("SELECT count(*) FROM Contacts;") == [{"count": "13"}]
        assert len(joe.query("SELECT id FROM Contacts ORDER BY id LIMIT 10;")) == 10
        denied = ("ACCESS_DENIED", "Permission to read given object is denied")
        assert joe.error("retrieve", id="12x11") == denied
        assert Api(sandbox).query("SELECT count(*) FROM Contacts;") == [{"count": "130"}]


def test_query_with_huge_numbers(api: Api):
    assert count(api, "id > '12x99999999999999999999999'") == 0
    assert api.query("SELECT id FROM Contacts LIMIT 99999999999999999999999,5;") == []


def test_query_pages_by_id_within_a_time_window(api: Api):
    window = "modifiedtime >= '2026-01-02 10:01:00' AND modifiedtime <= '2026-01-02 10:02:00'"
    page = f"SELECT id FROM Contacts WHERE {window} AND id > '12x40' ORDER BY id LIMIT 5;"
    assert api.column(page) == [f"12x{number}" for number in range(41, 46)]
