"""Law 12 for detectors in shadow: what is scored follows from the records and the tables alone."""

from __future__ import annotations

from itertools import count

import pytest
from structlog.testing import capture_logs
from support.shadow import EXAMPLE, Course

from rpm_stream.app.agents import detector_budget
from rpm_stream.knowledge import load
from rpm_stream.score.baseline.learned import Learned


def test_no_clock_changes_what_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Law 12: a replay gives the same again, also where each vector takes a hundred times longer.

    The clock that measures rows is that of a machine that stands still for a second at each look.
    """
    usual, slow = Course(EXAMPLE), Course(EXAMPLE)
    usual.run(200)
    knowledge = load(EXAMPLE)
    seconds = count()
    monkeypatch.setattr(detector_budget, "process_time", lambda: float(next(seconds)))
    with capture_logs() as lines:
        detector_budget.report_costs(knowledge)
    assert {line["detector"] for line in lines} == set(knowledge.detectors.shadow)
    slow.learned = Learned(knowledge)
    slow.run(200)
    assert slow.scores == usual.scores
    assert {each.detector for each in slow.scores} >= set(knowledge.detectors.shadow)
