"""Law 12: every alert names the kind of rule that opened it and whose setting that was."""

from __future__ import annotations

import pytest
from support.frames import Record
from support.replaying import of_type, replay_values
from support.ward import Ward

from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.judge_failure import finding_of
from rpm_stream.publish.feed.rows import RULE_KINDS, rule_words

OWN = {
    "v": 1,
    "patient": "p",
    "limits": [{"vital": "weight", "high": 83, "unit": "kg", "owner": "dr-7"}],
}
SILENT = {"v": 1, "patient": "p", "expected_every": {"heart_rate": 60}}
NEWS2_7 = [
    (0, "respiratory_rate", "22"),
    (0, "systolic", "95"),
    (0, "heart_rate", "95"),
    (0, "body_temperature", "39.5"),
]


@pytest.mark.parametrize(
    ("values", "entry", "rule", "words", "said"),
    [
        ([(0, "weight", "84.2")], OWN, "limit.patient.", "set for this patient", "dr-7"),
        ([(0, "glucose", "50")], None, "limit.shipped.", "shipped", "(shipped)"),
        ([(0, "heart_rate", "135")], None, "limit.news2_red", "shipped", "(shipped)"),
        ([(0, "heart_rate", "225")], None, "limit.query.", "shipped", "(shipped)"),
        (NEWS2_7, None, "news2@", "shipped", "NEWS2"),
        ([(0, "battery", "12")], None, "device.battery@", "shipped", "(shipped)"),
        (
            [(0, "heart_rate", "70")],
            SILENT,
            "silence.",
            "expected of this patient",
            "expected every 60 minutes",
        ),
    ],
)
def test_an_alert_says_whose_setting_it_was(
    values: list[tuple[float, str, str]], entry: Record | None, rule: str, words: str, said: str
) -> None:
    found = of_type(replay_values(values, [entry] if entry else [], until=61), "alert")
    alert = next(each for each in found if each["rule"].startswith(rule))
    assert words in rule_words(alert["rule"])
    assert any(said in why for why in alert["why"])
    assert alert["evidence"]


def test_a_fault_of_the_service_is_said_to_be_one() -> None:
    finding = finding_of(Ward().message(0, (0, "weight", "80")).readings)
    assert rule_words(finding.rule) == "A fault of the service itself"
    assert "a fault of this service" in finding.why


def test_every_kind_of_rule_has_its_words() -> None:
    """A rule of a new kind needs a line of RULE_KINDS, or the page calls it "Another rule"."""
    known = {start.rstrip("@").split(".")[0] for start, _ in RULE_KINDS}
    assert {name.split(".")[0] for name in shipped().priorities.rule} - {"limits"} <= known
