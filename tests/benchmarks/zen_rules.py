"""The thirty rules as a decision for the zen engine, to measure against: two ways a user might write them.

*Events in zen*: zen is given a person with the list of their events, and its expressions filter and add them up. *All
prepared*: Python has made every test of a text, every count and every sum before, and zen is asked what they come to.
Both give what the engine gives: scores, grade, gate lines, the points and the count of every rule and what every cap
took away, exact. What Python does first is not timed: dropping deleted events, ages in days, and marking "the newest of
its day" and "of its name", for which zen has nothing; all tests, counts and sums in the second.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import zen

from scoring.tables import MICRO
from tests.benchmarks.crowd import TODAY
from tests.benchmarks.loops import AGES, Person, Row

__all__ = ["ZenRules"]

_TITLES = {
    "chief": (25, ("chief", "ceo", "cto", "cfo")),
    "vp": (25, ("vp", "vice president")),
    "director": (20, ("director", "head of")),
    "manager": (10, ("manager", "lead")),
    "learner": (-20, ("intern", "student")),
}
_TESTS = {name: f"matches(title, '\\b({'|'.join(phrases)})\\b')" for name, (_, phrases) in _TITLES.items()} | {
    "private mailbox": "domain in ['gmail.com', 'gmx.de'] or matches(domain, '[.](gmail[.]com|gmx[.]de)$')"
}
_FACTS = {
    "size": "employees == null ? 0 : employees >= 1000 ? 30 : employees >= 200 ? 25 : employees >= 50 ? 15 : 0",
    "home": "country in ['us', 'gb', 'de'] ? 15 : 0",
    "growing": "country in ['fr', 'es'] ? 5 : 0",
    "software": "industry in ['software', 'fintech'] ? 15 : 0",
    "named": "tier == 'named' ? 10 : 0",
    "phone": "valid == true ? 5 : 0",
}

_PAGE, _FORM = "#.kind == 'page_view'", "#.kind == 'form_submit'"
_MATCHES = {
    "demo": "#.kind == 'demo_request'",
    "contact": _FORM + " and #.form == 'contact-sales'",
    "meeting": "#.kind == 'meeting_booked'",
    "pricing": _PAGE + " and startsWith(#.path, '/pricing')",
    "integrations": _PAGE + " and startsWith(#.path, '/integrations/')",
    "any page": _PAGE + " and #.newest_of_day",
    "page": _PAGE,
    "recent page": _PAGE + " and #.age < 7",
    "webinar": "#.kind == 'webinar_attended' and #.newest_of_name",
    "download": "#.kind == 'content_download'",
    "click": "#.kind == 'email_click'",
    "newsletter": "#.kind == 'newsletter_signup'",
    "other form": _FORM + " and #.form != 'contact-sales'",
    "careers": _PAGE + " and #.age < 90 and startsWith(#.path, '/careers')",
    "opt-out form": _FORM + " and #.form == 'unsubscribe'",
    "lately": "#.age < 60",
    "lately clicked": "#.kind == 'email_click' and #.age < 90",
    "raised": "(#.kind == 'demo_request' or #.kind == 'meeting_booked') and #.age < 7",
}


def _half_life(points: int) -> str:
    return f"round({points * MICRO} * 0.5 ^ (#.age / 14))"


def _steps(points: int) -> str:
    return f"{points * MICRO} * max([0, 1 - 0.5 * floor(#.age / 30)])"


def _season(points: int) -> str:
    return f"(#.age < 90 ? {points * MICRO} : 0)"


_WORTHS = {
    "demo": _steps(50),
    "contact": _steps(45),
    "meeting": _steps(60),
    "pricing": _half_life(8),
    "integrations": _half_life(3),
    "any page": _half_life(1),
    "page": _half_life(10),
    "webinar": _season(15),
    "download": _season(6),
    "click": _half_life(2),
    "other form": _half_life(5),
    "opt-out form": _steps(-10),
}


def _newest(name: str) -> str:
    """No worth is negative here, and none grows with age."""
    events = f"filter(events, {_MATCHES[name]})"
    return f"(len({events}) > 0 ? max(map({events}, {_WORTHS[name]})) : 0)"


def _each(name: str, times: str = "") -> str:
    return f"sum(map(filter(events, {_MATCHES[name]}), {times}{_WORTHS[name]}))"


def _some(name: str) -> str:
    return f"some(events, {_MATCHES[name]})"


def _number(name: str) -> str:
    return f"len(filter(events, {_MATCHES[name]}))"


def _occurrences(name: str) -> str:
    return f"sum(map(filter(events, {_MATCHES[name]}), #.count))"


_ONCE = ("demo", "contact", "meeting", "newsletter", "careers")
_GROUPED = ("any page", "webinar")
_EVERY = ("pricing", "integrations", "download", "click", "other form", "opt-out form")
_AGGREGATES = (
    {name: _newest(name) for name in ("demo", "contact", "meeting", "page")}
    | {name: _each(name) for name in _GROUPED}
    | {name: _each(name, "#.count * ") for name in _EVERY}
    | {name: _some(name) for name in ("newsletter", "careers", "lately", "lately clicked", "raised")}
    | {"recent pages": _occurrences("recent page")}
    | {f"number of {name}": _number(name) for name in _GROUPED}
    | {f"number of {name}": _occurrences(name) for name in _EVERY}
    | {f"number of {name}": f"({_some(name)} ? 1 : 0)" for name in _ONCE}
)
"""What zen, or Python before it, makes of the events."""

_CAPS = {"pricing": 24, "integrations": 9, "any page": 10, "webinar": 30, "download": 18, "click": 10}
_ENGAGEMENT = {
    name: f"min([{_CAPS[name] * MICRO}, {{{name}}}])" if name in _CAPS else f"{{{name}}}"
    for name in ("demo", "contact", "meeting", "pricing", "integrations", "any page", "webinar", "download", "click")
} | {
    "busy week": "{recent pages} >= 5 ? {page} : 0",
    "newsletter": f"{{newsletter}} ? {4 * MICRO} : 0",
    "other form": "{other form}",
    "careers": f"{{careers}} ? {-20 * MICRO} : 0",
    "opt-out form": "{opt-out form}",
    "quiet": f"created >= 60 and not {{lately}} ? {-10 * MICRO} : 0",
    "no clicks": f"created >= 90 and not {{lately clicked}} ? {-5 * MICRO} : 0",
}
_COUNTS = {name: f"{{number of {name}}}" for name in (*_ONCE, *_GROUPED, *_EVERY)} | {
    "busy week": "{recent pages} >= 5 ? 1 : 0",
    "quiet": "created >= 60 and not {lately} ? 1 : 0",
    "no clicks": "created >= 90 and not {lately clicked} ? 1 : 0",
}
_GROUPS = {
    "asked": (60, ("demo", "contact", "meeting")),
    "web": (50, ("pricing", "integrations", "any page", "busy week")),
    "content": (30, ("webinar", "download", "click", "newsletter", "other form")),
    "wrong": (None, ("careers", "opt-out form", "quiet", "no clicks")),
}


def _key(name: str) -> str:
    return name.replace(" ", "_").replace("-", "_")


def _rules(*, prepared: bool) -> dict[str, str]:
    """Points of every rule."""
    tests = {name: f"is_{_key(name)}" if prepared else test for name, test in _TESTS.items()}
    points = {name: points for name, (points, _) in _TITLES.items()} | {"private mailbox": -15}
    aggregates = {name: f"of_{_key(name)}" if prepared else f"({how})" for name, how in _AGGREGATES.items()}
    rules = {_key(name): f"(({tests[name]}) ? {points[name] * MICRO} : 0)" for name in tests}
    rules |= {name: f"({how}) * {MICRO}" for name, how in _FACTS.items()}
    wanted = {_key(name): how for name, how in _ENGAGEMENT.items()}
    for key, how in (wanted | {f"{_key(name)}_count": how for name, how in _COUNTS.items()}).items():
        for part, expression in aggregates.items():
            how = how.replace(f"{{{part}}}", expression)
        rules[key] = how
    rules["raised_lately"] = aggregates["raised"]
    return rules


_TITLE = ("chief", "vp", "director", "manager")


def _together() -> dict[str, str]:
    """Points of every group, and what its cap took away."""
    found = {"title_group": f"max([{', '.join(_TITLE)}])"}
    found["title_loss"] = f"{' + '.join(_TITLE)} - $.title_group"
    for name, (most, rules) in _GROUPS.items():
        given = " + ".join(map(_key, rules))
        found[f"{name}_group"] = given if most is None else f"min([{most * MICRO}, {given}])"
        found[f"{name}_loss"] = f"{given} - $.{name}_group"
    return found


def _scores() -> dict[str, str]:
    fit = "size + title_group + home + growing + software + named + phone + private_mailbox + learner"
    engagement = " + ".join(f"{name}_group" for name in _GROUPS)
    return {
        "fit_micro": f"max([0, min([{100 * MICRO}, {fit}])])",
        "engagement_micro": f"max([0, min([{100 * MICRO}, {engagement}])])",
        "fit_loss": f"{fit} - $.fit_micro",
        "engagement_loss": f"{engagement} - $.engagement_micro",
    }


_LABELS = {
    "fit": f"floor((fit_micro + {MICRO // 2}) / {MICRO})",
    "engagement": f"floor((engagement_micro + {MICRO // 2}) / {MICRO})",
    "suppressed": "customer ? 'customer' : null",
}
_GRADE = {
    "grade": "(fit >= 70 ? 'A' : fit >= 45 ? 'B' : fit >= 20 ? 'C' : 'D') + "
    "(engagement >= 50 ? '1' : engagement >= 30 ? '2' : engagement >= 10 ? '3' : '4')"
}
_LINES = {"lines": "(raised_lately ? 1 : 0) + (grade in ['A1', 'A2', 'B1'] ? 2 : 0)"}

_ITEMS = (*_TESTS, *_FACTS, *_ENGAGEMENT)
_ANSWER = (
    *("suppressed", "grade", "fit", "engagement", "fit_micro", "engagement_micro", "lines"),
    *map(_key, _ITEMS),
    *(f"{_key(name)}_count" for name in _COUNTS),
    *(f"{name}_loss" for name in ("fit", "engagement", "title", *_GROUPS)),
)


class ZenRules:
    """``prepared``: Python makes tests, counts and sums, zen only what they come to."""

    def __init__(self, *, prepared: bool) -> None:
        self._prepared = prepared
        steps = (
            _rules(prepared=prepared),
            _together(),
            _scores(),
            _LABELS,
            _GRADE,
            _LINES,
            {name: name for name in _ANSWER},
        )
        self._decision = zen.ZenEngine().create_decision(json.dumps(_graph(steps)))
        self._aggregates = {
            name: zen.compile_expression(how) for name, how in (_AGGREGATES | _TESTS).items() if prepared
        }

    def inputs(self, people: Iterable[Person]) -> list[dict[str, Any]]:
        """What zen is given, one a person."""
        return [self._input(*person) for person in people]

    def _input(self, facts: Mapping[str, Any], events: Iterable[Any]) -> dict[str, Any]:
        employees = facts["company.employees"]
        given: dict[str, Any] = {
            "employees": None if employees is None else employees // MICRO,
            "title": (facts["person.title#words"] or "").strip(),
            "country": facts["person.country"],
            "industry": facts["company.industry"],
            "tier": facts["company.tier"],
            "domain": facts["person.email_domain"] or "",
            "valid": facts["person.phone#valid"],
            "customer": facts["company.is_customer"],
            "created": (TODAY - facts["person.created_at"]).days,
            "events": _events(events),
        }
        if self._prepared:
            for name, how in self._aggregates.items():
                given[f"{'is' if name in _TESTS else 'of'}_{_key(name)}"] = how.evaluate(given)
            del given["events"]
        return given

    def run(self, inputs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        evaluate = self._decision.evaluate
        return [evaluate(one)["result"] for one in inputs]

    @staticmethod
    def differences(results: Iterable[Mapping[str, Any]], columns: tuple[str, ...], rows: Iterable[Row]) -> list[str]:
        """The ids of those of whom a loop's rows say something else."""
        places = {name: at for at, name in enumerate(columns)}
        at = {name: places[name] for name in ("suppressed", "grade", "fit_micro", "engagement_micro", "lines")}
        for column, place in places.items():
            name, _, what = column.rpartition(".")[2].partition("#")
            if name in _ITEMS:
                at[f"{_key(name)}_count" if what else _key(name)] = place
            elif name in ("title", *_GROUPS, "fit", "engagement") and what == "loss":
                at[f"{name}_loss"] = place
        return [
            row[0]
            for found, row in zip(results, rows, strict=True)
            if any((found.get(name) or 0) != (row[place] or 0) for name, place in at.items())
        ]


