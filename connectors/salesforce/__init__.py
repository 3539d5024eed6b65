"""Salesforce, as `connectors.port.Connector` wants it.

    settings      how to reach an org, and as whom
    client        signed-in calls: sessions, refusals, quota            (transport, refusals, quota)
    soql          queries and ids as text
    windows       every row changed in a window, by keyset or by a job      (bulk_query)
    tables        rows column by column, as both APIs answer                 (shapes: rows to records)
    reader        people, accounts, owners, single records
    deals         the opportunities in which contacts have a role
    activities    campaign members, tasks, events, mails as engagement
    writer        patches, one outcome each: collections, or a job           (bulk_ingest, replies)
    unread        rows of a listing that cannot be read
    bulk          what jobs of both kinds have in common
    tasks         follow-up tasks, each once
    schema        describes, and the fields mqlsync needs

simple-salesforce and requests are imported with the first call, not with this package.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime

from connectors.errors import UnexpectedAnswer
from connectors.fields import CrmMap, EventSource
from connectors.left_out import Untold
from connectors.records import (
    AccountInfo,
    BulkWrites,
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
from connectors.salesforce import soql
from connectors.salesforce.activities import Activities
from connectors.salesforce.bulk_ingest import MOST_AT_ONCE, IngestJobs
from connectors.salesforce.client import Client
from connectors.salesforce.deals import DEALS, ROLES, Deals
from connectors.salesforce.reader import READ, Reader
from connectors.salesforce.refusals import NotPossible, Refused
from connectors.salesforce.schema import Describes, SchemaMaker
from connectors.salesforce.settings import (
    Bulk,
    ClientCredentials,
    Jwt,
    PasswordToken,
    RefreshToken,
    SalesforceSettings,
    Session,
)
from connectors.salesforce.tasks import TaskMaker
from connectors.salesforce.writer import COLLECTION, Writer

__all__ = [
    "Bulk",
    "ClientCredentials",
    "Jwt",
    "PasswordToken",
    "RefreshToken",
    "SalesforceConnector",
    "SalesforceSettings",
    "Session",
]

_ENGAGEMENT = (
    (EventSource.CAMPAIGN, "campaign member"),
    (EventSource.TASK, "task"),
    (EventSource.MEETING, "event"),
    (EventSource.MAIL, "email message"),
)


class SalesforceConnector:
    """One org. Opens no connection before the first call.

    Parameters
    ----------
    settings: where and as whom
    fields: the Salesforce half of fields.yaml, knowing which properties are written
    patience: how often and how long one call may be tried
    sleep, monotonic: the two clocks of waiting, in seconds
    schemas: object -> field -> schema, kept between connectors by whoever wants to; they spare a call each
    begun: job -> object of the ingest jobs that may be at work. Kept where it outlives the program: whatever a killed
        run has left behind is waited for, or stopped, before anything is read back or written
    """

    def __init__(
        self,
        settings: SalesforceSettings,
        fields: CrmMap,
        *,
        patience: Patience,
        sleep: Callable[[float], object] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        schemas: MutableMapping[str, Mapping[str, FieldSchema]] | None = None,
        begun: MutableMapping[str, str] | None = None,
    ) -> None:
        self._settings = settings
        self._fields = fields
        self._client = Client(settings, patience=patience, sleep=sleep, monotonic=monotonic)
        self._describes = Describes(self._client, {} if schemas is None else schemas)
        self._reader = Reader(self._client, self._describes, fields)
        self._deals = Deals(self._client, self._describes, self._reader)
        self._activities = Activities(self._client, self._describes, fields)
        self._jobs = IngestJobs(self._client, {} if begun is None else begun)
        self._writer = Writer(self._client, self._describes, self._reader.read, sleep, self._jobs)
        self._tasks = TaskMaker(self._client, self._describes, self._reader.read, sleep)
        self._schema = SchemaMaker(self._client, self._describes)
        self._asked_who = False
        self._untold = Untold(self._left_out)

    # -- the account -----------------------------------------------------------------------------------------------

    @property
    def crm(self) -> Crm:
        return Crm.SALESFORCE

    @property
    def calls(self) -> Mapping[str, int]:
        return dict(self._client.calls)

    def check(self) -> AccountInfo:
        """Proves that the token is good for the API, names the org and what the configuration asks in vain.

        One call where this user may read the org. Else ``limits`` is the proof, which needs "View Setup and
        Configuration", and without that a describe.
        """
        self._client.try_again()
        org = self._organization()
        if not org:
            self._prove()
        org_id = self._client.identity.org_id or org.get("Id")
        if not org_id:
            raise UnexpectedAnswer(
                Crm.SALESFORCE,
                "neither the token nor the org itself says which org this is.",
                status=200,
                advice="Give the integration user read access to Organization.",
            )
        return AccountInfo(
            crm=Crm.SALESFORCE,
            id=soql.id18(org_id),
            name=org.get("Name") or self._settings.host,
            timezone=org.get("TimeZoneSidKey") or "UTC",
            problems=(
                *self._reader.problems(),
                *self._untold.sentences(),
                *filter(None, (self._client.problem,)),
            ),
            lacking=self._reader.lacking(),
        )

    def _prove(self) -> None:
        try:
            self._client.get("limits/", kind="check")
        except NotPossible as refused:
            if refused.status != 403 or refused.refusal.code.startswith("API_"):
                raise
            self._describes.fresh(next(iter(self._fields.objects), "lead"))

    def _organization(self) -> Mapping[str, str]:
        """Id, name and time zone of the org; empty where this user may not read them."""
        try:
            found = self._client.rows(
                soql.select(["Id", "Name", "TimeZoneSidKey"], "Organization", limit=1), kind="check"
            )
        except (NotPossible, Refused):
            return {}
        return found[0] if found else {}

    def day(self) -> DayQuota | None:
        """Our share of the org's rolling day, from the newest answer."""
        return self._client.day()

    def now(self) -> datetime:
        if self._client.clock is None:
            self._organization()  # whether it may be read or not, the answer has a date
        clock = self._client.clock
        if clock is None:
            raise UnexpectedAnswer(Crm.SALESFORCE, "its answers carry no Date.", status=200)
        return clock.astimezone(UTC)

    # -- reading ---------------------------------------------------------------------------------------------------

    def describe(self, object: str) -> Mapping[str, FieldSchema]:
        return self._describes.fields(object)

    def streams(self) -> tuple[Stream, ...]:
        """Owners, accounts and their opportunities, leads, contacts and theirs, then the activities with a rule."""

        def stream(kind: StreamKind, name: str) -> Stream:
            return Stream(crm=Crm.SALESFORCE, kind=kind, name=name)

        named = [stream(StreamKind.OWNERS, "owners")]
        if "account" in self._fields.objects:
            named.append(stream(StreamKind.COMPANIES, "account"))
        if self._reader.counts():
            named.append(stream(StreamKind.COMPANIES, "opportunity"))
        named += [stream(StreamKind.PEOPLE, name) for name in ("lead", "contact") if name in self._fields.objects]
        if self._fields.deals:
            named += [stream(StreamKind.PEOPLE, name) for name in (ROLES, DEALS)]
        named += [stream(StreamKind.ENGAGEMENT, name) for source, name in _ENGAGEMENT if self._fields.events_of(source)]
        return tuple(named)

    def owners(self) -> tuple[Owner, ...]:
        """One that cannot be read is left out, and is a problem of the next page that is read, whatever it is of."""
        user_id, username = self._who_we_are()
        return self._reader.owners(user_id, username)

    def people(self, stream: Stream, window: Window, resume: str | None) -> Iterator[Page[PersonRecord]]:
        return map(self._untold.with_page, self._people(stream.name, window, resume))

    def _people(self, stream: str, window: Window, resume: str | None) -> Iterator[Page[PersonRecord]]:
        if stream in (ROLES, DEALS):
            return self._deals.changed(stream, window, resume)
        pages = self._reader.people(stream, window, resume)
        return map(self._deals.with_deals, pages) if self._fields.deals and stream == "contact" else pages

    def companies(self, stream: Stream, window: Window, resume: str | None) -> Iterator[Page[CompanyRecord]]:
        read = self._reader.opportunities if stream.name == "opportunity" else self._reader.companies
        return map(self._untold.with_page, read(window, resume))

    def engagement(self, stream: Stream, window: Window, resume: str | None) -> Iterator[Page[Engagement]]:
        return map(self._untold.with_page, self._activities.read(stream.name, window, resume))

    def _left_out(self) -> tuple[RecordProblem, ...]:
        """Users, queues and fields that were listed and could not be read."""
        return (*self._reader.unread, *self._describes.unread)

    def ids(self, stream: Stream, resume: str | None) -> Iterator[Page[Sighting]]:
        return self._reader.ids(stream.name, resume)

    def fetch(self, stream: Stream, refs: Sequence[RecordRef]) -> Page[PersonRecord] | Page[CompanyRecord]:
        page = self._reader.fetch(stream.name, refs)
        if not self._fields.deals or stream.name != "contact":
            return page
        people = tuple(one for one in page.rows if isinstance(one, PersonRecord))
        return self._deals.with_deals(Page(rows=people, resume=page.resume, problems=page.problems))

    def read(self, refs: Sequence[RecordRef], fields: Sequence[str]) -> Mapping[RecordRef, ReadBack]:
        self._jobs.finish()
        return self._reader.read(refs, fields)

    @property
    def read_size(self) -> int:
        return READ

    # -- writing ---------------------------------------------------------------------------------------------------

    def apply(self, patches: Sequence[Patch]) -> tuple[WriteOutcome, ...]:
        self._jobs.finish()
        return self._writer.apply(patches)

    @property
    def batch_size(self) -> int:
        return COLLECTION

    @property
    def bulk(self) -> BulkWrites | None:
        above = self._settings.bulk.writes_above
        return None if above is None else BulkWrites(least=above + 1, most=MOST_AT_ONCE)

    @property
    def batches_at_once(self) -> int:
        """One: rows of one account that are written side by side lock each other out."""
        return 1

    def create_tasks(self, drafts: Sequence[TaskDraft]) -> tuple[WriteOutcome, ...]:
        return self._tasks.create(drafts)

    def ensure_schema(self, wanted: Sequence[WantedField], *, dry_run: bool = False) -> tuple[SchemaChange, ...]:
        user_id = None if dry_run else self._user_id()
        changes = self._schema.ensure(wanted, user_id=user_id, dry_run=dry_run)
        self._reader.forget()
        return changes

    def close(self) -> None:
        self._client.close()

    # -- who we are ------------------------------------------------------------------------------------------------

    def _who_we_are(self) -> tuple[str | None, str | None]:
        """Id and user name of the integration user; one of them is enough, and asked for at most once."""
        auth = self._settings.auth
        if isinstance(auth, PasswordToken | Jwt):
            return self._client.sign_in().user_id, auth.username
        if not self._asked_who:
            self._asked_who = True
            self._client.ask_who()
        return self._client.sign_in().user_id, None

    def _user_id(self) -> str | None:
        """The integration user's id; looked up by its name where the sign-in did not tell it."""
        user_id, username = self._who_we_are()
        if user_id is None and username is not None:
            query = soql.select(["Id"], "User", f"Username = {soql.literal(username)}")
            found = self._client.rows(query, kind="schema")
            user_id = soql.id18(found[0]["Id"]) if found else None
        return user_id
