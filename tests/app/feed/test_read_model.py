"""What the feed keeps in memory: everything listed, and a bounded window of readings."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec
import pytest
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st
from support.alerts import alert_of
from support.corrections import correction
from support.readings import message_of
from support.readings import reading as reading_of

from rpm_stream.alert.refusals import SENTENCES, refused_words
from rpm_stream.app.feed import read_model as feed_state
from rpm_stream.app.feed.consumer import apply_alert, apply_readings
from rpm_stream.app.feed.read_model import ChartReading, FeedState, Pending, thinned
from rpm_stream.pipeline.holdings import adopted_id
from rpm_stream.pipeline.order import forward
from rpm_stream.records import (
    Action,
    Alert,
    Event,
    PatientEntry,
    Position,
    Reading,
    Readings,
    Transition,
)

NOW = datetime(2026, 7, 14, 7, 0, tzinfo=UTC)


def reading(
    key: str, at: datetime, value: str | None = "96", vital: str = "oxygen_saturation"
) -> Reading:
    """A reading of patient p."""
    absent = None if value else "not-a-number"
    return reading_of(
        vital, value, "%", id=key, patient="p", measured_at=at, received_at=at, absent=absent
    )


def message(*readings: Reading, patient: str = "p") -> Readings:
    """A message of rpm.readings."""
    return message_of(*readings, patient=patient)


def alert(key: str = "a", evidence: tuple[str, ...] = (), patient: str = "p") -> Alert:
    """An open high alert."""
    step = Transition(at=NOW, state="open", priority="high", who="", reason="")
    return alert_of(key, NOW, patient=patient, why=(), evidence=evidence, history=(step,))


def resolved(found: Alert, at: datetime) -> Alert:
    """The same alert, resolved."""
    return msgspec.structs.replace(found, state="resolved", updated_at=at)


values = st.lists(st.integers(40, 200), min_size=1, max_size=300)


@given(values)
def test_thinning_keeps_every_extreme(found: list[int]) -> None:
    points = [
        ChartReading(str(i), NOW + timedelta(minutes=i), float(v), "/min", None, ())
        for i, v in enumerate(found)
    ]
    kept = thinned(points)
    assert max(p.value or 0 for p in kept) == max(found)
    assert min(p.value or 0 for p in kept) == min(found)
    assert [p.at for p in kept] == sorted(p.at for p in kept)
    assert len(kept) <= (len(found) + 3) // 4 * 2


def test_a_series_never_grows_beyond_its_bound_and_keeps_its_lowest_value() -> None:
    state = FeedState()
    for i in range(3 * feed_state.SERIES_POINTS):
        value = "61" if i == 10 else "96"
        state.readings.put(message(reading(str(i), NOW + timedelta(seconds=i), value)))
    kept = state.readings.series("p", "oxygen_saturation", NOW, NOW + timedelta(days=1))
    assert len(kept) == state.readings.points <= feed_state.SERIES_POINTS
    assert min(point.value or 0 for point in kept) == 61
    assert kept[-1].id == str(3 * feed_state.SERIES_POINTS - 1)


def test_the_whole_window_is_bounded() -> None:
    state = FeedState()
    each = 1_000
    patients = feed_state.TOTAL_POINTS // each + 5
    for number in range(patients):
        many = [reading(f"{number}-{i}", NOW + timedelta(seconds=i)) for i in range(each)]
        state.readings.put(message(*many, patient=f"p{number}"))
    assert state.readings.points == feed_state.TOTAL_POINTS
    assert state.readings.vitals("p0") == [] and state.readings.vitals(f"p{patients - 1}") == [
        "oxygen_saturation"
    ]


def test_a_repeated_message_changes_nothing() -> None:
    state = FeedState()
    for _ in range(3):
        state.readings.put(message(reading("r1", NOW), reading("r2", NOW + timedelta(minutes=1))))
    assert state.readings.points == 2


def test_evidence_is_found_whichever_comes_first() -> None:
    first, second = FeedState(), FeedState()
    first.readings.put(message(reading("r1", NOW)))
    first.put_alert(alert(evidence=("r1", "unknown")))
    second.put_alert(alert(evidence=("r1", "unknown")))
    second.readings.put(message(reading("r1", NOW)))
    assert list(first.readings.evidence(alert(evidence=("r1", "unknown")))) == ["r1"]
    assert first.readings.evidence(first.alerts["a"]) == second.readings.evidence(
        second.alerts["a"]
    )


def test_evidence_outlives_the_window() -> None:
    state = FeedState()
    state.put_alert(alert(evidence=("old",)))
    state.readings.put(message(reading("old", NOW), reading("other", NOW)))
    state.readings.put(message(reading("new", NOW + feed_state.WINDOW + timedelta(hours=1))))
    state.prune(NOW)
    assert list(state.readings.evidence(state.alerts["a"])) == ["old"]
    assert [
        p.id for p in state.readings.series("p", "oxygen_saturation", NOW, NOW + timedelta(days=9))
    ] == ["new"]
    assert state.readings.points == 1


def test_law_3_pruning_forgets_only_what_was_resolved_over_a_day_ago() -> None:
    state = FeedState()
    state.put_alert(alert("open"))
    state.put_alert(resolved(alert("fresh"), NOW))
    state.put_alert(resolved(alert("old"), NOW - timedelta(hours=25)))
    state.prune(NOW + timedelta(hours=1))
    assert set(state.alerts) == {"open", "fresh"}
    state.prune(NOW + timedelta(days=400))
    assert set(state.alerts) == {"open"}


def test_a_viewer_gets_each_changed_alert_once_and_in_its_latest_form() -> None:
    state = FeedState()
    state.put_alert(alert("a"))
    seen = state.version
    state.put_alert(alert("b"))
    state.put_alert(resolved(alert("b"), NOW))
    assert [(each.id, each.state) for each in state.changed_since(seen)] == [("b", "resolved")]
    assert state.changed_since(state.version) == []


def test_a_name_in_the_registry_changes_the_rows_of_that_patient_alone() -> None:
    state = FeedState()
    state.put_alert(alert("a"))
    state.put_alert(alert("b", patient="q"))
    seen = state.version
    state.put_entry(PatientEntry(patient="p", display="Amelia Hart"))
    assert [each.id for each in state.changed_since(seen)] == ["a"]


def test_waiting_ends_with_the_next_change() -> None:
    async def watch() -> int:
        state = FeedState()
        waiting = asyncio.create_task(state.wait(state.version))
        await asyncio.sleep(0)
        assert not waiting.done()
        state.put_alert(alert())
        return await asyncio.wait_for(waiting, 5)

    assert asyncio.run(watch()) == 1


def after(found: Alert, *steps: tuple[str, Event, float]) -> Alert:
    """The alert after further steps: who, what, and how many seconds after NOW."""
    made = tuple(
        Transition(
            at=NOW + timedelta(seconds=late),
            state="open",
            priority="high",
            who=who,
            reason="",
            event=event,
        )
        for who, event, late in steps
    )
    return msgspec.structs.replace(found, history=(*found.history, *made))


def test_the_alert_confirms_a_pending_acknowledgement() -> None:
    state = FeedState()
    state.put_alert(alert())
    state.pending["a"] = Pending("N. Adeyemi", "acknowledge", alert().history)
    state.put_alert(alert())
    state.put_alert(msgspec.structs.replace(alert(), state="snoozed"))
    assert "a" in state.pending
    state.put_alert(msgspec.structs.replace(alert(), state="acknowledged"))
    assert "a" not in state.pending


@pytest.mark.parametrize("late", [-60, -0.0005, 1])
@pytest.mark.parametrize(
    ("who", "event", "is_confirmed"),
    [
        ("N. Adeyemi", "commented", True),
        ("N. Adeyemi", "refused", True),
        ("N. Adeyemi", "assigned", False),
        ("M. Keller", "commented", False),
    ],
)
def test_a_further_step_of_the_same_person_confirms_what_is_pending(
    who: str, event: Event, is_confirmed: bool, late: float
) -> None:
    """Whatever its time: that is the broker's, and the feed's clock may be ahead of it."""
    pressed = after(alert(), ("N. Adeyemi", "commented", 0))
    pending = Pending("N. Adeyemi", "comment", pressed.history)
    assert not pending.is_confirmed_by(pressed)
    assert pending.is_confirmed_by(after(pressed, (who, event, late))) is is_confirmed


def test_the_same_once_more_in_the_same_moment_confirms_too() -> None:
    pressed = after(alert(), ("N. Adeyemi", "commented", 0))
    pending = Pending("N. Adeyemi", "comment", pressed.history)
    assert pending.is_confirmed_by(after(pressed, ("N. Adeyemi", "commented", 0)))


def test_a_history_that_gave_up_old_steps_confirms_nothing() -> None:
    """A full patient's histories are cut: what is left of them is no news."""
    pressed = after(alert(), ("N. Adeyemi", "commented", 0), ("N. Adeyemi", "commented", 1))
    pending = Pending("N. Adeyemi", "comment", pressed.history)
    cut = msgspec.structs.replace(pressed, history=(pressed.history[0], pressed.history[-1]))
    assert not pending.is_confirmed_by(cut)
    assert pending.is_confirmed_by(after(cut, ("N. Adeyemi", "commented", 2)))


