"""The phrase grammar: what stands behind a fact or an attribute becomes a condition node.

A mapping is "and", a list of mappings is "or", a list of values is "any of". Values come out in stored form: texts
folded, numbers as micro-units, countries as codes, ranks spelled out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import groupby

from scoring import countries
from scoring.conditions import (
    AgeBelow,
    AgeFrom,
    All,
    Any,
    AtLeast,
    Below,
    Condition,
    Contains,
    Count,
    CountMode,
    DateBefore,
    DateFrom,
    DomainIn,
    Equals,
    EventExists,
    EventMatch,
    Fade,
    FadeMode,
    HasWords,
    Known,
    LabelIn,
    Missing,
    Not,
    OneOf,
    OwnerState,
    ScoreAtLeast,
    ScoreBelow,
    Span,
    StartsWith,
    Unit,
    Validity,
)
from scoring.document import (
    Entry,
    Kind,
    Node,
    Unreadable,
    did_you_mean,
    parse_boolean,
    parse_date,
    parse_days,
    parse_number,
    parse_percent,
)
from scoring.facts import ANY_KIND_EXCEPT, ATTRIBUTES, EVENT_KINDS, Fact, FactType
from scoring.tables import MICRO, fold, words

__all__ = [
    "Field",
    "Names",
    "all_of",
    "any_of",
    "kinds_of",
    "lacks",
    "negated",
    "one_value",
    "parse_condition",
    "parse_count",
    "parse_fade",
    "parse_least",
    "parse_limit",
    "parse_match",
    "parse_phrase",
    "parse_value",
    "say",
    "say_span",
    "spelled",
    "to_micro",
    "together",
]

_CUSTOM = ("person.custom.", "company.custom.")
PSEUDO_KINDS = ("any", "hand_raise")
NEVER: Condition = Any()
OWNER_STATES = ("active", "available", "working")

_OPERATORS: Mapping[str, frozenset[FactType]] = {
    "is": frozenset({FactType.TEXT, FactType.LIST}),
    "in": frozenset({FactType.TEXT, FactType.LIST, FactType.DOMAIN, FactType.COUNTRY, FactType.NUMBER}),
    "has word": frozenset({FactType.TEXT}),
    "contains": frozenset({FactType.TEXT}),
    "starts with": frozenset({FactType.TEXT}),
    "from": frozenset({FactType.NUMBER, FactType.DATE, FactType.INSTANT, FactType.ORDERED}),
    "below": frozenset({FactType.NUMBER, FactType.ORDERED}),
    "before": frozenset({FactType.DATE, FactType.INSTANT}),
    "within": frozenset({FactType.DATE, FactType.INSTANT}),
    "older than": frozenset({FactType.DATE, FactType.INSTANT}),
}

_WORDS: Mapping[FactType, tuple[str, ...]] = {
    FactType.BOOLEAN: ("true", "false"),
    FactType.EMAIL: ("valid", "invalid"),
    FactType.PHONE: ("valid", "invalid"),
    FactType.OWNER: OWNER_STATES,
}
"""Words that are phrases of one type; for a text they are texts."""


@dataclass(frozen=True, slots=True)
class Field:
    """A fact, or inside an event match an attribute."""

    name: str
    type: FactType
    values: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()

    @classmethod
    def of(cls, fact: Fact) -> Field:
        return cls(fact.name, fact.type, fact.values, fact.extra)

    def takes(self) -> str:
        """The phrases for this field, as an error names them."""
        operators = [name for name, types in _OPERATORS.items() if self.type in types]
        return ", ".join([*operators, *_WORDS.get(self.type, ()), "known", "unknown"])


@dataclass(slots=True)
class Names:
    """What phrases may name in one section of the policy, and which lists they did name.

    section     ``mql`` and ``routing`` know a little more than the others
    used        list -> the facts it was compared with, per section
    hand_raise  what the pseudo kind stands for; None where it may not be used
    all_custom  False: there may be custom facts that are not in ``facts``, as fields.yaml could not be read
    parsed      lists as conditions about a field: what many lines compare with is read once
    """

    facts: Mapping[str, Fact]
    lists: Mapping[str, tuple[Node, ...]] = field(default_factory=dict)
    section: str = ""
    used: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    hand_raise: EventMatch | None = None
    all_custom: bool = True
    parsed: dict[tuple[str, Field], Condition] = field(default_factory=dict)

    def cannot_know(self, key: str) -> bool:
        """A custom fact of which nothing is known, and which nothing can be said against."""
        return not self.all_custom and key not in self.facts and key.startswith(_CUSTOM)

    def within(self, section: str) -> Names:
        return replace(self, section=section)

    def fact(self, key: str) -> Field:
        fact = self.facts.get(key)
        if fact is None:
            near = did_you_mean(key, self.facts)
            for prefix in ("person", "company"):
                if not near and f"{prefix}.{key}" in self.facts:
                    near = f", did you mean '{prefix}.{key}'?"
            if not near and key.startswith(_CUSTOM):
                near = ": fields.yaml does not map it"
            raise Unreadable(f"unknown field '{key}'{near}", code="E02")
        if fact.only_in is not None and fact.only_in != self.section:
            raise Unreadable(f"'{key}' is only known in {fact.only_in}", code="E02")
        return Field.of(fact)

    def listed(self, name: str, field: Field) -> tuple[Node, ...]:
        if name not in self.lists:
            raise Unreadable(f"no list '{name}'{did_you_mean(name, self.lists)}", code="E02")
        self.used.setdefault(name, set()).add((self.section, field.name))
        return self.lists[name]


def to_micro(number: Decimal) -> int:
    """Exact: numbers have at most six decimals."""
    return int(number * MICRO)


def all_of(conditions: Sequence[Condition]) -> Condition:
    return conditions[0] if len(conditions) == 1 else All(tuple(conditions))


def any_of(conditions: Iterable[Condition]) -> Condition:
    """Any of these; neighbouring equalities of one field become one node."""
    merged: list[Condition] = []
    for _, same in groupby(conditions, _equality):
        several = tuple(same)
        match several[0]:
            case OneOf(name, _, listed):
                merged.append(OneOf(name, _values(several), listed))
            case DomainIn(name, _):
                merged.append(DomainIn(name, _values(several)))
            case _:
                merged += several
    return merged[0] if len(merged) == 1 else Any(tuple(merged))


def _values(equalities: Iterable[Condition]) -> tuple[str, ...]:
    found = (one.values for one in equalities if isinstance(one, OneOf | DomainIn))
    return tuple(dict.fromkeys(value for values in found for value in values))


def _equality(condition: Condition) -> tuple[type, str, bool] | None:
    """What equalities that can be one node have in common; None for anything else."""
    match condition:
        case OneOf(name, _, listed):
            return OneOf, name, listed
        case DomainIn(name, _):
            return DomainIn, name, False
        case _:
            return None


# -- conditions --------------------------------------------------------------------------------------------------


def parse_condition(
    node: Node, names: Names, extra: Mapping[str, Callable[[Node, Node], Condition | None]] | None = None
) -> Condition:
    """A condition over facts. ``extra`` reads further keys, given the whole mapping and the key's value."""
    if node.kind is Kind.LIST:
        if not node.items:
            node.error("an empty list never matches")
        return any_of([_parse_mapping(item, names, extra or {}) for item in node.items])
    return _parse_mapping(node, names, extra or {})


