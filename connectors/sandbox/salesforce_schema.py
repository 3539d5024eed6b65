"""The objects and fields of the sandbox org, and how ``describe`` shows them.

Standard fields are the subset a sales org of Enterprise edition has and this project could want; names, types and
lengths are Salesforce's. Custom fields come from Tooling API metadata (``custom_field``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["ACTIVITY", "Field", "ObjectType", "SchemaError", "custom_field", "describe_field", "standard_objects"]

ACTIVITY = "Activity"
_TEXTUAL = frozenset(
    {"string", "picklist", "multipicklist", "email", "phone", "textarea", "url", "combobox", "reference", "id"}
)
_SOAP = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "int": "xsd:int",
    "boolean": "xsd:boolean",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
}


class SchemaError(Exception):
    """Metadata of a new field that Salesforce would refuse."""

    def __init__(self, code: str, message: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields = fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field. ``length`` counts characters, ``precision`` all digits, ``scale`` those after the point.

    ``required`` must have a value on create; ``default`` is what a create without it gets. ``references`` names the
    objects an id may be of, ``relationship`` the name a SOQL path reaches them by.
    """

    name: str
    type: str
    label: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    nillable: bool = True
    createable: bool = True
    updateable: bool = True
    required: bool = False
    default: Any = None
    unique: bool = False
    case_sensitive: bool = False
    external_id: bool = False
    custom: bool = False
    calculated: bool = False
    picklist: tuple[str, ...] = ()
    restricted: bool = False
    references: tuple[str, ...] = ()
    relationship: str | None = None
    filterable: bool = True
    id_lookup: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def polymorphic(self) -> bool:
        return len(self.references) > 1

    @property
    def textual(self) -> bool:
        return self.type in _TEXTUAL


@dataclass(slots=True, kw_only=True)
class ObjectType:
    """One object; ``fields`` grows when a custom field is made."""

    name: str
    label: str
    plural: str
    prefix: str
    fields: dict[str, Field]
    createable: bool = True
    updateable: bool = True
    deletable: bool = True
    mergeable: bool = False
    setup: bool = False
    tooling: bool = False
    folded: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folded = {name.lower(): name for name in self.fields}

    def add(self, new: Field) -> None:
        self.fields[new.name] = new
        self.folded[new.name.lower()] = new.name

    def remove(self, name: str) -> None:
        del self.fields[name]
        del self.folded[name.lower()]

    def find(self, name: str) -> Field | None:
        """The field of this API name, in any case, as SOQL and JSON bodies accept it."""
        real = self.folded.get(name.lower())
        return self.fields[real] if real else None

    def by_relationship(self, name: str) -> Field | None:
        folded = name.lower()
        return next((f for f in self.fields.values() if f.relationship and f.relationship.lower() == folded), None)


# -- short forms for the tables below


def _label(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.removesuffix("Id") if name != "Id" else name)


def _text(name: str, length: int = 255, **more: Any) -> Field:
    return Field(name=name, type="string", label=_label(name), length=length, **more)


def _of(kind: str, name: str, length: int = 0, **more: Any) -> Field:
    return Field(name=name, type=kind, label=_label(name), length=length, **more)


def _pick(name: str, *values: str, **more: Any) -> Field:
    return Field(name=name, type="picklist", label=_label(name), length=255, picklist=values, **more)


def _flag(name: str, *, default: bool = False, **more: Any) -> Field:
    return Field(name=name, type="boolean", label=_label(name), nillable=False, default=default, **more)


def _ref(name: str, *to: str, relationship: str | None = None, **more: Any) -> Field:
    path = relationship or (name.removesuffix("Id") if name.endswith("Id") else None)
    return Field(name=name, type="reference", label=_label(name), length=18, references=to, relationship=path, **more)


def _fixed(one: Field) -> Field:
    return replace(one, createable=False, updateable=False)


_STAMPS = (
    _fixed(_of("datetime", "CreatedDate", nillable=False)),
    _fixed(_ref("CreatedById", "User", nillable=False)),
    _fixed(_of("datetime", "LastModifiedDate", nillable=False)),
    _fixed(_ref("LastModifiedById", "User", nillable=False)),
    _fixed(_of("datetime", "SystemModstamp", nillable=False)),
)
_INDUSTRIES = (
    "Agriculture", "Banking", "Biotechnology", "Communications", "Construction", "Consulting", "Education",
    "Electronics", "Energy", "Engineering", "Finance", "Government", "Healthcare", "Hospitality", "Insurance",
    "Manufacturing", "Media", "Retail", "Technology", "Telecommunications", "Transportation", "Utilities", "Other",
)  # fmt: skip
_SOURCES = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Event", "Other")


