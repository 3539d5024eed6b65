"""Ignored events, fit in thirds and examples: what they become, and every error at its place."""

# ruff: noqa: E501  (messages are compared whole, a table line is one case)

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from scoring.conditions import (
    LADDER,
    BeforeFirst,
    Burst,
    DomainIn,
    EventMatch,
    Ignore,
    LabelIn,
    OneOf,
    Score,
    SoonAfter,
    Table,
)
from scoring.facts import FactType, custom_fact
from scoring.load_grade import STEPS
from scoring.policy import Example, ExampleEvent, Expected, Policy
from tests.support.policy_text import TEAM, but, load, problems

IGNORE = but(
    "engagement:\n",
    """\
engagement:
  ignore:
    - {name: scanner, event: email_click, where: {link: /x*}, within: 10 seconds of email_delivered}
    - {name: storm, event: email_click, at_least: 3 links in 2 minutes}
    - {event: [email_click, email_open], at_least: 5 times in 1 hour}
    - {name: early, event: email_click, when: {person.email_domain: scan.io}, before: email_delivered}
    - {event: email_open}
""",
)


def told(text: str, old: str, new: str, **more: Any) -> list[str]:
    return problems(but(old, new, text), TEAM, **more)


# -- ignore ------------------------------------------------------------------------------------------------------


def test_ignored_events_become_types() -> None:
    lines = load(IGNORE)[0].models[0].engagement.ignore
    click = EventMatch(("email_click",))
    assert lines[1:4] == (
        Ignore(name="storm", match=click, test=Burst(3, "link", 120_000_000)),
        Ignore(
            name="email click or email open, at least 5 times in 1 hour",
            match=EventMatch(("email_click", "email_open")),
            test=Burst(5, None, 3_600_000_000),
        ),
        Ignore(
            name="early",
            match=click,
            when=DomainIn("person.email_domain", ("scan.io",)),
            test=BeforeFirst("email_delivered"),
        ),
    )
    assert lines[0].test == SoonAfter("email_delivered", 10_000_000)
    assert (lines[4].name, lines[4].test) == ("email open", None)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("10 seconds of email_delivered", "10 days of email_delivered", "policy.yaml:8:71: engagement.ignore[0].within: '10 days' is not a time span: write it like '10 seconds', '5 minutes' or '2 hours'"),
        ("10 seconds of email_delivered", "0 seconds of email_delivered", "policy.yaml:8:71: engagement.ignore[0].within: '0 seconds': from 1 second to 8760 hours"),
        ("10 seconds of email_delivered", "-1 seconds of email_delivered", "policy.yaml:8:71: engagement.ignore[0].within: '-1 seconds' is not a time span: write it like '10 seconds', '5 minutes' or '2 hours'"),
        ("10 seconds of email_delivered", "10 seconds", "policy.yaml:8:71: engagement.ignore[0].within: '10 seconds': write it like '10 seconds of email_delivered'"),
        ("10 seconds of email_delivered", "10 seconds of email_deliverd", "policy.yaml:8:71: engagement.ignore[0].within: unknown event 'email_deliverd', did you mean 'email_delivered'?"),
        ("10 seconds of email_delivered", "10 seconds of any", "policy.yaml:8:71: engagement.ignore[0].within: unknown event 'any'"),
        ("3 links", "3 link", "policy.yaml:9:51: engagement.ignore[1].at_least: unknown attribute 'link', did you mean 'links'?"),
        ("3 links", "3 paths", "policy.yaml:9:51: engagement.ignore[1].at_least: email_click has no path; it has email, link"),
        ("3 links", "0 links", "policy.yaml:9:51: engagement.ignore[1].at_least: '0 links in 2 minutes': a number from 1 to 1000000 is wanted here"),
        ("3 links in 2 minutes", "3 links in 2 days", "policy.yaml:9:51: engagement.ignore[1].at_least: '2 days' is not a time span: write it like '10 seconds', '5 minutes' or '2 hours'"),
        ("3 links in 2 minutes", "many", "policy.yaml:9:51: engagement.ignore[1].at_least: 'many': write it like '3 links in 2 seconds' or '5 times in 1 minute'"),
        ("before: email_delivered", "before: page_view", "policy.yaml:11:87: engagement.ignore[3].before: page_view has no email by which to tell what was before what"),
        ("{name: storm", "{name: scanner", "policy.yaml:9:14: engagement.ignore[1].name: the name 'scanner' is already used on line 8"),
        ("3 links in 2 minutes", "3 links in 2 minutes, before: email_delivered", "policy.yaml:9:81: engagement.ignore[1].before: a line has at most one test: here are 'at_least' and 'before'"),
        ("- {event: email_open}", "- {event: email_open, points: 3}", "policy.yaml:12:27: engagement.ignore[4].points: unknown key"),
        ("- {event: email_open}", "- {name: all}", "policy.yaml:12:7: engagement.ignore[4].event: this key is missing"),
    ],
)  # fmt: skip
def test_an_error_of_an_ignored_event(old: str, new: str, problem: str) -> None:
    assert told(IGNORE, old, new) == [problem]


