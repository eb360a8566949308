"""Every story of this folder: load, run, compare. A new story is a folder; its README says what a nurse expects.

``expected.jsonl`` holds each alert line reduced to what a nurse sees. A story about the words of an alert also has
``expected-alerts.jsonl``; one about whose and when it was has ``-readings``, ``-rejects`` or ``-observations``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from library import FOLDER, STORIES, output_of

from rpm_stream.pipeline.replay import Kind

SEEN = ("patient", "group", "priority", "state", "title", "opened_at", "historical")
ALSO: dict[Kind, tuple[str, ...]] = {
    "alert": ("patient", "priority", "state", "title", "why"),
    "reading": ("patient", "vital", "value", "unit", "measured_at", "utc_offset", "flags"),
    "reject": ("device", "reason", "detail"),
    "observation": ("status", "subject", "effectiveDateTime", "valueQuantity"),
}

TWICE = "an alert that was stale and hears a value tells it twice: once still as stale, and once as fresh"
NOT_YET = {"glucose-borders": TWICE, "two-of-three-of-the-panel": TWICE}  # what the service does not do as expected


def seen_of(story: Path, kind: Kind, names: tuple[str, ...]) -> list[dict[str, Any]]:
    found = [msgspec.json.decode(line.record) for line in output_of(story, emit=(kind,))]
    seen = [{name: record[name] for name in names if name in record} for record in found]
    for each, record in zip(seen, found, strict=True):
        if record.get("over"):
            each["over"] = True
    return seen


def _marked(story: Path) -> Any:
    reason = NOT_YET.get(story.name)
    return pytest.param(story, marks=pytest.mark.xfail(reason=reason, strict=True) if reason else ())


@pytest.mark.parametrize("story", [_marked(story) for story in STORIES], ids=[story.name for story in STORIES])
def test_story(story: Path) -> None:
    assert seen_of(story, "alert", SEEN) == [
        msgspec.json.decode(line) for line in (story / "expected.jsonl").read_bytes().splitlines()
    ]


@pytest.mark.parametrize(
    ("story", "kind"),
    [(story, kind) for story in STORIES for kind in ALSO if (story / f"expected-{kind}s.jsonl").exists()],
    ids=lambda each: each.name if isinstance(each, Path) else each,
)
def test_words_whose_and_when(story: Path, kind: Kind) -> None:
    expected = [msgspec.json.decode(line) for line in (story / f"expected-{kind}s.jsonl").read_bytes().splitlines()]
    assert seen_of(story, kind, ALSO[kind]) == expected


def test_there_are_stories() -> None:
    assert len(STORIES) >= 20


def test_the_table_of_the_library_names_every_story_once() -> None:
    """What is held from which side can be read without opening fifty folders."""
    table = (FOLDER / "README.md").read_text(encoding="utf-8").split("## What they hold")[1]
    rows = [line.split("|")[2:4] for line in table.splitlines() if line.startswith("| ")][1:]
    named = [name.strip() for row in rows for cell in row for name in cell.split(",") if name.strip()]
    assert sorted(named) == [story.name for story in STORIES], "a new story has its line in tests/scenarios/README.md"
