"""The sections of policy.yaml about what follows a score: types, and every error at its place."""

# ruff: noqa: E501  (messages are compared whole, a table line is one case)

from __future__ import annotations

import pytest

from scoring.conditions import All, AtLeast, Known, LabelIn, OneOf, Score, ScoreBelow, Span, Unit
from scoring.facts import custom_fact
from scoring.policy import (
    GateLine,
    Nurture,
    Policy,
    Reason,
    Recycle,
    Result,
    Review,
    Sla,
    Stay,
    SuppressLine,
    Target,
    TargetKind,
    WaitThen,
)
from scoring.team import Delay
from tests.support.policy_text import TEAM, but, load, problems

LIFE = but(
    "mql: {become_when: {good: {grade: [A1]}}}",
    """\
suppress:
  customer: {company.is_customer: true, tell: company.owner}
  student: [{person.seniority: student}, {person.title: has word intern}]
mql:
  become_when: {good: {grade: [A1]}}
  needs: [person.email, company.name]
  review:
    thin: {fit.unknown_groups: from 2, fit: [B]}
    sample: 2.5%
    hand_raise_skips: true
    auto_approve_after: 90 working minutes
    hours: office
    if_rejected: later
  stay:
    at_least: 2 weeks
    drop_when: {engagement: below 20, person.country: DE, for: 7 days}
    never_drop_in: [accepted, working]
recycle:
  reasons:
    later: {wait: 3 months, fresh_points: 25, nurture: mail}
    data:  {send_to: review}
    never: {never: true}
  no_reason: later
  hand_raise_skips_wait: true
  at_most: 3 in 365 days
nurture:
  tracks: [mail, calls]
  near_mql: {within: 15 points, track: calls}
  faded: mail
  pause_in: [assigned]
sla: {first_touch: 4 working hours, reassign_after: 8 working hours, give_up_after: 2 reassignments, then: queue inbound}""",
)

OFFICE = TEAM + "hours: {office: {zone: Europe/Berlin, mon-fri: 09:00-17:00}}\n"


def read(text: str = LIFE) -> Policy:
    return load(text, OFFICE)[0]


def told(old: str, new: str) -> list[str]:
    return problems(but(old, new, LIFE), OFFICE)


def test_needs_review_and_stay_become_types() -> None:
    policy = read()
    assert policy.needs == ("person.email", "company.name")
    assert policy.review == Review(
        lines=(
            GateLine(name="thin", test=All((AtLeast("fit.unknown_groups", 2_000_000), LabelIn(Score.FIT, ("B",))))),
        ),
        sample=250,
        hand_raise_skips=True,
        auto_approve_after=Delay(minutes=90, working=True),
        hours="office",
        if_rejected="later",
    )
    assert policy.stay == Stay(
        drop_when=All((ScoreBelow(Score.ENGAGEMENT, 20), OneOf("person.country", ("de",)))),
        lasting=Span(7),
        at_least=Span(14),
        never_drop_in=frozenset({"accepted", "working"}),
    )


def test_recycle_nurture_and_sla_become_types() -> None:
    policy = read()
    assert policy.recycle == Recycle(
        reasons=(
            Reason(name="later", wait=Span(3, Unit.MONTH), fresh_points=25, nurture="mail"),
            Reason(name="data", send_to_review=True),
            Reason(name="never", never=True),
        ),
        no_reason="later",
        hand_raise_skips_wait=True,
        at_most=(3, Span(365)),
    )
    assert policy.nurture == Nurture(
        tracks=("mail", "calls"), near_within=15, near_track="calls", faded="mail", pause_in=frozenset({"assigned"})
    )
    inbound = Target(kind=TargetKind.QUEUE, name="inbound")
    hours = (Delay(minutes=240, working=True), Delay(minutes=480, working=True))
    assert policy.sla == Sla(first_touch=hours[0], reassign_after=hours[1], give_up_after=2, then=inbound)


def test_who_is_told_of_somebody_suppressed_is_no_part_of_the_condition() -> None:
    customer, student = read().suppress
    with_out = read(but(", tell: company.owner", "", LIFE)).suppress[0]
    assert customer == SuppressLine(name="customer", test=with_out.test, tell=Target(kind=TargetKind.COMPANY_OWNER))
    assert student.tell is None
    one_of_two = read(but("{person.seniority: student}", "{person.seniority: student, tell: queue inbound}", LIFE))
    assert one_of_two.suppress[1] == SuppressLine(
        name="student", test=student.test, tell=Target(kind=TargetKind.QUEUE, name="inbound")
    )


