"""Merging the facts of several records, and reading them as their types."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from connectors.records import RecordRef
from scoring.facts import FACTS, Fact, FactType, custom_fact
from sync.gather import CompanySource, GatherRules, PersonFacts, PersonSources, RecordSource, gather, parse
from tests.support.made import DAY, account, after, company, contact, lead, sf_contact

H, C, L = contact(1), sf_contact(1), lead(1)


def rec(ref: RecordRef, facts: dict[str, Any] | None = None, **more: Any) -> RecordSource:
    return RecordSource(ref=ref, facts=facts or {}, **({"inputs_at": DAY} | more))


def of(*records: RecordSource, companies: tuple[CompanySource, ...] = (), **rules: Any) -> PersonFacts:
    person = PersonSources(person_id="p", records=records, companies={c.ref: c for c in companies})
    found = gather(person, GatherRules(**rules))
    assert found is not None
    return found


def value(name: str, *records: RecordSource, **more: Any) -> Any:
    return of(*records, **more).facts.get(name)


# -- which value counts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "hubspot", "salesforce", "expected"),
    [
        (None, "H", "S", "S"),
        (None, "H", None, "H"),
        ("salesforce unless blank", "H", "S", "S"),
        ("salesforce unless blank", "H", "  ", "H"),
        ("salesforce unless blank", "H", "Unknown", "H"),
        ("hubspot unless blank", "H", "S", "H"),
        ("hubspot unless blank", None, "S", "S"),
        ("newest", "H", "S", "H"),
    ],
)
def test_text_is_taken_by_the_rule_of_its_fact(
    rule: str | None, hubspot: str | None, salesforce: str | None, expected: str
) -> None:
    records = [
        rec(H, {"person.title": hubspot} if hubspot else {}, inputs_at=after(hours=1)),
        rec(C, {"person.title": salesforce} if salesforce else {}),
    ]
    prefer = {"person.title": rule} if rule else {}
    assert value("person.title", *records, prefer=prefer) == expected
    assert value("person.title", *reversed(records), prefer=prefer) == expected


def test_the_default_rule_is_for_facts_without_their_own() -> None:
    records = (rec(H, {"person.title": "H", "person.city": "H"}), rec(C, {"person.title": "S", "person.city": "S"}))
    facts = of(*records, prefer={"default": "hubspot unless blank", "person.city": "salesforce unless blank"}).facts
    assert (facts["person.title"], facts["person.city"]) == ("H", "S")


def test_newest_at_equal_times_is_salesforces() -> None:
    records = (rec(H, {"person.title": "H"}), rec(C, {"person.title": "S"}))
    assert value("person.title", *records, prefer={"default": "newest"}) == "S"


@pytest.mark.parametrize(
    ("hubspot", "salesforce", "expected"), [(True, False, True), (False, True, True), (False, False, False)]
)
def test_either_true(hubspot: bool, salesforce: bool, expected: bool) -> None:
    records = (rec(H, {"person.unsubscribed": hubspot}), rec(C, {"person.unsubscribed": salesforce}))
    assert value("person.unsubscribed", *records, prefer={"person.unsubscribed": "either true"}) is expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("given", "withdrawn"), "withdrawn"),
        (("none", "legitimate_interest"), "none"),
        (("given", "legitimate_interest"), "legitimate_interest"),
        (("given", "unknown"), "given"),
    ],
)
def test_most_restrictive(values: tuple[str, str], expected: str) -> None:
    records = (rec(H, {"person.consent": values[0]}), rec(C, {"person.consent": values[1]}))
    assert value("person.consent", *records, prefer={"person.consent": "most restrictive"}) == expected


def test_created_at_is_the_earliest_of_all_whatever_the_rule() -> None:
    records = (
        rec(H, {"person.created_at": "2026-01-05T00:00:00.000Z"}),
        rec(C, {"person.created_at": "2026-01-03"}, created_at=datetime(2026, 1, 4, tzinfo=UTC)),
        rec(L, created_at=datetime(2026, 1, 2, 5, tzinfo=UTC), target=False),
    )
    assert value("person.created_at", *records) == datetime(2026, 1, 2, 5, tzinfo=UTC)


def test_the_written_record_goes_before_its_duplicates() -> None:
    records = (
        rec(L, {"person.title": "lead", "person.city": "Rome"}, target=False),
        rec(C, {"person.title": "contact"}),
    )
    facts = of(*records).facts
    assert (facts["person.title"], facts["person.city"]) == ("contact", "Rome")


def test_an_unreadable_value_gives_way_to_a_readable_one_and_is_reported() -> None:
    found = of(rec(H, {"company.employees": 50}), rec(C, {"company.employees": "about fifty"}))
    assert found.facts["company.employees"] == 50
    assert [(p.ref, p.fact, p.reason) for p in found.problems] == [(C, "company.employees", "not a number")]


# -- companies ---------------------------------------------------------------------------------------------------


def test_a_records_company_says_more_than_the_record() -> None:
    acme = CompanySource(ref=account(1), facts={"company.name": "Acme Inc"}, inputs_at=DAY)
    lead_of = rec(C, {"company.name": "acme", "company.industry": "Steel"}, company=account(1))
    facts = of(lead_of, companies=(acme,)).facts
    assert (facts["company.name"], facts["company.industry"]) == ("Acme Inc", "Steel")


def test_companies_of_both_crms_are_merged_like_other_facts() -> None:
    theirs = CompanySource(ref=company(1), facts={"company.name": "H", "company.tier": "A"}, inputs_at=DAY)
    ours = CompanySource(ref=account(1), facts={"company.name": "S"}, inputs_at=DAY)
    facts = of(rec(H, company=company(1)), rec(C, company=account(1)), companies=(theirs, ours)).facts
    assert (facts["company.name"], facts["company.tier"]) == ("S", "A")


@pytest.mark.parametrize(
    ("domain", "list_", "expected"),
    [
        ("acme.com", None, "acme.com"),
        ("gmail.com", None, None),
        ("GMAIL.com.", None, None),
        ("gmail.com", frozenset({"acme.com"}), "gmail.com"),
        ("acme.com", frozenset({"acme.com"}), None),
    ],
)
def test_a_company_domain_is_never_a_free_mail_one(
    domain: str, list_: frozenset[str] | None, expected: str | None
) -> None:
    assert value("company.domain", rec(H, {"company.domain": domain}), free_mail=list_) == expected


# -- gone records ------------------------------------------------------------------------------------------------


def test_nobody_is_left_when_all_records_are_gone() -> None:
    assert gather(PersonSources(person_id="p", records=(rec(H, gone=True),)), GatherRules()) is None


def test_a_converted_lead_still_says_that_it_was_converted_and_when_it_was_made() -> None:
    was = rec(
        L,
        {"person.converted": True, "person.title": "old", "person.unsubscribed": True},
        gone=True,
        moved=True,
        created_at=after(days=-9),
    )
    facts = of(rec(C, {"person.converted": False}, created_at=DAY), was).facts
    assert facts["person.converted"] is True
    assert facts["person.created_at"] == after(days=-9)
    assert "person.title" not in facts
    assert "person.unsubscribed" not in facts


def test_a_deleted_record_says_nothing() -> None:
    assert value("person.title", rec(H), rec(C, {"person.title": "VP"}, gone=True)) is None


# -- derived facts -----------------------------------------------------------------------------------------------


def test_what_follows_from_address_title_and_links() -> None:
    found = of(
        rec(
            H,
            {"person.email": "Ana@EU.Acme.com", "person.title": "VP Sales", "person.first_name": "Ana"},
            confidence=0.9,
        ),
        rec(C, {"person.last_name": "Lopez"}),
    )
    assert found.facts["person.email_domain"] == "eu.acme.com"
    assert found.facts["person.seniority"] == "vp"
    assert found.facts["identity.confidence"] == Decimal("0.9")
    assert found.valid == {"person.email": True}
    assert (found.email, found.name) == ("ana@eu.acme.com", "Ana Lopez")


def test_the_first_address_stands_in_for_an_unmapped_one() -> None:
    assert value("person.email", rec(H, email="a@x.com")) == "a@x.com"
    assert value("person.email", rec(H, {"person.email": "b@x.com"}, email="a@x.com")) == "b@x.com"


def test_a_derived_fact_cannot_be_mapped() -> None:
    assert value("person.seniority", rec(H, {"person.seniority": "c_level"})) is None
    assert value("identity.confidence", rec(H, {"identity.confidence": 0})) == 1


def test_an_unknown_fact_is_left_out_and_a_custom_one_read_by_its_type() -> None:
    custom = {"person.custom.seats": custom_fact("person.custom.seats", FactType.NUMBER)}
    facts = of(rec(H, {"person.custom.seats": "5", "person.custom.other": "x"}), custom=custom).facts
    assert facts["person.custom.seats"] == 5
    assert "person.custom.other" not in facts


def test_owners_are_named_as_policies_name_them() -> None:
    names = {("hubspot", "77"): "ana@x.com"}
    assert value("person.owner", rec(H, {"person.owner": "77"}), owners=names) == "ana@x.com"
    assert value("person.owner", rec(H, {"person.owner": "78"}), owners=names) == "78"


# -- types -------------------------------------------------------------------------------------------------------

NUMBER, TEXT = FACTS["company.employees"], FACTS["person.title"]
STAGE, CONSENT = FACTS["person.lifecycle_stage"], FACTS["person.consent"]
MADE, COUNTRY, DOMAIN = FACTS["person.created_at"], FACTS["person.country"], FACTS["company.domain"]
FLAG = FACTS["person.unsubscribed"]
DATE, LIST = custom_fact("person.custom.d", FactType.DATE), custom_fact("person.custom.l", FactType.LIST)


@pytest.mark.parametrize(
    ("fact", "raw", "expected"),
    [
        (TEXT, "  VP ", "VP"),
        (TEXT, "", None),
        (TEXT, " \t", None),
        (TEXT, "UNKNOWN", None),
        (TEXT, "ｕｎｋｎｏｗｎ", None),
        (TEXT, True, "true"),
        (TEXT, 5, "5"),
        (TEXT, 5.0, "5"),
        (NUMBER, "200", Decimal(200)),
        (NUMBER, " 1.0E7 ", Decimal(10_000_000)),
        (NUMBER, 0.1, Decimal("0.1")),
        (NUMBER, "0.1234567", Decimal("0.123457")),
        (NUMBER, -3, Decimal(-3)),
        (FLAG, "true", True),
        (FLAG, "No", False),
        (FLAG, False, False),
        (FLAG, "unknown", None),
        (MADE, "2026-01-02", date(2026, 1, 2)),
        (MADE, "2026-01-02T03:04:05.678Z", datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)),
        (MADE, "2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
        (MADE, "1767323045000", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (DATE, "2026-01-02T00:00:00.000Z", date(2026, 1, 2)),
        (STAGE, "MQL", "mql"),
        (STAGE, "other", "other"),
        (CONSENT, "Legitimate Interest", "legitimate_interest"),
        (COUNTRY, "de", "DE"),
        (COUNTRY, "UK", "GB"),
        (COUNTRY, "el", "GR"),
        (DOMAIN, "Acme.COM.", "acme.com"),
        (LIST, "a; b ;;a", ("a", "b")),
        (LIST, ";", None),
    ],
)
def test_values_are_read_as_the_type_of_their_fact(fact: Fact, raw: Any, expected: Any) -> None:
    assert parse(fact, raw) == expected


@pytest.mark.parametrize(
    ("fact", "raw", "reason"),
    [
        (NUMBER, "1,000", "not a number"),
        (NUMBER, True, "a yes or no where a number belongs"),
        (NUMBER, "1e13", "a number of more than 12 digits"),
        (NUMBER, "NaN", "a number of more than 12 digits"),
        (FLAG, "maybe", "neither true nor false"),
        (MADE, "21.12.2026", "not a date or time"),
        (MADE, "2026-02-30", "not a date or time"),
        (CONSENT, "gven", "not one of given, legitimate_interest, none, withdrawn"),
        (COUNTRY, "Germany", "not a two-letter country code (map it with `as: country`)"),
        (DOMAIN, "a@b.com", "not a domain (map it with `as: domain`)"),
    ],
)
def test_what_is_no_such_value_says_why(fact: Fact, raw: Any, reason: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  # the whole text is compared
        parse(fact, raw)
    assert str(error.value) == reason
