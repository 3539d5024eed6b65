"""A local stand-in for both CRMs over HTTP on loopback. It imports none of our other code: an independent witness."""

from connectors.sandbox.box import Sandbox
from connectors.sandbox.clock import Clock
from connectors.sandbox.faults import Fault, FaultKind, Faults
from connectors.sandbox.journal import Journal, JournalEntry

__all__ = ["Clock", "Fault", "FaultKind", "Faults", "Journal", "JournalEntry", "Sandbox"]
