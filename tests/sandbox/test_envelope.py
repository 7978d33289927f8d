from __future__ import annotations

import http.client
import json

import pytest
import requests
from sandbox_api import Api, error_of, result_of

DENIED = "Permission to perform the operation is denied"


def test_answer_is_ascii_json_with_escaped_slashes(api: Api) -> None:
    api.contact(lastname="É/漢", firstname="envelope")
    response = api.get("query", query="SELECT lastname FROM Contacts WHERE firstname = 'envelope';")
    assert response.headers["content-type"] == "application/json"
    assert rb'"lastname":"\u00c9\/\u6f22"' in response.content
    assert response.content.startswith(b'{"success":true,"result":[{')
    assert response.content.endswith(b"}]}")


def test_operation_name_in_any_case(api: Api) -> None:
    assert api.ok("QUERY", query="SELECT id FROM Currency LIMIT 1;") == [{"id": "21x1"}]


def test_format_is_json(api: Api) -> None:
    assert api.ok("listtypes", format="JSON")
    assert api.get("listtypes", format="xml").status_code == 500


@pytest.mark.parametrize("operation", ["", "nope", "FileUpload"])
def test_unknown_operation_is_an_empty_500(api: Api, operation: str) -> None:
    for response in (api.get(operation), api.post(operation)):
        assert (response.status_code, response.content) == (500, b"")
        assert response.headers["content-type"] == "text/html; charset=UTF-8"


def test_write_by_get_has_no_parameters(api: Api) -> None:
    element = json.dumps({"lastname": "x", "assigned_user_id": "19x1"})
    created = api.error("create", elementType="Contacts", element=element)
    assert created == ("ACCESS_DENIED", DENIED)
    assert api.error("delete", id="12x43") == ("ACCESS_DENIED", f"{DENIED} for id")
    assert api.error("update", element='{"id":"12x43"}') == ("ACCESS_DENIED", f"{DENIED} for id")


def test_read_by_post_body_has_no_parameters(api: Api) -> None:
    queried = api.error_post("query", query="", text="SELECT id FROM Currency;")
    assert queried == ("ACCESS_DENIED", f"{DENIED} for query")
    described = api.error_post("describe", elementType="Contacts")
    assert described == ("ACCESS_DENIED", f"{DENIED} for name : ")
    assert api.error_post("retrieve", id="12x11") == ("ACCESS_DENIED", f"{DENIED} for id")


def test_read_by_post_with_a_query_string(api: Api) -> None:
    text = "query=SELECT+id+FROM+Currency+LIMIT+1%3B"
    assert result_of(api.post("query", query=text)) == [{"id": "21x1"}]


def test_listtypes_by_any_verb(api: Api) -> None:
    assert result_of(api.post("listtypes"))["types"]
    for verb in ("PUT", "HEAD"):
        response = requests.request(
            verb, f"{api.url}?operation=listtypes&sessionName={api.sid}", timeout=60
        )
        assert response.status_code == 200


def test_json_body_is_an_unknown_operation(api: Api) -> None:
    response = requests.post(
        api.url, json={"operation": "listtypes", "sessionName": api.sid}, timeout=60
    )
    assert (response.status_code, response.content) == (500, b"")


def test_parameters_that_are_falsy_are_missing(api: Api) -> None:
    assert api.error("retrieve", id="0") == ("ACCESS_DENIED", f"{DENIED} for id")
    assert api.error("getchallenge", username="0") == ("ACCESS_DENIED", "No username given")


@pytest.mark.parametrize("text", ["", "SELECT 1;"])
def test_query_without_from(api: Api, text: str) -> None:
    assert api.error("query", query=text) == ("ACCESS_DENIED", f"{DENIED} for query")


@pytest.mark.parametrize("name", ["", "Nope", "contacts"])
def test_describe_of_no_module(api: Api, name: str) -> None:
    expected = ("ACCESS_DENIED", f"{DENIED} for name : {name}")
    assert api.error("describe", elementType=name) == expected


@pytest.mark.parametrize("wire_id", ["", "garbage", "99x1"])
def test_id_of_no_module(api: Api, wire_id: str) -> None:
    expected = ("ACCESS_DENIED", f"{DENIED} for id")
    assert api.error("retrieve", id=wire_id) == expected
    assert api.error_post("delete", id=wire_id) == expected
    assert error_of(api.write("update", {"id": wire_id})) == expected


@pytest.mark.parametrize("wire_id", ["12x999999", "12x"])
def test_id_of_no_record(api: Api, wire_id: str) -> None:
    assert api.error("retrieve", id=wire_id) == ("ACCESS_DENIED", DENIED)


def test_id_under_the_prefix_of_another_module(api: Api) -> None:
    expected = ("INVALID_ID_ATTRIBUTE", "Id specified is incorrect")
    assert api.error("retrieve", id="11x43") == expected


@pytest.mark.parametrize(
    "element", ["{", "[]", "null", '[{"lastname":"x"}]', b'{"lastname":"\xe9"}']
)
def test_element_that_is_malformed_is_empty(api: Api, element: str | bytes) -> None:
    sent = {"operation": "create", "sessionName": api.sid, "elementType": "Contacts"}
    response = requests.post(api.url, data=sent | {"element": element}, timeout=60)
    assert error_of(response)[0] == "MANDATORY_FIELDS_MISSING"


def test_element_of_update_that_is_malformed(api: Api) -> None:
    assert error_of(api.write("update", "{")) == ("ACCESS_DENIED", f"{DENIED} for id")


def test_element_that_is_a_string_is_fatal(api: Api) -> None:
    assert api.write("create", '"text"', elementType="Contacts").status_code == 500


def test_request_line_has_a_maximum_length(api: Api) -> None:
    def ids(count: int) -> str:
        return ",".join(f"'12x{number}'" for number in range(1000, 1000 + count))

    fits = f"SELECT id FROM Contacts WHERE id IN ({ids(500)});"
    raw = f"{api.url}?operation=query&sessionName={api.sid}&query="
    host, _, rest = raw.removeprefix("http://").partition("/")
    for count, status in ((500, 200), (1000, 414)):
        connection = http.client.HTTPConnection(host, timeout=60)
        text = f"SELECT id FROM Contacts WHERE id IN ({ids(count)});".replace(" ", "+")
        connection.request("GET", f"/{rest}{text}")
        response = connection.getresponse()
        body = response.read()
        connection.close()
        assert response.status == status
    assert len(fits) < 7600
    assert b"414 Request-URI Too Large" in body
    assert response.headers["content-type"] == "text/html"


def test_path_may_have_any_prefix(api: Api) -> None:
    for path, status in (("/webservice.php", 500), ("/a/b/webservice.php", 500), ("/x", 404)):
        assert requests.get(api.sandbox.url + path, timeout=60).status_code == status


def test_answer_headers(api: Api) -> None:
    response = api.get("listtypes")
    assert response.headers["cache-control"].startswith("no-store")
    assert "1981" in response.headers["expires"]
    assert "content-encoding" not in response.headers
