"""What was known on a day of the past, from what the store kept of it.

A day is what was known at its end, midnight in the policy's timezone: everything read before then, whenever it
happened. That is what the last run of the day saw; a fact that came and went within one day was never known. So an
event that a CRM shows three days late counts from then on, and a corrected one as it was until the correction.

Dated are facts, addresses and companies of records (`record_history`), when a record was read for the first time and
when it was gone, events and their versions, and our own assignments. Of today are who is who, which record of a person
is written, and who owns what: of these no history is kept.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection, and_, func, select

from connectors.records import Crm, RecordRef
from scoring.tables import KNOWN_FROM, KNOWN_UNTIL, Bucket, event_row, events_schema, people_row, people_schema
from sync.gather import CompanySource, GatherRules, PersonFacts, PersonSources, RecordSource, gather
from sync.resolve import Role
from sync.store import schema
from sync.store.db import Store
from sync.store.parquet import RowGroups
from sync.store.people import owner_name, person_ids
from sync.store.refs import COMPANY_OBJECT, by_object, carrier, carries, follow_aliases, here, parts
from sync.store.snapshot import Snapshot

__all__ = ["Known", "Past", "PersonPast", "RecordPast", "TooEarly", "Version"]

TOGETHER = 50_000
"""People in one bucket: what a query takes at once."""

PEOPLE_BATCH = 2000
EVENT_BATCH = 20_000

NEW_KEYS = pa.schema([pa.field(KNOWN_FROM, pa.date32(), nullable=False), pa.field(KNOWN_UNTIL, pa.date32())])


class TooEarly(Exception):
    """A day from which nothing was kept. ``first``: the first day of which everything is known, None: there is none."""

    def __init__(self, asked: date, first: date | None) -> None:
        self.first = first
        since = f"the store knows the past since {first}" if first is not None else "nothing has been read yet"
        super().__init__(f"{asked} cannot be told: {since}")


# -- records through time ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What a record said from ``since`` on, until the next version."""

    since: datetime
    facts: Mapping[str, Any]
    emails: Sequence[str]
    company_id: str | None
    gone: bool
    inputs_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPast:
    """All versions of one record, oldest first. ``moved``, ``created_at``: as today."""

    ref: RecordRef
    versions: Sequence[Version]
    moved: bool
    created_at: datetime | None

    def before(self, end: datetime) -> Version | None:
        """The version that stood just before an instant, None: the record had not been read."""
        return next((version for version in reversed(self.versions) if version.since < end), None)


def rolled_back(current: Version, first_seen_at: datetime, changes: Sequence[Any]) -> list[Version]:
    """All versions, oldest first, of a record that says ``current`` now.

    ``changes``: rows of `record_history`, newest first; each says what stood before it.
    """
    versions: list[Version] = []
    for row in changes:
        versions.append(_since(current, row.seen_at))
        facts, old = dict(current.facts), row.old
        for name in row.changed:
            facts.pop(name, None)
        facts |= {name: old[name] for name in row.changed if name in old and name not in _ROW}
        at = old.get("inputs_at")
        current = Version(
            since=first_seen_at,
            facts=facts,
            emails=old.get("emails", ()) if "emails" in row.changed else current.emails,
            company_id=old.get("company_id") if "company_id" in row.changed else current.company_id,
            gone=old["gone"] if "gone" in row.changed else current.gone,
            # Stores of the first version did not keep it: the best that is known then is when it was read.
            inputs_at=datetime.fromisoformat(at) if at is not None else first_seen_at,
        )
    versions.append(_since(current, first_seen_at))
    return versions[::-1]


_ROW = ("emails", "company_id", "gone")
"""What a row of `record_history` names beside facts."""


def _since(version: Version, since: datetime) -> Version:
    return Version(
        since=since,
        facts=version.facts,
        emails=version.emails,
        company_id=version.company_id,
        gone=version.gone,
        inputs_at=version.inputs_at,
    )


