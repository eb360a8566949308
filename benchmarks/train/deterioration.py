"""Train the model of the deterioration score, and write its table.

    python benchmarks/train/deterioration.py [--folds DIR] [--out FILE] [--patients N]

It reads the labelled stays of ``../shared/data`` (RPM_SHARED). The features come from the code that
the service runs. Every stay is learned twice: hourly with age and oxygen, and at the cadence of a
home without them, so that one model serves both.

1. A logistic regression of "an onset within 12 hours" on all features (centred, scaled and bounded;
   an unknown one is 0).
2. Half a share of NEWS2 with the sum of unusual distances is mixed in.
3. A logistic line over what models say of stays that they were not fitted on (five folds by person)
   gives the probability, and their alarms give the thresholds.

With ``--folds`` it also writes one model for each fold, fitted on the other four like its last
line, for an evaluation in which no stay is judged by a model that has seen it.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from sklearn.linear_model import LogisticRegression

from rpm_stream.app.operate.evaluate.labelled_files import read_events, read_people
from rpm_stream.evaluation.alarms import BUDGETS, threshold_for
from rpm_stream.evaluation.cohort import Cohort
from rpm_stream.evaluation.stays import START, WINDOW, StayLabel, fold_of, hour_of
from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.deterioration import (
    DERIVED,
    FEATURES,
    MEASURED,
    DeteriorationTable,
    FeatureWeight,
    checksum_of,
)
from rpm_stream.score.deterioration.features import Features
from rpm_stream.score.deterioration.hours import Hours
from rpm_stream.score.deterioration.hours import hour_of as since_1970
from rpm_stream.score.deterioration.taking import Taker

Floats = NDArray[np.float64]

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("RPM_SHARED", ROOT.parent / "shared")) / "data"
SHIPPED = ROOT / "src/rpm_stream/knowledge/deterioration.toml"
VERSION = "1"
FOLDS = 5
C = 0.005  # inverse strength of the L2 penalty, for each of two rows of an hour
MOST = 4.0
SHARE = 0.5  # of NEWS2 and the unusual distances in the mix
UNUSUAL = 0.5  # of a point of NEWS2 for each of their unit
SILENCE = 4
PLACE = {feature: place for place, feature in enumerate(FEATURES)}
TOTAL, UNUSUALS, OXYGEN = (
    PLACE[key] for key in (("news2", "total"), ("person", "unusual"), ("person", "oxygen"))
)


class Rows(NamedTuple):
    """All hours of all stays: features, outcome and the column of the stay."""

    x: Floats
    y: Floats
    stay: NDArray[np.int64]
    hour: NDArray[np.int64]


class Fitted(NamedTuple):
    """A model before the last line: features to a number that orders the hours."""

    centre: Floats
    spread: Floats
    weight: Floats

    def of(self, x: Floats) -> Floats:
        """Return the number of each row."""
        return scaled(x, self) @ self.weight


def scaled(x: Floats, model: Fitted) -> Floats:
    apart = np.clip((x - model.centre) / model.spread, -MOST, MOST)
    return np.nan_to_num(apart)


def values(names: Sequence[str]) -> dict[str, dict[int, dict[str, float]]]:
    """Return the plausible values by patient, hour and vital."""
    vitals = shipped().vitals
    found: dict[str, dict[int, dict[str, float]]] = {}
    hours: dict[str, int] = {}
    for name in names:
        with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
            lines = csv.reader(file)
            next(lines)
            for patient, at, vital, value, _ in lines:
                if at not in hours:
                    hours[at] = hour_of(msgspec.convert(at, type=type(START), strict=False))
                if vitals[vital].reject.excludes(Decimal(value)):
                    continue
                of = found.setdefault(patient, {}).setdefault(hours[at], {})
                of[vital] = float(value)
    return found


def vectors(
    label: StayLabel, given: dict[int, dict[str, float]], age: float | None
) -> Iterator[Floats]:
    """Yield the features of each counted hour, as the service computes them."""
    table = shipped().deterioration
    taker = Taker(table)
    features = Features(table, shipped().news2)
    kept = Hours()
    person: dict[str, float] = {} if age is None else {"age": age}
    oxygen_until = -1
    for hour in range(label.counted):
        at = START + timedelta(hours=hour + 1)
        now = given.get(hour, {})
        taker.take(kept, at, {vital: now[vital] for vital in taker.series if vital in now})
        if "inspired_oxygen" in now and age is not None:
            person["oxygen"] = 2.0 if now["inspired_oxygen"] > 21 else 0.0
            oxygen_until = hour + shipped().news2.fresh_for_hours
        if hour > oxygen_until:
            person.pop("oxygen", None)
        yield features.vector(kept, since_1970(at), person)


def rows(stays: Sequence[StayLabel], names: Sequence[str], ages: dict[str, float]) -> Rows:
    """Return the features of all hours of all stays."""
    given = values(names)
    x: list[Floats] = []
    y: list[bool] = []
    stay: list[int] = []
    hours: list[int] = []
    for column, label in enumerate(track(stays, description=names[0])):
        age = ages.get(label.patient)
        for hour, vector in enumerate(vectors(label, given.get(label.patient, {}), age)):
            x.append(vector)
            y.append(label.onset is not None and hour > label.onset - WINDOW)
            stay.append(column)
            hours.append(hour)
    return Rows(np.array(x), np.array(y, dtype=float), np.array(stay), np.array(hours))


def fit(both: Sequence[Rows], use: NDArray[np.bool_]) -> Fitted:
    """Return the mixed model of the stays in ``use``."""
    x = np.concatenate([each.x[use[each.stay]] for each in both])
    y = np.concatenate([each.y[use[each.stay]] for each in both])
    start = Fitted(np.nanmean(x, axis=0), np.nanstd(x, axis=0) + 1e-9, np.zeros(x.shape[1]))
    z = scaled(x, start)
    line = LogisticRegression(C=C, max_iter=500).fit(z, y)
    weight = line.coef_[0] / (z @ line.coef_[0]).std()
    chart = np.zeros_like(weight)
    chart[[TOTAL, OXYGEN]] = start.spread[[TOTAL, OXYGEN]]
    chart[UNUSUALS] = UNUSUAL * start.spread[UNUSUALS]
    return start._replace(weight=weight + SHARE * chart / (z @ chart).std())


def line_of(numbers: Floats, outcomes: Floats) -> tuple[float, float]:
    """Return slope and intercept of the log odds over the numbers of models."""
    line = LogisticRegression(C=1e6).fit(numbers[:, None], outcomes)
    return float(line.coef_[0][0]), float(line.intercept_[0])


def table_of(
    model: Fitted, line: tuple[float, float], thresholds: dict[str, float]
) -> DeteriorationTable:
    """Return the table of a model: numbers rounded to what a person can read."""
    slope, intercept = line
    features: dict[str, dict[str, FeatureWeight]] = {}
    for place, (group, name) in enumerate(FEATURES):
        features.setdefault(group, {})[name] = FeatureWeight(
            centre=float(f"{model.centre[place]:.6g}"),
            spread=float(f"{model.spread[place]:.6g}"),
            weight=float(f"{slope * model.weight[place]:.5g}"),
        )
    made = msgspec.structs.replace(
        shipped().deterioration,
        version=VERSION,
        intercept=round(intercept, 5),
        thresholds=thresholds,
        features=features,
    )
    return msgspec.structs.replace(made, checksum=checksum_of(made))


def main() -> None:
    """Train, and write."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folds", type=Path, help="a folder for one model a fold")
    options.add_argument("--patients", type=int, help="only so many, the first of the file")
    options.add_argument("--out", type=Path, help="a file for the model of all stays")
    asked = options.parse_args()
    if not DATA.is_dir():
        raise SystemExit(f"{DATA} is not there: set RPM_SHARED to the folder with data/")
    stays = read_events(DATA / "sepsis2019_events.csv")[: asked.patients]
    people = read_people(DATA / "sepsis2019_people.csv")
    ages = {patient: float(traits.age) for patient, traits in people.items()}
    hourly = rows(stays, ["sepsis2019.csv.gz", "sepsis2019_oxygen.csv.gz"], ages)
    home = rows(stays, ["sepsis2019_home.csv.gz"], {})
    fold = np.array([fold_of(label.patient, FOLDS) for label in stays])
    models = [fit((hourly, home), fold != each) for each in range(FOLDS)]
    unseen = np.zeros(len(hourly.y))
    for each, model in enumerate(models):
        there = fold[hourly.stay] == each
        unseen[there] = model.of(hourly.x[there])
    line = line_of(unseen, hourly.y)
    chance = 1 / (1 + np.exp(-(line[0] * unseen + line[1])))
    cohort = Cohort(stays)
    matrix = np.full((cohort.hours, len(stays)), -np.inf)
    matrix[hourly.hour, hourly.stay] = chance
    thresholds = {
        f"{budget:g}": round(threshold_for(cohort, matrix, budget, SILENCE), 6)
        for budget in BUDGETS
    }
    everyone = fit((hourly, home), np.ones(len(stays), dtype=bool))
    if asked.out:
        write(asked.out, table_of(everyone, line, thresholds))
    if asked.folds:
        for each, model in enumerate(models):
            folder = asked.folds / f"{each}"
            folder.mkdir(parents=True, exist_ok=True)
            others = fold[hourly.stay] != each
            own = line_of(unseen[others], hourly.y[others])
            write(folder / SHIPPED.name, table_of(model, own, thresholds))