@pytest.mark.parametrize(
    ("phrase", "becomes"),
    [
        ("next rule", "next rule"),
        ("their backup", "their backup"),
        ("pool sales", Target(kind=TargetKind.POOL, name="sales")),
        ("queue inbound", Target(kind=TargetKind.QUEUE, name="inbound")),
        (
            "wait 30 minutes then queue inbound",
            WaitThen(delay=Delay(minutes=30, working=False), then=Target(kind=TargetKind.QUEUE, name="inbound")),
        ),
        (
            "wait  2 working hours  then rep Bo@acme.com",
            WaitThen(delay=Delay(minutes=120, working=True), then=Target(kind=TargetKind.REP, name="bo@acme.com")),
        ),
    ],
)
def test_where_people_go_when_their_owner_is_away(phrase: str, becomes: object) -> None:
    rules = f"[{{when: {{company.owner: working}}, to: company.owner, if_away: {phrase}}}, {{to: pool sales}}]"
    policy = read(but("[{name: everyone, to: pool sales}]", rules, LIFE))
    assert policy.routing[0].if_away == becomes
    assert policy.routing[0].when.state == "working"


def test_results_of_later_sections_can_be_written() -> None:
    text = but("owner: hubspot_owner_id", "nurture: track, paused: paused, missing: missing", LIFE)
    assert {Result.NURTURE, Result.PAUSED, Result.MISSING} < set(read(text).write.properties["hubspot", "contact"])


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("tell: company.owner", "tell: pool sales", "policy.yaml:15:47: suppress.customer.tell: 'pool sales': company.owner, person.owner or a queue is wanted here"),
        ("tell: company.owner", "tell: queue inbund", "policy.yaml:15:47: suppress.customer.tell: unknown queue 'inbund', did you mean 'inbound'?"),
        ("company.is_customer: true, tell", "tell", "policy.yaml:15:13: suppress.customer: an empty condition: name a fact and what it must be"),
        ("[person.email, company.name]", "[person.emial]", "policy.yaml:19:11: mql.needs[0]: unknown field 'person.emial', did you mean 'person.email'?"),
        ("[person.email, company.name]", "[person.email, person.email]", "policy.yaml:19:25: mql.needs[1]: 'person.email' is already needed on line 19"),
        ("[person.email, company.name]", "[fit]", "policy.yaml:19:11: mql.needs[0]: unknown field 'fit'"),
        ("sample: 2.5%", "sampel: 2.5%", "policy.yaml:22:5: mql.review.sampel: unknown key, did you mean 'sample'?"),
        ("sample: 2.5%", "sample: 0.05", "policy.yaml:22:13: mql.review.sample: '0.05': a percentage has a %: write 5%"),
        ("sample: 2.5%", "sample: 101%", "policy.yaml:22:13: mql.review.sample: '101%': a percentage is from 0% to 100%"),
        ("hand_raise_skips: true", "hand_raise_skips: yes", "policy.yaml:23:23: mql.review.hand_raise_skips: 'yes': write true or false"),
        ("90 working minutes", "4 business hours", "policy.yaml:24:25: mql.review.auto_approve_after: '4 business hours': write '4 working hours'"),
        ("90 working minutes", "4 hours", "policy.yaml:24:25: mql.review.auto_approve_after: '4 hours': working time is wanted here: write '4 working hours'"),
        ("90 working minutes", "-4 working hours", "policy.yaml:24:25: mql.review.auto_approve_after: '-4 working hours' is not a time span: write it like '4 working hours' or '30 minutes'"),
        ("90 working minutes", "0 working hours", "policy.yaml:24:25: mql.review.auto_approve_after: '0 working hours': from 1 minute to 8760 hours"),
        ("    hours: office\n", "", "policy.yaml:21:5: mql.review.hours: this key is missing: auto_approve_after is counted in it"),
        ("hours: office", "hours: ofice", "policy.yaml:25:12: mql.review.hours: unknown hours 'ofice', did you mean 'office'?"),
        ("if_rejected: later", "if_rejected: latr", "policy.yaml:26:18: mql.review.if_rejected: unknown reason 'latr', did you mean 'later'?"),
        ("fit: [B]", "fit: [C]", "policy.yaml:21:46: mql.review.thin.fit[0]: unknown fit label 'C', did you mean 'A'?"),
        (", for: 7 days", "", "policy.yaml:29:16: mql.stay.drop_when.for: this key is missing"),
        ("for: 7 days", "for: 24 hours", "policy.yaml:29:64: mql.stay.drop_when.for: scoring counts whole days: write '1 day'"),
        ("engagement: below 20, person.country: DE, for", "for", "policy.yaml:29:16: mql.stay.drop_when: an empty condition: name a fact and what it must be"),
        ("    at_least: 2 weeks\n", "", "policy.yaml:28:5: mql.stay.at_least: this key is missing"),
        ("[accepted, working]", "[acepted]", "policy.yaml:30:21: mql.stay.never_drop_in[0]: unknown status 'acepted', did you mean 'accepted'?"),
        ("nurture: mail}", "nurture: mial}", "policy.yaml:33:56: recycle.reasons.later.nurture: unknown track 'mial', did you mean 'mail'?"),
        ("fresh_points: 25", "fresh_points: -5", "policy.yaml:33:43: recycle.reasons.later.fresh_points: '-5': a whole number from 1 to 1000000 is wanted here"),
        ("wait: 3 months", "wait: 60", "policy.yaml:33:19: recycle.reasons.later.wait: '60': say of what: write '60 days'"),
        ("{send_to: review}", "{send_to: reviev}", "policy.yaml:34:22: recycle.reasons.data.send_to: 'reviev' is not one of review, did you mean 'review'?"),
        ("{never: true}", "{never: true, wait: 3 days}", "policy.yaml:35:32: recycle.reasons.never.wait: 'wait' cannot be used with 'never'"),
        ("{never: true}", "{}", "policy.yaml:35:5: recycle.reasons.never: say what follows: wait, fresh_points, never: true or send_to: review"),
        ("no_reason: later", "no_reason: latr", "policy.yaml:36:14: recycle.no_reason: unknown reason 'latr', did you mean 'later'?"),
        ("at_most: 3 in 365 days", "at_most: 3", "policy.yaml:38:12: recycle.at_most: '3': write it like '5 in 7 days'"),
        ("[mail, calls]", "[mail, calls, mail]", "policy.yaml:40:25: nurture.tracks[2]: 'mail' is already on line 40"),
        ("15 points", "15", "policy.yaml:41:22: nurture.near_mql.within: '15': write it like '15 points'"),
        ("faded: mail", "faded: mall", "policy.yaml:42:10: nurture.faded: unknown track 'mall', did you mean 'mail'?"),
        ("reassign_after: 8 working hours", "reassign_after: 4 working hours", "policy.yaml:44:53: sla.reassign_after: reassign_after must be longer than first_touch"),
        ("2 reassignments", "2 times", "policy.yaml:44:85: sla.give_up_after: '2 times': write it like '2 reassignments'"),
        (", then: queue inbound", "", "policy.yaml:44:6: sla.then: this key is missing: the queue after 'give_up_after'"),
        ("then: queue inbound", "then: pool sales", "policy.yaml:44:108: sla.then: 'pool sales': a queue is wanted here: write 'queue ...'"),
        ("give_up_after: 2 reassignments, ", "", "policy.yaml:44:76: sla.then: 'then' comes after 'give_up_after', which is missing"),
        ("first_touch: 4 working hours, ", "", "policy.yaml:44:6: sla.first_touch: this key is missing"),
    ],
)  # fmt: skip
def test_an_error_has_place_path_and_cure(old: str, new: str, problem: str) -> None:
    assert told(old, new) == [problem]