def _parse_mapping(
    node: Node, names: Names, extra: Mapping[str, Callable[[Node, Node], Condition | None]]
) -> Condition:
    entries = node.pairs()
    if node.kind is Kind.MAPPING and not entries:
        node.error("an empty condition: name a fact and what it must be")
    conditions: list[Condition] = []
    for entry in entries:
        if entry.key in extra:
            made = extra[entry.key](node, entry.node)
            if made is not None:
                conditions.append(made)
        else:
            conditions.append(_parse_pair(node, entry, names, tuple(extra)))
    return all_of(conditions)


def _parse_pair(node: Node, entry: Entry, names: Names, others: tuple[str, ...]) -> Condition:
    if names.cannot_know(entry.key):
        return NEVER
    try:
        field = names.fact(entry.key)
    except Unreadable as why:
        if entry.node.kind is Kind.EMPTY:
            entry.node.error(
                'no value, and not a field; inside { } a comma starts a new condition: join words with "or"'
            )
        else:
            near = did_you_mean(entry.key, others)
            node.error(f"unknown field '{entry.key}'{near}" if near else str(why), at=entry.name, code="E02")
        return NEVER
    return parse_value(entry.node, field, names)


def parse_value(node: Node, field: Field, names: Names) -> Condition:
    """A phrase, or a list of phrases of which one must be true."""
    if node.kind is not Kind.LIST:
        return parse_phrase(node, field, names)
    if not node.items:
        node.error("an empty list never matches")
    return any_of([parse_phrase(item, field, names) for item in node.items])


