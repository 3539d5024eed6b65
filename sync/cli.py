"""The command line. Results go to stdout, logs and progress to stderr, and the exit code says what to do next.

Commands import what they need when they run: `mqlsync --help` loads no client, no engine and no database.
"""

from __future__ import annotations

import json
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sync import policy_trials_cli, policy_versions_cli  # noqa: F401  # add their commands to `mqlsync policy`
from sync.conflicts_cli import conflicts_app
from sync.policy_cli import policy_app
from sync.review_cli import review_app
from sync.route_cli import route_app
from sync.scored_cli import scored
from sync.terminal import (
    CHANGES,
    CONFIG,
    CTRL_C,
    ERROR,
    INTERRUPTED,
    OK,
    REJECTED,
    AsJson,
    AsOf,
    ConfigDir,
    LogLevel,
    Yes,
    clear_errors,
    counted,
    day_or_moment,
    err,
    fail,
    moment,
    open_all,
    out,
    plain,
    print_json,
    problem_json,
)

if TYPE_CHECKING:
    from sync.run import RunReport

__all__ = ["app", "main"]

app = typer.Typer(
    name="mqlsync",
    help="Keeps HubSpot and Salesforce agreeing on who is a marketing qualified lead, and who owns them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
dead_app = typer.Typer(help="Records a CRM refused: list them, let them try again.", no_args_is_help=True)
app.add_typer(conflicts_app, name="conflicts")
app.add_typer(dead_app, name="dead")
app.add_typer(policy_app, name="policy")
app.add_typer(review_app, name="review")
app.add_typer(route_app, name="route")
app.command()(scored)

RUN = re.compile(r"r_[0-9a-f]{8}")
"""How runs are named."""

Log = Annotated[
    LogLevel, typer.Option("--log-level", envvar="MQLSYNC_LOG_LEVEL", help="What goes to the log, which is stderr.")
]


def main() -> None:
    """The entry point of the console script."""
    try:
        app()
    except Exception as error:  # noqa: BLE001  # a defect: told without the values that it happened to
        _tell_defect(error)
        raise SystemExit(ERROR) from None


def _tell_defect(error: Exception) -> None:
    """Messages of libraries hold people and tokens, so the traceback goes through the log, which takes them out."""
    import secrets

    import structlog

    from sync import log

    if not structlog.is_configured():
        log.configure(level="error", key=secrets.token_bytes(32))
    log.get_logger().error("command.crashed", exc_info=error)
    message = "This is a defect of mqlsync; the line above says where. Running the command again is safe."
    err().print(f"{type(error).__name__}. {message}", style="red", markup=False)


class _Stop:
    """Ctrl-C and SIGTERM, politely: the run stops between two batches. A second one ends the process at once."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.by: int | None = None

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.asked.is_set():
            raise KeyboardInterrupt
        self.by = number
        self.asked.set()

    @property
    def exit_code(self) -> int:
        return CTRL_C if self.by == signal.SIGINT else INTERRUPTED

    @contextmanager
    def listening(self) -> Iterator[_Stop]:
        before = {number: signal.signal(number, self._take) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        except KeyboardInterrupt:
            raise typer.Exit(self.exit_code) from None
        finally:
            for number, was in before.items():
                signal.signal(number, was)


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str, int, int | None], None]]:
    """A line that moves while a run does, on a terminal only."""
    console = err()
    if quiet or not console.is_terminal:
        yield lambda stage, done, of: None
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda stage, done, of: bar.update(task, description=_stage(stage), completed=done, total=of)


def _stage(place: str) -> str:
    """``pull:hubspot:contact:page`` in words."""
    return " ".join(place.split(":")[:3])


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

    with clear_errors(as_json):
        result = show(
            people=people,
            seed=seed,
            as_of=moment(as_of),
            folder=folder,
            say=_say(as_json),
            progress=_progress(as_json),
        )
    if as_json:
        print_json(result.as_json())
    raise typer.Exit(result.exit_code)


def _say(quiet: bool) -> Callable[[Any], None]:
    console = out()
    return (lambda what: None) if quiet else (lambda what: console.print(what))


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write the four files.")] = Path("config"),
    yes: Yes = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the four files with comments: connections, policy, team and field map."""
    from sync.init import FilesExist, write_templates

    try:
        written = write_templates(folder, force=force or (not yes and _may_overwrite(folder)))
    except FilesExist as there:
        raise fail(str(there), as_json) from None
    except OSError as error:
        raise fail(f"{error.filename} cannot be written: {error.strerror}", as_json) from None
    if as_json:
        print_json({"written": [str(path) for path in written]})
        return
    for path in written:
        out().print(f"wrote {path}", markup=False)
    out().print(
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
    log: Log = LogLevel.WARNING,
) -> None:
    """Read the four files as a run would, and with --online prove the connections. Changes nothing."""
    from sync.check import check_engine, check_notices, check_online, check_schedules, check_team
    from sync.compose import load, open_parts

    with clear_errors(as_json):
        loaded = load(config, online=online)
        now = datetime.now(UTC)
        found = check_schedules(loaded.settings, now=now) + check_engine(loaded.settings)
        found += check_team(loaded.policy, now=now) + check_notices(loaded.settings, loaded.policy)
        if online:
            with open_parts(loaded, level=log, fresh=True) as opened:
                found += check_online(opened.parts)
    errors = [f for f in found if f.error]
    code = max((f.exit_code for f in errors), default=OK)
    if as_json:
        print_json(
            {
                "policy": {"name": loaded.policy.name, "version": loaded.policy.version},
                "findings": [{"where": f.where, "message": f.message, "error": f.error} for f in found],
                "warnings": [problem_json(w) for w in loaded.warnings],
                "exit_code": code,
            }
        )
        raise typer.Exit(code)
    for warning in loaded.warnings:
        out().print(f"{warning} (warning)", style="yellow", markup=False)
    for finding in found:
        text = f"{finding.where}: {finding.message}" + (" (error)" if finding.error else "")
        out().print(text, style="red" if finding.error else None, markup=False)
    totals = f"{counted(len(errors), 'error')}, {counted(len(loaded.warnings), 'warning')}"
    out().print(f"policy {loaded.policy.name} {loaded.policy.version}: {totals}", markup=False)
    raise typer.Exit(code)


@app.command()
def setup(
    config: ConfigDir = None,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be made, make nothing.")] = False,
    as_json: AsJson = False,
    log: Log = LogLevel.WARNING,
) -> None:
    """Make the properties and fields that mqlsync writes, in both CRMs. Says what it made; repeating it is harmless."""
    from sync.setup import ensure, missing

    with open_all(config, as_json=as_json, level=log, fresh=True) as opened:
        wanted = missing(opened.parts)
        if wanted and not (yes or dry_run):
            for change in wanted:
                err().print(f"  + {change}", markup=False)
            if not sys.stdin.isatty():
                message = "setup asks before it creates fields; there is nobody to ask here: add --yes"
                raise fail(message, as_json)
            if not typer.confirm(f"Make {counted(len(wanted), 'change')} in your CRMs?", err=True):
                raise fail("Nothing was made.", as_json)
        made = wanted if dry_run else ensure(opened.parts)
    if as_json:
        print_json({"dry_run": dry_run, "changes": [change.as_json() for change in made]})
        return
    for change in made:
        out().print(("  to do: " if dry_run else "  ") + str(change), markup=False)
    out().print(
        "Nothing to make: everything is there." if not made else f"{counted(len(made), 'change')}.", markup=False
    )


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
    log: Log = LogLevel.WARNING,
) -> None:
    """What a run would change in the CRMs, record by record. Reads them, writes nothing."""
    from sync.plans import as_document, lines

    at = moment(as_of)
    with open_all(config, as_json=as_json, level=log) as opened, _Stop().listening() as stop:
        with _progress(as_json) as progress:
            report = opened.run(job, as_of=at, dry_run=True, progress=progress, stop=stop.asked.is_set, trigger="plan")
        document = as_document(report, opened.parts)
    if output is not None and report.exit_code in (OK, REJECTED):
        try:
            output.write_text(json.dumps(document, indent=1, ensure_ascii=False, default=plain) + "\n")
        except OSError as error:
            raise fail(f"{output} cannot be written: {error.strerror}", as_json) from None
    if as_json:
        print_json(document)
    else:
        for line in lines(report, document):
            out().print(line, markup=False)
    _tell_problems(report, as_json)
    if report.exit_code == OK and detailed and (document["changes"] or document["tasks"]):
        raise typer.Exit(CHANGES)
    raise typer.Exit(_exit_code(report, stop))


