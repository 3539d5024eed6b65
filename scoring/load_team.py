"""team.yaml: the reps, pools, queues and their hours as types."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial

from scoring.document import (
    Entry,
    Kind,
    Node,
    Unreadable,
    did_you_mean,
    parse_delay,
    parse_number,
    parse_working_time,
)
from scoring.load_hours import parse_away, read_hours
from scoring.team import Delay, Hours, NobodyFree, Pool, PoolMethod, PoolRep, Queue, Rep, Team

__all__ = ["check_version", "known_name", "read_team"]

MAX_WEIGHT = 10_000
MAX_CAP = 1_000_000
_CAPS = ("per_day", "per_week", "open")


def check_version(root: Node) -> None:
    """Every file says the version of the language it is written in."""
    node = root.get("version")
    if node is not None and node.text() not in ("", "1"):
        node.error(f"'{node.value}': the version of this language is 1")


def known_name(name: str, names: Collection[str] | None, what: str) -> str:
    """``name`` if it is one of ``names``, else `Unreadable` with the nearest. None: they could not be read."""
    if names is None or name in names:
        return name
    raise Unreadable(f"unknown {what} '{name}'{did_you_mean(name, names)}", code="E02")


def _email(text: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", text):
        raise Unreadable(f"'{text}' is not an e-mail address")
    return text.casefold()


def read_team(root: Node) -> Team:
    """The team. Errors are in ``root.problems``."""
    found = root.fields(*("version", "hours", "reps", "pools", "queues", "managers", "unowned"), required=("version",))
    check_version(root)
    hours = {e.key: read_hours(e) for e in found["hours"].pairs()} if "hours" in found else {}
    reader = _Reader(hours=hours)
    reps = reader.reps(found["reps"]) if "reps" in found else {}
    queues = {e.key: reader.queue(e) for e in found["queues"].pairs()} if "queues" in found else {}
    pools = {e.key: reader.pool(e, reps, queues) for e in found["pools"].pairs()} if "pools" in found else {}
    unowned = (node.text() for node in found["unowned"].each()) if "unowned" in found else ()
    return Team(
        reps=reps,
        pools=pools,
        queues=queues,
        unowned=frozenset(text.casefold() if "@" in text else text for text in unowned),
        hours=hours,
        managers=_managers(found["managers"], pools) if "managers" in found else {},
    )


def _managers(node: Node, pools: Mapping[str, Pool]) -> dict[str, str]:
    managers: dict[str, str] = {}
    for entry in node.pairs():
        if entry.key not in pools:
            node.error(f"unknown pool '{entry.key}'{did_you_mean(entry.key, pools)}", at=entry.name, code="E02")
        managers[entry.key] = entry.node.read(_email, "")
    return managers


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads what keeps hours."""

    hours: Mapping[str, Hours]

    def _hours(self, found: Mapping[str, Node]) -> str | None:
        known = partial(known_name, names=self.hours, what="hours")
        return found["hours"].read(known, "") if "hours" in found else None

    # -- reps

    def reps(self, node: Node) -> dict[str, Rep]:
        reps: dict[str, Rep] = {}
        backups: dict[str, Node] = {}
        ids: dict[tuple[str, str], str] = {}
        for entry in node.pairs():
            email = entry.name.read(_email, "")
            found = entry.node.fields("name", "hubspot", "salesforce", "hours", "status", "away", "backup")
            given = {crm: found[crm].text() for crm in ("hubspot", "salesforce") if crm in found}
            for crm, owner in given.items():
                first = ids.setdefault((crm, owner), email)
                if first != email:
                    found[crm].error(f"'{owner}' is already the owner id of {first}")
            if email in reps:
                entry.name.error(f"'{entry.key}' is here twice (upper and lower case mean the same)")
            if "backup" in found:
                backups[email] = found["backup"]
            away = [one.read(parse_away, None) for one in found["away"].each()] if "away" in found else []
            reps[email] = Rep(
                email=email,
                name=found["name"].text() if "name" in found else email,
                hubspot=given.get("hubspot"),
                salesforce=given.get("salesforce"),
                left="status" in found and found["status"].choice(("active", "left")) == "left",
                hours=self._hours(found),
                away=tuple(one for one in away if one is not None),
            )
        for email, backup in backups.items():
            reps[email] = replace(reps[email], backup=backup.read(partial(_backup, of=email, reps=reps), None))
        return reps

    # -- queues

    def queue(self, entry: Entry) -> Queue:
        found = entry.node.fields("hubspot", "salesforce", "tell", "alarm_after", "hours")
        given = {crm: found[crm].text() for crm in ("hubspot", "salesforce") if crm in found}
        names = {crm: None if text == "none" else text for crm, text in given.items()}
        none: Delay | None = None
        return Queue(
            name=entry.key,
            hubspot=names.get("hubspot"),
            salesforce=names.get("salesforce"),
            tell=found["tell"].read(_email, "") if "tell" in found else None,
            alarm_after=found["alarm_after"].read(parse_working_time, none) if "alarm_after" in found else None,
            hours=self._hours(found),
        )

    # -- pools

    def pool(self, entry: Entry, reps: Mapping[str, Rep], queues: Mapping[str, Queue]) -> Pool:
        found = entry.node.fields(*("method", "hours", "nobody_free", "catch_up", "reps"), required=("method", "reps"))
        if entry.node.kind is Kind.MAPPING and "nobody_free" not in found:
            entry.node.under(f"{entry.node.path}.nobody_free").error("this key is missing", code="E01")
        members = _pool_reps(found["reps"], reps) if "reps" in found else ()
        if "reps" in found and not any(m.email in reps and not reps[m.email].left for m in members):
            said = "E05: no rep of this pool can take anybody: its nobody_free is used"
            found["reps"].warn(said, at=entry.name, code="E05")
        nobody = NobodyFree(queue="")
        return Pool(
            name=entry.key,
            method=found["method"].read(_method, PoolMethod.EVEN) if "method" in found else PoolMethod.EVEN,
            nobody_free=found["nobody_free"].read(partial(_nobody_free, queues=queues), nobody)
            if "nobody_free" in found
            else nobody,
            reps=members,
            hours=self._hours(found),
            catch_up="catch_up" in found and found["catch_up"].read(_yes_or_no, False),
        )


