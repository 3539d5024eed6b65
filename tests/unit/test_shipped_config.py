"""The files that ship: they load without an error, and say what the sandbox's people are made of."""

import csv
import re
from pathlib import Path

import pytest

from connectors.records import Crm
from connectors.sandbox import Sandbox, names
from connectors.sandbox.people import REPS
from connectors.sandbox.plain_file import load as fill
from sync.compose import Loaded, load

ROOT = Path(__file__).parents[2]
X_EDUCATION = ROOT / "docs" / "x-education"
KNOWN_ONLY_AFTERWARDS = (
    "Converted", "Tags", "Lead Quality", "Lead Profile", "Last Notable Activity", "Asymmetrique Activity Score",
    "Asymmetrique Profile Score",
)  # fmt: skip


def shipped(folder: Path) -> Loaded:
    return load(folder, environment=dict.fromkeys(("HUBSPOT_TOKEN", "SF_KEY", "SF_SECRET"), "made-up"))


@pytest.mark.parametrize("folder", [ROOT / "config", X_EDUCATION], ids=lambda folder: folder.name)
def test_the_files_load_and_at_most_lack_examples(folder: Path) -> None:
    assert [str(warning) for warning in shipped(folder).warnings if warning.code != "W13"] == []


def test_a_new_installation_has_nothing_to_be_warned_of_and_its_examples_hold() -> None:
    found = shipped(ROOT / "config")
    assert found.warnings == ()
    assert len(found.policy.examples) >= 2


@pytest.mark.parametrize("name", ["policy.yaml", "team.yaml", "fields.yaml", "mqlsync.yaml"])
def test_a_template_fits_a_screen_and_says_what_to_change(name: str) -> None:
    lines = (ROOT / "config" / name).read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith(f"# {name}: ")
    assert max(map(len, lines)) <= 120
    assert any("CHANGE" in line for line in lines)


def test_secrets_are_only_named() -> None:
    text = (ROOT / "config" / "mqlsync.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{(\w+)\}", text)) - {"NAME"} == {"HUBSPOT_TOKEN", "SF_KEY", "SF_SECRET", "MAIL_URL"}
    assert not re.findall(r"(?:token|secret|key): [\"']?[^\"'$]", text)


def test_the_sandbox_has_the_reps_of_the_team() -> None:
    assert {email for email, *_ in REPS} == set(shipped(ROOT / "config").policy.team.reps)


def test_hubspots_industries_are_said_in_salesforces_words() -> None:
    company = shipped(ROOT / "config").fields.map.crms[Crm.HUBSPOT].objects["company"]
    said = next(fact.values for fact in company.facts if fact.fact == "company.industry")
    for industry in names.INDUSTRIES:
        assert said[industry.hubspot] == industry.salesforce


def test_the_column_map_of_the_real_leads_makes_both_records(tmp_path: Path) -> None:
    """A made-up row under the names of the public file's columns."""
    columns = (X_EDUCATION / "columns.yaml").read_text(encoding="utf-8")
    needed = set(re.findall(r"column: ([^,}]+)", columns)) | set(re.findall(r"\{([A-Z][\w ]+)\}", columns))
    row = dict.fromkeys(sorted(needed), "Select") | {"Prospect ID": "p-1", "Lead Number": "7", "Do Not Email": "Yes"}
    file = tmp_path / "leads.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, row)
        writer.writeheader()
        writer.writerow(row)
    with Sandbox.start() as box:
        assert fill(box, file, X_EDUCATION / "columns.yaml") == 1
        contact = box.hubspot.get("contact", box.hubspot.ids("contact")[0])
        (lead,) = box.salesforce.all("Lead")
    assert contact["email"] == lead["Email"] == "p-1@leads.invalid"
    assert contact["hs_email_optout"] == "true"
    assert lead["HasOptedOutOfEmail"] is True
    assert not contact.get("current_occupation")


@pytest.mark.parametrize("column", KNOWN_ONLY_AFTERWARDS)
def test_what_was_known_only_afterwards_is_not_mapped(column: str) -> None:
    lines = (X_EDUCATION / "columns.yaml").read_text(encoding="utf-8").splitlines()
    assert not any(column in line for line in lines if not line.lstrip().startswith("#"))
