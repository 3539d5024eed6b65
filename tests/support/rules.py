"""Small policies written as text, people as a CRM says them, and what they did."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from scoring.derive import add_derived, validity
from scoring.document import Source
from scoring.facts import FACTS, Fact
from scoring.load import load_policy
from scoring.policy import Policy
from scoring.tables import FactValue
from sync.gather import parse
from tests.support.snapshots import event

ZONE = ZoneInfo("America/New_York")
TODAY = date(2026, 6, 15)
"""A Monday."""

COMPLETE = Path(__file__).with_name("complete")

TEAM = b"""\
version: 1
queues: {inbound: {}}
"""

NOT_ASKED = {
    "version": "1",
    "name": "vectors",
    "timezone": "America/New_York",
    "fit": "{groups: {none: {rules: [{when: {person.email: unknown}, points: 0}]}}}",
    "engagement": "{groups: {none: {rules: [{event: chat, points: 0}]}}}",
    "mql": "{become_when: {never: {person.email: unknown, person.phone: known}}}",
    "routing": "[{name: everyone, to: queue inbound}]",
}
"""What a policy must have and a test does not ask about."""


def policy(*, custom: Mapping[str, Fact] | None = None, **sections: str) -> Policy:
    """A policy of these sections, each as YAML."""
    text = "\n".join(f"{name}: {section}" for name, section in (NOT_ASKED | sections).items())
    return _load(Source("policy.yaml", text.encode()), Source("team.yaml", TEAM), custom)


def complete_policy() -> Policy:
    """The complete example."""
    return _load(*(Source(name, (COMPLETE / name).read_bytes()) for name in ("policy.yaml", "team.yaml")))


def _load(policy: Source, team: Source, custom: Mapping[str, Fact] | None = None) -> Policy:
    made, _ = load_policy(policy, team, lists=_no_file, custom=custom)
    return made


def _no_file(name: str) -> str:
    raise FileNotFoundError(name)


def person(raw: Mapping[str, Any], *, of: Policy | None = None, zone: ZoneInfo = ZONE) -> dict[str, Any]:
    """The facts of a person of whom a CRM says this, derived ones too, as the oracle and the snapshots take them."""
    facts: dict[str, FactValue] = {"identity.confidence": Decimal(1)}
    for name, value in raw.items():
        parsed = parse(FACTS[name], value)
        if parsed is not None:
            facts[name] = parsed
    add_derived(
        facts,
        seniority_table=of.seniority if of is not None else (),
        free_mail=of.free_mail if of is not None else None,
    )
    valid = {f"{name}!": one for name, one in validity(facts).items()}
    missing = {name: False for name, fact in FACTS.items() if fact.missing_false}
    dates = {n: v.astimezone(zone).date() for n, v in facts.items() if isinstance(v, datetime)}
    return {**missing, "company.open_opportunities": Decimal(0), **facts, **dates, **valid}


def instant(text: str) -> datetime:
    """``2026-06-14T10:00:03.5`` in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def noon(day: date) -> datetime:
    """Noon of a day in New York."""
    return datetime.combine(day, time(12), ZONE).astimezone(UTC)


def happened(kind: str, *ages: int, count: int = 1, today: date = TODAY, **attributes: Any) -> list[dict[str, Any]]:
    """Events at noon of their days; of several occurrences without a time of day."""
    days = [today - timedelta(days=age) for age in ages]
    return [
        event(f"{kind} {n}", kind, day, at=noon(day) if count == 1 else None, count=count, **attributes)
        for n, day in enumerate(days)
    ]


def viewed(*ages: int, **more: Any) -> list[dict[str, Any]]:
    return happened("page_view", *ages, **more)