def _backup(text: str, *, of: str, reps: Mapping[str, Rep]) -> str | None:
    email = _email(text)
    if email == of:
        raise Unreadable(f"'{text}' cannot be their own backup", code="E05")
    if email not in reps:
        near = did_you_mean(email, [name for name in reps if name != of])
        raise Unreadable(f"'{text}' is not in reps{near}", code="E02")
    return email


def _method(text: str) -> PoolMethod:
    if text not in tuple(PoolMethod):
        raise Unreadable(f"unknown method '{text}'{did_you_mean(text, PoolMethod) or ': weighted, even or least open'}")
    return PoolMethod(text)


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise Unreadable(f"'{text}': write yes or no")
    return text == "yes"


def _nobody_free(text: str, *, queues: Mapping[str, Queue]) -> NobodyFree:
    """``queue inbound``, ``wait 2 working hours then queue inbound``, ``assign anyway else queue inbound``."""
    text = " ".join(text.split())
    if text.startswith("wait "):
        span, then, name = text.removeprefix("wait ").partition(" then queue ")
        if not then:
            raise Unreadable(f"'{text}': a wait ends with 'then queue ...'", code="E06")
        wait = parse_delay(span)
        return NobodyFree(queue=known_name(name, queues, "queue"), wait=wait)
    if text.startswith("assign anyway"):
        rest, _, name = text.partition(" else queue ")
        if rest != "assign anyway" or not name:
            raise Unreadable(f"'{text}': write 'assign anyway else queue ...'")
        return NobodyFree(queue=known_name(name, queues, "queue"), anyway=True)
    if not text.startswith("queue "):
        options = "'queue ...', 'wait ... then queue ...' or 'assign anyway else queue ...'"
        raise Unreadable(f"'{text}': write {options}")
    return NobodyFree(queue=known_name(text.removeprefix("queue "), queues, "queue"))


def _pool_reps(node: Node, reps: Mapping[str, Rep]) -> tuple[PoolRep, ...]:
    members: dict[str, PoolRep] = {}
    for entry in node.pairs():
        email = entry.key.casefold()
        found = entry.node.fields("weight", *_CAPS)
        if email not in reps:
            node.error(f"'{entry.key}' is not in reps{did_you_mean(email, reps)}", at=entry.name, code="E05")
        if email in members:
            node.error(f"'{entry.key}' is here twice (upper and lower case mean the same)", at=entry.name)
        caps = {key: found[key].read(_cap, None) for key in _CAPS if key in found}
        weight = found["weight"].read(_weight, 100) if "weight" in found else 100
        members[email] = PoolRep(email=email, weight=weight, **caps)
    return tuple(members.values())


def _cap(text: str) -> int | None:
    number = parse_number(text)
    if number == 0:
        raise Unreadable(f"'{text}': a cap of 0 admits nobody: take the rep out of the pool")
    if number != number.to_integral_value() or not 0 < number <= MAX_CAP:
        raise Unreadable(f"'{text}': a whole number from 1 to {MAX_CAP} is wanted here")
    return int(number)


def _weight(text: str) -> int:
    hundredths = parse_number(text) * 100
    if hundredths != hundredths.to_integral_value() or not 0 < hundredths <= MAX_WEIGHT * 100:
        raise Unreadable(f"'{text}': a weight is above 0 with at most 2 decimals")
    return int(hundredths)
