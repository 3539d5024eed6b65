"""The Salesforce connector against an org on loopback: what is particular to Salesforce."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from connectors.errors import RunCannotContinue
from connectors.fields import Convert, CountRule, CrmMap, EventRule, EventSource, FactField, ObjectMap
from connectors.records import (
    Crm,
    Engagement,
    FieldKind,
    Found,
    Gone,
    Moved,
    OwnerKind,
    Patch,
    PersonRecord,
    RecordRef,
    Redirected,
    Rejected,
    Stream,
    StreamKind,
    TaskDraft,
    Unchanged,
    Unknown,
    WantedField,
    Window,
    Written,
)
from connectors.retry import Patience
from connectors.salesforce import ClientCredentials, PasswordToken, SalesforceConnector, SalesforceSettings, Session
from connectors.sandbox import Fault, FaultKind, Sandbox

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def fact(name: str, property: str, convert: Convert = Convert.PLAIN) -> FactField:
    return FactField(fact=name, property=property, convert=convert)


FIELDS = CrmMap(
    crm=Crm.SALESFORCE,
    objects={
        "lead": ObjectMap(
            object="lead",
            facts=(
                fact("person.email", "Email"),
                fact("person.title", "Title"),
                fact("person.country", "Country", Convert.COUNTRY),
                fact("person.hard_bounced", "EmailBouncedDate", Convert.IS_SET),
                fact("person.converted", "IsConverted"),
                fact("company.employees", "NumberOfEmployees"),
                fact("person.custom.use_case", "Use_Case__c"),
            ),
            written=("MQL_Status__c", "MQL_Score__c", "OwnerId"),
        ),
        "contact": ObjectMap(object="contact", facts=(fact("person.email", "Email"), fact("person.title", "Title"))),
        "account": ObjectMap(
            object="account",
            facts=(
                fact("company.name", "Name"),
                FactField(
                    fact="company.open_opportunities",
                    count=CountRule(object="Opportunity", where={"IsClosed": "false"}),
                ),
            ),
        ),
    },
    events=(
        EventRule(
            source=EventSource.CAMPAIGN,
            key="webinar",
            kind="webinar_attended",
            statuses=("attended",),
            set={"name": "campaign", "minutes": "30"},
        ),
        EventRule(source=EventSource.CAMPAIGN, key="Webinar", kind="webinar_registered", set={"name": "campaign"}),
        EventRule(source=EventSource.CAMPAIGN, key=None, kind="campaign_response", statuses=("Responded",)),
        EventRule(
            source=EventSource.TASK,
            key="Call",
            kind="call",
            set={"direction": "CallType", "outcome": "CallDisposition"},
        ),
        EventRule(source=EventSource.MEETING, key=None, kind="meeting_held"),
    ),
)

WANTED = (
    WantedField(
        object="lead", name="MQL_Status__c", label="MQL status", kind=FieldKind.PICKLIST, options=("MQL", "Recycled")
    ),
    WantedField(object="lead", name="MQL_Score__c", label="MQL score", kind=FieldKind.NUMBER),
)


class Scene:
    """An org at noon, and a connector to it that waits without sleeping."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box
        self.org = box.salesforce
        self.waits: list[float] = []
        self.sf = self.connector()

    def connector(self, **settings: Any) -> SalesforceConnector:
        auth = ClientCredentials(consumer_key=self.org.consumer_key, consumer_secret=self.org.consumer_secret)
        given: dict[str, Any] = {"base_url": self.box.url, "auth": auth} | settings
        return SalesforceConnector(
            SalesforceSettings(**given), FIELDS, patience=Patience(attempts=3, first_wait=0), sleep=self.waits.append
        )

    def lead(self, **fields: Any) -> RecordRef:
        return ref("lead", self.org.add("Lead", {"LastName": "Lee", "Company": "Acme"} | fields))

    def window(self, back: timedelta | None = None) -> Window:
        hi = self.box.clock.now() + timedelta(seconds=1)
        return Window(lo=None if back is None else hi - back, hi=hi)

    def people(self, name: str = "lead", back: timedelta | None = None) -> dict[str, PersonRecord]:
        pages = self.sf.people(stream(StreamKind.PEOPLE, name), self.window(back), None)
        return {one.ref.id: one for page in pages for one in page.rows}

    def engagement(self, name: str, back: timedelta | None = None) -> dict[str, Engagement]:
        pages = self.sf.engagement(stream(StreamKind.ENGAGEMENT, name), self.window(back), None)
        return {one.source_id.rpartition(":")[2]: one for page in pages for one in page.rows}


