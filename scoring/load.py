"""policy.yaml and team.yaml become a `Policy`, or every error in them is reported.

A section of the language that this version does not carry out is an error that names it: nothing is ignored silently.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from importlib.metadata import version as installed_version
from pathlib import PurePosixPath, PureWindowsPath
from zoneinfo import available_timezones

from scoring.conditions import (
    AbsentRule,
    All,
    Combine,
    Condition,
    Count,
    CountMode,
    Dimension,
    EventExists,
    EventMatch,
    EventRule,
    Fade,
    FitRule,
    Group,
    LabelIn,
    Score,
    ScoreAtLeast,
    ScoreBelow,
    Span,
    Table,
    TableLine,
    Unit,
)
from scoring.document import (
    Entry,
    Kind,
    Node,
    PolicyInvalid,
    Problem,
    Source,
    Unreadable,
    did_you_mean,
    parse_days,
    parse_number,
    read_document,
)
from scoring.facts import FACTS, Fact, FactType
from scoring.lint import lint
from scoring.load_team import check_version, known_name, read_team
from scoring.load_write import read_write
from scoring.phrases import (
    Field,
    Names,
    kinds_of,
    parse_condition,
    parse_count,
    parse_fade,
    parse_limit,
    parse_match,
    parse_phrase,
    to_micro,
    together,
)
from scoring.policy import (
    Bands,
    GateLine,
    Grade,
    Model,
    Policy,
    Route,
    SuppressLine,
    Target,
    TargetKind,
    WritePlan,
)
from scoring.team import Team
from scoring.version import content_hash

__all__ = ["load_policy"]

DEFAULT_HAND_RAISE = EventMatch(("demo_request", "meeting_booked"))
MAX_POINTS = 1_000_000
MAX_NOT_BEFORE_DAYS = 3650
MAX_NOT_BEFORE_MONTHS = 119
MAX_GATE_LINES = 60

_SECTIONS = (
    *("version", "name", "timezone", "lists", "suppress", "fit", "engagement", "grade", "models", "mql"),
    *("routing", "write"),
)
_LATER_SECTIONS = ("recycle", "nurture", "sla", "examples")


def load_policy(
    policy: Source,
    team: Source,
    *,
    lists: Callable[[str], str],
    custom: Mapping[str, Fact] | None = None,
    seniority: tuple[tuple[str, tuple[str, ...]], ...] = (),
    fields_hash: str = "",
    mapped: Mapping[tuple[str, str], Mapping[str, str]] | None = None,
) -> tuple[Policy, list[Problem]]:
    """The policy and the warnings about it.

    Parameters
    ----------
    policy, team: the two files
    lists: the text of a list file, by its path inside the configuration directory; may raise OSError
    custom: the facts that fields.yaml adds
    seniority: the table of fields.yaml, kept in the policy for whoever derives ``person.seniority``
    fields_hash: the content hash of fields.yaml; part of the version
    mapped: (crm, object) -> property -> fact, to refuse writing a property that is read as a fact

    Raises
    ------
    PolicyInvalid: every error of both files and of the list files, by file and line
    """
    policy_node = read_document(policy.content, policy.name)
    team_node = read_document(team.content, team.name)
    loader = _Loader(
        facts={**FACTS, **(custom or {})},
        team=read_team(team_node),
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
    made = replace(made, custom=dict(custom or {}), seniority=seniority)
    scoring = (
        made.timezone,
        loader.list_values(),
        made.suppress,
        made.models,
        made.hand_raise,
        made.custom,
        made.seniority,
        made.free_mail,
        fields_hash,
    )
    made = replace(
        made,
        scoring_hash=content_hash(*scoring),
        version=content_hash(1, made.name, scoring, made.routing, made.write, made.team, installed_version("holidays")),
    )
    warnings = [p for p in found if p.warning]
    warnings += lint(made, policy_node, team_node, used_lists=loader.used)
    return made, sorted(warnings, key=lambda p: (p.file, p.line, p.col))


# -- small readers -----------------------------------------------------------------------------------------------


def _points(text: str) -> int:
    """Points in micro-points: at most 3 decimals, at most a million."""
    number = parse_number(text)
    if number * 1000 != (number * 1000).to_integral_value():
        raise Unreadable(f"'{text}': points have at most 3 decimals")
    if abs(number) > MAX_POINTS:
        raise Unreadable(f"'{text}': points are from -{MAX_POINTS} to {MAX_POINTS}")
    return to_micro(number)


def _points_or_none(text: str) -> int | None:
    return None if text == "none" else _points(text)


def _whole_points(text: str) -> int:
    number = parse_number(text)
    if number != number.to_integral_value() or abs(number) > MAX_POINTS:
        raise Unreadable(f"'{text}': scores are whole numbers here")
    return int(number)


def _not_before(text: str) -> Span:
    span = parse_days(text)
    most = MAX_NOT_BEFORE_DAYS if span.unit is Unit.DAY else MAX_NOT_BEFORE_MONTHS
    if span.n > most:
        raise Unreadable(f"'{text}': at most {most} {span.unit}s")
    return span


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", text):
        raise Unreadable(f"'{text}': lower-case words joined by - are wanted here")
    return text


def _timezone(text: str) -> str:
    zones = available_timezones()
    if text not in zones:
        raise Unreadable(f"unknown timezone '{text}'{did_you_mean(text, sorted(zones))}")
    return text


def _newest(text: str) -> bool:
    if text != "newest":
        raise Unreadable(f"'{text}': the only cap is 'newest'")
    return True


def _best(text: str) -> Combine:
    if text != "best":
        raise Unreadable(f"'{text}': 'best' is wanted here; without `take` the rules are added")
    return Combine.BEST


def _positive(text: str) -> int:
    micro = _points(text)
    if micro <= 0:
        raise Unreadable(f"'{text}': above 0 is wanted here")
    return micro


def _optional(node: Node | None, parse: Callable[[str], int]) -> int | None:
    def parsed(text: str) -> int | None:
        return parse(text)

    return None if node is None else node.read(parsed, None)


# -- policy.yaml -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Fading:
    """What a rule takes over from its group."""

    fade: Fade
    newest_first: bool
    capped: bool


@dataclass(slots=True, kw_only=True)
class _Loader:
    """Reads one policy. ``rule_names`` are those of the section at hand: text -> line of its first use."""

    facts: Mapping[str, Fact]
    team: Team
    read_list: Callable[[str], str]
    mapped: Mapping[tuple[str, str], Mapping[str, str]]
    problems: list[Problem]
    lists: dict[str, tuple[Node, ...]] = field(default_factory=dict)
    used: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    rule_names: dict[str, int] = field(default_factory=dict)
    names: Names = field(init=False)

    def __post_init__(self) -> None:
        self.names = Names(facts=self.facts, used=self.used)

    def policy(self, root: Node) -> Policy | None:
        """The policy without its hashes; None when the file is not even a mapping."""
        found = root.fields(
            *_SECTIONS,
            required=("version", "name", "mql", "routing"),
            later=_LATER_SECTIONS,
        )
        if root.kind is not Kind.MAPPING:
            return None
        check_version(root)
        if "fit" not in found and "engagement" not in found:
            root.error("there is neither fit nor engagement: nothing would be scored")
        if "lists" in found:
            self.lists.update({e.key: self._list(e) for e in found["lists"].pairs()})
        self.names.lists = self.lists
        suppress = tuple(self._suppress(e) for e in found["suppress"].pairs()) if "suppress" in found else ()
        mql = (
            found["mql"].fields(
                "become_when", "hand_raise", required=("become_when",), later=("needs", "stay", "review")
            )
            if "mql" in found
            else {}
        )
        hand_raise = self._hand_raise(mql["hand_raise"]) if "hand_raise" in mql else DEFAULT_HAND_RAISE
        self.names.hand_raise = hand_raise
        default = self._sections(found, mql.get("become_when"), root)
        models = [self._model(e, found, mql, default) for e in found["models"].pairs()] if "models" in found else []
        return Policy(
            name=found["name"].read(_name, "") if "name" in found else "",
            version="",
            scoring_hash="",
            timezone=found["timezone"].read(_timezone, "UTC") if "timezone" in found else "UTC",
            suppress=suppress,
            models=(*models, default),
            hand_raise=hand_raise,
            routing=self._routing(found["routing"]) if "routing" in found else (),
            write=read_write(found["write"], self.mapped) if "write" in found else WritePlan(),
            team=self.team,
            free_mail=self._free_mail(),
        )

    # -- lists

    def _list(self, entry: Entry) -> tuple[Node, ...]:
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
        return tuple(item for item in node.items if item.text())

    def _list_file(self, node: Node, name: str) -> tuple[Node, ...]:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive or "\\" in name:
            node.error(f"'{name}': a list file is inside the configuration directory")
            return ()
        try:
            text = self.read_list(name)
        except (OSError, ValueError) as why:
            node.error(f"the list file '{name}' cannot be read: {why}")
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

    def list_values(self) -> dict[str, list[str]]:
        return {name: sorted({item.value.strip() for item in items}) for name, items in self.lists.items()}

    def _free_mail(self) -> frozenset[str] | None:
        """The domains that belong to nobody's company, if the policy has a list of that name."""
        if "free_mail" not in self.lists:
            return None
        domain = Field("free_mail", FactType.DOMAIN)
        found = [parse_phrase(item, domain, self.names) for item in self.lists["free_mail"]]
        return frozenset(value for one in found for value in getattr(one, "values", ()))

    # -- suppress

    def _suppress(self, entry: Entry) -> SuppressLine:
        def tell(_: Node, node: Node) -> None:
            node.error("'tell' is not supported by this version yet")

        return SuppressLine(name=entry.key, test=parse_condition(entry.node, self.names, {"tell": tell}))

    # -- fit and engagement

    def _dimension(
        self, node: Node, group: Callable[[Entry, Mapping[str, Node]], Group], later: tuple[str, ...], *more: str
    ) -> Dimension:
        found = node.fields("max", "floor", "groups", *more, required=("groups",), later=later)
        groups = tuple(self._group(entry, group) for entry in found["groups"].pairs()) if "groups" in found else ()
        if "groups" in found and found["groups"].kind is Kind.MAPPING and not groups:
            found["groups"].error("there are no groups")
        plain = Dimension()
        top = found["max"].read(_points_or_none, None) if "max" in found else plain.max
        floor = found["floor"].read(_points_or_none, None) if "floor" in found else plain.floor
        if top is not None and top <= 0:
            found["max"].error("max must be above 0")
        elif top is not None and floor is not None and floor >= top:
            found["floor" if "floor" in found else "max"].error("the floor must be below max")
        if "groups" in found:
            _check_weights(found["groups"], groups)
        return Dimension(
            groups=groups,
            max=top,
            floor=floor,
            not_before=found["not_before"].read(_not_before, plain.not_before)
            if "not_before" in found
            else plain.not_before,
        )

    def _group(self, entry: Entry, make: Callable[[Entry, Mapping[str, Node]], Group]) -> Group:
        found = entry.node.fields(
            *("field", "points", "rules", "take", "max", "min", "weight"),
            *(("fade", "cap") if make == self._event_group else ()),
        )
        group = make(entry, found)
        top, low = _limits(found)
        return replace(
            group,
            combine=found["take"].read(_best, Combine.SUM) if "take" in found else Combine.SUM,
            max=top,
            min=low,
            weight=found["weight"].percent() if "weight" in found else None,
        )

    def _fit(self, node: Node) -> Dimension:
        style = node.get("style")
        if style is not None and style.choice(("points", "thirds")) == "thirds":
            style.error("'thirds' is not supported by this version yet")
            return Dimension()
        return self._dimension(node, self._fit_group, ("start", "criteria"), "style")

    def _fit_group(self, entry: Entry, found: Mapping[str, Node]) -> Group:
        table, rules = "field" in found or "points" in found, "rules" in found
        if table == rules:
            entry.node.error("a group has either field and points, or rules", at=entry.name)
        if table:
            for key in ("field", "points"):
                if key not in found:
                    entry.node.under(f"{entry.node.path}.{key}").error("this key is missing")
            if "take" in found:
                found["take"].error("a table takes its first true line: `take` is for rules")
        if table and "field" in found and "points" in found:
            made = self._table(found["field"], found["points"])
            return Group(name=entry.key, items=(made,) if made else ())
        items = tuple(self._fit_rule(rule) for rule in _rules(found["rules"])) if rules else ()
        return Group(name=entry.key, items=items)

    def _table(self, field_node: Node, points: Node) -> Table | None:
        field = field_node.read(self._table_field, None)
        if field is None:
            return None
        lines: list[TableLine] = []
        special: dict[str, int] = {}
        entries = points.pairs()
        if points.kind is Kind.MAPPING and not entries:
            points.error("a table without lines gives no points")
        for index, entry in enumerate(entries):
            micro = entry.node.read(_points, 0)
            key = entry.key.casefold()
            if key in ("unknown", "otherwise"):
                if key in special:
                    points.error(f"'{key}' is already given", at=entry.name)
                special[key] = micro
                last = all(later.key.casefold() == "unknown" for later in entries[index + 1 :])
                if key == "otherwise" and not last:
                    points.error("'otherwise' must be last: no line after it can be reached", at=entry.name)
            else:
                test = self._table_test(entry.name.under(points.path), field)
                lines.append(TableLine(test=test, micro=micro, label=entry.key))
        return Table(
            field=field.name,
            lines=tuple(lines),
            unknown=special.get("unknown", 0),
            otherwise=special.get("otherwise", 0),
        )

    def _table_field(self, text: str) -> Field | None:
        return self.names.fact(text)

    def _table_test(self, key: Node, field: Field) -> Condition:
        text = key.value.strip()
        if text.startswith("below "):
            key.error("tables use lower bounds only: write 'from'")
        elif field.type is FactType.NUMBER and re.match(r"[-+]?[0-9]", text):
            key.error(f"'{text}': tables of numbers use lower bounds only: write 'from {text}'")
        else:
            return parse_phrase(key, field, self.names)
        return All()

    def _fit_rule(self, node: Node) -> FitRule:
        found = node.fields("name", "when", "points", "reason", required=("when", "points"))
        test = parse_condition(found["when"], self.names) if "when" in found else All()
        said = _said_condition(found["when"]) if "when" in found else ""
        name, reason = self._rule_name(node, found, said)
        return FitRule(
            name=name, reason=reason, test=test, micro=found["points"].read(_points, 0) if "points" in found else 0
        )

    def _rule_name(self, node: Node, found: Mapping[str, Node], said: str) -> tuple[str, str]:
        """The name and the reason of a rule. Names are unique; one made from the condition is numbered if need be."""
        if "name" in found:
            name = found["name"].text()
            if name in self.rule_names:
                found["name"].error(f"the name '{name}' is already used on line {self.rule_names[name]}")
        else:
            name, n = said, 1
            while name in self.rule_names:
                n += 1
                name = f"{said} ({n})"
        self.rule_names.setdefault(name, node.line)
        return name, found["reason"].text() if "reason" in found else (name if "name" in found else said)

    def _engagement(self, node: Node) -> Dimension:
        return self._dimension(node, self._event_group, ("ignore",), "not_before")

    def _event_group(self, entry: Entry, found: Mapping[str, Node]) -> Group:
        for key in ("field", "points"):
            if key in found:
                found[key].error("tables are for fit: engagement groups have rules")
        if "rules" not in found:
            entry.node.under(f"{entry.node.path}.rules").error("this key is missing")
            return Group(name=entry.key, items=())
        newest = found["cap"].read(_newest, False) if "cap" in found else False
        passed_on = _Fading(
            fade=found["fade"].read(parse_fade, Fade()) if "fade" in found else Fade(),
            newest_first=newest,
            capped="max" in found,
        )
        nodes = _rules(found["rules"])
        if newest and "max" not in found and not any("max" in (e.key for e in n.entries) for n in nodes):
            found["cap"].error("'cap: newest' needs a max")
        return Group(name=entry.key, items=tuple(self._event_rule(n, passed_on) for n in nodes), newest_first=newest)

    def _event_rule(self, node: Node, group: _Fading) -> EventRule | AbsentRule:
        found = node.fields(
            *("name", "event", "where", "when", "within", "points", "count", "only_if", "max_per_day"),
            *("max", "min", "fade", "cap", "absent_for", "reason"),
            required=("event", "points"),
        )
        match = parse_match(found["event"], found.get("where"), self.names) if "event" in found else EventMatch(())
        when = parse_condition(found["when"], self.names) if "when" in found else All()
        name, reason = self._rule_name(node, found, _said_event(found))
        micro = found["points"].read(_points, 0) if "points" in found else 0
        if "absent_for" in found:
            return self._absent_rule(found, name, reason, match, micro, when)
        top, low = _limits(found)
        newest = found["cap"].read(_newest, False) if "cap" in found else group.newest_first
        if "cap" in found and "max" not in found and not group.capped:
            found["cap"].error("'cap: newest' needs a max")
        per_day = found["max_per_day"].read(_positive, 0) if "max_per_day" in found else None
        if "max_per_day" in found and (newest or micro < 0):
            reason_why = "with 'cap: newest'" if newest else "with negative points"
            found["max_per_day"].error(f"max_per_day cannot be used {reason_why}")
        count = partial(parse_count, kinds=kinds_of(match))
        return EventRule(
            name=name,
            reason=reason,
            match=match,
            micro=micro,
            when=when,
            window=found["within"].days() if "within" in found else None,
            count=found["count"].read(count, Count()) if "count" in found else Count(),
            fade=found["fade"].read(parse_fade, Fade()) if "fade" in found else group.fade,
            only_if=found["only_if"].read(_only_if, None) if "only_if" in found else None,
            max_per_day=per_day,
            max=top,
            min=low,
            newest_first=newest,
        )

    def _absent_rule(
        self, found: Mapping[str, Node], name: str, reason: str, match: EventMatch, micro: int, when: Condition
    ) -> AbsentRule:
        for key in ("within", "only_if", "max_per_day", "fade", "cap"):
            if key in found:
                found[key].error(f"'{key}' cannot be used with absent_for")
        if "points" in found and micro >= 0:
            found["points"].error("points for absence must be negative")
        top, low = _limits(found)
        return AbsentRule(
            name=name,
            reason=reason,
            match=match,
            span=found["absent_for"].days(),
            micro=micro,
            when=when,
            every="count" in found and found["count"].choice(("once", "every")) == "every",
            max=top,
            min=low,
        )

    # -- grade, gate, models

    def _sections(self, found: Mapping[str, Node], become_when: Node | None, root: Node) -> Model:
        self.rule_names = {}
        fit = self._fit(found["fit"]) if "fit" in found else Dimension()
        engagement = self._engagement(found["engagement"]) if "engagement" in found else Dimension()
        grade = self._grade(found["grade"]) if "grade" in found else Grade()
        if "grade" in found:
            _check_floors(found["grade"], grade, fit, engagement, at=None)
        return Model(
            name="default",
            when=None,
            fit=fit,
            engagement=engagement,
            grade=grade,
            become_when=self._become_when(become_when, grade, at=None) if become_when is not None else (),
        )

    def _model(self, entry: Entry, top: Mapping[str, Node], mql: Mapping[str, Node], default: Model) -> Model:
        self.rule_names = {}
        found = entry.node.fields(
            *("when", "fit", "engagement", "grade", "become_when"), required=("when",), what="model section"
        )
        if entry.key == "default":
            entry.name.error("'default' names the sections at the top level")
        fit = self._fit(found["fit"]) if "fit" in found else default.fit
        engagement = self._engagement(found["engagement"]) if "engagement" in found else default.engagement
        grade = self._grade(found["grade"]) if "grade" in found else default.grade
        grade_node = found.get("grade") or top.get("grade")
        if grade_node is not None:
            _check_floors(grade_node, grade, fit, engagement, at=None if "grade" in found else entry.name)
        gate = default.become_when
        if "become_when" in found:
            gate = self._become_when(found["become_when"], grade, at=None)
        elif "grade" in found and "become_when" in mql:
            gate = self._become_when(mql["become_when"], grade, at=entry.name)
        return Model(
            name=entry.key,
            when=parse_condition(found["when"], self.names) if "when" in found else None,
            fit=fit,
            engagement=engagement,
            grade=grade,
            become_when=gate,
        )

    def _grade(self, node: Node) -> Grade:
        found = node.fields("fit", "engagement", "total")
        total = found["total"].fields("weights", "max", "bands") if "total" in found else {}
        weights = (10_000, 10_000)
        if "weights" in total:
            given = total["weights"].fields("fit", "engagement", required=("fit", "engagement"))
            if len(given) == 2:
                weights = (given["fit"].percent(), given["engagement"].percent())
        return Grade(
            fit=_bands(found["fit"], r"[A-Za-z]", "one letter") if "fit" in found else None,
            engagement=_bands(found["engagement"], r"[0-9]", "one digit") if "engagement" in found else None,
            total_weights=weights,
            total_max=_optional(total.get("max"), _positive),
            total=_bands(total["bands"], r"\S.*", "a word") if "bands" in total else None,
        )

    def _hand_raise(self, node: Node) -> EventMatch:
        matches: list[EventMatch] = []
        for item in node.each():
            found = item.fields("event", "where", required=("event",))
            if "event" in found:
                matches.append(parse_match(found["event"], found.get("where"), self.names))
        if node.kind is Kind.LIST and not node.items:
            node.error("an empty list never matches")
        return together(matches) if matches else EventMatch(())

    def _become_when(self, node: Node, grade: Grade, *, at: Node | None) -> tuple[GateLine, ...]:
        entries = node.pairs()
        if node.kind is Kind.MAPPING and not entries:
            node.error("there are no lines: nobody could become an MQL")
        if len(entries) > MAX_GATE_LINES:
            node.error(f"at most {MAX_GATE_LINES} lines")
        names = self.names.within("mql")
        gate = _Gate(grade, names, at)
        return tuple(GateLine(name=e.key, test=parse_condition(e.node, names, gate.keys())) for e in entries)

    # -- routing

    def _routing(self, node: Node) -> tuple[Route, ...]:
        routes: list[Route] = []
        lines: dict[str, int] = {}
        for item in node.each():
            route = self._route(item)
            first = lines.setdefault(route.name, item.line)
            if first != item.line or route.name in {r.name for r in routes}:
                item.error(f"the name '{route.name}' is already used on line {first}")
            routes.append(route)
        if node.kind is Kind.LIST and (
            not routes or routes[-1].when is not None or routes[-1].to.kind not in (TargetKind.POOL, TargetKind.QUEUE)
        ):
            (node.items[-1] if node.items else node).error(
                "the last rule must have no 'when' and lead to a queue, or to a pool (whose nobody_free is a queue)"
            )
        return tuple(routes)

    def _route(self, node: Node) -> Route:
        found = node.fields("name", "when", "to", "if_away", required=("to",))
        to = found["to"].read(self._target, None) if "to" in found else None
        target = to or Target(kind=TargetKind.QUEUE)
        if_away: str | Target = "next rule"
        if "if_away" in found:
            if target.kind in (TargetKind.POOL, TargetKind.QUEUE) and to is not None:
                found["if_away"].error("if_away is for reps and owners; a pool has nobody_free")
            if_away = found["if_away"].read(self._if_away, if_away)
        said = found["to"].value.strip() if "to" in found else ""
        return Route(
            name=found["name"].text() if "name" in found else said,
            when=parse_condition(found["when"], self.names.within("routing")) if "when" in found else None,
            to=target,
            if_away=if_away,
        )

    def _target(self, text: str) -> Target | None:
        text = " ".join(text.split())
        if text in (TargetKind.PERSON_OWNER, TargetKind.LAST_OWNER, TargetKind.COMPANY_OWNER):
            return Target(kind=TargetKind(text))
        kind, _, name = text.partition(" ")
        match kind:
            case "rep":
                return Target(kind=TargetKind.REP, name=known_name(name.casefold(), self.team.reps, "rep"))
            case "pool":
                return Target(kind=TargetKind.POOL, name=known_name(name, self.team.pools, "pool"))
            case "queue":
                return Target(kind=TargetKind.QUEUE, name=known_name(name, self.team.queues, "queue"))
            case _:
                near = did_you_mean(text, TargetKind) or did_you_mean(kind, TargetKind)
                raise Unreadable(f"unknown target '{text}'{near or ': an owner, rep, pool or queue is wanted here'}")

    def _if_away(self, text: str) -> str | Target:
        text = " ".join(text.split())
        if text == "next rule":
            return text
        if text == "their backup" or text.startswith("wait "):
            what = "their backup" if text == "their backup" else "wait"
            raise Unreadable(f"'{what}' is not supported by this version yet")
        kind = text.partition(" ")[0]
        if kind not in (TargetKind.POOL, TargetKind.QUEUE):
            options = ("next rule", "their backup")
            raise Unreadable(f"'{text}'{did_you_mean(text, options) or ': next rule, a pool or a queue is wanted'}")
        target = self._target(text)
        assert target is not None
        return target


