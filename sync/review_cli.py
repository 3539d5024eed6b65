"""`mqlsync review`: who waits for a marketer, and the marketer's answer.

As in `sync.cli`, commands import what they need when they run.
"""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from sync.terminal import AsJson, ConfigDir, fail, open_all, opened_store, print_json

__all__ = ["review_app"]

Whom = Annotated[list[str], typer.Argument(metavar="EMAIL|ID...", help="E-mail addresses, person ids or record ids.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who says so; else who is signed in here.")]

review_app = typer.Typer(
    help="Who waits for a marketer: list them, look at one, approve or reject them.", no_args_is_help=True
)


@review_app.command("list")
def list_(config: ConfigDir = None, as_json: AsJson = False) -> None:
    """Who waits, since when, why, and when time approves them."""
    from sync.review_shown import waiting

    with opened_store(config, as_json) as store, store.read() as tx:
        found = waiting(tx)
    if as_json:
        print_json({"waiting": [one.as_json() for one in found]})
        return
    for one in found:
        for line in one.lines():
            typer.echo(line)
    typer.echo("Nobody waits for a marketer." if not found else f"{len(found)} in review.")


@review_app.command()
def show(
    who: Annotated[str, typer.Argument(metavar="EMAIL|ID", help="An e-mail address, a person id or a CRM record id.")],
    config: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """What there is to decide by: why the person waits, facts, every rule, the episode."""
    from sync.explain import NobodyFound, explanation, facts_now
    from sync.review_shown import waiting

    with open_all(config, as_json=as_json, online=False) as opened:
        try:
            found = explanation(opened.parts, who)
        except NobodyFound as error:
            raise fail(str(error), as_json) from None
        person_id = found.person.person_id
        with opened.parts.store.read() as tx:
            waits = next(iter(waiting(tx, [person_id])), None)
            known = facts_now(tx, opened.parts, [person_id])
        facts = {name: _shown(value) for one in known.values() for name, value in sorted(one.facts.items())}
    if as_json:
        print_json({"waiting": None if waits is None else waits.as_json(), "facts": facts, **found.as_json()})
        return
    for line in waits.lines() if waits is not None else ("Does not wait for a marketer.",):
        typer.echo(line)
    typer.echo("")
    for name, value in facts.items():
        typer.echo(f"  {name}: {value}")
    typer.echo("")
    for line in found.lines():
        typer.echo(line)


@review_app.command()
def approve(
    who: Whom,
    why: Annotated[str | None, typer.Option("--why", metavar="TEXT", help="Why, for whoever asks later.")] = None,
    by: By = None,
    config: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Let people in review go to sales. The next run hands them over. All of them, or none when one is refused."""
    _answer(config, who, approve=True, why=why, by=by, as_json=as_json)


@review_app.command()
def reject(
    who: Whom,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever asks later.")],
    by: By = None,
    config: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Say no to people in review. The next run closes their episodes. All of them, or none when one is refused."""
    _answer(config, who, approve=False, why=reason, by=by, as_json=as_json)


def _answer(
    config: Path | None, who: Sequence[str], *, approve: bool, why: str | None, by: str | None, as_json: bool
) -> None:
    from scoring.episodes import Verdict
    from sync.explain import NobodyFound
    from sync.review_shown import NotInReview, to_be_answered
    from sync.store.reviews import say

    verdict = Verdict(approve=approve, at=datetime.now(UTC), by=by or getpass.getuser(), why=why)
    with opened_store(config, as_json) as store, store.write() as tx:
        try:
            people = to_be_answered(tx, who)
        except (NobodyFound, NotInReview) as error:
            raise fail(f"{error}. Nobody was {_said(approve)}", as_json) from None
        say(tx, list(people), verdict)
    if as_json:
        told = {"approve": approve, "by": verdict.by, "at": verdict.at, "why": why}
        print_json({"verdict": told, "people": list(people)})
        return
    for name in people.values():
        typer.echo(f"{_said(approve)} {name}")
    typer.echo(f"{len(people)} {_said(approve)} by {verdict.by}; it takes effect at the next run.")


def _shown(value: object) -> object:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return ", ".join(sorted(map(str, value))) if isinstance(value, (tuple, frozenset)) else value


def _said(approve: bool) -> str:
    return "approved" if approve else "rejected"
