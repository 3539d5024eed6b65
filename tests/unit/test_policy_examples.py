"""Examples are scored like people, and what differs is told with its reason."""

# ruff: noqa: E501  (an example and what is said of it are one line each)

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from scoring.document import PolicyInvalid
from scoring.engine import DuckDbEngine
from scoring.examples import Checked, check_examples, failures
from scoring.policy import Policy
from sync.rules import RuleFiles, in_memory
from tests.support.rules import COMPLETE, complete_policy

FILES = {name: (COMPLETE / name).read_bytes() for name in ("policy.yaml", "team.yaml", "fields.yaml")}
BEFORE_EXAMPLES = FILES["policy.yaml"].decode().partition("\nexamples:")[0]


@pytest.fixture(scope="module")
def engine() -> Iterator[DuckDbEngine]:
    with DuckDbEngine() as opened:
        yield opened


def with_examples(*examples: str, sections: str = BEFORE_EXAMPLES) -> Policy:
    listed = "".join(f"\n  - {example}" for example in examples)
    files = FILES | {"policy.yaml": f"{sections}\nexamples:{listed}\n".encode()}
    return RuleFiles((in_memory(files),), "the test").rules().policy


def differences(engine: DuckDbEngine, of: Policy) -> list[str]:
    return [f"{d.key}: {d}" for one in check_examples(of, engine) for d in one.differences]


BANK = "person: {title: VP Operations, email: kari@bank.example, country: NO, consent: given}, company: {name: Bank, employees: 800, industry: Fintech}"
DEMO = "events: [{event: demo_request, days_ago: 1}]"


def bank(expect: str, more: str = DEMO, name: str = "bank") -> str:
    return f"{{name: {name}, {BANK}, {more}, expect: {{{expect}}}}}"


def test_the_examples_of_the_complete_policy_pass(engine) -> None:
    checked = check_examples(complete_policy(), engine)
    assert len(checked) == 5
    assert [one.example.name for one in checked if one.differences] == []


def test_everything_that_can_be_expected_can_be_met(engine) -> None:
    of = with_examples(
        bank(
            "grade: A1, fit: 100, engagement: 50, model: default, mql: asked_for_sales, suppressed: no, needs: [], "
            "review: [], route: pool emea, missing: nothing, points: {fit: 100, engagement: 50, hand_raise: 50, "
            "company_size: 35, red_flags: 0, total: 150}"
        ),
        bank("fit: A, engagement: 1", name="by labels"),
    )
    assert differences(engine, of) == []


BANKS = [
        ("grade: A2", "grade: expected A2, got A1: fit 100: company_size +35, industry +25, seniority +25, region +15; engagement 50: hand_raise +50"),
        ("fit: 99", "fit: expected 99, got 100: fit 100: company_size +35, industry +25, seniority +25, region +15"),
        ("fit: B", "fit: expected B, got A (100): fit 100: company_size +35, industry +25, seniority +25, region +15"),
        ("engagement: 2", "engagement: expected 2, got 1 (50): engagement 50: hand_raise +50"),
        ("model: self_serve", "model: expected self_serve, got default: company.employees: below 50 is false, it is 800"),
        ("mql: no", "mql: expected no, got asked_for_sales: asked_for_sales: asked for a demo +50; company_size +35; industry +25"),
        ("mql: hot_and_right", "mql: expected hot_and_right, got asked_for_sales: asked_for_sales is true before it"),
        ("suppressed: student", "suppressed: expected student, got no: person.seniority: student is false, it is vp"),
        ("needs: [company.name]", "needs: expected [company.name], got []"),
        ("review: [thin_profile]", "review: expected [thin_profile], got []"),
        ("route: pool americas", "route: expected pool americas, got pool emea: rule 'EMEA' is the first that is true; of 'Americas', person.country: us or ca or br or mx is false, it is no"),
        ("route: queue inbound", "route: expected queue inbound, got pool emea: rule 'EMEA' is the first that is true"),
        ("missing: a title", "missing: expected 'a title', got 'nothing'"),
        ("points: {hand_raise: 40}", "points.hand_raise: expected 40, got 50: asked for a demo +50"),
        ("points: {research: 1}", "points.research: expected 1, got 0: nothing gave points"),
        ("points: {total: 9}", "points.total: expected 9, got 150: fit 100: company_size +35, industry +25, seniority +25, region +15; engagement 50: hand_raise +50"),
]  # fmt: skip