def _events(events: Iterable[Any]) -> list[dict[str, Any]]:
    """Newest first, so that the first of a day or name is the newest."""
    live = []
    for kind, day, count, deleted, attributes in sorted(events, key=lambda event: event[1], reverse=True):
        age = (TODAY - day).days
        if not deleted and 0 <= age < AGES:
            one = {"kind": kind, "age": age, "count": count, **attributes}
            live.append(one | {"path": attributes["path"] or "", "form": attributes["form"] or ""})
    days: set[tuple[str, int]] = set()
    names: set[tuple[str, str | None]] = set()
    for event in live:
        day_key, name_key = (event["kind"], event["age"]), (event["kind"], event["name"])
        event["newest_of_day"], event["newest_of_name"] = day_key not in days, name_key not in names
        days.add(day_key)
        names.add(name_key)
    return live


def _graph(steps: Iterable[Mapping[str, str]]) -> dict[str, Any]:
    """A decision of expression nodes, one after the other."""
    nodes: list[dict[str, Any]] = [{"id": "in", "type": "inputNode", "name": "in"}]
    stages = list(steps)
    for number, step in enumerate(stages):
        expressions = [{"id": key, "key": key, "value": value} for key, value in step.items()]
        # the last one hands on nothing but the answer
        content = {"expressions": expressions, "passThrough": number + 1 < len(stages)}
        nodes.append({"id": f"step{number}", "type": "expressionNode", "name": f"step{number}", "content": content})
    nodes.append({"id": "out", "type": "outputNode", "name": "out"})
    ids = [node["id"] for node in nodes]
    edges = [
        {"id": f"{one}-{next_}", "type": "edge", "sourceId": one, "targetId": next_} for one, next_ in pairwise(ids)
    ]
    return {"nodes": nodes, "edges": edges}