def ref(object: str, id: str) -> RecordRef:
    return RecordRef(crm=Crm.SALESFORCE, object=object, id=id)


def stream(kind: StreamKind, name: str) -> Stream:
    return Stream(crm=Crm.SALESFORCE, kind=kind, name=name)


def patch(person: RecordRef, **fields: str | None) -> Patch:
    return Patch(ref=person, fields=fields, trace=person.id)


@pytest.fixture
def scene() -> Iterator[Scene]:
    with Sandbox.start(at=NOW) as box:
        made = Scene(box)
        yield made
        made.sf.close()


# -- the account


def test_check_names_the_org_and_what_is_mapped_in_vain(scene: Scene) -> None:
    info = scene.sf.check()
    assert info.id == scene.org.org_id
    assert any("Lead.Use_Case__c is mapped, but not visible" in problem for problem in info.problems)
    assert any("Lead.MQL_Score__c is written, but not visible" in problem for problem in info.problems)


def test_now_is_the_orgs_clock(scene: Scene) -> None:
    assert abs(scene.sf.now() - scene.box.clock.now()) < timedelta(minutes=1)
    assert scene.sf.now().year == NOW.year


def test_password_and_given_session_sign_in_too(scene: Scene) -> None:
    password = PasswordToken(
        username=scene.org.username, password=scene.org.password, security_token=scene.org.security_token
    )
    for auth in (password, Session(session_id=scene.org.session_id())):
        other = scene.connector(auth=auth)
        assert other.check().id == scene.org.org_id
        other.close()


def test_a_session_that_ends_in_the_middle_of_a_window_costs_one_sign_in(scene: Scene) -> None:
    for _ in range(4):
        scene.lead()
    scene.org.page_size = 2
    pages = scene.sf.people(stream(StreamKind.PEOPLE, "lead"), scene.window(), None)
    first = next(pages)
    scene.org.expire_sessions()
    rest = list(pages)
    assert len(first.rows) + sum(len(page.rows) for page in rest) == 4
    assert scene.sf.calls["sign in"] == 2


def test_an_ended_session_is_renewed_once_however_many_calls_meet_it(scene: Scene) -> None:
    """The org ends the old session at each login, so two renewals side by side would chase each other."""
    scene.org.single_session = True
    scene.sf.check()
    scene.org.expire_sessions()
    leads = [scene.lead() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda one: scene.sf.read([one], ["Email"])[one], leads))
    assert all(isinstance(one, Found) for one in found)
    assert scene.sf.calls["sign in"] == 2


def test_owners_are_users_and_queues_with_the_integration_user_marked(scene: Scene) -> None:
    gone = scene.org.add_user("gone@corp.example", "Old Rep", active=False)
    queue = scene.org.add_queue("Inbound leads", "Inbound_Leads")
    owners = {owner.id: owner for owner in scene.sf.owners()}
    assert not owners[gone].active
    assert owners[queue].kind is OwnerKind.QUEUE
    assert (owners[queue].name, owners[queue].label) == ("Inbound_Leads", "Inbound leads")
    assert owners[queue].objects == ("lead",)
    assert [owner.email for owner in owners.values() if owner.integration] == ["integration@sandbox.example"]


# -- reading


def test_hidden_fields_cost_themselves_not_the_query(scene: Scene) -> None:
    lead = scene.lead(Email="l@corp.example", Country="Germany", NumberOfEmployees=120)
    record = scene.people()[lead.id]
    assert record.facts["person.country"] == "DE"
    assert record.facts["company.employees"] == 120
    assert "person.custom.use_case" not in record.facts
    assert record.current == {"MQL_Status__c": None, "MQL_Score__c": None, "OwnerId": record.owner}


