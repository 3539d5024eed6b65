"""The stored trace of a routing decision in words: why this rep, and why not that one. Nothing is decided anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from sync.pools import FREE

__all__ = ["trace_lines", "why_not"]

Trace = Mapping[str, Any]

DECIDED_BY: Mapping[str, str] = {
    "share": "the smallest share, which is (assigned + 1/2) / weight",
    "wait": "the longest wait, at equal shares",
    "draw": "a draw by the person's id, at equal shares and waits",
    "the only one free": "being the only one free",
}


def trace_lines(trace: Trace) -> Iterator[str]:
    """Each rule, and each rep of the pool that was drawn from."""
    if "kept" in trace:
        yield "  owned the record already; nobody was drawn"
    if (adopted := trace.get("adopted")) is not None:
        before = (adopted["before"] or "").partition(":")[2] or "nobody"
        yield f"  set by hand in {adopted['from']}; before: {before}"
    if (again := trace.get("again")) is not None:
        yield f"  given again ({again['why']}); before: {again['before'].partition(':')[2]}"
    if (account := trace.get("account")) is not None:
        found = f"by {account['by']}, confidence {account['confidence']:g}"
        yield f"  company.owner of {account['account']} ({account['name'] or 'without a name'}), found {found}"
    for rule in trace.get("rules", ()):
        yield f"  rule {rule['rule']!r}: {_rule_said(rule)}"
        for backup in rule.get("backups", ()):
            yield f"    backup {backup['rep']}: {backup['state']}"
        if (wait := rule.get("wait")) is not None:
            yield f"    {_wait_said(wait, over='to' in rule)}"
    if (drawn := trace.get("pool")) is not None:
        yield from _drawn_lines(drawn)


def _rule_said(rule: Trace) -> str:
    if not rule["true"]:
        because = f"; {rule['because']}" if rule.get("because") else ""
        return f"no, because not {rule['false']!r} (is {'blank' if rule['found'] is None else rule['found']}{because})"
    if "away" in rule:
        return f"yes, but {rule['away']}" + (f"; instead {rule['to']}" if "to" in rule else "")
    return f"yes, to {rule['to']}" if "to" in rule else "yes, but nobody was free"


def _wait_said(wait: Trace, *, over: bool) -> str:
    if wait["until"] is None:
        return f"these hours never open again, so nobody waits: {wait['then']}"
    verb = "waited" if over else "waits"
    return f"{verb} since {_minute(wait['since'])} until {_minute(wait['until'])}, then {wait['then']}"


def _drawn_lines(drawn: Trace) -> Iterator[str]:
    if "anyway" in drawn:
        yield f"  pool {drawn['pool']}: {drawn['anyway']}"
    for rep in drawn["reps"]:
        mark = ">" if rep["rep"] == drawn["pick"] else " "
        yield f"  {mark} {rep['rep']}: {_standing(rep)}"
    for new in drawn.get("levelled", ()):
        yield f"    {new['rep']} is new or back: from {new['before']} to {new['after']}, level with the others"
    if drawn["pick"] is None:
        yield f"  nobody of pool {drawn['pool']} was free: {drawn['nobody_free']}"
    else:
        yield f"  decided by {DECIDED_BY[drawn['decided_by']]}"


def _standing(rep: Trace) -> str:
    state = "" if rep["state"] == FREE else f"skipped, {rep['state']}; "
    last = f", last {_minute(rep['last'])}" if rep["last"] else ""
    open_now = f"{rep['open']} open, " if "open" in rep else ""
    return (
        f"{state}{open_now}{rep['assigned']} so far, weight {rep['weight']}, "
        f"share {float(Fraction(rep['ratio'])):.3g}{last}"
    )


def _minute(instant: str) -> str:
    return f"{instant[:16].replace('T', ' ')} UTC"


# -- why not -----------------------------------------------------------------------------------------------------


def why_not(trace: Trace, rep: str, owner_key: str | None) -> tuple[str, ...]:
    """What the trace says of a rep, a sentence each; the first is the answer. ``owner_key``: who was decided on."""
    if owner_key == f"rep:{rep}":
        return (f"{rep} has them: {_decided(trace, rep)}",)
    drawn = trace.get("pool")
    row = next((r for r in drawn["reps"] if r["rep"] == rep), None) if drawn is not None else None
    met = tuple(_met(trace, rep))
    if row is not None:
        assert drawn is not None
        return (*_not_drawn(drawn, row), *met)
    return met or (_not_asked(trace, rep),)


def _decided(trace: Trace, rep: str) -> str:
    if "kept" in trace:
        return "they owned the record already"
    if "adopted" in trace:
        return f"set by hand in {trace['adopted']['from']}"
    drawn = trace.get("pool")
    if drawn is not None and drawn["pick"] == rep:
        return f"drawn from pool {drawn['pool']} by {DECIDED_BY[drawn['decided_by']]}"
    return f"rule {trace['rules'][-1]['rule']!r} leads to them"


def _not_drawn(drawn: Trace, row: Trace) -> Iterator[str]:
    if row["state"] != FREE:
        yield f"{row['rep']} was skipped: {row['state']}"
        return
    winner = next(r for r in drawn["reps"] if r["rep"] == drawn["pick"])
    yield f"{row['rep']} was free, but {winner['rep']} came first by {DECIDED_BY[drawn['decided_by']]}"
    for rep in (winner, row):
        yield f"{rep['rep']}: {_standing(rep)}"


def _met(trace: Trace, rep: str) -> Iterator[str]:
    """Where rules named the rep as owner, as a target or as somebody's backup."""
    for rule in trace.get("rules", ()):
        said = str(rule.get("away") or rule.get("because") or "")
        if said.startswith(f"{rep}: "):
            yield f"rule {rule['rule']!r} asked for {rep}, who was not free: {said.removeprefix(f'{rep}: ')}"
        for backup in rule.get("backups", ()):
            if backup["rep"] == rep:
                yield f"rule {rule['rule']!r} asked for {rep} as a backup: {backup['state']}"


def _not_asked(trace: Trace, rep: str) -> str:
    if "kept" in trace or "adopted" in trace:
        return f"{rep} was not asked: somebody owned the record already, and who owns one keeps it"
    drawn = trace.get("pool")
    if drawn is not None:
        return f"{rep} is not in pool {drawn['pool']}, from which it was drawn"
    rules = trace.get("rules", ())
    return f"{rep} was not asked: rule {rules[-1]['rule']!r} decided" if rules else f"{rep} was not asked"
