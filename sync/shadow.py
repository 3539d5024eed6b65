"""A candidate scored beside the policy in use: what it would decide about a run's people. Nothing of it is done.

Both policies decide from the same history, the one the run found, so that what differs is the policy and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from scoring.cards import Scorecard, cards
from scoring.conditions import Score
from scoring.document import PolicyInvalid
from scoring.engine import Engine
from scoring.episodes import Decision
from scoring.near import missing
from scoring.policy import Policy
from scoring.tables import Bucket
from sync.rules import RuleFiles, Rules, in_memory
from sync.store import versions
from sync.store.db import Store, StoreError
from sync.store.decisions import PersonState
from sync.store.versions import ShadowRow, ShadowRunRow

__all__ = ["Beside", "Judge", "beside", "cannot_shadow"]

BIN = 10
"""Points in one bar of a histogram."""

NAMED = 25
"""People of each kind who are listed; the others are counted."""

TOGETHER = 2000
"""People whose history is in memory at once."""

Judge = Callable[[Policy, Sequence[Scorecard]], Iterator[tuple[PersonState, Decision]]]
"""What a policy decides about these people, from the history before this run."""


def cannot_shadow(candidate: Rules, live: Policy, fields_hash: str) -> str | None:
    """Why a candidate cannot be scored on the facts that the policy in use has gathered; None when it can.

    They were read, derived and dated by the configuration in use.
    """
    new = candidate.policy
    if candidate.fields.hash != fields_hash:
        return "its fields.yaml is not the one in use, and what that maps has not been read from the CRMs"
    if new.timezone != live.timezone:
        return f"its timezone is {new.timezone}, but the days of all events are those of {live.timezone}"
    if new.free_mail != live.free_mail:
        return "its list free_mail is another one, but company domains were derived with the one in use"
    return None


class ClosingEngine(Engine, Protocol):
    """An engine of its own, so that neither policy has to be compiled again for every part of the people."""

    def close(self) -> None: ...


def beside(store: Store, live: Policy, fields_hash: str, *, engine: Callable[[], ClosingEngine]) -> Beside | None:
    """The candidate to be scored with the next run; None when there is none. Close it after the run.

    One that cannot be used any more is told by `Beside.trouble`.
    """
    with store.read() as tx:
        row = versions.current_shadow(tx)
    if row is None:
        return None
    files = {name: text.encode() for name, text in row.files.items()}
    try:
        rules = RuleFiles((in_memory(files),), f"the candidate {row.version}").rules()
    except (PolicyInvalid, StoreError) as wrong:
        return Beside(row=row, live=live, trouble=f"it does not load any more: {str(wrong).splitlines()[0]}")
    why = cannot_shadow(rules, live, fields_hash)
    return Beside(row=row, live=live, candidate=rules.policy, engine=engine, trouble=why)


@dataclass(slots=True, kw_only=True)
class Beside:
    """Compares the people of one run as they are scored.

    trouble  why it does not: a candidate never breaks a run
    whole    everybody is compared; finished: the run has decided, and there is no more to compare
    """

    row: ShadowRow
    live: Policy
    candidate: Policy | None = None
    engine: Callable[[], ClosingEngine] | None = None
    trouble: str | None = None
    whole: bool = False
    finished: bool = False
    found: Comparison = field(default_factory=lambda: Comparison())
    _opened: ClosingEngine | None = None

    def compare(
        self, scored: pa.Table, bucket: Bucket, day: date, *, only: frozenset[str] | None, judge: Judge
    ) -> None:
        """Score the same people under the candidate. ``scored``: their scorecards under the policy in use, sorted."""
        if self.finished or self.trouble is not None or self.candidate is None or self.engine is None:
            return
        self.whole = only is None
        try:
            self._opened = self._opened or self.engine()
            theirs = self._opened.score(self.candidate, bucket, day, only=only).sort_by("person_id")
            self.found.add(scored, theirs, self.live, self.candidate, judge)
        except Exception as error:  # noqa: BLE001  # whatever a candidate does, the run goes on
            self.trouble = f"{type(error).__name__} while it was scored"

    def close(self) -> None:
        """Let go of the engine."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def report(self, store: Store, *, run_id: str, as_of: datetime) -> str | None:
        """Keep what was found. Returns a warning where there is one."""
        if self.trouble is not None:
            return f"the shadow {self.row.version} was not compared: {self.trouble}"
        if self.finished and self.found.people:
            with store.write() as tx:
                versions.save_shadow_run(
                    tx,
                    ShadowRunRow(
                        run_id=run_id,
                        shadow_id=self.row.id,
                        live_version=self.live.version,
                        as_of=as_of,
                        whole=self.whole,
                        people=self.found.people,
                        body=self.found.as_json(),
                    ),
                )
        return None


