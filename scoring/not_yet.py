"""What the language has and this version reads without carrying it out.

Whoever only looks at a policy may have all of it; a run refuses what it would leave undone.
"""

from __future__ import annotations

from collections.abc import Iterable

from scoring.document import Node

__all__ = ["POLICY", "refuse"]

POLICY: tuple[str, ...] = ()
"""Keys of policy.yaml from the top down; ``*`` is any key, lists count for nothing."""


def refuse(root: Node, paths: Iterable[str]) -> None:
    """Report each of these keys where it stands."""
    _refuse(root, [tuple(path.split()) for path in paths])


def _refuse(node: Node, paths: list[tuple[str, ...]]) -> None:
    for item in node.items:
        _refuse(item, paths)
    for entry in node.entries:
        below = [path[1:] for path in paths if path[0] in ("*", entry.key)]
        if () in below:
            entry.name.error(f"'{entry.key}' is not carried out by this version yet")
        elif below:
            _refuse(entry.node, below)
