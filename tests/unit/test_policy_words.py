"""What the language promises word for word: the complete files load, and wrong ones say what is right."""

# ruff: noqa: E501  (messages are compared whole, a table line is one case)

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from scoring.cards import cards
from scoring.document import PolicyInvalid, Source
from scoring.engine import DuckDbEngine
from scoring.load import load_policy
from sync.mapping import load_mapping
from tests.support.policy_text import POLICY, TEAM, but, load, problems
from tests.support.rules import COMPLETE
from tests.support.snapshots import write_bucket

NAMES = ("policy.yaml", "team.yaml", "fields.yaml")
TEXT = {name: (COMPLETE / name).read_text(encoding="utf-8") for name in NAMES}


def complete(*, edited: str = "", old: str = "", new: str = "", **how: bool) -> list[str]:
    """The warnings about the complete files, one of which is edited."""
    text = {**TEXT}
    if edited:
        assert text[edited].count(old) == 1, f"{old!r} is not exactly once in {edited}"
        text[edited] = text[edited].replace(old, new)
    source = {name: Source(name, text[name].encode()) for name in NAMES}
    fields, warnings = load_mapping(source["fields.yaml"])
    _, more = load_policy(
        source["policy.yaml"],
        source["team.yaml"],
        lists=str,
        custom=fields.custom,
        seniority=fields.seniority,
        fields_hash=fields.hash,
        mapped=fields.facts_by_property(),
        **how,
    )
    return [warning.code for warning in (*warnings, *more)]


def test_the_complete_files_load_and_only_capped_sums_that_fade_are_warned_of() -> None:
    assert set(complete()) == {"W07"}


SMALLEST = """\
version: 1
name: starter
suppress: {customer: {company.is_customer: true}, unsubscribed: {person.unsubscribed: true}}
fit:
  groups:
    size:  {field: company.employees, points: {from 200: 50, from 20: 25, unknown: 10, otherwise: 0}}
    title: {field: person.seniority, points: {from head: 50, from manager: 30, unknown: 0, otherwise: 10}}
engagement:
  groups:
    all:
      fade: half-life 30 days
      rules:
        - {event: demo_request, points: 60, count: once}
        - {event: form_submit, points: 20, count: once per form}
        - {event: page_view, points: 3, count: once per day, max: 30}
grade: {fit: {A: 70, B: 40, C: 0}, engagement: {1: 50, 2: 20, 3: 0}}
mql: {become_when: {good_and_warm: {grade: [A1, A2, B1]}}}
routing: [{name: everyone, to: pool sales}]
write: {hubspot: {contact: {status: mql_status, grade: mql_grade, owner: hubspot_owner_id}}}
"""

SMALLEST_TEAM = """\
version: 1
reps:  {ana@acme.com: {hubspot: 1101}, bo@acme.com: {hubspot: 1102}}
pools: {sales: {method: even, nobody_free: queue inbound, reps: {ana@acme.com: {}, bo@acme.com: {}}}}
queues: {inbound: {}}
"""


def test_the_smallest_useful_files_load_for_a_run() -> None:
    policy, warnings = load(SMALLEST, SMALLEST_TEAM)
    assert policy.name == "starter"
    assert {warning.code for warning in warnings} <= {"W07", "W13"}


