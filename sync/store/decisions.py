"""What was decided about people: status, episodes, assignments. Read for the next decision, written once.

Every function takes the transaction it runs in: a run's decisions, assignments and writes stand or fall together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from connectors.records import Crm, RecordRef
from scoring.episodes import Sales, Verdict
from sync.plan import RecordState
from sync.sales import latest, read_stored
from sync.store import schema
from sync.store.outbox import acked_fields
from sync.store.refs import COMPANY_OBJECT, by_object, here
from sync.store.statements import Lookup, among, insert, upsert

__all__ = ["AssignmentRow", "EpisodeRow", "PersonState", "Target", "load_episodes", "load_people"]

PART = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeRow:
    """One time as MQL. ``line`` is the gate line that opened it, or ``adopted``."""

    person_id: str
    n: int
    opened_at: datetime
    line: str
    lines: tuple[str, ...]
    grade: str
    fit: int
    engagement: int
    total: int
    policy_version: str
    adopted: bool
    run_id: str
    assigned_at: datetime | None = None
    task_key: str | None = None
    waiting: tuple[str, ...] = ()
    approves_at: datetime | None = None
    approved_at: datetime | None = None
    approved_by: str | None = None
    drop_since: str | None = None
    touched_at: datetime | None = None
    accepted_at: datetime | None = None
    closed_at: datetime | None = None
    outcome: str | None = None
    won_at: datetime | None = None
    lost_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentRow:
    """Who has an episode, drawn once. ``why``: the route that decided, or ``adopted`` from a CRM."""

    person_id: str
    n: int
    step: int
    owner_key: str
    why: str
    pool: str | None
    trace: Mapping[str, Any]
    decided_at: datetime
    policy_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A record that may be written, with what `plan` compares and what `routing` asks of it.

    answer  what a marketer chose in it and was heard with, until the property is blank again
    """

    state: RecordState
    owner: str | None
    company_id: str | None
    company_owner: str | None
    facts: Mapping[str, Any]
    modified_at: datetime
    answer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonState:
    """A person as the next decision finds them. ``targets`` is empty for an ambiguous person: nothing is written.

    closed_episode  the newest one that is over
    opened          when each episode of ours began that was not suppressed
    sales, verdict  the latest word of sales in any record, and of a marketer
    missing         what the person lacks to qualify, in words
    """

    person_id: str
    email: str | None
    name: str | None
    ambiguous: bool
    dirty: str | None
    status: str | None
    status_since: datetime | None
    reason: str | None
    fit: int | None
    engagement: int | None
    total: int | None
    grade: str | None
    model: str | None
    scored_day: str | None
    policy_version: str | None
    episodes: int
    open_episode: EpisodeRow | None
    assignment: AssignmentRow | None
    targets: tuple[Target, ...]
    closed_episode: EpisodeRow | None = None
    opened: tuple[datetime, ...] = ()
    sales: Sales | None = None
    verdict: Verdict | None = None
    missing: str | None = None

    def target(self, crm: Crm) -> Target | None:
        return next((t for t in self.targets if t.state.ref.crm is crm), None)


_EPISODE = tuple(schema.episode.c[name] for name in EpisodeRow.__slots__)
_ASSIGNMENT = tuple(schema.assignment.c[name] for name in AssignmentRow.__slots__)


def _episode(row: Any) -> EpisodeRow:
    found = dict(zip(EpisodeRow.__slots__, row, strict=True))
    return EpisodeRow(**{**found, "lines": tuple(row.lines), "waiting": tuple(row.waiting)})


def load_people(tx: Connection, person_ids: Sequence[str]) -> dict[str, PersonState]:
    """Everything a decision needs of these people, in a handful of statements a chunk."""
    out: dict[str, PersonState] = {}
    for start in range(0, len(person_ids), PART):
        out.update(_load_part(tx, person_ids[start : start + PART]))
    return out


_OF_PERSON = tuple(name for name in PersonState.__slots__ if name in schema.person.c)
_PERSON = tuple(schema.person.c[name] for name in _OF_PERSON)