@dataclass(frozen=True, slots=True)
class _Gate:
    """Reads the keys of a gate line that are no facts. ``at``: where to report, for a gate used by another model."""

    grade: Grade
    names: Names
    at: Node | None

    def keys(self) -> Mapping[str, Callable[[Node, Node], Condition | None]]:
        return {
            "grade": self._cells,
            "fit": partial(self._score, score=Score.FIT),
            "engagement": partial(self._score, score=Score.ENGAGEMENT),
            "total": partial(self._score, score=Score.TOTAL),
            "event": self._event,
            "where": self._of_event,
            "within": self._of_event,
            "count": self._of_event,
        }

    def _error(self, node: Node, message: str) -> None:
        if self.at is None:
            node.error(message)
        else:
            self.at.error(f"{message} (line {node.line})")

    def _cells(self, _: Node, node: Node) -> Condition | None:
        if self.grade.fit is None or self.grade.engagement is None:
            self._error(node, "there is no grade: give grade.fit and grade.engagement")
            return None
        cells = [f"{f}{e}" for f in self.grade.fit.labels for e in self.grade.engagement.labels]
        return LabelIn(Score.GRADE, self._labels(node, cells, "grade"))

    def _labels(self, node: Node, known: Sequence[str], what: str) -> tuple[str, ...]:
        listed = node.items if node.kind is Kind.LIST else (node,)
        if not listed:
            node.error("an empty list never matches")
        labels: list[str] = []
        for item in listed:
            label = item.text()
            if label and label not in known:
                near = did_you_mean(label, known) or f": it is one of {', '.join(known)}"
                self._error(item, f"unknown {what} '{label}'{near}")
            labels.append(label)
        return tuple(dict.fromkeys(labels))

    def _score(self, _: Node, node: Node, *, score: Score) -> Condition | None:
        if node.kind is Kind.TEXT:
            text = " ".join(node.value.split())
            for word, made in (("from", ScoreAtLeast), ("below", ScoreBelow)):
                if text.startswith(f"{word} "):
                    return made(score, node.read(lambda t: _whole_points(t.split(None, 1)[1]), 0))
        bands = {Score.FIT: self.grade.fit, Score.ENGAGEMENT: self.grade.engagement, Score.TOTAL: self.grade.total}
        labels = bands[score]
        if labels is None:
            where = "grade.total.bands" if score is Score.TOTAL else f"grade.{score}"
            self._error(node, f"{score} has no labels: give {where}, or write 'from ...'")
            return None
        return LabelIn(score, self._labels(node, labels.labels, f"{score} label"))

    def _event(self, line: Node, node: Node) -> Condition | None:
        match = parse_match(node, line.get("where"), self.names)
        within, count = line.get("within"), line.get("count")
        if within is not None and count is not None:
            count.error("either 'within' or 'count: at least N in DAYS', not both")
        if count is not None:
            n, window = count.read(_gate_count, (1, Span(1)))
            return EventExists(match, window, n)
        return EventExists(match, within.days() if within is not None else None)

    def _of_event(self, line: Node, node: Node) -> Condition | None:
        if line.get("event") is None:
            node.error("this belongs to an event: name it with 'event'")
        return None