def record_pasts(tx: Connection, refs: Iterable[RecordRef]) -> dict[RecordRef, RecordPast]:
    """Each of these records that was ever read."""
    r, h = schema.record.c, schema.record_history.c
    columns = (r.id, r.facts, r.emails, r.company_id, r.gone, r.inputs_at, r.first_seen_at, r.moved_to, r.created_at)
    found: dict[RecordRef, RecordPast] = {}
    for (conn, object), ids in by_object(set(refs)).items():
        for part in parts(sorted(ids)):
            changes: dict[str, list[Any]] = {}
            kept = select(h.id, h.seen_at, h.changed, h.old).where(here(schema.record_history, conn, object, part))
            for change in tx.execute(kept.order_by(h.seq.desc())):
                changes.setdefault(change.id, []).append(change)
            for row in tx.execute(select(*columns).where(here(schema.record, conn, object, part))):
                ref = RecordRef(crm=Crm(conn), object=object, id=row.id)
                current = Version(
                    since=row.first_seen_at,
                    facts=row.facts,
                    emails=row.emails,
                    company_id=row.company_id,
                    gone=row.gone,
                    inputs_at=row.inputs_at,
                )
                found[ref] = RecordPast(
                    ref=ref,
                    versions=rolled_back(current, row.first_seen_at, changes.get(row.id, ())),
                    moved=row.moved_to is not None,
                    created_at=row.created_at,
                )
    return found


# -- people through time -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonPast:
    """Everything that was ever known of one person.

    links      (record, whether it is the one that is written, how sure the link is), as today
    companies  by the ref that a version has of them; ``went_into``: where a merged one lives on
    assigned   instants of our own assignments; ``closed``: (instant, owner in the end) of closed episodes
    """

    person_id: str
    links: Sequence[tuple[RecordPast, bool, float]]
    companies: Mapping[RecordRef, RecordPast]
    went_into: Mapping[RecordRef, RecordRef]
    assigned: Sequence[datetime] = ()
    closed: Sequence[tuple[datetime, str]] = ()

    def instants(self) -> Iterator[datetime]:
        """Whenever something came to be known."""
        for past in (*(past for past, _, _ in self.links), *self.companies.values()):
            yield from (version.since for version in past.versions)
        yield from self.assigned
        yield from (at for at, _ in self.closed)

    def before(self, end: datetime) -> PersonSources:
        """What was known just before an instant, as `sync.gather.gather` takes it."""
        records: list[RecordSource] = []
        companies: dict[RecordRef, CompanySource] = {}
        for past, target, confidence in self.links:
            version = past.before(end)
            if version is None:
                continue
            company = _company_ref(past.ref, version)
            records.append(
                RecordSource(
                    ref=past.ref,
                    target=target,
                    gone=version.gone,
                    moved=past.moved,
                    facts=version.facts,
                    email=version.emails[0] if version.emails else None,
                    company=company,
                    inputs_at=version.inputs_at,
                    created_at=past.created_at,
                    confidence=confidence,
                )
            )
            if company is not None and (source := self._company(company, end)) is not None:
                companies[company] = source
        owners = [owner for at, owner in self.closed if at < end]
        return PersonSources(
            person_id=self.person_id,
            records=records,
            companies=companies,
            last_owner=owners[-1] if owners else None,
            last_assigned_at=max((at for at in self.assigned if at < end), default=None),
        )

    def _company(self, ref: RecordRef, end: datetime) -> CompanySource | None:
        """The company as it was then: itself, or the one it had been merged into."""
        for one in (ref, self.went_into.get(ref)):
            past = self.companies.get(one) if one is not None else None
            version = past.before(end) if past is not None else None
            if past is not None and version is not None and not version.gone:
                return CompanySource(ref=past.ref, facts=version.facts, inputs_at=version.inputs_at)
        return None

    def first_read(self) -> datetime:
        """When the first of their records was read."""
        return min(past.versions[0].since for past, _, _ in self.links)


def _company_ref(of: RecordRef, version: Version) -> RecordRef | None:
    if version.company_id is None:
        return None
    return RecordRef(crm=of.crm, object=COMPANY_OBJECT[of.crm], id=version.company_id)


