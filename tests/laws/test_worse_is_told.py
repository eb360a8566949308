"""Law 3 after a decision: a value that is a tier worse is published again (CONTRACT 10).

That holds whatever was decided. The tests use the judge's public methods. ``Value`` holds what is
drawn of one vital and side: a value just beyond its limit, and how much further out the next step
is.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.ward import Ward, after

from rpm_stream.knowledge import shipped
from rpm_stream.records import Alert, Direction, Readings, Record

LIMITS = shipped().limits
WAIT = LIMITS.tier_wait_minutes


class Value(Record, frozen=True, kw_only=True):
    """A value beyond the limits of a side, and one that is a step worse.

    The numbers are in the vital's first unit.
    """

    vital: str
    side: Direction
    stood: Decimal
    bound: Decimal | None = None  # only where the step is a share of it
    limits: tuple[dict[str, object], ...] = ()

    @property
    def group(self) -> str:
        return shipped().vitals[self.vital].group

    def worse(self, steps: str = "1") -> Decimal:
        """Return a value so many steps further out."""
        step, _ = LIMITS.step_of(self.vital, self.side, self.bound or self.stood, "")
        further = step * Decimal(steps)
        return self.stood - further if self.side == "low" else self.stood + further

    def is_possible(self, number: Decimal) -> bool:
        return not shipped().vitals[self.vital].reject.excludes(number)


def own(vital: str, side: Direction, bound: str, **other: object) -> Value:
    """Return a value that is beyond a limit of the patient's own."""
    unit = shipped().vitals[vital].unit
    limit = {"vital": vital, side: bound, "unit": unit, "owner": "dr-7", **other}
    return Value(
        vital=vital,
        side=side,
        stood=Decimal(bound) + (-1 if side == "low" else 1),
        bound=Decimal(bound),
        limits=(limit,),
    )


VALUES = [
    Value(vital="oxygen_saturation", side="low", stood=Decimal(88)),
    Value(vital="respiratory_rate", side="low", stood=Decimal(8)),
    Value(vital="respiratory_rate", side="high", stood=Decimal(26)),
    Value(vital="heart_rate", side="low", stood=Decimal(39)),
    Value(vital="heart_rate", side="high", stood=Decimal(133)),
    Value(vital="pulse_rate", side="low", stood=Decimal(39)),
    Value(vital="pulse_rate", side="high", stood=Decimal(133)),
    Value(vital="systolic", side="low", stood=Decimal(89)),
    Value(vital="systolic", side="high", stood=Decimal(182)),
    Value(vital="diastolic", side="high", stood=Decimal(122)),
    Value(vital="body_temperature", side="low", stood=Decimal("34.9")),
    Value(vital="body_temperature", side="high", stood=Decimal("39.2")),
    Value(vital="glucose", side="low", stood=Decimal(65)),
    Value(vital="glucose", side="high", stood=Decimal(260)),
    Value(vital="glucose_interstitial", side="low", stood=Decimal(53)),
    Value(vital="glucose_interstitial", side="high", stood=Decimal(260)),
    own("weight", "high", "85"),
    own("weight", "low", "60"),
    own("peak_flow", "low", "300"),
    own("mean_arterial", "low", "65"),
    own("diastolic", "low", "50"),
    own("heart_rate", "high", "100", priority="high"),
]
values = st.sampled_from(VALUES)
decisions = st.sampled_from(["acknowledge", "snooze"])


def decided(value: Value, decision: str, apart: float = 15) -> tuple[Ward, Alert, float]:
    """Return a ward with an alert about two such values and a nurse's decision.

    The second result is the minute of the decision.
    """
    ward = Ward({"v": 1, "patient": "p", "limits": list(value.limits)})
    unit = shipped().vitals[value.vital].unit
    for number in range(2):
        ward.send(number * apart, (number * apart, value.vital, f"{value.stood}", unit))
    at = apart + 1
    (alert,) = [
        each.alert
        for each in ward.patient.state.episodes.values()
        if each.alert.group == value.group
    ]
    if alert.priority == "high" and decision == "snooze":
        decision = "acknowledge"
    ward.act(decision, alert.id, at, until=after(at + 600))
    return ward, ward.patient.state.episodes[value.group].alert, at


