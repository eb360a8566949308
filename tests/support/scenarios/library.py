"""The stories of ``tests/scenarios``, loaded and played, for tests and for their page.

A story is a folder without folders, inside the folder of its programme. ``README.md`` describes who
it is, what happens, and what a nurse should see and should not. ``input.csv`` or ``frames.jsonl``
(or both; a case from outside calls it ``input.jsonl``) holds what was measured. Where needed there
are ``registry.jsonl`` and ``until.txt`` (when the clocks stop).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from support.paths import repository

from rpm_stream.app.registry.file import read_registry
from rpm_stream.ingest.csv.rows import frames, rows
from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.replay import KINDS, LineType, Replay, ReplayLine

FOLDER = repository("tests", "scenarios")


def _stories() -> list[Path]:
    """Return the folders that hold no folder, at any depth, by name."""
    folders = [path for path in FOLDER.rglob("*") if path.is_dir() and path.name != "__pycache__"]
    inner = {path.parent for path in folders}
    return sorted((path for path in folders if path not in inner), key=lambda story: story.name)


STORIES = _stories()


def story_named(name: str) -> Path:
    """Return the folder of the story ``name``, whatever its programme.

    Raises KeyError if there is none.
    """
    return {story.name: story for story in STORIES}[name]


def registry_of(story: Path) -> Registry:
    """Return the devices and limits of a story; empty if it needs none."""
    file = story / "registry.jsonl"
    return Registry(read_registry(file) if file.exists() else ())


def until_of(story: Path) -> datetime | None:
    """Return when the clocks of the story stop, or None."""
    file = story / "until.txt"
    return datetime.fromisoformat(file.read_text().strip()) if file.exists() else None


def output_of(story: Path, emit: Sequence[LineType] = KINDS) -> Iterator[ReplayLine]:
    """Return the service's output for a story, in the order of cause."""
    run = Replay(shipped(), registry_of(story), emit)
    if (story / "input.csv").exists():
        with (story / "input.csv").open(encoding="utf-8") as table:
            for found in frames(rows(table)):
                yield from run.csv(found)
    for file in (story / "frames.jsonl", story / "input.jsonl"):
        for number, line in enumerate(
            file.read_bytes().splitlines() if file.exists() else (), start=1
        ):
            yield from run.jsonl(line, number)
    yield from run.finish(until_of(story))
