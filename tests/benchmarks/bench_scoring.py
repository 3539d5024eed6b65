"""Scoring speed: the engine on Parquet files against a plain Python loop over lists in memory.

    python tests/benchmarks/bench_scoring.py --people 100000

Seeded people with ten events each, 30 rules (12 fit, 12 engagement, 6 that take points away), caps, grades. Timed for
the engine: everything from the files to a table with all reasons. Not timed for the loops: loading. The first loop has
this one policy written out by hand, as fast as plain Python gets; the second reads the policy as data, as the engine
does. All must find the same, or nothing is printed. Times depend on the machine and its neighbours: compare the ratios.
"""
# ruff: noqa: T201 - a benchmark prints its table

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from scoring import conditions as c
from scoring.engine import DuckDbEngine
from scoring.fades import micro_by_age
from scoring.policy import Bands, GateLine, Grade, Model, Policy, SuppressLine, WritePlan
from scoring.tables import MICRO, Bucket, events_schema, people_schema
from scoring.team import Team

TODAY = date(2026, 6, 15)
AGES = 365
ROWS = 122_880
"""Rows of a row group: threads share the work by row groups."""

# -- the policy --------------------------------------------------------------------------------------------------


def _fit(name: str, points: int, test: c.Condition) -> c.FitRule:
    return c.FitRule(name=name, reason=name, test=test, micro=points * MICRO)


def _event(name: str, points: int, kind: str, where: c.Condition = c.All(), **options: Any) -> c.EventRule:  # noqa: B008
    match = c.EventMatch((kind,), where)
    return c.EventRule(name=name, reason=name, match=match, micro=points * MICRO, **options)


def _title(word: str) -> c.Condition:
    return c.HasWords("person.title", (f" {word} ",))


def _path(start: str) -> c.Condition:
    return c.StartsWith("path", (start,))


TWO_WEEKS = c.Fade(c.FadeMode.HALF_LIFE, c.Span(14))
STEPS = c.Fade(c.FadeMode.LINEAR, c.Span(30), 5_000)
SEASON = c.Fade(c.FadeMode.EXPIRE, c.Span(90))
ONCE = c.Count(c.CountMode.ONCE)
DAILY = c.Count(c.CountMode.ONCE_PER_DAY)
ANY = c.EventMatch(
    (
        "page_view",
        "email_click",
        "form_submit",
        "content_download",
        "webinar_attended",
        "demo_request",
        "meeting_booked",
        "newsletter_signup",
    )
)
BUSY = c.Count(c.CountMode.AT_LEAST, n=5, window=c.Span(7))
EACH_NAME = c.Count(c.CountMode.ONCE_PER, "name")
CLICKS = c.EventMatch(("email_click",))
EMPLOYEES = "company.employees"

