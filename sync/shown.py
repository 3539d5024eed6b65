"""What people read on a terminal, and the same as JSON: runs, status, parked records, new MQLs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text
from sqlalchemy import func, select

from connectors.records import Rejected
from scoring.document import Problem
from sync.forecast import forecasts
from sync.run import RunReport
from sync.schedule import Schedule
from sync.store import fights, notices, outbox, runs, schema, stops
from sync.store import routing as routing_store
from sync.store.db import Store
from sync.store.outbox import DeadLetter
from sync.store.people import load_owner_names, owner_name
from sync.store.runs import RunRow
from sync.store.sweeps import Drift, newest_sweeps
from sync.told import told_lines, waiting_by_crm

__all__ = [
    "MqlTable",
    "dead_row",
    "dead_table",
    "mql_rows",
    "run_lines",
    "run_row",
    "runs_table",
    "status_document",
    "status_lines",
    "trouble_lines",
]

NEWEST = 50
"""Runs among which one that began is looked for."""

SHOWN_PROBLEMS = 20
"""Problems listed one by one after a run; the rest is counted (`--json` has them all)."""

WHO, OWNER = 20, 14
"""Columns for a name, and the fewest for an owner."""


# -- runs --------------------------------------------------------------------------------------------------------


def run_lines(report: RunReport) -> Iterator[str]:
    """What a run did, in a few lines."""
    counts = report.counts()
    yield f"run {report.run_id} ({report.job}, as of {report.as_of:%Y-%m-%d %H:%M} UTC): {report.state}"
    for stream, drift in report.swept.items():
        yield f"  swept     {stream}: {_drift(drift)}"
    if not report.pulled and not counts["people"]:
        return
    yield f"  pulled    {counts['pulled']} rows: " + ", ".join(
        f"{s} {n}" for s, n in sorted(report.pulled.items()) if n
    )
    statuses = ", ".join(f"{status} {n}" for status, n in sorted(report.decided.statuses.items()))
    yield f"  decided   {counts['people']} people: {statuses or 'nobody'}"
    yield f"  MQLs      {counts['new_mqls']} new, {counts['assigned']} assigned"
    for crm, written in report.written.items():
        yield (
            f"  {crm:<9} {written.written} written, {written.tasks} tasks, {written.found_done} there already, "
            f"{written.rejected_new + written.rejected_known} rejected, {written.unanswered} unanswered, "
            f"{written.conflicts} left to people"
        )
    for finding in report.findings if report.error is None else ():
        yield f"  guard     a run would stop for approval before it writes: {finding.text}"
    calls = ", ".join(f"{crm} {sum(made.values())}" for crm, made in report.calls.items())
    yield f"  calls     {calls or 'none'}"


def _drift(drift: Drift) -> str:
    left = f", {drift.left} not there and left as they are" if drift.left else ""
    return (
        f"{drift.listed} looked at, {drift.missed} missed, {drift.changed} out of date, {drift.gone} gone, "
        f"{drift.links} links mended{left}"
    )


def trouble_lines(report: RunReport) -> Iterator[str]:
    """What went wrong: records listed with their reasons, and what stopped the run."""
    for problem in report.problems[:SHOWN_PROBLEMS]:
        yield f"{problem.ref}: {problem.field}: {problem.reason}"
    if (more := len(report.problems) - SHOWN_PROBLEMS) > 0:
        yield f"... and {more} more values that could not be read; see --json"
    for written in report.written.values():
        alike = _alike(written.rejections)
        for rejections in alike[:SHOWN_PROBLEMS]:
            yield _refused(rejections)
        if (more := sum(map(len, alike[SHOWN_PROBLEMS:]))) > 0:
            yield f"... and {more} more refusals; see `mqlsync dead list`"
    for fight in report.fights[:SHOWN_PROBLEMS]:
        yield str(fight)
    if (more := len(report.fights) - SHOWN_PROBLEMS) > 0:
        yield f"... and {more} more fields that somebody else writes; see `mqlsync status --json`"
    if report.error:
        failed = any(written.failure is not None for written in report.written.values())
        yield report.error + (" What was not written waits and is sent by the next run." if failed else "")


def _alike(rejections: Sequence[Rejected]) -> list[list[Rejected]]:
    """Refusals of one field of one object with one reason stand together, in the order of the first of each."""
    groups: dict[tuple[str, str | None, str, str], list[Rejected]] = {}
    for one in rejections:
        groups.setdefault((one.ref.object, one.field, one.code, one.reason), []).append(one)
    return list(groups.values())


def _refused(rejections: Sequence[Rejected]) -> str:
    first = rejections[0]
    more = f" and {len(rejections) - 1} more" if len(rejections) > 1 else ""
    return f"{first.ref}{more}: {first.field or 'record'}: {first.code}: {first.reason}"


def run_row(row: RunRow) -> dict[str, Any]:
    """One listed run as JSON."""
    return {name: getattr(row, name) for name in RunRow.__slots__}


def runs_table(rows: Sequence[RunRow]) -> Table:
    table = Table(box=None, header_style="bold")
    for name in ("run", "job", "for", "state", "pulled", "written", "new MQLs", "rejected", "time", "by"):
        table.add_column(
            name, justify="right" if name in ("pulled", "written", "new MQLs", "rejected", "time") else "left"
        )
    for row in rows:
        figures = [str(row.counts.get(name, "")) for name in ("pulled", "written", "new_mqls", "rejected")]
        _add(table, row.run_id, row.job, _when(row), _state(row), *figures, _took(row), row.trigger)
    return table


def _add(table: Table, *cells: str) -> None:
    """Cells as they are: a name or a reason in square brackets is no mark-up."""
    table.add_row(*map(Text, cells))


def _when(row: RunRow) -> str:
    """The instant a run is for: its slot, or when somebody asked."""
    return f"{row.slot_at or row.queued_at:%Y-%m-%d %H:%M} UTC"


def _state(row: RunRow) -> str:
    """One row can stand for several slots that were missed or run together."""
    slots = row.counts.get("slots", 1)
    return row.state if slots == 1 else f"{row.state} ({slots} slots)"


def _took(row: RunRow) -> str:
    if row.started_at is None or row.finished_at is None:
        return ""
    return f"{(row.finished_at - row.started_at).total_seconds():.1f}s"


# -- status ------------------------------------------------------------------------------------------------------


def status_document(
    store: Store, wrong: Sequence[Problem] = (), *, now: datetime, jobs: Mapping[str, Schedule] | None = None
) -> dict[str, Any]:
    """How things stand, from the store alone.

    wrong  what keeps the files from being the rules in force
    jobs   the schedules, for what is still to come today
    """
    jobs = jobs or {}
    with store.read() as tx:
        by_status = tx.execute(select(schema.person.c.status, func.count()).group_by(schema.person.c.status)).all()
        ambiguous = tx.execute(select(func.count()).where(schema.person.c.ambiguous)).scalar_one()
        dirty = tx.execute(select(func.count()).where(schema.person.c.dirty.is_not(None))).scalar_one()
        cursors = tx.execute(select(schema.cursor).order_by(schema.cursor.c.conn, schema.cursor.c.stream)).all()
        conflicts = tx.execute(
            select(schema.conflict.c.kind, func.count())
            .where(schema.conflict.c.settled_at.is_(None))
            .group_by(schema.conflict.c.kind)
        ).all()
        pinned = tx.execute(select(schema.pinned).order_by(schema.pinned.c.conn)).all()
        rows = outbox.counts(tx)
        newest = runs.newest(tx, limit=NEWEST)
        letters = outbox.dead_letters(tx)
        waits = routing_store.waiting(tx)
        stopped = stops.waiting(tx)
        told = waiting_by_crm(tx)
        untold = notices.waiting(tx, now=now)
        swept = dict(newest_sweeps(tx))
        fought = fights.standing(tx)
        signed_out = [run for job in jobs if (run := runs.signed_out(tx, job)) is not None]
    reasons: dict[str, int] = {}
    for letter in letters:
        reasons[letter.code] = reasons.get(letter.code, 0) + 1
    return {
        "policy": {
            "version": next((run.policy_version for run in newest if run.policy_version is not None), None),
            "wrong": [str(problem) for problem in wrong],
        },
        "accounts": {row.conn: {"id": row.account_id, "name": row.account_name} for row in pinned},
        "people": {(status or "undecided"): n for status, n in by_status},
        "ambiguous": ambiguous,
        "dirty": dirty,
        "days": {one.crm: one.as_json() for one in forecasts(newest, jobs, now=now)},
        "resting": [
            {"job": run.job, "run": run.run_id, "since": run.finished_at, "error": run.error} for run in signed_out
        ],
        "outbox": {"pending": rows["pending"], "unanswered": rows["inflight"], "by_crm": told},
        "approvals": [
            {"run": run, "job": job, "since": since, "limits": [finding.text for finding in findings]}
            for run, job, since, findings in stopped
        ],
        "notices": {"waiting": untold},
        "routing": {"waiting": len(waits), "since": waits[0].since if waits else None},
        "dead": {"rows": rows["dead"], "by_code": reasons},
        "conflicts": {kind: n for kind, n in conflicts},  # noqa: C416  # rows are not pairs to the type checker
        "streams": {
            f"{row.conn}:{row.stream}": {
                "read_to": row.lo,
                "age_seconds": None if row.lo is None else round((now - row.lo).total_seconds()),
                "unfinished": row.window_hi is not None,
            }
            for row in cursors
        },
        "fights": [
            {
                "no": row.seq,
                "record": f"{row.conn}:{row.object}:{row.id}",
                "person_id": row.person_id,
                "field": row.field,
                "theirs": row.theirs,
                "ours": row.ours,
                "since": row.seen_at,
            }
            for row in fought
        ],
        "sweeps": {
            stream: {
                "began_at": state.began_at,
                "finished_at": state.finished_at,
                "repaired": state.found.repaired,
                **asdict(state.found),
            }
            for stream, state in swept.items()
        },
    }


def status_lines(document: Mapping[str, Any]) -> Iterator[str]:
    policy = document["policy"]
    yield f"policy: {policy['version'] or 'no run yet'}" + (
        "; a worker goes on with what it read last, as the files are wrong:" if policy["wrong"] else ""
    )
    for problem in policy["wrong"]:
        yield f"  {problem}"
    for crm, account in document["accounts"].items():
        yield f"{crm}: {account['name']} ({account['id']})"
    yield "people: " + (", ".join(f"{status} {n}" for status, n in sorted(document["people"].items())) or "none yet")
    yield f"waiting: {document['dirty']} to score, {document['outbox']['pending']} to send, " + (
        f"{document['outbox']['unanswered']} without an answer"
    )
    yield from told_lines(document["outbox"]["by_crm"])
    yield from _day_lines(document["days"])
    for rest in document["resting"]:
        yield f"job {rest['job']} rests since {rest['since']:%Y-%m-%d %H:%M} UTC: {rest['error']}"
        yield f"  then restart the worker, or `mqlsync run {rest['job']} --queue` if its credential is good again"
    for stop in document["approvals"]:
        yield f"run {stop['run']} of {stop['job']} waits for approval since {stop['since']:%Y-%m-%d %H:%M} UTC: " + (
            f"{'; '.join(stop['limits'])}. Its schedule rests; mqlsync apply {stop['run']}"
        )
    if document["notices"]["waiting"]:
        yield f"notices to send: {document['notices']['waiting']}"
    routing = document["routing"]
    if routing["waiting"]:
        yield f"waiting for a rep: {routing['waiting']}, the longest since {routing['since']:%Y-%m-%d %H:%M} UTC"
    dead = document["dead"]
    parked = ", ".join(f"{code} {n}" for code, n in sorted(dead["by_code"].items()))
    yield f"parked: {dead['rows']}" + (f" ({parked}); mqlsync dead list" if parked else "")
    conflicts = ", ".join(f"{kind} {n}" for kind, n in sorted(document["conflicts"].items()))
    yield f"conflicts: {conflicts or 'none'}; ambiguous people: {document['ambiguous']}"
    yield from _fight_lines(document["fights"])
    for stream, cursor in document["streams"].items():
        age = "never read" if cursor["age_seconds"] is None else f"read to {cursor['read_to']:%Y-%m-%d %H:%M:%S} UTC"
        yield f"  {stream}: {age}" + (" (unfinished)" if cursor["unfinished"] else "")
    yield from _sweep_lines(document["sweeps"])


def _day_lines(days: Mapping[str, Any]) -> Iterator[str]:
    """What each CRM still allows, until when, and whether the rest of the day fits into it."""
    for crm, day in days.items():
        until = "the next 24 hours" if day["resets_at"] is None else f"{day['resets_at']:%Y-%m-%d %H:%M %Z}"
        line = f"{crm}: {day['left']:,} of {day['limit']:,} calls left until {until}"
        line += f"; {day['planned_runs']} runs to come"
        if day["planned_calls"] is not None:
            fits = "which fits" if day["fits"] else "MORE THAN IS LEFT: let jobs run less often"
            line += f" take about {day['planned_calls']:,}, {fits}"
        yield line


def _fight_lines(fights: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Which fields of which records are not written any more because somebody else writes them too."""
    if not fights:
        return
    yield f"given up: {len(fights)}, as somebody else writes them again and again; `mqlsync conflicts release NO`"
    for one in fights[:SHOWN_PROBLEMS]:
        values = f"{one['theirs']!r}, not our {one['ours']!r}"
        yield f"  {one['no']}: {one['record']} {one['field']}: {values}, since {one['since']:%Y-%m-%d %H:%M} UTC"
    if (more := len(fights) - SHOWN_PROBLEMS) > 0:
        yield f"  ... and {more} more; --json has them all"


