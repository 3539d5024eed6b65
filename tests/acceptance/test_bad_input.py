"""Wrong files, wrong credentials, missing fields, records that make no sense, CRMs that answer nonsense."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from connectors.records import Crm
from connectors.sandbox.faults import Fault, FaultKind
from sync.shown import trouble_lines
from sync.store import schema
from tests.support.shell import mqlsync
from tests.support.world import World, api_writes, edit, world

PLACE = r"{name}:\d+:\d+: "


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two CRMs that nobody may call: every test here checks that none was."""
    with world(tmp_path_factory.mktemp("quiet"), people=5, setup=False) as scene:
        yield scene


def written_since(scene: World, seq: int) -> int:
    return sum(entry.via == "api" for entry in scene.box.journal.since(seq))


# -- a wrong configuration: exit 3 before anybody is contacted ---------------------------------------------------

WRONG = [
    ("mqlsync.yaml", "store: sqlite", "stor: sqlite", "stor: unknown key, did you mean 'store'?"),
    ("mqlsync.yaml", "every: 15 minutes", "every: 15 minuts", "'15 minuts' is not a time span"),
    ("mqlsync.yaml", "every: 15 minutes", 'cron: "0 3 * * 0"', "name the weekdays"),
    ("mqlsync.yaml", "do: [pull,", "do: [pul,", "jobs.sync.do[0]: unknown stage 'pul', did you mean 'pull'?"),
    ("mqlsync.yaml", "api_version: v3", "api_version: v33", "did you mean 'v3'?"),
    ("mqlsync.yaml", "owner_authority: both", "owner_authority: nobody", "there are both, salesforce, hubspot"),
    ("mqlsync.yaml", '"${HUBSPOT_TOKEN}"', "pat-na1-1111-2222", "put the secret into the environment"),
    ("mqlsync.yaml", "${HUBSPOT_TOKEN}", "${HUBSPOT_TOKN}", "the environment has no HUBSPOT_TOKN"),
    ("mqlsync.yaml", "http://127.0.0.1", "http://crm.example", "https is required"),
    ("policy.yaml", "event: demo_request,", "event: demo_requst,", "did you mean 'demo_request'?"),
    ("policy.yaml", "field: company.employees", "field: company.employes", "did you mean 'company.employees'?"),
    ("policy.yaml", "in best_industries: 25", "in best_industry: 25", "did you mean 'best_industries'?"),
    ("policy.yaml", "to: pool sales", "to: pool sale", "routing[2].to: unknown pool 'sale', did you mean 'sales'?"),
    ("policy.yaml", "fit:\n  max: 100", "fit:\n  max: [100", "this is not YAML"),
    ("team.yaml", "else queue inbound", "else queue inbond", "did you mean 'inbound'?"),
    ("policy.yaml", "event: demo_request,", "event: email_click, where: {lnk: x},", "email_click has no lnk"),
    ("policy.yaml", "fit:\n  max: 100", "fit:\n  max: 100\n  max: 90", "fit.max: this key is already on line 36"),
    ("team.yaml", "weight: 2}", "open: 0}", "'0': a cap of 0 admits nobody"),
    ("team.yaml", "assign anyway else queue inbound", "wait 2 hours", "a wait ends with 'then queue ...'"),
    ("team.yaml", "    hours: office", "    hours: offices", "unknown hours 'offices'"),
    ("fields.yaml", "person.title:        newest", "person.titel: newest", "did you mean 'person.title'?"),
]


@pytest.mark.parametrize(("name", "right", "wrong", "said"), WRONG)
def test_a_wrong_configuration_is_named_with_its_place_and_nobody_is_contacted(
    name, right, wrong, said, quiet, tmp_path
):
    config = tmp_path / "config"
    mqlsync("init", str(config), "--yes")
    edit(config / "mqlsync.yaml", ("https://api.hubapi.com", quiet.box.url))
    edit(config / "mqlsync.yaml", ("https://yourcompany.my.salesforce.com", quiet.box.url))
    edit(config / name, (right, wrong))
    quiet.box.reset_calls()
    for command in (("run",), ("check", "--online"), ("setup", "--yes"), ("plan",)):
        answer = mqlsync(*command, scene=quiet, environment={"MQLSYNC_CONFIG": str(config)})
        assert answer.code == 3, answer.err
        assert said in answer.err
        assert re.search(PLACE.format(name=re.escape(str(config / name))), answer.err), answer.err
        assert answer.out == ""
    assert quiet.box.calls.total == 0


