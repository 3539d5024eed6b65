"""`mqlsync conflicts`: fields that are not ours to write, and the way to have them back.

As in `sync.cli`, commands import what they need when they run.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sync.terminal import AsJson, ConfigDir, clear_errors, open_all, opened_store, print_json

__all__ = ["conflicts_app"]


class _ListOrCommand(TyperGroup):
    """``mqlsync conflicts`` is ``mqlsync conflicts list``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--help" not in args and not any(one in self.commands for one in args):
            args = ["list", *args]
        return super().parse_args(ctx, args)


conflicts_app = typer.Typer(
    cls=_ListOrCommand, help="Fields where somebody else's value stands against ours: list them, release them."
)


@conflicts_app.command("list")
def list_(config: ConfigDir = None, as_json: AsJson = False) -> None:
    """Every field that is held or was typed over lately: whose, theirs and ours, what it means, how it ends."""
    from sync.conflicts import standing, two_owners
    from sync.run import owner_directory
    from sync.settings import OwnerAuthority

    with open_all(config, as_json=as_json, online=False) as opened, opened.parts.store.read() as tx:
        fields = standing(tx, now=datetime.now(UTC))
        nobody_decides = opened.parts.settings.owner_authority is OwnerAuthority.BOTH
        owners = two_owners(tx, owner_directory(tx, opened.parts)) if nobody_decides else []
    if as_json:
        print_json({"conflicts": [one.as_json() for one in fields], "two_owners": [one.as_json() for one in owners]})
        return
    for line in (line for found in (fields, owners) for one in found for line in one.lines()):
        typer.echo(line)
    if not fields and not owners:
        typer.echo("Nobody's value stands against ours.")


@conflicts_app.command()
def release(
    numbers: Annotated[list[int], typer.Argument(metavar="NO...", help="Which, as `mqlsync conflicts` numbers them.")],
    config: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Have the next run write fields that are held. All of them, or none when one is refused."""
    from sync.conflicts import NothingHeld
    from sync.conflicts import release as let_go

    with clear_errors(as_json, NothingHeld), opened_store(config, as_json) as store, store.write() as tx:
        freed = let_go(tx, numbers, at=datetime.now(UTC))
    if as_json:
        print_json({"released": [one.no for one in freed]})
        return
    for one in freed:
        typer.echo(f"released {one.ref} {one.field}")
    typer.echo("The next run writes ours.")
