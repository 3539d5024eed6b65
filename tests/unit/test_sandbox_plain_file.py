"""Real leads from a CSV file: what the column map makes of them, and how its mistakes are told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.sandbox import Sandbox
from connectors.sandbox.plain_file import ColumnMapError, load

LEADS = """\
Prospect ID,Lead Origin,Country,Do Not Email,TotalVisits
a-1,API,India,No,3
a-2,Select,,Yes,
a-3,"Landing Page, Submission",Kenya,No,0
"""
MAP = """\
version: 1
created: 2026-06-01T09:00:00Z
not_answered: [Select]
reps: {asha.rao@courses.example: Asha Rao}
queues: {New_Leads: New Leads}
fields:
  hubspot contact: {lead_origin: text, visits: number}
  salesforce Lead: {Origin__c: text}
records:
  - object: hubspot contact
    properties:
      email: "{Prospect ID}@leads.invalid"
      lastname: "Lead {Prospect ID} of {Country}"
      country: {column: Country}
      lead_origin: {column: Lead Origin}
      visits: {column: TotalVisits}
      hs_email_optout: {column: Do Not Email, values: {Yes: "true", No: "false"}}
      lifecyclestage: lead
  - object: salesforce Lead
    properties:
      Email: "{Prospect ID}@leads.invalid"
      LastName: "{Prospect ID}"
      Company: Private person
      Origin__c: {column: Lead Origin}
      HasOptedOutOfEmail: {column: Do Not Email, values: {Yes: "true", No: "false"}}
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """leads.csv and columns.yaml, as above until a test writes them anew."""
    leads, columns = tmp_path / "leads.csv", tmp_path / "columns.yaml"
    leads.write_text(LEADS, encoding="utf-8")
    columns.write_text(MAP, encoding="utf-8")
    return leads, columns


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox.start() as running:
        yield running


def contacts(box: Sandbox) -> dict[str, dict[str, str]]:
    """HubSpot contacts by e-mail."""
    every = [entry.id for entry in box.journal.writes(via="seed", crm="hubspot", object="contacts")]
    return {one["email"]: one for one in (box.hubspot.get("contact", id) for id in every)}


def test_every_row_becomes_the_records_the_map_names(box: Sandbox, files: tuple[Path, Path]) -> None:
    assert load(box, *files) == 3
    first = contacts(box)["a-1@leads.invalid"]
    assert first["lead_origin"] == "API"
    assert first["visits"] == "3"
    assert first["country"] == "India"
    assert first["hs_email_optout"] == "false"
    assert first["lifecyclestage"] == "lead"
    assert first["createdate"].startswith("2026-06-01T09:00:00")
    leads = {row["Email"]: row for row in box.salesforce.all("Lead")}
    assert leads["a-2@leads.invalid"]["HasOptedOutOfEmail"] is True
    assert leads["a-1@leads.invalid"]["HasOptedOutOfEmail"] is False
    assert leads["a-1@leads.invalid"]["Origin__c"] == "API"


def test_what_was_not_answered_is_blank(box: Sandbox, files: tuple[Path, Path]) -> None:
    """`Select` and empty cells make no property, nor does a text that needs such a cell."""
    load(box, *files)
    second = contacts(box)["a-2@leads.invalid"]
    assert not second.get("lead_origin")
    assert not second.get("visits")
    assert not second.get("lastname")


def test_reps_and_queues_exist_in_both_crms(box: Sandbox, files: tuple[Path, Path]) -> None:
    load(box, *files)
    assert "asha.rao@courses.example" in [row["Email"] for row in box.salesforce.all("User")]
    assert "New_Leads" in [row.get("DeveloperName") for row in box.salesforce.all("Group")]


def test_a_missing_column_is_named_with_its_line_and_the_nearest_one(box: Sandbox, files: tuple[Path, Path]) -> None:
    leads, columns = files
    columns.write_text(MAP.replace("{column: Lead Origin}", "{column: Lead Orign}", 1), encoding="utf-8")
    with pytest.raises(ColumnMapError) as caught:
        load(box, leads, columns)
    assert caught.value.problems == (
        f"{columns}:15: hubspot contact lead_origin: leads.csv has no column 'Lead Orign', did you mean 'Lead Origin'?",
    )
    assert not box.salesforce.all("Lead")