def test_all_errors_of_all_files_are_told_at_once_and_as_json(quiet, tmp_path):
    config = tmp_path / "config"
    mqlsync("init", str(config), "--yes")
    edit(config / "mqlsync.yaml", ("store: sqlite", "stor: sqlite"), ("do: [pull,", "do: [pul,"))
    edit(config / "team.yaml", ("weight: 2}", "weight: two}"))
    answer = mqlsync("check", "--json", scene=quiet, environment={"MQLSYNC_CONFIG": str(config)})
    assert answer.code == answer.json["exit_code"] == 3
    found = {(Path(p["file"]).name, p["line"] > 1, p["col"] > 0) for p in answer.json["problems"]}
    assert found == {("mqlsync.yaml", True, True), ("team.yaml", True, True)}
    assert len(answer.json["problems"]) == 3


NO_FILE = [
    pytest.param(b"", "the file is empty", id="empty"),
    pytest.param(b"a: 1\n---\nb: 2\n", "2:1: a file is one document", id="two documents"),
    pytest.param(b"a: 1\nname: caf\xe9\n", "2:10: this is not UTF-8", id="another encoding"),
    pytest.param(b"a: " + b"x" * 5_000_000, "the file is larger than 2 MiB", id="large"),
    pytest.param(b"a: " + b"[" * 5_000, "nested deeper than 40 levels", id="deep"),
    pytest.param(b"a: &x 1\nb: *x\n", "2:4: b: aliases (*name) are not allowed", id="alias"),
    pytest.param(b"a: !!python/object:os.system 1\n", "1:4: a: tags (!name) are not allowed", id="tag"),
    pytest.param(b"a: 1\na: 2\n", "2:1: a: this key is already on line 1", id="key twice"),
    pytest.param(b"- a\n- b\n", "1:1: a mapping is wanted here, not a list", id="list"),
    pytest.param(b"\x00\x01\x02", "this character is not allowed in YAML", id="binary"),
]


@pytest.mark.parametrize("name", ["policy.yaml", "team.yaml", "fields.yaml"])
@pytest.mark.parametrize(("content", "said"), NO_FILE)
def test_what_is_no_file_of_ours_is_refused_in_one_breath(name, content, said, tmp_path):
    config = tmp_path / "config"
    mqlsync("init", str(config), "--yes")
    (config / name).write_bytes(content)
    for command in (("run",), ("policy", "lint", str(config))):
        answer = mqlsync(
            *command, environment={"MQLSYNC_CONFIG": str(config), "HUBSPOT_TOKEN": "t", "SF_KEY": "k", "SF_SECRET": "s"}
        )
        assert answer.code == 3
        assert said in answer.err + answer.out
        assert "Traceback" not in answer.err


def test_an_error_in_one_file_hides_none_in_another(quiet, tmp_path):
    config = tmp_path / "config"
    mqlsync("init", str(config), "--yes")
    edit(config / "fields.yaml", ("person.title:        newest", "person.title:        newst"))
    edit(config / "policy.yaml", ("event: demo_request,     points", "event: demo_requst,     points"))
    edit(config / "team.yaml", ("else queue inbound", "else queue inbond"))
    answer = mqlsync("check", "--json", scene=quiet, environment={"MQLSYNC_CONFIG": str(config)})
    assert [Path(p["file"]).name for p in answer.json["problems"]] == ["fields.yaml", "policy.yaml", "team.yaml"]


