"""How to reach one portal, and as whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from connectors.address import is_loopback

__all__ = ["ApiVersion", "HubSpotSettings", "OAuth", "Token"]

ApiVersion = Literal["v3", "2026-03"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth:
    """An installed OAuth app. ``kept_in``: file for the refresh token HubSpot returns instead (see `KeptToken`)."""

    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)
    kept_in: Path | None = None


Token = str | Callable[[], str] | OAuth
"""A private app's token or a service key, something that fetches it, or an OAuth app."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSpotSettings:
    """One connection. ValueError names the key that cannot work.

    base_url           no path; plain http only on loopback
    api_version        which family of paths is used
    per_10_seconds     calls of this app in any ten seconds (190 from Professional on, 100 below, 110 for OAuth apps)
    search_per_second  searches of the whole account
    per_day            calls of the whole account
    kept_for_writing   the part of them that what reads changes leaves alone
    at_once            calls under way at the same time, each in a thread of its own
    timeout            seconds to connect, and between two bytes of an answer
    answer_within      seconds for the whole of an answer (see `answer_time`: more for a large one)
    proxy              address of an https proxy; the environment is never asked
    """

    base_url: str
    token: Token = field(repr=False)
    api_version: ApiVersion = "v3"
    per_10_seconds: int = 190
    search_per_second: int = 5
    per_day: int = 650_000
    kept_for_writing: float = 0.1
    at_once: int = 8
    timeout: tuple[float, float] = (5.0, 30.0)
    answer_within: float = 60.0
    proxy: str | None = None

    def __post_init__(self) -> None:
        at = urlsplit(self.base_url)
        if at.scheme not in ("http", "https") or not at.hostname:
            raise ValueError(f"hubspot base_url: an https address, not {self.base_url!r}")
        if at.path not in ("", "/") or at.query or at.fragment or at.username:
            raise ValueError(f"hubspot base_url: only scheme, host and port, not {self.base_url!r}")
        if at.scheme == "http" and not is_loopback(at.hostname):
            raise ValueError(
                f"hubspot base_url: plain http is only for 127.0.0.0/8, ::1 and localhost, not for {self.base_url!r}"
            )
        if self.api_version not in ("v3", "2026-03"):
            raise ValueError(f'hubspot api_version: "v3" or "2026-03", not {self.api_version!r}')
        for key in ("per_10_seconds", "search_per_second", "per_day", "at_once"):
            if getattr(self, key) < 1:
                raise ValueError(f"hubspot limits.{key}: at least 1, not {getattr(self, key)}")
        if not 0 <= self.kept_for_writing < 1:
            raise ValueError(f"hubspot limits.kept_for_writing: below 100 %, not {self.kept_for_writing:.0%}")
        if min(self.timeout) <= 0:
            raise ValueError(f"hubspot timeout: positive seconds, not {self.timeout}")
        if self.answer_within <= 0:
            raise ValueError(f"hubspot answer_within: positive seconds, not {self.answer_within}")

    @property
    def host(self) -> str:
        """``base_url`` as the package wants it: it is put before each path as it stands."""
        return self.base_url.rstrip("/")
