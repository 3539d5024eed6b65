"""team.yaml: the reps, pools and queues as types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial

from scoring.document import Entry, Node, Unreadable, did_you_mean, parse_number
from scoring.team import NobodyFree, Pool, PoolMethod, PoolRep, Queue, Rep, Team

__all__ = ["check_version", "known_name", "read_team"]

MAX_WEIGHT = 10_000


def check_version(root: Node) -> None:
    """Every file says the version of the language it is written in."""
    node = root.get("version")
    if node is not None and node.text() not in ("", "1"):
        node.error(f"'{node.value}': the version of this language is 1")


def _email(text: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", text):
        raise Unreadable(f"'{text}' is not an e-mail address")
    return text.casefold()


def read_team(root: Node) -> Team:
    """The team. Errors are in ``root.problems``."""
    found = root.fields(
        "version", "reps", "pools", "queues", "unowned", required=("version",), later=("hours", "managers")
    )
    check_version(root)
    reps = _reps(found["reps"]) if "reps" in found else {}
    queues = {e.key: _queue(e) for e in found["queues"].pairs()} if "queues" in found else {}
    pools = {e.key: _pool(e, reps, queues) for e in found["pools"].pairs()} if "pools" in found else {}
    unowned = (node.text() for node in found["unowned"].each()) if "unowned" in found else ()
    return Team(
        reps=reps,
        pools=pools,
        queues=queues,
        unowned=frozenset(text.casefold() if "@" in text else text for text in unowned),
    )


def _reps(node: Node) -> dict[str, Rep]:
    reps: dict[str, Rep] = {}
    ids: dict[tuple[str, str], str] = {}
    for entry in node.pairs():
        email = entry.name.read(_email, "")
        found = entry.node.fields("name", "hubspot", "salesforce", "status", later=("hours", "away", "backup"))
        given = {crm: found[crm].text() for crm in ("hubspot", "salesforce") if crm in found}
        for crm, owner in given.items():
            first = ids.setdefault((crm, owner), email)
            if first != email:
                found[crm].error(f"'{owner}' is already the owner id of {first}")
        if email in reps:
            entry.name.error(f"'{entry.key}' is here twice (upper and lower case mean the same)")
        reps[email] = Rep(
            email=email,
            name=found["name"].text() if "name" in found else email,
            hubspot=given.get("hubspot"),
            salesforce=given.get("salesforce"),
            left="status" in found and found["status"].choice(("active", "left")) == "left",
        )
    return reps


def _queue(entry: Entry) -> Queue:
    found = entry.node.fields("hubspot", "salesforce", later=("tell", "alarm_after", "hours"))
    given = {crm: found[crm].text() for crm in ("hubspot", "salesforce") if crm in found}
    names = {crm: None if text == "none" else text for crm, text in given.items()}
    return Queue(name=entry.key, hubspot=names.get("hubspot"), salesforce=names.get("salesforce"))


def _pool(entry: Entry, reps: Mapping[str, Rep], queues: Mapping[str, Queue]) -> Pool:
    found = entry.node.fields(
        "method", "nobody_free", "reps", required=("method", "nobody_free", "reps"), later=("hours", "catch_up")
    )
    members = _pool_reps(found["reps"], reps) if "reps" in found else ()
    if "reps" in found and not any(m.email in reps and not reps[m.email].left for m in members):
        found["reps"].warn("E05: no rep of this pool can take anybody: its nobody_free is used", at=entry.name)
    return Pool(
        name=entry.key,
        method=found["method"].read(_method, PoolMethod.EVEN) if "method" in found else PoolMethod.EVEN,
        nobody_free=found["nobody_free"].read(partial(_nobody_free, queues=queues), NobodyFree(queue=""))
        if "nobody_free" in found
        else NobodyFree(queue=""),
        reps=members,
    )


def _method(text: str) -> PoolMethod:
    if text == "least open":
        raise Unreadable("'least open' is not supported by this version yet")
    if text not in tuple(PoolMethod):
        methods = (*PoolMethod, "least open")
        raise Unreadable(f"unknown method '{text}'{did_you_mean(text, methods) or ': weighted or even'}")
    return PoolMethod(text)


def _nobody_free(text: str, *, queues: Mapping[str, Queue]) -> NobodyFree:
    text = " ".join(text.split())
    if text.startswith("wait "):
        if " then queue " not in text:
            raise Unreadable(f"'{text}': a wait ends with 'then queue ...'")
        raise Unreadable("'wait' is not supported by this version yet: write 'queue ...'")
    if text.startswith("assign anyway"):
        raise Unreadable("'assign anyway' is not supported by this version yet: write 'queue ...'")
    if not text.startswith("queue "):
        raise Unreadable(f"'{text}': a queue is wanted here: write 'queue ...'")
    return NobodyFree(queue=known_name(text.removeprefix("queue "), queues, "queue"))


def known_name(name: str, names: Iterable[str], what: str) -> str:
    """``name`` if it is one of ``names``, else `Unreadable` with the nearest."""
    names = tuple(names)
    if name not in names:
        raise Unreadable(f"unknown {what} '{name}'{did_you_mean(name, names)}")
    return name


def _pool_reps(node: Node, reps: Mapping[str, Rep]) -> tuple[PoolRep, ...]:
    members: dict[str, PoolRep] = {}
    for entry in node.pairs():
        email = entry.key.casefold()
        found = entry.node.fields("weight", later=("per_day", "per_week", "open"))
        if email not in reps:
            node.error(f"'{entry.key}' is not in reps{did_you_mean(email, reps)}", at=entry.name)
        if email in members:
            node.error(f"'{entry.key}' is here twice (upper and lower case mean the same)", at=entry.name)
        members[email] = PoolRep(email=email, weight=found["weight"].read(_weight, 100) if "weight" in found else 100)
    return tuple(members.values())


def _weight(text: str) -> int:
    hundredths = parse_number(text) * 100
    if hundredths != hundredths.to_integral_value() or not 0 < hundredths <= MAX_WEIGHT * 100:
        raise Unreadable(f"'{text}': a weight is above 0 with at most 2 decimals")
    return int(hundredths)
