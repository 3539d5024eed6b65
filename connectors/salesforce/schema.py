"""What the org's objects look like to us, and making the fields that are missing.

Source: REST API "sObject Describe"; Tooling API "CustomField"; Object Reference "PermissionSet", "FieldPermissions".
A field made through the Tooling API is invisible until a permission set grants it, and what a describe shows is all
that can be read or written, so only a describe is trusted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from connectors.errors import OutcomeUnknown, RetryLater, RunCannotContinue, SourceMissing, UnexpectedAnswer
from connectors.records import Crm, FieldKind, FieldSchema, RecordProblem, SchemaChange, WantedField
from connectors.salesforce import soql
from connectors.salesforce.client import Client
from connectors.salesforce.refusals import NotPossible, Problem, Refused
from connectors.salesforce.unread import readable, text_in

__all__ = [
    "API_NAMES",
    "TASK_KEY",
    "Describes",
    "NotVisible",
    "Picklist",
    "SchemaMaker",
    "api_name",
    "as_source",
    "not_visible",
]

API_NAMES: Mapping[str, str] = {
    "lead": "Lead",
    "contact": "Contact",
    "account": "Account",
    "opportunity": "Opportunity",
    "campaign member": "CampaignMember",
    "task": "Task",
    "event": "Event",
    "email message": "EmailMessage",
    "opportunity contact role": "OpportunityContactRole",
    "user": "User",
}
"""Our names of objects to Salesforce's. An object that is not listed is called by its API name."""

TASK_KEY = "MQL_Task_Key__c"
"""The field that names a follow-up task for ever. Custom fields of tasks are made on Activity."""

PERMISSION_SET = "mqlsync"

_NOT_POSSIBLE = "not possible"

_KINDS: Mapping[str, FieldKind] = {
    "string": FieldKind.TEXT,
    "textarea": FieldKind.TEXT,
    "email": FieldKind.TEXT,
    "phone": FieldKind.TEXT,
    "url": FieldKind.TEXT,
    "id": FieldKind.TEXT,
    "encryptedstring": FieldKind.TEXT,
    "combobox": FieldKind.TEXT,
    "reference": FieldKind.TEXT,
    "double": FieldKind.NUMBER,
    "int": FieldKind.NUMBER,
    "long": FieldKind.NUMBER,
    "currency": FieldKind.NUMBER,
    "percent": FieldKind.NUMBER,
    "boolean": FieldKind.BOOLEAN,
    "date": FieldKind.DATETIME,
    "datetime": FieldKind.DATETIME,
    "picklist": FieldKind.PICKLIST,
}


def api_name(object: str) -> str:
    return API_NAMES.get(object, object)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picklist:
    """A picklist field: active API values in the org's order, whether others are refused, the default."""

    options: tuple[str, ...]
    restricted: bool
    default: str | None

    def choose(self, wanted: str) -> str | None:
        """The wanted value if the org has it, else its default, else its first. None when the list is empty."""
        if wanted in self.options:
            return wanted
        return self.default or next(iter(self.options), None)


class NotVisible(RunCannotContinue):
    """An object that this org does not have, or that the integration user may not see."""


_NOT_HERE = frozenset({"INVALID_TYPE", "INSUFFICIENT_ACCESS", "INSUFFICIENT_ACCESS_OR_READONLY"})
"""Codes by which a query of such an object is refused, where its describe was kept from an earlier day."""


def not_visible(refused: RunCannotContinue) -> bool:
    """Whether this says that the org does not have the object, or that the integration user may not see it."""
    return isinstance(refused, NotVisible) or (isinstance(refused, NotPossible) and refused.refusal.code in _NOT_HERE)


@contextmanager
def as_source(stream: str) -> Iterator[None]:
    """Reading one stream of engagement: an object that is not to be seen leaves the stream out, it stops no run.

    SourceMissing in place of the refusal.
    """
    try:
        yield
    except RunCannotContinue as refused:
        if not not_visible(refused):
            raise
        raise SourceMissing(
            Crm.SALESFORCE, f"{stream} is not read: {refused.problem}", advice=refused.advice
        ) from refused