def people_pasts(tx: Connection, ids: Sequence[str], rules: GatherRules) -> dict[str, PersonPast]:
    """Each of these people that has a record."""
    l = schema.link.c  # noqa: E741  # as in the query's alias
    links: dict[str, list[tuple[RecordRef, bool, float]]] = {}
    for part in parts(ids):
        found = select(l.person_id, l.conn, l.object, l.id, l.role, l.confidence).where(l.person_id.in_(part))
        for row in tx.execute(found.order_by(l.person_id, l.conn, l.object, l.id)):
            ref = RecordRef(crm=Crm(row.conn), object=row.object, id=row.id)
            links.setdefault(row.person_id, []).append((ref, row.role == Role.TARGET, row.confidence))
    pasts = record_pasts(tx, (ref for of in links.values() for ref, _, _ in of))
    employers = {
        ref: {c for version in past.versions if (c := _company_ref(ref, version)) is not None}
        for ref, past in pasts.items()
    }
    asked = set().union(*employers.values())
    went_into = follow_aliases(tx, asked)
    companies = record_pasts(tx, asked | set(went_into.values()))
    assigned = _assigned(tx, list(links))
    closed = _closed(tx, list(links), rules)
    return {
        id: PersonPast(
            person_id=id,
            links=[(pasts[ref], target, sure) for ref, target, sure in of if ref in pasts],
            companies=_of_these(companies, employers, went_into, [ref for ref, _, _ in of]),
            went_into=went_into,
            assigned=assigned.get(id, ()),
            closed=closed.get(id, ()),
        )
        for id, of in links.items()
        if any(ref in pasts for ref, _, _ in of)
    }


def _of_these(
    companies: Mapping[RecordRef, RecordPast],
    employers: Mapping[RecordRef, Collection[RecordRef]],
    went_into: Mapping[RecordRef, RecordRef],
    refs: Iterable[RecordRef],
) -> dict[RecordRef, RecordPast]:
    named = {company for ref in refs for company in employers.get(ref, ())}
    named |= {went_into[ref] for ref in named if ref in went_into}
    return {ref: companies[ref] for ref in named if ref in companies}


def _assigned(tx: Connection, ids: Sequence[str]) -> dict[str, list[datetime]]:
    a = schema.assignment.c
    found: dict[str, list[datetime]] = {}
    for part in parts(ids):
        ours = select(a.person_id, a.decided_at).where(a.person_id.in_(part), a.why != "adopted")
        for row in tx.execute(ours):
            found.setdefault(row.person_id, []).append(row.decided_at)
    return found


def _closed(tx: Connection, ids: Sequence[str], rules: GatherRules) -> dict[str, list[tuple[datetime, str]]]:
    """Who had each closed episode in the end, oldest first."""
    e, a = schema.episode.c, schema.assignment.c
    joined = schema.episode.join(schema.assignment, and_(a.person_id == e.person_id, a.n == e.n))
    found: dict[str, dict[int, tuple[datetime, str]]] = {}
    for part in parts(ids):
        ended = select(e.person_id, e.n, e.closed_at, a.owner_key).select_from(joined)
        ended = ended.where(e.person_id.in_(part), e.closed_at.is_not(None)).order_by(e.person_id, e.n, a.step)
        for row in tx.execute(ended):
            found.setdefault(row.person_id, {})[row.n] = (row.closed_at, owner_name(row.owner_key, rules.owners))
    return {id: list(of.values()) for id, of in found.items()}


