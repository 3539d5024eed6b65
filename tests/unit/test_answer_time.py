"""How long an answer may take to come."""

from __future__ import annotations

import pytest
import urllib3
from urllib3.exceptions import ReadTimeoutError

from connectors.answer_time import SLOWEST, end_answers
from tests.support.dripping import dripping
from tests.support.wire import Say, Wire

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
TO_THE_END = b"HTTP/1.1 200 OK\r\n\r\n"


def pools(within: float, monotonic: object) -> urllib3.PoolManager:
    made = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=5))
    end_answers(made, within=within, monotonic=monotonic)  # type: ignore[arg-type]  # a test's clock
    return made


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 100 Continue\r\n\r\n", CHUNKED, TO_THE_END])
def test_an_answer_that_drips_has_timed_out(begun: bytes) -> None:
    with dripping(begun) as drip, pools(10.0, drip.monotonic) as through:
        with pytest.raises(ReadTimeoutError):
            through.request("GET", drip.url)
        assert drip.now <= 12.0


def test_a_large_answer_has_time_for_its_size() -> None:
    """Every read takes a tenth of the time there is; what has come earns it back."""
    now = [0.0]

    def monotonic() -> float:
        now[0] += 0.1
        return now[0]

    wire = Wire()
    wire.script = lambda asked: Say(body=b"x" * (200 * SLOWEST))
    try:
        with pools(1.0, monotonic) as through:
            assert len(through.request("GET", wire.url).data) == 200 * SLOWEST
    finally:
        wire.close()


def test_the_next_answer_on_a_connection_has_all_its_time_again() -> None:
    now = [0.0]
    wire = Wire()
    wire.script = lambda asked: Say(body={})
    try:
        with pools(1.0, lambda: now[0]) as through:
            for _ in range(3):
                assert through.request("GET", wire.url).data == b"{}"
                now[0] += 100.0
            assert through.connection_from_url(wire.url).num_connections == 1
    finally:
        wire.close()
