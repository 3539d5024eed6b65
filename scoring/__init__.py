"""Scoring turns a policy a person can read into one SQL query, and its result into decisions.

It knows no network, no clock and no chance: a result depends on facts, events, the policy and the day alone.
"""
