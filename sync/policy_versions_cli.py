"""`mqlsync policy`: a version on its way, from the first look at it to its use and back.

As in `sync.cli`, commands import what they need when they run.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sync.policy_cli import policy_app
from sync.terminal import (
    CONFIG,
    ERROR,
    OK,
    AsJson,
    ConfigDir,
    Yes,
    ask,
    clear_errors,
    counted,
    fail,
    print_json,
    problem_json,
)

if TYPE_CHECKING:
    from scoring.diff import PolicyDiff
    from scoring.document import Problem
    from scoring.policy import Policy
    from sync.publication import How
    from sync.rules import RuleFiles, Rules
    from sync.store.db import Store
    from sync.versions import InUse

__all__: list[str] = []

What = Annotated[
    str,
    typer.Argument(metavar="DIR|FILE", help="Files to look at; what they lack is taken from those in use. Else those."),
]


def _not_blank(text: str) -> str:
    if not text.strip():
        raise typer.BadParameter("say why in a few words")
    return text


Note = Annotated[
    str,
    typer.Option("--note", metavar="TEXT", help="Why, for whoever reads the list of versions.", callback=_not_blank),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change, change nothing.")]


# -- looking -----------------------------------------------------------------------------------------------------


@policy_app.command()
def lint(
    what: What = "live",
    strict: Annotated[bool, typer.Option("--strict", help="Exit 3 for warnings too.")] = False,
    config: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Every error and every warning, by file; the examples are tried as well. Changes nothing."""
    from scoring.document import PolicyInvalid
    from sync.compose import refuse_failing

    rules: Rules | None = None
    errors: tuple[Problem, ...] = ()
    with clear_errors(as_json):
        files = _files(what, config)
        try:
            rules = files.rules(today=_now().date())
            refuse_failing(rules.policy)
        except PolicyInvalid as invalid:
            errors = invalid.problems
    warnings = rules.warnings if rules is not None else ()
    code = CONFIG if errors or (strict and warnings) else OK
    if as_json:
        print_json(
            {
                "policy": _named(rules.policy) if rules is not None else None,
                "errors": [problem_json(one) for one in errors],
                "warnings": [problem_json(one) for one in warnings],
                "exit_code": code,
            }
        )
        raise typer.Exit(code)
    for line in _by_file(errors, warnings):
        typer.echo(line)
    name = f"policy {rules.policy.name} {rules.policy.version}: " if rules is not None else ""
    typer.echo(f"{name}{counted(len(errors), 'error')}, {counted(len(warnings), 'warning')}")
    raise typer.Exit(code)


def _by_file(errors: tuple[Problem, ...], warnings: tuple[Problem, ...]) -> Iterator[str]:
    """Under each file its errors, then its warnings."""
    found = [("error", one) for one in errors] + [("warning", one) for one in warnings]
    for file in dict.fromkeys(sorted(one.file for _, one in found)):
        yield file
        for level, one in found:
            if one.file == file:
                path = f"{one.path}: " if one.path else ""
                yield f"  {level:<8} {one.line}:{one.col}: {path}{one.message}"


@policy_app.command("test")
def try_all(what: What = "live", config: ConfigDir = None, as_json: AsJson = False) -> None:
    """Try the policy's examples, one line each, with what differs. Exit 1 when one fails."""
    from sync.compose import try_examples

    with clear_errors(as_json):
        rules = _files(what, config).rules()
        checked = try_examples(rules.policy)
    failed = sum(bool(one.differences) for one in checked)
    code = ERROR if failed else OK
    if as_json:
        examples = [
            {
                "name": one.example.name,
                "passed": not one.differences,
                "differences": [
                    {"key": d.key, "expected": d.expected, "got": d.got, "why": d.why} for d in one.differences
                ],
            }
            for one in checked
        ]
        print_json({"policy": _named(rules.policy), "examples": examples, "failed": failed, "exit_code": code})
        raise typer.Exit(code)
    for one in checked:
        typer.echo(f"{'FAIL' if one.differences else 'ok':<5}{one.example.name}")
        for difference in one.differences:
            typer.echo(f"       {difference.key}: {difference}")
    if checked:
        typer.echo(f"{counted(len(checked), 'example')}, {failed} failed")
    else:
        typer.echo("There are no examples. Under `examples` in policy.yaml they say what must stay true of whom.")
    raise typer.Exit(code)


