"""Filling both CRMs of a sandbox with people who have histories.

`connectors.sandbox.population` says who they are; here they become records, on the calendar of the sandbox's clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import Any

from connectors.sandbox.box import Sandbox
from connectors.sandbox.population import (
    CONFERENCE_AGES,
    MAILING_AGES,
    WEBINAR_AGES,
    Company,
    CompanyRole,
    Kind,
    OwnerCase,
    Person,
    Touch,
    TouchKind,
    draw,
)

__all__ = ["REPS", "Census", "Kind", "populate"]

REPS = (
    ("ines.duarte@yourcompany.example", "Ines", "Duarte"),
    ("tomasz.wrona@yourcompany.example", "Tomasz", "Wrona"),
    ("aiko.hayashi@yourcompany.example", "Aiko", "Hayashi"),
    ("femi.adeyemi@yourcompany.example", "Femi", "Adeyemi"),
    ("lena.brandt@yourcompany.example", "Lena", "Brandt"),
)
"""The reps of the shipped team.yaml: e-mail, first and last name."""

_LEFT = ("marek.sobol@yourcompany.example", "Marek", "Sobol")
_OUTSIDE = ("nora.lindqvist@yourcompany.example", "Nora", "Lindqvist")
_HUBSPOT_ONLY = ("grace.ochieng@yourcompany.example", "Grace", "Ochieng")
_ADMIN = ("crm.admin@yourcompany.example", "CRM", "Admin")

_FORMS: Mapping[TouchKind, str] = {
    TouchKind.DEMO: "Request a demo",
    TouchKind.CONTACT_SALES: "Contact sales",
    TouchKind.GUIDE: "Download the guide",
    TouchKind.NEWSLETTER: "Newsletter",
}
_CAMPAIGN_SORTS = (("Webinar", WEBINAR_AGES), ("Conference", CONFERENCE_AGES), ("Email", MAILING_AGES))
_MEMBERSHIPS: Mapping[TouchKind, tuple[str, str]] = {
    TouchKind.WEBINAR_ATTENDED: ("Webinar", "Attended"),
    TouchKind.WEBINAR_REGISTERED: ("Webinar", "Registered"),
    TouchKind.CONFERENCE: ("Conference", "Visited Booth"),
    TouchKind.MAILING_SENT: ("Email", "Sent"),
    TouchKind.MAILING_ANSWERED: ("Email", "Responded"),
}
_STATUSES: Mapping[str, Mapping[str, bool]] = {
    "Webinar": {"Registered": True, "Attended": True},
    "Conference": {"Visited Booth": True},
    "Email": {},
}
"""What a member can be besides Sent and Responded, which every campaign has; and whether it counts as a response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """What `populate` made.

    people  how many people
    kinds   kind -> people
    records CRM and object (``hubspot contact``) -> records, archived, deleted and converted ones included
    owners  owner case -> people
    named   for tests, a name -> an e-mail address: an ordinary person of each kind under the kind's name, and from
            100 people on the cast (``hot prospect``, ``owned prospect``, ``cold prospect`` and others of `population`)
    """

    people: int
    kinds: Mapping[str, int]
    records: Mapping[str, int]
    owners: Mapping[str, int]
    named: Mapping[str, str]


