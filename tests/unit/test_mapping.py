"""fields.yaml: what it becomes, what it may not say, and the mapping that needs no file."""

# ruff: noqa: E501  (messages are compared whole, a table line is one case)

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.fields import Convert, CountRule, EventRule, EventSource, FactField
from connectors.records import Crm
from scoring.document import PolicyInvalid, Source
from scoring.facts import FactType
from sync.mapping import Mapping, ReviewAnswer, SalesState, load_mapping, read_mapping

FIELDS = """\
version: 1
hubspot:
  contact:
    person.email: email
    person.country: {property: country, as: country}
    person.lifecycle_stage: {property: lifecyclestage, values: {marketingqualifiedlead: mql}}
    person.owner: {property: hubspot_owner_id, as: owner}
    person.custom.use_case: main_use_case
    person.custom.seats: {property: seats, type: number}
  company:
    company.is_customer: {property: lifecyclestage, true_when: [customer]}
  events:
    - {form: Demo, event: demo_request, set: {form: demo}}
    - {form: otherwise, event: form_submit}
    - {counter: hs_email_click, event: email_click, date: hs_last, first_read: ignore}
salesforce:
  account:
    company.open_opportunities: {count: Opportunity, where: {IsClosed: false}}
  events:
    - {campaign_type: Webinar, status: [Attended], event: webinar_attended, set: {name: campaign}}
prefer:
  default: salesforce unless blank
  person.title: newest
seniority:
  vp: VP or vice president
"""


def load(text: str) -> tuple[Mapping, list[str]]:
    mapping, warnings = load_mapping(Source("fields.yaml", text.encode()))
    return mapping, [str(p) for p in warnings]


def test_the_file_becomes_the_field_map() -> None:
    mapping, warnings = load(FIELDS)
    assert warnings == []
    contact = mapping.map.crms[Crm.HUBSPOT].objects["contact"]
    assert contact.facts[:3] == (
        FactField(fact="person.email", property="email"),
        FactField(fact="person.country", property="country", convert=Convert.COUNTRY),
        FactField(fact="person.lifecycle_stage", property="lifecyclestage", values={"marketingqualifiedlead": "mql"}),
    )
    assert contact.facts[-1] == FactField(fact="person.custom.seats", property="seats", type="number")
    assert mapping.map.crms[Crm.HUBSPOT].objects["company"].facts[0].true_when == ("customer",)
    assert mapping.map.crms[Crm.SALESFORCE].objects["account"].facts == (
        FactField(
            fact="company.open_opportunities",
            count=CountRule(object="Opportunity", where={"IsClosed": "false"}),
            type="number",
        ),
    )
    assert mapping.map.crms[Crm.HUBSPOT].events == (
        EventRule(source=EventSource.FORM, key="Demo", kind="demo_request", set={"form": "demo"}),
        EventRule(source=EventSource.FORM, key=None, kind="form_submit"),
        EventRule(
            source=EventSource.COUNTER, key="hs_email_click", kind="email_click", date="hs_last", count_first=False
        ),
    )
    assert mapping.map.crms[Crm.SALESFORCE].events[0].statuses == ("Attended",)
    assert {name: fact.type for name, fact in mapping.custom.items()} == {
        "person.custom.use_case": FactType.TEXT,
        "person.custom.seats": FactType.NUMBER,
    }
    assert mapping.prefer == {"default": "salesforce unless blank", "person.title": "newest"}
    assert mapping.seniority == (("vp", ("vp", "vice president")),)
    assert mapping.facts_by_property()["hubspot", "contact"]["lifecyclestage"] == "person.lifecycle_stage"


def test_without_a_file_the_template_is_used() -> None:
    built_in, warnings = load_mapping(None)
    template = Path(__file__).parents[2] / "config" / "fields.yaml"
    assert warnings == []
    assert built_in == load(template.read_text())[0]
    assert built_in.map.crms[Crm.SALESFORCE].objects["lead"].facts
    assert built_in.map.crms[Crm.HUBSPOT].events