def _gate_count(text: str) -> tuple[int, Span]:
    text = " ".join(text.split())
    if not text.startswith("at least "):
        raise Unreadable(f"'{text}': here a count is 'at least N in DAYS'")
    return parse_limit(text.removeprefix("at least "))


def _only_if(text: str) -> Count | None:
    n, window = _gate_count(text)
    return Count(CountMode.AT_LEAST, n=n, window=window)


def _rules(node: Node) -> tuple[Node, ...]:
    rules = node.each()
    if node.kind is Kind.LIST and not rules:
        node.error("there are no rules")
    return rules


def _limits(found: Mapping[str, Node]) -> tuple[int | None, int | None]:
    top, low = _optional(found.get("max"), _points), _optional(found.get("min"), _points)
    if top is not None and top <= 0:
        found["max"].error("max must be above 0")
    elif top is not None and low is not None and low > top:
        found["min"].error("min is above max")
    return top, low


def _check_weights(node: Node, groups: Sequence[Group]) -> None:
    weighted = [g for g in groups if g.weight is not None]
    if not weighted:
        return
    for group in groups:
        if group.weight is None:
            node.error(f"'{group.name}' has no weight: all groups have one, or none has")
    total = sum(g.weight or 0 for g in weighted)
    if len(weighted) == len(groups) and total != 10_000:
        node.error(f"the weights add up to {(Decimal(total) / 100).normalize():f}%, not to 100%")