class Describes:
    """Describes, each fetched once. ``known`` holds the schemas; what an earlier run has put there spares the call."""

    def __init__(self, client: Client, known: MutableMapping[str, Mapping[str, FieldSchema]]) -> None:
        self._client = client
        self._fields = known
        self._raw: dict[str, Mapping[str, Any]] = {}
        self._unread: dict[str, tuple[RecordProblem, ...]] = {}

    def fields(self, object: str) -> Mapping[str, FieldSchema]:
        """Every field of the object that this user can see, by API name."""
        if object not in self._fields:
            described = self._described(object).values()
            found, problems = readable(f"{object} field", described, field_schema, named="name")
            self._fields[object] = {field.name: field for field in found}
            self._unread[object] = (*self._unread.get(object, ()), *problems)
        return self._fields[object]

    @property
    def unread(self) -> tuple[RecordProblem, ...]:
        """Fields that were described and could not be read: they are not there for us."""
        return tuple(problem for problems in self._unread.values() for problem in problems)

    def picklist(self, object: str, field: str) -> Picklist | None:
        """A picklist with its default and strictness, which `FieldSchema` does not hold; None for other fields."""
        raw = self._described(object).get(field)
        if raw is None or raw.get("type") not in ("picklist", "multipicklist"):
            return None
        active = _active(raw)
        return Picklist(
            options=tuple(v["value"] for v in active),
            restricted=bool(raw.get("restrictedPicklist")),
            default=next((v["value"] for v in active if v.get("defaultValue")), None),
        )

    def forget(self, object: str) -> None:
        """Ask again at the next use."""
        self._fields.pop(object, None)
        self._raw.pop(object, None)

    def fresh(self, object: str) -> Mapping[str, FieldSchema]:
        """The fields as they are now."""
        self.forget(object)
        return self.fields(object)

    def fetched(self, object: str) -> bool:
        """Whether the object was described in this connector's life, rather than known from before."""
        return object in self._raw

    def visible(self, object: str, names: Sequence[str]) -> tuple[list[str], list[str]]:
        """Names split into those that can be selected and those that cannot.

        ``Account.Industry`` counts as selectable where the object shows the reference it goes through.
        """
        known = self.fields(object)
        shown: list[str] = []
        hidden: list[str] = []
        for name in names:
            (shown if name in known or _reference(name) in known else hidden).append(name)
        return shown, hidden

    def _described(self, object: str) -> Mapping[str, Any]:
        if object not in self._raw:
            answer = self._ask(object)
            if not isinstance(answer, dict) or not isinstance(answer.get("fields"), list):
                raise UnexpectedAnswer(Crm.SALESFORCE, f"the describe of {api_name(object)} has no fields.", status=200)
            named, problems = readable(f"{object} field", answer["fields"], _named)
            self._raw[object] = dict(named)
            self._unread[object] = problems
        return self._raw[object]

    def _ask(self, object: str) -> Any:
        try:
            return self._client.get(f"sobjects/{api_name(object)}/describe", kind="describe")
        except Refused as refused:
            if refused.status != 404:
                raise
            raise NotVisible(
                Crm.SALESFORCE,
                f"the object {api_name(object)} does not exist in this org, or the integration user may not see it.",
                advice="Give the user read access to it, or leave it out of fields.yaml.",
                credentials=True,
            ) from None


def _reference(path: str) -> str | None:
    """The id field behind a relationship path: ``Owner.Name`` -> OwnerId, ``Plan__r.Tier__c`` -> Plan__c."""
    first, dot, _ = path.partition(".")
    if not dot:
        return None
    return first.removesuffix("__r") + "__c" if first.endswith("__r") else first + "Id"


