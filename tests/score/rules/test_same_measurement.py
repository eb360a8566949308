"""Which readings are one measurement, and what is kept to know it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.readings import reading_at

from rpm_stream.knowledge import shipped
from rpm_stream.records import Origin, Reading
from rpm_stream.sameness import Measurements, are_one, measured, plain_number
from rpm_stream.score.memory.size import forget_vital, size, vitals
from rpm_stream.score.memory.state import ScoreState
from rpm_stream.score.rules import same_measurement as same
from rpm_stream.score.rules.same_measurement import (
    MOST,
    MOST_A_MINUTE,
    MOST_COPIES,
    MOST_TWINS,
    Same,
)

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
SAME = Same(shipped())


def reading(seconds: float, value: str | None, device: str = "cuff", **fields: Any) -> Reading:
    given = {
        "id": f"{device} {seconds} {value}",
        "device": device,
        "unit": "mm[Hg]",
        "absent": None if value else "error",
        "attributes": {"characteristic": "app"},
        "origin": Origin(frame=f"f-{device}-{seconds}", index=0, part=0),
    }
    return reading_at(START + timedelta(seconds=seconds), "systolic", value, **(given | fields))


def is_again(state: ScoreState, fact: Reading) -> bool:
    return SAME.also_seen(state, [fact]) == [fact]


def stored(state: ScoreState) -> ScoreState:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=ScoreState)


@pytest.mark.parametrize(
    ("other", "is_one"),
    [
        (reading(20, "140", "app"), True),
        (reading(20, "140.0", "app"), True),
        (reading(20, "0140", "app"), True),
        (reading(20, "140", origin=Origin(frame="other", index=0, part=0)), True),
        # a part of the same payload
        (reading(20, "140", origin=Origin(frame="f-cuff-20", index=0, part=1)), False),
        # another entry of the frame
        (reading(20, "140", origin=Origin(frame="f-cuff-20", index=1, part=0)), True),
        (reading(20, "141", "app"), False),
        (reading(20, "140", "app", unit="kPa"), False),
        (reading(0, "140", "app"), True),  # a full minute, 20 s before
        (reading(60, "140", "app"), True),  # a full minute, 40 s after
        (reading(0, "140", "cuff"), False),  # a device does not measure one value at two times
        (reading(21, "140", "app"), False),  # neither stands on a full minute
        (reading(120, "140", "app"), False),
        (reading(-60, "140", "app"), False),
    ],
)
def test_what_is_one_measurement(other: Reading, is_one: bool) -> None:
    first = reading(20, "140")
    assert are_one(measured(first), measured(other), "systolic") == is_one
    for one, two in ((first, other), (other, first)):
        state = ScoreState()
        assert not is_again(state, one)
        assert is_again(stored(state), two) == is_one


def test_sixty_seconds_apart_are_two() -> None:
    assert not are_one(measured(reading(0, "140")), measured(reading(60, "140", "app")), "systolic")
    assert are_one(measured(reading(0, "140")), measured(reading(59.999, "140", "app")), "systolic")


def test_a_glucose_sensor_is_read_by_two_ways_at_any_second() -> None:
    one, other = (
        reading(at, "100", device, vital="glucose_interstitial", unit="mg/dL")
        for at, device in ((7, "a"), (49, "b"))
    )
    assert are_one(measured(one), measured(other), "glucose_interstitial")
    assert not are_one(measured(one), measured(other), "glucose")


@given(st.decimals(-500, 500, places=3).map(str), st.integers(0, 4), st.integers(0, 4))
def test_equal_numbers_have_one_text(text: str, before: int, after: int) -> None:
    longer = text.replace("-", "")
    longer = ("-" if text[0] == "-" else "") + "0" * before + longer + "0" * after
    assert plain_number(longer) == plain_number(text)
    assert Decimal(plain_number(longer)) == Decimal(text)


def test_an_absent_value_is_never_the_same() -> None:
    state = ScoreState()
    assert SAME.also_seen(state, [reading(0, None), reading(0, None, "app")]) == []
    assert state == ScoreState()


def test_what_a_device_says_of_itself_is_no_measurement() -> None:
    """Two batteries at 80 % on the minute are two batteries."""
    state = ScoreState()
    two = [reading(0, "80", device, vital="battery", unit="%") for device in ("a", "b")]
    assert SAME.also_seen(state, two) == []


def test_a_second_value_of_a_device_is_no_copy_of_a_copy() -> None:
    """The app's minute holds one of the cuff's two equal values; the other one counts."""
    state = ScoreState()
    app, *cuff = reading(60, "185", "app"), reading(10, "185"), reading(50, "185")
    assert [is_again(state, each) for each in (app, *cuff)] == [False, True, False]
    assert [is_again(ScoreState(), each) for each in cuff] == [False, False]


def test_a_second_value_of_a_device_is_none_however_much_came_since() -> None:
    """More than is kept whole: the app has told of the first measurement, at its minute, and
    sends another.
    """
    state = ScoreState()
    for day in range(MOST_TWINS + 1):
        assert not is_again(state, reading(day * 86_400 + 7, "140"))
        assert is_again(state, reading(day * 86_400, "140", "app"))
    assert not is_again(stored(state), reading(7, "140", "app"))


@pytest.mark.parametrize("days", [1, 5])
def test_where_too_many_tell_of_a_measurement_one_is_published_twice(days: int) -> None:
    """An app that sends all again and again, each time as something new."""
    state, most = ScoreState(), MOST_COPIES * MOST
    told = [
        is_again(
            state,
            reading(day * 86_400, "140", origin=Origin(frame=f"{day} {turn}", index=0, part=0)),
        )
        for turn in range(3 * most)
        for day in range(days)
    ]
    assert days < told.count(False) < len(told) / 8
    assert len(state.copies["systolic"]) <= most * 20


@given(st.permutations(range(12)), st.lists(st.integers(0, 11), max_size=20))
def test_values_apart_are_found_whenever_the_second_arrives(
    order: list[int], again: list[int]
) -> None:
    """A cuff's values of some days, an app that delivers them when it likes: each once, whatever
    came between.
    """
    state, known = ScoreState(), set()
    facts = [(day, reading(day * 86_400 + 17, "140")) for day in order]
    facts += [
        (day, reading(day * 86_400, "140", f"app{number}")) for number, day in enumerate(again)
    ]
    for day, fact in facts:
        assert is_again(state, fact) == (day in known)
        known.add(day)


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.sampled_from("abc"), st.integers(70, 71)), max_size=14
    ),
    st.data(),
)
def test_kept_marks_and_the_whole_list_say_the_same(
    course: list[tuple[int, str, int]], data: st.DataObject
) -> None:
    """As long as all of it is kept, what a correction counts from the topics is what the judge
    counted.
    """
    assume(len(course) <= MOST_A_MINUTE or len({at for at, *_ in course}) * 3 <= MOST_A_MINUTE)
    state, whole = ScoreState(), Measurements()
    for number, (at, device, value) in enumerate(course):
        fact = reading(
            at * data.draw(st.sampled_from([1, 20, 60])),
            str(value),
            device,
            origin=Origin(frame=str(number), index=0, part=0),
        )
        assert is_again(state, fact) != whole.add(fact)


def test_at_one_hertz_it_stays_small() -> None:
    state, chance = ScoreState(), random.Random(3)
    for second in range(2000):
        for device in ("a", "b"):
            SAME.also_seen(state, [reading(second, str(chance.randint(60, 62)), device)])
    assert len(state.seen["systolic"]) == MOST_A_MINUTE * 20
    assert len(msgspec.msgpack.encode(state.twins)) < 600
    assert size(state, "systolic") < 900


def test_a_flood_pushes_out_nothing_older() -> None:
    """A night on the oximeter between a spot value and what its app tells of it in the morning."""
    state = ScoreState()
    spot = [reading(-day * 86_400, "97") for day in range(5, 0, -1)]
    night = [reading(second, "97", "clip") for second in range(3600)]
    assert SAME.also_seen(state, [*spot, *night]) == []
    assert len(state.seen["systolic"]) == (5 + MOST_A_MINUTE) * 20 <= MOST * 20 < 300
    again = [reading(-day * 86_400, "97", "app") for day in range(1, 6)]
    assert SAME.also_seen(state, again) == again


def test_two_beats_of_a_second_are_two() -> None:
    beats = [
        reading(
            0, "800", vital="rr_interval", unit="ms", origin=Origin(frame="f", index=index, part=0)
        )
        for index in (0, 1)
    ]
    assert SAME.also_seen(ScoreState(), beats) == []


def test_it_is_measured_and_forgotten_with_its_vital() -> None:
    state = ScoreState()
    SAME.also_seen(state, [reading(0, "140"), reading(0, "140", "app")])
    assert vitals(state) == {"systolic"}
    forget_vital(state, "systolic")
    assert state == ScoreState()


def test_what_hangs_on_a_value_is_not_kept() -> None:
    state = ScoreState()
    heavy = {"characteristic": "app", "note": "x" * 5000, "more": {"deep": [1]}}
    SAME.also_seen(state, [reading(0, "140"), reading(0, "140", "app", attributes=heavy)])
    assert len(msgspec.msgpack.encode(state.twins)) < 250


def test_the_second_takes_the_place_of_the_first() -> None:
    state = ScoreState()
    first, second, third = reading(0, "140"), reading(0, "140", "app"), reading(30, "140", "cloud")
    assert SAME.also_seen(state, [first, second, third]) == [second, third]
    state = stored(state)
    assert same.not_counted(state, [first, second, third]) == {second.id, third.id}
    assert same.heirs(state, "p", [second]) == ()
    found = same.heirs(state, "p", [first])
    assert found == (second, third)
    same.forget(state, first)
    assert (state.seen, state.copies) == ({}, {})
    assert SAME.also_seen(state, found) == [third]
    assert same.not_counted(state, [second, third]) == {third.id}


def test_a_second_that_is_taken_back_takes_no_place() -> None:
    state = ScoreState()
    first, second = reading(0, "140"), reading(0, "140", "app")
    SAME.also_seen(state, [first, second])
    same.forget(state, second)
    assert (len(state.seen), state.copies, state.twins) == (1, {}, {})
    assert same.heirs(state, "p", [first]) == ()
    assert same.not_counted(state, [first]) == frozenset()
    assert is_again(state, second)  # the first is known all the same
