"""Every story of this folder: load, run, compare. A new story is a folder; its README says what a nurse expects.

``expected.jsonl`` holds each alert line reduced to what a nurse sees; ``until.txt``, if there, is when the clocks stop.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rpm_stream.app.registry_file import read_registry
from rpm_stream.ingest.csv_rows import frames, rows
from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.replay import Replay
from rpm_stream.registry import Registry

STORIES = sorted(path.parent for path in Path(__file__).parent.glob("*/README.md"))
SEEN = ("patient", "group", "priority", "state", "title", "opened_at", "historical")


def alerts_of(story: Path) -> list[dict[str, Any]]:
    entries = read_registry(story / "registry.jsonl") if (story / "registry.jsonl").exists() else ()
    run = Replay(shipped(), Registry(entries), emit=("alert",))
    lines = []
    if (story / "input.csv").exists():
        lines += [line for found in frames(rows((story / "input.csv").open())) for line in run.csv(found)]
    if (story / "frames.jsonl").exists():
        for number, frame in enumerate((story / "frames.jsonl").read_bytes().splitlines(), start=1):
            lines += run.jsonl(frame, number)
    until = story / "until.txt"
    lines += run.finish(datetime.fromisoformat(until.read_text().strip()) if until.exists() else None)
    found = [msgspec.json.decode(line.record) for line in lines]
    return [{name: alert[name] for name in SEEN} for alert in found]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_story(story: Path) -> None:
    expected = [msgspec.json.decode(line) for line in (story / "expected.jsonl").read_bytes().splitlines()]
    assert alerts_of(story) == expected


def test_there_are_stories() -> None:
    assert len(STORIES) >= 8