OTHERS = [
        (bank("mql: asked_for_sales", "events: []", name="no events"), "mql: expected asked_for_sales, got no: event: demo_request or meeting_booked or form_submit, within 7 days: there is no such event"),
        (bank("mql: hot_and_right", "events: []", name="nothing at all"), "mql: expected hot_and_right, got no: grade: A1 or A2 or B1 is false, it is A4"),
        ("{name: rival, person: {email: kim@eu.rival.io, country: US}, events: [{event: demo_request, days_ago: 0}], expect: {mql: asked_for_sales, suppressed: no}}",
         "suppressed: expected no, got competitor: person.email_domain: rival.io or othercrm.com"),
        ("{name: two reasons, person: {email: a@acme.com}, company: {is_customer: true}, expect: {suppressed: employee}}",
         "suppressed: expected employee, got customer: customer is true before it"),
        ("{name: sold, person: {lifecycle_stage: opportunity}, events: [{event: demo_request, days_ago: 0}], expect: {mql: asked_for_sales}}",
         "mql: expected asked_for_sales, got no: already with sales"),
        ("{name: thin, person: {country: US}, events: [{event: demo_request, days_ago: 0}], expect: {needs: [], review: []}}",
         "needs: expected [], got [person.email, company.name]"),
]  # fmt: skip


@pytest.fixture(scope="module")
def told(engine) -> Mapping[str, list[str]]:
    """What is said of each example, all of them in one policy."""
    banks = [bank(expect, name=f"bank {n}") for n, (expect, _) in enumerate(BANKS)]
    of = with_examples(*banks, *(example for example, _ in OTHERS))
    return {c.example.name: [f"{d.key}: {d}" for d in c.differences] for c in check_examples(of, engine)}


@pytest.mark.parametrize("number", range(len(BANKS)), ids=[expect for expect, _ in BANKS])
def test_what_differs_is_told_with_its_reason(told, number) -> None:
    assert told[f"bank {number}"] == [BANKS[number][1]]


@pytest.mark.parametrize(("example", "said"), OTHERS, ids=[example[7:].partition(",")[0] for example, _ in OTHERS])
def test_a_closed_gate_is_told_by_what_closed_it(told, example, said) -> None:
    assert said in told[example[7:].partition(",")[0]]


def test_a_label_that_is_a_digit_is_no_number_of_points(engine) -> None:
    """``engagement: 1`` is the label, ``engagement: 50`` are points."""
    assert differences(engine, with_examples(bank("engagement: 1"), bank("engagement: 50", name="b2"))) == []


def test_owners_of_an_example_are_at_work(engine) -> None:
    owned = "{name: owned, person: {country: US}, company: {owner: ana@acme.com}, expect: {route: company.owner}}"
    assert differences(engine, with_examples(owned)) == []
    nobody = "{name: nobody, person: {country: US}, expect: {route: company.owner}}"
    (said,) = differences(engine, with_examples(nobody))
    assert said.startswith("route: expected company.owner, got pool americas")
    assert "company.owner: active is false, it is unknown" in said


def test_an_owner_who_is_nobody_is_no_target(engine) -> None:
    """A rule without a condition that leads to the owner is passed over for people who have none."""
    sections = BEFORE_EXAMPLES.replace("when: {company.owner: active}, to: company.owner", "to: company.owner")
    of = with_examples(bank("route: pool emea"), sections=sections)
    assert differences(engine, of) == []