def now(ward: Ward, value: Value, number: Decimal, minutes: float) -> tuple[Alert, ...]:
    unit = shipped().vitals[value.vital].unit
    return ward.send(minutes, (minutes, value.vital, f"{number:f}", unit))


def state_of(ward: Ward, value: Value) -> str:
    return ward.patient.state.episodes[value.group].alert.state


@settings(max_examples=120, deadline=None)
@given(values, decisions, st.integers(1, 3))
def test_a_step_worse_opens_it_again_at_once(value: Value, decision: str, steps: int) -> None:
    ward, alert, at = decided(value, decision)
    assert alert.state in ("acknowledged", "snoozed")
    worse = value.worse(str(steps))
    if not value.is_possible(worse):
        return
    records = [each for each in now(ward, value, worse, at + 5) if each.group == value.group]
    assert state_of(ward, value) == "open", (
        "somebody decided about a better value, and nobody is told"
    )
    assert records[-1].history[-1].event in ("worse", "raised", "joined")
    assert {"worse", "raised", "reopened"} & {step.event for step in records[-1].history}
    assert str(worse) in records[-1].why[0]


@settings(max_examples=120, deadline=None)
@given(values, decisions, st.sampled_from(["0", "0.4", "-0.4"]))
def test_about_the_same_lets_it_be(value: Value, decision: str, steps: str) -> None:
    """Guards the law above: not every further value opens it."""
    ward, _, at = decided(value, decision)
    now(ward, value, round(value.worse(steps), 1), at + 5)
    assert state_of(ward, value) in ("acknowledged", "snoozed", "open")
    if value.group == "vital_signs" or value.side == "low":
        # NEWS2 may have more points, and a lower glucose another limit. Those are tiers of their
        # own
        return
    assert state_of(ward, value) in ("acknowledged", "snoozed")


