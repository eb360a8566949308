"""Whatever entry the registry holds, its patient is judged and no other patient's judge ends.

Entries are typed by people.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.frames import START, stamp, worn
from support.frames import frame as frame_of
from support.frames import measurement as measured
from support.replaying import new_replay, of_type, replay_frames
from support.ward import Ward

from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import RegistryError, parse_entry
from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient
from rpm_stream.pipeline.stored_entry import read_entry
from rpm_stream.records import PatientEntry
from rpm_stream.score.memory.expected import MOST_MINUTES
from rpm_stream.score.rules.entry_faults import faults

OWN = ("heart_rate", "oxygen_saturation", "weight", "glucose", "body_temperature", "mean_arterial")
VITALS = st.sampled_from([*OWN, "heartrate", "", "a b"])
NUMBERS = st.sampled_from(
    [
        1,
        60,
        10**6,
        10**11,
        2**63 - 1,
        2**63,
        2**64,
        10**4000,
        0,
        -1,
        0.1,
        1e-300,
        1e300,
        -1e300,
        "1",
        "-0",
        "9" * 24,
    ]
)
MINUTES = st.sampled_from(
    [1, 30, 10**6, MOST_MINUTES, MOST_MINUTES + 1, 10**11, 2**63 - 1, 2**64, 10**30]
)
TIMES = st.sampled_from(
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "0001-01-01T00:00:00-14:00",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:00Z",
        "9999-12-31T23:59:59-14:00",
        "9999-12-31T23:59:59+14:00",
        "1900-01-01T00:00:00Z",
        stamp(-600),
        stamp(0),
        stamp(30),
        stamp(90),
        None,
    ]
)
BORN = st.sampled_from(
    ["0001", "0000", "9999", "9999-12-31", "0001-01-01", "2022-02-30", "2020", "", "x", None]
)
UNITS = st.sampled_from(["/min", "%", "kg", "mg/dL", "Cel", "", "x", "[lb_av]"])
LIMITS = st.fixed_dictionaries(
    {"vital": VITALS, "unit": UNITS, "owner": st.just("dr")},
    optional={
        "low": NUMBERS,
        "high": NUMBERS,
        "recover": NUMBERS,
        "for": st.sampled_from([0, 10080]),
        "of": st.just({"count": 12, "last": 1, "within": 1}),
        "priority": st.sampled_from(["high", "low"]),
        "valid_from": TIMES,
        "until": TIMES,
    },
)
PATIENTS = st.fixed_dictionaries(
    {"patient": st.just("p")},
    optional={
        "born": BORN,
        "pregnant": st.booleans(),
        "oxygen_scale": st.sampled_from([1, 2]),
        "on_oxygen": st.sampled_from([True, False, None]),
        "expected_every": st.dictionaries(VITALS, MINUTES, max_size=4),
        "limits": st.lists(LIMITS, max_size=4),
        "panel": st.just("x"),
        "target_weight": st.fixed_dictionaries({"value": NUMBERS, "unit": UNITS, "at": TIMES}),
    },
)
SPANS = st.fixed_dictionaries(
    {"patient": st.sampled_from(["p", "p", "q"])}, optional={"from": TIMES, "until": TIMES}
)
DEVICES = st.fixed_dictionaries(
    {"device": st.sampled_from(["d", "a", "b"]), "assignments": st.lists(SPANS, max_size=3)},
    optional={"model": st.sampled_from(["Omron", "", None])},
)
PANELS = st.fixed_dictionaries({"panel": st.just("x"), "limits": st.lists(LIMITS, max_size=3)})
VALUES = [
    ("heart_rate", "190"),
    ("oxygen_saturation", "84"),
    ("weight", "80.5"),
    ("glucose", "40"),
    ("body_temperature", "41.0"),
    ("mean_arterial", "93"),
]


@settings(max_examples=150, deadline=None)
@given(PATIENTS, st.lists(DEVICES, max_size=3), PANELS)
@example({"patient": "p", "expected_every": {"heartrate": 60}}, [], {"panel": "x", "limits": []})
@example(
    {"patient": "p", "expected_every": {"heart_rate": 10**11}}, [], {"panel": "x", "limits": []}
)
@example(
    {"patient": "p", "expected_every": {"heart_rate": 60}},
    [{"device": "a", "assignments": [{"patient": "p", "from": "9999-12-31T23:59:00Z"}]}],
    {"panel": "x", "limits": []},
)
@example(
    {"patient": "p", "expected_every": {"heart_rate": 60}},
    [{"device": "a", "assignments": [{"patient": "p", "from": "9999-12-31T23:59:59+14:00"}]}],
    {"panel": "x", "limits": []},
)
@example(
    {"patient": "p", "expected_every": {"heart_rate": 60}},
    [{"device": "a", "assignments": [{"patient": "p", "from": "0001-01-01T00:00:00+14:00"}]}],
    {"panel": "x", "limits": []},
)
def test_no_entry_that_can_be_read_ends_the_judge(
    patient: dict[str, Any], devices: list[dict[str, Any]], panel: dict[str, Any]
) -> None:
    ward = Ward()
    sent = [(30 * place, 30 * place, *value) for place, value in enumerate([*VALUES, *VALUES])]
    messages = [ward.message(at, value) for at, *value in sent]
    for entry in [patient, *devices, panel]:
        stored = read_entry(msgspec.json.encode(entry))
        faults(stored.entry, shipped())
        ward.registry.put(stored.entry, stored.left_out)
    ward.tick(-10)
    for message, (at, *_) in zip(messages, sent, strict=True):
        ward.tick(at)
        judged = ward.judge.step(ward.patient, message)
        assert judged is not None and judged.rejects == ()
        ward.patient = unpack_patient(pack_patient(ward.patient), "p")
    for late in (400, 5000, 10**6):
        ward.tick(late)
    sealed = pack_patient(ward.patient)
    unpack_patient(sealed, "p")
    assert len(sealed) <= 48 * 1024


@pytest.mark.parametrize("at", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_nor_do_the_ends_of_time(at: datetime) -> None:
    """In a recording the times are what a person wrote."""
    ward = Ward({"v": 1, "patient": "p", "expected_every": {"heart_rate": 60}, "oxygen_scale": 2})
    ward.now("heart_rate", "190", 0)
    ward.judge.tick(ward.patient, at)
    pack_patient(ward.patient)


# --- how often something is expected --------------------------------------------------------------


def settings_told(expected: dict[str, int]) -> list[dict[str, Any]]:
    """Return the alerts of group settings, with the replay's time at its end."""
    entries = [worn(), {"v": 1, "patient": "p", "expected_every": expected}]
    output = replay_frames([frame_of([measured(0, "heart_rate", "72")], 0)], entries, 5000)
    return [alert for alert in of_type(output, "alert") if alert["group"] == "settings"]


