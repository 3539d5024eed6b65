"""Writing by record id: one outcome for each record, nothing sent twice in the dark.

Few records go in collections of 200, many in a job. What a job refuses for a lock, or did not come to, goes in
collections again, and so does what a job cannot be trusted with: owners of leads, for whom an assignment rule may run.

Source: REST API "Update Records Using sObject Collections": the status 200 says nothing, each item has its own
``success``, items come in request order, and an item that failed may come without an id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.errors import ConnectorError, OutcomeUnknown, RetryLater
from connectors.records import (
    Crm,
    FieldKind,
    FieldSchema,
    Found,
    Moved,
    Patch,
    ReadBack,
    RecordRef,
    Redirected,
    Rejected,
    Unknown,
    WriteOutcome,
    Written,
)
from connectors.salesforce import soql
from connectors.salesforce.bulk_ingest import MOST_AT_ONCE, IngestJobs
from connectors.salesforce.client import Client
from connectors.salesforce.refusals import (
    Item,
    NotPossible,
    Problem,
    Refused,
    Stumbled,
    item_meaning,
    problem_of,
    redacted,
)
from connectors.salesforce.replies import Done, Failed, Lost, NotSent, Reply
from connectors.salesforce.schema import Describes, api_name

__all__ = ["COLLECTION", "Collections", "Writer", "elsewhere", "outcome", "typed"]

COLLECTION = 200
"""Most records of one collections request."""

LOCK_WAITS = (1.0, 5.0, 15.0)
"""Seconds before each further try of a record whose row, or whose account's row, somebody else holds."""

FEWER = 14
"""Records of a request after one of more at which Salesforce itself failed. After one of so many, each goes alone."""

MOST_STUMBLES = 8
"""Such requests in a row, after which it is no record's doing, and what is left waits."""

_ROW_STATUSES = (400, 404, 409, 413)
"""Statuses of a whole request for which a single record may be to blame."""

_NEVER_A_ROW = ("INVALID_TYPE", "FUNCTIONALITY_NOT_ENABLED")


class Collections:
    """``composite/sobjects`` with all-or-none off, for records of one object."""

    def __init__(self, client: Client, sleep: Callable[[float], object]) -> None:
        self._client = client
        self._sleep = sleep

    def send(self, method: str, records: Sequence[Mapping[str, Any]], *, kind: str) -> list[Reply]:
        """One reply for each record, in order. Locked records are tried again alone, all after the same waits.

        Raises what turned the first request away when no record was sent at all.
        """
        replies = self._halving(method, records, kind)
        if replies and all(isinstance(reply, NotSent) for reply in replies):
            first = replies[0]
            assert isinstance(first, NotSent)
            raise first.error
        for wait in LOCK_WAITS:
            locked = [i for i, reply in enumerate(replies) if _wants_to_be_alone(reply)]
            if not locked:
                break
            self._sleep(wait)
            for i in locked:
                [replies[i]] = self._halving(method, [records[i]], kind)
        return replies

    def _halving(self, method: str, records: Sequence[Mapping[str, Any]], kind: str) -> list[Reply]:
        """The replies to one request, cut in two while it is refused whole for what is in it."""
        try:
            answer = self._client.send(
                method, "composite/sobjects", {"allOrNone": False, "records": records}, kind=kind
            )
        except Stumbled as failed:
            return [Lost(reason=failed.problem, stumbled=True)] * len(records)
        except OutcomeUnknown as unknown:
            return [Lost(reason=unknown.problem)] * len(records)
        except (Refused, NotPossible) as refused:
            if not _about_a_row(refused):
                return [NotSent(error=refused)] * len(records)
            if len(records) == 1:
                return [Failed(problem=refused.refusal)]
            middle = len(records) // 2
            first = self._halving(method, records[:middle], kind)
            stopped = next((reply for reply in first if isinstance(reply, NotSent)), None)
            if stopped is not None:
                return first + [stopped] * (len(records) - middle)
            return first + self._halving(method, records[middle:], kind)
        except ConnectorError as error:
            return [NotSent(error=error)] * len(records)
        return _replies(answer, records)


