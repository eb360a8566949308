"""What a comparison of a replay with the topics leaves out: what depends on when somebody
looked, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.frames import START, measurement, stamp
from support.frames import frame as frame_of
from support.replaying import new_replay

from rpm_stream.app.operate.compare_replay import Comparison
from rpm_stream.pipeline.replay import ReplayLine

EXPECTED = {"v": 1, "patient": "p", "expected_every": {"heart_rate": 60}}


@pytest.fixture
def comparison(tmp_path: Path) -> Iterator[Comparison]:
    opened = Comparison(tmp_path / "records.sqlite")
    yield opened
    opened.close()


def alerts_of(
    until: float | None, heard: tuple[float, ...], gone: float | None = None
) -> list[ReplayLine]:
    """The alert lines of heart rates at these minutes, with a device that is handed in after a
    while.
    """
    device: dict[str, Any] = {"patient": "p", **({} if gone is None else {"until": stamp(gone)})}
    run = new_replay([EXPECTED, {"v": 1, "device": "d", "assignments": [device]}])
    lines = [
        line
        for seq, at in enumerate(heard)
        for line in run.jsonl(
            msgspec.json.encode(frame_of([measurement(at, "heart_rate", "72")], at, seq)), seq
        )
    ]
    end = None if until is None else msgspec.convert(stamp(until), type(START))
    return [line for line in (*lines, *run.finish(end)) if line.type == "alert"]


def told(
    comparison: Comparison, replayed: list[ReplayLine], found: list[ReplayLine]
) -> list[tuple[str, tuple[str, ...]]]:
    for line in replayed:
        comparison.replayed(line)
    for line in found:
        comparison._found("alert", bytes(line.record), True)
    return [(each.what, each.fields) for each in comparison.differences()]


def test_a_silence_that_was_over_before_anybody_looked_is_no_difference(
    comparison: Comparison,
) -> None:
    assert told(comparison, alerts_of(None, (0, 90)), []) == []


def test_so_is_one_that_ended_with_its_device(comparison: Comparison) -> None:
    assert told(comparison, alerts_of(500, (0,), gone=120), []) == []


def test_one_that_goes_on_is_a_difference(comparison: Comparison) -> None:
    assert told(comparison, alerts_of(500, (0,)), []) == [("only_replayed", ())]


def test_when_it_ended_is_compared(comparison: Comparison) -> None:
    replayed, found = alerts_of(500, (0,), gone=120), alerts_of(500, (0,), gone=130)
    assert told(comparison, replayed, found) == [("different", ("history",))]
