"""Properties: what the portal has, and what mqlsync needs it to have.

Properties API: https://developers.hubspot.com/docs/api/crm/properties
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence

import msgspec

from connectors.errors import ConnectorError, RunCannotContinue, UnexpectedAnswer
from connectors.hubspot.answers import Undecodable, listing
from connectors.hubspot.client import PLURAL, Client
from connectors.hubspot.refusals import Problem, Refused
from connectors.records import Crm, FieldKind, FieldSchema, SchemaChange, WantedField

__all__ = ["GROUP", "TASK_KEY", "Schema", "field_schema"]

GROUP = "mqlsync"

TASK_KEY = WantedField(
    object="task",
    name="mqlsync_task_key",
    label="mqlsync task key",
    kind=FieldKind.TEXT,
    unique=True,
    description="Names the follow-up task of one MQL episode, so that it is created once.",
)
"""Whether accounts may have unique properties on tasks is documented nowhere: `Schema.ensure` tries."""


class _Option(msgspec.Struct, frozen=True):
    value: str
    label: str | None = None
    hidden: bool | None = None
    displayOrder: int | float | None = None  # noqa: N815  # HubSpot's names, here and below
    description: str | None = None


class _Access(msgspec.Struct, frozen=True):
    readOnlyValue: bool | None = None  # noqa: N815


class _Property(msgspec.Struct, frozen=True):
    name: str
    type: str = "string"
    fieldType: str | None = None  # noqa: N815
    options: list[_Option] | None = None
    calculated: bool | None = None
    hubspotDefined: bool | None = None  # noqa: N815
    hasUniqueValue: bool | None = None  # noqa: N815
    archived: bool | None = None
    referencedObjectType: str | None = None  # noqa: N815
    modificationMetadata: _Access | None = None  # noqa: N815


_TYPES: Mapping[FieldKind, tuple[str, str]] = {
    FieldKind.TEXT: ("string", "text"),
    FieldKind.NUMBER: ("number", "number"),
    FieldKind.DATETIME: ("datetime", "date"),
    FieldKind.BOOLEAN: ("enumeration", "booleancheckbox"),
    FieldKind.PICKLIST: ("enumeration", "select"),
}
"""Our kind -> (type, fieldType) of a property that is made."""

_ACCEPTED: Mapping[FieldKind, frozenset[str]] = {
    FieldKind.TEXT: frozenset({"string"}),
    FieldKind.NUMBER: frozenset({"number"}),
    FieldKind.DATETIME: frozenset({"datetime"}),
    FieldKind.BOOLEAN: frozenset({"bool", "enumeration"}),
    FieldKind.PICKLIST: frozenset({"enumeration"}),
    FieldKind.OWNER: frozenset({"enumeration", "string", "number"}),
}
"""Our kind -> the types of an existing property that can hold it."""

LONGEST_TEXT = 65_536

NOT_POSSIBLE = "not possible: tasks carry a marker instead"
"""What became of the task key where it is refused."""


def field_schema(name: str, property: _Property) -> FieldSchema:
    kind = _kind(property)
    options = None
    if kind is FieldKind.PICKLIST and property.options:
        options = tuple(option.value for option in sorted(property.options, key=_place))
    access = property.modificationMetadata or _Access()
    return FieldSchema(
        name=name,
        kind=kind,
        writable=not (access.readOnlyValue or property.calculated),
        length=LONGEST_TEXT if kind is FieldKind.TEXT else None,
        options=options,
        unique=bool(property.hasUniqueValue),
        custom=property.hubspotDefined is not True,
        native=property.type,
    )


def _place(option: _Option) -> float:
    """-1 and a missing order come last, as in HubSpot's own lists."""
    return float("inf") if option.displayOrder is None or option.displayOrder < 0 else option.displayOrder


def _kind(property: _Property) -> FieldKind:
    if property.referencedObjectType == "OWNER" or property.name == "hubspot_owner_id":
        return FieldKind.OWNER
    match property.type:
        case "string" | "phone_number":
            return FieldKind.TEXT
        case "number":
            return FieldKind.NUMBER
        case "datetime" | "date":
            return FieldKind.DATETIME
        case "bool":
            return FieldKind.BOOLEAN
        case "enumeration":
            return FieldKind.BOOLEAN if property.fieldType == "booleancheckbox" else FieldKind.PICKLIST
        case _:
            return FieldKind.OTHER


