"""`mqlsync route`: who a person went to and why, why not to somebody else, and what becomes of a rep's people.

As in `sync.cli`, commands import what they need when they run.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from sync.terminal import HELD, AsJson, ConfigDir, Yes, ask, clear_errors, fail, moment, opened_store, print_json

if TYPE_CHECKING:
    from sync.rebalance import Rebalanced

__all__ = ["route_app"]

Who = Annotated[str, typer.Argument(metavar="EMAIL|ID", help="An e-mail address, a person id or a CRM record id.")]
Rep = Annotated[str, typer.Argument(metavar="REP", help="The rep's e-mail address, as in team.yaml.")]


class _PersonOrCommand(TyperGroup):
    """``mqlsync route EMAIL`` is ``mqlsync route show EMAIL``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        first = next((one for one in args if not one.startswith("-")), None)
        if first is not None and first not in self.commands:
            args = ["show", *args]
        return super().parse_args(ctx, args)


route_app = typer.Typer(
    cls=_PersonOrCommand,
    help="Who a person went to and why; why not to somebody else; a rep's people given to others.",
    no_args_is_help=True,
)


@route_app.command()
def show(who: Who, config: ConfigDir = None, as_json: AsJson = False) -> None:
    """Who has the person, by which rule, and every rep of the pool with why or why not; from the store alone."""
    from sync.explain import NobodyFound
    from sync.route_shown import routed

    with opened_store(config, as_json) as store, store.read() as tx:
        try:
            found = routed(tx, who)
        except NobodyFound as error:
            raise fail(str(error), as_json) from None
    if as_json:
        print_json(found.as_json())
        return
    for line in found.lines():
        typer.echo(line)


@route_app.command("why-not")
def why_not(
    rep: Rep,
    person: Annotated[str, typer.Option("--person", metavar="EMAIL|ID", help="Whom the rep did not get.")],
    config: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Why a rep was not given a person, from what was stored when it was decided."""
    from sync.explain import NobodyFound
    from sync.route_shown import why_not_them

    with opened_store(config, as_json) as store, store.read() as tx:
        try:
            found = why_not_them(tx, person, rep)
        except NobodyFound as error:
            raise fail(str(error), as_json) from None
    if as_json:
        print_json(found.as_json())
        return
    for line in found.said:
        typer.echo(line)


@route_app.command()
def rebalance(
    rep: Rep,
    to: Annotated[
        str | None, typer.Option("--to", metavar="POOL", help="Draw from this pool; else by the rules.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say who would go where, change nothing.")] = False,
    yes: Yes = False,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="TIME", help="Who is free at this instant (2026-11-25T12:00:00Z); else now."),
    ] = None,
    config: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Give a rep's open MQLs to others by the rules. The next run tells the CRMs."""
    at = moment(as_of) or datetime.now(UTC)
    done = _rebalance(config, rep, to, at, as_json, dry_run=True)
    if not as_json:
        for line in done.lines():
            typer.echo(line)
    if not dry_run and done.moved:
        if not yes:
            ask(f"Give {len(done.moved)} of {done.rep}'s people to others?", as_json)
        done = _rebalance(config, rep, to, at, as_json, dry_run=False)
    if as_json:
        print_json({"dry_run": dry_run, **done.as_json()})
    elif done.moved:
        given = f"{len(done.moved)} given to others; the next run writes {done.queued} records."
        typer.echo("Nothing was changed." if dry_run else given)
    elif not done.stays:
        typer.echo(f"{done.rep} has no open MQL that mqlsync assigned: there is nothing to do.")


def _rebalance(
    config: Path | None, rep: str, to: str | None, at: datetime, as_json: bool, *, dry_run: bool
) -> Rebalanced:
    from sync.compose import load, open_parts
    from sync.rebalance import CannotRebalance
    from sync.rebalance import rebalance as give_again
    from sync.run import LeaseHeld

    with clear_errors(as_json), open_parts(load(config, online=False), online=False, level="warning") as opened:
        try:
            return give_again(opened.parts, rep, to=to, as_of=at, dry_run=dry_run)
        except CannotRebalance as error:
            raise fail(str(error), as_json) from None
        except LeaseHeld as held:
            raise fail(str(held), as_json, code=HELD) from None
