"""The settings of the demo company: users, currencies, taxes, folders. Data: `settings.toml`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kafinea_sandbox import toml
from kafinea_sandbox.company.office import ADMIN, DOLLAR, EURO, blank
from kafinea_sandbox.modules import MODULES
from kafinea_sandbox.rows import Row


class _User(NamedTuple):
    number: int
    name: str
    first_name: str
    last_name: str
    is_admin: str = "off"
    status: str = "Active"
    time_zone: str = "Europe/Paris"
    currency: int = EURO
    language: str = "fr_fr"


_SETTINGS = toml.read(Path(__file__).with_name("settings.toml"))
_BLANKS = {module.name: {field.name: blank(field) for field in module.fields} for module in MODULES}

TAXES: tuple[tuple[str, int], ...] = tuple(
    (tax["percentage"], round(float(tax["percentage"]) * 10)) for tax in _SETTINGS["taxes"]
)
"""The rates of the taxes: as text, and in thousandths."""


def _access_key(user: int) -> str:
    """The access key of a user: 16 characters, like real ones."""
    return f"kafineaSandbox{user:02d}"


def rows() -> Iterator[Row]:
    """The records that are in the system before anybody works with it."""
    users = [_user(_User(**entry)) for entry in _SETTINGS["users"]]
    groups = [
        _row("Groups", group["number"], groupname=group["name"], description=group["description"])
        for group in _SETTINGS["groups"]
    ]
    yield from sorted(users + groups, key=lambda row: row.number)
    for number, currency in enumerate(_SETTINGS["currencies"], 1):
        yield _row("Currency", number, **currency, currency_status="Active")
    for number, tax in enumerate(_SETTINGS["taxes"], 1):
        fixed = {"method": "Simple", "type": "Fixed", "compoundon": "[]", "regions": "[]"}
        yield _row("Tax", number, taxname=f"tax{number}", **tax, **fixed)
    for number, name in enumerate(_SETTINGS["folders"], 1):
        yield _row("DocumentFolders", number, foldername=name, sequence=str(number))
    yield _row("CompanyDetails", 1, **_SETTINGS["company"])


def _row(module: str, number: int, **values: str | int | None) -> Row:
    return Row(module, number, {**_BLANKS[module], **values})


def _user(user: _User) -> Row:
    scrambled = f"$2y$10$demo{user.name:.<45.45}"
    is_first, in_dollars = user.number == ADMIN, user.currency == DOLLAR
    return _row(
        "Users",
        user.number,
        user_name=user.name,
        is_admin=user.is_admin,
        user_password=scrambled,
        confirm_password=scrambled,
        first_name=user.first_name,
        last_name=user.last_name,
        email1=f"{user.name}@ateliers-erdre.example",
        status=user.status,
        hour_format="12" if in_dollars else "24",
        date_format="mm-dd-yyyy" if in_dollars else "dd-mm-yyyy",
        start_hour="07:00",
        is_owner="1" if is_first else "0",
        department="Direction" if is_first else "Ventes",
        reports_to_id=None if is_first else ADMIN,
        accesskey=_access_key(user.number),
        time_zone=user.time_zone,
        currency_id=user.currency,
        conv_rate="1.10000" if in_dollars else "1.00000",
        currency_grouping_pattern="123,456,789",
        currency_decimal_separator="." if in_dollars else ",",
        currency_grouping_separator="," if in_dollars else " ",
        currency_symbol_placement="1.0$",
        no_of_currency_decimals="2",
        language=user.language,
        dayoftheweek="Monday",
        defaultlandingpage="Home",
        userlabel=f"{user.first_name} {user.last_name}",
    )
