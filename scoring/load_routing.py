"""The ``routing`` section, and the targets that other sections name as well."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from scoring.document import Kind, Node, Unreadable, did_you_mean, parse_delay
from scoring.load_team import known_name
from scoring.phrases import Names, parse_condition
from scoring.policy import Route, Target, TargetKind, WaitThen
from scoring.team import Team

__all__ = ["Targets", "read_routing", "read_tell"]

_OWNERS = (TargetKind.PERSON_OWNER, TargetKind.LAST_OWNER, TargetKind.COMPANY_OWNER)
_TOLD = (TargetKind.COMPANY_OWNER, TargetKind.PERSON_OWNER, TargetKind.QUEUE)


@dataclass(frozen=True, slots=True)
class Targets:
    """Whom a policy may name. A None is of a team that could not be read: any name will do."""

    reps: Collection[str] | None
    pools: Collection[str] | None
    queues: Collection[str] | None

    @classmethod
    def of(cls, team: Team | None) -> Targets:
        return cls(None, None, None) if team is None else cls(team.reps, team.pools, team.queues)

    def parse(self, text: str) -> Target:
        """``person.owner``, ``rep ana@acme.com``, ``pool emea``, ``queue inbound``."""
        text = " ".join(text.split())
        if text in _OWNERS:
            return Target(kind=TargetKind(text))
        kind, _, name = text.partition(" ")
        match kind:
            case "rep":
                return Target(kind=TargetKind.REP, name=known_name(name.casefold(), self.reps, "rep"))
            case "pool":
                return Target(kind=TargetKind.POOL, name=known_name(name, self.pools, "pool"))
            case "queue":
                return Target(kind=TargetKind.QUEUE, name=known_name(name, self.queues, "queue"))
            case _:
                near = did_you_mean(text, TargetKind) or did_you_mean(kind, TargetKind)
                near = near or ": an owner, rep, pool or queue is wanted here"
                raise Unreadable(f"unknown target '{text}'{near}", code="E02")

    def parse_if_away(self, text: str) -> str | Target | WaitThen:
        """``next rule``, ``their backup``, a pool or a queue, ``wait 2 working hours then queue inbound``."""
        text = " ".join(text.split())
        if text in ("next rule", "their backup"):
            return text
        if text.startswith("wait "):
            span, then, target = text.removeprefix("wait ").partition(" then ")
            if not then:
                raise Unreadable(f"'{text}': a wait ends with 'then queue ...'", code="E06")
            return WaitThen(delay=parse_delay(span), then=self.parse(target))
        if text.partition(" ")[0] not in (TargetKind.POOL, TargetKind.QUEUE):
            near = did_you_mean(text, ("next rule", "their backup"))
            raise Unreadable(f"'{text}'{near or ': next rule, their backup, a pool, a queue or a wait is wanted'}")
        return self.parse(text)


def read_routing(node: Node, names: Names, targets: Targets) -> tuple[Route, ...]:
    """The rules in order. ``names`` are those of the section ``routing``."""
    routes: list[Route] = []
    lines: dict[str, int] = {}
    for item in node.each():
        route = _route(item, names, targets)
        if route.name in lines:
            item.error(f"the name '{route.name}' is already used on line {lines[route.name]}")
        lines.setdefault(route.name, item.line)
        routes.append(route)
    if node.kind is Kind.LIST and (
        not routes or routes[-1].when is not None or routes[-1].to.kind not in (TargetKind.POOL, TargetKind.QUEUE)
    ):
        (node.items[-1] if node.items else node).error(
            "the last rule must have no 'when' and lead to a queue, or to a pool (whose nobody_free is a queue)",
            code="E01",
        )
    return tuple(routes)


def _route(node: Node, names: Names, targets: Targets) -> Route:
    found = node.fields("name", "when", "to", "if_away", required=("to",))
    nowhere = Target(kind=TargetKind.QUEUE)
    to = found["to"].read(targets.parse, nowhere) if "to" in found else nowhere
    if_away: str | Target | WaitThen = "next rule"
    if "if_away" in found:
        if to.kind in (TargetKind.POOL, TargetKind.QUEUE) and to != nowhere:
            found["if_away"].error("if_away is for reps and owners; a pool has nobody_free")
        if_away = found["if_away"].read(targets.parse_if_away, if_away)
    said = found["to"].value.strip() if "to" in found else ""
    return Route(
        name=found["name"].text() if "name" in found else said,
        when=parse_condition(found["when"], names) if "when" in found else None,
        to=to,
        if_away=if_away,
    )


def read_tell(node: Node, targets: Targets) -> Target | None:
    """Who is told of somebody suppressed: an owner or a queue."""

    def parse(text: str) -> Target | None:
        target = targets.parse(text)
        if target.kind not in _TOLD:
            raise Unreadable(f"'{text}': company.owner, person.owner or a queue is wanted here")
        return target

    return node.read(parse, None)
