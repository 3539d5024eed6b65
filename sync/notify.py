"""Tell people what waits in the store: through Apprise, after the CRMs have confirmed what is told.

A notice is marked once a channel has accepted it, and a marked one is never sent again. Between the two a crash leaves
it unmarked, so it is sent once more: no channel can be asked whether it has had a message already.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection

from sync.log import get_logger
from sync.notices import AUDIENCE, Audience, Notice
from sync.settings import Notify
from sync.store import notices
from sync.store.db import Store
from sync.store.notices import Unsent

__all__ = ["RECIPIENT", "ExtraMissing", "Send", "Teller", "Told", "through_apprise", "unusable"]

RECIPIENT = "{to}"
"""In a channel's address: the e-mail address of whoever is told."""

MOST_FAILURES = 3
"""Notices in a row that a channel may not accept before it is left in peace until the next run."""


class ExtraMissing(Exception):
    """Apprise is not installed. Nothing was sent."""


Send = Callable[[str, str, str], bool]
"""(address, title, body) -> whether the channel accepted it. Raises ExtraMissing, or ValueError for an address that is
none; neither message holds the address."""


def through_apprise(address: str, title: str, body: str) -> bool:
    """The `Send` of everyday life."""
    told = _apprise(address)
    # Line ends stay line ends, whatever the channel makes of markup.
    return bool(told.notify(title=title, body=body, body_format="text"))


def unusable(notify: Notify) -> Iterator[tuple[str, str]]:
    """(where, what is wrong) of what keeps notices from being sent, as far as it shows without sending one."""
    for name, address in notify.channels.items():
        try:
            _apprise(address.replace(RECIPIENT, "somebody%40example.com"))
        except ExtraMissing as missing:
            yield "notify", f"notices will wait: {missing}"
            return
        except ValueError as wrong:
            yield f"notify.channels.{name}.url", f"notices will wait: {wrong}"


def _apprise(address: str) -> Any:
    """One channel. Raises as `Send` does."""
    try:
        from apprise import Apprise, AppriseAsset
    except ImportError:
        raise ExtraMissing("the package apprise is not installed: pip install 'mqlsync[notify]'") from None
    # Its lines can hold the address, and with that a password.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    told = Apprise(asset=AppriseAsset(app_id="mqlsync", app_desc="mqlsync"))
    if not told.add(address):
        raise ValueError(f"{address.partition(':')[0]}:... is no address that Apprise knows")
    return told


@dataclass(slots=True)
class Told:
    """What became of the notices: sent, refused by their channel, and in a sentence each why some wait."""

    sent: int = 0
    refused: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Everything sending needs to know.

    check    raises in every transaction that must not commit any more
    reached  called around every send, with the name of the place
    stop     asked between two notices
    """

    store: Store
    notify: Notify
    now: Callable[[], datetime]
    send: Send = through_apprise
    check: Callable[[Connection], None] = lambda tx: None
    reached: Callable[[str], None] = lambda place: None
    stop: Callable[[], bool] = lambda: False

    def tell(self, *, as_of: datetime) -> Told:
        """Send what can be sent. Whatever a channel does, the others are told."""
        told = Told()
        failures: Counter[str] = Counter()
        resting: set[str] = set()
        for one, channel in self._to_send(as_of):
            if self.stop():
                break
            if channel in resting:
                continue
            try:
                accepted = self._send(channel, one.notice)
            except ExtraMissing as missing:
                told.problems.append(f"notices wait: {missing}")
                break
            except ValueError as wrong:
                told.problems.append(f"notices wait: channel {channel!r}: {wrong}")
                resting.add(channel)
                continue
            self._note(one, channel, accepted)
            told.sent += accepted
            told.refused += not accepted
            failures[channel] = 0 if accepted else failures[channel] + 1
            if failures[channel] == MOST_FAILURES:
                resting.add(channel)
        if told.refused:
            told.problems.append(
                f"{told.refused} notices were not accepted by their channel; the next run tries them again"
            )
        return told

    def _to_send(self, as_of: datetime) -> Iterator[tuple[Unsent, str]]:
        with self.store.read() as tx:
            waiting = notices.unsent(tx, now=as_of)
        for one in waiting:
            for_reps = AUDIENCE[one.notice.kind] is Audience.REPS
            if (channel := self.notify.reps if for_reps else self.notify.managers) is not None:
                yield one, channel

    def _send(self, channel: str, notice: Notice) -> bool:
        address = self.notify.channels[channel]
        personal = RECIPIENT in address
        body = notice.body if personal else f"For {notice.to}\n\n{notice.body}"
        accepted = self.send(address.replace(RECIPIENT, quote(notice.to, safe="")), notice.subject, body)
        self.reached("notify:answered")
        return accepted

    def _note(self, one: Unsent, channel: str, accepted: bool) -> None:
        with self.store.write() as tx:
            self.check(tx)
            if accepted:
                notices.mark_sent(tx, one.notice.key, at=self.now())
            else:
                notices.not_accepted(tx, one.notice.key, f"not accepted by the channel {channel!r}")
        if accepted:
            get_logger().info("notice.sent", kind=one.notice.kind, channel=channel)
        else:
            get_logger().warning("notice.not_sent", kind=one.notice.kind, channel=channel, attempts=one.attempts + 1)
        self.reached("notify:noted")