@pytest.mark.parametrize(
    ("phrase", "said"),
    [
        ("wait 2 hours", "'wait 2 hours': a wait ends with 'then queue ...'"),
        (
            "wait a bit then queue inbound",
            "'a bit' is not a time span: write it like '4 working hours' or '30 minutes'",
        ),
        ("their backups", "'their backups', did you mean 'their backup'?"),
        ("company.owner", "'company.owner': next rule, their backup, a pool, a queue or a wait is wanted"),
    ],
)
def test_a_wrong_if_away_says_what_is_right(phrase: str, said: str) -> None:
    rules = f"[{{when: {{company.owner: working}}, to: company.owner, if_away: {phrase}}}, {{to: pool sales}}]"
    (found,) = told("[{name: everyone, to: pool sales}]", rules)
    assert found.endswith(f"routing[0].if_away: {said}")


def test_two_who_are_told_of_one_line_are_one_too_many() -> None:
    two = "[{person.seniority: student, tell: queue inbound}, {person.title: has word intern, tell: person.owner}]"
    (found,) = told("[{person.seniority: student}, {person.title: has word intern}]", two)
    assert found.endswith("suppress.student[1].tell: one line tells one: here and on line 16 are two")


# -- names -------------------------------------------------------------------------------------------------------


def test_a_fact_may_be_called_like_a_key() -> None:
    text = but("fit:\n", "suppress: {told: {person.custom.tell: known}}\nfit:\n")
    name = "person.custom.tell"
    assert load(text, custom={name: custom_fact(name)})[0].suppress[0].test == Known(name)
