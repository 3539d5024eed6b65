"""`mqlsync policy`: points learned from known outcomes, and tables scored with them.

As in `sync.cli`, commands import what they need when they run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sync.terminal import AsJson, ConfigDir, clear_errors, fail, print_json

if TYPE_CHECKING:
    from scoring.suggestion import Suggestion
    from sync.outcomes import Known
    from sync.table_scores import RowScore

__all__ = ["policy_app"]


class How(StrEnum):
    """The methods of `scoring.suggestion.Method`, without loading it."""

    LOGISTIC = "logistic"
    BAYES = "bayes"


policy_app = typer.Typer(
    help="A policy on its way: checked, tried, compared, put into use, brought back; points learned from outcomes.",
    no_args_is_help=True,
)

Against = Annotated[
    Path | None,
    typer.Option("--against", metavar="FILE", help="Compare with a policy, or an earlier patch, on the same table."),
]
MARK = "# Points learned by `mqlsync policy suggest`"
"""How a patch begins: a file that does not is somebody's work and is not overwritten."""


@policy_app.command()
def suggest(
    table: Annotated[
        Path | None, typer.Option("--from", metavar="FILE.csv", help="A table of people; else the people of the store.")
    ] = None,
    outcome: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The table's column that says who was won (1 or 0, yes or no).")
    ] = None,
    leaks: Annotated[
        list[str] | None, typer.Option(metavar="COL,...", help="Columns that were known only after the outcome.")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(metavar="COL,...", help="Columns to use although they look like such a leak.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="PATCH.yaml", help="Where to write the patch; else stdout.")
    ] = None,
    method: Annotated[How, typer.Option(help="How points are made.")] = How.LOGISTIC,
    doubling: Annotated[int, typer.Option(min=1, max=1000, help="Points that double the odds.")] = 20,
    step: Annotated[
        int | None, typer.Option(min=1, max=100, help="Round points to multiples of this; else 5, or 1 with bayes.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, max=20, help="How often the 5-fold cross-validation is repeated.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of the folds; the same seed gives the same patch.")] = 1,
    lost_after: Annotated[
        int | None,
        typer.Option(min=1, metavar="DAYS", help="Store only: open people created so long ago count as lost."),
    ] = None,
    against: Against = None,
    config: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Fit a scorecard to people whose outcome is known; write it as a part of policy.yaml to read and merge."""
    from scoring.suggestion import Method, TooFewOutcomes, patch_text, summary
    from sync.outcomes import TableUnusable

    with clear_errors(as_json, TableUnusable, TooFewOutcomes):
        if table is not None and outcome is None:
            raise fail("--from needs --outcome COLUMN: the column that says who was won", as_json)
        if table is None and (outcome is not None or against is not None):
            raise fail("--outcome and --against are for a table: name it with --from FILE.csv", as_json)
        if table is not None and lost_after is not None:
            raise fail(
                "--lost-after is for people of the store; in a table the outcome column says who is lost", as_json
            )
        if out is not None:
            _refuse_foreign(out, as_json)
        learn, options = _learning(as_json)
        made = _listed(leaks), frozenset(_listed(keep))
        if table is not None:
            assert outcome is not None
            known, keeping = _of_table(table, outcome, made[0], made[1], against)
        else:
            known, keeping = _of_store(config, made[0], lost_after, as_json), made[1]
        try:
            found: Suggestion = learn(
                known.columns,
                known.won,
                options(
                    method=Method(method),
                    doubling=doubling,
                    step=step or (1 if method is How.BAYES else 5),
                    repeats=repeats,
                    seed=seed,
                    keep=keeping,
                ),
                current=known.current,
                current_name=str(against) if against is not None else "the policy in use",
                notes=known.notes,
                progress=_progress(as_json),
            )
        except TooFewOutcomes as few:
            raise TooFewOutcomes(" ".join([f"{few}.", *known.notes])) from None
        text = patch_text(found, known.source)
        if out is not None:
            _write(out, text, as_json)
    if as_json:
        print_json({**found.as_json(), "patch": str(out) if out is not None else None, "policy": text})
        return
    if out is None:
        sys.stdout.write(text)
    for line in summary(found):
        typer.echo(line, err=out is None)
    if out is not None:
        typer.echo(f"\nwrote {out}: read it, then merge it into policy.yaml")


@policy_app.command()
def score(
    patch: Annotated[Path, typer.Argument(metavar="PATCH.yaml", help="A patch of `policy suggest`, or a policy.")],
    table: Annotated[Path, typer.Option("--from", metavar="FILE.csv", help="The table to score.")],
    outcome: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Also say how well the scores tell won from lost rows.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score every row of a table: its whole points and the reasons, which add up to them."""
    from sync.outcomes import TableUnusable, outcomes_of, read_table
    from sync.table_scores import load_points, score_rows

    with clear_errors(as_json, TableUnusable):
        read = read_table(table)
        outcomes = outcomes_of(read, outcome) if outcome is not None else None
        scored = list(score_rows(load_points(patch), read, datetime.now(UTC).date()))
        judged = None if outcomes is None else _judged(scored, outcomes, str(table))
    if as_json:
        print_json({"rows": [row.as_json() for row in scored], **({"auc": judged} if judged is not None else {})})
        return
    for row in scored:
        said = ", ".join(f"{_reason(r.name, r.value)} {r.points:+g}" for r in row.reasons) or "nothing gave points"
        typer.echo(f"row {row.row}: {row.score} ({said})")
    if judged is not None:
        typer.echo(
            f"AUC {judged['value']:.3f} on {judged['rows']:,} rows with an outcome, {judged['won']:,} of them won"
        )


def _reason(name: str, value: str | None) -> str:
    return name if value is None else f"{name} {value or 'unknown'}"


def _judged(scored: list[RowScore], outcomes: list[bool | None], table: str) -> dict[str, Any]:
    from scoring.suggestion import area_under_curve
    from sync.outcomes import TableUnusable

    known = [(row.score, won) for row, won in zip(scored, outcomes, strict=True) if won is not None]
    try:
        value = area_under_curve([s for s, _ in known], [won for _, won in known])
    except ValueError as error:
        raise TableUnusable(f"{table}: {error}") from None
    return {"value": round(value, 4), "rows": len(known), "won": sum(won for _, won in known)}


# -- where the outcomes come from --------------------------------------------------------------------------------


def _of_table(
    file: Path, outcome: str, leaks: list[str], keep: frozenset[str], against: Path | None
) -> tuple[Known, frozenset[str]]:
    from sync.outcomes import from_table, read_table

    read = read_table(file)
    current = None
    if against is not None:
        from sync.table_scores import load_points, score_rows

        scored = score_rows(load_points(against), read, datetime.now(UTC).date())
        current = [float(row.score) for row in scored]
    return from_table(read, outcome, leaks=leaks, current=current), frozenset(map(read.title, keep))


def _of_store(config: Path | None, leaks: list[str], lost_after: int | None, as_json: bool) -> Known:
    from datetime import timedelta

    from scoring.document import did_you_mean
    from scoring.facts import FACTS
    from sync.compose import load, open_parts
    from sync.gather import GatherRules
    from sync.outcomes import from_store
    from sync.store.people import load_owner_names

    loaded = load(config, online=False)
    names = [*FACTS, *loaded.policy.custom]
    if unknown := [leak for leak in leaks if leak not in names]:
        raise fail(f"--leaks: there is no fact {unknown[0]!r}{did_you_mean(unknown[0], names)}", as_json)
    with open_parts(loaded, online=False) as opened:
        store, policy, fields = opened.parts.store, opened.parts.policy, opened.parts.fields
        with store.read() as tx:
            owners = load_owner_names(tx)
        return from_store(
            store,
            rules=GatherRules(
                prefer=fields.prefer,
                seniority=policy.seniority,
                custom=policy.custom,
                free_mail=policy.free_mail,
                owners=owners,
            ),
            timezone=policy.timezone,
            now=datetime.now(UTC),
            leaks=frozenset(leaks),
            lost_after=None if lost_after is None else timedelta(days=lost_after),
        )


def _learning(as_json: bool) -> tuple[Callable[..., Suggestion], Callable[..., Any]]:
    """The learner, which needs an extra: what it is missing is one sentence, not a traceback."""
    try:
        from scoring.learn import Options, learn
    except ModuleNotFoundError as missing:
        raise fail(f"`policy suggest` needs {missing.name}: pip install 'mqlsync[learn]'", as_json) from None
    return learn, Options


def _listed(texts: list[str] | None) -> list[str]:
    return [name for text in texts or () for part in text.split(",") if (name := part.strip())]


# -- output ------------------------------------------------------------------------------------------------------


def _refuse_foreign(out: Path, as_json: bool) -> None:
    if not out.exists():
        return
    try:
        begins = out.read_text(encoding="utf-8", errors="replace")[: len(MARK)]
    except OSError as error:
        raise fail(f"{out} cannot be written: {error.strerror}", as_json) from None
    if begins != MARK:
        raise fail(f"{out} is there and was not written by `policy suggest`: name another file", as_json)


def _write(out: Path, text: str, as_json: bool) -> None:
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise fail(f"{out} cannot be written: {error.strerror}", as_json) from None


def _progress(quiet: bool) -> Callable[[int, int], None]:
    if quiet or not sys.stderr.isatty():
        return lambda done, of: None
    return lambda done, of: typer.echo(
        f"\rcross-validation {done}/{of}" + ("\n" if done == of else ""), err=True, nl=False
    )