def _load_part(tx: Connection, ids: Sequence[str]) -> dict[str, PersonState]:
    people = tx.execute(select(*_PERSON).where(among(tx, schema.person.c.person_id, ids))).all()
    episodes = load_episodes(tx, ids)
    open_episodes = {person_id: own[-1] for person_id, own in episodes.items() if own[-1].closed_at is None}
    assignments = _newest_assignments(tx, open_episodes)
    targets = _targets(tx, ids)
    sales = _sales(tx, ids)
    verdicts = _verdicts(tx, ids)
    return {
        row.person_id: PersonState(
            **dict(zip(_OF_PERSON, row, strict=True)),
            **_past(episodes.get(row.person_id, [])),
            open_episode=open_episodes.get(row.person_id),
            assignment=assignments.get(row.person_id),
            targets=() if row.ambiguous else tuple(targets.get(row.person_id, ())),
            sales=sales.get(row.person_id),
            verdict=verdicts.get(row.person_id),
        )
        for row in people
    }


def load_episodes(tx: Connection, ids: Sequence[str]) -> dict[str, list[EpisodeRow]]:
    """By person, in the order they began."""
    found = select(*_EPISODE).where(among(tx, schema.episode.c.person_id, ids)).order_by(schema.episode.c.n)
    episodes: dict[str, list[EpisodeRow]] = {}
    for row in tx.execute(found):
        episodes.setdefault(row.person_id, []).append(_episode(row))
    return episodes


def _past(episodes: Sequence[EpisodeRow]) -> dict[str, Any]:
    closed = [episode for episode in episodes if episode.closed_at is not None]
    return {
        "episodes": episodes[-1].n if episodes else 0,
        "closed_episode": closed[-1] if closed else None,
        "opened": tuple(e.opened_at for e in episodes if not e.adopted and e.outcome != "suppressed"),
    }


def _sales(tx: Connection, ids: Sequence[str]) -> dict[str, Sales]:
    """The latest word of sales in any record of a person, one that is not written to or was converted included."""
    link, record = schema.link, schema.record
    found = tx.execute(
        select(link.c.person_id, record.c.sales)
        .join(record, (record.c.conn == link.c.conn) & (record.c.object == link.c.object) & (record.c.id == link.c.id))
        .where(among(tx, link.c.person_id, ids), record.c.sales.is_not(None))
    )
    said: dict[str, Sales] = {}
    for row in found:
        sales = latest([said.get(row.person_id), read_stored(row.sales)])
        if sales is not None:
            said[row.person_id] = sales
    return said


def _verdicts(tx: Connection, ids: Sequence[str]) -> dict[str, Verdict]:
    """The newest verdict on each person."""
    v = schema.verdict.c
    found = select(schema.verdict).where(among(tx, v.person_id, ids)).order_by(v.at, v.seq)
    return {row.person_id: Verdict(approve=row.approve, at=row.at, by=row.by, why=row.why) for row in tx.execute(found)}


def _newest_assignments(tx: Connection, open_episodes: Mapping[str, EpisodeRow]) -> dict[str, AssignmentRow]:
    if not open_episodes:
        return {}
    found = tx.execute(
        select(*_ASSIGNMENT)
        .where(among(tx, schema.assignment.c.person_id, list(open_episodes)))
        .order_by(schema.assignment.c.person_id, schema.assignment.c.n, schema.assignment.c.step)
    )
    newest: dict[str, AssignmentRow] = {}
    for row in found:
        if open_episodes[row.person_id].n == row.n:
            newest[row.person_id] = AssignmentRow(**dict(zip(AssignmentRow.__slots__, row, strict=True)))
    return newest


def _targets(tx: Connection, ids: Sequence[str]) -> dict[str, list[Target]]:
    link, record = schema.link, schema.record
    # Only what is asked of them: reading every JSON column of a record costs more than all the rest.
    names = ("conn", "object", "id", "version", "current", "facts", "owner", "company_id", "modified_at")
    answer = schema.answer
    told = (answer.c.conn == link.c.conn) & (answer.c.object == link.c.object) & (answer.c.id == link.c.id)
    rows = tx.execute(
        select(link.c.person_id, answer.c.value.label("answer"), *(record.c[name] for name in names))
        .join(record, (record.c.conn == link.c.conn) & (record.c.object == link.c.object) & (record.c.id == link.c.id))
        .outerjoin(answer, told & answer.c.told)
        .where(among(tx, link.c.person_id, ids), link.c.role == "target", record.c.gone.is_(False))
        .order_by(link.c.person_id, record.c.conn, record.c.object, record.c.id)
    ).all()
    refs = [RecordRef(crm=Crm(row.conn), object=row.object, id=row.id) for row in rows]
    acked = acked_fields(tx, refs)
    sent = _attempts(tx, refs)
    held = _held(tx, [row.person_id for row in rows])
    owners = _company_owners(tx, [(row.conn, row.company_id) for row in rows if row.company_id])
    out: dict[str, list[Target]] = {}
    for row, ref in zip(rows, refs, strict=True):
        state = RecordState(
            ref=ref,
            version=row.version,
            current=row.current,
            acked=acked.get(ref, {}),
            sent=sent.get(ref, ()),
            held=frozenset(held.get(ref, ())),
        )
        out.setdefault(row.person_id, []).append(
            Target(
                state=state,
                owner=row.owner,
                company_id=row.company_id,
                company_owner=owners.get((row.conn, row.company_id)),
                facts=row.facts,
                modified_at=row.modified_at,
                answer=row.answer,
            )
        )
    return out


