"""Object types and properties of a HubSpot portal: the standard catalogue and what an admin adds to it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

STAGES = (
    ("subscriber", "Subscriber"),
    ("lead", "Lead"),
    ("marketingqualifiedlead", "Marketing Qualified Lead"),
    ("salesqualifiedlead", "Sales Qualified Lead"),
    ("opportunity", "Opportunity"),
    ("customer", "Customer"),
    ("evangelist", "Evangelist"),
    ("other", "Other"),
)
_LEAD_STATUS = "NEW OPEN IN_PROGRESS OPEN_DEAL UNQUALIFIED ATTEMPTED_TO_CONTACT CONNECTED BAD_TIMING"
_SOURCES = (
    "ORGANIC_SEARCH PAID_SEARCH EMAIL_MARKETING SOCIAL_MEDIA REFERRALS OTHER_CAMPAIGNS DIRECT_TRAFFIC OFFLINE "
    "PAID_SOCIAL AI_REFERRALS"
)
_BOUNCES = "OTHER UNKNOWN_USER SPAM POLICY CONTENT MAILBOX_FULL"
_INDUSTRIES = """
ACCOUNTING AIRLINES_AVIATION ALTERNATIVE_DISPUTE_RESOLUTION ALTERNATIVE_MEDICINE ANIMATION APPAREL_FASHION
ARCHITECTURE_PLANNING ARTS_AND_CRAFTS AUTOMOTIVE AVIATION_AEROSPACE BANKING BIOTECHNOLOGY BROADCAST_MEDIA
BUILDING_MATERIALS BUSINESS_SUPPLIES_AND_EQUIPMENT CAPITAL_MARKETS CHEMICALS CIVIC_SOCIAL_ORGANIZATION
CIVIL_ENGINEERING COMMERCIAL_REAL_ESTATE COMPUTER_NETWORK_SECURITY COMPUTER_GAMES COMPUTER_HARDWARE
COMPUTER_NETWORKING COMPUTER_SOFTWARE INTERNET CONSTRUCTION CONSUMER_ELECTRONICS CONSUMER_GOODS CONSUMER_SERVICES
COSMETICS DAIRY DEFENSE_SPACE DESIGN EDUCATION_MANAGEMENT E_LEARNING ELECTRICAL_ELECTRONIC_MANUFACTURING ENTERTAINMENT
ENVIRONMENTAL_SERVICES EVENTS_SERVICES EXECUTIVE_OFFICE FACILITIES_SERVICES FARMING FINANCIAL_SERVICES FINE_ART FISHERY
FOOD_BEVERAGES FOOD_PRODUCTION FUND_RAISING FURNITURE GAMBLING_CASINOS GLASS_CERAMICS_CONCRETE
GOVERNMENT_ADMINISTRATION GOVERNMENT_RELATIONS GRAPHIC_DESIGN HEALTH_WELLNESS_AND_FITNESS HIGHER_EDUCATION
HOSPITAL_HEALTH_CARE HOSPITALITY HUMAN_RESOURCES IMPORT_AND_EXPORT INDIVIDUAL_FAMILY_SERVICES INDUSTRIAL_AUTOMATION
INFORMATION_SERVICES INFORMATION_TECHNOLOGY_AND_SERVICES INSURANCE INTERNATIONAL_AFFAIRS
INTERNATIONAL_TRADE_AND_DEVELOPMENT INVESTMENT_BANKING INVESTMENT_MANAGEMENT JUDICIARY LAW_ENFORCEMENT LAW_PRACTICE
LEGAL_SERVICES LEGISLATIVE_OFFICE LEISURE_TRAVEL_TOURISM LIBRARIES LOGISTICS_AND_SUPPLY_CHAIN LUXURY_GOODS_JEWELRY
MACHINERY MANAGEMENT_CONSULTING MARITIME MARKET_RESEARCH MARKETING_AND_ADVERTISING MECHANICAL_OR_INDUSTRIAL_ENGINEERING
MEDIA_PRODUCTION MEDICAL_DEVICES MEDICAL_PRACTICE MENTAL_HEALTH_CARE MILITARY MINING_METALS MOTION_PICTURES_AND_FILM
MUSEUMS_AND_INSTITUTIONS MUSIC NANOTECHNOLOGY NEWSPAPERS NON_PROFIT_ORGANIZATION_MANAGEMENT OIL_ENERGY ONLINE_MEDIA
OUTSOURCING_OFFSHORING PACKAGE_FREIGHT_DELIVERY PACKAGING_AND_CONTAINERS PAPER_FOREST_PRODUCTS PERFORMING_ARTS
PHARMACEUTICALS PHILANTHROPY PHOTOGRAPHY PLASTICS POLITICAL_ORGANIZATION PRIMARY_SECONDARY_EDUCATION PRINTING
PROFESSIONAL_TRAINING_COACHING PROGRAM_DEVELOPMENT PUBLIC_POLICY PUBLIC_RELATIONS_AND_COMMUNICATIONS PUBLIC_SAFETY
PUBLISHING RAILROAD_MANUFACTURE RANCHING REAL_ESTATE RECREATIONAL_FACILITIES_AND_SERVICES RELIGIOUS_INSTITUTIONS
RENEWABLES_ENVIRONMENT RESEARCH RESTAURANTS RETAIL SECURITY_AND_INVESTIGATIONS SEMICONDUCTORS SHIPBUILDING
SPORTING_GOODS SPORTS STAFFING_AND_RECRUITING SUPERMARKETS TELECOMMUNICATIONS TEXTILES THINK_TANKS TOBACCO
TRANSLATION_AND_LOCALIZATION TRANSPORTATION_TRUCKING_RAILROAD UTILITIES VENTURE_CAPITAL_PRIVATE_EQUITY VETERINARY
WAREHOUSING WHOLESALE WINE_AND_SPIRITS WIRELESS WRITING_AND_EDITING MOBILE_GAMES
"""

FIELD_TYPES = {
    "number": {"number"},
    "string": {"text", "textarea", "html", "phonenumber", "file"},
    "enumeration": {"select", "radio", "checkbox", "booleancheckbox"},
    "datetime": {"date"},
    "date": {"date"},
    "bool": {"booleancheckbox"},
}
NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
UNIQUE_MAX = 10  # properties with unique values an object may have


@dataclass(slots=True)
class Property:
    """One property of one object type. `options` are HubSpot's own dicts (label, value, displayOrder, hidden)."""

    name: str
    label: str
    type: str
    field_type: str
    group: str
    description: str = ""
    options: list[dict[str, Any]] = field(default_factory=list)
    unique: bool = False
    standard: bool = True
    read_only: bool = False
    calculated: bool = False
    owner: bool = False
    form_field: bool = False
    hidden: bool = False
    display_order: int = -1
    created: str | None = None
    updated: str | None = None

    @property
    def values(self) -> list[str]:
        """The option values, in their display order."""
        return [option["value"] for option in sorted(self.options, key=lambda option: option.get("displayOrder", -1))]

    def as_json(self) -> dict[str, Any]:
        """As the properties API shows it."""
        shown: dict[str, Any] = {
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "fieldType": self.field_type,
            "description": self.description,
            "groupName": self.group,
            "options": self.options,
            "displayOrder": self.display_order,
            "calculated": self.calculated,
            "externalOptions": self.owner,
            "hasUniqueValue": self.unique,
            "hidden": self.hidden,
            "formField": self.form_field,
            "archived": False,
            "modificationMetadata": {
                "archivable": not self.standard,
                "readOnlyDefinition": self.standard,
                "readOnlyOptions": self.standard and self.name not in ("lifecyclestage", "hs_lead_status", "industry"),
                "readOnlyValue": self.read_only,
            },
        }
        if self.standard:
            shown["hubspotDefined"] = True
        if self.owner:
            shown["referencedObjectType"] = "OWNER"
        if self.created is not None:
            shown |= {"createdAt": self.created, "updatedAt": self.updated, "createdUserId": "1", "updatedUserId": "1"}
        return shown


