"""The HubSpot connector against the sandbox, with each of the portal's undocumented choices made both ways."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from connectors.errors import RetryLater, RunCannotContinue
from connectors.fields import CrmMap, EventRule, EventSource, FactField, ObjectMap
from connectors.hubspot import HubSpotConnector, HubSpotSettings, OAuth
from connectors.records import (
    Crm,
    FieldKind,
    Patch,
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
from connectors.sandbox import Fault, FaultKind, Sandbox

PEOPLE = Stream(crm=Crm.HUBSPOT, kind=StreamKind.PEOPLE, name="contact")
FIELDS = CrmMap(
    crm=Crm.HUBSPOT,
    objects={
        "contact": ObjectMap(
            object="contact", facts=(FactField(fact="person.title", property="jobtitle"),), written=("lifecyclestage",)
        )
    },
    events=(
        EventRule(source=EventSource.FORM, key=None, kind="form_submit"),
        EventRule(
            source=EventSource.COUNTER,
            key="hs_analytics_num_page_views",
            kind="page_view",
            date="hs_analytics_last_timestamp",
            count_first=False,
            set={"path": "anywhere"},
        ),
    ),
)
SCORE = WantedField(object="contact", name="mql_score", label="MQL score", kind=FieldKind.NUMBER)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start() as running:
        yield running


@pytest.fixture
def waited() -> list[float]:
    return []


@pytest.fixture
def connector(sandbox: Sandbox, waited: list[float]) -> Iterator[HubSpotConnector]:
    made = connect(sandbox, waited)
    made.ensure_schema([SCORE])
    yield made
    made.close()


def connect(sandbox: Sandbox, waited: list[float], **settings: object) -> HubSpotConnector:
    wanted = {"token": sandbox.hubspot.token, "per_10_seconds": 100_000, "search_per_second": 100_000} | settings
    return HubSpotConnector(
        HubSpotSettings(base_url=sandbox.url, **wanted),  # type: ignore[arg-type]
        FIELDS,
        patience=Patience(attempts=3, first_wait=0.0, longest_wait=0.0),
        sleep=waited.append,
    )


def contact(sandbox: Sandbox, **properties: object) -> RecordRef:
    return RecordRef(crm=Crm.HUBSPOT, object="contact", id=sandbox.hubspot.add("contacts", properties))


def patch(ref: RecordRef, **fields: str | None) -> Patch:
    return Patch(ref=ref, fields=fields, trace=f"t-{ref.id}")


def draft(person: RecordRef, owner: str, *, attempted: bool = False) -> TaskDraft:
    from datetime import UTC, datetime

    return TaskDraft(
        key="p:1:task:1",
        person=person,
        owner=owner,
        subject="Call",
        lines=("because of <this>",),
        due=date(2026, 12, 1),
        since=datetime(2026, 11, 1, tzinfo=UTC),
        attempted=attempted,
    )


@pytest.mark.parametrize("partial", [True, False])
def test_bad_values_are_told_apart_whether_the_portal_does_it_or_not(
    sandbox: Sandbox, connector: HubSpotConnector, partial: bool
) -> None:
    """batch/update answers a bad value with 207 or with 400 for all: which one is not documented."""
    sandbox.hubspot.batch_update_partial = partial
    refs = [contact(sandbox) for _ in range(40)]
    bad = {3, 17, 18}
    outcomes = connector.apply([patch(ref, mql_score="many" if n in bad else "7") for n, ref in enumerate(refs)])
    assert [isinstance(o, Rejected) for o in outcomes] == [n in bad for n in range(40)]
    assert {(o.code, o.field) for o in outcomes if isinstance(o, Rejected)} == {("INVALID_LONG", "mql_score")}
    written = [sandbox.hubspot.get("contacts", ref.id).get("mql_score") for ref in refs]
    assert written == [None if n in bad else "7" for n in range(40)]
    assert connector.calls["batch_update"] == 1 if partial else connector.calls["batch_update"] < 20


@pytest.mark.parametrize("follow", [True, False])
def test_a_write_to_a_merged_contact_points_at_the_survivor(
    sandbox: Sandbox, connector: HubSpotConnector, follow: bool
) -> None:
    sandbox.hubspot.follow_merged_updates = follow
    one, two = contact(sandbox), contact(sandbox)
    survivor = sandbox.hubspot.merge("contacts", one.id, two.id)
    for old in (one, two):
        (outcome,) = connector.apply([patch(old, mql_score="7")])
        assert isinstance(outcome, Redirected)
        assert outcome.to is not None
        assert outcome.to.id == survivor


@pytest.mark.parametrize("unique", [True, False])
@pytest.mark.parametrize("clash", [409, 400])
@pytest.mark.parametrize("unassociated", [True, False])
@pytest.mark.parametrize("archived", [True, False])
def test_a_task_stays_one_in_every_kind_of_portal(
    sandbox: Sandbox, waited: list[float], unique: bool, clash: int, unassociated: bool, archived: bool
) -> None:
    portal = sandbox.hubspot
    portal.unique_task_property, portal.unique_clash_status = unique, clash
    portal.unassociated_error, portal.archived_associations = unassociated, archived
    connector = connect(sandbox, waited)
    key = next(c for c in connector.ensure_schema([SCORE]) if c.object == "task")
    assert key.what.startswith("created" if unique else "not possible")
    person, owner = contact(sandbox, email="a@example.com"), portal.add_owner("rep@acme.com")
    sandbox.faults.add(Fault(kind=FaultKind.CUT_AFTER, match="POST */tasks/batch/create"))
    assert isinstance(connector.create_tasks([draft(person, owner)])[0], Unknown)
    again = connector.create_tasks([draft(person, owner, attempted=True)])[0]
    (task,) = portal.tasks()
    assert isinstance(again, Unchanged)
    assert again.id == task["id"]
    assert task["contacts"] == [person.id]
    assert "&lt;this&gt;" in task["hs_task_body"]
    assert ("[mqlsync:p:1:task:1]" in task["hs_task_body"]) is not unique
    portal.archive("tasks", task["id"])
    assert isinstance(connector.create_tasks([draft(person, owner, attempted=True)])[0], Unchanged)
    assert portal.tasks() == []
    connector.close()


def test_a_key_that_clashes_without_a_known_attempt_makes_no_second_task(
    sandbox: Sandbox, connector: HubSpotConnector
) -> None:
    """A store that was lost: nothing says that the task was sent before, but the portal refuses the key."""
    person, owner = contact(sandbox), sandbox.hubspot.add_owner("rep@acme.com")
    assert isinstance(connector.create_tasks([draft(person, owner)])[0], Written)
    assert isinstance(connector.create_tasks([draft(person, owner)])[0], Unchanged)
    assert len(sandbox.hubspot.tasks()) == 1


def test_a_stage_moves_forward_and_is_never_reported_backward(sandbox: Sandbox, connector: HubSpotConnector) -> None:
    fresh, customer = contact(sandbox, lifecyclestage="lead"), contact(sandbox, lifecyclestage="customer")
    outcomes = connector.apply([patch(ref, lifecyclestage="marketingqualifiedlead") for ref in (fresh, customer)])
    assert isinstance(outcomes[0], Written)
    assert outcomes[0].values == {"lifecyclestage": "marketingqualifiedlead"}
    assert isinstance(outcomes[1], Rejected)
    assert outcomes[1].code == "LIFECYCLE_BACKWARD"


def test_an_owner_who_left_and_a_user_id_are_refused_with_their_property(
    sandbox: Sandbox, connector: HubSpotConnector
) -> None:
    gone = sandbox.hubspot.add_owner("old@acme.com", active=False)
    refs = [contact(sandbox), contact(sandbox)]
    outcomes = connector.apply([patch(refs[0], hubspot_owner_id=gone), patch(refs[1], hubspot_owner_id="999")])
    assert [(type(o), o.field) for o in outcomes] == [(Rejected, "hubspot_owner_id")] * 2  # type: ignore[union-attr]


def test_counters_come_with_the_contact(sandbox: Sandbox, connector: HubSpotConnector) -> None:
    contact(sandbox, hs_analytics_num_page_views="12", hs_analytics_last_timestamp="2026-11-20T10:00:00.000Z")
    contact(sandbox)
    sandbox.clock.move(timedelta(seconds=5))
    connector.check()
    pages = connector.people(PEOPLE, Window(lo=None, hi=connector.now()), None)
    busy, idle = (row.counters[0] for page in pages for row in page.rows)
    assert (busy.kind, busy.total, busy.count_first) == ("page_view", 12, False)
    assert busy.attributes == idle.attributes == {"path": "anywhere"}
    assert busy.last_at is not None
    assert busy.last_at.isoformat() == "2026-11-20T10:00:00+00:00"
    assert (idle.total, idle.last_at) == (0, None)


def test_ten_thousand_contacts_with_one_stamp_are_all_read(sandbox: Sandbox, connector: HubSpotConnector) -> None:
    """Past the cap of a search, where an offset ends."""
    sandbox.clock.freeze()
    expected = {contact(sandbox).id for _ in range(10_400)}
    sandbox.clock.move(timedelta(seconds=5))
    connector.check()
    hi = connector.now()
    seen = [
        row.ref.id
        for page in connector.people(PEOPLE, Window(lo=hi - timedelta(hours=1), hi=hi), None)
        for row in page.rows
    ]
    assert set(seen) == expected
    assert len(seen) == len(expected)
    assert connector.calls["search"] == 53


@pytest.mark.parametrize("version", ["v3", "2026-03"])
def test_an_oauth_app_signs_in_and_renews_its_token(sandbox: Sandbox, waited: list[float], version: str) -> None:
    client_id, secret, refresh = sandbox.hubspot.oauth
    oauth = OAuth(client_id=client_id, client_secret=secret, refresh_token=refresh)
    connector = connect(sandbox, waited, token=oauth, api_version=version)
    assert connector.check().id == str(sandbox.hubspot.portal_id)
    sandbox.clock.move(timedelta(hours=1))  # the token is over, and our own clock has not noticed
    assert connector.check().id == str(sandbox.hubspot.portal_id)
    assert connector.calls["token"] == 2
    connector.close()


@pytest.mark.parametrize("version", ["v3", "2026-03"])
def test_wrong_credentials_are_told_as_such(sandbox: Sandbox, waited: list[float], version: str) -> None:
    client_id, _, refresh = sandbox.hubspot.oauth
    for token in ("wrong", OAuth(client_id=client_id, client_secret="wrong", refresh_token=refresh)):
        connector = connect(sandbox, waited, token=token, api_version=version)
        with pytest.raises(RunCannotContinue) as raised:
            connector.check()
        assert raised.value.credentials
        connector.close()


def test_a_scope_that_is_missing_is_named(sandbox: Sandbox, connector: HubSpotConnector) -> None:
    sandbox.hubspot.scopes.discard("crm.objects.contacts.read")
    with pytest.raises(RunCannotContinue, match=r"crm\.objects\.contacts\.read") as raised:
        list(connector.people(PEOPLE, Window(lo=None, hi=connector.now()), None))
    assert raised.value.credentials


def test_the_portals_own_limits_are_kept(sandbox: Sandbox, waited: list[float]) -> None:
    """With budgets as the portal's limits no call is ever refused."""
    sandbox.hubspot.limits.search_per_second = 5
    sandbox.hubspot.limits.per_10_seconds = 20

    now = [0.0]

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        now[0] += seconds
        sandbox.clock.move(timedelta(seconds=seconds))

    sandbox.clock.freeze()
    connector = HubSpotConnector(
        HubSpotSettings(base_url=sandbox.url, token=sandbox.hubspot.token, per_10_seconds=20, search_per_second=5),
        FIELDS,
        patience=Patience(attempts=1),
        sleep=sleep,
        monotonic=lambda: now[0],
    )
    connector.check()
    hi = connector.now()
    for _ in range(50):
        list(connector.people(PEOPLE, Window(lo=hi - timedelta(hours=1), hi=hi), None))
    assert connector.calls["search"] == 50
    assert sum(waited) > 20.0
    connector.close()