FIT = (
    c.Group(
        name="size",
        combine=c.Combine.BEST,
        items=tuple(
            _fit(f"from {bound}", points, c.AtLeast(EMPLOYEES, bound * MICRO))
            for bound, points in ((1000, 30), (200, 25), (50, 15))
        ),
    ),
    c.Group(
        name="title",
        combine=c.Combine.BEST,
        items=tuple(
            _fit(word, points, _title(word))
            for word, points in (("chief", 25), ("vp", 25), ("director", 20), ("manager", 10))
        ),
    ),
    c.Group(
        name="market",
        items=(
            _fit("home", 15, c.OneOf("person.country", ("us", "gb", "de"))),
            _fit("growing", 5, c.OneOf("person.country", ("fr", "es"))),
            _fit("software", 15, c.OneOf("company.industry", ("software", "fintech"))),
            _fit("named", 10, c.OneOf("company.tier", ("named",))),
            _fit("phone", 5, c.Validity("person.phone", True)),
        ),
    ),
    c.Group(
        name="doubts",
        items=(
            _fit("private mailbox", -15, c.DomainIn("person.email_domain", ("gmail.com", "gmx.de"))),
            _fit("intern", -20, _title("intern")),
        ),
    ),
)
ENGAGEMENT = (
    c.Group(
        name="asked",
        max=60 * MICRO,
        items=(
            _event("demo", 50, "demo_request", count=ONCE, fade=STEPS),
            _event("contact", 45, "form_submit", c.OneOf("form", ("contact-sales",)), count=ONCE, fade=STEPS),
            _event("meeting", 60, "meeting_booked", count=ONCE, fade=STEPS),
        ),
    ),
    c.Group(
        name="web",
        max=50 * MICRO,
        items=(
            _event("pricing", 8, "page_view", _path("/pricing"), fade=TWO_WEEKS, max=24 * MICRO),
            _event("integrations", 3, "page_view", _path("/integrations/"), fade=TWO_WEEKS, max=9 * MICRO),
            _event("any page", 1, "page_view", count=DAILY, fade=TWO_WEEKS, max=10 * MICRO),
            _event("busy week", 10, "page_view", count=BUSY, fade=TWO_WEEKS),
        ),
    ),
    c.Group(
        name="content",
        max=30 * MICRO,
        items=(
            _event("webinar", 15, "webinar_attended", count=EACH_NAME, fade=SEASON, max=30 * MICRO),
            _event("download", 6, "content_download", fade=SEASON, max=18 * MICRO),
            _event("click", 2, "email_click", fade=TWO_WEEKS, max=10 * MICRO),
            _event("newsletter", 4, "newsletter_signup", count=ONCE),
            _event("other form", 5, "form_submit", c.Not(c.OneOf("form", ("contact-sales",))), fade=TWO_WEEKS),
        ),
    ),
    c.Group(
        name="wrong",
        items=(
            _event("careers", -20, "page_view", _path("/careers"), count=ONCE, window=c.Span(90)),
            _event("opt-out form", -10, "form_submit", c.OneOf("form", ("unsubscribe",)), fade=STEPS),
            c.AbsentRule(name="quiet", reason="quiet", match=ANY, span=c.Span(60), micro=-10 * MICRO),
            c.AbsentRule(name="no clicks", reason="no clicks", match=CLICKS, span=c.Span(90), micro=-5 * MICRO),
        ),
    ),
)


def policy() -> Policy:
    model = Model(
        name="default",
        when=None,
        fit=c.Dimension(groups=FIT),
        engagement=c.Dimension(groups=ENGAGEMENT, not_before=c.Span(AGES)),
        grade=Grade(
            fit=Bands(labels=("A", "B", "C", "D"), bounds=(70, 45, 20, 0)),
            engagement=Bands(labels=("1", "2", "3", "4"), bounds=(50, 30, 10, 0)),
        ),
        become_when=(
            GateLine(name="asked", test=c.EventExists(c.EventMatch(("demo_request", "meeting_booked")), c.Span(7))),
            GateLine(name="hot", test=c.LabelIn(c.Score.GRADE, ("A1", "A2", "B1"))),
        ),
    )
    return Policy(
        name="bench",
        version="0" * 12,
        scoring_hash="0" * 12,
        timezone="UTC",
        suppress=(SuppressLine(name="customer", test=c.Equals("company.is_customer", True)),),
        models=(model,),
        hand_raise=c.EventMatch(("demo_request", "meeting_booked")),
        routing=(),
        write=WritePlan(),
        team=Team(),
    )


# -- people and events -------------------------------------------------------------------------------------------

