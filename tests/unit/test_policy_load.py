"""policy.yaml and team.yaml: what loads, what it becomes, and every error at its place."""

# ruff: noqa: E501  (messages are compared whole, a table line is one case)

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scoring.conditions import (
    AbsentRule,
    All,
    Any,
    AtLeast,
    Combine,
    Count,
    CountMode,
    EventExists,
    EventMatch,
    Fade,
    FadeMode,
    LabelIn,
    OneOf,
    Score,
    ScoreAtLeast,
    ScoreBelow,
    Span,
    Table,
)
from scoring.policy import Bands, LeadStatus, Result, Target, TargetKind, TaskIn
from scoring.team import PoolMethod, PoolRep, Queue
from tests.support.policy_text import POLICY, TEAM, but, load, problems


def test_a_small_policy_becomes_its_types() -> None:
    policy, warnings = load()
    assert [w.code for w in warnings] == ["W13"], "it has no examples"
    (model,) = policy.models
    (size,) = model.fit.groups
    (table,) = size.items
    assert isinstance(table, Table)
    assert [(line.test, line.micro, line.label) for line in table.lines] == [
        (AtLeast("company.employees", 200_000_000), 60_000_000, "from 200"),
        (AtLeast("company.employees", 20_000_000), 25_000_000, "from 20"),
    ]
    assert (table.unknown, table.otherwise) == (10_000_000, 0)
    demo, form = model.engagement.groups[0].items
    assert (demo.match, demo.micro, demo.count) == (EventMatch(("demo_request",)), 60_000_000, Count(CountMode.ONCE))
    assert (demo.name, demo.reason) == ("demo request", "demo request")
    assert form.fade == Fade(FadeMode.HALF_LIFE, Span(30))
    assert model.grade.fit == Bands(labels=("A", "B"), bounds=(50, 0))
    assert model.become_when[0].test == LabelIn(Score.GRADE, ("A1",))
    assert policy.hand_raise == EventMatch(("demo_request", "meeting_booked"))
    assert policy.routing[0].to == Target(kind=TargetKind.POOL, name="sales")
    assert policy.write.properties == {
        ("hubspot", "contact"): {Result.STATUS: "mql_status", Result.OWNER: "hubspot_owner_id"}
    }
    assert policy.team.pools["sales"].method is PoolMethod.EVEN
    assert policy.team.reps["bo@acme.com"].name == "Bo"
    assert policy.free_mail is None


def test_the_shipped_templates_load_without_a_warning() -> None:
    config = Path(__file__).parents[2] / "config"
    policy, warnings = load((config / "policy.yaml").read_text(), (config / "team.yaml").read_text())
    assert warnings == []
    assert policy.free_mail is not None
    assert "gmail.com" in policy.free_mail


ENGAGEMENT = """\
engagement:
  max: none
  floor: none
  not_before: 365 days
  groups:
    web:
      cap: newest
      max: 40
      fade: lose 10% every week compounding
      rules:
        - {name: pricing, event: page_view, where: {path: /pricing}, points: 8.5, count: at least 2 in 7 days, within: 30 days}
        - {name: careers, event: page_view, where: {path: /careers/*}, points: -20, fade: none, reason: looks for a job}
        - {event: [chat, call], when: {person.country: US}, points: 1, only_if: at least 2 in 90 days, max: 5}
    quiet:
      take: best
      rules:
        - {event: any, absent_for: 30 days, points: -10, count: every, min: -40}
"""