# -- thirds ------------------------------------------------------------------------------------------------------

THIRDS = but(
    """\
fit:
  groups:
    size: {field: company.employees, points: {from 200: 60, from 20: 25, unknown: 10, otherwise: 0}}
""",
    """\
fit:
  style: thirds
  start: C
  criteria:
    size:  {field: company.employees, match: from 200, weight: 2}
    title: {field: person.seniority, match: [from vp, head]}
""",
    but("{fit: {A: 50, B: 0}, engagement", "{engagement"),
)


def gate(line: str) -> Any:
    return load(but("{grade: [A1]}", line, THIRDS))[0].models[0].become_when[0].test


def test_a_fit_in_thirds_is_tables_that_give_and_take() -> None:
    (model,) = load(THIRDS)[0].models
    fit = model.fit
    assert (fit.thirds, fit.start, fit.max, fit.floor) == (True, LADDER.index("C") * 1_000_000, 12_000_000, 0)
    (size,), (title,) = (group.items for group in fit.groups)
    assert isinstance(size, Table)
    assert (size.lines[0].micro, size.otherwise, size.unknown, size.lines[0].label) == (
        2_000_000,
        -2_000_000,
        0,
        "from 200",
    )
    assert (title.lines[0].micro, title.otherwise) == (1_000_000, -1_000_000)
    assert title.lines[0].test == OneOf("person.seniority", ("vp", "c_level", "head"))
    assert model.grade.fit == STEPS
    assert STEPS.labels[0] == "A+"
    assert STEPS.bounds == tuple(range(12, -1, -1))


@pytest.mark.parametrize(
    ("line", "becomes"),
    [
        ("{grade: [B1]}", LabelIn(Score.GRADE, ("B+1", "B1", "B-1"))),
        ("{grade: [B+1]}", LabelIn(Score.GRADE, ("B+1",))),
        ("{grade: F2}", LabelIn(Score.GRADE, ("F2",))),
        ("{fit: [A, F]}", LabelIn(Score.FIT, ("A+", "A", "A-", "F"))),
        ("{fit: from B-}", LabelIn(Score.FIT, ("A+", "A", "A-", "B+", "B", "B-"))),
        ("{fit: from B}", LabelIn(Score.FIT, ("A+", "A", "A-", "B+", "B"))),
        ("{fit: below D}", LabelIn(Score.FIT, ("D-", "F"))),
    ],
)
def test_labels_compare_on_the_ladder(line: str, becomes: LabelIn) -> None:
    assert gate(line) == becomes


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("start: C", "start: E", "policy.yaml:5:10: fit.start: 'E' is not a step of F D- D D+ C- C C+ B- B B+ A- A A+, did you mean 'F'?"),
        ("  start: C\n", "", "policy.yaml:4:3: fit.start: this key is missing"),
        ("start: C", "start: C\n  max: 50", "policy.yaml:6:8: fit.max: 'max' belongs to style: points"),
        ("weight: 2", "weight: 4", "policy.yaml:7:64: fit.criteria.size.weight: '4': a whole number from 1 to 3 is wanted here"),
        ("from 200", "form 200", "policy.yaml:7:46: fit.criteria.size.match: unknown phrase 'form 200', did you mean 'from 200'?"),
        ("from 200", "[from 200, unknown]", "policy.yaml:7:46: fit.criteria.size.match: a field that is missing neither adds nor takes away: 'unknown' cannot match"),
        ("{engagement", "{fit: {A: 50, B: 0}, engagement", "policy.yaml:16:14: grade.fit: fit is in thirds, a step of F to A+ and no number: its labels are the steps"),
        ("2: 0}}", "2: 0}, total: {bands: {hot: 0}}}", "policy.yaml:16:43: grade.total: fit is in thirds, a step of F to A+ and no number: there is no total"),
        ("{grade: [A1]}", "{fit: from 60}", "policy.yaml:17:33: mql.become_when.good.fit: 'from 60': fit is in thirds, a step of F to A+ and no number: write 'from B-'"),
        ("{grade: [A1]}", "{fit: from B--}", "policy.yaml:17:33: mql.become_when.good.fit: 'from B--': fit is in thirds, a step of F to A+ and no number, did you mean 'B-'?"),
        ("{grade: [A1]}", "{fit: below F}", "policy.yaml:17:33: mql.become_when.good.fit: nothing is below 'F', the lowest step"),
        ("{grade: [A1]}", "{total: from 60}", "policy.yaml:17:35: mql.become_when.good.total: there is no total: fit is in thirds, a step of F to A+ and no number"),
        ("{grade: [A1]}", "{grade: [E1]}", "policy.yaml:17:36: mql.become_when.good.grade[0]: unknown grade 'E1', did you mean 'A1'?"),
        ("status: mql_status", "fit: mql_fit", "policy.yaml:19:34: write.hubspot.contact.fit: fit is in thirds, a step of F to A+ and no number: write 'grade' instead of 'fit'"),
        ("status: mql_status", "total: mql_total", "policy.yaml:19:36: write.hubspot.contact.total: fit is in thirds, a step of F to A+ and no number: write 'grade' instead of 'total'"),
    ],
)  # fmt: skip
def test_an_error_of_a_fit_in_thirds(old: str, new: str, problem: str) -> None:
    assert told(THIRDS, old, new) == [problem]


