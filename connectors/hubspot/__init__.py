"""HubSpot, over its own package's low-level call. See the README beside this file for what to know about the API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from connectors.errors import ConnectorError, RunCannotContinue, SignInRefused, SourceMissing, UnexpectedAnswer
from connectors.fields import CrmMap
from connectors.hubspot.activities import ACTIVITIES, Activities
from connectors.hubspot.answers import Undecodable, decode
from connectors.hubspot.client import Client
from connectors.hubspot.email_events import EmailEvents
from connectors.hubspot.forms import Forms
from connectors.hubspot.marketing_events import MarketingEvents
from connectors.hubspot.occurrences import Occurrences
from connectors.hubspot.owners import owners
from connectors.hubspot.reader import BATCH, Reader
from connectors.hubspot.refusals import NotPermitted, Refused
from connectors.hubspot.schema import Schema
from connectors.hubspot.settings import ApiVersion, HubSpotSettings, OAuth, Token
from connectors.hubspot.tasks import Tasks
from connectors.hubspot.writer import BATCHES_A_THREAD, Writer
from connectors.left_out import Untold, left_out
from connectors.records import (
    AccountInfo,
    CompanyRecord,
    Crm,
    DayQuota,
    Engagement,
    FieldSchema,
    Owner,
    Page,
    Patch,
    PersonRecord,
    ReadBack,
    RecordProblem,
    RecordRef,
    SchemaChange,
    Sighting,
    Stream,
    StreamKind,
    TaskDraft,
    WantedField,
    Window,
    WriteOutcome,
)
from connectors.retry import Patience

__all__ = ["ApiVersion", "HubSpotConnector", "HubSpotSettings", "OAuth", "Token"]


class _Of(StrEnum):
    """What the names of engagement streams begin with; those of activities are the objects' own."""

    FORM = "form:"
    EMAIL_EVENT = "email event:"
    MARKETING_EVENT = "marketing event:"
    OCCURRENCE = "event:"


class _Account(msgspec.Struct, frozen=True):
    portalId: int | str  # noqa: N815  # HubSpot's names
    timeZone: str | None = None  # noqa: N815
    uiDomain: str | None = None  # noqa: N815


class _Usage(msgspec.Struct, frozen=True):
    usageLimit: int | None = None  # noqa: N815
    currentUsage: int | None = None  # noqa: N815


class _Usages(msgspec.Struct, frozen=True):
    results: list[_Usage]


def _usages(body: bytes) -> _Usages:
    return msgspec.json.decode(body, type=_Usages, strict=False)  # numbers may come as text