def test_a_missing_file_is_named(quiet, tmp_path):
    config = tmp_path / "config"
    mqlsync("init", str(config), "--yes")
    (config / "team.yaml").unlink()
    answer = mqlsync("check", scene=quiet, environment={"MQLSYNC_CONFIG": str(config)})
    assert answer.code == 3
    assert str(config / "team.yaml") in answer.err


# -- credentials, scopes, fields: exit 4, one error, nothing written ---------------------------------------------


@pytest.mark.parametrize(
    ("name", "fix"),
    [("HUBSPOT_TOKEN", "Set a valid token"), ("SF_SECRET", "Check the connection's auth block")],
)
@pytest.mark.parametrize("command", [("check", "--online"), ("setup", "--yes"), ("plan",), ("run",)])
def test_a_wrong_credential_is_exit_4(command, name, fix, tmp_path):
    with world(tmp_path, people=5) as scene:
        before = scene.box.journal.last_seq
        answer = mqlsync(*command, scene=scene, environment={name: "wrong-secret-value"})
        assert answer.code == 4
        assert fix in answer.out + answer.err
        assert (Crm.HUBSPOT if name.startswith("HUBSPOT") else Crm.SALESFORCE) in answer.out + answer.err
        assert "wrong-secret-value" not in answer.out + answer.err
        assert written_since(scene, before) == 0


READ_SCOPES = ["crm.objects.contacts.read", "crm.objects.owners.read"]


@pytest.mark.parametrize("scope", [*READ_SCOPES, "crm.objects.contacts.write"])
def test_a_missing_scope_stops_a_run_before_either_crm_is_written(scope, tmp_path):
    with world(tmp_path, people=12) as scene:
        before = scene.box.journal.last_seq
        scene.box.hubspot.scopes.discard(scope)
        report = scene.run()
        assert report.exit_code == 4
        lines = list(trouble_lines(report))
        assert len(lines) == 1
        assert f"Missing scopes: {scope}" in lines[0]
        assert "Give the token these scopes" in lines[0]
        assert written_since(scene, before) == 0
        if scope in READ_SCOPES:
            checked = mqlsync("check", "--online", scene=scene)
            assert checked.code == 4
            assert scope in checked.out
        scene.box.hubspot.scopes.add(scope)
        assert scene.run().writes > 0
        assert scene.run().writes == 0


def test_without_setup_a_run_names_the_fields_and_the_command(tmp_path):
    with world(tmp_path, people=5, setup=False) as scene:
        answer = mqlsync("run", scene=scene)
        assert answer.code == 4
        assert "contact.mql_status" in answer.err
        assert "mqlsync setup" in answer.err
        assert "Nothing was written" in answer.err
        assert answer.err.count("\n") == 1
        assert api_writes(scene.box) == []
        with scene.opened() as opened, opened.parts.store.read() as tx:
            assert tx.execute(select(schema.episode)).all() == []
        checked = mqlsync("check", "--online", scene=scene)
        assert checked.code == 4
        assert "hubspot.contact.mql_status: not there; run `mqlsync setup` (error)" in checked.out
        assert "salesforce.lead.MQL_Status__c: not there; run `mqlsync setup` (error)" in checked.out
        assert mqlsync("setup", "--yes", scene=scene).code == 0
        assert mqlsync("check", "--online", scene=scene).code == 0
        assert mqlsync("run", scene=scene).code == 0


def test_fields_that_the_user_may_not_edit_are_named(tmp_path):
    with world(tmp_path, people=5) as scene:
        org = scene.box.salesforce
        for kind in ("Lead", "Contact"):
            for permission in org.all("FieldPermissions"):
                if permission["Field"] == f"{kind}.MQL_Grade__c":
                    org.edit("FieldPermissions", permission["Id"], {"PermissionsEdit": False})
        answer = mqlsync("run", scene=scene)
        assert answer.code == 4
        assert "contact.MQL_Grade__c, lead.MQL_Grade__c: not writable by these credentials; grant edit access" in (
            answer.err
        )


# -- owners ------------------------------------------------------------------------------------------------------