def parse_phrase(node: Node, field: Field, names: Names) -> Condition:
    """One phrase about ``field``."""
    return node.read(lambda text: _phrase(" ".join(text.split()), field, names), NEVER)


def _phrase(text: str, field: Field, names: Names) -> Condition:
    if text.casefold() == "unknown":
        return Missing(field.name)
    if text == "known":
        return Known(field.name)
    if text == "not":
        raise Unreadable("'not' needs a phrase after it")
    if text.startswith("not "):
        rest = text[4:]
        if rest.casefold() == "unknown":
            raise Unreadable("'not unknown': write 'known'")
        if rest == "known":
            raise Unreadable("'not known': write 'unknown'")
        if rest == "not" or rest.startswith("not "):
            raise Unreadable("'not not': say it without both")
        return All((Known(field.name), Not(_test(rest, field, names))))
    return _test(text, field, names)


def _test(text: str, field: Field, names: Names) -> Condition:
    for operator, types in _OPERATORS.items():
        if text == operator:
            raise Unreadable(f"'{operator}' needs something after it{_itself(text, field)}")
        if text.startswith(f"{operator} "):
            operand = text[len(operator) + 1 :]
            if field.type not in types:
                raise Unreadable(_not_for(operator, text, field))
            return _operation(operator, operand, field, names)
    return _plain(text, field, names)


def _itself(text: str, field: Field) -> str:
    return f"; write 'is {text}' to mean the text itself" if field.type in (FactType.TEXT, FactType.LIST) else ""


def _not_for(operator: str, text: str, field: Field) -> str:
    dates = field.type in (FactType.DATE, FactType.INSTANT)
    if operator == "from":
        return f"'from' needs a number, a date or a rank{_itself(text, field)}"
    if operator == "below" and dates:
        return "'below' is for numbers and ranks: write 'before'"
    if operator == "before" and field.type in (FactType.NUMBER, FactType.ORDERED):
        return "'before' is for dates: write 'below'"
    if operator == "is":
        return f"'is' is for texts: write '{text[3:]}'"
    return (
        f"'{operator}' is not a phrase for {field.name} ({field.type}), which takes {field.takes()}"
        f"{_itself(text, field)}"
    )


def _operation(operator: str, operand: str, field: Field, names: Names) -> Condition:
    name = field.name
    match operator:
        case "is":
            return OneOf(name, (fold(operand),), field.type is FactType.LIST)
        case "in":
            return _in_list(operand, field, names)
        case "has word":
            return HasWords(name, _each_words(operand))
        case "contains":
            parts = tuple(fold(part) for part in operand.split(" or "))
            if any(len(part) < 2 for part in parts):
                raise Unreadable("'contains' needs at least 2 characters")
            return Contains(name, parts)
        case "starts with":
            return StartsWith(name, _each_folded(operand, "starts with"))
        case "from" | "below":
            return _bound(operator, operand, field)
        case "before":
            return DateBefore(name, parse_date(operand))
        case _:
            try:
                span = parse_days(operand)
            except Unreadable as why:
                told = str(why)
                raise Unreadable(told if told.startswith("'") else f"'{operator} {operand}': {told}") from None
            return AgeBelow(name, span) if operator == "within" else AgeFrom(name, span)


def _each_words(operand: str) -> tuple[str, ...]:
    phrases = tuple(words(part) for part in operand.split(" or "))
    if not all(phrases):
        raise Unreadable("'has word' needs letters or digits")
    return phrases


def _each_folded(operand: str, operator: str) -> tuple[str, ...]:
    parts = tuple(fold(part) for part in operand.split(" or "))
    if not all(parts):
        raise Unreadable(f"'{operator}' needs a text on both sides of 'or'")
    return parts


def _bound(operator: str, operand: str, field: Field) -> Condition:
    match field.type:
        case FactType.ORDERED:
            return _rank_bound(operator, operand, field)
        case FactType.NUMBER:
            value = to_micro(parse_number(operand))
            return AtLeast(field.name, value) if operator == "from" else Below(field.name, value)
        case _:
            return DateFrom(field.name, parse_date(operand))


