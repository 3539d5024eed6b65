"""HubSpot, over its own package's low-level call. See the README beside this file for what to know about the API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from connectors.errors import RunCannotContinue, UnexpectedAnswer
from connectors.fields import CrmMap
from connectors.hubspot.answers import decode
from connectors.hubspot.client import Client
from connectors.hubspot.forms import Forms
from connectors.hubspot.owners import owners
from connectors.hubspot.reader import BATCH, Reader
from connectors.hubspot.refusals import Refused
from connectors.hubspot.schema import Schema
from connectors.hubspot.settings import ApiVersion, HubSpotSettings, OAuth, Token
from connectors.hubspot.tasks import Tasks
from connectors.hubspot.writer import Writer
from connectors.records import (
    AccountInfo,
    CompanyRecord,
    Crm,
    Engagement,
    FieldSchema,
    Owner,
    Page,
    Patch,
    DayQuota,
    PersonRecord,
    ReadBack,
    RecordRef,
    SchemaChange,
    Stream,
    StreamKind,
    TaskDraft,
    WantedField,
    Window,
    WriteOutcome,
)
from connectors.retry import Patience

__all__ = ["ApiVersion", "HubSpotConnector", "HubSpotSettings", "OAuth", "Token"]

FORM = "form:"


class _Account(msgspec.Struct, frozen=True):
    portalId: int | str  # noqa: N815  # HubSpot's names
    timeZone: str | None = None  # noqa: N815
    uiDomain: str | None = None  # noqa: N815


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
class _Usage(msgspec.Struct, frozen=True):
    usageLimit: int  # noqa: N815
    currentUsage: int  # noqa: N815


class _Usages(msgspec.Struct, frozen=True):
    results: list[_Usage]


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
        self._writer = Writer(self._client, self._reader, self._schema)
        self._tasks = Tasks(self._client, self._schema, self._reader)
        self._no_forms: tuple[str, ...] = ()

    @property
    def crm(self) -> Crm:
        return Crm.HUBSPOT

    @property
    def calls(self) -> Mapping[str, int]:
        """HTTP requests by kind: list, search, batch_read, read, batch_update, task_create, associations, owners,
        forms, submissions, properties, properties_create, properties_update, property_groups, account, token."""
        return MappingProxyType(self._client.calls)

    # -- the account -----------------------------------------------------------------------------------------------

    def check(self) -> AccountInfo:
        """One call, and one for each object whose properties are not known yet.

        One more, once, where the answers of the portal do not tell what is left of the day. ``problems`` lists mapped
        properties the portal does not have, and forms that could not be listed.
        self._asked_usage = False
        """
        account = self._client.read("account", "GET", self._client.paths.account, read=lambda b: decode(b, _Account))
        try:
            self._client.zone = ZoneInfo(account.timeZone or "UTC")
        except (ZoneInfoNotFoundError, ValueError):
            self._client.zone = None  # the day's quota is then counted in UTC
        missing = [
            f"hubspot has no {object} property {name}: it reads as blank. Correct fields.yaml, or run `mqlsync setup`."
            for object in self._fields.objects
            for name in self._reader.missing(object)
        ]
        return AccountInfo(
            crm=Crm.HUBSPOT,
            id=str(account.portalId),
            name=account.uiDomain or f"portal {account.portalId}",
            timezone=account.timeZone or "UTC",
            problems=(*missing, *self._no_forms, *filter(None, (self._client.sign_in.problem,))),
            lacking=lacking,
        )

        self._client.sign_in.try_again()
    def now(self) -> datetime:
        """Whole seconds, as the ``Date`` header has them."""
        if self._client.clock is None:
            self.check()
        if self._client.clock is None:
        if not self._client.day_is_told and not self._asked_usage:
            self._ask_usage()
        lacking = {object: gone for object in self._fields.objects if (gone := self._reader.missing(object))}
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
    def _ask_usage(self) -> None:
        """The calls of the day where no header tells. An OAuth app has no such quota."""
        self._asked_usage = True
        if isinstance(self._client.settings.token, OAuth):
            return
        try:
            usage = self._client.read("usage", "GET", self._client.paths.usage, read=lambda b: decode(b, _Usages))
        except (RunCannotContinue, UnexpectedAnswer) as refused:
            if isinstance(refused, RunCannotContinue) and not refused.credentials:
                raise
            return  # a figure to show, not one to stop for
        for one in usage.results:
            self._client.learn_day(left=one.usageLimit - one.currentUsage, limit=one.usageLimit)

    def day(self) -> DayQuota | None:
        """The account's calls of its calendar day, all apps together; mqlsync's own limit where that is lower."""
        return self._client.day()


        The key's change is ``not possible ...`` where the portal takes no unique property on tasks.
        RunCannotContinue names a property that exists with another type.
        """
        return self._schema.ensure(wanted, dry_run=dry_run)

    # -- reading ---------------------------------------------------------------------------------------------------

    def streams(self) -> tuple[Stream, ...]:
        """One call if forms are mapped. Without the scope for forms there are none, and `check` says so."""
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
        streams += [Stream(crm=Crm.HUBSPOT, kind=StreamKind.ENGAGEMENT, name=f"{FORM}{form.guid}") for form in forms]
        return tuple(streams)

    def owners(self) -> tuple[Owner, ...]:
        return owners(self._client)

    def people(self, stream: Stream, window: Window, resume: str | None) -> Iterator[Page[PersonRecord]]:
        """Contacts. ``resume`` is the list's cursor in a first load, the last id of the page in a later window."""
        return self._reader.people(window, resume)

    def companies(self, stream: Stream, window: Window, resume: str | None) -> Iterator[Page[CompanyRecord]]:
        return self._reader.companies(window, resume)

    def engagement(self, stream: Stream, window: Window, resume: str | None) -> Iterator[Page[Engagement]]:
        """The submissions of one form. One without an e-mail address is a problem of the page, not an event."""
        return self._forms.submissions(stream.name.removeprefix(FORM), window, resume)

    def read(self, refs: Sequence[RecordRef], fields: Sequence[str]) -> Mapping[RecordRef, ReadBack]:
        """Batches of 100, and one call more for each id that no batch answers for."""
        return self._reader.read(refs, fields)

    @property
    def read_size(self) -> int:
        return BATCH

    # -- writing ---------------------------------------------------------------------------------------------------

    @property
    def batch_size(self) -> int:
        return BATCH

    def apply(self, patches: Sequence[Patch]) -> tuple[WriteOutcome, ...]:
        """One call as a rule. A stage that HubSpot kept is `Rejected` as LIFECYCLE_BACKWARD, whatever else it took.

        ValueError for more than `batches_at_once` times `batch_size` patches, a record or trace twice, or two objects.
        """
        return self._writer.apply(patches)

    def create_tasks(self, drafts: Sequence[TaskDraft]) -> tuple[WriteOutcome, ...]:
        """An outcome's ``ref`` is ``hubspot:task:<key>``, its ``id`` the task's; `Redirected` is about the person."""
        return self._tasks.create(drafts)

    def close(self) -> None:
        self._client.close()
    @property
    def batches_at_once(self) -> int:
        return self._client.settings.at_once

