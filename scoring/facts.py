"""The names a policy may use: facts of people and companies, and kinds of events with their attributes.

This is the closed vocabulary of the policy language; ``person.custom.*`` and ``company.custom.*`` are added by
fields.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

__all__ = [
    "ANY_KIND_EXCEPT",
    "ATTRIBUTES",
    "CONSENTS",
    "EVENT_KINDS",
    "FACTS",
    "LIFECYCLE_STAGES",
    "SENIORITIES",
    "Fact",
    "FactType",
    "custom_fact",
]


class FactType(StrEnum):
    TEXT = "text"
    EMAIL = "email"
    DOMAIN = "domain"
    PHONE = "phone"
    COUNTRY = "country"
    ONE_OF = "one of"
    ORDERED = "ordered"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    INSTANT = "instant"
    OWNER = "owner"
    LIST = "list"


SENIORITIES = ("student", "individual", "lead", "manager", "director", "head", "vp", "c_level")
"""Ranks of ``person.seniority``, lowest first."""

LIFECYCLE_STAGES = ("subscriber", "lead", "mql", "sql", "opportunity", "customer", "evangelist")
"""Ranks of ``person.lifecycle_stage``, lowest first; ``other`` has no rank."""

CONSENTS = ("given", "legitimate_interest", "none", "withdrawn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One fact a policy may name.

    values         the closed set of a ``one of``, or the ranks of an ``ordered`` fact, lowest first
    extra          values that are known but have no rank
    missing_false  a missing boolean is false; missing open opportunities are 0 (``missing_zero``)
    derived        computed from other facts, never mapped in fields.yaml
    only_in        the policy section that alone may use it
    """

    name: str
    type: FactType
    values: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    missing_false: bool = False
    missing_zero: bool = False
    derived: bool = False
    only_in: str | None = None


def _catalogue() -> Mapping[str, Fact]:
    text = ("first_name", "last_name", "title", "department", "region", "city", "language", "source", "lead_status")
    facts = [
        Fact(name="person.email", type=FactType.EMAIL),
        Fact(name="person.email_domain", type=FactType.DOMAIN, derived=True),
        *(Fact(name=f"person.{name}", type=FactType.TEXT) for name in text),
        Fact(name="person.seniority", type=FactType.ORDERED, values=SENIORITIES, derived=True),
        Fact(name="person.phone", type=FactType.PHONE),
        Fact(name="person.country", type=FactType.COUNTRY),
        Fact(name="person.consent", type=FactType.ONE_OF, values=CONSENTS),
        *(
            Fact(name=f"person.{name}", type=FactType.BOOLEAN, missing_false=True)
            for name in ("unsubscribed", "hard_bounced", "converted")
        ),
        Fact(name="person.created_at", type=FactType.INSTANT),
        Fact(name="person.lifecycle_stage", type=FactType.ORDERED, values=LIFECYCLE_STAGES, extra=("other",)),
        Fact(name="person.owner", type=FactType.OWNER),
        Fact(name="person.last_owner", type=FactType.OWNER, derived=True),
        Fact(name="person.last_assigned_at", type=FactType.INSTANT, derived=True),
        *(Fact(name=f"person.{name}", type=FactType.NUMBER) for name in ("page_views", "visits", "minutes_on_site")),
        *(Fact(name=f"company.{name}", type=FactType.TEXT) for name in ("name", "industry", "tier")),
        Fact(name="company.domain", type=FactType.DOMAIN),
        *(Fact(name=f"company.{name}", type=FactType.NUMBER) for name in ("employees", "annual_revenue")),
        Fact(name="company.open_opportunities", type=FactType.NUMBER, missing_zero=True),
        Fact(name="company.country", type=FactType.COUNTRY),
        Fact(name="company.is_customer", type=FactType.BOOLEAN, missing_false=True),
        Fact(name="company.owner", type=FactType.OWNER),
        Fact(name="identity.confidence", type=FactType.NUMBER, derived=True),
        Fact(name="fit.unknown_groups", type=FactType.NUMBER, derived=True, only_in="mql"),
        Fact(name="fit.known_groups", type=FactType.NUMBER, derived=True, only_in="mql"),
    ]
    return MappingProxyType({fact.name: fact for fact in facts})


FACTS: Mapping[str, Fact] = _catalogue()


def custom_fact(name: str, type: FactType = FactType.TEXT) -> Fact:
    """The fact of a ``person.custom.*`` or ``company.custom.*`` name that fields.yaml maps."""
    return Fact(name=name, type=type)


EVENT_KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "form_submit": ("form", "page"),
        "demo_request": ("form", "page"),
        "content_download": ("asset",),
        "newsletter_signup": ("form",),
        "webinar_registered": ("name", "minutes"),
        "webinar_attended": ("name", "minutes"),
        "event_attended": ("name",),
        "page_view": ("path",),
        "site_visit": ("minutes",),
        "email_delivered": ("email",),
        "email_open": ("email",),
        "email_reply": ("email",),
        "email_click": ("email", "link"),
        "email_bounce": ("email",),
        "email_unsubscribe": ("email",),
        "social_interaction": ("channel",),
        "meeting_booked": ("type",),
        "meeting_held": ("type",),
        "call": ("direction", "outcome", "minutes"),
        "chat": ("channel", "minutes"),
        "campaign_response": ("campaign", "type", "status"),
        "product_signup": ("product",),
        "product_use": ("feature",),
    }
)
"""Kind -> its attributes. ``minutes`` is a number, every other attribute a text."""

ATTRIBUTES: Mapping[str, FactType] = MappingProxyType(
    {
        name: FactType.NUMBER if name == "minutes" else FactType.TEXT
        for name in dict.fromkeys(a for attributes in EVENT_KINDS.values() for a in attributes)
    }
)

ANY_KIND_EXCEPT = ("email_delivered", "email_bounce", "email_unsubscribe")
"""Kinds that the pseudo kind ``any`` leaves out, since nobody engages by them. Outbound calls that did not connect are
left out as well."""
