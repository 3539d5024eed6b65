"""What nothing uses, lists that overlap in routing, and absences long over: W05 and W12."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from scoring import countries
from scoring.document import Node, Problem
from scoring.facts import FACTS, FactType
from scoring.finding import key_places, warning
from scoring.policy import Policy, Target, TargetKind, WaitThen
from scoring.tables import fold

__all__ = ["UsedLists", "away_long_ago", "overlapping_lists", "unused"]

UsedLists = Mapping[str, set[tuple[str, str]]]
"""List -> (section, fact) of each use."""

LONG_OVER = timedelta(days=90)


# -- what nothing uses -------------------------------------------------------------------------------------------


def unused(policy: Policy, root: Node, team: Node, used_lists: UsedLists) -> Iterator[Problem]:
    """W05: what is defined and named nowhere."""
    targets = list(_targets(policy))
    named = {kind: {t.name for t in targets if t.kind is kind} for kind in TargetKind}
    for what, node, used in (
        # free_mail is also what tells a private mailbox from a company's domain
        ("list", root.get("lists"), {*used_lists, "free_mail"}),
        ("hours", team.get("hours"), _hours(policy)),
        ("pool", team.get("pools"), named[TargetKind.POOL]),
        ("queue", team.get("queues"), named[TargetKind.QUEUE] | policy.team.unowned | _fallbacks(policy)),
        ("rep", team.get("reps"), named[TargetKind.REP] | _reps(policy)),
    ):
        for entry in node.entries if node is not None else ():
            name = entry.key.casefold() if what == "rep" else entry.key
            if name not in used:
                yield warning("W05", entry.name, _nowhere(what))
    tracks = root.find("nurture", "tracks")
    for item in tracks.items if tracks is not None else ():
        if item.value.strip() not in _tracks(policy):
            yield warning("W05", item, _nowhere("track"))


def _nowhere(what: str) -> str:
    return (
        f"{'these' if what == 'hours' else 'this'} {what} {'are' if what == 'hours' else 'is'} used nowhere: name "
        + ("them where they apply, or take them out" if what == "hours" else "it where it applies, or take it out")
    )


def _targets(policy: Policy) -> Iterator[Target]:
    """Everybody to whom a person, or word of one, can go."""
    for route in policy.routing:
        yield route.to
        if isinstance(route.if_away, Target):
            yield route.if_away
        elif isinstance(route.if_away, WaitThen):
            yield route.if_away.then
    for line in policy.suppress:
        if line.tell is not None:
            yield line.tell
    if policy.sla is not None and policy.sla.then is not None:
        yield policy.sla.then


def _fallbacks(policy: Policy) -> set[str]:
    return {pool.nobody_free.queue for pool in policy.team.pools.values()}


def _hours(policy: Policy) -> set[str]:
    team = policy.team
    named = {
        *(rep.hours for rep in team.reps.values()),
        *(pool.hours for pool in team.pools.values()),
        *(queue.hours for queue in team.queues.values()),
        policy.review.hours if policy.review is not None else None,
    }
    return {name for name in named if name is not None}


def _reps(policy: Policy) -> set[str]:
    """Reps somebody can meet: in a pool, as a backup, as a manager, or no longer here and only kept for their name."""
    team = policy.team
    used = {rep.email for pool in team.pools.values() for rep in pool.reps}
    used |= {rep.backup for rep in team.reps.values() if rep.backup is not None}
    used |= {email for email, rep in team.reps.items() if rep.left}
    return used | set(team.managers.values()) | team.unowned


def _tracks(policy: Policy) -> set[str | None]:
    reasons = policy.recycle.reasons if policy.recycle is not None else ()
    nurture = policy.nurture
    used = {reason.nurture for reason in reasons}
    return used | ({nurture.near_track, nurture.faded} if nurture is not None else set())


# -- overlapping lists -------------------------------------------------------------------------------------------


def overlapping_lists(root: Node, used_lists: UsedLists, lists: Mapping[str, Sequence[Node]]) -> Iterator[Problem]:
    """W05: two lists that routing compares with one fact share a value, so the order of the rules decides.

    Each list is told of the first one above it that has one of its values.
    """
    place = root.get("lists")
    if place is None:
        return
    facts = dict.fromkeys(fact for uses in used_lists.values() for section, fact in uses if section == "routing")
    where = key_places(place)
    for fact in sorted(facts):
        first: dict[str, str] = {}
        for name in where:
            if ("routing", fact) not in used_lists.get(name, ()):
                continue
            values = dict.fromkeys(_compared(item.value, fact) for item in lists.get(name, ()))
            shared = next((value for value in values if value in first), None)
            if shared is not None:
                said = f"'{first[shared]}' and '{name}' share '{shared}', and routing asks {fact} for both"
                yield warning("W05", where[name], f"{said}: take it out of one of them")
            for value in values:
                first.setdefault(value, name)


def _compared(text: str, fact: str) -> str:
    known = FACTS.get(fact)
    if known is not None and known.type is FactType.COUNTRY:
        code = text.strip().upper()
        return fold(countries.ALIASES.get(code, code))
    return fold(text)


# -- absences ----------------------------------------------------------------------------------------------------


def away_long_ago(policy: Policy, team: Node, today: date) -> Iterator[Problem]:
    """W12: an absence that ended more than 90 days ago."""
    reps = team.get("reps")
    for entry in reps.entries if reps is not None else ():
        rep, listed = policy.team.reps.get(entry.key.casefold()), entry.node.get("away")
        if rep is None or listed is None:
            continue
        for away, node in zip(rep.away, listed.items, strict=True):
            if today - away.end.date() > LONG_OVER:
                yield warning("W12", node, f"'{away.text}' is over for more than {LONG_OVER.days} days: take it out")