def test_every_part_of_an_engagement_rule_is_read() -> None:
    start, end = POLICY.index("engagement:"), POLICY.index("grade:")
    policy, _ = load(but("2: 0", "2: otherwise", POLICY[:start] + ENGAGEMENT + POLICY[end:]))
    engagement = policy.models[0].engagement
    assert (engagement.max, engagement.floor, engagement.not_before) == (None, None, Span(365))
    web, quiet = engagement.groups
    assert (web.newest_first, web.max, web.combine) == (True, 40_000_000, Combine.SUM)
    pricing, careers, talk = web.items
    assert (pricing.micro, pricing.window, pricing.newest_first) == (8_500_000, Span(30), True)
    assert pricing.count == Count(CountMode.AT_LEAST, n=2, window=Span(7))
    assert pricing.fade == Fade(FadeMode.COMPOUND, Span(7), 1000)
    assert (careers.fade, careers.reason, careers.micro) == (Fade(), "looks for a job", -20_000_000)
    assert (talk.name, talk.max) == ("chat or call, country US", 5_000_000)
    assert talk.only_if == Count(CountMode.AT_LEAST, n=2, window=Span(90))
    assert talk.when == OneOf("person.country", ("us",))
    assert quiet.combine is Combine.BEST
    (absent,) = quiet.items
    assert isinstance(absent, AbsentRule)
    assert (absent.span, absent.every, absent.min, absent.name) == (
        Span(30),
        True,
        -40_000_000,
        "no activity for 30 days",
    )


def test_gate_lines_know_scores_events_and_facts() -> None:
    text = but(
        "{good: {grade: [A1]}}",
        "{a: {event: hand_raise, within: 7 days, fit: [A, B]}, b: {fit: from 60, engagement: below 20}, "
        "c: [{engagement: 1}, {event: chat, count: at least 2 in 7 days, fit.unknown_groups: from 1}], d: {event: chat}}",
    )
    policy, _ = load(text)
    assert [line.test for line in policy.models[0].become_when] == [
        All((EventExists(policy.hand_raise, Span(7)), LabelIn(Score.FIT, ("A", "B")))),
        All((ScoreAtLeast(Score.FIT, 60), ScoreBelow(Score.ENGAGEMENT, 20))),
        Any(
            (
                LabelIn(Score.ENGAGEMENT, ("1",)),
                All((EventExists(EventMatch(("chat",)), Span(7), 2), AtLeast("fit.unknown_groups", 1_000_000))),
            )
        ),
        EventExists(EventMatch(("chat",))),
    ]


def test_a_model_takes_whole_sections_and_the_rest_from_the_top() -> None:
    text = but(
        "mql:",
        "models:\n  small: {when: {company.employees: below 50}, grade: {fit: {X: 10, Y: 0}, engagement: {1: 5, 2: 0}}, "
        "become_when: {hot: {grade: X1}}}\nmql:",
    )
    policy, _ = load(text)
    small, default = policy.models
    assert (small.name, default.name, default.when) == ("small", "default", None)
    assert small.fit is default.fit
    assert small.become_when[0].test == LabelIn(Score.GRADE, ("X1",))


def test_a_gate_that_names_labels_a_model_does_not_have_is_an_error_at_the_model() -> None:
    text = but(
        "mql:",
        "models:\n  small: {when: {company.employees: below 50}, grade: {fit: {X: 0}, engagement: {1: 0}}}\nmql:",
    )
    assert problems(text) == ["policy.yaml:15:3: models.small: unknown grade 'A1', did you mean 'X1'? (line 16)"]


def test_total_weights_and_bands() -> None:
    text = but(
        "engagement: {1: 50, 2: 0}}",
        "engagement: {1: 50, 2: 0}, total: {weights: {fit: 40%, engagement: 60%}, max: 100, bands: {hot: 80, cold: 0}}}",
    )
    grade = load(text)[0].models[0].grade
    assert grade.total_weights == (4000, 6000)
    assert grade.total_max == 100_000_000
    assert grade.total == Bands(labels=("hot", "cold"), bounds=(80, 0))


def test_write_reads_tasks_lead_status_and_lifecycle() -> None:
    text = but(
        "write: {hubspot: {contact: {status: mql_status, owner: hubspot_owner_id}}}",
        """\
write:
  hubspot:
    contact: {status: mql_status, lifecycle: lifecyclestage, lead_status: {mql: NEW, only_from: [OPEN]}}
  salesforce:
    lead: {status: MQL_Status__c, lead_status: {mql: MQL, only_from: [Open, New]}}
    contact: {lead_status: {property: Stage__c, mql: MQL, only_from: [Open]}}
  human_edit_wins: [status]
  score_step: 1
  task: {in: none, due: 2 working days}
""",
    )
    write = load(text)[0].write
    assert write.properties["hubspot", "contact"] == {
        Result.STATUS: "mql_status",
        Result.LIFECYCLE: "lifecyclestage",
        Result.LEAD_STATUS: "hs_lead_status",
    }
    assert write.lead_status == {
        ("hubspot", "contact"): LeadStatus(property="hs_lead_status", mql="NEW", only_from=("OPEN",)),
        ("salesforce", "lead"): LeadStatus(property="Status", mql="MQL", only_from=("Open", "New")),
        ("salesforce", "contact"): LeadStatus(property="Stage__c", mql="MQL", only_from=("Open",)),
    }
    assert write.human_edit_wins == {Result.STATUS}
    assert (write.score_step, write.task_in, write.task_due) == (1, TaskIn.NONE, 2)


