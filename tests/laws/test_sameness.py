"""One measurement by two ways is judged once, published once and accounted for twice."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from support.corrections import correction
from support.frames import START, Record, frame, reading_of, sent, worn
from support.readings import message_of
from support.replaying import Output, alerts, last_alerts, new_replay, of_type, replay_frames

from rpm_stream.knowledge import shipped
from rpm_stream.publish.fhir.ids import observation_id
from rpm_stream.publish.fhir.observation import publishes
from rpm_stream.records import Action, Origin, Reading
from rpm_stream.sameness import Measurements
from rpm_stream.score.rules.same_measurement import MOST

PATIENT = {"v": 1, "patient": "p"}
WAYS = [worn(device=device) for device in ("d", "app", "cloud")]
TURNED_BACK = START + timedelta(hours=9)


def values_of(output: Output) -> list[tuple[str, str]]:
    return [(record["device"], record["value"]) for record in of_type(output, "reading")]


def published(output: Output) -> dict[str, Record]:
    """Return the last record of each Observation by its id."""
    return {record["id"]: record for record in of_type(output, "observation")}


def test_a_pressure_by_bluetooth_and_by_its_app_is_no_repeat() -> None:
    """Either way may come first.

    From one device twice, the second is a duplicate at once.
    """
    pressure = (("systolic", "185"), ("diastolic", "95"))
    hub, app = sent("d", 1, 120, *pressure), sent("app", 1, 120, *pressure, at=121)
    both = frame(hub["measurements"] + app["measurements"], 120)
    for frames, readings in (([hub, app], 4), ([app, hub], 4), ([both], 2)):
        output = replay_frames(frames, [*WAYS, PATIENT])
        assert [(priority, state) for _, priority, state, _ in alerts(output)] == [
            ("medium", "open")
        ]
        assert len(published(output)) == 1
        assert len(of_type(output, "reading")) == readings


@pytest.mark.parametrize("late", [1, 300, 3000])
def test_the_app_keeps_whole_minutes_and_comes_when_it_likes(late: float) -> None:
    cuff = sent("d", 1, 120.4, ("systolic", "185"))
    app = sent("app", 1, 120, ("systolic", "185.0"), at=120 + late)
    for frames in ([cuff, app], [app, cuff]):
        output = replay_frames(frames, [*WAYS, PATIENT])
        assert {priority for _, priority, _, _ in alerts(output)} == {"medium"}
        assert len(published(output)) == 1


def test_a_value_that_was_measured_again_is_one_more() -> None:
    again = [sent("d", 1, 120, ("systolic", "185")), sent("d", 2, 126, ("systolic", "185"))]
    app = [
        sent("app", 1, 120, ("systolic", "185"), at=130),
        sent("app", 2, 126, ("systolic", "185"), at=130),
    ]
    output = replay_frames([*again, *app], [*WAYS, PATIENT])
    assert alerts(output)[-1][1] == "high"
    assert len(published(output)) == 2


def test_a_flag_of_the_second_device_is_heard_all_the_same() -> None:
    """Battery and contact are each device's own."""
    low = [sent(device, 1, 120, ("heart_rate", "72"), ("battery", "3")) for device in ("d", "app")]
    output = replay_frames(low, [*WAYS, PATIENT])
    told = [alert for alert in of_type(output, "alert") if alert["group"] == "device:battery"]
    assert {each for alert in told for each in alert["evidence"]} == {
        record["id"] for record in of_type(output, "reading") if record["vital"] == "battery"
    }


# --- law 1 ----------------------------------------------------------------------------------------

