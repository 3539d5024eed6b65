"""The content hash of a policy: the same for the same meaning, whatever comments, quotes, layout and key order say.

The compiled form is hashed, not the text: every phrase a typed node, as plain JSON with sorted keys.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

from scoring.conditions import (
    All,
    Contains,
    Dimension,
    DomainIn,
    HasWords,
    LabelIn,
    OneOf,
    StartsWith,
)
from scoring.conditions import Any as AnyOf

__all__ = ["canonical", "content_hash"]

FEW = 1000
"""Values of one condition that are hashed as they are."""

_UNORDERED = (Contains, DomainIn, HasWords, LabelIn, OneOf, StartsWith)
_OPERATIONS: Mapping[type, str] = {AnyOf: "any", All: "all"}


def canonical(value: Any, digests: dict[int, str] | None = None) -> Any:
    """Plain JSON of typed policy parts. Fields that have their default value are left out.

    Where order has no meaning (values of a list, groups of a dimension, mappings, sets) it is sorted away. Where it has
    (suppress lines, table lines, rules, routes) it stays. More than `FEW` values stand as their digest; ``digests``
    remembers those of one policy, where many conditions share a list.
    """
    known = {} if digests is None else digests
    if is_dataclass(value) and not isinstance(value, type):
        return _node(value, known)
    if isinstance(value, Mapping):
        return {_key(k): canonical(v, known) for k, v in sorted(value.items(), key=lambda pair: _key(pair[0]))}
    if isinstance(value, frozenset | set):
        return sorted((canonical(v, known) for v in value), key=str)
    if isinstance(value, list | tuple):
        return [canonical(v, known) for v in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if value is None or isinstance(value, str | int | bool):
        return value
    raise TypeError(f"a policy holds no {type(value).__name__}: {value!r}")


def _key(key: Any) -> str:
    return ".".join(str(k) for k in key) if isinstance(key, tuple) else str(key)


def _digest(values: tuple[str, ...], digests: dict[int, str]) -> str:
    """By identity: to compare or hash a long list for every condition that shares it is what takes the time."""
    found = digests.get(id(values))
    if found is None:
        found = digests[id(values)] = hashlib.sha256("\n".join(sorted(values)).encode()).hexdigest()
    return found


def _node(value: Any, digests: dict[int, str]) -> dict[str, Any]:
    op = re.sub(r"(?<!^)(?=[A-Z])", "_", type(value).__name__).lower()
    node: dict[str, Any] = {"op": _OPERATIONS.get(type(value), op)}
    unordered = fields(value)[1].name if isinstance(value, _UNORDERED) else None
    for one in fields(value):
        held = getattr(value, one.name)
        if held == one.default or not one.compare:
            continue
        if one.name != unordered:
            node[one.name] = canonical(held, digests)
        else:
            node[one.name] = sorted(held) if len(held) <= FEW else _digest(held, digests)
    if isinstance(value, Dimension) and "groups" in node:
        node["groups"] = sorted(node["groups"], key=lambda group: str(group["name"]))
    return node


def content_hash(*parts: Any) -> str:
    """The first 12 hex digits of the SHA-256 of the canonical JSON: keys sorted, UTF-8, no white space."""
    text = json.dumps(canonical(parts), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