_PEOPLE = """
SELECT upper(substr(md5('seed' || i), 1, 16)) AS person_id, 1 AS seq, i,
       CAST(hash(i, 1) % 100 AS BIGINT) AS a, CAST(hash(i, 2) % 100 AS BIGINT) AS b,
       CAST(hash(i, 3) % 100 AS BIGINT) AS c, CAST(hash(i, 4) % 100 AS BIGINT) AS d,
       CAST(hash(i, 5) % 700 AS BIGINT) AS e
FROM range({first}, {last}) AS r(i)
"""
_FACTS = """
SELECT person_id, seq,
       CASE WHEN a < 80 THEN CAST([5, 30, 120, 800, 4000][a % 5 + 1] AS BIGINT) * 1000000 END AS "company.employees",
       CASE WHEN b < 85 THEN ['sales manager', 'vp sales', 'director of it', 'chief of staff', 'intern', 'engineer',
            'analyst', 'account executive'][b % 8 + 1] END AS "person.title",
       CASE WHEN b < 85 THEN [' sales manager ', ' vp sales ', ' director of it ', ' chief of staff ', ' intern ',
            ' engineer ', ' analyst ', ' account executive '][b % 8 + 1] END AS "person.title#words",
       CASE WHEN c < 90 THEN ['us', 'gb', 'de', 'fr', 'es', 'it', 'br', 'in', 'jp'][c % 9 + 1] END AS "person.country",
       CASE WHEN d < 70 THEN ['software', 'fintech', 'retail', 'health', 'energy'][d % 5 + 1] END AS "company.industry",
       CASE WHEN d % 10 = 0 THEN 'named' END AS "company.tier",
       ['gmail.com', 'gmx.de', 'acme.com', 'eu.acme.com', 'example.org'][a % 5 + 1] AS "person.email_domain",
       CASE WHEN c % 3 > 0 THEN '+1' END AS "person.phone",
       CASE WHEN c % 3 > 0 THEN c % 3 = 1 END AS "person.phone#valid",
       d = 1 AS "company.is_customer", false AS "person.unsubscribed", false AS "person.hard_bounced",
       false AS "person.converted", CAST(0 AS BIGINT) AS "company.open_opportunities",
       DATE '2026-06-15' - CAST(e AS INTEGER) AS "person.created_at"
FROM people ORDER BY person_id
"""
_EVENTS = """
SELECT person_id, 'hubspot:' || i || '-' || n AS event_id,
       CASE WHEN k < 50 THEN 'page_view' WHEN k < 75 THEN 'email_click' WHEN k < 82 THEN 'form_submit'
            WHEN k < 88 THEN 'content_download' WHEN k < 93 THEN 'webinar_attended' WHEN k < 96 THEN 'newsletter_signup'
            WHEN k < 98 THEN 'demo_request' ELSE 'meeting_booked' END AS kind,
       DATE '2026-06-15' - CAST(age AS INTEGER) AS day,
       CAST(DATE '2026-06-15' - CAST(age AS INTEGER) AS TIMESTAMP) AT TIME ZONE 'UTC' AS at,
       false AS timed, CAST(1 + (v % 50 = 0)::INTEGER AS INTEGER) AS count, 1 AS seq, v % 200 = 199 AS deleted,
       CASE WHEN k < 50
            THEN ['/pricing', '/integrations/crm', '/blog/a', '/', '/careers/ops', '/docs'][v % 6 + 1] END AS path,
       CASE WHEN k BETWEEN 75 AND 81 THEN ['contact-sales', 'unsubscribe', 'guide', NULL][v % 4 + 1] END AS form,
       CASE WHEN k BETWEEN 88 AND 92 THEN ['intro', 'deep dive', NULL][v % 3 + 1] END AS name
FROM (
    SELECT person_id, i, n, CAST(hash(i, n, 6) % 100 AS BIGINT) AS k, CAST(hash(i, n, 7) % 1000 AS BIGINT) AS v,
           least(CAST(hash(i, n, 8) % 181 AS BIGINT), CAST(hash(i, n, 9) % 181 AS BIGINT)) AS age
    FROM people, range(0, 19) AS s(n) WHERE n <= CAST(hash(i, 10) % 19 AS BIGINT)
) ORDER BY person_id, day
"""