def _sweep_lines(sweeps: Mapping[str, Any]) -> Iterator[str]:
    """One line, and one more for each stream that had something to mend."""
    if not sweeps:
        return
    began, repaired = min(one["began_at"] for one in sweeps.values()), sum(one["repaired"] for one in sweeps.values())
    unfinished = any(one["finished_at"] is None for one in sweeps.values())
    yield f"sweep: {began:%Y-%m-%d %H:%M} UTC, {repaired} repaired" + (" (unfinished)" if unfinished else "")
    for stream, one in sweeps.items():
        if one["repaired"] or one["left"]:
            yield f"  {stream}: {_drift(Drift(**{name: one[name] for name in Drift.__slots__}))}"


# -- people and rows ---------------------------------------------------------------------------------------------


def dead_row(letter: DeadLetter) -> dict[str, Any]:
    return {
        "no": letter.seq,
        "record": str(letter.ref),
        "person_id": letter.person_id,
        "field": letter.field,
        "code": letter.code,
        "reason": letter.reason,
        "wanted": letter.fields,
        "parked_at": letter.dead_at,
        "attempts": letter.attempts,
    }


def dead_table(letters: Sequence[DeadLetter]) -> Table:
    table = Table("no", "record", "field", "code", "reason", "parked", box=None, header_style="bold")
    for one in letters:
        parked = f"{one.dead_at:%Y-%m-%d %H:%M} UTC"
        _add(table, str(one.seq), str(one.ref), one.field or "", one.code, one.reason, parked)
    return table


