"""Warnings: each found where it is, and silent where the policy is sound."""

from __future__ import annotations

from datetime import date

import pytest

from scoring.document import Source
from scoring.load import load_policy
from sync.rules import read_folder
from tests.support.rules import COMPLETE

TEAM = """\
version: 1
reps: {ana@acme.com: {}}
pools: {sales: {method: even, nobody_free: queue inbound, reps: {ana@acme.com: {}}}}
queues: {inbound: {}}
"""


def policy(
    *,
    lists: str = "",
    fit: str = "",
    web: str = "rules: [{event: page_view, points: 5}]",
    more: str = "",
    grade: str = "{fit: {A: 10, B: 0}, engagement: {1: 10, 2: 0}}",
    gate: str = "{grade: [A1]}",
    routing: str = "- {to: pool sales}",
    size: str = "{from 200: 60, from 20: 25, unknown: 10, otherwise: 0}",
) -> str:
    return f"""\
version: 1
name: small
{f"lists: {lists}" if lists else "suppress: {}"}
fit: {{groups: {{size: {{field: company.employees, points: {size}}}{fit}}}}}
engagement: {{groups: {{web: {{{web}}}{more}}}}}
grade: {grade}
mql: {{become_when: {{good: {gate}}}}}
routing:
  {routing}
examples: [{{name: nobody, expect: {{mql: no}}}}]
"""


def warnings(text: str, team: str = TEAM) -> list[str]:
    _, found = load_policy(
        Source("policy.yaml", text.encode()), Source("team.yaml", team.encode()), lists=lambda name: name
    )
    assert all(p.warning for p in found)
    assert all(p.message.startswith(f"{p.code}: ") and p.code for p in found)
    return [f"{p.path}: {p.message}" for p in found]


def test_a_sound_policy_has_no_warnings() -> None:
    assert warnings(policy()) == []


@pytest.mark.parametrize(
    ("parts", "warning"),
    [
        (
            {"size": "{from 50: 15, from 200: 60, unknown: 0}"},
            "fit.groups.size.points: W01: 'from 200' can never be reached: 'from 50' above it takes all of it; "
            "write it above that line, or leave it out",
        ),
        (
            {"fit": ", c: {field: person.country, points: {in a: 5, NO: 3, unknown: 0}}", "lists": "{a: [NO, SE]}"},
            "fit.groups.c.points: W01: 'NO' can never be reached: 'in a' above it takes all of it; "
            "write it above that line, or leave it out",
        ),
        (
            {"fit": ", d: {field: person.email_domain, points: {io: 5, rival.io: 3, unknown: 0}}"},
            "fit.groups.d.points: W01: 'rival.io' can never be reached: 'io' above it takes all of it; "
            "write it above that line, or leave it out",
        ),
        (
            {"routing": "- {name: all, to: queue inbound}\n  - {to: pool sales}"},
            "routing[1]: W01: this rule can never be reached: 'all' takes everybody; write it above that rule",
        ),
        (
            {"web": "max: 10, rules: [{event: page_view, points: 12}]"},
            "engagement.groups.web.rules[0]: W02: 12 points can never be reached: the max of 'web' is 10; write 10, "
            "or raise the max",
        ),
        (
            {"web": "rules: [{event: page_view, points: 12, max: 10}]"},
            "engagement.groups.web.rules[0]: W02: 12 points can never be reached: its own max is 10; write 10, "
            "or raise the max",
        ),
        (
            {"fit": ", x: {field: person.source, max: 5, points: {web: 7, unknown: 0}}"},
            "fit.groups.x.points: W02: 'web' gives 7 points, the max of the group is 5; write 5 or raise max",
        ),
        (
            {"grade": "{fit: {A: 70, B: 10, C: 0}, engagement: {1: 10, 2: 0}}"},
            "grade.fit: W03: nobody can get 'A': it begins at 70, the greatest possible fit is 60; lower the bound",
        ),
        (
            {"gate": "{fit: from 61}"},
            "mql.become_when.good: W03: nobody can pass this: the greatest possible fit is 60; ask for less",
        ),
        (
            {"size": "{from 200: 60, otherwise: 0}"},
            "fit.groups.size.points: W04: no line for 'unknown': a missing value gives 0 points; write 'unknown: 0'",
        ),
        (
            {"lists": "{spare: [a, b]}"},
            "lists.spare: W05: this list is used nowhere: name it where it applies, or take it out",
        ),
        (
            {
                "lists": "{emea: [DE, TR], asia: [TR, JP]}",
                "routing": "- {when: {person.country: in emea}, to: pool sales, name: a}\n"
                "  - {when: {person.country: in asia}, to: pool sales, name: b}\n  - {to: pool sales}",
            },
            "lists.asia: W05: 'emea' and 'asia' share 'tr', and routing asks person.country for both: take it out of "
            "one of them",
        ),
        (
            {"more": ", other: {rules: [{event: page_view, points: 3, name: again}]}"},
            "engagement.groups.other.rules[0]: W06: the same event also gives points in 'web' (page view); "
            "let one of them say `where` the other does not apply",
        ),
        (
            {"web": "fade: half-life 9 days, rules: [{event: page_view, points: 5, max: 20}]"},
            "engagement.groups.web.rules[0]: W07: max on a sum that fades: the cap hides the fading; "
            "write 'cap: newest', or leave max out",
        ),
        (
            {"web": "fade: half-life 9 days, max: 20, rules: [{event: page_view, points: 5}]"},
            "engagement.groups.web: W07: max on a sum that fades: the cap hides the fading; "
            "write 'cap: newest', or leave max out",
        ),
        (
            {"web": "max: 20, rules: [{event: page_view, points: 5}, {event: chat, points: -5}]"},
            "engagement.groups.web.rules[1]: W08: a penalty in a group with a max: the cap can swallow it; "
            "put it in a group of its own",
        ),
        (
            {"web": "rules: [{event: email_open, points: 5}]"},
            "engagement.groups.web.rules[0]: W10: opened mails give points, and machines open most of them; "
            "score email_click or email_reply instead",
        ),
        (
            {
                "web": "fade: expire after 30 days, rules: [{event: page_view, points: 50}]",
                "gate": "{event: page_view, within: 60 days, engagement: [1]}",
            },
            "mql.become_when.good: W11: the event may be 60 days old, but its points are gone after 30 days: "
            "write 'within: 30 days' or let the points fade later",
        ),
    ],
)
def test_what_is_probably_not_meant_is_told(parts: dict[str, str], warning: str) -> None:
    assert warnings(policy(**parts)) == [warning]


