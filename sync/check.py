"""What `mqlsync check` finds: in the files alone, and with the CRMs asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from connectors.errors import ConnectorError, RunCannotContinue, SourceMissing
from connectors.port import Connector
from connectors.records import AccountInfo, Crm, Owner, OwnerKind, StreamKind, Window
from scoring.engine import EngineFailed
from scoring.engine_spark import SparkEngine
from scoring.policy import Policy
from sync.check_team import empty_pools, overlapping_leave, shut_hours
from sync.drift import drifted
from sync.notify import unusable
from sync.owners import OwnerDirectory
from sync.resolve import PEOPLE_OBJECTS
from sync.run import Parts, exit_code, unchoosable
from sync.schedule import Cron, next_slots
from sync.settings import OwnerAuthority, Settings
from sync.setup import heard_fields, unusable_fields, wanted_fields
from sync.store import accounts, schema

__all__ = ["Finding", "check_engine", "check_notices", "check_online", "check_schedules", "check_team"]

CHANGING_HOURS = range(1, 4)
"""Local hours that are skipped or repeated where clocks change."""

MOST_LISTED = 20
"""Owners outside the team that are named one by one."""


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


def check_team(policy: Policy, *, now: datetime) -> list[Finding]:
    """Hours that stay closed, and leave that leaves a pool without anybody."""
    told = (*shut_hours(policy, now=now), *overlapping_leave(policy, now=now))
    return [Finding(where=where, message=message) for where, message in told]


def check_notices(settings: Settings, policy: Policy) -> list[Finding]:
    """What keeps people from being told what they are to be told."""
    if settings.notify is not None:
        return [Finding(where=where, message=message) for where, message in unusable(settings.notify)]
    if policy.sla is None:
        return []
    message = "mqlsync.yaml has no notify: nobody is reminded, MQLs only go on to other reps"
    return [Finding(where="sla", message=message)]


def _falls_into_a_clock_change(times: list[datetime], zone: ZoneInfo) -> bool:
    year = times[0].year
    offsets = {datetime(year, month, 1, tzinfo=zone).utcoffset() for month in (1, 7)}
    return len(offsets) > 1 and any(t.astimezone(zone).hour in CHANGING_HOURS for t in times)


def check_engine(settings: Settings) -> list[Finding]:
    """Whether Spark starts, which only starting it can tell. DuckDB is always there."""
    if settings.spark is None:
        return []
    try:
        with SparkEngine(master=settings.spark.master, memory=settings.spark.memory) as engine:
            return [Finding(where="engine", message=f"{engine.start()}: starts")]
    except EngineFailed as error:
        message = str(error).removeprefix("engine: ")
        return [Finding(where="engine", message=message, error=True, exit_code=3)]


def check_online(parts: Parts) -> list[Finding]:
    """Credentials, fields, owners: everything a run would stumble over, asked without changing anything."""
    found: list[Finding] = []
    owners: dict[Crm, tuple[Owner, ...]] = {}
    for crm, connector in parts.connectors.items():
        try:
            account = connector.check()
            zone = f"time zone {account.timezone}"
            found.append(Finding(where=crm, message=f"signed in to {account.name} ({account.id}), {zone}"))
            found += _pinned(parts, account)
            fields = _fields(parts, connector) + _heard(parts, connector)
            read = _streams(connector)
            again = connector.check()
            lost = drifted(parts.policy, parts.fields, connector, again)
            fields += [Finding(where=one.where, message=one.message) for one in lost]
            found += _told(again, fields) + fields + read
            if crm.writable:
                owners[crm] = connector.owners()
        except ConnectorError as error:
            found.append(_failed(crm, error))
    directory = OwnerDirectory(
        owners=[owner for listed in owners.values() for owner in listed],
        team=parts.policy.team,
        crms=tuple(owners),
    )
    for crm, listed in owners.items():
        found += _reps(parts, crm, directory)
        found += [Finding(where=where, message=said) for where, said in empty_pools(parts.policy, crm, directory)]
        found += _outsiders(parts, crm, listed, directory)
        found += _queues(parts, crm, listed)
    found += _native_sync(parts)
    return found


def _failed(crm: Crm, error: ConnectorError) -> Finding:
    message = str(error).removeprefix(f"{crm}: ")
    return Finding(where=crm, message=message, error=True, exit_code=exit_code(error))


def _streams(connector: Connector) -> list[Finding]:
    """Whether everything that is pulled may be read: the first page of an empty window of each stream."""
    found: list[Finding] = []
    now = connector.now()
    empty = Window(lo=now, hi=now)
    for stream in connector.streams():
        pages: Iterable[object]
        match stream.kind:
            case StreamKind.PEOPLE:
                pages = connector.people(stream, empty, None)
            case StreamKind.COMPANIES:
                pages = connector.companies(stream, empty, None)
            case StreamKind.ENGAGEMENT:
                pages = connector.engagement(stream, empty, None)
            case StreamKind.OWNERS:
                continue
        try:
            next(iter(pages), None)
        except SourceMissing as missing:
            message = str(missing).removeprefix(f"{connector.crm}: ")
            found.append(Finding(where=connector.crm, message=f"{message} Runs go on without it."))
        except ConnectorError as error:
            found.append(_failed(connector.crm, error))
    return found


def _pinned(parts: Parts, account: AccountInfo) -> list[Finding]:
    """The store belongs to one account; a run would refuse another."""
    with parts.store.read() as tx:
        known = accounts.pinned_accounts(tx).get(account.crm)
    if known in (None, account.id):
        return []
    message = f"the store belongs to account {known}: use its credentials, or another `store:`"
    return [Finding(where=account.crm, message=message, error=True, exit_code=3)]


def _told(account: AccountInfo, fields: Sequence[Finding]) -> list[Finding]:
    """What the connector has to say, without what is said of the same field more exactly."""
    named = {finding.where.rpartition(".")[2] for finding in fields}
    told = [problem for problem in account.problems if not any(name in problem for name in named)]
    return [Finding(where=account.crm, message=problem.removeprefix(f"{account.crm} ")) for problem in told]


def _fields(parts: Parts, connector: Connector) -> list[Finding]:
    """Properties that the policy writes and this CRM does not have, or does not let us write."""
    crm = connector.crm
    found = [
        Finding(where=f"{crm}.{name}", message=why, error=True, exit_code=4)
        for name, why in unusable_fields(parts.policy, connector)
    ]
    for wanted in wanted_fields(parts.policy, crm):
        try:
            there = connector.describe(wanted.object).get(wanted.name)
        except RunCannotContinue as error:
            if wanted.object != "task":
                raise
            # Tasks work without their key's description: they carry a mark in their text.
            found.append(Finding(where=f"{crm}.task", message=str(error).removeprefix(f"{crm}: ")))
            continue
        where = f"{crm}.{wanted.object}.{wanted.name}"
        if there is None and wanted.object == "task":
            message = "not there; run `mqlsync setup`. Until then tasks carry a mark in their text"
            found.append(Finding(where=where, message=message))
        elif there is not None and there.options is not None and (gone := set(wanted.options) - set(there.options)):
            message = f"lacks the options {', '.join(sorted(gone))}; run `mqlsync setup`"
            found.append(Finding(where=where, message=message, error=True, exit_code=4))
    return found


def _heard(parts: Parts, connector: Connector) -> list[Finding]:
    """Properties by which sales and marketing are to be heard and cannot. A run goes on without: nobody is heard there.

    An object that has none of them is passed over in silence where another object of the CRM has them: of Salesforce's
    people only a Lead has a Status.
    """
    crm = connector.crm
    rule, review = parts.fields.sales_states.get(crm), parts.fields.reviews.get(crm)
    described = {object: connector.describe(object) for object in PEOPLE_OBJECTS[crm]}
    found: list[Finding] = []
    for name in rule.properties() if rule is not None else ():
        if rule is not None and not any(name in there for there in described.values()):
            made = name == rule.reason and parts.policy.recycle is not None
            cure = "run `mqlsync setup`" if made else "correct sales_state in fields.yaml"
            found.append(Finding(where=f"{crm}.{name}", message=f"not there: sales is not heard by it; {cure}"))
    for object, there in described.items():
        if rule is not None and (gone := unchoosable(connector, object, rule)):
            names = ", ".join(map(repr, gone))
            message = f"{names}: nobody can choose this any more; was it renamed? Correct sales_state in fields.yaml"
            found.append(Finding(where=f"{crm}.{object}.{rule.property}", message=message))
        if review is not None and review.property in there and not there[review.property].writable:
            message = "not writable by these credentials: an answer is heard, and stays; grant edit access"
            found.append(Finding(where=f"{crm}.{object}.{review.property}", message=message))
    return found + _lacking(parts, connector)


def _lacking(parts: Parts, connector: Connector) -> list[Finding]:
    """What `mqlsync setup` would make for people to choose from."""
    found: list[Finding] = []
    for wanted in heard_fields(parts.policy, parts.fields, connector):
        there = connector.describe(wanted.object).get(wanted.name)
        gone = [] if there is None else [o for o in wanted.options if o not in (there.options or ())]
        if there is None or gone:
            lacks = "not there" if there is None else f"lacks the options {', '.join(gone)}"
            message = f"{lacks}: nobody can choose it; run `mqlsync setup`"
            found.append(Finding(where=f"{connector.crm}.{wanted.object}.{wanted.name}", message=message))
    return found


def _reps(parts: Parts, crm: Crm, directory: OwnerDirectory) -> list[Finding]:
    """Reps who cannot be given anybody in this CRM."""
    found: list[Finding] = []
    for rep in parts.policy.team.reps.values():
        why = None if rep.left else directory.why_not(rep.email, (crm,))
        if why is None:
            continue
        state = f"is inactive in {crm}" if why.startswith("inactive") else f"has no user in {crm}"
        where = f"team.yaml: reps.{rep.email}"
        found.append(Finding(where=where, message=f"{state}; is skipped, their turn goes to others"))
    return found


def _outsiders(parts: Parts, crm: Crm, owners: tuple[Owner, ...], directory: OwnerDirectory) -> list[Finding]:
    """Active users who own people and are no reps of team.yaml: what they own is kept as theirs."""
    record = schema.record
    counted = select(record.c.owner, func.count()).where(
        record.c.conn == crm, record.c.gone.is_(False), record.c.object.in_(("contact", "lead"))
    )
    with parts.store.read() as tx:
        owned: dict[str, int] = {row[0]: row[1] for row in tx.execute(counted.group_by(record.c.owner)) if row[0]}
    outside = [
        owner
        for owner in owners
        if owner.kind is OwnerKind.USER and (directory.owner_key(crm, owner.id) or "").startswith("user:")
    ]
    outside.sort(key=lambda owner: (-owned.get(owner.id, 0), owner.name))
    found = [
        Finding(
            where=crm,
            message=f"{owner.name or owner.id} ({owner.email or owner.id}) is active and not in team.yaml; "
            f"what they own stays theirs ({owned.get(owner.id, 0)} people read so far)"
            + "".join(f", but nobody has their address in {other}" for other in _without_twin(owner, directory)),
        )
        for owner in outside[:MOST_LISTED]
    ]
    if (more := len(outside) - MOST_LISTED) > 0:
        found.append(Finding(where=crm, message=f"{more} more active users are not in team.yaml"))
    return found


def _without_twin(owner: Owner, directory: OwnerDirectory) -> list[Crm]:
    """The other CRMs that know no active user by this owner's e-mail address: there their people keep their owner."""
    key = f"user:{owner.crm}:{owner.id}"
    return [crm for crm in directory.crms if crm is not owner.crm and directory.owner_id_for(key, crm, "lead") is None]


def _queues(parts: Parts, crm: Crm, owners: tuple[Owner, ...]) -> list[Finding]:
    """Queues of team.yaml that the CRM does not know."""
    known = {name.casefold() for o in owners for name in (o.id, o.name, o.label, o.email) if name}
    found: list[Finding] = []
    for queue in parts.policy.team.queues.values():
        wanted = queue.hubspot if crm is Crm.HUBSPOT else queue.salesforce
        if wanted is not None and wanted.casefold() not in known:
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