class HubSpotConnector:
    """One portal, as `connectors.port.Connector`.

    fields    HubSpot's half of the field map, knowing what mqlsync writes (`CrmMap.writing`)
    patience  how often and how long a call is tried; ``sleep`` and ``monotonic`` are its clock
    schemas   properties by object, kept between connectors by whoever wants to; a connector of its own otherwise
    """

    def __init__(
        self,
        settings: HubSpotSettings,
        fields: CrmMap,
        *,
        patience: Patience | None = None,
        sleep: Callable[[float], object] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        schemas: MutableMapping[str, Mapping[str, FieldSchema]] | None = None,
    ) -> None:
        self._fields = fields
        self._client = Client(settings, patience=patience or Patience(), sleep=sleep, monotonic=monotonic)
        self._schema = Schema(self._client, {} if schemas is None else schemas)
        self._reader = Reader(self._client, self._schema, fields)
        self._forms = Forms(self._client, fields)
        self._email_events = EmailEvents(self._client, fields)
        self._activities = Activities(self._client, self._schema, self._reader, fields)
        self._marketing_events = MarketingEvents(self._client, fields)
        self._occurrences = Occurrences(self._client, fields)
        self._writer = Writer(self._client, self._reader, self._schema)
        self._tasks = Tasks(self._client, self._schema, self._reader)
        self._no_forms: tuple[str, ...] = ()
        self._unread_owners: tuple[Undecodable, ...] = ()
        self._untold = Untold(self._left_out)
        self._asked_usage = False

    @property
    def crm(self) -> Crm:
        return Crm.HUBSPOT

    @property
    def calls(self) -> Mapping[str, int]:
        """HTTP requests by kind: list, search, batch_read, read, batch_update, task_create, associations, owners,
        forms, submissions, email_events, marketing_events, participations, occurrences, dispositions, properties,
        properties_create, properties_update, property_groups, account, usage, token."""
        return MappingProxyType(self._client.calls)

    # -- the account -----------------------------------------------------------------------------------------------

    def check(self) -> AccountInfo:
        """One call, and one for each object whose properties are not known yet.

        One more, once, where the answers of the portal do not tell what is left of the day. ``problems`` lists mapped
        properties the portal does not have, forms that could not be listed, and what of a listing (owners, forms,
        marketing events, properties) could not be read.
        """
        self._client.sign_in.try_again()
        account = self._account()
        try:
            self._client.zone = ZoneInfo(account.timeZone or "UTC")
        except (ZoneInfoNotFoundError, ValueError):
            self._client.zone = None  # the day's quota is then counted in UTC
        if not self._client.day_is_told and not self._asked_usage:
            self._ask_usage()
        lacking = {object: gone for object in self._fields.objects if (gone := self._reader.missing(object))}
        missing = [
            f"hubspot has no {object} property {name}: it reads as blank. Correct fields.yaml, or run `mqlsync setup`."
            for object, names in lacking.items()
            for name in names
        ]
        return AccountInfo(
            crm=Crm.HUBSPOT,
            id=str(account.portalId),
            name=account.uiDomain or f"portal {account.portalId}",
            timezone=account.timeZone or "UTC",
            problems=(
                *missing,
                *self._no_forms,
                *self._untold.sentences(),
                *filter(None, (self._client.sign_in.problem,)),
            ),
            lacking=lacking,
        )

    def _account(self) -> _Account:
        try:
            return self._client.read("account", "GET", self._client.paths.account, read=lambda b: decode(b, _Account))
        except Refused as refused:
            raise UnexpectedAnswer(
                Crm.HUBSPOT,
                refused.problem,
                status=refused.status,
                advice="Check base_url and api_version of the connection: this is the first call to it.",
            ) from refused

    def _ask_usage(self) -> None:
        """The calls of the day where no header tells. An OAuth app has no such quota."""
        self._asked_usage = True
        if isinstance(self._client.settings.token, OAuth):
            return
        try:
            usage = self._client.read("usage", "GET", self._client.paths.usage, read=_usages)
        except SignInRefused:
            raise
        except ConnectorError as refused:
            if isinstance(refused, RunCannotContinue) and refused.quota:
                raise
            return  # a figure to show, not one to stop for
        for one in usage.results:
            if one.usageLimit is not None and one.currentUsage is not None:
                self._client.learn_day(left=one.usageLimit - one.currentUsage, limit=one.usageLimit)

    def day(self) -> DayQuota | None:
        """The account's calls of its calendar day, all apps together; mqlsync's own limit where that is lower."""
        return self._client.day()

    def now(self) -> datetime:
        """Whole seconds, as the ``Date`` header has them."""
        if self._client.clock is None:
            self.check()
        if self._client.clock is None:
            raise UnexpectedAnswer(
                Crm.HUBSPOT,
                "answers carry no Date header, so there is no clock to cut windows by.",
                status=200,
                advice="A proxy may be removing it.",
            )
        return self._client.clock.astimezone(UTC)

    def describe(self, object: str) -> Mapping[str, FieldSchema]:
        return self._schema.of(object)

    def ensure_schema(self, wanted: Sequence[WantedField], *, dry_run: bool = False) -> tuple[SchemaChange, ...]:
        """Properties in a group ``mqlsync``, and the unique key of tasks.

        The key's change is ``not possible ...`` where the portal takes no unique property on tasks.
        RunCannotContinue names a property that exists with another type.
        """
        return self._schema.ensure(wanted, dry_run=dry_run)

    # -- reading ---------------------------------------------------------------------------------------------------

    def streams(self) -> tuple[Stream, ...]:
        """One call if forms are mapped, one if marketing events are.

        Without the scope for forms there are none, and `check` says so. Whether another source of engagement is there
        shows when it is read.
        """
        streams = [Stream(crm=Crm.HUBSPOT, kind=StreamKind.OWNERS, name="owners")]
        if "company" in self._fields.objects:
            streams.append(Stream(crm=Crm.HUBSPOT, kind=StreamKind.COMPANIES, name="company"))
        streams.append(Stream(crm=Crm.HUBSPOT, kind=StreamKind.PEOPLE, name="contact"))
        try:
            forms = self._forms.listed()
            self._no_forms = ()
        except (RunCannotContinue, Refused) as refused:
            if isinstance(refused, RunCannotContinue) and not refused.credentials:
                raise
            forms = ()
            self._no_forms = (f"form submissions are not read: {refused.problem} {refused.advice}",)
        names = [
            *(f"{_Of.FORM}{form.guid}" for form in forms),
            *(f"{_Of.EMAIL_EVENT}{type}" for type in self._email_events.types()),
            *self._activities.streams(),
            *(f"{_Of.MARKETING_EVENT}{id}" for id in self._marketing_events.listed()),
            *(f"{_Of.OCCURRENCE}{type}" for type in self._occurrences.types()),
        ]
        streams += [Stream(crm=Crm.HUBSPOT, kind=StreamKind.ENGAGEMENT, name=name) for name in names]
        return tuple(streams)

    def owners(self) -> tuple[Owner, ...]:
        """One that cannot be read is left out, and is a problem of the next page that is read, whatever it is of."""
        found, self._unread_owners = owners(self._client)
        return found

    def people(self, stream: Stream, window: Window, resume: str | None) -> Iterator[Page[PersonRecord]]:
        """Contacts. ``resume`` is the list's cursor in a first load, the last id of the page in a later window."""
        return map(self._untold.with_page, self._reader.people(window, resume))

    def companies(self, stream: Stream, window: Window, resume: str | None) -> Iterator[Page[CompanyRecord]]:
        return map(self._untold.with_page, self._reader.companies(window, resume))

    def _left_out(self) -> list[RecordProblem]:
        listings = {
            "owner": self._unread_owners,
            "form": self._forms.unread,
            "marketing event": self._marketing_events.unread,
            **{f"{object} property": rows for object, rows in self._schema.unread.items()},
        }
        return [left_out(Crm.HUBSPOT, what, row.id, row.reason) for what, rows in listings.items() for row in rows]

    def engagement(self, stream: Stream, window: Window, resume: str | None) -> Iterator[Page[Engagement]]:
        """One form, type of e-mail event, marketing event, type of event, or object of activities.

        What names nobody is a problem of the page, not an event. SourceMissing where the token has no scope, or the
        account no plan, for it.
        """
        try:
            yield from map(self._untold.with_page, self._engagement(stream.name, window, resume))
        except NotPermitted as refused:
            raise SourceMissing(
                Crm.HUBSPOT, f"{stream.name} is not read: {refused.problem}", advice=refused.advice
            ) from refused
        except Refused as refused:
            if refused.status != 404:
                raise
            raise SourceMissing(
                Crm.HUBSPOT, f"{stream.name} is not read: the portal does not have it. {refused.problem}"
            ) from refused

    def _engagement(self, name: str, window: Window, resume: str | None) -> Iterator[Page[Engagement]]:
        prefix, colon, rest = name.partition(":")
        match prefix + colon:
            case _Of.FORM:
                return self._forms.submissions(rest, window, resume)
            case _Of.EMAIL_EVENT:
                return self._email_events.read(rest, window, resume)
            case _Of.MARKETING_EVENT:
                return self._marketing_events.read(rest, window, resume)
            case _Of.OCCURRENCE:
                return self._occurrences.read(rest, window, resume)
            case object if object in ACTIVITIES:
                return self._activities.read(object, window, resume)
            case _:
                raise ValueError(f"HubSpot has no engagement stream named {name!r}")

    def ids(self, stream: Stream, resume: str | None) -> Iterator[Page[Sighting]]:
        """``resume`` as in a first load."""
        return self._reader.ids(stream.name, resume)

    def fetch(self, stream: Stream, refs: Sequence[RecordRef]) -> Page[PersonRecord] | Page[CompanyRecord]:
        """Batches of 100. One that was merged away or deleted is left out."""
        return self._reader.fetch(stream.name, [ref.id for ref in refs])

    def read(self, refs: Sequence[RecordRef], fields: Sequence[str]) -> Mapping[RecordRef, ReadBack]:
        """Batches of 100, and one call more for each id that no batch answers for. `Unread`: HubSpot fails at it."""
        return self._reader.read(refs, fields)

    @property
    def read_size(self) -> int:
        return BATCH

    # -- writing ---------------------------------------------------------------------------------------------------

    @property
    def batch_size(self) -> int:
        return BATCH

    @property
    def bulk(self) -> None:
        """None: its imports give no answer for a single record."""
        return

    @property
    def batches_at_once(self) -> int:
        """Two for each thread: none waits for the slowest of the others."""
        return BATCHES_A_THREAD * self._client.settings.at_once

    def apply(self, patches: Sequence[Patch]) -> tuple[WriteOutcome, ...]:
        """A call a hundred as a rule, side by side. A stage HubSpot kept is `Rejected` as LIFECYCLE_BACKWARD, whatever
        else it took.

        ValueError for more than `batches_at_once` times `batch_size` patches, a record or trace twice, or two objects.
        """
        return self._writer.apply(patches)

    def create_tasks(self, drafts: Sequence[TaskDraft]) -> tuple[WriteOutcome, ...]:
        """An outcome's ``ref`` is ``hubspot:task:<key>``, its ``id`` the task's; `Redirected` is about the person."""
        return self._tasks.create(drafts)

    def close(self) -> None:
        self._client.close()
