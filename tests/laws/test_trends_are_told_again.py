"""Law 3 for what changes over days.

A weight gain that a person acknowledged or snoozed is published again when it grows. CONTRACT 10,
Worse is told again and What is so now, for members that a trend holds and not a limit.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.frames import stamp
from support.replaying import of_type, replay_values
from support.ward import Ward, after

from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient
from rpm_stream.records import Alert, Direction, Record

DAY = 1440
LIMITS = shipped().limits


class Course(Record, frozen=True, kw_only=True):
    """A trend that raises an alert.

    It has the days before and the values that raise it, in the vital's first unit.
    """

    vital: str
    side: Direction
    before: tuple[str, ...] = ()
    rings: tuple[str, ...]
    target: str = ""
    apart: int = DAY  # minutes between the values that raise an alert

    @property
    def group(self) -> str:
        return shipped().vitals[self.vital].group

    @property
    def stood(self) -> Decimal:
        return Decimal(self.rings[-1])

    def worse(self, steps: str) -> Decimal:
        """Return a value so many steps beyond the earlier one."""
        further = LIMITS.step_of(self.vital, self.side, self.stood, "")[0] * Decimal(steps)
        return self.stood - further if self.side == "low" else self.stood + further


COURSES = [
    Course(vital="weight", side="high", rings=("82.1",), target="80"),
    Course(vital="weight", side="high", before=("80",) * 10, rings=("81.3", "81.5", "81.6")),
    Course(vital="heart_rate", side="high", before=("70",) * 10, rings=("81", "83")),
    Course(vital="pulse_rate", side="high", before=("70",) * 10, rings=("81", "83")),
    Course(
        vital="oxygen_saturation",
        side="low",
        before=("98",) * 6,
        rings=("95", "95", "95"),
        apart=60,
    ),
]
courses = st.sampled_from(COURSES)
decisions = st.sampled_from(["acknowledge", "snooze"])


def ring(course: Course) -> tuple[Ward, Alert, int]:
    """Return a ward in which the trend raised an alert, the alert, and the last value's minute."""
    entry: dict[str, Any] = {"v": 1, "patient": "p"}
    if course.target:
        entry["target_weight"] = {"value": course.target, "unit": "kg", "at": stamp(-DAY)}
    ward, at = Ward(entry), 0
    for place, value in enumerate((*course.before, *course.rings)):
        at += DAY if place <= len(course.before) else course.apart
        ward.now(course.vital, value, at)
    return ward, alert_of(ward, course), at


def alert_of(ward: Ward, course: Course) -> Alert:
    return ward.patient.state.episodes[course.group].alert


def decided(course: Course, decision: str, **fields: Any) -> tuple[Ward, int]:
    ward, alert, at = ring(course)
    (record,) = ward.act(
        decision, alert.id, at + 1, record=alert.updated_at, until=after(at + 1 + 2 * DAY), **fields
    )
    assert record.state in ("acknowledged", "snoozed")
    return ward, at + 1


@settings(max_examples=60, deadline=None)
@given(courses, decisions, st.integers(1, 3), st.sampled_from([5, 45, DAY]))
def test_a_step_worse_opens_it_again(course: Course, decision: str, steps: int, later: int) -> None:
    ward, at = decided(course, decision)
    number = course.worse(str(steps))
    records = ward.now(course.vital, f"{number:f}", at + later)
    alert = alert_of(ward, course)
    assert alert.state == "open", "somebody decided about a better value, and nobody is told"
    assert {"worse", "raised", "reopened"} & {
        step.event for each in records for step in each.history
    }
    assert str(number) in alert.why[0]
    (entry,) = [each for each in alert.now if each.vital == course.vital]
    assert Decimal(entry.worst.value or "") == number


@settings(max_examples=40, deadline=None)
@given(courses, decisions, st.sampled_from(["0", "0.4", "-0.4"]))
def test_about_the_same_lets_it_be(course: Course, decision: str, steps: str) -> None:
    """Guards the law above: not every further value opens it."""
    ward, at = decided(course, decision)
    ward.now(course.vital, f"{round(course.worse(steps), 1):f}", at + 5)
    assert alert_of(ward, course).state in ("acknowledged", "snoozed")


@settings(max_examples=60, deadline=None)
@given(courses, st.lists(st.sampled_from(["0.3", "0.6", "-0.4", "1"]), min_size=1, max_size=8))
def test_no_creep_goes_by(course: Course, moves: list[str]) -> None:
    """The rise may be slow.

    Once a step is reached since the decision, the alert has been open in between.
    """
    ward, at = decided(course, "acknowledge")
    step, number, has_opened = (
        LIMITS.step_of(course.vital, course.side, course.stood, "")[0],
        course.stood,
        False,
    )
    for move in moves:
        at += 7  # all in one slot of the day, so the trend still holds
        number += step * Decimal(move) * (-1 if course.side == "low" else 1)
        if shipped().vitals[course.vital].reject.excludes(number):
            return
        ward.now(course.vital, f"{number:.1f}", at)
        if course.group not in ward.patient.state.episodes:
            return  # it was back for long enough
        has_opened |= alert_of(ward, course).state == "open"
        if abs(number - course.stood) >= step and (number < course.stood) is (course.side == "low"):
            assert has_opened


@pytest.mark.parametrize("course", COURSES)
def test_beyond_it_again_after_an_hour_is_told_as_of_a_limit(course: Course) -> None:
    ward, at = decided(course, "acknowledge")
    ward.now(course.vital, f"{course.stood}", at + 61)
    assert alert_of(ward, course).state == "open"


