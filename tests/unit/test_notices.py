"""The words of notices, their keys, and the block of mqlsync.yaml that says where they go."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest

from connectors.records import Crm, Owner, OwnerKind
from scoring.document import PolicyInvalid, Source
from scoring.team import Rep, Team
from sync import notices
from sync.notices import AUDIENCE, About, Audience, Count, Kind, Notice
from sync.owners import OwnerDirectory
from sync.settings import Notify, Settings, load_settings

ANA, BO, MARA = "ana@acme.com", "bo@acme.com", "mara@acme.com"
SINCE, ENDS = datetime(2026, 11, 25, 9, tzinfo=UTC), datetime(2026, 11, 25, 15, 30, tzinfo=UTC)
KARI = About(
    person_id="p1",
    n=2,
    name="Kari Nord",
    grade="A1",
    reason="asked_for_sales: asked for a demo +50; company_size +35; seniority +25",
    records=("hubspot contact 101", "salesforce lead 00Q1"),
)


def every_notice() -> Iterator[Notice]:
    zone = "Europe/Oslo"
    yield notices.assigned(KARI, 1, to=ANA)
    yield notices.remind(KARI, 1, to=ANA, since=SINCE, zone=zone, ends=ENDS)
    yield notices.reassigned(KARI, 2, to=BO, before="Ana Ruiz")
    yield notices.taken(KARI, 2, to=ANA, now="Bo Chen")
    yield notices.gave_up(KARI, 3, to=MARA, queue="inbound", owners=["Ana Ruiz", "Bo Chen"])
    yield notices.report(KARI, 1, to=MARA, owner="Ana Ruiz", since=SINCE, zone=zone)
    yield notices.suppressed(KARI, "customer", to=ANA)
    yield notices.hand_raised(KARI, date(2026, 11, 25), to=ANA)
    yield notices.in_queue(KARI, 3, to=MARA, queue="inbound", since=SINCE, zone=zone)


def test_a_key_says_person_episode_kind_and_step() -> None:
    assert [one.key for one in every_notice()] == [
        "p1:2:assigned:1",
        "p1:2:remind:1",
        "p1:2:reassigned:2",
        "p1:2:taken:2",
        f"p1:2:gave_up:3:{MARA}",
        f"p1:2:report:1:{MARA}",
        "p1:2:suppressed:customer",
        "p1:2:hand_raise:2026-11-25",
        "p1:2:queue:3",
    ]


def test_every_notice_says_who_it_is_about_why_and_where_to_find_them() -> None:
    for one in every_notice():
        assert "Kari Nord" in one.subject
        assert one.body.endswith(
            "\n\nKari Nord, grade A1\n"
            "Why: asked_for_sales: asked for a demo +50; company_size +35; seniority +25\n"
            'Begin with "asked for a demo", which counted most; then company_size, seniority.\n'
            "In the CRMs: hubspot contact 101, salesforce lead 00Q1"
        )


def test_what_a_notice_tells() -> None:
    told = {one.kind: one.body.partition("\n")[0] for one in every_notice()}
    assert told[Kind.REMIND] == (
        "Yours since Wed 2026-11-25 10:00 CET, and nobody has touched them yet. "
        "From Wed 2026-11-25 16:30 CET on the person goes further up."
    )
    assert told[Kind.REASSIGNED] == "They were Ana Ruiz's and are yours now."
    assert told[Kind.TAKEN] == "Nobody touched them in time: they are Bo Chen's now."
    assert told[Kind.GAVE_UP] == ("None of Ana Ruiz, Bo Chen touched them in time: they are in the queue inbound now.")
    assert "has not touched them" in told[Kind.REPORT]
    assert "'customer'" in told[Kind.SUPPRESSED]
    assert told[Kind.HAND_RAISE] == "They asked for sales again on 2026-11-25."


def test_every_kind_is_for_somebody() -> None:
    assert set(AUDIENCE) == set(Kind)
    assert {kind for kind, who in AUDIENCE.items() if who is Audience.MANAGERS} == {
        Kind.GAVE_UP,
        Kind.REPORT,
        Kind.QUEUE,
        Kind.DIGEST,
    }


@pytest.mark.parametrize(
    ("reason", "point"),
    [
        ("hot: pricing page +20", 'Begin with "pricing page", which counted most.'),
        ("hot: a +2; b +1", 'Begin with "a", which counted most; then b.'),
        ("hot: plan + price +20; b: c +1", 'Begin with "plan + price", which counted most; then b: c.'),
        ("hot", None),
        ("approved", None),
        ("", None),
        ("rejected:not_ready", None),
    ],
)
def test_a_talking_point_is_made_of_the_strongest_reasons(reason: str, point: str | None) -> None:
    assert notices.talking_point(reason) == point


def test_a_digest_counts_everybody_and_names_the_first() -> None:
    many = Count(what="new", lines=tuple(f"person {n}" for n in range(23)))
    found = notices.digest(date(2026, 11, 25), [many, Count(what="overdue", lines=())], to=MARA)
    assert found is not None
    assert (found.key, found.person_id) == (f"digest:2026-11-25:{MARA}", None)
    assert found.subject == "MQLs, 2026-11-25: 23 new"
    lines = found.body.splitlines()
    assert (lines[0], lines[1], lines[20], lines[21]) == ("23 new", "- person 0", "- person 19", "- and 3 more")
    assert len(lines) == 22


def test_a_digest_of_nothing_is_none() -> None:
    assert notices.digest(date(2026, 11, 25), [Count(what="new", lines=())], to=MARA) is None


# -- whom an owner is --------------------------------------------------------------------------------------------


def user(crm: Crm, id: str, email: str | None, *, name: str = "", active: bool = True) -> Owner:
    return Owner(crm=crm, id=id, kind=OwnerKind.USER, email=email, name=name, active=active)


def test_an_owner_is_told_at_their_address_and_called_by_their_name() -> None:
    directory = OwnerDirectory(
        owners=[
            user(Crm.HUBSPOT, "1", ANA),
            user(Crm.HUBSPOT, "7", "Zoe@acme.com", name="Zoe Hart"),
            user(Crm.SALESFORCE, "005Z", None),
            user(Crm.SALESFORCE, "005M", "Mara@acme.com"),
            user(Crm.SALESFORCE, "005L", "left@acme.com", active=False),
        ],
        team=Team(reps={ANA: Rep(email=ANA, name="Ana Ruiz")}),
        crms=(Crm.HUBSPOT, Crm.SALESFORCE),
    )
    keys = [f"rep:{ANA}", "rep:gone@acme.com", "user:hubspot:7", "user:salesforce:005Z", "user:hubspot:404", "queue:in"]
    assert [directory.email_of(key) for key in keys] == [ANA, "gone@acme.com", "Zoe@acme.com", None, None, None]
    assert [directory.name_of(key) for key in keys] == [
        "Ana Ruiz",
        "gone@acme.com",
        "Zoe Hart",
        "salesforce:005Z",
        "user hubspot:404",
        "queue in",
    ]
    assert directory.user_id(MARA, Crm.SALESFORCE) == "005M"
    assert directory.user_id(MARA, Crm.HUBSPOT) is None
    assert directory.user_id("left@acme.com", Crm.SALESFORCE) is None


# -- mqlsync.yaml ------------------------------------------------------------------------------------------------

ENVIRONMENT = {"TOKEN": "the-hubspot-token", "MAIL": "mailtos://robot:very-secret-word@smtp.acme.com?to={to}"}


def settings(notify: str) -> Settings:
    text = f'connections: {{hubspot: {{auth: {{token: "${{TOKEN}}"}}}}}}\nnotify: {notify}\n'
    source = Source("mqlsync.yaml", text.encode())
    return load_settings(source, environment=ENVIRONMENT, read_secret=lambda name: "")[0]


def test_channels_are_secrets_and_each_audience_has_one() -> None:
    made = settings('{channels: {mail: {url: "${MAIL}"}, chat: {url: "${MAIL}"}}, reps: mail, managers: chat}')
    assert made.notify == Notify(
        channels={"mail": ENVIRONMENT["MAIL"], "chat": ENVIRONMENT["MAIL"]}, reps="mail", managers="chat"
    )
    assert {ENVIRONMENT["MAIL"], "very-secret-word"} <= made.secrets
    assert "very-secret-word" not in repr(made)


def test_an_audience_without_a_channel_is_told_nothing() -> None:
    made = settings('{channels: {mail: {url: "${MAIL}"}}, managers: mail}')
    assert made.notify is not None
    assert (made.notify.reps, made.notify.managers) == (None, "mail")


@pytest.mark.parametrize(
    ("notify", "says"),
    [
        ('{channels: {mail: {url: "${MAIL}"}}}', "notify: nobody is told anything: name the channel of reps"),
        (
            '{channels: {mail: {url: "${MAIL}"}}, reps: mial}',
            "notify.reps: unknown channel 'mial', did you mean 'mail'",
        ),
        ('{channels: {mail: {url: "${NONE}"}}, reps: mail}', "notify.channels.mail.url: the environment has no NONE"),
        ("{channels: {mail: {url: acme.com}}, reps: mail}", "notify.channels.mail.url: an Apprise address is wanted"),
        ("{channels: {mail: {}}, reps: mail}", "notify.channels.mail.url: this key is missing"),
        ("{channels: {}, reps: mail}", "notify.channels: there are no channels"),
        ("{reps: mail}", "notify.channels: this key is missing"),
        ('{channels: {mail: {adress: "${MAIL}"}}, reps: mail}', "notify.channels.mail.adress: unknown key"),
    ],
)
def test_a_mistake_is_told_with_its_place(notify: str, says: str) -> None:
    with pytest.raises(PolicyInvalid) as invalid:
        settings(notify)
    assert any(says in str(problem) for problem in invalid.value.problems), list(map(str, invalid.value.problems))