def mql_rows(store: Store, *, run_id: str | None = None) -> list[dict[str, Any]]:
    """Open episodes of our own with their owner, best first; of one run when it is named."""
    episode, person, assignment = schema.episode, schema.person, schema.assignment
    newest = (
        select(assignment.c.person_id, assignment.c.n, func.max(assignment.c.step).label("step"))
        .group_by(assignment.c.person_id, assignment.c.n)
        .subquery()
    )
    wanted = (
        select(
            person.c.person_id,
            person.c.email,
            person.c.name,
            person.c.status,
            person.c.reason,
            episode.c.n.label("episode"),
            episode.c.line,
            episode.c.grade,
            episode.c.fit,
            episode.c.engagement,
            episode.c.total,
            assignment.c.owner_key,
            assignment.c.why,
        )
        .join(person, person.c.person_id == episode.c.person_id)
        .outerjoin(newest, (newest.c.person_id == episode.c.person_id) & (newest.c.n == episode.c.n))
        .outerjoin(
            assignment,
            (assignment.c.person_id == newest.c.person_id)
            & (assignment.c.n == newest.c.n)
            & (assignment.c.step == newest.c.step),
        )
        .where(episode.c.closed_at.is_(None), episode.c.adopted.is_(False))
        .order_by(episode.c.total.desc(), person.c.person_id)
    )
    if run_id is not None:
        wanted = wanted.where(episode.c.run_id == run_id)
    with store.read() as tx:
        owners = load_owner_names(tx)
        return [
            {
                "person_id": row.person_id,
                "email": row.email,
                "name": row.name,
                "status": row.status,
                "episode": row.episode,
                "line": row.line,
                "grade": row.grade,
                "fit": row.fit,
                "engagement": row.engagement,
                "score": row.total,
                "reason": row.reason,
                "owner": row.owner_key,
                "owner_name": owner_name(row.owner_key, owners) if row.owner_key else None,
                "why": row.why,
            }
            for row in tx.execute(wanted)
        ]


