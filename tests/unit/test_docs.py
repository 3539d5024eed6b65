"""What people read is true: commands, options, exit codes, settings, links and examples are those of the code."""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML

from scoring.document import PolicyInvalid
from scoring.episodes import Status
from scoring.facts import EVENT_KINDS, FACTS
from scoring.policy import Result
from sync import cli, settings, terminal, worker
from sync.compose import load
from sync.settings import FileConnection, Guard, HubSpotConnection, PullSettings, SalesforceConnection, Spark
from sync.store.runs import RunState

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("connectors/**/*.md")])
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
FILES = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
SOURCES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for folder in ("connectors", "scoring", "sync")
    for path in (ROOT / folder).rglob("*.py")
}
SECRETS = dict.fromkeys(("HUBSPOT_TOKEN", "SF_KEY", "SF_SECRET"), "made-up")
SECRETS |= dict.fromkeys(("MAIL_URL", "CHAT_URL"), "json://made-up")
LONGEST_LINE = 125


def page_ids(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(text: str) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def table(text: str, heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, without its head."""
    section = text[text.index(f"\n{heading}\n") :]
    rows: list[list[str]] = []
    for line in section.splitlines():
        if line.startswith("|"):
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif rows:
            break
    return rows[2:]


def named(cell: str) -> set[str]:
    """What stands in a cell in code marks."""
    return set(re.findall(r"`([^`]+)`", cell))


# -- commands ----------------------------------------------------------------------------------------------------


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """(name, its long options) of every command there is."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(path), {o for p in command.params for o in p.opts if o.startswith("--")}
        return
    for name, one in inner.items():
        yield from commands(one, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(cli.app)))
OF_EVERY_COMMAND = {"--config", "--json", "--help"}


def documented_options() -> dict[str, set[str]]:
    """Command -> the options its row in operations.md names."""
    found: dict[str, set[str]] = {}
    for what, options, *_ in table(OPERATIONS, "## Commands"):
        name = re.match(r"`mqlsync ((?:[a-z][a-z-]* ?)+|--version)", what)
        assert name is not None, what
        found[name[1].strip()] = set(re.findall(r"--[a-z-]+", options))
    return found


def test_the_table_of_commands_names_every_command_and_no_other() -> None:
    assert set(documented_options()) - {"--version"} == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_row_names_its_options(command: str) -> None:
    assert documented_options()[command] == COMMANDS[command] - OF_EVERY_COMMAND


@pytest.mark.parametrize("path", PAGES, ids=page_ids)
def test_every_command_line_on_a_page_is_one(path: Path) -> None:
    """`mqlsync plan -o FILE` and the like, in text and in blocks."""
    text = path.read_text(encoding="utf-8")
    known = {name.split()[0] for name in COMMANDS}
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    blocks = "".join(block for language, block in fenced if not language)
    said = re.findall(r"`mqlsync ([a-z]+)", text) + re.findall(r"^(?:\S*/)?mqlsync ([a-z]+)", blocks, re.MULTILINE)
    assert set(said) <= known


def test_every_exit_code_is_explained_and_no_other() -> None:
    names = (
        *("OK", "ERROR", "CONFIG", "CREDENTIALS", "REJECTED", "QUOTA"),
        *("HELD", "CHANGES", "WAITING", "INTERRUPTED", "CTRL_C"),
    )
    usage = 2  # of the command line parser
    ours = {getattr(terminal, name) for name in names} | {worker.FORCED_EXIT, usage}
    assert {int(row[0]) for row in table(OPERATIONS, "## Exit codes")} == ours
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {int(code) for code in re.findall(r"^\| exit (\d+)", readme, re.MULTILINE)} <= ours


# -- operations --------------------------------------------------------------------------------------------------

KEYS = [
    re.sub(r"^….", "connections.*.", key)
    for row in table(OPERATIONS, "## mqlsync.yaml, key by key")
    for key in named(row[0])
]
LEAVES = {key.rpartition(".")[2] for key in KEYS}


def settings_keys() -> set[str]:
    """Every key that mqlsync.yaml knows, by its own name."""
    given = {f.name for of in (HubSpotConnection, SalesforceConnection) for f in fields(of)}
    given -= {"place", "token_file"}
    given |= {f.name for f in fields(FileConnection)} - {"place", "name"} | {"kind"}
    clocks = {f.name for f in fields(PullSettings)} | {"readback_after"}
    limits = {f.name for of in (Guard, Spark) for f in fields(of)}
    return {*settings.KEYS, *given, *clocks, *limits, "every", "cron", "timezone", "do", "auth", "limits"}


@pytest.mark.parametrize("key", sorted(settings_keys()))
def test_every_key_of_mqlsync_yaml_has_its_row(key: str) -> None:
    rows = OPERATIONS[OPERATIONS.index("## mqlsync.yaml, key by key") :]
    assert re.search(rf"[`.{{ ]{key}[`.,}} ]", rows)


def test_the_template_has_no_key_that_is_not_explained() -> None:
    body = YAML(typ="safe").load((ROOT / "config" / "mqlsync.yaml").read_text(encoding="utf-8"))

    def paths(node: Any, path: str = "") -> Iterator[str]:
        for key, value in node.items():
            inner = f"{path}.{key}" if path else key
            if isinstance(value, dict) and not inner.endswith(".auth"):
                yield from paths(value, inner)
            else:
                yield inner

    told = {*KEYS} | {
        k.replace("connections.*", f"connections.{crm}") for k in KEYS for crm in ("hubspot", "salesforce")
    }
    assert {re.sub(r"^jobs\.[^.]+", "jobs.NAME", path) for path in paths(body)} - told == set()


def test_the_defaults_are_those_of_the_code(tmp_path: Path) -> None:
    config(tmp_path, "mqlsync.yaml", {"connections": {"hubspot": {"auth": {"token": "${HUBSPOT_TOKEN}"}}}})
    made = load(tmp_path, environment=SECRETS).settings
    hubspot, salesforce, guard = made.hubspot, SalesforceConnection(base_url=""), Guard()
    assert hubspot is not None
    told = {key: row[1] for row in table(OPERATIONS, "## mqlsync.yaml, key by key") for key in named(row[0])}
    spelled = {key: re.sub(r"[`\"]", "", value) for key, value in told.items()}
    assert spelled["store"] == made.store
    assert spelled["owner_authority"] == made.owner_authority
    assert spelled["….base_url"] == f"HubSpot: {hubspot.base_url}"
    assert spelled["connections.hubspot.api_version"] == hubspot.api_version
    assert spelled["connections.salesforce.api_version"] == salesforce.api_version
    for name in ("per_10_seconds", "search_per_second", "per_day"):
        assert int(spelled[f"connections.hubspot.limits.{name}"]) == getattr(hubspot, name)
    assert spelled["connections.salesforce.limits.share_of_day"] == f"{salesforce.share_of_day:.0%}"
    for name in ("bulk_reads_above", "bulk_writes_above"):
        assert int(spelled[f"connections.salesforce.limits.{name}"]) == getattr(salesforce, name)
    assert spelled["pull.settle"] == f"{made.pull.settle.total_seconds():.0f} seconds"
    assert spelled["pull.overlap"] == f"{made.pull.overlap.total_seconds() / 60:.0f} minutes"
    assert spelled["recovery.readback_after"] == f"{made.readback_after.total_seconds():.0f} seconds"
    for name in ("new_mqls_per_run", "owner_changes_per_run", "people_min_for_share"):
        assert int(spelled[f"guard.{name}"]) == getattr(guard, name)
    assert spelled["guard.share_of_people_changed"] == f"{guard.share_of_people_changed:.0%}"


def test_every_code_of_ours_that_parks_a_record_is_explained() -> None:
    given = {code for text in SOURCES.values() for code in re.findall(r"code=\"([A-Z_]+)\"", text)}
    assert len(given) > 5
    assert {code for code in given if f"`{code}`" not in OPERATIONS} == set()


def test_every_event_that_is_logged_is_listed() -> None:
    pattern = r"log(?:ger)?(?:\(\))?\.(?:debug|info|warning|error|exception)\(\s*\"([a-z_.]+)\""
    logged = {event for text in SOURCES.values() for event in re.findall(pattern, text)}
    assert len(logged) > 5
    assert logged == {event for row in table(OPERATIONS, "## Logs") for event in named(row[0])}


def test_every_state_of_a_run_is_explained() -> None:
    assert set(RunState) - set(re.findall(r"`([a-z]+)`", OPERATIONS[OPERATIONS.index("## Schedules") :])) == set()


# -- the four files ----------------------------------------------------------------------------------------------

BASES: dict[str, Any] = {
    "policy.yaml": {
        "version": 1,
        "name": "example",
        "fit": {"groups": {"size": {"field": "company.employees", "points": {"from 10": 30, "otherwise": 0}}}},
        "mql": {"become_when": {"large": {"fit": "from 30"}}},
        "routing": [{"to": "pool sales"}],
    },
    "team.yaml": {
        "version": 1,
        "hours": {"office": {"zone": "UTC", "mon-fri": "09:00-17:00"}},
        "reps": {"ines@acme.example": {}},
        "pools": {
            name: {"method": "even", "nobody_free": "queue inbound", "reps": {"ines@acme.example": {}}}
            for name in ("sales", "enterprise")
        },
        "queues": {"inbound": {"hubspot": "none"}},
    },
    "fields.yaml": {"version": 1, "hubspot": {"contact": {"person.email": "email"}}},
    "mqlsync.yaml": {"connections": {"hubspot": {"auth": {"token": "${HUBSPOT_TOKEN}"}}}},
}
"""What an example stands in: its own keys replace these."""


def config(folder: Path, name: str, example: dict[str, Any]) -> None:
    """A configuration in which ``example`` replaces keys of one file; as JSON, which the loader reads as well."""
    for file, base in BASES.items():
        body = base | example if file == name else base
        (folder / file).with_suffix(".json").write_text(json.dumps(body), encoding="utf-8")


def examples() -> Iterator[Any]:
    """Every block of YAML on a page that is about one of the four files."""
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE), start=1):
            said = re.match(r"# (\w+\.yaml)\n", block)
            yield pytest.param(said[1] if said else "policy.yaml", block, id=f"{page_ids(path)}-{number}")


