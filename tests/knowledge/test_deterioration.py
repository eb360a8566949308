"""The table of the deterioration score: one that is damaged or of another release is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.paths import repository

from rpm_stream.knowledge import KnowledgeError, load, shipped
from rpm_stream.knowledge.deterioration import (
    FEATURES,
    FeatureWeight,
    SeriesRow,
    check_deterioration,
    checksum_of,
)

TABLE = shipped().deterioration
TEXT = repository("src", "rpm_stream", "knowledge", "deterioration.toml").read_text("utf-8")


def refused(folder: Path, text: str) -> str:
    (folder / "deterioration.toml").write_text(text, encoding="utf-8")
    with pytest.raises(KnowledgeError) as found:
        load(folder)
    return str(found.value)


def test_a_folder_with_the_same_model_is_taken(tmp_path: Path) -> None:
    (tmp_path / "deterioration.toml").write_text(TEXT, encoding="utf-8")
    assert load(tmp_path).deterioration == TABLE


@given(st.sampled_from(FEATURES), st.integers(0, 2), st.sampled_from((1.5, -1.0, 0.999)))
def test_any_changed_number_is_found(feature: tuple[str, str], place: int, factor: float) -> None:
    group, name = feature
    row = TABLE.features[group][name]
    numbers = [row.centre, row.spread, row.weight]
    numbers[place] = numbers[place] * factor + 0.25
    changed = {**TABLE.features[group], name: FeatureWeight(*numbers)}
    table = replace(TABLE, features={**TABLE.features, group: changed})
    faults = list(check_deterioration(table, shipped().vitals))
    assert faults
    assert "damaged or was edited" in faults[0]


def test_a_model_that_was_edited_or_cut_is_refused(tmp_path: Path) -> None:
    edited = TEXT.replace(f"intercept = {TABLE.intercept}", "intercept = 0.0")
    assert "checksum: the model is damaged or was edited" in refused(tmp_path, edited)
    cut = TEXT[: TEXT.index("[features.news2]")]
    assert "the model is of another release; train it again" in refused(tmp_path, cut)


def test_a_model_of_another_release_is_refused(tmp_path: Path) -> None:
    other = TEXT.replace("from_own = ", "from_usual = ", 1)
    assert "from_own: the model is of another release" in refused(tmp_path, other)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"threshold": "7"}, "threshold: must be one of 0.25, 0.5, 1"),
        ({"spread_floor": {**TABLE.spread_floor, "pulse": 0.0}}, "not above zero"),
        ({"spread_floor": {"pulse": 1.0}}, "spread_floor: must name"),
        ({"series": {}}, "series: must be pulse"),
        ({"own_count": 0}, "not above zero"),
        ({"most": -1.0}, "not above zero"),
        ({"every_minutes": 0}, "not above zero"),
        ({"least_series": 0}, "not above zero"),
        ({"intercept": float("nan")}, "no finite number"),
        ({"smoothing": 1.5}, "smoothing: must be above 0"),
        ({"thresholds": {**TABLE.thresholds, "1": 1.0}}, "must lie between 0 and 1"),
        (
            {
                "series": {
                    **TABLE.series,
                    "pulse": SeriesRow(vitals=("heart_rate", "glucose"), step=0.1),
                }
            },
            "series.pulse: vitals of different units",
        ),
        (
            {"series": {**TABLE.series, "diastolic": TABLE.series["systolic"]}},
            "a vital is in two of them",
        ),
    ],
)
def test_what_cannot_be_used_is_named(change: dict[str, object], why: str) -> None:
    table = replace(TABLE, **change)
    table = replace(table, checksum=checksum_of(table))
    assert any(why in fault for fault in check_deterioration(table, shipped().vitals))