def test_check_names_reps_without_a_user_inactive_ones_and_owners_outside_the_team(tmp_path):
    with world(tmp_path, people=60) as scene:
        hubspot = scene.box.hubspot
        owners = {owner.email: id for id, owner in hubspot.owners.items()}
        hubspot.deactivate_owner(owners["lena.brandt@yourcompany.example"])
        hubspot.add_owner("solo@yourcompany.example", "Solo", "Ist")
        edit(
            scene.config / "team.yaml",
            ("lena.brandt@yourcompany.example:   {name: Lena Brandt}", "lena.brandt@yourcompany.example:   {name: L}"),
            ("femi.adeyemi@yourcompany.example:  {name", "bo.new@yourcompany.example: {name: Bo}\n  "
             "femi.adeyemi@yourcompany.example:  {name"),
        )  # fmt: skip
        edit(scene.config / "team.yaml", ("salesforce: Inbound_Leads", "salesforce: No_Such_Queue"))
        scene.run()
        answer = mqlsync("check", "--online", scene=scene)
    assert answer.code == 0
    said = answer.out.splitlines()

    def line(*words: str) -> str:
        return next(text for text in said if all(word in text for word in words))

    assert "inactive in hubspot" in line("reps.lena.brandt@yourcompany.example")
    assert "has no user in hubspot" in line("reps.bo.new@yourcompany.example", "hubspot")
    assert "has no user in salesforce" in line("reps.bo.new@yourcompany.example", "salesforce")
    assert "No_Such_Queue" in line("queues.inbound", "salesforce")
    assert "but nobody has their address in salesforce" in line("hubspot: Solo Ist", "not in team.yaml")
    outside = line("hubspot: Nora Lindqvist", "not in team.yaml")
    assert int(re.search(r"\((\d+) people", outside)[1]) > 0
    assert not [text for text in said if "ines.duarte" in text], "the CRMs spell her address differently"


# -- records -----------------------------------------------------------------------------------------------------


def test_a_record_that_makes_no_sense_is_listed_once_and_the_rest_goes_on(tmp_path):
    with world(tmp_path, people=10) as scene:
        hubspot = scene.box.hubspot
        contacts = hubspot.table("contacts")
        title = hubspot.add("contacts", {"email": "long@acme.example", "jobtitle": "x" * 40_000})
        date = hubspot.add("contacts", {"email": "date@acme.example"})
        contacts.by_id[date].properties["createdate"] = "the day before yesterday"
        number = hubspot.add("contacts", {"email": "number@acme.example"})
        contacts.by_id[number].properties["hs_analytics_num_page_views"] = "lots"
        nameless = hubspot.add("contacts", {"firstname": "Nobody"})
        first = scene.run()
        assert first.exit_code == 5
        told = {problem.ref.id: (problem.field, problem.reason) for problem in first.problems}
        assert set(told) == {title, date, number}
        assert told[title][0] == "jobtitle"
        assert "40,000 characters" in told[title][1]
        assert told[date] == ("createdate", "person.created_at: not a date or time in a known form")
        assert "not a number" in told[number][1]
        for id in (title, date, number, nameless):
            assert hubspot.get("contacts", id).get("mql_status") == "not_yet"
        second = scene.run()
        assert (second.exit_code, second.writes, second.problems) == (0, 0, [])
        hubspot.edit("contacts", title, {"city": "Lisbon"})
        assert scene.run().exit_code == 0, "the same known problem is not news"