def test_every_example_has_its_own_day_and_does_not_age(engine) -> None:
    events = "events: [{event: demo_request, at: 2026-06-10T09:00:00Z}]"
    of = with_examples(
        bank("mql: asked_for_sales", events),
        bank("mql: hot_and_right, grade: A1", f"as_of: 2026-06-18T12:00:00Z, {events}", name="later"),
        bank("mql: no, grade: A4", f"as_of: 2026-08-18T12:00:00Z, {events}", name="much later"),
        bank("grade: A4", f"as_of: 2026-06-09T12:00:00Z, {events}", name="before"),
    )
    assert differences(engine, of) == []


def test_a_failing_example_is_an_error_at_the_place_of_what_it_expects(engine) -> None:
    of = with_examples(bank("grade: A1, points: {hand_raise: 40}"))
    (problem,) = failures(check_examples(of, engine))
    line = BEFORE_EXAMPLES.count("\n") + 3
    assert (problem.file, problem.line, problem.path) == ("policy.yaml", line, "examples[0].expect.points.hand_raise")
    assert problem.message == "the example 'bank' fails: expected 40, got 50: asked for a demo +50"
    assert not problem.warning


def test_thirds_are_expected_by_letter_or_by_step(engine) -> None:
    text = """\
version: 1
name: thirds
fit: {style: thirds, start: D, criteria: {size: {field: company.employees, match: from 200, weight: 2}}}
engagement: {groups: {g: {rules: [{name: chatted, event: chat, points: 10}]}}}
grade: {engagement: {1: 5, 2: 0}}
mql: {become_when: {good: {grade: [C1]}}}
routing: [{to: queue inbound}]
"""
    large = "company: {employees: 300}, events: [{event: chat, days_ago: 0}]"
    of = with_examples(
        f"{{name: step, {large}, expect: {{grade: C-1, fit: C-, mql: good, route: queue inbound}}}}",
        f"{{name: letter, {large}, expect: {{grade: C1, fit: C}}}}",
        "{name: small, company: {employees: 20}, expect: {fit: D, missing: nothing}}",
        sections=text,
    )
    assert differences(engine, of) == [
        "fit: expected D, got F (0): fit 0: size -2",
    ]


def test_what_a_group_of_another_model_gave_is_nothing(engine) -> None:
    """The model for small companies, with a fit of its own, is not this one's."""
    own = "fit: {groups: {source: {rules: [{name: came alone, when: {person.source: product}, points: 5}]}}}"
    line = "    when: {company.employees: below 50, person.source: product}\n"
    of = with_examples(bank("points: {source: 5}"), sections=BEFORE_EXAMPLES.replace(line, f"{line}    {own}\n"))
    assert differences(engine, of) == ["points.source: expected 5, got nothing: model default has no such group"]


def test_an_example_cannot_give_a_fact_that_is_derived() -> None:
    with pytest.raises(PolicyInvalid, match=r"'person\.seniority' is derived: give person\.title instead"):
        with_examples("{name: chief, person: {seniority: c_level}, expect: {grade: A1}}")


def test_one_query_a_day_is_asked_and_the_order_is_that_of_the_file(engine) -> None:
    asked: list[int] = []

    class Counting:
        def score(self, policy, bucket, day, *, only=None):  # type: ignore[no-untyped-def]  # as the engine
            asked.append(1)
            return engine.score(policy, bucket, day, only=only)

    of = with_examples(
        *(bank("grade: A1", name=f"b{n}") for n in range(3)),
        bank("grade: A1", f"as_of: 2026-01-15T12:00:00Z, {DEMO}", name="winter"),
    )
    checked: tuple[Checked, ...] = check_examples(of, Counting())  # type: ignore[arg-type]  # scores alone
    assert len(asked) == 2
    assert [one.example.name for one in checked] == ["b0", "b1", "b2", "winter"]
    assert [one for one in checked if one.differences] == []