def _about_a_row(refused: Refused | NotPossible) -> bool:
    named = bool(refused.refusal.code) or refused.status == 413  # a 404 in HTML is a proxy's, and no row's fault
    return named and refused.status in _ROW_STATUSES and refused.refusal.code not in _NEVER_A_ROW


def _wants_to_be_alone(reply: Reply) -> bool:
    return isinstance(reply, Failed) and item_meaning(reply.problem) is Item.ALONE


def _replies(answer: Any, records: Sequence[Mapping[str, Any]]) -> list[Reply]:
    """Items to records by position, which holds only if there is one for each."""
    if not isinstance(answer, list) or len(answer) != len(records):
        said = len(answer) if isinstance(answer, list) else "no"
        return [Lost(reason=f"{len(records)} records were sent and {said} results came back.")] * len(records)
    return [_reply(item, record) for item, record in zip(answer, records, strict=True)]


def _reply(item: Any, record: Mapping[str, Any]) -> Reply:
    if not isinstance(item, dict):
        return Lost(reason="its result is unreadable.")
    if item.get("success") is True:
        id = item.get("id")
        asked = record.get("id")
        if asked is not None and id is not None and soql.id18(str(id)) != asked:
            return Lost(reason="the result in its place is about another record.")
        return Done(id=soql.id18(id) if isinstance(id, str) else None)
    errors = item.get("errors")
    problem = problem_of(errors) if errors else Problem()
    if not problem.code and not problem.message:
        return Lost(reason="its result names neither success nor an error.")
    return Failed(problem=problem)