def test_a_refused_value_is_parked_listed_and_goes_again_when_told(tmp_path):
    """A restricted picklist without our option."""
    with world(tmp_path, people=60) as scene:
        status = scene.box.hubspot.table("contacts").kind.properties["mql_status"]
        options = status.options
        status.options = tuple(option for option in options if option["value"] != "suppressed")
        first = mqlsync("run", scene=scene)
        assert first.code == 5
        assert "mql_status" in first.err
        parked = mqlsync("dead", "list", "--json", scene=scene).json["dead"]
        assert parked
        assert {(row["field"], row["record"].partition(":")[0]) for row in parked} == {("mql_status", "hubspot")}
        text = mqlsync("dead", "list", scene=scene).out
        assert all(row["record"] in text and row["reason"] in text for row in parked)
        again = mqlsync("run", scene=scene)
        assert again.code == 0, again.err
        assert mqlsync("status", "--json", scene=scene).json["dead"]["rows"] == len(parked)
        status.options = options
        retried = mqlsync("dead", "retry", str(parked[0]["no"]), "--json", scene=scene)
        assert retried.json["released"] == 1
        if len(parked) > 1:
            assert mqlsync("dead", "retry", "--json", scene=scene).json["released"] == len(parked) - 1
        before = scene.box.journal.last_seq
        assert mqlsync("run", scene=scene).code == 0
        assert written_since(scene, before) == len(parked)
        assert "Nothing is parked" in mqlsync("dead", "list", scene=scene).out
        assert scene.run().writes == 0


# -- CRMs that answer nonsense -----------------------------------------------------------------------------------

READS = [("hubspot", "GET /crm/v3/objects/contacts*"), ("salesforce", "GET */query*")]
NONSENSE = [FaultKind.HTML, FaultKind.TRUNCATED, FaultKind.CUT_BEFORE]


@pytest.mark.parametrize("kind", NONSENSE)
@pytest.mark.parametrize(("crm", "call"), READS)
def test_a_crm_that_cannot_be_read_is_reported_and_nothing_is_written(crm, call, kind, tmp_path):
    with world(tmp_path, people=10) as scene:
        before = scene.box.journal.last_seq
        scene.box.faults.add(Fault(kind=kind, match=call, times=None))
        report = scene.run()
        assert report.exit_code == 1
        assert report.error.startswith(f"{crm}: ")
        assert report.writes == 0
        assert written_since(scene, before) == 0
        scene.box.faults.clear()
        assert scene.run().writes > 0
        assert scene.run().writes == 0


@pytest.mark.parametrize("kind", NONSENSE)
@pytest.mark.parametrize(
    ("crm", "call"), [("hubspot", "POST */batch/update"), ("salesforce", "PATCH */composite/sobjects*")]
)
def test_only_what_a_crm_confirmed_counts_as_written(crm, call, kind, tmp_path):
    """The answer never comes. What is there when read back is done; what is not is parked, listed, and sent later."""
    with world(tmp_path, people=10) as scene:
        before = scene.box.journal.last_seq
        scene.box.faults.add(Fault(kind=kind, match=call, times=None))
        report = scene.run()
        ours = report.written[Crm(crm)]
        assert ours.written == 0
        landed = {e.id for e in scene.box.journal.since(before) if e.via == "api" and e.crm == crm}
        if kind is FaultKind.TRUNCATED:
            assert report.exit_code == 0
            assert ours.found_done == len(landed) > 0
        else:
            assert report.exit_code == 5
            assert landed == set()
            assert all("without an answer" in rejected.reason for rejected in ours.rejections)
            assert len(ours.rejections) == ours.rejected_new > 0
        scene.box.faults.clear()
        assert scene.run().exit_code == 0
        with scene.opened() as opened, opened.parts.store.read() as tx:
            assert tx.execute(select(schema.outbox)).all() == []
        assert scene.run().writes == 0


def test_a_store_never_takes_another_account_for_its_own(tmp_path):
    with world(tmp_path, people=5) as scene:
        assert scene.run().exit_code == 0
        scene.box.hubspot.portal_id += 1
        before = scene.box.journal.last_seq
        for command in (("run",), ("check", "--online")):
            answer = mqlsync(*command, scene=scene)
            assert answer.code == 3
            assert "this store belongs to account" in answer.err or "the store belongs to account" in answer.out
        assert written_since(scene, before) == 0
        newest = mqlsync("runs", "--json", "--limit", "1", scene=scene).json["runs"][0]
        assert newest["state"] == "failed"
        assert "belongs to account" in newest["error"]
