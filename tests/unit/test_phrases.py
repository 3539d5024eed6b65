"""Phrases: the node each becomes, and what is said about those that are none."""

from __future__ import annotations

from datetime import date

import pytest

from scoring.conditions import (
    AgeBelow,
    AgeFrom,
    All,
    Any,
    AtLeast,
    Below,
    Contains,
    Count,
    CountMode,
    DateBefore,
    DateFrom,
    DomainIn,
    Equals,
    EventMatch,
    Fade,
    FadeMode,
    HasWords,
    Known,
    Missing,
    Not,
    OneOf,
    OwnerState,
    Span,
    StartsWith,
    Unit,
    Validity,
)
from scoring.document import Unreadable, read_document
from scoring.facts import ANY_KIND_EXCEPT, EVENT_KINDS, FACTS, FactType, custom_fact
from scoring.phrases import Names, kinds_of, parse_condition, parse_count, parse_fade, parse_match, say

LISTS = """
home: [NO, SE]
rivals: [Rival.io, othercrm.com]
words: [Software, Health  Tech]
sizes: [1, 2.5]
names: [Germany]
"""

CUSTOM = {
    "person.custom.tags": custom_fact("person.custom.tags", FactType.LIST),
    "person.custom.born": custom_fact("person.custom.born", FactType.DATE),
    "person.custom.ok": custom_fact("person.custom.ok", FactType.BOOLEAN),
}


def names(section: str = "") -> Names:
    lists = read_document(LISTS, "lists.yaml")
    return Names(
        facts={**FACTS, **CUSTOM},
        lists={entry.key: entry.node.items for entry in lists.entries},
        section=section,
        hand_raise=EventMatch(("demo_request", "meeting_booked")),
    )


def read(text: str, section: str = ""):
    node = read_document(f"c: {text}\n", "f.yaml")
    known = names(section)
    condition = parse_condition(node.find("c"), known)
    node.report_empty()
    problems = node.problems + [p for items in known.lists.values() for i in items for p in i.problems]
    return condition, list(dict.fromkeys(str(p) for p in problems))