def _bands(node: Node, pattern: str, what: str) -> Bands:
    labels: list[str] = []
    bounds: list[int | None] = []
    entries = node.pairs()
    if node.kind is Kind.MAPPING and not entries:
        node.error("there are no labels")
    previous: int | None = None
    for index, entry in enumerate(entries):
        if not re.fullmatch(pattern, entry.key):
            node.error(f"'{entry.key}': a label is {what}", at=entry.name)
        last = index == len(entries) - 1
        bound = entry.node.read(partial(_bound, last=last), None)
        if bound is not None and previous is not None and bound >= previous:
            entry.node.error(f"{bound} is not below {previous}: bounds fall strictly")
        previous = bound if bound is not None else previous
        labels.append(entry.key)
        bounds.append(bound)
    return Bands(labels=tuple(labels), bounds=tuple(bounds))


def _bound(text: str, *, last: bool) -> int | None:
    if text == "otherwise":
        if not last:
            raise Unreadable("'otherwise' must be last")
        return None
    return _whole_points(text)


def _check_floors(node: Node, grade: Grade, fit: Dimension, engagement: Dimension, *, at: Node | None) -> None:
    """The last label must take whatever is left down to the floor."""
    floors = (fit.floor, engagement.floor)
    total = (
        None
        if any(f is None and w for f, w in zip(floors, grade.total_weights, strict=True))
        else sum((f or 0) * w // 10_000 for f, w in zip(floors, grade.total_weights, strict=True))
    )
    checks = (
        (grade.fit, fit.floor, ("fit",)),
        (grade.engagement, engagement.floor, ("engagement",)),
        (grade.total, total, ("total", "bands")),
    )
    for bands, floor, keys in checks:
        if bands is None or not bands.bounds or bands.bounds[-1] is None:
            continue
        below = floor is None or bands.bounds[-1] * 1_000_000 > floor
        place = node.find(*keys)
        if below and place is not None:
            least = "there is no floor" if floor is None else f"the floor is {Decimal(floor) / 1_000_000:f}"
            (at or place).error(
                f"nobody below {bands.bounds[-1]} has a label, and {least}: end with '{bands.labels[-1]}: otherwise'"
            )


# -- texts made from conditions ----------------------------------------------------------------------------------


def _said_value(node: Node) -> str:
    if node.kind is Kind.LIST:
        return " or ".join(_said_value(item) for item in node.items)
    return " ".join(node.value.split())


def _said_condition(node: Node) -> str:
    """``company employees from 200, country in emea``: a condition in its author's words."""
    if node.kind is Kind.LIST:
        return " or ".join(_said_condition(item) for item in node.items)
    said = []
    for entry in node.entries:
        scope, _, rest = entry.key.partition(".")
        name = rest.rpartition(".")[2] or scope
        said.append(f"{'company ' if scope == 'company' else ''}{name.replace('_', ' ')} {_said_value(entry.node)}")
    return ", ".join(said)


def _said_event(found: Mapping[str, Node]) -> str:
    said = _said_value(found["event"]).replace("_", " ") if "event" in found else ""
    if "where" in found:
        said += f" ({_said_condition(found['where'])})"
    if "when" in found:
        said += f", {_said_condition(found['when'])}"
    if "absent_for" in found:
        said = f"no {said.replace('any', 'activity', 1)} for {_said_value(found['absent_for'])}"
    return said
