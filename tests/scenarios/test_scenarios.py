"""Every story of this folder: load, run, compare. A new story is a folder; its README says what a nurse expects.

``expected.jsonl`` holds each alert line reduced to what a nurse sees.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from library import STORIES, output_of

SEEN = ("patient", "group", "priority", "state", "title", "opened_at", "historical")


def alerts_of(story: Path) -> list[dict[str, Any]]:
    found = [msgspec.json.decode(line.record) for line in output_of(story, emit=("alert",))]
    return [{name: alert[name] for name in SEEN} for alert in found]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_story(story: Path) -> None:
    expected = [msgspec.json.decode(line) for line in (story / "expected.jsonl").read_bytes().splitlines()]
    assert alerts_of(story) == expected


def test_there_are_stories() -> None:
    assert len(STORIES) >= 8
