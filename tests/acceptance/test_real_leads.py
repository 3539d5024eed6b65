"""The whole job on the public X Education leads, as docs/real-leads.md says, and what it found against what came of it.

MQLSYNC_REAL_LEADS=leads.csv .venv/bin/pytest -m slow -s tests/acceptance/test_real_leads.py
"""

import csv
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from connectors.sandbox import Sandbox
from connectors.sandbox.plain_file import load as fill
from sync.compose import load, open_parts
from sync.demo import environment
from sync.run import RunReport
from sync.setup import ensure
from tests.support.world import edit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

__test__ = "MQLSYNC_REAL_LEADS" in os.environ  # the file is no part of the project: without its path there is no test

X_EDUCATION = Path(__file__).parents[2] / "docs" / "x-education"
OUTCOME = "Converted"
VENDOR = ("Asymmetrique Activity Score", "Asymmetrique Profile Score")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The file by prospect, both runs, and what the CRMs show of each prospect in the end."""

    leads: Mapping[str, Mapping[str, str]]
    runs: Sequence[RunReport]
    hubspot: Mapping[str, Mapping[str, str]]
    salesforce: Mapping[str, Mapping[str, str]]

    def converted(self, prospects: Sequence[str]) -> int:
        return sum(self.leads[p][OUTCOME] == "1" for p in prospects)

    @property
    def mqls(self) -> list[str]:
        return [p for p, shown in self.hubspot.items() if shown["mql_status"] == "assigned"]

    def ranking(self, score: Mapping[str, float]) -> float:
        """The area under the ROC curve: how often somebody who converted stands above somebody who did not."""
        levels: dict[float, list[int]] = {}
        for prospect, value in score.items():
            levels.setdefault(value, [0, 0])[self.leads[prospect][OUTCOME] == "1"] += 1
        below = won = lost = 0.0
        for _, (no, yes) in sorted(levels.items()):
            below += yes * (lost + no / 2)
            won, lost = won + yes, lost + no
        return below / (won * lost)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    file = Path(os.environ["MQLSYNC_REAL_LEADS"])
    config = tmp_path_factory.mktemp("real") / "config"
    shutil.copytree(X_EDUCATION, config)
    with file.open(encoding="utf-8", newline="") as rows:
        leads = {row["Prospect ID"]: row for row in csv.DictReader(rows)}
    with Sandbox.start() as box:
        assert fill(box, file, config / "columns.yaml") == len(leads)
        edit(config / "mqlsync.yaml", ("http://127.0.0.1:8089", box.url))
        with open_parts(load(config, environment=environment(box))) as opened:
            ensure(opened.parts)
            runs = [opened.run("sync") for _ in range(2)]
        contacts = [box.hubspot.get("contacts", id) for id in box.hubspot.ids("contacts")]
        return Done(
            leads=leads,
            runs=runs,
            hubspot={_prospect(contact["email"]): contact for contact in contacts},
            salesforce={_prospect(lead["Email"]): lead for lead in box.salesforce.all("Lead")},
        )


def _prospect(address: str) -> str:
    return address.partition("@")[0]


def test_everybody_is_in_both_crms_once(done: Done) -> None:
    assert set(done.hubspot) == set(done.salesforce) == set(done.leads)


def test_the_first_run_writes_everybody_and_the_second_nobody(done: Done) -> None:
    first, second = done.runs
    assert first.exit_code in (0, 5), first.error
    assert first.writes == 2 * len(done.leads)
    assert (second.exit_code, second.writes) == (0, 0), second.error


def test_both_crms_name_the_same_mqls_and_all_of_them_have_an_adviser(done: Done) -> None:
    assert done.mqls
    assert set(done.mqls) == {p for p, lead in done.salesforce.items() if lead["MQL_Status__c"] == "assigned"}
    owners = Counter(done.hubspot[p]["hubspot_owner_id"] for p in done.mqls)
    assert len(owners) == 3
    assert max(owners.values()) - min(owners.values()) <= 1


def test_whoever_wants_no_mail_is_never_an_mql(done: Done) -> None:
    assert not [p for p in done.mqls if done.leads[p]["Do Not Email"] == "Yes"]


def test_mqls_convert_far_more_often_than_others(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    """The figures of docs/real-leads.md, with room for the rows that were not in it."""
    won, everybody = done.converted(done.mqls), done.converted(list(done.leads))
    precision, recall = won / len(done.mqls), won / everybody
    lift = precision / (everybody / len(done.leads))
    reasons = Counter(done.hubspot[p]["mql_reason"].partition(": ")[2].partition(" +")[0] for p in done.mqls)
    with capsys.disabled():
        print(f"\n{len(done.leads)} leads, {everybody} converted; {len(done.mqls)} MQLs, {won} of them converted")  # noqa: T201
        print(f"precision {precision:.1%}, recall {recall:.1%}, lift {lift:.2f}")  # noqa: T201
        print("named first:", ", ".join(f"{name} {n}" for name, n in reasons.most_common()))  # noqa: T201
    assert precision > 0.75
    assert recall > 0.6
    assert lift > 1.9


def test_fit_ranks_better_than_the_vendors_scores(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    fit = {p: float(shown["mql_fit"]) for p, shown in done.hubspot.items()}
    scored = {p: sum(float(row[name]) for name in VENDOR) for p, row in done.leads.items() if row[VENDOR[0]].strip()}
    ours = done.ranking({p: fit[p] for p in scored})
    with capsys.disabled():
        print(f"\narea under the curve: all {done.ranking(fit):.3f}; {len(scored)} with a vendor's scores:", end=" ")  # noqa: T201
        print(f"theirs {done.ranking(scored):.3f}, fit {ours:.3f}")  # noqa: T201
    assert done.ranking(fit) > 0.85
    assert ours > done.ranking(scored) + 0.15
