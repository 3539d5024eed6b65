"""What a query finds, by a table: the truths of SOQL that differ from SQL are all in here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sandbox.clock import Clock
from connectors.sandbox.journal import Journal
from connectors.sandbox.salesforce_ids import long_id
from connectors.sandbox.salesforce_query import Found, run
from connectors.sandbox.salesforce_records import Records
from connectors.sandbox.soql import SoqlError, parse, text_of

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
ROOT = "/services/data/v59.0"


@pytest.fixture(scope="module")
def org() -> Iterator[Records]:
    """Four Leads named A to D, three Contacts named K to M, with every kind of gap."""
    clock = Clock()
    clock.freeze(NOW)
    org = Records(clock, Journal(clock))
    rep = org.add_user("rita@x.example", "Rita Rep")
    org.add_user("gone@x.example", "Gone Rep", active=False)
    queue = org.add_queue("Inbox", "Inbox", members=[rep])
    rows: tuple[dict[str, Any], ...] = (
        {"LastName": "A", "Title": "Head of Sales", "NumberOfEmployees": 10, "OwnerId": rep, "Industry": "Banking"},
        {"LastName": "B", "Title": "o'neil_50%", "NumberOfEmployees": 200, "OwnerId": queue, "Industry": "banking"},
        {"LastName": "C", "Title": None, "NumberOfEmployees": None, "OwnerId": rep, "DoNotCall": True},
        {"LastName": "D", "Title": "head OF IT", "NumberOfEmployees": 10, "EmailBouncedDate": NOW - timedelta(days=2)},
    )
    leads = [
        org.add("Lead", {"Company": "ACME", **row}, at=NOW - timedelta(hours=n // 2)) for n, row in enumerate(rows)
    ]
    account = org.add("Account", {"Name": "ACME", "Industry": "Energy", "OwnerId": rep})
    contacts = [
        org.add("Contact", {"LastName": name, "AccountId": account if name != "M" else None})
        for name in ("K", "L", "M")
    ]
    campaign = org.add("Campaign", {"Name": "Webinar", "Type": "Webinar"})
    org.add("CampaignMember", {"CampaignId": campaign, "LeadId": leads[1], "Status": "Responded"})
    org.add("CampaignMember", {"CampaignId": campaign, "LeadId": leads[2], "Status": "Sent"})
    org.add("CampaignMember", {"CampaignId": campaign, "ContactId": contacts[0], "Status": "Sent"})
    org.add("Task", {"WhoId": leads[0], "Subject": "Call A", "ActivityDate": "2026-03-02"})
    org.add("Task", {"WhoId": contacts[0], "Subject": "Call K", "ActivityDate": "2026-03-01"})
    org.add("Task", {"WhatId": account, "Subject": "Nobody", "ActivityDate": "2026-02-20"})
    return org


def found(org: Records, text: str) -> Found:
    return run(text, org, root=ROOT)


def names(org: Records, text: str, column: str = "LastName") -> str:
    """The values of one column, in order, in one word."""
    result = found(org, text)
    return " ".join(str(result.render(row)[column]) for row in result.rows)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        # comparisons
        ("NumberOfEmployees = 10", "A D"),
        ("NumberOfEmployees > 10", "B"),
        ("NumberOfEmployees >= 10", "A B D"),
        ("NumberOfEmployees < 200", "A D"),
        ("NumberOfEmployees <= 10.0", "A D"),
        ("NumberOfEmployees <> 10", "B C"),
        # null: unlike in SQL, a null is unequal to every value
        ("NumberOfEmployees != 10", "B C"),
        ("NumberOfEmployees = null", "C"),
        ("NumberOfEmployees != NULL", "A B D"),
        ("Title = ''", "C"),
        ("NOT NumberOfEmployees > 10", "A C D"),
        # texts ignore case
        ("Industry = 'BANKING'", "A B"),
        ("Industry != 'BANKING'", "C D"),
        ("Title IN ('HEAD OF SALES', 'nothing')", "A"),
        ("Title NOT IN ('head of sales', 'head of it')", "B C"),
        ("Title = 'o\\'neil_50%'", "B"),
        ("Title > 'head of it'", "A B"),
        # patterns
        ("Title LIKE 'head%'", "A D"),
        ("Title LIKE '%of__t'", "D"),
        ("Title LIKE '%of _t'", "D"),
        ("Title LIKE '%\\_50\\%'", "B"),
        ("Title LIKE 'head'", ""),
        ("NOT Title LIKE 'head%'", "B C"),
        # booleans
        ("DoNotCall = true", "C"),
        ("DoNotCall != TRUE", "A B D"),
        # moments and days
        ("SystemModstamp = 2026-03-02T09:00:00Z", "A B"),
        ("SystemModstamp < 2026-03-02T10:00:00+01:00", "C D"),
        ("SystemModstamp <= 2026-03-02T08:00:00.000+0000", "C D"),
        ("SystemModstamp > 2026-03-02T08:00:00Z AND SystemModstamp < 2026-03-02T09:00:01Z", "A B"),
        ("EmailBouncedDate = LAST_N_DAYS:3", "D"),
        ("EmailBouncedDate = TODAY", ""),
        ("EmailBouncedDate < YESTERDAY", "D"),
        ("CreatedDate = TODAY", "A B C D"),
        # parents
        ("Owner.Name = 'rita rep'", "A C"),
        ("Owner.Type = 'Queue'", "B"),
        ("Owner.IsActive = true", "A C D"),
        ("Owner.IsActive = null", "B"),
        ("LastModifiedBy.Username LIKE 'admin@%'", "A B C D"),
        # logic
        ("LastName = 'A' OR LastName = 'B'", "A B"),
        ("LastName IN ('A', 'B', 'C') AND (NumberOfEmployees = 10 OR Title = null)", "A C"),
        ("NOT (LastName = 'A' OR LastName = 'B')", "C D"),
        ("(((LastName = 'A')))", "A"),
        # semi-joins
        ("Id IN (SELECT LeadId FROM CampaignMember WHERE HasResponded = true)", "B"),
        ("Id NOT IN (SELECT LeadId FROM CampaignMember)", "A D"),
        ("Id IN (SELECT WhoId FROM Task) AND DoNotCall = false", "A"),
    ],
)
def test_where_finds(org: Records, where: str, expected: str) -> None:
    assert names(org, f"SELECT LastName FROM Lead WHERE {where} ORDER BY LastName") == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT LastName FROM Lead ORDER BY NumberOfEmployees, LastName", "C A D B"),
        ("SELECT LastName FROM Lead ORDER BY NumberOfEmployees NULLS LAST, LastName DESC", "D A B C"),
        ("SELECT LastName FROM Lead ORDER BY NumberOfEmployees DESC, LastName", "C B A D"),
        ("SELECT LastName FROM Lead ORDER BY NumberOfEmployees DESC NULLS LAST, LastName", "B A D C"),
        ("SELECT LastName FROM Lead ORDER BY Title NULLS LAST", "D A B C"),
        ("SELECT LastName FROM Lead ORDER BY SystemModstamp, Id", "C D A B"),
        ("SELECT LastName FROM Lead ORDER BY SystemModstamp, Id LIMIT 3", "C D A"),
        ("SELECT LastName FROM Lead ORDER BY SystemModstamp DESC, Id DESC", "B A D C"),
        ("SELECT LastName FROM Lead ORDER BY LastName LIMIT 2 OFFSET 1", "B C"),
        ("SELECT LastName FROM Lead ORDER BY Owner.Name, LastName", "B A C D"),
        ("select lastname from lead order by lastname desc limit 1", "D"),
        ("SELECT Lead.LastName FROM Lead WHERE Lead.LastName = 'A'", "A"),
        ("SELECT LastName FROM Lead LIMIT 0", ""),
        ("SELECT LastName FROM Contact WHERE Account.Industry = 'energy'", "K L"),
        ("SELECT LastName FROM Contact WHERE Account.Owner.Name = 'Rita Rep'", "K L"),
        ("SELECT LastName FROM Contact WHERE Account.Industry != 'Energy'", "M"),
        ("SELECT LastName FROM Contact WHERE AccountId = null", "M"),
    ],
)
def test_order_limit_and_parents(org: Records, query: str, expected: str) -> None:
    assert names(org, query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT Subject FROM Task WHERE Who.Type = 'Lead'", "Call A"),
        ("SELECT Subject FROM Task WHERE Who.Type = 'Contact'", "Call K"),
        ("SELECT Subject FROM Task WHERE WhoId = null", "Nobody"),
        ("SELECT Subject FROM Task WHERE ActivityDate = 2026-03-01", "Call K"),
        ("SELECT Subject FROM Task WHERE ActivityDate >= TODAY", "Call A"),
        ("SELECT Subject FROM Task WHERE ActivityDate = YESTERDAY", "Call K"),
        ("SELECT Subject FROM Task WHERE What.Type = 'Account'", "Nobody"),
    ],
)
def test_activities(org: Records, query: str, expected: str) -> None:
    assert names(org, query, "Subject") == expected


def rows(org: Records, text: str) -> list[dict[str, Any]]:
    result = found(org, text)
    return [{k: v for k, v in result.render(row).items() if k != "attributes"} for row in result.rows]


def test_rows_nest_their_parents_in_the_order_selected(org: Records) -> None:
    query = (
        "SELECT Account.Name, LastName, Account.Owner.Email, Account.Industry FROM Contact ORDER BY LastName LIMIT 1"
    )
    row = rows(org, query)[0]
    assert list(row) == ["Account", "LastName"]
    assert list(row["Account"]) == ["attributes", "Name", "Owner", "Industry"]
    assert row["Account"]["Owner"]["Email"] == "rita@x.example"
    assert row["Account"]["attributes"]["url"].startswith(f"{ROOT}/sobjects/Account/001")


def test_a_polymorphic_parent_shows_as_a_name(org: Records) -> None:
    row = rows(org, "SELECT Owner.Name, Owner.Type, Owner.Email FROM Lead WHERE LastName = 'B'")[0]
    assert row["Owner"]["attributes"]["type"] == "Name"
    assert "/sobjects/Group/00G" in row["Owner"]["attributes"]["url"]
    assert (row["Owner"]["Name"], row["Owner"]["Type"], row["Owner"]["Email"]) == ("Inbox", "Queue", None)


def test_queues_are_found_with_their_objects_and_members(org: Records) -> None:
    queues = rows(org, "SELECT Queue.Name, Queue.DeveloperName FROM QueueSobject WHERE SobjectType = 'Lead'")
    assert [(one["Queue"]["Name"], one["Queue"]["DeveloperName"]) for one in queues] == [("Inbox", "Inbox")]
    members = rows(org, "SELECT UserOrGroupId, Group.Name FROM GroupMember")
    assert [one["Group"]["Name"] for one in members] == ["Inbox"]
    assert names(org, "SELECT Name FROM Group WHERE Type = 'Queue'", "Name") == "Inbox"


def test_users_know_their_profile(org: Records) -> None:
    user = rows(org, "SELECT Profile.Name FROM User WHERE Username = 'admin@sandbox.example'")[0]
    assert user["Profile"]["Name"] == "System Administrator"


def test_count_alone_is_a_total_without_rows(org: Records) -> None:
    result = found(org, "SELECT COUNT() FROM Lead WHERE NumberOfEmployees = 10")
    assert (result.total, list(result.rows)) == (2, [])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "SELECT NumberOfEmployees, COUNT(Id) n FROM Lead GROUP BY NumberOfEmployees "
            "ORDER BY COUNT(Id) DESC LIMIT 1",
            [{"NumberOfEmployees": 10, "n": 2}],
        ),
        ("SELECT COUNT(Id), COUNT(Title) FROM Lead", [{"expr0": 4, "expr1": 3}]),
        ("SELECT COUNT(Id) FROM Lead WHERE LastName = 'Z'", [{"expr0": 0}]),
        ("SELECT COUNT_DISTINCT(Industry) n FROM Lead", [{"n": 1}]),
        (
            "SELECT MIN(NumberOfEmployees) lo, MAX(NumberOfEmployees) hi, SUM(NumberOfEmployees) s FROM Lead",
            [{"lo": 10, "hi": 200, "s": 220}],
        ),
        (
            "SELECT Industry, COUNT(Id) n FROM Lead GROUP BY Industry HAVING COUNT(Id) > 1 "
            "ORDER BY Industry NULLS LAST",
            [{"Industry": "Banking", "n": 2}, {"Industry": None, "n": 2}],
        ),
        (
            "SELECT Account.Industry, COUNT(Id) n FROM Contact GROUP BY Account.Industry ORDER BY Account.Industry",
            [{"Industry": None, "n": 1}, {"Industry": "Energy", "n": 2}],
        ),
        (
            "SELECT Status, COUNT(Id) n FROM CampaignMember WHERE LeadId != null GROUP BY Status ORDER BY Status",
            [{"Status": "Responded", "n": 1}, {"Status": "Sent", "n": 1}],
        ),
    ],
)
def test_groups_are_counted(org: Records, query: str, expected: list[dict[str, Any]]) -> None:
    assert rows(org, query) == expected


def test_fields_all_are_the_visible_ones(org: Records) -> None:
    row = rows(org, "SELECT FIELDS(ALL) FROM Lead LIMIT 1")[0]
    assert set(row) == set(org.kind("Lead").fields)  # type: ignore[union-attr]  # a Lead there is


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "MALFORMED_QUERY"),
        ("SELECT FROM Lead", "MALFORMED_QUERY"),
        ("SELECT Id FROM Lead WHERE", "MALFORMED_QUERY"),
        ("SELECT Id FROM Lead;", "MALFORMED_QUERY"),
        ("SELECT Id, FROM Lead", "MALFORMED_QUERY"),
        ("SELECT Id FROM Lead WHERE Id IN ()", "MALFORMED_QUERY"),
        ("SELECT Id FROM Lead WHERE Title = 'a' AND Title = 'b' OR Title = 'c'", "MALFORMED_QUERY"),
        ('SELECT Id FROM Lead WHERE Title = "a"', "MALFORMED_QUERY"),
        ("SELECT Id FROM Lead WHERE Title = 'o'neil'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Lead WHERE Title = 'a\\qb'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Lead WHERE CreatedDate > 2026-03-02T09:00:00", "MALFORMED_QUERY"),
        ("SELECT Id FROM Lead WHERE CreatedDate > 2026-13-02T09:00:00Z", "MALFORMED_QUERY"),
        ("SELECT Id FROM Lead LIMIT -1", "MALFORMED_QUERY"),
        ("SELECT Title, COUNT(Id) FROM Lead", "MALFORMED_QUERY"),
        ("SELECT Id FROM Lead WHERE Title = '" + "x" * 4_001 + "'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Lead WHERE NOT Id IN (SELECT WhoId FROM Task)", "MALFORMED_QUERY"),
        ("SELECT Id FROM Lead WHERE DoNotCall = true OR Id IN (SELECT WhoId FROM Task)", "MALFORMED_QUERY"),
        ("SELECT Id FROM Lead WHERE Id IN (SELECT WhoId FROM Task LIMIT 1)", "MALFORMED_QUERY"),
        ("SELECT FIELDS(ALL) FROM Lead", "MALFORMED_QUERY"),
        ("SELECT Id FROM Lead OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE"),
        ("SELECT Id, id FROM Lead", "INVALID_FIELD"),
        ("SELECT Nonsense FROM Lead", "INVALID_FIELD"),
        ("SELECT Account.Name FROM Lead", "INVALID_FIELD"),
        ("SELECT Owner.Department FROM Lead", "INVALID_FIELD"),
        ("SELECT Id FROM Lead ORDER BY Nonsense", "INVALID_FIELD"),
        ("SELECT Id FROM Lead WHERE CreatedDate > '2026-03-02T09:00:00Z'", "INVALID_FIELD"),
        ("SELECT Id FROM Lead WHERE CreatedDate > 2026-03-02", "INVALID_FIELD"),
        ("SELECT Id FROM Task WHERE ActivityDate = 2026-03-02T00:00:00Z", "INVALID_FIELD"),
        ("SELECT Id FROM Lead WHERE NumberOfEmployees = '10'", "INVALID_FIELD"),
        ("SELECT Id FROM Lead WHERE Title = 10", "INVALID_FIELD"),
        ("SELECT Id FROM Lead WHERE DoNotCall = 'true'", "INVALID_FIELD"),
        ("SELECT Id FROM Lead WHERE Description = 'x'", "INVALID_FIELD"),
        ("SELECT Id FROM Lead WHERE OwnerId = 'nobody'", "INVALID_QUERY_FILTER_OPERATOR"),
        ("SELECT Id FROM Lead WHERE OwnerId LIKE '005%'", "INVALID_QUERY_FILTER_OPERATOR"),
        ("SELECT Id FROM LeadHistory", "INVALID_TYPE"),
        ("SELECT Id FROM CustomField", "INVALID_TYPE"),
    ],
)
def test_what_is_not_soql_is_refused(org: Records, query: str, code: str) -> None:
    with pytest.raises(SoqlError) as caught:
        found(org, query)
    assert caught.value.code == code


def test_a_query_may_have_100000_characters() -> None:
    parse("SELECT Id FROM Lead" + " " * 99_000)
    with pytest.raises(SoqlError):
        parse("SELECT Id FROM Lead" + " " * 100_000)


def test_fifteen_and_eighteen_characters_name_the_same_row(org: Records) -> None:
    whole = rows(org, "SELECT Id FROM Lead WHERE LastName = 'A'")[0]["Id"]
    assert names(org, f"SELECT LastName FROM Lead WHERE Id = '{whole[:15]}'") == "A"
    assert names(org, f"SELECT LastName FROM Lead WHERE Id IN ('{whole}', '{whole[:15]}')") == "A"
    assert names(org, f"SELECT LastName FROM Lead WHERE Id > '{whole}' ORDER BY Id") == "B C D"


@pytest.mark.parametrize(
    ("short", "suffix"),
    [("70130000001tcyI", "AAQ"), ("00558000001N0Ke", "AAK"), ("00Q000000000000", "EAA"), ("abc000000000000", "AAA")],
)
def test_the_checksum_is_the_published_one(short: str, suffix: str) -> None:
    assert long_id(short) == short + suffix
    assert long_id(short + "ZZZ") is None


@given(st.text(max_size=40))
def test_an_escaped_text_means_itself(text: str) -> None:
    """Whatever a client escapes by the documented rules comes back as it was."""
    raw = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    query = parse(f"SELECT Id FROM Lead WHERE Title = '{raw}'")
    assert text_of(query.where.right.value) == text  # type: ignore[union-attr, arg-type]  # a comparison with a text


@given(
    bounds=st.lists(
        st.tuples(st.sampled_from(["<", "<=", ">", ">=", "="]), st.integers(-3, 3)), min_size=1, max_size=3
    ),
    joiner=st.sampled_from([" AND ", " OR "]),
    after=st.booleans(),
)
def test_the_index_of_stamps_changes_no_answer(
    org: Records, bounds: list[tuple[str, int]], joiner: str, after: bool
) -> None:
    """A window of SystemModstamp is looked up, the same window on an equal field is not: both find the same rows."""

    def query(field: str) -> str:
        tests = joiner.join(
            f"{field} {sign} {NOW + timedelta(minutes=30 * n):%Y-%m-%dT%H:%M:%SZ}" for sign, n in bounds
        )
        order = f" ORDER BY {field}, Id" if after else " ORDER BY LastName"
        return f"SELECT LastName FROM Lead WHERE ({tests}) AND LastName != 'Z'{order}"

    assert names(org, query("SystemModstamp")) == names(org, query("LastModifiedDate"))
