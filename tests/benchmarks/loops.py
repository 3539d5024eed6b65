"""Plain Python that scores people, to measure the engine against: one loop for any policy, one for a single policy.

Both make one pass over each person's events, look worths up in tables made beforehand, and give whole rows: scores,
grade, gate lines and every reason with its count, what `scoring.cards.schema` has. `differences` says whether they are
the engine's rows.

`AnyPolicy` reads the policy as the engine does: tests are closures, rules are found by the kind of an event. It knows
what `policies/thirty.yaml` is made of and refuses the rest. `ThirtyRules` is that file written out by hand, for nobody
but this benchmark: as fast as plain Python gets, and to be written again whenever the policy changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scoring import conditions as c
from scoring.cards import layout
from scoring.fades import micro_by_age
from scoring.policy import Bands, Policy
from scoring.tables import MICRO, Bucket
from tests.benchmarks.crowd import TODAY

__all__ = ["AnyPolicy", "Person", "ThirtyRules", "differences", "load"]

Facts = dict[str, Any]
Event = tuple[str, date, int, bool, dict[str, str | None]]
"""kind, day, count, deleted, attributes: as they are in the files."""

Person = tuple[Facts, list[Event]]
Row = tuple[Any, ...]
Test = Callable[[Mapping[str, Any]], bool]

AGES = 365
"""``not_before`` of the policy: ages are below it."""

NOTHING = AGES
"""The age of an event that never was."""

_FACTS = (
    *("person_id", "company.employees", "person.title#words", "person.country", "company.industry", "company.tier"),
    *("person.email_domain", "person.phone#valid", "company.is_customer", "person.created_at"),
)
_ATTRIBUTES = ("path", "form", "name")
_HEADS = (
    *("person_id", "model", "suppressed", "grade", "fit", "engagement", "total", "fit_micro", "engagement_micro"),
    *("total_micro", "lines", "known_groups", "unknown_groups", "hand_raise"),
)


def load(bucket: Bucket) -> list[Person]:
    """The people of a bucket as lists and dicts."""
    people = pq.read_table(bucket.people[0], columns=list(_FACTS)).to_pylist()
    names = ["person_id", "kind", "day", "count", "deleted", *_ATTRIBUTES]
    columns = [pq.read_table(bucket.events[0], columns=[name])[name].to_pylist() for name in names]
    events: dict[str, list[Event]] = {}
    for person, kind, day, count, deleted, *attributes in zip(*columns, strict=True):
        own = dict(zip(_ATTRIBUTES, attributes, strict=True))
        events.setdefault(person, []).append((kind, day, count, deleted, own))
    return [(facts, events.get(facts["person_id"], [])) for facts in people]


def differences(columns: Sequence[str], rows: Iterable[Row], found: pa.Table) -> list[tuple[str, dict[str, Any]]]:
    """Person id, and the columns in which the engine's table says something else."""
    engine = {row["person_id"]: row for row in found.select(list(columns)).to_pylist()}
    differ = []
    for row in rows:
        ours = dict(zip(columns, row, strict=True))
        theirs = engine.pop(ours["person_id"])
        if ours != theirs:
            differ.append((ours["person_id"], {n: (ours[n], theirs[n]) for n in columns if ours[n] != theirs[n]}))
    return differ + [(person, {"person_id": (None, person)}) for person in engine]


def _ages(first: date = TODAY - timedelta(days=4000)) -> dict[date, int]:
    return {first + timedelta(days=n): (TODAY - first).days - n for n in range((TODAY - first).days + 2)}


