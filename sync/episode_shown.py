"""The times a person was an MQL, from qualifying to the outcome, and what marketing said, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scoring.episodes import Verdict
from sync.store.decisions import EpisodeRow

__all__ = ["episode_json", "episode_line", "verdict_json", "verdict_line"]

_SHOWN = (
    *("n", "line", "adopted", "opened_at", "approved_at", "approved_by", "assigned_at", "touched_at", "accepted_at"),
    *("closed_at", "outcome", "won_at", "lost_at"),
)


def episode_json(episode: EpisodeRow) -> dict[str, Any]:
    """What became of it when; None for what has not come, or will not."""
    return {name: getattr(episode, name) for name in _SHOWN}


def episode_line(episode: EpisodeRow) -> str:
    """``Episode 1, opened by hot_and_right on 2026-11-25 12:00 UTC: assigned 2026-11-25 12:00, accepted ...``."""
    found = "found in the CRM" if episode.adopted else f"opened by {episode.line}"
    steps = ", ".join(_steps(episode))
    return f"Episode {episode.n}, {found} on {episode.opened_at:%Y-%m-%d %H:%M} UTC{f': {steps}' if steps else ''}"


def _steps(episode: EpisodeRow) -> Iterator[str]:
    times = (
        (f"approved by {episode.approved_by}", episode.approved_at),
        ("assigned", episode.assigned_at),
        ("touched by sales", episode.touched_at),
        ("accepted", episode.accepted_at),
        (f"ended as {episode.outcome}", episode.closed_at),
        ("won", episode.won_at),
        ("lost", episode.lost_at),
    )
    for what, at in sorted((one for one in times if one[1] is not None), key=lambda one: str(one[1])):
        yield f"{what} {at:%Y-%m-%d %H:%M}"


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    return {name: getattr(verdict, name) for name in ("approve", "by", "at", "why")}


def verdict_line(verdict: Verdict) -> str:
    """``rejected by mia at 2026-11-25 12:00 UTC: a partner of ours``."""
    said = "approved" if verdict.approve else "rejected"
    why = f": {verdict.why}" if verdict.why else ""
    return f"{said} by {verdict.by} at {verdict.at:%Y-%m-%d %H:%M} UTC{why}"
