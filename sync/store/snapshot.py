"""The Parquet files that scoring reads: every person's facts, and all engagement, in buckets of people.

A cache of the store: delete the folder and it is made again, equal row for row. Between rebuilds it grows by small
delta files; where several files hold a person or an event, the row with the greatest ``seq`` counts, and after
`MOST_DELTAS` of them a bucket is written anew, sorted by person. Files are written beside, synced and renamed before
the manifest (a table) names them, in one transaction: a crash leaves the old snapshot and some orphans.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Connection, bindparam, delete, func, or_, select, update

from connectors.records import Crm, RecordRef
from scoring.derive import SeniorityTable
from scoring.facts import Fact
from scoring.tables import Bucket, event_row, events_schema, people_row, people_schema
from sync.gather import FactProblem, GatherRules, gather
from sync.store import people, schema
from sync.store.db import Store, to_json
from sync.store.parquet import RowGroups
from sync.store.refs import by_object, carrier, carries, here, parts
from sync.store.statements import upsert

__all__ = ["BUCKETS", "NamedEvents", "Snapshot", "SnapshotReport", "bucket_of"]

FORMAT = 1
"""Moved whenever the files' content changes for equal inputs: older snapshots are then made again."""

SMALL = 20_000
"""Up to so many people, when the snapshot is made, one bucket is quicker than many."""

MANY = 64

MOST_DELTAS = 10

MOST_TAIL = 500_000
"""With more new events than this, making everything again costs less than growing."""

PEOPLE_BATCH = 2000
EVENT_BATCH = 20_000

MOST_PROBLEMS = 1000
"""Unreadable values that are reported one by one."""

