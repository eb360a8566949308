"""Windows of continuous vitals: when they speak, what they say, and that they stay small."""

from __future__ import annotations

import random
import statistics
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.readings import START, reading

from rpm_stream.knowledge import shipped
from rpm_stream.publish.fhir.observation import summary
from rpm_stream.publish.fhir.summaries import KEPT_WINDOWS, add, add_all, close, tick
from rpm_stream.publish.window_state import Summaries
from rpm_stream.records import Reading, Window

MINUTE = 60


def beat(value: str, seconds: float) -> Reading:
    return reading("heart_rate", value, "/min", seconds, attributes={"characteristic": "2A37"})


def stored(state: Summaries) -> Summaries:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=Summaries)


@given(
    st.lists(
        st.tuples(st.integers(-5000, 5000), st.integers(0, 3)).map(
            lambda parts: str(Decimal(parts[0]).scaleb(-parts[1]))
        ),
        min_size=1,
        max_size=40,
    )
)
def test_median_minimum_maximum_are_exact(values: list[str]) -> None:
    state = Summaries("p-1")
    add_all(
        state,
        [reading("body_fat", value, "%", place) for place, value in enumerate(values)],
        shipped(),
    )
    (window,) = close(state)
    numbers = [Decimal(value) for value in values]
    assert Decimal(window.median) == statistics.median(numbers)
    assert (Decimal(window.minimum), Decimal(window.maximum)) == (min(numbers), max(numbers))
    assert window.count == len(values)
    most = max(len(value.partition(".")[2]) for value in values)
    assert len(window.median.partition(".")[2]) <= most + 1
    assert "e" not in window.median.lower()


def test_a_window_is_due_five_minutes_past_its_end() -> None:
    state = Summaries("p-1")
    assert add(state, beat("70", 0), shipped()) == (True, [])
    assert add(state, beat("80", 14 * MINUTE + 59), shipped()) == (True, [])
    assert add(state, beat("90", 19 * MINUTE + 59), shipped()) == (True, [])
    taken, due = add(state, beat("90", 20 * MINUTE), shipped())
    assert taken
    assert [(window.start, window.end, window.count, window.median) for window in due] == [
        (START, START + timedelta(minutes=15), 2, "75")
    ]
    assert add(state, beat("90", 21 * MINUTE), shipped()) == (True, [])


def test_another_vital_makes_no_window_due() -> None:
    state = Summaries("p-1")
    add(state, beat("70", 0), shipped())
    assert add(state, reading("glucose_interstitial", "100", "mg/dL", 3600), shipped()) == (
        True,
        [],
    )
    assert [window.vital for window in close(state)] == ["heart_rate", "glucose_interstitial"]


def test_a_late_reading_comes_again_under_the_same_id() -> None:
    state = Summaries("p-1")
    add(state, beat("70", 0), shipped())
    _, (first,) = add(state, beat("90", 20 * MINUTE), shipped())
    taken, (second,) = add(stored(state), beat("72", 60), shipped())
    assert taken
    assert (first.count, second.count) == (1, 2)
    assert summary(first, shipped()).id == summary(second, shipped()).id


def test_a_late_reading_of_a_past_window_that_is_not_kept_yet_is_due_at_once() -> None:
    state = Summaries("p-1")
    add(state, beat("90", 60 * MINUTE), shipped())
    taken, due = add(state, beat("72", 0), shipped())
    assert (taken, [window.start for window in due]) == (True, [START])


def test_tick_speaks_once_and_never_early() -> None:
    state = Summaries("p-1")
    add(state, beat("70", 0), shipped())
    assert tick(state, START + timedelta(minutes=19, seconds=59)) == []
    assert [window.count for window in tick(state, START + timedelta(minutes=20))] == [1]
    assert tick(state, START + timedelta(minutes=40)) == []
    assert close(state) == []


def test_at_most_eight_windows_and_an_older_reading_is_refused_for_good() -> None:
    """Else a closed window would come again under its id with only the late reading in it."""
    state = Summaries("p-1")
    spoken: list[Window] = []
    for quarter in range(KEPT_WINDOWS + 2):
        spoken += add(state, beat("70", quarter * 15 * MINUTE), shipped())[1]
    assert len(state.courses["heart_rate"].bins) == KEPT_WINDOWS
    assert add(state, beat("99", 0), shipped()) == (False, [])
    assert add(state, beat("99", 15 * MINUTE), shipped()) == (False, [])
    taken, due = add(state, beat("99", 30 * MINUTE), shipped())
    assert (taken, [window.count for window in due]) == (True, [2])
    spoken += close(state)
    assert [window.start for window in spoken] == [
        START + timedelta(minutes=15 * n) for n in range(KEPT_WINDOWS + 2)
    ]


