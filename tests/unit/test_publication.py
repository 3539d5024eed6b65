"""Files of a version are replaced all together, whatever happens in between."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sync import publication
from sync.publication import How, Publication, UnderWay, sha
from sync.store.db import StoreError

OLD = {"policy.yaml": "policy: old\n", "team.yaml": "team: old\r\n", "lists/rivals.txt": "rival.io\n"}
NEW = {"policy.yaml": "policy: new  # with a comment\n", "team.yaml": "team: new\n", "fields.yaml": "fields: new\n"}


def directory(folder: Path, files: Mapping[str, str] = OLD) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder


def contents(folder: Path) -> dict[str, str]:
    """The files a person sees."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.read_bytes().decode() for path in found}


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob(".*"))


def made(files: Mapping[str, str] = NEW, before: Mapping[str, str] = OLD, id: str = "p1") -> Publication:
    """Replaces the two files of the old version and adds one; the list stays."""
    return Publication(
        id=id,
        version="0123456789ab",
        name="x",
        how=How.PUBLISHED,
        note="why",
        who="kim",
        at=datetime(2026, 11, 25, 12, tzinfo=UTC),
        restores=None,
        files=files,
        before={name: sha(text.encode()) for name, text in before.items() if name != "lists/rivals.txt"},
    )


class Died(BaseException):
    """The process ends here."""


def die_at(place: str, publish_into: Path, what: Publication) -> None:
    def reached(name: str) -> None:
        if name == place:
            raise Died

    with pytest.raises(Died):
        publication.publish(publish_into, what, reached=reached)


def test_all_files_are_replaced_and_others_stay(tmp_path: Path) -> None:
    folder = directory(tmp_path)
    assert publication.publish(folder, made()) == ()
    assert contents(folder) == {**NEW, "lists/rivals.txt": "rival.io\n"}
    assert hidden(folder) == [".published-p1.json"]


def test_what_was_published_is_told_once_to_whoever_keeps_it(tmp_path: Path) -> None:
    folder = directory(tmp_path)
    publication.publish(folder, made())
    ((kept, forget),) = publication.kept(folder)
    assert kept == made()
    forget()
    assert list(publication.kept(folder)) == []
    assert hidden(folder) == []


BEFORE = ["publish:written"]
AFTER = ["publish:journal", "publish:policy.yaml", "publish:team.yaml", "publish:fields.yaml", "publish:done"]


@pytest.mark.parametrize("place", BEFORE)
def test_a_crash_before_the_journal_leaves_the_old_files(place: str, tmp_path: Path) -> None:
    folder = directory(tmp_path)
    die_at(place, folder, made())
    assert publication.finish(folder) == ()
    assert contents(folder) == OLD
    assert list(publication.kept(folder)) == []


@pytest.mark.parametrize("place", AFTER)
def test_a_crash_after_the_journal_is_finished_by_whoever_reads_next(place: str, tmp_path: Path) -> None:
    folder = directory(tmp_path)
    die_at(place, folder, made())
    assert publication.finish(folder) == ()
    assert contents(folder) == {**NEW, "lists/rivals.txt": "rival.io\n"}
    assert [kept for kept, _ in publication.kept(folder)] == [made()]
    assert not publication.under_way(folder)


def test_what_a_killed_process_had_begun_is_swept_away(tmp_path: Path) -> None:
    folder = directory(tmp_path)
    for name in (".policy.yaml.4711.tmp", ".publishing.json.4711.tmp"):
        (folder / name).write_text("half of it")
    publication.publish(folder, made())
    assert hidden(folder) == [".published-p1.json"]


def test_a_file_edited_after_the_crash_is_left_alone_and_named(tmp_path: Path) -> None:
    folder = directory(tmp_path)
    die_at("publish:policy.yaml", folder, made())
    (folder / "team.yaml").write_text("team: repaired by hand\n")
    assert publication.finish(folder) == ("team.yaml",)
    assert contents(folder)["team.yaml"] == "team: repaired by hand\n"
    assert contents(folder)["policy.yaml"] == NEW["policy.yaml"]


def test_a_file_that_the_new_version_lacks_is_removed_unless_it_was_edited(tmp_path: Path) -> None:
    files = {"policy.json": "{}", "team.yaml": "team: old\n"}
    folder = directory(tmp_path / "a", files)
    publication.publish(folder, made({"policy.yaml": "new", "team.yaml": "new"}, files))
    assert contents(folder) == {"policy.yaml": "new", "team.yaml": "new"}
    folder = directory(tmp_path / "b", files)
    die_at("publish:policy.yaml", folder, made({"policy.yaml": "new", "team.yaml": "new"}, files))
    (folder / "policy.json").write_text("edited")
    assert publication.finish(folder) == ("policy.json",)


def test_two_publications_at_once_are_one_and_a_refusal(tmp_path: Path) -> None:
    folder = directory(tmp_path)
    die_at("publish:journal", folder, made())
    with pytest.raises(UnderWay, match="another publication is under way"):
        publication.publish(folder, made({"policy.yaml": "third"}, id="p2"))
    publication.finish(folder)
    assert contents(folder)["policy.yaml"] == NEW["policy.yaml"]
    assert [kept.id for kept, _ in publication.kept(folder)] == ["p1"]


def test_a_link_stays_a_link_and_a_mode_stays_a_mode(tmp_path: Path) -> None:
    elsewhere = directory(tmp_path / "elsewhere")
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "policy.yaml").symlink_to(elsewhere / "policy.yaml")
    (elsewhere / "policy.yaml").chmod(0o640)
    publication.publish(folder, made({"policy.yaml": "new"}, {"policy.yaml": OLD["policy.yaml"]}))
    assert (folder / "policy.yaml").is_symlink()
    assert (elsewhere / "policy.yaml").read_text() == "new"
    assert (elsewhere / "policy.yaml").stat().st_mode & 0o777 == 0o640


def test_a_directory_that_cannot_be_written_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = directory(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "policy.yaml")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(StoreError, match="No space left on device; nothing was published"):
        publication.publish(folder, made())
    assert contents(folder) == OLD
    assert hidden(folder) == []


def test_a_disk_that_fills_up_half_way_is_told_and_finished_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = directory(tmp_path)
    replace = os.replace

    def full(source: Path, target: Path) -> None:
        if Path(target).name == "team.yaml":
            raise OSError(28, "No space left on device", str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StoreError, match="is published in part, and nothing runs until the rest can be written"):
        publication.publish(folder, made())
    monkeypatch.undo()
    assert publication.finish(folder) == ()
    assert contents(folder) == {**NEW, "lists/rivals.txt": "rival.io\n"}


@pytest.mark.parametrize("text", ["", "[]", '{"format": "other"}', '{"format": "mqlsync publication 1"}'])
def test_a_journal_that_is_none_stops_everything(text: str, tmp_path: Path) -> None:
    folder = directory(tmp_path)
    (folder / publication.JOURNAL).write_text(text)
    with pytest.raises(StoreError, match="is not what mqlsync wrote"):
        publication.finish(folder)
    assert contents(folder) == OLD