def test_conversion_merge_and_deletion_are_read_as_moves_and_ends(scene: Scene) -> None:
    converted, winner, loser, deleted = (scene.lead(Email=f"{n}@corp.example") for n in "abcd")
    contact = scene.org.convert(converted.id)
    scene.org.merge("Lead", winner.id, loser.id)
    scene.org.delete("Lead", deleted.id)
    people = scene.people()
    assert (people[converted.id].gone, people[converted.id].moved_to) == (True, ref("contact", contact))
    assert people[converted.id].facts["person.converted"] is True
    assert (people[loser.id].gone, people[loser.id].moved_to) == (True, winner)
    assert (people[deleted.id].gone, people[deleted.id].moved_to) == (True, None)
    assert not people[winner.id].gone
    found = scene.sf.read([converted, winner, loser, deleted, ref("lead", "00Q5g0000000999EAA")], ["Email"])
    assert [type(found[one]) for one in (converted, winner, loser, deleted)] == [Moved, Found, Moved, Gone]
    assert isinstance(found[ref("lead", "00Q5g0000000999EAA")], Gone)
    assert scene.people("contact")[contact].company is not None


def test_a_window_goes_on_after_its_cursor_has_expired(scene: Scene) -> None:
    leads = {scene.lead().id for _ in range(7)}
    scene.org.page_size = 3
    window = scene.window()
    pages = scene.sf.people(stream(StreamKind.PEOPLE, "lead"), window, None)
    seen = {one.ref.id for one in next(pages).rows}
    scene.box.clock.move(timedelta(days=3))
    seen |= {one.ref.id for page in pages for one in page.rows}
    assert seen == leads


def test_reading_many_by_id_stays_below_three_hundred_a_call(scene: Scene) -> None:
    refs = [scene.lead() for _ in range(301)]
    scene.sf.describe("lead")
    before = scene.sf.calls.get("read lead", 0)
    assert len(scene.sf.read(refs, ["OwnerId", "Status"])) == 301
    assert scene.sf.calls["read lead"] - before == 2


def test_a_quiet_run_costs_a_call_a_stream_and_two(scene: Scene) -> None:
    scene.org.add_queue("Inbound leads", "Inbound_Leads")
    scene.sf.check()
    for name in ("opportunity", "campaign member", "task", "event"):
        scene.sf.describe(name)
    scene.box.clock.move(timedelta(days=1))
    before = sum(scene.sf.calls.values())
    for one in scene.sf.streams():
        window = scene.window(timedelta(minutes=15))
        match one.kind:
            case StreamKind.PEOPLE:
                assert [p.rows for p in scene.sf.people(one, window, None)] == [()]
            case StreamKind.COMPANIES:
                assert [p.rows for p in scene.sf.companies(one, window, None)] == [()]
            case StreamKind.ENGAGEMENT:
                assert [p.rows for p in scene.sf.engagement(one, window, None)] == [()]
            case StreamKind.OWNERS:
                scene.sf.owners()
    assert sum(scene.sf.calls.values()) - before <= len(scene.sf.streams()) + 2


def test_open_opportunities_are_counted_anew_for_each_account_they_touch(scene: Scene) -> None:
    account = scene.org.add("Account", {"Name": "Acme"})
    other = scene.org.add("Account", {"Name": "Quiet"})
    deal = {"CloseDate": "2026-12-31", "AccountId": account}
    first = scene.org.add("Opportunity", deal | {"Name": "one", "StageName": "Prospecting"})
    scene.org.add("Opportunity", deal | {"Name": "two", "StageName": "Prospecting"})
    scene.org.add("Opportunity", deal | {"Name": "won", "StageName": "Closed Won"})
    whole = [
        one for p in scene.sf.companies(stream(StreamKind.COMPANIES, "account"), scene.window(), None) for one in p.rows
    ]
    assert {one.ref.id: one.facts["company.open_opportunities"] for one in whole} == {account: 2, other: 0}
    scene.org.delete("Opportunity", first)
    [counted] = [
        one
        for p in scene.sf.companies(stream(StreamKind.COMPANIES, "opportunity"), scene.window(), None)
        for one in p.rows
    ]
    assert (counted.ref.id, counted.partial, dict(counted.facts)) == (account, True, {"company.open_opportunities": 1})


# -- engagement


