"""What score gives up where the state is full, and what of it a later red alert rests on (law
3).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from support.readings import reading_at

from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import Registry
from rpm_stream.records import Finding, Limit, Of, PatientEntry, Reading
from rpm_stream.score.memory.size import forget_vital, slim_readings
from rpm_stream.score.memory.state import ScoreState
from rpm_stream.score.rules.limits_and_news2 import LimitJudge
from rpm_stream.score.rules.news2_total import Totals
from rpm_stream.score.rules.protocol import share

START = datetime(2026, 3, 1, tzinfo=UTC)


def reading(vital: str, value: str, minute: int, **attributes: object) -> Reading:
    at = START + timedelta(minutes=minute)
    return reading_at(at, vital, value, id=f"{vital}-{minute}", attributes=attributes)


def judged(
    state: ScoreState, entry: PatientEntry, readings: Sequence[Reading], forgotten: bool
) -> list[Finding]:
    """What limits and NEWS2 find in the last of ``readings``; before it, the vitals of all
    others are forgotten.
    """
    shared = share(shipped(), Registry([entry]))
    rules = LimitJudge(shared.knowledge, shared.oxygen, shared.limits)
    for each in readings[:-1]:
        rules.limits(state, each, entry)
        if forgotten:
            forget_vital(state, each.vital)
    placing, found = rules.limits(state, readings[-1], entry)
    assert placing is not None
    return [*found, *Totals(shared).scored(state, readings[-1:], [placing], entry)[1]]


LIMIT = Limit(vital="heart_rate", high="100", unit="/min", owner="dr-7", priority="high")
LASTING = msgspec.structs.replace(LIMIT, for_=30)
COUNTED = msgspec.structs.replace(LIMIT, of=Of(count=3, last=4, within=60))


@pytest.mark.parametrize(
    ("limits", "values"),
    [
        ((), [("heart_rate", "135", 0), ("heart_rate", "135", 5)]),
        ((LASTING,), [("heart_rate", "105", minute) for minute in (0, 10, 20, 31)]),
        (
            (COUNTED,),
            [
                ("heart_rate", value, place)
                for place, value in enumerate(("105", "90", "105", "105"))
            ],
        ),
        (
            (),
            [
                ("respiratory_rate", "10", 0),
                ("systolic", "105", 1),
                ("body_temperature", "38.5", 2),
                ("oxygen_saturation", "94", 3),
                ("heart_rate", "135", 4),
            ],
        ),
    ],
    ids=["red twice", "for 30 minutes", "3 of the last 4", "five parts of NEWS2"],
)
def test_a_forgotten_vital_hides_no_red(
    limits: tuple[Limit, ...], values: list[tuple[str, str, int]]
) -> None:
    """The very findings, at the very priorities, of a state that forgot nothing."""
    entry, readings = (
        PatientEntry(patient="p", limits=limits),
        [reading(*value) for value in values],
    )
    whole, forgotten = (judged(ScoreState(), entry, readings, each) for each in (False, True))
    found = [(finding.member, finding.priority) for finding in forgotten]
    assert found == [(finding.member, finding.priority) for finding in whole]
    assert {"high", "medium"} & {priority for _, priority in found}


def test_a_reading_keeps_the_attributes_that_are_read_later_and_no_others() -> None:
    state = ScoreState(
        latest={
            "glucose": reading("glucose", "100", 0, type="capillary_whole", members=["x" * 9000])
        }
    )
    slim_readings(state, ["glucose"], {"type", "characteristic"})
    assert state.latest["glucose"].attributes == {"type": "capillary_whole"}
