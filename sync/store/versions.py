"""Every version of the policy that was in use, with its files, and what was decided under each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from sync.publication import How, Publication
from sync.rules import digest
from sync.store import schema
from sync.store.statements import insert_once

__all__ = ["Counts", "ShadowRow", "ShadowRunRow", "VersionRow", "counts", "entries", "entry", "newest", "record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    """One time that files were put into use, or were found in use. ``files`` is empty in a listing."""

    seq: int
    version: str
    name: str
    how: How
    note: str
    who: str
    at: datetime
    restores: int | None
    digest: str
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def contents(self) -> dict[str, bytes]:
        return {name: text.encode() for name, text in self.files.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What was decided under a version. ``people``: who were last decided by it; ``last_at``: of its newest run."""

    runs: int = 0
    people: int = 0
    episodes: int = 0
    assignments: int = 0
    last_at: datetime | None = None


def record(tx: Connection, one: Publication) -> bool:
    """Keep a publication. False when it is known already."""
    row = {
        **{name: getattr(one, name) for name in ("id", "version", "name", "how", "note", "who", "at", "restores")},
        "digest": digest({name: text.encode() for name, text in one.files.items()}),
        "files": one.files,
    }
    return insert_once(tx, schema.policy_version, row, ("id",))


_LISTED = tuple(c for c in schema.policy_version.c if c.name not in ("id", "files"))


def _row(found: Any) -> VersionRow:
    return VersionRow(**{**found._mapping, "how": How(found.how)})


def entries(tx: Connection) -> list[VersionRow]:
    """All of them without their files, newest first."""
    return [_row(row) for row in tx.execute(select(*_LISTED).order_by(schema.policy_version.c.seq.desc()))]


def newest(tx: Connection) -> VersionRow | None:
    """The one that came last, without its files."""
    row = tx.execute(select(*_LISTED).order_by(schema.policy_version.c.seq.desc()).limit(1)).first()
    return _row(row) if row is not None else None


def entry(tx: Connection, seq: int) -> VersionRow:
    """One of them, with its files."""
    c = schema.policy_version.c
    return _row(tx.execute(select(*_LISTED, c.files).where(c.seq == seq)).one())


def of_version(tx: Connection, version: str) -> VersionRow | None:
    """The newest entry of a version, with its files."""
    c = schema.policy_version.c
    row = tx.execute(select(*_LISTED, c.files).where(c.version == version).order_by(c.seq.desc()).limit(1)).first()
    return _row(row) if row is not None else None


def in_use_before(tx: Connection, at: datetime) -> VersionRow | None:
    """What was put into use last before an instant, with its files; None: nothing had been."""
    c = schema.policy_version.c
    last = select(*_LISTED, c.files).where(c.at < at, c.version != "").order_by(c.at.desc(), c.seq.desc()).limit(1)
    row = tx.execute(last).first()
    return _row(row) if row is not None else None


def counts(tx: Connection) -> dict[str, Counts]:
    """By version."""
    found: dict[str, dict[str, Any]] = {}
    for name, table in (
        ("runs", schema.job_run),
        ("people", schema.person),
        ("episodes", schema.episode),
        ("assignments", schema.assignment),
    ):
        by = table.c.policy_version
        for version, n in tx.execute(select(by, func.count()).where(by.is_not(None)).group_by(by)):
            found.setdefault(version, {})[name] = n
    runs = schema.job_run.c
    last = select(runs.policy_version, func.max(runs.as_of)).where(runs.policy_version.is_not(None))
    for version, at in tx.execute(last.group_by(runs.policy_version)):
        found[version]["last_at"] = at
    return {version: Counts(**of) for version, of in found.items()}


# -- shadows -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowRow:
    """A candidate that is scored beside the policy in use; ``ended_at`` None: still."""

    id: str
    version: str
    name: str
    note: str
    who: str
    at: datetime
    files: Mapping[str, str]
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowRunRow:
    """What one run found. ``whole``: everybody was compared."""

    run_id: str
    shadow_id: str
    live_version: str
    as_of: datetime
    whole: bool
    people: int
    body: Mapping[str, Any]


def start_shadow(tx: Connection, row: ShadowRow) -> None:
    """From now on this one; the one before ends."""
    end_shadow(tx, at=row.at)
    tx.execute(insert(schema.shadow), asdict(row))


def end_shadow(tx: Connection, *, at: datetime) -> int:
    """Returns how many ended: none or one."""
    open_one = schema.shadow.c.ended_at.is_(None)
    return tx.execute(update(schema.shadow).where(open_one).values(ended_at=at)).rowcount


def current_shadow(tx: Connection) -> ShadowRow | None:
    row = tx.execute(select(schema.shadow).where(schema.shadow.c.ended_at.is_(None))).first()
    return ShadowRow(**row._mapping) if row is not None else None


def last_shadow(tx: Connection) -> ShadowRow | None:
    """The one that is scored now, or else was last."""
    row = tx.execute(select(schema.shadow).order_by(schema.shadow.c.at.desc()).limit(1)).first()
    return ShadowRow(**row._mapping) if row is not None else None


def save_shadow_run(tx: Connection, row: ShadowRunRow) -> None:
    tx.execute(insert(schema.shadow_run), asdict(row))


def shadow_runs(tx: Connection, shadow_id: str) -> Sequence[ShadowRunRow]:
    """Newest first."""
    c = schema.shadow_run.c
    found = tx.execute(select(schema.shadow_run).where(c.shadow_id == shadow_id).order_by(c.as_of.desc()))
    return [ShadowRunRow(**row._mapping) for row in found]