def test_a_decision_waits_for_nothing_where_its_alert_says_already_what_comes_of_it() -> None:
    """The judge says it once; whoever presses next finds it in the history."""
    held = msgspec.structs.replace(alert(), state="acknowledged")
    step = Transition(
        at=NOW,
        state="acknowledged",
        priority="high",
        who="M. Keller",
        reason=refused_words("resolve", SENTENCES["not_back"]),
        event="refused",
    )
    refused = msgspec.structs.replace(held, history=(*held.history, step))
    assert Pending("N. Adeyemi", "resolve", refused.history).is_confirmed_by(refused)
    for other in (
        after(refused, ("M. Keller", "commented", 1)),
        msgspec.structs.replace(refused, state="open"),
    ):
        assert not Pending("N. Adeyemi", "resolve", other.history).is_confirmed_by(other)
    assert not Pending("N. Adeyemi", "comment", refused.history).is_confirmed_by(refused)
    seen = after(alert(), ("M. Keller", "seen", 1))
    assert Pending("M. Keller", "see", seen.history).is_confirmed_by(seen)
    assert not Pending("N. Adeyemi", "see", seen.history).is_confirmed_by(seen)


def test_a_tombstone_takes_the_alert_away() -> None:
    state = FeedState()
    state.put_alert(alert())
    seen = state.version
    state.remove_alert("a")
    assert state.alerts == {} and state.removed_at > seen


