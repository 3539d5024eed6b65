"""One switch moves every call: what a whole run asks of each version of both APIs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.world import World, world

pytestmark = pytest.mark.slow

WITHOUT_SUCCESSOR = re.compile(r"/form-integrations/v1/|/email/public/v1/|/marketing/v3/forms")
"""Paths for which no dated one exists."""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, people=30, setup=False) as scene:
        yield scene


def asked(scene: World, crm: str) -> list[str]:
    return [call.partition(" ")[2] for call in scene.box.calls[crm]]


@pytest.mark.parametrize(
    ("version", "old"), [("v3", r"/2026-\d\d(/|$)"), ("2026-03", r"/v[1-4](/|$)")], ids=["v3", "2026-03"]
)
def test_a_run_asks_hubspot_by_the_paths_of_one_version(small: World, version: str, old: str) -> None:
    small.edit_settings(("api_version: v3", f'api_version: "{version}"'))
    small.setup()
    assert small.run().writes > 0
    assert small.run().writes == 0
    paths = [path for path in asked(small, "hubspot") if not WITHOUT_SUCCESSOR.search(path)]
    assert len(paths) > 10
    assert [path for path in paths if re.search(old, path)] == []


@pytest.mark.parametrize("version", ["67.0"])
def test_a_run_asks_salesforce_by_the_version_that_is_configured(small: World, version: str) -> None:
    small.edit_settings(('api_version: "59.0"', f'api_version: "{version}"'))
    small.setup()
    assert small.run().writes > 0
    assert small.run().writes == 0
    versions = {
        found[1] for path in asked(small, "salesforce") if (found := re.match(r"/services/data/v([^/]+)", path))
    }
    assert versions == {version}


def test_a_version_that_is_over_is_named(small: World) -> None:
    small.edit_settings(('api_version: "59.0"', 'api_version: "30.0"'))
    report = small.run()
    assert report.exit_code != 0
    assert report.error is not None
    assert "30.0" in report.error or "410" in report.error
