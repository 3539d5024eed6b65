"""What `mqlsync check` finds: in the files alone, and with the CRMs asked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from connectors.errors import ConnectorError
from connectors.port import Connector
from connectors.records import Crm, Owner
from scoring.team import Rep
from sync.run import Parts, exit_code
from sync.schedule import Cron, next_slots
from sync.settings import OwnerAuthority, Settings
from sync.setup import wanted_fields

__all__ = ["Finding", "check_online", "check_schedules"]

CHANGING_HOURS = range(1, 4)
"""Local hours that are skipped or repeated where clocks change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the answer. ``error`` ones decide the exit code; the rest is worth knowing."""

    where: str
    message: str
    error: bool = False
    exit_code: int = 0


def check_schedules(settings: Settings, *, now: datetime) -> list[Finding]:
    """When each job runs next; a schedule that never comes is an error."""
    found: list[Finding] = []
    for job in settings.jobs.values():
        if job.schedule is None:
            continue
        times = next_slots(job.schedule, at=now, n=5)
        where = f"jobs.{job.name}"
        if not times:
            found.append(Finding(where=where, message="this schedule never comes", error=True, exit_code=3))
            continue
        zone = ZoneInfo(job.schedule.timezone) if isinstance(job.schedule, Cron) else ZoneInfo("UTC")
        shown = ", ".join(t.astimezone(zone).strftime("%a %d %b %H:%M") for t in times)
        found.append(Finding(where=where, message=f"next at {shown} {zone.key}"))
        if _falls_into_a_clock_change(times, zone):
            message = f"runs in an hour that {zone.key} skips or repeats when its clocks change; it still runs once"
            found.append(Finding(where=where, message=message))
    return found


def _falls_into_a_clock_change(times: list[datetime], zone: ZoneInfo) -> bool:
    year = times[0].year
    offsets = {datetime(year, month, 1, tzinfo=zone).utcoffset() for month in (1, 7)}
    return len(offsets) > 1 and any(t.astimezone(zone).hour in CHANGING_HOURS for t in times)


def check_online(parts: Parts) -> list[Finding]:
    """Credentials, fields, owners: everything a run would stumble over, asked without changing anything."""
    found: list[Finding] = []
    owners: dict[Crm, tuple[Owner, ...]] = {}
    for crm, connector in parts.connectors.items():
        try:
            account = connector.check()
            found.append(Finding(where=crm, message=f"signed in to {account.name} ({account.id}), {account.timezone}"))
            found += [Finding(where=crm, message=problem) for problem in account.problems]
            found += _fields(parts, connector)
            owners[crm] = connector.owners()
        except ConnectorError as error:
            found.append(Finding(where=crm, message=str(error), error=True, exit_code=exit_code(error)))
    for crm, listed in owners.items():
        found += _reps(parts, crm, listed)
        found += _queues(parts, crm, listed)
    found += _native_sync(parts)
    return found


def _fields(parts: Parts, connector: Connector) -> list[Finding]:
    """Properties that the policy writes and this CRM does not have, or does not let us write."""
    found: list[Finding] = []
    for wanted in wanted_fields(parts.policy, connector.crm):
        there = connector.describe(wanted.object).get(wanted.name)
        where = f"{connector.crm}.{wanted.object}.{wanted.name}"
        if there is None:
            optional = wanted.object == "task"
            message = "is not there; run `mqlsync setup`"
            found.append(Finding(where=where, message=message, error=not optional, exit_code=0 if optional else 4))
        elif not there.writable:
            message = "cannot be written by these credentials; grant edit access"
            found.append(Finding(where=where, message=message, error=True, exit_code=4))
        elif there.options is not None and (gone := set(wanted.options) - set(there.options)):
            message = f"lacks the options {', '.join(sorted(gone))}; run `mqlsync setup`"
            found.append(Finding(where=where, message=message, error=True, exit_code=4))
    return found


def _owner_id(rep: Rep, crm: Crm) -> str | None:
    return rep.hubspot if crm is Crm.HUBSPOT else rep.salesforce


def _reps(parts: Parts, crm: Crm, owners: tuple[Owner, ...]) -> list[Finding]:
    """Reps without an active user in a CRM, and active users who are no reps."""
    by_email = {owner.email: owner for owner in owners if owner.email and owner.kind == "user"}
    by_id = {owner.id: owner for owner in owners}
    found: list[Finding] = []
    for rep in parts.policy.team.reps.values():
        if rep.left:
            continue
        given = _owner_id(rep, crm)
        user = by_id.get(given) if given else by_email.get(rep.email)
        where = f"team.yaml: reps.{rep.email}"
        if user is None:
            found.append(Finding(where=where, message=f"has no user in {crm}; is skipped, their turn goes to others"))
        elif not user.active:
            found.append(Finding(where=where, message=f"is inactive in {crm}; is skipped, their turn goes to others"))
    emails = set(parts.policy.team.reps) | parts.policy.team.unowned
    ids = {_owner_id(rep, crm) for rep in parts.policy.team.reps.values()}
    outside = Counter(
        "active" if owner.active else "inactive"
        for owner in owners
        if owner.kind == "user" and owner.email not in emails and owner.id not in ids and not owner.integration
    )
    if outside["active"]:
        message = f"{outside['active']} active users are not in team.yaml: what they own is kept as theirs"
        found.append(Finding(where=crm, message=message))
    return found


def _queues(parts: Parts, crm: Crm, owners: tuple[Owner, ...]) -> list[Finding]:
    names = {owner.name for owner in owners if owner.kind == "queue"} | {owner.id for owner in owners}
    found: list[Finding] = []
    for queue in parts.policy.team.queues.values():
        wanted = queue.hubspot if crm is Crm.HUBSPOT else queue.salesforce
        if wanted is not None and wanted not in names:
            message = f"{crm} has no queue or owner {wanted!r}; people sent there keep the owner they have"
            found.append(Finding(where=f"team.yaml: queues.{queue.name}", message=message))
    return found


def _native_sync(parts: Parts) -> list[Finding]:
    """HubSpot's own Salesforce connector writes owners too."""
    hubspot = parts.connectors.get(Crm.HUBSPOT)
    if hubspot is None or Crm.SALESFORCE not in parts.connectors:
        return []
    try:
        there = "salesforceleadid" in hubspot.describe("contact")
    except ConnectorError:
        # Its failure is among the findings already.
        return []
    if not there or parts.settings.owner_authority is OwnerAuthority.SALESFORCE:
        return []
    message = (
        "HubSpot's own Salesforce connector is installed here and may copy owners as well: "
        "set `owner_authority: salesforce` and take HubSpot's `owner` out of `write`"
    )
    return [Finding(where="owner_authority", message=message)]
