"""Which account a person belongs to whom no CRM has linked to one: by the domain of their address, or by a name.

Pure. A match that could be two owners' is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from publicsuffixlist import PublicSuffixList
from rapidfuzz import fuzz, process
from rapidfuzz.utils import default_process as plain_words

from connectors.records import Crm, RecordRef
from scoring.derive import is_free_mail

__all__ = ["Account", "AccountMatch", "AccountMatching", "Accounts"]

SAME_DOMAIN, SAME_ORGANISATION = 0.95, 0.9
"""Confidence in a domain that is the account's, and in one that only belongs to the same registered name."""

BY_NAME = 0.9
"""What a name that is the same letter by letter is worth; less where it is only similar."""

SHORTEST_FUZZY = 5
"""Letters of a name below which only the same one counts: short names are similar by chance."""

_BLOCK = 2
"""Letters that similar names begin with alike, so that a name is compared with few."""

_LEGAL_FORM = re.compile(
    r"(?: (?:ab|ag|aps|as|bv|co|company|corp|corporation|gmbh|inc|incorporated|kg|kk|limited|llc|llp|ltd|nv|oy|plc|pty"
    r"|sa|sarl|sas|se|spa|srl))+$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountMatching:
    """How it is done. ``name_from``: least similarity of names in percent; None: names do not count."""

    domain: bool = True
    name_from: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A company or account that somebody owns. ``domain`` in lower case without ``www.``."""

    ref: RecordRef
    domain: str | None
    name: str | None
    owner_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountMatch:
    """``by``: ``domain`` or ``name``; ``confidence`` from 0 to 1."""

    account: Account
    by: str
    confidence: float


class Accounts:
    """Finds the account of a person.

    Parameters
    ----------
    accounts: in any order
    order: the CRMs whose accounts count, the weightier first
    free_mail: domains at which anybody can have an address; None: the built-in list
    """

    def __init__(
        self,
        accounts: Iterable[Account],
        matching: AccountMatching,
        *,
        order: Sequence[Crm],
        free_mail: frozenset[str] | None = None,
    ) -> None:
        self._matching = matching
        self._rank = {crm: place for place, crm in enumerate(order)}
        self._free_mail = free_mail
        self._by_domain: dict[str, list[Account]] = {}
        self._by_organisation: dict[str, list[Account]] = {}
        self._by_name: dict[str, dict[str, list[Account]]] = {}
        for account in sorted(accounts, key=lambda a: a.ref):
            if account.ref.crm not in self._rank:
                continue
            if account.domain and not is_free_mail(account.domain, free_mail):
                self._by_domain.setdefault(account.domain, []).append(account)
                self._by_organisation.setdefault(_organisation(account.domain), []).append(account)
            if matching.name_from is not None and account.name and (name := company_name(account.name)):
                self._by_name.setdefault(name[:_BLOCK], {}).setdefault(name, []).append(account)

    def find(self, *, domain: str | None, name: str | None) -> AccountMatch | None:
        """``domain`` of the person's address, ``name`` of their company as they or the CRM wrote it."""
        if self._matching.domain and domain and not is_free_mail(domain, self._free_mail):
            exact = self._by_domain.get(domain)
            found = exact or self._by_organisation.get(_organisation(domain), [])
            if found:
                return self._one(found, "domain", SAME_DOMAIN if exact else SAME_ORGANISATION)
        return self._named(company_name(name)) if name and self._matching.name_from is not None else None

    def _named(self, name: str) -> AccountMatch | None:
        block = self._by_name.get(name[:_BLOCK], {})
        if name in block:
            return self._one(block[name], "name", BY_NAME)
        if len(name) < SHORTEST_FUZZY:
            return None
        similar = process.extract(
            name, list(block), scorer=fuzz.token_sort_ratio, score_cutoff=self._matching.name_from, limit=2
        )
        if not similar:
            return None
        best = similar[0][1]
        tied = [account for other, score, _ in similar if score == best for account in block[other]]
        return self._one(tied, "name", round(BY_NAME * best / 100, 3))

    def _one(self, found: Sequence[Account], by: str, confidence: float) -> AccountMatch | None:
        """The first of the weightiest CRM; None where its accounts have several owners."""
        best = min(self._rank[account.ref.crm] for account in found)
        of_it = [account for account in found if self._rank[account.ref.crm] == best]
        if len({account.owner_key for account in of_it}) > 1:
            return None
        return AccountMatch(account=of_it[0], by=by, confidence=confidence)


def company_name(text: str) -> str:
    """A name as it is compared: plain words without the legal form at its end. ``ACME, Inc.`` -> ``acme``."""
    return _LEGAL_FORM.sub("", " ".join(plain_words(text).split()))


@lru_cache(maxsize=65_536)
def _organisation(domain: str) -> str:
    """The registered name a domain is under: ``eu.acme.co.uk`` -> ``acme.co.uk``."""
    return _suffixes().privatesuffix(domain) or domain


@cache
def _suffixes() -> PublicSuffixList:
    """The public suffixes that come with the package; reading them takes a while, and not everybody matches."""
    return PublicSuffixList()
