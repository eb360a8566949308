"""What a nurse reads of a learned finding: the number, its distance from usual, the unit, and no
more digits than mean something."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.readings import reading_at

from rpm_stream.knowledge import shipped
from rpm_stream.records import Reading
from rpm_stream.score.baseline.wording import UsualWords

WORDS = UsualWords(shipped())
AT = datetime(2026, 3, 1, tzinfo=UTC)
WATCHED = sorted(shipped().detectors.personal.vitals | shipped().detectors.lasting.vitals)


def reading(vital: str, value: str, unit: str | None = None) -> Reading:
    return reading_at(AT, vital, value, unit=unit or shipped().vitals[vital].unit)


@pytest.mark.parametrize(
    ("vital", "value", "unit", "usual", "said"),
    [
        (
            "respiratory_rate",
            "26.0",
            "/min",
            19.2,
            "breathing 26/min, 7 above this person's usual of 19",
        ),
        (
            "pulse_rate",
            "110",
            "{beats}/min",
            79.6,
            "pulse 110/min, 30 above this person's usual of 80",
        ),
        ("heart_rate", "48", "/min", 71.5, "heart rate 48/min, 24 below this person's usual of 72"),
        (
            "oxygen_saturation",
            "88",
            "%",
            95.6,
            "oxygen saturation 88 %, 8 below this person's usual of 96",
        ),
        (
            "systolic",
            "165",
            "mm[Hg]",
            132.6,
            "upper blood pressure 165 mmHg, 32 above this person's usual of 133",
        ),
        (
            "systolic",
            "22.0",
            "kPa",
            132.6,
            "upper blood pressure 22.0 kPa, 4.3 above this person's usual of 17.7",
        ),
        (
            "diastolic",
            "60",
            "mm[Hg]",
            81.0,
            "lower blood pressure 60 mmHg, 21 below this person's usual of 81",
        ),
        (
            "body_temperature",
            "38.60",
            "Cel",
            36.81,
            "temperature 38.6 °C, 1.8 above this person's usual of 36.8",
        ),
        (
            "body_temperature",
            "101.5",
            "[degF]",
            36.8,
            "temperature 101.5 °F, 3.3 above this person's usual of 98.2",
        ),
        (
            "glucose",
            "9.8",
            "mmol/L",
            101.0,
            "blood glucose 9.8 mmol/L, 4.2 above this person's usual of 5.6",
        ),
        (
            "glucose",
            "0.00180",
            "kg/L",
            101.0,
            "blood glucose 180 mg/dL, 79 above this person's usual of 101",
        ),
        ("weight", "84.25", "kg", 81.2, "weight 84.3 kg, 3.1 above this person's usual of 81.2"),
        ("weight", "186", "[lb_av]", 81.2, "weight 186 lb, 7 above this person's usual of 179"),
        ("weight", "84250", "g", 81.2, "weight 84.3 kg, 3.1 above this person's usual of 81.2"),
        ("heart_rate", "72", "/min", 72.3, "heart rate 72/min, this person's usual"),
    ],
)
def test_a_value_in_words(vital: str, value: str, unit: str, usual: float, said: str) -> None:
    """In the unit that was sensed, with the digits that the nurse knows; the usual is given in
    the vital's own unit.
    """
    assert WORDS.value(reading(vital, value, unit), usual) == said


@pytest.mark.parametrize("vital", WATCHED)
@given(value=st.integers(10, 250), usual=st.floats(10, 250))
def test_the_sum_comes_out(vital: str, value: int, usual: float) -> None:
    """For every vital that is watched: value less distance is the usual, as written; and no
    date, no id.
    """
    said = WORDS.value(reading(vital, str(value)), usual)
    if said.endswith("this person's usual"):
        return
    found = re.fullmatch(
        r"\D+ ([\d.]+)\D+, ([\d.]+) (above|below) this person's usual of ([\d.]+)", said
    )
    assert found, said
    here, away, known = (Decimal(found[place]) for place in (1, 2, 4))
    assert here - known == (away if found[3] == "above" else -away)


def test_several_together() -> None:
    """The one that says most comes first."""
    parts = [(reading("respiratory_rate", "26"), 19.0), (reading("oxygen_saturation", "91"), 96.0)]
    assert (
        WORDS.together(parts)
        == "breathing 26/min, 7 above this person's usual of 19; oxygen saturation 91 %, 5 below"
        " this person's usual of 96"
    )


@pytest.mark.parametrize(
    ("hours", "levels", "said"),
    [
        (
            74,
            (72.0, 80.2),
            "pulse has been about 8/min higher than this person's usual of 72 for about 3 days",
        ),
        (
            24,
            (72.0, 65.0),
            "pulse has been about 7/min lower than this person's usual of 72 for about 1 day",
        ),
    ],
)
def test_a_lasting_change_in_words(hours: int, levels: tuple[float, float], said: str) -> None:
    """How long, not since when: texts hold no dates (CONTRACT 9)."""
    assert WORDS.lasting(reading("pulse_rate", "80"), levels, timedelta(hours=hours)) == said