def _object(
    name: str,
    prefix: str,
    *fields: Field,
    plural: str | None = None,
    deletes: bool = True,
    **more: Any,
) -> ObjectType:
    """An object with the fields every object has around ``fields``."""
    own = [_fixed(Field(name="Id", type="id", label=f"{name} ID", length=18, nillable=False, id_lookup=True))]
    if deletes:
        own.append(_fixed(_flag("IsDeleted")))
    every = {f.name: f for f in (*own, *fields, *_STAMPS)}
    return ObjectType(
        name=name, label=_label(name), plural=plural or f"{_label(name)}s", prefix=prefix, fields=every, **more
    )


def _address(prefix: str = "") -> tuple[Field, ...]:
    return (
        _of("textarea", f"{prefix}Street", 255),
        _text(f"{prefix}City", 40),
        _text(f"{prefix}State", 80),
        _text(f"{prefix}PostalCode", 20),
        _text(f"{prefix}Country", 80),
    )


def _touched() -> tuple[Field, ...]:
    return (
        _fixed(_of("date", "LastActivityDate")),
        _fixed(_of("datetime", "LastViewedDate")),
        _fixed(_of("datetime", "LastReferencedDate")),
    )


def _person(last_name_length: int = 80) -> tuple[Field, ...]:
    return (
        _text("LastName", last_name_length, required=True, nillable=False),
        _text("FirstName", 40),
        _pick("Salutation", "Mr.", "Ms.", "Mrs.", "Dr.", "Prof."),
        _fixed(_text("Name", 121, nillable=False)),
        _text("Title", 128),
        _of("phone", "Phone", 40),
        _of("phone", "MobilePhone", 40),
        _of("phone", "Fax", 40),
        _of("email", "Email", 80, id_lookup=True),
        _of("textarea", "Description", 32_000, filterable=False),
        _pick("LeadSource", *_SOURCES),
        _flag("HasOptedOutOfEmail"),
        _flag("DoNotCall"),
        _text("EmailBouncedReason", 255),
        _of("datetime", "EmailBouncedDate"),
        _text("Jigsaw", 20),
        _fixed(_ref("IndividualId", "Individual")),
    )


def _activity() -> tuple[Field, ...]:
    return (
        _ref("WhoId", "Contact", "Lead"),
        _ref("WhatId", "Account", "Opportunity", "Campaign"),
        Field(
            name="Subject",
            type="combobox",
            label="Subject",
            length=255,
            picklist=("Call", "Email", "Send Letter", "Other"),
        ),
        _ref("OwnerId", "User", "Group", nillable=False),
        _of("textarea", "Description", 32_000, filterable=False),
        _fixed(_ref("AccountId", "Account")),
        _fixed(_flag("IsArchived")),
        _flag("IsReminderSet"),
        _of("datetime", "ReminderDateTime"),
    )


def _lead() -> ObjectType:
    return _object(
        "Lead",
        "00Q",
        _fixed(_ref("MasterRecordId", "Lead")),
        *_person(),
        _text("Company", 255, required=True, nillable=False),
        *_address(),
        _of("url", "Website", 255),
        _pick(
            "Status",
            "Open - Not Contacted",
            "Working - Contacted",
            "Closed - Converted",
            "Closed - Not Converted",
            default="Open - Not Contacted",
            nillable=False,
        ),
        _pick("Industry", *_INDUSTRIES),
        _pick("Rating", "Hot", "Warm", "Cold"),
        _of("currency", "AnnualRevenue", precision=18),
        _of("int", "NumberOfEmployees", precision=8),
        _ref("OwnerId", "User", "Group", nillable=False),
        _fixed(_flag("IsConverted")),
        _fixed(_of("date", "ConvertedDate")),
        _fixed(_ref("ConvertedAccountId", "Account")),
        _fixed(_ref("ConvertedContactId", "Contact")),
        _fixed(_ref("ConvertedOpportunityId", "Opportunity")),
        _flag("IsUnreadByOwner", default=True),
        *_touched(),
        mergeable=True,
    )


