"""What differs between two field maps, in words, each at its place in fields.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from connectors.fields import CrmMap, EventRule, FactField
from scoring.diff import Change
from sync import mapping

__all__ = ["fields_changed"]


def fields_changed(old: mapping.Mapping, new: mapping.Mapping) -> tuple[Change, ...]:
    """Every property, activity and rule of belief that is read otherwise. What only the policy asks for is left out."""
    return tuple(_changes(old, new))


def _changes(old: mapping.Mapping, new: mapping.Mapping) -> Iterator[Change]:
    for crm in dict.fromkeys((*old.map.crms, *new.map.crms)):
        before, after = old.map.crms.get(crm), new.map.crms.get(crm)
        yield from _each(f"fields.{crm}", _facts(before), _facts(after))
        yield from _each(f"fields.{crm}.events", _events(before), _events(after))
        for name in ("deals", "file"):
            yield from _one(f"fields.{crm}.{name}", getattr(before, name, None), getattr(after, name, None))
        yield from _one(f"fields.{crm}.sales_state", old.sales_states.get(crm), new.sales_states.get(crm))
        yield from _one(f"fields.{crm}.review", old.reviews.get(crm), new.reviews.get(crm))
    yield from _each("fields.prefer", old.prefer, new.prefer)


def _facts(of: CrmMap | None) -> dict[str, FactField]:
    objects = of.objects if of is not None else {}
    return {f"{name}.{fact.fact}": fact for name, one in objects.items() for fact in one.facts}


def _events(of: CrmMap | None) -> dict[str, EventRule]:
    """By what an activity is recognised by; lines alike in that are numbered."""
    found: dict[str, EventRule] = {}
    for rule in of.events if of is not None else ():
        key = f"{rule.source} {rule.key or 'otherwise'}" + (f" ({', '.join(rule.statuses)})" if rule.statuses else "")
        found[key if key not in found else f"{key} ({len(found) + 1})"] = rule
    return found


def _each(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in dict.fromkeys((*old, *new)):
        yield from _one(f"{path}.{name}", old.get(name), new.get(name))


def _one(path: str, old: Any, new: Any) -> Iterator[Change]:
    if old == new:
        return
    if not old:
        yield Change(path=path, text=f"new: {_said(new)}")
    elif not new:
        yield Change(path=path, text=f"gone, was {_said(old)}")
    else:
        yield Change(path=path, text=f"{_said(new)}, was {_said(old)}")


def _said(value: Any) -> str:
    """The parts that say something: what has its default value is left out, and the name, which the path says."""
    match value:
        case FactField(property=str(prop)) if value == FactField(fact=value.fact, property=prop):
            return prop
        case Enum():
            return str(value.value)
        case Mapping():
            return "{" + ", ".join(f"{key}: {_said(one)}" for key, one in value.items()) + "}"
        case tuple() | list() | frozenset():
            return "[" + ", ".join(map(_said, value)) + "]"
        case _ if is_dataclass(value):
            parts = ((one.name, getattr(value, one.name), one.default) for one in fields(value))
            return ", ".join(
                f"{name} {_said(part)}" for name, part, default in parts if part != default and part and name != "fact"
            )
        case _:
            return str(value)
