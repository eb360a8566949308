"""CSV to frames: every value arrives with its digits, in GATT octets where they carry it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.app.gateway.wire import encode_frame
from rpm_stream.app.simulator.encode.csv import Encoder, FileRow, SharedDevice
from rpm_stream.ingest.gatt.decoders import decode
from rpm_stream.records import Frame

AT = datetime(2026, 1, 1, 8, tzinfo=UTC)


def row(
    vital: str,
    value: str,
    unit: str,
    at: datetime = AT,
    patient: str = "p1",
    device: str = "csv.p1",
) -> FileRow:
    """One line of a file."""
    return FileRow(patient, at, vital, value, unit, device, 2)


def told(frames: list[Frame]) -> Counter[tuple[datetime, str, str, str]]:
    """(time, vital, value, unit) of all that frames say, NaN fields left out."""
    found: Counter[tuple[datetime, str, str, str]] = Counter()
    for frame in frames:
        for entry in frame.notifications or []:
            for reading in decode(entry.characteristic, bytes.fromhex(entry.payload)).readings:
                if reading.value is not None:
                    at = (
                        entry.at
                        if reading.device_time is None
                        else reading.device_time.replace(tzinfo=UTC)
                    )
                    found[at, reading.vital, reading.value, reading.unit] += 1
        for measurement in frame.measurements or []:
            found[measurement.at, measurement.vital, measurement.value, measurement.unit] += 1
    return found


def characteristics(frames: list[Frame]) -> list[str]:
    """What the notifications are, in order."""
    return [entry.characteristic for frame in frames for entry in frame.notifications or []]


UNITS = {
    "heart_rate": ["/min", "Hz"],
    "pulse_rate": ["/min"],
    "oxygen_saturation": ["%", "1"],
    "systolic": ["mm[Hg]", "kPa"],
    "diastolic": ["mm[Hg]", "kPa"],
    "mean_arterial": ["mm[Hg]"],
    "body_temperature": ["Cel", "[degF]", "K"],
    "glucose": ["mg/dL", "mmol/L", "g/L"],
    "glucose_interstitial": ["mg/dL"],
    "weight": ["kg", "[lb_av]", "g"],
    "battery": ["%"],
    "respiratory_rate": ["/min"],
    "no_such_vital": ["furlong"],
}
VALUES = st.from_regex(r"-?[0-9]{1,6}(\.[0-9]{1,4})?", fullmatch=True)
TIMES = st.sampled_from([AT, AT + timedelta(minutes=5), AT + timedelta(milliseconds=250)])
ROWS = st.lists(
    st.sampled_from(sorted(UNITS)).flatmap(
        lambda vital: st.builds(row, st.just(vital), VALUES, st.sampled_from(UNITS[vital]), TIMES)
    ),
    max_size=12,
)


@given(ROWS)
def test_every_value_survives_with_its_digits(rows: list[FileRow]) -> None:
    """Whatever the file holds, decoded frames say exactly that, each value once."""
    frames = list(Encoder().frames(rows))
    assert told(frames) == Counter((line.at, line.vital, line.value, line.unit) for line in rows)
    for frame in frames:
        encode_frame(frame)  # raises for what the service would refuse whole


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row("heart_rate", "65", "/min")], ["2A37"]),
        ([row("heart_rate", "65.0", "/min")], []),
        ([row("heart_rate", "0", "/min")], []),
        ([row("oxygen_saturation", "97.5", "%"), row("pulse_rate", "71", "/min")], ["2A5E"]),
        ([row("systolic", "140.0", "mm[Hg]"), row("diastolic", "65.0", "mm[Hg]")], ["2A35"]),
        ([row("systolic", "140.0", "mm[Hg]")], []),
        ([row("systolic", "140", "mm[Hg]"), row("diastolic", "9", "kPa")], []),
        ([row("body_temperature", "36.70", "Cel")], ["2A1C"]),
        ([row("glucose", "5.6", "mmol/L")], ["2A18"]),
        ([row("glucose", "246.0", "mg/dL")], []),
        ([row("glucose_interstitial", "120", "mg/dL")], []),
        ([row("weight", "81.700", "kg")], ["2A9D"]),
        ([row("weight", "81.7", "kg")], []),
        ([row("battery", "55", "%")], ["2A19"]),
        ([row("heart_rate", "65", "/min"), row("heart_rate", "66", "/min")], ["2A37"]),
    ],
)
def test_gatt_carries_what_it_keeps(rows: list[FileRow], expected: list[str]) -> None:
    """Octets where the digits fit; one-sided pressure, foreign units and other digits stay
    measurements.
    """
    assert characteristics(list(Encoder().frames(rows))) == expected


def test_frames_are_counted_and_named_for_ever() -> None:
    """The same file gives the same bytes; ``seq`` counts per device."""
    rows = [
        row("heart_rate", str(60 + minute), "/min", AT + timedelta(minutes=minute))
        for minute in range(5)
    ]
    rows += [row("heart_rate", "70", "/min", AT, "p2", "csv.p2")]
    frames = list(Encoder().frames(rows))
    assert frames == list(Encoder().frames(rows))
    assert [(frame.device, frame.seq) for frame in frames] == [
        *(("csv.p1", seq) for seq in range(5)),
        ("csv.p2", 0),
    ]
    assert len({frame.frame for frame in frames}) == 6
    assert {(frame.sent_at, frame.utc_offset) for frame in frames if frame.device == "csv.p2"} == {
        (AT, "+00:00")
    }
    assert all(frame.received_at == frame.sent_at for frame in frames)


def test_more_than_a_thousand_rows_become_several_frames() -> None:
    """A frame has at most 1,000 entries."""
    frames = list(Encoder().frames([row("steps", str(number), "1") for number in range(2500)]))
    assert [len(frame.measurements or []) for frame in frames] == [1000, 1000, 500]


def test_registry_gives_each_device_to_its_wearers_in_turn() -> None:
    """From the first reading on, until the next wearer's first."""
    encoder = Encoder()
    later = AT + timedelta(days=1)
    rows = [
        row("steps", "1", "1", device="band"),
        row("steps", "2", "1", AT + timedelta(hours=1), device="band"),
        row("steps", "3", "1", later, "p2", "band"),
    ]
    assert len(list(encoder.frames(rows))) == 3
    [entry] = encoder.registry()
    assert [(worn.patient, worn.from_, worn.until) for worn in entry.assignments] == [
        ("p1", AT, later),
        ("p2", later, None),
    ]


def test_a_device_on_two_people_at_once_is_told() -> None:
    """No assignment could say whose the readings are."""
    encoder = Encoder()
    rows = [
        row("steps", "1", "1", device="band"),
        row("steps", "2", "1", AT + timedelta(hours=1), "p2", "band"),
        row("steps", "3", "1", AT + timedelta(hours=2), device="band"),
        row("steps", "4", "1", AT + timedelta(minutes=30), device="band"),
    ]
    assert len(list(encoder.frames(rows))) == 4
    with pytest.raises(SharedDevice):
        encoder.registry()
