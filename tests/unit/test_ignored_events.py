"""Events that count for nothing (the published vectors of letter E and more), and points that came later."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from scoring.tables import MICRO
from tests.support import engines
from tests.support.engines import Scorer
from tests.support.rules import TODAY, happened, instant, person, policy, viewed
from tests.support.snapshots import event

scorer = engines.scorer


# -- E: ignored events -------------------------------------------------------------------------------------------


def sent(at: str = "10:00:00", email: str | None = "m1") -> dict[str, Any]:
    return event("sent", "email_delivered", TODAY, at=instant(f"{TODAY}T{at}"), email=email)


def clicked(*times: str, email: str | None = None, links: str = "") -> list[dict[str, Any]]:
    """Clicks of one mail at these times, or of these links."""
    return [
        event(
            f"click {n}",
            "email_click",
            TODAY,
            at=instant(f"{TODAY}T{time}"),
            email=email,
            link=links[n] if links else None,
        )
        for n, time in enumerate(times)
    ]


SCANNER = "{name: scanner, event: email_click, within: 10 seconds of email_delivered}"
EARLY = "{name: early, event: email_click, before: email_delivered}"
PAIR = "{name: pair, event: email_click, at_least: 2 times in 2 seconds}"
STORM = "{name: storm, event: email_click, at_least: 3 links in 2 seconds}"
BARE = event("bare", "email_click", TODAY, at=instant(f"{TODAY}T10:00:01.5"))
TWICE = event("twice", "email_click", TODAY, at=instant(f"{TODAY}T10:00:04"), count=2, email="m1")
UNTIMED = [event("many", "email_click", TODAY, count=9)]
BY_DOMAIN = "{name: scan.io, event: email_click, when: {person.email_domain: scan.io}}"

IGNORED: list[tuple[str, list[str], list[dict[str, Any]], int, dict[str, str]]] = [
    (
        "E1",
        [SCANNER],
        [sent(), *clicked("10:00:00.000", "10:00:09.999", "10:00:10.000", email="m1")],
        1,
        {"click 0": "scanner", "click 1": "scanner"},
    ),
    ("E2", [SCANNER], [sent(), *clicked("10:00:03", email="m2")], 1, {}),
    ("E3", [SCANNER], [sent(), *clicked("09:59:59", email="m1")], 1, {}),
    ("E4", [SCANNER, EARLY], [sent(), *clicked("09:59:59", email="m1")], 0, {"click 0": "early"}),
    (
        "E5",
        [STORM],
        clicked("10:00:00.0", "10:00:01.0", "10:00:01.9", links="abc"),
        0,
        dict.fromkeys(("click 0", "click 1", "click 2"), "storm"),
    ),
    ("E6", [STORM], clicked("10:00:00.0", "10:00:01.0", "10:00:02.0", links="abc"), 3, {}),
    ("E7", [STORM], clicked("10:00:00.0", "10:00:01.0", "10:00:01.5", links="aba"), 3, {}),
    (
        "E8",
        [STORM],
        clicked("10:00:00.0", "10:00:01.0", "10:00:01.9", "10:00:02.5", links="abca"),
        0,
        dict.fromkeys(("click 0", "click 1", "click 2", "click 3"), "storm"),
    ),
    ("E9", [STORM, SCANNER, EARLY], [sent(), *UNTIMED], 9, {}),
    ("E10", [BY_DOMAIN], clicked("10:00:00", "11:00:00"), 0, dict.fromkeys(("click 0", "click 1"), "scan.io")),
    (
        "a mail without an id is any mail",
        [SCANNER],
        [sent(email=None), *clicked("10:00:03", email="m2")],
        0,
        {"click 0": "scanner"},
    ),
    ("a click without an id is any click", [SCANNER], [sent(), *clicked("10:00:03")], 0, {"click 0": "scanner"}),
    ("no id is no mail that could be first", [EARLY], [sent(email=None), *clicked("09:59:59")], 1, {}),
    ("a click with the mail is not before it", [EARLY], [sent(), *clicked("10:00:00", email="m1")], 1, {}),
    (
        "before the first mail, not before the second",
        [EARLY],
        [sent("09:00:00"), sent("11:00:00") | {"event_id": "again"}, *clicked("08:59:59", "10:00:00", email="m1")],
        1,
        {"click 0": "early"},
    ),
    (
        "several deliveries in one have no time",
        [SCANNER, EARLY],
        [sent() | {"count": 2}, *clicked("09:59:59", "10:00:03", email="m1")],
        2,
        {},
    ),
    (
        "a delivery of a day has no time",
        [SCANNER, EARLY],
        [event("sent", "email_delivered", TODAY, email="m1"), *clicked("00:00:03", email="m1")],
        1,
        {},
    ),
    (
        "several clicks in one have no time",
        [SCANNER, EARLY, "{name: hail, event: email_click, at_least: 2 times in 1 minute}"],
        [sent(), *clicked("09:59:59", "10:00:03", email="m1"), TWICE],
        2,
        {"click 0": "early", "click 1": "scanner"},
    ),
    (
        "an ignored event is still part of a storm, and the first line names it",
        ["{name: link a, event: email_click, where: {link: a}}", STORM],
        clicked("10:00:00.0", "10:00:01.0", "10:00:01.9", links="abc"),
        0,
        {"click 0": "link a", "click 1": "storm", "click 2": "storm"},
    ),
    (
        "an ignored delivery is still a delivery",
        ["{name: all mail, event: email_delivered}", SCANNER],
        [sent(), *clicked("10:00:03", email="m1")],
        0,
        {"sent": "all mail", "click 0": "scanner"},
    ),
    (
        "no link is one value",
        [STORM],
        [*clicked("10:00:00.0", "10:00:01.0", links="ab"), BARE],
        0,
        dict.fromkeys(("click 0", "click 1", "bare"), "storm"),
    ),
    (
        "five times in a minute",
        ["{name: hail, event: email_click, at_least: 3 times in 1 minute}"],
        clicked("10:00:00", "10:00:00", "10:00:59.999999", "10:01:00"),
        1,
        dict.fromkeys(("click 0", "click 1", "click 2"), "hail"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "given", "counted", "ignored"), [row[1:] for row in IGNORED], ids=[r[0] for r in IGNORED]
)
def test_ignored_events_count_for_nothing_and_are_told(
    scorer: Scorer, lines: list[str], given: list[dict[str, Any]], counted: int, ignored: dict[str, str]
) -> None:
    of = policy(
        engagement=f"{{max: none, ignore: [{', '.join(lines)}], "
        "groups: {g: {rules: [{event: email_click, points: 1}]}}}"
    )
    facts = person({"person.email": "bot@eu.scan.io"})
    found = scorer.score(of, {"p": facts}, {"p": given}, TODAY)["p"]
    assert (found.engagement.micro, dict(found.ignored)) == (counted * MICRO, ignored)


def test_lines_see_what_is_too_old_to_count_but_not_what_comes_after_the_day(scorer: Scorer) -> None:
    """The delivery just before ``not_before`` unmasks the click just inside; tomorrow's makes nothing early today."""
    of = policy(
        engagement=f"{{max: none, not_before: 2 days, ignore: [{SCANNER}, {EARLY}, {PAIR}], "
        "groups: {g: {rules: [{event: email_click, points: 1}]}}}"
    )
    edge = [
        event("d", "email_delivered", date(2026, 6, 13), at=instant("2026-06-14T03:59:58"), email="m"),
        event("c", "email_click", date(2026, 6, 14), at=instant("2026-06-14T04:00:01"), email="m"),
    ]
    later = [
        event("c", "email_click", TODAY, at=instant("2026-06-15T22:00:00"), email="m"),
        event("d", "email_delivered", date(2026, 6, 16), at=instant("2026-06-16T14:00:00"), email="m"),
    ]
    midnight = [
        event("last", "email_click", TODAY, at=instant("2026-06-16T03:59:59")),
        event("next", "email_click", date(2026, 6, 16), at=instant("2026-06-16T04:00:00")),
    ]
    events = {"edge": edge, "later": later, "midnight": midnight}
    found = scorer.score(of, {name: person({}) for name in events}, events, TODAY)
    assert {p: (one.engagement.micro, one.ignored) for p, one in found.items()} == {
        "edge": (0, (("c", "scanner"),)),
        "later": (MICRO, ()),
        "midnight": (MICRO, ()),
    }