def populate(box: Sandbox, *, people: int, seed: int, now: datetime | None = None) -> Census:
    """Fills both CRMs with so many people; the same seed, clock and number give the same records.

    The clock is stopped meanwhile: nothing has happened later than it showed at the beginning.

    ``now`` (aware; default the sandbox's clock) is the day ages count back from. Meant for an empty sandbox whose
    owners, forms and campaigns nobody has made yet. ValueError for a negative number.
    """
    if people < 0:
        raise ValueError(f"people must be 0 or more, got {people}")
    rng = Random(seed)  # noqa: S311 - a repeatable drawing, not a secret
    drawn = draw(people, rng, len(REPS))
    with box.clock.stopped():
        filling = _Filling(box, (now or box.clock.now()).astimezone(UTC).replace(microsecond=0), rng)
        for person in drawn:
            filling.place(person)
        filling.dismiss()
    addressed = [person for person in reversed(drawn) if person.email]
    named = {person.cast: person.email for person in addressed if person.cast}
    named |= {str(person.kind): person.email for person in addressed if not person.cast}
    return Census(
        people=len(drawn),
        kinds=dict(Counter(str(person.kind) for person in drawn)),
        records=dict(filling.records),
        owners=dict(Counter(str(person.owner) for person in drawn)),
        named=named,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Staff:
    """Owner ids in one CRM."""

    reps: tuple[str, ...]
    left: str
    outside: str


class _Filling:
    """The two CRMs while they are being filled, and what has been made in them so far."""

    def __init__(self, box: Sandbox, now: datetime, rng: Random) -> None:
        self._portal = box.hubspot
        self._org = box.salesforce
        self._now = now
        self._rng = rng
        self.records: Counter[str] = Counter()
        self._companies: dict[int, str] = {}
        self._accounts: dict[int, str] = {}
        self._hire()
        self._forms = {kind: self._portal.add_form(name) for kind, name in _FORMS.items()}
        self._campaigns = {
            (sort, index): self._campaign(sort, index, age)
            for sort, ages in _CAMPAIGN_SORTS
            for index, age in enumerate(ages)
        }

    # -- people of the house, forms, campaigns

    def _hire(self) -> None:
        portal, org = self._portal, self._org
        self._hubspot_staff = _Staff(
            reps=tuple(portal.add_owner(*rep) for rep in REPS),
            left=portal.add_owner(*_LEFT, active=False),
            outside=portal.add_owner(*_OUTSIDE),
        )
        self._only_hubspot = portal.add_owner(*_HUBSPOT_ONLY)

        def user(email: str, first: str, last: str, *, active: bool = True) -> str:
            return org.add_user(email, f"{first} {last}", active=active)

        # the two CRMs spell the first rep's address differently
        spelled = [(email.title() if i == 0 else email, first, last) for i, (email, first, last) in enumerate(REPS)]
        self._salesforce_staff = _Staff(
            reps=tuple(user(*rep) for rep in spelled), left=user(*_LEFT), outside=user(*_OUTSIDE)
        )
        self._admin = user(*_ADMIN)
        self._queues = (
            org.add_queue("Inbound Leads", "Inbound_Leads", members=self._salesforce_staff.reps),
            org.add_queue("Web Leads", "Web_Leads", members=[self._admin]),
        )

    def dismiss(self) -> None:
        """Takes the user who left out of Salesforce, which gives no record to a user who is inactive already."""
        self._org.edit("User", self._salesforce_staff.left, {"IsActive": False}, by="seed")

    def _campaign(self, sort: str, index: int, age: int) -> str:
        day = self._day(age)
        campaign = self._org.add(
            "Campaign",
            {
                "Name": f"{sort} {index + 1}",
                "Type": sort,
                "Status": "Completed",
                "StartDate": day,
                "EndDate": day,
                "OwnerId": self._admin,
            },
            at=self._instant(age + 30),
        )
        for order, (label, responded) in enumerate(_STATUSES[sort].items(), start=3):
            self._org.add(
                "CampaignMemberStatus",
                {"CampaignId": campaign, "Label": label, "HasResponded": responded, "SortOrder": order},
                at=self._instant(age + 30),
            )
        return campaign

    # -- one person

    def place(self, person: Person) -> None:
        """All records of one person, and what the person did, in both CRMs."""
        when = {touch: self._instant(touch.age) for touch in person.touches}
        if person.hubspot:
            self._in_hubspot(person, when)
        leads = [self._lead(person) for _ in range(person.leads)]
        contacts = [self._contact(person) for _ in range(person.contacts)]
        if contacts or leads:
            who = (contacts or leads)[0]
            for touch, at in when.items():
                self._in_salesforce(person, touch, at, who, "ContactId" if contacts else "LeadId")
        if person.kind is Kind.CONVERTED_LEAD:
            self._org.convert(leads[0], by="seed")
            self.records.update(("salesforce contact", "salesforce account"))
        if person.kind is Kind.DELETED_LEAD:
            self._org.delete("Lead", leads[0], by="seed")

    def _in_hubspot(self, person: Person, when: Mapping[Touch, datetime]) -> None:
        forms = {touch: at for touch, at in when.items() if touch.kind in _FORMS} if person.email else {}
        traffic = person.traffic
        properties = {
            "email": person.email,
            "firstname": person.first,
            "lastname": person.last,
            "jobtitle": person.title,
            "phone": person.phone,
            "country": person.country,
            "city": person.city,
            "lifecyclestage": self._stage(person),
            "hs_email_optout": "true" if person.kind is Kind.UNSUBSCRIBED else None,
            "hs_email_hard_bounce_reason_enum": "UNKNOWN_USER" if person.kind is Kind.HARD_BOUNCED else None,
            "hs_analytics_source": self._rng.choice(("ORGANIC_SEARCH", "PAID_SEARCH", "DIRECT_TRAFFIC", "REFERRALS")),
            "hs_analytics_num_page_views": str(traffic.pages),
            "hs_analytics_num_visits": str(traffic.visits),
            "hs_analytics_last_visit_timestamp": self._stamp(traffic.visit_age),
            "hs_analytics_last_timestamp": self._stamp(traffic.visit_age),
            "hs_email_click": str(traffic.clicks) if traffic.clicks else None,
            "hs_email_last_click_date": self._stamp(traffic.click_age),
            "hs_social_linkedin_clicks": str(traffic.social) if traffic.social else None,
            "hs_social_last_engagement": self._stamp(traffic.social_age),
            "hubspot_owner_id": self._hubspot_owner(person),
            **_conversions(forms),
        }
        contact = self._add_to_hubspot(
            "contact", properties, self._instant(person.age), archived=person.kind is Kind.ARCHIVED_IN_HUBSPOT
        )
        if person.company and person.kind is not Kind.ARCHIVED_IN_HUBSPOT:
            self._portal.associate("contact", contact, "company", self._company(person.company))
        for touch, at in forms.items():
            values = {"email": person.email, "firstname": person.first, "lastname": person.last}
            self._portal.add_submission(self._forms[touch.kind], at, values)

    def _in_salesforce(self, person: Person, touch: Touch, at: datetime, who: str, link: str) -> None:
        """One activity or campaign membership, where the touch is one that Salesforce sees."""
        owner = self._salesforce_staff.reps[person.rep]
        call = {"WhoId": who, "OwnerId": owner, "Subject": "Call", "Type": "Call", "TaskSubtype": "Call"}
        match touch.kind:
            case kind if kind in _MEMBERSHIPS:
                sort, status = _MEMBERSHIPS[kind]
                campaign = self._campaigns[sort, touch.campaign or 0]
                self._add_to_salesforce("CampaignMember", {"CampaignId": campaign, link: who, "Status": status}, at)
            case TouchKind.CALL_INBOUND | TouchKind.CALL_CONNECTED | TouchKind.CALL_MISSED:
                inbound = touch.kind is TouchKind.CALL_INBOUND
                missed = touch.kind is TouchKind.CALL_MISSED
                done = {
                    "Status": "Completed",
                    "ActivityDate": at.date().isoformat(),
                    "CallType": "Inbound" if inbound else "Outbound",
                    "CallDisposition": "No answer" if missed else "Connected",
                    "CallDurationInSeconds": 0 if missed else self._rng.randrange(60, 1800),
                }
                self._add_to_salesforce("Task", call | done, at)
            case TouchKind.TASK_OPEN:
                due = (self._now.date() + timedelta(days=3)).isoformat()
                self._add_to_salesforce("Task", call | {"Status": "Not Started", "ActivityDate": due}, at)
            case TouchKind.MEETING:
                start = datetime.combine(at.date(), time(hour=at.hour), UTC)
                meeting = {
                    "WhoId": who,
                    "OwnerId": owner,
                    "Subject": "Meeting",
                    "Type": "Meeting",
                    "StartDateTime": start.isoformat(),
                    "EndDateTime": (start + timedelta(minutes=30)).isoformat(),
                    "DurationInMinutes": 30,
                    "ActivityDate": start.date().isoformat(),
                    "ActivityDateTime": start.isoformat(),
                }
                self._add_to_salesforce("Event", meeting, at)
            case _:  # the other touches are HubSpot's
                return

    # -- records

    def _lead(self, person: Person) -> str:
        company = person.company
        fields = self._salesforce_person(person) | {
            "Company": company.name if company else "[not provided]",
            "Industry": company.industry.salesforce if company and company.industry else None,
            "NumberOfEmployees": company.employees if company else None,
            "Country": person.country,
            "City": person.city,
            "Status": self._rng.choice(("Open - Not Contacted", "Open - Not Contacted", "Working - Contacted")),
            "OwnerId": self._salesforce_owner(person, (*self._queues, self._admin)),
        }
        return self._add_to_salesforce("Lead", fields, self._instant(person.age))

    def _contact(self, person: Person) -> str:
        fields = self._salesforce_person(person) | {
            "AccountId": self._account(person.company) if person.company else None,
            "MailingCountry": person.country,
            "MailingCity": person.city,
            "OwnerId": self._salesforce_owner(person, (self._admin,)),
        }
        return self._add_to_salesforce("Contact", fields, self._instant(person.age))

    def _salesforce_person(self, person: Person) -> dict[str, Any]:
        local, at, domain = person.email.partition("@")
        bounced = person.kind is Kind.HARD_BOUNCED and not person.hubspot
        return {
            "FirstName": person.first,
            "LastName": person.last,
            "Email": (local.title() if person.shouting else local) + at + domain if person.email else None,
            "Title": person.title,
            "Phone": person.phone,
            "LeadSource": self._rng.choice(("Web", "Event", "Partner Referral", "Other")),
            "HasOptedOutOfEmail": person.kind is Kind.UNSUBSCRIBED and not person.hubspot,
            "EmailBouncedDate": self._instant(person.age // 2).isoformat() if bounced else None,
            "EmailBouncedReason": "550 no such user" if bounced else None,
        }

    def _company(self, company: Company) -> str:
        """The HubSpot company, made when the first of its people is."""
        if company.number not in self._companies:
            properties = {
                "name": company.name,
                "domain": company.domain,
                "industry": company.industry.hubspot if company.industry else None,
                "numberofemployees": str(company.employees) if company.employees else None,
                "country": company.place.spellings[0],
                "city": company.place.cities[0],
                "lifecyclestage": "customer" if company.role is CompanyRole.CUSTOMER else None,
                "hs_num_open_deals": "1" if company.role is CompanyRole.IN_TALKS else None,
                "hubspot_owner_id": None if company.owner is None else self._hubspot_staff.reps[company.owner],
            }
            self._companies[company.number] = self._add_to_hubspot("company", properties, self._instant(900))
        return self._companies[company.number]

    def _account(self, company: Company) -> str:
        """The Salesforce account, made when the first of its people is, with its open opportunity if there is one."""
        if company.number not in self._accounts:
            owner = self._admin if company.owner is None else self._salesforce_staff.reps[company.owner]
            fields = {
                "Name": company.name,
                "Website": f"https://www.{company.domain}",
                "Industry": company.industry.salesforce if company.industry else None,
                "NumberOfEmployees": company.employees,
                "BillingCountry": company.place.spellings[0],
                "Type": "Customer - Direct" if company.role is CompanyRole.CUSTOMER else "Prospect",
                "OwnerId": owner,
            }
            account = self._add_to_salesforce("Account", fields, self._instant(900))
            self._accounts[company.number] = account
            stage = {CompanyRole.IN_TALKS: "Needs Analysis", CompanyRole.CUSTOMER: "Closed Won"}.get(company.role)
            if stage:
                self._opportunity(company, account, owner, stage)
        return self._accounts[company.number]

    def _opportunity(self, company: Company, account: str, owner: str, stage: str) -> None:
        won = stage == "Closed Won"
        close = self._now.date() + timedelta(days=-300 if won else 45)
        fields = {
            "AccountId": account,
            "Name": f"{company.name}: first order",
            "StageName": stage,
            "CloseDate": close.isoformat(),
            "OwnerId": owner,
        }
        self._add_to_salesforce("Opportunity", fields, self._instant(400 if won else 20))

    # -- details

    def _stage(self, person: Person) -> str | None:
        """Customers and people with sales are known as such; of the others HubSpot often knows nothing."""
        match person.kind:
            case Kind.CUSTOMER:
                return "customer"
            case Kind.WITH_SALES:
                return "salesqualifiedlead"
            case _:
                return self._rng.choice((None, "subscriber", "lead", "lead"))

    def _hubspot_owner(self, person: Person) -> str | None:
        staff = self._hubspot_staff
        match person.owner:
            case OwnerCase.REP_IN_BOTH | OwnerCase.REP_IN_HUBSPOT | OwnerCase.REPS_DIFFER:
                return staff.reps[person.rep]
            case OwnerCase.INACTIVE:
                return staff.left
            case OwnerCase.NOT_IN_TEAM:
                return staff.outside
            case OwnerCase.HUBSPOT_ONLY:
                return self._only_hubspot
            case OwnerCase.NOBODY | OwnerCase.REP_IN_SALESFORCE | OwnerCase.INTEGRATION:
                return None

    def _salesforce_owner(self, person: Person, nobody: tuple[str, ...]) -> str:
        """Somebody always owns a Salesforce record: ``nobody`` are those whose records count as free."""
        staff = self._salesforce_staff
        match person.owner:
            case OwnerCase.REP_IN_BOTH | OwnerCase.REP_IN_SALESFORCE:
                return staff.reps[person.rep]
            case OwnerCase.REPS_DIFFER:
                return staff.reps[(person.rep + 1) % len(staff.reps)]
            case OwnerCase.INACTIVE:
                return staff.left
            case OwnerCase.NOT_IN_TEAM:
                return staff.outside
            case OwnerCase.INTEGRATION:
                return self._org.user_id
            case OwnerCase.NOBODY | OwnerCase.REP_IN_HUBSPOT | OwnerCase.HUBSPOT_ONLY:
                return self._rng.choice(nobody)

    def _add_to_hubspot(
        self, object: str, properties: Mapping[str, str | None], at: datetime, *, archived: bool = False
    ) -> str:
        known = {name: value for name, value in properties.items() if value}
        self.records[f"hubspot {object}"] += 1
        return self._portal.add(object, known, at=at, archived=archived)

    def _add_to_salesforce(self, object: str, fields: Mapping[str, Any], at: datetime) -> str:
        known = {name: value for name, value in fields.items() if value is not None}
        self.records[f"salesforce {object.lower()}"] += 1
        return self._org.add(object, known, at=at)

    def _instant(self, age: int) -> datetime:
        """A time of day so many days ago, never in the future."""
        return self._now - timedelta(days=age, minutes=self._rng.randrange(1, 300))

    def _stamp(self, age: int | None) -> str | None:
        return None if age is None else self._instant(age).isoformat().replace("+00:00", "Z")

    def _day(self, age: int) -> str:
        return (self._now.date() - timedelta(days=age)).isoformat()


def _conversions(forms: Mapping[Touch, datetime]) -> dict[str, str]:
    """HubSpot's own totals of a contact's form submissions."""
    if not forms:
        return {}
    in_order = sorted(forms.items(), key=lambda one: one[1])
    return {
        "num_conversion_events": str(len(in_order)),
        "num_unique_conversion_events": str(len({touch.kind for touch, _ in in_order})),
        "first_conversion_date": in_order[0][1].isoformat().replace("+00:00", "Z"),
        "recent_conversion_date": in_order[-1][1].isoformat().replace("+00:00", "Z"),
        "recent_conversion_event_name": _FORMS[in_order[-1][0].kind],
    }