def _contact() -> ObjectType:
    return _object(
        "Contact",
        "003",
        _fixed(_ref("MasterRecordId", "Contact")),
        _ref("AccountId", "Account"),
        *_person(),
        *_address("Mailing"),
        _of("phone", "HomePhone", 40),
        _text("Department", 80),
        _ref("ReportsToId", "Contact"),
        _of("date", "Birthdate"),
        _ref("OwnerId", "User", nillable=False),
        _fixed(_flag("IsEmailBounced", calculated=True)),
        *_touched(),
        mergeable=True,
    )


def _account() -> ObjectType:
    return _object(
        "Account",
        "001",
        _fixed(_ref("MasterRecordId", "Account")),
        _text("Name", 255, required=True, nillable=False),
        _pick("Type", "Prospect", "Customer - Direct", "Customer - Channel", "Technology Partner", "Other"),
        _ref("ParentId", "Account"),
        *_address("Billing"),
        _of("phone", "Phone", 40),
        _of("url", "Website", 255),
        _pick("Industry", *_INDUSTRIES),
        _of("currency", "AnnualRevenue", precision=18),
        _of("int", "NumberOfEmployees", precision=8),
        _pick("Rating", "Hot", "Warm", "Cold"),
        _of("textarea", "Description", 32_000, filterable=False),
        _text("AccountNumber", 40),
        _text("Site", 80),
        _ref("OwnerId", "User", nillable=False),
        *_touched(),
        mergeable=True,
    )


def _people_of_the_org() -> tuple[ObjectType, ...]:
    user = _object(
        "User",
        "005",
        _text("Username", 80, required=True, nillable=False, unique=True, id_lookup=True),
        _text("LastName", 80, required=True, nillable=False),
        _text("FirstName", 40),
        _fixed(_text("Name", 121, nillable=False)),
        _of("email", "Email", 128, required=True, nillable=False),
        _text("Alias", 8, nillable=False),
        _text("Title", 80),
        _text("Department", 80),
        _of("phone", "Phone", 40),
        _flag("IsActive", default=True),
        _fixed(_pick("UserType", "Standard", "Guest", "AutomatedProcess", default="Standard", restricted=True)),
        _ref("ProfileId", "Profile"),
        _ref("UserRoleId", "UserRole"),
        _ref("ManagerId", "User"),
        _pick("TimeZoneSidKey", "UTC", "Europe/Berlin", "America/New_York", "America/Los_Angeles", default="UTC"),
        _pick("LocaleSidKey", "en_US", "en_GB", "de_DE", default="en_US"),
        _of("datetime", "LastLoginDate", createable=False, updateable=False),
        deletes=False,
        deletable=False,
        setup=True,
    )
    group = _object(
        "Group",
        "00G",
        _text("Name", 40, required=True, nillable=False),
        _text("DeveloperName", 80),
        _pick("Type", "Queue", "Regular", "Role", restricted=True, default="Regular"),
        _of("email", "Email", 255),
        _flag("DoesSendEmailToMembers"),
        _ref("RelatedId", "UserRole", relationship="Related"),
        _ref("OwnerId", "User", createable=False, updateable=False),
        deletes=False,
        setup=True,
    )
    # GroupMember and QueueSobject have no CreatedDate in a real org; SystemModstamp is what they are read by
    member = _object(
        "GroupMember",
        "011",
        _ref("GroupId", "Group", required=True, nillable=False),
        _ref("UserOrGroupId", "User", "Group", required=True, nillable=False),
        deletes=False,
        setup=True,
    )
    queue = _object(
        "QueueSobject",
        "03g",
        _ref("QueueId", "Group", required=True, nillable=False),
        _pick("SobjectType", "Lead", "Task", "Case", restricted=True, required=True),
        deletes=False,
        setup=True,
    )
    for bare in (member, queue):
        for name in ("CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById"):
            bare.remove(name)
    profile = _object(
        "Profile", "00e", _text("Name", 255), _pick("UserType", "Standard"), _of("textarea", "Description", 255),
        deletes=False, createable=False, updateable=False, deletable=False, setup=True,
    )  # fmt: skip
    role = _object(
        "UserRole", "00E", _text("Name", 80, required=True), _text("DeveloperName", 80),
        _ref("ParentRoleId", "UserRole"),
        deletes=False, setup=True,
    )  # fmt: skip
    return user, group, member, queue, profile, role


