"""A secret is taken out of a text in every form in which it travels, and nothing else is."""

from __future__ import annotations

import base64
import json
from html import escape
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.unsaid import unsaid

SECRETS = st.text(st.characters(codec="utf-8"), min_size=4, max_size=30)


@given(SECRETS)
def test_no_form_of_a_secret_is_left(secret: str) -> None:
    forms = [
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        escape(secret),
        base64.b64encode(secret.encode()).decode(),
    ]
    for form in forms:
        said = unsaid(f"\u2039{form}\u203a".encode(), [secret])
        assert said == "\u2039<secret>\u203a".encode() or form in "<secret>"


@given(st.binary(max_size=50), st.lists(st.text(max_size=3)))
def test_what_is_too_short_to_be_a_secret_takes_nothing_out(content: bytes, short: list[str]) -> None:
    assert unsaid(content, short) == content


@pytest.mark.parametrize(("content", "left"), [(b"token-7-long token-7", b"<secret> <secret>"), (b"tok", b"tok")])
def test_a_secret_that_is_part_of_another_one_leaves_no_rest(content: bytes, left: bytes) -> None:
    assert unsaid(content, ["token-7", "token-7-long"]) == left