def test_criteria_without_the_style_are_an_error() -> None:
    assert told(but("fit:\n", "fit:\n  start: C\n"), "version: 1\n", "version: 1\n") == [
        "policy.yaml:4:10: fit.start: 'start' belongs to style: thirds"
    ]


def test_a_model_in_thirds_beside_points_needs_a_grade_of_its_own() -> None:
    model = "models:\n  m: {{when: {{person.source: x}}, fit: {{style: thirds, start: C, criteria: {{t: {{field: person.title, match: known}}}}}}{}}}\nmql:"
    found = problems(but("mql:", model.format("")))
    assert found == [
        "policy.yaml:15:3: models.m: fit is in thirds, a step of F to A+ and no number, and grade.fit (line 13) is for points: give this model its own grade"
    ]
    own = but("mql:", model.format(", grade: {engagement: {1: 50, 2: 0}}"))
    first, default = load(own)[0].models
    assert (first.grade.fit, first.become_when[0].test) == (STEPS, LabelIn(Score.GRADE, ("A+1", "A1", "A-1")))
    assert default.become_when[0].test == LabelIn(Score.GRADE, ("A1",))


# -- examples ----------------------------------------------------------------------------------------------------

EXAMPLES = (
    but("mql: {", "suppress: {customer: {company.is_customer: true}}\nmql: {needs: [person.email], review: {odd: {person.phone: invalid}}, ")
    + """\
examples:
  - name: everything
    person:  {title: VP, email: Ann@Bank.example, country: uk, consent: given, custom.seats: 5, unsubscribed: false, city: unknown,
              created_at: 2026-01-31, last_owner: Ana@acme.com, custom.tags: [a, b]}
    company: {employees: 800, domain: Bank.example}
    identity: {confidence: 0.5}
    as_of: 2026-05-01T10:00:00+02:00
    events:
      - {event: demo_request, days_ago: 1, count: 3}
      - {event: site_visit, minutes: 12.5, at: 2026-04-30T08:00:00Z}
      - {event: form_submit, form: demo, page: /x, at: 2026-04-29}
    expect: {grade: A1, fit: B, engagement: 60, model: default, mql: good, suppressed: no, needs: [], review: [odd],
             route: pool  sales, missing: a phone, points: {fit: 60, all: -3}}
  - name: nobody
    expect: {}
"""
)  # fmt: skip

CUSTOM = {
    "person.custom.seats": custom_fact("person.custom.seats", FactType.NUMBER),
    "person.custom.tags": custom_fact("person.custom.tags", FactType.LIST),
}


def examples(text: str = EXAMPLES) -> tuple[Example, ...]:
    return load(text, custom=CUSTOM)[0].examples