@pytest.mark.parametrize(
    "parts",
    [
        {"web": "fade: half-life 9 days, rules: [{event: page_view, points: 5, max: 20, cap: newest}]"},
        {"web": "fade: half-life 9 days, rules: [{event: page_view, points: 20, max: 20, count: once}]"},
        {"web": "fade: half-life 9 days, max: 20, take: best, rules: [{event: page_view, points: 20, count: once}]"},
        {
            "web": "fade: lose 10% every week, rules: [{event: chat, points: 50}]",
            "gate": "{event: chat, within: 70 days, engagement: [1]}",
        },
        {"fit": ", bad: {rules: [{when: {person.phone: invalid}, points: -5}]}"},
        {"lists": "{free_mail: [gmail.com]}"},
        {"more": ", other: {rules: [{event: page_view, points: -3}]}"},
        {"size": "{from 200: 60, unknown: 10}", "grade": "{fit: {A: 60, B: 0}, engagement: {1: 10, 2: 0}}"},
    ],
)
def test_no_false_alarm(parts: dict[str, str]) -> None:
    assert warnings(policy(**parts)) == []


def test_unused_parts_of_the_team_are_told() -> None:
    team = """\
version: 1
reps: {ana@acme.com: {}, idle@acme.com: {}, gone@acme.com: {status: left}}
pools:
  sales: {method: even, nobody_free: queue inbound, reps: {ana@acme.com: {}}}
  spare: {method: even, nobody_free: queue inbound, reps: {gone@acme.com: {}}}
queues: {inbound: {}, quiet: {}}
"""
    assert warnings(policy(), team) == [
        "reps.idle@acme.com: W05: this rep is used nowhere: name it where it applies, or take it out",
        "pools.spare.reps: E05: no rep of this pool can take anybody: its nobody_free is used",
        "pools.spare: W05: this pool is used nowhere: name it where it applies, or take it out",
        "queues.quiet: W05: this queue is used nowhere: name it where it applies, or take it out",
    ]


def test_the_complete_policy_caps_sums_that_fade_on_purpose_and_nothing_else() -> None:
    found = read_folder(COMPLETE, today=date(2026, 11, 25)).warnings
    assert {w.code for w in found} == {"W07"}
