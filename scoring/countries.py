"""ISO 3166-1 country codes and their English names, as the time zone database lists them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

__all__ = ["ALIASES", "codes", "named"]

ALIASES: Mapping[str, str] = {"UK": "GB", "EL": "GR"}
"""Codes that the European Union uses and ISO does not."""


@cache
def codes() -> Mapping[str, str]:
    """Alpha-2 code -> English name."""
    table = (files("tzdata") / "zoneinfo" / "iso3166.tab").read_text(encoding="utf-8")
    return dict(line.split("\t", 1) for line in table.splitlines() if line and not line.startswith("#"))


@cache
def _by_name() -> Mapping[str, str]:
    return {name.casefold(): code for code, name in codes().items()}


def named(name: str) -> str | None:
    """The code of a country's English name, None when it is not one."""
    return _by_name().get(name.casefold())