def test_a_portal_busy_for_others_is_asked_again_later(sandbox: Sandbox, waited: list[float]) -> None:
    """Search is shared with every other app: 429 can come whatever we do."""
    connector = connect(sandbox, waited)
    connector.check()
    sandbox.faults.add(Fault(kind=FaultKind.RATE_LIMITED, match="POST */search", policy="SECONDLY", times=2))
    span = Window(lo=connector.now() - timedelta(hours=1), hi=connector.now())
    assert len(list(connector.people(PEOPLE, span, None))) == 1
    assert [wait for wait in waited if wait >= 1.0]
    sandbox.faults.add(Fault(kind=FaultKind.RATE_LIMITED, match="POST */search", policy="SECONDLY", times=None))
    with pytest.raises(RetryLater):
        list(connector.people(PEOPLE, span, None))
    connector.close()


def test_setup_survives_a_race_and_lost_answers(sandbox: Sandbox, waited: list[float]) -> None:
    connector = connect(sandbox, waited)
    for match in ("POST */properties/contacts/groups", "POST */properties/contacts/batch/create"):
        sandbox.faults.add(Fault(kind=FaultKind.CUT_AFTER, match=match))
    grade = WantedField(object="contact", name="mql_grade", label="Grade", kind=FieldKind.TEXT, length=2)
    changes = connector.ensure_schema([SCORE, grade])
    assert {c.what for c in changes} == {"created"}
    assert {"mql_score", "mql_grade"} <= set(connector.describe("contact"))
    connector.close()


def test_describe_tells_what_cannot_be_written(connector: HubSpotConnector) -> None:
    described = connector.describe("contact")
    assert not described["hs_analytics_num_page_views"].writable
    assert described["hubspot_owner_id"].kind is FieldKind.OWNER
    stages = described["lifecyclestage"].options or ()
    assert stages.index("lead") < stages.index("marketingqualifiedlead") < stages.index("customer")
    assert described["mql_score"].custom
    assert not described["email"].custom
    assert connector.describe("task")["mqlsync_task_key"].unique