FACTS = st.tuples(
    st.sampled_from(["systolic", "heart_rate", "glucose_interstitial", "weight"]),
    st.sampled_from("123"),
)
ROUTES = st.lists(
    st.tuples(
        st.integers(0, 4),
        FACTS,
        st.lists(st.sampled_from(["d", "app", "cloud"]), min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=12,
)
VALUES = {
    "systolic": ("120", "185", "185.0"),
    "heart_rate": ("70", "135", "070"),
    "glucose_interstitial": ("100", "50", "50.0"),
    "weight": ("80", "81", "81.0"),
}


def by_routes(course: Sequence[Any], offsets: Sequence[int]) -> list[Record]:
    """Return each value by its devices, each of which stamps it with a second of its own."""
    frames, minutes = [], 0
    for number, (step, (vital, digit), devices) in enumerate(course):
        minutes += step
        for way, device in enumerate(devices):
            offset = offsets[(number + way) % len(offsets)] / 60
            frames.append(
                sent(device, len(frames), minutes + offset, (vital, VALUES[vital][int(digit) - 1]))
            )
    return frames


def _is_sparse(frames: Sequence[Record]) -> bool:
    """Return whether there are few values of a vital, and at most four around each minute.

    What is kept of more is bounded (score/rules/same_measurement.py).
    """
    near: Counter[tuple[str, int]] = Counter()
    of_a_vital: Counter[str] = Counter()
    for each in frames:
        (value,) = each["measurements"]
        minute = int(datetime.fromisoformat(value["at"]).timestamp() // 60)
        near.update((value["vital"], minute + step) for step in (-1, 0, 1))
        of_a_vital[value["vital"]] += 1
    return max(near.values()) <= 4 and max(of_a_vital.values()) <= MOST


SHUFFLED = [  # the app sends the first weight at two seconds, and three others in between
    (0, ("systolic", "1"), ["d", "d", "d"]),
    (0, ("weight", "1"), ["d", "app", "app"]),
    (3, ("weight", "1"), ["d", "app"]),
    (1, ("systolic", "1"), ["d"]),
    (1, ("weight", "1"), ["d", "app"]),
    (1, ("weight", "1"), ["d", "app"]),
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    ROUTES,
    st.lists(st.sampled_from([0, 0, 7, 40]), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
@example(SHUFFLED, [0, 7], random.Random(45))
def test_law_1_each_measurement_is_published_once(
    course: list[Any], offsets: list[int], chance: random.Random
) -> None:
    """Each reading is single, in a summary, not published by policy, or seen already.

    Of one seen already, the first of its measurement is one of the others. The expected result
    comes from the rule alone, over the whole list in the order of record.
    """
    frames = by_routes(course, offsets)
    assume(_is_sparse(frames))
    chance.shuffle(frames)
    output = replay_frames(frames, [*WAYS, PATIENT])
    found = [msgspec.convert(record, Reading) for record in of_type(output, "reading")]
    measurements = Measurements()
    first = [reading for reading in found if measurements.add(reading)]
    bodies = published(output).values()
    named = Counter(
        each["value"] for body in bodies for each in body["identifier"] if "method" not in body
    )
    evidence = {each for alert in of_type(output, "alert") for each in alert["evidence"]}
    again = {reading.id for reading in found} - {reading.id for reading in first}
    assert not evidence & again
    for reading in found:
        owed = reading.id not in again and (
            publishes(reading, shipped()) == "single" or reading.id in evidence
        )
        assert named[f"urn:uuid:{reading.id}"] == owed
    counted = sum(body["component"][0]["valueInteger"] for body in bodies if "method" in body)
    assert counted == sum(publishes(reading, shipped()) == "summary" for reading in first)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(2, 40), st.sampled_from(["185", "120", "181"])),
        min_size=1,
        max_size=10,
    ),
    st.lists(st.booleans(), min_size=10, max_size=10),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_law_2b_two_ways_open_what_one_way_opens(
    course: list[tuple[int, str]], twice: list[bool], chance: random.Random, whole_minutes: bool
) -> None:
    """Values may come twice, and either way may come first.

    Exactly that is high which is high by the cuff alone.
    """
    minutes, cuff, app = 0.0, [], []
    for number, (step, value) in enumerate(course):
        minutes += step
        cuff.append(sent("d", number, minutes + 0.3, ("systolic", value)))
        if twice[number]:
            app.append(
                sent("app", number, minutes + (0 if whole_minutes else 0.3), ("systolic", value))
            )
    alone = replay_frames(cuff, [*WAYS, PATIENT])
    both = sorted([*cuff, *app], key=lambda each: (each["sent_at"], chance.random()))
    shuffled = chance.sample(both, len(both))
    together, mixed = (replay_frames(frames, [*WAYS, PATIENT]) for frames in (both, shuffled))
    assert _high(together) == _high(alone)
    assert _high(alone) <= _high(mixed)


def _high(output: Output) -> set[str]:
    return {alert["group"] for alert in of_type(output, "alert") if alert["priority"] == "high"}


# --- taken back -----------------------------------------------------------------------------------


def after_void(frames: Sequence[Record], device: str) -> tuple[Output, list[Record]]:
    """Return all output before the readings of ``device`` are taken back, and what follows from
    that.
    """
    run = new_replay([*WAYS, PATIENT])
    lines = [line for each in frames for line in run.jsonl(msgspec.json.encode(each), 1)]
    output = [(line.type, msgspec.json.decode(line.record)) for line in lines]
    wrong = [record for record in of_type(output, "reading") if record["device"] == device]
    readings = [msgspec.convert(record, Reading) for record in wrong]
    action = correction("void", readings, TURNED_BACK)
    then = [*run.jsonl(msgspec.json.encode(action), 1), *run.finish(None)]
    return output, [(line.type, msgspec.json.decode(line.record)) for line in then]


def test_what_came_second_takes_the_place_of_what_is_taken_back() -> None:
    frames = [
        sent(device, 1, 120, ("systolic", "185"), ("diastolic", "95")) for device in ("d", "app")
    ]
    before, then = after_void(frames, "d")
    ids = {
        record["device"]: record["id"]
        for record in of_type(before, "reading")
        if record["value"] == "185"
    }
    hub, app = ids["d"], ids["app"]
    assert published(then)[observation_id(hub)]["status"] == "entered-in-error"
    assert published(then)[observation_id(app)]["status"] == "final"
    open_now = [
        alert for alert in last_alerts([*before, *then]).values() if alert["state"] == "open"
    ]
    assert [(alert["priority"], alert["evidence"]) for alert in open_now] == [("medium", [app])]


def test_a_second_that_is_taken_back_takes_nothing_with_it() -> None:
    """It was never published and nothing rests on it.

    The first stays, with its alert and its memory.
    """
    frames = [sent(device, 1, 120, ("systolic", "185")) for device in ("d", "app")]
    _, then = after_void(frames, "app")
    assert then == []


def test_both_taken_back_leave_nothing() -> None:
    frames = [sent("d", seq, 120, ("systolic", "185")) for seq in (1,)]
    frames += [{**sent("d", 2, 120, ("systolic", "185.0")), "gateway": "g2"}]
    before, then = after_void(frames, "d")
    assert len(published(before)) == 1
    assert [body["status"] for body in published(then).values()] == ["entered-in-error"]
    assert [alert["state"] for alert in last_alerts([*before, *then]).values()] == ["resolved"]


@pytest.mark.parametrize(("device", "left"), [("d", "app"), ("app", "d")])
@pytest.mark.parametrize("text", ["100", "100.0"])
def test_a_summary_counts_the_measurement_once_whichever_is_taken_back(
    device: str, left: str, text: str
) -> None:
    frames = [
        sent(way, seq, 120 + 5 * seq, ("glucose_interstitial", text if way == "app" else "100"))
        for seq in range(2)
        for way in ("d", "app")
    ]
    before, then = after_void(
        [*frames, sent(left, 9, 160, ("glucose_interstitial", "120"))], device
    )
    (body,) = [
        each
        for each in published([*before, *then]).values()
        if "T10:15" in each["effectiveDateTime"]
    ]
    assert (body["status"], body["component"][0]["valueInteger"]) == ("final", 2)
    assert body["component"][1]["valueQuantity"]["value"] == 100


def test_the_state_is_restored_in_between() -> None:
    run = new_replay([*WAYS, PATIENT])
    frames = [
        sent("d", 1, 120, ("systolic", "185")),
        sent("app", 1, 120, ("systolic", "185"), at=125),
    ]
    for each in frames:
        list(run.jsonl(msgspec.json.encode(each), 1))
    assert len(run.state_of("p")) < 4000


@pytest.mark.parametrize("device", ["d", "app"])
def test_whatever_is_taken_back_of_many_leaves_no_wrong_observation(device: str) -> None:
    """There are more than the state remembers.

    Each wrong Observation changes, and each right one is there.
    """
    frames = [
        sent(way, seq, 120 + 60 * seq, ("systolic", "140"))
        for seq in range(8)
        for way in ("d", "app")
    ]
    before, then = after_void(frames, device)
    found = published([*before, *then])
    wrong = [record["id"] for record in of_type(before, "reading") if record["device"] == device]
    status = {reading: found.get(observation_id(reading), {}).get("status") for reading in wrong}
    assert set(status.values()) <= {"entered-in-error", None}
    if device == "app":
        assert sum(body["status"] == "final" for body in found.values()) == 8


def test_a_weight_of_nobody_known_is_no_copy_of_a_known_one() -> None:
    """The person on the scale is not known.

    No patient is judged by the weight, and no other weight counts as its copy. When it is taken
    back it is in error.
    """
    weighed = reading_of(
        "weight",
        "80.5",
        "kg",
        id="w-1",
        device="scale",
        flags=("user_unknown",),
        attributes={"characteristic": "2A9D"},
    )
    typed = msgspec.structs.replace(
        weighed, id="w-2", device="app", flags=(), origin=Origin(frame="a", index=0, part=0)
    )
    run = new_replay([PATIENT])
    output: Output = []
    for offset, each in enumerate((weighed, typed)):
        message = message_of(each, offset=offset)
        output += [
            (line.type, msgspec.json.decode(line.record))
            for line in run.jsonl(msgspec.json.encode(message), 1)
        ]
    assert len(published(output)) == 2
    action = Action(patient="p", action="void", who="n", at=TURNED_BACK, readings=(weighed,))
    output += [
        (line.type, msgspec.json.decode(line.record))
        for line in run.jsonl(msgspec.json.encode(action), 1)
    ]
    assert {found["status"] for found in published(output).values()} == {
        "final",
        "entered-in-error",
    }