def _named(raw: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    name = text_in(raw, "name")
    if not name:
        raise ValueError("it has no name")
    return name, raw


def _active(raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The values of a picklist that can be chosen, in the org's order. One without an API value cannot."""
    listed = raw.get("picklistValues")
    values = [v for v in listed if isinstance(v, dict)] if isinstance(listed, list) else []
    return [v for v in values if isinstance(v.get("value"), str) and v.get("active", True)]


def field_schema(raw: Mapping[str, Any]) -> FieldSchema:
    """One field of a describe."""
    kind = _KINDS.get(raw.get("type", ""), FieldKind.OTHER)
    if raw.get("type") == "reference" and "User" in (raw.get("referenceTo") or ()) and raw["name"] == "OwnerId":
        kind = FieldKind.OWNER
    return FieldSchema(
        name=raw["name"],
        kind=kind,
        writable=bool(raw.get("updateable", True)),
        length=raw.get("length") or None,
        options=tuple(v["value"] for v in _active(raw)) if kind is FieldKind.PICKLIST else None,
        unique=bool(raw.get("unique")),
        custom=bool(raw.get("custom")),
        native=raw.get("type", ""),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Missing:
    """What a wanted field lacks: it is not shown, not editable, or a restricted picklist without some ``options``."""

    field: WantedField
    shown: bool
    options: tuple[str, ...] = ()

    @property
    def what(self) -> str:
        """The word for making it."""
        return "created" if not self.shown else "options added" if self.options else "granted"


class SchemaMaker:
    """Makes what is missing, in an order that can be repeated after a crash at any point."""

    def __init__(self, client: Client, describes: Describes) -> None:
        self._client = client
        self._describes = describes

    def ensure(
        self, wanted: Sequence[WantedField], *, user_id: str | None, dry_run: bool = False
    ) -> tuple[SchemaChange, ...]:
        """See `connectors.port.Connector.ensure_schema`.

        Nothing is made before everything that exists was found to fit. RunCannotContinue says what a person has to
        change.
        ``user_id``: the user to make the fields visible to, None when not known.
        """
        fields = _with_task_key(wanted)
        self._look_again(fields)
        missing = [m for m in map(self._missing, fields) if m is not None]
        done = {(f.object, f.name): "present" for f in fields}
        try:
            for one in missing:
                done[one.field.object, one.field.name] = one.what if dry_run else self._make(one)
            if not dry_run:
                there = [m.field for m in missing if not done[m.field.object, m.field.name].startswith(_NOT_POSSIBLE)]
                self._make_visible(there, user_id, done)
        except OutcomeUnknown as unknown:
            raise RetryLater(Crm.SALESFORCE, unknown.problem, advice="Run setup again.") from unknown
        return tuple(SchemaChange(object=object, name=name, what=what) for (object, name), what in done.items())

    def _missing(self, field: WantedField) -> _Missing | None:
        shown = self._describes.fields(field.object).get(field.name)
        if shown is None:
            return _Missing(field=field, shown=False)
        self._must_fit(field, shown)
        options = self._lacking(field)
        return None if shown.writable and not options else _Missing(field=field, shown=True, options=options)

    def _must_fit(self, field: WantedField, shown: FieldSchema) -> None:
        where = f"{api_name(field.object)}.{field.name}"
        if shown.kind is not field.kind:
            raise RunCannotContinue(
                Crm.SALESFORCE,
                f"{where} is a {shown.native or shown.kind}, but {field.kind} is needed; nothing was changed.",
                advice="Name another field in policy.yaml (write:), or change the type in Salesforce Setup.",
            )
        if field.kind is FieldKind.TEXT and shown.length is not None and shown.length < field.length:
            raise RunCannotContinue(
                Crm.SALESFORCE,
                f"{where} holds {shown.length} characters, but {field.length} are needed; nothing was changed.",
                advice="Make it longer in Salesforce Setup.",
            )

    def _lacking(self, field: WantedField) -> tuple[str, ...]:
        """The wanted values that a restricted picklist would refuse, or that people could not choose."""
        picklist = self._describes.picklist(field.object, field.name)
        if picklist is None or not (picklist.restricted or field.offered):
            return ()
        return tuple(option for option in field.options if option not in picklist.options)

    def _make(self, missing: _Missing) -> str:
        """Do what can be done by metadata; the word for it. Visibility comes after."""
        if not missing.shown:
            return self._create(missing.field)
        if missing.options:
            self._add_options(missing.field, missing.options)
        return missing.what

    def _add_options(self, field: WantedField, options: Sequence[str]) -> None:
        """Add values to a field's own picklist. One that is shared (a global value set) is left to a person."""
        where = f"{api_name(field.object)}.{field.name}"
        name = soql.literal(field.name.removesuffix("__c"))
        condition = f"TableEnumOrId = {soql.literal(api_name(field.object))} AND DeveloperName = {name}"
        query = soql.address(soql.select(["Id", "Metadata"], "CustomField", condition))
        try:
            found = self._client.get(f"tooling/query/?q={query}", kind="schema")
            id, metadata = found["records"][0]["Id"], found["records"][0]["Metadata"]
            values = metadata["valueSet"]["valueSetDefinition"]["value"]
            new = [_value(field, option) for option in options]
            definition = {**metadata["valueSet"]["valueSetDefinition"], "value": [*values, *new]}
            body = {"Metadata": {**metadata, "valueSet": {**metadata["valueSet"], "valueSetDefinition": definition}}}
            self._client.send("PATCH", f"tooling/sobjects/CustomField/{id}", body, kind="schema")
        except (Refused, NotPossible, KeyError, IndexError, TypeError) as refused:
            why = f" ({refused.refusal.code})" if isinstance(refused, Refused | NotPossible) else ""
            raise RunCannotContinue(
                Crm.SALESFORCE,
                f"{where} lacks the values {', '.join(options)}, and they cannot be added from here{why}.",
                advice="Add them to the picklist in Salesforce Setup (API names exactly as here), active.",
            ) from None

    def _create(self, field: WantedField) -> str:
        """Create one field; the word for what was done."""
        try:
            try:
                self._post_field(field, field.unique)
            except OutcomeUnknown:
                self._post_field(field, field.unique)  # whether the first did it, the second is told
        except (Refused, NotPossible) as refused:
            if _is_there(refused.refusal):
                return "granted"  # it exists, hidden by field-level security
            if field.name != TASK_KEY:
                raise self._cannot_create(field, refused) from refused
            return self._create_plain_key(field)
        return "created"

    def _create_plain_key(self, field: WantedField) -> str:
        """The task key where Activity takes no unique field. Without any key field, tasks carry a marker instead."""
        try:
            self._post_field(field, False)
        except (Refused, NotPossible) as refused:
            if _is_there(refused.refusal):
                return "granted"
            return f"{_NOT_POSSIBLE} ({refused.refusal.code or 'refused'}): tasks carry a marker instead"
        return "created"

    def _post_field(self, field: WantedField, unique: bool) -> None:
        # custom fields of Task and Event live on their common parent
        owner = "Activity" if field.object in ("task", "event") else api_name(field.object)
        body = {"FullName": f"{owner}.{field.name}", "Metadata": _metadata(field, unique=unique)}
        answer = self._client.send("POST", "tooling/sobjects/CustomField", body, kind="schema")
        self._expect_success(answer, f"creating {owner}.{field.name}")

    @staticmethod
    def _cannot_create(field: WantedField, refused: Refused | NotPossible) -> RunCannotContinue:
        return RunCannotContinue(
            Crm.SALESFORCE,
            f"{api_name(field.object)}.{field.name} cannot be created: {refused.problem}",
            advice='Sign in as a user with "Customize Application" for setup, or create the field by hand.',
            credentials=isinstance(refused, NotPossible) and refused.credentials,
        )

    @staticmethod
    def _expect_success(answer: Any, doing: str) -> str:
        """The id in ``{"id", "success", "errors"}``. A refusal inside a good status is raised like any other."""
        if isinstance(answer, dict) and answer.get("success") and answer.get("id"):
            return str(answer["id"])
        errors = answer.get("errors") if isinstance(answer, dict) else None
        if errors:
            first = errors[0] if isinstance(errors[0], dict) else {}
            code = first.get("statusCode") or first.get("errorCode") or ""
            raise Refused(Problem(code=code, message=str(first.get("message", ""))), status=400)
        raise OutcomeUnknown(Crm.SALESFORCE, f"{doing} was answered with neither an id nor an error.")

    # -- visibility ------------------------------------------------------------------------------------------------

    def _grant(self, fields: Sequence[WantedField], user_id: str | None) -> None:
        """Give read and edit rights on the fields to the integration user, by a permission set of our own."""
        set_id = self._permission_set()
        if user_id is not None:
            self._assign(set_id, user_id)
        # the task key last: an org that refuses it (it is Activity's, not Task's) is to show the others all the same
        self._grant_fields(set_id, sorted(fields, key=lambda field: field.name == TASK_KEY))

    def _permission_set(self) -> str:
        named = soql.literal(PERMISSION_SET)
        query = soql.select(["Id"], "PermissionSet", f"Name = {named}")
        found = self._client.rows(query, kind="schema")
        if found:
            return str(found[0]["Id"])
        body = {"Name": PERMISSION_SET, "Label": PERMISSION_SET, "Description": "The fields mqlsync writes."}
        return self._create_row("PermissionSet", body, query)

    def _grant_fields(self, set_id: str, fields: Sequence[WantedField]) -> None:
        where = f"ParentId = {soql.literal(set_id)}"
        query = soql.select(["Id", "Field", "PermissionsEdit"], "FieldPermissions", where)
        granted = {row["Field"]: row for row in self._client.rows(query, kind="schema")}
        for field in fields:
            object = api_name(field.object)
            name = f"{object}.{field.name}"
            row = granted.get(name)
            if row is not None and row.get("PermissionsEdit"):
                continue
            rights = {"PermissionsRead": True, "PermissionsEdit": True}
            if row is not None:
                self._client.send("PATCH", f"sobjects/FieldPermissions/{row['Id']}", rights, kind="schema")
                continue
            body = {"ParentId": set_id, "SobjectType": object, "Field": name, **rights}
            self._create_row("FieldPermissions", body, f"{query} AND Field = {soql.literal(name)}")

    def _assign(self, set_id: str, user_id: str) -> None:
        where = f"PermissionSetId = {soql.literal(set_id)} AND AssigneeId = {soql.literal(user_id)}"
        query = soql.select(["Id"], "PermissionSetAssignment", where)
        if not self._client.rows(query, kind="schema"):
            body = {"AssigneeId": user_id, "PermissionSetId": set_id}
            self._create_row("PermissionSetAssignment", body, query)

    def _create_row(self, object: str, body: Mapping[str, object], query: str) -> str:
        """Create a setup record; one that somebody else has made meanwhile is as good."""
        try:
            return self._expect_success(
                self._client.send("POST", f"sobjects/{object}", body, kind="schema"), f"creating {object}"
            )
        except OutcomeUnknown as unknown:
            found = self._client.rows(query, kind="schema")
            if not found:
                raise RetryLater(Crm.SALESFORCE, unknown.problem, advice="Run setup again.") from unknown
        except Refused as refused:
            found = self._client.rows(query, kind="schema") if refused.refusal.code.startswith("DUPLICATE") else []
            if not found:
                raise
        return str(found[0]["Id"])

    def _make_visible(
        self, fields: Sequence[WantedField], user_id: str | None, done: dict[tuple[str, str], str]
    ) -> None:
        """Grant what the describe does not show as editable; what it does not show then either is not there for us."""
        hidden = self._hidden(fields)
        if not hidden:
            return
        why = ""
        try:
            self._grant(hidden, user_id)
        except (Refused, NotPossible) as refused:
            why = f" Granting it failed: {refused.problem}"
        hidden = self._hidden(hidden)
        for field in hidden:
            if field.name == TASK_KEY:
                done[field.object, field.name] = f"{_NOT_POSSIBLE}, it stays hidden: tasks carry a marker instead"
        named = [f"{api_name(field.object)}.{field.name}" for field in hidden if field.name != TASK_KEY]
        if named:
            raise RunCannotContinue(
                Crm.SALESFORCE,
                f"{', '.join(named)} exist, but this user cannot see and edit them.{why}",
                advice=f'Assign the permission set "{PERMISSION_SET}" to the integration user, then run setup again.',
                credentials=True,
            )

    def _hidden(self, fields: Sequence[WantedField]) -> list[WantedField]:
        """Those of the fields that the org, asked anew, does not let this user edit. The others must fit."""
        self._look_again(fields)
        return [m.field for m in map(self._missing, fields) if m is not None]

    def _look_again(self, fields: Sequence[WantedField]) -> None:
        for object in dict.fromkeys(field.object for field in fields):
            self._describes.forget(object)


def _is_there(problem: Problem) -> bool:
    """Whether a field was not made because there is one of its name, seen or not. Which code says so is not certain."""
    return problem.code.startswith("DUPLICATE") or "already" in problem.message.casefold()


def _with_task_key(wanted: Sequence[WantedField]) -> tuple[WantedField, ...]:
    """The wanted fields and the task key; a field asked for twice counts once."""
    key = WantedField(
        object="task",
        name=TASK_KEY,
        label="MQL task key",
        kind=FieldKind.TEXT,
        length=120,
        unique=True,
        description="Names a follow-up task of mqlsync, so that it is created once.",
    )
    by_name = {(field.object, field.name): field for field in wanted}
    by_name.setdefault((key.object, key.name), key)
    return tuple(by_name.values())


def _value(field: WantedField, option: str) -> dict[str, object]:
    return {"fullName": option, "label": field.labels.get(option, option), "default": False}


def _metadata(field: WantedField, *, unique: bool) -> Mapping[str, object]:
    """The Tooling API's ``Metadata`` of a custom field."""
    common: dict[str, object] = {"label": field.label}
    if field.description:
        common["description"] = field.description
    match field.kind:
        case FieldKind.TEXT if field.length > 255:
            return {**common, "type": "LongTextArea", "length": field.length, "visibleLines": 3}
        case FieldKind.TEXT:
            text: dict[str, object] = {**common, "type": "Text", "length": field.length, "required": False}
            return {**text, "unique": True, "caseSensitive": True, "externalId": True} if unique else text
        case FieldKind.NUMBER:
            return {**common, "type": "Number", "precision": 12, "scale": 2, "required": False}
        case FieldKind.DATETIME:
            return {**common, "type": "DateTime", "required": False}
        case FieldKind.BOOLEAN:
            return {**common, "type": "Checkbox", "defaultValue": "false"}
        case FieldKind.PICKLIST:
            values = [_value(field, option) for option in field.options]
            return {
                **common,
                "type": "Picklist",
                "required": False,
                "valueSet": {"restricted": True, "valueSetDefinition": {"sorted": False, "value": values}},
            }
        case FieldKind.OWNER | FieldKind.OTHER:
            raise ValueError(
                f"{field.object}.{field.name}: Salesforce fields of the kind {field.kind} are not made here"
            )