# -- as tables that scoring reads --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was known of one person: the records, the facts they give, and the bucket that has these and the events."""

    records: Sequence[RecordSource]
    facts: PersonFacts
    bucket: Bucket


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The past of one store. ``rules``: how facts are merged; ``zone`` says when a day ends."""

    store: Store
    rules: GatherRules
    zone: ZoneInfo

    def day(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()

    def end(self, day: date) -> datetime:
        """The first instant after a day."""
        return datetime.combine(day + timedelta(days=1), time.min, self.zone).astimezone(UTC)

    def first_day(self) -> date | None:
        """The first day of which everything is known, None while nothing was read."""
        with self.store.read() as tx:
            first = tx.execute(select(func.min(schema.record.c.first_seen_at))).scalar_one()
        return None if first is None else self.day(first)

    def refuse_before_first(self, day: date) -> None:
        """Raises TooEarly for a day of which nothing was kept."""
        first = self.first_day()
        if first is None or day < first:
            raise TooEarly(day, first)

    def facts(self, person_id: str, day: date) -> PersonFacts | None:
        """What was known of one person on a day, None: nothing."""
        with self.store.read() as tx:
            past = people_pasts(tx, [person_id], self.rules).get(person_id)
        return None if past is None else gather(past.before(self.end(day)), self.rules)

    def first_read(self, person_id: str) -> datetime | None:
        """When the first record of a person was read, None: they have none."""
        with self.store.read() as tx:
            past = people_pasts(tx, [person_id], self.rules).get(person_id)
        return None if past is None else past.first_read()

    def known(self, person_id: str, end: datetime, folder: Path) -> Known | None:
        """What was known of one person just before an instant, None: nothing, or no record of theirs was live.

        Written into ``folder`` as a bucket, which is not versioned: it is of that instant.
        """
        with self.store.read() as tx:
            past = people_pasts(tx, [person_id], self.rules).get(person_id)
            sources = past.before(end) if past is not None else None
            found = gather(sources, self.rules) if sources is not None else None
            if sources is None or found is None:
                return None
            events = [_event_row(row, self.zone) for row in _events_before(tx, self.store, person_id, end)]
        custom = self.rules.custom
        row = people_row(found.facts, person_id, 0, zone=self.zone, valid=found.valid, custom=custom)
        files = (folder / "people.parquet", folder / "events.parquet")
        for file, rows, of in zip(files, ([row], events), (people_schema(custom), events_schema()), strict=True):
            pq.write_table(pa.Table.from_pylist(rows, of), file)
        bucket = Bucket(people=files[:1], events=files[1:], compacted=True)
        return Known(facts=found, records=sources.records, bucket=bucket)

    def write(
        self, folder: Path, *, since: date, until: date, only: Collection[str] | None = None
    ) -> tuple[Bucket, ...]:
        """What was known on each day from ``since`` to ``until``, both included, as versioned buckets in ``folder``.

        Parameters
        ----------
        only: these people; None: everybody

        Raises
        ------
        TooEarly: ``since`` lies before the first row
        """
        self.refuse_before_first(since)
        work = _Writing(past=self, folder=folder, since=since, until=until, only=only)
        return work.buckets()


@dataclass(slots=True, kw_only=True)
class _Writing:
    """One writing of buckets: people a batch after the other, events through a loose file a bucket."""

    past: Past
    folder: Path
    since: date
    until: date
    only: Collection[str] | None

    def buckets(self) -> tuple[Bucket, ...]:
        starts = self._starts()
        loose = self._spill_events(starts)
        made: list[Bucket] = []
        for n, (start, file) in enumerate(zip(starts, loose, strict=True)):
            people, events = self.folder / f"people-{n:03d}.parquet", self.folder / f"events-{n:03d}.parquet"
            self._write(
                people, self._people_schema(), self._people(start, starts[n + 1] if n + 1 < len(starts) else None)
            )
            table = pq.read_table(file)
            self._write(
                events, _versioned(events_schema()), [table.sort_by([("person_id", "ascending"), ("at", "ascending")])]
            )
            file.unlink()
            made.append(Bucket(people=(people,), events=(events,), compacted=True, versioned=True))
        return tuple(made)

    def _write(self, path: Path, of: pa.Schema, tables: Iterable[pa.Table]) -> None:
        with path.open("wb") as sink, RowGroups(sink, of) as file:
            for table in tables:
                file.write(table)

    # -- people ----------------------------------------------------------------------------------------------

    def _people_schema(self) -> pa.Schema:
        return _versioned(people_schema(self.past.rules.custom))

    def _starts(self) -> list[str]:
        """The first person id of each bucket."""
        if self.only is not None:
            return sorted(self.only)[::TOGETHER] or [""]
        starts = [""]
        with self.past.store.read() as tx:
            last: str | None = None
            while len(ids := person_ids(tx, None, start="", below=None, after=last, limit=TOGETHER)) == TOGETHER:
                last = ids[-1]
                starts.append(last + "\0")
        return starts

    def _batches(self, start: str, below: str | None) -> Iterator[list[str]]:
        if self.only is not None:
            chosen = sorted(id for id in self.only if id >= start and (below is None or id < below))
            yield from (list(part) for part in parts(chosen, PEOPLE_BATCH))
            return
        last: str | None = None
        while True:
            with self.past.store.read() as tx:
                ids = person_ids(tx, None, start=start, below=below, after=last, limit=PEOPLE_BATCH)
            if not ids:
                return
            yield ids
            last = ids[-1]

    def _people(self, start: str, below: str | None) -> Iterator[pa.Table]:
        for ids in self._batches(start, below):
            with self.past.store.read() as tx:
                pasts = people_pasts(tx, ids, self.past.rules)
            rows = [row for id in ids if id in pasts for row in self._rows(pasts[id])]
            yield pa.Table.from_pylist(rows, self._people_schema())

    def _rows(self, person: PersonPast) -> Iterator[dict[str, Any]]:
        """One row for each stretch of days on which the same was known."""
        days = sorted({self.past.day(at) for at in person.instants()})
        # Of what came before the first day asked for, only the end counts.
        first = max(0, bisect_right(days, self.since) - 1)
        days = [day for day in days[first:] if day <= self.until]
        known: dict[str, Any] | None = None
        since: date | None = None
        for day in days:
            row = self._row(person, day)
            if row == known:
                continue
            if known is not None:
                yield known | {KNOWN_FROM: since, KNOWN_UNTIL: day}
            known, since = row, day
        if known is not None:
            yield known | {KNOWN_FROM: since, KNOWN_UNTIL: None}

    def _row(self, person: PersonPast, day: date) -> dict[str, Any] | None:
        past = self.past
        found = gather(person.before(past.end(day)), past.rules)
        if found is None:
            return None
        return people_row(found.facts, person.person_id, 0, zone=past.zone, valid=found.valid, custom=past.rules.custom)

    # -- events ----------------------------------------------------------------------------------------------

    def _spill_events(self, starts: Sequence[str]) -> list[Path]:
        """All versions of all events into one loose file a bucket, so that no more than a batch is in memory."""
        files = [self.folder / f"loose-{n:03d}.parquet" for n in range(len(starts))]
        of = _versioned(events_schema())
        with ExitStack() as open_files:
            writers = [open_files.enter_context(pq.ParquetWriter(file, of)) for file in files]
            for rows in self._events():
                split: dict[int, list[dict[str, Any]]] = {}
                for row in rows:
                    split.setdefault(bisect_right(starts, row["person_id"]) - 1, []).append(row)
                for n, some in split.items():
                    writers[n].write_table(pa.Table.from_pylist(some, of))
        return files

    def _events(self) -> Iterator[list[dict[str, Any]]]:
        yield from self._standing_events()
        yield from self._superseded_events()

    def _standing_events(self) -> Iterator[list[dict[str, Any]]]:
        e, link = schema.event.c, schema.link.c
        joined = schema.event.join(schema.link, carries(link, e))
        columns = (e.seq, e.conn, e.source_id, e.kind, e.at, e.timed, e.count, e.attributes, e.seen_at, link.person_id)
        live = select(*columns).select_from(joined).where(e.deleted.is_(False)).order_by(e.seq).limit(EVENT_BATCH)
        if self.only is not None:
            live = live.where(link.person_id.in_(list(self.only)))
        after = 0
        while True:
            with self.past.store.read() as tx:
                found = tx.execute(live.where(e.seq > after)).all()
            if not found:
                return
            after = found[-1].seq
            yield list(self._event_rows((row, row.seen_at, None) for row in found))

    def _superseded_events(self) -> Iterator[list[dict[str, Any]]]:
        """Versions that were corrected or taken back."""
        h = schema.event_history.c
        after = 0
        while True:
            with self.past.store.read() as tx:
                found = tx.execute(
                    select(schema.event_history).where(h.seq > after).order_by(h.seq).limit(EVENT_BATCH)
                ).all()
                placed = [row for row in found if row.body["id"] is not None and not row.body["deleted"]]
                holders = self._holders(tx, {carrier(row.body["object"], row.body["id"]) for row in placed})
            if not found:
                return
            after = found[-1].seq
            versions = ((_Old(row, holders), row.seen_at, row.superseded_at) for row in placed)
            yield list(self._event_rows((old, *times) for old, *times in versions if old.person_id is not None))

    def _holders(self, tx: Connection, refs: Collection[RecordRef]) -> dict[RecordRef, str]:
        link = schema.link.c
        found = {
            RecordRef(crm=Crm(conn), object=object, id=row.id): row.person_id
            for (conn, object), ids in by_object(refs).items()
            for part in parts(ids)
            for row in tx.execute(select(link.id, link.person_id).where(here(schema.link, conn, object, part)))
        }
        return found if self.only is None else {ref: id for ref, id in found.items() if id in self.only}

    def _event_rows(self, versions: Iterable[Sequence[Any]]) -> Iterator[dict[str, Any]]:
        """One row for each version that was known on a day asked for."""
        past = self.past
        for row, seen_at, superseded_at in versions:
            known_from = past.day(seen_at)
            known_until = None if superseded_at is None else past.day(superseded_at)
            if known_from > self.until or (known_until is not None and known_until <= max(known_from, self.since)):
                continue
            yield _event_row(row, past.zone) | {KNOWN_FROM: known_from, KNOWN_UNTIL: known_until}


def _event_row(row: Any, zone: ZoneInfo) -> dict[str, Any]:
    """One version of an event with its person, as scoring reads it."""
    # Exact midnight without time of day is how a date is stored (`sync.store.engagement`).
    is_date = not row.timed and row.at.time() == time.min
    return event_row(
        row.person_id,
        f"{row.conn}:{row.source_id}",
        row.kind,
        row.at.date() if is_date else row.at,
        zone=zone,
        timed=row.timed,
        count=row.count,
        attributes=row.attributes,
    )


def _events_before(tx: Connection, store: Store, person_id: str, end: datetime) -> Iterator[Any]:
    """One person's events as they were known just before an instant."""
    link = schema.link.c
    own = {
        RecordRef(crm=Crm(row.conn), object=row.object, id=row.id): person_id
        for row in tx.execute(select(link.conn, link.object, link.id).where(link.person_id == person_id))
    }
    standing = {(row.conn, row.source_id): row for row in _standing(tx, store, person_id)}
    yield from (row for row in standing.values() if row.seen_at < end and not row.deleted)
    h = schema.event_history.c
    ids = sorted({ref.id for ref in own})
    for part in parts(ids):
        named = select(schema.event_history).where(h.body["id"].as_string().in_(part))
        for row in tx.execute(named.where(h.seen_at < end, h.superseded_at >= end)):
            old = _Old(row, own)
            if old.person_id is not None and not row.body["deleted"]:
                yield old


