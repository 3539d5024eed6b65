"""Who can own records: users and queues of both CRMs, and who of them is a rep of team.yaml."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from connectors.records import Crm, Owner, OwnerKind
from scoring.policy import Result, WritePlan
from scoring.team import Team

__all__ = ["OwnerDirectory", "takers"]

QUEUE_PREFIX = "00G"
"""How the id of a Salesforce group, and so of a queue, begins."""


def takers(write: WritePlan, deciding: Iterable[Crm]) -> tuple[Crm, ...]:
    """The CRMs, of those that decide on owners, to which the policy writes one."""
    writing = {crm for (crm, _), properties in write.properties.items() if Result.OWNER in properties}
    return tuple(crm for crm in deciding if crm in writing)


class OwnerDirectory:
    """Who can own records, as the CRMs last said, and who of them is a rep.

    Parameters
    ----------
    owners: users and queues of both CRMs
    team: team.yaml; its owner ids go before e-mail addresses
    crms: the connected CRMs
    takes: the CRMs in which a rep must be able to own a person to be given one; None: all of them
    """

    def __init__(
        self, *, owners: Iterable[Owner], team: Team, crms: Sequence[Crm], takes: Sequence[Crm] | None = None
    ) -> None:
        self._team = team
        self.crms = tuple(crms)
        self.takes = self.crms if takes is None else tuple(takes)
        self._owners = {(o.crm, o.id): o for o in owners}
        self._unowned = {name.casefold() for name in team.unowned}
        self._users: dict[tuple[Crm, str], Owner] = {}
        for owner in sorted(self._owners.values(), key=lambda o: (not o.active, o.id)):
            # several users can share an address; the active one is meant
            if owner.email and owner.kind is OwnerKind.USER:
                self._users.setdefault((owner.crm, owner.email.casefold()), owner)
        self._of_rep: dict[tuple[Crm, str], str] = {}
        self._rep_of: dict[tuple[Crm, str], str] = {}
        for crm in filter(lambda crm: crm.writable, Crm):
            for email in team.reps:
                self._enter(crm, email)

    def _enter(self, crm: Crm, email: str) -> None:
        rep = self._team.reps[email]
        given = rep.hubspot if crm is Crm.HUBSPOT else rep.salesforce
        if given is not None:
            owner_id = self._whole_id(crm, given)
            self._of_rep[crm, email] = owner_id
            self._rep_of[crm, owner_id] = email
            return
        user = self._users.get((crm, email))
        if user is not None:
            self._of_rep[crm, email] = user.id
            for (of, owner_id), owner in self._owners.items():
                if of is crm and owner.kind is OwnerKind.USER and (owner.email or "").casefold() == email:
                    self._rep_of.setdefault((crm, owner_id), email)

    def _whole_id(self, crm: Crm, given: str) -> str:
        """The id as the CRM says it: Salesforce shows people the first 15 of its 18 characters."""
        if crm is Crm.SALESFORCE and len(given) == 15:
            return next((i for of, i in self._owners if of is crm and i[:15] == given), given)
        return given

    # -- from a CRM to us

    def owner_key(self, crm: Crm, owner_id: str | None) -> str | None:
        """Who owns a record, None when that is nobody: blank, a queue, inactive, mqlsync itself, or ``unowned``.

        An id the CRM has not listed is somebody.
        """
        if not owner_id:
            return None
        owner = self._owners.get((crm, owner_id))
        if owner is None:
            if crm is Crm.SALESFORCE and owner_id.startswith(QUEUE_PREFIX):
                return None
        elif owner.kind is OwnerKind.QUEUE or not owner.active or owner.integration or self._is_unowned(owner):
            return None
        email = self._rep_of.get((crm, owner_id))
        return f"rep:{email}" if email is not None else f"user:{crm}:{owner_id}"

    def _is_unowned(self, owner: Owner) -> bool:
        names = {name.casefold() for name in (owner.email, owner.name, owner.label, owner.id) if name}
        return bool(names & self._unowned)

    def has_left(self, owner_key: str) -> bool:
        """Whether team.yaml says so of a rep, whatever the CRMs say."""
        kind, _, name = owner_key.partition(":")
        rep = self._team.reps.get(name) if kind == "rep" else None
        return rep is not None and rep.left

    # -- from us to a CRM

    def owner_id_for(self, owner_key: str, crm: Crm, object: str) -> str | None:
        """The owner id to write on a record of ``object``; None leaves the owner as it is.

        None for whoever cannot own it: not mapped to this CRM, inactive, or a queue that does not take the object.
        """
        kind, _, name = owner_key.partition(":")
        match kind:
            case "rep":
                return self._active_id(crm, self._of_rep.get((crm, name)))
            case "queue":
                return self._queue_id(name, crm, object)
            case _:
                of, _, owner_id = name.partition(":")
                if of == crm:
                    return owner_id
                owner = self._owners.get((Crm(of), owner_id))
                twin = self._users.get((crm, owner.email.casefold())) if owner and owner.email else None
                return self._active_id(crm, twin.id if twin else None)

    def _active_id(self, crm: Crm, owner_id: str | None) -> str | None:
        owner = self._owners.get((crm, owner_id)) if owner_id is not None else None
        return owner.id if owner is not None and owner.active else None

    def _queue_id(self, name: str, crm: Crm, object: str) -> str | None:
        queue = self._team.queues.get(name)
        wanted = None if queue is None else queue.hubspot if crm is Crm.HUBSPOT else queue.salesforce
        owner = self._named(crm, wanted) if wanted is not None else None
        if owner is None or not owner.active:
            return None
        if crm is Crm.SALESFORCE and owner.kind is OwnerKind.QUEUE:
            takes = {o.casefold() for o in owner.objects} or {"lead"}
            # no queue of any org can own a Contact, whatever its list of objects says
            if object not in takes or object == "contact":
                return None
        return owner.id

    def _named(self, crm: Crm, wanted: str) -> Owner | None:
        """A queue or user by id, developer name, label or e-mail address, queues first."""
        found = self._owners.get((crm, self._whole_id(crm, wanted)))
        if found is not None:
            return found
        folded = wanted.casefold()
        return next(
            (
                o
                for o in sorted(self._owners.values(), key=lambda o: (o.kind is not OwnerKind.QUEUE, o.id))
                if o.crm is crm and folded in {n.casefold() for n in (o.name, o.label, o.email) if n}
            ),
            None,
        )

    # -- reps and others

    def email_of(self, owner_key: str) -> str | None:
        """Where an owner can be told something; None for a queue, and for a user without an address."""
        kind, _, name = owner_key.partition(":")
        if kind == "rep":
            return name
        owner = self._user(owner_key)
        return owner.email if owner is not None else None

    def is_same(self, owner_key: str, other: str) -> bool:
        """Whether two owners are one: who is no rep has a user in each CRM, and one address."""
        if owner_key == other:
            return True
        address = self.email_of(owner_key)
        return address is not None and address.casefold() == (self.email_of(other) or "").casefold()

    def name_of(self, owner_key: str) -> str:
        """What people call an owner."""
        kind, _, name = owner_key.partition(":")
        if kind == "rep":
            rep = self._team.reps.get(name)
            return (rep.name if rep is not None else "") or name
        owner = self._user(owner_key)
        return (owner.name or owner.email or name) if owner is not None else f"{kind} {name}"

    def _user(self, owner_key: str) -> Owner | None:
        kind, _, name = owner_key.partition(":")
        crm, _, owner_id = name.partition(":")
        return self._owners.get((Crm(crm), owner_id)) if kind == "user" else None

    def user_id(self, email: str, crm: Crm) -> str | None:
        """The id of the active user with an address; None: there is none."""
        user = self._users.get((crm, email.casefold()))
        return self._active_id(crm, user.id if user is not None else None)

    def why_not(self, email: str, crms: Sequence[Crm]) -> str | None:
        """Why a rep cannot take a person with records in ``crms``; None when they can."""
        rep = self._team.reps.get(email)
        if rep is None or rep.left:
            return "left"
        deciding = [crm for crm in self.takes if crm in crms] or [crm for crm in self.crms if crm in crms]
        ids = {crm: self._of_rep.get((crm, email)) for crm in deciding}
        owners = {crm: self._owners.get((crm, i)) for crm, i in ids.items() if i is not None}
        if any(owner is not None and not owner.active for owner in owners.values()):
            return "inactive in CRM"
        unmapped = next((crm for crm in deciding if owners.get(crm) is None), None)
        return f"unmapped in {unmapped}" if unmapped is not None else None
