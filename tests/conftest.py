"""What holds for every test: nothing leaves this machine, and in CI nothing is skipped."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from scoring.engine_spark import SparkEngine
from tests.support import postgres as servers
from tests.support.postgres import Postgres


class NotLoopbackError(Exception):
    """A test tried to reach another machine."""


def _guarded(connect: Any) -> Any:
    def guard(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not ip_address(_literal(address[0])).is_loopback:
            raise NotLoopbackError(f"a test tried to connect to {address[0]}; only loopback is allowed")
        return connect(self, address)

    return guard


def _literal(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host.partition("%")[0]


@pytest.fixture(scope="session", autouse=True)
def loopback_only() -> Iterator[None]:
    """Every connection to anything but this machine is refused before it is made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _guarded(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", _guarded(socket.socket.connect_ex))
        yield


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkEngine]:
    """One Spark for all tests marked so. Where it cannot start they fail, and say what to install."""
    with SparkEngine("local[2]") as engine:
        engine.start()
        yield engine


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests marked so. Where it cannot start they fail, and say what to install."""
    with servers.running() as server:
        yield server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """pyspark leaves the sockets of its answers to the garbage collector."""
    for item in items:
        if item.get_closest_marker("spark"):
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A proof that CI skipped is a proof nobody has seen."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
