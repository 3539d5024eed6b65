"""Which properties set-up makes for people to answer in, and for what policy.yaml writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
import responses

from connectors.port import Connector
from connectors.records import Crm, FieldKind, FieldSchema, WantedField
from scoring.document import PolicyInvalid
from scoring.policy import Nurture, Policy, Reason, Recycle, Result, WritePlan
from sync.mapping import Mapping as Fields
from sync.mapping import ReviewAnswer, SalesState
from sync.setup import heard_fields, wanted_fields
from tests.support.policy_text import but
from tests.support.policy_text import load as load_policy
from tests.unit.test_salesforce_schema import KEY, describes, maker

REASONS = ("not_ready", "too_small")
RECYCLE = Recycle(reasons=tuple(Reason(name=name, never=True) for name in REASONS))
POLICY = replace(load_policy()[0], recycle=RECYCLE)
STATE = SalesState(property="Status", values={"Working": "working"}, reason="Why__c")
REVIEW = ReviewAnswer(property="Review__c", approve=("yes",), reject=("no_way",))


@dataclass
class Org:
    """A Salesforce of which only its descriptions are asked."""

    objects: Mapping[str, Mapping[str, FieldKind]] = field(default_factory=dict)
    crm: Crm = Crm.SALESFORCE

    def describe(self, object: str) -> dict[str, FieldSchema]:
        there = self.objects.get(object, {})
        return {name: FieldSchema(name=name, kind=kind, writable=True) for name, kind in there.items()}


def heard(
    objects: Mapping[str, Mapping[str, FieldKind]], *, policy: Policy = POLICY, review: bool = True, state: bool = True
) -> dict[tuple[str, str], WantedField]:
    fields = Fields(
        map=cast("Any", None),
        sales_states={Crm.SALESFORCE: STATE} if state else {},
        reviews={Crm.SALESFORCE: REVIEW} if review else {},
    )
    found = heard_fields(policy, fields, cast("Connector", Org(objects)))
    return {(one.object, one.name): one for one in found}


STATUS = {"Status": FieldKind.PICKLIST}


def test_the_reason_goes_where_the_state_is_and_the_review_to_all_people() -> None:
    found = heard({"lead": STATUS, "contact": {}})
    assert set(found) == {("lead", "Why__c"), ("lead", "Review__c"), ("contact", "Review__c")}
    reason, review = found["lead", "Why__c"], found["lead", "Review__c"]
    assert (reason.options, reason.labels) == (REASONS, {"not_ready": "Not ready", "too_small": "Too small"})
    assert (review.options, review.labels) == (("yes", "no_way"), {"yes": "Yes", "no_way": "No way"})
    assert all(one.offered and one.kind is FieldKind.PICKLIST for one in found.values())


def test_nothing_is_made_that_nothing_uses() -> None:
    objects = {"lead": STATUS}
    assert heard(objects, review=False, state=False) == {}
    assert heard(objects, review=False, policy=replace(POLICY, recycle=None)) == {}


def test_an_orgs_own_text_is_as_good_as_a_picklist() -> None:
    own = {**STATUS, "Why__c": FieldKind.TEXT, "Review__c": FieldKind.TEXT}
    assert heard({"lead": own, "contact": own}) == {}


def test_a_track_is_chosen_from_the_tracks_a_pause_is_yes_or_no_and_what_is_missing_is_text() -> None:
    results = {Result.NURTURE: "track", Result.PAUSED: "paused", Result.MISSING: "missing"}
    policy = replace(
        POLICY,
        nurture=Nurture(tracks=("calls", "webinars")),
        write=WritePlan(properties={("hubspot", "contact"): results}),
    )
    made = {one.name: one for one in wanted_fields(policy, Crm.HUBSPOT) if one.object == "contact"}
    assert {name: (one.kind, one.options) for name, one in made.items()} == {
        "track": (FieldKind.PICKLIST, ("calls", "webinars")),
        "paused": (FieldKind.BOOLEAN, ()),
        "missing": (FieldKind.TEXT, ()),
    }


def test_a_policy_cannot_write_the_answer_to_a_review() -> None:
    with pytest.raises(PolicyInvalid, match="review: unknown result"):
        load_policy(but("owner: hubspot_owner_id", "review: mql_review"))


@pytest.mark.parametrize(("offered", "what"), [(True, "options added"), (False, "present")])
def test_only_what_people_choose_from_is_added_to_a_picklist_that_takes_any_value(offered: bool, what: str) -> None:
    values = [{"value": "a", "active": True}]
    shown = {"name": "Why__c", "type": "picklist", "updateable": True, "picklistValues": values}
    want = WantedField(
        object="lead", name="Why__c", label="Why", kind=FieldKind.PICKLIST, options=("a", "b"), offered=offered
    )
    with responses.RequestsMock() as wire:
        describes(wire, "Lead", {**shown, "restrictedPicklist": False})
        describes(wire, "Task", KEY)
        made, _ = maker()
        assert made.ensure([want], user_id=None, dry_run=True)[0].what == what