@dataclass(slots=True)
class ObjectType:
    """One kind of record: its names, stamps, default answer and properties."""

    name: str
    singular: str
    type_id: str
    created: str
    modified: str
    shown: tuple[str, ...]
    first_id: int
    group: str
    properties: dict[str, Property] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)

    def uniques(self) -> list[str]:
        """Names of the properties whose values are unique."""
        return [p.name for p in self.properties.values() if p.unique]


def options(values: Iterable[str | tuple[str, str]]) -> list[dict[str, Any]]:
    """Options in the given order; a plain value is its own label."""
    pairs = [(value, _label(value)) if isinstance(value, str) else value for value in values]
    return [
        {"label": label, "value": value, "displayOrder": place, "hidden": False}
        for place, (value, label) in enumerate(pairs)
    ]


def _label(name: str) -> str:
    return name.removeprefix("hs_").replace("_", " ").strip().capitalize()


def stage_stamps(stage: str) -> list[Property]:
    """The read-only dates a portal keeps for one lifecycle stage."""
    names = [f"hs_v2_date_entered_{stage}", f"hs_v2_date_exited_{stage}"]
    if stage in dict(STAGES):
        names.append(f"hs_lifecyclestage_{stage}_date")
    stamps = [_property(name, "datetime", "date", "contact_lifecycle", read_only=True) for name in names]
    return [
        *stamps,
        _property(f"hs_v2_latest_time_in_{stage}", "number", "number", "contact_lifecycle", read_only=True),
    ]


