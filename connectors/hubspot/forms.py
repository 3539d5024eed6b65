"""Form submissions.

https://developers.hubspot.com/docs/api-reference/legacy/marketing/forms/v1/get-form-integrations-v1-submissions-forms-form_guid
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

import msgspec

from connectors.fields import CrmMap, EventRule, EventSource
from connectors.hubspot.answers import Paging, Undecodable, decode, following, listing
from connectors.hubspot.client import Client
from connectors.hubspot.event_rules import Rules, path_of, stable_id
from connectors.hubspot.paging import pages
from connectors.hubspot.refusals import Refused
from connectors.normalise import email, instant
from connectors.records import Crm, Engagement, Page, RecordProblem, RecordRef, Window

__all__ = ["Form", "Forms"]

_FORMS_PAGE = 100
_SUBMISSION_PAGE = 50


class _Form(msgspec.Struct, frozen=True):
    id: str
    name: str | None = None
    archived: bool | None = None


class _Value(msgspec.Struct, frozen=True):
    name: str
    value: object = None


class _Submission(msgspec.Struct, frozen=True):
    submittedAt: int | str  # noqa: N815  # HubSpot's names, here and below
    conversionId: str | None = None  # noqa: N815
    values: list[_Value] | None = None
    pageUrl: str | None = None  # noqa: N815


class _Submissions(msgspec.Struct, frozen=True):
    results: list[msgspec.Raw]
    paging: Paging | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    guid: str
    name: str


class Forms:
    """The forms of one portal, as far as the map makes events of their submissions.

    ``unread``: rows of the newest listing that are no form.
    """

    def __init__(self, client: Client, fields: CrmMap) -> None:
        self._client = client
        self._rules = Rules(fields.events_of(EventSource.FORM))
        self._forms: dict[str, Form] = {}
        self.unread: tuple[Undecodable, ...] = ()

    def listed(self) -> tuple[Form, ...]:
        """The forms whose submissions are events by the map. One call per hundred forms."""
        if not self._rules.lines:
            return ()
        found = [Form(guid=one.id, name=one.name or "") for one in self._all_forms() if not one.archived]
        wanted = tuple(form for form in found if self._rule(form) is not None)
        self._forms = {form.guid: form for form in wanted}
        return wanted

    def _rule(self, form: Form) -> EventRule | None:
        """The first line that names the form by GUID or name, or is ``otherwise``."""
        return self._rules.first(form.guid, form.name)

    def _all_forms(self) -> list[_Form]:
        for path in self._client.paths.forms[:-1]:
            try:
                return self._forms_at(path)
            except Refused as refused:
                if refused.status != 404:
                    raise
        return self._forms_at(self._client.paths.forms[-1])

    def _forms_at(self, path: str) -> list[_Form]:
        query = [("limit", str(_FORMS_PAGE))]
        listed = list(pages(self._client, "forms", path, lambda body: listing(body, _Form), query))
        self.unread = tuple(one for page in listed for one in page.broken)
        return [row for page in listed for row in page.results]

    def submissions(self, guid: str, window: Window, resume: str | None) -> Iterator[Page[Engagement]]:
        """Newest first, until the window's lower end: there is no filter by date."""
        if guid not in self._forms:
            self.listed()
        form = self._forms.get(guid) or Form(guid=guid, name="")
        rule = self._rule(form)
        path = f"{self._client.paths.submissions}/{quote(guid, safe='')}"
        query = [("limit", str(_SUBMISSION_PAGE))]
        answers = pages(self._client, "submissions", path, lambda body: decode(body, _Submissions), query, resume)
        try:
            yield from self._events(form, rule, answers, window)
        except Refused as refused:
            if refused.status != 404:
                raise
            gone = RecordRef(crm=Crm.HUBSPOT, object="form", id=guid)
            yield Page(
                rows=(), resume=None, problems=(RecordProblem(ref=gone, field="", reason="there is no such form"),)
            )

    def _events(
        self, form: Form, rule: EventRule | None, answers: Iterator[_Submissions], window: Window
    ) -> Iterator[Page[Engagement]]:
        for page in answers:
            rows: list[Engagement] = []
            problems: list[RecordProblem] = []
            oldest: datetime | None = None
            for raw in page.results:
                read = _submission(form, rule, raw)
                if isinstance(read, RecordProblem):
                    problems.append(read)
                    continue
                at, made = read
                oldest = at
                if at > window.hi or (window.lo is not None and at < window.lo):
                    continue
                if isinstance(made, RecordProblem):
                    problems.append(made)
                elif made is not None:
                    rows.append(made)
            after = following(page.paging)
            if window.lo is not None and oldest is not None and oldest < window.lo:
                after = None
            yield Page(rows=tuple(rows), resume=after, problems=tuple(problems))
            if after is None:
                return


def _submission(
    form: Form, rule: EventRule | None, raw: msgspec.Raw
) -> RecordProblem | tuple[datetime, Engagement | RecordProblem | None]:
    """When it was sent, and the event it makes; a problem where even the time cannot be read."""
    where = RecordRef(crm=Crm.HUBSPOT, object="form", id=form.guid)
    try:
        sent = decode(raw, _Submission)
        at = instant(sent.submittedAt)
    except (msgspec.DecodeError, ValueError) as error:
        return RecordProblem(ref=where, field="submittedAt", reason=f"a submission cannot be read: {error}")
    if rule is None:
        return at, None
    values = {
        value.name.rpartition("/")[2].strip().casefold(): str(value.value)
        for value in sent.values or ()
        if value.value is not None
    }
    who = email(values.get("email"))
    if who is None:
        named = sent.conversionId or at.isoformat()
        return at, RecordProblem(ref=where, field="email", reason=f"submission {named} names no e-mail address")
    attributes = {"form": form.name, "page": path_of(sent.pageUrl)}
    attributes |= {name: values.get(source.casefold(), source) for name, source in rule.set.items()}
    return at, Engagement(
        crm=Crm.HUBSPOT,
        source_id=sent.conversionId or stable_id(form.guid, at, who),
        kind=rule.kind,
        at=at,
        who=who,
        attributes={name: text for name, text in attributes.items() if text},
    )
