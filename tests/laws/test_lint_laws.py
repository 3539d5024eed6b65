"""Lint and the shipped files: whatever one thing is spoilt is found, and the work grows with the length of a file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import date
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

import scoring.lint_order
import scoring.lint_rules
from scoring import implied
from scoring.document import PolicyInvalid, Problem, Source
from scoring.load import load_policy
from sync.mapping import load_mapping

CONFIG = Path(__file__).parents[2] / "config"
TODAY = date(2026, 11, 25)
Yaml = dict[str, Any]


def shipped(name: str) -> Yaml:
    read: Yaml = YAML(typ="base").load((CONFIG / name).read_text(encoding="utf-8"))
    return read


POLICY, TEAM = shipped("policy.yaml"), shipped("team.yaml")
FIELDS, _ = load_mapping(Source("fields.yaml", (CONFIG / "fields.yaml").read_bytes()))


def told(policy: Yaml, team: Yaml) -> list[Problem]:
    """What is said of the files, in JSON: errors if there are any, else warnings."""
    try:
        _, warnings = load_policy(
            Source("policy.json", json.dumps(policy).encode()),
            Source("team.json", json.dumps(team).encode()),
            lists=lambda name: name,
            custom=FIELDS.custom,
            arrivals=FIELDS.arrivals(),
            today=TODAY,
        )
    except PolicyInvalid as invalid:
        return list(invalid.problems)
    return warnings


# -- one thing spoilt --------------------------------------------------------------------------------------------

Spoilt = tuple[str, str]
"""The code that must be told, and how the path of its place begins."""
Spoil = Callable[[st.DataObject, Yaml, Yaml], Spoilt]


def tables(policy: Yaml) -> list[tuple[str, Yaml]]:
    return [(name, group) for name, group in policy["fit"]["groups"].items() if "points" in group]


def event_rules(policy: Yaml) -> list[tuple[str, Yaml]]:
    """Path and rule, of those that give points."""
    return [
        (f"engagement.groups.{name}.rules[{index}]", rule)
        for name, group in policy["engagement"]["groups"].items()
        for index, rule in enumerate(group["rules"])
        if float(rule["points"]) > 0
    ]


def line_below_one_that_takes_all(data: st.DataObject, policy: Yaml, team: Yaml) -> Spoilt:
    name, group = data.draw(st.sampled_from(tables(policy)))
    first = next(iter(group["points"]))
    again = {"known": "5", first: group["points"].pop(first)}
    group["points"] = {**again, **group["points"]}
    return "W01", f"fit.groups.{name}.points"


def route_below_one_for_everybody(data: st.DataObject, policy: Yaml, team: Yaml) -> Spoilt:
    at = data.draw(st.integers(0, len(policy["routing"]) - 1))
    policy["routing"].insert(at, {"name": "all of them", "to": "queue inbound"})
    return "W01", f"routing[{at + 1}]"


def gate_line_below_a_wider_one(data: st.DataObject, policy: Yaml, team: Yaml) -> Spoilt:
    lines = policy["mql"]["become_when"]
    name = data.draw(st.sampled_from(sorted(lines)))
    lines["narrower"] = {**lines[name], "company.employees": data.draw(st.sampled_from(["from 10", "known"]))}
    return "W01", "mql.become_when.narrower"


def points_above_the_max(data: st.DataObject, policy: Yaml, team: Yaml) -> Spoilt:
    path, rule = data.draw(st.sampled_from(event_rules(policy)))
    rule["max"] = str(float(rule["points"]) / 2)
    return "W02", path


def bound_out_of_reach(data: st.DataObject, policy: Yaml, team: Yaml) -> Spoilt:
    of = data.draw(st.sampled_from(["fit", "engagement"]))
    first = next(iter(policy["grade"][of]))
    policy["grade"][of][first] = str(data.draw(st.integers(101, 1000)))
    return "W03", f"grade.{of}"


def table_without_unknown(data: st.DataObject, policy: Yaml, team: Yaml) -> Spoilt:
    name, group = data.draw(st.sampled_from(tables(policy)))
    del group["points"]["unknown"]
    return "W04", f"fit.groups.{name}.points"


def something_nobody_names(data: st.DataObject, policy: Yaml, team: Yaml) -> Spoilt:
    what = data.draw(st.sampled_from(["lists", "pools", "queues", "reps", "hours"]))
    if what == "lists":
        policy["lists"]["spare"] = ["a", "b"]
        return "W05", "lists.spare"
    name = "idle@yourcompany.example" if what == "reps" else "spare"
    team.setdefault(what, {})[name] = {
        "pools": {"method": "even", "nobody_free": "queue inbound", "reps": {next(iter(team["reps"])): {}}},
        "hours": {"zone": "UTC", "mon": "09:00-17:00"},
    }.get(what, {})
    return "W05", f"{what}.{name}"


def event_scored_in_two_groups(data: st.DataObject, policy: Yaml, team: Yaml) -> Spoilt:
    _, rule = data.draw(st.sampled_from(event_rules(policy)))
    policy["engagement"]["groups"]["again"] = {"rules": [{**rule, "name": "once more"}]}
    return "W06", "engagement.groups.again.rules[0]"


def fading_hidden_by_a_cap(data: st.DataObject, policy: Yaml, team: Yaml) -> Spoilt:
    path, rule = data.draw(st.sampled_from([(p, r) for p, r in event_rules(policy) if "cap" in r]))
    del rule["cap"]
    return "W07", path


def penalty_under_a_cap(data: st.DataObject, policy: Yaml, team: Yaml) -> Spoilt:
    groups = policy["engagement"]["groups"]
    name = data.draw(st.sampled_from([n for n, g in groups.items() if any(float(r["points"]) > 0 for r in g["rules"])]))
    groups[name]["max"] = "1"
    groups[name]["rules"].append({"name": "a penalty", "event": "chat", "points": "-5"})
    return "W08", f"engagement.groups.{name}.rules[{len(groups[name]['rules']) - 1}]"


def dropped_where_the_gate_opens(data: st.DataObject, policy: Yaml, team: Yaml) -> Spoilt:
    drop = {"engagement": f"below {data.draw(st.integers(30, 90))}", "for": "7 days"}
    policy["mql"]["stay"] = {"at_least": "14 days", "drop_when": drop}
    return "W09", "mql.stay.drop_when"


def opens_scored(data: st.DataObject, policy: Yaml, team: Yaml) -> Spoilt:
    path, rule = data.draw(st.sampled_from([(p, r) for p, r in event_rules(policy) if not {"where", "count"} & set(r)]))
    rule["event"] = [rule["event"], "email_open"]
    return "W10", path


def storm_of_a_total(data: st.DataObject, policy: Yaml, team: Yaml) -> Spoilt:
    kind = data.draw(st.sampled_from(["page_view", "site_visit", "email_click", "social_interaction"]))
    policy["engagement"]["ignore"] = [{"event": kind, "at_least": "3 times in 2 seconds"}]
    return "W10", "engagement.ignore[0]"


def more_fresh_points_than_there_are(data: st.DataObject, policy: Yaml, team: Yaml) -> Spoilt:
    fresh = str(data.draw(st.integers(101, 9999)))
    policy["recycle"] = {"reasons": {"not_ready": {"wait": "30 days", "fresh_points": fresh}}}
    return "W11", "recycle.reasons.not_ready.fresh_points"


def back_for_long(data: st.DataObject, policy: Yaml, team: Yaml) -> Spoilt:
    rep = data.draw(st.sampled_from(sorted(team["reps"])))
    day = data.draw(st.dates(date(2020, 1, 1), date(2026, 8, 25)))
    team["reps"][rep]["away"] = ["2026-12-24", day.isoformat()]
    return "W12", f"reps.{rep}.away[1]"


def example_of_nothing(data: st.DataObject, policy: Yaml, team: Yaml) -> Spoilt:
    policy["examples"] = [{"name": "nobody", "expect": {}}]
    return "W13", "examples[0]"


def nobody_at_the_end(data: st.DataObject, policy: Yaml, team: Yaml) -> Spoilt:
    if data.draw(st.booleans()):
        policy["routing"][-1]["when"] = {"person.country": "DE"}
        return "E01", f"routing[{len(policy['routing']) - 1}]"
    del team["pools"]["sales"]["nobody_free"]
    return "E01", "pools.sales.nobody_free"


def name_misspelt(data: st.DataObject, policy: Yaml, team: Yaml) -> Spoilt:
    what = data.draw(st.sampled_from(["field", "event", "list", "pool"]))
    if what == "field":
        name, group = data.draw(st.sampled_from(tables(policy)))
        group["field"] += "s"
        return "E02", f"fit.groups.{name}.field"
    if what == "event":
        path, rule = data.draw(st.sampled_from(event_rules(policy)))
        rule["event"] += "s"
        return "E02", f"{path}.event"
    if what == "pool":
        policy["routing"][-1]["to"] += "s"
        return "E02", f"routing[{len(policy['routing']) - 1}].to"
    policy["suppress"]["competitor"] = {"person.email_domain": "in competitor"}
    return "E02", "suppress.competitor"


def bounds_that_rise(data: st.DataObject, policy: Yaml, team: Yaml) -> Spoilt:
    of = data.draw(st.sampled_from(["fit", "engagement"]))
    labels = list(policy["grade"][of])
    at = data.draw(st.integers(1, len(labels) - 1))
    policy["grade"][of][labels[at]] = policy["grade"][of][labels[at - 1]]
    return "E03", f"grade.{of}"


def caps_that_contradict(data: st.DataObject, policy: Yaml, team: Yaml) -> Spoilt:
    path, rule = data.draw(st.sampled_from(event_rules(policy)))
    rule |= data.draw(st.sampled_from([{"max": "0"}, {"max": "5", "min": "6"}]))
    return "E04", path


def rep_unknown_to_the_team(data: st.DataObject, policy: Yaml, team: Yaml) -> Spoilt:
    rep = data.draw(st.sampled_from(sorted(team["pools"]["sales"]["reps"])))
    if data.draw(st.booleans()):
        del team["reps"][rep]
        return "E05", "pools.sales.reps"
    team["reps"][rep]["backup"] = rep
    return "E05", f"reps.{rep}.backup"


def reassigned_too_soon(data: st.DataObject, policy: Yaml, team: Yaml) -> Spoilt:
    first = data.draw(st.integers(1, 100))
    again = data.draw(st.integers(1, first))
    policy["sla"] = {"first_touch": f"{first} working hours", "reassign_after": f"{again} working hours"}
    return "E06", "sla.reassign_after"


SPOILS: tuple[Spoil, ...] = (
    line_below_one_that_takes_all,
    route_below_one_for_everybody,
    gate_line_below_a_wider_one,
    points_above_the_max,
    bound_out_of_reach,
    table_without_unknown,
    something_nobody_names,
    event_scored_in_two_groups,
    fading_hidden_by_a_cap,
    penalty_under_a_cap,
    dropped_where_the_gate_opens,
    opens_scored,
    storm_of_a_total,
    more_fresh_points_than_there_are,
    back_for_long,
    example_of_nothing,
    nobody_at_the_end,
    name_misspelt,
    bounds_that_rise,
    caps_that_contradict,
    rep_unknown_to_the_team,
    reassigned_too_soon,
)


def test_the_shipped_files_have_no_finding_but_the_documented_one() -> None:
    assert told(POLICY, TEAM) == []


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_whatever_is_spoilt_is_found_where_it_is(spoil: Spoil, data: st.DataObject) -> None:
    policy, team = deepcopy(POLICY), deepcopy(TEAM)
    code, path = spoil(data, policy, team)
    found = told(policy, team)
    assert any(p.code == code and p.path.startswith(path) for p in found), "\n".join(map(str, found))


def test_every_code_is_spoilt_in_some_way() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    codes = set(re.findall(r'return "([EW]\d\d)"', source))
    assert codes == {*(f"E{n:02}" for n in range(1, 7)), *(f"W{n:02}" for n in range(1, 14))}


# -- how much is compared ----------------------------------------------------------------------------------------


def counted(monkeypatch: pytest.MonkeyPatch, where: Any, name: str, real: Callable[..., bool]) -> Iterator[int]:
    """Counts the calls of one comparison; each value is the count so far."""
    calls: list[None] = []

    def compare(*given: Any) -> bool:
        calls.append(None)
        return real(*given)

    monkeypatch.setattr(where, name, compare)
    return (len(calls) for _ in repeat(None))


def long_policy(n: int) -> Yaml:
    """``n`` lines of each kind that are all alike, so that every one could be compared with every other."""
    policy = deepcopy(POLICY)
    del policy["examples"]
    policy["suppress"] = {f"s{i}": {"company.employees": f"below {i + 1}", "person.country": "DE"} for i in range(n)}
    policy["fit"]["groups"]["long"] = {
        "field": "company.annual_revenue",
        "points": {f"from {n - i}": "1" for i in range(n)} | {"unknown": "0"},
    }
    policy["engagement"]["groups"] |= {
        f"g{g}": {
            "rules": [
                {"name": f"r{g}.{i}", "event": "chat", "where": {"minutes": f"from {i}"}, "points": "-1"}
                if g
                else {"name": f"r{g}.{i}", "event": "page_view", "where": {"path": f"/{i}*"}, "points": "1"}
                for i in range(n)
            ]
        }
        for g in range(2)
    }
    policy["engagement"]["groups"]["again"] = {
        "rules": [
            {"name": f"again {i}", "event": "page_view", "where": {"path": f"contains ~{i}~"}, "points": "1"}
            for i in range(n)
        ]
    }
    policy["routing"] = [
        *({"name": f"r{i}", "when": {"company.employees": f"from {n - i}"}, "to": "pool sales"} for i in range(n)),
        {"name": "rest", "to": "queue inbound"},
    ]
    return policy


def test_the_work_of_comparing_grows_with_the_length_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    met = counted(monkeypatch, scoring.lint_rules, "meet", implied.meet)
    followed = counted(monkeypatch, scoring.lint_order, "implies", implied.implies)
    spent = []
    for n in (100, 200):
        before = next(met), next(followed)
        told(long_policy(n), TEAM)
        spent.append((next(met) - before[0], next(followed) - before[1]))
    for n, pair in zip((100, 200), spent, strict=True):
        assert all(pair), "the comparisons are those that were counted"
        assert pair[0] <= 3 * n * scoring.lint_rules.MOST_COMPARED
        assert pair[1] <= 3 * n * scoring.lint_order.MOST_COMPARED
    assert all(much <= 2.5 * little for little, much in zip(*spent, strict=True))
