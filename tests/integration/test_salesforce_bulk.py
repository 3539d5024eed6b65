"""Reading and writing by bulk jobs, against an org on loopback."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.errors import RetryLater, RunCannotContinue
from connectors.fields import Convert, CrmMap, EventRule, EventSource, FactField, ObjectMap
from connectors.records import (
    Crm,
    FieldKind,
    FieldSchema,
    Page,
    Patch,
    PersonRecord,
    RecordRef,
    Redirected,
    Rejected,
    Stream,
    StreamKind,
    Unknown,
    WantedField,
    Window,
    WriteOutcome,
    Written,
)
from connectors.retry import Patience
from connectors.salesforce import Bulk, ClientCredentials, SalesforceConnector, SalesforceSettings
from connectors.salesforce.bulk_ingest import IngestJobs
from connectors.salesforce.client import Client
from connectors.salesforce.refusals import Problem, Refused
from connectors.salesforce.replies import Failed
from connectors.sandbox import Fault, FaultKind, Sandbox

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
LEADS = Stream(crm=Crm.SALESFORCE, kind=StreamKind.PEOPLE, name="lead")
MEMBERS = Stream(crm=Crm.SALESFORCE, kind=StreamKind.ENGAGEMENT, name="campaign member")

FIELDS = CrmMap(
    crm=Crm.SALESFORCE,
    objects={
        "lead": ObjectMap(
            object="lead",
            facts=(
                FactField(fact="person.email", property="Email"),
                FactField(fact="person.title", property="Title"),
                FactField(fact="person.country", property="Country", convert=Convert.COUNTRY),
                FactField(fact="person.created_at", property="CreatedDate"),
                FactField(fact="person.unsubscribed", property="HasOptedOutOfEmail"),
                FactField(fact="company.employees", property="NumberOfEmployees"),
            ),
            written=("MQL_Score__c", "MQL_Grade__c", "OwnerId"),
        ),
    },
    events=(EventRule(source=EventSource.CAMPAIGN, key=None, kind="campaign_response", set={"name": "campaign"}),),
)
WANTED = (
    WantedField(object="lead", name="MQL_Score__c", label="MQL score", kind=FieldKind.NUMBER),
    WantedField(object="lead", name="MQL_Grade__c", label="MQL grade", kind=FieldKind.TEXT, length=80),
)
ALWAYS = Bulk(reads_above=0, writes_above=0)


class Scene:
    """An org at noon. ``begun`` is what outlives a connector."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box
        self.org = box.salesforce
        self.waits: list[float] = []
        self.begun: MutableMapping[str, str] = {}
        self.connector(ALWAYS).ensure_schema(WANTED)

    def connector(self, bulk: Bulk = ALWAYS, fields: CrmMap = FIELDS, **how: Any) -> SalesforceConnector:
        auth = ClientCredentials(consumer_key=self.org.consumer_key, consumer_secret=self.org.consumer_secret)
        settings = SalesforceSettings(base_url=self.box.url, auth=auth, bulk=bulk)
        patience = Patience(attempts=3, first_wait=0)
        how |= {"patience": patience, "sleep": self.waits.append, "begun": self.begun}
        return SalesforceConnector(settings, fields, **how)

    def lead(self, **fields: Any) -> RecordRef:
        id = self.org.add("Lead", {"LastName": "Lee", "Company": "Acme"} | fields)
        return RecordRef(crm=Crm.SALESFORCE, object="lead", id=id)

    def leads(self, number: int) -> list[RecordRef]:
        return [self.lead(Email=f"{n}@acme.example") for n in range(number)]

    def window(self) -> Window:
        return Window(lo=None, hi=self.box.clock.now() + timedelta(seconds=1))

    def pages(
        self, bulk: Bulk = ALWAYS, resume: str | None = None, window: Window | None = None
    ) -> Iterator[Page[PersonRecord]]:
        return self.connector(bulk).people(LEADS, window or self.window(), resume)

    def people(self, bulk: Bulk = ALWAYS, resume: str | None = None) -> list[PersonRecord]:
        return [person for page in self.pages(bulk, resume) for person in page.rows]

    def jobs(self, kind: str = "query") -> dict[str, int]:
        """Calls about jobs, by method and path."""
        return {call: n for call, n in self.box.calls[Crm.SALESFORCE].items() if f"/jobs/{kind}" in call}

    def held(self, ref: RecordRef, field: str) -> Any:
        return self.org.get("Lead", ref.id)[field]

    def fault(self, kind: FaultKind, match: str, **how: Any) -> None:
        self.box.faults.add(Fault(kind=kind, crm=Crm.SALESFORCE, match=match, **how))