def test_what_is_written_must_not_be_read_as_a_fact() -> None:
    mapped = {("hubspot", "contact"): {"mql_status": "person.custom.status", "hubspot_owner_id": "person.owner"}}
    assert problems(mapped=mapped) == [
        "policy.yaml:16:37: write.hubspot.contact.status: 'mql_status' is read as person.custom.status: "
        "what mqlsync writes must not be a fact"
    ]


def test_lists_come_from_files_too() -> None:
    text = but(
        "fit:\n", "lists: {rivals: file rivals.txt}\nsuppress: {rival: {person.email_domain: in rivals}}\nfit:\n"
    )

    def read(name: str) -> str:
        assert name == "rivals.txt"
        return "\ufeffrival.io\n# a comment\n\nother.io  # another\n"

    policy, _ = load(text, lists=read)
    assert policy.suppress[0].test.values == ("rival.io", "other.io")
    assert problems(text, lists=lambda name: "rival.io\nbad@rival.io\n") == [
        "rivals.txt:2:1: lists.rivals: a domain has no @: write rival.io"
    ]
    assert problems(text, lists=lambda name: "# nothing\n") == [
        "policy.yaml:3:17: lists.rivals: the list file 'rivals.txt' has no values: an empty list never matches"
    ]
    assert problems(text) == [
        "policy.yaml:3:17: lists.rivals: the list file 'rivals.txt' cannot be read: No such file or directory"
    ]
    assert problems(text, lists=lambda name: b"rival.io\ncaf\xe9.fr\n".decode("utf-8")) == [
        "policy.yaml:3:17: lists.rivals: the list file 'rivals.txt' cannot be read: line 2 is not UTF-8"
    ]


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b", "C:\\x", "a\\..\\b"])
def test_a_list_file_is_inside_the_configuration_directory(name: str) -> None:
    text = but("fit:\n", f"lists: {{rivals: 'file {name}'}}\nfit:\n")
    assert problems(text, lists=lambda _: "never read") == [
        f"policy.yaml:3:17: lists.rivals: '{name}': a list file is inside the configuration directory"
    ]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("version: 1", "version: 2", "policy.yaml:1:10: version: '2': the version of this language is 1"),
        ("name: small", "name: Small One", "policy.yaml:2:7: name: 'Small One': lower-case words joined by - are wanted here"),
        ("name: small\n", "", "policy.yaml:1:1: name: this key is missing"),
        ("mql: {become_when", "mql: {becom_when", "policy.yaml:14:7: mql.becom_when: unknown key, did you mean 'become_when'?"),
        ("name: small", "name: small\nfitt: 1", "policy.yaml:3:1: fitt: unknown key, did you mean 'fit'?"),
        (
            "name: small",
            "name: small\ntimezone: Europe/Berln",
            "policy.yaml:3:11: timezone: unknown timezone 'Europe/Berln', did you mean 'Europe/Berlin'?",
        ),
        ("from 200: 60", "form 200: 60", "policy.yaml:5:47: fit.groups.size.points: unknown phrase 'form 200', did you mean 'from 200'?"),
        ("from 20: 25", "[20, 30]: 25", "policy.yaml:5:61: fit.groups.size.points.: a key is a text: give the list a name under 'lists' and write 'in NAME'"),
        ("from 20: 25", "below 20: 25", "policy.yaml:5:61: fit.groups.size.points: tables use lower bounds only: write 'from'"),
        ("from 20: 25", "20: 25", "policy.yaml:5:61: fit.groups.size.points: '20': tables of numbers use lower bounds only: write 'from 20'"),
        ("unknown: 10, otherwise: 0", "otherwise: 0, from 5: 1", "policy.yaml:5:74: fit.groups.size.points: 'otherwise' must be last: no line after it can be reached"),
        ("company.employees, points", "company.employes, points", "policy.yaml:5:19: fit.groups.size.field: unknown field 'company.employes', did you mean 'company.employees'?"),
        ("{field: company.employees, points", "{rules: [], field: company.employees, points", "policy.yaml:5:5: fit.groups.size: a group has either field and points, or rules"),
        ("from 200: 60", "from 200: 60.1234", "policy.yaml:5:57: fit.groups.size.points.from 200: '60.1234': points have at most 3 decimals"),
        ("event: demo_request, points: 60", "event: demo_requst, points: 60", "policy.yaml:11:19: engagement.groups.all.rules[0].event: unknown event 'demo_requst', did you mean 'demo_request'?"),
        ("once per form", "once per link", "policy.yaml:12:51: engagement.groups.all.rules[1].count: form_submit has no link; it has form, page"),
        ("half-life 30 days", "half-life 2 months", "policy.yaml:9:13: engagement.groups.all.fade: half-life takes days or weeks"),
        ("      rules:\n", "      max: 0\n      rules:\n", "policy.yaml:10:12: engagement.groups.all.max: max must be above 0"),
        ("      rules:\n", "      max: 5\n      min: 6\n      rules:\n", "policy.yaml:11:12: engagement.groups.all.min: min is above max"),
        ("      rules:\n", "      cap: newest\n      rules:\n", "policy.yaml:10:12: engagement.groups.all.cap: 'cap: newest' needs a max"),
        ("engagement:\n  groups:\n", "engagement:\n  groups:\n    a: {weight: 100%, rules: [{event: chat, points: 1}]}\n    b: {rules: [{event: call, points: 1}]}\n", "policy.yaml:8:5: engagement.groups: 'b', 'all' have no weight: all groups have one, or none has"),
        ("      rules:\n", "      weight: 90%\n      rules:\n", "policy.yaml:8:5: engagement.groups: the weights add up to 90%, not to 100%"),
        ("points: 60, count: once", "points: -60, max_per_day: 5", "policy.yaml:11:59: engagement.groups.all.rules[0].max_per_day: max_per_day cannot be used with negative points"),
        ("points: 60, count: once", "points: 60, absent_for: 9 days", "policy.yaml:11:41: engagement.groups.all.rules[0].points: points for absence must be negative"),
        ("event: form_submit, points: 20", "name: x, event: form_submit, name: x, points: 20", "policy.yaml:12:41: engagement.groups.all.rules[1].name: this key is already on line 12"),
        ("engagement:\n", "engagement:\n  not_before: 4000 days\n", "policy.yaml:7:15: engagement.not_before: '4000 days': at most 3650 days"),
        ("{A: 50, B: 0}", "{A: 50, C: 50, B: 0}", "policy.yaml:13:25: grade.fit.C: 50 is not below 50: bounds fall strictly"),
        ("{A: 50, B: 0}", "{A: 50, B: 10}", "policy.yaml:13:14: grade.fit: nobody below 10 has a label, and the floor is 0: end with 'B: otherwise'"),
        ("{A: 50, B: 0}", "{A: otherwise, B: 0}", "policy.yaml:13:18: grade.fit.A: 'otherwise' must be last"),
        ("{A: 50, B: 0}", "{A: 50, BB: 0}", "policy.yaml:13:22: grade.fit: 'BB': a label is one letter"),
        ("{A: 50, B: 0}", "{A: 50.5, B: 0}", "policy.yaml:13:18: grade.fit.A: '50.5': scores are whole numbers here"),
        ("grade: [A1]", "grade: [A9]", "policy.yaml:14:36: mql.become_when.good.grade[0]: unknown grade 'A9', did you mean 'A1'?"),
        ("grade: [A1]", "fit: 60", "policy.yaml:14:33: mql.become_when.good.fit: unknown fit label '60': it is one of A, B"),
        ("grade: [A1]", "total: [hot]", "policy.yaml:14:35: mql.become_when.good.total: total has no labels: give grade.total.bands, or write 'from ...'"),
        ("grade: [A1]", "within: 7 days", "policy.yaml:14:36: mql.become_when.good.within: this belongs to an event: name it with 'event'"),
        ("to: pool sales", "to: pool sale", "policy.yaml:15:32: routing[0].to: unknown pool 'sale', did you mean 'sales'?"),
        ("to: pool sales", "to: rep an@acme.com", "policy.yaml:15:32: routing[0].to: unknown rep 'an@acme.com', did you mean 'ana@acme.com'?"),
        ("to: pool sales", "to: person.owner", "policy.yaml:15:11: routing[0]: the last rule must have no 'when' and lead to a queue, or to a pool (whose nobody_free is a queue)"),
        ("to: pool sales", "when: {person.country: US}, to: pool sales", "policy.yaml:15:11: routing[0]: the last rule must have no 'when' and lead to a queue, or to a pool (whose nobody_free is a queue)"),
        ("to: pool sales", "to: pool sales, if_away: next rule", "policy.yaml:15:53: routing[0].if_away: if_away is for reps and owners; a pool has nobody_free"),
        ("status: mql_status", "statu: mql_status", "policy.yaml:16:29: write.hubspot.contact.statu: unknown result, did you mean 'status'?"),
        ("status: mql_status", "status: mql status", "policy.yaml:16:37: write.hubspot.contact.status: 'mql status' is not the name of a property"),
        ("status: mql_status", "status: hubspot_owner_id", "policy.yaml:16:62: write.hubspot.contact.owner: 'hubspot_owner_id' is already written with 'status'"),
        ("{hubspot: {contact", "{hubspot: {lead: {}, contact", "policy.yaml:16:19: write.hubspot.lead: unknown object"),
    ],
)  # fmt: skip
def test_an_error_of_the_policy_has_place_path_and_cure(old: str, new: str, problem: str) -> None:
    assert problems(but(old, new)) == [problem]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("{ana@acme.com: {}, ", "{anna@acme.com: {}, ", "team.yaml:3:66: pools.sales.reps: 'anna@acme.com' is not in reps, did you mean 'ana@acme.com'?"),
        ("queues:", "queus:", "team.yaml:4:1: queus: unknown key, did you mean 'queues'?"),
        ("nobody_free: queue inbound, ", "", "team.yaml:3:16: pools.sales.nobody_free: this key is missing"),
        ("queue inbound", "queue inbond", "team.yaml:3:44: pools.sales.nobody_free: unknown queue 'inbond', did you mean 'inbound'?"),
        ("queue inbound", "wait 2 working hours", "team.yaml:3:44: pools.sales.nobody_free: 'wait 2 working hours': a wait ends with 'then queue ...'"),
        ("method: even", "method: weihgted", "team.yaml:3:25: pools.sales.method: unknown method 'weihgted', did you mean 'weighted'?"),
        ("bo@acme.com: {}}", "bo@acme.com: {weight: 0}}", "team.yaml:3:106: pools.sales.reps.bo@acme.com.weight: '0': a weight is above 0 with at most 2 decimals"),
        ("{name: Bo}", "{hubspot: 1101}", "team.yaml:2:62: reps.bo@acme.com.hubspot: '1101' is already the owner id of ana@acme.com"),
        ("{name: Bo}", "{status: gone}", "team.yaml:2:61: reps.bo@acme.com.status: 'gone' is not one of active, left"),
        ("bo@acme.com: {name: Bo}", "bo: {name: Bo}, bo@acme.com: {}", "team.yaml:2:39: reps.bo: 'bo' is not an e-mail address"),
        ("bo@acme.com: {name: Bo}", "bo@acme.com: {}, Bo@Acme.com: {}", "team.yaml:2:56: reps.Bo@Acme.com: 'Bo@Acme.com' is here twice (upper and lower case mean the same)"),
    ],
)  # fmt: skip
def test_an_error_of_the_team_has_place_path_and_cure(old: str, new: str, problem: str) -> None:
    assert problems(team=but(old, new, TEAM)) == [problem]


