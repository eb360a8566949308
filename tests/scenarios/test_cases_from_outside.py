"""The cases that were made after public bug reports and worked examples: what each of them is
about, in code.

Each is a folder of ``../shared/data/cases/judging`` with an ``expect.md``; the stories beside this
file hold the same kinds with people of their own. Without that folder every case is skipped by its
name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest
from support.paths import shared_data
from support.scenarios.library import output_of

from rpm_stream.pipeline.replay import LineType

CASES = shared_data("cases", "judging")
MOST_DECIMALS = 3  # of a converted number, CONTRACT 10
Record: TypeAlias = dict[str, Any]


class Output:
    """The lines of a case."""

    def __init__(self, case: Path) -> None:
        self.expected = (case / "expect.md").read_text(encoding="utf-8").split("**Expected**")[1]
        self.lines = [(line.type, bytes(line.record)) for line in output_of(case)]

    def of(self, kind: LineType) -> list[Record]:
        """The records of one kind, in order."""
        return [msgspec.json.decode(record) for each, record in self.lines if each == kind]

    def alerts(self, group: str | None = None) -> list[Record]:
        """Each record of each alert, in order."""
        return [alert for alert in self.of("alert") if group in (None, alert["group"])]

    def last(self, group: str | None = None) -> list[Record]:
        """The last record of each alert, by when it was first told."""
        return list({alert["id"]: alert for alert in self.alerts(group)}.values())

    def only(self, group: str | None = None) -> Record:
        """The last record of the one alert."""
        (alert,) = self.last(group)
        return alert

    def news2(self) -> list[Record]:
        """The scores of NEWS2."""
        return [score for score in self.of("score") if score["detector"] == "news2"]


def events(alert: Record) -> list[str]:
    return [step["event"] for step in alert["history"]]


def said(alert: Record) -> str:
    return " | ".join((alert["title"], *alert["why"]))


def acknowledged_then_beyond_the_query_bound(output: Output) -> bool:
    alert = output.only()
    decided = [record["state"] for record in output.alerts()].index("acknowledged")
    opened = [record["state"] for record in output.alerts()[decided:]].index("open") > 0
    return (
        opened
        and (alert["state"], alert["priority"]) == ("open", "high")
        and "60 %" in alert["why"][0]
    )


def a_child_is_no_adult(output: Output) -> bool:
    settings = output.only("settings")
    return (
        "date of birth cannot be read" in said(settings)
        and not output.alerts("vital_signs")
        and not output.news2()
    )


def one_alert_that_is_of_today(output: Output) -> bool:
    return output.only("weight")["state"] == "open" and not any(
        alert["stale"] for alert in output.alerts()
    )


def each_value_to_its_wearer(output: Output) -> bool:
    worn = {(reading["patient"], reading["value"]) for reading in output.of("reading")}
    alert = output.only()
    return worn == {("anna", "88"), ("bert", "98")} and (alert["patient"], alert["priority"]) == (
        "anna",
        "high",
    )


def late_and_back_and_listed(output: Output) -> bool:
    records = output.alerts()
    priorities = [alert["priority"] for alert in records]
    marked = all(alert["late"] and alert["historical"] for alert in records)
    return (
        priorities[:1] == ["medium"]
        and priorities[-1] == "high"
        and marked
        and output.only()["state"] == "open"
    )


def late_value_escalates_no_more(output: Output) -> bool:
    alert = output.only()
    over = next(record for record in output.alerts() if record.get("over"))
    return (
        bool(alert["over"])
        and alert["escalation"] == over["escalation"]
        and alert["opened_at"] < over["updated_at"]
    )


def the_chart_holds_and_the_limit_is_named(output: Output) -> bool:
    fever, settings = output.only("vital_signs"), output.only("settings")
    return "41.0" in fever["why"][0] and "temperature" in said(settings)


def rings_and_says_that_nothing_is_known_between(output: Output) -> bool:
    return output.only()["state"] == "open" and "nothing known between" in output.only()["why"][0]


def the_bare_recovery_is_named(output: Output) -> bool:
    return (
        "recover" in said(output.only("settings")) and output.only("vital_signs")["state"] == "open"
    )


def points_at_the_edges(output: Output) -> bool:
    wanted = {
        (vital, value): int(points)
        for vital, value, points in re.findall(r"(\w+) ([\d.]+)→(\d)", output.expected)
    }
    wanted |= {
        ("body_temperature", value): points
        for value, points in (
            ("95.0", 3),
            ("95.1", 1),
            ("96.8", 1),
            ("96.9", 0),
            ("100.4", 0),
            ("100.5", 1),
            ("102.2", 1),
            ("102.29", 2),
        )
    }
    wanted |= {
        ("systolic", value): points
        for value, points in (("12.06", 3), ("12.07", 2), ("29.26", 0), ("29.27", 3))
    }
    scores = {score["readings"][0]: score["score_min"] for score in output.news2()}
    found = {
        (reading["vital"], reading["value"]): scores[reading["id"]]
        for reading in output.of("reading")
    }
    return len(wanted) > 40 and {key: found[key] for key in wanted} == wanted


def totals_of_the_worked_examples(output: Output) -> bool:
    wanted = {
        patient: int(total) for patient, total in re.findall(r"(w\w+)=(\d+)", output.expected)
    }
    found = {score["patient"]: score for score in output.news2()}
    whole = all(
        score["missing"] == [] and score["score_min"] == score["score_max"]
        for score in found.values()
    )
    return (
        len(wanted) == 9
        and whole
        and {patient: score["score"] for patient, score in found.items()} == wanted
    )


def one_measurement_is_no_repeat(output: Output) -> bool:
    return (
        output.only()["priority"] == "medium" and "repeat in 5 minutes" in output.only()["why"][0]
    )


def high_and_not_back(output: Output) -> bool:
    alert = output.only()
    never = not any(record["historical"] or record.get("over") for record in output.alerts())
    return alert["priority"] == "high" and never and alert["title"] == "Respiratory rate high"


def medium_and_not_back(output: Output) -> bool:
    return output.only()["priority"] == "medium" and not any(
        record["historical"] for record in output.alerts()
    )


def she_has_limits(output: Output) -> bool:
    alert = output.only("vital_signs")
    names = ("saturation", "respiratory rate", "heart rate", "temperature", "systolic")
    return alert["priority"] == "high" and all(name in said(alert) for name in names)


def over_after_ten_minutes_and_not_before(output: Output) -> bool:
    over = [record["updated_at"] for record in output.alerts() if record.get("over")]
    alert = output.only()
    return over[:1] == ["2026-03-01T11:10:00Z"] and (alert["state"], alert["priority"]) == (
        "open",
        "high",
    )


def a_new_alert_without_the_old_snooze(output: Output) -> bool:
    first, second = output.last()
    return (
        first["state"] == "resolved" and second["state"] == "open" and events(second) == ["opened"]
    )


def the_range_holds_both_answers(output: Output) -> bool:
    score = output.news2()[-1]
    return (score["score_min"], score["score_max"]) == (0, 5) and "oxygen" in score["missing"]


def silence_of_the_new_device(output: Output) -> bool:
    alert = output.only("device:silence")
    return (alert["priority"], alert["opened_at"]) == ("medium", "2026-03-01T09:30:00Z")


def silence_of_what_was_never_heard(output: Output) -> bool:
    alert = output.last("device:silence")[0]
    return "heart rate" in alert["why"][0] and alert["opened_at"] == "2026-03-01T09:00:00Z"


def a_side_that_the_snooze_does_not_cover(output: Output) -> bool:
    low = [
        (alert["state"], alert["priority"]) for alert in output.alerts() if "low" in alert["title"]
    ]
    return low == [("open", "medium"), ("open", "high")]


def few_alerts_a_day(output: Output) -> bool:
    return len(output.last()) <= 2


def the_limit_in_the_unit_of_the_reading(output: Output) -> bool:
    return "3.9 mmol/L" in output.only()["why"][0]


def the_newest_besides_what_rang(output: Output) -> bool:
    alert = output.only()
    told = "65 %" in alert["why"][0] and any("89 %" in line for line in alert["why"][1:])
    return told and alert["measured_at"] == "2026-03-01T10:03:00Z"


def low_is_read_first(output: Output) -> bool:
    return output.only()["title"] == "Glucose low" and "62 mg/dL" in output.only()["why"][0]


def no_line_is_cut_in_two(output: Output) -> bool:
    whole = all(b"\n" not in record for _, record in output.lines)
    values = [reading["value"] for reading in output.of("reading")]
    return whole and (
        values == ["72"] or [reject["reason"] for reject in output.of("reject")] == ["bad_schema"]
    )


def what_was_taken_back_is_in_no_words(output: Output) -> bool:
    alert = output.only()
    (kept,) = [reading["id"] for reading in output.of("reading") if reading["value"] == "60"]
    return alert["state"] == "open" and "52" not in said(alert) and alert["evidence"] == [kept]


def digits_that_a_sensor_vouches_for(output: Output) -> bool:
    records = b"".join(record for kind, record in output.lines if kind == "observation")
    decimals = [len(found) for found in re.findall(rb'"value":-?\d+\.?(\d*)', records)]
    return bool(decimals) and max(decimals) <= MOST_DECIMALS


CLAIMS: dict[str, Callable[[Output], bool]] = {
    "ack-88-then-60-spo2": acknowledged_then_beyond_the_query_bound,
    "born-with-dots": a_child_is_no_adult,
    "daily-weight-marked-no-new-data": one_alert_that_is_of_today,
    "devices-swapped-in-one-minute": each_value_to_its_wearer,
    "high-from-late-data-alone": late_and_back_and_listed,
    "late-value-of-a-resolved-episode": late_value_escalates_no_more,
    "limit-fahrenheit-typed-as-celsius": the_chart_holds_and_the_limit_is_named,
    "limit-for-minutes-over-a-gap": rings_and_says_that_nothing_is_known_between,
    "limit-recover-of-two-sides-ignored": the_bare_recovery_is_named,
    "news2-edges-with-decimals": points_at_the_edges,
    "news2-published-totals": totals_of_the_worked_examples,
    "one-cuff-value-by-two-routes": one_measurement_is_no_repeat,
    "over-breath-still-31": high_and_not_back,
    "over-meter-still-62": medium_and_not_back,
    "pregnant-and-nothing-rings": she_has_limits,
    "recovery-needs-its-ten-minutes": over_after_ten_minutes_and_not_before,
    "rises-again-after-the-end": a_new_alert_without_the_old_snooze,
    "scale2-oxygen-unknown-range": the_range_holds_both_answers,
    "silence-after-device-was-replaced": silence_of_the_new_device,
    "silence-never-heard-at-all": silence_of_what_was_never_heard,
    "snoozed-high-then-low": a_side_that_the_snooze_does_not_cover,
    "spo2-hovers-93-94": few_alerts_a_day,
    "text-in-another-unit-mmol": the_limit_in_the_unit_of_the_reading,
    "text-stays-at-88-while-65": the_newest_besides_what_rang,
    "title-says-high-at-62": low_is_read_first,
    "value-with-a-line-end": no_line_is_cut_in_two,
    "void-leaves-the-strangers-value-in-why": what_was_taken_back_is_in_no_words,
    "window-of-two-units-28-digits": digits_that_a_sensor_vouches_for,
}


@pytest.mark.parametrize("name", CLAIMS)
def test_case(name: str) -> None:
    case = CASES / name
    if not (case / "expect.md").exists():
        pytest.skip(f"{case} is not there: set RPM_SHARED to the folder with data/")
    output = Output(case)
    assert CLAIMS[name](output), f"expected{output.expected}"


def test_every_case_has_its_claim() -> None:
    if not CASES.is_dir():
        pytest.skip(f"{CASES} is not there: set RPM_SHARED to the folder with data/")
    assert sorted(path.parent.name for path in CASES.glob("*/expect.md")) == sorted(CLAIMS)