def _whole(micro: int) -> int:
    return (micro + MICRO // 2) // MICRO


# -- any policy --------------------------------------------------------------------------------------------------


def closure(node: c.Condition) -> Test:
    """A condition as a function of facts or attributes."""
    match node:
        case c.All(of=()):
            return lambda _: True
        case c.Any(of=nodes):
            tests = [closure(one) for one in nodes]
            return lambda row: any(test(row) for test in tests)
        case c.All(of=nodes):
            tests = [closure(one) for one in nodes]
            return lambda row: all(test(row) for test in tests)
        case c.Not(of=inner):
            test = closure(inner)
            return lambda row: not test(row)
        case c.Known(field=name):
            return lambda row: row[name] is not None
        case c.Missing(field=name):
            return lambda row: row[name] is None
        case c.Equals(field=name, value=value):
            return lambda row: row[name] == value
        case c.OneOf(field=name, values=values, listed=False):
            wanted = frozenset(values)
            return lambda row: row[name] in wanted
        case c.AtLeast(field=name, value=bound):
            return lambda row: row[name] is not None and row[name] >= bound
        case c.HasWords(field=name, phrases=phrases):
            column = f"{name}#words"
            return lambda row: row[column] is not None and any(phrase in row[column] for phrase in phrases)
        case c.StartsWith(field=name, parts=parts):
            return lambda row: row[name] is not None and row[name].startswith(parts)
        case c.DomainIn(field=name, values=values):
            exact, ends = frozenset(values), tuple(f".{value}" for value in values)
            return lambda row: row[name] is not None and (row[name] in exact or row[name].endswith(ends))
        case c.Validity(field=name, value=value):
            return lambda row: row[f"{name}#valid"] is value
    raise NotImplementedError(node)


class AnyPolicy:
    """Scores with a policy that is given as data."""

    def __init__(self, policy: Policy) -> None:
        (model,) = policy.models
        self.name = model.name
        self.fit, self.engagement, self.grade = model.fit, model.engagement, model.grade
        self.columns = (*_HEADS, *layout(policy, TODAY).columns)
        self.suppress = [(line.name, closure(line.test)) for line in policy.suppress]
        self.fit_groups = [
            (group.combine is c.Combine.BEST, [self._fit_item(item) for item in group.items], group)
            for group in model.fit.groups
        ]
        self.engagement_groups = [
            (group, [item for item in group.items if isinstance(item, c.EventRule | c.AbsentRule)])
            for group in model.engagement.groups
        ]
        self.rules = [item for _, items in self.engagement_groups for item in items]
        self.lines = [line.test for line in model.become_when]
        self.worths: list[tuple[int, ...]] = []
        self.by_kind: dict[str, list[tuple[int, c.CountMode | None, str | None, Test | None, int, int]]] = {}
        for index, item in enumerate(self.rules):
            self._rule(index, item)
        # What gates ask of events: slots behind those of the rules.
        self.gate_slots = {test: len(self.rules) + n for n, test in enumerate(self._exists())}
        for test, slot in self.gate_slots.items():
            window = AGES if test.window is None else test.window.n
            self._watch(slot, test.match, None, None, window, 0)
        self.raised = len(self.rules) + len(self.gate_slots)
        self._watch(self.raised, policy.hand_raise, None, None, AGES, 0)
        self.days = _ages()
        self.dates = [TODAY - timedelta(days=age) for age in range(AGES)]

    @staticmethod
    def _fit_item(item: Any) -> tuple[str | None, int | None, list[tuple[Test, int]], int | None]:
        """The column that makes it a table, what is given where it is missing, the lines, and what is given else."""
        match item:
            case c.Table():
                return item.field, item.unknown, [(closure(one.test), one.micro) for one in item.lines], item.otherwise
            case c.FitRule():
                return None, None, [(closure(item.test), item.micro)], None
        raise NotImplementedError(item)

    def _rule(self, index: int, item: Any) -> None:
        match item:
            case c.AbsentRule(when=c.All(of=()), every=False):
                self.worths.append(())
                self._watch(index, item.match, None, None, AGES, 0)
            case c.EventRule(when=c.All(of=()), only_if=None, max_per_day=None, newest_first=False):
                window = AGES if item.window is None else item.window.n
                recent = item.count.window.n if item.count.window else 0
                self.worths.append(micro_by_age(item.micro, item.fade, TODAY, AGES))
                self._watch(index, item.match, item.count.mode, item.count.attribute, window, recent)
            case _:
                raise NotImplementedError(item)

    def _watch(
        self, slot: int, match: c.EventMatch, mode: c.CountMode | None, key: str | None, window: int, recent: int
    ) -> None:
        for one in (match, *match.any_of):
            test = None if one.where == c.All() else closure(one.where)
            for kind in one.kinds:
                self.by_kind.setdefault(kind, []).append((slot, mode, key, test, window, recent))

    def _exists(self) -> list[c.EventExists]:
        return [test for line in self.lines for test in _tests(line) if isinstance(test, c.EventExists)]

    def person(self, person: Person) -> Row:
        facts, events = person
        suppressed = None
        for name, test in self.suppress:
            if test(facts):
                suppressed = name
                break
        fit, known, unknown, fit_reasons = self._of_fit(facts)
        engagement, reasons, newest = self._of_engagement(facts, events)
        total = fit + engagement
        whole_fit, whole_engagement = _whole(fit), _whole(engagement)
        grade = _label(self.grade.fit, whole_fit) + _label(self.grade.engagement, whole_engagement)
        bits = 0
        for bit, line in enumerate(self.lines):
            if all(self._gate(test, newest, grade) for test in _tests(line)):
                bits |= 1 << bit
        raised = self.dates[newest[self.raised]] if newest[self.raised] < NOTHING else None
        return (
            *(facts["person_id"], self.name, suppressed, grade, whole_fit, whole_engagement, _whole(total)),
            *(fit, engagement, total, bits, known, unknown, raised),
            *fit_reasons,
            *reasons,
        )

    def _gate(self, test: c.Condition, newest: list[int], grade: str) -> bool:
        match test:
            case c.EventExists(at_least=1):
                return newest[self.gate_slots[test]] < NOTHING
            case c.LabelIn(of=c.Score.GRADE, labels=labels):
                return grade in labels
        raise NotImplementedError(test)

    def _of_fit(self, facts: Facts) -> tuple[int, int, int, list[int | None]]:
        reasons: list[int | None] = []
        fit = known = unknown = 0
        for best, items, group in self.fit_groups:
            given: list[int] = []
            values: list[int | None] = []
            for field, missing, tests, otherwise in items:
                value = otherwise
                if field is not None and facts[field] is None:
                    unknown += 1
                    value = missing
                else:
                    known += field is not None
                    for test, micro in tests:
                        if test(facts):
                            value = micro
                            break
                values.append(value)
                if value is not None:
                    given.append(value)
            together = max(given, default=0) if best else sum(given)
            capped = _clamp(together, group.min, group.max)
            reasons.append(sum(given) - capped)
            reasons += values
            fit += capped
        limited = _clamp(fit, self.fit.floor, self.fit.max)
        return limited, known, unknown, [fit - limited, *reasons]

    def _of_engagement(self, facts: Facts, events: list[Event]) -> tuple[int, list[int | None], list[int]]:
        slots = self.raised + 1
        newest, counts, sums = [NOTHING] * slots, [0] * slots, [0] * slots
        keys: dict[int, dict[Any, int]] = {}
        worths = self.worths
        for kind, day, count, deleted, attributes in events:
            age = self.days[day]
            if deleted or age < 0:
                continue
            for slot, mode, key, test, window, recent in self.by_kind.get(kind, ()):
                if age >= window or (test is not None and not test(attributes)):
                    continue
                if mode is c.CountMode.EVERY:
                    counts[slot] += count
                    sums[slot] += count * worths[slot][age]
                elif mode is c.CountMode.ONCE_PER_DAY or mode is c.CountMode.ONCE_PER:
                    seen = keys.setdefault(slot, {})
                    of = age if key is None else attributes[key]
                    if age < seen.get(of, NOTHING):
                        seen[of] = age
                else:
                    if age < newest[slot]:
                        newest[slot] = age
                    if age < recent:
                        counts[slot] += count
        for slot, seen in keys.items():
            counts[slot] = len(seen)
            worth = worths[slot]
            sums[slot] = sum([worth[age] for age in seen.values()])
        created = facts["person.created_at"]
        born = NOTHING if created is None else self.days[created]
        reasons: list[int | None] = []
        engagement = slot = 0
        for group, items in self.engagement_groups:
            given = 0
            values: list[int | None] = []
            for item in items:
                number: int | None = None
                value: int | None = None
                if isinstance(item, c.AbsentRule):
                    if min(newest[slot], born) >= item.span.n:
                        number, value = 1, item.micro
                elif item.count.mode is c.CountMode.ONCE or item.count.mode is c.CountMode.AT_LEAST:
                    if newest[slot] < NOTHING and counts[slot] >= (item.count.n if item.count.window else 0):
                        number, value = 1, worths[slot][newest[slot]]
                elif counts[slot]:
                    number, value = counts[slot], sums[slot]
                if value is not None:
                    value = _clamp(value, item.min, item.max)
                    given += value
                values += (value, number)
                slot += 1
            capped = _clamp(given, group.min, group.max)
            reasons.append(given - capped)
            reasons += values
            engagement += capped
        limited = _clamp(engagement, self.engagement.floor, self.engagement.max)
        return limited, [engagement - limited, *reasons], newest

    def run(self, people: Iterable[Person]) -> list[Row]:
        return [self.person(one) for one in people]


def _tests(line: c.Condition) -> tuple[c.Condition, ...]:
    return line.of if isinstance(line, c.All) else (line,)


def _clamp(value: int, low: int | None, high: int | None) -> int:
    if high is not None and value > high:
        value = high
    return low if low is not None and value < low else value


def _label(bands: Bands | None, points: int) -> str:
    if bands is None:
        return ""
    for label, bound in zip(bands.labels, bands.bounds, strict=True):
        if bound is None or points >= bound:
            return label
    return bands.labels[-1]


# -- one policy --------------------------------------------------------------------------------------------------


class ThirtyRules:
    """`policies/thirty.yaml` by hand."""

    def __init__(self, policy: Policy) -> None:
        self.columns = (*_HEADS, *layout(policy, TODAY).columns)
        worths = {
            item.name: micro_by_age(item.micro, item.fade, TODAY, AGES)
            for group in policy.models[0].engagement.groups
            for item in group.items
            if isinstance(item, c.EventRule)
        }
        self.demo, self.contact, self.meeting = (worths[name] for name in ("demo", "contact", "meeting"))
        self.pricing, self.integrations, self.page = (worths[n] for n in ("pricing", "integrations", "any page"))
        self.busy, self.webinar, self.download = (worths[name] for name in ("busy week", "webinar", "download"))
        self.click, self.form, self.opt_out = (worths[name] for name in ("click", "other form", "opt-out form"))
        self.days = _ages()
        self.dates = [TODAY - timedelta(days=age) for age in range(AGES)]

    def person(self, person: Person) -> Row:
        facts, events = person
        known, fit, fit_reasons = self.fit(facts)
        engagement, raised, reasons = self.engaged(events, self.days[facts["person.created_at"]])
        total = fit + engagement
        whole_fit, whole_engagement = _whole(fit), _whole(engagement)
        letter = "A" if whole_fit >= 70 else "B" if whole_fit >= 45 else "C" if whole_fit >= 20 else "D"
        points = whole_engagement
        grade = letter + ("1" if points >= 50 else "2" if points >= 30 else "3" if points >= 10 else "4")
        return (
            facts["person_id"], "default", "customer" if facts["company.is_customer"] else None, grade,
            whole_fit, whole_engagement, _whole(total), fit, engagement, total,
            (raised < 7) + 2 * (grade in ("A1", "A2", "B1")), known, 1 - known,
            self.dates[raised] if raised < NOTHING else None, *fit_reasons, *reasons,
        )  # fmt: skip

    def fit(self, facts: Facts) -> tuple[int, int, tuple[int | None, ...]]:
        million = MICRO
        employees = facts["company.employees"]
        size = 0
        if employees is not None:
            if employees >= 1000 * million:
                size = 30
            elif employees >= 200 * million:
                size = 25
            elif employees >= 50 * million:
                size = 15
        chief = vp = director = manager = learner = None
        title = facts["person.title#words"]
        if title is not None:
            if " chief " in title or " ceo " in title or " cto " in title or " cfo " in title:
                chief = 25 * million
            if " vp " in title or " vice president " in title:
                vp = 25 * million
            if " director " in title or " head of " in title:
                director = 20 * million
            if " manager " in title or " lead " in title:
                manager = 10 * million
            if " intern " in title or " student " in title:
                learner = -20 * million
        given = (chief or 0) + (vp or 0) + (director or 0) + (manager or 0)
        best = max(chief or 0, vp or 0, director or 0, manager or 0)
        country = facts["person.country"]
        home = 15 * million if country in ("us", "gb", "de") else None
        growing = 5 * million if country in ("fr", "es") else None
        software = 15 * million if facts["company.industry"] in ("software", "fintech") else None
        named = 10 * million if facts["company.tier"] == "named" else None
        phone = 5 * million if facts["person.phone#valid"] else None
        domain = facts["person.email_domain"]
        private = None
        if domain is not None and (domain in ("gmail.com", "gmx.de") or domain.endswith((".gmail.com", ".gmx.de"))):
            private = -15 * million
        market = (home or 0) + (growing or 0) + (software or 0) + (named or 0) + (phone or 0)
        all_of_it = size * million + best + market + (private or 0) + (learner or 0)
        fit = max(0, min(100 * million, all_of_it))
        return int(employees is not None), fit, (
            all_of_it - fit, 0, size * million, given - best, chief, vp, director, manager,
            0, home, growing, software, named, phone, 0, private, learner,
        )  # fmt: skip

    def engaged(self, events: list[Event], created: int) -> tuple[int, int, tuple[int | None, ...]]:
        """Exact engagement, the age of the newest demo or meeting, and the reasons."""
        demo = contact = meeting = newsletter = careers = any_ = last_click = NOTHING
        pricing = integrations = download = click = form = opt_out = recent = 0
        pricings = many_integrations = downloads = clicks = forms = opt_outs = 0
        pages: set[int] = set()
        webinars: dict[str | None, int] = {}
        for kind, day, count, deleted, attributes in events:
            age = self.days[day]
            if deleted or not 0 <= age < AGES:
                continue
            if age < any_:
                any_ = age
            if kind == "page_view":
                pages.add(age)
                if age < 7:
                    recent += count
                path = attributes["path"]
                if path is not None:
                    if path.startswith("/pricing"):
                        pricing += count * self.pricing[age]
                        pricings += count
                    elif path.startswith("/integrations/"):
                        integrations += count * self.integrations[age]
                        many_integrations += count
                    elif age < careers and path.startswith("/careers"):
                        careers = age
            elif kind == "email_click":
                click += count * self.click[age]
                clicks += count
                if age < last_click:
                    last_click = age
            elif kind == "form_submit":
                name = attributes["form"]
                if name == "contact-sales":
                    contact = min(contact, age)
                else:
                    form += count * self.form[age]
                    forms += count
                    if name == "unsubscribe":
                        opt_out += count * self.opt_out[age]
                        opt_outs += count
            elif kind == "content_download":
                download += count * self.download[age]
                downloads += count
            elif kind == "webinar_attended":
                name = attributes["name"]
                webinars[name] = min(webinars.get(name, NOTHING), age)
            elif kind == "newsletter_signup":
                newsletter = min(newsletter, age)
            elif kind == "demo_request":
                demo = min(demo, age)
            elif kind == "meeting_booked":
                meeting = min(meeting, age)
        million = MICRO
        v_demo = self.demo[demo] if demo < NOTHING else None
        v_contact = self.contact[contact] if contact < NOTHING else None
        v_meeting = self.meeting[meeting] if meeting < NOTHING else None
        v_pricing = min(24 * million, pricing) if pricings else None
        v_integrations = min(9 * million, integrations) if many_integrations else None
        v_page = min(10 * million, sum([self.page[age] for age in pages])) if pages else None
        v_busy = self.busy[min(pages)] if recent >= 5 else None
        v_webinar = min(30 * million, sum([self.webinar[age] for age in webinars.values()])) if webinars else None
        v_download = min(18 * million, download) if downloads else None
        v_click = min(10 * million, click) if clicks else None
        v_newsletter = 4 * million if newsletter < NOTHING else None
        v_form = form if forms else None
        v_careers = -20 * million if careers < 90 else None
        v_opt_out = opt_out if opt_outs else None
        v_quiet = -10 * million if min(any_, created) >= 60 else None
        v_clicks = -5 * million if min(last_click, created) >= 90 else None
        asked = (v_demo or 0) + (v_contact or 0) + (v_meeting or 0)
        web = (v_pricing or 0) + (v_integrations or 0) + (v_page or 0) + (v_busy or 0)
        content = (v_webinar or 0) + (v_download or 0) + (v_click or 0) + (v_newsletter or 0) + (v_form or 0)
        wrong = (v_careers or 0) + (v_opt_out or 0) + (v_quiet or 0) + (v_clicks or 0)
        g_asked, g_web, g_content = min(60 * million, asked), min(50 * million, web), min(30 * million, content)
        all_of_it = g_asked + g_web + g_content + wrong
        engagement = max(0, min(100 * million, all_of_it))
        one = {True: None, False: 1}
        return engagement, min(demo, meeting), (
            all_of_it - engagement,
            asked - g_asked, v_demo, one[v_demo is None], v_contact, one[v_contact is None],
            v_meeting, one[v_meeting is None],
            web - g_web, v_pricing, pricings or None, v_integrations, many_integrations or None,
            v_page, len(pages) or None, v_busy, one[v_busy is None],
            content - g_content, v_webinar, len(webinars) or None, v_download, downloads or None,
            v_click, clicks or None, v_newsletter, one[v_newsletter is None], v_form, forms or None,
            0, v_careers, one[v_careers is None], v_opt_out, opt_outs or None,
            v_quiet, one[v_quiet is None], v_clicks, one[v_clicks is None],
        )  # fmt: skip

    def run(self, people: Iterable[Person]) -> list[Row]:
        return [self.person(one) for one in people]