def _activities() -> tuple[ObjectType, ...]:
    task = _object(
        "Task",
        "00T",
        *_activity(),
        _of("date", "ActivityDate"),
        _pick("Status", "Not Started", "In Progress", "Completed", "Waiting on someone else", "Deferred",
              default="Not Started", nillable=False),
        _pick("Priority", "High", "Normal", "Low", default="Normal", nillable=False),
        _pick("Type", "Call", "Meeting", "Email", "Other"),
        _pick("TaskSubtype", "Task", "Email", "ListEmail", "Cadence", "Call", "LinkedIn",
              default="Task", restricted=True, updateable=False),
        _pick("CallType", "Internal", "Inbound", "Outbound"),
        _of("int", "CallDurationInSeconds", precision=8),
        _text("CallDisposition", 255),
        _text("CallObject", 255),
        _fixed(_flag("IsClosed")),
        _fixed(_flag("IsHighPriority")),
        _fixed(_of("datetime", "CompletedDateTime")),
        _fixed(_flag("IsRecurrence")),
    )  # fmt: skip
    event = _object(
        "Event",
        "00U",
        *_activity(),
        _text("Location", 255),
        _flag("IsAllDayEvent"),
        _of("datetime", "ActivityDateTime"),
        _of("date", "ActivityDate"),
        _of("datetime", "StartDateTime"),
        _of("datetime", "EndDateTime"),
        _of("int", "DurationInMinutes", precision=8),
        _pick("Type", "Call", "Meeting", "Email", "Other"),
        _pick("EventSubtype", "Event", default="Event", restricted=True, updateable=False),
        _pick("ShowAs", "Busy", "OutOfOffice", "Free", default="Busy", restricted=True),
        _flag("IsPrivate"),
        _fixed(_flag("IsGroupEvent")),
        _fixed(_flag("IsChild")),
        _fixed(_flag("IsRecurrence")),
        _fixed(_pick("GroupEventType", "0", "1", "2", restricted=True)),
    )
    mail = _object(
        "EmailMessage",
        "02s",
        _ref("RelatedToId", "Account", "Opportunity", "Campaign", relationship="RelatedTo"),
        _ref("ActivityId", "Task"),
        _text("Subject", 3_000),
        _text("FromAddress", 1_000),
        _text("FromName", 1_000),
        _of("textarea", "ToAddress", 4_000, filterable=False),
        _of("textarea", "CcAddress", 4_000, filterable=False),
        _flag("Incoming"),
        _pick("Status", "0", "1", "2", "3", "4", "5", default="3", restricted=True),
        _of("datetime", "MessageDate"),
        _fixed(_flag("IsOpened")),
        _fixed(_of("datetime", "FirstOpenedDate")),
        _flag("IsBounced"),
    )
    status = _object(
        "TaskStatus", "01T", _text("ApiName", 255), _text("MasterLabel", 255), _of("int", "SortOrder"),
        _flag("IsDefault"), _flag("IsClosed"),
        deletes=False, createable=False, updateable=False, deletable=False, setup=True,
    )  # fmt: skip
    return task, event, mail, status


