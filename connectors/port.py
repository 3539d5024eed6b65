"""All that `sync` may ask of a CRM. HubSpot and Salesforce answer it; the contract suite holds both to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

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
    RecordRef,
    SchemaChange,
    Sighting,
    Stream,
    TaskDraft,
    WantedField,
    Window,
    WriteOutcome,
)

__all__ = ["Connector"]


class Connector(Protocol):
    """One signed-in connection to one CRM. Safe to call from one thread at a time.

    Every method may raise `connectors.errors.RunCannotContinue`, `RetryLater` (after the connector's own retries are
    used up) or `UnexpectedAnswer`. Only `apply` and `create_tasks` write, and they never raise for what was sent:
    each patch gets its own outcome, in the order asked.
    """

    @property
    def crm(self) -> Crm: ...

    @property
    def calls(self) -> Mapping[str, int]:
        """HTTP requests made so far by kind of call, refused and failed ones included."""
        ...

    def check(self) -> AccountInfo:
        """Prove the credentials, name the account. One or two calls."""
        ...

    def day(self) -> DayQuota | None:
        """What is left of the calls of this day, as far as the CRM has told. No call."""
        ...

    def now(self) -> datetime:
        """The CRM's clock, from the ``Date`` header of its newest answer (asks `check` if there was none yet)."""
        ...

    def describe(self, object: str) -> Mapping[str, FieldSchema]:
        """Every property of an object by name, as visible to these credentials. Kept for the connector's life."""
        ...

    def streams(self) -> tuple[Stream, ...]:
        """What there is to pull, owners first, then companies, people, engagement."""
        ...

    def owners(self) -> tuple[Owner, ...]:
        """Users (active and not) and queues."""
        ...

    def people(self, stream: Stream, window: Window, resume: str | None) -> Iterator[Page[PersonRecord]]:
        """Records changed in the window, deleted, merged and converted ones marked. Ends after the last page.

        A page's ``resume`` is where to go on after that page in the *same* window.
        """
        ...

    def companies(self, stream: Stream, window: Window, resume: str | None) -> Iterator[Page[CompanyRecord]]: ...

    def engagement(self, stream: Stream, window: Window, resume: str | None) -> Iterator[Page[Engagement]]:
        """Activities that happened or changed in the window, those that are none any more as deleted.

        SourceMissing where the credentials or the account do not have this source: everything else goes on. (A stream
        of people that only adds to others may raise it too.)
        """
        ...

    def ids(self, stream: Stream, resume: str | None) -> Iterator[Page[Sighting]]:
        """Every live record of a stream of people or companies, whenever it changed, for comparing with the store.

        A record may come twice; one that lives the whole time is never left out. ``resume`` as in `people`; where the
        CRM does not take it any more, the listing starts anew.
        """
        ...

    def fetch(self, stream: Stream, refs: Sequence[RecordRef]) -> Page[PersonRecord] | Page[CompanyRecord]:
        """These records of a stream of people or companies, whole, as `people` or `companies` would give them.

        Read by id, any number. One that is not there is left out, or comes as gone.
        """
        ...

    def read(self, refs: Sequence[RecordRef], fields: Sequence[str]) -> Mapping[RecordRef, ReadBack]:
        """Read by id, never through an index that lags. One entry for each ref. All refs of one object.

        `Unread` only where others can be read: a CRM that is out of order raises.
        """
        ...

    def apply(self, patches: Sequence[Patch]) -> tuple[WriteOutcome, ...]:
        """Set absolute values by record id; never creates. All patches of one object, no record twice.

        At most `batch_size` times `batches_at_once` patches, or what `bulk` says. One outcome per patch, in order. A
        batch refused whole is split until the bad row stands alone; an error of one batch loses no outcome of another.
        """
        ...

    @property
    def batch_size(self) -> int:
        """Most patches one HTTP call of `apply` takes: 100 for HubSpot, 200 for Salesforce."""
        ...

    @property
    def bulk(self) -> BulkWrites | None:
        """How many patches are worth another way of writing, and are wanted in one `apply`; None: it has none."""
        ...

    @property
    def batches_at_once(self) -> int:
        """How many such batches one `apply` takes. They go side by side, in threads of the connector."""
        ...

    @property
    def read_size(self) -> int:
        """Most refs one HTTP call of `read` asks for (HubSpot 100, Salesforce 300). `read` itself takes any number."""
        ...

    def create_tasks(self, drafts: Sequence[TaskDraft]) -> tuple[WriteOutcome, ...]:
        """Create each task unless one with its key exists already (also one a rep has deleted): then `Unchanged`."""
        ...

    def ensure_schema(self, wanted: Sequence[WantedField], *, dry_run: bool = False) -> tuple[SchemaChange, ...]:
        """Make what is missing, including visibility and the task key; never change the type of what exists."""
        ...

    def close(self) -> None:
        """Let go of sockets."""
        ...
