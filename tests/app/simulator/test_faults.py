"""Faults are what their names say, the same for the same seed, and lose no frame but where they
say so.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpm_stream.app.simulator.faults import FARTHEST, Faults, inject
from rpm_stream.app.simulator.simulate import all_frames, ward
from rpm_stream.ingest.gatt.decoders import DecodeError, decode
from rpm_stream.records import Frame

FRAMES = list(all_frames(ward(2, hours=8), datetime(2026, 3, 1, tzinfo=UTC), 1))
CHANCE = st.floats(0, 1)


@settings(max_examples=30)
@given(CHANCE, CHANCE, st.integers(0, 99))
def test_duplicates_and_reordering_change_no_frame(
    duplicate: float, reorder: float, seed: int
) -> None:
    """Every frame comes once or twice, as it was, at most ``FARTHEST`` places late."""
    sent = list(inject(FRAMES, Faults(duplicate=duplicate, reorder=reorder), seed))
    counted = Counter(frame.frame for frame in sent)
    assert set(counted) == {frame.frame for frame in FRAMES}
    assert max(counted.values()) <= 2
    whole = {frame.frame: frame for frame in FRAMES}
    assert all(frame == whole[frame.frame] for frame in sent)
    places = {frame.frame: place for place, frame in enumerate(FRAMES)}
    newest = 0
    for frame in sent:
        newest = max(newest, places[frame.frame])
        assert newest - places[frame.frame] <= FARTHEST


def test_without_faults_nothing_happens() -> None:
    """All at zero is the default."""
    assert list(inject(FRAMES, Faults(), 1)) == FRAMES


def test_certain_faults_happen_to_every_frame() -> None:
    """Probability 1 is certainty."""
    assert len(list(inject(FRAMES, Faults(duplicate=1), 1))) == 2 * len(FRAMES)
    assert [frame.frame for frame in inject(FRAMES, Faults(reorder=1), 1)] != [
        frame.frame for frame in FRAMES
    ]


FAULTS = ("duplicate", "reorder", "corrupt", "late", "skew", "drop", "silent", "unit_flip")


@pytest.mark.parametrize("fault", FAULTS)
def test_the_same_seed_gives_the_same_faults_and_another_gives_others(fault: str) -> None:
    """Deterministic: a run that failed can be played again."""
    one, again, other = (list(inject(FRAMES, Faults(**{fault: 0.3}), seed)) for seed in (1, 1, 2))
    assert one == again
    assert one not in (other, FRAMES)


def test_the_list_above_has_every_fault() -> None:
    assert Faults.__struct_fields__ == FAULTS


def test_a_silent_device_counts_on_without_a_gap() -> None:
    """What was never measured was never counted: each device's numbers are 0, 1, 2, …"""
    counted: dict[str, list[int]] = {}
    for frame in inject(FRAMES, Faults(silent=0.05), 1):
        counted.setdefault(frame.device, []).append(frame.seq)
    assert all(numbers == list(range(len(numbers))) for numbers in counted.values())
    assert 0 < sum(map(len, counted.values())) < len(FRAMES)


def refused(frame: Frame) -> int:
    """How many entries of a frame the service must refuse."""
    count = 0
    for entry in frame.notifications or []:
        try:
            decode(entry.characteristic, bytes.fromhex(entry.payload))
        except DecodeError:
            count += 1
    return count + sum(1 for measurement in frame.measurements or [] if not measurement.unit)


def test_a_corrupted_frame_loses_exactly_one_entry() -> None:
    """One payload cut short, or one unit lost; nothing else moves."""
    corrupt = list(inject(FRAMES, Faults(corrupt=1), 1))
    assert [frame.frame for frame in corrupt] == [frame.frame for frame in FRAMES]
    assert {refused(frame) for frame in corrupt} == {1}
    assert {refused(frame) for frame in FRAMES} == {0}
