"""The laws (docs/contract.md) that hold for the whole pure pipeline, on generated patients."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.frames import START, frame, measurement, registry_of, stamp, worn
from support.replaying import (
    Output,
    csv_lines,
    last_alerts,
    new_replay,
    of_type,
    replay_csv,
    replay_frames,
    replay_values,
)

from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.ingest import DeviceState, FrameMessage, Ingest
from rpm_stream.pipeline.judge import Judge, Judged
from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient
from rpm_stream.pipeline.state_envelope import pack_device, unpack_device
from rpm_stream.publish.fhir.observation import publishes
from rpm_stream.records import Position, Reading
from rpm_stream.sameness import Measurements

PATIENT = {
    "v": 1,
    "patient": "p",
    "expected_every": {"heart_rate": 60},
    "limits": [
        {"vital": "weight", "high": 90, "for": 30, "priority": "low", "unit": "kg", "owner": "dr"}
    ],
}
USUAL = {
    "heart_rate": ("70", "92", "112", "135", "28", "0"),
    "oxygen_saturation": ("97", "95", "92", "88", "60"),
    "respiratory_rate": ("15", "22", "26", "5"),
    "systolic": ("120", "95", "185", "255"),
    "body_temperature": ("36.6", "38.4", "39.5"),
    "glucose": ("110", "65", "50", "260", "420"),
    "weight": ("89.5", "91.2"),
}
value_of = {vital: st.sampled_from(values) for vital, values in USUAL.items()}
readings = st.sampled_from(sorted(USUAL)).flatmap(
    lambda vital: st.tuples(st.just(vital), value_of[vital])
)
courses = st.lists(st.tuples(st.integers(0, 40), readings), min_size=1, max_size=25)
STRIPPED = {
    "id",
    "evidence",
    "readings",
    "origin",
    "identifier",
    "reference",
    "original",
    "sha256",
    "position",
}


def timed(course: Sequence[tuple[int, tuple[str, str]]]) -> list[tuple[int, str, str]]:
    """Turn steps of so many minutes after each other into (minutes, vital, value)."""
    minutes, found = 0, []
    for step, (vital, value) in course:
        minutes += step
        found.append((minutes, vital, value))
    return found


def frames_of(values: Sequence[tuple[float, str, str]]) -> list[dict[str, Any]]:
    return [
        frame([measurement(minutes, vital, value)], minutes, seq=seq)
        for seq, (minutes, vital, value) in enumerate(values)
    ]


def received(values: Sequence[tuple[float, str, str]]) -> list[dict[str, Any]]:
    """Frames that are received in this order, none before the one before it."""
    times = accumulate((minutes for minutes, _, _ in values), max)
    return [
        frame([measurement(minutes, vital, value)], now, seq=seq)
        for seq, ((minutes, vital, value), now) in enumerate(zip(values, times, strict=True))
    ]


@settings(max_examples=60, deadline=None)
@given(courses)
def test_law_1_every_reading_is_single_summarised_or_not_published(course: list[Any]) -> None:
    """Continuous app vitals are summarised, and n of all windows is their count.

    All others are single, once. A value that comes twice at one instant is one measurement
    (test_sameness.py).
    """
    values = [
        *timed(course),
        (2000, "glucose_interstitial", "100"),
        (2001, "glucose_interstitial", "45"),
    ]
    output = replay_values(values, [PATIENT])
    came = [msgspec.convert(record, Reading) for record in of_type(output, "reading")]
    measurements = Measurements()
    found = [reading for reading in came if reading.value is None or measurements.add(reading)]
    policies = Counter(publishes(reading, shipped()) for reading in found)
    bodies = {body["id"]: body for body in of_type(output, "observation")}
    summaries = [body for body in bodies.values() if "method" in body]
    counted = sum(body["component"][0]["valueInteger"] for body in summaries)
    named = Counter(
        each["value"]
        for body in bodies.values()
        for each in body["identifier"]
        if "method" not in body
    )
    singles = [reading for reading in found if publishes(reading, shipped()) == "single"]
    assert counted == policies["summary"]
    assert all(named[f"urn:uuid:{reading.id}"] == 1 for reading in singles)
    evidence = {each for alert in of_type(output, "alert") for each in alert["evidence"]}
    known = {reading.id for reading in came}
    assert all(named[f"urn:uuid:{each}"] == 1 for each in evidence & known)
    # refused values are reported too
    assert evidence - known <= {each["id"] for each in of_type(output, "reject")}


@settings(max_examples=150, deadline=None)
@given(courses, st.randoms(use_true_random=False))
def test_law_2b_reordered_frames_give_the_same_readings_and_miss_no_high_alert(
    course: list[Any], chance: random.Random
) -> None:
    """There is one value of a vital at an instant.

    Of two, only the order of delivery would show which came last.
    """
    ordered = frames_of(timed([(step + 1, value) for step, value in course]))
    shuffled = chance.sample(ordered, len(ordered))
    entries = [worn(), {**PATIENT, "expected_every": {}}]
    first, second = replay_frames(ordered, entries), replay_frames(shuffled, entries)
    for kind in ("reading", "reject"):
        assert {each["id"] for each in of_type(first, kind)} == {
            each["id"] for each in of_type(second, kind)
        }
    assert _high_by_rules(first) <= _high_by_rules(second)


@pytest.mark.parametrize("calm", [(1, 9), (1, 2, 9), (1, 2, 8, 9)])
def test_law_2b_two_late_reds_in_a_row_are_two_in_a_row(calm: tuple[int, ...]) -> None:
    """They split a time inside the limits, and nothing lies between them.

    The state does not know how many values lay on which side.
    """
    values = [
        *((minute, "respiratory_rate", "15") for minute in calm),
        *((m, "respiratory_rate", "26") for m in (4, 5)),
    ]
    output = replay_frames(frames_of(values), [worn(), {**PATIENT, "expected_every": {}}])
    assert _high_by_rules(output) == {"vital_signs"}


LATE_IN_A_RUN = {
    "a run that is fresh at its end": (
        {},
        [(minute, "respiratory_rate", "22") for minute in range(0, 961, 30)],
        [(45, "respiratory_rate", "26"), (790, "oxygen_saturation", "93")],
        (790.5, "heart_rate", "135"),
    ),
    "a pulse from two sensors": (
        {},
        [*((minute, "heart_rate", "115") for minute in range(120)), (52, "pulse_rate", "70")],
        [(51.5, "heart_rate", "135"), (80.5, "oxygen_saturation", "93")],
        (80.5, "respiratory_rate", "26"),
    ),
    "too much oxygen for a moment": (
        {"oxygen_scale": 2, "on_oxygen": True},
        [
            *((minute, "oxygen_saturation", "90") for minute in range(0, 200, 5)),
            *((minute, "respiratory_rate", "15") for minute in (0, 54)),
        ],
        [(52, "oxygen_saturation", "97")],
        (52.5, "respiratory_rate", "22"),
    ),
}


@pytest.mark.parametrize("case", LATE_IN_A_RUN)
def test_law_2b_late_values_in_a_run_open_what_they_open_in_order(case: str) -> None:
    patient, run, late, last = LATE_IN_A_RUN[case]
    run = sorted(run, key=lambda value: value[0])
    entries = [worn(), {**PATIENT, "expected_every": {}, **patient}]
    for values in (sorted([*run, *late, last], key=lambda value: value[0]), [*run, *late, last]):
        output = replay_frames(received(values), entries)
        assert _high_by_rules(output) == {"vital_signs"}


def test_a_late_value_in_a_run_does_not_count_hours_later() -> None:
    """The pulse is known each minute, so one of 135 is over long before the others are unusual."""
    values = [(minute, "heart_rate", "72") for minute in range(600)]
    values += [(200.2, "respiratory_rate", "22"), (200.2, "oxygen_saturation", "93")]
    values += [(201.2, "respiratory_rate", "15"), (201.2, "oxygen_saturation", "97")]
    values = [*sorted(values, key=lambda value: value[0]), (30.5, "heart_rate", "135")]
    output = replay_frames(received(values), [worn(), {**PATIENT, "expected_every": {}}])
    assert not _high_by_rules(output)


@pytest.mark.parametrize("calm", [(1, 9), (1, 6, 9), (1, 2, 9), (1, 5, 6, 9)])
@pytest.mark.parametrize("others", [(3, 4), (4, 5), (2, 3)])
def test_law_2b_a_late_value_counts_until_the_next_one(
    calm: tuple[int, ...], others: tuple[int, int]
) -> None:
    """The state does not know when the readings of a calm time were measured.

    So a late value in it counts at its own time and at all moments up to the first that may be one
    of the calm readings.
    """
    values = [
        *((minute, "body_temperature", "36.6") for minute in calm),
        (others[0], "heart_rate", "135"),
        (others[1], "oxygen_saturation", "88"),
        (3, "body_temperature", "38.4"),
    ]
    ordered = sorted(values, key=lambda value: value[0])
    entries = [worn(), {**PATIENT, "expected_every": {}}]
    assert _high_by_rules(replay_frames(frames_of(ordered), entries)) <= _high_by_rules(
        replay_frames(frames_of(values), entries)
    )


def test_law_2b_a_known_calm_value_between_two_late_reds_parts_them() -> None:
    values = [
        (minute, "respiratory_rate", value)
        for minute, value in ((1, "15"), (9, "15"), (4, "26"), (6, "15"))
    ]
    values += [(5, "respiratory_rate", "16"), (7, "respiratory_rate", "26")]
    output = replay_frames(frames_of(values), [worn(), {**PATIENT, "expected_every": {}}])
    assert not _high_by_rules(output)


def _high_by_rules(output: Output) -> set[str]:
    """Return the groups that limits or NEWS2 opened at high."""
    return {alert["group"] for alert in of_type(output, "alert") if alert["priority"] == "high"}


@settings(max_examples=40, deadline=None)
@given(courses, st.integers(1, 400))
def test_law_4_shifted_by_days_gives_the_same_shifted(course: list[Any], days: int) -> None:
    """There is one value of a vital at an instant.

    Of two, their ids would decide the order (CONTRACT 3), and ids depend on the time.
    """
    values = timed([(step + 1, value) for step, value in course])
    lines = [*csv_lines(values), "p,nothing\n"]
    moved = [
        *csv_lines([(minutes + days * 1440, *rest) for minutes, *rest in values]),
        "p,nothing\n",
    ]
    until = values[-1][0] + 3000
    plain = replay_csv(lines, [PATIENT], until)
    shifted = replay_csv(moved, [PATIENT], until + days * 1440)
    assert [(kind, _moved(record, days)) for kind, record in plain] == [
        (kind, _moved(r, 0)) for kind, r in shifted
    ]


def _moved(value: Any, days: int) -> Any:
    if isinstance(value, dict):
        return {key: _moved(each, days) for key, each in value.items() if key not in STRIPPED}
    if isinstance(value, list):
        return [_moved(each, days) for each in value]
    if isinstance(value, str) and len(value) >= 20 and value[4] == "-" and value[10] == "T":
        return datetime.fromisoformat(value).astimezone(UTC) + timedelta(days=days)
    return value


@settings(max_examples=40, deadline=None)
@given(courses)
def test_the_same_input_gives_the_same_output(course: list[Any]) -> None:
    values = timed(course)
    assert replay_values(values, [PATIENT]) == replay_values(values, [PATIENT])


@settings(max_examples=40, deadline=None)
@given(courses)
def test_a_file_given_twice_adds_only_duplicates(course: list[Any]) -> None:
    values = timed(course)
    output = replay_frames([*frames_of(values), *frames_of(values)], [worn()])
    once = replay_frames(frames_of(values), [worn()])
    for kind in ("reading", "alert"):
        assert of_type(output, kind) == of_type(once, kind)
    assert {each["id"] for each in of_type(output, "reject")} == {
        each["id"] for each in of_type(once, "reject")
    }


@settings(max_examples=40, deadline=None)
@given(courses, courses)
def test_patients_do_not_touch_each_other(mine: list[Any], other: list[Any]) -> None:
    both = [(*row, "p") for row in timed(mine)] + [(*row, "q") for row in timed(other)]
    # an instant's rows stay one frame
    together = sorted(both, key=lambda row: (row[0], row[3], row[1:3]))
    lines = csv_lines([])
    for minutes, vital, value, patient in together:
        lines += csv_lines([(minutes, vital, value)], patient)[1:]
    alone = last_alerts(
        replay_csv([line for line in lines if not line.startswith("q,")], [PATIENT])
    )
    found = {
        key: each
        for key, each in last_alerts(replay_csv(lines, [PATIENT])).items()
        if each["patient"] == "p"
    }
    assert found == alone


@settings(max_examples=40, deadline=None)
@given(courses)
def test_a_restart_between_every_two_messages_changes_nothing(course: list[Any]) -> None:
    """Law 6: state is restored exactly."""
    values = timed([*course * 3])  # detectors restart while they learn
    assert _through_the_agents(values, restart=True) == _through_the_agents(values, restart=False)


def _through_the_agents(values: Sequence[tuple[float, str, str]], restart: bool) -> list[bytes]:
    registry = registry_of([worn(), PATIENT])
    device, patient = DeviceState(), unpack_patient(None, "p")
    written: list[bytes] = []
    for offset, sent in enumerate(frames_of(values)):
        ingest, judge = Ingest(shipped(), registry, recorded_time=True), Judge(shipped(), registry)
        position = Position(topic="rpm.frames", partition=0, offset=offset)
        message = FrameMessage(
            key="d", value=msgspec.json.encode(sent), position=position, received_at=START
        )
        done = ingest.step(device, message)
        for readings_message in done.readings:
            steps = [
                judge.tick(patient, readings_message.received_at),
                judge.step(patient, readings_message),
            ]
            written += [line for step in steps if step for line in _written(step)]
            assert judge.step(patient, readings_message) is None
        if restart:
            device, patient = (
                unpack_device(pack_device(device)),
                unpack_patient(pack_patient(patient), "p"),
            )
    return written


def _written(judged: Judged) -> list[bytes]:
    records = [*judged.scores, *judged.alerts, *judged.rejects]
    return [msgspec.json.encode(record) for record in records] + [
        each.body for each in judged.observations
    ]


def test_state_stays_small_over_a_week_of_everything() -> None:
    """Law 6: 48 KB, with every vital wandering through all its levels."""
    chance = random.Random(7)
    run = new_replay([PATIENT])
    values = [
        (minute, vital, chance.choice(USUAL[vital]))
        for minute in range(0, 7 * 1440, 30)
        for vital in sorted(USUAL)
    ]
    for sent in frames_of(values):
        list(run.jsonl(msgspec.json.encode({**sent, "device": "csv.p"}), 1))
    run = new_replay([worn(device="d"), PATIENT])
    for sent in frames_of(values):
        list(run.jsonl(msgspec.json.encode(sent), 1))
    assert len(run.state_of("p")) < 48 * 1024


@pytest.mark.parametrize("days", [1, 30])
def test_texts_hold_no_dates(days: int) -> None:
    """CONTRACT 9: what a person reads must not change when the story is moved in time."""
    values = [(0, "heart_rate", "135"), (0, "oxygen_saturation", "88"), (5, "heart_rate", "135")]
    first = of_type(replay_values(values), "alert")
    moved = of_type(
        replay_values([(minutes + 1440 * days, *rest) for minutes, *rest in values]), "alert"
    )
    assert [(each["title"], each["why"], each["rule"]) for each in first] == [
        (each["title"], each["why"], each["rule"]) for each in moved
    ]
    assert stamp(0)[:10] not in str([(each["title"], each["why"], each["rule"]) for each in first])
