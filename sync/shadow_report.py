"""What a shadow has found so far, as a document and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from typing import Any

from sqlalchemy import Connection, select

from sync.report import bar
from sync.store import schema, versions
from sync.store.versions import ShadowRow, ShadowRunRow

__all__ = ["shadow_document", "shadow_lines"]

TREND = 30
"""Runs over everybody in the trend."""


def shadow_document(tx: Connection) -> dict[str, Any] | None:
    """The candidate and what its runs found: the newest over everybody, those since, the trend. None: there is none."""
    row = versions.last_shadow(tx)
    if row is None:
        return None
    found = versions.shadow_runs(tx, row.id)
    whole = [run for run in found if run.whole]
    newest = whole[0] if whole else None
    since = [run for run in found if not run.whole and (newest is None or run.as_of >= newest.as_of)]
    return {
        "candidate": _candidate(row),
        "everybody": _run(tx, newest) if newest is not None else None,
        "since": [_run(tx, run) for run in since],
        "trend": [
            {
                "as_of": _iso(run.as_of),
                "live": run.live_version,
                "people": run.people,
                "differ": run.body["differ"],
                "become": run.body["become"]["count"],
                "stop": run.body["stop"]["count"],
            }
            for run in reversed(whole[:TREND])
        ],
    }


def _candidate(row: ShadowRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "version": row.version,
        "note": row.note,
        "who": row.who,
        "at": _iso(row.at),
        "ended_at": _iso(row.ended_at) if row.ended_at is not None else None,
    }


def _run(tx: Connection, run: ShadowRunRow) -> dict[str, Any]:
    body = dict(run.body)
    for kind in ("become", "stop"):
        body[kind] = {**body[kind], "first": _with_names(tx, body[kind]["first"])}
    return {"run": run.run_id, "as_of": _iso(run.as_of), "live": run.live_version, "people": run.people, **body}


def _with_names(tx: Connection, people: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    p = schema.person.c
    ids = [one["person_id"] for one in people]
    found = tx.execute(select(p.person_id, p.email, p.name).where(p.person_id.in_(ids))).all()
    names = {row.person_id: {"email": row.email, "name": row.name} for row in found}
    return [{**one, **names.get(one["person_id"], {"email": None, "name": None})} for one in people]


def _iso(moment: Any) -> str:
    return str(moment.astimezone(UTC).isoformat()).replace("+00:00", "Z")


# -- in words ----------------------------------------------------------------------------------------------------


def shadow_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """For a person at a terminal."""
    candidate, everybody = document["candidate"], document["everybody"]
    ended = f", ended {_short(candidate['ended_at'])}" if candidate["ended_at"] else ""
    note = f": {candidate['note']}" if candidate["note"] else ""
    yield (
        f"{candidate['name']} {candidate['version']} in the shadow since {_short(candidate['at'])}"
        f" by {candidate['who']}{ended}{note}"
    )
    if everybody is None:
        yield "No run has scored everybody since; the first run of a day does."
    else:
        yield from _run_lines(everybody, f"Everybody, run {everybody['run']} of {_short(everybody['as_of'])}")
        yield from _histograms(everybody["histograms"])
    for run in document["since"]:
        if run["differ"]:
            yield from _run_lines(run, f"Who changed, run {run['run']} of {_short(run['as_of'])}")
    if len(document["trend"]) > 1:
        yield "Trend, of runs over everybody:"
        for run in document["trend"]:
            yield (
                f"  {_short(run['as_of'])}  {run['differ']:>6} differ  "
                f"{run['become']:>6} would become MQL  {run['stop']:>6} would not"
            )


def _run_lines(run: Mapping[str, Any], title: str) -> Iterator[str]:
    yield f"{title}, beside {run['live']}: {run['differ']:,} of {run['people']:,} people would stand differently"
    yield f"  new MQLs: {run['opened'][1]:,} instead of {run['opened'][0]:,}"
    for kind, title in (("become", "would become MQL"), ("stop", "would not be MQL")):
        found = run[kind]
        if found["count"]:
            yield f"  {found['count']:,} {title}:"
        for one in found["first"]:
            who = one["name"] or one["email"] or one["person_id"]
            yield f"    {who}  {one['grades'][0]} -> {one['grades'][1]}  {one['why']}"
        if found["count"] > len(found["first"]):
            yield f"    and {found['count'] - len(found['first']):,} more"
    if run["not_let_in"]:
        yield f"  {run['not_let_in']:,} open MQLs would not be let in again, and stay what they are"
    if run["statuses"]:
        yield "  statuses: " + ", ".join(f"{before} -> {after} {n:,}" for before, after, n in run["statuses"])
    if run["grades"]:
        yield "  grades: " + ", ".join(
            f"{before or 'none'} -> {after or 'none'} {n:,}" for before, after, n in run["grades"]
        )


def _histograms(histograms: Mapping[str, Sequence[Sequence[int]]]) -> Iterator[str]:
    for score, bars in histograms.items():
        if all(live == candidate for _, live, candidate in bars):
            continue
        most = max(max(live, candidate) for _, live, candidate in bars)
        yield f"  {score}: people by points, in use and candidate"
        for start, live, candidate in bars:
            yield f"  {start:>5}  {bar(live, most)} {live:,}"
            yield f"         {bar(candidate, most)} {candidate:,}"


def _short(moment: str) -> str:
    return moment[:16].replace("T", " ")
