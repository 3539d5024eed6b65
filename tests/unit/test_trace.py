"""The stored trace in words: why this rep, and why not that one."""

from __future__ import annotations

from typing import Any

import pytest

from sync.trace import trace_lines, why_not

ANA, BO, CY = "ana@acme.com", "bo@acme.com", "cy@acme.com"


def row(rep: str, state: str = "free", **more: Any) -> dict[str, Any]:
    return {"rep": rep, "state": state, "assigned": 3, "weight": "2", "ratio": "7/4", "last": None} | more


DRAWN = {
    "rules": [
        {"rule": "EMEA", "true": False, "false": "person.country: de", "found": "us"},
        {"rule": "all", "true": True, "to": f"rep:{ANA}"},
    ],
    "pool": {
        "pool": "p",
        "reps": [row(ANA, last="2026-11-24T10:01:00+00:00"), row(BO, ratio="9/4"), row(CY, "at cap 3/3 today", open=3)],
        "levelled": [{"rep": ANA, "before": 1, "after": 3}],
        "pick": ANA,
        "decided_by": "share",
    },
}

BY_BACKUP = {
    "account": {"account": "salesforce:account:1", "name": None, "by": "domain", "confidence": 0.95},
    "rules": [
        {"rule": "free", "true": False, "false": "company.owner: available", "found": f"rep:{BO}",
         "because": f"{BO}: away 2026-11-25"},
        {"rule": "account", "true": True, "away": f"{BO}: away 2026-11-25", "to": f"rep:{CY}",
         "backups": [{"rep": ANA, "state": "out of hours"}, {"rep": CY, "state": "free"}]},
    ],
}  # fmt: skip

WAITS = {
    "rules": [
        {"rule": "all", "true": True, "wait": {"since": "2026-11-25T12:00:00+00:00",
         "until": "2026-11-25T16:00:00+00:00", "then": "queue inbound"}},
    ],
    "pool": {"pool": "p", "reps": [row(ANA, "out of hours")], "pick": None, "nobody_free": "queue inbound"},
}  # fmt: skip


def test_a_draw_is_told_rule_by_rule_and_rep_by_rep() -> None:
    assert list(trace_lines(DRAWN)) == [
        "  rule 'EMEA': no, because not 'person.country: de' (is us)",
        "  rule 'all': yes, to rep:ana@acme.com",
        "  > ana@acme.com: 3 so far, weight 2, share 1.75, last 2026-11-24 10:01 UTC",
        "    bo@acme.com: 3 so far, weight 2, share 2.25",
        "    cy@acme.com: skipped, at cap 3/3 today; 3 open, 3 so far, weight 2, share 1.75",
        "    ana@acme.com is new or back: from 1 to 3, level with the others",
        "  decided by the smallest share, which is (assigned + 1/2) / weight",
    ]


def test_backups_accounts_and_waits_are_told() -> None:
    assert list(trace_lines(BY_BACKUP)) == [
        "  company.owner of salesforce:account:1 (without a name), found by domain, confidence 0.95",
        "  rule 'free': no, because not 'company.owner: available' (is rep:bo@acme.com; bo@acme.com: away 2026-11-25)",
        "  rule 'account': yes, but bo@acme.com: away 2026-11-25; instead rep:cy@acme.com",
        "    backup ana@acme.com: out of hours",
        "    backup cy@acme.com: free",
    ]
    assert list(trace_lines(WAITS)) == [
        "  rule 'all': yes, but nobody was free",
        "    waits since 2026-11-25 12:00 UTC until 2026-11-25 16:00 UTC, then queue inbound",
        "    ana@acme.com: skipped, out of hours; 3 so far, weight 2, share 1.75",
        "  nobody of pool p was free: queue inbound",
    ]


def test_what_nobody_drew_is_told_as_well() -> None:
    assert list(trace_lines({"kept": f"rep:{ANA}"})) == ["  owned the record already; nobody was drawn"]
    assert list(trace_lines({"adopted": {"from": "hubspot", "before": f"rep:{ANA}"}})) == [
        "  set by hand in hubspot; before: ana@acme.com"
    ]
    assert list(trace_lines({"again": {"why": "rebalance", "before": f"rep:{ANA}"}})) == [
        "  given again (rebalance); before: ana@acme.com"
    ]
    shut = {"rules": [{"rule": "all", "true": True, "to": "queue:q",
                       "wait": {"since": "2026-11-25T12:00:00+00:00", "until": None, "then": "queue q"}}]}  # fmt: skip
    assert list(trace_lines(shut))[1] == "    these hours never open again, so nobody waits: queue q"


@pytest.mark.parametrize(
    ("trace", "rep", "owner", "said"),
    [
        (DRAWN, ANA, f"rep:{ANA}", "ana@acme.com has them: drawn from pool p by the smallest share"),
        (DRAWN, BO, f"rep:{ANA}", "bo@acme.com was free, but ana@acme.com came first by the smallest share"),
        (DRAWN, CY, f"rep:{ANA}", "cy@acme.com was skipped: at cap 3/3 today"),
        (DRAWN, "eve@acme.com", f"rep:{ANA}", "eve@acme.com is not in pool p, from which it was drawn"),
        (BY_BACKUP, CY, f"rep:{CY}", "cy@acme.com has them: rule 'account' leads to them"),
        (BY_BACKUP, BO, f"rep:{CY}", "rule 'free' asked for bo@acme.com, who was not free: away 2026-11-25"),
        (BY_BACKUP, ANA, f"rep:{CY}", "rule 'account' asked for ana@acme.com as a backup: out of hours"),
        (BY_BACKUP, "eve@acme.com", f"rep:{CY}", "eve@acme.com was not asked: rule 'account' decided"),
        (WAITS, ANA, None, "ana@acme.com was skipped: out of hours"),
        ({"kept": f"rep:{ANA}"}, ANA, f"rep:{ANA}", "ana@acme.com has them: they owned the record already"),
        ({"kept": f"rep:{ANA}"}, BO, f"rep:{ANA}", "bo@acme.com was not asked: somebody owned the record already"),
        (
            {"adopted": {"from": "hubspot", "before": None}},
            ANA,
            f"rep:{ANA}",
            "ana@acme.com has them: set by hand in hubspot",
        ),
    ],
)
def test_why_not_begins_with_the_answer(trace: dict[str, Any], rep: str, owner: str | None, said: str) -> None:
    assert why_not(trace, rep, owner)[0].startswith(said)


def test_a_free_rep_who_came_second_sees_both_standings() -> None:
    assert why_not(DRAWN, BO, f"rep:{ANA}")[1:] == (
        "ana@acme.com: 3 so far, weight 2, share 1.75, last 2026-11-24 10:01 UTC",
        "bo@acme.com: 3 so far, weight 2, share 2.25",
    )