class Schema:
    """The properties of the portal's objects, read once per object and kept in ``known``.

    ``unread``: object -> rows of its newest listing that are no property.
    """

    def __init__(self, client: Client, known: MutableMapping[str, Mapping[str, FieldSchema]]) -> None:
        self._client = client
        self._known = known
        self.unread: dict[str, tuple[Undecodable, ...]] = {}

    def of(self, object: str) -> Mapping[str, FieldSchema]:
        """Every property of an object by name. One call, if it is not known yet."""
        if object not in self._known:
            self._remember(object, self._read(object))
        return self._known[object]

    def seen(self, object: str) -> Mapping[str, FieldSchema]:
        """The same as far as it is known already; no call."""
        return self._known.get(object, {})

    def ensure(self, wanted: Sequence[WantedField], *, dry_run: bool) -> tuple[SchemaChange, ...]:
        """See `HubSpotConnector.ensure_schema`."""
        wanted = [*wanted, *([] if any(w.name == TASK_KEY.name for w in wanted) else [TASK_KEY])]
        changes: dict[tuple[str, str], SchemaChange] = {}
        for object in dict.fromkeys(want.object for want in wanted):
            for change in self._ensure_object(object, [w for w in wanted if w.object == object], dry_run=dry_run):
                changes[change.object, change.name] = change
        return tuple(changes[want.object, want.name] for want in wanted)

    def _ensure_object(self, object: str, wanted: Sequence[WantedField], *, dry_run: bool) -> list[SchemaChange]:
        try:
            there = self._read(object)
        except (RunCannotContinue, UnexpectedAnswer) as refused:
            if object != TASK_KEY.object or _out_of_quota(refused):
                raise
            return [SchemaChange(object=object, name=want.name, what=NOT_POSSIBLE) for want in wanted]
        for want in wanted:
            _check_type(want, there.get(want.name))
        missing = [want for want in wanted if want.name not in there]
        changes = [self._complete(want, there[want.name], dry_run=dry_run) for want in wanted if want.name in there]
        if dry_run:
            self._remember(object, there)
            return changes + [SchemaChange(object=object, name=want.name, what="created") for want in missing]
        required = [want for want in missing if want.name != TASK_KEY.name]
        if required:
            self._make_group(object)
            changes += self._create(object, required)
        changes += [self._try_unique(want) for want in missing if want.name == TASK_KEY.name]
        self._remember(object, self._read(object) if any(c.what != "present" for c in changes) else there)
        return changes

    def _read(self, object: str) -> dict[str, _Property]:
        found = self._client.read(
            "properties", "GET", self._client.properties(object), read=lambda body: listing(body, _Property)
        )
        self.unread[object] = tuple(found.broken)
        return {property.name: property for property in found.results if not property.archived}

    def _remember(self, object: str, there: Mapping[str, _Property]) -> None:
        self._known[object] = {name: field_schema(name, property) for name, property in there.items()}

    # -- making what is missing ------------------------------------------------------------------------------------

    def _make_group(self, object: str) -> None:
        body = {"name": GROUP, "label": GROUP, "displayOrder": -1}
        try:
            self._client.write(
                "property_groups", "POST", self._client.properties(object, "groups"), body, repeatable=True
            )
        except Refused as refused:
            if not _exists(refused):
                raise _cannot(object, f"the property group {GROUP}", refused) from refused

    def _create(self, object: str, missing: Sequence[WantedField]) -> list[SchemaChange]:
        """In one call; where HubSpot refuses that, or a part of it, whatever is still missing one by one."""
        path = self._client.properties(object, "batch", "create")
        try:
            self._client.write(
                "properties_create", "POST", path, {"inputs": [_definition(want) for want in missing]}, repeatable=True
            )
        except Refused as refused:
            if refused.status not in (400, 404, 409):
                raise _cannot(object, ", ".join(want.name for want in missing), refused) from refused
        there = self._read(object)
        for want in missing:
            if want.name not in there:
                self._create_one(want)
            else:
                _check_type(want, there[want.name])
        return [SchemaChange(object=object, name=want.name, what="created") for want in missing]

    def _create_one(self, want: WantedField) -> None:
        try:
            self._client.write(
                "properties_create", "POST", self._client.properties(want.object), _definition(want), repeatable=True
            )
        except Refused as refused:
            if not _exists(refused):
                raise _cannot(want.object, want.name, refused) from refused

    def _try_unique(self, want: WantedField) -> SchemaChange:
        """Refused is an answer too: tasks then carry a marker in their text."""
        try:
            self._make_group(want.object)
            self._create_one(want)
        except (RunCannotContinue, UnexpectedAnswer) as refused:
            if _out_of_quota(refused):
                raise
            return SchemaChange(object=want.object, name=want.name, what=NOT_POSSIBLE)
        return SchemaChange(object=want.object, name=want.name, what="created")

    def _complete(self, want: WantedField, found: _Property, *, dry_run: bool) -> SchemaChange:
        """Add the options a picklist lacks. A PATCH replaces the list, so it is sent whole."""
        there = found.options or []
        missing = [option for option in want.options if option not in {o.value for o in there}]
        if want.kind is not FieldKind.PICKLIST or not missing:
            return SchemaChange(object=want.object, name=want.name, what="present")
        if not dry_run:
            kept = [
                {
                    "label": o.label or o.value,
                    "value": o.value,
                    "displayOrder": -1 if o.displayOrder is None else o.displayOrder,
                    "hidden": bool(o.hidden),
                }
                | ({"description": o.description} if o.description else {})
                for o in there
            ]
            body = {"options": kept + _options(missing, want.labels, start=len(there))}
            path = self._client.properties(want.object, want.name)
            try:
                self._client.write("properties_update", "PATCH", path, body, repeatable=True)
            except Refused as refused:
                raise _cannot(want.object, f"the options {', '.join(missing)} of {want.name}", refused) from refused
        return SchemaChange(object=want.object, name=want.name, what="options added")