@pytest.mark.parametrize(("name", "block"), [*examples()])
def test_an_example_loads(name: str, block: str, tmp_path: Path) -> None:
    parsed = YAML(typ="safe", pure=True)
    config(tmp_path, name, as_text(parsed.load(io.StringIO(block))))
    try:
        load(tmp_path, environment=SECRETS)
    except PolicyInvalid as invalid:
        pytest.fail("\n".join(str(problem) for problem in invalid.problems))


def as_text(value: Any) -> Any:
    """Keys and values as the loader reads them in YAML: as text, and a blank as no value."""
    match value:
        case dict():
            return {str(k): as_text(v) for k, v in value.items()}
        case list():
            return [as_text(one) for one in value]
        case bool():
            return str(value).lower()
        case None:
            return None
        case datetime():
            return value.isoformat()
        case _:
            return str(value)


def test_the_mistake_that_the_readme_shows_is_told_like_that(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.findall(r"^```yaml\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)[0]
    config(tmp_path, "policy.yaml", {})
    (tmp_path / "policy.json").unlink()
    mistaken = block.replace("event: demo_request", "event: demo_requst")
    (tmp_path / "policy.yaml").write_text(f"{mistaken}version: 1\nname: example\n", encoding="utf-8")
    with pytest.raises(PolicyInvalid) as invalid:
        load(tmp_path, environment=SECRETS)
    assert [str(problem).removeprefix(f"{tmp_path}/") for problem in invalid.value.problems] == re.findall(
        r"^`(policy\.yaml:.*)`$", readme, re.MULTILINE
    )


def test_every_fact_and_every_event_is_listed() -> None:
    assert {name for name in FACTS if f"`{name}`" not in FILES} == set()
    assert {kind for kind in EVENT_KINDS if f"`{kind}`" not in FILES} == set()
    for kind, attributes in EVENT_KINDS.items():
        after = FILES[FILES.index("**Events and their attributes:**") :].partition(f"`{kind}`")[2]
        assert re.search(r"\(([^)]*)\)", after)[1].replace("\n", " ") == ", ".join(attributes), kind  # type: ignore[index]  # a missing list fails


def test_every_result_and_every_status_is_listed() -> None:
    assert {name for name in (*Result, *Status) if f"`{name}`" not in FILES} == set()


def test_what_is_refused_as_not_supported_is_listed_by_name() -> None:
    refused: set[str] = set()
    for text in SOURCES.values():
        for group in re.findall(r"later=\(([^)]*)\)", text) + re.findall(
            r"^_?LATER\w* = \(([^)]*)\)", text, re.MULTILINE
        ):
            refused |= set(re.findall(r"\"(\w+)\"", group))
        refused |= set(re.findall(r"'(\w[\w ]*)' is not supported by this version yet", text))
    assert refused
    assert {name for name in refused if not re.search(rf"\b{name}\b", FILES + OPERATIONS)} == set()


# -- every page --------------------------------------------------------------------------------------------------


def slug(heading: str) -> str:
    """The anchor a forge makes of a heading."""
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain).strip().lower().replace(" ", "-")


def anchors(path: Path) -> set[str]:
    return {slug(h) for h in re.findall(r"^#+ (.*)$", prose(path.read_text(encoding="utf-8")), re.MULTILINE)}


@pytest.mark.parametrize("path", PAGES, ids=page_ids)
def test_every_link_inside_the_project_leads_somewhere(path: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("path", PAGES, ids=page_ids)
def test_a_page_speaks_of_the_project_alone(path: Path) -> None:
    """No path of the machine it was written on, no file outside."""
    text = path.read_text(encoding="utf-8")
    paths = re.findall(r"(?<![\w./:<*{])(/[\w.-]+(?:/[\w.-]+)+)", text)
    assert [one for one in paths if Path(one).exists()] == []
    assert "../.." not in re.sub(r"\]\([^)]*\)", "", text)


@pytest.mark.parametrize("path", [p for p in PAGES if "connectors" not in p.parts], ids=page_ids)
def test_lines_fit(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    loose = [line for line in lines if not line.startswith("|")]
    assert [line for line in loose if len(line) > LONGEST_LINE] == []
