"""What is allowed in a policy and probably not meant: warnings W01 to W13, each at its place.

Reads the typed policy; the documents are asked only for places. Errors, E01 to E06, are found while loading. Work grows
with the length of the files: where lines are compared with each other, each meets a bounded number of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from scoring.document import Node, Problem
from scoring.finding import warning
from scoring.lint_order import lint_order
from scoring.lint_reach import lint_reach
from scoring.lint_rules import Arrivals, lint_dimension
from scoring.lint_team import UsedLists, away_long_ago, overlapping_lists, unused
from scoring.policy import Expected, Policy

__all__ = ["Arrivals", "lint"]


def lint(
    policy: Policy,
    policy_node: Node,
    team_node: Node,
    *,
    used_lists: UsedLists,
    lists: Mapping[str, Sequence[Node]] | None = None,
    arrivals: Arrivals | None = None,
    today: date | None = None,
) -> list[Problem]:
    """The warnings about a policy that loads.

    Parameters
    ----------
    used_lists: list -> (section, fact) of each use
    lists: list -> its values, those of list files included; without it those of policy.yaml
    arrivals: kind of event -> the sources fields.yaml makes it of; None asks nothing that needs to know (half of W10)
    today: the day for W12; None asks nothing about days
    """
    told = [
        *_dimensions(policy, policy_node, arrivals),
        *lint_reach(policy, policy_node),
        *lint_order(policy, policy_node),
        *unused(policy, policy_node, team_node, used_lists),
        *overlapping_lists(policy_node, used_lists, _values(policy_node) if lists is None else lists),
        *_examples(policy, policy_node),
    ]
    if today is not None:
        told += away_long_ago(policy, team_node, today)
    return told


def _dimensions(policy: Policy, root: Node, arrivals: Arrivals | None) -> Iterator[Problem]:
    """The scoring sections, each where it stands: a model's own ones below its name."""
    default = policy.models[-1]
    for model in policy.models:
        own = root if model is default else root.find("models", model.name)
        for name, dimension in (("fit", model.fit), ("engagement", model.engagement)):
            place = own.get(name) if own is not None else None
            if place is not None:
                yield from lint_dimension(dimension, place, arrivals)


def _values(root: Node) -> Mapping[str, Sequence[Node]]:
    lists = root.get("lists")
    return {} if lists is None else {entry.key: entry.node.items for entry in lists.entries}


def _examples(policy: Policy, root: Node) -> Iterator[Problem]:
    if not policy.examples:
        said = (
            "no examples: nothing says what this policy must answer; write one below 'examples', with what you expect"
        )
        yield warning("W13", root.under("examples"), said)
    for example in policy.examples:
        if example.expect == Expected():
            file, line, col, path = example.place[""]
            said = (
                f"W13: '{example.name}' expects nothing, so it tests nothing; write what must come out under 'expect'"
            )
            yield Problem(file=file, line=line, col=col, path=path, message=said, warning=True, code="W13")
