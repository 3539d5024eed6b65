"""Records as the CRMs might say them, with everything that a test does not care about filled in."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from connectors.records import (
    CompanyRecord,
    Counter,
    Crm,
    Engagement,
    Owner,
    OwnerKind,
    PersonRecord,
    RecordRef,
)

DAY = datetime(2026, 3, 2, 9, tzinfo=UTC)


def contact(id: str | int) -> RecordRef:
    return RecordRef(crm=Crm.HUBSPOT, object="contact", id=str(id))


def sf_contact(id: str | int) -> RecordRef:
    return RecordRef(crm=Crm.SALESFORCE, object="contact", id=f"003{id!s:0>15}")


def lead(id: str | int) -> RecordRef:
    return RecordRef(crm=Crm.SALESFORCE, object="lead", id=f"00Q{id!s:0>15}")


def company(id: str | int) -> RecordRef:
    return RecordRef(crm=Crm.HUBSPOT, object="company", id=str(id))


def account(id: str | int) -> RecordRef:
    return RecordRef(crm=Crm.SALESFORCE, object="account", id=f"001{id!s:0>15}")


def person(ref: RecordRef, *emails: str, at: datetime = DAY, **more: Any) -> PersonRecord:
    """``facts`` are those given and the address."""
    facts = dict(more.pop("facts", {}))
    if emails:
        facts.setdefault("person.email", emails[0])
    given: dict[str, Any] = {"current": {}, "owner": None, "version": at.isoformat(), "modified_at": at}
    return PersonRecord(ref=ref, emails=emails, facts=facts, **(given | more))


def gone(ref: RecordRef, to: RecordRef | None = None, *, at: datetime = DAY) -> PersonRecord:
    return person(ref, at=at, gone=True, moved_to=to)


def firm(ref: RecordRef, *, at: datetime = DAY, **more: Any) -> CompanyRecord:
    given: dict[str, Any] = {"facts": {}, "owner": None, "version": at.isoformat(), "modified_at": at}
    return CompanyRecord(ref=ref, **(given | more))


def did(
    who: RecordRef | str, id: str, *, at: datetime | date = DAY, kind: str = "page_view", **more: Any
) -> Engagement:
    crm = who.crm if isinstance(who, RecordRef) else Crm.HUBSPOT
    return Engagement(crm=crm, source_id=id, kind=kind, at=at, who=who, **more)


def clicks(total: int, *, last: datetime | None = None, **more: Any) -> Counter:
    return Counter(property="clicks", kind="email_click", total=total, last_at=last, **more)


def user(crm: Crm, id: str, email: str, **more: Any) -> Owner:
    given: dict[str, Any] = {"kind": OwnerKind.USER, "name": email.split("@")[0], "active": True}
    return Owner(crm=crm, id=id, email=email, **(given | more))


def after(**span: float) -> datetime:
    """``DAY`` and so much more."""
    return DAY + timedelta(**span)