@app.command()
def apply(
    what: Annotated[
        str, typer.Argument(metavar="FILE|RUN", help="A plan kept by `mqlsync plan -o FILE`, or a run that waits.")
    ],
    config: ConfigDir = None,
    as_json: AsJson = False,
    log: Log = LogLevel.WARNING,
) -> None:
    """Write exactly what a kept plan says, or let through a run that the guard stopped, once."""
    file = Path(what)
    if RUN.fullmatch(what) and not file.exists():
        _let_through(what, config, as_json, log)
    else:
        _apply_plan(file, config, as_json, log)


def _let_through(run_id: str, config: Path | None, as_json: bool, log: LogLevel) -> None:
    from sync.store.stops import NotWaiting

    with (
        open_all(config, as_json=as_json, level=log) as opened,
        _Stop().listening() as stop,
        clear_errors(as_json, NotWaiting),
        _progress(as_json) as progress,
    ):
        report = opened.let_through(run_id, progress=progress, stop=stop.asked.is_set)
    raise _ended(report, stop, as_json)


def _apply_plan(file: Path, config: Path | None, as_json: bool, log: LogLevel) -> None:
    """Rows whose record has moved since are refused and listed."""
    from sync.plans import PlanFile, PlanUnusable

    try:
        kept = PlanFile.read(file)
    except PlanUnusable as error:
        raise fail(str(error), as_json) from None
    with open_all(config, as_json=as_json, level=log) as opened, _Stop().listening() as stop:
        if (trouble := kept.unusable_with(opened.parts.policy)) is not None:
            raise fail(trouble, as_json)
        with _progress(as_json) as progress:
            report = opened.run(
                kept.job,
                as_of=kept.as_of,
                only=kept.keys(),
                progress=progress,
                stop=stop.asked.is_set,
                trigger="apply",
            )
        refused = kept.refused(report)
    end = _ended(report, stop, as_json, refused=refused)
    for row in refused:
        err().print(f"refused {row}: it has moved since the plan was made; plan again", markup=False, style="red")
    raise typer.Exit(end.exit_code or (REJECTED if refused else OK))


