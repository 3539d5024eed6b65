"""`mqlsync route`: who a person went to and why, why not to somebody else, and what becomes of a rep's people.

As in `sync.cli`, commands import what they need when they run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from sync.policy_cli import SCHEMA_VERSION, AsJson

if TYPE_CHECKING:
    from sync.rebalance import Rebalanced
    from sync.store.db import Store

__all__ = ["route_app"]

ERROR, CONFIG, HELD = 1, 3, 7

Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="DIR", help="Where the four files are. Else $MQLSYNC_CONFIG, else ./config."),
]
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
def show(who: Who, config: Config = None, as_json: AsJson = False) -> None:
    """Who has the person, by which rule, and every rep of the pool with why or why not; from the store alone."""
    from sync.explain import NobodyFound
    from sync.route_shown import routed

    with _store(config, as_json) as store, store.read() as tx:
        try:
            found = routed(tx, who)
        except NobodyFound as error:
            raise _fail(str(error), as_json) from None
    if as_json:
        _print_json(found.as_json())
        return
    for line in found.lines():
        typer.echo(line)


@route_app.command("why-not")
def why_not(
    rep: Rep,
    person: Annotated[str, typer.Option("--person", metavar="EMAIL|ID", help="Whom the rep did not get.")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Why a rep was not given a person, from what was stored when it was decided."""
    from sync.explain import NobodyFound
    from sync.route_shown import why_not_them

    with _store(config, as_json) as store, store.read() as tx:
        try:
            found = why_not_them(tx, person, rep)
        except NobodyFound as error:
            raise _fail(str(error), as_json) from None
    if as_json:
        _print_json(found.as_json())
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
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="TIME", help="Who is free at this instant (2026-11-25T12:00:00Z); else now."),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Give a rep's open MQLs to others by the rules. The next run tells the CRMs."""
    at = _moment(as_of)
    done = _rebalance(config, rep, to, at, as_json, dry_run=True)
    if not as_json:
        for line in done.lines():
            typer.echo(line)
    if not dry_run and done.moved:
        if not yes:
            _ask(f"Give {len(done.moved)} of {done.rep}'s people to others?", as_json)
        done = _rebalance(config, rep, to, at, as_json, dry_run=False)
    if as_json:
        _print_json({"dry_run": dry_run, **done.as_json()})
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

    with _clear_errors(as_json), open_parts(load(config, online=False), online=False, level="warning") as opened:
        try:
            return give_again(opened.parts, rep, to=to, as_of=at, dry_run=dry_run)
        except CannotRebalance as error:
            raise _fail(str(error), as_json) from None
        except LeaseHeld as held:
            raise _fail(str(held), as_json, code=HELD) from None


# -- around ------------------------------------------------------------------------------------------------------


@contextmanager
def _store(config: Path | None, as_json: bool) -> Iterator[Store]:
    from sync.compose import config_folder, open_store

    with _clear_errors(as_json), open_store(config_folder(config)) as store:
        yield store


@contextmanager
def _clear_errors(as_json: bool) -> Iterator[None]:
    """Every error that has a known cause ends as a sentence and an exit code."""
    from scoring.document import PolicyInvalid
    from sync.store.db import StoreError

    try:
        yield
    except (PolicyInvalid, StoreError) as error:
        raise _fail(str(error), as_json, code=CONFIG) from None


def _moment(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        message = f"{text!r} is not an instant with its zone; write 2026-11-25T12:00:00Z"
        raise typer.BadParameter(message, param_hint="--as-of")
    return moment.astimezone(UTC)


def _ask(question: str, as_json: bool) -> None:
    if not sys.stdin.isatty():
        raise _fail("this asks before it changes anything, and there is nobody to ask here: add --yes", as_json)
    if not typer.confirm(question, err=True):
        raise _fail("Nothing was changed.", as_json)


def _print_json(body: Mapping[str, Any]) -> None:
    answer = {"schema_version": SCHEMA_VERSION, **body}
    sys.stdout.write(json.dumps(answer, ensure_ascii=False, default=_plain) + "\n")


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else str(value)


def _fail(message: str, as_json: bool, code: int = ERROR) -> typer.Exit:
    typer.secho(message, err=True, fg="red")
    if as_json:
        _print_json({"error": message, "exit_code": code})
    return typer.Exit(code)