@pytest.mark.parametrize("course", COURSES)
def test_a_decision_on_a_record_that_was_overtaken_is_not_carried_out(course: Course) -> None:
    ward, alert, at = ring(course)
    ward.now(course.vital, f"{course.worse('1'):f}", at + 5)
    (record,) = [
        each
        for each in ward.act("acknowledge", alert.id, at + 6, record=alert.updated_at)
        if each.group == course.group
    ]
    assert (record.state, record.history[-1].event) == ("open", "refused")


@pytest.mark.parametrize("course", COURSES)
def test_a_snooze_of_the_other_side_does_not_cover_it(course: Course) -> None:
    other = "low" if course.side == "high" else "high"
    ward, at = decided(course, "snooze", direction=other)
    ward.now(course.vital, f"{course.stood}", at + 5)
    assert alert_of(ward, course).state == "open"


@pytest.mark.parametrize("course", COURSES)
def test_a_member_of_an_older_release_gets_its_side_with_its_next_value(course: Course) -> None:
    ward, at = decided(course, "acknowledge")
    episode = ward.patient.state.episodes[course.group]
    for member in episode.members.values():
        member.direction, member.bound, member.worst = None, "", None
        if member.newest is not None:
            member.newest.number = ""
    assert episode.decided is not None
    episode.decided.beyond = ()
    ward.patient = unpack_patient(pack_patient(ward.patient), "p")
    ward.now(course.vital, f"{course.worse('0.2'):.1f}", at + 5)
    ward.now(course.vital, f"{course.worse('1.2'):.1f}", at + 10)
    assert alert_of(ward, course).state == "open"


def test_a_weight_that_is_back_says_so() -> None:
    """CONTRACT 10, What is so now: the title and the first line have the newest weight.

    They do not have the one that raised the alert.
    """
    course = COURSES[0]
    ward, _, at = ring(course)
    ward.now("weight", "80.4", at + DAY)
    alert = alert_of(ward, course)
    assert alert.historical
    assert alert.title == "Body weight rising, now 80.4 kg"
    assert alert.why[0].startswith("weight 80.4 kg now; before: weight 82.1 kg, 2.1 kg above")
    newest, rang = (reading.value for reading in named(ward, alert))
    assert (newest, rang) == ("80.4", "82.1")


def named(ward: Ward, alert: Alert) -> list[Any]:
    known = {reading.id: reading for reading in READINGS}
    return [known[each] for each in alert.evidence]


READINGS: list[Any] = []


@pytest.fixture(autouse=True)
def keep_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    READINGS.clear()
    message = Ward.message

    def kept(self: Ward, minutes: float, *values: tuple[Any, ...]) -> Any:
        made = message(self, minutes, *values)
        READINGS.extend(made.readings)
        return made

    monkeypatch.setattr(Ward, "message", kept)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(795, 860), min_size=1, max_size=10, unique=True),
    st.sampled_from([("kg", 1), ("g", 1000)]),
)
def test_law_12_each_line_names_the_reading_whose_weight_it_tells(
    tenths: list[int], unit: tuple[str, int]
) -> None:
    """The evidence is what the lines name, in order: rising, back, and rising again."""
    entry = {
        "v": 1,
        "patient": "p",
        "target_weight": {"value": "80", "unit": "kg", "at": stamp(-DAY)},
    }
    values = [
        (place * DAY, "weight", f"{Decimal(each * unit[1]) / 10:f}", unit[0])
        for place, each in enumerate(tenths)
    ]
    output = replay_values(values, [entry])
    known = {reading["id"]: reading for reading in of_type(output, "reading")}
    for alert in of_type(output, "alert"):
        told = [
            Decimal(each)
            for line in alert["why"]
            for each in re.findall(r"weight ([0-9.]+) k?g", line)
        ]
        named = [Decimal(known[each]["value"]) for each in alert["evidence"]]
        assert list(
            dict.fromkeys(round(each / (1000 if each > 1000 else 1), 1) for each in told)
        ) == [round(each / unit[1], 1) for each in named]


def test_between_the_threshold_and_its_half_it_is_not_over_and_says_what_is_so() -> None:
    course = COURSES[0]
    ward, _, at = ring(course)
    ward.now("weight", "81.6", at + DAY)
    alert = alert_of(ward, course)
    assert (alert.title, alert.historical) == ("Body weight rising, now 81.6 kg", False)


def test_the_pulse_of_a_stream_needs_a_row() -> None:
    """One beat counted wrong at 1 Hz opens nothing. Half a minute of it does."""
    course = COURSES[2]
    ward, at = decided(course, "acknowledge")
    for second in range(60):
        value = "104" if second == 30 else "84"
        ward.now("heart_rate", value, at + 1 + second / 60)
    assert alert_of(ward, course).state == "acknowledged"
    for second in range(40):
        ward.now("heart_rate", "104", at + 3 + second / 60)
    assert alert_of(ward, course).state == "open"


def test_a_trend_hides_no_limit_that_is_broken_again_after_an_hour() -> None:
    """Tier (d) of a limit needs values beyond that limit.

    Those of a milder trend do not count.
    """
    entry = {
        "v": 1,
        "patient": "p",
        "target_weight": {"value": "80", "unit": "kg", "at": stamp(-DAY)},
        "limits": [
            {"vital": "weight", "high": "84", "unit": "kg", "owner": "dr-7", "priority": "low"}
        ],
    }
    ward = Ward(entry)
    for minutes, value in ((0, "84.2"), (20, "84.3")):
        ward.now("weight", value, minutes)
    alert = ward.patient.state.episodes["weight"].alert
    ward.act("acknowledge", alert.id, 21, record=alert.updated_at)
    for minutes in range(30, 90, 10):
        ward.now("weight", "83.9", minutes)
        assert ward.patient.state.episodes["weight"].alert.state == "acknowledged"
    ward.now("weight", "84.2", 90)
    assert ward.patient.state.episodes["weight"].alert.state == "open"
