"""Whatever people, the network and crashes do to two CRMs in whatever order: in the end everything is as it should be.

Nothing is missed: the store has what a new store reads. Nothing is doubled: a task an episode, and a last run writes
nothing. What the CRMs show is what was decided.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from sqlalchemy import select

from connectors.records import Crm
from connectors.sandbox import Fault, FaultKind
from scoring.policy import Result
from sync.compose import Opened
from sync.run import RunReport
from sync.store import schema
from sync.store.db import Store
from tests.support.stores import quick_folder
from tests.support.world import AS_OF, World, world

ADDRESSES = ("ann@acme.example", "bob@acme.example", "cid@other.example")
TITLES = ("CEO", "VP Sales", "Assistant")
OURS = ("person.lifecycle_stage", "person.lead_status")
"""Facts that are read from properties we write too: what is stored of them depends on what was there before."""

FAULTS = st.one_of(
    st.builds(
        Fault,
        kind=st.sampled_from(
            [
                FaultKind.SERVER_ERROR,
                FaultKind.CUT_BEFORE,
                FaultKind.CUT_AFTER,
                FaultKind.RATE_LIMITED,
                FaultKind.TRUNCATED,
                FaultKind.HTML,
                FaultKind.EXPIRED_TOKEN,
            ]
        ),
        crm=st.sampled_from(["hubspot", "salesforce"]),
        nth=st.integers(1, 25),
        times=st.integers(1, 3),
        status=st.sampled_from([500, 502, 503]),
    ),
    st.builds(
        Fault,
        kind=st.sampled_from(
            [FaultKind.CUT_AFTER, FaultKind.PARTIAL_BATCH, FaultKind.COMMIT_LATE, FaultKind.TRUNCATED]
        ),
        match=st.sampled_from(["POST */batch/update", "PATCH */composite/sobjects"]),
        times=st.integers(1, 2),
        delay=st.just(30.0),
    ),
)
WHICH = st.integers(0, 9)


Known = tuple[dict[tuple[str, ...], Any], set[tuple[str, str]]]
"""People by record, and the engagement, of one store."""


class Crashed(BaseException):
    """The process ends here."""


class TwoCrms(RuleBasedStateMachine):
    """Two small CRMs, one installation."""

    def __init__(self) -> None:
        super().__init__()
        self.open_things = ExitStack()
        self.scene: World = self.open_things.enter_context(
            world(self.open_things.enter_context(quick_folder()), people=0)
        )
        self.scene.edit_settings(("guard:", "guard: off\n#guard:"), *((f"\n  {key}", f"\n#  {key}") for key in GUARD))
        portal, org = self.scene.box.hubspot, self.scene.box.salesforce
        self.firm = portal.add(
            "companies", {"name": "Acme", "domain": "acme.example", "numberofemployees": "500", "country": "Germany"}
        )
        self.account = org.add("Account", {"Name": "Acme", "NumberOfEmployees": 500, "Industry": "Technology"})
        self.form = next(iter(portal.forms))
        self.numbers = count()
        self.contacts: list[str] = []
        self.leads: list[str] = []
        self.sales_contacts: list[str] = []
        self.restored: set[str] = set()
        self.dying: Callable[[str], None] = lambda place: None
        self.opened: Opened = self._open()

    def _open(self) -> Opened:
        return self.open_things.enter_context(
            self.scene.opened(lambda place: self.dying(place), sleep=lambda seconds: None)
        )

    def teardown(self) -> None:
        try:
            self.converge()
        finally:
            self.open_things.close()

    # -- people at work

    @initialize()
    def somebody(self) -> None:
        self.add_contact(ADDRESSES[0], TITLES[0])
        self.add_lead(ADDRESSES[0], TITLES[0])

    @rule(address=st.sampled_from(ADDRESSES), title=st.sampled_from(TITLES))
    def add_contact(self, address: str, title: str) -> None:
        portal = self.scene.box.hubspot
        if address in self._addresses():
            address = f"also-{next(self.numbers)}.{address}"
        made = portal.add("contacts", {"email": address, "lastname": "Person", "jobtitle": title, "country": "Germany"})
        portal.associate("contacts", made, "companies", self.firm)
        self.contacts.append(made)

    def _addresses(self) -> set[str]:
        """Those the portal gives to no other contact: a merge leaves the loser's as a second one of the winner."""
        portal = self.scene.box.hubspot
        contacts = [portal.get("contacts", id) for id in portal.ids("contacts")]
        return {
            address
            for contact in contacts
            for address in (contact.get("email"), *(contact.get("hs_additional_emails") or "").split(";"))
            if address
        }

    @rule(address=st.sampled_from(ADDRESSES), title=st.sampled_from(TITLES))
    def add_lead(self, address: str, title: str) -> None:
        fields = {"Email": address, "LastName": "Person", "Company": "Acme", "Title": title, "Country": "Germany"}
        more = {"NumberOfEmployees": 500, "Industry": "Technology"}
        self.leads.append(self.scene.box.salesforce.add("Lead", fields | more))

    @precondition(lambda self: self.contacts)
    @rule(which=WHICH, title=st.sampled_from(TITLES))
    def edit_contact(self, which: int, title: str) -> None:
        self.scene.box.hubspot.edit("contacts", self.contacts[which % len(self.contacts)], {"jobtitle": title})

    @precondition(lambda self: self.leads)
    @rule(which=WHICH, title=st.sampled_from(TITLES), address=st.sampled_from(ADDRESSES))
    def edit_lead(self, which: int, title: str, address: str) -> None:
        self.scene.box.salesforce.edit("Lead", self.leads[which % len(self.leads)], {"Title": title, "Email": address})

    @precondition(lambda self: self.contacts)
    @rule(which=WHICH)
    def ask_for_a_demo(self, which: int) -> None:
        box = self.scene.box
        contact = box.hubspot.get("contacts", self.contacts[which % len(self.contacts)])
        box.hubspot.add_submission(self.form, box.clock.now(), {"email": contact["email"]})

    @precondition(lambda self: len(self.contacts) > 1)
    @rule(which=WHICH)
    def merge_contacts(self, which: int) -> None:
        loser = self.contacts.pop(which % len(self.contacts))
        winner = self.contacts.pop(which % len(self.contacts))
        self.contacts.append(self.scene.box.hubspot.merge("contacts", winner, loser))

    @precondition(lambda self: len(self.leads) > 1)
    @rule(which=WHICH)
    def merge_leads(self, which: int) -> None:
        loser = self.leads.pop(which % len(self.leads))
        self.scene.box.salesforce.merge("Lead", self.leads[which % len(self.leads)], loser)

    @precondition(lambda self: self.leads)
    @rule(which=WHICH)
    def convert(self, which: int) -> None:
        lead = self.leads.pop(which % len(self.leads))
        self.sales_contacts.append(self.scene.box.salesforce.convert(lead, self.account))

    @precondition(lambda self: self.contacts)
    @rule(which=WHICH, back=st.booleans())
    def archive_contact(self, which: int, back: bool) -> None:
        contact = self.contacts.pop(which % len(self.contacts))
        self.scene.box.hubspot.archive("contacts", contact)
        if back:
            self.run()
            self.scene.box.hubspot.restore("contacts", contact)
            self.restored.add(contact)
            self.contacts.append(contact)

    @precondition(lambda self: self.leads)
    @rule(which=WHICH)
    def delete_lead(self, which: int) -> None:
        self.scene.box.salesforce.delete("Lead", self.leads.pop(which % len(self.leads)))

    @rule(hours=st.sampled_from([0.1, 3, 30]))
    def time_passes(self, hours: float) -> None:
        self.scene.box.clock.move(timedelta(hours=hours))

    # -- mqlsync at work

    @rule()
    def run(self) -> None:
        self._run("sync")

    @rule(fault=FAULTS)
    def run_in_bad_weather(self, fault: Fault) -> None:
        self.scene.box.faults.add(fault)
        self._run("sync")

    @rule(boundary=st.integers(1, 40))
    def run_and_crash(self, boundary: int) -> None:
        left = boundary

        def dying(place: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Crashed

        self.dying = dying
        try:
            self._run("sync")
        except Crashed:
            pass
        finally:
            self.dying = lambda place: None

    def _run(self, job: str) -> RunReport:
        """Runs are minutes apart: whatever a CRM commits late is there before the next one begins."""
        try:
            return self.opened.run(job, as_of=AS_OF)
        finally:
            self.scene.box.clock.move(timedelta(minutes=1))
            self.scene.box.release_late()

    # -- and in the end

    def converge(self) -> None:
        box = self.scene.box
        box.faults.clear()
        box.clock.move(timedelta(hours=1))
        self._settle("sync", "sync")
        people, events = self._known(self.opened.parts.store)
        all_people, all_events = self._truth()
        # Who was deleted or restored without a word is for the sweep to find out; all else a pull must know.
        told = {ref: known for ref, known in all_people.items() if ref[-1] not in self.restored}
        assert {ref: people.get(ref) for ref in told} == told
        assert events >= all_events
        self._settle("sweep", "sync", "sync")
        before = box.digest()
        assert self._run("sync").writes == 0
        assert box.digest() == before
        self.nothing_is_missed()
        self.nothing_is_doubled()
        self.the_crms_show_what_was_decided()

    def _settle(self, *jobs: str) -> None:
        for job in jobs:
            report = self._run(job)
            assert report.exit_code in (0, 5), report.error

    def nothing_is_missed(self) -> None:
        assert self._known(self.opened.parts.store) == self._truth()

    def _truth(self) -> Known:
        """What an installation that begins today reads."""
        with quick_folder() as folder:
            shutil.copytree(self.scene.config, folder / "config")
            other = World(box=self.scene.box, config=folder / "config")
            with other.opened(sleep=lambda seconds: None) as begins:
                assert begins.run("sync", as_of=AS_OF, dry_run=True).exit_code == 0
                return self._known(begins.parts.store)

    @staticmethod
    def _known(store: Store) -> Known:
        """Live records with what is known of them, and the engagement that is no growth of a counter."""
        r, e = schema.record.c, schema.event.c
        with store.read() as tx:
            people = {
                (row.conn, row.object, row.id): (
                    row.emails,
                    {name: value for name, value in row.facts.items() if name not in OURS},
                    row.owner,
                    row.company_id,
                )
                for row in tx.execute(select(schema.record).where(r.gone.is_(False)))
            }
            events = tx.execute(select(e.conn, e.source_id).where(e.deleted.is_(False)))
            return people, {(conn, id) for conn, id in events if id.count(":") < 2}

    def nothing_is_doubled(self) -> None:
        box = self.scene.box
        keys = Counter(task["mqlsync_task_key"] for task in box.hubspot.tasks())
        keys += Counter(task["MQL_Task_Key__c"] for task in box.salesforce.tasks())
        assert [key for key, n in keys.items() if n > 1] == []

    def the_crms_show_what_was_decided(self) -> None:
        box, parts = self.scene.box, self.opened.parts
        link, person = schema.link.c, schema.person.c
        asked = (
            select(link.conn, link.object, link.id, person.status)
            .join(schema.person, person.person_id == link.person_id)
            .where(link.role == "target")
        )
        with parts.store.read() as tx:
            wanted = {(row.conn, row.object, row.id): row.status for row in tx.execute(asked)}
        shown: dict[tuple[str, str, str], str | None] = {}
        for conn, object, id in wanted:
            prop = parts.policy.write.properties[conn, object][Result.STATUS]
            there = box.hubspot.get("contacts", id) if conn == Crm.HUBSPOT else box.salesforce.get(object.title(), id)
            shown[conn, object, id] = there.get(prop)
        assert shown == wanted


GUARD = ("new_mqls_per_run", "owner_changes_per_run", "share_of_people_changed", "people_min_for_share")

QUICK = settings(
    max_examples=3,
    stateful_step_count=10,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_everything_is_as_it_should_be_in_the_end() -> None:
    run_state_machine_as_test(TwoCrms, settings=QUICK)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_everything_is_as_it_should_be_in_the_end_of_many_stories() -> None:
    run_state_machine_as_test(TwoCrms, settings=settings(QUICK, max_examples=40, stateful_step_count=20))