def _rank_bound(operator: str, operand: str, field: Field) -> Condition:
    rank = fold(operand)
    if rank not in field.values:
        if rank in field.extra:
            raise Unreadable(f"'{operand}' has no rank: nothing is above or below it")
        raise Unreadable(_not_one_of(operand, field.values))
    at = field.values.index(rank)
    ranks = field.values[at:] if operator == "from" else field.values[:at]
    if not ranks:
        raise Unreadable(f"nothing is below '{operand}', the lowest of {', '.join(field.values)}")
    return OneOf(field.name, ranks)


def _not_one_of(text: str, values: Sequence[str]) -> str:
    return f"'{text}' is not one of {', '.join(values)}{did_you_mean(fold(text), values)}"


def _in_list(name: str, field: Field, names: Names) -> Condition:
    items = names.listed(name, field)
    if (name, field) not in names.parsed:
        # an item that is not of the field's type is reported where it stands in the list
        found = [item.read(lambda text: _equal(text, field), NEVER) for item in items]
        names.parsed[name, field] = any_of(found)
    return names.parsed[name, field]


def _equal(text: str, field: Field) -> Condition:
    """Equality with a value of the field's own type."""
    match field.type:
        case FactType.TEXT | FactType.LIST:
            return OneOf(field.name, (fold(text),), field.type is FactType.LIST)
        case FactType.DOMAIN:
            return DomainIn(field.name, (_domain(text),))
        case FactType.COUNTRY:
            return OneOf(field.name, (_country(text),))
        case FactType.ONE_OF | FactType.ORDERED:
            values = (*field.values, *field.extra)
            if fold(text) not in values:
                raise Unreadable(_not_one_of(text, values))
            return OneOf(field.name, (fold(text),))
        case FactType.NUMBER:
            return Equals(field.name, to_micro(parse_number(text)))
        case _:
            raise Unreadable(f"unknown phrase '{text}': {field.name} takes {field.takes()}")


def one_value(text: str, field: Field) -> str:
    """The stored form of one value of a domain, country, ``one of`` or ordered fact."""
    (value,) = _equal(text, field).values  # type: ignore[union-attr]  # an equality of texts
    return value


def _country(text: str) -> str:
    code = text.upper()
    code = countries.ALIASES.get(code, code)
    if code in countries.codes():
        return fold(code)
    known = countries.named(text)
    raise Unreadable(f"'{text}': write {known}" if known else f"'{text}' is not an ISO 3166-1 alpha-2 country code")


def _domain(text: str) -> str:
    if "@" in text:
        raise Unreadable(f"a domain has no @: write {text.rpartition('@')[2] or 'what follows it'}")
    domain = fold(text).removesuffix(".")
    if domain.startswith(("*.", ".")):
        raise Unreadable(f"'{text}': write {domain.lstrip('*.')}, its subdomains are meant as well")
    if not re.fullmatch(r"[^\s/:.*]+(\.[^\s/:.*]+)*", domain):
        raise Unreadable(f"'{text}' is not a domain: write it like acme.com")
    return domain


def _plain(text: str, field: Field, names: Names) -> Condition:
    """A phrase without operator: a value, a path, or a word of the field's type."""
    match field.type:
        case FactType.TEXT if text.startswith("/"):
            return _path(text, field)
        case FactType.TEXT | FactType.LIST:
            _refuse_near_operator(text)
            return _equal(text, field)
        case FactType.BOOLEAN:
            return Equals(field.name, parse_boolean(text))
        case FactType.EMAIL | FactType.PHONE if text in ("valid", "invalid"):
            return Validity(field.name, text == "valid")
        case FactType.OWNER if text in OWNER_STATES:
            if names.section != "routing":
                raise Unreadable(f"'{text}' is only known in routing")
            return OwnerState(field.name, text)
        case FactType.NUMBER if re.match(r"[-+.]?[0-9]", text):
            return _equal(text, field)
        case FactType.DATE | FactType.INSTANT if re.match(r"[0-9]", text):
            raise Unreadable(f"'{text}': write 'from {text}' or 'before {text}'")
        case FactType.DOMAIN | FactType.COUNTRY | FactType.ONE_OF | FactType.ORDERED:
            try:
                return _equal(text, field)
            except Unreadable as why:
                near = _near_phrase(text, field)
                raise Unreadable(f"unknown phrase '{text}'{near}") if near else why from None
        case _:
            near = _near_phrase(text, field)
            raise Unreadable(f"unknown phrase '{text}'{near or f': {field.name} takes {field.takes()}'}")


