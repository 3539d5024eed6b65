"""docs/policy.md is true: what it shows loads, lint says of it what the page says, and its examples pass."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from scoring.conditions import CountMode, FadeMode
from scoring.document import PolicyInvalid, Problem, Source
from scoring.engine import DuckDbEngine
from scoring.examples import check_examples, failures
from scoring.facts import FactType
from scoring.load import load_policy
from scoring.phrases import Field
from scoring.policy import Policy

PAGE = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
CODES = [*(f"E{n:02}" for n in range(1, 7)), *(f"W{n:02}" for n in range(1, 14))]
TODAY = date(2026, 11, 25)

POLICY = """\
version: 1
name: cookbook
fit: {groups: {size: {field: company.employees, points: {from 200: 100, unknown: 0, otherwise: 0}}}}
engagement: {groups: {asked: {rules: [{event: demo_request, points: 100, count: once}]}}}
mql: {become_when: {asked: {event: demo_request, within: 7 days}}}
routing: [{name: everyone, to: pool sales}]
examples: [{name: nobody, expect: {mql: no}}]
"""
TEAM = """\
version: 1
hours: {office: {zone: Europe/Madrid, mon-fri: 09:00-17:00}}
reps: {ines@acme.example: {hours: office}}
pools:
  sales: {method: even, nobody_free: queue inbound, reps: {ines@acme.example: {}}}
  enterprise: {method: even, nobody_free: queue inbound, reps: {ines@acme.example: {}}}
queues: {inbound: {}}
"""
"""What a block stands in: its own keys replace these."""

Yaml = dict[str, Any]


def read(text: str) -> Yaml:
    made: Yaml = YAML(typ="base").load(io.StringIO(text))
    return made


def as_source(name: str, body: Yaml) -> Source:
    return Source(f"{name}.json", json.dumps(body).encode())


def loaded(policy: Yaml, team: Yaml) -> tuple[Policy, list[Problem]]:
    try:
        return load_policy(
            as_source("policy", read(POLICY) | policy),
            as_source("team", read(TEAM) | team),
            lists=lambda name: f"{name} is not there",
            today=TODAY,
        )
    except PolicyInvalid as invalid:
        pytest.fail("\n".join(map(str, invalid.problems)))


# -- blocks ------------------------------------------------------------------------------------------------------


def blocks() -> Iterator[Any]:
    """Each block with the team.yaml block of its section, by the section's heading."""
    heading, by_heading = "", dict[str, list[str]]()
    for found in re.finditer(r"^```yaml\n(.*?)^```|^#{1,3} ([^\n]*)", PAGE, re.DOTALL | re.MULTILINE):
        block, begun = found.groups()
        heading = begun or heading
        by_heading.setdefault(heading, []).extend([block] if block else [])
    for heading, found_below in by_heading.items():
        team = next((block for block in found_below if block.startswith("# team.yaml\n")), "")
        for block in found_below:
            if block is not team:
                yield pytest.param(block, team, id=heading)


@pytest.fixture(scope="module")
def engine() -> Iterator[DuckDbEngine]:
    with DuckDbEngine(threads=1) as one:
        yield one


@pytest.mark.parametrize(("block", "team"), [*blocks()])
def test_a_block_loads_and_lint_says_what_the_page_says(block: str, team: str, engine: DuckDbEngine) -> None:
    policy, warnings = loaded(read(block), read(team) if team else {})
    # the base team has a pool and hours for whoever wants them
    told = {w.code for w in warnings if not (w.code == "W05" and w.file == "team.json" and not team)}
    assert told == set(re.findall(r"# lint says (W\d\d)", block)), "\n".join(map(str, warnings))
    assert [str(one) for one in failures(check_examples(policy, engine))] == []


def test_there_is_a_policy_for_every_product_and_every_recipe() -> None:
    headings = {str(block.id) for block in blocks()}
    for section in ("What you have elsewhere, what you write here", "Recipes"):
        body = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
        assert set(re.findall(r"^### (.*)$", body, re.MULTILINE)) <= headings


# -- tables ------------------------------------------------------------------------------------------------------


def rows(heading: str) -> list[list[str]]:
    body = re.split(rf"^#+ {heading}$", PAGE, flags=re.MULTILINE)[1].split("\n#")[0]
    table = [line for line in body.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[2:]]


def examples() -> Iterator[Any]:
    for heading in ("Every phrase", "How points fade", "What is counted", "Where points end"):
        for row in rows(heading):
            yield pytest.param(row[0], row[-1].strip("` |"), id=row[0].replace("`", ""))


@pytest.mark.parametrize(("phrase", "example"), [*examples()])
def test_the_example_of_a_phrase_loads(phrase: str, example: str) -> None:
    condition = example if example.startswith("{") else f"{{{example}}}"
    lists = "lists: {markets: [DE, FR]}\n" if "in markets" in example else ""
    if example.startswith("{event"):
        text = f"engagement: {{groups: {{it: {{rules: [{example}]}}}}}}"
    elif "owner" in example:
        text = f"routing: [{{name: it, when: {condition}, to: person.owner}}, {{name: rest, to: pool sales}}]"
    else:
        text = f"suppress: {{it: {condition}}}"
    loaded(read(lists + text), {})


def test_no_phrase_is_left_out() -> None:
    phrases = {phrase for type in FactType for phrase in Field("it", type).takes().split(", ")}
    for heading, words in (
        ("Every phrase", {*phrases, "not"}),
        ("How points fade", {word for mode in FadeMode for word in mode.split()}),
        ("What is counted", {word for mode in CountMode for word in mode.split()}),
    ):
        told = " ".join(row[0] for row in rows(heading)).casefold()
        assert {word for word in words if not re.search(rf"\b{word}\b", told)} == set()


def test_every_finding_is_listed_in_order() -> None:
    assert [row[0] for row in rows("What lint finds")] == CODES