@dataclass(frozen=True, slots=True)
class MqlTable:
    """The best new MQLs, one a line; a narrow terminal cuts owners and reasons, never figures."""

    rows: Sequence[Mapping[str, Any]]
    most: int = 25

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        left = options.max_width - WHO - len("grade fit engagement") - 2 * 5
        owner = min(max(map(cell_len, self._owners()), default=0), max(left // 3, OWNER))
        more = f", the best {self.most}" if len(self.rows) > self.most else ""
        table = Table(title=f"{len(self.rows)} new MQLs{more}", title_justify="left", box=None, header_style="bold")
        table.add_column("who", no_wrap=True, width=WHO)
        table.add_column("grade", no_wrap=True, min_width=5)
        for name in ("fit", "engagement"):
            table.add_column(name, no_wrap=True, justify="right", min_width=len(name))
        table.add_column("why", no_wrap=True, max_width=max(left - owner, 12))
        table.add_column("owner", no_wrap=True, width=owner)
        for row, name in zip(self.rows[: self.most], self._owners(), strict=True):
            who = row["name"] or row["email"] or row["person_id"]
            figures = (str(row["fit"]), str(row["engagement"]))
            _add(table, who, row["grade"], *figures, row["reason"] or row["line"], name)
        yield table

    def _owners(self) -> list[str]:
        return [row["owner_name"] or "nobody yet" for row in self.rows[: self.most]]
