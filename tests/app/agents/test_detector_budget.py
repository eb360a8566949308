"""A detector in shadow that is slower than its row says is reported, and nothing else changes."""

from __future__ import annotations

import msgspec
import pytest
from structlog.testing import capture_logs
from support.paths import repository

from rpm_stream.app.agents.detector_budget import cost_us, report_costs
from rpm_stream.app.runtime.metrics import DETECTORS_OFF, DETECTORS_SLOW
from rpm_stream.knowledge import load, shipped
from rpm_stream.knowledge.scoring import ShadowTable
from rpm_stream.score.detectors.entries import entries

EXAMPLE = repository("docs", "detectors")


def test_nothing_is_reported_where_nothing_is_in_shadow() -> None:
    """The shipped tables have no such row, and River is not loaded for one."""
    with capture_logs() as lines:
        report_costs(shipped(), lambda name, row: 1e9)
    assert lines == []


def test_one_that_is_too_slow_is_one_line_and_a_metric() -> None:
    """The row goes on: what is scored must not depend on the speed of a machine."""
    costs = {"outliers": 2001.0, "boundary": 500.0, "shift": 1.0}
    knowledge = load(EXAMPLE)
    before = entries(knowledge)
    with capture_logs() as lines:
        report_costs(knowledge, lambda name, row: costs[name])
    assert [(line["detector"], line["cost_us"], line["budget_us"]) for line in lines] == [
        ("outliers", 2001, 2000)
    ]
    assert [row.mode for row in entries(knowledge) if row.name in costs] == ["shadow"] * 3
    assert [(row.name, row.mode, row.rest) for row in entries(knowledge)] == [
        (row.name, row.mode, row.rest) for row in before
    ]
    assert [DETECTORS_SLOW.labels(name)._value.get() for name in costs] == [1.0, 0.0, 0.0]
    assert [DETECTORS_OFF.labels(name)._value.get() for name in costs] == [0.0, 0.0, 0.0]


def test_one_that_the_table_switches_off_is_not_measured() -> None:
    """It is counted, so that a row that somebody forgot is seen."""
    knowledge = load(EXAMPLE)
    table = msgspec.structs.replace(knowledge.detectors, off=frozenset({"shift"}))
    measured = []

    def cost(name: str, row: ShadowTable) -> float:
        measured.append(name)
        return 1.0

    report_costs(msgspec.structs.replace(knowledge, detectors=table), cost)
    assert measured == ["boundary", "outliers"]
    assert DETECTORS_OFF.labels("shift")._value.get() == 1.0


def test_the_cost_is_measured() -> None:
    """A slow one costs more than a quick one, and a hopeless one ends the measuring early."""
    slow = load(EXAMPLE).detectors.shadow["outliers"]
    quick = load(EXAMPLE).detectors.shadow["shift"]
    assert 0 < cost_us("quick", quick) < cost_us("slow", slow)
    fields = {
        "class": "river.anomaly.LocalOutlierFactor",
        "parameters": {"n_neighbors": 10},
        "threshold": 1.0,
    }
    hopeless = msgspec.convert(
        {**fields, "inputs": slow.inputs, "keep": 60, "budget_us": 1}, ShadowTable
    )
    assert cost_us("hopeless", hopeless) > hopeless.budget_us


@pytest.mark.parametrize("name", ["outliers", "boundary", "shift"])
def test_the_example_of_the_docs_is_within_a_generous_budget(name: str) -> None:
    """Ten times what it may take: the docs must not show what is reported at once."""
    row = load(EXAMPLE).detectors.shadow[name]
    assert cost_us(name, row) < 10 * row.budget_us