def test_one_crm_alone_is_enough() -> None:
    mapping, _ = load("version: 1\nhubspot: {contact: {person.email: email}}\n")
    assert mapping.map.crms[Crm.SALESFORCE].objects["lead"].facts == ()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "version: 1\n",
            "version: 1\nhubspott: {}\n",
            "fields.yaml:2:1: hubspott: unknown key, did you mean 'hubspot'?",
        ),
        (
            "person.email:",
            "person.emial:",
            "fields.yaml:4:5: hubspot.contact.person.emial: unknown field 'person.emial', did you mean 'person.email'?",
        ),
        (
            "person.email: email",
            "person.seniority: jobtitle",
            "fields.yaml:4:5: hubspot.contact.person.seniority: 'person.seniority' is derived from other facts and cannot be mapped",
        ),
        (
            "person.email: email",
            "person.email: e-mail",
            "fields.yaml:4:19: hubspot.contact.person.email: 'e-mail' is not the name of a property",
        ),
        (
            "as: country",
            "as: countri",
            "fields.yaml:5:45: hubspot.contact.person.country.as: 'countri' is not one of country, language, domain, owner, is set, did you mean 'country'?",
        ),
        (
            "as: country",
            "as: domain",
            "fields.yaml:5:45: hubspot.contact.person.country: 'as: domain' does not make country",
        ),
        (
            "as: country",
            "as: country, type: text",
            "fields.yaml:5:60: hubspot.contact.person.country: 'type' is for custom facts: person.country is country",
        ),
        (
            "as: country",
            "as: country, values: {a: b}",
            "fields.yaml:5:62: hubspot.contact.person.country.values: either 'as' or 'values', not both",
        ),
        (
            "marketingqualifiedlead: mql",
            "marketingqualifiedlead: mqll",
            "fields.yaml:6:89: hubspot.contact.person.lifecycle_stage.values.marketingqualifiedlead: 'mqll' is not one of subscriber, lead, mql, sql, opportunity, customer, evangelist, other, did you mean 'mql'?",
        ),
        (
            "{property: hubspot_owner_id, as: owner}",
            "hubspot_owner_id",
            "fields.yaml:7:19: hubspot.contact.person.owner: an owner is read with {property: hubspot_owner_id, as: owner}",
        ),
        (
            "type: number",
            "type: numbr",
            "fields.yaml:9:50: hubspot.contact.person.custom.seats.type: unknown type 'numbr', did you mean 'number'?",
        ),
        (
            "company.is_customer:",
            "person.title:",
            "fields.yaml:11:5: hubspot.company.person.title: 'person.title' is no fact of a company",
        ),
        (
            "event: demo_request",
            "event: demo_requst",
            "fields.yaml:13:27: hubspot.events[0].event: unknown event 'demo_requst', did you mean 'demo_request'?",
        ),
        (
            "set: {form: demo}",
            "set: {path: demo}",
            "fields.yaml:13:47: hubspot.events[0].set: demo_request has no path; it has form, page",
        ),
        (
            "{form: Demo, event",
            "{forms: Demo, event",
            "fields.yaml:13:7: hubspot.events[0]: a line begins with one of form, email_event, counter, meeting, call, email_message, task_type, marketing_event, event_type, did you mean 'form'?",
        ),
        (
            "{form: Demo, event: demo_request, set: {form: demo}}",
            "{event_type: otherwise, event: page_view}",
            "fields.yaml:13:20: hubspot.events[0].event_type: 'otherwise': these are read type by type, so name the type",
        ),
        (
            "first_read: ignore",
            "first_read: count",
            "fields.yaml:15:80: hubspot.events[2].first_read: 'count' is not one of ignore",
        ),
        (
            "person.title: newest",
            "person.titel: newest",
            "fields.yaml:23:3: prefer: unknown field 'person.titel', did you mean 'person.title'?",
        ),
        (
            "person.title: newest",
            "person.title: newst",
            "fields.yaml:23:17: prefer.person.title: unknown rule 'newst', did you mean 'newest'?",
        ),
        ("  vp:", "  svp:", "fields.yaml:25:3: seniority.svp: unknown seniority, did you mean 'vp'?"),
    ],
)
def test_an_error_has_place_path_and_cure(old: str, new: str, problem: str) -> None:
    assert FIELDS.count(old) == 1
    with pytest.raises(PolicyInvalid) as invalid:
        load(FIELDS.replace(old, new))
    assert [str(p) for p in invalid.value.problems] == [problem]