def generate(folder: Path, people: int, size: int) -> list[Bucket]:
    """Buckets of at most ``size`` people, about ten events each, as the snapshot has them: sorted by person."""
    buckets = []
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for number, first in enumerate(range(0, people, size)):
            last = min(first + size, people)
            connection.execute(f"CREATE OR REPLACE TABLE people AS {_PEOPLE.format(first=first, last=last)}")
            paths = []
            for name, query, schema in (("people", _FACTS, people_schema()), ("events", _EVENTS, events_schema())):
                found = connection.sql(query).to_arrow_table()
                columns = [
                    found[field.name].cast(field.type)
                    if field.name in found.column_names
                    else pa.nulls(found.num_rows, field.type)
                    for field in schema
                ]
                paths.append(folder / f"{name}-{number}.parquet")
                pq.write_table(pa.table(columns, schema=schema), paths[-1], row_group_size=ROWS)
            buckets.append(Bucket(people=(paths[0],), events=(paths[1],)))
    return buckets


# -- the plain loop ----------------------------------------------------------------------------------------------

Row = dict[str, Any]
Found = tuple[int, int, str, int, dict[str, int]]
"""Fit and engagement (exact), grade, gate lines as bits, reasons."""

Event = tuple[str, int, int, str | None, str | None, str | None]
"""kind, age, count, path, form, name."""


def load(bucket: Bucket) -> tuple[list[Row], dict[str, list[Event]]]:
    people = pq.read_table(bucket.people[0]).to_pylist()
    names = ["person_id", "kind", "day", "count", "path", "form", "name", "deleted"]
    columns = [pq.read_table(bucket.events[0], columns=[name])[name].to_pylist() for name in names]
    events: dict[str, list[Event]] = {}
    for person, kind, day, count, path, form, name, deleted in zip(*columns, strict=True):
        age = (TODAY - day).days
        if not deleted and 0 <= age < AGES:
            events.setdefault(person, []).append((kind, age, count, path, form, name))
    return people, events


def _worths(points: int, fade: c.Fade) -> tuple[int, ...]:
    return micro_by_age(points * MICRO, fade, TODAY, AGES)