_SENT = Lookup((schema.outbox.c.id, schema.outbox.c.sent), schema.outbox, ("conn", "object"), "id")


def _attempts(tx: Connection, refs: Sequence[RecordRef]) -> dict[RecordRef, tuple[Mapping[str, str | None], ...]]:
    sent: dict[RecordRef, tuple[Mapping[str, str | None], ...]] = {}
    for (conn, object), ids in by_object(refs).items():
        for row in _SENT.rows(tx, ids, conn=conn, object=object):
            ref = RecordRef(crm=Crm(conn), object=object, id=row.id)
            sent[ref] = (*sent.get(ref, ()), *row.sent)
    return sent


def _held(tx: Connection, person_ids: Sequence[str]) -> dict[RecordRef, list[str]]:
    found = tx.execute(
        select(schema.conflict).where(among(tx, schema.conflict.c.person_id, person_ids), schema.conflict.c.held)
    )
    held: dict[RecordRef, list[str]] = {}
    for row in found:
        held.setdefault(RecordRef(crm=Crm(row.conn), object=row.object, id=row.id), []).append(row.field)
    return held


def _company_owners(tx: Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str | None], str | None]:
    record = schema.record
    owners: dict[tuple[str, str | None], str | None] = {}
    for conn, object in COMPANY_OBJECT.items():
        # By the whole key: without the CRM in it every record would be looked at.
        ids = sorted({id for its, id in keys if its == conn})
        if ids:
            found = select(record.c.id, record.c.owner).where(here(record, conn, object, ids), record.c.gone.is_(False))
            owners.update(((conn, row.id), row.owner) for row in tx.execute(found))
    return owners


# -- writing down ------------------------------------------------------------------------------------------------


def save_episodes(tx: Connection, episodes: Iterable[EpisodeRow]) -> None:
    """New or changed episodes, by (person, n)."""
    rows = [
        {name: getattr(e, name) for name in EpisodeRow.__slots__} | {"lines": list(e.lines), "waiting": list(e.waiting)}
        for e in episodes
    ]
    upsert(tx, schema.episode, rows, ("person_id", "n"))


def save_assignments(tx: Connection, assignments: Iterable[AssignmentRow]) -> None:
    """Assignments are drawn once: a second row of one (person, n, step) is an error the database raises."""
    rows = [
        {name: getattr(a, name) for name in AssignmentRow.__slots__} | {"trace": dict(a.trace)} for a in assignments
    ]
    insert(tx, schema.assignment, rows)


def note_assigned(tx: Connection, assignments: Iterable[AssignmentRow], *, at: datetime) -> None:
    """When the episodes of these assignments were given to somebody for the first time."""
    e = schema.episode.c
    noted = update(schema.episode).where(e.person_id == bindparam("key"), e.n == bindparam("number"))
    rows = [{"key": row.person_id, "number": row.n} for row in assignments]
    if rows:
        tx.execute(noted.values(assigned_at=at), rows)


def note_tasks(tx: Connection, tasks: Iterable[tuple[EpisodeRow, str]]) -> None:
    """Episodes and the keys of the tasks that were planned for them."""
    e = schema.episode.c
    noted = update(schema.episode).where(e.person_id == bindparam("key"), e.n == bindparam("number"))
    rows = [{"key": episode.person_id, "number": episode.n, "task": task} for episode, task in tasks]
    if rows:
        tx.execute(noted.values(task_key=bindparam("task")), rows)