def test_campaign_members_become_what_the_rules_say(scene: Scene) -> None:
    lead = scene.lead()
    campaigns = {
        kind: scene.org.add("Campaign", {"Name": f"{kind} 1", "Type": kind}) for kind in ("Webinar", "Advertisement")
    }
    attended = scene.org.add(
        "CampaignMember", {"CampaignId": campaigns["Webinar"], "LeadId": lead.id, "Status": "Attended"}
    )
    answered = scene.org.add(
        "CampaignMember", {"CampaignId": campaigns["Advertisement"], "LeadId": lead.id, "Status": "Responded"}
    )
    events = scene.engagement("campaign member")
    assert events[attended].kind == "webinar_attended"
    assert events[attended].attributes == {
        "name": "Webinar 1", "campaign": "Webinar 1", "type": "Webinar", "status": "Attended", "minutes": 30,
    }  # fmt: skip
    assert events[answered].kind == "campaign_response"
    assert events[answered].who == lead
    row = scene.org.get("CampaignMember", answered)
    expected = date.fromisoformat(row["FirstRespondedDate"]) if row["HasResponded"] else None
    assert expected is None or events[answered].at == expected
    contact = scene.org.convert(lead.id)
    assert scene.engagement("campaign member")[attended].who == ref("contact", contact)


def test_an_unanswered_member_is_no_event_and_takes_back_what_it_was(scene: Scene) -> None:
    lead = scene.lead()
    campaign = scene.org.add("Campaign", {"Name": "Ads", "Type": "Advertisement"})
    member = scene.org.add("CampaignMember", {"CampaignId": campaign, "LeadId": lead.id, "Status": "Responded"})
    assert not scene.engagement("campaign member")[member].deleted
    scene.org.edit("CampaignMember", member, {"Status": "Sent"})
    assert member not in scene.engagement("campaign member")
    assert scene.engagement("campaign member", timedelta(hours=1))[member].deleted


def test_only_closed_calls_of_others_count(scene: Scene) -> None:
    lead = scene.lead()
    call = {
        "WhoId": lead.id, "Subject": "Call", "Type": "Call", "CallType": "Outbound", "CallDisposition": "Connected",
        "CallDurationInSeconds": 90,
    }  # fmt: skip
    closed = scene.org.add("Task", call | {"Status": "Completed"})
    opened = scene.org.add("Task", call | {"Status": "Not Started"})
    letter = scene.org.add("Task", {"WhoId": lead.id, "Subject": "x", "Type": "Other", "Status": "Completed"})
    ours = scene.org.add("Task", call | {"Status": "Completed", "Description": "Call them\n[mqlsync p:1:task:0]"})
    events = scene.engagement("task")
    assert set(events) == {closed}
    assert events[closed].attributes == {"direction": "outbound", "outcome": "Connected", "minutes": 1.5}
    recent = scene.engagement("task", timedelta(hours=1))
    assert recent[opened].deleted
    assert recent[letter].deleted
    assert ours not in recent


def test_meetings_count_at_their_start_and_all_day_ones_at_their_date(scene: Scene) -> None:
    lead = scene.lead()
    timed = scene.org.add(
        "Event", {"WhoId": lead.id, "Subject": "m", "StartDateTime": "2026-11-20T10:00:00Z", "DurationInMinutes": 30}
    )
    child = scene.org.add(
        "Event",
        {
            "WhoId": lead.id, "Subject": "m", "StartDateTime": "2026-11-20T10:00:00Z", "DurationInMinutes": 30,
            "IsChild": True,
        },
    )  # fmt: skip
    events = scene.engagement("event")
    assert events[timed].at == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert child not in events


# -- writing


def test_the_assignment_rule_does_not_take_the_owner(scene: Scene) -> None:
    lead, rep = scene.lead(), scene.org.add_user("rep@corp.example", "Rep One")
    scene.org.assignment_rule_owner = scene.org.add_user("rule@corp.example", "Rule Two")
    assert scene.sf.apply([patch(lead, OwnerId=rep)]) == (Written(ref=lead),)
    assert scene.org.get("Lead", lead.id)["OwnerId"] == rep