def write(path: Path, table: DeteriorationTable) -> None:
    """Write the table as TOML, under the head of the shipped file."""
    head = SHIPPED.read_text("utf-8").partition("\nversion =")[0]
    lines = [
        head,
        f'version = "{table.version}"',
        f'checksum = "{table.checksum}"',
        f"horizon_hours = {table.horizon_hours}",
        f"every_minutes = {table.every_minutes}",
        f"least_series = {table.least_series}",
        f"own_count = {table.own_count}",
        f"smoothing = {table.smoothing}",
        f"most = {table.most}",
        f"intercept = {table.intercept}",
        f'threshold = "{table.threshold}"',
        "",
        "[thresholds] # alarms a patient-day -> probability",
        *(f'"{name}" = {number}' for name, number in table.thresholds.items()),
        "",
        "[spread_floor]",
        *(f"{name} = {table.spread_floor[name]}" for name in (*MEASURED, *DERIVED)),
    ]
    for name in MEASURED:
        row = table.series[name]
        vitals = ", ".join(f'"{vital}"' for vital in row.vitals)
        lines += ["", f"[series.{name}]", f"vitals = [{vitals}]", f"step = {row.step}"]
    for group, weights in table.features.items():
        lines += ["", f"[features.{group}]"]
        lines += [
            f"{name} = [{row.centre!r}, {row.spread!r}, {row.weight!r}]"
            for name, row in weights.items()
        ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
