"""Which addresses are this machine itself: plain http is accepted there and nowhere else."""

from __future__ import annotations

from ipaddress import ip_address

__all__ = ["is_loopback"]


def is_loopback(host: str | None) -> bool:
    """A literal of 127.0.0.0/8, ``::1``, or ``localhost``; never a name that merely resolves there."""
    if host is None:
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