class Loop:
    """The same policy as a person would write it in Python: tables for the fades, one pass over each one's events."""

    def __init__(self) -> None:
        self.demo, self.contact, self.meeting = (_worths(p, STEPS) for p in (50, 45, 60))
        self.pricing, self.integrations, self.page, self.busy = (_worths(p, TWO_WEEKS) for p in (8, 3, 1, 10))
        self.webinar, self.download = _worths(15, SEASON), _worths(6, SEASON)
        self.click, self.form = _worths(2, TWO_WEEKS), _worths(5, TWO_WEEKS)
        self.opt_out = _worths(-10, STEPS)
        self.days = {TODAY - timedelta(days=age): age for age in range(-1, 2000)}

    def fit(self, person: Row, reasons: dict[str, int]) -> int:
        size = title = market = doubts = 0
        employees = person["company.employees"]
        if employees is not None:
            for bound, points in ((1000, 30), (200, 25), (50, 15)):
                if employees >= bound * MICRO:
                    reasons[f"from {bound}"] = points * MICRO
                    size = max(size, points)
        words = person["person.title#words"]
        if words is not None:
            for word, points in ((" chief ", 25), (" vp ", 25), (" director ", 20), (" manager ", 10)):
                if word in words:
                    reasons[word] = points * MICRO
                    title = max(title, points)
            if " intern " in words:
                reasons["intern"] = -20 * MICRO
                doubts -= 20
        country = person["person.country"]
        if country in ("us", "gb", "de"):
            reasons["home"] = 15 * MICRO
            market += 15
        if country in ("fr", "es"):
            reasons["growing"] = 5 * MICRO
            market += 5
        if person["company.industry"] in ("software", "fintech"):
            reasons["software"] = 15 * MICRO
            market += 15
        if person["company.tier"] == "named":
            reasons["named"] = 10 * MICRO
            market += 10
        if person["person.phone#valid"]:
            reasons["phone"] = 5 * MICRO
            market += 5
        domain = person["person.email_domain"]
        if domain is not None and (domain in ("gmail.com", "gmx.de") or domain.endswith((".gmail.com", ".gmx.de"))):
            reasons["private mailbox"] = -15 * MICRO
            doubts -= 15
        return max(0, min(100, size + title + market + doubts)) * MICRO

    def engagement(self, person: Row, events: list[Event], reasons: dict[str, int]) -> tuple[int, int]:
        """Exact engagement, and the age of the newest demo or meeting."""
        none = AGES
        demo = contact = meeting = newsletter = careers = any_ = last_click = none
        pricing = integrations = download = click = form = opt_out = recent = 0
        pages: set[int] = set()
        webinars: dict[str | None, int] = {}
        for kind, age, count, path, form_name, name in events:
            any_ = min(any_, age)
            if kind == "page_view":
                pages.add(age)
                if age < 7:
                    recent += count
                if path is not None:
                    if path.startswith("/pricing"):
                        pricing += count * self.pricing[age]
                    elif path.startswith("/integrations/"):
                        integrations += count * self.integrations[age]
                    elif path.startswith("/careers"):
                        careers = min(careers, age)
            elif kind == "email_click":
                click += count * self.click[age]
                last_click = min(last_click, age)
            elif kind == "form_submit":
                if form_name == "contact-sales":
                    contact = min(contact, age)
                else:
                    form += count * self.form[age]
                    if form_name == "unsubscribe":
                        opt_out += count * self.opt_out[age]
            elif kind == "content_download":
                download += count * self.download[age]
            elif kind == "webinar_attended":
                webinars[name] = min(webinars.get(name, none), age)
            elif kind == "newsletter_signup":
                newsletter = min(newsletter, age)
            elif kind == "demo_request":
                demo = min(demo, age)
            elif kind == "meeting_booked":
                meeting = min(meeting, age)
        created = self.days[person["person.created_at"]]
        given = {
            "demo": self.demo[demo] if demo < none else 0,
            "contact": self.contact[contact] if contact < none else 0,
            "meeting": self.meeting[meeting] if meeting < none else 0,
            "pricing": min(24 * MICRO, pricing),
            "integrations": min(9 * MICRO, integrations),
            "any page": min(10 * MICRO, sum([self.page[age] for age in pages])),
            "busy week": self.busy[min(pages)] if recent >= 5 else 0,
            "webinar": min(30 * MICRO, sum([self.webinar[age] for age in webinars.values()])),
            "download": min(18 * MICRO, download),
            "click": min(10 * MICRO, click),
            "newsletter": 4 * MICRO if newsletter < none else 0,
            "other form": form,
            "careers": -20 * MICRO if careers < 90 else 0,
            "opt-out form": opt_out,
            "quiet": -10 * MICRO if min(any_, created) >= 60 else 0,
            "no clicks": -5 * MICRO if min(last_click, created) >= 90 else 0,
        }
        reasons |= {name: micro for name, micro in given.items() if micro}
        asked = min(60 * MICRO, given["demo"] + given["contact"] + given["meeting"])
        web = min(50 * MICRO, given["pricing"] + given["integrations"] + given["any page"] + given["busy week"])
        content = min(30 * MICRO, given["webinar"] + given["download"] + given["click"] + given["newsletter"] + form)
        wrong = given["careers"] + opt_out + given["quiet"] + given["no clicks"]
        return max(0, min(100 * MICRO, asked + web + content + wrong)), min(demo, meeting)

    def person(self, person: Row, events: list[Event]) -> Found:
        reasons: dict[str, int] = {}
        fit = self.fit(person, reasons)
        engagement, raised = self.engagement(person, events, reasons)
        whole_fit, whole_engagement = ((micro + MICRO // 2) // MICRO for micro in (fit, engagement))
        letter = "A" if whole_fit >= 70 else "B" if whole_fit >= 45 else "C" if whole_fit >= 20 else "D"
        digit = (
            "1" if whole_engagement >= 50 else "2" if whole_engagement >= 30 else "3" if whole_engagement >= 10 else "4"
        )
        grade = letter + digit
        return fit, engagement, grade, (raised < 7) + 2 * (grade in ("A1", "A2", "B1")), reasons

    def run(self, people: list[Row], events: dict[str, list[Event]]) -> dict[str, Found]:
        nothing: list[Event] = []
        return {p["person_id"]: self.person(p, events.get(p["person_id"], nothing)) for p in people}


# -- measuring ---------------------------------------------------------------------------------------------------


class AnyLoop:
    """Any policy made of this one's kinds of rules, as data: tests as closures, rules found by the event's kind."""

    def __init__(self, of: Policy) -> None:
        (self.model,) = of.models
        self.fit = [
            (
                group,
                [(item.name, closure(item.test), item.micro) for item in group.items if isinstance(item, c.FitRule)],
            )
            for group in self.model.fit.groups
        ]
        self.rules = [item for group in self.model.engagement.groups for item in group.items]
        self.by_kind: dict[str, list[tuple[int, c.CountMode | None, Test | None, int, tuple[int, ...]]]] = {}
        self.worths: list[tuple[int, ...]] = []
        for index, item in enumerate(self.rules):
            mode, start, worths = None, AGES, ()
            if isinstance(item, c.EventRule):
                mode, start = item.count.mode, item.window.n if item.window else AGES
                worths = micro_by_age(item.micro, item.fade, TODAY, AGES)
            self.worths.append(worths)
            test = None if item.match.where == c.All() else closure(item.match.where)
            for kind in item.match.kinds:
                self.by_kind.setdefault(kind, []).append((index, mode, test, start, worths))
        self.days = {TODAY - timedelta(days=age): age for age in range(-1, 2000)}

    def person(self, facts: Row, events: list[tuple[str, int, int, Row]]) -> tuple[int, int]:
        """Fit and engagement, exact."""
        reasons: dict[str, int] = {}
        fit = 0
        for group, rules in self.fit:
            true = [micro for name, test, micro in rules if test(facts)]
            fit += max(true, default=0) if group.combine is c.Combine.BEST else sum(true)
        size = len(self.rules)
        newest, counts, worths, keys = [AGES] * size, [0] * size, [0] * size, [None] * size
        for kind, age, count, attributes in events:
            for index, mode, test, start, worth in self.by_kind.get(kind, ()):
                if age < start and (test is None or test(attributes)):
                    if mode is c.CountMode.EVERY:
                        counts[index] += count
                        worths[index] += count * worth[age]
                    elif mode is c.CountMode.ONCE_PER_DAY or mode is c.CountMode.ONCE_PER:
                        seen = keys[index] = keys[index] or {}
                        key = age if mode is c.CountMode.ONCE_PER_DAY else attributes["name"]
                        seen[key] = min(seen.get(key, AGES), age)
                    else:
                        newest[index] = min(newest[index], age)
                        if mode is c.CountMode.AT_LEAST and age < 7:
                            counts[index] += count
        created = self.days[facts["person.created_at"]]
        engagement = index = 0
        for group in self.model.engagement.groups:
            together = 0
            for item in group.items:
                value = worths[index]
                if isinstance(item, c.AbsentRule):
                    value = item.micro if min(newest[index], created) >= item.span.n else 0
                elif keys[index]:
                    value = sum([self.worths[index][age] for age in keys[index].values()])
                elif newest[index] < AGES and (item.count.mode is c.CountMode.ONCE or counts[index] >= item.count.n):
                    value = self.worths[index][newest[index]]
                if item.max is not None:
                    value = min(value, item.max)
                if value:
                    reasons[item.name] = value
                together += value
                index += 1
            engagement += together if group.max is None else min(together, group.max)
        most = 100 * MICRO
        return max(0, min(most, fit)), max(0, min(most, engagement))


Test = Callable[[Row], bool]


def closure(node: c.Condition) -> Test:
    """A condition as a function of a row; only what this policy is made of."""
    match node:
        case c.Not(of=inner):
            test = closure(inner)
            return lambda row: not test(row)
        case c.OneOf(field=name, values=values):
            wanted = frozenset(values)
            return lambda row: row[name] in wanted
        case c.AtLeast(field=name, value=bound):
            return lambda row: row[name] is not None and row[name] >= bound
        case c.HasWords(field=name, phrases=(phrase,)):
            column = f"{name}#words"
            return lambda row: row[column] is not None and phrase in row[column]
        case c.StartsWith(field=name, parts=parts):
            return lambda row: row[name] is not None and row[name].startswith(parts)
        case c.DomainIn(field=name, values=values):
            ends = tuple(f".{value}" for value in values)
            return lambda row: row[name] is not None and (row[name] in values or row[name].endswith(ends))
        case c.Validity(field=name, value=value):
            return lambda row: row[f"{name}#valid"] is value
    raise NotImplementedError(node)


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds of wall and of CPU, and the result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def same(bucket: Bucket, found: pa.Table, loop: Loop) -> int:
    """How many people both found the same for; raises AssertionError at the first they disagree on."""
    expected = loop.run(*load(bucket))
    columns = [found[name].to_pylist() for name in ("person_id", "fit_micro", "engagement_micro", "grade", "lines")]
    for person, *scores in zip(*columns, strict=True):
        assert scores == list(expected[person][:4]), (person, scores, expected[person])
    assert found.num_rows == len(expected)
    return found.num_rows


def rows(arguments: argparse.Namespace, folder: Path) -> Iterator[tuple[str, int, list[float], list[float]]]:
    """(variant, people, wall seconds, CPU seconds of each round)."""
    buckets = generate(folder, arguments.people, arguments.bucket)
    of, loop = policy(), Loop()
    names = ("path", "form", "name")
    slice_people, slice_events = load(buckets[0])
    with DuckDbEngine(threads=arguments.threads, memory_limit=arguments.memory) as engine:
        checked = same(buckets[0], engine.score(of, buckets[0], TODAY), loop)
        print(f"{checked} people of the first bucket: same scores, grades and gate lines in both\n")
        walls: dict[str, list[float]] = {}
        cpus: dict[str, list[float]] = {}
        one = frozenset([slice_people[0]["person_id"]])
        plain = [
            (person, [(k, age, n, dict(zip(names, rest, strict=True))) for k, age, n, *rest in events])
            for person in slice_people
            for events in [slice_events.get(person["person_id"], [])]
        ]
        any_loop = AnyLoop(of)
        by_data = [any_loop.person(person, events) for person, events in plain]
        assert by_data == [found[:2] for found in loop.run(slice_people, slice_events).values()]
        works: dict[str, tuple[int, Callable[[], Any]]] = {
            "loop, policy by hand": (len(slice_people), lambda: loop.run(slice_people, slice_events)),
            "loop, any policy": (len(plain), lambda: [any_loop.person(*one) for one in plain]),
            "engine": (arguments.people, lambda: [engine.score(of, bucket, TODAY).num_rows for bucket in buckets]),
            "engine, 1 person with ledger": (1, lambda: engine.ledgers(of, buckets[0], TODAY, one)),
        }
        for _ in range(arguments.rounds):
            for name, (_, work) in works.items():
                wall, cpu, _ = timed(work)
                walls.setdefault(name, []).append(wall)
                cpus.setdefault(name, []).append(cpu)
    for name, (people, _) in works.items():
        yield name, people, walls[name], cpus[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--bucket", type=int, default=125_000, help="people a bucket")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", default="1GB")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = list(rows(arguments, Path(folder)))
    per_person = {name: (statistics.median(w) / people, statistics.median(c) / people) for name, people, w, c in found}
    wall, cpu = per_person["loop, any policy"]
    print(f"{'variant':<30}{'people':>9}{'n':>3}{'wall s':>9}{'CPU s':>9}{'people/s':>11}{'x wall':>8}{'x CPU':>8}")
    for name, people, walls, cpus in found:
        w, p = per_person[name]
        print(
            f"{name:<30}{people:>9}{len(walls):>3}{statistics.median(walls):>9.3f}{statistics.median(cpus):>9.3f}"
            f"{1 / w:>11.0f}{wall / w:>8.1f}{cpu / p:>8.1f}"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak memory {peak:.0f} MB, the loop's lists included; load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
