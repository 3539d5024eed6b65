"""Two policies compared in words: every edit is told, in the policy's own language, with the work it means."""

# ruff: noqa: E501  (an edit and what is said of it are one line each)

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scoring.diff import PolicyDiff, Work, compare
from scoring.policy import Policy
from scoring.version import content_hash
from sync.rules import RuleFiles, in_memory
from tests.support.policies import policies
from tests.support.rules import COMPLETE

FILES = {name: (COMPLETE / name).read_text() for name in ("policy.yaml", "team.yaml", "fields.yaml")}
EVERYBODY, ASSIGNMENTS, WRITES, NOTHING = Work.EVERYBODY, Work.ASSIGNMENTS, Work.WRITES, Work.NOTHING


def load(files: dict[str, str]) -> Policy:
    contents = {name: text.encode() for name, text in files.items()}
    return RuleFiles((in_memory(contents),), "the test").rules().policy


@pytest.fixture(scope="module")
def old() -> Policy:
    return load(FILES)


def edited(*replacements: tuple[str, str]) -> dict[str, str]:
    """The files with texts replaced, each of which must be in exactly one of them."""
    files = dict(FILES)
    for before, after in replacements:
        (name,) = [name for name, text in files.items() if before in text]
        files[name] = files[name].replace(before, after, 1)
    return files


def differences(old: Policy, *replacements: tuple[str, str]) -> PolicyDiff:
    return compare(old, load(edited(*replacements)))


