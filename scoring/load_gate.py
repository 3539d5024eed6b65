"""The ``mql`` section: who qualifies, what must be known, who is reviewed, and when an MQL is dropped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

from scoring.conditions import (
    LADDER,
    Condition,
    EventExists,
    EventMatch,
    LabelIn,
    Score,
    ScoreAtLeast,
    ScoreBelow,
    Span,
    alternatives,
)
from scoring.document import Kind, Node, did_you_mean, parse_percent, parse_working_time
from scoring.episodes import Status
from scoring.load_grade import NO_NUMBER, STEPS, Scale
from scoring.load_points import parse_whole
from scoring.load_team import known_name
from scoring.phrases import Names, parse_condition, parse_least, parse_match, together
from scoring.policy import GateLine, Review, Stay
from scoring.team import Delay

__all__ = ["Gate", "read_hand_raise", "read_needs", "read_review", "read_statuses", "read_stay"]

MAX_GATE_LINES = 60
STATUSES = tuple(str(status) for status in Status)
_REVIEW_KEYS = ("sample", "hand_raise_skips", "auto_approve_after", "hours", "if_rejected")


@dataclass(frozen=True, slots=True)
class Gate:
    """Reads conditions over facts, scores and events.

    names   of the section ``mql``
    scales  those of every model the condition is for
    at      where to report what one of them lacks, for a gate that another model takes over
    """

    names: Names
    scales: tuple[Scale, ...]
    at: Node | None = None

    def lines(self, node: Node) -> tuple[GateLine, ...]:
        """``become_when``."""
        entries = node.pairs()
        if node.kind is Kind.MAPPING and not entries:
            node.error("there are no lines: nobody could become an MQL")
        lines = tuple(GateLine(name=e.key, test=self.condition(e.node)) for e in entries)
        if sum(len(alternatives(line.test)) for line in lines) > MAX_GATE_LINES:
            node.error(f"at most {MAX_GATE_LINES} lines; of a line that is a list, every condition of it is one")
        return lines

    def condition(self, node: Node) -> Condition:
        keys: Mapping[str, Callable[[Node, Node], Condition | None]] = {
            "grade": self._cells,
            "fit": partial(self._score, of=Score.FIT),
            "engagement": partial(self._score, of=Score.ENGAGEMENT),
            "total": partial(self._score, of=Score.TOTAL),
            "event": self._event,
            "where": _of_event,
            "within": _of_event,
            "count": _of_event,
        }
        return parse_condition(node, self.names, keys)

    def _error(self, node: Node, message: str) -> None:
        if self.at is None:
            node.error(message)
        elif not any((p.line, p.col, p.message) == (node.line, node.col, message) for p in node.problems):
            self.at.error(f"{message} (line {node.line})")

    # -- labels

    def _labels(self, of: Score) -> Mapping[str, tuple[str, ...]]:
        known: dict[str, tuple[str, ...]] = {}
        for scale in self.scales:
            for label, meant in scale.labels(of).items():
                known[label] = tuple(dict.fromkeys((*known.get(label, ()), *meant)))
        return known

    def _cells(self, _: Node, node: Node) -> Condition | None:
        known = self._labels(Score.GRADE)
        if not known:
            self._error(node, "there is no grade: give grade.fit and grade.engagement")
            return None
        return self._one_of(node, known, Score.GRADE, "grade")

    def _one_of(self, node: Node, known: Mapping[str, tuple[str, ...]], of: Score, what: str) -> Condition:
        listed = node.items if node.kind is Kind.LIST else (node,)
        if not listed:
            node.error("an empty list never matches")
        labels: list[str] = []
        for item in listed:
            label = item.text()
            if label and label not in known and not any(scale.misnamed for scale in self.scales):
                near = did_you_mean(label, known) or f": it is one of {', '.join(known)}"
                self._error(item, f"unknown {what} '{label}'{near}")
            labels += known.get(label, ())
        return LabelIn(of, tuple(dict.fromkeys(labels)))

    def _score(self, _: Node, node: Node, *, of: Score) -> Condition | None:
        thirds = any(scale.thirds for scale in self.scales)
        if of is Score.TOTAL and thirds:
            self._error(node, f"there is no total: {NO_NUMBER}")
            return None
        text = " ".join(node.value.split())
        word, _space, bound = text.partition(" ")
        if bound and word in ("from", "below"):
            return self._steps(node, word, bound) if of is Score.FIT and thirds else _whole(node, word, of)
        known = self._labels(of)
        if not known:
            where = "grade.total.bands" if of is Score.TOTAL else f"grade.{of}"
            self._error(node, f"{of} has no labels: give {where}, or write 'from ...'")
            return None
        return self._one_of(node, known, of, f"{of} label")

    def _steps(self, node: Node, word: str, bound: str) -> Condition | None:
        """``from B-``: on the ladder a bare letter is the step of that name."""
        if bound not in LADDER:
            near = did_you_mean(bound, LADDER) or ": write 'from B-'"
            self._error(node, f"'{word} {bound}': {NO_NUMBER}{near}")
            return None
        at = STEPS.labels.index(bound)
        labels = STEPS.labels[: at + 1] if word == "from" else STEPS.labels[at + 1 :]
        if not labels:
            self._error(node, f"nothing is below '{bound}', the lowest step")
            return None
        return LabelIn(Score.FIT, labels)

    # -- events

    def _event(self, line: Node, node: Node) -> Condition | None:
        match = parse_match(node, line.get("where"), self.names)
        within, count = line.get("within"), line.get("count")
        if within is not None and count is not None:
            count.error("either 'within' or 'count: at least N in DAYS', not both")
        if count is not None:
            n, window = count.read(parse_least, (1, Span(1)))
            return EventExists(match, window, n)
        return EventExists(match, within.days() if within is not None else None)


def _of_event(line: Node, node: Node) -> Condition | None:
    if line.get("event") is None:
        node.error("this belongs to an event: name it with 'event'")
    return None


def _whole(node: Node, word: str, of: Score) -> Condition:
    value = node.read(lambda text: parse_whole(text.split(None, 1)[1]), 0)
    return ScoreAtLeast(of, value) if word == "from" else ScoreBelow(of, value)


# -- the other keys ----------------------------------------------------------------------------------------------


def read_hand_raise(node: Node, names: Names) -> EventMatch:
    """What counts as asking for sales: matchers of which any suffices."""
    matches: list[EventMatch] = []
    for item in node.each():
        found = item.fields("event", "where", required=("event",))
        if "event" in found:
            matches.append(parse_match(found["event"], found.get("where"), names))
    if node.kind is Kind.LIST and not node.items:
        node.error("an empty list never matches")
    return together(matches) if matches else EventMatch(())


def read_needs(node: Node, names: Names) -> tuple[str, ...]:
    """Facts that must be known."""
    needs: dict[str, Node] = {}
    for item in node.each():
        name = item.text()
        if name and not names.cannot_know(name):
            item.read(names.fact, None)
        if name in needs:
            item.error(f"'{name}' is already needed on line {needs[name].line}")
        needs.setdefault(name, item)
    if len(needs) > MAX_GATE_LINES:
        node.error(f"at most {MAX_GATE_LINES} facts")
    return tuple(name for name in needs if name)


def read_statuses(node: Node) -> frozenset[str]:
    return frozenset(item.choice(STATUSES, "status") for item in node.each())


def read_stay(node: Node, gate: Gate) -> Stay | None:
    found = node.fields("at_least", "drop_when", "never_drop_in", required=("at_least", "drop_when"))
    if "drop_when" not in found:
        return None
    drop_when = found["drop_when"]
    if drop_when.kind is not Kind.MAPPING:
        drop_when.error("a mapping is wanted here: {engagement: below 20, for: 7 days}")
        return None
    lasting = drop_when.get("for")
    if lasting is None:
        drop_when.under(f"{drop_when.path}.for").error("this key is missing")
    return Stay(
        drop_when=gate.condition(drop_when.without("for")),
        lasting=lasting.days() if lasting is not None else Span(1),
        at_least=found["at_least"].days() if "at_least" in found else Span(1),
        never_drop_in=read_statuses(found["never_drop_in"]) if "never_drop_in" in found else frozenset(),
    )


def read_review(node: Node, gate: Gate, *, hours: Collection[str] | None, reasons: Collection[str]) -> Review:
    """``hours``: the calendars of team.yaml, None when nothing is known of them; ``reasons``: those of recycle."""
    found = {e.key: e.node for e in node.pairs() if e.key in _REVIEW_KEYS}
    lines: list[GateLine] = []
    for entry in node.entries:
        if entry.key in _REVIEW_KEYS:
            continue
        near = did_you_mean(entry.key, _REVIEW_KEYS) if entry.node.kind is Kind.TEXT else ""
        if near:
            entry.name.error(f"unknown key{near}")
        else:
            lines.append(GateLine(name=entry.key, test=gate.condition(entry.node)))
    if len(lines) > MAX_GATE_LINES:
        node.error(f"at most {MAX_GATE_LINES} lines")
    if "auto_approve_after" in found and "hours" not in found:
        node.under(f"{node.path}.hours").error("this key is missing: auto_approve_after is counted in it")
    none: Delay | None = None
    calendar = partial(known_name, names=hours, what="hours")
    reason = partial(known_name, names=reasons, what="reason")
    return Review(
        lines=tuple(lines),
        sample=found["sample"].read(parse_percent, 0) if "sample" in found else 0,
        hand_raise_skips=found["hand_raise_skips"].boolean() if "hand_raise_skips" in found else False,
        auto_approve_after=found["auto_approve_after"].read(parse_working_time, none)
        if "auto_approve_after" in found
        else None,
        hours=found["hours"].read(calendar, "") if "hours" in found else None,
        if_rejected=found["if_rejected"].read(reason, "") if "if_rejected" in found else None,
    )