def _property(
    name: str, type_: str, field_type: str, group: str, *, read_only: bool = False, choices: Iterable[Any] = ()
) -> Property:
    return Property(
        name=name,
        label=_label(name),
        type=type_,
        field_type=field_type,
        group=group,
        options=options(choices),
        read_only=read_only,
        owner=name == "hubspot_owner_id",
        calculated=read_only and name.startswith("hs_calculated"),
    )


def _many(names: str, type_: str, field_type: str, group: str, *, read_only: bool = False) -> list[Property]:
    return [_property(name, type_, field_type, group, read_only=read_only) for name in names.split()]


def _choice(name: str, values: Iterable[Any], group: str, *, read_only: bool = False) -> Property:
    return _property(name, "enumeration", "select", group, read_only=read_only, choices=values)


def _lifecycle(group: str) -> list[Property]:
    stamps = [stamp for stage, _ in STAGES for stamp in stage_stamps(stage)]
    return [_choice("lifecyclestage", STAGES, group), _choice("hs_lead_status", _LEAD_STATUS.split(), group), *stamps]


def _everywhere(group: str) -> list[Property]:
    """What each object type has."""
    key = _property("hs_unique_creation_key", "string", "text", group, read_only=True)
    key.unique = True
    return [
        key,
        _property("hs_object_id", "number", "number", group, read_only=True),
        _property("hs_lastmodifieddate", "datetime", "date", group, read_only=True),
        _property("hs_createdate", "datetime", "date", group, read_only=True),
        _property("hs_merged_object_ids", "enumeration", "checkbox", group, read_only=True),
        _property("hubspot_owner_id", "enumeration", "select", group),
        _property("hubspot_owner_assigneddate", "datetime", "date", group, read_only=True),
    ]


def _web(group: str) -> list[Property]:
    """Visits, page views and sources; HubSpot writes them."""
    return [
        *_many(
            "hs_analytics_num_page_views hs_analytics_num_visits hs_analytics_num_event_completions "
            "hs_analytics_average_page_views hs_analytics_revenue",
            "number",
            "number",
            group,
            read_only=True,
        ),
        *_many(
            "hs_analytics_first_timestamp hs_analytics_first_visit_timestamp hs_analytics_last_visit_timestamp "
            "hs_analytics_last_timestamp hs_latest_source_timestamp",
            "datetime",
            "date",
            group,
            read_only=True,
        ),
        *_many(
            "hs_analytics_last_url hs_analytics_first_url hs_analytics_first_referrer hs_analytics_last_referrer "
            "hs_analytics_source_data_1 hs_analytics_source_data_2 hs_latest_source_data_1 hs_latest_source_data_2",
            "string",
            "text",
            group,
            read_only=True,
        ),
        _choice("hs_analytics_source", _SOURCES.split(), group, read_only=True),
        _choice("hs_latest_source", _SOURCES.split(), group, read_only=True),
    ]