def test_a_reading_older_than_eight_full_windows_is_refused_before_any_was_closed() -> None:
    state = Summaries("p-1")
    for quarter in range(1, KEPT_WINDOWS + 1):
        add(state, beat("70", quarter * 15 * MINUTE), shipped())
    assert add(state, beat("99", 0), shipped()) == (False, [])


def test_the_first_unit_wins_and_others_are_converted_exactly() -> None:
    state = Summaries("p-1")
    add(state, reading("glucose_interstitial", "100", "mg/dL", 0), shipped())
    add(state, reading("glucose_interstitial", "10.0", "mmol/L", 60), shipped())
    (window,) = close(state)
    assert (window.unit, window.minimum, window.maximum, window.median) == (
        "mg/dL",
        "100",
        "180.16",
        "140.08",
    )


def test_a_unit_that_the_profile_forbids_is_summarised_in_the_one_that_it_fixes() -> None:
    state = Summaries("p-1")
    add(state, reading("heart_rate", "72.0", "{beats}/min"), shipped())
    (window,) = close(state)
    assert (window.unit, window.median) == ("/min", "72.0")


def test_two_devices_in_one_window_name_none() -> None:
    state = Summaries("p-1")
    add_all(state, [beat("70", 0), beat("71", 1)], shipped())
    assert [window.device for window in close(state)] == ["d-1"]
    both = [reading("heart_rate", "72", "/min", 2, device="d-2"), beat("73", 3)]
    assert [window.device for window in add_all(state, both, shipped())[1]] == [None]


def test_an_absent_reading_is_not_counted() -> None:
    state = Summaries("p-1")
    assert add(state, reading("heart_rate", None, "/min"), shipped()) == (False, [])
    assert close(state) == []


def hour(step: int, values: list[str]) -> list[Reading]:
    return [beat(values[second % len(values)], second) for second in range(0, 3600, step)]


def test_an_hour_at_one_hertz_stays_below_four_kilobytes() -> None:
    chance = random.Random(7)
    values = [str(round(chance.gauss(78, 12))) for _ in range(3600)]
    state = Summaries("p-1")
    add_all(state, hour(1, values), shipped())
    assert sum(sum(window.counts.values()) for window in state.courses["heart_rate"].bins) == 3600
    assert len(msgspec.msgpack.encode(state)) < 4096


def test_values_that_never_repeat_do_not_fill_the_state() -> None:
    """Contract 8: at most 16 KB a vital.

    Every reading is either counted in a window that speaks, or refused.
    """
    state = Summaries("p-1")
    counted: dict[object, int] = {}
    refused = 0
    for second in range(0, 4 * 3600, 2):
        taken, due = add(state, beat(f"70.{second:024d}", second), shipped())
        refused += not taken
        counted.update({window.start: window.count for window in due})
        assert len(msgspec.msgpack.encode(state)) < 16_000
    counted.update({window.start: window.count for window in close(state)})
    assert sum(counted.values()) + refused == 4 * 1800
    assert refused > 0


@given(
    st.permutations(range(0, 10800, 360)), st.lists(st.integers(1, 30), max_size=6), st.booleans()
)
def test_the_last_word_of_every_window_does_not_depend_on_ticks_or_on_batches(
    order: list[int], cuts: list[int], restored: bool
) -> None:
    """Law 2a: a live run with its ticks and messages ends with the bytes of the replay."""
    facts = [beat(str(60 + second // 360), second) for second in order]
    plain, live = Summaries("p-1"), Summaries("p-1")
    last: dict[str, bytes] = {}
    heard: dict[str, bytes] = {}
    for fact in facts:
        last.update(
            (one.id, one.body)
            for one in (summary(window, shipped()) for window in add(plain, fact, shipped())[1])
        )
    last.update(
        (one.id, one.body) for one in (summary(window, shipped()) for window in close(plain))
    )
    edges = sorted({0, len(facts), *(cut for cut in cuts if cut < len(facts))})
    for begin, end in pairwise(edges):
        _, due = add_all(live, facts[begin:end], shipped())
        due += tick(live, facts[end - 1].received_at + timedelta(minutes=7 * begin))
        heard.update((one.id, one.body) for one in (summary(window, shipped()) for window in due))
        live = stored(live) if restored else live
    heard.update(
        (one.id, one.body) for one in (summary(window, shipped()) for window in close(live))
    )
    assert heard == last


@pytest.mark.parametrize("days", [1, 365])
def test_a_whole_day_later_the_windows_are_a_whole_day_later(days: int) -> None:
    """Law 4."""
    here, there = Summaries("p-1"), Summaries("p-1")
    for second in range(0, 3600, 60):
        add(here, beat("70", second), shipped())
        add(there, beat("70", second + days * 86400), shipped())
    pairs = list(zip(close(here), close(there), strict=True))
    assert pairs
    for window, later in pairs:
        assert later.start - window.start == timedelta(days=days)
        assert (later.median, later.count) == (window.median, window.count)