@app.command()
def run(
    job: Annotated[str, typer.Argument(help="The job of mqlsync.yaml to run.")] = "sync",
    config: ConfigDir = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Stop after the plan: nothing is written.")] = False,
    queue: Annotated[bool, typer.Option("--queue", help="Leave it to a running worker.")] = False,
    as_json: AsJson = False,
    as_of: AsOf = None,
    log: Log = LogLevel.WARNING,
) -> None:
    """Do one run now: pull, score, decide, write."""
    at = moment(as_of)
    if queue and dry_run:
        raise typer.BadParameter("a dry run is for you to look at: it cannot be left to a worker", param_hint="--queue")
    if queue:
        with open_all(config, as_json=as_json, online=False) as opened:
            run_id = opened.enqueue(job, as_of=at)
        if as_json:
            print_json({"run": run_id, "state": "queued"})
        else:
            out().print(f"queued {run_id}; a worker takes it up. See `mqlsync runs`", markup=False)
        return
    with (
        open_all(config, as_json=as_json, level=log) as opened,
        _Stop().listening() as stop,
        _progress(as_json) as progress,
    ):
        trigger = "plan" if dry_run else "manual"
        report = opened.run(job, as_of=at, dry_run=dry_run, progress=progress, stop=stop.asked.is_set, trigger=trigger)
    raise _ended(report, stop, as_json)


@app.command()
def sweep(
    config: ConfigDir = None,
    accept_gone: Annotated[
        bool, typer.Option("--accept-gone", help="Mark records that are gone, however many they are.")
    ] = False,
    as_json: AsJson = False,
    log: Log = LogLevel.WARNING,
) -> None:
    """Compare every id with the CRMs: fetch what was missed, mark what is gone, mend links. Writes to no CRM."""
    with (
        open_all(config, as_json=as_json, level=log) as opened,
        _Stop().listening() as stop,
        _progress(as_json) as progress,
    ):
        report = opened.sweep(accept_gone=accept_gone, progress=progress, stop=stop.asked.is_set)
    raise _ended(report, stop, as_json)


def _ended(report: RunReport, stop: _Stop, as_json: bool, **more: object) -> typer.Exit:
    """Tell of a run that is over; raise what this returns. ``more``: goes into the JSON beside the report."""
    if as_json:
        print_json({**report.as_json(), **more})
    else:
        _tell_run(report)
    _tell_problems(report, as_json)
    return typer.Exit(_exit_code(report, stop))