@pytest.mark.parametrize(
    ("before", "after", "said", "work"),
    [
        # lists
        ("[gmail.com, outlook.com", "[gmx.de, outlook.com", ["lists.free_mail: +gmx.de -gmail.com"], [EVERYBODY]),
        ("  opt_in_countries:", "  new_one: [FR]\n  opt_in_countries:", ["lists: new list new_one: FR"], [EVERYBODY]),
        # suppress
        ("  employee:         {person.email_domain: acme.com}\n", "", ["suppress: line employee removed (person.email_domain: acme.com)"], [EVERYBODY]),
        ("  hard_bounced:     {person.hard_bounced: true}", "  hard_bounced:     {person.hard_bounced: true}\n  far: {person.country: AU}", ["suppress: new line far: person.country: au"], [EVERYBODY]),
        ("{company.open_opportunities: from 1, tell", "{company.open_opportunities: from 2, tell", ["suppress.open_opportunity: company.open_opportunities: from 2 instead of company.open_opportunities: from 1"], [EVERYBODY]),
        # fit
        ("from 200: 35,", "from 200: 30,", ["fit.company_size: from 200 gives 30 instead of 35"], [EVERYBODY]),
        ("from 200: 35,", "from 500: 36, from 200: 35,", ["fit.company_size: new: from 500 gives 36"], [EVERYBODY]),
        ("from 200: 35, ", "", ["fit.company_size: from 200 removed (it gave 35)"], [EVERYBODY]),
        ("unknown: 5, otherwise: 0}", "unknown: 4, otherwise: 1}", ["fit.company_size: unknown gives 4 instead of 5", "fit.company_size: otherwise gives 1 instead of 0"], [EVERYBODY]),
        ("field: company.industry", "max: 20\n      field: company.industry", ["fit.industry: new: max 20"], [EVERYBODY]),
        ("{name: phone cannot exist, when: {person.phone: invalid}, points: -5}", "{name: phone cannot exist, when: {person.phone: invalid}, points: -6}", ["fit.red_flags.'phone cannot exist': gives -6 instead of -5"], [EVERYBODY]),
        # engagement
        ("lose 50% every 30 days", "lose 50% every 20 days compounding", ["engagement.hand_raise: fade lose 50% every 20 days compounding instead of lose 50% every 30 days"], [EVERYBODY]),
        ("not_before: 365 days", "not_before: 180 days", ["engagement: not_before 180 days instead of 365 days"], [EVERYBODY]),
        ("at_least: 3 links in 2 seconds", "at_least: 4 links in 2 minutes", ["engagement.ignore.click storm: email_click, at least 4 links in 2 minutes instead of email_click, at least 3 links in 2 seconds"], [EVERYBODY]),
        ("count: once per day, max: 24", "count: once per week, max: 24", ["engagement.research.'pricing page': count once per week instead of once per day"], [EVERYBODY]),
        ("count: once per day, max: 24", "count: once per day", ["engagement.research.'pricing page': no max any more (it was 24)"], [EVERYBODY]),
        ("where: {path: /pricing}, points: 8", "where: {path: /prices}, points: 8", ["engagement.research.'pricing page': event page_view (path: /prices) instead of page_view (path: /pricing)"], [EVERYBODY]),
        ("absent_for: 60 days, points: -10", "absent_for: 90 days, points: -10", ["engagement.wrong_intent.'gone quiet': absent_for 90 days instead of 60 days"], [EVERYBODY]),
        ("        - {name: social,             event: social_interaction, points: 1, count: once per day, max: 5}\n", "", ["engagement.content: rule 'social' removed (social_interaction gives 1, once per day, expire after 90 days, max 5)"], [EVERYBODY]),
        # grade, models, gate
        ("{A: 70, B: 45, C: 20, D: 0}", "{A: 65, B: 45, C: 20, D: 0}", ["grade.fit: A from 65 instead of 70"], [EVERYBODY]),
        ("company.employees: below 50, person", "company.employees: below 60, person", ["models.self_serve: when company.employees: below 60, person.source: product instead of company.employees: below 50, person.source: product"], [EVERYBODY]),
        ("{A: 50, B: 30, C: 15, D: 0}", "{A: 50, B: 31, C: 15, D: 0}", ["models.self_serve.grade.fit: B from 31 instead of 30"], [EVERYBODY]),
        ("{grade: [A1, A2, B1]}", "{grade: [A1, A2]}", ["mql.become_when.hot_and_right: grade: A1 or A2 instead of grade: A1 or A2 or B1"], [EVERYBODY]),
        ("    hot_and_right:", "    very_hot: {engagement: from 90}\n    hot_and_right:", ["mql.become_when: new gate line very_hot: engagement: from 90"], [EVERYBODY]),
        ("needs: [person.email, person.country", "needs: [person.email, person.phone", ["mql.needs: +person.phone -person.country"], [EVERYBODY]),
        ("at_least: 14 days", "at_least: 21 days", ["mql.stay: at_least 21 days instead of 14 days"], [EVERYBODY]),
        ("sample:             5%", "sample:             7.5%", ["mql.review: sample 7.5% instead of 5%"], [EVERYBODY]),
        ("auto_approve_after: 4 working hours", "auto_approve_after: 90 working minutes", ["mql.review: auto_approve_after 90 working minutes instead of 4 working hours"], [EVERYBODY]),
        # after the gate
        ("{wait: 60 days,  fresh_points: 25", "{wait: 60 days,  fresh_points: 30", ["recycle.reasons.not_ready: wait 60 days, 30 fresh points, nurture webinars instead of wait 60 days, 25 fresh points, nurture webinars"], [EVERYBODY]),
        ("at_most: 3 in 365 days", "at_most: 4 in 365 days", ["recycle: at_most 4 in 365 days instead of 3 in 365 days"], [EVERYBODY]),
        ("within: 15 points", "within: 10 points", ["nurture.near_mql: within 10 points instead of 15 points"], [EVERYBODY]),
        # who gets it
        ("to: pool emea}", "to: pool americas}", ["routing.EMEA: to pool americas instead of pool emea"], [ASSIGNMENTS]),
        ("if_away: their backup}", "if_away: queue inbound}", ["routing.account owner: if_away queue inbound instead of their backup"], [ASSIGNMENTS]),
        ("first_touch:    4 working hours", "first_touch:    3 working hours", ["sla: first_touch 3 working hours instead of 4 working hours"], [ASSIGNMENTS]),
        ("ana@acme.com: {weight: 2", "ana@acme.com: {weight: 3", ["team.pools.emea.ana@acme.com: weight 3 instead of 2"], [ASSIGNMENTS]),
        ("      cy@acme.com:  {weight: 1, per_day: 3, per_week: 12, open: 20}\n", "", ["team.pools.emea: rep cy@acme.com removed (weight 1, at most 3 a day, at most 12 a week, at most 20 open)"], [ASSIGNMENTS]),
        ("status: left, backup", "backup", ["team.reps.ida@acme.com: is back"], [ASSIGNMENTS]),
        ("away: [2026-12-03 13:00-17:30]", "away: [2026-12-04]", ["team.reps.bo@acme.com.away: +2026-12-04 -2026-12-03 13:00-17:30"], [ASSIGNMENTS]),
        ("mon-fri: 09:00-17:30", "mon: 09:00-17:30", ["team.hours.london: Europe/London, mon 09:00-17:30, holidays GB-ENG instead of Europe/London, mon 09:00-17:30, tue 09:00-17:30, wed 09:00-17:30, thu 09:00-17:30, fri 09:00-17:30, holidays GB-ENG"], [ASSIGNMENTS]),
        ("nobody_free: assign anyway else queue inbound", "nobody_free: queue inbound", ["team.pools.enterprise: nobody_free queue inbound instead of assign anyway else queue inbound"], [ASSIGNMENTS]),
        ("managers: {emea: sam.lead@acme.com", "managers: {emea: tom@acme.com", ["team.managers.emea: manager tom@acme.com instead of sam.lead@acme.com"], [ASSIGNMENTS]),
        # what is written
        ("score_step: 5", "score_step: 1", ["write.score_step: 1 instead of 5"], [WRITES]),
        ("grade: mql_grade,", "", ["write: result hubspot.contact.grade removed (mql_grade)"], [WRITES]),
        ("human_edit_wins: [owner, status]", "human_edit_wins: [owner]", ["write.human_edit_wins: -status"], [WRITES]),
        # examples, names, fields
        ("expect:  {suppressed: student, mql: no}", "expect:  {suppressed: student}", ["examples.'Student with lots of webinars': other: what it expects"], [NOTHING]),
        ("name: acme-inbound", "name: acme-other", ["name: acme-other instead of acme-inbound"], [NOTHING]),
        ("timezone: America/New_York", "timezone: Europe/Berlin", ["timezone: Europe/Berlin instead of America/New_York"], [EVERYBODY]),
        ("person.title:            jobtitle", "person.title:            their_title", ["fields: the map of CRM properties or activities is another"], [EVERYBODY]),
    ],
)  # fmt: skip
def test_an_edit_is_told_in_the_words_of_the_policy(old, before, after, said, work) -> None:
    found = differences(old, (before, after))
    assert list(map(str, found.changes)) == said
    assert list(found.work) == work


