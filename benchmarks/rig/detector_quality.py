"""Measure what each detector alone is worth on real data, beside NEWS2 and chance.

Run: ``benchmarks/detectors.py --quality``.

The data are hourly vitals of intensive-care stays with the onset of sepsis, and continuous glucose
of people at home (RPM_SHARED, data/README.md). Values are scored, then learned unless flagged, as
the service does. An alarm is followed by 4 hours of silence. It counts if it comes in the 12 hours
before an onset (glucose: in the hour before a value below 70 mg/dL).

A stay is too short for a warm-up of 200 readings: as shipped no learned detector gives an alarm in
one. So for the stays each starts after ``EARLY`` readings of a vital. The combined detector needs
200 complete vectors and gives none.
"""

from __future__ import annotations

import csv
import gzip
import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias
from unittest.mock import patch

from rpm_stream.knowledge import shipped
from rpm_stream.score.detectors.protocol import WARM_AFTER, Detector, Feature
from rpm_stream.score.detectors.table import VITAL_DETECTORS

EARLY = 12
BUDGETS = (0.25, 0.5, 1.0)  # alarms a patient-day
# hours
SILENCE = 4.0
HORIZON = 12.0
PARTS = {
    "heart_rate": "pulse",
    "oxygen_saturation": "oxygen_saturation",
    "respiratory_rate": "respiratory_rate",
    "systolic": "systolic",
    "body_temperature": "body_temperature",
}
FRESH = float(shipped().news2.fresh_for_hours)
GLUCOSE = "glucose_interstitial"
LOW = 70.0
BEFORE_LOW = 1.0
PEOPLE = 25
QUICK_STAYS = 400
QUICK_PEOPLE = 1
LEARN_EVERY = 0.25

Hour: TypeAlias = tuple[float, dict[str, float]]
Scores: TypeAlias = list[tuple[float, float]]  # hour, score


def feature(vital: str) -> Feature:
    """Return a vital as a feature, as the service has it."""
    return Feature(vital=vital, resolution=float(shipped().vitals[vital].resolution))


def hours_of(at: str) -> float:
    """Return the hours since a fixed day."""
    return (
        datetime.fromisoformat(at) - datetime.fromisoformat("2020-01-01T00:00:00Z")
    ) / timedelta(hours=1)