def arrives(state: FeedState, found: Alert) -> None:
    """As a message of rpm.alerts, read at NOW."""
    value = msgspec.json.encode(found)
    apply_alert(
        state,
        ConsumerRecord("a", 0, 0, 0, 0, found.id.encode(), value, None, 0, len(value), ()),
        NOW,
    )


def test_what_was_resolved_over_a_day_ago_is_never_held() -> None:
    """A feed that starts over a long topic reads every alert that ever was."""
    state = FeedState()
    old = NOW - timedelta(hours=25)
    arrives(state, alert("a"))
    arrives(state, alert("b"))
    arrives(state, resolved(alert("a"), old))
    arrives(state, resolved(alert("c"), old))
    arrives(state, resolved(alert("d"), NOW - timedelta(hours=23)))
    assert set(state.alerts) == {"b", "d"}


def sent(state: FeedState, value: bytes) -> None:
    """As a message of rpm.readings."""
    apply_readings(state, ConsumerRecord("r", 0, 0, 0, 0, b"p", value, None, 0, len(value), ()))


def corrected(
    state: FeedState, kind: Literal["void", "adopt"], patient: str, *readings: Reading
) -> None:
    """A correction of readings, forwarded among the patient's own."""
    action = correction(kind, readings, NOW, patient=patient, who="N. Adeyemi")
    place = Position(topic="rpm.actions", partition=0, offset=3)
    sent(state, forward(msgspec.json.encode(action), patient, place, NOW))


def drawn(state: FeedState, patient: str) -> list[tuple[str, float | None]]:
    """What the chart of a patient's oxygen saturation shows."""
    points = state.readings.series(
        patient, "oxygen_saturation", NOW - timedelta(days=1), NOW + timedelta(days=1)
    )
    return [(point.id, point.value) for point in points]


def test_readings_of_somebody_else_leave_the_chart_and_stand_in_their_wearers() -> None:
    state = FeedState()
    wrong, right = reading("r1", NOW, "85"), reading("r2", NOW + timedelta(minutes=5))
    new = adopted_id("r1", "q")
    sent(state, msgspec.json.encode(message(wrong, right)))
    state.put_alert(alert("a", evidence=("r1", "r2")))
    corrected(state, "adopt", "q", wrong)
    corrected(state, "void", "p", wrong)
    state.put_alert(alert("b", evidence=(new,), patient="q"))
    assert (drawn(state, "p"), drawn(state, "q")) == ([("r2", 96)], [(new, 85)])
    assert list(state.readings.evidence(state.alerts["a"])) == ["r2"]
    assert list(state.readings.evidence(state.alerts["b"])) == [new]
    assert state.readings.points == 2


def test_what_was_taken_back_does_not_come_again_with_its_alert() -> None:
    state = FeedState()
    state.put_alert(alert("a", evidence=("r1",)))
    sent(state, msgspec.json.encode(message(reading("r1", NOW))))
    corrected(state, "void", "p", reading("r1", NOW), reading("never read", NOW))
    state.put_alert(resolved(alert("a", evidence=("r1",)), NOW))
    assert state.readings.evidence(state.alerts["a"]) == {}
    assert (state.readings.vitals("p"), state.readings.points) == ([], 0)


def test_a_decision_among_the_readings_draws_nothing() -> None:
    state = FeedState()
    action = Action(patient="p", alert="a", action="acknowledge", who="N. Adeyemi", at=NOW)
    sent(
        state,
        forward(
            msgspec.json.encode(action),
            "p",
            Position(topic="rpm.actions", partition=0, offset=3),
            NOW,
        ),
    )
    assert (state.readings.vitals("p"), state.readings.points) == ([], 0)