def test_a_gate_line_that_several_models_take_over_is_wrong_once() -> None:
    graded = "grade: {fit: {A: 10, B: 0}, engagement: {1: 5, 2: 0}}"
    models = "".join(f"  m{n}: {{when: {{company.employees: from {n}}}, {graded}}}\n" for n in (90, 80))
    assert problems(but("mql:", f"models:\n{models}mql:", but("grade: [A1]", "grade: [A9]"))) == [
        "policy.yaml:17:36: mql.become_when.good.grade[0]: unknown grade 'A9', did you mean 'A1'?"
    ]


def test_all_errors_of_both_files_come_at_once_in_file_and_line_order() -> None:
    broken = but(
        "event: demo_request", "event: demo", but("to: pool sales", "to: pool x", but("name: small", "nam: small"))
    )
    found = problems(broken, but("method: even", "method: odd", TEAM))
    assert [line.split(": ")[0] for line in found] == [
        "policy.yaml:2:1",
        "policy.yaml:11:19",
        "policy.yaml:15:32",
        "team.yaml:3:25",
    ]


def test_the_same_rule_name_twice_is_an_error_and_made_names_are_numbered() -> None:
    named = but(
        "{event: demo_request",
        "{name: x, event: demo_request",
        but("{event: form_submit", "{name: x, event: form_submit"),
    )
    assert problems(named) == [
        "policy.yaml:12:18: engagement.groups.all.rules[1].name: the name 'x' is already used on line 11"
    ]
    twice = but("event: form_submit, points: 20, count: once per form", "event: demo_request, points: 20")
    items = load(twice)[0].models[0].engagement.groups[0].items
    assert [(i.name, i.reason) for i in items] == [
        ("demo request", "demo request"),
        ("demo request (2)", "demo request"),
    ]


