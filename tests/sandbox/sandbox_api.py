"""A company small enough to know by heart, and a bare client to ask the sandbox about it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import requests

from kafinea_sandbox import Sandbox
from kafinea_sandbox.rows import File, Relation, Row

OPENED = "2026-01-01 08:00:00"


class Api:
    """Sends requests as they are told to, and hides nothing of the answers."""

    def __init__(self, sandbox: Sandbox, user: str = "admin") -> None:
        self.sandbox = sandbox
        self.url = f"{sandbox.url}/YourKafinea/webservice.php"
        self.http = requests.Session()
        self.user = user
        self.sid = ""
        self.log_in()

    def log_in(self) -> dict:
        token = self.ok("getchallenge", username=self.user)["token"]
        key = self.sandbox.access_key_of(self.user)
        result = self.ok_post("login", username=self.user, accessKey=md5(token + key))
        self.sid = result.get("sessionName") or result["sessionId"]
        return result

    def get(self, operation: str, **params: str) -> requests.Response:
        params = {"operation": operation, "sessionName": self.sid, **params}
        return self.http.get(self.url, params=params, timeout=60, allow_redirects=False)

    def post(self, operation: str, *, query: str = "", **params: str) -> requests.Response:
        params = {"operation": operation, "sessionName": self.sid, **params}
        address = f"{self.url}?{query}" if query else self.url
        return self.http.post(address, data=params, timeout=60)

    def ok(self, operation: str, **params: str) -> Any:
        return result_of(self.get(operation, **params))

    def ok_post(self, operation: str, **params: str) -> Any:
        return result_of(self.post(operation, **params))

    def error(self, operation: str, **params: str) -> tuple:
        return error_of(self.get(operation, **params))

    def error_post(self, operation: str, **params: str) -> tuple:
        return error_of(self.post(operation, **params))

    def query(self, text: str) -> list[dict]:
        return self.ok("query", query=text)

    def column(self, text: str, name: str = "id") -> list[str]:
        return [row[name] for row in self.query(text)]

    def write(self, operation: str, element: Any, **params: str) -> requests.Response:
        element = element if isinstance(element, str) else json.dumps(element)
        return self.post(operation, element=element, **params)

    def create(self, module: str, **element: Any) -> dict:
        element = {"assigned_user_id": self.me} | element
        return result_of(self.write("create", element, elementType=module))

    def create_error(self, module: str, **element: Any) -> tuple:
        element = {"assigned_user_id": self.me} | element
        return error_of(self.write("create", element, elementType=module))

    def contact(self, **element: Any) -> dict:
        return self.create("Contacts", **{"lastname": "Test"} | element)

    def update(self, **element: Any) -> dict:
        return result_of(self.write("update", element))

    def revise(self, **element: Any) -> dict:
        return result_of(self.write("revise", element))

    def id(self, module: str, number: int) -> str:
        return self.sandbox.instance.tables[module].wire_id(number)

    @property
    def me(self) -> str:
        return self.id("Users", 1)


def envelope_of(response: requests.Response) -> dict:
    answer: dict = response.json()
    assert response.status_code == 200
    if "moreinfo" in answer:  # coreBOS
        assert list(answer).index("moreinfo") == 2
        del answer["moreinfo"]
    return answer


def result_of(response: requests.Response) -> Any:
    answer = envelope_of(response)
    assert list(answer) == ["success", "result"], answer
    assert answer["success"] is True
    return answer["result"]


def error_of(response: requests.Response) -> tuple:
    answer = envelope_of(response)
    assert list(answer) == ["success", "error"], answer
    assert list(answer["error"]) == ["message", "code"]
    assert answer["success"] is False
    return answer["error"]["code"], answer["error"]["message"]


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def small_company() -> Iterator[Row | File | Relation]:
    """Accounts 1-2, 130 contacts from 11 on, two products and a service, a document."""

    def user(number: int, name: str, **more: Any) -> Row:
        row = {"user_name": name, "is_admin": "off", "status": "Active", "user_password": "$2y$x"}
        row |= {"confirm_password": "$2y$x", "accesskey": f"Key{number:013}", "currency_id": 1}
        row |= {"first_name": name.title(), "last_name": "T", "email1": f"{name}@example.com"}
        row |= {"date_format": "dd-mm-yyyy", "no_of_currency_decimals": "2", "roleid": "H2"}
        return Row("Users", number, row | {"time_zone": "Europe/Paris"} | more)

    def record(module: str, number: int, **values: Any) -> Row:
        times = {"createdtime": OPENED, "modifiedtime": OPENED, "modifiedby": 1}
        return Row(module, number, {"assigned_user_id": 1, "source": "CRM"} | times | values)

    yield user(1, "admin", is_admin="on")
    yield Row("Groups", 2, {"groupname": "Team Selling", "description": "Sales"})
    yield user(5, "joe", currency_id=2, conv_rate="1.10000", date_format="mm-dd-yyyy")
    yield user(6, "gone", status="Inactive")
    yield user(7, "keyless", accesskey="")
    money = {"currency_symbol": "€", "currency_status": "Active"}
    euro = {"currency_name": "Euro", "currency_code": "EUR", "conversion_rate": "1.00000"}
    dollar = {"currency_name": "USA, Dollars", "currency_code": "USD", "conversion_rate": "1.10000"}
    yield Row("Currency", 1, money | euro)
    yield Row("Currency", 2, money | dollar)
    yield Row("DocumentFolders", 1, {"foldername": "Default", "sequence": "1"})
    yield record("Accounts", 1, accountname="Société 000 & Fils", account_no="ACC1")
    yield record("Accounts", 2, accountname="Zebra", account_no="ACC2", assigned_user_id=5)
    yield record(
        "Products",
        3,
        productname='Écran 27"',
        product_no="PRO1",
        unit_price="199.99000000",
        tax1="20.000",
    )
    yield record("Services", 4, servicename="Install", service_no="SER1", unit_price="50.00000000")
    yield record("Documents", 5, notes_title="Deed", note_no="DOC1", folderid=1)
    yield File(6, 5, "deed.pdf", "application/pdf", b"%PDF-1.4 \xc3\xa9")
    for number in range(11, 141):
        place = number - 10
        yield record(
            "Contacts",
            number,
            lastname=f"Dupont {place:03}",
            firstname=("Zoé", "Bob")[place % 2],
            contact_no=f"CON{place}",
            account_id=1 if place <= 100 else 2 if place <= 120 else None,
            assigned_user_id=5 if place % 10 == 0 else 1,
            cf_857=str(place),
            mailingcity=f"City {place % 7}",
            modifiedtime=f"2026-01-02 10:{place // 20:02}:00",
            birthday="1990-12-31" if place == 1 else None,
        )
    yield Relation(1, 5, "Documents")