def test_an_example_becomes_a_made_up_person() -> None:
    one, nobody = examples()
    assert one == Example(
        name="everything",
        facts={
            "person.title": "VP",
            "person.email": "Ann@Bank.example",
            "person.country": "GB",
            "person.consent": "given",
            "person.custom.seats": Decimal(5),
            "person.unsubscribed": False,
            "person.created_at": date(2026, 1, 31),
            "person.last_owner": "ana@acme.com",
            "person.custom.tags": ("a", "b"),
            "company.employees": Decimal(800),
            "company.domain": "bank.example",
            "identity.confidence": Decimal("0.5"),
        },
        events=(
            ExampleEvent(kind="demo_request", days_ago=1, count=3),
            ExampleEvent(kind="site_visit", at=datetime(2026, 4, 30, 8, tzinfo=UTC), attributes={"minutes": "12.5"}),
            ExampleEvent(kind="form_submit", at=date(2026, 4, 29), attributes={"form": "demo", "page": "/x"}),
        ),
        expect=Expected(
            grade="A1",
            fit="B",
            engagement="60",
            model="default",
            mql="good",
            suppressed="no",
            needs=(),
            review=("odd",),
            route="pool sales",
            missing="a phone",
            points={"fit": 60, "all": -3},
        ),
        as_of=datetime(2026, 5, 1, 8, tzinfo=UTC),
    )
    assert nobody == Example(name="nobody", facts={}, events=(), expect=Expected())


def test_an_example_knows_where_its_expectations_stand() -> None:
    one, nobody = examples()
    lines = EXAMPLES.splitlines()
    for key, (file, line, col, path) in one.place.items():
        assert file == "policy.yaml"
        last = key.rpartition(".")[2]
        assert path == ("examples[0]" if key == "" else f"examples[0].expect.{key}")
        assert lines[line - 1][: col - 1].endswith(f"{last}: " if key else "- ")
    assert {"grade", "points", "points.all", ""} < set(one.place)
    assert set(nobody.place) == {""}


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("title: VP", "titel: VP", "policy.yaml:20:15: examples[0].person.titel: unknown field 'person.titel', did you mean 'person.title'?"),
        ("title: VP", "person.title: VP", "policy.yaml:20:15: examples[0].person.person.title: unknown field 'person.person.title': write person: {title: ...}, each fact stands below what it is a fact of"),
        ("title: VP", "company.employees: 5", "policy.yaml:20:15: examples[0].person.company.employees: unknown field 'person.company.employees': write company: {employees: ...}, each fact stands below what it is a fact of"),
        ("title: VP", "seniority: vp", "policy.yaml:20:15: examples[0].person.seniority: 'person.seniority' is derived: give person.title instead"),
        ("country: uk", "country: Norway", "policy.yaml:20:60: examples[0].person.country: 'Norway': write NO"),
        ("consent: given", "consent: gven", "policy.yaml:20:73: examples[0].person.consent: 'gven' is not one of given, legitimate_interest, none, withdrawn, did you mean 'given'?"),
        ("custom.seats: 5", "custom.seats: five", "policy.yaml:20:94: examples[0].person.custom.seats: 'five' is not a number (at most 12 digits before and 6 after the point)"),
        ("unsubscribed: false", "unsubscribed: no", "policy.yaml:20:111: examples[0].person.unsubscribed: 'no': write true or false"),
        ("created_at: 2026-01-31", "created_at: 2026-01-31T10:00", "policy.yaml:21:27: examples[0].person.created_at: '2026-01-31T10:00' does not say its zone: write 2026-01-31T10:00Z for UTC, or an offset like +02:00"),
        ("created_at: 2026-01-31", "created_at: 31.01.2026", "policy.yaml:21:27: examples[0].person.created_at: '31.01.2026': write 2026-01-31"),
        ("as_of: 2026-05-01T10:00:00+02:00", "as_of: 2026-05-01", "policy.yaml:24:12: examples[0].as_of: '2026-05-01' is not an instant: write it like 2026-12-21T14:00:00Z"),
        ("event: demo_request, days_ago", "event: demo_requst, days_ago", "policy.yaml:26:17: examples[0].events[0].event: unknown event 'demo_requst', did you mean 'demo_request'?"),
        ("days_ago: 1,", "days_age: 1,", "policy.yaml:26:31: examples[0].events[0]: unknown key, did you mean 'days_ago'?"),
        ("days_ago: 1", "days_ago: -1", "policy.yaml:26:41: examples[0].events[0].days_ago: '-1': a whole number from 0 to 36500 is wanted here"),
        ("days_ago: 1", "days_ago: 1, at: 2026-04-01", "policy.yaml:26:9: examples[0].events[0]: say when: either days_ago or at"),
        ("days_ago: 1, count: 3", "days_ago: 1, path: /x", "policy.yaml:26:44: examples[0].events[0]: demo_request has no path; it has form, page"),
        ("minutes: 12.5", "minutes: many", "policy.yaml:27:38: examples[0].events[1].minutes: 'many' is not a number (at most 12 digits before and 6 after the point)"),
        ("grade: A1, fit", "grade: A3, fit", "policy.yaml:29:21: examples[0].expect.grade: unknown grade 'A3', did you mean 'A1'?"),
        ("fit: B,", "fit: Z,", "policy.yaml:29:30: examples[0].expect.fit: unknown fit 'Z', did you mean 'A'?"),
        ("engagement: 60,", "engagement: 60.5,", "policy.yaml:29:45: examples[0].expect.engagement: unknown engagement '60.5': it is one of 1, 2"),
        ("model: default", "model: defautl", "policy.yaml:29:56: examples[0].expect.model: unknown model 'defautl', did you mean 'default'?"),
        ("mql: good, s", "mql: god, s", "policy.yaml:29:70: examples[0].expect.mql: unknown line of become_when 'god', did you mean 'good'?"),
        ("suppressed: no", "suppressed: custmer", "policy.yaml:29:88: examples[0].expect.suppressed: unknown line of suppress 'custmer', did you mean 'customer'?"),
        ("needs: [],", "needs: [person.phone],", "policy.yaml:29:100: examples[0].expect.needs[0]: unknown fact of mql.needs 'person.phone'"),
        ("review: [odd]", "review: [od]", "policy.yaml:29:112: examples[0].expect.review[0]: unknown line of mql.review 'od', did you mean 'odd'?"),
        ("pool  sales", "pool sale", "policy.yaml:30:21: examples[0].expect.route: unknown pool 'sale', did you mean 'sales'?"),
        ("all: -3", "al: -3", "policy.yaml:30:70: examples[0].expect.points: unknown group 'al', did you mean 'all'?"),
        ("all: -3", "all: -3.5", "policy.yaml:30:75: examples[0].expect.points.all: '-3.5': a whole number from -1000000 to 1000000 is wanted here"),
        ("missing: a phone", "mising: a phone", "policy.yaml:30:34: examples[0].expect.mising: unknown key, did you mean 'missing'?"),
        ("name: nobody", "name: everything", "policy.yaml:31:11: examples[1].name: the name 'everything' is already used on line 19"),
        ("    expect: {}\n", "", "policy.yaml:31:5: examples[1].expect: this key is missing"),
    ],
)  # fmt: skip
def test_an_error_of_an_example(old: str, new: str, problem: str) -> None:
    assert told(EXAMPLES, old, new, custom=CUSTOM) == [problem]


