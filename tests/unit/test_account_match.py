"""Which account somebody belongs to whom no CRM has linked to one."""

from __future__ import annotations

import pytest

from connectors.records import Crm, RecordRef
from sync.account_match import Account, AccountMatching, Accounts, company_name

BOTH = (Crm.SALESFORCE, Crm.HUBSPOT)
BY_DOMAIN, BY_BOTH = AccountMatching(), AccountMatching(name_from=88)


def account(id: str, domain: str | None, name: str | None = None, owner: str = "rep:ana@acme.com") -> Account:
    crm = Crm.HUBSPOT if id.startswith("h") else Crm.SALESFORCE
    ref = RecordRef(crm=crm, object="company" if crm is Crm.HUBSPOT else "account", id=id)
    return Account(ref=ref, domain=domain, name=name, owner_key=owner)


KNOWN = [
    account("1", "pine.example", "Pine Instruments, Inc."),
    account("2", "eu.oak.co.uk", "Oak Timber Ltd", owner="rep:bo@acme.com"),
    account("3", "gmail.com", "A freelancer"),
    account("4", "twins.example", "Twin Peaks", owner="rep:ana@acme.com"),
    account("5", "twins.example", "Twin Peaks", owner="rep:bo@acme.com"),
    account("6", None, "Börsenhandel Müller GmbH & Co. KG", owner="rep:cy@acme.com"),
    account("h7", "pine.example", "Pine", owner="rep:dee@acme.com"),
    account("8", "same.example", "Same One"),
    account("9", "same.example", "Same Two"),
    account("10", None, "Atlas"),
    account("11", None, "IBM"),
]


def found(domain: str | None, name: str | None = None, how: AccountMatching = BY_BOTH) -> tuple[str, str, float] | None:
    match = Accounts(KNOWN, how, order=BOTH).find(domain=domain, name=name)
    return None if match is None else (match.account.ref.id, match.by, match.confidence)


@pytest.mark.parametrize(
    ("domain", "name", "match"),
    [
        ("pine.example", None, ("1", "domain", 0.95)),
        ("pine.example", "Oak Timber", ("1", "domain", 0.95)),
        ("mail.oak.co.uk", None, ("2", "domain", 0.9)),
        ("co.uk", None, None),
        ("gmail.com", None, None),
        ("gmail.com", "pine instruments", ("1", "name", 0.9)),
        ("twins.example", None, None),
        ("same.example", None, ("8", "domain", 0.95)),
        (None, "PINE INSTRUMENTS LLC", ("1", "name", 0.9)),
        (None, "Twin Peaks", None),
        (None, "borsenhandel mueller", None),
        (None, "börsenhandel muller", ("6", "name", 0.853)),
        (None, "Atlas", ("10", "name", 0.9)),
        (None, "Atlus", None),
        (None, "IBN", None),
        (None, "unheard of", None),
        (None, None, None),
    ],
)
def test_a_domain_is_asked_before_a_name_and_what_is_unclear_is_no_match(
    domain: str | None, name: str | None, match: tuple[str, str, float] | None
) -> None:
    assert found(domain, name) == match


def test_names_count_only_when_asked_for() -> None:
    assert found(None, "Pine Instruments", BY_DOMAIN) is None
    assert found("pine.example", None, AccountMatching(domain=False)) is None


def test_free_mail_is_the_policys_own_list_where_it_has_one() -> None:
    own = Accounts(KNOWN, BY_DOMAIN, order=BOTH, free_mail=frozenset({"pine.example"}))
    assert own.find(domain="pine.example", name=None) is None
    match = own.find(domain="gmail.com", name=None)
    assert match is not None
    assert match.account.ref.id == "3"


def test_only_accounts_of_a_crm_with_a_say_count_the_weightier_first() -> None:
    first = Accounts(KNOWN, BY_DOMAIN, order=(Crm.HUBSPOT, Crm.SALESFORCE)).find(domain="pine.example", name=None)
    assert first is not None
    assert first.account.ref.id == "h7"
    assert Accounts(KNOWN, BY_DOMAIN, order=(Crm.HUBSPOT,)).find(domain="same.example", name=None) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ACME, Inc.", "acme"),
        ("Acme  Holding S.A.", "acme holding s a"),
        ("Müller & Söhne GmbH & Co. KG", "müller söhne"),
        ("Co", "co"),
        ("Company Company", "company"),
        ("", ""),
    ],
)
def test_a_name_is_compared_in_plain_words_without_its_legal_form(text: str, name: str) -> None:
    assert company_name(text) == name
