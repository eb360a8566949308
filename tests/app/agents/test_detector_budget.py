"""A detector in shadow that is too slow is switched off for the process, and nothing else
changes.
"""

from __future__ import annotations

import msgspec
import pytest
from structlog.testing import capture_logs
from support.paths import repository

from rpm_stream.app.agents.detector_budget import cost_us, within_budget
from rpm_stream.app.runtime.metrics import DETECTORS_OFF
from rpm_stream.knowledge import load, shipped
from rpm_stream.knowledge.scoring import ShadowTable
from rpm_stream.score.detectors.entries import entries

EXAMPLE = repository("docs", "detectors")


def test_the_shipped_tables_are_left_as_they_are() -> None:
    """Nothing is measured where nothing is in shadow."""
    assert within_budget(shipped()) is shipped()


def test_one_that_is_too_slow_is_off_with_one_line() -> None:
    """The others run; its states keep their room."""
    costs = {"outliers": 2001.0, "boundary": 500.0, "shift": 1.0}
    before = load(EXAMPLE)
    with capture_logs() as lines:
        after = within_budget(before, lambda name, row: costs[name])
    assert [(line["detector"], line["cost_us"], line["budget_us"]) for line in lines] == [
        ("outliers", 2001, 2000)
    ]
    assert after.detectors.off == {"outliers"}
    assert [row.mode for row in entries(after) if row.name in costs] == ["off", "shadow", "shadow"]
    assert [row.states for row in entries(after)] == [row.states for row in entries(before)]
    assert [DETECTORS_OFF.labels(name)._value.get() for name in costs] == [1.0, 0.0, 0.0]


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
    """Ten times what it may take: the docs must not show what is switched off at once."""
    row = load(EXAMPLE).detectors.shadow[name]
    assert cost_us(name, row) < 10 * row.budget_us
