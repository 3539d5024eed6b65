"""What has changed in a CRM under the field map: properties that went away, values that nobody can choose any more.

None of it stops a run. What can no longer be read counts as unknown, what can no longer be written waits, and both are
told: by `mqlsync check --online`, and by every run until it is mended.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from connectors.fields import FactField
from connectors.port import Connector
from connectors.records import AccountInfo, Crm, FieldKind, FieldSchema
from scoring.derive import DERIVED_FROM
from scoring.document import did_you_mean
from scoring.policy import Policy
from sync.mapping import Mapping as FieldsFile
from sync.setup import unusable_fields
from sync.store import schema

__all__ = ["Drifted", "drifted", "lacking_facts", "once_written", "others_told"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Drifted:
    """``where``: ``hubspot.contact.jobtitle``. ``message``: what is the matter, what it means, what to do."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def drifted(policy: Policy, fields: FieldsFile, connector: Connector, account: AccountInfo) -> list[Drifted]:
    """What the field map reads and this CRM does not show, and values that it names and the CRM does not offer."""
    crm = connector.crm
    asked = _asked(policy)
    found: list[Drifted] = []
    for object, mapped in fields.map.crms[crm].objects.items():
        there = connector.describe(object)
        lacking = set(lacking_facts(fields, crm, account).get(object, ()))
        for fact in mapped.facts:
            where = f"{crm}.{object}.{fact.property}"
            if fact.property in lacking:
                found.append(Drifted(where=where, message=_unknown(fact, asked, there)))
            elif gone := _not_offered(fact, there):
                names = ", ".join(map(repr, gone))
                message = (
                    f"{names}: nobody can choose this any more; was it renamed? Correct {fact.fact} in fields.yaml"
                )
                found.append(Drifted(where=where, message=message))
    return found


def lacking_facts(fields: FieldsFile, crm: Crm, account: AccountInfo) -> dict[str, tuple[str, ...]]:
    """Object -> properties that facts and counters are read from and that these credentials do not see.

    Without those that are only written: when they appear they are blank everywhere, and nothing has to be read again.
    """
    lacking: dict[str, tuple[str, ...]] = {}
    for object, names in account.lacking.items():
        mapped = fields.map.crms[crm].objects.get(object)
        written = set(mapped.written) if mapped is not None else set()
        read = {fact.property for fact in mapped.facts} if mapped is not None else set()
        if here := tuple(name for name in names if name in read or name not in written):
            lacking[object] = here
    return lacking


def others_told(account: AccountInfo, found: Sequence[Drifted]) -> list[str]:
    """What the connector has to say besides, without what is said of the same property more exactly."""
    named = {one.where.rpartition(".")[2] for one in found}
    return [problem for problem in account.problems if not any(name in problem for name in named)]


def _unknown(fact: FactField, asked: frozenset[str], there: Mapping[str, FieldSchema]) -> str:
    derived = [name for name, source in DERIVED_FROM.items() if source == fact.fact and name in asked]
    names = " and ".join((fact.fact, *derived))
    use = ", which the policy asks for," if derived or fact.fact in asked else ""
    near = did_you_mean(fact.property or "", sorted(there))
    return (
        f"not there, or not visible to these credentials{near}: {names}{use} counts as unknown. "
        "Correct fields.yaml, or grant read access; then everything is read again"
    )


def _not_offered(fact: FactField, there: Mapping[str, FieldSchema]) -> list[str]:
    known = there.get(fact.property or "")
    if known is None or known.options is None or known.kind is not FieldKind.PICKLIST:
        return []
    offered = {option.casefold() for option in known.options}
    gone = [value for value in fact.values if value.casefold() not in offered]
    # Of several values that are true, one that is offered is enough: another org has the others.
    if fact.true_when and not any(value.casefold() in offered for value in fact.true_when):
        gone += fact.true_when
    return gone


def _asked(policy: Policy) -> frozenset[str]:
    """Every text in the policy that can be the name of a fact: few enough to look through."""
    return frozenset(_texts(policy))


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for key, one in value.items():
                yield from _texts(key)
                yield from _texts(one)
        case tuple() | list() | frozenset():
            for one in value:
                yield from _texts(one)
        case _ if dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                yield from _texts(getattr(value, field.name))


# -- what is written -------------------------------------------------------------------------------------------------


def once_written(tx: Connection, policy: Policy, connector: Connector) -> tuple[list[tuple[str, str]], bool]:
    """((``contact.mql_grade``, what is wrong with it) of every unusable property, whether the run can do without them).

    It can where each was confirmed once, so that it has gone away since (else `mqlsync setup` was never run, or the
    policy names something wrong), and its object has others that can be written (else a permission was taken away).
    """
    broken = unusable_fields(policy, connector)
    names = {name for name, _ in broken}
    for (crm, object), properties in policy.write.properties.items():
        if crm == connector.crm and properties and all(f"{object}.{p}" in names for p in properties.values()):
            return broken, False
    return broken, all(_confirmed(tx, connector.crm, *name.split(".", 1)) for name in names)


def _confirmed(tx: Connection, crm: Crm, object: str, prop: str) -> bool:
    a = schema.acked.c
    there = select(a.id).where(a.conn == crm, a.object == object, a.fields[prop].as_string().is_not(None)).limit(1)
    return tx.execute(there).first() is not None