def _campaigns() -> tuple[ObjectType, ...]:
    campaign = _object(
        "Campaign",
        "701",
        _text("Name", 80, required=True, nillable=False),
        _ref("ParentId", "Campaign"),
        _pick("Type", "Conference", "Webinar", "Trade Show", "Public Relations", "Partners", "Referral Program",
              "Advertisement", "Banner Ads", "Direct Mail", "Email", "Telemarketing", "Content", "Other"),
        _pick("Status", "Planned", "In Progress", "Completed", "Aborted", default="Planned"),
        _of("date", "StartDate"),
        _of("date", "EndDate"),
        _flag("IsActive"),
        _of("textarea", "Description", 32_000, filterable=False),
        _ref("OwnerId", "User", nillable=False),
        _fixed(_of("date", "LastActivityDate")),
    )  # fmt: skip
    member = _object(
        "CampaignMember",
        "00v",
        _ref("CampaignId", "Campaign", required=True, nillable=False, updateable=False),
        _ref("LeadId", "Lead", updateable=False),
        _ref("ContactId", "Contact", updateable=False),
        _pick("Status", "Sent", "Responded", default="Sent"),
        _fixed(_flag("HasResponded")),
        _fixed(_of("date", "FirstRespondedDate")),
        _fixed(_ref("LeadOrContactId", "Contact", "Lead", relationship="LeadOrContact")),
        _fixed(_pick("Type", "Lead", "Contact")),
        _fixed(_text("FirstName", 40)),
        _fixed(_text("LastName", 80)),
        _fixed(_of("email", "Email", 80)),
    )
    status = _object(
        "CampaignMemberStatus", "01Y", _ref("CampaignId", "Campaign", required=True, nillable=False),
        _text("Label", 765, required=True), _of("int", "SortOrder"), _flag("HasResponded"), _flag("IsDefault"),
    )  # fmt: skip
    return campaign, member, status


def _opportunities() -> tuple[ObjectType, ...]:
    opportunity = _object(
        "Opportunity",
        "006",
        _ref("AccountId", "Account"),
        _text("Name", 120, required=True, nillable=False),
        _pick("StageName", "Prospecting", "Qualification", "Needs Analysis", "Value Proposition",
              "Proposal/Price Quote",
              "Negotiation/Review", "Closed Won", "Closed Lost", required=True, nillable=False),
        _of("currency", "Amount", precision=18, scale=2),
        _of("percent", "Probability", precision=3),
        _of("date", "CloseDate", required=True, nillable=False),
        _pick("Type", "Existing Business", "New Business"),
        _pick("LeadSource", *_SOURCES),
        _of("textarea", "Description", 32_000, filterable=False),
        _fixed(_flag("IsClosed")),
        _fixed(_flag("IsWon")),
        _ref("CampaignId", "Campaign"),
        _ref("OwnerId", "User", nillable=False),
        _fixed(_ref("ContactId", "Contact")),
        _fixed(_of("date", "LastActivityDate")),
        plural="Opportunities",
    )  # fmt: skip
    role = _object(
        "OpportunityContactRole",
        "00K",
        _ref("OpportunityId", "Opportunity", required=True, nillable=False, updateable=False),
        _ref("ContactId", "Contact", required=True, nillable=False),
        _pick("Role", "Business User", "Decision Maker", "Economic Buyer", "Evaluator", "Influencer", "Other"),
        _flag("IsPrimary"),
    )
    stage = _object(
        "OpportunityStage", "01J", _text("ApiName", 255), _text("MasterLabel", 255), _of("int", "SortOrder"),
        _flag("IsActive", default=True), _flag("IsClosed"), _flag("IsWon"),
        _of("percent", "DefaultProbability", precision=3),
        deletes=False, createable=False, updateable=False, deletable=False, setup=True,
    )  # fmt: skip
    return opportunity, role, stage


def _setup_objects() -> tuple[ObjectType, ...]:
    status = _object(
        "LeadStatus", "01K", _text("ApiName", 255), _text("MasterLabel", 255), _of("int", "SortOrder"),
        _flag("IsDefault"), _flag("IsConverted"),
        plural="Lead Status Value", deletes=False, createable=False, updateable=False, deletable=False, setup=True,
    )  # fmt: skip
    organization = _object(
        "Organization", "00D", _text("Name", 80), _text("OrganizationType", 40), _flag("IsSandbox"),
        _text("InstanceName", 5),
        _text("TimeZoneSidKey", 40), _text("DefaultLocaleSidKey", 40), _text("Country", 80),
        _text("LanguageLocaleKey", 40),
        deletes=False, createable=False, updateable=False, deletable=False, setup=True,
    )  # fmt: skip
    permission_set = _object(
        "PermissionSet", "0PS", _text("Name", 80, required=True, nillable=False),
        _text("Label", 80, required=True, nillable=False),
        _of("textarea", "Description", 255), _ref("ProfileId", "Profile", createable=False, updateable=False),
        _fixed(_flag("IsOwnedByProfile")), _fixed(_flag("IsCustom", default=True)),
        deletes=False, setup=True,
    )  # fmt: skip
    permission = _object(
        "FieldPermissions",
        "01k",
        _ref("ParentId", "PermissionSet", required=True, nillable=False, updateable=False),
        _pick("SobjectType", required=True, nillable=False, updateable=False),
        _pick("Field", required=True, nillable=False, updateable=False),
        _flag("PermissionsRead"),
        _flag("PermissionsEdit"),
        plural="Field Permissions",
        deletes=False,
        setup=True,
    )
    for name in ("CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById"):
        permission.remove(name)
    assignment = _object(
        "PermissionSetAssignment",
        "0Pa",
        _ref("PermissionSetId", "PermissionSet", required=True, nillable=False, updateable=False),
        _ref("AssigneeId", "User", required=True, nillable=False, updateable=False),
        deletes=False,
        updateable=False,
        setup=True,
    )
    custom = _object(
        "CustomField",
        "00N",
        _text("DeveloperName", 80),
        _text("TableEnumOrId", 40),
        _text("FullName", 255),
        _text("NamespacePrefix", 15),
        _of("complexvalue", "Metadata", filterable=False),
        _of("int", "Length"),
        _of("int", "Precision"),
        _of("int", "Scale"),
        deletes=False,
        setup=True,
        tooling=True,
    )
    return status, organization, permission_set, permission, assignment, custom


