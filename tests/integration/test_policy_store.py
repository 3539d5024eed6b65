"""Versions in the store: kept once, counted, found by what people call them; rules read as of one moment."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from scoring.document import PolicyInvalid
from scoring.policy import Policy
from sync import publication, rules
from sync.init import write_templates
from sync.publication import How, Publication, sha
from sync.rules import RuleFiles, digest, in_folder, in_memory, read_folder
from sync.store import versions as stored
from sync.store.db import Store, StoreError
from sync.versions import InUse, VersionUnknown, find, keep_in_use, note_run, previous, put_into_use, settle

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_templates(tmp_path / "config")
    return tmp_path / "config"


@pytest.fixture
def new_id() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"id{next(numbers)}"


def in_use(folder: Path) -> InUse:
    read = read_folder(folder)
    return InUse(files=read.files, policy=read.policy)


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "policy.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def publish(store: Store, folder: Path, new_id: Callable[[], str], old: str, new: str, *, at: datetime = AT) -> Policy:
    """Put the files in use into use again, with one text replaced."""
    now = in_use(folder)
    files = {**now.files, "policy.yaml": now.files["policy.yaml"].replace(old.encode(), new.encode())}
    policy = RuleFiles((in_memory(files),), "test").rules().policy
    put_into_use(store, folder, files, policy, in_use=now, how=How.PUBLISHED, note=new, who="kim", at=at, new_id=new_id)
    return policy


def listed(store: Store) -> list[tuple[str, str]]:
    with store.read() as tx:
        return [(row.how, row.note) for row in reversed(stored.entries(tx))]


def test_what_was_published_before_a_crash_is_kept_once(store: Store, folder: Path) -> None:
    """However often the crash comes between keeping it and forgetting the file that says so."""
    files = {name: content.decode() for name, content in read_folder(folder).files.items()}
    one = Publication(
        id="p1",
        version="0123456789ab",
        name="x",
        how=How.PUBLISHED,
        note="why",
        who="kim",
        at=AT,
        restores=None,
        files=files,
        before={name: sha(text.encode()) for name, text in files.items()},
    )
    publication.publish(folder, one)
    beside = next(folder.glob(".published-*.json"))
    text = beside.read_bytes()
    settle(store, folder)
    assert not beside.exists()
    beside.write_bytes(text)
    settle(store, folder)
    assert listed(store) == [("published", "why")]
    assert not beside.exists()


def test_a_run_keeps_what_nobody_published_and_nothing_twice(store: Store, folder: Path, new_id) -> None:
    def run(name: str) -> None:
        read = read_folder(folder)
        note_run(store, read.files, read.policy, run_id=name, at=AT, new_id=new_id)

    run("r1")
    run("r2")
    edit(folder, "# 2. FIT:", "# 2. A comment:")
    run("r3")
    assert listed(store) == [("found in use", "found by run r1")], "a comment makes no version"
    edit(folder, "A: 70", "A: 71")
    run("r4")
    assert listed(store)[1:] == [("edited in place", "found by run r4")]


def test_the_same_files_can_mean_another_version_and_that_is_kept_too(store: Store, folder: Path, new_id) -> None:
    """A newer list of holidays is part of the version."""
    now = in_use(folder)
    assert now.policy is not None
    keep_in_use(store, now, note="one", who="x", at=AT, new_id=new_id)
    other = InUse(files=now.files, policy=replace(now.policy, version="0123456789ab"))
    keep_in_use(store, other, note="two", who="x", at=AT, new_id=new_id)
    keep_in_use(store, other, note="three", who="x", at=AT, new_id=new_id)
    assert [note for _, note in listed(store)] == ["one", "two"]


def test_a_version_is_found_by_number_and_by_the_beginning_of_its_hash(store: Store, folder: Path, new_id) -> None:
    first = read_folder(folder)
    second = publish(store, folder, new_id, "A: 70", "A: 71")
    opened = partial(_opened, store)
    for name, version in (("v1", first.policy.version), ("v2", second.version), (second.version[:4], second.version)):
        assert find(name, folder, opened).rules().policy.version == version
    assert find("v1", folder, opened).read() == {k: v for k, v in first.files.items() if not k.startswith("lists")}
    with pytest.raises(VersionUnknown, match="there is no version v3"):
        find("v3", folder, opened)
    with pytest.raises(VersionUnknown, match="neither 'live' nor the name of a version"):
        find("zzzz", folder, opened)


def _opened(store: Store):  # type: ignore[no-untyped-def]  # a context that leaves the store open
    return nullcontext(store)


def test_a_beginning_of_two_versions_names_neither(store: Store, folder: Path, new_id) -> None:
    now = in_use(folder)
    assert now.policy is not None
    for n, version in enumerate(("abcd11111111", "abcd22222222")):
        files = {**now.files, "policy.yaml": now.files["policy.yaml"] + f"# {n}\n".encode()}
        one = InUse(files=files, policy=replace(now.policy, version=version))
        keep_in_use(store, one, note=str(n), who="x", at=AT, new_id=new_id)
    with pytest.raises(VersionUnknown, match="several versions: abcd22222222, abcd11111111; give more digits"):
        find("abcd", folder, partial(_opened, store))


def test_the_version_before_is_the_newest_with_other_files(store: Store, folder: Path, new_id) -> None:
    with pytest.raises(VersionUnknown, match="there is no earlier version"):
        previous(store, in_use(folder), None)
    publish(store, folder, new_id, "A: 70", "A: 71")
    publish(store, folder, new_id, "A: 71", "A: 72", at=AT + timedelta(hours=1))
    assert previous(store, in_use(folder), None).note == "A: 71"
    edit(folder, "A: 72", "A: 73")
    assert previous(store, in_use(folder), None).note == "A: 72", "an edit in place goes back to what it edited"


def test_files_that_change_while_they_are_read_are_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader between two renames must not see a policy and a team of different versions."""
    read = rules.mapping.read_mapping
    team = (folder / "team.yaml").read_text()
    turns: list[int] = []

    def meanwhile(*arguments: object, **how: object) -> object:
        turns.append(1)
        if len(turns) == 1:
            edit(folder, "to: pool sales", "to: pool renamed")
            (folder / "team.yaml").write_text(team.replace("  sales:", "  renamed:"))
        return read(*arguments, **how)  # type: ignore[arg-type]  # handed on as they came

    monkeypatch.setattr(rules.mapping, "read_mapping", meanwhile)
    found = read_folder(folder)
    assert len(turns) == 2
    assert list(found.policy.team.pools) == ["renamed"]
    assert found.files["policy.yaml"] == (folder / "policy.yaml").read_bytes()


