"""What the limits say of one reading, as facts: the number that it is beyond, and which sides
are back.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from support.frames import reading_of

from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import Registry
from rpm_stream.records import Limit, PatientEntry, Recovery
from rpm_stream.score.rules.limits import LimitTable, Verdict
from rpm_stream.score.rules.news2 import News2Chart
from rpm_stream.score.rules.oxygen_scale import OxygenScale


def verdict(
    vital: str, value: str, unit: str = "", scale: OxygenScale = "1", **entry: Any
) -> Verdict:
    knowledge = shipped()
    patient = PatientEntry(patient="p", oxygen_scale=1 if scale == "1" else 2, **entry)
    table = LimitTable(knowledge, News2Chart(knowledge), Registry([patient]))
    found = table.judge(
        reading_of(vital, value, unit or knowledge.vitals[vital].unit), patient, scale
    )
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("vital", "value", "unit", "scale", "bound", "of"),
    [
        ("oxygen_saturation", "93", "%", "1", "93", "%"),
        ("oxygen_saturation", "92", "%", "1", "93", "%"),
        ("oxygen_saturation", "88", "%", "1", "91", "%"),
        ("oxygen_saturation", "96", "%", "2 on oxygen", "95", "%"),
        ("oxygen_saturation", "99", "%", "2 on oxygen", "97", "%"),
        ("oxygen_saturation", "84", "%", "2 on air", "85", "%"),
        ("heart_rate", "140", "/min", "1", "131", "/min"),
        ("heart_rate", "112", "/min", "1", "111", "/min"),
        ("body_temperature", "103.0", "[degF]", "1", "39.1", "Cel"),
        ("body_temperature", "34.8", "Cel", "1", "35.0", "Cel"),
        ("consciousness", "2", "{ACVPU}", "1", "1", "{ACVPU}"),
        ("glucose", "3.1", "mmol/L", "1", "70", "mg/dL"),
        ("systolic", "190", "mm[Hg]", "1", "180", "mm[Hg]"),
    ],
)
def test_a_breach_names_the_number_that_it_is_beyond(
    vital: str, value: str, unit: str, scale: OxygenScale, bound: str, of: str
) -> None:
    (breach,) = verdict(vital, value, unit, scale).breaches
    assert (breach.bound, breach.unit) == (Decimal(bound), of)


def test_a_meter_without_a_number_is_beyond_the_bound_of_its_row() -> None:
    knowledge = shipped()
    table = LimitTable(knowledge, News2Chart(knowledge), Registry())
    found = table.judge(
        reading_of("glucose", None, "mg/dL", absent="negative-infinity"),
        PatientEntry(patient="p"),
        "1",
    )
    assert found is not None
    assert (found.breaches[0].bound, found.breaches[0].unit, found.side) == (
        Decimal(54),
        "mg/dL",
        "low",
    )


@pytest.mark.parametrize(
    ("vital", "scale", "back", "not_back", "side"),
    [
        ("oxygen_saturation", "1", "94.5", "94.4", "low"),
        ("oxygen_saturation", "2 on air", "86.5", "86", "low"),
        ("oxygen_saturation", "2 on oxygen", "87", "86", "low"),
        ("oxygen_saturation", "2 on oxygen", "93.4", "93.5", "high"),
        ("respiratory_rate", "1", "11", "10", "low"),
        ("respiratory_rate", "1", "18.4", "18.5", "high"),
        ("pulse_rate", "1", "46", "45", "low"),
        ("heart_rate", "1", "105", "106", "high"),
        ("systolic", "1", "106", "105", "low"),
        ("body_temperature", "1", "35.25", "35.24", "low"),
        ("body_temperature", "1", "38.84", "38.85", "high"),
        ("consciousness", "1", "0", "1", "high"),
    ],
)
def test_a_band_recovers_at_a_distance_after_rounding(
    vital: str, scale: OxygenScale, back: str, not_back: str, side: str
) -> None:
    inside, off = verdict(vital, back, scale=scale), verdict(vital, not_back, scale=scale)
    assert (inside.level, inside.side) == ("inside", None)
    assert (off.level != "inside", off.side) == (True, side)


@pytest.mark.parametrize(
    ("vital", "scale", "sides"),
    [
        ("oxygen_saturation", "1", ("low",)),
        ("oxygen_saturation", "2 on oxygen", ("low", "high")),
        ("heart_rate", "1", ("low", "high")),
        ("systolic", "1", ("low",)),
        ("diastolic", "1", ()),
        ("glucose", "1", ()),
        ("consciousness", "1", ("high",)),
    ],
)
def test_a_side_is_banded_where_no_other_limit_holds(
    vital: str, scale: OxygenScale, sides: tuple[str, ...]
) -> None:
    assert verdict(vital, "0" if vital == "consciousness" else "95", scale=scale).banded == sides


def test_who_sets_a_limit_says_where_its_side_is_back_and_the_other_side_keeps_the_bands() -> None:
    limit = Limit(vital="heart_rate", high=120, recover=Recovery(high=100), unit="/min", owner="dr")
    found = [verdict("heart_rate", value, limits=(limit,)) for value in ("101", "100", "45")]
    assert [(each.level, each.side) for each in found] == [
        ("between", "high"),
        ("inside", None),
        ("between", "low"),
    ]
    assert found[0].banded == ("low",)


@pytest.mark.parametrize(
    ("vital", "value", "unit", "words"),
    [
        ("glucose", "3.8", "mmol/L", "below 70 mg/dL (3.9 mmol/L) (shipped)"),
        ("glucose", "13.9", "mmol/L", "above 250 mg/dL (13.88 mmol/L) (shipped)"),
        ("glucose", "69", "mg/dL", "below 70 mg/dL (shipped)"),
        ("systolic", "24.5", "kPa", "above 180 mmHg (24.0 kPa) (shipped)"),
        ("body_temperature", "107", "[degF]", "above 41.5 °C (106.70 °F), rarely real"),
    ],
)
def test_a_limit_is_said_in_the_unit_of_the_reading_too(
    vital: str, value: str, unit: str, words: str
) -> None:
    assert words in verdict(vital, value, unit).breaches[0].why


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        ("1", "with 3 points (shipped)"),
        ("2 on air", "on scale 2, on air"),
        ("2 on oxygen", "on scale 2, on oxygen"),
    ],
)
def test_a_band_of_saturation_names_its_scale(scale: OxygenScale, words: str) -> None:
    assert words in verdict("oxygen_saturation", "80", scale=scale).breaches[0].why


def test_a_step_is_that_of_the_vital_or_a_share_of_its_limit() -> None:
    limits = shipped().limits
    assert limits.step_of("glucose", "low", Decimal(70), "mg/dL") == (15, "mg/dL")
    assert limits.step_of("glucose", "high", Decimal("13.9"), "mmol/L") == (50, "mg/dL")
    assert limits.step_of("peak_flow", "low", Decimal(300), "L/min") == (15, "L/min")