def _near_phrase(text: str, field: Field) -> str:
    """``, did you mean 'from 200'?`` when the first words nearly are a phrase of this type."""
    split = text.split(" ")
    own = [name for name, types in _OPERATORS.items() if field.type in types]
    for phrase in (*own, *_WORDS.get(field.type, ()), "known", "unknown"):
        size = len(phrase.split(" "))
        head, rest = " ".join(split[:size]), split[size:]
        if bool(rest) == (phrase in own) and did_you_mean(head, (phrase,)):
            return f", did you mean '{' '.join((phrase, *rest))}'?"
    return ""


def _refuse_near_operator(text: str) -> None:
    """A text that nearly begins with a two-word operator, or 'contains', was meant as one."""
    split = text.split(" ")
    for operator in ("has word", "starts with", "older than", "contains"):
        size = len(operator.split(" "))
        head = " ".join(split[:size])
        if len(split) > size and head != operator and did_you_mean(head, (operator,)):
            raise Unreadable(f"'{head}': did you mean '{operator}'?")


def _path(text: str, field: Field) -> Condition:
    if "*" in text[:-1]:
        raise Unreadable("'*' only at the end")
    if text.endswith("*"):
        return StartsWith(field.name, (fold(text[:-1]),))
    return OneOf(field.name, (fold(text if text == "/" else text.rstrip("/") or "/"),))


# -- events ------------------------------------------------------------------------------------------------------


def spelled(kind: str, names: Names) -> EventMatch:
    """The matcher of one kind; ``any`` and ``hand_raise`` as what they stand for."""
    if kind == "any":
        rest = tuple(k for k in EVENT_KINDS if k not in (*ANY_KIND_EXCEPT, "call"))
        answered = Any((Not(OneOf("direction", ("outbound",))), OneOf("outcome", ("connected",))))
        return EventMatch(rest, any_of=(EventMatch(("call",), answered),))
    if kind == "hand_raise":
        if names.hand_raise is None:
            raise Unreadable("'hand_raise' cannot stand for itself")
        return names.hand_raise
    if kind not in EVENT_KINDS:
        near = did_you_mean(kind, (*EVENT_KINDS, *PSEUDO_KINDS))
        raise Unreadable(f"unknown event '{kind}'{near}", code="E02")
    return EventMatch((kind,))


def kinds_of(match: EventMatch) -> tuple[str, ...]:
    """Every kind a matcher can be about."""
    return tuple(dict.fromkeys((*match.kinds, *(k for m in match.any_of for k in kinds_of(m)))))


def together(matches: Sequence[EventMatch]) -> EventMatch:
    """One matcher for events that match any of these."""
    flat = [m for match in matches for m in (replace(match, any_of=()), *match.any_of)]
    plain = tuple(dict.fromkeys(k for m in flat if m.where == All() for k in m.kinds))
    special = tuple(dict.fromkeys(m for m in flat if m.where != All()))
    if plain or not special:
        return EventMatch(plain, any_of=special)
    return replace(special[0], any_of=special[1:])


def _restricted(match: EventMatch, where: Condition) -> EventMatch:
    both = where if match.where == All() else All((match.where, where))
    return EventMatch(match.kinds, both, tuple(_restricted(m, where) for m in match.any_of))


def parse_match(event: Node, where: Node | None, names: Names) -> EventMatch:
    """``event`` and ``where`` of a rule, a gate line or a hand raise."""
    listed = event.items if event.kind is Kind.LIST else (event,)
    if not listed:
        event.error("an empty list never matches")
    matches = [found for one in listed if (found := one.read(lambda kind: spelled(kind, names), None)) is not None]
    if not matches:
        return EventMatch(())
    match = together(matches)
    return match if where is None else _restricted(match, _parse_where(where, kinds_of(match), names))


def _parse_where(node: Node, kinds: Sequence[str], names: Names) -> Condition:
    if node.kind is Kind.LIST:
        if not node.items:
            node.error("an empty list never matches")
        return any_of([_parse_where(item, kinds, names) for item in node.items])
    entries = node.pairs()
    if node.kind is Kind.MAPPING and not entries:
        node.error("an empty condition: name an attribute and what it must be")
    conditions: list[Condition] = []
    for entry in entries:
        lacking = lacks(entry.key, kinds)
        if lacking is None:
            test = parse_value(entry.node, Field(entry.key, ATTRIBUTES[entry.key]), names)
            if entry.key == "path" and (lost := _no_path(test)) is not None:
                entry.node.warn(f"the path of a page begins with '/': '{lost}' is none; write '/{lost}'")
            conditions.append(test)
        elif entry.node.kind is Kind.EMPTY:
            entry.node.error(
                'no value, and not an attribute; inside { } a comma starts a new condition: join words with "or"'
            )
        else:
            node.error(lacking, at=entry.name, code="E02")
    return all_of(conditions)