def test_an_interrupted_publication_is_finished_before_anything_is_read(folder: Path) -> None:
    before = read_folder(folder).files
    new = {name: content.decode() for name, content in before.items()} | {"policy.yaml": "version: 1\n"}
    one = Publication(
        id="p1",
        version="v",
        name="x",
        how=How.PUBLISHED,
        note="",
        who="kim",
        at=AT,
        restores=None,
        files=new,
        before={name: sha(content) for name, content in before.items()},
    )
    (folder / publication.JOURNAL).write_text(one.to_json())
    with pytest.raises(PolicyInvalid, match="name: this key is missing"):
        read_folder(folder)
    assert (folder / "policy.yaml").read_text() == "version: 1\n"


def test_a_file_left_alone_is_told_as_a_warning(folder: Path) -> None:
    before = read_folder(folder).files
    new = {name: content.decode() + "# new\n" for name, content in before.items()}
    one = Publication(
        id="p1",
        version="v",
        name="x",
        how=How.PUBLISHED,
        note="",
        who="kim",
        at=AT,
        restores=None,
        files=new,
        before={name: sha(content) for name, content in before.items()},
    )
    (folder / publication.JOURNAL).write_text(one.to_json())
    edit(folder, "A: 70", "A: 71")
    (warning, *_) = read_folder(folder).warnings
    assert (warning.file, warning.message[:39]) == (
        str(folder / "policy.yaml"),
        "edited while its publication was interr",
    )


def test_what_cannot_be_read_is_told_with_its_name(folder: Path, tmp_path: Path) -> None:
    (folder / "team.yaml").unlink()
    with pytest.raises(StoreError, match=r"team\.yaml is missing; `mqlsync init new` writes"):
        read_folder(folder)
    (folder / "team.yaml").mkdir()
    with pytest.raises(StoreError, match=r"team\.yaml of .* cannot be read: Is a directory"):
        read_folder(folder)


def test_the_digest_tells_names_and_bytes_apart() -> None:
    assert digest({"a": b"bc"}) != digest({"ab": b"c"})
    assert digest({"a": b"1", "b": b"2"}) == digest({"b": b"2", "a": b"1"})
    assert digest({"a": b"1\n"}) != digest({"a": b"1\r\n"})


def test_a_json_file_stands_for_the_yaml_file_of_its_name(folder: Path) -> None:
    team = folder / "team.yaml"
    text = team.read_bytes()
    team.unlink()
    (folder / "team.json").write_bytes(text)
    files = RuleFiles((in_folder(folder),), str(folder))
    assert "team.json" in files.read()
    assert list(files.rules().policy.team.pools) == ["sales"]


def test_a_file_in_yaml_and_in_json_is_an_error_and_neither_is_passed_over(folder: Path) -> None:
    (folder / "policy.json").write_text("{}")
    with pytest.raises(StoreError, match=r"has policy\.yaml and policy\.json: take away the one that is not meant"):
        read_folder(folder)