@pytest.mark.parametrize("expected", [{"heartrate": 60}, {"weight": MOST_MINUTES + 1}])
def test_what_cannot_be_expected_is_left_out_and_told_and_the_others_hold(
    expected: dict[str, int],
) -> None:
    entries = [worn(), {"v": 1, "patient": "p", "expected_every": {**expected, "heart_rate": 60}}]
    output = replay_frames([frame_of([measured(0, "heart_rate", "72")], 0)], entries, 5000)
    told = {alert["group"]: alert for alert in of_type(output, "alert")}
    assert told["device:silence"]["opened_at"] == stamp(60)
    assert (told["settings"]["priority"], told["settings"]["title"]) == (
        "low",
        "Silence that cannot be noticed",
    )
    assert "is left out" in told["settings"]["why"][0]


def test_what_can_be_expected_is_not_told() -> None:
    assert settings_told({"heart_rate": 60, "weight": MOST_MINUTES}) == []


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ({"heartrate": 60}, "expected_every: there is no vital 'heartrate'"),
        (
            {"weight": MOST_MINUTES + 1},
            "expected_every: weight is expected less often than every 527040 minutes (366 days)",
        ),
    ],
)
def test_what_cannot_be_expected_is_refused_when_it_is_loaded(
    expected: dict[str, int], words: str
) -> None:
    entry = PatientEntry(patient="p", expected_every=expected)
    assert faults(entry, shipped()) == [words]


def test_a_weight_at_discharge_that_cannot_be_is_told() -> None:
    weight = {"value": 820, "unit": "kg", "at": stamp(-600)}
    output = replay_frames(
        [frame_of([measured(0, "weight", "80.0")], 0)],
        [worn(), {"v": 1, "patient": "p", "target_weight": weight}],
    )
    (alert,) = [alert for alert in of_type(output, "alert") if alert["group"] == "settings"]
    assert (alert["priority"], alert["title"]) == (
        "low",
        "A weight at discharge that cannot be used",
    )
    assert "820 kg is none of a body: is the unit right?" in alert["why"][0]


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_utc_does_not_have_is_none_of_an_entry(at: str) -> None:
    """No state could hold such a time."""
    entry = {"v": 1, "device": "d", "assignments": [{"patient": "p", "from": at}]}
    with pytest.raises(RegistryError, match=r"^a time lies outside the years 1 to 9999 in UTC$"):
        parse_entry(msgspec.json.encode(entry))


def test_a_device_that_is_given_out_at_the_end_of_time_is_not_missed() -> None:
    entries = [
        {"v": 1, "patient": "p", "expected_every": {"heart_rate": 60}},
        {"v": 1, "device": "d", "assignments": [{"patient": "p", "from": "9999-12-31T23:59:00Z"}]},
    ]
    assert list(new_replay(entries).finish(START + timedelta(days=400))) == []