def _no_path(test: Condition) -> str | None:
    """A value that is the path of no page, as all of them begin with a slash; None: there is none."""
    match negated(test) or test:
        case OneOf(_, values) | StartsWith(_, values):
            return next((value for value in values if not value.startswith("/")), None)
        case Any(of):
            return next((lost for one in of if (lost := _no_path(one)) is not None), None)
        case _:
            return None


def lacks(attribute: str, kinds: Sequence[str]) -> str | None:
    """Why these kinds cannot be asked for this attribute; None when each has it."""
    for kind in kinds:
        if attribute not in EVENT_KINDS[kind]:
            return f"{kind} has no {attribute}; it has {', '.join(EVENT_KINDS[kind])}"
    return None


# -- fade, count, limit ------------------------------------------------------------------------------------------

_FADES = ("half-life", "lose", "expire after", "none")


def parse_fade(text: str) -> Fade:
    """``half-life 14 days``, ``lose 50% every 30 days compounding``, ``expire after 90 days``, ``none``."""
    text = " ".join(text.split())
    if text == "none":
        return Fade()
    if text.startswith("half-life "):
        span = parse_days(text.removeprefix("half-life "))
        if span.unit is Unit.MONTH:
            raise Unreadable("half-life takes days or weeks")
        return Fade(FadeMode.HALF_LIFE, span)
    if text.startswith("expire after "):
        return Fade(FadeMode.EXPIRE, parse_days(text.removeprefix("expire after ")))
    lose = re.fullmatch(r"lose (\S+) every (?:([0-9]+) )?(\S+)(?: (.+))?", text)
    if lose is None:
        raise Unreadable(f"unknown fade '{text}'{_near_beginning(text, _FADES)}")
    percent, n, unit, rest = lose.groups()
    if n is None and unit not in ("day", "week", "month"):
        near = did_you_mean(unit, ("day", "week", "month"))
        raise Unreadable(f"'{text}': after 'every' comes a span, or day, week or month{near}")
    if rest not in (None, "compounding"):
        raise Unreadable(f"unknown word '{rest}', did you mean 'compounding'?")
    mode = FadeMode.COMPOUND if rest else FadeMode.LINEAR
    return Fade(mode, parse_days(f"{n or 1} {unit}"), parse_percent(percent))


def _near_beginning(text: str, names: Sequence[str]) -> str:
    """What the first two words, or the first, nearly are."""
    split = text.split(" ")
    heads = (" ".join(split[:size]) for size in (2, 1))
    return next((near for head in heads if (near := did_you_mean(head, names))), "")


_COUNTS = ("every", "once", "once per day", "once per week", "once per month")


def parse_count(text: str, kinds: Sequence[str]) -> Count:
    """Which occurrences count; an attribute must exist in every kind."""
    text = " ".join(text.split())
    fixed = {
        "every": CountMode.EVERY,
        "once": CountMode.ONCE,
        "once per day": CountMode.ONCE_PER_DAY,
        "once per week": CountMode.ONCE_PER_WEEK,
        "once per month": CountMode.ONCE_PER_MONTH,
    }
    if text in fixed:
        return Count(fixed[text])
    if text.startswith("once per "):
        attribute = text.removeprefix("once per ")
        near = did_you_mean(attribute, ("day", "week", "month"))
        if attribute not in ATTRIBUTES and near:
            raise Unreadable(f"unknown count '{text}'{did_you_mean(text, _COUNTS)}")
        return Count(CountMode.ONCE_PER, _attribute(attribute, kinds))
    if text.startswith("at least "):
        n, window = parse_limit(text.removeprefix("at least "))
        return Count(CountMode.AT_LEAST, n=n, window=window)
    distinct = re.fullmatch(r"distinct (\S+) at least ([0-9]{1,9})(?: in (.+))?", text)
    if distinct:
        attribute, n_text, days = distinct.groups()
        return Count(
            CountMode.DISTINCT, _attribute(attribute, kinds), _at_least(n_text), parse_days(days) if days else None
        )
    near = did_you_mean(text, _COUNTS) or _near_beginning(text, ("at least", "distinct"))
    raise Unreadable(f"unknown count '{text}'{near}")


