"""A team that owes its MQLs a first touch, and channels on which it is told."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.support.receiver import Receiver
from tests.support.world import AS_OF, World, edit

MANAGER = "mara.lead@yourcompany.example"
DESK = "inbound.desk@yourcompany.example"
SLA = """\
sla:
  first_touch:    2 working hours
  reassign_after: 4 working hours
  give_up_after:  2 reassignments
  then:           queue inbound

write:
"""


NAMES = ("ada", "bea", "cleo")
"""Whom `with_asking` adds."""


def with_asking(scene: World) -> None:
    """Three people in both CRMs whom nobody owns, and who asked for a demo yesterday."""
    org = scene.box.salesforce
    admin = next(user["Id"] for user in org.all("User") if str(user["Email"]).startswith("crm.admin@"))
    for name in NAMES:
        firm = {"Company": f"{name} ltd", "NumberOfEmployees": 600, "Country": "Ireland", "Title": "VP of Marketing"}
        person = {"FirstName": name.title(), "LastName": "Byrne", "Email": address(name), "OwnerId": admin}
        org.add("Lead", {**firm, **person}, at=AS_OF)
        facts = {"email": address(name), "firstname": name.title(), "jobtitle": "VP of Marketing", "country": "Ireland"}
        scene.box.hubspot.add("contacts", facts, at=AS_OF)
        asks(scene, name, at=AS_OF - timedelta(days=1))


def address(name: str) -> str:
    return f"{name}@{name}-instruments.example"


def asks(scene: World, name: str, *, at: datetime) -> None:
    """Somebody asks for a demo."""
    portal = scene.box.hubspot
    form = next(guid for guid, form in portal.forms.items() if form.name == "Request a demo")
    portal.add_submission(form, at, {"email": address(name)})


def with_service_level(scene: World, channel: Receiver) -> None:
    scene.box.hubspot.add_owner(DESK, "Inbound", "Desk")
    edit(scene.config / "policy.yaml", ("write:\n", SLA))
    edit(scene.config / "team.yaml", ("Web_Leads]", f"Web_Leads, {DESK}]"))
    team = scene.config / "team.yaml"
    text = team.read_text()
    before, _, rest = text.partition("queues:\n")
    _, _, rest = rest.partition("\n\n")
    queue = (
        f"{{hubspot: {DESK}, salesforce: Inbound_Leads, tell: {MANAGER}, alarm_after: 1 working hours, hours: office}}"
    )
    team.write_text(f"{before}queues:\n  inbound: {queue}\n\nmanagers: {{sales: {MANAGER}}}\n\n{rest}")
    with (scene.config / "mqlsync.yaml").open("a") as settings:
        url = f"{channel.url}/{{to}}"
        settings.write(f'\nnotify:\n  channels: {{inbox: {{url: "{url}"}}}}\n  reps: inbox\n  managers: inbox\n')
