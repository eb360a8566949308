"""What is right in the windows out of which readings are taken back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from support.readings import START, reading

from rpm_stream.knowledge import shipped
from rpm_stream.publish.fhir.remaining import Remaining
from rpm_stream.publish.fhir.summaries import add_all, close
from rpm_stream.publish.window_state import Summaries
from rpm_stream.records import Reading, Window


def beat(value: str, seconds: float, **fields: Any) -> Reading:
    return reading(
        "heart_rate", value, "/min", seconds, **{"attributes": {"characteristic": "2A37"}, **fields}
    )


def left(
    wrong: list[Reading], *messages: list[Reading], voided: tuple[str, ...] = ()
) -> tuple[Window, ...]:
    remaining = Remaining(wrong, voided, shipped())
    for message in messages:
        remaining.add(message)
    return remaining.of(wrong)


def test_two_devices_and_the_right_half_of_the_wrong_one() -> None:
    """The wrong wearer's time ends in the middle of a window, and the patient wore another
    device all along.
    """
    wrong = [beat("140", second) for second in (0, 60)]
    own = [beat("62", second, device="d-2", id=f"own-{second}") for second in (30, 90)]
    (window,) = left(wrong, [*wrong, beat("60", 120)], own)
    assert (window.start, window.end) == (START, START + timedelta(minutes=15))
    assert (window.count, window.minimum, window.median, window.maximum) == (3, "60", "62", "62")
    assert window.device is None
    assert window.received_at == START + timedelta(seconds=122)


def test_what_is_not_in_the_window_is_not_counted() -> None:
    """Another window, vital or patient; what is published singly or not at all; what was taken
    back before.
    """
    wrong = beat("140", 0)
    others = [
        beat("61", 900),
        beat("62", 1, patient="p-2"),
        beat("63", 2, attributes={"characteristic": "app"}),
        reading("body_fat", "20", "%", 3),
        beat("64", 4, id="voided"),
        beat("65", 5, flags=("demo",)),
        reading("heart_rate", None, "/min", 6, attributes={"characteristic": "2A37"}),
    ]
    assert left([wrong], [wrong, *others], voided=("voided",)) == ()
    (window,) = left([wrong], [wrong, *others, beat("66", 7)], voided=("voided",))
    assert (window.count, window.median, window.device) == (1, "66", "d-1")


def test_a_repeated_record_counts_once() -> None:
    wrong, right = beat("140", 0), [beat("60", 60), beat("80", 120)]
    assert left([wrong], right, right, [*right, wrong]) == left([wrong], right)


def test_readings_that_are_published_singly_touch_no_window() -> None:
    remaining = Remaining([reading("body_temperature", "39.0", "Cel")], (), shipped())
    assert remaining.patients == frozenset()
    assert Remaining([beat("140", 0)], (), shipped()).patients == {"p-1"}


def test_each_action_names_the_windows_of_its_own_readings() -> None:
    wrong = [beat("140", 0), beat("140", 900), beat("140", 960)]
    remaining = Remaining(wrong, (), shipped())
    remaining.add([beat("60", 30), beat("61", 930)])
    assert [window.median for window in remaining.of(wrong[:1])] == ["60"]
    assert [window.median for window in remaining.of(wrong[1:])] == ["61"]


def test_units_are_converted_as_the_judge_does_within_a_message_in_order_of_time() -> None:
    right = [
        reading("glucose_interstitial", "10.0", "mmol/L", 60),
        reading("glucose_interstitial", "100", "mg/dL", 30),
    ]
    wrong = reading("glucose_interstitial", "40", "mg/dL", 90)
    judged = Summaries(wrong.patient)
    add_all(judged, sorted(right, key=lambda each: each.measured_at), shipped())
    assert left([wrong], right) == tuple(close(judged))


def test_a_full_window_of_values_that_never_repeat_is_a_few_hundred_octets() -> None:
    """An action stays far below what the topic takes, with half a kilobyte for each of its 250
    readings.
    """
    wrong = beat("140", 0, device="d" * 128)
    values = [
        beat(f"70.{second:024d}", second, device="d" * 128, id=str(second)) for second in range(900)
    ]
    (window,) = left([wrong], values)
    assert window.count == 900
    assert len(msgspec.json.encode(window)) < 600
    assert msgspec.json.decode(msgspec.json.encode(window), type=Window) == window


def test_a_measurement_that_came_twice_counts_once_and_by_the_other_where_the_first_is_wrong() -> (
    None
):
    """The maker's servers told of the sensor's values again, some seconds later."""
    own = [_sensor("a", second, "a") for second in (0, 300)]
    again = [_sensor("b", second + 20, "b") for second in (0, 300, 600)]
    wrong = _sensor("c", 100, "c")
    (window,) = left([wrong], own, again)
    assert window.count == 3
    (window,) = left(own, own, again)
    assert (window.count, window.device) == (3, "b")
    (window,) = left(again, own, again)
    assert (window.count, window.device) == (2, "a")


def test_a_measurement_whose_first_reading_is_in_the_window_beside_counts_there() -> None:
    """The app keeps whole minutes; each way round, and for the window before and the one after."""
    at = {
        "app": beat("60", 900, device="app", id="app"),
        "own": beat("60", 870, device="own", id="own"),
    }
    before, after = beat("140", 0), beat("140", 1500)
    assert left([before], [at["app"]], [at["own"]]) == ()
    assert left([after], [at["own"]], [at["app"]]) == ()
    for wrong, first, second in ((before, "own", "app"), (after, "app", "own")):
        (window,) = left([wrong], [at[first]], [at[second]])
        assert (window.count, window.device) == (1, first)


def _sensor(name: str, seconds: float, device: str) -> Reading:
    return reading(
        "glucose_interstitial", "100", "mg/dL", seconds, device=device, id=f"{name}-{seconds}"
    )