def standard_objects() -> dict[str, ObjectType]:
    """A fresh set of objects, by name, each with its standard fields only."""
    every = (
        _lead(),
        _contact(),
        _account(),
        *_people_of_the_org(),
        *_activities(),
        *_campaigns(),
        *_opportunities(),
        *_setup_objects(),
    )
    return {one.name: one for one in every}


# -- custom fields

_DEVELOPER_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9]|_(?!_))*(?<!_)__c")


def _needs(metadata: Mapping[str, Any], kind: str, *keys: str) -> None:
    for key in keys:
        if metadata.get(key) is None:
            raise SchemaError("FIELD_INTEGRITY_EXCEPTION", f"Field {key} is required for type {kind}", (key,))


def _picklist_values(metadata: Mapping[str, Any]) -> tuple[tuple[str, ...], bool, str | None]:
    values = metadata.get("valueSet") or {}
    definition = (values.get("valueSetDefinition") or {}).get("value")
    if not definition:
        raise SchemaError("FIELD_INTEGRITY_EXCEPTION", "Picklist field must have a value set", ("valueSet",))
    names = [str(one.get("fullName") or one.get("valueName") or one.get("label")) for one in definition]
    repeated = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if repeated is not None:
        raise SchemaError("DUPLICATE_VALUE", f"Duplicate picklist value: {repeated}", ("valueSet",))
    chosen = next((name for name, one in zip(names, definition, strict=True) if one.get("default")), None)
    return tuple(names), bool(values.get("restricted")), chosen


