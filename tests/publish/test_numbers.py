"""Numbers in another unit: no more digits than the sensor vouches for, and the nearest such
number.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.readings import reading
from support.tables import rows

from rpm_stream.knowledge import shipped
from rpm_stream.publish.fhir.observation import observation
from rpm_stream.publish.fhir.remaining import Remaining
from rpm_stream.publish.fhir.summaries import add_all, close
from rpm_stream.publish.numbers import converted, exact, mean, published
from rpm_stream.publish.window_state import Summaries
from rpm_stream.publish.windows import place_of
from rpm_stream.records import Window

PAIRS = [
    (vital, unit, to)
    for vital, row in sorted(shipped().vitals.items())
    for unit in row.units
    for to in row.units
]
TEXTS = st.from_regex(r"\A[0-9]{1,3}(\.[0-9]{1,4})?\Z")


def places(text: str) -> int:
    return len(text.partition(".")[2])


def fraction(value: str, unit: str, to: str) -> Fraction:
    """The exact number, by the table and without rounding at any digit."""
    number, units = Fraction(value), shipped().units
    for row in [units[unit]] if unit in units else []:
        number = (number - Fraction(row.subtract)) * Fraction(row.multiply) / Fraction(row.divide)
    for row in [units[to]] if to in units else []:
        number = number * Fraction(row.divide) / Fraction(row.multiply) + Fraction(row.subtract)
    return number


def assert_nearest(text: str, wanted: Fraction, most: int) -> None:
    assert places(text) <= most
    assert abs(Fraction(text) - wanted) <= Fraction(1, 2 * 10**most)
    assert "e" not in text.lower() and not (text.startswith("-") and not Fraction(text))


@given(st.sampled_from(PAIRS), TEXTS)
def test_what_is_converted_has_one_place_more_and_is_the_nearest(
    pair: tuple[str, str, str], value: str
) -> None:
    _, unit, to = pair
    text, wanted = converted(value, unit, to, shipped()), fraction(value, unit, to)
    if unit == to or wanted == Fraction(value):
        assert text == value
    else:
        assert_nearest(text, wanted, min(places(value) + 1, 3))


@given(st.sampled_from(PAIRS), st.lists(st.tuples(TEXTS, st.booleans()), min_size=1, max_size=6))
def test_so_has_every_number_of_a_window_of_two_units(
    pair: tuple[str, str, str], values: Sequence[tuple[str, bool]]
) -> None:
    """Put in order as exact numbers; the mean of two middle ones too."""
    vital, unit, other = pair
    facts = [
        reading(vital, text, unit if first or not place else other, place)
        for place, (text, first) in enumerate(values)
    ]
    state = Summaries("p-1")
    add_all(state, facts, shipped())
    (window,) = close(state)
    found = sorted(fraction(str(each.value), each.unit, window.unit) for each in facts)
    is_plain = all(each.unit == window.unit or found == Fraction(str(each.value)) for each in facts)
    most = max(places(str(each.value)) for each in facts) + 1
    for text, wanted in (
        (window.minimum, found[0]),
        (window.maximum, found[-1]),
        (window.median, _middle(found)),
    ):
        if is_plain:
            assert Fraction(text) == wanted and places(text) <= most
        else:
            assert places(text) <= max(most, 3) and abs(Fraction(text) - wanted) <= Fraction(1, 20)


def _middle(found: list[Fraction]) -> Fraction:
    return (found[(len(found) - 1) // 2] + found[len(found) // 2]) / 2


def test_one_window_of_millimoles_and_milligrams() -> None:
    facts = [("5.6", "mmol/L", 0), ("100", "mg/dL", 300), ("101", "mg/dL", 600)]
    assert _told(facts) == ("5.6", "5.6", "5.6")
    assert _told([facts[1], facts[2], ("5.6", "mmol/L", 700)]) == ("100", "101", "100.89")
    assert _told([("5.61", "mmol/L", 0), ("100.0", "mg/dL", 1)]) == ("5.55", "5.61", "5.58")


def _told(facts: Sequence[tuple[str, str, int]]) -> tuple[str, str, str]:
    state = Summaries("p-1")
    add_all(state, [reading("glucose_interstitial", *fact) for fact in facts], shipped())
    (window,) = close(state)
    return window.minimum, window.maximum, window.median


def test_order_and_median_are_those_of_the_exact_numbers() -> None:
    """Two numbers that are published alike stay apart where they are compared."""
    assert _told([("5.5", "mmol/L", 0), ("100", "mg/dL", 1), ("99", "mg/dL", 2)]) == (
        "5.5",
        "5.6",
        "5.5",
    )


@pytest.mark.parametrize(
    ("value", "unit", "to", "text"),
    rows("""
        16.0     kPa          mm[Hg]  120.01
        16       kPa          mm[Hg]  120
        5.6      mmol/L       mg/dL   100.89
        1.7500   m            cm      175
        31.9     [degF]       Cel     -0.06
        31.999   [degF]       Cel     -0.001
        31.9999  [degF]       Cel     0
        -40      [degF]       Cel     -40
        72.0     {beats}/min  /min    72.0
        0.25     g            kg      0
        500      g            kg      0.5
        550      g            kg      0.6
    """),
)
def test_numbers_by_hand(value: str, unit: str, to: str, text: str) -> None:
    assert converted(value, unit, to, shipped()) == text
    assert published(exact(value, unit, to, shipped())) == text


def test_a_mean_of_what_was_sensed_loses_nothing() -> None:
    assert mean("0.0001", "0.0002") == "0.00015"


@given(st.lists(st.tuples(TEXTS, st.booleans()), min_size=2, max_size=8), st.data())
def test_what_is_left_of_an_old_window_is_told_as_the_judge_would(
    values: Sequence[tuple[str, bool]], data: st.DataObject
) -> None:
    """A correction counts an old window from the topics: the same text as of one that is still
    kept.
    """
    facts = [
        reading("glucose_interstitial", text, "mg/dL" if first else "mmol/L", place)
        for place, (text, first) in enumerate(values)
    ]
    wrong = facts[data.draw(st.integers(0, len(facts) - 1))]
    right = [each for each in facts if each is not wrong]
    remaining = Remaining([wrong], (), shipped())
    remaining.add(facts)
    state = Summaries("p-1")
    add_all(state, right, shipped())
    assert remaining.of([wrong]) == tuple(close(state))
    assert place_of(wrong) == place_of(right[0])
    assert (
        msgspec.convert(msgspec.to_builtins(remaining.of([wrong])[0]), Window)
        == remaining.of([wrong])[0]
    )


def test_an_observation_has_the_same_number() -> None:
    found = observation(reading("systolic", "16.0", "kPa"), shipped())
    assert found is not None and b'"value":120.01,"unit":"mm[Hg]"' in found.body