def test_team_values_are_read() -> None:
    team = but("method: even", "method: weighted", but("bo@acme.com: {}}", "bo@acme.com: {weight: 0.5}}", TEAM))
    team = but(
        "queues: {inbound: {}}",
        "queues: {inbound: {hubspot: none, salesforce: Inbound_Leads}}\nunowned: [Crm@Acme.com, Web_Leads]",
        team,
    )
    loaded = load(team=team)[0].team
    assert loaded.pools["sales"].reps[1] == PoolRep(email="bo@acme.com", weight=50)
    assert loaded.queues["inbound"] == Queue(name="inbound", salesforce="Inbound_Leads")
    assert loaded.unowned == {"crm@acme.com", "Web_Leads"}


def test_the_version_is_of_the_meaning_and_not_of_the_layout() -> None:
    version = load()[0].version
    assert len(version) == 12
    same = [
        "# a comment\n" + POLICY,
        but("name: small", "name: 'small'"),
        but("{A: 50, B: 0}", "{\n  A: 50,\n  B: 000}"),
        POLICY[POLICY.index("fit:") :] + "version: 1\nname: small\n",
    ]
    assert {load(text)[0].version for text in same} == {version}
    other = [
        but("name: small", "name: smaller"),
        but("half-life 30 days", "half-life 31 days"),
        but("owner: hubspot_owner_id", "fit: mql_fit"),
        but("name: everyone", "name: all"),
    ]
    versions = {load(text)[0].version for text in other} | {load(team=but("1101", "1102", TEAM))[0].version}
    versions |= {load(fields_hash="x")[0].version, version}
    assert len(versions) == 7


def test_only_what_scores_changes_the_scoring_hash() -> None:
    scoring = load()[0].scoring_hash
    assert load(but("name: everyone", "name: all"))[0].scoring_hash == scoring
    assert load(but("owner: hubspot_owner_id", "fit: mql_fit"))[0].scoring_hash == scoring
    assert load(team=but("1101", "1102", TEAM))[0].scoring_hash == scoring
    assert load(but("half-life 30 days", "half-life 31 days"))[0].scoring_hash != scoring
    assert load(but("name: small", "name: small\ntimezone: Europe/Berlin"))[0].scoring_hash != scoring
    assert load(fields_hash="x")[0].scoring_hash != scoring


def test_loading_twice_gives_equal_policies() -> None:
    assert load()[0] == load()[0]
    assert replace(load()[0], name="other") != load()[0]
