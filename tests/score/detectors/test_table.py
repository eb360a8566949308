"""The laws that every detector in the table meets; what is particular to one is in its own file.

Normal readings are drawn with fixed seeds around the usual values of several made-up people; gross
values are the query bounds (outside them a reading is kept and flagged ``query``).
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from math import inf, nan
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.people import (
    PEOPLE,
    VECTOR,
    VECTOR_SETS,
    VITALS,
    Vector,
    feature,
    features,
    gross_values,
    normal,
    p95,
    vector,
)

from rpm_stream.envelope import enclose, whole
from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.scoring import VitalDetectorName
from rpm_stream.records import Record
from rpm_stream.score.detectors.codec import LAYOUT, StateError
from rpm_stream.score.detectors.detector_entry import DetectorKind
from rpm_stream.score.detectors.protocol import WARM_AFTER, Detector, Feature, score_then_learn
from rpm_stream.score.detectors.table import DETECTORS, VECTOR_DETECTORS, VITAL_DETECTORS


class Case(Record, frozen=True, kw_only=True):
    """One detector of the table with what it takes, so that a law is written once for both
    kinds.
    """

    kind: DetectorKind
    watched: tuple[Feature, ...]
    fresh: Callable[[], Detector]
    restore: Callable[[bytes], Detector]
    draw: Callable[[random.Random], Vector]
    scaled: Callable[[float], Vector]  # the usual reading times a factor
    unusable: tuple[Vector, ...]
    incomplete: tuple[Vector, ...]


def vital_case(kind: DetectorKind) -> Case:
    watched = (feature("heart_rate"),)
    return Case(
        kind=kind,
        watched=watched,
        fresh=lambda: kind.fresh(watched),
        restore=lambda data: kind.restore(watched, data),
        draw=lambda rng: {"heart_rate": normal("heart_rate", 0, rng)},
        scaled=lambda factor: {"heart_rate": 72 * factor},
        unusable=tuple({"heart_rate": value} for value in (nan, inf, -inf, 0.0, -1.0, 1e12)),
        incomplete=({}, {"systolic": 120.0}),
    )


def vector_case(kind: DetectorKind) -> Case:
    watched = features()
    usual = {vital: VITALS[vital].people[0][0] for vital in VECTOR}
    bad = tuple(
        {**usual, vital: value} for vital in VECTOR for value in (nan, inf, -inf, 0.0, -1.0, 1e12)
    )
    missing = tuple({other: usual[other] for other in VECTOR if other != vital} for vital in VECTOR)
    return Case(
        kind=kind,
        watched=watched,
        fresh=lambda: kind.fresh(watched),
        restore=lambda data: kind.restore(watched, data),
        draw=lambda rng: vector(0, rng),
        scaled=lambda factor: {vital: value * factor for vital, value in usual.items()},
        unusable=bad,
        incomplete=(*missing, {}),
    )


CASES = {name: vital_case(kind) for name, kind in VITAL_DETECTORS.items()} | {
    name: vector_case(kind) for name, kind in VECTOR_DETECTORS.items()
}
each = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def trained(case: Case, readings: int, seed: int = 7) -> Detector:
    rng = random.Random(seed)
    detector = case.fresh()
    for _ in range(readings):
        detector.learn_one(case.draw(rng))
    return detector


def test_every_detector_of_the_table_is_tried() -> None:
    """A detector without a case would escape the laws."""
    assert set(CASES) == set(DETECTORS)
    for name, case in CASES.items():
        assert case.fresh().name == name


def test_the_knowledge_table_can_choose_each_detector_of_one_vital() -> None:
    """ "All are available": what detectors.toml may say is what there is."""
    assert set(get_args(VitalDetectorName)) == set(VITAL_DETECTORS)


@each
@given(readings=st.integers(0, 230), factor=st.floats(0.01, 10))
@settings(max_examples=25, deadline=None)
def test_scoring_changes_nothing(case: Case, readings: int, factor: float) -> None:
    """Law 5: the state before and after is the same bytes, the second score the same number."""
    detector = trained(case, readings)
    before = detector.to_state()
    first = detector.score_one(case.scaled(factor))
    assert 0.0 <= first <= 1.0
    assert detector.score_one(case.scaled(factor)) == first
    assert detector.to_state() == before


@each
def test_the_same_readings_give_the_same_scores(case: Case) -> None:
    """Law 2 rests on it: no clock, no seed from outside."""
    runs = []
    for _ in range(2):
        rng = random.Random(3)
        detector = case.fresh()
        runs.append(
            [score_then_learn(detector, case.draw(rng), True) for _ in range(450)]
            + [detector.to_state()]
        )
    assert runs[0] == runs[1]


@each
def test_silent_until_warm(case: Case) -> None:
    """Not a word before 200 learned readings, even at a gross one; from then on it speaks."""
    rng = random.Random(5)
    detector = case.fresh()
    for _ in range(WARM_AFTER):
        assert not detector.warm
        assert detector.score_one(case.scaled(3.0)) == 0.0
        detector.learn_one(case.draw(rng))
    assert detector.warm
    assert detector.score_one(case.scaled(3.0)) > case.kind.threshold


@each
@given(readings=st.integers(0, 420), more=st.integers(1, 120))
@settings(max_examples=25, deadline=None)
def test_restored_is_the_same_detector(case: Case, readings: int, more: int) -> None:
    """Law 6: same state, and bit by bit the same scores on whatever follows, windows turning
    included.
    """
    detector = trained(case, readings)
    restored = case.restore(detector.to_state())
    assert restored.to_state() == detector.to_state()
    assert restored.warm == detector.warm
    rng = random.Random(readings)
    for _ in range(more):
        reading = case.draw(rng)
        assert score_then_learn(restored, reading, True) == score_then_learn(
            detector, reading, True
        )
    assert restored.to_state() == detector.to_state()


@each
def test_unusable_numbers_are_refused_and_change_nothing(case: Case) -> None:
    """NaN scores as an anomaly and poisons running moments: it must not get in, by either door,
    warm or not.
    """
    for readings in (0, WARM_AFTER):
        detector = trained(case, readings)
        before = detector.to_state()
        for reading in case.unusable:
            with pytest.raises(ValueError):
                detector.score_one(reading)
            with pytest.raises(ValueError):
                detector.learn_one(reading)
        assert detector.to_state() == before


@each
def test_an_incomplete_vector_says_nothing_and_is_not_learned(case: Case) -> None:
    """As River has it: a feature may be missing.

    A half of a vector is no statement about a person.
    """
    detector = trained(case, WARM_AFTER)
    before = detector.to_state()
    for reading in case.incomplete:
        assert detector.score_one(reading) == 0.0
        detector.learn_one(reading)
    assert detector.to_state() == before


def corrupt(state: bytes, step: int) -> Iterator[bytes]:
    """Each byte changed (all bits, then one), each length cut (every ``step``-th), and bytes
    added.
    """
    for at in range(0, len(state), step):
        for mask in (0xFF, 1 << at % 8):
            yield state[:at] + bytes((state[at] ^ mask,)) + state[at + 1 :]
        yield state[:at]
    yield state + b"\0"
    yield b""


@each
def test_corrupt_state_is_one_error(case: Case) -> None:
    """Law 6: whatever the bytes, StateError; River raises a BaseException on its own bad bytes."""
    for data in corrupt(trained(case, 250).to_state(), 1):
        with pytest.raises(StateError):
            case.restore(data)


@each
@given(
    readings=st.integers(0, 260),
    changes=st.lists(st.tuples(st.integers(0), st.integers(1, 255)), min_size=1),
)
@settings(max_examples=40, deadline=None)
def test_any_changed_bytes_are_one_error_or_nothing_changed(
    case: Case, readings: int, changes: list[tuple[int, int]]
) -> None:
    """Law 6: any number of bytes changed anywhere.

    Changes may undo each other, or write a number in another of msgpack's forms.
    """
    state = trained(case, readings).to_state()
    changed = bytearray(state)
    for at, mask in changes:
        changed[at % len(changed)] ^= mask
    try:
        restored = case.restore(bytes(changed))
    except StateError:
        assert changed != state
    else:
        assert restored.to_state() == state


@each
@given(data=st.binary(max_size=2000))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_one_error(case: Case, data: bytes) -> None:
    """Law 6, from no state at all."""
    with pytest.raises(StateError):
        case.restore(data)


@each
def test_bad_numbers_under_a_good_checksum_are_one_error(case: Case) -> None:
    """The topic can be written by others: a valid checksum proves nothing about the payload."""
    sealed = whole(trained(case, 250).to_state(), (LAYOUT,))
    payload = sealed.body
    assert case.restore(enclose(payload, sealed.versions, LAYOUT)).warm
    counts = (0, 201, 2**32 - 1) if len(case.watched) > 1 else ()
    tampered = [struct.pack(">I", count) + payload[4:] for count in counts]
    tampered += [
        payload[:at] + struct.pack(">d", bad) + payload[at + 8 :]
        for at in (4, 12)
        for bad in (nan, inf, -inf, -1e300, 1e300)
    ]
    for each_payload in tampered:
        with pytest.raises(StateError):
            case.restore(enclose(each_payload, sealed.versions, LAYOUT))


@each
def test_state_is_small(case: Case) -> None:
    """CONTRACT 8: 16 kB a vital and 48 in all; each kind promises its own, smaller bound,
    however much was learned.
    """
    assert (
        max(len(trained(case, readings).to_state()) for readings in (0, 250, 1000))
        <= case.kind.state_bytes
    )


@each
@pytest.mark.parametrize("factor", [0.6, 0.8, 1.25, 1.6])
def test_a_lasting_shift_is_not_locked_out(case: Case, factor: float) -> None:
    """Law 5: flagged at first, and no more once the promised number of readings was learned."""
    rng = random.Random(11)
    detector = trained(case, 300)

    def shifted() -> Vector:
        return {vital: value * factor for vital, value in case.draw(rng).items()}

    first = shifted()
    if factor in (0.6, 1.6):
        assert detector.score_one(first) >= case.kind.threshold
    for _ in range(case.kind.adapts_within):
        detector.learn_one(shifted())
    assert all(
        score_then_learn(detector, shifted(), True) < case.kind.threshold for _ in range(100)
    )


@each
def test_learning_is_the_callers_choice(case: Case) -> None:
    """What was flagged as deterioration is not learned: ``learn=False`` leaves the state as it
    was.
    """
    detector = trained(case, 220)
    before = detector.to_state()
    assert score_then_learn(detector, case.scaled(1.5), False) > 0.5
    assert detector.to_state() == before


# --- law 5: gross outranks normal, for every vital ------------------------------------------------


def test_every_vital_that_is_watched_is_tried() -> None:
    """A vital without made-up people would escape the law."""
    assert set(VITALS) >= shipped().detectors.personal.vitals | shipped().detectors.lasting.vitals


@pytest.mark.parametrize("name", VITAL_DETECTORS)
@pytest.mark.parametrize("vital", VITALS)
@pytest.mark.parametrize("person", PEOPLE)
def test_a_gross_value_outranks_normal_ones(name: str, vital: str, person: int) -> None:
    """Low and high side, also for a saturation that never leaves 98 (its variance is zero)."""
    for seed in range(5):
        rng = random.Random(f"{vital} {person} {seed}")
        detector = VITAL_DETECTORS[name].fresh(feature(vital))
        for _ in range(WARM_AFTER):
            detector.learn_one({vital: normal(vital, person, rng)})
        usual = p95([detector.score_one({vital: normal(vital, person, rng)}) for _ in range(200)])
        for gross in gross_values(vital, person):
            assert detector.score_one({vital: gross}) > usual, (vital, gross, seed)


@pytest.mark.parametrize("name", VECTOR_DETECTORS)
@pytest.mark.parametrize("vitals", VECTOR_SETS, ids=len)
@pytest.mark.parametrize("person", PEOPLE)
def test_one_gross_value_makes_a_vector_outrank_normal_ones(
    name: str, vitals: tuple[str, ...], person: int
) -> None:
    """Each vital of each set, low and high side, the others as they happen to be."""
    for seed in range(5):
        rng = random.Random(f"{vitals} {person} {seed}")
        detector = VECTOR_DETECTORS[name].fresh(features(vitals))
        for _ in range(WARM_AFTER):
            detector.learn_one(vector(person, rng, vitals))
        usual = p95([detector.score_one(vector(person, rng, vitals)) for _ in range(200)])
        for vital in vitals:
            for gross in gross_values(vital, person):
                assert detector.score_one({**vector(person, rng, vitals), vital: gross}) > usual, (
                    vital,
                    gross,
                    seed,
                )