def read(path: Path, people: int | None = None) -> dict[str, list[Hour]]:
    """Return values by patient and moment, in order of time.

    They are of ``people`` patients spread over the file, or of all.
    """
    series: dict[str, dict[float, dict[str, float]]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            moment = series.setdefault(row["patient"], {}).setdefault(
                hours_of(row["measured_at"]), {}
            )
            moment[row["vital"]] = float(row["value"])
    names = sorted(name for name in series if len(series[name]) >= WARM_AFTER or people is None)
    kept = names if people is None else names[:: max(1, len(names) // people)][:people]
    return {name: sorted(series[name].items()) for name in kept}


def personal(name: str, stay: Sequence[Hour], every: float = 0.0) -> Scores:
    """Return the highest score of any vital at each moment.

    What is flagged is not learned, at most for 72 hours.
    """
    kind = VITAL_DETECTORS[name]
    detectors = dict[str, Detector]()
    learned = dict[str, float]()
    flagged_since: dict[str, float] = {}
    scores: Scores = []
    for at, values in stay:
        worst = 0.0
        for vital, value in values.items():
            detector = detectors.setdefault(vital, kind.fresh(feature(vital)))
            score = detector.score_one({vital: value})
            worst = max(worst, score)
            if score < kind.threshold:
                flagged_since.pop(vital, None)
            elif at - flagged_since.setdefault(vital, at) < 72.0:
                continue
            if not detector.warm or at - learned.get(vital, at - every) >= every:
                detector.learn_one({vital: value})
                learned[vital] = at
        scores.append((at, worst))
    return scores


def news2(stay: Sequence[Hour]) -> Scores:
    """Return the points of the five measured parts, each while it is fresh."""
    rows = {
        name: [(float(upto or "inf"), points) for upto, points in part.rows]
        for name, part in shipped().news2.parameters().items()
    }
    newest: dict[str, tuple[float, int]] = {}
    scores: Scores = []
    for at, values in stay:
        for vital, value in values.items():
            if part := PARTS.get(vital):
                newest[part] = (
                    at,
                    next(points for upto, points in rows[part] if round(value, 1) <= upto),
                )
        scores.append(
            (at, float(sum(points for seen, points in newest.values() if at - seen <= FRESH)))
        )
    return scores


def alarms(scores: Scores, threshold: float, in_a_row: int = 1) -> list[float]:
    """Return when it alerts: after ``in_a_row`` scores at the threshold or above, then silence."""
    found: list[float] = []
    run = 0
    for at, score in scores:
        run = run + 1 if score >= threshold else 0
        if run >= in_a_row and (not found or at - found[-1] >= SILENCE):
            found.append(at)
    return found


def early(found: Sequence[float], onset: float, horizon: float) -> float | None:
    """Return how many hours before the onset the first alarm inside the horizon came."""
    leads = [onset - at for at in found if 0.0 <= onset - at <= horizon]
    return max(leads, default=None)


class Stays:
    """The stays, and what alarms in them are worth."""

    def __init__(self, data: Path, most: int | None) -> None:
        self.stays = dict(list(read(data / "sepsis2019.csv.gz").items())[:most])
        with (data / "sepsis2019_events.csv").open(encoding="utf-8") as file:
            self.onset = {
                row["patient"]: hours_of(row["onset_at"])
                for row in csv.DictReader(file)
                if row["onset_at"] and row["patient"] in self.stays
            }
        self.days = sum(stay[-1][0] - stay[0][0] + 1 for stay in self.stays.values()) / 24

    def rate(
        self, scores: Mapping[str, Scores], threshold: float, in_a_row: int = 1
    ) -> tuple[float, float, float]:
        """Return alarms a patient-day, share of onsets with one in the hours before, median lead.

        The lead is in hours.
        """
        count = 0
        leads = list[float]()
        for name, of_stay in scores.items():
            found = alarms(of_stay, threshold, in_a_row)
            count += len(found)
            if name in self.onset and (lead := early(found, self.onset[name], HORIZON)) is not None:
                leads.append(lead)
        return (
            count / self.days,
            len(leads) / len(self.onset),
            statistics.median(leads) if leads else 0.0,
        )

    def at_budget(self, scores: Mapping[str, Scores], budget: float) -> tuple[float, float]:
        """Return sensitivity and lead at the lowest threshold that keeps to the budget.

        The threshold is found by halving over the scores seen.
        """
        seen = sorted({score for of_stay in scores.values() for _, score in of_stay})
        low = 0
        high = len(seen) - 1
        while low < high:
            middle = (low + high) // 2
            if self.rate(scores, seen[middle])[0] <= budget:
                high = middle
            else:
                low = middle + 1
        _, sensitivity, lead = self.rate(scores, seen[low])
        return sensitivity, lead


def stays_table(data: Path, most: int | None) -> Iterator[str]:
    """Yield lines about alarms before the onset of sepsis.

    They are given at budgets, and at each detector's own threshold three times in a row.
    """
    stays = Stays(data, most)
    rng = random.Random(1)
    scores = {
        "random": {
            name: [(at, rng.random()) for at, _ in stay] for name, stay in stays.stays.items()
        }
    }
    # whole points fit no budget, so equal ones are in random order
    scores["NEWS2"] = {
        name: [(at, points + rng.random()) for at, points in news2(stay)]
        for name, stay in stays.stays.items()
    }
    own = {"random": (2.0, 1), "NEWS2": (float(shipped().news2.medium_from), 1)}
    with ExitStack() as patched:
        for name in VITAL_DETECTORS:
            patched.enter_context(patch(f"rpm_stream.score.detectors.{name}.WARM_AFTER", EARLY))
        for name, kind in VITAL_DETECTORS.items():
            scores[name] = {patient: personal(name, stay) for patient, stay in stays.stays.items()}
            own[name] = (kind.threshold, shipped().detectors.personal.sustained_count)
    yield (
        f"{len(stays.stays)} stays, {stays.days:,.0f} days, {len(stays.onset)} onsets; sensitivity"
        " (lead, h)"
    )
    yield (
        f"{'':<10}"
        + "".join(f"{f'{budget}/day':>12}" for budget in BUDGETS)
        + "   own threshold: alarms/day"
    )
    for name, of_stays in scores.items():
        cells = [stays.at_budget(of_stays, budget) for budget in BUDGETS]
        rate, sensitivity, lead = stays.rate(of_stays, *own[name])
        line = f"{name:<10}" + "".join(f"{share:>8.2f} ({lead:.0f})" for share, lead in cells)
        yield line + ("" if name == "random" else f"{rate:>16.2f}{sensitivity:>6.2f} ({lead:.0f})")


def glucose_table(data: Path, most: int) -> Iterator[str]:
    """Yield lines about alarms as shipped on continuous glucose.

    They also count how many values below 70 the alarms come before.
    """
    people = read(data / "cgm.csv.gz", most)
    days = sum(len({int(at // 24) for at, _ in series}) for series in people.values())
    yield (
        f"{len(people)} people, {days:,} days of glucose; falls below {LOW:.0f} with an alarm in"
        " the hour before"
    )
    for name, kind in VITAL_DETECTORS.items():
        count = 0
        hit = 0
        events = 0
        leads = list[float]()
        for series in people.values():
            found = alarms(personal(name, series, LEARN_EVERY), kind.threshold, 3)
            count += len(found)
            for onset in lows(series):
                events += 1
                if (lead := early(found, onset, BEFORE_LOW)) is not None:
                    hit += 1
                    leads.append(lead * 60)
        lead = statistics.median(leads) if leads else 0.0
        yield (
            f"{name:<10}{count / days:>8.2f} alarms/day{hit / events:>8.2f} of {events} ({lead:.0f}"
            " min)"
        )


def lows(series: Sequence[Hour]) -> Iterator[float]:
    """Yield the first value below the limit after at least two hours without one."""
    last = -1e9
    for at, values in series:
        if values.get(GLUCOSE, LOW) < LOW:
            if at - last > 2.0:
                yield at
            last = at


def main(shared: Path, quick: bool) -> None:
    """Print both tables, with ``quick`` of few people."""
    data = shared / "data"
    stays = stays_table(data, QUICK_STAYS if quick else None)
    glucose = glucose_table(data, QUICK_PEOPLE if quick else PEOPLE)
    for line in (*stays, "", *glucose):
        print(line)