def save_people(tx: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Status and numbers of people that exist already; every row has ``person_id`` and the same columns."""
    if rows:
        names = [name for name in rows[0] if name != "person_id"]
        statement = (
            update(schema.person)
            .where(schema.person.c.person_id == bindparam("key"))
            .values({name: bindparam(f"new_{name}") for name in names})
        )
        tx.execute(statement, [{"key": r["person_id"]} | {f"new_{n}": r[n] for n in names} for r in rows])


def save_decisions(tx: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """The newest decision that changed something for each person, with its ledger."""
    upsert(tx, schema.decision, rows, ("person_id",))


def save_desired(tx: Connection, rows: Sequence[tuple[str, RecordRef, Mapping[str, str | None]]]) -> None:
    """(person_id, record, every value wanted of it)."""
    bodies = [
        {"conn": ref.crm, "object": ref.object, "id": ref.id, "person_id": person_id, "fields": dict(fields)}
        for person_id, ref, fields in rows
    ]
    upsert(tx, schema.desired, bodies, ("conn", "object", "id"))


def unassigned(tx: Connection) -> list[str]:
    """People with an open episode of ours that nobody has yet and that waits for no marketer."""
    episode, assignment = schema.episode, schema.assignment
    drawn = select(assignment.c.person_id).where(
        assignment.c.person_id == episode.c.person_id, assignment.c.n == episode.c.n
    )
    open_ones = select(episode.c.person_id, episode.c.waiting).where(
        episode.c.closed_at.is_(None), episode.c.adopted.is_(False), ~drawn.exists()
    )
    return sorted(row.person_id for row in tx.execute(open_ones) if not row.waiting)


def mark_due(tx: Connection, as_of: datetime) -> None:
    """Whom time approves now is decided in this run, whether or not anything else moved."""
    episode = schema.episode.c
    due = select(episode.person_id).where(episode.closed_at.is_(None), episode.approves_at <= as_of)
    tx.execute(update(schema.person).where(schema.person.c.person_id.in_(due)).values(dirty="review"))


def adopt_owner(
    tx: Connection, person: PersonState, owner_key: str, *, crm: Crm, at: datetime, policy_version: str
) -> AssignmentRow | None:
    """Somebody in a CRM gave the person to somebody else: theirs is the assignment from now on.

    Returns the new assignment, None when there is no open episode to carry it.
    """
    episode = person.open_episode
    if episode is None:
        return None
    before = person.assignment
    if before is not None and before.owner_key == owner_key:
        return before
    taken = AssignmentRow(
        person_id=person.person_id,
        n=episode.n,
        step=before.step + 1 if before else 1,
        owner_key=owner_key,
        why="adopted",
        pool=None,
        trace={"adopted": {"from": str(crm), "before": before.owner_key if before else None}},
        decided_at=at,
        policy_version=policy_version,
    )
    save_assignments(tx, [taken])
    if episode.assigned_at is None:
        save_episodes(tx, [replace(episode, assigned_at=at)])
    return taken


def mark_dirty(tx: Connection, person_id: str, why: str) -> None:
    """The person is gathered, scored and planned again in this run or the next."""
    tx.execute(update(schema.person).where(schema.person.c.person_id == person_id).values(dirty=why))


def set_status(tx: Connection, person_ids: Sequence[str], status: str, *, since: datetime) -> None:
    """Move these people to a status they were just given."""
    rows = [{"key": person_id} for person_id in person_ids]
    if rows:
        moved = update(schema.person).where(schema.person.c.person_id == bindparam("key"))
        tx.execute(moved.values(status=status, status_since=since), rows)


# -- who has been decided ----------------------------------------------------------------------------------------

EVERYBODY = "everybody"
"""The row of the manifest that says by which rules, and for which day, everybody was decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """By what everybody was decided. Hashes; None before the first time.

    decided  of all rules that can move anybody's values, and of the day
    planned  of the part of them that says which values the CRMs are told
    """

    decided: str | None = None
    planned: str | None = None


def everybody_asked(tx: Connection) -> Asked:
    """The newest `note_everybody_asked`."""
    kept = tx.execute(select(schema.snapshot.c.meta).where(schema.snapshot.c.file == EVERYBODY)).scalar_one_or_none()
    return Asked() if kept is None else Asked(decided=kept["asked"], planned=kept.get("planned"))


def note_everybody_asked(tx: Connection, asked: Asked) -> None:
    """Everybody is decided by these rules for this day: call it in the transaction that stores the decisions.

    Scorecards cannot say so. They are files, and stand even when the decisions made of them were rolled back.
    """
    row = {"file": EVERYBODY, "kind": "cards", "bucket": -1, "sorted": False, "seq": 0, "rows": 0}
    meta = {"asked": asked.decided, "planned": asked.planned}
    upsert(tx, schema.snapshot, [row | {"meta": meta}], ("file",))