def test_what_the_org_refuses_names_the_field_and_the_rest_is_written(scene: Scene) -> None:
    scene.sf.ensure_schema(WANTED)
    good, odd, taken = scene.lead(), scene.lead(), scene.lead()
    gone = scene.org.add_user("gone@corp.example", "Old Rep", active=False)
    first, second, third = scene.sf.apply(
        [
            patch(good, MQL_Status__c="MQL", MQL_Score__c="87"),
            patch(odd, MQL_Status__c="Perhaps"),
            patch(taken, OwnerId=gone),
        ]
    )
    assert first == Written(ref=good)
    assert isinstance(second, Rejected)
    assert (second.code, second.field) == ("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "MQL_Status__c")
    assert isinstance(third, Rejected)
    assert third.code == "INACTIVE_OWNER_OR_USER"
    found = scene.sf.read([good], ["MQL_Score__c", "MQL_Status__c"])[good]
    assert isinstance(found, Found)
    assert found.values == {"MQL_Score__c": "87", "MQL_Status__c": "MQL"}


def test_none_clears(scene: Scene) -> None:
    scene.sf.ensure_schema(WANTED)
    lead = scene.lead()
    scene.sf.apply([patch(lead, MQL_Status__c="MQL", MQL_Score__c="87")])
    scene.sf.apply([patch(lead, MQL_Status__c=None, MQL_Score__c=None)])
    assert scene.people()[lead.id].current["MQL_Score__c"] is None
    assert scene.people()[lead.id].current["MQL_Status__c"] is None


def test_converted_merged_and_deleted_people_are_redirected(scene: Scene) -> None:
    converted, winner, loser, deleted = (scene.lead() for _ in range(4))
    contact = scene.org.convert(converted.id)
    scene.org.merge("Lead", winner.id, loser.id)
    scene.org.delete("Lead", deleted.id)
    outcomes = scene.sf.apply([patch(one, Title="VP") for one in (converted, loser, deleted)])
    assert all(isinstance(one, Redirected) for one in outcomes)
    assert [one.to for one in outcomes if isinstance(one, Redirected)] == [ref("contact", contact), winner, None]


def test_a_locked_row_is_waited_for(scene: Scene) -> None:
    lead, free = scene.lead(), scene.lead()
    scene.org.lock(lead.id, times=2)
    outcomes = scene.sf.apply([patch(lead, Title="VP"), patch(free, Title="VP")])
    assert outcomes == (Written(ref=lead), Written(ref=free))
    assert scene.waits == [1.0, 5.0]


@pytest.mark.parametrize("kind", [FaultKind.CUT_AFTER, FaultKind.CUT_BEFORE, FaultKind.TRUNCATED, FaultKind.HTML])
def test_a_write_whose_answer_is_lost_is_unknown_and_sent_once(scene: Scene, kind: FaultKind) -> None:
    lead = scene.lead()
    scene.sf.describe("lead")
    scene.box.faults.add(Fault(kind=kind, match="PATCH *", crm="salesforce"))
    [outcome] = scene.sf.apply([patch(lead, Title="VP")])
    assert isinstance(outcome, Unknown)
    assert scene.sf.calls["update"] == 1


def test_the_days_calls_end_the_run(scene: Scene) -> None:
    scene.sf.describe("lead")
    scene.org.daily_limit = scene.org.api_calls
    with pytest.raises(RunCannotContinue) as stopped:
        scene.sf.owners()
    assert stopped.value.quota


# -- tasks


def draft(person: RecordRef, owner: str, key: str = "p:1:task:0", **more: Any) -> TaskDraft:
    return TaskDraft(
        key=key,
        person=person,
        owner=owner,
        subject="Follow up",
        lines=("asked for a demo <b>", "score 87"),
        due=date(2026, 11, 26),
        since=NOW - timedelta(days=1),
        **more,
    )


@pytest.mark.parametrize("field", ["unique", "plain", "none"])
def test_a_task_is_made_once_whatever_the_org_offers_to_name_it(scene: Scene, field: str) -> None:
    scene.org.unique_activity_fields = field == "unique"
    if field != "none":
        scene.sf.ensure_schema(WANTED)
        assert scene.sf.describe("task")["MQL_Task_Key__c"].unique is (field == "unique")
    lead, rep = scene.lead(), scene.org.add_user("rep@corp.example", "Rep One")
    [made] = scene.sf.create_tasks([draft(lead, rep)])
    assert isinstance(made, Written)
    [again, other] = scene.sf.create_tasks([draft(lead, rep, attempted=True), draft(lead, rep, "p:2:task:0")])
    assert again == Unchanged(ref=lead, id=made.id)
    assert isinstance(other, Written)
    tasks = scene.org.tasks()
    assert len(tasks) == 2
    assert tasks[0]["WhoId"] == lead.id
    assert tasks[0]["OwnerId"] == rep
    assert (tasks[0]["Status"], tasks[0]["Priority"], tasks[0]["ActivityDate"]) == ("Not Started", "High", "2026-11-26")
    assert tasks[0]["Description"].startswith("asked for a demo <b>\nscore 87")
    assert tasks[0].get("WhatId") is None
    scene.org.delete("Task", tasks[0]["Id"])
    assert scene.sf.create_tasks([draft(lead, rep)]) == (Unchanged(ref=lead, id=made.id),)


def test_a_task_whose_answer_was_lost_is_found_not_doubled(scene: Scene) -> None:
    scene.sf.ensure_schema(WANTED)
    lead, rep = scene.lead(), scene.org.add_user("rep@corp.example", "Rep One")
    scene.box.faults.add(Fault(kind=FaultKind.CUT_AFTER, match="POST */composite/sobjects", crm="salesforce"))
    [first] = scene.sf.create_tasks([draft(lead, rep)])
    assert isinstance(first, Unknown)
    [second] = scene.sf.create_tasks([draft(lead, rep, attempted=True)])
    assert isinstance(second, Unchanged)
    assert len(scene.org.tasks()) == 1


def lost_answer(scene: Scene, lead: RecordRef, rep: str) -> str:
    """A task without a key that is made, and nobody is told. Its id."""
    scene.box.faults.add(Fault(kind=FaultKind.CUT_AFTER, match="POST */composite/sobjects", crm="salesforce"))
    [outcome] = scene.sf.create_tasks([draft(lead, rep)])
    assert isinstance(outcome, Unknown)
    [task] = scene.org.tasks()
    return str(task["Id"])


def test_a_task_that_went_out_is_found_although_its_person_is_another_record_now(scene: Scene) -> None:
    """Nothing but its last line names it where the org has no key for it, and its person is not who it was made for."""
    lead, rep = scene.lead(), scene.org.add_user("rep@corp.example", "Rep One")
    made = lost_answer(scene, lead, rep)
    contact = ref("contact", scene.org.add("Contact", {"LastName": "Lee"}))
    [outcome] = scene.sf.create_tasks([draft(contact, rep, attempted=True)])
    assert outcome == Unchanged(ref=contact, id=made)
    assert len(scene.org.tasks()) == 1


@pytest.mark.parametrize("how", ["merged", "converted"])
def test_a_task_that_went_out_is_found_with_whom_its_person_has_become(scene: Scene, how: str) -> None:
    """Also where nobody says which user it is that makes them."""
    lead, rep = scene.lead(), scene.org.add_user("rep@corp.example", "Rep One")
    made = lost_answer(scene, lead, rep)
    if how == "merged":
        scene.org.merge("Lead", scene.lead().id, lead.id)
    else:
        scene.org.convert(lead.id)
    nobody = scene.connector(auth=Session(session_id=scene.org.session_id()))
    [outcome] = nobody.create_tasks([draft(lead, rep, attempted=True)])
    assert outcome == Unchanged(ref=lead, id=made)
    assert nobody.calls["find task"] == 1


def test_two_drafts_of_one_key_make_one_task(scene: Scene) -> None:
    lead, rep = scene.lead(), scene.org.add_user("rep@corp.example", "Rep One")
    first, second = scene.sf.create_tasks([draft(lead, rep), draft(lead, rep)])
    assert isinstance(first, Written)
    assert second == Unchanged(ref=lead, id=first.id)
    assert len(scene.org.tasks()) == 1


def test_a_task_for_somebody_gone_is_redirected(scene: Scene) -> None:
    lead, rep = scene.lead(), scene.org.add_user("rep@corp.example", "Rep One")
    scene.org.delete("Lead", lead.id)
    [outcome] = scene.sf.create_tasks([draft(lead, rep)])
    assert isinstance(outcome, Redirected)
    assert outcome.to is None


# -- schema


def test_setup_makes_the_fields_visible_and_a_second_time_changes_nothing(scene: Scene) -> None:
    rehearsed = scene.sf.ensure_schema(WANTED, dry_run=True)
    assert {change.what for change in rehearsed} == {"created"}
    assert "MQL_Status__c" not in scene.sf.describe("lead")
    assert {change.what for change in scene.sf.ensure_schema(WANTED)} == {"created"}
    schema = scene.sf.describe("lead")["MQL_Status__c"]
    assert (schema.kind, schema.options, schema.writable) == (FieldKind.PICKLIST, ("MQL", "Recycled"), True)
    assert {change.what for change in scene.sf.ensure_schema(WANTED)} == {"present"}
    assert not [problem for problem in scene.sf.check().problems if "MQL" in problem]


def test_a_field_that_exists_out_of_sight_is_granted(scene: Scene) -> None:
    scene.org.add_field("Lead.MQL_Score__c", {"type": "Number", "label": "MQL score", "precision": 12, "scale": 2})
    changes = {change.name: change.what for change in scene.sf.ensure_schema(WANTED)}
    assert changes["MQL_Score__c"] == "granted"
    assert scene.sf.describe("lead")["MQL_Score__c"].writable


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        (
            WantedField(object="lead", name="Title", label="x", kind=FieldKind.NUMBER),
            "is a string, but number is needed",
        ),
        (WantedField(object="lead", name="Title", label="x", kind=FieldKind.TEXT, length=200), "holds 128 characters"),
    ],
)
def test_what_exists_and_does_not_fit_stops_setup_before_anything_is_made(
    scene: Scene, wanted: WantedField, complaint: str
) -> None:
    scene.sf.ensure_schema(WANTED)
    new = WantedField(object="lead", name="MQL_New__c", label="New", kind=FieldKind.TEXT)
    with pytest.raises(RunCannotContinue, match=complaint):
        scene.sf.ensure_schema((new, wanted))
    assert "MQL_New__c" not in scene.connector().describe("lead")