class Writer:
    """See `connectors.port.Connector.apply`. ``look`` reads records by id. ``writes_above``: see `settings.Bulk`."""

    def __init__(
        self,
        client: Client,
        describes: Describes,
        look: Callable[[Sequence[RecordRef], Sequence[str]], Mapping[RecordRef, ReadBack]],
        sleep: Callable[[float], object],
        jobs: IngestJobs,
    ) -> None:
        self._describes = describes
        self._look = look
        self._collections = Collections(client, sleep)
        self._jobs = jobs
        self._writes_above = client.settings.bulk.writes_above
        self._stumbled: dict[RecordRef, int] = {}

    def apply(self, patches: Sequence[Patch]) -> tuple[WriteOutcome, ...]:
        if not patches:
            return ()
        _must_be_one_batch(patches)
        outcomes: dict[RecordRef, WriteOutcome] = {}
        sent: list[Patch] = []
        records: list[Mapping[str, Any]] = []
        for patch in patches:
            made = self._record(patch)
            if isinstance(made, Rejected):
                outcomes[patch.ref] = made
            else:
                sent.append(patch)
                records.append(made)
        replies = self._send(sent, records)
        for patch, reply in zip(sent, replies, strict=True):
            outcomes[patch.ref] = outcome(patch.ref, reply)
        self._redirect(sent, replies, outcomes)
        return tuple(outcomes[patch.ref] for patch in patches)

    def _send(self, sent: Sequence[Patch], records: Sequence[Mapping[str, Any]]) -> list[Reply]:
        """One reply for each record, in order."""
        replies: list[Reply | None] = [None] * len(records)
        in_bulk = self._in_bulk(sent)
        if in_bulk:
            object = api_name(sent[0].ref.object)
            for number, reply in zip(in_bulk, self._jobs.update(object, [records[i] for i in in_bulk]), strict=True):
                replies[number] = None if _better_in_collections(reply) else reply
        left = [number for number, reply in enumerate(replies) if reply is None]
        stumbles = 0
        for part in self._parts(left, sent):
            answers = self._in_a_collection([records[i] for i in part], stumbles)
            if all(isinstance(reply, Lost) and reply.stumbled for reply in answers):
                stumbles += 1
            elif not all(isinstance(reply, NotSent) for reply in answers):
                stumbles = 0
            for number, reply in zip(part, answers, strict=True):
                replies[number] = reply
                self._remember(sent[number].ref, len(part), reply)
        said = [reply if reply is not None else Lost(reason="it was not sent.") for reply in replies]
        turned_away = [reply.error for reply in said if isinstance(reply, NotSent)]
        if said and len(turned_away) == len(said):
            raise turned_away[0]
        return said

    def _in_a_collection(self, records: Sequence[Mapping[str, Any]], stumbles: int) -> list[Reply]:
        if stumbles > MOST_STUMBLES:
            failing = RetryLater(Crm.SALESFORCE, "Salesforce itself fails at whatever it is sent.", status=500)
            return [NotSent(error=failing)] * len(records)
        try:
            return self._collections.send("PATCH", records, kind="update")
        except ConnectorError as error:
            return [NotSent(error=error)] * len(records)

    def _parts(self, numbers: Sequence[int], sent: Sequence[Patch]) -> Iterator[Sequence[int]]:
        """The patches of each request. Of those among which is one at which Salesforce failed, fewer go in one.

        They were read back since, as whatever has no answer, and so are not sent in the dark. One that is to blame is
        alone with the third request, and the others are written.
        """
        sizes = [self._stumbled.get(sent[number].ref) for number in numbers]
        for most in (COLLECTION, FEWER, 1):
            these = [number for number, size in zip(numbers, sizes, strict=True) if _most_after(size) == most]
            for at in range(0, len(these), most):
                yield these[at : at + most]

    def _remember(self, ref: RecordRef, size: int, reply: Reply) -> None:
        match reply:
            case Lost(stumbled=True):
                self._stumbled[ref] = size
            case Done() | Failed():
                self._stumbled.pop(ref, None)
            case Lost() | NotSent():
                pass

    def _in_bulk(self, sent: Sequence[Patch]) -> list[int]:
        """Numbers of the patches that go in a job; none where there are too few of them."""
        if self._writes_above is None or len(sent) <= self._writes_above:
            return []
        fit = [number for number, patch in enumerate(sent) if _fits_a_job(patch)]
        return fit if len(fit) > self._writes_above else []

    def _record(self, patch: Patch) -> Mapping[str, Any] | Rejected:
        """The JSON of one patch, or why it cannot be sent."""
        fields = self._writable(patch)
        values: dict[str, Any] = {}
        for name, text in patch.fields.items():
            schema = fields.get(name)
            if schema is None or not schema.writable:
                code = "INVALID_FIELD" if schema is None else "INVALID_FIELD_FOR_INSERT_UPDATE"
                what = "not visible to" if schema is None else "read-only for"
                reason = f"{api_name(patch.ref.object)}.{name} is {what} the integration user; nothing was sent."
                return Rejected(ref=patch.ref, code=code, reason=reason, field=name)
            try:
                values[name] = typed(schema, text)
            except ValueError as error:
                reason = f"{error}; nothing was sent."
                return Rejected(ref=patch.ref, code="INVALID_TYPE_ON_FIELD_IN_RECORD", reason=reason, field=name)
        return {"attributes": {"type": api_name(patch.ref.object)}, "id": soql.id18(patch.ref.id), **values}

    def _writable(self, patch: Patch) -> Mapping[str, FieldSchema]:
        """The object's fields; asked for anew when a schema kept from earlier says no to one of the patch's."""
        object = patch.ref.object
        fields = self._describes.fields(object)
        if not self._describes.fetched(object) and not all(n in fields and fields[n].writable for n in patch.fields):
            return self._describes.fresh(object)
        return fields

    def _redirect(
        self, sent: Sequence[Patch], replies: Sequence[Reply], outcomes: dict[RecordRef, WriteOutcome]
    ) -> None:
        """Look where the records live that were refused for being converted, merged or deleted."""
        gone = {
            patch.ref: reply.problem
            for patch, reply in zip(sent, replies, strict=True)
            if isinstance(reply, Failed) and item_meaning(reply.problem) is Item.LOOK
        }
        if not gone:
            return
        try:
            found = self._look(tuple(gone), ())
        except ConnectorError as error:
            for ref, problem in gone.items():
                reason = f"refused ({redacted(problem.message)}), and it could not be read to see why: {error.problem}"
                outcomes[ref] = Rejected(ref=ref, code=problem.code, reason=reason, retry=True)
            return
        for ref, problem in gone.items():
            outcomes[ref] = elsewhere(ref, found.get(ref), problem)


