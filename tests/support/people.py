"""Invented people: usual values of each, drawn with fixed seeds, and values that are gross for
anyone.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping
from math import inf

from rpm_stream.records import Record
from rpm_stream.score.detectors.protocol import Feature

Vector = dict[str, float]


class Vital(Record, frozen=True, kw_only=True):
    """Usual values (mean and standard deviation of three people), resolution and query bounds."""

    people: tuple[tuple[float, float], ...]
    resolution: float
    gross: tuple[float, ...]
    most: float = inf  # largest possible value


VITALS: Mapping[str, Vital] = {
    "heart_rate": Vital(people=((72, 6), (58, 3), (88, 9)), resolution=1, gross=(30, 220)),
    "respiratory_rate": Vital(people=((16, 2), (13, 1), (20, 2.5)), resolution=1, gross=(6, 50)),
    "oxygen_saturation": Vital(
        people=((97, 1), (98, 0), (92, 1.5)), resolution=1, gross=(70,), most=100
    ),
    "systolic": Vital(people=((128, 10), (108, 6), (150, 14)), resolution=1, gross=(70, 250)),
    "diastolic": Vital(people=((80, 6), (68, 5), (90, 9)), resolution=1, gross=(40, 150)),
    "body_temperature": Vital(
        people=((36.8, 0.3), (36.4, 0.15), (37.0, 0.4)), resolution=0.1, gross=(34, 41.5)
    ),
    "glucose": Vital(people=((140, 30), (105, 15), (170, 45)), resolution=1, gross=(40, 400)),
    # More than 5 kg within a day is the query bound; the daily scatter of a person's weight is
    # about half a kilogram.
    "weight": Vital(people=((82, 0.5), (55, 0.4), (120, 0.8)), resolution=0.1, gross=()),
    "pulse_rate": Vital(people=((74, 6), (60, 3), (86, 9)), resolution=2, gross=(30, 220)),
}
PEOPLE = range(3)
VECTOR = ("heart_rate", "respiratory_rate", "oxygen_saturation", "systolic", "body_temperature")
VECTOR_SETS = (
    VECTOR,
    ("heart_rate", "oxygen_saturation"),
    ("systolic", "diastolic", "heart_rate"),
    tuple(VITALS)[:7],
)


def feature(vital: str) -> Feature:
    return Feature(vital=vital, resolution=VITALS[vital].resolution)


def features(vitals: tuple[str, ...] = VECTOR) -> tuple[Feature, ...]:
    return tuple(feature(vital) for vital in vitals)


def gross_values(vital: str, person: int) -> tuple[float, ...]:
    usual = VITALS[vital].people[person][0]
    return VITALS[vital].gross or (usual - 5.1, usual + 5.1)


def normal(vital: str, person: int, rng: random.Random) -> float:
    """Return one usual reading with the device's digits."""
    row = VITALS[vital]
    mean, deviation = row.people[person]
    steps = round(rng.gauss(mean, deviation) / row.resolution)
    return min(row.most, max(1, steps) * row.resolution)


def vector(person: int, rng: random.Random, vitals: tuple[str, ...] = VECTOR) -> Vector:
    return {vital: normal(vital, person, rng) for vital in vitals}


def p95(scores: list[float]) -> float:
    return statistics.quantiles(scores, n=20)[-1]
