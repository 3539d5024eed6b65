"""What is known of a person: the facts of all their records merged into one set, and read as their types.

Pure. A fact that no CRM has, that is blank, that says ``unknown`` or that cannot be read as its type is missing; the
last is reported as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from connectors.records import Crm, RecordRef
from scoring import derive
from scoring.facts import CONSENTS, FACTS, Fact, FactType
from scoring.tables import FactValue, fold

__all__ = [
    "CompanySource",
    "FactProblem",
    "GatherRules",
    "OwnerNames",
    "PersonFacts",
    "PersonSources",
    "Prefer",
    "RecordSource",
    "gather",
    "parse",
]

OwnerNames = Mapping[tuple[str, str], str]
"""(CRM, owner id) -> how a policy names the owner."""


class Prefer(StrEnum):
    """Which value counts when several records have one (fields.yaml ``prefer``)."""

    SALESFORCE = "salesforce unless blank"
    HUBSPOT = "hubspot unless blank"
    NEWEST = "newest"
    EITHER_TRUE = "either true"
    MOST_RESTRICTIVE = "most restrictive"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompanySource:
    ref: RecordRef
    facts: Mapping[str, Any]
    inputs_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSource:
    """One record of a person.

    target     the record of its CRM that is written; its values go before those of duplicates
    gone       deleted, merged or converted; ``moved``: the latter two
    inputs_at  when the CRM last changed something that scores; our own writes do not count
    """

    ref: RecordRef
    facts: Mapping[str, Any]
    inputs_at: datetime
    target: bool = True
    gone: bool = False
    moved: bool = False
    email: str | None = None
    company: RecordRef | None = None
    created_at: datetime | None = None
    confidence: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonSources:
    """Everything that is known of one person. ``companies`` by the ref the records have of them."""

    person_id: str
    records: Sequence[RecordSource]
    companies: Mapping[RecordRef, CompanySource] = field(default_factory=dict)
    last_owner: str | None = None
    last_assigned_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatherRules:
    """How facts are merged and derived. ``prefer`` by fact, ``default`` for the others."""

    prefer: Mapping[str, str] = field(default_factory=dict)
    seniority: derive.SeniorityTable = ()
    custom: Mapping[str, Fact] = field(default_factory=dict)
    free_mail: frozenset[str] | None = None
    owners: OwnerNames = field(default_factory=dict)

    def rule(self, fact: str) -> Prefer:
        return _PREFER[self.prefer.get(fact) or self.prefer.get("default") or Prefer.SALESFORCE]


_PREFER: Mapping[str, Prefer] = {rule.value: rule for rule in Prefer}


@dataclass(frozen=True, slots=True, kw_only=True)
class FactProblem:
    """A value that says something, but not what its fact can hold."""

    ref: RecordRef
    fact: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonFacts:
    """The facts of one person. A missing fact is absent. ``valid`` judges the addresses and numbers that are there."""

    person_id: str
    facts: Mapping[str, FactValue]
    valid: Mapping[str, bool]
    problems: tuple[FactProblem, ...]
    email: str | None
    name: str | None


@dataclass(frozen=True, slots=True)
class _Value:
    crm: Crm
    at: datetime
    value: FactValue


MOVED_ON = ("person.converted", "person.created_at")
"""What a converted or merged record still says of its person; the rest is said by the record it went into."""


def gather(person: PersonSources, rules: GatherRules) -> PersonFacts | None:
    """Merge all records of one person. None when none of them is live any more."""
    live = [r for r in person.records if not r.gone]
    if not live:
        return None
    live.sort(key=lambda r: (not r.target, r.ref))
    problems: list[FactProblem] = []
    values: dict[str, list[_Value]] = {}
    for ref, at, facts in _statements(live, [r for r in person.records if r.gone and r.moved], person.companies):
        for name, raw in facts.items():
            fact = FACTS.get(name) or rules.custom.get(name)
            if fact is None or fact.derived:
                continue
            value = _owner(ref.crm, raw, rules.owners) if fact.type is FactType.OWNER else raw
            try:
                parsed = parse(fact, value)
            except ValueError as error:
                problems.append(FactProblem(ref=ref, fact=name, reason=str(error)))
                continue
            if parsed is not None:
                values.setdefault(name, []).append(_Value(ref.crm, at, parsed))
    merged = {name: _merge(name, found, rules.rule(name)) for name, found in values.items()}
    _derive(merged, live, person, rules)
    return PersonFacts(
        person_id=person.person_id,
        facts=merged,
        valid=derive.validity(merged),
        problems=tuple(sorted(problems, key=lambda p: (p.ref, p.fact))),
        email=_text(merged, "person.email"),
        name=" ".join(t for n in ("person.first_name", "person.last_name") if (t := _text(merged, n))) or None,
    )


def _statements(
    live: Sequence[RecordSource], moved: Sequence[RecordSource], companies: Mapping[RecordRef, CompanySource]
) -> Iterable[tuple[RecordRef, datetime, Mapping[str, Any]]]:
    """Who says what, first voice first: the record written, its company, then the duplicates, then what moved on."""
    for record in live:
        company = companies.get(record.company) if record.company is not None else None
        if company is not None:
            yield company.ref, company.inputs_at, company.facts
        own = dict(record.facts)
        if record.email is not None:
            own.setdefault("person.email", record.email)
        yield record.ref, record.inputs_at, own
        if record.created_at is not None:
            yield record.ref, record.inputs_at, {"person.created_at": record.created_at.isoformat()}
    for record in sorted(moved, key=lambda r: r.ref):
        kept = {name: record.facts[name] for name in MOVED_ON if name in record.facts}
        if record.created_at is not None:
            kept.setdefault("person.created_at", record.created_at.isoformat())
        yield record.ref, record.inputs_at, kept


def _owner(crm: Crm, raw: Any, owners: OwnerNames) -> Any:
    return owners.get((crm, str(raw)), raw)


def _text(facts: Mapping[str, FactValue], name: str) -> str | None:
    value = facts.get(name)
    return value if isinstance(value, str) else None


# -- merging -----------------------------------------------------------------------------------------------------


def _merge(name: str, found: Sequence[_Value], rule: Prefer) -> FactValue:
    """One value out of several. ``found`` is in order of precedence within each CRM and is not empty."""
    if len(found) == 1:
        return found[0].value
    if name == "person.created_at":
        return min((v.value for v in found), key=_moment)
    if name == "person.converted":
        return any(v.value is True for v in found)
    match rule:
        case Prefer.NEWEST:
            # At equal times Salesforce's: `max` keeps the first of equals.
            return max(_first(found, Crm.SALESFORCE), key=lambda v: v.at).value
        case Prefer.EITHER_TRUE:
            return next((v.value for v in found if v.value is True), found[0].value)
        case Prefer.MOST_RESTRICTIVE:
            return min(found, key=lambda v: _restriction(v.value)).value
        case Prefer.HUBSPOT:
            return _first(found, Crm.HUBSPOT)[0].value
        case Prefer.SALESFORCE:
            return _first(found, Crm.SALESFORCE)[0].value


def _first(found: Sequence[_Value], crm: Crm) -> list[_Value]:
    return sorted(found, key=lambda v: v.crm is not crm)


def _moment(value: FactValue) -> datetime:
    if isinstance(value, datetime):
        return value
    assert isinstance(value, date)
    return datetime(value.year, value.month, value.day, tzinfo=UTC)


def _restriction(value: FactValue) -> int:
    """Lower is stricter: withdrawn, none, legitimate interest, given. A truth is stricter than its opposite."""
    order = tuple(reversed(CONSENTS))
    if isinstance(value, bool):
        return 0 if value else 1
    return order.index(value) if value in order else len(order)


# -- deriving ----------------------------------------------------------------------------------------------------


def _derive(
    facts: dict[str, FactValue], live: Sequence[RecordSource], person: PersonSources, rules: GatherRules
) -> None:
    """Add what follows from other facts, from the records and from earlier episodes."""
    derive.add_derived(facts, seniority_table=rules.seniority, free_mail=rules.free_mail)
    facts["identity.confidence"] = Decimal(str(min(r.confidence for r in live)))
    if person.last_owner is not None:
        facts["person.last_owner"] = person.last_owner
    if person.last_assigned_at is not None:
        facts["person.last_assigned_at"] = person.last_assigned_at


# -- reading values ----------------------------------------------------------------------------------------------


UNKNOWN = "unknown"
"""A text that says nothing, in any case and width."""


def parse(fact: Fact, raw: Any) -> FactValue | None:
    """A stored value as its fact's type; None when it says nothing. ValueError says what is wrong with it."""
    if isinstance(raw, str):
        raw = raw.strip()
        if not raw or (len(raw) == len(UNKNOWN) and fold(raw) == UNKNOWN):
            return None
    return _PARSERS[fact.type](fact, raw)