SENIOR = ("director", "head", "vp", "c_level")


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("{company.tier: Named  Account}", OneOf("company.tier", ("named account",))),
        ("{person.lead_status: is in review}", OneOf("person.lead_status", ("in review",))),
        ("{person.email_domain: Acme.COM.}", DomainIn("person.email_domain", ("acme.com",))),
        ("{person.email_domain: edu}", DomainIn("person.email_domain", ("edu",))),
        ("{person.email_domain: in rivals}", DomainIn("person.email_domain", ("rival.io", "othercrm.com"))),
        ("{person.country: NO}", OneOf("person.country", ("no",))),
        ("{person.country: UK}", OneOf("person.country", ("gb",))),
        ("{person.country: [IN, el]}", OneOf("person.country", ("in", "gr"))),
        ("{person.country: in home}", OneOf("person.country", ("no", "se"))),
        ("{company.industry: in words}", OneOf("company.industry", ("software", "health tech"))),
        (
            "{company.employees: in sizes}",
            Any((Equals("company.employees", 1_000_000), Equals("company.employees", 2_500_000))),
        ),
        (
            "{person.country: not in home}",
            All((Known("person.country"), Not(OneOf("person.country", ("no", "se"))))),
        ),
        ("{company.open_opportunities: 0}", Equals("company.open_opportunities", 0)),
        ("{company.employees: from 200}", AtLeast("company.employees", 200_000_000)),
        ("{identity.confidence: below 0.9}", Below("identity.confidence", 900_000)),
        ("{person.seniority: from director}", OneOf("person.seniority", SENIOR)),
        ("{person.seniority: below individual}", OneOf("person.seniority", ("student",))),
        ("{person.lifecycle_stage: other}", OneOf("person.lifecycle_stage", ("other",))),
        ("{person.consent: [none, unknown]}", Any((OneOf("person.consent", ("none",)), Missing("person.consent")))),
        ("{person.consent: Given}", OneOf("person.consent", ("given",))),
        ("{person.title: has word Vice-President or VP}", HasWords("person.title", (" vice president ", " vp "))),
        (
            "{person.title: not has word intern}",
            All((Known("person.title"), Not(HasWords("person.title", (" intern ",))))),
        ),
        ("{person.title: contains Audit or tax}", Contains("person.title", ("audit", "tax"))),
        ("{person.department: starts with FIN}", StartsWith("person.department", ("fin",))),
        ("{person.created_at: within 30 days}", AgeBelow("person.created_at", Span(30))),
        ("{person.last_assigned_at: older than 6 months}", AgeFrom("person.last_assigned_at", Span(6, Unit.MONTH))),
        ("{person.created_at: before 2026-01-01}", DateBefore("person.created_at", date(2026, 1, 1))),
        ("{person.custom.born: from 2026-01-01}", DateFrom("person.custom.born", date(2026, 1, 1))),
        ("{person.unsubscribed: true}", Equals("person.unsubscribed", True)),
        ("{person.custom.ok: false}", Equals("person.custom.ok", False)),
        ("{person.phone: invalid}", Validity("person.phone", False)),
        ("{person.email: valid}", Validity("person.email", True)),
        ("{company.name: known}", Known("company.name")),
        ("{company.name: Unknown}", Missing("company.name")),
        ("{person.custom.tags: [a, B]}", OneOf("person.custom.tags", ("a", "b"), True)),
        (
            "{company.employees: below 50, person.country: US}",
            All((Below("company.employees", 50_000_000), OneOf("person.country", ("us",)))),
        ),
        (
            "[{person.seniority: student}, {person.title: has word professor}]",
            Any((OneOf("person.seniority", ("student",)), HasWords("person.title", (" professor ",)))),
        ),
    ],
)
def test_phrases_become_nodes_in_stored_form(text: str, condition: object) -> None:
    assert read(text) == (condition, [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{person.titel: x}", "f.yaml:1:5: c: unknown field 'person.titel', did you mean 'person.title'?"),
        ("{title: x}", "f.yaml:1:5: c: unknown field 'title', did you mean 'person.title'?"),
        (
            "{person.custom.use_case: x}",
            "f.yaml:1:5: c: unknown field 'person.custom.use_case': fields.yaml does not map it",
        ),
        ("{fit.unknown_groups: from 2}", "f.yaml:1:5: c: 'fit.unknown_groups' is only known in mql"),
        (
            "{person.title: has word student, intern}",
            "f.yaml:1:37: c.intern: no value, and not a field; "
            'inside { } a comma starts a new condition: join words with "or"',
        ),
        ("{person.title: }", "f.yaml:1:5: c.person.title: no value"),
        ("{}", "f.yaml:1:4: c: an empty condition: name a fact and what it must be"),
        ("[]", "f.yaml:1:4: c: an empty list never matches"),
        ("{person.consent: []}", "f.yaml:1:21: c.person.consent: an empty list never matches"),
        (
            "{person.consent: gven}",
            "f.yaml:1:21: c.person.consent: 'gven' is not one of given, legitimate_interest, none, withdrawn, "
            "did you mean 'given'?",
        ),
        (
            "{company.employees: form 200}",
            "f.yaml:1:24: c.company.employees: unknown phrase 'form 200', did you mean 'from 200'?",
        ),
        (
            "{person.seniority: form vp}",
            "f.yaml:1:23: c.person.seniority: unknown phrase 'form vp', did you mean 'from vp'?",
        ),
        ("{person.email: vald}", "f.yaml:1:19: c.person.email: unknown phrase 'vald', did you mean 'valid'?"),
        ("{company.employees: '1,000'}", "f.yaml:1:24: c.company.employees: '1,000': write 1000"),
        ("{person.unsubscribed: yes}", "f.yaml:1:26: c.person.unsubscribed: 'yes': write true or false"),
        ("{person.country: Germany}", "f.yaml:1:21: c.person.country: 'Germany': write DE"),
        ("{person.country: XX}", "f.yaml:1:21: c.person.country: 'XX' is not an ISO 3166-1 alpha-2 country code"),
        ("{person.country: in emae}", "f.yaml:1:21: c.person.country: no list 'emae'"),
        ("{person.country: in hme}", "f.yaml:1:21: c.person.country: no list 'hme', did you mean 'home'?"),
        ("{person.country: in names}", "lists.yaml:6:9: names[0]: 'Germany': write DE"),
        ("{person.email_domain: a@acme.com}", "f.yaml:1:26: c.person.email_domain: a domain has no @: write acme.com"),
        (
            "{person.email_domain: '*.acme.com'}",
            "f.yaml:1:26: c.person.email_domain: '*.acme.com': write acme.com, its subdomains are meant as well",
        ),
        ("{person.title: has words intern}", "f.yaml:1:19: c.person.title: 'has words': did you mean 'has word'?"),
        ("{person.title: contains a}", "f.yaml:1:19: c.person.title: 'contains' needs at least 2 characters"),
        ("{person.title: has word +}", "f.yaml:1:19: c.person.title: 'has word' needs letters or digits"),
        (
            "{person.city: from Berlin}",
            "f.yaml:1:18: c.person.city: 'from' needs a number, a date or a rank; "
            "write 'is from Berlin' to mean the text itself",
        ),
        (
            "{person.created_at: within 24 hours}",
            "f.yaml:1:24: c.person.created_at: 'within 24 hours': scoring counts whole days: write '1 day'",
        ),
        (
            "{person.created_at: below 2026-01-01}",
            "f.yaml:1:24: c.person.created_at: 'below' is for numbers and ranks: write 'before'",
        ),
        ("{person.owner: active}", "f.yaml:1:19: c.person.owner: 'active' is only known in routing"),
        ("{company.name: not unknown}", "f.yaml:1:19: c.company.name: 'not unknown': write 'known'"),
        ("{company.name: not known}", "f.yaml:1:19: c.company.name: 'not known': write 'unknown'"),
        (
            "{person.seniority: below student}",
            "f.yaml:1:23: c.person.seniority: nothing is below 'student', "
            "the lowest of student, individual, lead, manager, director, head, vp, c_level",
        ),
        (
            "{person.lifecycle_stage: from other}",
            "f.yaml:1:29: c.person.lifecycle_stage: 'other' has no rank: nothing is above or below it",
        ),
        ("{company.employees: is 5}", "f.yaml:1:24: c.company.employees: 'is' is for texts: write '5'"),
        ("{company.name: {a: b}}", "f.yaml:1:19: c.company.name: a text is wanted here, not a mapping"),
    ],
)
def test_what_is_no_phrase_is_told_with_place_and_cure(text: str, problem: str) -> None:
    assert read(text)[1] == [problem]


