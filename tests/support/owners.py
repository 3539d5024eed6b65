"""Users for the reps of a team, for tests that need no CRM."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from connectors.records import Crm, Owner, OwnerKind
from scoring.team import Team


def listed(team: Team, *crms: Crm, inactive: Collection[str] = (), unmapped: Collection[str] = ()) -> list[Owner]:
    """A user a rep in each CRM (HubSpot when none is named), ids as team.yaml gives them, else the e-mail address."""
    return [user for crm in crms or (Crm.HUBSPOT,) for user in _of(team, crm, inactive, unmapped)]


def _of(team: Team, crm: Crm, inactive: Collection[str], unmapped: Collection[str]) -> Iterable[Owner]:
    for email, rep in team.reps.items():
        if email in unmapped:
            continue
        given = rep.hubspot if crm is Crm.HUBSPOT else rep.salesforce
        yield Owner(
            crm=crm,
            id=given or email,
            kind=OwnerKind.USER,
            email=email,
            name=rep.name,
            active=email not in inactive,
        )