def _most_after(size: int | None) -> int:
    """Records of a request, after one of ``size`` at which Salesforce itself failed."""
    if size is None:
        return COLLECTION
    return FEWER if size > FEWER else 1


def _fits_a_job(patch: Patch) -> bool:
    """An owner of a lead is safe only with a header that jobs do not have; a text can spell what clears a field."""
    return not (patch.ref.object == "lead" and "OwnerId" in patch.fields) and "#N/A" not in patch.fields.values()


def _better_in_collections(reply: Reply) -> bool:
    """Nothing of the record was written, and in a collection it may be.

    Refused for a lock, not come to, there is no job to be had; or a duplicate rule that only alerts: a job has no
    header that says to save all the same.
    """
    match reply:
        case Failed(problem=problem):
            return item_meaning(problem) is Item.ALONE or problem.code == "DUPLICATES_DETECTED"
        case NotSent(error=error):
            return isinstance(error, Refused | NotPossible)
        case _:
            return False


def elsewhere(ref: RecordRef, found: ReadBack | None, problem: Problem) -> WriteOutcome:
    """The outcome of a record that was refused for being gone, after reading it. If it is there, a value was meant."""
    match found:
        case Moved(to=to, reason=reason):
            return Redirected(ref=ref, to=to, reason=reason)
        case Found():
            return rejected(ref, problem)
        case _:
            return Redirected(ref=ref, to=None, reason=f"{problem.code}: {redacted(problem.message)}")


def rejected(ref: RecordRef, problem: Problem) -> Rejected:
    meaning = item_meaning(problem)
    return Rejected(
        ref=ref,
        code=problem.code or "UNNAMED",
        reason=redacted(problem.message) or "refused without a message.",
        field=next(iter(problem.fields), None),
        retry=meaning in (Item.ALONE, Item.LATER),
    )


def outcome(ref: RecordRef, reply: Reply) -> WriteOutcome:
    """What became of the record ``ref``; the id of a `Written` is that of a created record."""
    match reply:
        case Done(id=id):
            return Written(ref=ref, id=id if id != ref.id else None)
        case Failed(problem=problem):
            return rejected(ref, problem)
        case Lost(reason=reason):
            return Unknown(ref=ref, reason=reason)
        case NotSent(error=error):
            return Rejected(ref=ref, code="NOT_SENT", reason=f"not sent: {error.problem}", retry=True)


def _must_be_one_batch(patches: Sequence[Patch]) -> None:
    if len(patches) > MOST_AT_ONCE:
        raise ValueError(f"at most {MOST_AT_ONCE} patches in one batch, not {len(patches)}")
    if len({patch.ref.object for patch in patches}) > 1:
        raise ValueError("the patches of one batch are of one object")
    if len({patch.ref for patch in patches}) < len(patches):
        raise ValueError("a record can be in a batch once")


def typed(field: FieldSchema, text: str | None) -> str | int | float | bool | None:
    """The JSON value of a text for one field. ValueError says what does not fit.

    None clears; a checkbox has no blank, so it is unticked.
    """
    if text is None:
        return False if field.kind is FieldKind.BOOLEAN else None
    match field.kind:
        case FieldKind.NUMBER:
            return _number(field, text)
        case FieldKind.BOOLEAN:
            if text.casefold() not in ("true", "false"):
                raise ValueError(f"{field.name} takes true or false")
            return text.casefold() == "true"
        case FieldKind.DATETIME:
            return _time(field, text)
        case _:
            return text


def _number(field: FieldSchema, text: str) -> int | float:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{field.name} takes a number") from None
    if not number.is_finite():
        raise ValueError(f"{field.name} takes a number")
    if number == number.to_integral_value():
        return int(number)
    if field.native in ("int", "long"):
        raise ValueError(f"{field.name} takes a whole number")
    return float(number)


def _time(field: FieldSchema, text: str) -> str:
    try:
        if field.native == "date":
            return date.fromisoformat(text[:10]).isoformat()
        return soql.moment(soql.instant(text) if len(text) > 10 else datetime.fromisoformat(text).replace(tzinfo=UTC))
    except ValueError:
        raise ValueError(f"{field.name} takes a {field.native or 'time'} in ISO form") from None