def test_a_missing_column_inside_a_text_is_found_too(box: Sandbox, files: tuple[Path, Path]) -> None:
    leads, columns = files
    columns.write_text(MAP.replace('Email: "{Prospect ID}@', 'Email: "{Prospect}@'), encoding="utf-8")
    with pytest.raises(ColumnMapError, match=r"columns\.yaml:21: salesforce Lead Email: .* no column 'Prospect'"):
        load(box, leads, columns)


@pytest.mark.parametrize(
    ("wrong", "right", "line", "message"),
    [
        ("version: 1", "version: 2", 1, "version: write 1"),
        ("created: 2026-06-01T09:00:00Z", "created: yesterday", 2, "created: 'yesterday' is no instant"),
        ("created: 2026-06-01T09:00:00Z", "created: 2026-06-01", 2, "created: '2026-06-01' is no instant"),
        ("not_answered: [Select]", "not_answered: Select", 3, "not_answered: write a list here"),
        ("queues:", "queue:", 5, "unknown key 'queue', did you mean 'queues'?"),
        ("visits: number", "visits: numbr", 7, "type of visits: 'numbr' is not known, did you mean 'number'?"),
        ("object: hubspot contact", "object: hubspot contacts", 10, "did you mean 'hubspot contact'?"),
        ("country: {column: Country}", "country: {colum: Country}", 14, "unknown key 'colum', did you mean 'column'?"),
        ("country: {column: Country}", "country:", 14, "properties of hubspot contact: 'country' has no value"),
        ("country: {column: Country}", "email: x", 14, "'email' is there twice"),
    ],
)
def test_a_mistake_in_the_map_is_told_with_its_line(
    box: Sandbox, files: tuple[Path, Path], wrong: str, right: str, line: int, message: str
) -> None:
    leads, columns = files
    columns.write_text(MAP.replace(wrong, right, 1), encoding="utf-8")
    with pytest.raises(ColumnMapError) as caught:
        load(box, leads, columns)
    assert any(p.startswith(f"{columns}:{line}: ") and message in p for p in caught.value.problems), caught.value


@pytest.mark.parametrize(
    ("wrong", "right", "message"),
    [
        ("lead_origin: text", "lastname: text", "fields of hubspot contact: .*lastname"),
        ("Origin__c: text", "Origin: text", "fields of salesforce Lead: "),
    ],
)
def test_a_custom_property_that_cannot_be_made_is_refused(
    box: Sandbox, files: tuple[Path, Path], wrong: str, right: str, message: str
) -> None:
    leads, columns = files
    columns.write_text(MAP.replace(wrong, right, 1), encoding="utf-8")
    with pytest.raises(ColumnMapError, match=rf"columns\.yaml:\d+: {message}"):
        load(box, leads, columns)


def test_all_mistakes_are_told_at_once(box: Sandbox, files: tuple[Path, Path]) -> None:
    leads, columns = files
    columns.write_text(
        MAP.replace("version: 1", "version: 7").replace("visits: number", "visits: date"), encoding="utf-8"
    )
    with pytest.raises(ColumnMapError) as caught:
        load(box, leads, columns)
    assert [p.removeprefix(f"{columns}:").partition(":")[0] for p in caught.value.problems] == ["1", "7"]


def test_a_map_that_is_no_yaml_says_where(box: Sandbox, files: tuple[Path, Path]) -> None:
    leads, columns = files
    columns.write_text("version: 1\nrecords: [\n", encoding="utf-8")
    with pytest.raises(ColumnMapError, match=r"columns\.yaml:\d+: not YAML"):
        load(box, leads, columns)


def test_a_row_with_too_many_cells_is_refused(box: Sandbox, files: tuple[Path, Path]) -> None:
    leads, columns = files
    leads.write_text(LEADS + "a-4,API,India,No,3,4\n", encoding="utf-8")
    with pytest.raises(ColumnMapError, match=r"leads\.csv:5: 6 cells under 5 columns"):
        load(box, leads, columns)


def test_a_value_the_crm_would_refuse_names_the_row(box: Sandbox, files: tuple[Path, Path]) -> None:
    leads, columns = files
    leads.write_text(LEADS.replace("a-3", "x" * 300), encoding="utf-8")
    with pytest.raises(ColumnMapError, match=r"leads\.csv:4: salesforce Lead: .*rows above this one are loaded"):
        load(box, leads, columns)
