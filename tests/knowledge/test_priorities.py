"""Every priority that is shipped follows from harm and onset by the table of IEC 60601-1-8,
6.1.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from support.replaying import of_type, replay_values
from support.ward import Ward

from rpm_stream.knowledge import Knowledge, KnowledgeError, load, shipped
from rpm_stream.knowledge.alerting import DeviceKind, RuleRisk
from rpm_stream.knowledge.checks import limit_rules
from rpm_stream.pipeline.judge_failure import finding_of
from rpm_stream.records import Priority

IEC = {  # IEC 60601-1-8, table 1
    "death_or_irreversible": ("high", "high", "medium"),
    "reversible": ("high", "medium", "low"),
    "minor": ("medium", "low", "low"),
}
NEW_LIMIT = """[[limit]]
vital = "weight"
above = "300"
unit = "kg"
recover = "300"
first = "high"
source = "nobody has said how urgent this is"
"""
TRENDS = {
    "trend.average",
    "trend.discharge",
    "trend.drop",
    "trend.joined",
    "rate.falling",
    "predicted.low",
    "predicted.very_low",
    "predicted.pressure",
}  # they read the table: tests/score
SETTINGS = {
    "settings.limit",
    "settings.born",
    "settings.expected",
    "settings.pregnant",
    "settings.unread",
    "settings.target",
    "settings.no_limits",
    "settings.oxygen",
}  # tests/pipeline/test_settings.py
NEWS2_5 = [(0, "respiratory_rate", "22"), (0, "systolic", "95"), (0, "heart_rate", "95")]
NEWS2_7 = [*NEWS2_5, (0, "body_temperature", "39.5")]


def in_tables(knowledge: Knowledge) -> dict[str, Priority]:
    return {
        **limit_rules(knowledge.limits, knowledge.maternity, knowledge.child),
        "limits.silence": knowledge.limits.silence_priority,
    }


def by_behaviour() -> Iterator[tuple[str, Priority]]:
    """The rules whose priority is no column of a table: what they give when they strike."""
    for name, values in (("news2.medium", NEWS2_5), ("news2.high", NEWS2_7)):
        found = of_type(replay_values(values), "alert")
        (priority,) = {alert["priority"] for alert in found if alert["rule"].startswith("news2")}
        yield name, priority
    yield "device.not_judged", finding_of(Ward().message(0, (0, "weight", "80")).readings).priority


def test_the_table_is_that_of_the_standard() -> None:
    matrix = shipped().priorities.matrix
    onsets = ("immediate", "prompt", "delayed")
    assert {harm: tuple(row[onset] for onset in onsets) for harm, row in matrix.items()} == IEC


def test_every_shipped_priority_follows_from_its_harm_and_onset() -> None:
    knowledge = shipped()
    found = {**in_tables(knowledge), **dict(by_behaviour())}
    assert len(found) > 12
    assert {name: knowledge.priorities.of(name) for name in found} == found


def test_every_row_is_about_a_rule_that_there_is() -> None:
    """The learned detectors' priority is held by their own tests (at most low); the device rules
    read the table.
    """
    device = {f"device.{kind}" for kind in get_args(DeviceKind)}
    known = (
        {*in_tables(shipped()), *dict(by_behaviour())} | device | {"detector"} | TRENDS | SETTINGS
    )
    assert set(shipped().priorities.rule) == known
    assert shipped().priorities.of("detector") == "low"


def test_immediate_is_not_claimed() -> None:
    assert {risk.onset for risk in shipped().priorities.rule.values()} == {"prompt", "delayed"}
    assert all(
        isinstance(risk, RuleRisk) and risk.why for risk in shipped().priorities.rule.values()
    )


def test_nobody_may_snooze_what_is_high_and_it_escalates() -> None:
    priorities = shipped().priorities
    assert "high" in priorities.snooze.never
    assert priorities.escalate_after_minutes == {"high": 30}


@pytest.mark.parametrize(
    ("table", "text", "why"),
    [
        (
            "priorities",
            "[rule]\n",
            r'no row \[rule."device.battery"\]: a rule needs its harm, onset and why',
        ),
        ("limits", NEW_LIMIT, r'priorities.toml: no row \[rule."limits.weight.above.first"\]'),
        ("priorities", '[rule.x]\nharm = "grave"\nonset = "prompt"\nwhy = "?"\n', "grave"),
        ("priorities", "[snooze]\nnever = []\nat_most_hours = 1\n", "high alert"),
        (
            "device_rules",
            '[[stuck]]\nvital = "moods"\ncount = 1\nminutes = 1\n',
            "unknown vital moods",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    tmp_path: Path, table: str, text: str, why: str
) -> None:
    (tmp_path / f"{table}.toml").write_text(text)
    with pytest.raises(KnowledgeError, match=why):
        load(tmp_path)
