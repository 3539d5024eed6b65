"""The org's daily calls, and our share of them."""

from __future__ import annotations

import pytest

from connectors.salesforce.quota import DayShare, Usage


@pytest.mark.parametrize(
    ("header", "usage"),
    [
        ("api-usage=25/5000", Usage(used=25, total=5000)),
        ("api-usage=25/5000; per-app-api-usage=17/250(appName=x)", Usage(used=25, total=5000, ours=17)),
        ("per-app-api-usage=17/250(appName=x)", None),
        ("api-usage=1/0", None),
        ("nothing", None),
    ],
)
def test_the_limit_header(header: str, usage: Usage | None) -> None:
    assert Usage.parse(header) == usage


def day(share: float = 0.5) -> tuple[DayShare, list[float]]:
    now = [0.0]
    return DayShare(share, lambda: now[0]), now


def test_our_own_calls_count_where_the_org_does_not_count_apps() -> None:
    share, _ = day(0.1)
    share.saw("api-usage=50/100")
    for _ in range(9):
        share.call()
    assert share.spent() is None
    share.call()
    assert "share of the day, 10 of 100" in str(share.spent())


def test_what_the_org_counts_for_our_app_is_believed() -> None:
    share, _ = day(0.5)
    share.saw("api-usage=60/100; per-app-api-usage=50/100(appName=mqlsync)")
    assert share.spent() is not None


def test_the_last_twentieth_of_the_org_is_left_to_people() -> None:
    share, _ = day(1.0)
    share.saw("api-usage=94/100")
    assert share.spent() is None
    share.saw("api-usage=95/100")
    assert "95 of its 100" in str(share.spent())


def test_calls_of_yesterday_do_not_count() -> None:
    share, now = day(0.1)
    share.saw("api-usage=1/100")
    for _ in range(10):
        share.call()
    assert share.spent() is not None
    now[0] = 24 * 3600 + 1200.0
    assert share.spent() is None
    assert share.made() == 0


def test_without_a_header_nothing_is_known_and_nothing_forbidden() -> None:
    share, _ = day(0.01)
    for _ in range(1000):
        share.call()
    share.saw(None)
    assert share.spent() is None
