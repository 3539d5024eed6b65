"""The objects API: one record, listings, search, and the four batches with what each does to a bad input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.hubspot_bodies import (
    RefusalError,
    batch,
    broken,
    encode,
    error_entry,
    flag,
    inner,
    inputs_of,
    invalid_message,
    json_of,
    limit_of,
    names_of,
    need_object,
    not_found,
    object_of,
    place_of,
    rendered,
    table_of,
    wanted,
)
from connectors.sandbox.hubspot_links import Links
from connectors.sandbox.hubspot_schema import ASSOCIATION_TYPES
from connectors.sandbox.hubspot_search import BadSearchError, Search
from connectors.sandbox.hubspot_store import InvalidError, PortalState, Problem, Record, Table
from connectors.sandbox.hubspot_values import iso
from connectors.sandbox.server import Request, Response

LIST_PAGE = 100
LIST_PAGE_WITH_HISTORY = 50


@dataclass(slots=True)
class _Write:
    """One input of a batch write that passed its checks."""

    record: Record | None
    clean: dict[str, str]
    trace: str | None
    links: list[tuple[Table, Record, list[int]]]


class Records:
    """Answers `/crm/v3/objects/...`."""

    def __init__(self, portal: PortalState, links: Links) -> None:
        self._portal = portal
        self._links = links

    def answer(self, request: Request, method: str, table: Table, rest: tuple[str, ...]) -> Response:
        """One call below `/crm/v3/objects/{type}`."""
        need_object(self._portal, table, write=_writes(method, rest))
        match (method, *rest):
            case ("GET",):
                return self._list(request, table)
            case ("POST",):
                return self._create(request, table)
            case ("POST", "search"):
                return self._search(request, table)
            case ("POST", "merge"):
                return self._merge(request, table)
            case ("POST", "gdpr-delete"):
                return self._erase(request, table)
            case ("POST", "batch", "read"):
                return self._batch_read(request, table)
            case ("POST", "batch", "update"):
                return self._batch_update(request, table)
            case ("POST", "batch", "upsert"):
                return self._batch_upsert(request, table)
            case ("POST", "batch", "create"):
                return self._batch_create(request, table)
            case ("POST", "batch", "archive"):
                return self._batch_archive(request, table)
            case ("GET", id_):
                return self._read(request, table, id_)
            case ("PATCH", id_):
                return self._update(request, table, id_)
            case ("DELETE", id_):
                record = table.by_id.get(table.current(id_))
                if record is not None and record.archived is None:
                    self._portal.archive_record(table, record, "api")
                return Response(204)
            case ("GET", id_, "associations", to):
                return self._links.linked(request, table, id_, table_of(self._portal, to))
            case ("PUT", id_, "associations", "default", to, to_id):
                return self._links.put_default(table, id_, table_of(self._portal, to), to_id)
            case ("PUT", id_, "associations", to, to_id):
                types = [int(one["associationTypeId"]) for one in json_of(request) or ()]
                return self._links.put_default(table, id_, table_of(self._portal, to), to_id, types)
            case _:
                raise RefusalError(405, None, "Method Not Allowed")

    # -- one record

    def _list(self, request: Request, table: Table) -> Response:
        history = names_of(request.query.get("propertiesWithHistory"))
        limit = limit_of(request, 10, LIST_PAGE_WITH_HISTORY if history else LIST_PAGE)
        archived = flag(request, "archived")
        rows, start = table.after(place_of(request.one("after")), archived)
        page = rows[start : start + limit]
        names = wanted(table.kind, names_of(request.query.get("properties")))
        links = [table_of(self._portal, name) for name in names_of(request.query.get("associations"))]
        results = [self._shown(table, record, names, history=history, links=links) for record in page]
        body: dict[str, Any] = {"results": results}
        if start + limit < len(rows):
            after = encode(str(page[-1].number))
            body["paging"] = {"next": {"after": after, "link": f"{request.path}?limit={limit}&after={after}"}}
        return Response(200, body)

    def _read(self, request: Request, table: Table, id_: str) -> Response:
        record = self._located(table, id_, request.one("idProperty"))
        if record is None or (record.archived is not None) != flag(request, "archived"):
            raise not_found(id_)
        names = wanted(table.kind, names_of(request.query.get("properties")))
        history = names_of(request.query.get("propertiesWithHistory"))
        links = [table_of(self._portal, name) for name in names_of(request.query.get("associations"))]
        return Response(200, self._shown(table, record, names, history=history, links=links))

    def _located(self, table: Table, id_: str, id_property: str | None) -> Record | None:
        if id_property in (None, "hs_object_id"):
            return table.by_id.get(table.current(id_))
        if id_property not in table.unique:
            raise RefusalError(
                400, "VALIDATION_ERROR", f"Property {id_property} is not a unique property of {table.kind.name}"
            )
        return self._portal.by_unique(table, str(id_property), id_)

    def _create(self, request: Request, table: Table) -> Response:
        body = object_of(request)
        links = self._inline_links(table, body)
        try:
            record = self._commit_new(table, self._checked_new(table, body), links)
        except InvalidError as invalid:
            raise self._invalid(invalid.problems) from None
        return Response(201, self._shown(table, record, None))

    def _update(self, request: Request, table: Table, id_: str) -> Response:
        record = self._located(table, id_, request.one("idProperty"))
        if record is None or record.archived is not None:
            raise not_found(id_)
        properties = object_of(request).get("properties") or {}
        try:
            clean = self._portal.check(table, properties, record)
        except InvalidError as invalid:
            raise self._invalid(invalid.problems) from None
        self._portal.update(table, record, clean, "api")
        return Response(200, self._shown(table, record, None))

    def _merge(self, request: Request, table: Table) -> Response:
        body = object_of(request)
        primary, other = (
            table.by_id.get(table.current(str(body.get(name)))) for name in ("primaryObjectId", "objectIdToMerge")
        )
        if primary is None or other is None or primary is other or primary.archived or other.archived:
            raise RefusalError(400, "VALIDATION_ERROR", "Both objects to merge must exist, be live and be different")
        record = self._portal.merge_records(table, primary, other, "api")
        return Response(200, self._shown(table, record, None))

    def _erase(self, request: Request, table: Table) -> Response:
        body = object_of(request)
        record = self._located(table, str(body.get("objectId")), body.get("idProperty"))
        if record is not None:
            self._portal.erase_record(table, record, "api")
        return Response(204)

    def _search(self, request: Request, table: Table) -> Response:
        try:
            search = Search(table.kind, object_of(request))
        except BadSearchError as bad:
            raise RefusalError(400, "VALIDATION_ERROR", f"There was a problem with the request: {bad}") from None
        portal = self._portal
        lag = portal.index_lag
        cutoff = iso(portal.clock.millis() - round(lag * 1000)) if lag > 0 else None
        try:
            total, page = search.run(table, cutoff)
        except BadSearchError as bad:
            raise RefusalError(400, "VALIDATION_ERROR", f"There was a problem with the request: {bad}") from None
        names = wanted(table.kind, search.names)
        body: dict[str, Any] = {
            "total": total,
            "results": [rendered(table.kind, record, seen, names) for record, seen in page],
        }
        if search.offset + len(page) < total:
            body["paging"] = {"next": {"after": str(search.offset + len(page))}}
        return Response(200, body)

    # -- batches

    def _batch_read(self, request: Request, table: Table) -> Response:
        started = self._portal.now()
        body = object_of(request)
        inputs = inputs_of(body)
        archived = flag(request, "archived")
        id_property = body.get("idProperty")
        history = list(body.get("propertiesWithHistory") or ())
        names = wanted(table.kind, body.get("properties") or ())
        found: dict[str, Record] = {}
        missing: list[str] = []
        errors: list[dict[str, Any]] = []
        for place, one in enumerate(inputs):
            id_ = str(one.get("id"))
            if request.fault is not None and request.fault.fails(place):
                errors.append(broken(ids=[id_]))
                continue
            record = self._located(table, id_, id_property)
            if record is None or (record.archived is not None) != archived:
                missing.append(id_)
            else:
                found[record.id] = record
        if missing:
            kind = table.kind.singular.upper()
            message = f"Could not get some {kind} objects, they may be deleted or not exist. Check that ids are valid."
            errors.insert(0, error_entry("OBJECT_NOT_FOUND", message, {"ids": missing}))
        rows = sorted(found.values(), key=lambda record: record.number)
        results = [self._shown(table, record, names, history=history) for record in rows]
        return batch(self._portal, 200, results, errors, started)

    def _batch_update(self, request: Request, table: Table) -> Response:
        started = self._portal.now()
        inputs = inputs_of(object_of(request))
        self._refuse_duplicates([(one.get("idProperty"), str(one.get("id"))) for one in inputs])
        self._refuse_unknown(table, inputs)
        traced = _all_traced(inputs)
        writes: list[_Write] = []
        errors: list[dict[str, Any]] = []
        claims: dict[tuple[str, str], int] = {}
        problems: list[Problem] = []
        for place, one in enumerate(inputs):
            id_, trace = str(one.get("id")), one.get("objectWriteTraceId")
            if request.fault is not None and request.fault.fails(place):
                errors.append(broken(ids=[id_], trace=trace))
                continue
            merged = table.current(id_) != id_
            if merged and not self._portal.follow_merged_updates:
                continue  # HubSpot's answer leaves such an input out without a word
            record = self._located(table, id_, one.get("idProperty"))
            if record is None or record.archived is not None:
                message = f"Could not find {table.kind.singular.upper()} with id {id_}"
                errors.append(error_entry("OBJECT_NOT_FOUND", message, {"ids": [id_]}, trace))
                continue
            self._gather(table, one, place, record, writes, errors, claims, problems)
        self._refuse_unless_partial(problems, traced and self._portal.batch_update_partial)
        results = []
        for write in writes:
            if write.record is not None:
                self._portal.update(table, write.record, write.clean, "api")
                results.append((write.record, write.trace))
        results.sort(key=lambda pair: pair[0].number)
        return batch(self._portal, 200, [self._traced(table, *pair) for pair in results], errors, started)

    def _batch_create(self, request: Request, table: Table) -> Response:
        started = self._portal.now()
        inputs = inputs_of(object_of(request))
        self._refuse_unknown(table, inputs)
        traced = _all_traced(inputs)
        writes: list[_Write] = []
        errors: list[dict[str, Any]] = []
        claims: dict[tuple[str, str], int] = {}
        problems: list[Problem] = []
        for place, one in enumerate(inputs):
            if request.fault is not None and request.fault.fails(place):
                errors.append(broken(trace=one.get("objectWriteTraceId")))
                continue
            self._gather(table, one, place, None, writes, errors, claims, problems)
        self._refuse_unless_partial(problems, traced)
        created = [(self._commit_new(table, write.clean, write.links), write.trace) for write in writes]
        # no order is promised: answer in another than the asked one
        results = [self._traced(table, *pair) for pair in reversed(created)]
        return batch(self._portal, 201, results, errors, started)

    def _batch_upsert(self, request: Request, table: Table) -> Response:
        started = self._portal.now()
        inputs = inputs_of(object_of(request))
        for one in inputs:
            if one.get("idProperty") not in table.unique:
                raise RefusalError(400, "VALIDATION_ERROR", f"idProperty {one.get('idProperty')} is no unique property")
        self._refuse_duplicates([(one["idProperty"], str(one.get("id"))) for one in inputs])
        self._refuse_unknown(table, inputs)
        traced = _all_traced(inputs)
        writes: list[_Write] = []
        errors: list[dict[str, Any]] = []
        claims: dict[tuple[str, str], int] = {}
        problems: list[Problem] = []
        for place, one in enumerate(inputs):
            if request.fault is not None and request.fault.fails(place):
                errors.append(broken(ids=[str(one.get("id"))], trace=one.get("objectWriteTraceId")))
                continue
            name, value = one["idProperty"], str(one.get("id"))
            record = self._portal.by_unique(table, name, value)
            filled = one | {"properties": {name: value, **(one.get("properties") or {})}}
            self._gather(table, filled, place, record, writes, errors, claims, problems)
        self._refuse_unless_partial(problems, traced)
        results = []
        for write in writes:
            new = write.record is None
            if write.record is None:
                record = self._commit_new(table, write.clean, [])
            else:
                record = write.record
                self._portal.update(table, record, write.clean, "api")
            results.append(self._traced(table, record, write.trace) | {"new": new})
        return batch(self._portal, 200, results, errors, started)

    def _gather(
        self,
        table: Table,
        one: Mapping[str, Any],
        place: int,
        record: Record | None,
        writes: list[_Write],
        errors: list[dict[str, Any]],
        claims: dict[tuple[str, str], int],
        problems: list[Problem],
    ) -> None:
        """Checks one input of a batch: into `writes`, or into `errors` and `problems`."""
        trace = one.get("objectWriteTraceId")
        try:
            if record is None:
                links = self._inline_links(table, one)
                clean = self._checked_new(table, one)
            else:
                links = []
                clean = self._portal.check(table, one.get("properties") or {}, record)
            for name in table.unique:
                if clean.get(name) and claims.setdefault((name, clean[name]), place) != place:
                    raise InvalidError([Problem(name, "CONFLICT", f"{clean[name]} is in this batch twice")])
        except InvalidError as invalid:
            problems += invalid.problems
            errors.append(self._invalid_entry(invalid.problems, trace))
        except RefusalError as refusal:
            problems.append(Problem("associations", refusal.category or "VALIDATION_ERROR", refusal.message))
            errors.append(error_entry(refusal.category or "VALIDATION_ERROR", refusal.message, {}, trace))
        else:
            writes.append(_Write(record, clean, trace, links))

    def _batch_archive(self, request: Request, table: Table) -> Response:
        for one in inputs_of(object_of(request)):
            record = table.by_id.get(table.current(str(one.get("id"))))
            if record is not None and record.archived is None:
                self._portal.archive_record(table, record, "api")
        return Response(204)

    def _refuse_duplicates(self, keys: list[tuple[Any, str]]) -> None:
        twice = sorted({id_ for name, id_ in keys if keys.count((name, id_)) > 1}) if len(set(keys)) < len(keys) else []
        if twice:
            message = f"Duplicate IDs found in batch input: [{', '.join(twice)}]. IDs must be unique"
            raise RefusalError(400, "VALIDATION_ERROR", message, context={"ids": twice})

    def _refuse_unknown(self, table: Table, inputs: Iterable[Mapping[str, Any]]) -> None:
        """A property that does not exist fails the whole batch, trace ids or not."""
        names = {name for one in inputs for name in one.get("properties") or {}}
        unknown = sorted(names - table.kind.properties.keys())
        if unknown:
            raise self._invalid(
                [Problem(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist') for name in unknown]
            )

    def _refuse_unless_partial(self, problems: list[Problem], partial: bool) -> None:
        if problems and not partial:
            raise self._invalid(problems)

    # -- what writes have in common

    def _checked_new(self, table: Table, body: Mapping[str, Any]) -> dict[str, str]:
        properties = body.get("properties") or {}
        clean = self._portal.check(table, properties)
        if "hs_timestamp" in table.kind.properties and not clean.get("hs_timestamp"):
            raise InvalidError(
                [Problem("hs_timestamp", "REQUIRED_FIELD", f"hs_timestamp is required to create {table.kind.name}")]
            )
        return clean

    def _commit_new(
        self, table: Table, clean: Mapping[str, str], links: list[tuple[Table, Record, list[int]]]
    ) -> Record:
        record = self._portal.create(table, clean, "api")
        for to_table, to, types in links:
            self._portal.link((table, record), (to_table, to), types)
            # new activity moves the stamp of what it is about
            self._portal.keep_version(to)
            self._portal.touch(to_table, to, self._portal.now())
        return record

    def _inline_links(self, table: Table, body: Mapping[str, Any]) -> list[tuple[Table, Record, list[int]]]:
        links = []
        for one in body.get("associations") or ():
            types = [int(kind["associationTypeId"]) for kind in one.get("types") or ()]
            to_table = self._table_of_type(table, types)
            id_ = str((one.get("to") or {}).get("id"))
            record = to_table.by_id.get(to_table.current(id_))
            if record is None or record.archived is not None:
                kind = to_table.kind.singular.upper()
                raise RefusalError(
                    400, "VALIDATION_ERROR", f"One or more associations are not valid: {kind} {id_} does not exist"
                )
            links.append((to_table, record, types))
        return links

    def _table_of_type(self, table: Table, types: list[int]) -> Table:
        for (from_, to), known in ASSOCIATION_TYPES.items():
            if from_ == table.kind.name and types and set(types) <= set(known):
                return self._portal.tables[to]
        raise RefusalError(400, "VALIDATION_ERROR", f"association types {types} are not valid from {table.kind.name}")

    def _invalid(self, problems: list[Problem]) -> RefusalError:
        clash = next((p for p in problems if p.code == "CONFLICT"), None)
        if clash is not None and len(problems) == 1:
            status = 409 if clash.name == "email" else self._portal.unique_clash_status
            return RefusalError(status, "CONFLICT" if status == 409 else "VALIDATION_ERROR", clash.message)
        return RefusalError(400, "VALIDATION_ERROR", invalid_message(problems), errors=inner(problems))

    def _invalid_entry(self, problems: list[Problem], trace: str | None) -> dict[str, Any]:
        if [p.code for p in problems] == ["CONFLICT"]:
            return error_entry("CONFLICT", problems[0].message, {}, trace)
        return error_entry("VALIDATION_ERROR", invalid_message(problems), {}, trace) | {"errors": inner(problems)}

    # -- showing records

    def _traced(self, table: Table, record: Record, trace: str | None) -> dict[str, Any]:
        shown = self._shown(table, record, None)
        return shown if trace is None else shown | {"objectWriteTraceId": trace}

    def _shown(
        self,
        table: Table,
        record: Record,
        names: tuple[str, ...] | None,
        *,
        history: Iterable[str] = (),
        links: Iterable[Table] = (),
    ) -> dict[str, Any]:
        shown = rendered(table.kind, record, record.properties, names)
        history = tuple(history)
        if history:
            shown["propertiesWithHistory"] = {
                name: [
                    {"value": record.properties[name], "timestamp": record.modified, "sourceType": "INTEGRATION"}
                    for _ in range(name in record.properties)
                ]
                for name in history
                if name in table.kind.properties
            }
        associations = {}
        for to in links:
            linked = self._portal.linked(table.kind.name, record.id, to.kind.name)
            if linked:
                of = f"{table.kind.singular}_to_{to.kind.singular}"
                associations[to.kind.name] = {"results": [{"id": id_, "type": of} for id_, _ in linked]}
        return shown | ({"associations": associations} if associations else {})


def _writes(method: str, rest: tuple[str, ...]) -> bool:
    return method != "GET" and rest not in (("search",), ("batch", "read"))


def _all_traced(inputs: list[dict[str, Any]]) -> bool:
    traces = [one.get("objectWriteTraceId") for one in inputs]
    return None not in traces and len(set(traces)) == len(traces)