_LETTERS = "234567abcdefghijklmnopqrstuvwxyz"
_HALVES = tuple(start for letter in _LETTERS for start in (letter, letter + _LETTERS[len(_LETTERS) // 2]))
_STARTS: Mapping[int, tuple[str, ...]] = {1: ("",), MANY: ("", *_HALVES[1:])}
"""Number of buckets -> the first person id of each. Ids are hashes already, so equal ranges hold equal shares."""

BUCKETS = tuple(_STARTS)
"""How many buckets a snapshot may have."""


def bucket_of(person_id: str, buckets: int) -> int:
    """The bucket a person is in: buckets are ranges of person ids, in the order of the ids."""
    return bisect_right(_STARTS[buckets], person_id) - 1


def _range(bucket: int, buckets: int) -> tuple[str, str | None]:
    starts = _STARTS[buckets]
    return starts[bucket], starts[bucket + 1] if bucket + 1 < buckets else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotReport:
    """What scoring reads, and of whom it is new.

    buckets   how many there are; people are in bucket ``bucket_of(person_id, buckets)``
    files     bucket -> its files, for every bucket
    people_in bucket -> rows of people in its files, older versions of one person included
    dirty_by  bucket -> the people to score again; settle them (`people.settle_dirty`) with their decision
    problems  values that could not be read as their fact, of the people gathered now, the first thousand
    """

    buckets: int
    files: Mapping[int, Bucket]
    dirty_by: Mapping[int, frozenset[str]]
    people_in: Mapping[int, int]
    gathered: int
    rebuilt: bool
    problems: tuple[FactProblem, ...] = ()
    custom: Mapping[str, Fact] = field(default_factory=dict)

    @property
    def dirty(self) -> frozenset[str]:
        return frozenset().union(*self.dirty_by.values())

    def dirty_in(self, bucket: int) -> frozenset[str]:
        return self.dirty_by.get(bucket, frozenset())

    def by_bucket(self, person_ids: Iterable[str]) -> dict[int, list[str]]:
        """The ids, sorted, by bucket."""
        found: dict[int, list[str]] = {}
        for person_id in sorted(person_ids):
            found.setdefault(bucket_of(person_id, self.buckets), []).append(person_id)
        return found

    def groups(self, *, everybody: bool, most: int) -> Iterator[tuple[int, ...]]:
        """Neighbouring buckets of about ``most`` people together, of whom somebody, or ``everybody``, is to be scored.

        Where everybody is, buckets with delta files are kept apart from those that need no choosing between rows.
        """
        group: list[int] = []
        size = 0
        for bucket, files in sorted(self.files.items()):
            here = self.people_in.get(bucket, 0) if everybody else len(self.dirty_in(bucket))
            if not here and not everybody:
                continue
            apart = everybody and bool(group) and _is_whole(files) != _is_whole(self.files[group[-1]])
            if group and (size + here > most or apart):
                yield tuple(group)
                group, size = [], 0
            group.append(bucket)
            size += here
        if group:
            yield tuple(group)

    def together(self, buckets: Iterable[int]) -> Bucket:
        """The files of several buckets as those of one."""
        some = [self.files[bucket] for bucket in buckets]
        return Bucket(
            people=tuple(file for one in some for file in one.people),
            events=tuple(file for one in some for file in one.events),
            compacted=all(_is_whole(one) for one in some),
            settled=frozenset().union(*(one.settled for one in some)),
        )

    def apart(self, table: pa.Table, buckets: Iterable[int]) -> Iterator[tuple[int, pa.Table]]:
        """The rows of each of these buckets; of some there may be none."""
        split = _split(table, self.buckets)
        for bucket in buckets:
            yield bucket, split.get(bucket, table.slice(0, 0))

    def events(self, person_ids: Iterable[str], kinds: Collection[str]) -> dict[str, list[dict[str, Any]]]:
        """The stored rows (`scoring.tables.events_schema`) of these kinds of each of these people who has any."""
        found: dict[str, list[dict[str, Any]]] = {}
        for bucket, ids in self.by_bucket(person_ids).items():
            # What was taken back, or became of another kind, has a newer row that must be seen to be left out.
            theirs = _newest(
                _read(self.files[bucket].events, events_schema(), pc.field("person_id").isin(ids)), "event_id"
            )
            wanted = pc.and_(pc.invert(theirs["deleted"]), pc.is_in(theirs["kind"], pa.array(sorted(kinds))))
            for row in theirs.filter(wanted).to_pylist():
                found.setdefault(row["person_id"], []).append(row)
        return found

    def facts(self, person_ids: Iterable[str], names: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
        """The stored row (`scoring.tables.people_schema`) of each of these people; who is in no file is left out.

        ``names``: no columns but these are asked for, and those that tell rows apart; there may be none of a name.
        """
        found: dict[str, dict[str, Any]] = {}
        columns = people_schema(self.custom)
        if names is not None:
            columns = pa.schema([c for c in columns if c.name in names or c.name in ("person_id", "seq")])
        for bucket, ids in self.by_bucket(person_ids).items():
            table = _read(self.files[bucket].people, columns, pc.field("person_id").isin(ids))
            found.update((row["person_id"], row) for row in _newest(table, "person_id").to_pylist())
        return found


@dataclass(slots=True)
class _File:
    """One Parquet file as the manifest has it."""

    name: str
    kind: str
    bucket: int
    sorted: bool
    seq: int
    rows: int


@dataclass(slots=True)
class _Manifest:
    """What is there. ``event_seq``, ``history_seq``: everything up to there is in the files."""

    buckets: int
    made_with: str
    generation: int
    event_seq: int = 0
    history_seq: int = 0
    files: dict[str, _File] = field(default_factory=dict)

    def of(self, kind: str, bucket: int) -> list[_File]:
        found = [f for f in self.files.values() if f.kind == kind and f.bucket == bucket]
        return sorted(found, key=lambda f: f.seq)


@dataclass(slots=True)
class _Changes:
    """What one refresh adds to and takes from the files of one bucket."""

    events: list[pa.Table] = field(default_factory=list)
    moved_in: list[pa.Table] = field(default_factory=list)
    leave: set[str] = field(default_factory=set)
    vanished: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedEvents:
    """Ids (``crm:source id``) of a person's events with a ``seq`` up to ``until``, taken back ones included."""

    ids: frozenset[str] = frozenset()
    until: int = 0

    def by_conn(self) -> dict[str, list[str]]:
        """CRM -> source ids."""
        found: dict[str, list[str]] = {}
        for id in sorted(self.ids):
            conn, _, source = id.partition(":")
            found.setdefault(conn, []).append(source)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The snapshot of one store, in ``folder``."""

    folder: Path

    @classmethod
    def of(cls, store: Store) -> Snapshot:
        return cls(folder=store.folder)

    def events_of(self, tx: Connection, person_id: str) -> NamedEvents:
        """Which events the files have of a person. Where there is no snapshot, or it is behind, none up to 0."""
        manifest = _load_manifest(tx)
        if manifest is None or tx.execute(select(schema.merged_person.c.person_id).limit(1)).first() is not None:
            return NamedEvents()
        files = [self.folder / f.name for f in manifest.of("events", bucket_of(person_id, manifest.buckets))]
        try:
            ids = [
                id
                for file in files
                for id in pq.read_table(file, columns=["event_id"], filters=pc.field("person_id") == person_id)[
                    "event_id"
                ].to_pylist()
            ]
        except FileNotFoundError:
            # A run has just written the bucket anew, or somebody took the folder away: the table has them all.
            return NamedEvents()
        return NamedEvents(ids=frozenset(ids), until=manifest.event_seq)

    def refresh(
        self,
        store: Store,
        *,
        timezone: str,
        prefer: Mapping[str, str] | None = None,
        seniority: SeniorityTable = (),
        custom: Mapping[str, Fact] | None = None,
        free_mail: frozenset[str] | None = None,
    ) -> SnapshotReport:
        """Bring the files up to date with the store. Call it after `people.resolve_touched`.

        Parameters
        ----------
        timezone: of the policy; it makes calendar days of instants
        prefer, seniority, custom, free_mail: how facts are merged, derived and named (`gather`)

        Made anew when there is none, a file is missing, or any parameter is not what it was made with.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with store.read() as tx:
            owners = people.load_owner_names(tx)
            manifest = _load_manifest(tx)
        rules = GatherRules(
            prefer=prefer or {}, seniority=seniority, custom=custom or {}, free_mail=free_mail, owners=owners
        )
        work = _Refresh(
            folder=self.folder, store=store, rules=rules, zone=ZoneInfo(timezone), made_with=_made_with(timezone, rules)
        )
        return work.run(manifest)


def _made_with(timezone: str, rules: GatherRules) -> str:
    """A hash of everything but the store that the files depend on."""
    body = to_json(
        [
            FORMAT,
            timezone,
            {fact: str(rule) for fact, rule in rules.prefer.items()},
            [[rank, list(phrases)] for rank, phrases in rules.seniority],
            {name: [fact.type.value, list(fact.values), list(fact.extra)] for name, fact in rules.custom.items()},
            None if rules.free_mail is None else sorted(rules.free_mail),
            str(people_schema(rules.custom)),
            str(events_schema()),
        ]
    )
    return hashlib.sha256(body.encode()).hexdigest()


# -- the manifest ------------------------------------------------------------------------------------------------

SETTINGS = "settings"
KINDS = ("people", "events")


def _load_manifest(tx: Connection) -> _Manifest | None:
    rows = tx.execute(select(schema.snapshot).where(schema.snapshot.c.kind.in_((SETTINGS, *KINDS)))).all()
    settings = next((row for row in rows if row.kind == SETTINGS), None)
    if settings is None:
        return None
    return _Manifest(
        **settings.meta,
        generation=settings.seq,
        files={
            row.file: _File(row.file, row.kind, row.bucket, row.sorted, row.seq, row.rows)
            for row in rows
            if row.kind != SETTINGS
        },
    )


def _save_manifest(tx: Connection, manifest: _Manifest) -> None:
    names = set(manifest.files) | {SETTINGS}
    s = schema.snapshot.c
    old = select(s.file).where(s.kind.in_((SETTINGS, *KINDS)))
    gone = [name for name in tx.execute(old).scalars() if name not in names]
    for part in parts(gone):
        tx.execute(delete(schema.snapshot).where(s.file.in_(part)))
    rows = [
        {
            "file": f.name,
            "kind": f.kind,
            "bucket": f.bucket,
            "sorted": f.sorted,
            "seq": f.seq,
            "rows": f.rows,
            "meta": {},
        }
        for f in manifest.files.values()
    ]
    meta = {
        "buckets": manifest.buckets,
        "made_with": manifest.made_with,
        "event_seq": manifest.event_seq,
        "history_seq": manifest.history_seq,
    }
    settings = {"file": SETTINGS, "kind": SETTINGS, "bucket": -1, "sorted": False, "rows": 0, "meta": meta}
    upsert(tx, schema.snapshot, [*rows, settings | {"seq": manifest.generation}], ("file",))


# -- one refresh -------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class _Refresh:
    folder: Path
    store: Store
    rules: GatherRules
    zone: ZoneInfo
    made_with: str
    dirty: dict[int, frozenset[str]] = field(default_factory=dict)
    problems: list[FactProblem] = field(default_factory=list)
    gathered: int = 0

    def run(self, old: _Manifest | None) -> SnapshotReport:
        self._remove_orphans(set(old.files) if old else set())
        with self.store.read() as tx:
            last = tx.execute(select(func.max(schema.event.c.seq))).scalar_one() or 0
            history = tx.execute(select(func.max(schema.event_history.c.seq))).scalar_one() or 0
            merged = {row.person_id: row.into_id for row in tx.execute(select(schema.merged_person))}
        rebuild = (
            old is None
            or old.made_with != self.made_with
            or any(not (self.folder / name).exists() for name in old.files)
            or last - old.event_seq > MOST_TAIL
        )
        if rebuild or old is None:
            fresh = self._rebuild(old.generation + 1 if old else 1, last)
        else:
            fresh = self._grow(old, last, history, merged)
        fresh.event_seq, fresh.history_seq = last, history
        _sync_folder(self.folder)
        with self.store.write() as tx:
            _save_manifest(tx, fresh)
            for part in parts(sorted(merged)):
                tx.execute(delete(schema.merged_person).where(schema.merged_person.c.person_id.in_(part)))
        self._remove_orphans(set(fresh.files))
        return SnapshotReport(
            buckets=fresh.buckets,
            files={bucket: self._bucket(fresh, bucket) for bucket in range(fresh.buckets)},
            dirty_by=self.dirty,
            people_in={b: sum(f.rows for f in fresh.of("people", b)) for b in range(fresh.buckets)},
            gathered=self.gathered,
            rebuilt=rebuild,
            problems=tuple(self.problems),
            custom=self.rules.custom,
        )

    def _bucket(self, manifest: _Manifest, bucket: int) -> Bucket:
        of = {kind: {self.folder / f.name: f.sorted for f in manifest.of(kind, bucket)} for kind in KINDS}
        return Bucket(
            people=tuple(of["people"]),
            events=tuple(of["events"]),
            settled=frozenset(path for files in of.values() for path, sorted in files.items() if sorted),
        )

    def _remove_orphans(self, named: set[str]) -> None:
        """Files of ours that the manifest does not name: a crash, or a bucket written anew, left them."""
        for pattern in ("people-*.parquet", "events-*.parquet", "*.parquet.tmp"):
            for path in self.folder.glob(pattern):
                if path.name not in named:
                    path.unlink(missing_ok=True)

    # -- from nothing ----------------------------------------------------------------------------------------

    def _rebuild(self, generation: int, last: int) -> _Manifest:
        with self.store.read() as tx:
            count = tx.execute(select(func.count()).select_from(schema.person)).scalar_one()
        buckets = 1 if count <= SMALL else MANY
        manifest = _Manifest(buckets=buckets, made_with=self.made_with, generation=generation)
        loose = self._spill_events(manifest, last)
        for bucket in range(buckets):
            self._write_people(manifest, bucket, everybody=True)
            events = _read([loose[bucket]], events_schema())
            self._write(manifest, "events", bucket, _sorted_events(events), sorted=True)
            loose[bucket].unlink()
        return manifest

    def _spill_events(self, manifest: _Manifest, last: int) -> dict[int, Path]:
        """All engagement into one loose file a bucket, so that no more than a batch is in memory."""
        loose = {b: self.folder / f"loose-{b:02d}.parquet.tmp" for b in range(manifest.buckets)}
        writers = {b: pq.ParquetWriter(path, events_schema(), compression="zstd") for b, path in loose.items()}
        try:
            for table in self._events_between(0, last, deleted=False):
                for bucket, some in _split(table, manifest.buckets).items():
                    writers[bucket].write_table(some)
        finally:
            for writer in writers.values():
                writer.close()
        return loose

    # -- by a little -----------------------------------------------------------------------------------------

    def _grow(self, old: _Manifest, last: int, history: int, merged: Mapping[str, str]) -> _Manifest:
        manifest = _Manifest(
            buckets=old.buckets, made_with=old.made_with, generation=old.generation + 1, files=dict(old.files)
        )
        changes = {bucket: _Changes() for bucket in range(old.buckets)}
        self._move_merged(old, merged, changes)
        for table in self._events_between(old.event_seq, last, deleted=True):
            for bucket, some in _split(table, old.buckets).items():
                changes[bucket].events.append(some)
        for bucket, some in _split(self._left_behind(old.history_seq, history), old.buckets).items():
            changes[bucket].events.append(some)
        for bucket, change in changes.items():
            self._write_people(manifest, bucket, everybody=False, leaving=change)
            if change.events or change.moved_in:
                table = pa.concat_tables([*change.moved_in, *change.events])
                self._write(manifest, "events", bucket, table, sorted=False)
            if change.leave or change.moved_in or len(manifest.of("events", bucket)) > MOST_DELTAS:
                self._rewrite(manifest, "events", bucket, without=change.leave)
            gone = change.leave | change.vanished
            if gone or len(manifest.of("people", bucket)) > MOST_DELTAS:
                self._rewrite(manifest, "people", bucket, without=gone)
        return manifest

    def _move_merged(self, old: _Manifest, merged: Mapping[str, str], changes: Mapping[int, _Changes]) -> None:
        """The engagement of people who were found to be others goes over to them."""
        survivors = {loser: _end(loser, merged) for loser in merged}
        by_bucket: dict[int, list[str]] = {}
        for loser in survivors:
            by_bucket.setdefault(bucket_of(loser, old.buckets), []).append(loser)
        for bucket, losers in by_bucket.items():
            changes[bucket].leave |= set(losers)
            files = [self.folder / f.name for f in old.of("events", bucket)]
            theirs = _read(files, events_schema(), pc.field("person_id").isin(losers))
            if theirs.num_rows == 0:
                continue
            names = pa.array([survivors[name] for name in theirs["person_id"].to_pylist()], pa.string())
            position = theirs.schema.get_field_index("person_id")
            renamed = theirs.set_column(position, theirs.schema.field(position), names)
            for to, some in _split(renamed, old.buckets).items():
                changes[to].moved_in.append(some)

    def _left_behind(self, after: int, last: int) -> pa.Table:
        """Takes events from people they no longer belong to, because the CRM now names another record."""
        h, e, link = schema.event_history.c, schema.event.c, schema.link.c
        rows: list[dict[str, Any]] = []
        with self.store.read() as tx:
            moved = select(schema.event_history).where(h.seq > after, h.seq <= last).order_by(h.seq)
            for part in parts(tx.execute(moved).all(), EVENT_BATCH):
                before = {(row.conn, row.source_id): row.body for row in part if row.body["id"] is not None}
                holders = _holders(tx, {carrier(b["object"], b["id"]) for b in before.values()})
                now = {
                    (row.conn, row.source_id): row
                    for conn in {conn for conn, _ in before}
                    for ids in parts([source for c, source in before if c == conn])
                    for row in tx.execute(
                        select(e.seq, e.conn, e.source_id, e.kind, e.at, link.person_id)
                        .outerjoin(schema.link, carries(link, e))
                        .where(e.conn == conn, e.source_id.in_(ids))
                    )
                }
                for key, body in before.items():
                    holder = holders.get(carrier(body["object"], body["id"]))
                    row = now.get(key)
                    if holder is not None and row is not None and row.person_id != holder:
                        # Just below the new row: it outlives the old one, and never the new.
                        rows.append(
                            event_row(
                                holder,
                                f"{key[0]}:{key[1]}",
                                row.kind,
                                row.at,
                                zone=self.zone,
                                seq=2 * row.seq - 1,
                                deleted=True,
                            )
                        )
        return pa.Table.from_pylist(rows, events_schema())

    def _rewrite(self, manifest: _Manifest, kind: str, bucket: int, *, without: set[str]) -> None:
        """One sorted file instead of many, without these people and without what was taken back."""
        files = manifest.of(kind, bucket)
        table = _read([self.folder / f.name for f in files], self._schema(kind))
        if without:
            # First: who was merged left rows with the same numbers under the survivor's name.
            table = table.filter(~pc.field("person_id").isin(sorted(without)))
        table = _newest(table, "person_id" if kind == "people" else "event_id")
        table = _sorted_events(table.filter(~pc.field("deleted"))) if kind == "events" else table.sort_by("person_id")
        for f in files:
            del manifest.files[f.name]
        self._write(manifest, kind, bucket, table, sorted=True)

    # -- rows ------------------------------------------------------------------------------------------------

    def _schema(self, kind: str) -> pa.Schema:
        return people_schema(self.rules.custom) if kind == "people" else events_schema()

    def _write_people(
        self, manifest: _Manifest, bucket: int, *, everybody: bool, leaving: _Changes | None = None
    ) -> None:
        """Gather the people of a bucket, all or the dirty ones, into a new file, a batch at a time."""
        with self.store.read() as tx:
            dirty = frozenset(self._ids(tx, bucket, manifest.buckets, schema.person.c.dirty.is_not(None)))
        if dirty:
            self.dirty[bucket] = dirty
        if not everybody and not dirty:
            return
        with self._file(manifest, "people", bucket, sorted=everybody) as write:
            start, below = _range(bucket, manifest.buckets)
            which = None if everybody else schema.person.c.dirty.is_not(None)
            last: str | None = None
            while True:
                with self.store.read() as tx:
                    ids = people.person_ids(tx, which, start=start, below=below, after=last, limit=PEOPLE_BATCH)
                    sources = people.load_sources(tx, ids, self.rules.owners)
                if not ids:
                    break
                last = ids[-1]
                write(self._gather(ids, sources, manifest.generation, leaving))

    def _ids(self, tx: Connection, bucket: int, buckets: int, which: Any) -> Iterator[str]:
        start, below = _range(bucket, buckets)
        last: str | None = None
        while ids := people.person_ids(tx, which, start=start, below=below, after=last, limit=10_000):
            yield from ids
            last = ids[-1]

    def _gather(
        self, ids: Sequence[str], sources: Mapping[str, Any], generation: int, leaving: _Changes | None
    ) -> pa.Table:
        rows: list[dict[str, Any]] = []
        shown: list[dict[str, Any]] = []
        for person_id in ids:
            found = gather(sources[person_id], self.rules) if person_id in sources else None
            if found is None:
                if leaving is not None:
                    leaving.vanished.add(person_id)
                continue
            rows.append(
                people_row(
                    found.facts,
                    person_id,
                    generation,
                    zone=self.zone,
                    valid=found.valid,
                    custom=self.rules.custom,
                )
            )
            shown.append({"key": person_id, "new_email": found.email, "new_name": found.name})
            self.problems += found.problems[: MOST_PROBLEMS - len(self.problems)]
        self.gathered += len(rows)
        if shown:
            p = schema.person.c
            moved = or_(
                p.email.is_distinct_from(bindparam("new_email")), p.name.is_distinct_from(bindparam("new_name"))
            )
            named = update(schema.person).where(p.person_id == bindparam("key"), moved)
            with self.store.write(durable=False) as tx:
                tx.execute(named.values(email=bindparam("new_email"), name=bindparam("new_name")), shown)
        return pa.Table.from_pylist(rows, people_schema(self.rules.custom))

    def _events_between(self, after: int, last: int, *, deleted: bool) -> Iterator[pa.Table]:
        """Events of linked records with ``after < seq <= last``, a batch at a time."""
        e, link = schema.event.c, schema.link.c
        joined = schema.event.outerjoin(schema.link, carries(link, e))
        columns = (e.seq, e.conn, e.source_id, e.kind, e.at, e.timed, e.count, e.attributes, e.deleted, link.person_id)
        while True:
            batch = (select(*columns).select_from(joined).where(e.seq > after, e.seq <= last).order_by(e.seq)).limit(
                EVENT_BATCH
            )
            with self.store.read() as tx:
                found = tx.execute(batch).all()
            if not found:
                return
            after = found[-1].seq
            rows = [self._event(row) for row in found if row.person_id is not None and (deleted or not row.deleted)]
            if rows:
                yield pa.Table.from_pylist(rows, events_schema())

    def _event(self, row: Any) -> dict[str, Any]:
        # Exact midnight without time of day is how a date is stored (`sync.store.engagement`).
        is_date = not row.timed and row.at.time() == row.at.min.time()
        return event_row(
            row.person_id,
            f"{row.conn}:{row.source_id}",
            row.kind,
            row.at.date() if is_date else row.at,
            zone=self.zone,
            timed=row.timed,
            count=row.count,
            # Twice, so that between two versions there is room for a taking back.
            seq=2 * row.seq,
            deleted=row.deleted,
            attributes=row.attributes,
        )

    # -- files -----------------------------------------------------------------------------------------------

    @contextmanager
    def _file(
        self, manifest: _Manifest, kind: str, bucket: int, *, sorted: bool
    ) -> Iterator[Callable[[pa.Table], None]]:
        """A new file of the manifest, written table by table; it gets its name when it is whole."""
        letter = "s" if sorted else "d"
        name = f"{kind}-{bucket:02d}-{manifest.generation:08d}{letter}.parquet"
        beside = self.folder / f"{name}.tmp"
        rows = 0
        with beside.open("wb") as file:
            with RowGroups(file, self._schema(kind)) as groups:

                def write(table: pa.Table) -> None:
                    nonlocal rows
                    rows += table.num_rows
                    groups.write(table)

                yield write
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.folder / name)
        manifest.files[name] = _File(name, kind, bucket, sorted, manifest.generation, rows)

    def _write(self, manifest: _Manifest, kind: str, bucket: int, table: pa.Table, *, sorted: bool) -> None:
        with self._file(manifest, kind, bucket, sorted=sorted) as write:
            write(table)


def _sync_folder(folder: Path) -> None:
    """The renames themselves must survive a power cut, before the manifest names the files."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _end(loser: str, merged: Mapping[str, str]) -> str:
    while loser in merged:
        loser = merged[loser]
    return loser


def _holders(tx: Connection, refs: Iterable[RecordRef]) -> dict[RecordRef, str]:
    """Record -> the person it is linked to."""
    link = schema.link.c
    return {
        RecordRef(crm=Crm(conn), object=object, id=row.id): row.person_id
        for (conn, object), ids in by_object(refs).items()
        for part in parts(ids)
        for row in tx.execute(select(link.id, link.person_id).where(here(schema.link, conn, object, part)))
    }


def _read(files: Sequence[Path], of: pa.Schema, where: Any = None) -> pa.Table:
    tables = [pq.read_table(file, schema=of, filters=where) for file in files]
    return pa.concat_tables(tables) if tables else of.empty_table()


def _newest(table: pa.Table, key: str) -> pa.Table:
    """The row with the greatest ``seq`` of each key."""
    if table.num_rows < 2:
        return table
    ordered = table.sort_by([(key, "ascending"), ("seq", "descending")])
    keys = ordered[key].combine_chunks()
    first = pa.concat_arrays([pa.array([True]), pc.not_equal(keys[1:], keys[:-1])])
    return ordered.filter(first)


def _sorted_events(table: pa.Table) -> pa.Table:
    return table.sort_by([("person_id", "ascending"), ("at", "ascending"), ("event_id", "ascending")])


def _is_whole(bucket: Bucket) -> bool:
    """No file of the bucket holds a newer version of what is in another."""
    return len(bucket.people) <= 1 and len(bucket.events) <= 1


def _split(table: pa.Table, buckets: int) -> dict[int, pa.Table]:
    """The rows of each bucket, in their order."""
    if table.num_rows == 0:
        return {}
    if buckets == 1:
        return {0: table}
    numbers = pa.array([bucket_of(person_id, buckets) for person_id in table["person_id"].to_pylist()], pa.int16())
    present = sorted(set(numbers.to_pylist()))
    return {bucket: table.filter(pc.equal(numbers, bucket)) for bucket in present}
