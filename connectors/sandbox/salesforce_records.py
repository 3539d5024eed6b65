"""What may happen to a record: create, update, delete, merge, convert, with the rules a sales org has for each.

Two doors lead here. The wire (``salesforce``) brings JSON bodies and gets Salesforce's error codes (Refused). People
and seeds (``add``, ``edit``, ``delete``, ``merge``, ``convert`` ...) may set read-only fields and back-date; a mistake
of theirs raises ValueError.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from connectors.sandbox.clock import Clock
from connectors.sandbox.journal import Journal, Via
from connectors.sandbox.salesforce_ids import key_prefix, long_id
from connectors.sandbox.salesforce_schema import ACTIVITY, Field, ObjectType, SchemaError, custom_field
from connectors.sandbox.salesforce_store import Actor, Row, Store
from connectors.sandbox.salesforce_values import Refused, accept
from connectors.sandbox.soql import stamp

__all__ = ["Records"]

CONVERTED_STATUS = "Closed - Converted"
_PEOPLE = ("Lead", "Contact")
_OWNED = frozenset({"Lead", "Contact", "Account", "Task", "Event", "Campaign", "Opportunity"})
_TASK_STATUSES = (
    ("Not Started", False),
    ("In Progress", False),
    ("Completed", True),
    ("Waiting on someone else", False),
    ("Deferred", False),
)
_STAGES = (
    ("Prospecting", 10), ("Qualification", 10), ("Needs Analysis", 20), ("Value Proposition", 50),
    ("Proposal/Price Quote", 75), ("Negotiation/Review", 90), ("Closed Won", 100), ("Closed Lost", 0),
)  # fmt: skip
# where a merge or a conversion finds the rows that must point elsewhere
_CHILDREN = {
    "Lead": (("Task", "WhoId"), ("Event", "WhoId"), ("CampaignMember", "LeadId")),
    "Contact": (
        ("Task", "WhoId"),
        ("Event", "WhoId"),
        ("CampaignMember", "ContactId"),
        ("OpportunityContactRole", "ContactId"),
        ("Contact", "ReportsToId"),
    ),
    "Account": (
        ("Contact", "AccountId"),
        ("Opportunity", "AccountId"),
        ("Task", "WhatId"),
        ("Event", "WhatId"),
        ("Account", "ParentId"),
    ),
}


class Records(Store):
    """An org with its standard setup rows, an integration user and an administrator."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        super().__init__(clock, journal)
        self.username = "integration@sandbox.example"
        self.assignment_rule_owner: str | None = None
        self.customize_application = True
        self.unique_activity_fields = True
        self._locks: dict[str, int] = {}
        self._touched_by_schema = self.second()
        self._found()

    # -- people and seeds

    def add(self, object: str, fields: Mapping[str, Any], *, at: datetime | None = None) -> str:
        """A record that has been there since ``at`` (default now); read-only fields may be given. Its id."""
        kind = self._known(object)
        by = self._actor("seed", self.admin_id, at)
        with self.lock_of_org, self.transaction():
            row = self._given(kind, fields)
            return self._insert(kind, row, by, explicit=frozenset(row))

    def edit(self, object: str, id: str, fields: Mapping[str, Any], by: str = "person") -> None:
        """What somebody changes in the CRM. ``by``: "person" (the administrator), "seed", or the id of a user."""
        kind = self._known(object)
        actor = self._somebody(by)
        with self.lock_of_org, self.transaction():
            row = self._existing(kind, id)
            given = self._given(kind, fields)
            self._change(kind, row, given, actor, explicit=frozenset(given))

    def delete(self, object: str, id: str, by: str = "person") -> None:
        """Into the recycle bin (objects without one: gone), with what belongs to it."""
        kind = self._known(object)
        with self.lock_of_org, self.transaction():
            self._erase(kind, self._existing(kind, id), self._somebody(by))

    def undelete(self, object: str, id: str, by: str = "person") -> None:
        """Out of the recycle bin: the same id, a new SystemModstamp."""
        kind = self._known(object)
        actor = self._somebody(by)
        with self.lock_of_org, self.transaction():
            row = self.table(kind.name).newest[self._full(id)]
            back = {name: value for name, value in row.items() if name != "MasterRecordId"} | {"IsDeleted": False}
            self.write(kind, row["Id"], self.stamped(back, kind, actor), "update", actor)

    def purge(self, object: str, id: str, by: str = "person") -> None:
        """Gone for good, also from queryAll, as a GDPR erasure does."""
        kind = self._known(object)
        with self.lock_of_org, self.transaction():
            self.write(kind, self._full(id), None, "delete", self._somebody(by))

    def merge(self, object: str, winner: str, loser: str, by: str = "person") -> None:
        """The loser is deleted with MasterRecordId, what belonged to it now belongs to the winner."""
        kind = self._known(object)
        if not kind.mergeable:
            raise ValueError(f"{kind.name} records cannot be merged")
        actor = self._somebody(by)
        with self.lock_of_org, self.transaction():
            kept, lost = self._existing(kind, winner), self._existing(kind, loser)
            self._move_children(kind, lost["Id"], kept["Id"], actor)
            gone = self.stamped(lost | {"IsDeleted": True, "MasterRecordId": kept["Id"]}, kind, actor)
            self.write(kind, lost["Id"], gone, "merge", actor)
            latest = max(filter(None, (kept.get("LastActivityDate"), lost.get("LastActivityDate"))), default=None)
            self.write(
                kind, kept["Id"], self.stamped(kept | {"LastActivityDate": latest}, kind, actor), "update", actor
            )

    def convert(self, lead_id: str, account_id: str | None = None, by: str = "person") -> str:
        """A Lead becomes a Contact at an Account (None: a new one named after its Company). The Contact's id.

        Tasks and Events move to the Contact, campaign memberships keep the Lead and gain the Contact.
        """
        lead_kind, contact_kind = self._kinds["Lead"], self._kinds["Contact"]
        actor = self._somebody(by)
        with self.lock_of_org, self.transaction():
            lead = self._existing(lead_kind, lead_id)
            if lead.get("IsConverted"):
                raise ValueError(f"Lead {lead['Id']} is converted already")
            owner = lead["OwnerId"] if key_prefix(lead["OwnerId"]) == "005" else self.admin_id
            account = self._full(account_id) if account_id else self._account_of(lead, owner, actor)
            person = {
                name: lead[name]
                for name, one in contact_kind.fields.items()
                if name in lead and not one.custom and one.createable and name != "OwnerId"
            }
            person |= {
                f"Mailing{part}": lead[part]
                for part in ("Street", "City", "State", "PostalCode", "Country")
                if part in lead
            }
            person |= {"AccountId": account, "OwnerId": owner}
            if "LastActivityDate" in lead:
                person["LastActivityDate"] = lead["LastActivityDate"]
            contact = self._insert(contact_kind, person, actor, explicit=frozenset(person))
            converted = lead | {
                "IsConverted": True,
                "Status": CONVERTED_STATUS,
                "ConvertedDate": actor.at[:10],
                "ConvertedContactId": contact,
                "ConvertedAccountId": account,
            }
            self.write(lead_kind, lead["Id"], self.stamped(converted, lead_kind, actor), "convert", actor)
            self._hand_over(lead["Id"], contact, account, actor)
            return contact

    def add_user(self, email: str, name: str, active: bool = True, username: str | None = None, **fields: Any) -> str:
        """A user of the org; its id. ``fields`` are further User fields."""
        first, _, last = name.rpartition(" ")
        own = {
            "Email": email,
            "Username": username or email,
            "FirstName": first or None,
            "LastName": last,
            "IsActive": active,
            "Alias": (first[:1] + last)[:8].lower(),
        }
        return self.add("User", own | fields)

    def add_queue(
        self, name: str, developer_name: str, objects: Iterable[str] = ("Lead",), members: Iterable[str] = ()
    ) -> str:
        """A queue that may own these objects, with these users or groups in it; the Group's id."""
        queue = self.add("Group", {"Name": name, "DeveloperName": developer_name, "Type": "Queue"})
        for sobject in objects:
            self.add("QueueSobject", {"QueueId": queue, "SobjectType": sobject})
        for member in members:
            self.add("GroupMember", {"GroupId": queue, "UserOrGroupId": member})
        return queue

    def get(self, object: str, id: str) -> Row:
        """The newest version with every field of the object, null or not. KeyError for an id that is not there."""
        kind = self._known(object)
        with self.lock_of_org:
            row = self.table(kind.name).newest[self._full(id)]
            return {name: _shown(one, row) for name, one in kind.fields.items()}

    def all(self, object: str) -> list[Row]:
        """The newest version of every row, deleted ones included, with the fields that have a value."""
        with self.lock_of_org:
            return [dict(row) for row in self.table(self._known(object).name).newest.values()]

    def tasks(self) -> list[Row]:
        """Tasks that are not deleted."""
        return [row for row in self.all("Task") if not row.get("IsDeleted")]

    def lock(self, id: str, times: int = 1) -> None:
        """The next ``times`` writes that touch this record fail with UNABLE_TO_LOCK_ROW."""
        self._locks[self._full(id)] = times

    def state(self) -> dict[str, Any]:
        """People, companies and tasks as plain values, without what differs between two equal runs."""
        with self.lock_of_org:
            whole: dict[str, Any] = {}
            for name in ("Lead", "Contact", "Account", "Task"):
                rows = self.table(name).newest.values()
                made = [row for row in rows if name == "Task" and row["CreatedById"] == self.user_id]
                others = [row for row in rows if not (name == "Task" and row["CreatedById"] == self.user_id)]
                whole[name] = {row["Id"]: _compared(row) for row in others}
                if name == "Task":
                    plain = [_compared(row, without=("Id", "CreatedDate", "CompletedDateTime")) for row in made]
                    whole["Task by API"] = sorted(plain, key=lambda row: json.dumps(row, sort_keys=True))
            return whole

    # -- the wire

    def create(self, kind: ObjectType, body: Mapping[str, Any], *, auto_assign: bool = True) -> str:
        """One new record from JSON; its id. Raises Refused."""
        by = self._actor("api", self.user_id)
        if not kind.createable:
            raise Refused("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"entity type cannot be inserted: {kind.label}")
        with self.transaction():
            given = self._accepted(kind, body, creating=True)
            missing = [name for name, one in kind.fields.items() if one.required and given.get(name) is None]
            if missing:
                raise Refused(
                    "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", *missing
                )
            if kind.name == "Lead" and auto_assign and self.assignment_rule_owner:
                given["OwnerId"] = self.assignment_rule_owner
            return self._insert(kind, given, by, explicit=frozenset())

    def update(self, kind: ObjectType, record_id: str, body: Mapping[str, Any], *, auto_assign: bool = True) -> None:
        """Change one record from JSON. Raises Refused; equal values are written all the same and move the stamp."""
        by = self._actor("api", self.user_id)
        with self.transaction():
            row = self._writable(kind, record_id)
            if row.get("IsConverted"):
                raise Refused("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
            given = self._accepted(kind, body, creating=False)
            emptied = [name for name, value in given.items() if value is None and not _clearable(kind.fields[name])]
            if emptied:
                raise Refused(
                    "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(emptied)}]", *emptied
                )
            if kind.name == "Lead" and given.get("Status") == CONVERTED_STATUS:
                raise Refused(
                    "INVALID_STATUS", f"invalid status for a lead that is not converted: {CONVERTED_STATUS}", "Status"
                )
            if kind.name == "Lead" and auto_assign and self.assignment_rule_owner:
                given["OwnerId"] = self.assignment_rule_owner
            self._change(kind, row, given, by, explicit=frozenset())

    def erase(self, kind: ObjectType, record_id: str) -> None:
        """Delete one record. Raises Refused."""
        if not kind.deletable:
            raise Refused("INSUFFICIENT_ACCESS_OR_READONLY", f"insufficient access rights to delete {kind.label}")
        with self.transaction():
            self._erase(kind, self._writable(kind, record_id), self._actor("api", self.user_id))

    def add_field(self, full_name: str, metadata: Mapping[str, Any]) -> str:
        """A custom field, as the Tooling API makes it; its id. Raises Refused."""
        owner, _, name = full_name.partition(".")
        kinds = self._field_owners(owner)
        if any(kind.find(name) for kind in kinds):
            message = f"There is already a field named {name.removesuffix('__c')} on {owner}."
            raise Refused("DUPLICATE_DEVELOPER_NAME", message, "DeveloperName")
        try:
            if owner == ACTIVITY and not self.unique_activity_fields:
                metadata = {name: value for name, value in metadata.items() if name not in {"unique", "caseSensitive"}}
            new = custom_field(full_name, metadata)
        except SchemaError as wrong:
            raise Refused(wrong.code, wrong.message, *wrong.fields) from wrong
        with self.transaction():
            for kind in kinds:
                kind.add(new)
            row = {
                "DeveloperName": name.removesuffix("__c"),
                "TableEnumOrId": owner,
                "FullName": full_name,
                "Metadata": dict(metadata),
                "Length": new.length or None,
                "Precision": new.precision or None,
                "Scale": new.scale if new.precision else None,
            }
            self._touched_by_schema = self.second()
            return self._insert(
                self._kinds["CustomField"], row, self._actor("api", self.user_id), explicit=frozenset(row)
            )

    def change_field(self, field_id: str, metadata: Mapping[str, Any]) -> None:
        """New metadata for a custom field (more picklist values, a longer text). Raises Refused."""
        row = self._writable(self._kinds["CustomField"], field_id)
        try:
            new = custom_field(row["FullName"], metadata)
        except SchemaError as wrong:
            raise Refused(wrong.code, wrong.message, *wrong.fields) from wrong
        with self.transaction():
            for kind in self._field_owners(row["TableEnumOrId"]):
                kind.add(new)
            self._touched_by_schema = self.second()
            kind = self._kinds["CustomField"]
            by = self._actor("api", self.user_id)
            self.write(kind, row["Id"], self.stamped(row | {"Metadata": dict(metadata)}, kind, by), "update", by)

    def drop_field(self, field_id: str) -> None:
        """Delete a custom field. Raises Refused."""
        row = self._writable(self._kinds["CustomField"], field_id)
        with self.transaction():
            for kind in self._field_owners(row["TableEnumOrId"]):
                kind.remove(f"{row['DeveloperName']}__c")
            self._touched_by_schema = self.second()
            self.write(self._kinds["CustomField"], row["Id"], None, "delete", self._actor("api", self.user_id))

    @property
    def schema_changed_at(self) -> str:
        """When describe last changed: fields and permissions."""
        stamps = [self._touched_by_schema]
        for name in ("FieldPermissions", "PermissionSetAssignment"):
            stamps += [row["SystemModstamp"] for row in self.table(name).rows.values()]
        return max(stamps)

    # -- setup rows

    def _found(self) -> None:
        """What every org has before anybody works in it."""
        self.admin_id = ""
        started = datetime(2020, 1, 1, tzinfo=UTC)
        self.org_id = self.add("Organization", {
            "Name": "Sandbox", "OrganizationType": "Enterprise Edition", "IsSandbox": True, "InstanceName": "CS1",
            "TimeZoneSidKey": "UTC", "DefaultLocaleSidKey": "en_US", "LanguageLocaleKey": "en_US",
        }, at=started)  # fmt: skip
        profile = self.add("Profile", {"Name": "System Administrator", "UserType": "Standard"}, at=started)
        own = {
            "Name": "X00esystemadmin",
            "Label": "00e System Administrator",
            "ProfileId": profile,
            "IsOwnedByProfile": True,
        }
        self.add("PermissionSet", own, at=started)
        shared = {"ProfileId": profile, "TimeZoneSidKey": "UTC"}
        people = (
            {"Username": "admin@sandbox.example", "FirstName": "Sandbox", "LastName": "Admin", "Alias": "admin"},
            {"Username": self.username, "FirstName": "Integration", "LastName": "User", "Alias": "integ"},
        )
        self.admin_id, self.user_id = (
            self.add("User", {**fields, **shared, "Email": fields["Username"]}, at=started) for fields in people
        )
        machine = {
            "Username": "autoproc@sandbox.example",
            "LastName": "Automated Process",
            "UserType": "AutomatedProcess",
        }
        self.add("User", {**machine, "Alias": "autoproc", "Email": "autoproc@sandbox.example"}, at=started)
        lead_statuses = self._kinds["Lead"].fields["Status"].picklist
        for place, label in enumerate(lead_statuses, 1):
            flags = {"IsDefault": place == 1, "IsConverted": label == CONVERTED_STATUS, "SortOrder": place}
            self.add("LeadStatus", {"ApiName": label, "MasterLabel": label, **flags}, at=started)
        for place, (label, closed) in enumerate(_TASK_STATUSES, 1):
            flags = {"IsDefault": place == 1, "IsClosed": closed, "SortOrder": place}
            self.add("TaskStatus", {"ApiName": label, "MasterLabel": label, **flags}, at=started)
        for place, (label, chance) in enumerate(_STAGES, 1):
            flags = {
                "IsClosed": label.startswith("Closed"),
                "IsWon": label == "Closed Won",
                "DefaultProbability": chance,
            }
            self.add(
                "OpportunityStage", {"ApiName": label, "MasterLabel": label, "SortOrder": place, **flags}, at=started
            )

    def _field_owners(self, owner: str) -> tuple[ObjectType, ...]:
        if owner == ACTIVITY:
            return self._kinds["Task"], self._kinds["Event"]
        kind = self.kind(owner)
        if kind is None or owner in {"Task", "Event"} or kind.tooling:
            raise Refused(
                "INVALID_FIELD",
                f"Entity Enumeration Or ID: bad value for restricted picklist field: {owner}",
                "TableEnumOrId",
            )
        return (kind,)

    # -- reading what was given

    def _known(self, name: str) -> ObjectType:
        kind = self.kind(name)
        if kind is None:
            raise ValueError(f"the sandbox org has no object {name}")
        return kind

    def _full(self, record_id: str) -> str:
        whole = long_id(record_id)
        if whole is None:
            raise ValueError(f"{record_id!r} is no Salesforce id")
        return whole

    def _existing(self, kind: ObjectType, record_id: str) -> Row:
        row = self.table(kind.name).newest.get(self._full(record_id))
        if row is None or row.get("IsDeleted"):
            raise ValueError(f"there is no {kind.name} {record_id}" + (", it is deleted" if row else ""))
        return row

    def _actor(self, via: Via, user_id: str, at: datetime | None = None) -> Actor:
        moment = stamp(at.astimezone(UTC).replace(microsecond=0)) if at else self.second()
        return Actor(user_id=user_id, via=via, at=moment)

    def _somebody(self, by: str) -> Actor:
        if by == "seed":
            return self._actor("seed", self.admin_id)
        return self._actor("person", self.admin_id if by == "person" else self._full(by))

    def _given(self, kind: ObjectType, fields: Mapping[str, Any]) -> Row:
        """A seed's or a person's fields, read-only ones too."""
        row: Row = {}
        for name, value in fields.items():
            one = kind.find(name)
            if one is None:
                raise ValueError(f"{kind.name} has no field {name}")
            plain = value
            if isinstance(value, datetime):
                plain = stamp(value)
            elif isinstance(value, date):
                plain = value.isoformat()
            try:
                row[one.name] = accept(one, plain)
            except Refused as refused:
                raise ValueError(f"{kind.name}.{name} = {value!r}: {refused.message}") from refused
        return row

    def _accepted(self, kind: ObjectType, body: Mapping[str, Any], *, creating: bool) -> Row:
        """A client's fields. Names it may not see do not exist, names it may not write are refused."""
        row: Row = {}
        for name, value in body.items():
            if name == "attributes":
                continue
            one = self.readable(kind, name)
            if one is None:
                raise Refused("INVALID_FIELD", f"No such column '{name}' on sobject of type {kind.name}")
            writable = (one.createable if creating else one.updateable) and self.access(kind, one)[1]
            if not writable:
                raise Refused(
                    "INVALID_FIELD_FOR_INSERT_UPDATE",
                    f"Unable to create/update fields: {one.name}. Please check the security settings of this field and "
                    "verify that it is read/write for your profile or permission set.",
                    one.name,
                )
            row[one.name] = accept(one, value)
        return row

    def _writable(self, kind: ObjectType, record_id: str) -> Row:
        """The newest version of a row a client wants to write."""
        whole = long_id(record_id)
        if whole is None or key_prefix(whole) != kind.prefix:
            raise Refused("MALFORMED_ID", f"{kind.label} ID: id value of incorrect type: {record_id}", "Id")
        row = self.table(kind.name).newest.get(whole)
        if row is None:
            raise Refused("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", http=404)
        if row.get("IsDeleted"):
            raise Refused("ENTITY_IS_DELETED", "entity is deleted", http=404)
        return row

    # -- the two writes everything comes down to

    def _insert(self, kind: ObjectType, given: Row, by: Actor, *, explicit: frozenset[str]) -> str:
        record_id = self.new_id(kind)
        row = {name: one.default for name, one in kind.fields.items() if one.default is not None}
        row |= {one.name: False for one in kind.fields.values() if one.type == "boolean" and one.name not in row}
        row |= {name: value for name, value in given.items() if value is not None}
        if kind.name in _OWNED:
            row.setdefault("OwnerId", by.user_id)
        row["Id"] = record_id
        self._check(kind, row, given, by)
        self._derive(kind, row, {}, by, explicit)
        after = self.stamped(row, kind, by)
        if "CreatedDate" in kind.fields:
            after |= {"CreatedDate": row.get("CreatedDate", by.at), "CreatedById": row.get("CreatedById", by.user_id)}
        after |= {
            name: given[name] for name in ("SystemModstamp", "LastModifiedDate", "LastModifiedById") if given.get(name)
        }
        self.write(kind, record_id, after, "create", by)
        self._follow(kind, after, by)
        return record_id

    def _change(self, kind: ObjectType, row: Row, given: Row, by: Actor, *, explicit: frozenset[str]) -> None:
        after = row | given
        changed = {name: value for name, value in given.items() if value != row.get(name)}
        self._check(kind, after, changed, by)
        after = {name: value for name, value in after.items() if value is not None}
        self._derive(kind, after, row, by, explicit)
        written = self.stamped(after, kind, by)
        if by.via == "seed":
            written |= {
                name: given[name]
                for name in ("SystemModstamp", "LastModifiedDate", "LastModifiedById")
                if given.get(name)
            }
        self.write(kind, row["Id"], written, "update", by)

    def _erase(self, kind: ObjectType, row: Row, by: Actor) -> None:
        self._unlocked(row["Id"])
        for child, column in _CHILDREN.get(kind.name, ()):
            for belonging in self.table(child).live(column, row["Id"]):
                if child in {"Task", "Event", "CampaignMember", "OpportunityContactRole"}:
                    self._erase(self._kinds[child], belonging, by)
        if "IsDeleted" not in kind.fields:
            self.write(kind, row["Id"], None, "delete", by)
            return
        self.write(kind, row["Id"], self.stamped(row | {"IsDeleted": True}, kind, by), "delete", by)

    # -- rules

    def _unlocked(self, *record_ids: str | None) -> None:
        for record_id in record_ids:
            if record_id and self._locks.get(record_id, 0) > 0:
                self._locks[record_id] -= 1
                raise Refused(
                    "UNABLE_TO_LOCK_ROW", f"unable to obtain exclusive access to this record or 1 records: {record_id}"
                )

    def _check(self, kind: ObjectType, row: Row, changed: Row, by: Actor) -> None:
        """What must hold of the row as it will be. Seeds skip what only a client can get wrong."""
        for name, value in changed.items():
            one = kind.fields[name]
            if one.references and value is not None:
                self._check_reference(kind, one, value, by)
            if one.unique and value is not None:
                self._check_unique(kind, one, value, row["Id"])
        if not by.api:
            return
        who = row.get("WhoId")
        self._unlocked(row["Id"], who, row.get("WhatId"))
        if kind.name in {"Task", "Event"} and who and row.get("WhatId") and key_prefix(who) == "00Q":
            raise Refused(
                "FIELD_INTEGRITY_EXCEPTION", "Related To ID: a lead in Name leaves no place for Related To", "WhatId"
            )
        if kind.name == "Event":
            self._check_event(row)
        if kind.name == "CampaignMember":
            self._check_member(row, changed)
        if kind.name == "FieldPermissions":
            self._check_permission(row)
        self._check_pair(kind, row)

    def _check_reference(self, kind: ObjectType, one: Field, value: str, by: Actor) -> None:
        target = self.newest(value)
        prefixes = {self._kinds[name].prefix for name in one.references if name in self._kinds}
        if key_prefix(value) not in prefixes:
            code = "INVALID_CROSS_REFERENCE_KEY" if one.name == "OwnerId" else "FIELD_INTEGRITY_EXCEPTION"
            raise Refused(code, f"{one.label} ID: id value of incorrect type: {value}", one.name)
        if target is None:
            raise Refused("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", one.name)
        if not by.api:
            return
        if target.get("IsDeleted"):
            raise Refused("ENTITY_IS_DELETED", "entity is deleted", one.name)
        if target.get("IsConverted") and kind.name != "Lead":
            raise Refused("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", one.name)
        if one.name == "OwnerId":
            self._check_owner(kind, target)

    def _check_owner(self, kind: ObjectType, owner: Row) -> None:
        if key_prefix(owner["Id"]) == "005":
            if not owner["IsActive"]:
                message = f"operation performed with inactive user [{owner['Id']}] as owner of {kind.label.lower()}"
                raise Refused("INACTIVE_OWNER_OR_USER", message, "OwnerId")
            return
        served = {row["SobjectType"] for row in self.table("QueueSobject").having("QueueId", owner["Id"])}
        if owner.get("Type") != "Queue" or kind.name not in served:
            raise Refused("FIELD_INTEGRITY_EXCEPTION", "Queue not associated with this SObject type", "OwnerId")

    def _check_unique(self, kind: ObjectType, one: Field, value: Any, record_id: str) -> None:
        for other in self.table(kind.name).live(one.name, value):
            if other["Id"] != record_id and (not one.case_sensitive or other[one.name] == value):
                message = f"duplicate value found: {one.name} duplicates value on record with id: {other['Id']}"
                raise Refused("DUPLICATE_VALUE", message, one.name)

    def _check_event(self, row: Row) -> None:
        starts = row.get("StartDateTime") or row.get("ActivityDateTime") or row.get("ActivityDate")
        ends = row.get("EndDateTime") or row.get("DurationInMinutes") is not None
        missing = [*([] if starts else ["StartDateTime"]), *([] if ends else ["DurationInMinutes"])]
        if missing:
            raise Refused("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", *missing)

    def _check_member(self, row: Row, changed: Row) -> None:
        if "CampaignId" not in changed:
            return
        people = [name for name in ("LeadId", "ContactId") if row.get(name)]
        if len(people) != 1:
            raise Refused("REQUIRED_FIELD_MISSING", "Either a lead or a contact is needed", "LeadId", "ContactId")
        for other in self.table("CampaignMember").live(people[0], row[people[0]]):
            if other["CampaignId"] == row["CampaignId"]:
                raise Refused("DUPLICATE_VALUE", "Already a campaign member.", people[0])

    def _check_permission(self, row: Row) -> None:
        owner, _, name = row["Field"].partition(".")
        kinds = (self._kinds["Task"],) if owner == ACTIVITY else tuple(filter(None, (self.kind(owner),)))
        one = kinds[0].find(name) if kinds else None
        if owner != row["SobjectType"] or one is None or not one.custom or one.required:
            message = f"Field Name: bad value for restricted picklist field: {row['Field']}"
            raise Refused("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, "Field")
        if row.get("PermissionsEdit") and not row.get("PermissionsRead"):
            raise Refused(
                "FIELD_INTEGRITY_EXCEPTION", "Permission Edit depends on permission(s): Read", "PermissionsRead"
            )

    def _check_pair(self, kind: ObjectType, row: Row) -> None:
        """Setup rows that may exist once only."""
        pairs = {
            "PermissionSet": ("Name",),
            "PermissionSetAssignment": ("PermissionSetId", "AssigneeId"),
            "FieldPermissions": ("ParentId", "Field"),
            "QueueSobject": ("QueueId", "SobjectType"),
            "GroupMember": ("GroupId", "UserOrGroupId"),
        }
        names = pairs.get(kind.name)
        if names is None:
            return
        for other in self.table(kind.name).having(names[0], row[names[0]]):
            if other["Id"] != row["Id"] and all(other[name] == row[name] for name in names):
                code = "DUPLICATE_DEVELOPER_NAME" if kind.name == "PermissionSet" else "DUPLICATE_VALUE"
                raise Refused(
                    code, f"duplicate value found: <unknown> duplicates value on record with id: {other['Id']}", *names
                )

    # -- what follows from a row's fields

    def _derive(self, kind: ObjectType, row: Row, before: Row, by: Actor, explicit: frozenset[str]) -> None:
        """Fill the fields the org computes. ``explicit`` ones were given by a seed and stay."""
        derived: Row = {}
        match kind.name:
            case "Lead" | "Contact" | "User":
                derived["Name"] = " ".join(filter(None, (row.get("FirstName"), row.get("LastName"))))
                if kind.name == "Contact":
                    derived["IsEmailBounced"] = bool(row.get("EmailBouncedReason"))
            case "Task":
                closed = dict(_TASK_STATUSES).get(row["Status"], False)
                finished = before.get("CompletedDateTime") or by.at
                derived |= {"IsClosed": closed, "CompletedDateTime": finished if closed else None}
                derived |= {"IsHighPriority": row["Priority"] == "High", "AccountId": self._account_reached(row)}
            case "Event":
                derived |= self._event_times(row) | {"AccountId": self._account_reached(row)}
            case "CampaignMember":
                derived |= self._membership(row, before, by)
            case "Opportunity":
                stage, chance = row["StageName"], dict(_STAGES).get(row["StageName"], 0)
                derived |= {"IsClosed": stage.startswith("Closed"), "IsWon": stage == "Closed Won"}
                if before.get("StageName") != stage:
                    derived["Probability"] = float(chance)
        for name, value in derived.items():
            if name not in explicit:
                row[name] = value

    def _account_reached(self, row: Row) -> str | None:
        what, who = row.get("WhatId"), row.get("WhoId")
        for record_id in filter(None, (what, who)):
            target = self.newest(record_id) or {}
            account = target.get("Id") if key_prefix(record_id) == "001" else target.get("AccountId")
            if account:
                return str(account)
        return None

    def _event_times(self, row: Row) -> Row:
        start = row.get("StartDateTime") or row.get("ActivityDateTime")
        end, minutes = row.get("EndDateTime"), row.get("DurationInMinutes")
        if start is None:
            return {}
        begun = datetime.fromisoformat(start)
        if end is None and minutes is not None:
            end = stamp(datetime.fromtimestamp(begun.timestamp() + minutes * 60, UTC))
        if end is not None:
            minutes = int((datetime.fromisoformat(end) - begun).total_seconds() // 60)
        return {
            "StartDateTime": start,
            "ActivityDateTime": start,
            "ActivityDate": start[:10],
            "EndDateTime": end,
            "DurationInMinutes": minutes,
        }

    def _membership(self, row: Row, before: Row, by: Actor) -> Row:
        labels = self.table("CampaignMemberStatus").having("CampaignId", row["CampaignId"])
        responded = any(one["HasResponded"] for one in labels if one["Label"] == row["Status"])
        first = before.get("FirstRespondedDate") or (by.at[:10] if responded else None)
        person = self.newest(row.get("ContactId") or row.get("LeadId") or "") or {}
        return {
            "HasResponded": responded,
            "FirstRespondedDate": first if responded else None,
            "LeadOrContactId": person.get("Id"),
            "Type": "Contact" if row.get("ContactId") else "Lead",
            **{name: person.get(name) for name in ("FirstName", "LastName", "Email")},
        }

    def _follow(self, kind: ObjectType, row: Row, by: Actor) -> None:
        """What the org does by itself after a record was created."""
        if kind.name in {"Task", "Event"}:
            day = row.get("ActivityDate") or by.at[:10]
            for record_id in dict.fromkeys(filter(None, (row.get("WhoId"), row.get("WhatId"), row.get("AccountId")))):
                self._touch(record_id, day, by)
        elif kind.name == "Campaign":
            for place, (label, responded) in enumerate((("Sent", False), ("Responded", True)), 1):
                status = {"CampaignId": row["Id"], "Label": label, "SortOrder": place, "HasResponded": responded}
                self._insert(
                    self._kinds["CampaignMemberStatus"], status | {"IsDefault": place == 1}, by, explicit=frozenset()
                )

    def _touch(self, record_id: str, day: str, by: Actor) -> None:
        kind, row = self.kind_of(record_id), self.newest(record_id)
        if kind is None or row is None or "LastActivityDate" not in kind.fields:
            return
        latest = max(day, row.get("LastActivityDate") or day)
        self.write(
            kind,
            record_id,
            self.stamped(row | {"LastActivityDate": latest}, kind, by, system=True),
            "update",
            by,
            told=False,
        )

    # -- merge and convert

    def _account_of(self, lead: Row, owner: str, by: Actor) -> str:
        same = ("Industry", "AnnualRevenue", "NumberOfEmployees", "Website", "Phone", "Rating")
        fields = {name: lead[name] for name in same if name in lead} | {
            "Name": lead.get("Company") or lead["Name"],
            "OwnerId": owner,
        }
        fields |= {
            f"Billing{part}": lead[part]
            for part in ("Street", "City", "State", "PostalCode", "Country")
            if part in lead
        }
        return self._insert(self._kinds["Account"], fields, by, explicit=frozenset(fields))

    def _hand_over(self, lead_id: str, contact_id: str, account_id: str, by: Actor) -> None:
        for name in ("Task", "Event"):
            for row in self.table(name).having("WhoId", lead_id):
                after = row | {"WhoId": contact_id, "AccountId": account_id}
                self.write(self._kinds[name], row["Id"], self.stamped(after, self._kinds[name], by), "update", by)
        kind = self._kinds["CampaignMember"]
        for row in self.table("CampaignMember").live("LeadId", lead_id):
            after = row | {"ContactId": contact_id, "LeadOrContactId": contact_id, "Type": "Contact"}
            self.write(kind, row["Id"], self.stamped(after, kind, by), "update", by)

    def _move_children(self, kind: ObjectType, loser: str, winner: str, by: Actor) -> None:
        for child, column in _CHILDREN[kind.name]:
            child_kind, table = self._kinds[child], self.table(child)
            for row in table.live(column, loser):
                if child == "CampaignMember" and any(
                    m["CampaignId"] == row["CampaignId"] for m in table.live(column, winner)
                ):
                    self.write(
                        child_kind, row["Id"], self.stamped(row | {"IsDeleted": True}, child_kind, by), "delete", by
                    )
                    continue
                after = row | {column: winner}
                if "LeadOrContactId" in child_kind.fields:
                    after["LeadOrContactId"] = winner
                self.write(child_kind, row["Id"], self.stamped(after, child_kind, by), "update", by)


def _clearable(one: Field) -> bool:
    return one.nillable and not one.required


def _shown(one: Field, row: Row) -> Any:
    return row.get(one.name, False if one.type == "boolean" else None)


def _compared(row: Row, without: tuple[str, ...] = ()) -> Row:
    left_out = {"SystemModstamp", "LastModifiedDate", *without}
    return {name: value for name, value in sorted(row.items()) if name not in left_out}
