"""Law 12 for detectors in shadow: what is scored follows from the records and the tables alone."""

from __future__ import annotations

from itertools import count

import pytest
from structlog.testing import capture_logs
from support.shadow import EXAMPLE, Course

from rpm_stream.app.agents import detector_budget, judge
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.knowledge import Knowledge, load
from rpm_stream.score.baseline.learned import Learned


def test_no_clock_changes_what_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay gives the same again, also where each vector takes a second.

    The judge stage measures the rows before it judges, here by a clock that goes on by a second
    whenever it is read. It reports each row, and then judges by the tables as they are.
    """
    usual, slow = Course(EXAMPLE), Course(EXAMPLE)
    usual.run(200)
    knowledge = load(EXAMPLE)
    seconds = count()
    monkeypatch.setattr(detector_budget, "process_time", lambda: float(next(seconds)))
    bound: list[Knowledge] = []
    monkeypatch.setattr(judge, "Judge", lambda tables, _registry: bound.append(tables))
    with capture_logs() as lines:
        judge.judge_app(Settings(), knowledge, 3)
    assert {line["detector"] for line in lines} == set(knowledge.detectors.shadow)
    slow.learned = Learned(*bound)
    slow.run(200)
    assert slow.scores == usual.scores
    assert {each.detector for each in slow.scores} >= set(knowledge.detectors.shadow)
