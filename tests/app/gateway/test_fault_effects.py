"""What the service makes of each fault, told by the replay of the frames that the simulator
sends with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.replaying import Output, decoded, of_type
from support.tables import rows

from rpm_stream.app.gateway.wire import encode_frame
from rpm_stream.app.simulator.faults import Faults, inject
from rpm_stream.app.simulator.simulate import all_frames, all_registry, cohort
from rpm_stream.app.simulator.stories import StoryName
from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.ingest import DeviceState, FrameMessage, Ingest
from rpm_stream.pipeline.replay import Replay
from rpm_stream.records import Account, Frame, Measurement, Position

START = datetime(2026, 3, 1, 6, tzinfo=UTC)
HOURS = 24
COPD: StoryName = "copd"


def sent(story: StoryName = COPD, hours: float = HOURS, **chances: float) -> list[Frame]:
    """The frames of one person in a story, with faults; without the strap, whose 1 Hz would only
    take time.
    """
    frames = (
        frame
        for frame in all_frames(cohort(story, 1, hours), START, 1)
        if not frame.device.endswith("strap")
    )
    return list(inject(frames, Faults(**chances), seed=3))


def told(frames: Iterable[Frame], story: StoryName = COPD, until: float | None = None) -> Output:
    """All that the service says of frames; its clock stops so many hours after the start."""
    run = Replay(
        shipped(), Registry(all_registry(cohort(story, 1))), emit=("reading", "alert", "reject")
    )
    lines = [
        line
        for number, frame in enumerate(frames, 1)
        for line in run.jsonl(encode_frame(frame), number)
    ]
    return decoded([*lines, *run.finish(None if until is None else START + timedelta(hours=until))])


def facts(output: Output) -> set[tuple[Any, ...]]:
    """The readings without the time at which they were received."""
    names = ("id", "vital", "value", "unit", "measured_at")
    return {
        (*(reading[name] for name in names), *reading["flags"])
        for reading in of_type(output, "reading")
    }


def accounts(frames: Iterable[Frame]) -> list[Account]:
    """The account of each frame, in order."""
    ingest, states = (
        Ingest(shipped(), Registry(all_registry(cohort(COPD, 1))), recorded_time=True),
        {},
    )
    found = []
    for number, frame in enumerate(frames):
        position = Position(topic="rpm.frames", partition=0, offset=number)
        message = FrameMessage(
            key=frame.device, value=encode_frame(frame), position=position, received_at=START
        )
        found.append(ingest.step(states.setdefault(frame.device, DeviceState()), message).account)
    return found


def gaps(found: Iterable[Account]) -> set[tuple[str, int]]:
    """What each device's running number says is missing before its newest."""
    seen: dict[str, set[int]] = {}
    for account in found:
        assert account.seq is not None
        seen.setdefault(account.device, set()).add(account.seq)
    return {
        (device, number) for device, each in seen.items() for number in set(range(max(each))) - each
    }


def test_late_uplinks_give_the_same_readings() -> None:
    """Law 2 (b): held back for hours and received at once, nothing is lost, refused or changed."""
    whole, late = told(sent()), told(frames := sent(late=0.03))
    waited = [
        frame
        for frame in frames
        if frame.received_at and frame.received_at - frame.sent_at > timedelta(hours=1)
    ]
    assert len(waited) > 20
    assert facts(late) == facts(whole)
    assert not of_type(late, "reject")
    received = [frame.received_at for frame in frames]
    assert received == sorted(received, key=lambda at: at or START)


def test_a_dropped_uplink_is_a_gap_that_the_accounts_name() -> None:
    """Lost between gateway and broker: the next frame of the device shows which numbers are
    missing.
    """
    whole, left = sent(), sent(drop=0.1)
    lost = {(frame.device, frame.seq) for frame in whole} - {
        (frame.device, frame.seq) for frame in left
    }
    last = {frame.device: frame.seq for frame in left}
    named = {(device, number) for device, number in lost if number < last[device]}
    assert len(named) > 5
    assert gaps(accounts(left)) == named
    assert gaps(accounts(whole)) == set()


def test_a_silent_device_is_missed_after_its_hour_and_not_before() -> None:
    """A device that measures nothing leaves no gap; what is expected of it is missed exactly
    when it is due.
    """
    frames = sent(silent=0.02)
    assert 0 < len(frames) < len(sent())
    assert gaps(accounts(frames)) == set()
    output = told(frames, until=HOURS)
    due = set()
    first = min(
        datetime.fromisoformat(reading["received_at"]) for reading in of_type(output, "reading")
    )
    for vital in ("oxygen_saturation", "respiratory_rate"):  # expected every 60 minutes
        times = sorted(
            datetime.fromisoformat(at) for _, name, _, _, at, *_ in facts(output) if name == vital
        )
        ends = [*times, START + timedelta(hours=HOURS)]
        pairs = zip(
            [first, *times], ends, strict=True
        )  # given out from the first record on, as nothing says since when
        due |= {at + timedelta(hours=1) for at, after in pairs if after - at > timedelta(hours=1)}
    opened = {
        datetime.fromisoformat(alert["opened_at"])
        for alert in of_type(output, "alert")
        if alert["group"] == "device:silence"
    }
    assert due
    assert opened <= due  # two vitals that are silent at once are one alert, opened by the first
    assert min(due) in opened
    quiet = [alert["group"] for alert in of_type(told(sent(), until=HOURS), "alert")]
    assert "device:silence" not in quiet


