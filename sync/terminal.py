"""What all commands share: options, output, exit codes, and errors told as a sentence."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from scoring.document import Problem
    from sync.compose import Opened
    from sync.store.db import Store

__all__ = [
    "CHANGES",
    "CONFIG",
    "CREDENTIALS",
    "CTRL_C",
    "ERROR",
    "HELD",
    "INTERRUPTED",
    "OK",
    "QUOTA",
    "REJECTED",
    "WAITING",
    "AsJson",
    "AsOf",
    "ConfigDir",
    "LogLevel",
    "Yes",
    "ask",
    "clear_errors",
    "counted",
    "day_or_moment",
    "err",
    "fail",
    "moment",
    "open_all",
    "opened_store",
    "out",
    "plain",
    "print_json",
    "problem_json",
]

SCHEMA_VERSION = 1
"""Of every ``--json`` answer; moves when a field is renamed or removed."""

OK, ERROR, CONFIG, CREDENTIALS, REJECTED, QUOTA, HELD, CHANGES, WAITING = 0, 1, 3, 4, 5, 6, 7, 8, 9
INTERRUPTED, CTRL_C = 75, 130

WIDE = 400
"""Columns of output that nobody's terminal limits: a table in a file or a pipe is not cut."""

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


class LogLevel(StrEnum):
    """How much is logged, as JSON lines on stderr."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


# -- output ------------------------------------------------------------------------------------------------------


def out() -> Console:
    console = Console(soft_wrap=True, highlight=False, emoji=False)
    return console if console.is_terminal else Console(soft_wrap=True, highlight=False, emoji=False, width=WIDE)


def err() -> Console:
    return Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)


def print_json(body: Mapping[str, Any]) -> None:
    """One line: the body after its ``schema_version``."""
    answer = {"schema_version": SCHEMA_VERSION, **body}
    sys.stdout.write(json.dumps(answer, ensure_ascii=False, default=plain) + "\n")


def plain(value: object) -> str:
    """What JSON has no type for: instants and days in ISO 8601, in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else str(value)


def counted(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def problem_json(problem: Problem) -> dict[str, Any]:
    return {name: getattr(problem, name) for name in ("file", "line", "col", "path", "code", "message")}


# -- what was typed ----------------------------------------------------------------------------------------------


def moment(text: str | None) -> datetime | None:
    """The instant of ``--as-of``, None without one."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not an instant; write 2026-11-25T12:00:00Z", param_hint="--as-of"
        ) from None
    if at.tzinfo is None:
        raise typer.BadParameter(f"{text!r} does not say its zone; write {text}Z for UTC", param_hint="--as-of")
    return at.astimezone(UTC)


def day_or_moment(text: str | None) -> date | datetime | None:
    """The day or the instant of ``--as-of`` where a day will do, None without one."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return moment(text)


def ask(question: str, as_json: bool) -> None:
    """Go on only when somebody at the terminal says yes."""
    if not sys.stdin.isatty():
        raise fail("this asks before it changes anything, and there is nobody to ask here: add --yes", as_json)
    if not typer.confirm(question, err=True):
        raise fail("Nothing was changed.", as_json)


# -- errors ------------------------------------------------------------------------------------------------------


def fail(message: str, as_json: bool, code: int = ERROR) -> typer.Exit:
    """Tell an error; raise what this returns."""
    err().print(message, style="red", markup=False)
    if as_json:
        print_json({"error": message, "exit_code": code})
    return typer.Exit(code)


@contextmanager
def clear_errors(as_json: bool, *others: type[Exception]) -> Iterator[None]:
    """Every error that has a known cause ends as one sentence and an exit code, never as a traceback.

    ``others``: further exceptions whose text is the sentence, with exit code 1.
    """
    from connectors.errors import ConnectorError
    from scoring.document import PolicyInvalid
    from scoring.engine import EngineFailed
    from sync.run import exit_code
    from sync.store.db import StoreError
    from sync.versions import VersionUnknown

    said: tuple[type[Exception], ...] = (EngineFailed, VersionUnknown, *others)
    try:
        yield
    except PolicyInvalid as invalid:
        for problem in invalid.problems:
            err().print(str(problem), markup=False)
        told = f"{counted(len(invalid.problems), 'error')}; nobody was contacted, nothing was changed"
        err().print(told, style="red", markup=False)
        if as_json:
            problems = [problem_json(problem) for problem in invalid.problems]
            print_json({"error": str(invalid), "problems": problems, "exit_code": CONFIG})
        raise typer.Exit(CONFIG) from None
    except StoreError as error:
        raise fail(str(error), as_json, CONFIG) from None
    except ConnectorError as error:
        raise fail(str(error), as_json, exit_code(error)) from None
    except said as error:
        raise fail(str(error), as_json) from None


@contextmanager
def open_all(
    folder: Path | None,
    *,
    as_json: bool = False,
    online: bool = True,
    level: LogLevel = LogLevel.WARNING,
    fresh: bool = False,
) -> Iterator[Opened]:
    """Configuration, store and, where asked for, connections. Lint and missing secrets are for `check` to tell."""
    from sync.compose import load, open_parts

    with clear_errors(as_json):
        # Examples are for whoever decides; to look at the store, nobody waits for them.
        loaded = load(folder, online=online, examples=online)
        with open_parts(loaded, online=online, level=level, fresh=fresh) as found:
            yield found


@contextmanager
def opened_store(folder: Path | None, as_json: bool) -> Iterator[Store]:
    """The store alone, for commands that neither decide nor ask a CRM: a broken policy file does not stop them."""
    from sync.compose import config_folder, open_store

    with clear_errors(as_json), open_store(config_folder(folder)) as store:
        yield store