def _as_text(raw: Any) -> str:
    match raw:
        case bool():
            return "true" if raw else "false"
        case str():
            return raw
        case float() if raw.is_integer():
            return str(int(raw))
        case _:
            return str(raw)


def _number(fact: Fact, raw: Any) -> Decimal:
    if isinstance(raw, bool):
        raise ValueError("a yes or no where a number belongs")
    try:
        number = Decimal(_as_text(raw))
    except InvalidOperation:
        raise ValueError("not a number") from None
    if not number.is_finite() or abs(number) >= 10**12:
        raise ValueError("a number of more than 12 digits")
    return number.quantize(Decimal("0.000001"), ROUND_HALF_EVEN).normalize()


_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _boolean(fact: Fact, raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    read = _BOOLEANS.get(fold(_as_text(raw)))
    if read is None:
        raise ValueError("neither true nor false")
    return read


def _instant(fact: Fact, raw: Any) -> date | datetime:
    text = _as_text(raw)
    try:
        if text.lstrip("-").isdigit() and len(text) > 10:
            return datetime.fromtimestamp(int(text) / 1000, UTC)
        if len(text) == 10:
            return date.fromisoformat(text)
        read = datetime.fromisoformat(text)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise ValueError("not a date or time") from None


def _date(fact: Fact, raw: Any) -> date:
    """A CRM says a date as itself or as midnight UTC: it is that date in any zone."""
    read = _instant(fact, raw)
    return read.date() if isinstance(read, datetime) else read


def _one_of(fact: Fact, raw: Any) -> str:
    text = fold(_as_text(raw))
    for value in (text, text.replace(" ", "_").replace("-", "_")):
        if value in fact.values or value in fact.extra:
            return value
    raise ValueError(f"not one of {', '.join((*fact.values, *fact.extra))}")


_SAME_COUNTRY = {"UK": "GB", "EL": "GR"}


def _country(fact: Fact, raw: Any) -> str:
    code = _as_text(raw).upper()
    if len(code) != 2 or not (code.isascii() and code.isalpha()):
        raise ValueError("not a two-letter country code (map it with `as: country`)")
    return _SAME_COUNTRY.get(code, code)


def _domain(fact: Fact, raw: Any) -> str:
    name = _as_text(raw).lower().rstrip(".")
    if not name or "@" in name or "/" in name or any(c.isspace() for c in name):
        raise ValueError("not a domain (map it with `as: domain`)")
    return name


def _list(fact: Fact, raw: Any) -> tuple[str, ...] | None:
    return tuple(dict.fromkeys(t for part in _as_text(raw).split(";") if (t := part.strip()))) or None


_PARSERS: Mapping[FactType, Callable[[Fact, Any], FactValue | None]] = {
    FactType.TEXT: lambda fact, raw: _as_text(raw),
    FactType.EMAIL: lambda fact, raw: _as_text(raw).lower(),
    FactType.DOMAIN: _domain,
    FactType.PHONE: lambda fact, raw: _as_text(raw),
    FactType.COUNTRY: _country,
    FactType.ONE_OF: _one_of,
    FactType.ORDERED: _one_of,
    FactType.NUMBER: _number,
    FactType.BOOLEAN: _boolean,
    FactType.DATE: _date,
    FactType.INSTANT: _instant,
    FactType.OWNER: lambda fact, raw: _as_text(raw),
    FactType.LIST: _list,
}