def _exit_code(report: RunReport, stop: _Stop) -> int:
    return stop.exit_code if report.exit_code == INTERRUPTED else report.exit_code


def _tell_run(report: RunReport) -> None:
    from sync.shown import run_lines

    for line in run_lines(report):
        out().print(line, markup=False)


def _tell_problems(report: RunReport, quiet: bool) -> None:
    """What went wrong, where a person looks for it: on stderr, also beside a JSON answer."""
    from sync.shown import trouble_lines

    for line in trouble_lines(report):
        err().print(line, markup=False, style="red")
    if not quiet and report.error is None:
        for warning in report.warnings:
            err().print(warning, markup=False, style="yellow")


@app.command()
def worker(config: ConfigDir = None, log: Log = LogLevel.INFO) -> None:
    """Run the jobs of mqlsync.yaml on their schedules until stopped (SIGTERM: between two batches)."""
    from datetime import timedelta

    from sync.worker import stop_on_signals

    stop = threading.Event()
    stop_on_signals(stop, grace=timedelta(seconds=25))
    with open_all(config, level=log) as opened:
        opened.work(stop)


@app.command()
def status(config: ConfigDir = None, as_json: AsJson = False) -> None:
    """How things stand: people by status, what waits, what is parked, how fresh the cursors are."""
    from sync.compose import look_at_store, schedules
    from sync.shown import status_document, status_lines

    with clear_errors(as_json), look_at_store(config) as (store, wrong):
        document = status_document(store, wrong, now=datetime.now(UTC), jobs=schedules(config))
    if as_json:
        print_json(document)
    else:
        for line in status_lines(document):
            out().print(line, markup=False)
    if wrong:
        raise typer.Exit(CONFIG)


@app.command()
def runs(
    config: ConfigDir = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The newest runs and what each of them did."""
    from sync.shown import run_row, runs_table
    from sync.store.runs import newest

    with open_all(config, as_json=as_json, online=False) as opened, opened.parts.store.read() as tx:
        rows = newest(tx, limit=limit)
    if as_json:
        print_json({"runs": [run_row(row) for row in rows]})
        return
    out().print(runs_table(rows))


@app.command()
def explain(
    who: Annotated[str, typer.Argument(metavar="EMAIL|ID", help="An e-mail address, a person id or a CRM record id.")],
    config: ConfigDir = None,
    as_json: AsJson = False,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="DATE", help="What was known and decided when a day ended, or at an instant."),
    ] = None,
) -> None:
    """Why a person has, or had, their score, status and owner: every rule and event, and who was skipped."""
    from sync.explain import NobodyFound, explanation
    from sync.then import NotTold, then

    at = day_or_moment(as_of)
    with open_all(config, as_json=as_json, online=False) as opened, clear_errors(as_json, NobodyFound, NotTold):
        found = explanation(opened.parts, who) if at is None else then(opened.parts, who, at)
    if as_json:
        print_json(found.as_json())
        return
    for line in found.lines():
        out().print(line, markup=False)


@dead_app.command("list")
def dead_list(config: ConfigDir = None, as_json: AsJson = False) -> None:
    """Every record a CRM refused, why, and what will make it go again."""
    from sync.shown import dead_row, dead_table
    from sync.store.outbox import dead_letters

    with open_all(config, as_json=as_json, online=False) as opened, opened.parts.store.read() as tx:
        letters = dead_letters(tx)
    if as_json:
        print_json({"dead": [dead_row(letter) for letter in letters]})
        return
    out().print(dead_table(letters) if letters else "Nothing is parked.")


@dead_app.command("retry")
def dead_retry(
    numbers: Annotated[list[int] | None, typer.Argument(metavar="NO...", help="Which; all without.")] = None,
    config: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Let parked records try again in the next run."""
    from sync.store.outbox import dead_letters, release_dead

    with open_all(config, as_json=as_json, online=False) as opened:
        with opened.parts.store.write() as tx:
            parked = [letter.seq for letter in dead_letters(tx)]
            unknown = sorted(set(numbers or ()) - set(parked))
            if not unknown:
                moved = release_dead(tx, release="", now=datetime.now(UTC), seqs=numbers or parked)
        if unknown:
            listed = ", ".join(map(str, unknown))
            raise fail(f"nothing parked has the number {listed}; see `mqlsync dead list`", as_json)
    if as_json:
        print_json({"released": moved})
    else:
        out().print(f"{moved} released; the next run sends them.", markup=False)


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
