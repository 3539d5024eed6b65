"""A condition says by which facts it is judged: with no others, the judgement is the same."""

from datetime import date

import pytest

from scoring.conditions import All, Any, AtLeast, Equals, Known, Missing, Not, OwnerState, Score, ScoreAtLeast, Validity
from scoring.fact_judge import FactJudge, judged_by
from scoring.tables import valid_column

CONDITIONS = {
    "one fact": (Equals("person.converted", True), {"person.converted"}),
    "all of them": (
        All((Known("person.title"), AtLeast("company.employees", 5))),
        {"person.title", "company.employees"},
    ),
    "any, turned round": (
        Not(Any((Missing("person.phone"), Equals("person.converted", True)))),
        {"person.phone", "person.converted"},
    ),
    "validity": (Validity("person.email", True), {"person.email", valid_column("person.email")}),
    "an owner": (OwnerState("person.owner", "working"), {"person.owner"}),
    "a score": (ScoreAtLeast(Score.FIT, 5), set()),
}
FACTS = {
    "person.converted": True,
    "person.title": "vp sales",
    "person.email": "a@example.org",
    valid_column("person.email"): True,
    "person.owner": "rep:a@example.org",
    "company.employees": 7,
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_the_facts_it_names_are_all_it_needs(name: str) -> None:
    condition, names = CONDITIONS[name]
    assert set(judged_by(condition)) == names
    if names:
        some = {fact: value for fact, value in FACTS.items() if fact in names}
        judges = [FactJudge(facts, date(2026, 1, 2), lambda owner, state: True) for facts in (FACTS, some)]
        assert judges[0].true(condition) == judges[1].true(condition)
