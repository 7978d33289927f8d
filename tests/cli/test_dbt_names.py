"""Names of columns and models: readable, unique, and stable."""

from __future__ import annotations

import re

import duckdb
import psycopg
import pytest
from exact_loaders import names as loader
from hypothesis import given
from hypothesis import strategies as st

from kafinea_cli import stored_names
from kafinea_cli.dbt_package.readable_names import Named, model_names, readable_names

LABELS = {
    "Payment Terms": "payment_terms",
    "Conditions de règlement": "conditions_de_reglement",
    "N° de l'œuvre (€)": "n_de_l_oeuvre_euro",
    "Terms &amp; Conditions": "terms_amp_conditions",
    "Remise %": "remise_percent",
    "2nd phone": "_2nd_phone",
    "Order": "order_",
    "日本語": "cf_907",
    "": "cf_907",
    "mot " * 50: "mot_mot_mot_mot_mot_mot_mot_mot_mot_mot_mot",
}
REFERENCES = {
    "Organization Name": "organization_id",
    "Nom de l'organisation": "organisation_id",
    "Nom du contact": "contact_id",
    "Assigned To": "assigned_to_id",
    "Name": "name_id",
    "Parent ID": "parent_id",
    "Currency": "currency_id",
}


@pytest.mark.parametrize(("label", "name"), LABELS.items(), ids=range(len(LABELS)))
def test_name_of_a_label(label, name):
    assert readable_names([Named("cf_907", label, False)]) == {"cf_907": name}


@pytest.mark.parametrize(("label", "name"), REFERENCES.items())
def test_name_of_a_reference_says_that_it_is_an_id(label, name):
    assert readable_names([Named("cf_907", label, True)]) == {"cf_907": name}


def test_oldest_field_has_the_name_of_a_label():
    fields = [Named(name, "Phone", False) for name in ("cf_1201", "cf_999", "cf_accounts_1000")]
    assert readable_names(fields) == {
        "cf_999": "phone",
        "cf_accounts_1000": "phone_cf_accounts",
        "cf_1201": "phone_cf_1201",
    }
    assert readable_names([*fields, Named("phone", "Phone", False)])["phone"] == "phone"


def test_models_of_modules():
    streams = [
        "SalesOrder",
        "PBXManager",
        "Sales Order",
        "campaigns_contacts",
        "Odd's {{ x }}",
        "é",
    ]
    assert model_names(streams) == {
        "Sales Order": "sales_order",
        "SalesOrder": "sales_order_702950",
        "PBXManager": "pbx_manager",
        "campaigns_contacts": "campaigns_contacts",
        "Odd's {{ x }}": "odd_s_x",
        "é": "e",
    }


FIELDS = st.lists(
    st.builds(
        Named,
        st.from_regex(r"cf_\d{1,4}", fullmatch=True) | st.text(min_size=1, max_size=70),
        st.sampled_from(["Phone", "phone", "Phone cf 1", "", "Order", "é"]) | st.text(max_size=200),
        st.booleans(),
    ),
    unique_by=lambda field: field.name,
    max_size=30,
)


@given(FIELDS)
def test_names_are_unique_and_need_no_quotes(fields):
    names = readable_names(fields)
    assert names.keys() == {field.name for field in fields}
    assert len(set(names.values())) == len(names)
    for name in names.values():
        assert re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name)


@given(FIELDS, st.text(max_size=20))
def test_new_field_changes_no_name(fields, label):
    new = Named("cf_99999", label, False)
    before = readable_names(fields)
    assert before.items() <= readable_names([*fields, new]).items()


def test_names_of_all_keywords_need_no_quotes(postgres):
    keywords = {row["word"] for row in postgres.rows("SELECT word FROM pg_get_keywords()")}
    found = duckdb.sql("SELECT keyword_name FROM duckdb_keywords()").fetchall()
    keywords |= {"ctid", "tableoid", "xmin", *(word for (word,) in found)}
    names = readable_names([Named(f"cf_{n}", word, False) for n, word in enumerate(keywords)])
    with duckdb.connect() as own, psycopg.connect(postgres.uri()) as other:
        for database in (own, other):
            columns = ", ".join(f"{n} AS {name}" for n, name in enumerate(names.values()))
            database.execute(f"CREATE TEMP TABLE named AS SELECT {columns}")
            found = database.execute(f"SELECT {', '.join(names.values())} FROM named").fetchall()
            assert found == [tuple(range(len(names)))]


@given(st.lists(st.text(min_size=1, max_size=80) | st.sampled_from(["A", "a"]), unique=True))
def test_stored_names_are_those_of_the_loaders(fields):
    assert stored_names.stored_columns(fields) == loader.names_of(fields)
    for field in fields:
        assert stored_names.stored(field) == loader.short(field, field)
