"""Facts that follow from other facts."""

from __future__ import annotations

import pytest
from email_validator import validate_email
from hypothesis import given
from hypothesis import strategies as st

from scoring import derive
from scoring.derive import (
    SENIORITY,
    add_derived,
    department,
    email_domain,
    email_is_valid,
    is_free_mail,
    phone_is_valid,
    seniority,
)
from scoring.document import Source
from scoring.tables import FactValue
from sync.mapping import load_mapping
from tests.support.rules import COMPLETE


@pytest.mark.parametrize(
    ("title", "rank"),
    [
        ("Executive Assistant to the CEO", "individual"),
        ("Vice-President, Sales", "vp"),
        ("SVP Engineering", "vp"),
        ("President", "c_level"),
        ("Chief Revenue Officer", "c_level"),
        ("Founder & CEO", "c_level"),
        ("Managing Director", "c_level"),
        ("Head of Growth", "head"),
        ("Sales Director", "director"),
        ("Product Manager", "manager"),
        ("Lead Engineer", "lead"),
        ("Principal Consultant", "lead"),
        ("Leadership coach", "individual"),
        ("Werkstudent Marketing", "student"),
        ("Internal audit", "individual"),
        ("Engineer", "individual"),
        ("CEOs' dinner host", "individual"),
        ("-", "individual"),
    ],
)
def test_seniority_by_the_built_in_table(title: str, rank: str) -> None:
    assert seniority(title) == rank


def test_an_own_table_replaces_the_built_in_one_as_a_whole() -> None:
    table = (("director", ("geschäftsführer", "Vice-President")), ("student", ("azubi",)))
    assert seniority("Geschäftsführer", table) == "director"
    assert seniority("vice president", table) == "director"
    assert seniority("CEO", table) == "individual"


def test_the_words_of_the_complete_example_are_the_built_in_ones() -> None:
    found, _ = load_mapping(Source("fields.yaml", (COMPLETE / "fields.yaml").read_bytes()))
    assert tuple((rank, tuple(phrases)) for rank, phrases in found.seniority) == SENIORITY


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("VP Sales", "sales"),
        ("Account Executive, EMEA", "sales"),
        ("Sales Operations Manager", "sales"),
        ("Product Marketing Manager", "marketing"),
        ("Head of Demand-Generation", "marketing"),
        ("CFO", "finance"),
        ("Internal Audit Director", "finance"),
        ("Chief Human Resources Officer", "human resources"),
        ("Customer Success Engineer", "customer success"),
        ("Technical Product Owner", "product"),
        ("Head of IT", "information technology"),
        ("Digital Transformation", None),
        ("Senior Software Engineer", "engineering"),
        ("QA lead", "engineering"),
        ("Data Engineer", "data"),
        ("Leiter Einkauf", "procurement"),
        ("Founder & CEO", "general management"),
        ("Co-Founder", "general management"),
        ("Vice President", None),
        ("Visitor", None),
        ("", None),
    ],
)
def test_department_by_the_words_of_a_title(title: str, name: str | None) -> None:
    assert department(title) == name


def test_a_department_that_a_crm_names_is_kept() -> None:
    facts: dict[str, FactValue] = {"person.title": "VP Sales", "person.department": "Field"}
    add_derived(facts)
    assert facts["person.department"] == "Field"
    del facts["person.department"]
    add_derived(facts)
    assert facts["person.department"] == "sales"


def test_no_department_is_out_of_reach_of_its_words() -> None:
    """Every phrase leads to its own line: none is taken by a line above."""
    listed = [(name, phrase.strip()) for name, phrases in derive._departments() for phrase in phrases]
    assert {phrase: department(phrase) for _, phrase in listed} == {phrase: name for name, phrase in listed}


@pytest.mark.parametrize(
    ("email", "domain"),
    [("a@Acme.COM", "acme.com"), ("a@acme.com.", "acme.com"), ("a@b@c.com", "c.com"), ("a", None), ("@x.com", None)],
)
def test_email_domain(email: str, domain: str | None) -> None:
    assert email_domain(email) == domain


@pytest.mark.parametrize(
    "email", ["a@b.com", "first.last+tag@sub.acme.io", "ü@exämple.de", "a@leads.invalid", "a@b.test"]
)
def test_valid_addresses(email: str) -> None:
    assert email_is_valid(email)


@pytest.mark.parametrize("email", ["a", "a@b", "a b@c.com", "a@@b.com", "@b.com", "a@b..com", "a@-b.com", "a.@b.com"])
def test_invalid_addresses(email: str) -> None:
    assert not email_is_valid(email)


RUN = st.text("azAZ09", min_size=1, max_size=5)
LOCAL = st.lists(RUN, min_size=1, max_size=4).flatmap(
    lambda runs: st.sampled_from("._+-").map(lambda mark: mark.join(runs))
)
LABEL = st.lists(RUN, min_size=1, max_size=3).map("-".join)


@given(LOCAL, st.lists(LABEL, min_size=1, max_size=3), st.text("azAZ", min_size=2, max_size=6))
def test_what_looks_like_nearly_every_address_is_valid_to_the_library_too(
    local: str, labels: list[str], top: str
) -> None:
    email = f"{local}@{'.'.join(labels)}.{top}"
    assert derive._PLAIN.fullmatch(email)
    assert email_is_valid(email)
    assert validate_email(f"{email}.com", check_deliverability=False)


@pytest.mark.parametrize(
    ("phone", "country", "valid"),
    [
        ("+49 30 1234567", None, True),
        ("030 1234567", "DE", True),
        ("(555) 123-4567", "US", True),
        ("123", "US", False),
        ("+1 12", None, False),
        ("call me", "US", False),
        ("030 1234567", None, True),
        ("123", None, False),
        ("1234567890123456", None, False),
    ],
)
def test_phone_numbers_by_what_can_exist_in_their_country(phone: str, country: str | None, valid: bool) -> None:
    assert phone_is_valid(phone, country) is valid


def test_free_mail_by_the_built_in_list_or_by_one_given() -> None:
    assert is_free_mail("GMX.de")
    assert not is_free_mail("acme.com")
    assert is_free_mail("acme.com", frozenset({"acme.com"}))
    assert not is_free_mail("gmail.com", frozenset({"acme.com"}))
