"""The words of the demo company, from `words.toml`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from kafinea_sandbox import toml


class Product(NamedTuple):
    """A product of the catalogue."""

    name: str
    code: str
    price: int
    """Cents, without tax."""
    tax: int
    """The number of the tax, from 1."""
    unit: str
    category: str


class Service(NamedTuple):
    """A service of the catalogue."""

    name: str
    price: int
    """Cents, without tax."""
    tax: int
    """The number of the tax, from 1."""
    unit: str
    category: str


class Vendor(NamedTuple):
    """A supplier."""

    name: str
    category: str


class Campaign(NamedTuple):
    """A campaign."""

    name: str
    type: str


class Question(NamedTuple):
    """A frequently asked question."""

    question: str
    answer: str


_WORDS = toml.read(Path(__file__).with_name("words.toml"))


def _texts(name: str) -> tuple[str, ...]:
    return tuple(_WORDS[name])


FIRST_NAMES = _texts("first_names")
SURNAMES = _texts("surnames")
TOWNS: tuple[tuple[str, str, str], ...] = tuple(tuple(town) for town in _WORDS["towns"])
"""Town, postal code, region."""
STREETS = _texts("streets")
TRADES = _texts("trades")
LEGAL_FORMS = _texts("legal_forms")
TITLES = _texts("titles")
DEPARTMENTS = _texts("departments")
INDUSTRIES = _texts("industries")
ODD_ACCOUNTS = _texts("odd_accounts")
ODD_CONTACTS: tuple[tuple[str, str], ...] = tuple(tuple(name) for name in _WORDS["odd_contacts"])
ODD_TEXTS = _texts("odd_texts")
TEXTS = _texts("texts")
COMMENTS = _texts("comments")
DEALS = _texts("deals")
TROUBLES = _texts("troubles")
PROJECT_STEPS = _texts("project_steps")
TASKS = _texts("tasks")
MEETINGS = _texts("meetings")
MAILS = _texts("mails")
PRODUCTS = tuple(Product(**entry) for entry in _WORDS["products"])
SERVICES = tuple(Service(**entry) for entry in _WORDS["services"])
VENDORS = tuple(Vendor(**entry) for entry in _WORDS["vendors"])
CAMPAIGNS = tuple(Campaign(**entry) for entry in _WORDS["campaigns"])
QUESTIONS = tuple(Question(**entry) for entry in _WORDS["questions"])
