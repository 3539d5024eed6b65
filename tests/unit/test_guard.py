"""The tests' own guard: no test can reach another machine."""

import socket

import pytest


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("8.8.8.8", 53)])
@pytest.mark.parametrize("connect", ["connect", "connect_ex"])
def test_a_connection_to_another_machine_is_refused(address, connect):
    with socket.socket() as made, pytest.raises(Exception, match="only loopback is allowed"):
        getattr(made, connect)(address)


def test_this_machine_can_be_reached():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()[:2]) as made:
        assert made.getpeername() == server.getsockname()