def _definition(want: WantedField) -> dict[str, object]:
    type, field_type = _TYPES[want.kind]
    if want.kind is FieldKind.TEXT and want.length > 255:
        field_type = "textarea"
    body: dict[str, object] = {
        "name": want.name,
        "label": want.label,
        "type": type,
        "fieldType": field_type,
        "groupName": GROUP,
        "description": want.description,
        "formField": False,
    }
    if want.unique:
        body["hasUniqueValue"] = True
    if want.kind is FieldKind.BOOLEAN:
        body["options"] = _options(("true", "false"), {})
    elif want.kind is FieldKind.PICKLIST:
        body["options"] = _options(want.options, want.labels)
    return body


def _options(values: Sequence[str], labels: Mapping[str, str], start: int = 0) -> list[dict[str, object]]:
    return [
        {
            "label": labels.get(value) or value.replace("_", " "),
            "value": value,
            "displayOrder": start + at,
            "hidden": False,
        }
        for at, value in enumerate(values)
    ]


def _check_type(want: WantedField, found: _Property | None) -> None:
    if found is None:
        if want.kind not in _TYPES:
            raise RunCannotContinue(
                Crm.HUBSPOT, f"{want.object} has no property {want.name}, and mqlsync does not make {want.kind} ones."
            )
    elif found.type not in _ACCEPTED.get(want.kind, frozenset({found.type})):
        raise RunCannotContinue(
            Crm.HUBSPOT,
            f"the property {want.name} of {want.object} exists with type {found.type} where {want.kind} is wanted.",
            advice="Rename it in policy.yaml under write, or delete it in HubSpot. mqlsync never changes a type.",
        )


def _out_of_quota(error: ConnectorError) -> bool:
    return isinstance(error, RunCannotContinue) and error.quota


def _exists(refused: Refused) -> bool:
    said = refused.refusal.message.casefold()
    return (
        refused.status == 409
        or "already exists" in said
        or refused.refusal.category in ("CONFLICT", "OBJECT_ALREADY_EXISTS")
    )


def _cannot(object: str, what: str, refused: Refused) -> RunCannotContinue:
    problem: Problem = refused.refusal
    return RunCannotContinue(
        Crm.HUBSPOT,
        f"could not make {what} on {object}: HTTP {refused.status} {problem.reason()}".rstrip() + ".",
        advice=f"The token needs the scope crm.schemas.{PLURAL[object]}.write; or make it by hand in HubSpot.",
    )
