"""The command line. Results go to stdout, logs and progress to stderr, and the exit code says what to do next.

Commands import what they need when they run: `mqlsync --help` loads no client, no engine and no database.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from sync.compose import Loaded, Opened
    from sync.run import RunReport

__all__ = ["app", "main"]

SCHEMA_VERSION = 1
"""Of every ``--json`` answer; moves when a field is renamed or removed."""

OK, ERROR, CONFIG, CREDENTIALS, REJECTED, QUOTA, HELD, CHANGES, INTERRUPTED = 0, 1, 3, 4, 5, 6, 7, 8, 75

app = typer.Typer(
    name="mqlsync",
    help="Keeps HubSpot and Salesforce agreeing on who is a marketing qualified lead, and who owns them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="rich",
)
dead_app = typer.Typer(help="Records a CRM refused: list them, let them try again.", no_args_is_help=True)
app.add_typer(dead_app, name="dead")

ConfigDir = Annotated[
    Path | None,
    typer.Option("--config", metavar="DIR", help="Where the four files are. Else $MQLSYNC_CONFIG, else ./config."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", metavar="TIME", help="Decide as of this instant (2026-11-25T12:00:00Z); else now."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def main() -> None:
    """The entry point of the console script."""
    app()


# -- output ------------------------------------------------------------------------------------------------------


def _out() -> Console:
    return Console(soft_wrap=True, highlight=False)


def _err() -> Console:
    return Console(stderr=True, soft_wrap=True, highlight=False)


def _print_json(body: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps({"schema_version": SCHEMA_VERSION, **body}, ensure_ascii=False, default=str) + "\n")


def _fail(message: str, code: int) -> typer.Exit:
    _err().print(message, style="red", markup=False)
    return typer.Exit(code)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not an instant; write 2026-11-25T12:00:00Z", param_hint="--as-of"
        ) from None
    if moment.tzinfo is None:
        raise typer.BadParameter(f"{text!r} does not say its zone; write {text}Z for UTC", param_hint="--as-of")
    return moment.astimezone(UTC)


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Every error that has a known cause ends as one sentence and an exit code, never as a traceback."""
    from connectors.errors import ConnectorError
    from scoring.document import PolicyInvalid
    from sync.run import exit_code
    from sync.store.db import StoreError

    try:
        yield
    except PolicyInvalid as invalid:
        for problem in invalid.problems:
            _err().print(str(problem), markup=False)
        raise typer.Exit(CONFIG) from None
    except StoreError as error:
        raise _fail(str(error), CONFIG) from None
    except ConnectorError as error:
        raise _fail(str(error), exit_code(error)) from None


def _load(folder: Path | None, *, online: bool = True) -> Loaded:
    """The configuration, with its warnings shown. Contacts nobody."""
    from sync.compose import load

    loaded = load(folder, online=online)
    for warning in loaded.warnings:
        _err().print(str(warning), style="yellow", markup=False)
    return loaded


@contextmanager
def _open(folder: Path | None, *, online: bool = True, level: str = "warning") -> Iterator[Opened]:
    from sync.compose import open_parts

    with _clear_errors():
        loaded = _load(folder, online=online)
        with open_parts(loaded, online=online, level=level) as opened:
            yield opened


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str, int, int | None], None]]:
    """A line that moves while a run does, on a terminal only."""
    console = _err()
    if quiet or not console.is_terminal:
        yield lambda stage, done, of: None
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda stage, done, of: bar.update(task, description=stage, completed=done, total=of)


# -- commands ----------------------------------------------------------------------------------------------------


@app.command()
def demo(
    people: Annotated[int, typer.Option(min=1, help="How many people the two CRMs know.")] = 2000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same people.")] = 1,
    as_json: AsJson = False,
    as_of: AsOf = None,
    folder: Annotated[Path, typer.Option("--dir", help="Where to put configuration and store; made anew.")] = Path(
        "demo"
    ),
) -> None:
    """See the whole job on this machine: two CRMs, set-up, plan, run, and a second run that writes nothing."""
    from sync.demo import show

    with _clear_errors():
        result = show(
            people=people,
            seed=seed,
            as_of=_moment(as_of),
            folder=folder,
            say=_say(as_json),
            progress=_progress(as_json),
        )
    if as_json:
        _print_json(result.as_json())
    raise typer.Exit(result.exit_code)


