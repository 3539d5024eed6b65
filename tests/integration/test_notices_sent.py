"""Notices in the store and on their way: one of a key, sent once the CRMs have confirmed, marked once accepted."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from sync.notices import Kind, Notice, key_of
from sync.notify import ExtraMissing, Teller, through_apprise, unusable
from sync.settings import Notify
from sync.shown import status_document, status_lines
from sync.store import notices, schema
from sync.store.db import Store
from sync.store.notices import KEPT
from tests.support.receiver import receiver

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ANA, MARA = "ana@acme.com", "mara@acme.com"


def notice(key: str, kind: Kind = Kind.HAND_RAISE, *, to: str = ANA, person: str | None = "p1") -> Notice:
    return Notice(key=key, person_id=person, kind=kind, to=to, subject=f"about {key}", body=f"body of {key}")


def put(store: Store, *some: Notice, at: datetime = NOW) -> int:
    with store.write() as tx:
        return notices.put(tx, some, at=at)


def rows(store: Store) -> dict[str, Any]:
    with store.read() as tx:
        return {row.key: row for row in tx.execute(select(schema.notice))}


class Channel:
    """Keeps what it accepts. ``refuses``: how many it does not, before that."""

    def __init__(self, refuses: int = 0) -> None:
        self.refuses = refuses
        self.asked: list[str] = []
        self.got: list[tuple[str, str, str]] = []

    def __call__(self, address: str, title: str, body: str) -> bool:
        self.asked.append(title)
        if len(self.asked) <= self.refuses:
            return False
        self.got.append((address, title, body))
        return True


PERSONAL = Notify(channels={"mail": "mail://x?to={to}", "chat": "chat://y"}, reps="mail", managers="chat")


def teller(store: Store, send: Any, notify: Notify = PERSONAL, **more: Any) -> Teller:
    return Teller(store=store, notify=notify, now=lambda: NOW, send=send, **more)


def queued(store: Store, person_id: str, state: str) -> None:
    row = {"op_key": person_id + state, "conn": "hubspot", "object": "contact", "id": person_id, "run_id": "r"}
    with store.write() as tx:
        tx.execute(
            schema.outbox.insert(),
            {**row, "person_id": person_id, "fields": {}, "base": {}, "sent": [], "state": state, "attempts": 0},
        )


def test_there_is_one_notice_of_a_key_and_the_first_counts(store: Store) -> None:
    assert put(store, notice("a"), notice("a"), notice("b")) == 2
    again = Notice(key="a", person_id="p1", kind=Kind.REMIND, to=MARA, subject="other", body="other")
    assert put(store, again, notice("c"), at=NOW + timedelta(days=1)) == 1
    assert (rows(store)["a"].to, rows(store)["a"].made_at) == (ANA, NOW)
    with store.read() as tx:
        assert notices.known(tx, ["a", "c", "d"]) == {"a", "c"}
        assert notices.newest(tx, Kind.HAND_RAISE, to=ANA) == NOW + timedelta(days=1)
        assert notices.newest(tx, Kind.DIGEST, to=ANA) is None


def test_everybody_is_told_once_where_they_are_told_things(store: Store) -> None:
    put(store, notice("a"), notice("b", Kind.GAVE_UP, to=MARA))
    channel = Channel()
    told = teller(store, channel).tell(as_of=NOW)
    assert (told.sent, told.refused, told.problems) == (2, 0, [])
    assert channel.got == [
        ("mail://x?to=ana%40acme.com", "about a", "body of a"),
        ("chat://y", "about b", f"For {MARA}\n\nbody of b"),
    ]
    assert {row.sent_at for row in rows(store).values()} == {NOW}
    assert teller(store, channel).tell(as_of=NOW).sent == 0
    assert len(channel.got) == 2


def test_who_has_no_channel_is_told_nothing_and_the_others_are(store: Store) -> None:
    put(store, notice("a"), notice("b", Kind.DIGEST, to=MARA, person=None))
    channel = Channel()
    only = Notify(channels={"chat": "chat://y"}, managers="chat")
    assert teller(store, channel, only).tell(as_of=NOW).sent == 1
    assert [title for _, title, _ in channel.got] == ["about b"]


@pytest.mark.parametrize(("state", "sent"), [("pending", 0), ("inflight", 0), ("dead", 1)])
def test_nobody_is_told_before_the_crms_have_confirmed(store: Store, state: str, sent: int) -> None:
    """A refused record waits for somebody; whom it is about must not wait with it."""
    queued(store, "p1", state)
    put(store, notice("a"), notice("b", person="p2"))
    channel = Channel()
    assert teller(store, channel).tell(as_of=NOW).sent == 1 + sent
    with store.read() as tx:
        assert notices.waiting(tx, now=NOW) == 1 - sent


def test_what_is_not_accepted_waits_for_the_next_run(store: Store) -> None:
    put(store, notice("a"), notice("b"))
    channel = Channel(refuses=1)
    told = teller(store, channel).tell(as_of=NOW)
    assert (told.sent, told.refused) == (1, 1)
    assert told.problems == ["1 notices were not accepted by their channel; the next run tries them again"]
    refused = rows(store)["a"]
    assert (refused.sent_at, refused.attempts, refused.error) == (None, 1, "not accepted by the channel 'mail'")
    assert teller(store, channel).tell(as_of=NOW).sent == 1
    assert (rows(store)["a"].attempts, rows(store)["a"].error) == (2, None)


def test_a_channel_that_is_down_is_left_in_peace_and_the_other_one_used(store: Store) -> None:
    put(store, *(notice(f"a{n}") for n in range(9)), notice("b", Kind.QUEUE, to=MARA))

    def send(address: str, title: str, body: str) -> bool:
        asked.append(address)
        return address.startswith("chat")

    asked: list[str] = []
    told = teller(store, send).tell(as_of=NOW)
    assert (told.sent, told.refused) == (1, 3)
    assert len(asked) == 4


def test_what_is_days_old_is_news_no_more(store: Store) -> None:
    put(store, notice("old"))
    later = NOW + notices.KEPT
    put(store, notice("new"), at=later)
    channel = Channel()
    assert teller(store, channel).tell(as_of=later).sent == 1
    assert [title for _, title, _ in channel.got] == ["about new"]
    assert put(store, notice("old"), at=later) == 0


def test_a_notice_that_was_accepted_but_not_marked_is_sent_again_and_a_marked_one_is_not(store: Store) -> None:
    put(store, notice("a"), notice("b"))
    channel = Channel()

    class Killed(Exception):
        pass

    def reached(place: str) -> None:
        if place == "notify:answered" and len(channel.got) == 2:
            raise Killed

    with pytest.raises(Killed):
        teller(store, channel, reached=reached).tell(as_of=NOW)
    teller(store, channel).tell(as_of=NOW)
    assert [title for _, title, _ in channel.got] == ["about a", "about b", "about b"]


def test_nothing_is_marked_when_the_lease_was_lost(store: Store) -> None:
    put(store, notice("a"))

    class Lost(Exception):
        pass

    def check(tx: Any) -> None:
        raise Lost

    with pytest.raises(Lost):
        teller(store, Channel(), check=check).tell(as_of=NOW)
    assert rows(store)["a"].sent_at is None


def test_an_owner_is_not_told_of_an_assignment_that_was_overtaken(store: Store) -> None:
    """While the channel was down the person went on; whom it was taken from, and what is no assignment, is told."""
    given = {"owner_key": "rep:x", "why": "r", "trace": {}, "decided_at": NOW, "policy_version": "v"}
    episode = {"opened_at": NOW, "line": "l", "lines": [], "grade": "A1", "fit": 1, "engagement": 1, "total": 1}
    with store.write() as tx:
        for person, step in (("p1", 1), ("p1", 2), ("p2", 1), ("p3", 1)):
            tx.execute(schema.assignment.insert(), {**given, "person_id": person, "n": 1, "step": step})
        for person, closed in (("p1", None), ("p2", NOW), ("p3", None)):
            more = {"person_id": person, "n": 1, "closed_at": closed, "policy_version": "v", "run_id": "r"}
            tx.execute(schema.episode.insert(), {**episode, **more, "adopted": False})
    put(
        store,
        notice("p1:1:assigned:1", Kind.ASSIGNED),
        notice("p1:1:remind:1", Kind.REMIND),
        notice("p1:1:taken:2", Kind.TAKEN),
        notice("p1:1:reassigned:2", Kind.REASSIGNED),
        notice("p2:1:remind:1", Kind.REMIND, person="p2"),
        notice("p3:1:assigned:1", Kind.ASSIGNED, person="p3"),
    )
    channel = Channel()
    teller(store, channel).tell(as_of=NOW)
    assert [title.removeprefix("about ") for _, title, _ in channel.got] == [
        "p1:1:reassigned:2",
        "p1:1:taken:2",
        "p3:1:assigned:1",
    ]


def test_it_stops_between_two_notices(store: Store) -> None:
    put(store, notice("a"), notice("b"))
    channel = Channel()
    assert teller(store, channel, stop=lambda: bool(channel.got)).tell(as_of=NOW).sent == 1


# -- Apprise -----------------------------------------------------------------------------------------------------


def test_apprise_carries_a_notice_to_its_channel(store: Store) -> None:
    put(store, notice("a"))
    with receiver() as there:
        notify = Notify(channels={"inbox": f"{there.url}/inbox/{{to}}"}, reps="inbox")
        assert teller(store, through_apprise, notify).tell(as_of=NOW).sent == 1
        there.refusing = 1
        put(store, notice("b: <ä> & :smile:"))
        assert teller(store, through_apprise, notify).tell(as_of=NOW).refused == 1
        assert teller(store, through_apprise, notify).tell(as_of=NOW).sent == 1
    assert [(one.path, one.title, one.body) for one in there.got] == [
        (f"/inbox/{ANA}", "about a", "body of a"),
        (f"/inbox/{ANA}", "about b: <ä> & :smile:", "body of b: <ä> & :smile:"),
    ]


def test_a_channel_that_nobody_answers_shows_its_secret_nowhere(
    store: Store, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    put(store, notice("a"))
    notify = Notify(channels={"inbox": "json://robot:very-secret-word@127.0.0.1:1/token-of-the-channel"}, reps="inbox")
    told = teller(store, through_apprise, notify).tell(as_of=NOW)
    assert told.refused == 1
    out = capfd.readouterr()
    shown = [out.out, out.err, caplog.text, *told.problems, str(rows(store)["a"])]
    assert not [one for one in shown if "secret-word" in one or "token-of" in one]


def test_an_address_that_apprise_does_not_know_keeps_its_notices_waiting_and_no_others(store: Store) -> None:
    put(store, notice("a"), notice("b"), notice("c", Kind.GAVE_UP, to=MARA))
    with receiver() as there:
        notify = Notify(
            channels={"mail": "mial://robot:very-secret-word@x", "chat": there.url}, reps="mail", managers="chat"
        )
        told = teller(store, through_apprise, notify).tell(as_of=NOW)
    assert told.problems == ["notices wait: channel 'mail': mial:... is no address that Apprise knows"]
    assert (told.sent, rows(store)["a"].attempts) == (1, 0)


def test_check_says_what_keeps_notices_from_being_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = {"mail": "mailtos://robot:word@smtp.acme.com?to={to}", "chat": "json://127.0.0.1/x"}
    assert list(unusable(Notify(channels=sound, reps="mail"))) == []
    assert list(unusable(Notify(channels={"mail": "mial://robot:very-secret-word@x"}, reps="mail"))) == [
        ("notify.channels.mail.url", "notices will wait: mial:... is no address that Apprise knows")
    ]
    monkeypatch.setitem(sys.modules, "apprise", None)
    [(where, said)] = unusable(Notify(channels=sound, reps="mail"))
    assert (where, "pip install 'mqlsync[notify]'" in said) == ("notify", True)


def test_without_the_extra_notices_wait_and_somebody_is_told_what_to_install(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, notice("a"), notice("b"))
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ExtraMissing):
        through_apprise("json://127.0.0.1", "t", "b")
    told = teller(store, through_apprise).tell(as_of=NOW)
    assert told.problems == ["notices wait: the package apprise is not installed: pip install 'mqlsync[notify]'"]
    assert (told.sent, {row.attempts for row in rows(store).values()}) == (0, {0})


def test_status_counts_the_notices_that_will_be_sent(store: Store) -> None:
    """What tells of an assignment that is none any more will not be; what waits for a CRM will."""
    old = key_of("p1", 1, Kind.ASSIGNED, 1)
    put(store, notice("a"), notice("b", Kind.DIGEST, to=MARA, person=None), notice(old, Kind.ASSIGNED))
    queued(store, "p1", "pending")
    document = status_document(store, now=NOW)
    assert document["notices"] == {"waiting": 2}
    assert "notices to send: 2" in list(status_lines(document))
    teller(store, Channel()).tell(as_of=NOW)
    assert status_document(store, now=NOW)["notices"] == {"waiting": 1}
    assert status_document(store, now=NOW + KEPT)["notices"] == {"waiting": 0}