def _standing(tx: Connection, store: Store, person_id: str) -> Iterator[Any]:
    """One person's events as they are now. The snapshot names them: the table has no index by record."""
    e, link = schema.event.c, schema.link.c
    columns = (e.seq, e.conn, e.source_id, e.kind, e.at, e.timed, e.count, e.attributes, e.deleted, e.seen_at)
    joined = schema.event.join(schema.link, carries(link, e))
    found = select(*columns, link.person_id).select_from(joined).where(link.person_id == person_id)
    named = Snapshot.of(store).events_of(tx, person_id)
    yield from tx.execute(found.where(e.seq > named.until))
    for conn, ids in named.by_conn().items():
        for part in parts(ids):
            yield from tx.execute(found.where(e.conn == conn, e.source_id.in_(part)))


class _Old:
    """A row of `event_history`, as one of `event`."""

    __slots__ = ("at", "attributes", "conn", "count", "kind", "person_id", "source_id", "timed")

    def __init__(self, row: Any, holders: Mapping[RecordRef, str]) -> None:
        body = row.body
        self.conn, self.source_id = row.conn, row.source_id
        self.person_id = holders.get(carrier(body["object"], body["id"]))
        self.kind, self.timed, self.count, self.attributes = (
            body[name] for name in ("kind", "timed", "count", "attributes")
        )
        self.at = datetime.fromisoformat(body["at"])


def _versioned(of: pa.Schema) -> pa.Schema:
    return pa.unify_schemas([of, NEW_KEYS])
