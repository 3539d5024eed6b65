"""A list is scored by the policy that rules the CRMs: alone, and beside them. Nothing is ever written for its rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from sync.store import schema
from sync.store.db import Store
from tests.support.shell import Answer, mqlsync
from tests.support.world import World, api_writes, edit, world

FIELDS = """
file:
  person:
    id:               Prospect ID
    person.email:     "{Prospect ID}@leads.example"
    person.title:     Job Title
    person.country:   {property: Land, as: country}
    person.created_at: {fixed: 2026-01-15}
    company.name:     Company
    company.employees: Staff
    company.industry: Industry
  engagement: {person: Who, kind: What, at: When}
  events:
    - {row: demo, event: demo_request, set: {form: demo}}
    - {row: view, event: page_view, set: {path: Page}}
"""

SETTINGS = """\
store: sqlite:///state/mqlsync.db
connections:
  fair: {kind: file, people: people.csv, engagement: events.csv, timezone: Europe/Berlin}
"""
AS_OF = "2026-11-25T12:00:00Z"
COLUMNS = ("Prospect ID", "Job Title", "Land", "Company", "Staff", "Industry")
GOOD = ("VP Sales", "Deutschland", "Acme; Inc", "500", "Technology")


def write_people(folder: Path, rows: Mapping[str, tuple[str, ...]]) -> None:
    text = io.StringIO(newline="")
    table = csv.writer(text, delimiter=";")
    table.writerow(COLUMNS)
    table.writerows([id, *cells] for id, cells in rows.items())
    (folder / "people.csv").write_bytes(text.getvalue().encode("utf-8-sig"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Three people on a list: one who asked for a demo, one who fits, one who is nobody we want."""
    config = tmp_path / "config"
    assert mqlsync("init", str(config), "--yes").code == 0
    (config / "mqlsync.yaml").write_text(SETTINGS)
    with (config / "fields.yaml").open("a") as fields:
        fields.write(FIELDS)
    write_people(tmp_path, {"asked": GOOD, "fits": GOOD, "other": ("Assistant", "Brazil", "Solo", "1", "Hospitality")})
    (tmp_path / "events.csv").write_text("Who,What,When,Page\nasked,demo,2026-11-24 10:00,\nfits,view,2026-11-24,/a\n")
    return tmp_path


def told(project: Path, *arguments: str, code: int = 0) -> Answer:
    answer = mqlsync(*arguments, "--config", str(project / "config"))
    assert answer.code == code, answer.err + answer.out
    return answer


def run(project: Path, code: int = 0) -> dict[str, Any]:
    return told(project, "run", "--as-of", AS_OF, "--json", code=code).json


