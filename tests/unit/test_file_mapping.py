"""The section `file` of fields.yaml and a connection of kind file: what they become, and what they may not say."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.fields import Convert, EngagementColumns, EventRule, EventSource, FactField, FileColumns
from connectors.records import Crm
from scoring.document import Source
from sync.mapping import Mapping, read_mapping
from sync.settings import FileConnection, load_settings

FIELDS = """\
version: 1
file:
  person:
    id: "{List}-{Prospect ID}"
    person.email: Business E-mail
    person.country: {property: Land (ISO), as: country}
    person.created_at: {fixed: 2026-01-15}
    person.custom.visits: {property: Total Visits, type: number}
  engagement: {kind: What, at: When, person: Who, id: Nr}
  events:
    - {row: Page View, event: page_view, set: {path: Seite}}
    - {row: otherwise, event: site_visit}
"""


def read(text: str) -> tuple[Mapping, list[str]]:
    mapping, problems = read_mapping(Source("fields.yaml", text.encode()))
    return mapping, [str(problem) for problem in problems]


def test_the_section_becomes_the_map_of_files() -> None:
    mapping, problems = read(FIELDS)
    assert problems == []
    of = mapping.map.crms[Crm.FILE]
    assert of.file == FileColumns(
        id="{List}-{Prospect ID}", engagement=EngagementColumns(kind="What", at="When", person="Who", id="Nr")
    )
    assert of.objects["person"].facts == (
        FactField(fact="person.email", property="Business E-mail"),
        FactField(fact="person.country", property="Land (ISO)", convert=Convert.COUNTRY),
        FactField(fact="person.created_at", fixed="2026-01-15"),
        FactField(fact="person.custom.visits", property="Total Visits", type="number"),
    )
    assert of.events == (
        EventRule(source=EventSource.ROW, key="Page View", kind="page_view", set={"path": "Seite"}),
        EventRule(source=EventSource.ROW, key=None, kind="site_visit"),
    )


def test_without_the_section_there_is_no_map_and_nothing_else_changes() -> None:
    crm = "hubspot: {contact: {person.email: email}}\n"
    mapping, problems = read(f"version: 1\n{crm}")
    assert problems == []
    assert Crm.FILE not in mapping.map.crms
    both, _ = read(FIELDS + crm)
    assert both.map.crms[Crm.HUBSPOT] == mapping.map.crms[Crm.HUBSPOT]
    assert both.hash != mapping.hash


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('    id: "{List}-{Prospect ID}"\n', "", "file.person: 'id' is missing"),
        ('"{List}-{Prospect ID}"', '"{List-{x}"', "is neither a column nor a text with {Column} in it"),
        ("{fixed: 2026-01-15}", "{fixed: 2026-01-15, property: x}", "property"),
        ("Business E-mail", '"{}"', "is neither a column"),
        ("at: When, ", "", "file.engagement.at: this key is missing"),
        ("person: Who, ", "", "whose a row is, is missing"),
        ("{row: Page View,", "{form: Page View,", "a line begins with one of row"),
        ("event: page_view", "event: page_vieww", "did you mean 'page_view'"),
        ("  events:\n", "  sales_state: {property: a, values: {}}\n  events:\n", "sales_state"),
        ("  person:\n", "  contact: {}\n  person:\n", "contact"),
    ],
)
def test_a_mistake_is_told_with_its_place(old: str, new: str, said: str) -> None:
    assert old in FIELDS
    _, problems = read(FIELDS.replace(old, new, 1))
    assert any(said in problem for problem in problems), problems


def test_events_have_to_say_what_engagement_is() -> None:
    _, problems = read(FIELDS[: FIELDS.index("  events:")])
    assert [problem for problem in problems if "'events' is missing" in problem]


def connection(text: str) -> FileConnection | None:
    settings, _ = load_settings(
        Source("mqlsync.yaml", f"connections:\n{text}".encode()),
        environment={"LISTS": "/data"},
        read_secret=lambda path: "",
    )
    return settings.file


def test_a_connection_has_a_name_of_its_own_and_files() -> None:
    found = connection('  fair: {kind: file, people: "${LISTS}/fair.csv", delimiter: tab, timezone: Europe/Berlin}\n')
    assert found == FileConnection(
        name="fair", people=Path("/data/fair.csv"), delimiter="\t", timezone="Europe/Berlin", encoding="utf-8"
    )


def test_files_are_no_crm_in_which_somebody_owns_people() -> None:
    settings, _ = load_settings(
        Source("mqlsync.yaml", b"connections: {list: {kind: file, people: p.csv}}"),
        environment={},
        read_secret=lambda path: "",
    )
    assert settings.crms == ()