def test_ignored_events_open_no_gate_and_are_no_activity(scorer: Scorer) -> None:
    of = policy(
        engagement="{floor: none, ignore: [{name: no demo, event: demo_request, where: {form: test}}], groups: {g: {"
        "rules: [{event: any, absent_for: 5 days, points: -7}]}}}",
        mql="{become_when: {asked: {event: hand_raise}}, hand_raise: [{event: demo_request}]}",
    )
    given = {
        "p": happened("demo_request", 1, form="Test"),
        "q": happened("demo_request", 1, form="real"),
    }
    facts = person({"person.created_at": "2026-01-01"})
    found = scorer.score(of, {"p": facts, "q": facts}, given, TODAY)
    assert {p: (one.lines, one.hand_raise, one.engagement.micro) for p, one in found.items()} == {
        "p": ((), None, -7 * MICRO),
        "q": (("asked",), date(2026, 6, 14), 0),
    }


def test_each_model_ignores_for_itself(scorer: Scorer) -> None:
    rules = "groups: {g: {rules: [{event: email_open, points: 3}]}}"
    of = policy(
        engagement=f"{{{rules}}}",
        models="{strict: {when: {person.country: US}, "
        f"engagement: {{ignore: [{{name: opens, event: email_open}}], {rules}}}}}}}",
    )
    people = {"p": person({"person.country": "US"}), "q": person({"person.country": "DE"})}
    found = scorer.score(of, people, dict.fromkeys(people, happened("email_open", 0)), TODAY)
    assert {p: (one.model, one.engagement.micro, len(one.ignored)) for p, one in found.items()} == {
        "p": ("strict", 0, 1),
        "q": ("default", 3 * MICRO, 0),
    }


