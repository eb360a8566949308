"""Every story below this folder: load, run, compare. A new story is a folder; its README says what
a nurse expects.

``expected.jsonl`` holds each alert line reduced to what a nurse sees. A story about the words of an
alert also has ``expected-alerts.jsonl``; one about whose and when it was has ``-readings``,
``-rejects`` or ``-observations``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.scenarios.library import FOLDER, STORIES, output_of

from rpm_stream.pipeline.replay import LineType

SEEN = ("patient", "group", "priority", "state", "title", "opened_at", "historical")
ALSO: dict[LineType, tuple[str, ...]] = {
    "alert": ("patient", "priority", "state", "title", "why"),
    "reading": ("patient", "vital", "value", "unit", "measured_at", "utc_offset", "flags"),
    "reject": ("device", "reason", "detail"),
    "observation": ("status", "subject", "effectiveDateTime", "valueQuantity"),
}


def seen_of(story: Path, kind: LineType, names: tuple[str, ...]) -> list[dict[str, Any]]:
    found = [msgspec.json.decode(line.record) for line in output_of(story, emit=(kind,))]
    seen = [{name: record[name] for name in names if name in record} for record in found]
    for each, record in zip(seen, found, strict=True):
        if record.get("over"):
            each["over"] = True
    return seen


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_story(story: Path) -> None:
    assert seen_of(story, "alert", SEEN) == [
        msgspec.json.decode(line) for line in (story / "expected.jsonl").read_bytes().splitlines()
    ]


@pytest.mark.parametrize(
    ("story", "kind"),
    [
        (story, kind)
        for story in STORIES
        for kind in ALSO
        if (story / f"expected-{kind}s.jsonl").exists()
    ],
    ids=lambda each: each.name if isinstance(each, Path) else each,
)
def test_words_whose_and_when(story: Path, kind: LineType) -> None:
    expected = [
        msgspec.json.decode(line)
        for line in (story / f"expected-{kind}s.jsonl").read_bytes().splitlines()
    ]
    assert seen_of(story, kind, ALSO[kind]) == expected


def test_there_are_stories() -> None:
    assert len(STORIES) >= 20
    assert len({story.name for story in STORIES}) == len(STORIES), (
        "a name is a story, whatever its programme"
    )
    assert {file.parent for file in FOLDER.rglob("*.jsonl")} <= set(STORIES), (
        "a story holds no folder"
    )


def test_the_table_of_the_library_names_every_story_once() -> None:
    """What is held from which side can be read without opening fifty folders."""
    table = (FOLDER / "README.md").read_text(encoding="utf-8").split("## What they hold")[1]
    rows = [line.split("|")[1:5] for line in table.splitlines() if line.startswith("| ")][1:]
    named = [
        (name.strip(), programme.strip())
        for programme, _, *cells in rows
        for cell in cells
        for name in cell.split(",")
        if name.strip()
    ]
    have = [(story.name, story.parent.relative_to(FOLDER).as_posix()) for story in STORIES]
    assert sorted(named) == have, "a new story has its line in tests/scenarios/README.md"