def _contacts() -> list[Property]:
    main = "contactinformation"
    email = _property("email", "string", "text", main)
    email.unique = True
    return [
        email,
        *_many(
            "firstname lastname jobtitle company city state country zip address website salutation message industry "
            "annualrevenue twitterhandle degree field_of_study school start_date work_email hs_timezone",
            "string",
            "text",
            main,
        ),
        *_many("phone mobilephone fax", "string", "phonenumber", main),
        *_many(
            "hs_additional_emails hs_email_domain hs_calculated_merged_vids", "string", "text", main, read_only=True
        ),
        _choice("numemployees", ["1-5", "5-25", "25-50", "50-100", "100-500", "500-1000", "1000+"], main),
        _choice("hs_language", ["en", "de", "fr", "es", "it", "nl", "pt-br", "ja"], main),
        _choice("hs_marketable_status", ("true", "false"), main, read_only=True),
        _property("createdate", "datetime", "date", main, read_only=True),
        _property("lastmodifieddate", "datetime", "date", main, read_only=True),
        _property("associatedcompanyid", "number", "number", main, read_only=True),
        *_many(
            "num_associated_deals hubspotscore hs_predictivecontactscore_v2 hs_calculated_form_submissions",
            "number",
            "number",
            main,
            read_only=True,
        ),
        *_lifecycle(main),
        *_web("analyticsinformation"),
        *_many(
            "num_conversion_events num_unique_conversion_events",
            "number",
            "number",
            "conversioninformation",
            read_only=True,
        ),
        *_many(
            "first_conversion_date recent_conversion_date", "datetime", "date", "conversioninformation", read_only=True
        ),
        *_many(
            "first_conversion_event_name recent_conversion_event_name",
            "string",
            "text",
            "conversioninformation",
            read_only=True,
        ),
        *_many(
            "hs_email_delivered hs_email_open hs_email_click hs_email_bounce hs_email_replied "
            "hs_email_sends_since_last_engagement",
            "number",
            "number",
            "emailinformation",
            read_only=True,
        ),
        *_many(
            "hs_email_first_send_date hs_email_first_open_date hs_email_first_click_date hs_email_last_send_date "
            "hs_email_last_open_date hs_email_last_click_date hs_email_last_reply_date",
            "datetime",
            "date",
            "emailinformation",
            read_only=True,
        ),
        *_many(
            "hs_email_optout hs_email_quarantined hs_email_bad_address",
            "bool",
            "booleancheckbox",
            "emailinformation",
            read_only=True,
        ),
        _property("hs_emailconfirmationstatus", "string", "text", "emailinformation", read_only=True),
        _choice("hs_email_hard_bounce_reason_enum", _BOUNCES.split(), "emailinformation", read_only=True),
        *_many(
            "hs_sales_email_last_opened hs_sales_email_last_clicked hs_sales_email_last_replied notes_last_contacted "
            "notes_last_updated hs_last_sales_activity_timestamp hs_latest_meeting_activity "
            "engagements_last_meeting_booked hs_social_last_engagement",
            "datetime",
            "date",
            "sales_properties",
            read_only=True,
        ),
        *_many(
            "num_notes num_contacted_notes hs_social_linkedin_clicks hs_social_twitter_clicks "
            "hs_social_facebook_clicks hs_social_num_broadcast_clicks",
            "number",
            "number",
            "sales_properties",
            read_only=True,
        ),
    ]


def _companies() -> list[Property]:
    main = "companyinformation"
    return [
        *_many(
            "name domain website country city state zip address phone description timezone founded_year",
            "string",
            "text",
            main,
        ),
        *_many("hs_country_code hs_additional_domains", "string", "text", main, read_only=True),
        *_many("numberofemployees annualrevenue", "number", "number", main),
        *_many(
            "hs_parent_company_id hs_num_open_deals hs_num_child_companies num_associated_contacts "
            "num_associated_deals",
            "number",
            "number",
            main,
            read_only=True,
        ),
        _choice("industry", _INDUSTRIES.split(), main),
        _choice("type", ["PROSPECT", "PARTNER", "RESELLER", "VENDOR", "OTHER"], main),
        _property("createdate", "datetime", "date", main, read_only=True),
        *_lifecycle(main),
        *_web("analyticsinformation"),
    ]


def _tasks() -> list[Property]:
    return [
        _property("hs_timestamp", "datetime", "date", "task"),
        _property("hs_task_subject", "string", "text", "task"),
        _property("hs_task_body", "string", "html", "task"),
        _choice("hs_task_status", ["NOT_STARTED", "IN_PROGRESS", "WAITING", "DEFERRED", "COMPLETED"], "task"),
        _choice("hs_task_priority", ["NONE", "LOW", "MEDIUM", "HIGH"], "task"),
        _choice("hs_task_type", ["TODO", "CALL", "EMAIL"], "task"),
        _property("hs_task_reminders", "string", "text", "task"),
        _property("hs_task_completion_date", "datetime", "date", "task", read_only=True),
    ]


def _activity(texts: str, numbers: str = "", dates: str = "") -> list[Property]:
    return [
        _property("hs_timestamp", "datetime", "date", "engagement"),
        *_many(texts, "string", "text", "engagement"),
        *_many(numbers, "number", "number", "engagement"),
        *_many(dates, "datetime", "date", "engagement"),
    ]


def _deals() -> list[Property]:
    return [
        *_many("dealname dealstage pipeline", "string", "text", "dealinformation"),
        _property("amount", "number", "number", "dealinformation"),
        _property("closedate", "datetime", "date", "dealinformation"),
        *_many("hs_is_closed hs_is_closed_won", "bool", "booleancheckbox", "dealinformation", read_only=True),
        _property("createdate", "datetime", "date", "dealinformation", read_only=True),
    ]


