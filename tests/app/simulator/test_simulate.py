"""The stories tell what they promise, and nothing but chance from the seed is in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import msgspec
import pytest

from rpm_stream.app.gateway.wire import encode_frame
from rpm_stream.app.simulator.simulate import all_frames, all_registry, cohort, ward
from rpm_stream.ingest.gatt.decoders import decode
from rpm_stream.records import DeviceEntry, Frame, PatientEntry

START = datetime(2026, 3, 1, 6, tzinfo=UTC)

# NEWS2 (RCP 2017, chart 1, scale 1): points above each lower bound, for whole numbers and tenths of
# a degree.
BANDS: dict[str, list[tuple[float, int]]] = {
    "respiratory_rate": [(0, 3), (9, 1), (12, 0), (21, 2), (25, 3)],
    "oxygen_saturation": [(0, 3), (92, 2), (94, 1), (96, 0)],
    "systolic": [(0, 3), (91, 2), (101, 1), (111, 0), (220, 3)],
    "pulse_rate": [(0, 3), (41, 1), (51, 0), (91, 1), (111, 2), (131, 3)],
    "body_temperature": [(0, 3), (35.1, 1), (36.1, 0), (38.1, 1), (39.1, 2)],
}


def values(frames: Iterable[Frame]) -> Iterator[tuple[datetime, str, str, str]]:
    """(entry's time, device, vital, value) of all that frames say."""
    for frame in frames:
        for entry in frame.notifications or []:
            for reading in decode(entry.characteristic, bytes.fromhex(entry.payload)).readings:
                assert reading.value is not None
                yield entry.at, frame.device, reading.vital, reading.value
        for measurement in frame.measurements or []:
            yield measurement.at, frame.device, measurement.vital, measurement.value


def scores(frames: Iterable[Frame]) -> Iterator[tuple[datetime, int, int]]:
    """(time, NEWS2 of the latest values, most points of one vital) after each value that counts."""
    latest: dict[str, int] = {}
    for at, _, vital, value in values(frames):
        if vital in BANDS:
            latest[vital] = [points for bound, points in BANDS[vital] if float(value) >= bound][-1]
            yield at, sum(latest.values()), max(latest.values())


@pytest.mark.parametrize("seed", range(4))
def test_copd_turns_red_on_the_third_or_fourth_day(seed: int) -> None:
    """Well on the first day, an aggregate of 7 or more before the end, and not before hour 60."""
    [person] = cohort("copd", 1)
    told = list(scores(all_frames([person], START, seed)))
    assert max(score for at, score, _ in told if at < START + timedelta(hours=24)) <= 4
    red = [at for at, score, _ in told if score >= 7]
    assert START + timedelta(hours=60) < red[0] < START + timedelta(hours=84)


@pytest.mark.parametrize("seed", range(2))
def test_a_quiet_week_has_nothing_red(seed: int) -> None:
    """Seven days, five people: never a vital with 2 points, never an aggregate of 5."""
    told = list(scores(all_frames(cohort("quiet", 5), START, seed)))
    assert max(most for _, _, most in told) <= 1
    assert max(score for _, score, _ in told) < 5
    assert told[-1][0] - told[0][0] > timedelta(days=6, hours=22)


def test_somebody_on_the_ward_is_red_within_the_first_hours() -> None:
    """What the demo shows."""
    [first] = ward(1, hours=14)
    red = [at for at, score, _ in scores(all_frames([first], START, 1)) if score >= 7]
    assert red[0] < START + timedelta(hours=13)
    saturation = [
        at
        for at, _, vital, value in values(all_frames([first], START, 1))
        if vital == "oxygen_saturation" and float(value) <= 91
    ]
    assert saturation[0] < START + timedelta(hours=6)


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others() -> None:
    """Deterministic by seed and start."""
    one, again, other = (
        [encode_frame(frame) for frame in islice(all_frames(ward(3), START, seed), 200)]
        for seed in (1, 1, 2)
    )
    assert one == again
    assert one != other


def test_another_start_by_whole_days_shifts_the_same_story() -> None:
    """Law 4 for the simulator: same values, same distances."""
    days = timedelta(days=3)
    early = list(islice(values(all_frames(ward(4), START, 1)), 2000))
    late = list(islice(values(all_frames(ward(4), START + days, 1)), 2000))
    assert [(at + days, *rest) for at, *rest in early] == [(at, *rest) for at, *rest in late]


def test_frames_of_a_ward_come_in_order_and_are_counted_per_device() -> None:
    """Sorted by received_at, ``seq`` without a gap, ids all different, times one after the
    other.
    """
    frames = list(all_frames(ward(20, hours=6), START, 1))
    received = [frame.received_at for frame in frames]
    assert received == sorted(received, key=lambda at: at or START)
    assert len({frame.frame for frame in frames}) == len(frames)
    counted: dict[str, list[int]] = {}
    for frame in frames:
        counted.setdefault(frame.device, []).append(frame.seq)
        entries = frame.notifications or frame.measurements or []
        assert frame.received_at is not None
        assert (
            entries[-1].at
            < frame.sent_at
            < frame.received_at
            < entries[-1].at + timedelta(minutes=1)
        )
    assert all(numbers == list(range(len(numbers))) for numbers in counted.values())
    assert len({device.partition(".")[0] for device in counted}) == 20


def test_device_clocks_agree_with_the_gateways() -> None:
    """A device's local time, less the frame's offset, is the time at which it notified."""
    for frame in all_frames(ward(2, hours=8), START, 1):
        offset = timedelta(hours=int((frame.utc_offset or "+00:00")[:3]))
        for entry in frame.notifications or []:
            for reading in decode(entry.characteristic, bytes.fromhex(entry.payload)).readings:
                if reading.device_time is not None:
                    assert reading.device_time.replace(tzinfo=UTC) - offset == entry.at


def test_registry_names_every_device_and_patient() -> None:
    """Nothing of a simulation is an unknown device."""
    people = ward(20, hours=25)
    entries = all_registry(people)
    devices = {entry.device: entry for entry in entries if isinstance(entry, DeviceEntry)}
    patients = {entry.patient: entry for entry in entries if isinstance(entry, PatientEntry)}
    assert {frame.device for frame in all_frames(people, START, 1)} == set(devices)
    assert {worn.patient for entry in devices.values() for worn in entry.assignments} == set(
        patients
    )
    assert len({entry.display for entry in patients.values()}) == 20
    assert all(entry.expected_every for entry in patients.values())
    assert msgspec.json.decode(msgspec.json.encode(entries[0]), type=PatientEntry) == entries[0]
