"""What a run writes to its log: which run it was on every line, and nobody's name or address."""

import json

from tests.support.world import World, world


def logged(scene: World, *arguments: str) -> list[dict]:
    done = scene.cli("run", "--log-level", "info", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_every_line_of_a_run_names_it_and_none_names_a_person(tmp_path):
    with world(tmp_path, people=40) as scene:
        lines = logged(scene)
        people = [scene.box.hubspot.get("contacts", id) for id in scene.box.hubspot.ids("contacts")]
    assert lines[-1]["event"] == "run.finished"
    assert {(line["run"][:2], line["job"]) for line in lines} == {("r_", "sync")}
    assert len({line["run"] for line in lines}) == 1
    text = json.dumps(lines, ensure_ascii=False)
    addresses = [person["email"] for person in people if person.get("email")]
    assert addresses
    assert not [address for address in addresses if address in text]