@pytest.fixture
def scene() -> Iterator[Scene]:
    with Sandbox.start(at=NOW) as box:
        yield Scene(box)


def patch(ref: RecordRef, **fields: str | None) -> Patch:
    return Patch(ref=ref, fields=fields, trace=ref.id)


def kinds(outcomes: tuple[WriteOutcome, ...]) -> list[type]:
    return [type(outcome) for outcome in outcomes]


# -- reading -------------------------------------------------------------------------------------------------------


def test_a_job_gives_the_records_that_queries_give(scene: Scene) -> None:
    """Quotes, line ends and commas in cells, blanks, numbers, times, deleted and merged rows, converted leads."""
    scene.lead(Email="a@b.example", Title='The "best",\r\nby far', Country="Germany", NumberOfEmployees=12)
    scene.lead(HasOptedOutOfEmail=True, MQL_Score__c=87.5, MQL_Grade__c="A1")
    winner, loser, gone, converted = scene.lead(), scene.lead(), scene.lead(), scene.lead()
    scene.org.merge("Lead", winner.id, loser.id)
    scene.org.delete("Lead", gone.id)
    scene.org.convert(converted.id)
    by_job = {person.ref: person for person in scene.people()}
    by_query = {person.ref: person for person in scene.people(Bulk(reads_above=None))}
    assert by_job == by_query
    assert len(by_job) == 6
    assert by_job[loser].moved_to == winner
    assert by_job[converted].moved_to is not None


def test_activities_come_by_jobs_as_they_come_by_queries(scene: Scene) -> None:
    campaign = scene.org.add("Campaign", {"Name": "Pricing, live", "Type": "Webinar"})
    for lead in scene.leads(3):
        scene.org.add("CampaignMember", {"CampaignId": campaign, "LeadId": lead.id, "Status": "Sent"})

    def read(bulk: Bulk) -> list[Any]:
        pages = scene.connector(bulk).engagement(MEMBERS, scene.window(), None)
        return sorted((one for page in pages for one in page.rows), key=lambda one: one.source_id)

    assert read(ALWAYS) == read(Bulk(reads_above=None))
    assert [one.attributes["name"] for one in read(ALWAYS)] == ["Pricing, live"] * 3


@pytest.mark.parametrize(("rows", "jobs"), [(4, 0), (5, 1)])
def test_only_a_window_of_many_rows_is_worth_a_job(scene: Scene, rows: int, jobs: int) -> None:
    leads = scene.leads(rows)
    assert {person.ref for person in scene.people(Bulk(reads_above=4))} == set(leads)
    assert scene.jobs().get("POST /services/data/v59.0/jobs/query", 0) == jobs