@settings(max_examples=150, deadline=None)
@given(
    values,
    st.lists(st.tuples(st.integers(1, 12), st.integers(0, 4)), min_size=1, max_size=12),
    st.data(),
)
def test_whatever_was_decided_what_is_worse_is_told_within_the_wait(
    value: Value, course: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Decide again and again.

    A value that stays a step beyond what was decided about is published within 15 minutes.
    """
    ward, alert, minutes = decided(value, "acknowledge")
    stood = value.stood
    for later, steps in course:
        minutes += later
        number = value.worse(str(steps))
        if not value.is_possible(number):
            continue
        now(ward, value, number, minutes)
        if state_of(ward, value) != "open":
            beyond = (stood - number) if value.side == "low" else (number - stood)
            step, _ = LIMITS.step_of(value.vital, value.side, value.bound or value.stood, "")
            if beyond >= step:  # held back, and published after the wait if it still holds
                twin = msgspec.structs.replace(ward.patient.state.episodes[value.group].alert)
                ward.tick(minutes + WAIT)
                assert state_of(ward, value) == "open", (
                    f"{number} after {stood} is never told: {twin.history[-1]}"
                )
                minutes += WAIT
        if state_of(ward, value) == "open" and data.draw(st.booleans()):
            minutes += 1
            ward.act("acknowledge", alert.id, minutes)
            stood = number


def test_what_is_held_back_is_told_when_the_wait_is_over_and_only_if_it_is_still_so() -> None:
    for last, state, at in (("79", "open", after(27)), ("90", "acknowledged", None)):
        ward, alert, _ = decided(VALUES[0], "acknowledge", 5)
        ward.now("oxygen_saturation", "84", 12)  # a tier: open
        ward.act("acknowledge", alert.id, 13)
        # worse, and held back
        assert ward.now("oxygen_saturation", "79", 15)[-1].state == "acknowledged"
        ward.now("oxygen_saturation", last, 20)
        ward.tick(26)
        assert state_of(ward, VALUES[0]) == "acknowledged"
        ward.tick(40)
        now = ward.patient.state.episodes["vital_signs"].alert
        assert now.state == state
        if at is not None:
            assert (now.history[-1].event, now.history[-1].at) == ("worse", at), (
                "at the moment when the wait was over"
            )


def test_beyond_the_query_bound_never_waits() -> None:
    ward, alert, _ = decided(VALUES[0], "acknowledge", 5)
    ward.now("oxygen_saturation", "80", 12)
    ward.act("acknowledge", alert.id, 13)
    assert ward.now("oxygen_saturation", "69", 14)[-1].history[-1].event == "worse"
    ward.act("acknowledge", alert.id, 15)
    assert [each.state for each in ward.now("oxygen_saturation", "68", 16)] in (
        [],
        ["acknowledged"],
    )


def test_one_value_of_many_a_minute_is_no_tier() -> None:
    """At a value a second one dip opens nothing. Half a minute of it does."""
    ward, _, at = decided(VALUES[0], "acknowledge", 5)
    told = []
    for second in range(150):
        value = "80" if second == 20 or second >= 90 else "88"  # over a minute apart: no row
        told += [
            (second, each.state)
            for each in ward.now("oxygen_saturation", value, at + 1 + second / 60)
        ]
    assert [second for second, state in told if state == "open"][:1] == [120]


def test_a_value_after_an_hour_without_one_is_told_again() -> None:
    ward, _, _ = decided(VALUES[12], "acknowledge", 5)
    ward.now("glucose", "75", 20)  # not low, and not back either
    assert [each.state for each in ward.now("glucose", "66", 59)] in ([], ["acknowledged"])
    assert [each.history[-1].event for each in ward.now("glucose", "66", 119)][-1:] == ["worse"]


@pytest.mark.parametrize(("before", "later", "opens"), [("12", "14", True), ("12", "16", True)])
def test_two_points_more_of_news2_open_it(before: str, later: str, opens: bool) -> None:
    ward = Ward()
    ward.now("heart_rate", "133", 0)
    (alert,) = ward.now("heart_rate", "134", 5)
    ward.act("acknowledge", alert.id, 6)
    # a point, but no limit and no tier
    ward.send(20, (20, "heart_rate", "133"), (20, "respiratory_rate", "10"))
    assert ward.patient.state.episodes["vital_signs"].alert.state == "acknowledged"
    (told,) = ward.send(40, (40, "heart_rate", "133"), (40, "body_temperature", "38.5"))[-1:]
    assert (told.state, told.history[-1].event) == ("open", "worse")
    assert "NEWS2 is 5" in " ".join(told.why)


# --- a decision about what has been overtaken -----------------------------------------------------


def test_a_decision_about_a_record_that_a_tier_has_passed_is_not_carried_out() -> None:
    ward = Ward()
    ward.now("oxygen_saturation", "88", 0)
    (seen,) = ward.now("oxygen_saturation", "88", 5)
    ward.now("oxygen_saturation", "80", 10)
    for action, more in (("acknowledge", {}), ("resolve", {}), ("see", {})):
        (refused,) = ward.act(action, seen.id, 11, record=seen.updated_at, **more)
        assert (refused.state, refused.history[-1].event) == ("open", "refused")
        assert refused.history[-1].reason == f"{action} refused: it has got worse since it was seen"
    (done,) = ward.act("acknowledge", seen.id, 12, record=after(10))
    assert done.state == "acknowledged"


@pytest.mark.parametrize("action", ["acknowledge", "resolve", "withdraw", "see", "new_normal"])
def test_a_decision_about_a_record_that_was_lower_is_not_carried_out(action: str) -> None:
    """A second red in a row is no tier worse.

    The person named a record that was medium.
    """
    ward = Ward()
    (seen,) = ward.now("oxygen_saturation", "88", 0)
    (*_, high) = ward.now("oxygen_saturation", "88", 5)
    assert (seen.priority, high.priority) == ("medium", "high")
    (refused,) = ward.act(action, seen.id, 6, record=seen.updated_at, reason="artefact")
    assert (refused.state, refused.history[-1].event) == ("open", "refused")
    assert refused.history[-1].reason.endswith("it has become high since it was seen")
    (done,) = ward.act("withdraw", seen.id, 7, record=high.updated_at, reason="artefact")
    assert done.state == "resolved"


def test_a_decision_about_a_record_does_not_pass_a_rise_of_the_same_moment() -> None:
    """Two messages were received at once.

    The step that raised the alert has the time of the record that was medium.
    """
    ward = Ward()
    (seen,) = ward.now("heart_rate", "135", 5)
    (*_, high) = ward.judge.step(
        ward.patient, behind(ward.message(3, (3, "heart_rate", "135")), 5)
    ).alerts
    assert (seen.priority, high.priority, high.history[-1].at) == (
        "medium",
        "high",
        seen.updated_at,
    )
    (refused,) = ward.act("acknowledge", seen.id, 6, record=seen.updated_at)
    assert (refused.state, refused.history[-1].event) == ("open", "refused")
    assert refused.history[-1].reason.endswith("it has become high since it was seen")
    (done,) = ward.act("acknowledge", seen.id, 7, record=high.updated_at)
    assert done.state == "acknowledged"


def test_a_decision_about_a_record_of_long_ago_is_measured_by_the_priority_that_it_had() -> None:
    """Its moment is forgotten, but an earlier one is kept.

    The history shows that the alert was high already.
    """
    ward = Ward()
    ward.now("heart_rate", "135", 0)
    (*_, high) = ward.now("heart_rate", "135", 5)
    held = ward.patient.state.episodes["vital_signs"]
    held.moments[0].is_record = False
    for minutes in range(20, 20 + 15 * 12, 15):
        ward.now("heart_rate", "135", minutes)
    assert held.moments[0].at < high.updated_at < held.moments[1].at
    (done,) = ward.act("acknowledge", high.id, 300, record=high.updated_at)
    assert done.state == "acknowledged"


def test_a_record_is_told_from_the_one_before_whatever_came_first() -> None:
    """A comment may be received before readings whose turn is later.

    There are two records with two times, and one is worse.
    """
    ward = Ward()
    ward.now("glucose", "69", 0)
    (alert,) = [each.alert for each in ward.patient.state.episodes.values()]
    (seen,) = ward.act("comment", alert.id, 5, reason="phoned")
    (*_, worse) = ward.judge.step(
        ward.patient, behind(ward.message(2, (2, "glucose", "54")), 2)
    ).alerts
    assert worse.updated_at > seen.updated_at
    (refused,) = ward.act("acknowledge", alert.id, 6, record=seen.updated_at)
    assert refused.history[-1].event == "refused"
    (done,) = ward.act("acknowledge", alert.id, 7, record=refused.updated_at)
    assert done.state == "acknowledged"


def behind(message: Readings, minutes: float) -> Readings:
    return msgspec.structs.replace(message, received_at=after(minutes))


def test_a_decision_on_its_way_while_it_got_worse_is_not_carried_out() -> None:
    """The decision names no record.

    What was received up to its moment is what the person saw.
    """
    ward = Ward()
    ward.now("glucose", "66", 0)
    (alert,) = [each.alert for each in ward.patient.state.episodes.values()]
    ward.now("glucose", "50", 5)
    (refused,) = ward.act("acknowledge", alert.id, 3)
    assert refused.history[-1].event == "refused"


def test_what_stood_is_the_newest_that_was_seen_not_the_worst() -> None:
    """It was 80 and then 88 again when the nurse looked. 84 is worse than what she saw."""
    ward = Ward()
    for minutes, value in ((0, "80"), (5, "80"), (25, "88")):
        ward.now("oxygen_saturation", value, minutes)
    alert = ward.patient.state.episodes["vital_signs"].alert
    ward.act("acknowledge", alert.id, 26, record=alert.updated_at)
    (told,) = ward.now("oxygen_saturation", "84", 30)
    assert (told.state, told.history[-1].event) == ("open", "worse")


def test_a_restart_forgets_no_decision() -> None:
    from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient

    ward, _, at = decided(VALUES[0], "acknowledge", 5)
    ward.patient = unpack_patient(pack_patient(ward.patient), "p")
    (told,) = ward.now("oxygen_saturation", "85", at + 5)
    assert (told.state, told.history[-1].event) == ("open", "worse")
    assert told.history[-1].at - told.history[-2].at == timedelta(minutes=5)