# -- section 2: each message as it is promised -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("policy.yaml", "    - {person.seniority: student}\n    - {person.title: has word professor or lecturer}", "    {person.title: has word student, intern}", "suppress.student.intern: no value, and not a field; inside { } a comma starts a new condition: join words with \"or\""),
        ("policy.yaml", "points: {from 2000: 25, from 200: 35", "points: {from 2000: 25, form 200: 35", "fit.groups.company_size.points: unknown phrase 'form 200', did you mean 'from 200'?"),
        ("policy.yaml", "event: page_view, where: {path: /pricing}", "event: pageview", "engagement.groups.research.rules[0].event: unknown event 'pageview', did you mean 'page_view'?"),
        ("team.yaml", "      ana@acme.com: {weight", "      anna@acme.com: {weight", "pools.emea.reps: 'anna@acme.com' is not in reps, did you mean 'ana@acme.com'?"),
        ("policy.yaml", "    red_flags:  ", "    seniority:  ", "fit.groups.seniority: this key is already on line 39"),
        ("policy.yaml", "suppress:  ", "supress:  ", "supress: unknown key, did you mean 'suppress'?"),
        ("policy.yaml", "nurture: webinars}", "nurture: webinar}", "recycle.reasons.not_ready.nurture: unknown track 'webinar', did you mean 'webinars'?"),
        ("policy.yaml", "hours:              new-york", "hours: newyork", "mql.review.hours: unknown hours 'newyork', did you mean 'new-york'?"),
        ("policy.yaml", "to: pool americas}", "to: pool america}", "routing[6].to: unknown pool 'america', did you mean 'americas'?"),
        ("policy.yaml", "then:           queue inbound", "then: queue inbund", "sla.then: unknown queue 'inbund', did you mean 'inbound'?"),
        ("policy.yaml", "person.email_domain: in competitors", "person.email_domain: in competitor", "suppress.competitor.person.email_domain: no list 'competitor', did you mean 'competitors'?"),
        ("policy.yaml", "where: {minutes: from 10}", "where: {minute: from 10}", "engagement.groups.research.rules[3].where: site_visit has no minute; it has minutes"),
        ("policy.yaml", "when: {company.tier: named}, to: pool enterprise", "to: rep dea@acme.com", "routing[3].to: unknown rep 'dea@acme.com', did you mean 'dee@acme.com'?"),
        ("fields.yaml", "person.custom.use_case:  main_use_case", "person.custm.use_case: main_use_case", "hubspot.contact.person.custm.use_case: unknown field 'person.custm.use_case'"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_complete_files_is_told_as_promised(file: str, old: str, new: str, said: str) -> None:
    with pytest.raises(PolicyInvalid) as invalid:
        complete(edited=file, old=old, new=new)
    told = [str(problem) for problem in invalid.value.problems]
    line = TEXT[file][: TEXT[file].index(old)].count("\n") + 1
    assert any(one.partition(": ")[2] == said for one in told), told
    assert any(one.startswith(f"{file}:{line + shift}:") for one in told for shift in (0, 1)), told


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("person.consent: gven", "'gven' is not one of given, legitimate_interest, none, withdrawn, did you mean 'given'?"),
        ("person.email_domain: ana@acme.com", "a domain has no @: write acme.com"),
        ("company.open_opportunities: '1,000'", "'1,000': write 1000"),
        ("person.country: in emae", "no list 'emae', did you mean 'emea'?"),
        ("person.consent: []", "an empty list never matches"),
        ("person.title: has words vice president", "'has words': did you mean 'has word'?"),
        ("person.title: contains a", "'contains' needs at least 2 characters"),
        ("person.title: from berlin", "'from' needs a number, a date or a rank; write 'is from berlin' to mean the text itself"),
        ("person.country: from DE", "'from' needs a number, a date or a rank"),
        ("person.created_at: within 24 hours", "'within 24 hours': scoring counts whole days: write '1 day'"),
        ("person.created_at: older than -3 days", "'-3 days' is not a span: write it like '14 days', '2 weeks' or '3 months'"),
        ("person.unsubscribed: 'yes'", "'yes': write true or false"),
        ("company.owner: active", "'active' is only known in routing"),
        ("company.owner: working", "'working' is only known in routing"),
        ("person.country: not unknown", "'not unknown': write 'known'"),
        ("person.country: Norway", "'Norway': write NO"),
        ("company.employees: from 2k", "'2k' is not a number (at most 12 digits before and 6 after the point)"),
        ("person.created_at: from 21.12.2026", "'21.12.2026': write 2026-12-21"),
    ],
)  # fmt: skip
def test_a_phrase_that_is_none_is_told_as_promised(condition: str, said: str) -> None:
    text = but("fit:\n", f"lists: {{emea: [DE]}}\nsuppress: {{line: {{{condition}}}}}\nfit:\n")
    (found,) = problems(text)
    assert found.startswith("policy.yaml:4:")
    assert found.endswith(f": {said}")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("half-life 30 days", "lose 50% every 30 day compund", "did you mean 'compounding'?"),
        ("half-life 30 days", "half-life 2 months", "half-life takes days or weeks"),
        ("half-life 30 days", "lose -5% every month", "'-5%': a percentage is from 0% to 100%"),
        ("once per form", "once a day", "did you mean 'once per day'?"),
        ("event: form_submit, points: 20, count: once per form", "event: page_view, points: 20, count: once per link", "page_view has no link; it has path"),
        ("event: form_submit, points: 20", "event: page_view, where: {path: /a*b}, points: 20", "'*' only at the end"),
        ("from 20: 25", "below 20: 25", "tables use lower bounds only: write 'from'"),
    ],
)  # fmt: skip
def test_fades_counts_and_tables_are_told_as_promised(old: str, new: str, said: str) -> None:
    text = but(old, new)
    if "page_view" in new and "once per form" in text:
        text = but(", count: once per form", "", text)
    (found,) = problems(text)
    assert found.endswith(said)


