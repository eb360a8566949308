"""The order of record without Kafka: what people decide lies among the readings and is applied
once, in its place.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.frames import START, frame, measurement, registry_of, stamp, worn
from support.replaying import last_alerts, new_replay

from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.ingest import DeviceState, FrameMessage, Ingest
from rpm_stream.pipeline.judge import Judge, Patient, act_once
from rpm_stream.pipeline.order import forward, read_message
from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient
from rpm_stream.pipeline.replay import Replay
from rpm_stream.records import UNREADABLE, Forwarded, Position, Readings
from rpm_stream.score.rules.limits_and_news2 import LimitJudge

VALUES = ("97", "90", "84", "83", "96", "97", "85", "80", "96", "97", "97", "82")
KINDS = ("acknowledge", "snooze", "comment", "resolve", "assign", "see")


def message(minutes: int, value: str, seq: int) -> bytes:
    """What ingest writes to rpm.readings for one frame of one reading."""
    ingest = Ingest(shipped(), registry_of([worn()]), recorded_time=True)
    body = msgspec.json.encode(
        frame([measurement(minutes, "oxygen_saturation", value)], minutes, seq)
    )
    position = Position(topic="rpm.frames", partition=1, offset=seq)
    done = ingest.step(
        DeviceState(), FrameMessage(key="d", value=body, position=position, received_at=START)
    )
    (found,) = done.readings
    return msgspec.json.encode(found)


READINGS = [message(10 * number, value, number) for number, value in enumerate(VALUES)]


def alerts_of(messages: Iterable[bytes]) -> list[str]:
    """The ids of the alerts that these open, in their order."""
    run = new_replay([worn()])
    lines = [line for one in messages for line in run.message(one) if line.type == "alert"]
    return list(dict.fromkeys(msgspec.json.decode(bytes(line.record))["id"] for line in lines))


ALERTS = alerts_of(READINGS)


def sent(kind: str, minutes: float, alert: str | None = None, **more: Any) -> bytes:
    """A message of rpm.actions."""
    given = {
        "v": 1,
        "patient": "p",
        "alert": alert or ALERTS[0],
        "action": kind,
        "who": "nurse",
        "at": stamp(minutes),
    }
    given |= {"reason": "said", "to": "M. Keller", "until": stamp(minutes + 25)}
    return msgspec.json.encode({**given, **more})


def decided(offset: int, kind: str, minutes: float, partition: int = 0, **more: Any) -> bytes:
    """The same as ingest forwards it."""
    place = Position(topic="rpm.actions", partition=partition, offset=offset)
    return forward(sent(kind, minutes, **more), "p", place, None)


def told(messages: Iterable[bytes]) -> list[bytes]:
    """All that a replay puts out."""
    run = new_replay([worn()])
    lines = [line.encode() for one in messages for line in run.message(one)]
    return [*lines, *(line.encode() for line in run.finish(None))]


# --- law 2a: each once ----------------------------------------------------------------------------


@st.composite
def orders(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """An order of record with decisions between the readings, and the same as it lies in the topic
    after crashes.

    Each message of either source may come again any time after it came first, and then those behind
    it may come again.
    """
    chance = random.Random(draw(st.integers(0, 10**6)))
    order = list(READINGS)
    for offset in range(draw(st.integers(1, 6))):
        place = chance.randint(offset, len(order))
        minutes = 10 * place + chance.uniform(-30, 30)
        order.insert(place, b"action %d %d" % (offset, minutes))
    offsets: dict[int, int] = {0: 0, 1: 0}
    for place, one in enumerate(order):
        if one.startswith(b"action"):
            partition = chance.choice([0, 0, 0, 1])
            offsets[partition] += chance.randint(1, 3)  # of others' in between
            minutes = float(one.split()[2])
            kind, alert = chance.choice(KINDS), chance.choice(ALERTS)
            order[place] = decided(offsets[partition], kind, minutes, partition, alert=alert)
    repeated = []
    for place, one in enumerate(order):
        repeated.append(one)
        while chance.random() < 0.3:
            first = chance.randint(0, place)
            again = order[first : chance.randint(first, place) + 1]
            is_action = chance.random() < 0.5  # ingest forwards the two topics beside each other
            repeated += [each for each in again if (b'"action"' in each) == is_action]
    return order, repeated


@given(orders())
def test_whatever_is_forwarded_again_is_applied_once(both: tuple[list[bytes], list[bytes]]) -> None:
    order, repeated = both
    assert told(repeated) == told(order)


def test_the_place_in_the_order_decides_not_the_time() -> None:
    """A withdrawal before a reading ends the episode; behind it, it ends the one that this
    reading is in.
    """
    withdraw = decided(0, "withdraw", 25)
    before = last_alerts(outputs([*READINGS[:2], withdraw, *READINGS[2:4]]))
    after = last_alerts(outputs([*READINGS[:4], withdraw]))
    assert {each["state"] for each in before.values()} == {"resolved", "open"}
    assert [each["state"] for each in after.values()] == ["resolved"]


def outputs(messages: Iterable[bytes]) -> list[tuple[str, dict[str, Any]]]:
    lines = [msgspec.json.decode(line) for line in told(messages)]
    return [(line["type"], line["record"]) for line in lines]


def test_a_line_of_a_file_is_the_same_whether_it_was_forwarded_or_not() -> None:
    """A file of frames and actions has no places: the action's own time is when it was received."""
    lines = [
        *READINGS[:3],
        sent("acknowledge", 35),
        *READINGS[3:6],
        sent("comment", 55),
        *READINGS[6:],
    ]
    forwarded = [
        decided(number, *action) if action else line
        for number, (line, action) in enumerate(
            zip(
                lines,
                [None] * 3 + [("acknowledge", 35)] + [None] * 3 + [("comment", 55)] + [None] * 6,
                strict=True,
            )
        )
    ]
    run, again = new_replay([worn()]), new_replay([worn()])
    plain = [
        line.encode() for number, one in enumerate(lines, 1) for line in run.jsonl(one, number)
    ]
    assert plain == [
        line.encode()
        for number, one in enumerate(forwarded, 1)
        for line in again.jsonl(one, number)
    ]
    assert b'"acknowledged"' in b"".join(plain)


