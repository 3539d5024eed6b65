"""policy.yaml and team.yaml become a `Policy`, or every error in them is reported.

This module reads the file as a whole; each section has a module of its own (``load_fit``, ``load_gate``, ...).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from importlib.metadata import version as installed_version
from pathlib import PurePosixPath, PureWindowsPath

from scoring.conditions import Dimension, EventMatch
from scoring.document import Entry, Kind, Node, PolicyInvalid, Problem, Source, Unreadable, read_document
from scoring.facts import FACTS, Fact, FactType
from scoring.lint import Arrivals, lint
from scoring.load_engagement import EngagementReader
from scoring.load_examples import Answers, ExampleReader
from scoring.load_fit import FitReader
from scoring.load_gate import Gate, read_hand_raise, read_needs, read_review, read_stay
from scoring.load_grade import Scale, check_floors, graded, misnamed, read_grade
from scoring.load_hours import parse_zone
from scoring.load_life import read_nurture, read_recycle, read_sla
from scoring.load_points import RuleNames
from scoring.load_routing import Targets, read_routing, read_tell
from scoring.load_team import check_version, read_team
from scoring.load_write import read_write
from scoring.phrases import Field, Names, parse_condition, parse_phrase
from scoring.policy import Example, Grade, Model, Policy, SuppressLine, WritePlan
from scoring.team import Team
from scoring.version import content_hash

__all__ = ["load_policy"]

MAX_RULES = 900
"""Rules and tables of a file: engines add up what each gives in one expression, which may be 1,000 deep."""

DEFAULT_HAND_RAISE = EventMatch(("demo_request", "meeting_booked"))

_SECTIONS = (
    *("version", "name", "timezone", "lists", "suppress", "fit", "engagement", "grade", "models", "mql", "recycle"),
    *("nurture", "routing", "sla", "write", "examples"),
)


def load_policy(
    policy: Source,
    team: Source,
    *,
    lists: Callable[[str], str],
    custom: Mapping[str, Fact] | None = None,
    all_custom: bool = True,
    seniority: tuple[tuple[str, tuple[str, ...]], ...] = (),
    fields_hash: str = "",
    mapped: Mapping[tuple[str, str], Mapping[str, str]] | None = None,
    arrivals: Arrivals | None = None,
    today: date | None = None,
) -> tuple[Policy, list[Problem]]:
    """The policy and the warnings about it.

    Parameters
    ----------
    policy, team: the two files
    lists: the text of a list file, by its path inside the configuration directory; may raise OSError
    custom: the facts that fields.yaml adds
    all_custom: False when fields.yaml has errors and may add others, of which nothing can be said
    seniority: the table of fields.yaml, kept in the policy for whoever derives ``person.seniority``
    fields_hash: the content hash of fields.yaml; part of the version
    mapped: (crm, object) -> property -> fact, to refuse writing a property that is read as a fact
    arrivals, today: what `scoring.lint` may know of fields.yaml and of the day

    Raises
    ------
    PolicyInvalid: every error of both files and of the list files, by file and line
    """
    policy_node = read_document(policy.content, policy.name)
    team_node = read_document(team.content, team.name)
    made_team = read_team(team_node)
    loader = _Loader(
        facts={**FACTS, **(custom or {})},
        all_custom=all_custom,
        team=made_team,
        targets=Targets.of(None if any(p.whole for p in team_node.problems) else made_team),
        read_list=lists,
        mapped=mapped or {},
        problems=policy_node.problems,
    )
    made = loader.policy(policy_node)
    policy_node.report_empty()
    team_node.report_empty()
    found = [*policy_node.problems, *team_node.problems]
    if made is None or any(not p.warning for p in found):
        raise PolicyInvalid(p for p in found if not p.warning)
    made = replace(made, custom=dict(custom or {}), seniority=seniority, lists=loader.list_values())
    made = _hashed(made, fields_hash=fields_hash)
    warnings = [p for p in found if p.warning]
    warnings += lint(
        made,
        policy_node,
        team_node,
        used_lists=loader.used,
        lists=loader.lists,
        arrivals=arrivals,
        today=today,
    )
    return made, sorted(warnings, key=lambda p: (p.file, p.line, p.col))


def _hashed(policy: Policy, *, fields_hash: str) -> Policy:
    """The policy with its version and the hashes of its parts, each of which asks for other work when it moves."""
    scoring = (
        policy.timezone,
        policy.lists,
        policy.suppress,
        policy.models,
        policy.hand_raise,
        policy.custom,
        policy.seniority,
        policy.free_mail,
        fields_hash,
        (policy.needs, policy.review, policy.stay, policy.recycle, policy.nurture),
    )
    routing = (policy.routing, policy.sla, policy.team, installed_version("holidays"))
    return replace(
        policy,
        scoring_hash=content_hash(*scoring),
        routing_hash=content_hash(*routing),
        write_hash=content_hash(policy.write),
        version=content_hash(1, policy.name, scoring, routing, policy.write, policy.examples),
    )


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", text):
        raise Unreadable(f"'{text}': lower-case words joined by - are wanted here")
    return text


@dataclass(slots=True, kw_only=True)
class _Loader:
    """Reads one policy. ``misnamed``: a label of its grades cannot be one."""

    facts: Mapping[str, Fact]
    all_custom: bool
    team: Team
    targets: Targets
    read_list: Callable[[str], str]
    mapped: Mapping[tuple[str, str], Mapping[str, str]]
    problems: list[Problem]
    lists: dict[str, tuple[Node, ...]] = field(default_factory=dict)
    used: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    misnamed: bool = False
    names: Names = field(init=False)

    def __post_init__(self) -> None:
        self.names = Names(facts=self.facts, used=self.used, all_custom=self.all_custom)

    def policy(self, root: Node) -> Policy | None:
        """The policy without its hashes; None when the file is not even a mapping."""
        found = root.fields(*_SECTIONS, required=("version", "name", "mql", "routing"))
        if root.kind is not Kind.MAPPING:
            return None
        check_version(root)
        if "fit" not in found and "engagement" not in found:
            root.error("there is neither fit nor engagement: nothing would be scored")
        if "lists" in found:
            self._lists(found["lists"])
        suppress = tuple(self._suppress(e) for e in found["suppress"].pairs()) if "suppress" in found else ()
        keys = ("become_when", "hand_raise", "needs", "stay", "review")
        mql = found["mql"].fields(*keys, required=("become_when",)) if "mql" in found else {}
        hand_raise = read_hand_raise(mql["hand_raise"], self.names) if "hand_raise" in mql else DEFAULT_HAND_RAISE
        self.names.hand_raise = hand_raise
        self._refuse_too_many_rules(found)
        models = self._models(found, mql)
        made = Policy(
            name=found["name"].read(_name, "") if "name" in found else "",
            version="",
            scoring_hash="",
            timezone=found["timezone"].read(parse_zone, "UTC") if "timezone" in found else "UTC",
            suppress=suppress,
            models=models,
            hand_raise=hand_raise,
            routing=read_routing(found["routing"], self.names.within("routing"), self.targets)
            if "routing" in found
            else (),
            write=read_write(found["write"], self.mapped, thirds=any(model.fit.thirds for model in models))
            if "write" in found
            else WritePlan(),
            team=self.team,
            free_mail=self._free_mail(),
            sla=read_sla(found["sla"], self.targets) if "sla" in found else None,
        )
        made = self._life(made, found, mql)
        return replace(made, examples=self._examples(found["examples"], made)) if "examples" in found else made

    def _life(self, made: Policy, found: Mapping[str, Node], mql: Mapping[str, Node]) -> Policy:
        """The policy with what follows the gate: needs, review, stay, recycle, nurture."""
        names = self.names.within("mql")
        gate = Gate(names, tuple(self._scale(model.grade, model.fit) for model in made.models))
        nurture = read_nurture(found["nurture"]) if "nurture" in found else None
        tracks = nurture.tracks if nurture is not None else ()
        recycle = read_recycle(found["recycle"], tracks=tracks) if "recycle" in found else None
        reasons = [reason.name for reason in recycle.reasons] if recycle is not None else []
        hours = self.team.hours if self.targets.reps is not None else None
        return replace(
            made,
            needs=read_needs(mql["needs"], names) if "needs" in mql else (),
            review=read_review(mql["review"], gate, hours=hours, reasons=reasons) if "review" in mql else None,
            stay=read_stay(mql["stay"], gate) if "stay" in mql else None,
            recycle=recycle,
            nurture=nurture,
        )

    def _examples(self, node: Node, made: Policy) -> tuple[Example, ...]:
        reader = ExampleReader(names=self.names, targets=self.targets, answers=Answers.of(made, misnamed=self.misnamed))
        return reader.read(node)

    # -- lists

    def _lists(self, node: Node) -> None:
        entries = node.pairs()
        named = {entry.key for entry in entries}
        self.lists.update({entry.key: self._list(entry, named) for entry in entries})
        self.names.lists = self.lists

    def _list(self, entry: Entry, named: Collection[str]) -> tuple[Node, ...]:
        if not re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", entry.key):
            entry.name.error("a list's name is lower-case words joined by _")
        node = entry.node
        if node.kind is Kind.TEXT and node.value.strip().startswith("file "):
            return self._list_file(node, node.value.strip().removeprefix("file ").strip())
        if node.kind is not Kind.LIST:
            node.error("a list is wanted here: [a, b], or 'file ...'")
            return ()
        if not node.items:
            node.error("an empty list never matches")
        for item in node.items:
            word, _, name = item.value.strip().partition(" ")
            if item.kind is Kind.LIST or (word == "in" and name in named):
                item.error("lists do not contain lists: name both where they are used, [in a, in b]")
        return tuple(item for item in node.items if item.kind is not Kind.LIST and item.text())

    def _list_file(self, node: Node, name: str) -> tuple[Node, ...]:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive or "\\" in name:
            node.error(f"'{name}': a list file is inside the configuration directory")
            return ()
        try:
            text = self.read_list(name)
        except UnicodeDecodeError as why:
            line = why.object.count(b"\n", 0, why.start) + 1
            node.error(f"the list file '{name}' cannot be read: line {line} is not UTF-8")
            return ()
        except (OSError, ValueError) as why:
            node.error(f"the list file '{name}' cannot be read: {getattr(why, 'strerror', None) or why}")
            return ()
        items = [
            Node(
                file=name,
                line=number,
                col=1,
                path=node.path,
                kind=Kind.TEXT,
                value=line.partition("#")[0].strip(),
                problems=self.problems,
            )
            for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1)
        ]
        items = [item for item in items if item.value]
        if not items:
            node.error(f"the list file '{name}' has no values: an empty list never matches")
        return tuple(items)

    def list_values(self) -> dict[str, tuple[str, ...]]:
        return {name: tuple(sorted({item.value.strip() for item in items})) for name, items in self.lists.items()}

    def _free_mail(self) -> frozenset[str] | None:
        """The domains that belong to nobody's company, if the policy has a list of that name."""
        if "free_mail" not in self.lists:
            return None
        domain = Field("free_mail", FactType.DOMAIN)
        found = [parse_phrase(item, domain, self.names) for item in self.lists["free_mail"]]
        return frozenset(value for one in found for value in getattr(one, "values", ()))

    # -- suppress

    def _suppress(self, entry: Entry) -> SuppressLine:
        node, told = entry.node, []
        if node.kind is Kind.LIST:
            told = [tell for item in node.items if (tell := item.get("tell")) is not None]
            node = replace(node, items=tuple(item.without("tell") for item in node.items))
        elif (tell := node.get("tell")) is not None:
            told, node = [tell], node.without("tell")
        targets = [read_tell(tell, self.targets) for tell in told]
        for tell, target in zip(told[1:], targets[1:], strict=True):
            if target != targets[0]:
                tell.error(f"one line tells one: here and on line {told[0].line} are two")
        return SuppressLine(
            name=entry.key, test=parse_condition(node, self.names), tell=targets[0] if targets else None
        )

    # -- models

    def _refuse_too_many_rules(self, found: Mapping[str, Node]) -> None:
        """Reported once, at the first rule too many."""
        models = [e.node for e in found["models"].entries] if "models" in found else []
        dimensions = [
            found.get("fit"),
            found.get("engagement"),
            *(m.get(k) for m in models for k in ("fit", "engagement")),
        ]
        rules = [rule for dimension in dimensions if dimension is not None for rule in _rules(dimension)]
        if len(rules) > MAX_RULES:
            said = f"at most {MAX_RULES} rules and tables in a file, in all models together: here are {len(rules)}"
            rules[MAX_RULES].error(f"{said}, and this is the first too many; a list says many values in one rule")

    def _models(self, found: Mapping[str, Node], mql: Mapping[str, Node]) -> tuple[Model, ...]:
        """The models, the last of which is made of the sections at the top level."""
        rules = RuleNames()
        fit = FitReader(self.names, rules).read(found["fit"]) if "fit" in found else Dimension()
        engagement = (
            EngagementReader(self.names, rules).read(found["engagement"]) if "engagement" in found else Dimension()
        )
        models = found["models"].entries if "models" in found else ()
        self.misnamed = any(misnamed(node) for node in (found.get("grade"), *(one.node.get("grade") for one in models)))
        section = read_grade(found["grade"]) if "grade" in found else Grade()
        grade = graded(section, found.get("grade"), fit, at=None)
        if "grade" in found:
            check_floors(found["grade"], grade, fit, engagement, at=None)
        gate = self._gate(grade, fit)
        default = Model(
            name="default",
            when=None,
            fit=fit,
            engagement=engagement,
            grade=grade,
            become_when=gate.lines(mql["become_when"]) if "become_when" in mql else (),
        )
        others = found["models"].pairs() if "models" in found else ()
        return (*(self._model(entry, found, mql, default, section) for entry in others), default)

    def _model(
        self, entry: Entry, top: Mapping[str, Node], mql: Mapping[str, Node], default: Model, section: Grade
    ) -> Model:
        """One model. ``section``: the grade of the top level as it stands there."""
        rules = RuleNames()
        found = entry.node.fields(
            *("when", "fit", "engagement", "grade", "become_when"), required=("when",), what="model section"
        )
        if entry.key == "default":
            entry.name.error("'default' names the sections at the top level")
        fit = FitReader(self.names, rules).read(found["fit"]) if "fit" in found else default.fit
        engagement = (
            EngagementReader(self.names, rules).read(found["engagement"])
            if "engagement" in found
            else default.engagement
        )
        grade_node = found.get("grade") or top.get("grade")
        at = None if "grade" in found else entry.name
        own = "grade" in found or fit.thirds != default.fit.thirds
        grade = default.grade
        if own:
            grade = graded(read_grade(found["grade"]) if "grade" in found else section, grade_node, fit, at=at)
        if grade_node is not None:
            check_floors(grade_node, grade, fit, engagement, at=at)
        gate = default.become_when
        if "become_when" in found:
            gate = self._gate(grade, fit).lines(found["become_when"])
        elif own and "become_when" in mql:
            gate = self._gate(grade, fit, at=entry.name).lines(mql["become_when"])
        return Model(
            name=entry.key,
            when=parse_condition(found["when"], self.names) if "when" in found else None,
            fit=fit,
            engagement=engagement,
            grade=grade,
            become_when=gate,
        )

    def _gate(self, grade: Grade, fit: Dimension, *, at: Node | None = None) -> Gate:
        return Gate(self.names.within("mql"), (self._scale(grade, fit),), at)

    def _scale(self, grade: Grade, fit: Dimension) -> Scale:
        return Scale(fit.thirds, grade, self.misnamed)


def _rules(dimension: Node) -> Iterator[Node]:
    """Each rule, table and criterion."""
    for key in ("groups", "criteria"):
        section = dimension.get(key)
        for entry in section.entries if section is not None else ():
            rules = entry.node.get("rules")
            yield from rules.items if rules is not None and rules.items else (entry.name,)
