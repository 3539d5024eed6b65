"""The sections ``recycle``, ``nurture`` and ``sla``: what becomes of people whom sales has not taken on."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import partial

from scoring.document import Entry, Kind, Node, Unreadable, parse_working_time
from scoring.load_gate import read_statuses
from scoring.load_routing import Targets
from scoring.load_team import known_name
from scoring.phrases import parse_limit
from scoring.policy import Nurture, Reason, Recycle, Sla, Target, TargetKind
from scoring.team import Delay

__all__ = ["read_nurture", "read_recycle", "read_sla"]

MAX_POINTS = 1_000_000
MAX_CHANGES = 100


def read_recycle(node: Node, *, tracks: Collection[str]) -> Recycle:
    found = node.fields("reasons", "no_reason", "hand_raise_skips_wait", "at_most", required=("reasons",))
    reasons = tuple(_reason(entry, tracks) for entry in found["reasons"].pairs()) if "reasons" in found else ()
    if "reasons" in found and found["reasons"].kind is Kind.MAPPING and not reasons:
        found["reasons"].error("there are no reasons")
    known = partial(known_name, names=[reason.name for reason in reasons], what="reason")
    return Recycle(
        reasons=reasons,
        no_reason=found["no_reason"].read(known, "") if "no_reason" in found else None,
        hand_raise_skips_wait=found["hand_raise_skips_wait"].boolean() if "hand_raise_skips_wait" in found else False,
        at_most=found["at_most"].read(parse_limit, None) if "at_most" in found else None,
    )


def _reason(entry: Entry, tracks: Collection[str]) -> Reason:
    found = entry.node.fields("wait", "fresh_points", "nurture", "never", "send_to")
    never = "never" in found and found["never"].boolean()
    review = "send_to" in found and found["send_to"].choice(("review",)) == "review"
    alone = "never" if never else "send_to" if review else None
    for key in found if alone is not None else ():
        if key not in (alone, "never"):
            found[key].error(f"'{key}' cannot be used with '{alone}'")
    if entry.node.kind is Kind.MAPPING and alone is None and not found.keys() & {"wait", "fresh_points"}:
        entry.node.error("say what follows: wait, fresh_points, never: true or send_to: review", at=entry.name)
    track = partial(known_name, names=tracks, what="track")
    return Reason(
        name=entry.key,
        wait=found["wait"].days() if "wait" in found else None,
        fresh_points=found["fresh_points"].integer(1, MAX_POINTS) if "fresh_points" in found else None,
        nurture=found["nurture"].read(track, "") if "nurture" in found else None,
        never=never,
        send_to_review=review,
    )


def _tracks(node: Node) -> tuple[str, ...]:
    tracks: dict[str, Node] = {}
    for item in node.each():
        name = item.text()
        if name in tracks:
            item.error(f"'{name}' is already on line {tracks[name].line}")
        tracks.setdefault(name, item)
    if node.kind is Kind.LIST and not node.items:
        node.error("there are no tracks")
    return tuple(tracks)


def read_nurture(node: Node) -> Nurture:
    found = node.fields("tracks", "near_mql", "faded", "pause_in", required=("tracks",))
    tracks = _tracks(found["tracks"]) if "tracks" in found else ()
    near = found["near_mql"].fields("within", "track", required=("within",)) if "near_mql" in found else {}
    track = partial(known_name, names=tracks, what="track")
    return Nurture(
        tracks=tracks,
        near_within=near["within"].read(_points, 1) if "within" in near else None,
        near_track=near["track"].read(track, "") if "track" in near else None,
        faded=found["faded"].read(track, "") if "faded" in found else None,
        pause_in=read_statuses(found["pause_in"]) if "pause_in" in found else frozenset(),
    )


def _points(text: str) -> int:
    """``15 points``."""
    found = re.fullmatch(r"([0-9]{1,7}) +points?", text)
    if found is None or not 1 <= int(found[1]) <= MAX_POINTS:
        raise Unreadable(f"'{text}': write it like '15 points'")
    return int(found[1])


def read_sla(node: Node, targets: Targets) -> Sla:
    found = node.fields("first_touch", "reassign_after", "give_up_after", "then", required=("first_touch",))
    none: Delay | None = None
    first = found["first_touch"].read(parse_working_time, none) if "first_touch" in found else None
    again = found["reassign_after"].read(parse_working_time, none) if "reassign_after" in found else None
    if first is not None and again is not None and again.minutes <= first.minutes:
        found["reassign_after"].error("reassign_after must be longer than first_touch", code="E06")
    if "give_up_after" in found and "reassign_after" not in found:
        found["give_up_after"].error("nobody is reassigned without 'reassign_after'")
    if "give_up_after" in found and "then" not in found:
        node.under(f"{node.path}.then").error("this key is missing: the queue after 'give_up_after'")
    if "then" in found and "give_up_after" not in found:
        found["then"].error("'then' comes after 'give_up_after', which is missing")
    return Sla(
        first_touch=first or Delay(minutes=1, working=True),
        reassign_after=again,
        give_up_after=found["give_up_after"].read(_changes, 1) if "give_up_after" in found else None,
        then=found["then"].read(partial(_queue, targets=targets), None) if "then" in found else None,
    )


def _changes(text: str) -> int:
    """``2 reassignments``."""
    found = re.fullmatch(r"([0-9]{1,3}) +reassignments?", text)
    if found is None:
        raise Unreadable(f"'{text}': write it like '2 reassignments'")
    if not 1 <= int(found[1]) <= MAX_CHANGES:
        raise Unreadable(f"'{text}': from 1 to {MAX_CHANGES} reassignments")
    return int(found[1])


def _queue(text: str, *, targets: Targets) -> Target | None:
    target = targets.parse(text)
    if target.kind is not TargetKind.QUEUE:
        raise Unreadable(f"'{text}': a queue is wanted here: write 'queue ...'")
    return target