def test_a_forwarded_line_that_is_none_is_refused_with_its_line() -> None:
    value = decided(0, "acknowledge", 30).replace(b'"offset":0,', b"")
    (line,) = new_replay().jsonl(value, 7)
    reject = msgspec.json.decode(bytes(line.record))
    assert (line.type, reject["reason"], reject["line"]) == ("reject", "bad_schema", 7)
    assert list(new_replay().message(value)) == []


# --- the message ----------------------------------------------------------------------------------


def test_the_action_stands_in_it_as_it_was_sent() -> None:
    """Also what this release does not know: a later one reads it."""
    value = (
        b'{ "action":"acknowledge", "v":1,"patient":"p","alert":"a","who":"n",\n'
        b'"at":"2026-03-01T10:00:00+02:00","x":1.50}'
    )
    at = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
    message = forward(value, "p", Position(topic="rpm.actions", partition=3, offset=9), at)
    assert value in message
    found = read_message(message)
    assert isinstance(found, Forwarded)
    assert (found.patient, found.topic, found.partition, found.offset, found.received_at) == (
        "p",
        "rpm.actions",
        3,
        9,
        at,
    )
    assert (found.action.action, found.action.alert) == ("acknowledge", "a")


def test_where_time_is_recorded_it_was_received_when_it_says_it_was_made() -> None:
    value = sent("comment", 0, at="2026-03-01T10:00:00+02:00")
    found = read_message(
        forward(value, "p", Position(topic="rpm.actions", partition=0, offset=0), None)
    )
    assert found.received_at == START
    assert b'"received_at":"2026-03-01T08:00:00Z"' in forward(
        value, "p", Position(topic="rpm.actions", partition=0, offset=0), None
    )


NOT_TEXT = sent("acknowledge", 0, x="y").replace(b'"y"', b'"\xff"')


@pytest.mark.parametrize(
    "value", [b"", b"{}", b"[]", b'{"action":{}}', sent("acknowledge", 0)[:-1], NOT_TEXT]
)
def test_what_is_no_action_is_not_forwarded(value: bytes) -> None:
    with pytest.raises(UNREADABLE):
        forward(value, "p", Position(topic="rpm.actions", partition=0, offset=0), None)


def test_on_an_alert_of_a_patient_with_an_odd_name_somebody_can_decide() -> None:
    """An older registry took such names, and its patients are judged: what opens must be
    answered.
    """
    place = Position(topic="rpm.actions", partition=0, offset=0)
    found = read_message(forward(sent("acknowledge", 0, patient="p\t1"), "p\t1", place, None))
    assert isinstance(found, Forwarded)
    assert (found.patient, found.action.patient) == ("p\t1", "p\t1")


@pytest.mark.parametrize("field", ["alert", "who", "to"])
def test_what_a_person_writes_holds_no_control_character(field: str) -> None:
    value = msgspec.json.encode({**msgspec.json.decode(sent("assign", 0)), field: "n\t1"})
    with pytest.raises(UNREADABLE):
        forward(value, "p", Position(topic="rpm.actions", partition=0, offset=0), None)