WHOLE = FIELDS.replace(
    "salesforce:\n",
    """\
    - {email_event: REPLY, event: email_reply}
    - {meeting: COMPLETED, event: meeting_held}
    - {meeting: otherwise, event: meeting_booked}
  sales_state:
    property: hs_lead_status
    values: {IN_PROGRESS: working, UNQUALIFIED: rejected}
    sql_when: {lifecyclestage: [opportunity, customer]}
    reason: mql_rejection_reason
  review: {property: mql_review, approve: [yes, Approved], reject: [no]}
salesforce:
""",
)


def test_what_sales_and_marketing_answer_becomes_types() -> None:
    mapping, problems = read_mapping(Source("fields.yaml", WHOLE.encode()))
    assert problems == []
    assert mapping.sales_states == {
        Crm.HUBSPOT: SalesState(
            property="hs_lead_status",
            values={"IN_PROGRESS": "working", "UNQUALIFIED": "rejected"},
            sql_when={"lifecyclestage": ("opportunity", "customer")},
            reason="mql_rejection_reason",
        )
    }
    answer = ReviewAnswer(property="mql_review", approve=("yes", "Approved"), reject=("no",))
    assert mapping.reviews == {Crm.HUBSPOT: answer}
    assert mapping.map.crms[Crm.HUBSPOT].events[-3:] == (
        EventRule(source=EventSource.EMAIL, key="REPLY", kind="email_reply"),
        EventRule(source=EventSource.MEETING, key="COMPLETED", kind="meeting_held"),
        EventRule(source=EventSource.MEETING, key=None, kind="meeting_booked"),
    )
    assert mapping.hash != load(FIELDS)[0].hash


def test_what_is_heard_is_read_of_people_and_named_by_how_it_is_read() -> None:
    mapping, _ = read_mapping(Source("fields.yaml", WHOLE.encode()))
    hubspot = mapping.map.crms[Crm.HUBSPOT].objects
    heard = ("hs_lead_status", "lifecyclestage", "mql_rejection_reason", "mql_review")
    assert hubspot["contact"].heard == heard
    assert hubspot["company"].heard == ()
    assert set(heard) <= set(hubspot["contact"].properties())
    assert not {"mql_rejection_reason", "mql_review"} & set(hubspot["contact"].needed())
    assert mapping.answers() == {(Crm.HUBSPOT, "contact"): "mql_review"}
    other = WHOLE.replace("IN_PROGRESS: working", "IN_PROGRESS: accepted")
    moved, _ = read_mapping(Source("fields.yaml", other.encode()))
    assert moved.reading(Crm.HUBSPOT) != mapping.reading(Crm.HUBSPOT)
    assert moved.reading(Crm.SALESFORCE) == mapping.reading(Crm.SALESFORCE)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("IN_PROGRESS: working", "IN_PROGRESS: workin", "fields.yaml:21:27: hubspot.sales_state.values.IN_PROGRESS: unknown state 'workin', did you mean 'working'?"),
        ("    property: hs_lead_status\n", "", "fields.yaml:20:5: hubspot.sales_state.property: this key is missing"),
        ("reason: mql_rejection_reason", "reason: the reason", "fields.yaml:23:13: hubspot.sales_state.reason: 'the reason' is not the name of a property"),
        ("[opportunity, customer]", "[]", "fields.yaml:22:32: hubspot.sales_state.sql_when.lifecyclestage: an empty list never matches"),
        ("reject: [no]", "reject: [approved]", "fields.yaml:24:69: hubspot.review.reject[0]: 'approved' is already under 'approve'"),
        (", reject: [no]", "", "fields.yaml:24:11: hubspot.review.reject: this key is missing"),
        ("email_event: REPLY", "email_evnt: REPLY", "fields.yaml:16:7: hubspot.events[3]: a line begins with one of form, email_event, counter, meeting, call, email_message, task_type, marketing_event, event_type, did you mean 'email_event'?"),
    ],
)  # fmt: skip
def test_an_error_of_an_answer_has_place_path_and_cure(old: str, new: str, problem: str) -> None:
    assert WHOLE.count(old) == 1
    with pytest.raises(PolicyInvalid) as invalid:
        load_mapping(Source("fields.yaml", WHOLE.replace(old, new).encode()))
    assert [str(p) for p in invalid.value.problems] == [problem]