def test_a_moved_line_is_told_once(old) -> None:
    rule = "  - {name: named accounts,              when: {company.tier: named}, to: pool enterprise}\n"
    found = differences(old, (rule, ""), ("  - {name: everyone else,", f"{rule}  - {{name: everyone else,"))
    assert list(map(str, found.changes)) == ["routing: rule named accounts moved after Americas"]
    first = "  customer:         {company.is_customer: true}\n"
    found = differences(old, (first, ""), ("  student:\n", f"{first}  student:\n"))
    assert list(map(str, found.changes)) == ["suppress: line customer moved after employee"]


def test_what_is_in_a_list_is_not_told_again_where_the_list_is_used(old) -> None:
    found = differences(old, ("[GB, IE, DE, FR, NL, NO, SE]", "[AT, GB, IE, DE, FR, NL, NO, SE]"))
    assert list(map(str, found.changes)) == ["lists.emea: +AT"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# 9. EXAMPLES: must stay true", "# nothing of this kind"),
        ("name: acme-inbound", 'name: "acme-inbound"'),
        ("[gmail.com, outlook.com, yahoo.com, icloud.com]", "[icloud.com, yahoo.com, outlook.com, gmail.com]"),
        ("score_step: 5", "score_step: 5.0"),
    ],
    ids=["a comment", "quotes", "the order of a list", "another spelling"],
)
def test_what_means_the_same_makes_no_difference(old, before, after) -> None:
    found = differences(old, (before, after))
    assert (found.changes, found.work) == ((), ())
    assert found.old == found.new


def test_several_parts_mean_several_kinds_of_work(old) -> None:
    found = differences(
        old,
        ("from 200: 35,", "from 200: 30,"),
        ("score_step: 5", "score_step: 1"),
        ("to: pool emea}", "to: pool americas}"),
    )
    assert found.work == (EVERYBODY, ASSIGNMENTS, WRITES)
    assert [change.section for change in found.changes] == ["fit", "routing", "write"]


def test_another_style_of_fit_is_told(old) -> None:
    thirds = "fit:\n  style: thirds\n  start: {}\n  criteria:\n    size: {{field: company.employees, match: from {}}}\n"
    rest = "grade: {engagement: {1: 50, 2: 0}}\nmql: {become_when: {good: {grade: [A1]}}}\nrouting: [{to: queue inbound}]\n"
    points = "fit: {groups: {size: {field: company.employees, points: {from 10: 5, unknown: 0, otherwise: 0}}}}\n"
    head = "version: 1\nname: x\n"
    one, two, three = (
        load({"policy.yaml": text, "team.yaml": "version: 1\nqueues: {inbound: {}}\n"})
        for text in (
            head + thirds.format("D", 200) + rest,
            head + thirds.format("C", 100) + rest,
            head + points + rest.replace("grade: {engagement", "grade: {fit: {A: 5, B: 0}, engagement"),
        )
    )
    assert list(map(str, compare(one, two).changes)) == [
        "fit: start C instead of D",
        "fit.size: from 200 removed (it gave 1)",
        "fit.size: new: from 100 gives 1",
    ]
    assert "fit: style points instead of thirds" in map(str, compare(one, three).changes)


PARTS = ("suppress", "models", "hand_raise", "needs", "review", "stay")
"""What the strategy varies."""


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(policies(), policies(), st.sampled_from(PARTS))
def test_nothing_that_moves_the_version_goes_untold(one: Policy, other: Policy, part: str) -> None:
    new = replace(one, **{part: getattr(other, part)})
    if content_hash(getattr(one, part)) == content_hash(getattr(new, part)):
        return
    assert compare(one, new).changes
