"""fields.yaml as types: which CRM property is which fact, which CRM activity is which event, whom to believe.

Without the file the mapping of the template that `init` writes is used.
"""

from __future__ import annotations

import collections.abc
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from connectors.fields import (
    Convert,
    CountRule,
    CrmMap,
    EngagementColumns,
    EventRule,
    EventSource,
    FactField,
    FieldMap,
    FileColumns,
    ObjectMap,
)
from connectors.records import Crm
from scoring.document import Entry, Kind, Node, PolicyInvalid, Problem, Source, Unreadable, did_you_mean, read_document
from scoring.facts import EVENT_KINDS, FACTS, SENIORITIES, Fact, FactType, custom_fact
from scoring.load_team import check_version
from scoring.phrases import lacks
from scoring.tables import fold
from scoring.version import content_hash
from sync.init import templates
from sync.resolve import PEOPLE_OBJECTS

__all__ = ["Mapping", "ReviewAnswer", "SalesState", "SeniorityTable", "load_mapping", "read_mapping"]

SeniorityTable = tuple[tuple[str, tuple[str, ...]], ...]
"""Lines of (seniority, phrases) in the order they are tested; empty for the built-in table."""

_OBJECTS = {
    Crm.HUBSPOT: ("contact", "company"),
    Crm.SALESFORCE: ("lead", "contact", "account"),
    Crm.FILE: ("person",),
}
_COMPANIES = ("company", "account")
_SOURCES = {
    Crm.HUBSPOT: (
        EventSource.FORM,
        EventSource.EMAIL,
        EventSource.COUNTER,
        EventSource.MEETING,
        EventSource.CALL,
        EventSource.MAIL,
        EventSource.TASK,
        EventSource.MARKETING_EVENT,
        EventSource.OCCURRENCE,
    ),
    Crm.SALESFORCE: (EventSource.CAMPAIGN, EventSource.TASK, EventSource.MEETING, EventSource.MAIL),
    Crm.FILE: (EventSource.ROW,),
}
_SOURCE_KEYS = {
    EventSource.CAMPAIGN: ("status",),
    EventSource.MARKETING_EVENT: ("status",),
    EventSource.COUNTER: ("date", "first_read"),
}
_SAME_ACTIVITY = (
    {EventSource.EMAIL, EventSource.MAIL},
    {EventSource.TASK, EventSource.CALL},
    {EventSource.TASK, EventSource.MAIL},
    {EventSource.TASK, EventSource.MEETING},
    {EventSource.FORM, EventSource.OCCURRENCE},
    {EventSource.CAMPAIGN, EventSource.MARKETING_EVENT},
)
"""Sources that can both show one activity: Salesforce, say, makes a task of a mail; a sync copies from CRM to CRM."""