@pytest.mark.parametrize("patient", ["", "p" * 129])
def test_what_can_be_no_patient_is_not_forwarded(patient: str) -> None:
    with pytest.raises(UNREADABLE):
        forward(
            sent("acknowledge", 0),
            patient,
            Position(topic="rpm.actions", partition=0, offset=0),
            None,
        )


def test_readings_are_told_from_actions_by_the_form_alone() -> None:
    """A correction holds readings, and the words of people may hold anything."""
    assert isinstance(read_message(READINGS[0]), Readings)
    odd = msgspec.json.decode(READINGS[0])
    odd["readings"][0]["attributes"]["action"] = {"action": "void"}
    assert isinstance(read_message(msgspec.json.encode(odd)), Readings)
    reading = msgspec.json.decode(READINGS[0])["readings"]
    assert isinstance(read_message(decided(0, "void", 0, readings=reading)), Forwarded)
    with pytest.raises(msgspec.ValidationError):
        read_message(sent("acknowledge", 0))  # of rpm.actions, not forwarded


# --- the state ------------------------------------------------------------------------------------


def judged(judge: Judge, patient: Patient, values: Iterable[bytes]) -> list[Any]:
    """What comes of messages of rpm.readings, as the agent applies them."""
    found = []
    for value in values:
        one = read_message(value)
        found.append(
            act_once(judge, patient, one)
            if isinstance(one, Forwarded)
            else judge.step(patient, one)
        )
    return found


def test_what_an_older_judge_took_from_the_topic_of_actions_is_not_applied_again() -> None:
    """It kept the same place: partition of rpm.actions -> offset.

    So ingest may begin that topic at its beginning.
    """
    judge, patient = Judge(shipped(), registry_of([worn()])), unpack_patient(None, "p")
    judged(judge, patient, READINGS[:3])
    patient.state.actions[0] = 4
    patient = unpack_patient(pack_patient(patient), "p")
    [old, known, new] = judged(
        judge, patient, [decided(offset, "comment", 30) for offset in (1, 4, 5)]
    )
    assert (old, known) == (None, None)
    assert [alert.history[-1].who for alert in new.alerts] == ["nurse"]
    assert unpack_patient(pack_patient(patient), "p").state.actions == {0: 5}


def test_a_decision_is_of_when_it_was_received_and_never_before_what_was_applied() -> None:
    judge, patient = Judge(shipped(), registry_of([worn()])), unpack_patient(None, "p")
    judged(judge, patient, READINGS[:4])
    place = Position(topic="rpm.actions", partition=0, offset=0)
    late, early = (START + timedelta(minutes=minutes) for minutes in (44, 3))
    [later] = judged(judge, patient, [forward(sent("comment", 31), "p", place, late)])
    assert later.alerts[0].history[-1].at == late
    place = msgspec.structs.replace(place, offset=1)
    [earlier] = judged(judge, patient, [forward(sent("comment", 31), "p", place, early)])
    assert earlier.alerts[0].history[-1].at == START + timedelta(minutes=30)


def test_a_step_that_fails_leaves_the_decisions_before_it_with_their_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The state is made anew from what was applied since it was sealed: the same decisions at
    the same times.
    """
    limits = LimitJudge.limits

    def failing(self: LimitJudge, state: Any, reading: Any, patient: Any) -> Any:
        if reading.value == "80":
            raise ZeroDivisionError
        return limits(self, state, reading, patient)

    monkeypatch.setattr(LimitJudge, "limits", failing)
    place = Position(topic="rpm.actions", partition=0, offset=3)
    action = forward(sent("comment", 31), "p", place, START + timedelta(minutes=44))
    judge, sound, broken = (
        Judge(shipped(), registry_of([worn()])),
        *(unpack_patient(None, "p") for _ in range(2)),
    )
    judged(judge, sound, [*READINGS[:4], action])
    *_, failed = judged(judge, broken, [*READINGS[:4], action, READINGS[7]])
    assert [reject.reason for reject in failed.rejects] == ["internal_error"]
    known, left = (patient.state.episodes["vital_signs"].alert for patient in (sound, broken))
    assert (left, left.history[-1].at) == (known, START + timedelta(minutes=44))
    assert broken.state.actions == {0: 3}


def test_an_adopted_reading_is_received_with_the_decision() -> None:
    reading = msgspec.json.decode(READINGS[2])["readings"]
    value = sent("adopt", 31, readings=reading)
    at = START + timedelta(minutes=50)
    place = Position(topic="rpm.actions", partition=0, offset=0)
    run = Replay(shipped(), registry_of([worn("q")]))
    lines = list(run.message(forward(value, "q", place, at)))
    alerts = [msgspec.json.decode(bytes(line.record)) for line in lines if line.type == "alert"]
    assert {alert["opened_at"] for alert in alerts} == {stamp(50)}