def scored(project: Path) -> dict[str, dict[str, str]]:
    """Row of the list -> what the export says of it."""
    told(project, "scored", "--to", str(project / "out.csv"))
    with (project / "out.csv").open(newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_a_list_alone_is_checked_run_explained_and_exported(project: Path) -> None:
    told(project, "check", "--online")
    first = run(project)
    assert (first["writes"], first["statuses"]) == (0, {"mql": 1, "not_yet": 2})
    rows = scored(project)
    assert {id: row["status"] for id, row in rows.items()} == {"asked": "mql", "fits": "not_yet", "other": "not_yet"}
    assert rows["asked"]["email"] == "asked@leads.example"
    assert int(rows["asked"]["engagement"]) > 0
    assert int(rows["fits"]["fit"]) > int(rows["other"]["fit"])
    assert rows["asked"]["owner"] == ""
    explained = told(project, "explain", "asked@leads.example").out
    assert "file:person:asked  read only" in explained
    assert f"Total: {rows['asked']['total']}" in explained
    assert "not yet assigned" in explained
    again = run(project)
    assert (again["writes"], sum(again["pulled"].values()), again["state"]) == (0, 0, "succeeded")
    assert told(project, "setup", "--yes").code == 0


def test_the_export_says_the_same_in_both_forms(project: Path) -> None:
    run(project)
    rows = scored(project)
    told(project, "scored", "--to", str(project / "out.parquet"))
    table = {row["file"]: row for row in pq.read_table(project / "out.parquet").to_pylist()}
    assert {
        id: {k: "" if v is None else str(v) for k, v in row.items() if k != "status_since"} for id, row in table.items()
    } == {id: {k: v for k, v in row.items() if k != "status_since"} for id, row in rows.items()}
    refused = told(project, "scored", "--to", str(project / "out.xlsx"), code=1)
    assert "out.xlsx: write a name that ends with .csv or .parquet" in refused.err


def test_an_edited_list_moves_whom_it_says(project: Path) -> None:
    run(project)
    write_people(project, {"asked": GOOD, "fits": ("Assistant", "Brazil", "Solo", "1", "Hospitality"), "new": GOOD})
    run(project)
    rows = scored(project)
    assert set(rows) == {"asked", "fits", "new"}
    assert int(rows["fits"]["fit"]) < int(rows["new"]["fit"])


def test_a_row_that_cannot_be_read_is_told_by_its_line(project: Path) -> None:
    """In these very characters: a terminal library may see a picture in them."""
    write_people(project, {f"n{n}": GOOD for n in range(120)})
    lines = (project / "people.csv").read_bytes().splitlines(keepends=True)
    lines[99] = b"n98;VP Sales\r\n"
    (project / "people.csv").write_bytes(b"".join(lines))
    answer = told(project, "run", "--as-of", AS_OF, code=5)
    assert "file:row:people.csv:100: row: not read: 2 cells where the header has 6" in answer.err


def test_another_policy_is_tried_on_a_list(project: Path) -> None:
    run(project)
    new = project / "new.yaml"
    new.write_text((project / "config" / "policy.yaml").read_text())
    edit(new, ("otherwise: 6}", "otherwise: 5}"))
    assert "3 people. Nothing was changed." in told(project, "policy", "whatif", str(new)).out


def test_a_file_that_vanished_stops_the_run_in_words(project: Path) -> None:
    run(project)
    (project / "people.csv").unlink()
    stopped = run(project, code=1)
    assert "people.csv cannot be read: No such file or directory." in stopped["error"]
    assert set(scored(project)) == {"asked", "fits", "other"}


@pytest.mark.parametrize(
    ("settings", "fields", "said"),
    [
        ("{kind: file}", True, "names at least one: people, engagement"),
        ("{kind: file, people: people.xlsx}", True, "neither CSV"),
        ("{kind: file, people: p.csv, encoding: klingon}", True, "no text encoding"),
        ("{kind: sheet, people: p.csv}", True, "kind"),
        ("{kind: file, people: p.csv}", False, "write `file: {person: ...}`"),
        ("{kind: file, people: p.csv}\n  other: {kind: file, people: q.csv}", True, "and 'fair' is one"),
        ("{people: p.csv}", True, "unknown connection"),
    ],
)
def test_what_cannot_be_read_is_said_before_anything_is(project: Path, settings: str, fields: bool, said: str) -> None:
    (project / "config" / "mqlsync.yaml").write_text(f"connections:\n  fair: {settings}\n")
    if not fields:
        edit(project / "config" / "fields.yaml", (FIELDS, ""))
    refused = told(project, "check", code=3)
    assert said in refused.out + refused.err


# -- beside the CRMs ---------------------------------------------------------------------------------------------


@contextmanager
def beside(folder: Path) -> Iterator[World]:
    """Both CRMs and a list whose addresses are a column."""
    with world(folder, people=30) as scene:
        scene.edit_settings(("  hubspot:\n", "  fair: {kind: file, people: people.csv}\n  hubspot:\n"))
        fields = scene.config / "fields.yaml"
        by_address = FIELDS.partition("  engagement:")[0].replace('"{Prospect ID}@leads.example"', "Job Title")
        fields.write_text(fields.read_text() + by_address.replace("    person.title:     Job Title\n", ""))
        yield scene


def roles(store: Store) -> dict[str, set[str]]:
    link = schema.link.c
    with store.read() as tx:
        found: dict[str, set[str]] = {}
        for conn, role in tx.execute(select(link.conn, link.role)):
            found.setdefault(conn, set()).add(role)
        return found


def test_rows_join_the_people_of_the_crms_and_nothing_is_written_for_them(tmp_path: Path) -> None:
    with beside(tmp_path) as scene:
        portal = scene.box.hubspot
        addresses = (portal.get("contacts", id).get("email") for id in portal.ids("contacts"))
        known = [address for address in addresses if address][:5]
        write_people(
            scene.config.parent,
            # Twice the same address is no matter: no row is a record that could be the one to write.
            {f"row{n}": (known[n % 5], "DE", "Acme", "900", "Technology") for n in range(10)}
            | {"stranger": ("stranger@nowhere.example", "DE", "Acme", "900", "Technology")},
        )
        report = scene.run()
        assert report.exit_code == 0, report.error
        assert report.pulled["file:person"] == 11
        with scene.opened() as opened:
            store = opened.parts.store
            assert roles(store)["file"] == {"read only"}
            link = schema.link.c
            with store.read() as tx:
                outbox = tx.execute(select(schema.outbox.c.conn).distinct()).scalars().all()
                assigned = select(schema.assignment.c.person_id)
                mine = select(link.person_id).where(link.id == "stranger", link.person_id.in_(assigned))
                assert tx.execute(mine).first() is None
                joined = select(link.person_id).where(link.conn == "file").distinct()
                people = set(tx.execute(joined).scalars())
                ambiguous = select(schema.conflict.c.seq).where(schema.conflict.c.conn == "file")
                assert tx.execute(ambiguous).first() is None
            assert "file" not in outbox
        assert len(people) == 6
        assert {write.crm for write in api_writes(scene.box)} <= {"hubspot", "salesforce"}
        assert scene.run().writes == 0