@pytest.mark.parametrize(
    ("hubspot", "salesforce", "told"),
    [
        (["{email_event: REPLY, event: email_reply}", "{email_message: incoming, event: email_reply}"], [], "'email_event: REPLY'"),
        (["{call: otherwise, event: call}", "{task_type: CALL, event: call}"], [], "'call: otherwise'"),
        (["{counter: hs_email_click, event: email_click}", "{email_event: CLICK, event: email_click}"], [], "'counter: hs_email_click'"),
        ([], ["{task_type: Email, event: email_reply}", "{email_message: incoming, event: email_reply}"], "'task_type: Email'"),
        (["{meeting: COMPLETED, event: meeting_held}"], ["{meeting: otherwise, event: meeting_held}"], "hubspot's 'meeting: COMPLETED'"),
        (["{call: otherwise, event: call}"], ["{task_type: Call, event: call}"], "hubspot's 'call: otherwise'"),
        (["{marketing_event: WEBINAR, event: webinar_attended}"], ["{campaign_type: Webinar, event: webinar_attended}"], "hubspot's 'marketing_event: WEBINAR'"),
        (["{meeting: COMPLETED, event: meeting_held}", "{meeting: SCHEDULED, event: meeting_booked}"], [], None),
        (["{form: Demo, event: demo_request}"], ["{campaign_type: Demo, event: demo_request}"], None),
        (["{email_event: CLICK, event: email_click}"], ["{email_message: incoming, event: email_reply}"], None),
    ],
)  # fmt: skip
def test_one_activity_seen_by_two_lines_is_warned_of(
    hubspot: list[str], salesforce: list[str], told: str | None
) -> None:
    text = "version: 1\n"
    for crm, lines in (("hubspot", hubspot), ("salesforce", salesforce)):
        text += f"{crm}:\n  contact: {{person.email: email}}\n"
        text += "".join(["  events:\n", *(f"    - {line}\n" for line in lines)]) if lines else ""
    _, warnings = load(text)
    assert ["is made of " + told in warning for warning in warnings] == [True] if told else warnings == []


def test_what_opportunities_mean_is_read_of_salesforce_alone() -> None:
    state = "  sales_state: {property: Status, values: {}, opportunity: {open: accepted, Closed Won: sql}}\n"
    salesforce = "version: 1\nsalesforce:\n  lead: {person.email: Email}\n" + state
    mapping, warnings = load(salesforce)
    assert warnings == []
    assert mapping.map.crms[Crm.SALESFORCE].deals
    assert not mapping.map.crms[Crm.HUBSPOT].deals
    assert mapping.sales_states[Crm.SALESFORCE].opportunity == {"open": "accepted", "Closed Won": "sql"}
    for text, told in (
        (salesforce.replace(": sql}", ": sqll}"), "unknown state 'sqll', did you mean 'sql'?"),
        (salesforce.replace("salesforce:", "hubspot:").replace("lead:", "contact:"), "Salesforce only"),
    ):
        with pytest.raises(PolicyInvalid) as invalid:
            load(text)
        assert told in str(invalid.value.problems[0])


def test_a_custom_fact_with_something_wrong_about_it_is_not_relied_on() -> None:
    broken = FIELDS.replace("type: number", "type: numbr")
    mapping, problems = read_mapping(Source("fields.yaml", broken.encode()))
    assert [p.path for p in problems] == ["hubspot.contact.person.custom.seats.type"]
    assert set(mapping.custom) == {"person.custom.use_case"}


def test_a_line_that_nothing_can_reach_is_told() -> None:
    text = FIELDS.replace("    - {form: otherwise,", "    - {form: otherwise, event: form_submit}\n    - {form: Late,")
    assert load(text)[1] == [
        "fields.yaml:15:7: hubspot.events[2]: W01: this line can never be reached: 'otherwise' above it takes all of it"
    ]


def test_the_hash_is_of_the_meaning() -> None:
    same = load("# a comment\n" + FIELDS.replace("person.email: email", "person.email: 'email'"))[0].hash
    assert same == load(FIELDS)[0].hash
    assert load(FIELDS.replace("main_use_case", "other_use_case"))[0].hash != same