@dataclass(slots=True)
class Comparison:
    """What differs, added up part by part.

    differ       people whose status, or whose episode, would be another
    become       who would become an MQL and does not; stop: who becomes or is one, and would not
    not_let_in   people in an open episode whom the policy in use would let in again today and the candidate would not
    opened       new episodes under each of the two
    """

    people: int = 0
    differ: int = 0
    not_let_in: int = 0
    opened: list[int] = field(default_factory=lambda: [0, 0])
    become: list[dict[str, Any]] = field(default_factory=list)
    stop: list[dict[str, Any]] = field(default_factory=list)
    statuses: Counter[tuple[str, str]] = field(default_factory=Counter)
    grades: Counter[tuple[str, str]] = field(default_factory=Counter)
    histograms: dict[Score, dict[int, list[int]]] = field(
        default_factory=lambda: {Score.FIT: {}, Score.ENGAGEMENT: {}, Score.TOTAL: {}}
    )

    def add(self, ours: pa.Table, theirs: pa.Table, live: Policy, candidate: Policy, judge: Judge) -> None:
        """One part of the people, under both policies, in the same order."""
        self.people += ours.num_rows
        for score, bars in self.histograms.items():
            for side, table in enumerate((ours, theirs)):
                for start, n in _bars(table[score]):
                    bars.setdefault(start, [0, 0])[side] += n
        for before, after, n in _moves(ours["grade"], theirs["grade"]):
            self.grades[before, after] += n
        doubt = _in_doubt(ours, theirs, live, candidate)
        ours, theirs = ours.filter(doubt), theirs.filter(doubt)
        for start in range(0, ours.num_rows, TOGETHER):
            mine, other = (list(cards(table.slice(start, TOGETHER))) for table in (ours, theirs))
            judged = zip(judge(live, mine), judge(candidate, other), strict=True)
            for card, theirs_card, ((person, now), (_, then)) in zip(mine, other, judged, strict=True):
                self._judged(person, (card, now), (theirs_card, then), candidate)

    def _judged(
        self,
        person: PersonState,
        now: tuple[Scorecard, Decision],
        then: tuple[Scorecard, Decision],
        candidate: Policy,
    ) -> None:
        decided, would = now[1], then[1]
        opens, would_open = _opens(decided), _opens(would)
        self.opened[0] += opens
        self.opened[1] += would_open
        if person.open_episode is not None and _gate(now[0]) and not _gate(then[0]):
            self.not_let_in += 1
        closes = would.closes is not None and decided.closes is None
        if decided.status == would.status and opens == would_open and decided.closes == would.closes:
            return
        self.differ += 1
        self.statuses[decided.status, would.status] += 1
        if would_open and not opens:
            self.become.append(_told(person, now[0], then[0], would.reason))
        elif closes or (opens and not would_open):
            why = would.closes if closes else _why_not(then[0], candidate)
            self.stop.append(_told(person, now[0], then[0], why))

    def as_json(self) -> dict[str, Any]:
        """Counts, the first people by total, and everything that moved."""
        return {
            "differ": self.differ,
            "become": _listed(self.become),
            "stop": _listed(self.stop),
            "not_let_in": self.not_let_in,
            "opened": self.opened,
            "statuses": _counted(self.statuses),
            "grades": _counted(self.grades),
            "histograms": {
                str(score): [[start, *bars[start]] for start in sorted(bars)] for score, bars in self.histograms.items()
            },
        }


def _in_doubt(ours: pa.Table, theirs: pa.Table, live: Policy, candidate: Policy) -> pa.ChunkedArray:
    """Who may be decided differently: a status follows from these columns, whatever the points are."""
    same = pc.fill_null(pc.equal(ours["suppressed"], theirs["suppressed"]), False)
    both = pc.and_(pc.is_null(ours["suppressed"]), pc.is_null(theirs["suppressed"]))
    doubt = pc.invert(pc.or_(same, both))
    for table, policy in ((ours, live), (theirs, candidate)):
        doubt = pc.or_(doubt, pc.not_equal(table["lines"], 0))
        doubt = pc.or_(doubt, pc.fill_null(table["drop"], False))
        if policy.nurture is not None and policy.nurture.near_within is not None:
            doubt = pc.or_(doubt, pc.not_equal(table["reach"], 0))
    return doubt


def _bars(points: pa.ChunkedArray) -> Iterator[tuple[int, int]]:
    """(lower bound, people) of each bar that has any."""
    starts = pc.cast(pc.multiply(pc.floor(pc.divide(pc.cast(points, pa.float64()), BIN)), BIN), pa.int64())
    for one in pc.value_counts(starts):
        yield one["values"].as_py(), one["counts"].as_py()


def _moves(before: pa.ChunkedArray, after: pa.ChunkedArray) -> Iterator[tuple[str, str, int]]:
    pairs = pa.table({"before": before, "after": after}).filter(pc.not_equal(before, after))
    for row in pairs.group_by(["before", "after"]).aggregate([([], "count_all")]).to_pylist():
        yield row["before"], row["after"], row["count_all"]


def _opens(decision: Decision) -> bool:
    return decision.opens is not None and not decision.opens.adopted


def _gate(card: Scorecard) -> bool:
    return card.suppressed is None and bool(card.lines)


def _why_not(card: Scorecard, policy: Policy) -> str:
    if card.suppressed is not None:
        return f"suppressed: {card.suppressed}"
    return missing(policy, card) or "no line of become_when is true"


def _told(person: PersonState, now: Scorecard, then: Scorecard, why: str | None) -> dict[str, Any]:
    """No name and no address: whoever reads it looks them up."""
    return {
        "person_id": person.person_id,
        "grades": [now.grade, then.grade],
        "totals": [now.total, then.total],
        "why": why or "",
    }


def _listed(people: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    best = sorted(people, key=lambda one: (-max(one["totals"]), one["person_id"]))
    return {"count": len(people), "first": best[:NAMED]}


def _counted(moves: Counter[tuple[str, str]]) -> list[list[Any]]:
    return [[before, after, n] for (before, after), n in sorted(moves.items(), key=lambda pair: (-pair[1], pair[0]))]