# -- what an edit changes ----------------------------------------------------------------------------------------


def hashes(policy: Policy) -> tuple[str, str, str, str]:
    return policy.scoring_hash, policy.routing_hash, policy.write_hash, policy.version


@pytest.mark.parametrize(
    ("old", "new", "moved"),
    [
        ("  - name: nobody\n", "  - name: somebody\n", "version"),
        ("engagement: 60,", "engagement: 61,", "version"),
        ("custom.seats: 5", "custom.seats: 6", "version"),
        ("engagement: 60,", "engagement:  60,", ""),
        ("name: everyone", "name: all", "routing version"),
        ("owner: hubspot_owner_id", "grade: mql_grade", "write version"),
        ("from 200: 60", "from 200: 61", "scoring version"),
        ("needs: [person.email]", "needs: [person.email, person.phone]", "scoring version"),
        ("{person.phone: invalid}", "{person.phone: unknown}", "scoring version"),
        ("version: 1\n", "version: 1\nsla: {first_touch: 1 working hour}\n", "routing version"),
        ("version: 1\n", "version: 1\nnurture: {tracks: [a]}\n", "scoring version"),
        ("version: 1\n", "version: 1\nrecycle: {reasons: {a: {never: true}}}\n", "scoring version"),
        ("version: 1\n", "version: 1\nlists: {a: [b]}\n", "scoring version"),
        ("company.is_customer: true", "company.is_customer: true, tell: company.owner", "scoring version"),
    ],
)  # fmt: skip
def test_an_edit_moves_the_hash_of_its_part_and_the_version(old: str, new: str, moved: str) -> None:
    before = hashes(load(EXAMPLES, custom=CUSTOM)[0])
    after = hashes(load(but(old, new, EXAMPLES), custom=CUSTOM)[0])
    names = ("scoring", "routing", "write", "version")
    assert {name for name, a, b in zip(names, before, after, strict=True) if a != b} == set(moved.split())


def test_the_team_moves_routing_alone() -> None:
    before = hashes(load()[0])
    for team in (but("name: Bo", "name: Bob", TEAM), TEAM + "hours: {h: {zone: UTC, mon: closed}}\n"):
        after = hashes(load(team=team)[0])
        assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True, False]