def _say(quiet: bool) -> Callable[[Any], None]:
    console = _out()
    return (lambda what: None) if quiet else (lambda what: console.print(what))


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write the four files.")] = Path("config"),
    yes: Yes = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Write the four files with comments: connections, policy, team and field map."""
    from sync.init import FilesExist, write_templates

    try:
        written = write_templates(folder, force=force or (not yes and _may_overwrite(folder)))
    except FilesExist as there:
        raise _fail(str(there), ERROR) from None
    for path in written:
        _out().print(f"wrote {path}", markup=False)
    _out().print(
        "\nNext: put your CRMs' addresses into mqlsync.yaml and your reps into team.yaml, then\n"
        f"  mqlsync check --online --config {folder}\n  mqlsync setup --config {folder}\n"
        f"  mqlsync plan --config {folder}",
        markup=False,
    )


def _may_overwrite(folder: Path) -> bool:
    from sync.init import existing

    there = existing(folder)
    return bool(there) and sys.stdin.isatty() and typer.confirm(f"{', '.join(map(str, there))} exist. Overwrite?")


@app.command()
def check(
    config: ConfigDir = None,
    online: Annotated[bool, typer.Option("--online", help="Also ask the CRMs: credentials, fields, owners.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read the four files as a run would, and with --online prove the connections. Changes nothing."""
    from sync.check import check_online, check_schedules

    with _clear_errors():
        loaded = _load(config, online=online)
        found = check_schedules(loaded.settings, now=datetime.now(UTC))
        if online:
            with _open_quietly(loaded) as opened:
                found += check_online(opened.parts)
    errors = [f for f in found if f.error]
    if as_json:
        _print_json(
            {
                "policy_version": loaded.policy.version,
                "findings": [{"where": f.where, "message": f.message, "error": f.error} for f in found],
                "warnings": [str(w) for w in loaded.warnings],
            }
        )
    else:
        for finding in found:
            _out().print(f"{finding.where}: {finding.message}", style="red" if finding.error else None, markup=False)
        _out().print(f"policy {loaded.policy.name} {loaded.policy.version}: {len(errors)} errors", markup=False)
    raise typer.Exit(max((f.exit_code for f in errors), default=OK))


@contextmanager
def _open_quietly(loaded: Loaded) -> Iterator[Opened]:
    from sync.compose import open_parts

    with open_parts(loaded) as opened:
        yield opened


