"""Glucose that falls fast: told before it is low, and not for noise."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.frames import frame, measurement, stamp, worn
from support.replaying import of_type, replay_frames, replay_values

from rpm_stream.score.rules.predicted_glucose import PredictedGlucose

RULE = "rate.falling.glucose_interstitial"
Alert = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def alone() -> Iterator[None]:
    """The rate by itself: most falls are predicted by the forecast, too, in the same alert."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(PredictedGlucose, "look", lambda *_: None)
        yield


def falling(values: list[tuple[float, float]]) -> list[Alert]:
    """The alerts that the rate has opened: (minutes, mg/dL)."""
    output = replay_values([(at, "glucose_interstitial", f"{value:.0f}") for at, value in values])
    return [alert for alert in of_type(output, "alert") if alert["rule"].startswith(RULE)]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([(0, 118), (5, 108), (10, 98), (15, 88)], True),  # 2 a minute, 68 in 10 minutes
        ([(0, 121), (5, 111), (10, 101), (15, 91)], False),  # 71
        ([(0, 117), (5, 108), (10, 98), (15, 89)], False),  # 1.8 to 1.9 a minute
        ([(0, 144), (5, 129), (10, 114), (15, 99)], True),  # 3 a minute: from 100 on
        ([(0, 146), (5, 131), (10, 116), (15, 101)], False),
        ([(0, 100), (5, 90)], False),  # two values
        ([(0, 128), (10, 108), (40, 80)], False),  # a gap: nothing is known of the last minutes
        ([(0, 98), (5, 98), (10, 98), (15, 70)], False),  # one value lower: it may be an artefact
    ],
)
def test_falling_at_two_a_minute_to_be_low_within_ten_minutes(
    values: list[tuple[float, float]], told: bool
) -> None:
    found = falling(values)
    assert bool(found) is told
    if told:
        assert (found[0]["group"], found[0]["priority"]) == ("glucose", "medium")
        assert "a minute: 70 mg/dL in about" in found[0]["why"][0]


def test_it_tells_value_rate_and_time() -> None:
    (alert,) = falling([(0, 118), (5, 108), (10, 98), (15, 88)])
    assert alert["why"] == [
        (
            "glucose interstitial 88 mg/dL, falling 2.0 mg/dL a minute: 70 mg/dL in about 9 minutes"
            " (trend)"
        )
    ]


def test_in_the_unit_of_the_sensor() -> None:
    values = [(0, "6.6"), (5, "6.0"), (10, "5.4"), (15, "4.8")]  # mmol/L; 2.16 mg/dL a minute, 86.5
    output = replay_values([(at, "glucose_interstitial", value, "mmol/L") for at, value in values])
    (alert,) = [alert for alert in of_type(output, "alert") if alert["rule"].startswith(RULE)]
    assert alert["why"] == [
        (
            "glucose interstitial 4.8 mmol/L, falling 0.12 mmol/L a minute: 3.9 mmol/L in about 8"
            " minutes (trend)"
        )
    ]


@pytest.mark.parametrize(("trend", "told"), [("ecff", True), ("edff", False), ("ff07", False)])
def test_what_the_sensor_says_itself_counts_where_little_is_known(trend: str, told: bool) -> None:
    """2AA7: size 8, flags trend, 85 mg/dL, 10 minutes; trend -2.0 (0xFFEC is -20 with exponent
    -1), -1.9, NaN.
    """
    sent = {"ecff": "ecff", "edff": "edff", "ff07": "ff07"}[trend]
    payload = f"080155000a00{sent if sent == 'ff07' else exponent(sent)}"
    output = replay_frames(
        [frame([{"at": stamp(0), "characteristic": "2AA7", "payload": payload}], 0)], [worn()]
    )
    assert (
        bool([alert for alert in of_type(output, "alert") if alert["rule"].startswith(RULE)])
        is told
    )


def exponent(mantissa: str) -> str:
    """An SFLOAT with 12 bits of mantissa and the exponent -1."""
    number = int.from_bytes(bytes.fromhex(mantissa), "little") & 0x0FFF
    return (0xF000 | number).to_bytes(2, "little").hex()


def test_late_values_take_their_place() -> None:
    sent = [(0, 118), (15, 88), (10, 98), (5, 108)]
    frames = [
        frame([measurement(at, "glucose_interstitial", str(value))], 20 + seq, seq)
        for seq, (at, value) in enumerate(sent)
    ]
    body = [alert["rule"] for alert in of_type(replay_frames(frames[:2], [worn()]), "alert")]
    assert body == []
    ordered = sorted(frames[1:], key=lambda each: each["measurements"][0]["at"])
    assert [
        alert
        for alert in of_type(replay_frames([frames[0], *ordered], [worn()]), "alert")
        if alert["rule"].startswith(RULE)
    ]


def test_it_ends_when_it_no_longer_leads_to_low() -> None:
    after = [(20, 86), (25, 87), (30, 89), (35, 90), (40, 91), (45, 92)]
    output = replay_values(
        [
            (at, "glucose_interstitial", str(value))
            for at, value in [(0, 118), (5, 108), (10, 98), (15, 88), *after]
        ]
    )
    assert of_type(output, "alert")[-1]["state"] == "resolved"


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(100, 200))
def test_sensor_noise_about_a_level_tells_nothing(seed: int, level: int) -> None:
    """Values every 5 minutes and an error of 2 % each: a pair may be steep, the median is not."""
    chance = random.Random(seed)
    values = [
        (5.0 * number, max(75.0, level * (1 + chance.gauss(0, 0.02)))) for number in range(96)
    ]
    assert falling(values) == []
