"""Moments without news, which are taken at once, leave the same bytes as moments looked at one by
one (``score/rules/stretch.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.corrections import correction
from support.frames import START, registry_of, stamp
from support.streams import NEWS, USUAL, Sent, Stream

from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.judge import Judge
from rpm_stream.pipeline.moments import Moments
from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient
from rpm_stream.pipeline.work import Work
from rpm_stream.records import Action, Reading, Readings

SECONDS = 1 / 60
LIMIT = {"unit": "/min", "owner": "dr", "priority": "low"}
PATIENTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "expected": {"expected_every": {"perfusion_index": 60, "mean_arterial": 60}},
    "scale 2": {"oxygen_scale": 2, "on_oxygen": False},
    "pregnant": {"pregnant": True},
    "child": {"born": "2011-05-01"},
    "sixteen today": {"born": "2010-03-20"},
    "born ahead": {"born": "2027-01-01"},
    "limit": {"limits": [{"vital": "heart_rate", "high": 95, **LIMIT}]},
    "for minutes": {"limits": [{"vital": "heart_rate", "high": 95, "for": 5, **LIMIT}]},
    "counted": {
        "limits": [
            {
                "vital": "heart_rate",
                "high": 95,
                "of": {"count": 2, "last": 3, "within": 60},
                **LIMIT,
            }
        ]
    },
    "from then to then": {
        "limits": [
            {
                "vital": "heart_rate",
                "high": 60,
                "valid_from": stamp(20 * 24 * 60 + 41 * SECONDS),
                "until": stamp(20 * 24 * 60 + 41.5 * SECONDS),
                **LIMIT,
            }
        ]
    },
}


class OneByOne(Moments):
    """Looks at each moment."""

    def take(self, work: Work, moments: Sequence[Sequence[Reading]]) -> None:
        for readings in moments:
            self.instant(work, readings)


class Counting(Moments):
    """Counts the moments at which it looked."""

    looked = 0

    def instant(self, work: Work, readings: Sequence[Reading]) -> None:
        self.looked += 1
        super().instant(work, readings)


def judges(patient: str) -> tuple[Judge, Judge]:
    """Return a judge that takes a stretch at once, and one that looks at each moment."""
    registry = registry_of([{"v": 1, "patient": "p", **PATIENTS[patient]}])
    return judge_with(Counting, registry), judge_with(OneByOne, registry)


def judge_with(kind: type[Moments], registry: Registry) -> Judge:
    judge = Judge(shipped(), registry)
    steps = judge.steps
    steps.moments = kind(shipped(), steps.scoring, steps.alerting)
    return judge


def looked(judge: Judge) -> int:
    """Return how many moments a counting judge has looked at."""
    assert isinstance(judge.steps.moments, Counting)
    return judge.steps.moments.looked


@cache
def known(patient: str) -> bytes:
    """A person of whom all vitals have been measured for twenty days."""
    judge = judges(patient)[1]
    person = unpack_patient(None, "p")
    stream = Stream(seed=1)
    sent = Sent(tuple(USUAL), moments=1, step=0, gap=3600, news="wanders", at=-1)
    while stream.now < START + timedelta(days=20) - timedelta(hours=1):
        judge.step(person, stream.message(sent))
    return pack_patient(person)


def voided(message: Readings) -> Action:
    """Somebody finds that the first reading of a message was wrong."""
    return correction("void", message.readings[:1], message.received_at)


def compare(patient: str, before: bytes | None, messages: Sequence[Sent], seed: int) -> float:
    """Both judges by the same messages; the share of moments that was taken without a look."""
    at_once, one_by_one = judges(patient)
    stream = Stream(seed=seed, now=START + timedelta(days=20), offset=1_000)
    people = [unpack_patient(before, "p") for _ in range(2)]
    moments = 0
    for sent in messages:
        message = stream.message(sent)
        moments += len({each.measured_at for each in message.readings})
        found, expected = (
            judge.step(person, message)
            for judge, person in zip((at_once, one_by_one), people, strict=True)
        )
        assert found is not None
        assert not found.rejects
        assert msgspec.json.encode(found) == msgspec.json.encode(expected)
        if sent.news == "voided":
            for judge, person in zip((at_once, one_by_one), people, strict=True):
                judge.act(person, voided(message))
        if sent.news == "restart":
            people[0] = unpack_patient(pack_patient(people[0]), "p")
        # what was applied since the last seal is applied again where a step fails
        if sent.at % 2 or sent is messages[-1]:
            assert pack_patient(people[0]) == pack_patient(people[1])
    return 1 - looked(at_once) / moments


STREAMS = (
    ("heart_rate",),
    ("oxygen_saturation",),
    ("respiratory_rate", "heart_rate"),
    ("oxygen_saturation", "heart_rate"),
    ("pulse_rate", "body_temperature", "systolic"),
    ("oxygen_saturation", "perfusion_index", "cadence"),
    ("glucose_interstitial", "battery", "heart_rate"),
)
quiet = st.sampled_from(STREAMS).flatmap(
    lambda vitals: st.builds(
        Sent,
        vitals=st.just(vitals),
        moments=st.integers(5, 70),
        step=st.sampled_from([0.25, 1, 1, 1, 5, 40]),
        gap=st.sampled_from([0.5, 1, 1, 30, 400]),
        news=st.sampled_from(("", "", "wanders", "still", "in steps")),
        at=st.just(-1),
    )
)
loud = quiet.flatmap(
    lambda each: st.builds(
        lambda news, at, gap: replace(each, news=news, at=at, gap=gap),
        st.sampled_from(NEWS),
        st.integers(0, 40),
        st.sampled_from([0, 1, 30, 3000, 9000]),
    )
)
courses = st.tuples(st.lists(quiet, min_size=1, max_size=2), loud, st.lists(quiet, max_size=2)).map(
    lambda parts: [*parts[0], parts[1], *parts[2]]
)


@pytest.mark.parametrize("patient", PATIENTS)
@settings(max_examples=50, deadline=None)
@given(messages=courses, seed=st.integers(0, 5))
def test_at_once_is_as_one_by_one(patient: str, messages: list[Sent], seed: int) -> None:
    compare(patient, known(patient), messages, seed)


@settings(max_examples=20, deadline=None)
@given(messages=courses, seed=st.integers(0, 5))
def test_of_a_person_of_whom_nothing_is_known_too(messages: list[Sent], seed: int) -> None:
    compare("plain", None, messages, seed)


def calm(*vitals: str, **fields: Any) -> Sent:
    """Half a minute of a stream."""
    return replace(Sent(vitals, moments=30, step=1, gap=1, news="", at=-1), **fields)


TRAPS: dict[str, tuple[str, list[Sent]]] = {
    "a sensor that is stuck": (
        "plain",
        [calm("heart_rate"), *[calm("heart_rate", moments=60, step=40, news="still")] * 4],
    ),
    "a pulse that is not the heart rate": (
        "plain",
        [
            calm("pulse_rate"),
            calm("heart_rate"),
            *[calm("heart_rate", news="higher"), calm("pulse_rate", news="lower")] * 6,
        ],
    ),
    "a pulse that disagreed once": (
        "plain",
        [
            calm("pulse_rate"),
            calm("heart_rate", news="higher"),
            calm("pulse_rate", moments=1, news="lower"),
            calm("heart_rate"),
            *[calm("pulse_rate")] * 2,
        ],
    ),
    "a strap that lost contact for a while": (
        "plain",
        [
            calm("heart_rate"),
            *[calm("heart_rate", moments=1, news="no contact", at=0)] * 2,
            *[calm("heart_rate")] * 2,
        ],
    ),
    "a value that its device does not mean": (
        "plain",
        [calm("heart_rate"), *[calm("heart_rate", news="flag", at=15)] * 2],
    ),
    "a value that is unusual for this person": (
        "plain",
        [calm("heart_rate"), *[calm("heart_rate", news="unusual")] * 2, calm("heart_rate")],
    ),
    "a reading that was wrong": (
        "plain",
        [
            *[calm("heart_rate")] * 3,
            calm("perfusion_index", moments=1, news="voided"),
            *[calm("heart_rate")] * 2,
        ],
    ),
    "a limit that counts": ("counted", [calm("heart_rate")] * 4),
    "two hours without a value": (
        "plain",
        [calm("respiratory_rate"), calm("respiratory_rate", news="pause", at=15)],
    ),
    "a frame that comes late": (
        "plain",
        [calm("heart_rate"), calm("heart_rate", news="late"), calm("heart_rate")],
    ),
    "a quarter of an hour": ("plain", [calm("heart_rate", moments=60, step=5)] * 8),
    "a day with all vitals": ("plain", [calm(*USUAL, moments=20, step=60)] * 4),
    "a slow drop": (
        "plain",
        [
            calm("oxygen_saturation", moments=60, step=5, noise=0.001),
            *[calm("oxygen_saturation", moments=60, step=5, noise=0.001, news="dip")] * 9,
        ],
    ),
    "midnight": ("plain", [calm("heart_rate", moments=64, step=60)] * 30),
    "the same by another device": (
        "plain",
        [calm("respiratory_rate"), *[calm("respiratory_rate", news="again", at=20)] * 3],
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("seed", range(3))
def test_what_a_calm_stretch_must_not_hide(trap: str, seed: int) -> None:
    patient, messages = TRAPS[trap]
    compare(patient, known(patient), messages, seed)
    compare(patient, None, messages, seed)


def test_two_vitals_that_begin_in_one_message_keep_their_order() -> None:
    """What is under a second apart makes no key of ``ScoreState.distances``."""
    registry = registry_of([{"v": 1, "patient": "p", **PATIENTS["expected"]}])
    stream = Stream(seed=1)
    first = stream.message(calm("heart_rate", moments=1))
    whole = stream.message(calm("mean_arterial", "perfusion_index", moments=10, step=0.5))
    places = {"mean_arterial": {0, 1, 2, 6, 9}, "perfusion_index": {0, 1, 4, 7}}
    kept = tuple(
        reading
        for place, reading in enumerate(whole.readings)
        if place // 2 in places[reading.vital]
    )
    uneven = msgspec.structs.replace(whole, readings=kept)
    packed = []
    for judge in (Judge(shipped(), registry), judge_with(OneByOne, registry)):
        person = unpack_patient(None, "p")
        for message in (first, uneven):
            judge.step(person, message)
        packed.append(pack_patient(person))
    assert packed[0] == packed[1]


@pytest.mark.parametrize("patient", ["plain", "pregnant"])
@pytest.mark.parametrize("vitals", [("heart_rate",), ("oxygen_saturation",), ("respiratory_rate",)])
def test_a_stream_without_news_is_mostly_taken_at_once(
    vitals: tuple[str, ...], patient: str
) -> None:
    """Else the law above would hold of nothing."""
    assert compare(patient, known(patient), [calm(*vitals)] * 40, seed=3) > 0.8