def test_a_restricted_picklist_gets_the_values_it_lacks(scene: Scene) -> None:
    scene.sf.ensure_schema(WANTED)
    more = WantedField(
        object="lead", name="MQL_Status__c", label="x", kind=FieldKind.PICKLIST, options=("MQL", "Paused")
    )
    assert [c.what for c in scene.sf.ensure_schema([more], dry_run=True)] == ["options added", "present"]
    assert scene.sf.describe("lead")["MQL_Status__c"].options == ("MQL", "Recycled")
    assert [c.what for c in scene.sf.ensure_schema([more])] == ["options added", "present"]
    assert scene.sf.describe("lead")["MQL_Status__c"].options == ("MQL", "Recycled", "Paused")
    assert [c.what for c in scene.sf.ensure_schema([more])] == ["present", "present"]


def test_values_that_cannot_be_added_are_named(scene: Scene) -> None:
    scene.sf.ensure_schema(WANTED)
    scene.org.customize_application = False
    more = WantedField(
        object="lead", name="MQL_Status__c", label="x", kind=FieldKind.PICKLIST, options=("MQL", "Paused")
    )
    with pytest.raises(RunCannotContinue, match="lacks the values Paused, and they cannot be added"):
        scene.sf.ensure_schema([more])


def test_a_user_who_may_not_customise_is_told_what_is_missing(scene: Scene) -> None:
    scene.org.customize_application = False
    with pytest.raises(RunCannotContinue, match="Customize Application"):
        scene.sf.ensure_schema(WANTED)


def test_a_schema_kept_from_yesterday_spares_the_describe(scene: Scene) -> None:
    kept: dict[str, Any] = {}
    settings = SalesforceSettings(base_url=scene.box.url, auth=Session(session_id=scene.org.session_id()))
    first = SalesforceConnector(settings, FIELDS, patience=Patience(attempts=1), schemas=kept)
    first.check()
    first.close()
    assert set(kept) == {"lead", "contact", "account"}
    other = SalesforceConnector(settings, FIELDS, patience=Patience(attempts=1), schemas=kept)
    lead = scene.lead(Email="l@corp.example")
    pages = list(other.people(stream(StreamKind.PEOPLE, "lead"), scene.window(), None))
    assert [one.ref for page in pages for one in page.rows] == [lead]
    assert "describe" not in other.calls
    other.close()