# -- points that came later --------------------------------------------------------------------------------------


def test_what_is_fresh_is_what_later_events_come_to(scorer: Scorer) -> None:
    """The same caps, counts and fades; what is ignored stays ignored by what came before; absence is not asked."""
    of = policy(
        engagement=f"{{max: 100, ignore: [{SCANNER}], groups: {{"
        "pages: {max: 25, fade: half-life 14 days, rules: [{event: page_view, points: 10}]}, "
        "mail: {rules: [{event: email_click, points: 4}]}, "
        "quiet: {rules: [{event: chat, absent_for: 30 days, points: -90}]}}}"
    )
    noon = instant("2026-06-10T16:00:00")
    late = [
        sent("10:00:00"),
        event("click", "email_click", TODAY, at=instant(f"{TODAY}T10:00:05"), email="m1"),
        event("another", "email_click", TODAY, at=instant(f"{TODAY}T10:00:11"), email="m1"),
    ]
    events = {
        "before": viewed(20, 30),
        "at the instant": viewed(5),
        "just after": [event("e", "page_view", date(2026, 6, 10), at=noon + timedelta(microseconds=1))],
        "a date": [event("e", "page_view", date(2026, 6, 10))],
        "the next date": [event("e", "page_view", date(2026, 6, 11))],
        "many": viewed(0, 0, 0, 30),
        "asks before": [event("e", "demo_request", date(2026, 6, 10), at=noon - timedelta(microseconds=1))],
        "asks just after": [event("e", "demo_request", date(2026, 6, 10), at=noon + timedelta(microseconds=1))],
        "scanned": late,
    }
    people = {name: person({"person.created_at": "2026-01-01"}) for name in [*events, "nobody asks"]}
    since = dict.fromkeys(events, noon) | {"scanned": instant(f"{TODAY}T10:00:01")}
    found = scorer.fresh(of, people, events, TODAY, since)
    assert {name for name, one in found.items() if one.raised} == {"asks just after"}
    assert {name: one.points for name, one in found.items()} == {
        "asks before": 0,
        "asks just after": 0,
        "before": 0,
        "at the instant": 0,
        "just after": 8,
        "a date": 0,
        "the next date": 8,
        "many": 25,
        "scanned": 4,
    }