def test_the_owner_phrases_are_for_routing() -> None:
    assert read("{person.owner: [active, unknown]}", "routing") == (
        Any((OwnerState("person.owner", "active"), Missing("person.owner"))),
        [],
    )


def match(event: str, where: str | None = None):
    node = read_document(f"event: {event}\n" + (f"where: {where}\n" if where else ""), "f.yaml")
    found = parse_match(node.find("event"), node.find("where"), names())
    return found, [str(p) for p in node.problems]


@pytest.mark.parametrize(
    ("where", "condition"),
    [
        ("{path: /pricing/}", OneOf("path", ("/pricing",))),
        ("{path: /}", OneOf("path", ("/",))),
        ("{path: [/careers, /careers/*]}", Any((OneOf("path", ("/careers",)), StartsWith("path", ("/careers/",))))),
        ("{path: [not /a, unknown]}", Any((All((Known("path"), Not(OneOf("path", ("/a",))))), Missing("path")))),
    ],
)
def test_paths_are_equal_or_begin_alike(where: str, condition: object) -> None:
    assert match("page_view", where) == (EventMatch(("page_view",), condition), [])


def test_any_is_spelled_out_with_its_exceptions() -> None:
    found, problems = match("any")
    assert not problems
    assert set(kinds_of(found)) == set(EVENT_KINDS) - set(ANY_KIND_EXCEPT)
    assert "call" not in found.kinds
    (call,) = found.any_of
    assert call.kinds == ("call",)
    assert call.where == Any((Not(OneOf("direction", ("outbound",))), OneOf("outcome", ("connected",))))


def test_a_restriction_reaches_every_alternative() -> None:
    known = names()
    known.hand_raise = EventMatch(("demo_request",), any_of=(EventMatch(("form_submit",), OneOf("form", ("demo",))),))
    node = read_document("event: hand_raise\nwhere: {page: /x}\n", "f.yaml")
    found = parse_match(node.find("event"), node.find("where"), known)
    page = OneOf("page", ("/x",))
    assert found == EventMatch(
        ("demo_request",), page, (EventMatch(("form_submit",), All((OneOf("form", ("demo",)), page))),)
    )