_COPIED = (EventSource.MEETING, EventSource.MAIL, EventSource.TASK)
"""Sources that both CRMs have, and that a sync between them copies."""
_PREFER = (
    "salesforce unless blank",
    "hubspot unless blank",
    "newest",
    "either true",
    "most restrictive",
)
_SALES_STATES = ("accepted", "working", "rejected", "sql", "won", "lost")
_TYPES = ("text", "number", "boolean", "date", "list")
_CONVERTS = tuple(str(c) for c in Convert if c is not Convert.PLAIN)
_CONVERTED = {
    Convert.COUNTRY: (FactType.COUNTRY,),
    Convert.LANGUAGE: (FactType.TEXT,),
    Convert.DOMAIN: (FactType.DOMAIN,),
    Convert.OWNER: (FactType.OWNER,),
    Convert.IS_SET: (FactType.BOOLEAN,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesState:
    """Where one CRM says how far sales is with a person.

    property     its values, as the CRM has them, mean ``accepted``, ``working``, ``rejected``, ``sql``, ``won`` or
                 ``lost``
    sql_when     property -> the values of which any means that sales has taken the person on
    won_when     the same, for a customer
    reason       the property with the reason of a rejection
    opportunity  what an opportunity in which the person has a role means: by its stage, or ``open``, ``won``, ``lost``
    """

    property: str
    values: collections.abc.Mapping[str, str]
    sql_when: collections.abc.Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    won_when: collections.abc.Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reason: str | None = None
    opportunity: collections.abc.Mapping[str, str] = field(default_factory=dict)

    def properties(self) -> tuple[str, ...]:
        """Every property that has to be read for it."""
        return (self.property, *self.won_when, *self.sql_when, *((self.reason,) if self.reason is not None else ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewAnswer:
    """The property by which a marketer answers a review in the CRM, and the values that mean yes and no."""

    property: str
    approve: tuple[str, ...]
    reject: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """What fields.yaml says.

    map           each CRM's part; a CRM the file does not mention has no objects, files then have no part
    prefer        fact, or ``default`` -> the rule by which one of several values is chosen
    seniority     the file's own table, empty when it has none
    custom        the facts beyond the built-in ones
    sales_states  by CRM, where it says how far sales is
    reviews       by CRM, where a review is answered
    hash          content hash; part of the policy's version
    """

    map: FieldMap
    prefer: collections.abc.Mapping[str, str] = field(default_factory=dict)
    seniority: SeniorityTable = ()
    custom: collections.abc.Mapping[str, Fact] = field(default_factory=dict)
    sales_states: collections.abc.Mapping[Crm, SalesState] = field(default_factory=dict)
    reviews: collections.abc.Mapping[Crm, ReviewAnswer] = field(default_factory=dict)
    hash: str = ""

    def reading(self, crm: Crm) -> str:
        """Names what is read from one CRM, and how: when it moves, that CRM's records are read again."""
        read = (self.map.crms[crm], self.sales_states.get(crm), self.reviews.get(crm))
        return hashlib.sha256(repr(read).encode()).hexdigest()[:16]

    def answers(self) -> dict[tuple[Crm, str], str]:
        """(CRM, object) -> the property by which a review is answered there."""
        return {(crm, name): of.property for crm, of in self.reviews.items() for name in PEOPLE_OBJECTS[crm]}

    def facts_by_property(self) -> dict[tuple[str, str], dict[str, str]]:
        """(CRM, object) -> property -> the first fact it is read as."""
        read: dict[tuple[str, str], dict[str, str]] = {}
        for crm, one in self.map.crms.items():
            for name, object in one.objects.items():
                for fact in object.facts:
                    if fact.property is not None:
                        read.setdefault((crm, name), {}).setdefault(fact.property, fact.fact)
        return read

    def arrivals(self) -> dict[str, set[str]]:
        """Kind of event -> the sources that events of the kind are made of."""
        made: dict[str, set[str]] = {}
        for one in self.map.crms.values():
            for rule in one.events:
                made.setdefault(rule.kind, set()).add(rule.source)
        return made


def load_mapping(source: Source | None) -> tuple[Mapping, list[Problem]]:
    """The mapping and the warnings about it; ``source`` None is the built-in one.

    Raises
    ------
    PolicyInvalid: every error of the file
    """
    mapping, problems = read_mapping(source)
    if any(not p.warning for p in problems):
        raise PolicyInvalid(p for p in problems if not p.warning)
    return mapping, problems


def read_mapping(source: Source | None) -> tuple[Mapping, list[Problem]]:
    """As `load_mapping`, but with errors among the problems. If there are any, only ``custom`` is to be relied on.

    It then lacks every custom fact of whose line something is wrong.
    """
    if source is None:
        source = Source("fields.yaml", (templates() / "fields.yaml").read_bytes())
    root = read_document(source.content, source.name)
    mapping = _Reader().mapping(root)
    root.report_empty()
    return mapping, root.problems


@dataclass(slots=True)
class _Reader:
    """Reads one file. ``custom`` grows with every custom fact that is mapped, ``doubtful`` with wrong lines,
    ``lines`` with every event line."""

    custom: dict[str, Fact] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    lines: list[tuple[Crm, EventRule]] = field(default_factory=list)

    def mapping(self, root: Node) -> Mapping:
        found = root.fields("version", *Crm, "prefer", "seniority", required=("version",))
        check_version(root)
        states = {crm: _sales_state(node, crm) for crm in Crm if (node := root.find(crm, "sales_state")) is not None}
        reviews = {crm: _review(node) for crm in Crm if (node := root.find(crm, "review")) is not None}
        mapped = [crm for crm in Crm if crm.writable or crm in found]
        crms = {crm: _hearing(self._crm(found.get(crm), crm), states.get(crm), reviews.get(crm)) for crm in mapped}
        if root.kind is Kind.MAPPING and not any(crm in found for crm in Crm):
            root.error("neither hubspot nor salesforce nor file is mapped: nothing would be read")
        prefer = self._prefer(found["prefer"]) if "prefer" in found else {}
        seniority = _seniority(found["seniority"]) if "seniority" in found else ()
        custom = {name: fact for name, fact in sorted(self.custom.items()) if name not in self.doubtful}
        return Mapping(
            map=FieldMap(crms=crms),
            prefer=prefer,
            seniority=seniority,
            custom=custom,
            sales_states=states,
            reviews=reviews,
            hash=content_hash(crms, prefer, seniority, custom, states, reviews),
        )

    def _crm(self, node: Node | None, crm: Crm) -> CrmMap:
        if node is None:
            return CrmMap(crm=crm, objects={name: ObjectMap(object=name, facts=()) for name in _OBJECTS[crm]})
        if crm is Crm.FILE:
            return self._file(node)
        found = node.fields(*_OBJECTS[crm], "events", "sales_state", "review", what="object")
        objects = {name: self._object(found.get(name), name, crm) for name in _OBJECTS[crm]}
        events = self._events(found["events"], crm) if "events" in found else ()
        return CrmMap(crm=crm, objects=objects, events=events)

    def _file(self, node: Node) -> CrmMap:
        (name,) = _OBJECTS[Crm.FILE]
        found = node.fields(name, "engagement", "events")
        person = found.get(name)
        id = person.get("id") if person is not None else None
        if person is not None and person.kind is Kind.MAPPING and id is None:
            person.error("'id' is missing: the column that names a row for ever, or a text such as '{List}-{Number}'")
        if "engagement" in found and "events" not in found:
            node.error("'events' is missing: the lines that say which row of 'engagement' is which event")
        return CrmMap(
            crm=Crm.FILE,
            objects={name: self._object(person.without("id") if person is not None else None, name, Crm.FILE)},
            events=self._events(found["events"], Crm.FILE) if "events" in found else (),
            file=FileColumns(
                id=id.read(_column, "") if id is not None else "",
                engagement=_engagement(found["engagement"]) if "engagement" in found else None,
            ),
        )

    def _object(self, node: Node | None, name: str, crm: Crm) -> ObjectMap:
        facts: list[FactField] = []
        for entry in node.pairs() if node is not None else ():
            told = len(entry.node.problems)
            made = self._fact(entry, name, crm)
            if made is not None:
                facts.append(made)
            if len(entry.node.problems) > told:
                self.doubtful.add(entry.key)
        return ObjectMap(object=name, facts=tuple(facts))

    def _fact(self, entry: Entry, object: str, crm: Crm) -> FactField | None:
        try:
            known = _known_fact(entry.key, object)
        except Unreadable as why:
            entry.name.error(str(why))
            return None
        if entry.node.kind is Kind.TEXT:
            made = FactField(fact=entry.key, property=entry.node.read(_NAMES.get(crm, _property), ""))
            self._typed(entry, known, made)
            return made
        if entry.node.kind is Kind.MAPPING and entry.node.get("count") is not None:
            return self._count(entry, known, object, crm)
        if crm is Crm.FILE and entry.node.kind is Kind.MAPPING and entry.node.get("fixed") is not None:
            return self._fixed(entry, known)
        found = entry.node.fields("property", "as", "values", "true_when", "type", required=("property",))
        ways = [key for key in ("as", "values", "true_when") if key in found]
        if len(ways) > 1:
            found[ways[1]].error(f"either '{ways[0]}' or '{ways[1]}', not both")
        made = FactField(
            fact=entry.key,
            property=found["property"].read(_NAMES.get(crm, _property), "") if "property" in found else "",
            convert=Convert(found["as"].choice(_CONVERTS)) if "as" in found else Convert.PLAIN,
            values=_values(found["values"], known) if "values" in found else {},
            true_when=_texts(found["true_when"]) if "true_when" in found else (),
            type=found["type"].choice(_TYPES, "type") if "type" in found else None,
        )
        self._typed(entry, known, made)
        return made

    def _fixed(self, entry: Entry, known: Fact | None) -> FactField:
        found = entry.node.fields("fixed", "as", "type", required=("fixed",))
        made = FactField(
            fact=entry.key,
            fixed=found["fixed"].text(),
            convert=Convert(found["as"].choice(_CONVERTS)) if "as" in found else Convert.PLAIN,
            type=found["type"].choice(_TYPES, "type") if "type" in found else None,
        )
        self._typed(entry, known, made)
        return made

    def _count(self, entry: Entry, known: Fact | None, object: str, crm: Crm) -> FactField:
        found = entry.node.fields("count", "where", required=("count",))
        if crm is not Crm.SALESFORCE or object not in _COMPANIES:
            entry.node.error("related records are counted for Salesforce accounts only", at=entry.name)
        where = {e.key: e.node.text() for e in found["where"].pairs()} if "where" in found else {}
        for pair in found["where"].entries if "where" in found else ():
            pair.name.read(_property, "")
        made = FactField(
            fact=entry.key, count=CountRule(object=found["count"].read(_property, ""), where=where), type="number"
        )
        self._typed(entry, known, made)
        return made

    def _typed(self, entry: Entry, known: Fact | None, made: FactField) -> None:
        """The declared reading must give what the fact holds; a custom fact takes its type from the reading."""
        if known is None:
            fact = custom_fact(entry.key, _custom_type(made))
            first = self.custom.setdefault(entry.key, fact)
            if first.type is not fact.type:
                entry.name.error(f"this is {fact.type} here and {first.type} elsewhere: give both the same type")
            return
        if made.type is not None and made.count is None:
            entry.node.error(f"'type' is for custom facts: {known.name} is {known.type}", at=entry.node.get("type"))
        if made.convert is not Convert.PLAIN and known.type not in _CONVERTED[made.convert]:
            entry.node.error(f"'as: {made.convert}' does not make {known.type}", at=entry.node.get("as"))
        if made.true_when and known.type is not FactType.BOOLEAN:
            entry.node.error(f"'true_when' does not make {known.type}", at=entry.node.get("true_when"))
        if made.count is not None and known.type is not FactType.NUMBER:
            entry.node.error(f"a count does not make {known.type}", at=entry.node.get("count"))
        if known.type is FactType.OWNER and made.convert is not Convert.OWNER:
            entry.node.error(f"an owner is read with {{property: {made.property}, as: owner}}")

    def _events(self, node: Node, crm: Crm) -> tuple[EventRule, ...]:
        rules: list[EventRule] = []
        for item in node.each():
            rule = _event(item, crm)
            if rule is None:
                continue
            taken = next((r for r in rules if r.source is rule.source and _takes(r, rule)), None)
            if taken is not None:
                said = f"W01: this line can never be reached: '{taken.key or 'otherwise'}' above it takes all of it"
                item.warn(said, code="W01")
            twice = next(((c, r) for c, r in self.lines if _sees_the_same(r, rule, one_crm=c is crm)), None)
            if twice is not None:
                where = "" if twice[0] is crm else f"{twice[0]}'s "
                told = f"W06: {rule.kind} is made of {where}'{twice[1].source}: {twice[1].key or 'otherwise'}' as well"
                item.warn(f"{told}, so that one activity counts twice: keep one of the two lines", code="W06")
            rules.append(rule)
            self.lines.append((crm, rule))
        return tuple(rules)

    def _prefer(self, node: Node) -> dict[str, str]:
        names = {*FACTS, *self.custom}
        prefer: dict[str, str] = {}
        for entry in node.pairs():
            if entry.key != "default" and entry.key not in names:
                near = did_you_mean(entry.key, ("default", *sorted(names)))
                node.error(f"unknown field '{entry.key}'{near}", at=entry.name)
            prefer[entry.key] = entry.node.choice(_PREFER, "rule")
        return prefer


def _known_fact(key: str, object: str) -> Fact | None:
    """The built-in fact, None for a custom one; `Unreadable` when the object cannot have it."""
    custom = re.fullmatch(r"(person|company)\.custom\.[a-z][a-z0-9_]*", key)
    if object in _COMPANIES and not key.startswith("company.") and (custom or key in FACTS):
        raise Unreadable(f"'{key}' is no fact of a company")
    if custom:
        return None
    if key.startswith(("person.custom.", "company.custom.")):
        raise Unreadable(f"'{key}': a custom name is lower-case words joined by _")
    fact = FACTS.get(key)
    if fact is None:
        raise Unreadable(f"unknown field '{key}'{did_you_mean(key, [f.name for f in FACTS.values() if not f.derived])}")
    if fact.derived:
        raise Unreadable(f"'{key}' is derived from other facts and cannot be mapped")
    return fact


def _custom_type(made: FactField) -> FactType:
    if made.true_when or made.convert is Convert.IS_SET:
        return FactType.BOOLEAN
    if made.convert is not Convert.PLAIN:
        return _CONVERTED[made.convert][0]
    return FactType(made.type or "text")


def _property(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", text):
        raise Unreadable(f"'{text}' is not the name of a property")
    return text


def _column(text: str) -> str:
    """A file's column, or a text with ``{Column}`` in it."""
    inside = re.sub(r"\{[^{}]+\}", "", text)
    if not text.strip() or "{" in inside or "}" in inside:
        raise Unreadable(f"'{text}' is neither a column nor a text with {{Column}} in it")
    return text


_NAMES: collections.abc.Mapping[Crm, Callable[[str], str]] = {Crm.FILE: _column}
"""How a property is named, where that is not as in a CRM."""


def _engagement(node: Node) -> EngagementColumns | None:
    found = node.fields("kind", "at", "person", "email", "id", "count", required=("kind", "at"))
    columns = {key: value.read(_column, "") for key, value in found.items()}
    if not {"person", "email"} & columns.keys():
        node.error("whose a row is, is missing: 'person', the column with the id of a person, or 'email'")
    return EngagementColumns(**columns) if {"kind", "at"} <= columns.keys() else None


def _texts(node: Node) -> tuple[str, ...]:
    if node.kind is Kind.LIST and not node.items:
        node.error("an empty list never matches")
    return tuple(item.text() for item in node.each())


def _values(node: Node, known: Fact | None) -> dict[str, str]:
    """CRM value -> ours. Ours must be a value of the fact where those are closed."""
    closed = (*known.values, *known.extra) if known is not None else ()
    values: dict[str, str] = {}
    for entry in node.pairs():
        ours = entry.node.text()
        if closed and ours and fold(ours) not in closed:
            entry.node.error(f"'{ours}' is not one of {', '.join(closed)}{did_you_mean(fold(ours), closed)}")
        values[entry.key] = ours
    return values


# -- events ------------------------------------------------------------------------------------------------------


def _sees_the_same(above: EventRule, rule: EventRule, *, one_crm: bool) -> bool:
    """One of them is a total of what the other one tells singly, they are the same total, or both show one activity."""
    if above.kind != rule.kind:
        return False
    sources = {above.source, rule.source}
    if EventSource.COUNTER in sources:
        return one_crm and (len(sources) > 1 or above.key == rule.key)
    return sources in _SAME_ACTIVITY or (not one_crm and len(sources) == 1 and rule.source in _COPIED)


def _takes(above: EventRule, rule: EventRule) -> bool:
    if above.source is EventSource.COUNTER:
        return False
    key = above.key is None or (rule.key is not None and fold(above.key) == fold(rule.key))
    return key and (not above.statuses or (bool(rule.statuses) and set(rule.statuses) <= set(above.statuses)))


def _event(node: Node, crm: Crm) -> EventRule | None:
    sources = _SOURCES[crm]
    keys = [e for e in node.pairs() if e.key in sources]
    if len(keys) != 1:
        if node.kind is Kind.MAPPING:
            unknown = next((e for e in node.entries if e.key not in ("event", "set", "status", "date")), None)
            near = did_you_mean(unknown.key, sources) if unknown is not None and not keys else ""
            node.error(f"a line begins with one of {', '.join(sources)}{near}")
        return None
    source = EventSource(keys[0].key)
    found = node.fields(source, "event", "set", *_SOURCE_KEYS.get(source, ()), required=("event",))
    kind = found["event"].read(_kind, "") if "event" in found else ""
    key = found[source].text()
    if source is EventSource.COUNTER:
        found[source].read(_property, "")
    if source is EventSource.OCCURRENCE and key == "otherwise":
        found[source].error("'otherwise': these are read type by type, so name the type")
    return EventRule(
        source=source,
        key=None if key == "otherwise" and source is not EventSource.COUNTER else key,
        kind=kind,
        statuses=_texts(found["status"]) if "status" in found else (),
        set=_set(found["set"], kind) if "set" in found else {},
        date=found["date"].read(_property, "") if "date" in found else None,
        count_first="first_read" not in found or found["first_read"].choice(("ignore",)) != "ignore",
    )


def _kind(text: str) -> str:
    if text not in EVENT_KINDS:
        raise Unreadable(f"unknown event '{text}'{did_you_mean(text, EVENT_KINDS)}")
    return text


def _set(node: Node, kind: str) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for entry in node.pairs():
        lacking = lacks(entry.key, (kind,)) if kind else None
        if lacking is not None:
            node.error(lacking, at=entry.name)
        attributes[entry.key] = entry.node.text()
    return attributes


# -- what people at the CRM answer -------------------------------------------------------------------------------


def _hearing(crm: CrmMap, state: SalesState | None, review: ReviewAnswer | None) -> CrmMap:
    """The map, with what has to be read of people to hear sales and marketing."""
    names = (*(state.properties() if state is not None else ()), *((review.property,) if review is not None else ()))
    heard = tuple(dict.fromkeys(name for name in names if name))
    people = {name: replace(crm.objects[name], heard=heard) for name in PEOPLE_OBJECTS[crm.crm]}
    deals = state is not None and bool(state.opportunity)
    return replace(crm, objects={**crm.objects, **people}, deals=deals)


def _sales_state(node: Node, crm: Crm) -> SalesState:
    required = ("property", "values")
    found = node.fields(*required, "sql_when", "won_when", "reason", "opportunity", required=required)
    if "opportunity" in found and crm is not Crm.SALESFORCE:
        found["opportunity"].error("opportunities are read of Salesforce only")
    values, opportunity = (
        {e.key: e.node.choice(_SALES_STATES, "state") for e in found[key].pairs()} if key in found else {}
        for key in ("values", "opportunity")
    )
    sql_when, won_when = (
        {e.name.read(_property, ""): _texts(e.node) for e in found[key].pairs()} if key in found else {}
        for key in ("sql_when", "won_when")
    )
    return SalesState(
        property=found["property"].read(_property, "") if "property" in found else "",
        values=values,
        sql_when=sql_when,
        won_when=won_when,
        reason=found["reason"].read(_property, "") if "reason" in found else None,
        opportunity=opportunity,
    )


def _review(node: Node) -> ReviewAnswer:
    keys = ("property", "approve", "reject")
    found = node.fields(*keys, required=keys)
    approve, reject = (_texts(found[key]) if key in found else () for key in ("approve", "reject"))
    for item in found["reject"].items if "reject" in found else ():
        if fold(item.value) in {fold(value) for value in approve}:
            item.error(f"'{item.value}' is already under 'approve'")
    return ReviewAnswer(
        property=found["property"].read(_property, "") if "property" in found else "", approve=approve, reject=reject
    )


def _seniority(node: Node) -> SeniorityTable:
    lines: list[tuple[str, tuple[str, ...]]] = []
    for entry in node.pairs():
        if entry.key not in SENIORITIES:
            entry.name.error(f"unknown seniority{did_you_mean(entry.key, SENIORITIES)}")
        phrases: Sequence[str] = entry.node.text().split(" or ")
        lines.append((entry.key, tuple(fold(phrase) for phrase in phrases if fold(phrase))))
    return tuple(lines)
