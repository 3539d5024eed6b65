"""The four files a new installation starts with."""

from __future__ import annotations

from pathlib import Path

__all__ = ["FILES", "FilesExist", "existing", "templates", "write_templates"]

FILES = ("mqlsync.yaml", "policy.yaml", "team.yaml", "fields.yaml")

ENVIRONMENT = """\
# Secrets for mqlsync.yaml. Copy to .env, fill in, and load it into the environment of mqlsync; never commit it.
HUBSPOT_TOKEN=
SF_KEY=
SF_SECRET=
"""


class FilesExist(Exception):
    """There are files already; nothing was written."""


def templates() -> Path:
    """Where the templates are: in the installed package, or in the repository."""
    packaged = Path(__file__).parent / "_defaults"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "config"


def existing(folder: Path) -> list[Path]:
    """Those of the four files that are in ``folder``."""
    return [folder / name for name in FILES if (folder / name).exists()]


def write_templates(folder: Path, *, force: bool = False) -> list[Path]:
    """Write the four files and `.env.example` into ``folder``, which is made. All or none.

    Raises
    ------
    FilesExist: one of the four is there and ``force`` is not given
    """
    there = existing(folder)
    if there and not force:
        raise FilesExist(f"{', '.join(map(str, there))} exist; nothing was written. Add --force to replace them")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in FILES:
        path = folder / name
        path.write_bytes((templates() / name).read_bytes())
        written.append(path)
    example = folder / ".env.example"
    example.write_text(ENVIRONMENT)
    return [*written, example]
