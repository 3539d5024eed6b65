"""The properties API: what an admin or an integration adds to the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from connectors.sandbox.hubspot_bodies import (
    RefusalError,
    batch,
    error_entry,
    flag,
    inputs_of,
    need,
    not_found,
    object_of,
)
from connectors.sandbox.hubspot_schema import (
    FIELD_TYPES,
    NAME,
    UNIQUE_MAX,
    ObjectType,
    Property,
    group_json,
    options,
    stage_stamps,
)
from connectors.sandbox.hubspot_store import PortalState, Table
from connectors.sandbox.server import Request, Response


class Properties:
    """Answers `/crm/v3/properties/...`."""

    def __init__(self, portal: PortalState) -> None:
        self._portal = portal

    def answer(self, request: Request, method: str, table: Table, rest: tuple[str, ...]) -> Response:
        """One call below `/crm/v3/properties/{type}`."""
        if method != "GET" and rest[-1:] != ("read",):
            name = table.kind.name if table.kind.name in ("companies", "deals") else "contacts"
            need(self._portal, f"crm.schemas.{name}.write")
        known, groups = table.kind.properties, table.kind.groups
        match (method, *rest):
            case ("GET",):
                shown = () if flag(request, "archived") else known.values()
                return Response(200, {"results": [prop.as_json() for prop in shown]})
            case ("POST",):
                return Response(201, self._define(table, object_of(request)).as_json())
            case ("POST", "batch", verb):
                return self._batch_properties(request, table, verb)
            case ("GET", "groups"):
                return Response(200, {"results": list(groups.values())})
            case ("POST", "groups"):
                return self._add_group(table, object_of(request))
            case ("GET", "groups", name):
                if name not in groups:
                    raise not_found(name)
                return Response(200, groups[name])
            case ("GET", name):
                return Response(200, self._property(table, name).as_json())
            case ("PATCH", name):
                return Response(200, self._redefine(table, self._property(table, name), object_of(request)))
            case ("DELETE", name):
                self._undefine(table, self._property(table, name))
                return Response(204)
            case _:
                raise RefusalError(405, None, "Method Not Allowed")

    def _property(self, table: Table, name: str) -> Property:
        prop = table.kind.properties.get(name)
        if prop is None:
            raise RefusalError(404, "OBJECT_NOT_FOUND", f"Property {name} of {table.kind.name} does not exist")
        return prop

    def _batch_properties(self, request: Request, table: Table, verb: str) -> Response:
        started = self._portal.now()
        inputs = inputs_of(object_of(request))
        results: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for one in inputs:
            name = str(one.get("name"))
            try:
                match verb:
                    case "create":
                        results.append(self._define(table, one).as_json())
                    case "read":
                        results.append(self._property(table, name).as_json())
                    case "archive":
                        self._undefine(table, self._property(table, name))
                    case _:
                        raise RefusalError(404, None, "resource not found")
            except RefusalError as refusal:
                context = {"propertyName": [name]}
                errors.append(error_entry(refusal.category or "VALIDATION_ERROR", refusal.message, context))
        if verb == "archive":
            return Response(204)
        return batch(self._portal, 201 if verb == "create" else 200, results, errors, started)

    def _define(self, table: Table, wish: Mapping[str, Any]) -> Property:
        kind = table.kind
        missing = [key for key in ("name", "label", "type", "fieldType", "groupName") if not wish.get(key)]
        if missing:
            raise RefusalError(400, "VALIDATION_ERROR", f"Some required fields were not set: [{', '.join(missing)}]")
        name = str(wish["name"])
        if name in kind.properties:
            raise RefusalError(409, "CONFLICT", f"A property named '{name}' already exists.")
        self._refuse_bad_definition(kind, name, wish)
        now = self._portal.now()
        prop = Property(
            name=name,
            label=str(wish["label"]),
            type=str(wish["type"]),
            field_type=str(wish["fieldType"]),
            group=str(wish["groupName"]),
            description=str(wish.get("description") or ""),
            options=_options(wish.get("options") or ()),
            unique=bool(wish.get("hasUniqueValue")),
            standard=False,
            form_field=bool(wish.get("formField")),
            hidden=bool(wish.get("hidden")),
            display_order=int(wish.get("displayOrder", -1)),
            created=now,
            updated=now,
        )
        if prop.type == "bool" and not prop.options:
            prop.options = options((("true", "Yes"), ("false", "No")))
        self._portal.define(table, prop)
        return prop

    def _refuse_bad_definition(self, kind: ObjectType, name: str, wish: Mapping[str, Any]) -> None:
        bad = None
        if not NAME.fullmatch(name):
            bad = f"The name '{name}' is invalid: lowercase letters, digits and underscores, beginning with a letter"
        elif wish["type"] not in FIELD_TYPES:
            bad = f"type {wish['type']} is not one of {sorted(FIELD_TYPES)}"
        elif wish["fieldType"] not in FIELD_TYPES[wish["type"]]:
            bad = f"fieldType {wish['fieldType']} does not fit type {wish['type']}"
        elif wish["groupName"] not in kind.groups:
            bad = f"The property group {wish['groupName']} does not exist"
        elif wish["type"] == "enumeration" and not wish.get("options"):
            bad = "An enumeration needs options"
        elif wish.get("hasUniqueValue") and wish["type"] not in ("string", "number"):
            bad = "Only string and number properties can have unique values"
        elif wish.get("hasUniqueValue") and kind.name == "tasks" and not self._portal.unique_task_property:
            bad = "Properties with unique values are not supported for object type TASK"
        elif (
            wish.get("hasUniqueValue")
            and sum(not p.standard and p.unique for p in kind.properties.values()) >= UNIQUE_MAX
        ):
            bad = f"at most {UNIQUE_MAX} properties with unique values"
        if bad is not None:
            raise RefusalError(400, "VALIDATION_ERROR", bad)

    def _redefine(self, table: Table, prop: Property, wish: Mapping[str, Any]) -> dict[str, Any]:
        metadata = prop.as_json()["modificationMetadata"]
        if prop.type != wish.get("type", prop.type) or "hasUniqueValue" in wish:
            raise RefusalError(400, "VALIDATION_ERROR", f"type and uniqueness of {prop.name} cannot be changed")
        if wish.keys() - {"options"} and metadata["readOnlyDefinition"]:
            raise RefusalError(400, "VALIDATION_ERROR", f"the definition of {prop.name} is read only")
        if "options" in wish:
            if metadata["readOnlyOptions"]:
                raise RefusalError(400, "VALIDATION_ERROR", f"the options of {prop.name} are read only")
            prop.options = _options(wish["options"])  # the list is replaced, not added to
            if prop.name == "lifecyclestage":
                for stamp in (stamp for value in prop.values for stamp in stage_stamps(value)):
                    table.kind.properties.setdefault(stamp.name, stamp)
        prop.label = str(wish.get("label", prop.label))
        prop.description = str(wish.get("description", prop.description))
        prop.hidden = bool(wish.get("hidden", prop.hidden))
        prop.form_field = bool(wish.get("formField", prop.form_field))
        prop.updated = self._portal.now()
        return prop.as_json()

    def _undefine(self, table: Table, prop: Property) -> None:
        if prop.standard:
            raise RefusalError(400, "VALIDATION_ERROR", f"{prop.name} is HubSpot's own and cannot be archived")
        del table.kind.properties[prop.name]
        table.unique.pop(prop.name, None)
        for record in table.by_id.values():
            record.properties.pop(prop.name, None)
        table.changed()

    def _add_group(self, table: Table, wish: Mapping[str, Any]) -> Response:
        name, label = str(wish.get("name") or ""), str(wish.get("label") or "")
        if not NAME.fullmatch(name) or not label:
            raise RefusalError(400, "VALIDATION_ERROR", "A group needs a valid name and a label")
        if name in table.kind.groups:
            raise RefusalError(409, "CONFLICT", f"A property group named '{name}' already exists.")
        table.kind.groups[name] = group_json(name, label, int(wish.get("displayOrder", -1)))
        return Response(201, table.kind.groups[name])


def _options(wish: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    chosen = []
    for place, option in enumerate(wish):
        if not option.get("label") or option.get("value") in (None, ""):
            raise RefusalError(400, "VALIDATION_ERROR", "each option needs a label and a value")
        chosen.append(
            {
                "label": str(option["label"]),
                "value": str(option["value"]),
                "displayOrder": int(option.get("displayOrder", place)),
                "hidden": bool(option.get("hidden", False)),
            }
        )
    if len({option["value"] for option in chosen}) < len(chosen):
        raise RefusalError(400, "VALIDATION_ERROR", "option values must be different")
    return chosen
