"""The accounts a store belongs to, who can own records in them, and how far each stream is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from connectors.normalise import email as normal_email
from connectors.records import AccountInfo, Crm, Owner, OwnerKind, RecordRef, Stream, Window
from sync.resolve import PEOPLE_OBJECTS
from sync.store import schema
from sync.store.db import StoreError
from sync.store.refs import COMPANY_OBJECT, SaveCounts, dirty_employees, mark_dirty, parts
from sync.store.statements import upsert

__all__ = ["Cursor", "load_cursor", "load_owners", "pin_account", "pinned_accounts", "save_owners", "save_window"]


def pin_account(tx: Connection, account: AccountInfo, *, at: datetime) -> None:
    """Remember the portal or org this store is for.

    Raises
    ------
    StoreError: the store was made with another account; nothing was changed
    """
    known = tx.execute(select(schema.pinned).where(schema.pinned.c.conn == account.crm)).first()
    if known is None:
        values = {"conn": account.crm, "account_id": account.id, "account_name": account.name, "pinned_at": at}
        tx.execute(schema.pinned.insert(), values)
    elif known.account_id != account.id:
        raise StoreError(
            f"{account.crm}: this store belongs to account {known.account_id} ({known.account_name}), the credentials "
            f"are for {account.id} ({account.name}); use the credentials of the first, or another `store:`. "
            "Nothing was read or written"
        )


def pinned_accounts(tx: Connection) -> dict[str, str]:
    """CRM -> the account id this store is pinned to."""
    return {row.conn: row.account_id for row in tx.execute(select(schema.pinned))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far a stream is read. ``lo``: everything before it is stored; None before the first load is complete.

    ``window`` is one that was begun and not finished, ``resume`` where to go on in it.
    """

    lo: datetime | None
    window: Window | None
    resume: str | None
    mapping: str


def load_cursor(tx: Connection, stream: Stream) -> Cursor | None:
    """Where the stream stands, None when it was never begun."""
    c = schema.cursor.c
    row = tx.execute(select(schema.cursor).where(c.conn == stream.crm, c.stream == stream.name)).first()
    if row is None:
        return None
    window = None if row.window_hi is None else Window(lo=row.window_lo, hi=row.window_hi)
    return Cursor(lo=row.lo, window=window, resume=row.resume, mapping=row.mapping)


def save_window(tx: Connection, stream: Stream, cursor: Cursor, *, at: datetime) -> None:
    """Store where the stream stands, in the transaction of the rows it speaks of."""
    row = {
        "conn": stream.crm,
        "stream": stream.name,
        "lo": cursor.lo,
        "mapping": cursor.mapping,
        "window_lo": cursor.window.lo if cursor.window else None,
        "window_hi": cursor.window.hi if cursor.window else None,
        "resume": cursor.resume,
        "updated_at": at,
    }
    upsert(tx, schema.cursor, [row], ("conn", "stream"))


# -- owners ---------------------------------------------------------------------------------------------------


def save_owners(tx: Connection, crm: Crm, owners: Sequence[Owner], *, seen_at: datetime) -> SaveCounts:
    """Store the whole owner listing of a CRM. Who is no longer listed stays known, as inactive.

    People and companies whose owner got another name become dirty.
    """
    counts = SaveCounts()
    stored = {row.id: row for row in tx.execute(select(schema.owner).where(schema.owner.c.conn == crm))}
    rows: list[dict[str, Any]] = []
    renamed: list[str] = []
    for owner in owners:
        row = {
            "conn": crm.value,
            "id": owner.id,
            "kind": owner.kind.value,
            "email": normal_email(owner.email),
            "name": owner.name,
            "label": owner.label,
            "active": owner.active,
            "objects": sorted(owner.objects),
            "integration": owner.integration,
        }
        before = stored.pop(owner.id, None)
        if before is not None and all(getattr(before, n) == v for n, v in row.items()):
            counts.unchanged += 1
            continue
        counts.new += before is None
        counts.changed += before is not None
        rows.append(row | {"seen_at": seen_at})
        if before is None or (before.kind, before.email, before.name) != (row["kind"], row["email"], row["name"]):
            renamed.append(owner.id)
    upsert(tx, schema.owner, rows, ("conn", "id"))
    vanished = [id for id, row in stored.items() if row.active]
    for part in parts(vanished):
        o = schema.owner.c
        tx.execute(update(schema.owner).where(o.conn == crm, o.id.in_(part)).values(active=False, seen_at=seen_at))
    counts.changed += len(vanished)
    _dirty_owned(tx, crm, renamed)
    return counts


def load_owners(tx: Connection) -> tuple[Owner, ...]:
    """Every user and queue of both CRMs, as last listed."""
    found = tx.execute(select(schema.owner).order_by(schema.owner.c.conn, schema.owner.c.id))
    return tuple(
        Owner(
            crm=Crm(row.conn),
            id=row.id,
            kind=OwnerKind(row.kind),
            email=row.email,
            name=row.name,
            active=row.active,
            label=row.label,
            objects=tuple(row.objects),
            integration=row.integration,
        )
        for row in found
    )


def _dirty_owned(tx: Connection, crm: Crm, owners: Sequence[str]) -> None:
    r = schema.record.c
    for part in parts(owners):
        owned = tx.execute(select(r.object, r.id).where(r.conn == crm, r.owner.in_(part))).all()
        refs = [RecordRef(crm=crm, object=row.object, id=row.id) for row in owned]
        mark_dirty(tx, [ref for ref in refs if ref.object in PEOPLE_OBJECTS[crm]], "owner")
        dirty_employees(tx, [ref for ref in refs if ref.object == COMPANY_OBJECT[crm]])