@pytest.mark.parametrize("seed", range(3))
def test_a_skewed_clock_loses_nothing_and_one_that_is_ahead_is_not_believed(seed: int) -> None:
    """Ahead: the gateway's time counts, and says so.

    Behind: the device's own counts, within 30 days (CONTRACT 3).
    """
    whole = list(all_frames(cohort("post-operative", 1, 12), START, 1))
    skewed = list(inject(whole, Faults(skew=1), seed))
    straight, crooked = told(whole, "post-operative"), told(skewed, "post-operative")
    assert not of_type(crooked, "reject")
    # their devices send a time
    clocked = {"oxygen_saturation", "body_temperature", "systolic", "diastolic"}
    for before, after in zip(
        of_type(straight, "reading"), of_type(crooked, "reading"), strict=True
    ):
        assert (before["vital"], before["value"]) == (after["vital"], after["value"])
        shift = datetime.fromisoformat(after["measured_at"]) - datetime.fromisoformat(
            before["measured_at"]
        )
        if before["vital"] in clocked:
            assert (
                shift == timedelta(0)
                if "device_time_ignored" in after["flags"]
                else shift < -timedelta(minutes=5)
            )


MIXED_UP = [
    # story, device, what becomes of each of its readings whose unit was mixed up
    ("post-operative", "thermometer", "implausible"),  # 37.4 in a Fahrenheit field
    ("hypertension", "cuff", "implausible"),  # 146 in a kPa field
    # 142 mg/dL is 1.42 in a mmol/L field: too low, and high at once
    ("diabetes-meter", "meter", "alert"),
]


@pytest.mark.parametrize(("story", "device", "fate"), MIXED_UP)
def test_a_mixed_up_unit_is_refused_or_told(story: StoryName, device: str, fate: str) -> None:
    """Law 10: a number in the wrong unit is never a quiet value; each entry of the device is
    turned over here.
    """
    whole = [
        frame
        for frame in all_frames(cohort(story, 1, HOURS), START, 1)
        if frame.device.endswith(device)
    ]
    output = told(inject(whole, Faults(unit_flip=1), seed=1), story)
    refused = [reject["reason"] for reject in of_type(output, "reject")]
    values = [
        reading["value"]
        for reading in of_type(output, "reading")
        if reading["vital"] != "pulse_rate"
    ]
    if fate == "alert":
        assert (values != [], refused) == (True, [])
        assert {alert["priority"] for alert in of_type(output, "alert")} == {"high"}
    else:
        assert (values, set(refused)) == ([], {fate})


def test_a_weight_in_the_wrong_unit_is_told_as_a_jump() -> None:
    """68.6 kg read as 137.2 lb is a weight that a body can have: only the person's own day
    before shows it.
    """
    whole = [
        frame
        for frame in all_frames(cohort("quiet", 1), START, 1)
        if frame.device.endswith("scale")
    ]
    mixed = [*whole[:3], *inject(whole[3:4], Faults(unit_flip=1), seed=1), *whole[4:]]
    silence = {"device:silence"}  # of the devices whose frames are left out here
    assert {alert["group"] for alert in of_type(told(mixed, "quiet"), "alert")} - silence == {
        "device:step"
    }
    assert {alert["group"] for alert in of_type(told(whole, "quiet"), "alert")} <= silence


@pytest.mark.parametrize(
    ("vital", "value", "unit", "sent_as"),
    rows("""
        body_temperature  36.9   Cel     98.42
        body_temperature  98.42  [degF]  36.90
        systolic          128    mm[Hg]  17.07
        glucose           110    mg/dL   6.11
    """),
)
def test_an_apps_number_under_the_wrong_label_is_refused(
    vital: str, value: str, unit: str, sent_as: str
) -> None:
    """98.42 as Cel: the label is believed, and no body has such a value."""
    frame = measured_frame(vital, value, unit)
    (flipped,) = inject([frame], Faults(unit_flip=1), seed=1)
    assert flipped.measurements is not None
    assert (flipped.measurements[0].value, flipped.measurements[0].unit) == (sent_as, unit)
    assert [reject["reason"] for reject in of_type(told([flipped]), "reject")] == ["implausible"]


def measured_frame(vital: str, value: str, unit: str) -> Frame:
    """A value typed into the person's app."""
    entry = Measurement(at=START, vital=vital, value=value, unit=unit)
    return Frame(
        v=1,
        frame="f",
        gateway="sim-01.hub",
        device="sim-01.app",
        seq=0,
        boot=1,
        sent_at=START,
        measurements=[entry],
    )
