"""Whatever bytes are given as a file: a policy, or all its errors. Never anything else."""

# ruff: noqa: PT017  (either outcome is lawful, and the refusal is looked at when it is one)

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from scoring.conditions import Any, Missing, OneOf
from scoring.document import PolicyInvalid, Source, Unreadable, read_document
from scoring.facts import FACTS
from scoring.load import load_policy
from scoring.phrases import Names, parse_condition, parse_count, parse_fade
from sync.mapping import load_mapping, read_mapping
from tests.support.rules import COMPLETE

CONFIG = Path(__file__).parents[2] / "config"
NAMES = ("policy.yaml", "team.yaml", "fields.yaml")
POLICY, TEAM, FIELDS = ((CONFIG / name).read_bytes() for name in NAMES)
WHOLE_POLICY, WHOLE_TEAM, WHOLE_FIELDS = ((COMPLETE / name).read_bytes() for name in NAMES)

SPOKEN = """not unknown known is in has word contains starts with from below before within older than or true false
valid active days months half-life lose every once per day at least distinct 5% 14 -5 0.25 2026-02-30 none otherwise vp
DE & * ! | > % @ ` { } [ ] , : - ? # ' " /a /* <<"""
WORDS = st.sampled_from(SPOKEN.split())
PHRASES = st.lists(WORDS, max_size=6).map(" ".join)


def loads_or_says_why(policy: bytes, team: bytes) -> None:
    def no_file(name: str) -> str:
        raise FileNotFoundError(name)

    try:
        load_policy(Source("policy.yaml", policy), Source("team.yaml", team), lists=no_file)
    except PolicyInvalid as invalid:
        assert invalid.problems
        for problem in invalid.problems:
            assert not problem.warning
            assert problem.file in ("policy.yaml", "team.yaml")
            assert problem.line >= 1
            assert problem.col >= 1
            assert problem.message


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
@example(b'a: "\\UFFFFFFFF"')
@example(b"%YAML 9.9.9\n---\na: b\n")
@example(b"%TAG ! tag:x,2000:\n---\n!a b\n")
@example(b"? {a: b}\n: c\n")
@example(b"a: *b\n")
@example(b"- - - -\n")
def test_any_bytes(content: bytes) -> None:
    loads_or_says_why(content, TEAM)
    loads_or_says_why(b"version: 1", content)
    try:
        load_mapping(Source("fields.yaml", content))
    except PolicyInvalid as invalid:
        assert invalid.problems


def with_a_piece_replaced(data: st.DataObject, whole: bytes) -> bytes:
    start = data.draw(st.integers(0, len(whole)))
    end = min(len(whole), start + data.draw(st.integers(0, 40)))
    piece = data.draw(PHRASES | st.text(max_size=10)).encode("utf-8", "surrogatepass")
    return whole[:start] + piece + whole[end:]


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_whole_files_with_a_piece_replaced(data: st.DataObject) -> None:
    policy, team = data.draw(st.sampled_from([(POLICY, TEAM), (WHOLE_POLICY, WHOLE_TEAM)]))
    if data.draw(st.booleans()):
        loads_or_says_why(with_a_piece_replaced(data, policy), team)
    else:
        loads_or_says_why(policy, with_a_piece_replaced(data, team))


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_fields_with_a_piece_replaced(data: st.DataObject) -> None:
    broken = with_a_piece_replaced(data, data.draw(st.sampled_from([FIELDS, WHOLE_FIELDS])))
    mapping, problems = read_mapping(Source("fields.yaml", broken))
    assert all(problem.line >= 1 and problem.message for problem in problems)
    assert len(mapping.hash) == 12


@given(st.sampled_from(sorted(FACTS)), PHRASES | st.text(max_size=20), st.sampled_from(["", "mql", "routing"]))
@settings(max_examples=300, deadline=None)
def test_any_phrase_about_any_fact(fact: str, phrase: str, section: str) -> None:
    node = read_document(json.dumps({fact: phrase}, ensure_ascii=True), "f.json")
    before = len(node.problems)
    condition = parse_condition(node, Names(facts=FACTS, section=section))
    assert condition != Any() or len(node.problems) > before


@given(PHRASES | st.text(max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_fade_and_count(text: str) -> None:
    for parse in (parse_fade, lambda t: parse_count(t, ("page_view",))):
        try:
            parse(text)
        except Unreadable as why:
            assert str(why)


@given(st.lists(st.sampled_from(["DE", "nl", "UK", "NO", "unknown"]), min_size=1, max_size=6))
def test_a_list_of_values_means_any_of_them_in_any_order(values: list[str]) -> None:
    node = read_document(json.dumps({"person.country": values}), "f.json")
    condition = parse_condition(node, Names(facts=FACTS))
    parts = condition.of if isinstance(condition, Any) else (condition,)
    meant = {"gb" if v == "UK" else v.lower() for v in values if v != "unknown"}
    assert {v for p in parts if isinstance(p, OneOf) for v in p.values} == meant
    assert any(isinstance(p, Missing) for p in parts) is ("unknown" in values)
