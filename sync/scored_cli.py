"""`mqlsync scored`: everybody with their scores, in a file.

As in `sync.cli`, commands import what they need when they run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sync.terminal import AsJson, ConfigDir, clear_errors, opened_store, print_json

__all__ = ["scored"]


def scored(
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="people.csv or people.parquet; it is replaced.")],
    config: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Write everybody's scores, status and owner into a CSV or Parquet file; from the store alone."""
    from sync.scored import NoSuchTable, export_scored

    with clear_errors(as_json, NoSuchTable), opened_store(config, as_json) as store:
        written = export_scored(store, to)
    if as_json:
        print_json({"people": written, "file": str(to)})
        return
    typer.echo(f"{written} people written to {to}.")
