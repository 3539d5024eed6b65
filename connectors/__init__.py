"""Connectors speak to the CRMs: bytes on the wire on one side, plain records on the other.

They know nothing of scores.
"""