@app.command()
def setup(
    config: ConfigDir = None,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be made, make nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make the properties and fields that mqlsync writes, in both CRMs. Says what it made; repeating it is harmless."""
    from sync.setup import ensure, missing

    with _open(config) as opened:
        wanted = missing(opened.parts)
        if wanted and not (yes or dry_run):
            for change in wanted:
                _err().print(f"  + {change}", markup=False)
            if not sys.stdin.isatty():
                raise _fail("setup asks before it creates fields; there is nobody to ask here: add --yes", ERROR)
            if not typer.confirm(f"Create these {len(wanted)}?", err=True):
                raise typer.Exit(ERROR)
        made = wanted if dry_run else ensure(opened.parts)
    if as_json:
        _print_json({"dry_run": dry_run, "changes": [change.as_json() for change in made]})
        return
    for change in made:
        _out().print(("  would " if dry_run else "  ") + str(change), markup=False)
    _out().print("Nothing to make: everything is there." if not made else f"{len(made)} changes.", markup=False)


@app.command()
def plan(
    job: Annotated[str, typer.Argument(help="The job to plan.")] = "sync",
    config: ConfigDir = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Keep the plan for `apply`.")
    ] = None,
    detailed: Annotated[bool, typer.Option("--detailed-exitcode", help="Exit 8 when there are changes.")] = False,
    as_json: AsJson = False,
    as_of: AsOf = None,
) -> None:
    """What a run would change in the CRMs, record by record. Reads them, writes nothing."""
    from sync.plans import as_document, lines

    with _open(config) as opened, _progress(as_json) as progress:
        report = opened.run(job, as_of=_moment(as_of), dry_run=True, progress=progress, trigger="plan")
        document = as_document(report, opened.parts)
    if output is not None and report.exit_code in (OK, REJECTED):
        output.write_text(json.dumps(document, indent=1, ensure_ascii=False, default=str) + "\n")
    if as_json:
        _print_json(document)
    else:
        for line in lines(report, document):
            _out().print(line, markup=False)
    _tell_problems(report, as_json)
    if report.exit_code == OK and detailed and (document["changes"] or document["tasks"]):
        raise typer.Exit(CHANGES)
    raise typer.Exit(report.exit_code)


@app.command()
def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A plan kept by `mqlsync plan -o FILE`.")],
    config: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Write exactly what a kept plan says. Rows whose record has moved since are refused and listed."""
    from sync.plans import PlanFile, PlanUnusable

    try:
        kept = PlanFile.read(file)
    except PlanUnusable as error:
        raise _fail(str(error), ERROR) from None
    with _open(config) as opened, _progress(as_json) as progress:
        if (trouble := kept.unusable_with(opened.parts.policy)) is not None:
            raise _fail(trouble, ERROR)
        report = opened.run(kept.job, as_of=kept.as_of, only=kept.keys(), progress=progress, trigger="apply")
        refused = kept.refused(report)
    if as_json:
        _print_json({**report.as_json(), "refused": refused})
    else:
        _tell_run(report)
        for row in refused:
            _out().print(f"  refused {row}: it has moved since the plan was made; plan again", markup=False)
    raise typer.Exit(report.exit_code or (REJECTED if refused else OK))


@app.command()
def run(
    job: Annotated[str, typer.Argument(help="The job of mqlsync.yaml to run.")] = "sync",
    config: ConfigDir = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Stop after the plan: nothing is written.")] = False,
    queue: Annotated[bool, typer.Option("--queue", help="Leave it to a running worker.")] = False,
    as_json: AsJson = False,
    as_of: AsOf = None,
) -> None:
    """Do one run now: pull, score, decide, write."""
    with _open(config) as opened, _progress(as_json) as progress:
        if queue:
            run_id = opened.enqueue(job, as_of=_moment(as_of))
            _print_json({"run": run_id, "state": "queued"}) if as_json else _out().print(
                f"queued {run_id}", markup=False
            )
            return
        report = opened.run(job, as_of=_moment(as_of), dry_run=dry_run, progress=progress, trigger="manual")
    if as_json:
        _print_json(report.as_json())
    else:
        _tell_run(report)
    _tell_problems(report, as_json)
    raise typer.Exit(report.exit_code)


def _tell_run(report: RunReport) -> None:
    from sync.shown import run_lines

    for line in run_lines(report):
        _out().print(line, markup=False)


def _tell_problems(report: RunReport, quiet: bool) -> None:
    """What went wrong, where a person looks for it: on stderr, also beside a JSON answer."""
    from sync.shown import trouble_lines

    for line in trouble_lines(report):
        _err().print(line, markup=False, style="red")
    if not quiet:
        for warning in report.warnings:
            _err().print(warning, markup=False, style="yellow")


@app.command()
def worker(config: ConfigDir = None) -> None:
    """Run the jobs of mqlsync.yaml on their schedules until stopped (SIGTERM: between two batches)."""
    import threading
    from datetime import timedelta

    from sync.worker import stop_on_signals

    stop = threading.Event()
    stop_on_signals(stop, grace=timedelta(seconds=25))
    with _open(config, level="info") as opened:
        opened.work(stop)


@app.command()
def status(config: ConfigDir = None, as_json: AsJson = False) -> None:
    """How things stand: people by status, what waits, what is parked, how fresh the cursors are."""
    from sync.shown import status_document, status_lines

    with _open(config, online=False) as opened:
        document = status_document(opened.parts.store, now=datetime.now(UTC))
    if as_json:
        _print_json(document)
        return
    for line in status_lines(document):
        _out().print(line, markup=False)


@app.command()
def runs(
    config: ConfigDir = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The newest runs and what each of them did."""
    from sync.shown import run_row, runs_table
    from sync.store.runs import newest

    with _open(config, online=False) as opened, opened.parts.store.read() as tx:
        rows = newest(tx, limit=limit)
    if as_json:
        _print_json({"runs": [run_row(row) for row in rows]})
        return
    _out().print(runs_table(rows))


@app.command()
def explain(
    who: Annotated[str, typer.Argument(metavar="EMAIL|ID", help="An e-mail address, a person id or a CRM record id.")],
    config: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Why a person has their score, status and owner: every rule, sums that add up, and who was skipped."""
    from sync.explain import NobodyFound, explanation

    with _open(config, online=False) as opened:
        try:
            found = explanation(opened.parts, who)
        except NobodyFound as error:
            raise _fail(str(error), ERROR) from None
    if as_json:
        _print_json(found.as_json())
        return
    for line in found.lines():
        _out().print(line, markup=False)


@dead_app.command("list")
def dead_list(config: ConfigDir = None, as_json: AsJson = False) -> None:
    """Every record a CRM refused, why, and what will make it go again."""
    from sync.shown import dead_row
    from sync.store.outbox import dead_letters

    with _open(config, online=False) as opened, opened.parts.store.read() as tx:
        letters = dead_letters(tx)
    if as_json:
        _print_json({"dead": [dead_row(letter) for letter in letters]})
        return
    table = Table("no", "record", "field", "code", "reason", "parked", box=None)
    for one in letters:
        table.add_row(
            str(one.seq), str(one.ref), one.field or "", one.code, one.reason, one.dead_at.isoformat(timespec="minutes")
        )
    _out().print(table if letters else "Nothing is parked.")


@dead_app.command("retry")
def dead_retry(
    numbers: Annotated[list[int] | None, typer.Argument(metavar="NO...", help="Which; all without.")] = None,
    config: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Let parked records try again in the next run."""
    from sync.store.outbox import release_dead

    with _open(config, online=False) as opened, opened.parts.store.write() as tx:
        moved = release_dead(tx, release="", now=datetime.now(UTC), seqs=_numbers(tx, numbers))
    if as_json:
        _print_json({"released": moved})
    else:
        _out().print(f"{moved} released; the next run sends them.", markup=False)


def _numbers(tx: Any, numbers: Sequence[int] | None) -> list[int]:
    from sync.store.outbox import dead_letters

    return list(numbers) if numbers else [letter.seq for letter in dead_letters(tx)]


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"mqlsync {version('mqlsync')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Keeps HubSpot and Salesforce agreeing on who is a marketing qualified lead, and who owns them."""
