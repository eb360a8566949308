"""Each story of the package becomes what its first lines promise, and the ward stays quiet where
nobody is ill.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.replaying import decoded, of_type

from rpm_stream.app.gateway.wire import encode_frame
from rpm_stream.app.simulator.devices import SimulatedPatient
from rpm_stream.app.simulator.simulate import all_frames, all_registry, cohort, ward
from rpm_stream.app.simulator.stories import STORIES, StoryName, load, load_ward
from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.replay import Replay

START = datetime(2026, 3, 1, 6, tzinfo=UTC)


def alerts(
    people: list[SimulatedPatient], seed: int, without: str = "strap"
) -> list[dict[str, Any]]:
    """All alert records about people; without their straps, whose 1 Hz would only take time."""
    run = Replay(shipped(), Registry(all_registry(people)), emit=("alert", "reject"))
    frames = (
        frame for frame in all_frames(people, START, seed) if not frame.device.endswith(without)
    )
    output = decoded(
        line
        for number, frame in enumerate(frames)
        for line in run.jsonl(encode_frame(frame), number)
    )
    assert of_type(output, "reject") == []
    return of_type(output, "alert")


def first_hour(
    records: Iterable[dict[str, Any]], group: str, priority: str, title: str = ""
) -> float:
    """The hour of the story at which a group first has an alert of that priority, whose title
    holds some words.
    """
    times = [
        datetime.fromisoformat(record["updated_at"])
        for record in records
        if (record["group"], record["priority"]) == (group, priority) and title in record["title"]
    ]
    assert times, f"no {priority} alert of {group}"
    return (min(times) - START) / timedelta(hours=1)


PROMISED = [
    ("heart-failure", "vital_signs", "medium", "NEWS2", 72, 96),
    ("hypertension", "vital_signs", "high", "", 56, 68),
    ("diabetes-sensor", "glucose", "high", "low", 20, 23.5),
    # nobody has seen the low of the night: the same alert
    ("diabetes-sensor", "glucose", "high", "high", 24, 28),
    ("diabetes-meter", "glucose", "medium", "high", 28, 48),
    ("diabetes-meter", "glucose", "medium", "low", 60, 72),
    ("sepsis", "vital_signs", "medium", "NEWS2", 18, 30),
    ("sepsis", "vital_signs", "high", "NEWS2", 24, 38),
    ("post-operative", "vital_signs", "medium", "NEWS2", 72, 94),
]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("story", sorted({row[0] for row in PROMISED}))
def test_a_story_turns_when_it_says(story: StoryName, seed: int) -> None:
    """Not before, not later, and nothing red in the two stories that end at medium."""
    records = alerts(cohort(story, 1), seed)
    for _, group, priority, title, earliest, latest in (row for row in PROMISED if row[0] == story):
        assert earliest <= first_hour(records, group, priority, title) <= latest
    if story in ("heart-failure", "post-operative"):
        assert "high" not in {record["priority"] for record in records}


def test_every_story_is_promised_something_or_tested_elsewhere() -> None:
    assert {row[0] for row in PROMISED} | {"copd", "quiet"} == set(STORIES)


def test_every_story_has_its_name_its_courses_and_its_bed() -> None:
    """A story that nobody plays, a device that measures nothing."""
    assert {bed.story for bed in load_ward()} == set(STORIES)
    for name in STORIES:
        assert load(name).name == name


def test_the_ward_is_not_noisy() -> None:
    """At most one alert a patient and day over all, none of anybody who is well; the first
    within the first hour.
    """
    people = ward(20, hours=24)
    records = alerts(people, seed=1)
    opened = {record["id"]: record["patient"] for record in records}
    well = {person.patient for person in people if person.story == "quiet"}
    assert len(opened) / len(people) <= 1
    assert well.isdisjoint(Counter(opened.values()))
    first = min(datetime.fromisoformat(record["updated_at"]) for record in records)
    assert first - START < timedelta(hours=1)
