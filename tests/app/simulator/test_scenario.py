"""Every story of the library can be played by the simulator, and the service says of it what the
story expects.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.replaying import Output, decoded, of_type
from support.scenarios.library import FOLDER, STORIES, story_named, until_of
from typer.testing import CliRunner

from rpm_stream.app.cli.gateway import gateway_app
from rpm_stream.app.gateway.wire import encode_frame
from rpm_stream.app.registry.file import read_registry
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.simulator.faults import Faults, inject
from rpm_stream.app.simulator.scenario import Scenario, read_scenario
from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.replay import Replay
from rpm_stream.records import Frame

NO_FAULTS = Faults()
SEEN = ("patient", "group", "priority", "state", "opened_at", "historical")
READ = ("id", "patient", "vital", "value", "unit", "measured_at")
# what is in the future when it comes on time is not when it comes late
BY_RECEIPT = {"hub-ahead-of-time"}
# What a nurse decides goes to rpm.actions, which is not a gateway's to write.
WITH_DECISIONS = {
    path.parent.name for path in FOLDER.rglob("frames.jsonl") if b'"action"' in path.read_bytes()
}
UNSENDABLE = {"meter-sends-a-line-end"}  # a frame that the client refuses to send


def played(scenario: Scenario, story: Path, faults: Faults = NO_FAULTS) -> Output:
    """What the service says of a scenario, its frames sent as the simulator sends them."""
    run = Replay(shipped(), Registry(scenario.entries), emit=("reading", "alert", "reject"))
    frames = inject(scenario.frames, faults, seed=1)
    lines = [
        line
        for number, frame in enumerate(frames, 1)
        for line in run.jsonl(encode_frame(frame), number)
    ]
    return decoded([*lines, *run.finish(until_of(story))])


def lives(alerts: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    """Every stage of every alert, without how many readings it took: the octets and the app's
    values of one instant are two frames when they are played, and one when they are read from a
    CSV.
    """
    return {tuple(alert[name] for name in SEEN) for alert in alerts}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_story_played_in_octets_tells_the_same(story: Path) -> None:
    scenario = read_scenario(story)
    assert scenario.frames
    assert (scenario.others > 0) == (story.name in WITH_DECISIONS | UNSENDABLE)
    told = lives(of_type(played(scenario, story), "alert"))
    expected = lives(
        [msgspec.json.decode(line) for line in (story / "expected.jsonl").read_bytes().splitlines()]
    )
    if story.name not in WITH_DECISIONS:
        assert told == expected


@pytest.mark.parametrize(
    "faults", [Faults(duplicate=0.3, reorder=0.5), Faults(late=0.3)], ids=["reordered", "late"]
)
@pytest.mark.parametrize(
    "story", [s for s in STORIES if s.name not in BY_RECEIPT], ids=lambda story: story.name
)
def test_a_story_survives_a_bad_line(story: Path, faults: Faults) -> None:
    """Law 2 (b): the same readings and refusals, and who had a high alert has one."""
    scenario = read_scenario(story)
    good, bad = played(scenario, story), played(scenario, story, faults)
    for kind, names in (("reading", READ), ("reject", ("id", "reason"))):
        assert {tuple(record[name] for name in names) for record in of_type(bad, kind)} == {
            tuple(record[name] for name in names) for record in of_type(good, kind)
        }
    assert high(good) <= high(bad)


def high(output: Output) -> set[tuple[str, str]]:
    """Whose alerts of which group were high at some time."""
    return {
        (alert["patient"], alert["group"])
        for alert in of_type(output, "alert")
        if alert["priority"] == "high"
    }


def test_a_folder_is_played_on_the_command_line(tmp_path: Path) -> None:
    """Its frames in its recorded time, and the registry that they need."""
    story, registry = story_named("news2-five-then-seven"), tmp_path / "r.jsonl"
    order = ["simulate", "--story", str(story), "--to", "stdout", "--registry", str(registry)]
    result = CliRunner().invoke(gateway_app, order, catch_exceptions=False)
    frames = [msgspec.json.decode(line, type=Frame) for line in result.stdout_bytes.splitlines()]
    scenario = read_scenario(story)
    assert frames == scenario.frames
    assert list(read_registry(registry)) == scenario.entries
    later = CliRunner().invoke(gateway_app, [*order, "--hours", "5"], catch_exceptions=False)
    assert 0 < len(later.stdout_bytes.splitlines()) < len(frames)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--story", "no-such-story"], "one of copd, heart-failure"),
        (["--story", str(story_named("red-once")), "--patients", "2"], "its own people"),
        (
            ["--story", str(story_named("red-once")), "--start", "2026-01-01T00:00:00Z"],
            "its own people and times",
        ),
        (["--story", str(FOLDER)], "neither input.csv nor frames.jsonl"),
    ],
)
def test_wrong_use_is_one_clear_line(arguments: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        CliRunner().invoke(
            gateway_app, ["simulate", "--to", "stdout", *arguments], catch_exceptions=False
        )