def test_a_job_is_taken_up_where_a_run_that_died_has_left_it(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever page was the last one stored: no second job is made, and every row comes."""
    monkeypatch.setattr("connectors.salesforce.bulk_query.PAGE", 3)
    leads = set(scene.leads(10))
    window = scene.window()
    stored = list(scene.pages(window=window))
    assert [len(page.rows) for page in stored] == [0, 0, 3, 3, 3, 1]
    for last in range(len(stored)):
        before = scene.jobs().get("POST /services/data/v59.0/jobs/query", 0)
        pages = scene.pages(window=window)
        kept = [next(pages) for _ in range(last + 1)]
        if kept[-1].resume is None:
            continue
        rest = scene.pages(resume=kept[-1].resume, window=window)
        assert {person.ref for page in (*kept, *rest) for person in page.rows} == leads
        assert scene.jobs()["POST /services/data/v59.0/jobs/query"] == before + 1


def test_a_job_that_is_gone_is_begun_anew(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.salesforce.bulk_query.PAGE", 3)
    leads = set(scene.leads(7))
    window = scene.window()
    resume = list(scene.pages(window=window))[-2].resume  # of a job that was read to its end, and deleted
    rest = [person.ref for page in scene.pages(resume=resume, window=window) for person in page.rows]
    assert set(rest) == leads


@pytest.mark.parametrize(
    "match", ["POST */jobs/query", "GET */jobs/query/*", "GET */jobs/query/*/results", "DELETE */jobs/query/*"]
)
def test_a_session_that_ends_in_the_middle_of_a_job_is_one_sign_in_more(scene: Scene, match: str) -> None:
    leads = set(scene.leads(3))
    connector = scene.connector()
    connector.describe("lead")
    scene.fault(FaultKind.EXPIRED_TOKEN, match)
    found = {person.ref for page in connector.people(LEADS, scene.window(), None) for person in page.rows}
    assert found == leads
    assert connector.calls["sign in"] == 2
    assert scene.jobs()["POST /services/data/v59.0/jobs/query"] == (2 if match.startswith("POST") else 1)


def test_a_job_is_deleted_when_it_is_read(scene: Scene) -> None:
    scene.leads(2)
    scene.people()
    assert scene.jobs()["DELETE /services/data/v59.0/jobs/query/{id}"] == 1


def test_waiting_ends_and_the_job_goes_on(scene: Scene) -> None:
    leads = scene.leads(2)
    scene.org.bulk.busy = 1_000
    window = scene.window()
    pages = scene.pages(Bulk(reads_above=0, longest_wait=60), window=window)
    resume = next(pages).resume
    with pytest.raises(RetryLater, match="has not ended within 1 minutes"):
        list(pages)
    assert 60 <= sum(scene.waits) <= 75
    assert max(scene.waits) == 15
    scene.org.bulk.busy = 0
    assert {person.ref for page in scene.pages(resume=resume, window=window) for person in page.rows} == set(leads)
    assert scene.jobs()["POST /services/data/v59.0/jobs/query"] == 1


def test_a_job_that_takes_too_long_is_cut_in_two_by_time(scene: Scene) -> None:
    leads = set(scene.leads(2))
    scene.box.clock.move(timedelta(hours=1))
    leads |= set(scene.leads(2))
    scene.org.bulk.failures.append("QUERY_TIMEOUT: Your query request was running for too long.")
    assert {person.ref for person in scene.people()} == leads
    assert scene.jobs()["POST /services/data/v59.0/jobs/query"] == 3


def test_a_job_that_failed_for_good_is_told_without_addresses(scene: Scene) -> None:
    scene.leads(1)
    scene.org.bulk.failures.append("QUERY_TIMEOUT: nobody@acme.example has done it")
    hi = scene.box.clock.now()
    with pytest.raises(RetryLater, match="QUERY_TIMEOUT") as caught:
        list(scene.pages(window=Window(lo=hi, hi=hi)))
    assert "acme.example" not in str(caught.value)


@pytest.mark.parametrize("said", ["UNKNOWN_EXCEPTION: x", "InvalidBatch : no such thing in a job", ""])
def test_what_a_job_cannot_do_is_done_by_queries(scene: Scene, said: str) -> None:
    """Else each run would begin, and fail, anew."""
    leads = set(scene.leads(3))
    scene.org.bulk.failures.append(said)
    assert {person.ref for person in scene.people()} == leads
    assert scene.jobs()["POST /services/data/v59.0/jobs/query"] == 1


@pytest.mark.parametrize(
    "code", ["API_DISABLED_FOR_ORG", "LIMIT_EXCEEDED", "INVALIDENTITY", "FUNCTIONALITY_NOT_ENABLED"]
)
def test_where_there_can_be_no_job_the_window_is_read_by_queries(scene: Scene, code: str) -> None:
    leads = scene.leads(3)
    scene.org.bulk.refuses = code
    assert {person.ref for person in scene.people()} == set(leads)


def test_a_column_that_went_out_of_sight_is_left_out_of_the_job(scene: Scene) -> None:
    """The description was kept from an earlier day, and the refusal of the job knows better."""
    leads = scene.leads(2)
    known = dict(scene.connector().describe("lead"))
    known["Gone__c"] = FieldSchema(name="Gone__c", kind=FieldKind.TEXT, writable=False)
    lead = FIELDS.objects["lead"]
    gone = replace(lead, facts=(*lead.facts, FactField(fact="person.custom.gone", property="Gone__c")))
    connector = scene.connector(fields=replace(FIELDS, objects={"lead": gone}), schemas={"lead": known})
    pages = connector.people(LEADS, scene.window(), None)
    assert {person.ref for page in pages for person in page.rows} == set(leads)


@pytest.mark.parametrize("kind", [FaultKind.TRUNCATED, FaultKind.HTML, FaultKind.CUT_AFTER, FaultKind.SERVER_ERROR])
def test_a_page_of_results_that_broke_is_asked_for_again(scene: Scene, kind: FaultKind) -> None:
    leads = scene.leads(3)
    scene.fault(kind, "GET */results*", status=503)
    people = scene.people()
    assert [person.ref for person in people] == leads or {person.ref for person in people} == set(leads)
    assert len(people) == 3


def test_more_rows_of_one_second_than_a_page_holds_are_read_once_each(scene: Scene) -> None:
    scene.box.clock.freeze()
    leads = scene.leads(2_300)
    people = scene.people(Bulk(reads_above=None))
    assert len(people) == 2_300
    assert {person.ref for person in people} == set(leads)


# -- writing -------------------------------------------------------------------------------------------------------


def test_each_record_of_a_job_has_its_own_outcome_by_id(scene: Scene) -> None:
    """The sandbox lists results in another order; one is refused, one is gone, one lives on elsewhere."""
    refs = scene.leads(6)
    scene.org.delete("Lead", refs[1].id)
    scene.org.convert(refs[2].id)
    outcomes = scene.connector().apply(
        [patch(ref, MQL_Score__c=str(n), MQL_Grade__c="x" * (81 if n == 3 else 2)) for n, ref in enumerate(refs)]
    )
    assert [outcome.ref for outcome in outcomes] == refs
    assert kinds(outcomes) == [Written, Redirected, Redirected, Rejected, Written, Written]
    assert isinstance(outcomes[2], Redirected)
    assert outcomes[2].to is not None
    assert isinstance(outcomes[3], Rejected)
    assert (outcomes[3].code, outcomes[3].field, outcomes[3].retry) == ("STRING_TOO_LONG", "MQL_Grade__c", False)
    assert [scene.held(refs[n], "MQL_Score__c") for n in (0, 4, 5)] == [0, 4, 5]


@pytest.mark.parametrize(
    "text", ['a "b", c', "two\nlines", "two\r\nlines", " kept ", "=1+1", "Zürich – 東京", "NULL", "#N/A"]
)
def test_every_text_arrives_as_it_was_sent(scene: Scene, text: str) -> None:
    ref, other = scene.leads(2)
    outcomes = scene.connector().apply([patch(ref, MQL_Grade__c=text), patch(other, MQL_Grade__c="B")])
    assert kinds(outcomes) == [Written, Written]
    assert scene.held(ref, "MQL_Grade__c") in (text, text.strip())


def test_a_job_clears_what_is_to_be_cleared_and_leaves_alone_what_was_not_named(scene: Scene) -> None:
    ref, other = scene.lead(MQL_Score__c=7, MQL_Grade__c="A1"), scene.lead(MQL_Score__c=7, MQL_Grade__c="A1")
    outcomes = scene.connector().apply(
        [patch(ref, MQL_Score__c=None), patch(other, MQL_Grade__c="B", MQL_Score__c="8")]
    )
    assert kinds(outcomes) == [Written, Written]
    assert (scene.held(ref, "MQL_Score__c"), scene.held(ref, "MQL_Grade__c")) == (None, "A1")
    assert (scene.held(other, "MQL_Score__c"), scene.held(other, "MQL_Grade__c")) == (8, "B")


def test_the_owner_of_a_lead_is_written_where_no_rule_can_take_it(scene: Scene) -> None:
    refs = scene.leads(3)
    owner = scene.org.add_user("rep@acme.example", "Rep")
    outcomes = scene.connector().apply(
        [patch(ref, OwnerId=owner) if n == 1 else patch(ref, MQL_Score__c="1") for n, ref in enumerate(refs)]
    )
    assert kinds(outcomes) == [Written] * 3
    assert scene.box.calls[Crm.SALESFORCE]["PATCH /services/data/v59.0/composite/sobjects"] == 1
    assert scene.jobs("ingest")["POST /services/data/v59.0/jobs/ingest"] == 1
    assert scene.held(refs[1], "OwnerId") == owner


def test_what_a_duplicate_rule_refuses_in_a_job_goes_where_it_may_be_saved_all_the_same(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job takes no header, and a rule that only alerts refuses it."""
    refs = scene.leads(3)
    alerted = Failed(problem=Problem(code="DUPLICATES_DETECTED", message="Use one of these records?"))
    monkeypatch.setattr(IngestJobs, "update", lambda self, object, records: [alerted] * len(records))
    outcomes = scene.connector().apply([patch(ref, MQL_Score__c="7") for ref in refs])
    assert kinds(outcomes) == [Written] * 3
    assert [scene.held(ref, "MQL_Score__c") for ref in refs] == [7, 7, 7]


class Lossy:
    """What `Client.fetched` does, but the pages of queries behind the first are not to be had, or no query is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refused: Refused, *, first: bool) -> None:
        self.queries = 0
        real = Client.fetched

        def fetched(client: Client, path: str, read: Any, **how: Any) -> Any:
            if path.startswith("queryAll"):
                self.queries += 1
                if first:
                    raise refused
                return replace(real(client, path, read, **how), done=False, next_url="/services/data/v59.0/query/01g")
            if path.startswith("/services"):
                raise refused
            return real(client, path, read, **how)

        monkeypatch.setattr(Client, "fetched", fetched)


def test_a_query_too_long_for_an_address_is_asked_by_a_job(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    refs = scene.leads(3)
    too_long = Refused(Problem(message="the answer is not JSON"), status=414)
    lossy = Lossy(monkeypatch, too_long, first=True)
    assert {one.ref for one in scene.people(Bulk())} == set(refs)
    with pytest.raises(Refused):
        scene.people(Bulk(reads_above=None))
    assert lossy.queries == 2


def test_a_place_that_is_lost_where_nothing_is_certain_to_be_read_is_left_to_a_job(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of the very second in which the window ends may have been changed since, and name no place."""
    refs = scene.leads(3)
    lossy = Lossy(monkeypatch, Refused(Problem(code="INVALID_QUERY_LOCATOR"), status=400), first=False)
    window = Window(lo=None, hi=scene.box.clock.now())
    pages = list(scene.pages(Bulk(), window=window))
    assert {one.ref for page in pages for one in page.rows} == set(refs)
    assert pages[-1].resume is None
    assert lossy.queries == 2
    with pytest.raises(Refused):
        list(scene.pages(Bulk(reads_above=None), window=window))


def test_few_patches_are_not_worth_a_job(scene: Scene) -> None:
    refs = scene.leads(3)
    connector = scene.connector(Bulk(writes_above=3))
    assert kinds(connector.apply([patch(ref, MQL_Score__c="1") for ref in refs])) == [Written] * 3
    assert not scene.jobs("ingest")
    bulk = connector.bulk
    assert bulk is not None
    assert bulk.least == 4


def test_a_job_costs_eight_calls_whatever_it_writes(scene: Scene) -> None:
    refs = scene.leads(40)
    connector = scene.connector()
    connector.describe("lead")
    connector.apply([patch(ref, MQL_Score__c="1") for ref in refs])
    assert connector.calls["update in bulk"] == 9, "made, uploaded, closed, asked twice, three lists, deleted"
    assert scene.begun == {}


def test_what_a_job_did_not_come_to_goes_in_collections(scene: Scene) -> None:
    refs = scene.leads(5)
    scene.org.bulk.failures.append("InternalServerError : the server gave up")
    scene.org.bulk.comes_to = 2
    before = len(scene.box.journal.writes())
    outcomes = scene.connector().apply([patch(ref, MQL_Score__c="1") for ref in refs])
    assert kinds(outcomes) == [Written] * 5
    assert len(scene.box.journal.writes()) - before == 5, "none twice"


@pytest.mark.parametrize(
    "kind", [FaultKind.CUT_AFTER, FaultKind.CUT_BEFORE, FaultKind.TRUNCATED, FaultKind.SERVER_ERROR]
)
@pytest.mark.parametrize(
    "match", ["POST */jobs/ingest", "PUT */batches", "PATCH */jobs/ingest/*", "GET */jobs/ingest/*", "DELETE */jobs/*"]
)
def test_an_answer_that_is_lost_on_the_way_is_asked_for_again(scene: Scene, kind: FaultKind, match: str) -> None:
    refs = scene.leads(3)
    before = len(scene.box.journal.writes())
    scene.fault(kind, match, status=503)
    outcomes = scene.connector().apply([patch(ref, MQL_Score__c="1") for ref in refs])
    sent = len(scene.box.journal.writes()) - before
    assert sent == 3, "each once"
    assert kinds(outcomes) == [Written] * 3


def test_results_that_cannot_be_had_leave_the_records_unknown_until_the_job_has_ended(scene: Scene) -> None:
    refs = scene.leads(3)
    scene.fault(FaultKind.SERVER_ERROR, "GET */successfulResults*", status=503, times=None)
    outcomes = scene.connector().apply([patch(ref, MQL_Score__c="1") for ref in refs])
    assert kinds(outcomes) == [Unknown] * 3
    assert len(scene.begun) == 1
    scene.box.faults.clear()
    found = scene.connector().read(refs, ["MQL_Score__c"])
    assert scene.begun == {}
    assert [found[ref].values["MQL_Score__c"] for ref in refs] == ["1"] * 3  # type: ignore[union-attr]  # all Found


def test_a_job_left_open_by_a_run_that_died_is_stopped_and_writes_nothing(scene: Scene) -> None:
    """Killed between upload and close: what is read afterwards is what will stay."""
    refs = scene.leads(3)
    killed = scene.connector()

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    killed._jobs._close = die  # type: ignore[method-assign]  # the process ends here
    with pytest.raises(Killed):
        killed.apply([patch(ref, MQL_Score__c="1") for ref in refs])
    assert len(scene.begun) == 1
    before = len(scene.box.journal.writes())
    after = scene.connector()
    found = after.read(refs, ["MQL_Score__c"])
    assert scene.begun == {}
    assert {found[ref].values["MQL_Score__c"] for ref in refs} == {None}  # type: ignore[union-attr]  # all Found
    assert kinds(after.apply([patch(ref, MQL_Score__c="1") for ref in refs])) == [Written] * 3
    assert len(scene.box.journal.writes()) - before == 3


def test_a_job_still_at_work_is_waited_for_before_anything_is_read(scene: Scene) -> None:
    refs = scene.leads(2)
    first = scene.connector()

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> bool:
        raise Killed

    first._jobs._wait = die  # type: ignore[method-assign]  # the process ends here
    with pytest.raises(Killed):
        first.apply([patch(ref, MQL_Score__c="1") for ref in refs])
    scene.waits.clear()
    scene.org.bulk.busy = 3
    scene.connector().read(refs, ["MQL_Score__c"])
    assert scene.waits == [1.0, 2.0]
    assert scene.begun == {}


def test_nothing_is_read_back_while_a_job_of_an_earlier_run_cannot_be_stopped(scene: Scene) -> None:
    refs = scene.leads(2)
    scene.fault(FaultKind.SERVER_ERROR, "GET */successfulResults*", status=503, times=None)
    scene.connector().apply([patch(ref, MQL_Score__c="1") for ref in refs])
    [job] = scene.begun
    scene.org.bulk.busy = 1_000
    scene.org.bulk.work_on(job)
    scene.fault(FaultKind.SERVER_ERROR, "PATCH */jobs/ingest/*", status=503, times=None)
    with pytest.raises(RetryLater, match="still writing"):
        scene.connector(Bulk(writes_above=0, longest_wait=20)).read(refs, ["MQL_Score__c"])
    assert list(scene.begun) == [job]


def test_a_job_that_takes_too_long_is_told_to_stop(scene: Scene) -> None:
    refs = scene.leads(2)
    scene.org.bulk.busy = 1_000
    outcomes = scene.connector(Bulk(writes_above=0, longest_wait=30)).apply([patch(r, MQL_Score__c="1") for r in refs])
    assert kinds(outcomes) == [Written] * 2, "what it had done by then counts"
    assert sum(scene.waits) >= 30


def test_a_used_up_day_is_an_error_of_the_run_not_of_the_records(scene: Scene) -> None:
    refs = scene.leads(2)
    scene.fault(FaultKind.RATE_LIMITED, "POST */jobs/ingest", times=None)
    with pytest.raises(RunCannotContinue) as caught:
        scene.connector().apply([patch(ref, MQL_Score__c="1") for ref in refs])
    assert caught.value.quota


def test_where_there_can_be_no_ingest_job_collections_are_written(scene: Scene) -> None:
    refs = scene.leads(3)
    scene.org.bulk.refuses = "API_DISABLED_FOR_ORG"
    outcomes = scene.connector().apply([patch(ref, MQL_Score__c="1") for ref in refs])
    assert kinds(outcomes) == [Written] * 3


# -- owners --------------------------------------------------------------------------------------------------------


def test_users_and_queues_are_one_call(scene: Scene) -> None:
    scene.org.add_queue("Inbound", "Inbound")
    connector = scene.connector()
    found = connector.owners()
    assert connector.calls["pull owners"] == 1
    assert any(owner.objects for owner in found)


def test_owners_are_listed_one_by_one_where_they_cannot_share_a_call(scene: Scene) -> None:
    scene.org.add_queue("Inbound", "Inbound")
    together = scene.connector().owners()
    connector = scene.connector()

    def refuse(*_: object, **__: object) -> None:
        raise Refused(Problem(code="NOT_FOUND"), status=404)

    connector._client.send = refuse  # type: ignore[method-assign]  # as an org without composites answers
    assert connector.owners() == together
    assert connector.calls["pull owners"] == 3
