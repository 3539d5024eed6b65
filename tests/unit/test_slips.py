"""Slips in a policy are one error each, with what to write; long lists and many names cost little."""

from __future__ import annotations

from pathlib import Path

import pytest

from scoring.conditions import DomainIn, OneOf
from scoring.document import MOST_NAMES, PolicyInvalid, Source, did_you_mean
from scoring.version import FEW, canonical, content_hash
from sync.fields_changed import fields_changed
from sync.mapping import Mapping, load_mapping
from tests.support.policy_text import load

CONFIG = Path(__file__).parents[2] / "config"
TEXT, TEAM, FIELDS = (
    (CONFIG / name).read_text(encoding="utf-8") for name in ("policy.yaml", "team.yaml", "fields.yaml")
)
FIT, ENGAGEMENT = "{A: 70, B: 50, C: 30, D: 0}", "{1: 50, 2: 30, 3: 10, 4: 0}"


def said(*replacements: tuple[str, str]) -> list[str]:
    """What is said of the shipped policy with these texts replaced."""
    text = TEXT
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    try:
        _, warnings = load(text, TEAM)
    except PolicyInvalid as invalid:
        return [f"{problem.path}: {problem.message}" for problem in invalid.problems]
    return [f"{problem.path}: {problem.message}" for problem in warnings]


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (FIT, "{AA: 70, B: 50, C: 30, D: 0}", "grade.fit: 'AA': a label is one letter"),
        (FIT, "{A: 70, B: 50, C: 30, 1: 0}", "grade.fit: '1': a label is one letter"),
        (ENGAGEMENT, "{one: 50, 2: 30, 3: 10, 4: 0}", "grade.engagement: 'one': a label is one digit"),
    ],
)
def test_a_wrong_label_is_the_only_error_though_gate_and_examples_name_the_right_one(
    old: str, new: str, error: str
) -> None:
    assert said((old, new)) == [error]


def test_a_label_that_no_grade_has_is_still_an_error() -> None:
    (error,) = said(("grade: [A1, A2, B1]", "grade: [A1, A9, B1]"))
    assert error == "mql.become_when.hot_and_right.grade[1]: unknown grade 'A9', did you mean 'A1'?"


@pytest.mark.parametrize(
    ("old", "new", "meant"),
    [
        ("fade: half-life 14 days", "fade: half life 14 days", "half-life"),
        ("fade: half-life 14 days", "fade: halflife 14 days", "half-life"),
        ("fade: expire after 90 days", "fade: expire afer 90 days", "expire after"),
        ("fade: lose 50% every", "fade: loose 50% every", "lose"),
        ("count: at least 5 in", "count: atleast 5 in", "at least"),
        ("count: at least 5 in", "count: at leat 5 in", "at least"),
        ("count: once per day", "count: once per dya", "once per day"),
    ],
)
def test_a_slip_in_a_fade_or_a_count_is_told_what_was_meant(old: str, new: str, meant: str) -> None:
    (error,) = said((old, new))
    assert error.endswith(f", did you mean '{meant}'?")


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (
            "name: silent for a quarter,",
            "name: silent, for a quarter,",
            "engagement.groups.silence.rules[0].for a quarter: unknown key; "
            "inside { } a comma starts a new key: put a text that has one in quotes",
        ),
        (
            "email: kim@bank.example}\n    company: {name: Bank, employees: 800, industry: Banking}",
            "Banking}\n    company: {name: Bank, employees: 800, industry: Banking}",
            "examples[0].person.Banking: unknown field 'person.Banking'; "
            "inside { } a comma starts a new key: put a text that has one in quotes",
        ),
    ],
)
def test_a_comma_in_a_text_inside_brackets_is_told_of(old: str, new: str, error: str) -> None:
    (one,) = said((old, new))
    assert one == error


PAGES = "count: at least 5 in 7 days}"


@pytest.mark.parametrize(
    ("phrase", "lost"),
    [
        ("pricing", "pricing"),
        ("not pricing", "pricing"),
        ("is pricing/plans", "pricing/plans"),
        ("starts with pricing", "pricing"),
        ("[/pricing, plans]", "plans"),
        ("/pricing*", None),
        ("/pricing", None),
        ("contains pricing", None),
        ("known", None),
    ],
)
def test_a_path_without_its_slash_is_warned_of(phrase: str, lost: str | None) -> None:
    found = said((PAGES, f"where: {{path: {phrase}}}}}"))
    warned = f"begins with '/': '{lost}' is none; write '/{lost}'"
    assert [one for one in found if ".path" in one] == [one for one in found if warned in one]
    assert bool(found) == (lost is not None)


def test_near_names_are_found_among_very_many() -> None:
    names = [f"rule_{n:05d}" for n in range(2 * MOST_NAMES)] + ["sales_europe"]
    assert did_you_mean("sales_europ", names) == ", did you mean 'sales_europe'?"
    assert did_you_mean("zales_europe", names) == ", did you mean 'sales_europe'?"
    assert did_you_mean("rule_0150", names).startswith(", did you mean 'rule_0")
    assert did_you_mean("something else", names) == ""


def test_a_long_list_is_hashed_by_its_values_in_any_order_and_once() -> None:
    many = tuple(f"d{n}.example" for n in range(FEW + 1))
    domains = DomainIn("person.email_domain", many)
    assert content_hash(domains) == content_hash(DomainIn("person.email_domain", many[::-1]))
    assert content_hash(domains) != content_hash(DomainIn("person.email_domain", (*many[:-1], "x.example")))
    assert content_hash(domains) != content_hash(OneOf("person.email_domain", many))
    digests: dict[int, str] = {}
    canonical([DomainIn("person.email_domain", many), domains], digests)
    assert len(digests) == 1


def test_a_short_list_is_hashed_as_it_always_was() -> None:
    assert canonical(DomainIn("person.email_domain", ("b.example", "a.example"))) == {
        "op": "domain_in",
        "field": "person.email_domain",
        "values": ["a.example", "b.example"],
    }


# -- fields.yaml ---------------------------------------------------------------------------------------------------


def mapped(*replacements: tuple[str, str]) -> Mapping:
    text = FIELDS
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new, 1)
    found, _ = load_mapping(Source("fields.yaml", text.encode()))
    return found


def test_the_same_map_in_other_words_is_no_change() -> None:
    assert fields_changed(mapped(), mapped(("prefer:", "# a comment\nprefer:"))) == ()


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        (
            "    person.title:            jobtitle",
            "    person.title:            job_function",
            "fields.hubspot.contact.person.title: job_function, was jobtitle",
        ),
        ("    person.title:            jobtitle\n", "", "fields.hubspot.contact.person.title: gone, was jobtitle"),
        (
            "  person.title:        newest",
            "  person.title:        hubspot unless blank",
            "fields.prefer.person.title: ",
        ),
        (
            "{form: Request a demo,      event: demo_request,      set: {form: demo}}",
            "{form: Request a demo,      event: form_submit,      set: {form: demo}}",
            "fields.hubspot.events.form Request a demo: source form, key Request a demo, kind form_submit, "
            "set {form: demo}, was source form, key Request a demo, kind demo_request, set {form: demo}",
        ),
    ],
)
def test_a_change_of_the_field_map_names_its_place_and_both_readings(old: str, new: str, change: str) -> None:
    (found,) = fields_changed(mapped(), mapped((old, new)))
    assert str(found).startswith(change)
