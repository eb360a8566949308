"""Labelled stays for tests of the evaluation: as records, and as the files of the command."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from rpm_stream.evaluation.cohort import Cohort
from rpm_stream.evaluation.stays import ShownEvent, Stay, StayLabel

NAN = math.nan
HEADER = "patient,measured_at,vital,value,unit"
EVENTS = "patient,monitored_hours,onset_at"


def make_stay(
    patient: str,
    hours: int,
    onset: int | None = None,
    series: dict[str, Sequence[float]] | None = None,
    events: Sequence[ShownEvent] = (),
) -> Stay:
    """Return a stay without red values and listed alerts."""
    return Stay(
        label=StayLabel(patient=patient, hours=hours, onset=onset),
        series={name: tuple(values) for name, values in (series or {}).items()},
        events=tuple(events),
        listed=(False,) * hours,
        red=(False,) * hours,
        red_known=(False,) * hours,
    )


def labels() -> st.SearchStrategy[list[StayLabel]]:
    """Return up to 8 labels of short stays, with and without an onset."""
    one = st.tuples(st.integers(1, 30), st.none() | st.integers(0, 32))
    return st.lists(one, min_size=1, max_size=8).map(
        lambda found: [
            StayLabel(patient=f"p{number}", hours=hours, onset=onset)
            for number, (hours, onset) in enumerate(found)
        ]
    )


def coarse_scores(cohort: Cohort, seed: int, values: int = 5) -> np.ndarray:
    """Return random whole numbers for all counted hours; a fifth of them has none."""
    random = np.random.default_rng(seed)
    return cohort.matrix(
        np.where(
            random.random(label.hours) < 0.2,
            NAN,
            random.integers(0, values, label.hours).astype(float),
        )
        for label in cohort.labels
    )


def write_stays(folder: Path) -> tuple[Path, Path]:
    """Write readings and events of three short stays, the first two with an onset.

    The breathing of the first becomes fast before its onset. The others stay well.
    """
    rows = [HEADER]
    for patient, rates in (
        ("a", [16] * 8 + [22, 24, 26, 28, 30, 30]),
        ("b", [16] * 14),
        ("e", [15] * 20),
    ):
        for hour, rate in enumerate(rates):
            at = f"2026-01-01T{hour:02}:00:00Z"
            rows.append(f"{patient},{at},respiratory_rate,{rate},/min")
            rows.append(f"{patient},{at},heart_rate,80,/min")
    readings = folder / "readings.csv"
    readings.write_text("\n".join(rows) + "\n")
    events = folder / "events.csv"
    events.write_text(f"{EVENTS}\ne,20,\na,14,2026-01-01T12:00:00Z\nb,14,2026-01-01T13:00:00Z\n")
    return readings, events
