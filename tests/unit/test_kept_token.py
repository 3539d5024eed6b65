"""Refresh tokens on disk: the newest is found, by whoever may, and one at a time."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from connectors.kept_token import KeptToken


def use(kept: KeptToken, new: str | None = None) -> str:
    with kept.held() as token:
        if new is not None:
            kept.keep(new)
    return token


def test_in_memory_it_lives_as_long_as_its_object() -> None:
    kept = KeptToken("r0")
    assert [use(kept, "r1"), use(kept), use(KeptToken("r0"))] == ["r0", "r1", "r0"]


def test_a_file_hands_it_on_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "state" / "token"
    assert use(KeptToken("r0", path), "r1") == "r0"
    assert use(KeptToken("r0", path)) == "r1"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(one.name for one in path.parent.iterdir()) == ["token", "token.lock"]


def test_one_that_is_configured_anew_counts(tmp_path: Path) -> None:
    path = tmp_path / "token"
    use(KeptToken("r0", path), "r1")
    assert use(KeptToken("new", path), "new1") == "new"
    assert use(KeptToken("new", path)) == "new1"
    assert use(KeptToken("r0", path)) == "r0"


@pytest.mark.parametrize("content", [b"", b"{", b'{"instead_of": 1}', b"[]"])
def test_a_file_that_holds_something_else_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    assert use(KeptToken("r0", path)) == "r0"


def test_where_nothing_can_be_stored_this_process_goes_on_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    kept = KeptToken("r0", tmp_path / "state" / "token")
    assert use(kept, "r1") == "r0"
    assert use(kept) == "r1"
    assert "cannot be stored" in kept.problem
    assert "r1" not in kept.problem


def test_two_that_know_the_file_take_turns(tmp_path: Path) -> None:
    """Each refresh ends the token before: whoever comes second must start from what the first was given."""
    path, used = tmp_path / "token", list[str]()
    start = threading.Barrier(4, timeout=20)

    def refresh() -> None:
        kept = KeptToken("r0", path)
        start.wait()
        with kept.held() as token:
            used.append(token)
            kept.keep(f"r{int(token[1:]) + 1}")

    threads = [threading.Thread(target=refresh) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert used == ["r0", "r1", "r2", "r3"]


def test_it_is_not_printed(tmp_path: Path) -> None:
    assert "s3cret" not in repr(KeptToken("s3cret", tmp_path / "token")) + repr(KeptToken("s3cret"))