@policy_app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="A file, a directory, `live`, or a version (v3, 4f0c2a).")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The same.")],
    config: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """What differs in meaning between two policies, in words, and what work that means."""
    from scoring.diff import compare
    from sync.fields_changed import fields_changed

    with clear_errors(as_json):
        before = _files(old, config).rules()
        after = _files(new, config).rules()
        found = compare(before.policy, after.policy, mapped=fields_changed(before.fields, after.fields))
    if as_json:
        print_json({"old": _named(before.policy), "new": _named(after.policy), **_diff_json(found)})
        return
    typer.echo(f"{before.policy.name} {before.policy.version} -> {after.policy.name} {after.policy.version}")
    for line in _diff_lines(found):
        typer.echo(line)


def _diff_lines(found: PolicyDiff) -> Iterator[str]:
    section = ""
    for change in found.changes:
        if change.section != section:
            section = change.section
            yield section
        place = change.path.removeprefix(section).removeprefix(".")
        yield f"  {place}: {change.text}" if place else f"  {change.text}"
    if not found.work:
        yield "They mean the same."
    for work in found.work:
        yield f"=> {work}"


def _diff_json(found: PolicyDiff) -> dict[str, Any]:
    return {
        "changes": [{"section": c.section, "path": c.path, "text": c.text} for c in found.changes],
        "work": [{"part": work.name.lower(), "text": work} for work in found.work],
    }


# -- putting into use --------------------------------------------------------------------------------------------


