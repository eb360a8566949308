"""Values and units as people read them."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from support.replaying import of_type, replay_values

from rpm_stream.knowledge import shipped
from rpm_stream.score.rules.value_checks import before
from rpm_stream.text import plain_unit, with_unit

UNITS = sorted({unit for row in shipped().vitals.values() for unit in row.units})


@pytest.mark.parametrize("unit", UNITS)
def test_no_unit_is_said_in_code(unit: str) -> None:
    """UCUM writes what is no unit in braces, and what is none of its own system in brackets."""
    assert not re.search(r"[{}\[\]]", plain_unit(unit))
    assert with_unit("5", unit) == with_unit("5", unit).strip()


@pytest.mark.parametrize(
    ("unit", "said"),
    [("{beats}/min", "5 a minute"), ("{score}", "5"), ("{steps}", "5"), ("1", "5"), ("mL", "5 mL")],
)
def test_a_value_with_its_unit(unit: str, said: str) -> None:
    assert with_unit(5, unit) == with_unit(Decimal(5), unit) == said


@pytest.mark.parametrize(
    ("limit", "reading", "said"),
    [
        (
            ("breathlessness", "high", "4", "{score}"),
            ("5", "{score}"),
            "breathlessness 5: above 4 (limit",
        ),
        (("steps", "low", "1000", "{steps}"), ("500", "1"), "steps 500: below 1000 (limit"),
        (
            ("heart_rate", "high", "110", "{beats}/min"),
            ("115", "/min"),
            "heart rate 115 a minute: above 110 a minute (l",
        ),
        (("fev1", "low", "1.5", "L"), ("1400", "mL"), "fev1 1400 mL: below 1.5 L (1500 mL) (limit"),
        (
            ("weight", "high", "85", "kg"),
            ("86000", "g"),
            "weight 86000 g: above 85 kg (85000 g) (limit",
        ),
        (
            ("weight", "high", "180", "[lb_av]"),
            ("86", "kg"),
            "weight 86 kg: above 180 lb (81.6 kg) (limit",
        ),
        (
            ("systolic", "high", "160", "mm[Hg]"),
            ("22", "kPa"),
            "systolic 22 kPa: above 160 mmHg (21.3 kPa) (limit",
        ),
    ],
)
def test_a_limit_is_said_once_where_the_unit_is_only_spelled_otherwise(
    limit: tuple[str, str, str, str], reading: tuple[str, str], said: str
) -> None:
    vital, side, bound, unit = limit
    own = {"vital": vital, side: bound, "unit": unit, "owner": "dr-a", "priority": "medium"}
    found = of_type(
        replay_values([(0, vital, *reading)], [{"v": 1, "patient": "p", "limits": [own]}]), "alert"
    )
    assert found[0]["why"][0].startswith(said)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "at the same moment"),
        (1, "1 second before"),
        (2, "2 seconds before"),
        (120, "2 minutes before"),
        (7200, "2 hours before"),
    ],
)
def test_how_long_before(seconds: int, said: str) -> None:
    assert before(timedelta(seconds=seconds)) == said
