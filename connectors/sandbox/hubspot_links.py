"""Associations: what is linked to what, page by page, and new links."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from connectors.sandbox.hubspot_bodies import (
    RefusalError,
    batch,
    encode,
    error_entry,
    inputs_of,
    limit_of,
    need_object,
    not_found,
    object_of,
    place_of,
)
from connectors.sandbox.hubspot_schema import ASSOCIATION_TYPES, PRIMARY
from connectors.sandbox.hubspot_store import PortalState, Table
from connectors.sandbox.server import Request, Response

ASSOCIATION_BATCH = 1000
ASSOCIATION_PAGE = 500


class Links:
    """Answers `/crm/v4/associations/...` and the association paths below one record."""

    def __init__(self, portal: PortalState) -> None:
        self._portal = portal

    def answer(self, request: Request, method: str, from_: Table, to: Table, rest: tuple[str, ...]) -> Response:
        """One call below `/crm/v4/associations/{from}/{to}`."""
        match (method, *rest):
            case ("GET", "labels"):
                types = ASSOCIATION_TYPES.get((from_.kind.name, to.kind.name), ())
                rows = [{"category": "HUBSPOT_DEFINED", "typeId": t, "label": PRIMARY.get(t)} for t in types]
                return Response(200, {"results": rows})
            case ("POST", "batch", "read"):
                need_object(self._portal, from_, write=False)
                return self._batch_linked(request, from_, to)
            case ("POST", "batch", "associate", "default") | ("POST", "batch", "create"):
                need_object(self._portal, from_, write=True)
                return self._batch_associate(request, from_, to)
            case _:
                raise RefusalError(404, None, "resource not found")

    def _batch_linked(self, request: Request, from_: Table, to: Table) -> Response:
        started = self._portal.now()
        inputs = inputs_of(object_of(request), ASSOCIATION_BATCH)
        results: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for one in inputs:
            id_ = str(one.get("id"))
            linked = self._portal.linked(from_.kind.name, id_, to.kind.name)
            if not linked:
                if self._portal.unassociated_error:
                    message = f"No {to.kind.singular} is associated with {from_.kind.singular} {id_}."
                    entry = error_entry("OBJECT_NOT_FOUND", message, {"fromObjectId": [id_]})
                    errors.append(entry | {"subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND"})
                continue
            page, paging = self._link_page(linked, one.get("after"), ASSOCIATION_PAGE)
            results.append({"from": {"id": id_}, "to": page} | paging)
        return batch(self._portal, 200, results, errors, started)

    def _link_page(
        self, linked: list[tuple[str, set[int]]], after: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        above = place_of(after)
        rest = [pair for pair in linked if int(pair[0]) > above]
        page = [
            {
                "toObjectId": int(id_),
                "associationTypes": [
                    {"category": "HUBSPOT_DEFINED", "typeId": type_, "label": PRIMARY.get(type_)}
                    for type_ in sorted(types)
                ],
            }
            for id_, types in rest[:limit]
        ]
        more = {"paging": {"next": {"after": encode(rest[limit - 1][0])}}} if len(rest) > limit else {}
        return page, more

    def linked(self, request: Request, table: Table, id_: str, to: Table) -> Response:
        """What one record is linked to, a page of it."""
        if table.current(id_) not in table.by_id:
            raise not_found(id_)
        limit = limit_of(request, ASSOCIATION_PAGE, ASSOCIATION_PAGE)
        linked = self._portal.linked(table.kind.name, id_, to.kind.name)
        page, paging = self._link_page(linked, request.one("after"), limit)
        return Response(200, {"results": page} | paging)

    def put_default(self, table: Table, id_: str, to: Table, to_id: str, types: Iterable[int] = ()) -> Response:
        """Links two records by the default type, and by more where they are named. Repeating it changes nothing."""
        ends = [(t, t.by_id.get(t.current(i))) for t, i in ((table, id_), (to, to_id))]
        for (_, record), asked in zip(ends, (id_, to_id), strict=True):
            if record is None or record.archived is not None:
                raise not_found(asked)
        (a, a_record), (b, b_record) = ends
        if a_record is None or b_record is None:
            raise not_found(id_)
        self._portal.link((a, a_record), (b, b_record), types)
        forth, back = (
            ASSOCIATION_TYPES.get((a.kind.name, b.kind.name)),
            ASSOCIATION_TYPES.get((b.kind.name, a.kind.name)),
        )
        results = [
            {
                "from": {"id": one.id},
                "to": {"id": two.id},
                "associationSpec": {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": known[0]},
            }
            for one, two, known in ((a_record, b_record, forth), (b_record, a_record, back))
            if known
        ]
        now = self._portal.now()
        return Response(200, {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now})

    def _batch_associate(self, request: Request, from_: Table, to: Table) -> Response:
        started = self._portal.now()
        results: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for one in inputs_of(object_of(request), ASSOCIATION_BATCH):
            a, b = str(one["from"]["id"]), str(one["to"]["id"])
            types = [int(kind["associationTypeId"]) for kind in one.get("types") or ()]
            try:
                self.put_default(from_, a, to, b, types)
            except RefusalError as refusal:
                errors.append(error_entry("OBJECT_NOT_FOUND", refusal.message, {"ids": [a, b]}))
            else:
                results.append(
                    {"fromObjectTypeId": from_.kind.type_id, "fromObjectId": a, "toObjectId": b, "labels": []}
                )
        return batch(self._portal, 200, results, errors, started)