@policy_app.command()
def publish(
    new: Annotated[str, typer.Argument(metavar="DIR|FILE", help="A policy.yaml, or a directory with new files.")],
    note: Note,
    yes: Yes = False,
    dry_run: DryRun = False,
    config: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Put new files into use: checked, tried on the examples, compared, all replaced together. Nothing is lost."""
    from sync.publication import How

    with clear_errors(as_json):
        files = _files(new, config)
        rules = _usable(files.rules(today=_now().date()))
        _put(rules, How.PUBLISHED, note, config, yes=yes, dry_run=dry_run, as_json=as_json)


@policy_app.command()
def rollback(
    note: Note,
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="v3, or the beginning of its hash. Else the one before.")
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    config: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Bring an earlier version back, byte for byte, as a new entry."""
    from sync.compose import config_folder, open_store
    from sync.publication import How
    from sync.rules import RuleFiles, in_memory
    from sync.versions import previous

    with clear_errors(as_json):
        folder = config_folder(config)
        with open_store(folder) as store:
            row = previous(store, _in_use(folder), version)
        files = RuleFiles((in_memory(row.contents),), f"version {row.version}")
        rules = _usable(files.rules())
        _put(rules, How.ROLLED_BACK, note, config, yes=yes, dry_run=dry_run, as_json=as_json, restores=row.seq)


def _usable(rules: Rules) -> Rules:
    from sync.compose import refuse_failing

    refuse_failing(rules.policy)
    return rules


def _put(
    rules: Rules,
    how: How,
    note: str,
    config: Path | None,
    *,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    restores: int | None = None,
) -> None:
    """Show what changes, ask, and put the files into use."""
    from sync.compose import config_folder

    folder = config_folder(config)
    in_use = _in_use(folder)
    say: Callable[[str], None] = (lambda line: None) if as_json else typer.echo
    answer: dict[str, Any] = {"policy": _named(rules.policy), "how": how, "note": note, "dry_run": dry_run}
    if in_use.files == rules.files:
        say("These are the files in use: there is nothing to do.")
        if as_json:
            print_json({**answer, "published": False, "changes": [], "work": []})
        return
    answer |= _tell_changes(rules, in_use, say)
    if dry_run:
        say("Nothing was changed.")
        if as_json:
            print_json({**answer, "published": False})
        return
    if not yes:
        ask(f"Put {rules.policy.name} {rules.policy.version} into use?", as_json)
    number, left = _put_now(folder, rules, how, note, in_use, restores)
    for name in left:
        typer.echo(f"{name} was edited in this moment and left alone: look at it, and publish again", err=True)
    if as_json:
        print_json({**answer, "published": True, "number": f"v{number}", "left_alone": left})
    say(f"{how}: {rules.policy.name} {rules.policy.version} is v{number}. The next run decides by it.")


def _put_now(
    folder: Path, rules: Rules, how: How, note: str, in_use: InUse, restores: int | None
) -> tuple[int, tuple[str, ...]]:
    from sync.compose import open_store
    from sync.store.versions import newest
    from sync.versions import put_into_use

    with open_store(folder, make=True) as store:
        left = put_into_use(
            store,
            folder,
            rules.files,
            rules.policy,
            in_use=in_use,
            how=how,
            note=note,
            who=_who(),
            at=_now(),
            new_id=_new_id,
            restores=restores,
        )
        with store.read() as tx:
            last = newest(tx)
    assert last is not None
    return last.seq, left


def _tell_changes(rules: Rules, in_use: InUse, say: Callable[[str], None]) -> dict[str, Any]:
    from scoring.diff import compare
    from sync.fields_changed import fields_changed
    from sync.rules import RuleFiles, in_memory

    if in_use.policy is None:
        say(f"The files in use do not load, so there is nothing to compare with: {in_use.wrong}")
        return {"changes": None, "work": None, "in_use": None}
    before = RuleFiles((in_memory(in_use.files),), "the files in use").rules()
    found = compare(in_use.policy, rules.policy, mapped=fields_changed(before.fields, rules.fields))
    say(f"{in_use.policy.name} {in_use.policy.version} -> {rules.policy.name} {rules.policy.version}")
    for line in _diff_lines(found):
        say(line)
    if rules.warnings:
        say(f"{counted(len(rules.warnings), 'warning')}; `mqlsync policy lint` says which.")
    return {**_diff_json(found), "in_use": _named(in_use.policy)}


def _in_use(folder: Path) -> InUse:
    """The files in use, whether they load or not: a broken policy must not stand in the way of its repair."""
    from scoring.document import PolicyInvalid
    from sync.rules import RuleFiles, in_folder, read_folder
    from sync.store.db import StoreError
    from sync.versions import InUse

    try:
        rules = read_folder(folder)
    except (PolicyInvalid, StoreError) as wrong:
        return InUse(files=RuleFiles((in_folder(folder),), str(folder)).read(), policy=None, wrong=wrong)
    return InUse(files=rules.files, policy=rules.policy)


@policy_app.command()
def versions(config: ConfigDir = None, as_json: AsJson = False) -> None:
    """Every version that was in use, newest first, with its note and how much was decided by it."""
    from sync.compose import config_folder, open_store
    from sync.store.versions import Counts, counts, entries

    with clear_errors(as_json):
        folder = config_folder(config)
        in_use = _in_use(folder)
        with open_store(folder) as store, store.read() as tx:
            found, by = entries(tx), counts(tx)
    live = in_use.policy.version if in_use.policy is not None else None
    rows = [
        {
            "number": f"v{row.seq}",
            "version": row.version or None,
            "live": row is found[0] and row.version == live,
            "at": _iso(row.at),
            "who": row.who,
            "how": row.how,
            "restores": f"v{row.restores}" if row.restores is not None else None,
            "note": row.note,
            **{name: getattr(by.get(row.version, Counts()), name) for name in _COUNTED},
        }
        for row in found
    ]
    if as_json:
        print_json({"live": live, "versions": rows})
        return
    if not rows:
        typer.echo("No version was in use yet: the first run keeps the files it decides by.")
        return
    for line in _columns(
        ["", "version", "since", "by", "how", "runs", "people", "MQLs", "assigned", "note"],
        [
            [
                f"{'*' if row['live'] else ' '}{row['number']}",
                row["version"] or "(did not load)",
                row["at"][:16].replace("T", " "),
                row["who"],
                row["how"] + (f" to {row['restores']}" if row["restores"] else ""),
                *(str(row[name]) for name in _COUNTED),
                row["note"],
            ]
            for row in rows
        ],
    ):
        typer.echo(line)
    if live is not None and not rows[0]["live"]:
        typer.echo(f"In use now: {live}, edited in place; no run has decided by it yet.")


_COUNTED = ("runs", "people", "episodes", "assignments")


# -- shadow ------------------------------------------------------------------------------------------------------


@policy_app.command()
def shadow(
    new: Annotated[
        str | None, typer.Argument(metavar="DIR|FILE", help="The candidate. Without one: what was found so far.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Stop comparing; what was found stays.")] = False,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What it is to show.")] = "",
    config: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Score a candidate beside the policy in use with every run, writing nothing of it, and say what would differ."""
    if off and new is not None:
        raise typer.BadParameter("either a candidate, or --off", param_hint="--off")
    with clear_errors(as_json):
        if new is not None:
            _begin_shadow(new, note, config, as_json)
        elif off:
            _end_shadow(config, as_json)
        else:
            _show_shadow(config, as_json)


def _begin_shadow(new: str, note: str, config: Path | None, as_json: bool) -> None:
    from sync.compose import config_folder, load_rules, open_store
    from sync.shadow import cannot_shadow
    from sync.store.versions import ShadowRow, start_shadow

    folder = config_folder(config)
    in_use = load_rules(folder)
    rules = _usable(_files(new, config).rules())
    if rules.policy.version == in_use.policy.version:
        raise fail(f"{new} means the same as the policy in use: nothing would differ", as_json)
    why = cannot_shadow(rules, in_use.policy, in_use.fields.hash)
    if why is not None:
        raise fail(f"{new} cannot be scored in the shadow: {why}", as_json)
    row = ShadowRow(
        id=_new_id(),
        version=rules.policy.version,
        name=rules.policy.name,
        note=note,
        who=_who(),
        at=_now(),
        files={name: content.decode("utf-8") for name, content in rules.files.items()},
    )
    with open_store(folder, make=True) as store, store.write() as tx:
        start_shadow(tx, row)
    if as_json:
        print_json({"shadow": _named(rules.policy), "live": _named(in_use.policy), "note": note})
        return
    typer.echo(
        f"{rules.policy.name} {rules.policy.version} is scored beside {in_use.policy.version} from the next run on. "
        "`mqlsync policy shadow` says what would differ."
    )


def _end_shadow(config: Path | None, as_json: bool) -> None:
    from sync.compose import config_folder, open_store
    from sync.store.versions import end_shadow

    with open_store(config_folder(config)) as store, store.write() as tx:
        ended = end_shadow(tx, at=_now())
    if as_json:
        print_json({"ended": ended})
    else:
        typer.echo("The shadow ended." if ended else "There was no shadow.")


def _show_shadow(config: Path | None, as_json: bool) -> None:
    from sync.compose import config_folder, open_store
    from sync.shadow_report import shadow_document, shadow_lines

    with open_store(config_folder(config)) as store, store.read() as tx:
        document = shadow_document(tx)
    if as_json:
        print_json(document or {"candidate": None, "everybody": None, "since": [], "trend": []})
        return
    if document is None:
        typer.echo("There is no shadow; `mqlsync policy shadow FILE` begins one.")
        return
    for line in shadow_lines(document):
        typer.echo(line)


# -- input and output --------------------------------------------------------------------------------------------


def _files(what: str, config: Path | None) -> RuleFiles:
    """The files that somebody means (`sync.versions.find`); directories need no configuration in use."""
    from sync.compose import config_folder, open_store
    from sync.store.db import StoreError
    from sync.versions import LIVE, find

    try:
        folder = config_folder(config)
    except StoreError:
        if what == LIVE or not Path(what).is_dir():
            raise
        folder = Path(what)
    opened: Callable[[], AbstractContextManager[Store]] = partial(open_store, folder)
    return find(what, folder, opened)


def _named(policy: Policy) -> dict[str, str]:
    return {"name": policy.name, "version": policy.version}


def _columns(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    """Rows under their heads; the last column is as long as it is."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _now() -> datetime:
    return datetime.now(UTC)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _new_id() -> str:
    import uuid

    return uuid.uuid4().hex


def _who() -> str:
    """The name of whoever is signed in on this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