def _shape(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of a Field that follow from the metadata's type."""
    kind = metadata.get("type")
    match kind:
        case "Text":
            _needs(metadata, kind, "length")
            if not 1 <= int(metadata["length"]) <= 255:
                raise SchemaError("NUMBER_OUTSIDE_VALID_RANGE", "length must be between 1 and 255", ("length",))
            return {"type": "string", "length": int(metadata["length"])}
        case "Number" | "Currency" | "Percent":
            _needs(metadata, kind, "precision", "scale")
            precision, scale = int(metadata["precision"]), int(metadata["scale"])
            if not (0 <= scale <= precision <= 18 and precision > 0):
                raise SchemaError(
                    "NUMBER_OUTSIDE_VALID_RANGE", "precision must be 1 to 18 and hold the scale", ("precision",)
                )
            real = {"Number": "double", "Currency": "currency", "Percent": "percent"}[kind]
            return {"type": real, "precision": precision, "scale": scale}
        case "Checkbox":
            _needs(metadata, kind, "defaultValue")
            chosen = str(metadata["defaultValue"]).lower() == "true"
            return {"type": "boolean", "nillable": False, "default": chosen}
        case "Date" | "DateTime":
            return {"type": kind.lower()}
        case "Picklist" | "MultiselectPicklist":
            values, restricted, chosen_value = _picklist_values(metadata)
            real = "picklist" if kind == "Picklist" else "multipicklist"
            return {"type": real, "length": 255, "picklist": values, "restricted": restricted, "default": chosen_value}
        case "TextArea":
            return {"type": "textarea", "length": 255}
        case "LongTextArea" | "Html":
            _needs(metadata, kind, "length", "visibleLines")
            return {"type": "textarea", "length": int(metadata["length"]), "filterable": False}
        case "Email":
            return {"type": "email", "length": 80}
        case "Phone":
            return {"type": "phone", "length": 40}
        case "Url":
            return {"type": "url", "length": 255}
        case _:
            raise SchemaError(
                "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", f"type: bad value for restricted picklist field: {kind}"
            )


def custom_field(full_name: str, metadata: Mapping[str, Any]) -> Field:
    """The field that ``{"FullName": "Lead.MQL_Score__c", "Metadata": {...}}`` asks for; the name is after the dot.

    Raises SchemaError where Salesforce would answer 400. Source: Metadata API, CustomField.
    """
    name = full_name.partition(".")[2]
    if _DEVELOPER_NAME.fullmatch(name) is None or len(name) > 43:
        raise SchemaError(
            "FIELD_INTEGRITY_EXCEPTION",
            f"The Field Name API Name: {name} can only contain underscores and alphanumeric characters, must begin "
            "with a letter, not end with an underscore or hold two in a row, and end with __c",
            ("FullName",),
        )
    if not metadata.get("label"):
        raise SchemaError("REQUIRED_FIELD_MISSING", "Required fields are missing: [MasterLabel]", ("MasterLabel",))
    shape = _shape(metadata)
    unique, external = bool(metadata.get("unique")), bool(metadata.get("externalId"))
    if (unique or external) and shape["type"] not in {"string", "double", "email"}:
        raise SchemaError(
            "FIELD_INTEGRITY_EXCEPTION",
            f"Can not specify 'externalId' or 'unique' for a CustomField of type {metadata['type']}",
        )
    return Field(
        name=name,
        label=str(metadata["label"]),
        custom=True,
        unique=unique,
        external_id=external,
        id_lookup=external,
        case_sensitive=unique and bool(metadata.get("caseSensitive")),
        required=bool(metadata.get("required")),
        metadata=dict(metadata),
        **shape,
    )


# -- describe


def _picklist_rows(values: Iterable[str], default: Any) -> list[dict[str, Any]]:
    return [
        {"active": True, "defaultValue": value == default, "label": value, "validFor": None, "value": value}
        for value in values
    ]


def describe_field(one: Field, *, editable: bool) -> dict[str, Any]:
    """One entry of ``fields`` in a describe; ``editable`` is false for a field the user may only read."""
    return {
        "aggregatable": one.type not in {"boolean", "textarea"},
        "autoNumber": False,
        "byteLength": one.length * 3,
        "calculated": one.calculated,
        "calculatedFormula": None,
        "caseSensitive": one.case_sensitive,
        "compoundFieldName": None,
        "createable": one.createable and editable,
        "custom": one.custom,
        "defaultValue": one.default if one.type == "boolean" else None,
        "defaultedOnCreate": one.default is not None or one.name == "OwnerId",
        "dependentPicklist": False,
        "deprecatedAndHidden": False,
        "digits": one.precision if one.type == "int" else 0,
        "encrypted": False,
        "externalId": one.external_id,
        "extraTypeInfo": None,
        "filterable": one.filterable,
        "groupable": one.type not in {"double", "currency", "percent", "datetime", "textarea"},
        "htmlFormatted": False,
        "idLookup": one.id_lookup,
        "inlineHelpText": one.metadata.get("inlineHelpText"),
        "label": one.label,
        "length": one.length,
        "name": one.name,
        "nameField": one.name == "Name",
        "nillable": one.nillable and not one.required,
        "permissionable": one.custom and not one.required,
        "picklistValues": _picklist_rows(one.picklist, one.default),
        "polymorphicForeignKey": one.polymorphic,
        "precision": 0 if one.type == "int" else one.precision,
        "queryByDistance": False,
        "referenceTo": list(one.references),
        "relationshipName": one.relationship if one.references else None,
        "restrictedPicklist": one.restricted,
        "scale": one.scale,
        "soapType": _SOAP.get(one.type, "xsd:string"),
        "sortable": one.filterable,
        "type": one.type,
        "unique": one.unique,
        "updateable": one.updateable and editable,
    }