def _attribute(attribute: str, kinds: Sequence[str]) -> str:
    lacking = lacks(attribute, kinds)
    if lacking is not None:
        raise Unreadable(lacking, code="E02")
    if attribute not in ATTRIBUTES:
        raise Unreadable(f"no event has '{attribute}'{did_you_mean(attribute, ATTRIBUTES)}", code="E02")
    return attribute


def _at_least(text: str) -> int:
    n = int(text)
    if not 1 <= n <= 1_000_000:
        raise Unreadable(f"'{text}': a number from 1 to 1000000 is wanted here")
    return n


def parse_limit(text: str) -> tuple[int, Span]:
    """``5 in 7 days``."""
    limit = re.fullmatch(r"([0-9]{1,9}) in (.+)", text)
    if limit is None:
        raise Unreadable(f"'{text}': write it like '5 in 7 days'")
    return _at_least(limit[1]), parse_days(limit[2])


def parse_least(text: str) -> tuple[int, Span]:
    """``at least 5 in 7 days``."""
    text = " ".join(text.split())
    if not text.startswith("at least "):
        raise Unreadable(f"'{text}': here a count is 'at least N in DAYS'")
    return parse_limit(text.removeprefix("at least "))


# -- words -------------------------------------------------------------------------------------------------------


def say_span(span: Span) -> str:
    return f"{span.n} {span.unit}{'' if span.n == 1 else 's'}"


def _number(micro: int) -> str:
    return f"{(Decimal(micro) / MICRO).normalize():f}"


def _or(values: Iterable[str]) -> str:
    return " or ".join(v.strip() for v in values)


def negated(condition: Condition) -> Condition | None:
    """The test of a ``not`` phrase, which is "known, and not the test"; None for anything else."""
    match condition:
        case All((Known(name), Not(test))) if getattr(test, "field", None) == name:
            return test
        case _:
            return None


def say(condition: Condition) -> str:
    """A condition in the words of the policy language: ``person.country: de or nl, company.employees: from 200``."""
    test = negated(condition)
    if test is not None:
        field, _, said = say(test).partition(": ")
        return f"{field}: not {said}"
    match condition:
        case All(of):
            return ", ".join(say(c) for c in of) if of else "always"
        case Any(of):
            return " or ".join(f"({say(c)})" if isinstance(c, All) else say(c) for c in of) if of else "never"
        case Not(inner):
            return f"not ({say(inner)})"
        case EventExists(match, window, at_least):
            kinds = " or ".join(kinds_of(match))
            return f"event: {kinds}" + (f", at least {at_least}" if at_least > 1 else "") + _within(window)
        case ScoreAtLeast(of, value):
            return f"{of}: from {value}"
        case ScoreBelow(of, value):
            return f"{of}: below {value}"
        case LabelIn(of, labels):
            return f"{of}: {_or(labels)}"
        case _:
            return f"{condition.field}: {_say_test(condition)}"


def _within(window: Span | None) -> str:
    return "" if window is None else f", within {say_span(window)}"


def _say_test(condition: Condition) -> str:
    match condition:
        case Known():
            return "known"
        case Missing():
            return "unknown"
        case Equals(_, bool(value)):
            return str(value).lower()
        case Equals(_, value):
            return _number(value)
        case OneOf(_, values) | DomainIn(_, values):
            return _or(values)
        case HasWords(_, phrases):
            return f"has word {_or(phrases)}"
        case Contains(_, parts):
            return f"contains {_or(parts)}"
        case StartsWith(_, parts):
            return f"starts with {_or(parts)}"
        case AtLeast(_, value):
            return f"from {_number(value)}"
        case Below(_, value):
            return f"below {_number(value)}"
        case DateFrom(_, day):
            return f"from {day}"
        case DateBefore(_, day):
            return f"before {day}"
        case AgeBelow(_, span):
            return f"within {say_span(span)}"
        case AgeFrom(_, span):
            return f"older than {say_span(span)}"
        case Validity(_, value):
            return "valid" if value else "invalid"
        case OwnerState(_, state):
            return state
        case _:
            return say(condition)
