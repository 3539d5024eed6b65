"""What a trial of a policy found, for people and for programs: `sync.whatif` and `sync.backtest`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from scoring.conditions import LADDER
from sync.backtest import LIFTED, Backtest, Judged, Outcome, RuleLift, Share, Side
from sync.report import Bars, Report, Table
from sync.whatif import Bar, Kind, Moved, Pair, WhatIf

__all__ = ["backtest_json", "backtest_report", "whatif_json", "whatif_report"]

NAMES = ("in use", "new")


# -- what if -----------------------------------------------------------------------------------------------------


def whatif_report(found: WhatIf, *, most: int) -> Report:
    """``most``: people that are named of each kind."""
    parts = [_named(str(kind), found.moved[kind], most) for kind in Kind if found.count(kind)]
    if found.lapsed:
        note = "They stay what they are: an open episode is not ended by an edit."
        parts.append(_named("would not be let in again", found.lapsed, most, note))
    return Report(
        title=f"What {found.new.name} {found.new.version} would do instead of {found.live.version}",
        lead=(
            f"As of {found.as_of:%Y-%m-%d %H:%M} UTC, {found.people:,} people. Nothing was changed.",
            ", ".join(f"{kind}: {found.count(kind):,}" for kind in Kind if found.count(kind)) or "Nobody would move.",
        ),
        parts=(
            *parts,
            *(_histogram(score, bars, found.thirds) for score, bars in found.histograms.items() if _differs(bars)),
            Bars(title="People by status", names=NAMES, rows=tuple(_rows(found.statuses))),
            Table(
                title="Grades that move",
                head=("from", "to", "people"),
                rows=tuple((a or "none", b or "none", f"{n:,}") for (a, b), n in found.grades.items()),
                note="" if found.grades else "None.",
            ),
            _loads("Given to whom in this run", "owner", found.owners, "Nobody is given to anybody."),
            _loads("Records this run writes", "records", {" ".join(k): n for k, n in found.writes.items()}, "None."),
            _loads("Tasks this run makes", "in", found.tasks, "None."),
        ),
    )


def _named(title: str, moved: tuple[Moved, ...], most: int, note: str = "") -> Table:
    rest = len(moved) - most
    return Table(
        title=f"{title[:1].upper()}{title[1:]}: {len(moved):,}",
        head=("who", "grade", "status", "owner", "why"),
        rows=tuple(
            (
                one.name or one.email or one.person_id,
                _from_to(one.before.grade, one.after.grade),
                _from_to(one.before.status, one.after.status),
                one.after.owner or "",
                one.after.reason or "",
            )
            for one in moved[:most]
        ),
        note=" ".join(filter(None, (f"And {rest:,} more." if rest > 0 else "", note))),
    )


def _from_to(before: str, after: str) -> str:
    return after if before == after else f"{before or 'none'} -> {after or 'none'}"


def _histogram(score: str, bars: Iterable[Bar], thirds: bool) -> Bars:
    steps = thirds and score == "fit"
    return Bars(
        title=f"People by {score}, {'in steps' if steps else 'in points from'}",
        names=NAMES,
        rows=tuple(
            (LADDER[bar.start] if steps else str(bar.start), bar.people.before, bar.people.after) for bar in bars
        ),
    )


def _differs(bars: Iterable[Bar]) -> bool:
    return any(bar.people.before != bar.people.after for bar in bars)


def _rows(pairs: Mapping[str, Pair]) -> Iterator[tuple[str, int, int]]:
    for name, pair in pairs.items():
        yield name, pair.before, pair.after


def _loads(title: str, what: str, pairs: Mapping[str, Pair], none: str) -> Table:
    return Table(
        title=title,
        head=(what, *NAMES),
        rows=tuple((name, f"{pair.before:,}", f"{pair.after:,}") for name, pair in pairs.items()),
        note="" if pairs else none,
    )


def whatif_json(found: WhatIf) -> dict[str, Any]:
    """Everybody who moves, and every figure of the report."""
    return {
        "as_of": found.as_of,
        "live": asdict(found.live),
        "new": asdict(found.new),
        "people": found.people,
        "moved": {kind.name.lower(): [asdict(one) for one in found.moved.get(kind, ())] for kind in Kind},
        "lapsed": [asdict(one) for one in found.lapsed],
        "grades": [{"from": a, "to": b, "people": n} for (a, b), n in found.grades.items()],
        "histograms": {score: [asdict(bar) for bar in bars] for score, bars in found.histograms.items()},
        "statuses": {name: asdict(pair) for name, pair in found.statuses.items()},
        "owners": {name: asdict(pair) for name, pair in found.owners.items()},
        "writes": [{"crm": c, "object": o, **asdict(pair)} for (c, o), pair in found.writes.items()],
        "tasks": {crm: asdict(pair) for crm, pair in found.tasks.items()},
    }


# -- back-test ---------------------------------------------------------------------------------------------------


def backtest_report(found: Backtest, *, most: int) -> Report:
    """``most``: people that are named, and rules that are listed."""
    days = (found.until - found.since).days + 1
    replayed = f"{days:,} {'day' if days == 1 else 'days'} replayed with what was known on each."
    new, live = found.new, found.live
    return Report(
        title=f"{new.name} {new.version} against {live.version}, {found.since} to {found.until}",
        lead=(
            f"{replayed} New MQLs: {len(new.judged):,} instead of {len(live.judged):,}. {new.standing:,} would have "
            "been MQLs when it began and count nowhere.",
            f"Judged are those at least {found.mature} days old: {new.too_young:,} are too young, in use "
            f"{live.too_young:,}. Who had got there before qualifying is left out of that row.",
            *(f"Everybody was scored every day: {why}" for why in {new.replayed.everybody_because} if why),
        ),
        parts=(
            Bars(title="New MQLs by week", names=NAMES, rows=tuple(_weeks(live, new))),
            _precision("What became of them", "", (("in use", live.precision), ("new", new.precision))),
            _precision("New policy, by grade", "grade", sorted(new.shares(lambda e: [e.grade]).items())),
            _precision("New policy, by gate line", "line", sorted(new.shares(lambda e: e.lines).items())),
            _episodes("Only under the new policy", found.only(new, live), most),
            _episodes("Only under the policy in use", found.only(live, new), most),
            _lifts(found, most),
        ),
    )


def _weeks(live: Side, new: Side) -> Iterator[tuple[str, int, int]]:
    before, after = live.weeks(), new.weeks()
    for week in sorted({*before, *after}):
        yield week.isoformat(), before.get(week, 0), after.get(week, 0)


def _precision(title: str, what: str, groups: Iterable[tuple[str, Mapping[Outcome, Share]]]) -> Table:
    rows = tuple((name, *(_share(shares[outcome]) for outcome in Outcome)) for name, shares in groups)
    return Table(
        title=title,
        head=(what, *(f"{outcome} (of n, 95 %)" for outcome in Outcome)),
        rows=rows,
        note="" if rows else "Nobody qualified.",
    )


def _share(share: Share) -> str:
    if share.value is None or share.interval is None:
        return "nobody to judge"
    low, high = share.interval
    return f"{share.value:.0%} ({share.k:,} of {share.n:,}, {low:.0%} to {high:.0%})"


def _episodes(title: str, judged: tuple[Judged, ...], most: int) -> Table:
    rest = len(judged) - most
    return Table(
        title=f"{title}: {len(judged):,}",
        head=("who", "qualified", "line", "grade", "became"),
        rows=tuple(
            (
                one.name or one.email or one.episode.person_id,
                one.episode.day.isoformat(),
                one.episode.line,
                one.episode.grade,
                one.reached or "",
            )
            for one in judged[:most]
        ),
        note=f"And {rest:,} more." if rest > 0 else "",
    )


def _lifts(found: Backtest, most: int) -> Table:
    known = sorted((one for one in found.lifts if one.lift is not None), key=lambda one: -(one.lift or 0))
    shown = known[:most]
    return Table(
        title=f"Rules on {found.lift_day}: who became {LIFTED} later",
        head=("rule", "it fired for", "the others", "lift"),
        rows=tuple((one.rule, _share(one.fired), _share(one.other), f"{one.lift:.1f}x") for one in shown),
        note=_lift_note(found.lifts, known, shown),
    )


def _lift_note(lifts: tuple[RuleLift, ...], known: list[RuleLift], shown: list[RuleLift]) -> str:
    silent, hidden = len(lifts) - len(known), len(known) - len(shown)
    said = (
        f"And {hidden:,} more." if hidden else "",
        f"{silent:,} rules fired for nobody, or nobody else got there." if silent else "",
    )
    return " ".join(filter(None, said))


def backtest_json(found: Backtest) -> dict[str, Any]:
    """Every episode, day, share and rule."""
    return {
        "since": found.since,
        "until": found.until,
        "mature_days": found.mature,
        "new": _side_json(found.new),
        "live": _side_json(found.live),
        "lift_day": found.lift_day,
        "lifts": [
            {
                "rule": one.rule,
                "group": one.group,
                "dimension": one.dimension,
                "fired": one.fired.as_json(),
                "other": one.other.as_json(),
                "lift": None if one.lift is None else round(one.lift, 3),
            }
            for one in found.lifts
        ],
    }


def _side_json(side: Side) -> dict[str, Any]:
    return {
        "name": side.name,
        "version": side.version,
        "standing": side.standing,
        "too_young": side.too_young,
        "everybody_because": side.replayed.everybody_because,
        "precision": {outcome: share.as_json() for outcome, share in side.precision.items()},
        "weeks": {week.isoformat(): n for week, n in side.weeks().items()},
        "days": [asdict(day) for day in side.replayed.days],
        "episodes": [
            {
                **asdict(one.episode),
                "email": one.email,
                "name": one.name,
                "reached": one.reached,
                "before": one.before,
                "mature": one.mature,
            }
            for one in side.judged
        ],
    }