@pytest.mark.parametrize(
    ("event", "where", "problem"),
    [
        ("pageview", None, "f.yaml:1:8: event: unknown event 'pageview', did you mean 'page_view'?"),
        ("[chat, caal]", None, "f.yaml:1:15: event[1]: unknown event 'caal', did you mean 'call'?"),
        ("page_view", "{form: x}", "f.yaml:2:9: where: page_view has no form; it has path"),
        ("[form_submit, chat]", "{form: x}", "f.yaml:2:9: where: chat has no form; it has channel, minutes"),
        ("page_view", "{path: /a*b}", "f.yaml:2:15: where.path: '*' only at the end"),
        (
            "site_visit",
            "{minutes: long}",
            "f.yaml:2:18: where.minutes: unknown phrase 'long': minutes takes in, from, below, known, unknown",
        ),
        (
            "form_submit",
            "{form: demo, contact}",
            "f.yaml:2:21: where.contact: no value, and not an attribute; "
            'inside { } a comma starts a new condition: join words with "or"',
        ),
    ],
)
def test_events_and_attributes_are_checked(event: str, where: str | None, problem: str) -> None:
    assert match(event, where)[1] == [problem]


@pytest.mark.parametrize(
    ("text", "fade"),
    [
        ("none", Fade()),
        ("half-life 14 days", Fade(FadeMode.HALF_LIFE, Span(14))),
        ("half-life 2 weeks", Fade(FadeMode.HALF_LIFE, Span(14))),
        ("lose 50% every 30 days", Fade(FadeMode.LINEAR, Span(30), 5000)),
        ("lose 25% every month", Fade(FadeMode.LINEAR, Span(1, Unit.MONTH), 2500)),
        ("lose 0.5% every week", Fade(FadeMode.LINEAR, Span(7), 50)),
        ("lose 10% every 3 months compounding", Fade(FadeMode.COMPOUND, Span(3, Unit.MONTH), 1000)),
        ("expire after 90 days", Fade(FadeMode.EXPIRE, Span(90))),
        ("expire after 2 months", Fade(FadeMode.EXPIRE, Span(2, Unit.MONTH))),
    ],
)
def test_fades(text: str, fade: Fade) -> None:
    assert parse_fade(text) == fade


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("half-life 2 months", "half-life takes days or weeks"),
        ("lose 50% every 30 day compund", "unknown word 'compund', did you mean 'compounding'?"),
        (
            "lose 50% every moth",
            "'lose 50% every moth': after 'every' comes a span, or day, week or month, did you mean 'month'?",
        ),
        ("halflife 3 days", "unknown fade 'halflife 3 days', did you mean 'half-life'?"),
        ("lose 0.5 every day", "'0.5': a percentage has a %: write 50%"),
    ],
)
def test_fades_that_are_none(text: str, message: str) -> None:
    with pytest.raises(Unreadable) as refused:
        parse_fade(text)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("every", Count()),
        ("once", Count(CountMode.ONCE)),
        ("once per day", Count(CountMode.ONCE_PER_DAY)),
        ("once per week", Count(CountMode.ONCE_PER_WEEK)),
        ("once per month", Count(CountMode.ONCE_PER_MONTH)),
        ("once per path", Count(CountMode.ONCE_PER, "path")),
        ("at least 5 in 7 days", Count(CountMode.AT_LEAST, n=5, window=Span(7))),
        ("distinct path at least 3", Count(CountMode.DISTINCT, "path", 3)),
        ("distinct path at least 3 in 30 days", Count(CountMode.DISTINCT, "path", 3, Span(30))),
    ],
)
def test_counts(text: str, count: Count) -> None:
    assert parse_count(text, ("page_view",)) == count


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("once a day", "unknown count 'once a day', did you mean 'once per day'?"),
        ("once per dya", "unknown count 'once per dya', did you mean 'once per day'?"),
        ("once per link", "page_view has no link; it has path"),
        ("at least 5", "'5': write it like '5 in 7 days'"),
        ("at least 0 in 7 days", "'0': a number from 1 to 1000000 is wanted here"),
        ("distinct feature at least 3", "page_view has no feature; it has path"),
    ],
)
def test_counts_that_are_none(text: str, message: str) -> None:
    with pytest.raises(Unreadable) as refused:
        parse_count(text, ("page_view",))
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "text",
    [
        "person.country: no or se, company.employees: from 200",
        "person.title: has word vice president or vp",
        "person.created_at: within 30 days",
        "person.seniority: not director",
        "person.phone: invalid",
        "identity.confidence: below 0.9",
        "person.unsubscribed: true",
    ],
)
def test_a_condition_is_said_in_the_language_it_was_written_in(text: str) -> None:
    written = text.replace("no or se", "[NO, SE]")
    assert say(read(f"{{{written}}}")[0]) == text
