"""The bulk jobs that a connector has begun and not yet seen the end of."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from sqlalchemy import delete, select

from connectors.records import Crm
from sync.store import schema
from sync.store.db import Store
from sync.store.statements import upsert

__all__ = ["BegunJobs"]


class BegunJobs(MutableMapping[str, str]):
    """Job -> object. Every change is committed at once: a job is known here before anything is sent to it."""

    def __init__(self, store: Store, crm: Crm) -> None:
        self._store = store
        self._crm = crm

    def __getitem__(self, job: str) -> str:
        return self._all()[job]

    def __setitem__(self, job: str, object: str) -> None:
        with self._store.write() as tx:
            upsert(tx, schema.bulk_job, [{"conn": self._crm, "id": job, "object": object}], ("conn", "id"))

    def __delitem__(self, job: str) -> None:
        c = schema.bulk_job.c
        with self._store.write() as tx:
            if not tx.execute(delete(schema.bulk_job).where(c.conn == self._crm, c.id == job)).rowcount:
                raise KeyError(job)

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, str]:
        c = schema.bulk_job.c
        with self._store.read() as tx:
            return {row.id: row.object for row in tx.execute(select(c.id, c.object).where(c.conn == self._crm))}