def test_no_is_norway() -> None:
    text = but(
        "fit:\n", "lists: {home: [NO, SE]}\nsuppress: {a: {person.country: in home}, b: {person.country: no}}\nfit:\n"
    )
    one, other = load(text)[0].suppress
    assert one.test.values == ("no", "se")
    assert other.test.values == ("no",)


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ("{a: [x], b: [in a, y]}", "3:21: lists.b[0]: lists do not contain lists: name both where they are used, [in a, in b]"),
        ("{a: [in b], b: [in a]}", "3:13: lists.a[0]: lists do not contain lists: name both where they are used, [in a, in b]"),
        ("{a: [[x]]}", "3:13: lists.a[0]: lists do not contain lists: name both where they are used, [in a, in b]"),
        ("{a: b}", "3:12: lists.a: a list is wanted here: [a, b], or 'file ...'"),
        ("{a: []}", "3:12: lists.a: an empty list never matches"),
        ("{A: [x]}", "3:9: lists.A: a list's name is lower-case words joined by _"),
        ("{a: [x, ]}", None),
    ],
)  # fmt: skip
def test_lists_do_not_contain_lists(lists: str, said: str | None) -> None:
    text = but("fit:\n", f"lists: {lists}\nfit:\n")
    if said is None:
        load(text)
    else:
        assert f"policy.yaml:{said}" in problems(text)


# -- what is not known is not held against anybody ---------------------------------------------------------------


def test_custom_facts_of_a_broken_fields_file_are_not_called_unknown() -> None:
    condition = "{person.custom.seats: from 5, person.custom.plan: gold, person.emial: known}"
    text = but("fit:\n", f"suppress: {{line: {condition}}}\nfit:\n")
    text = but("field: company.employees", "field: person.custom.size", text)
    assert [line.rpartition(": ")[2] for line in problems(text, all_custom=False)] == [
        "unknown field 'person.emial', did you mean 'person.email'?"
    ]
    assert len(problems(text)) == 4


def test_names_of_a_team_that_cannot_be_read_are_not_called_unknown() -> None:
    (problem,) = problems(POLICY, TEAM + "managers: [")
    assert problem.startswith("team.yaml:")


# -- much of it --------------------------------------------------------------------------------------------------


def many(n: int) -> str:
    rules = "\n".join(
        f"        - {{name: rule {i}, event: page_view, where: {{path: /p/{i}}}, points: 1}}" for i in range(n)
    )
    return but("        - {event: demo_request, points: 60, count: once}", rules)


def test_ten_thousand_rules_are_refused_once_at_the_first_too_many() -> None:
    (problem,) = problems(many(10_000))
    assert problem.startswith("policy.yaml:910:11: engagement.groups.all.rules[899]: at most 900 rules and tables")


def test_rules_of_models_count_as_well() -> None:
    rules = ", ".join("{event: chat, points: 1}" for _ in range(300))
    engagement = f"engagement: {{groups: {{all: {{rules: [{rules}]}}}}}}"
    models = "".join(f"  m{n}: {{when: {{company.employees: from {n}}}, {engagement}}}\n" for n in (30, 20, 10))
    (problem,) = problems(but("mql:", f"models:\n{models}mql:"))
    assert "models.m10.engagement.groups.all.rules[297]: at most 900 rules" in problem


FITS = """\
version: 1
name: small
fit:
  groups:
    size: {{rules: [{rules}]}}
    name: {{rules: [{{when: {{company.name: known}}, points: 1}}]}}
grade: {{fit: {{A: 20, B: 0}}}}
mql: {{become_when: {{good: {{fit: [A]}}}}}}
routing: [{{name: everyone, to: pool sales}}]
"""


def test_as_many_rules_as_are_allowed_are_scored(tmp_path: Path) -> None:
    rules = (f"{{name: from {n}, when: {{company.employees: from {n}}}, points: 1}}" for n in range(899))
    policy, _ = load(FITS.format(rules=", ".join(rules)))
    bucket = write_bucket(tmp_path, {"p": {"company.employees": 29}}, {})
    with DuckDbEngine() as engine:
        (card,) = cards(engine.score(policy, bucket, date(2026, 6, 15)))
    assert card.fit == 30


def test_rules_without_a_name_are_numbered_without_looking_at_all_before() -> None:
    rules = "        - {event: page_view, points: 1}\n" * 800
    policy, _ = load(but("        - {event: demo_request, points: 60, count: once}\n", rules))
    assert policy.models[0].engagement.groups[0].items[799].name == "page view (800)"


def test_a_long_list_is_read_once_however_often_it_is_used() -> None:
    lines = "".join(f"  line{i}: {{person.email_domain: in long}}\n" for i in range(50))
    text = but("fit:\n", f"lists: {{long: file long.txt}}\nsuppress:\n{lines}fit:\n")
    domains = [f"d{i}.example" for i in range(20_000)]
    policy, _ = load(text, lists=lambda name: "\n".join(domains))
    assert policy.suppress[0].test is policy.suppress[49].test
    assert policy.suppress[0].test.values == tuple(domains)
