"""`mqlsync policy whatif` and `backtest`: a policy tried on today's people and on the past, without consequences.

As in `sync.cli`, commands import what they need when they run.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from sync.policy_cli import policy_app
from sync.terminal import AsJson, AsOf, ConfigDir, clear_errors, fail, moment, open_all, print_json

if TYPE_CHECKING:
    from sync.report import Report

__all__: list[str] = []

New = Annotated[
    Path, typer.Argument(metavar="DIR|FILE", help="The policy to try; what it lacks is taken from the files in use.")
]
Html = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Also write the report as a page with charts.")
]
Most = Annotated[int, typer.Option("--names", min=0, metavar="N", help="How many people each list names.")]


@policy_app.command()
def whatif(
    new: New,
    as_of: AsOf = None,
    names: Most = 20,
    html: Html = None,
    config: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """What a policy would do with the people of the store: who moves, who gets them, what is written."""
    from sync.candidate import CandidateUnusable, load_candidate
    from sync.trial_reports import whatif_json, whatif_report
    from sync.whatif import NotRehearsed, what_if

    at = moment(as_of)
    with open_all(config, as_json=as_json, online=False) as opened, clear_errors(as_json, CandidateUnusable):
        policy = load_candidate(opened.loaded, new)
        try:
            found = what_if(opened.parts, policy, as_of=at or opened.parts.now())
        except NotRehearsed as why:
            raise fail(str(why), as_json, why.exit_code) from None
    report = whatif_report(found, most=names)
    _page(html, report, as_json)
    if as_json:
        print_json(whatif_json(found))
        return
    _say(report)


@policy_app.command()
def backtest(
    new: New,
    since: Annotated[str, typer.Option(metavar="DAYS|DATE", help="The first day: 90d, or 2026-09-01.")] = "90d",
    until: Annotated[str | None, typer.Option(metavar="DATE", help="The last day; else today.")] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="DIR|FILE", help="Compare with this policy; else with the one in use.")
    ] = None,
    mature: Annotated[int, typer.Option(min=0, metavar="DAYS", help="How old an MQL must be to be judged.")] = 30,
    names: Most = 20,
    html: Html = None,
    config: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Replay past days under a policy, with what was known on each: whom it lets in, and what became of them."""
    from sync.backtest import back_test
    from sync.candidate import CandidateUnusable, load_candidate
    from sync.history import TooEarly
    from sync.store.people import load_owner_names
    from sync.trial_reports import backtest_json, backtest_report

    known = (CandidateUnusable, TooEarly)
    with open_all(config, as_json=as_json, online=False) as opened, clear_errors(as_json, *known):
        parts = opened.parts
        policy = load_candidate(opened.loaded, new)
        other = parts.policy if against is None else load_candidate(opened.loaded, against)
        today = parts.now().astimezone(ZoneInfo(policy.timezone)).date()
        last = today if until is None else _day(until, today, "--until")
        first = _day(since, today, "--since")
        if not first <= last <= today:
            raise typer.BadParameter(f"{first} to {last}: days that are over are wanted, the first one first")
        with parts.store.read() as tx:
            owners = load_owner_names(tx)
        found = back_test(
            parts.store,
            parts.engine,
            new=policy,
            live=other,
            prefer=parts.fields.prefer,
            owners=owners,
            since=first,
            until=last,
            today=today,
            mature=mature,
        )
    report = backtest_report(found, most=names)
    _page(html, report, as_json)
    if as_json:
        print_json(backtest_json(found))
        return
    _say(report)


def _day(text: str, today: date, option: str) -> date:
    """``90d`` is ninety days ago."""
    if ago := re.fullmatch(r"([0-9]{1,4})d", text):
        return today - timedelta(days=int(ago[1]))
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day; write 90d or 2026-09-01", param_hint=option) from None


def _say(report: Report) -> None:
    from sync.report import as_text

    for line in as_text(report):
        typer.echo(line)


def _page(html: Path | None, report: Report, as_json: bool) -> None:
    if html is None:
        return
    from sync.report import as_html

    try:
        html.write_text(as_html(report), encoding="utf-8")
    except OSError as error:
        raise fail(f"{html} cannot be written: {error.strerror}", as_json) from None