def _tickets() -> list[Property]:
    return [
        *_many("subject content hs_pipeline hs_pipeline_stage", "string", "text", "ticketinformation"),
        _property("createdate", "datetime", "date", "ticketinformation", read_only=True),
    ]


def catalogue() -> dict[str, ObjectType]:
    """The object types of a fresh portal, each with its own copy of the standard properties."""
    activity = ("hs_createdate", "hs_lastmodifieddate", "hs_object_id")
    people = ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname")
    firms = ("createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name")
    deals = ("amount", "closedate", "createdate", "dealname", "dealstage", "hs_lastmodifieddate", "hs_object_id")
    tickets = ("content", "createdate", "hs_lastmodifieddate", "hs_object_id", "subject")
    stamped = ("createdate", "hs_lastmodifieddate")
    logged = ("hs_createdate", "hs_lastmodifieddate")
    mails = _activity(
        "hs_email_direction hs_email_status hs_email_subject hs_email_text",
        "hs_email_open_count hs_email_click_count hs_email_reply_count",
    )
    calls = _activity(
        "hs_call_title hs_call_body hs_call_direction hs_call_disposition hs_call_status", "hs_call_duration"
    )
    meetings = _activity(
        "hs_meeting_title hs_meeting_outcome hs_activity_type", "", "hs_meeting_start_time hs_meeting_end_time"
    )
    rows: list[tuple[str, str, str, tuple[str, str], tuple[str, ...], list[Property]]] = [
        ("contacts", "contact", "0-1", ("createdate", "lastmodifieddate"), people, _contacts()),
        ("companies", "company", "0-2", stamped, firms, _companies()),
        ("tasks", "task", "0-27", logged, activity, _tasks()),
        ("deals", "deal", "0-3", stamped, deals, _deals()),
        ("tickets", "ticket", "0-5", stamped, tickets, _tickets()),
        ("emails", "email", "0-49", logged, activity, mails),
        ("calls", "call", "0-48", logged, activity, calls),
        ("meetings", "meeting", "0-47", logged, activity, meetings),
        ("notes", "note", "0-46", logged, activity, _activity("hs_note_body")),
        ("communications", "communication", "0-18", logged, activity, _activity("hs_communication_body")),
    ]
    types = {}
    for place, (name, singular, type_id, (created, modified), shown, properties) in enumerate(rows, start=1):
        group = properties[0].group
        kind = ObjectType(name, singular, type_id, created, modified, shown, place * 100_000_000_000 + 1, group)
        kind.properties = {p.name: p for p in [*_everywhere(group), *properties]}
        for place_of_group, group_name in enumerate(dict.fromkeys(p.group for p in kind.properties.values())):
            kind.groups[group_name] = group_json(group_name, _label(group_name), place_of_group)
        types[name] = kind
    return types


def group_json(name: str, label: str, order: int = -1) -> dict[str, Any]:
    """A property group as the API shows it."""
    return {"name": name, "label": label, "displayOrder": order, "archived": False}


# (from, to) -> association type ids, default first; a contact's first company is the primary one
ASSOCIATION_TYPES: dict[tuple[str, str], tuple[int, ...]] = {
    ("contacts", "companies"): (279, 1),
    ("companies", "contacts"): (280, 2),
    ("tasks", "contacts"): (204,),
    ("contacts", "tasks"): (203,),
    ("tasks", "companies"): (192,),
    ("companies", "tasks"): (191,),
    ("tasks", "deals"): (216,),
    ("deals", "tasks"): (215,),
    ("notes", "contacts"): (202,),
    ("contacts", "notes"): (201,),
    ("emails", "contacts"): (198,),
    ("contacts", "emails"): (197,),
    ("calls", "contacts"): (194,),
    ("contacts", "calls"): (193,),
    ("meetings", "contacts"): (200,),
    ("contacts", "meetings"): (199,),
    ("communications", "contacts"): (81,),
    ("contacts", "communications"): (82,),
    ("deals", "contacts"): (3,),
    ("contacts", "deals"): (4,),
    ("deals", "companies"): (341, 5),
    ("companies", "deals"): (342, 6),
    ("tickets", "contacts"): (16,),
    ("contacts", "tickets"): (15,),
}
PRIMARY = {1: "Primary", 2: "Primary", 5: "Primary", 6: "Primary"}
