"""Law 6 and CONTRACT 8: a patient's state stays under 48 KB and 16 KB a vital, whatever is sent.

It hides nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rpm_stream.alert.refusals import FULL
from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.judge import Judge, Judged, Patient
from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient
from rpm_stream.pipeline.silence import GROUP as SILENCE
from rpm_stream.records import (
    Action,
    Alert,
    Limit,
    Of,
    Origin,
    PatientEntry,
    Reading,
    Readings,
    Record,
)

STATE_BYTES, VITAL_BYTES = 48 * 1024, 16 * 1024
START = datetime(2026, 3, 1, tzinfo=UTC)
KNOWLEDGE = shipped()
VITALS = tuple(KNOWLEDGE.vitals)
FLAGS = sorted(
    KNOWLEDGE.signal.ask_repeat.union(
        *(row.flags for row in KNOWLEDGE.device_rules.fault),
        KNOWLEDGE.device_rules.clock.flags,
        {"battery_low"},
    )
)
_encode = msgspec.msgpack.Encoder().encode


class Hostile(Record, frozen=True, kw_only=True):
    """One way of filling a state.

    ``hung`` is the number of bytes of attributes on each value, ``letter`` a character of the
    devices' names. ``calm`` is the number of messages before, from which the detectors learn.
    """

    seed: int
    vitals: tuple[str, ...] = VITALS
    messages: int = 80
    devices: int = 40
    seconds: tuple[int, ...] = (1, 30, 600)
    late: int = 3000
    digits: int = 3
    hung: int = 60
    letter: str = "d"
    tiers: int = 2
    of: Of | None = None
    words: int = 300
    ticks: bool = True
    calm: int = 0


HOSTILE = st.builds(
    Hostile,
    seed=st.integers(0, 2**32),
    vitals=st.sampled_from(
        (VITALS, VITALS[:9], ("heart_rate",), ("systolic", "glucose", "battery"))
    ),
    devices=st.sampled_from((1, 5, 200)),
    seconds=st.sampled_from(((1,), (1, 30, 600), (7200,), (86400,))),
    late=st.sampled_from((0, 3000, 90_000)),
    digits=st.sampled_from((3, 12, 24)),
    hung=st.sampled_from((0, 60, 5000)),
    letter=st.sampled_from(("d", "device" * 16, "🜁" * 100)),
    tiers=st.sampled_from((0, 1, 3)),
    of=st.sampled_from((None, Of(count=2, last=12, within=60))),
    words=st.sampled_from((0, 1000)),
    ticks=st.booleans(),
)


class Siege:
    """A patient's judge, and what a hostile gateway and its people send it.

    With ``restarts`` the judge continues from the sealed state.
    """

    def __init__(self, hostile: Hostile, restarts: bool = False) -> None:
        self.hostile, self.restarts = hostile, restarts
        self.judge, self.patient = (
            Judge(KNOWLEDGE, Registry([_entry(hostile)])),
            unpack_patient(None, "p"),
        )

    def run(self) -> Iterator[Judged]:
        yield from self._learn()
        chance, at = random.Random(self.hostile.seed), START
        for number in range(self.hostile.messages):
            at += timedelta(seconds=chance.choice(self.hostile.seconds))
            message = _message(self.hostile, chance, number, at)
            judged = self.judge.step(self.patient, message)
            assert judged is not None and not judged.rejects
            if has_red(message):
                assert self.patient.state.episodes["vital_signs"].alert.priority == "high"
            yield judged
            for episode in list(self.patient.state.episodes.values()):
                if chance.random() < 0.2:
                    yield self.judge.act(
                        self.patient, _action(self.hostile, chance, episode.alert.id, at)
                    )
            if self.hostile.ticks and chance.random() < 0.1:
                at += timedelta(hours=2)
                yield self.judge.tick(self.patient, at)
            if self.restarts:
                self.patient = unpack_patient(pack_patient(self.patient), "p")

    def _learn(self) -> Iterator[Judged]:
        """Send a value inside all limits of each vital, twice a day."""
        chance, count = random.Random(self.hostile.seed), self.hostile.calm
        quiet = msgspec.structs.replace(self.hostile, digits=3, hung=0, devices=1, late=0)
        for number in range(count):
            message = _message(quiet, chance, number, START - timedelta(days=(count - number) / 2))
            readings = tuple(
                msgspec.structs.replace(each, value=str(chance.randint(48, 52)), flags=())
                for each in message.readings
            )
            learned = msgspec.structs.replace(message, readings=readings, offset=number)
            judged = self.judge.step(self.patient, learned)
            assert judged is not None
            yield judged


def _entry(hostile: Hostile) -> PatientEntry:
    limits = tuple(
        Limit(
            vital=vital,
            low=str(40 + tier),
            high=str(60 - tier),
            unit=KNOWLEDGE.vitals[vital].unit,
            owner="dr-7",
            priority=("medium", "high", "low")[tier],
            of=hostile.of,
        )
        for vital in VITALS
        for tier in range(hostile.tiers)
    )
    return PatientEntry(patient="p", limits=limits, expected_every=dict.fromkeys(VITALS, 60))


def _message(hostile: Hostile, chance: random.Random, number: int, at: datetime) -> Readings:
    readings = tuple(
        Reading(
            id=f"{number:08}-0000-0000-0000-{place:012}",
            patient="p",
            device=f"{hostile.letter}{chance.randrange(hostile.devices)}"[-128:],
            vital=vital,
            value=_value(hostile, chance),
            unit=KNOWLEDGE.vitals[vital].unit,
            measured_at=at - timedelta(seconds=chance.choice((0, 0, hostile.late))),
            received_at=at,
            utc_offset="+02:00",
            absent=None,
            flags=tuple(chance.sample(FLAGS, chance.choice((0, 0, 2, 4)))),
            attributes={
                "characteristic": chance.choice(("2A37", "2A5F", "2AA7", "app")),
                "hung": "x" * hostile.hung,
            },
            origin=Origin(frame=f"frame-{number}", index=1, part=place),
        )
        for place, vital in enumerate(hostile.vitals)
    )
    return Readings(
        patient="p",
        frame=f"frame-{number}",
        partition=number % 32,
        offset=2**40 + number,
        chunk=0,
        received_at=at,
        readings=readings,
    )


def _value(hostile: Hostile, chance: random.Random) -> str:
    whole = chance.choice(
        (chance.randint(1, 39), chance.randint(41, 59), chance.randint(61, 220), 50)
    )
    return (
        f"{whole}.{chance.randrange(10 ** (hostile.digits - 3)):0{hostile.digits - 3}}"
        if hostile.digits > 3
        else str(whole)
    )


def _action(hostile: Hostile, chance: random.Random, alert: str, at: datetime) -> Action:
    return Action(
        patient="p",
        alert=alert,
        action=chance.choice(("acknowledge", "comment", "snooze", "assign")),
        who="nurse",
        at=at,
        reason="w" * hostile.words,
        until=at + timedelta(hours=1),
        to="dr-7",
    )


def has_red(readings: Readings) -> bool:
    """Return whether a pulse is beyond the query bound, so that the alert must be high at once."""
    return any(
        reading.vital == "heart_rate"
        and Decimal(reading.value or "50") < 30
        and KNOWLEDGE.signal.never_judged.isdisjoint(reading.flags)
        for reading in readings.readings
    )


def size_of(patient: Patient, vital: str) -> int:
    """Return the number of bytes of all that the state keeps under a vital's name."""
    state = patient.state
    kept = [getattr(state.score, name) for name in state.score.__struct_fields__]
    kept.append(patient.windows.courses)
    named = [
        {name: one for name, one in each.items() if vital in str(name).replace(".", ":").split(":")}
        for each in kept
        if isinstance(each, dict)
    ]
    return len(_encode(named))


CROWDED = Hostile(  # alerts of every group, of which only words are left to give up
    seed=2318037079,
    vitals=VITALS,
    messages=80,
    devices=5,
    seconds=(1,),
    late=90_000,
    digits=3,
    hung=60,
    letter="device" * 16,
    tiers=3,
    of=None,
    words=1000,
    ticks=True,
)


# members of every limit, with values as long as a sensor can send them
LONG_VALUES = Hostile(
    seed=28731, devices=1, seconds=(1,), late=0, digits=24, hung=0, tiers=3, words=0
)
LATE_LONG_VALUES = Hostile(
    seed=1517300986, devices=5, seconds=(7200,), late=0, digits=24, tiers=3, words=0
)


@settings(max_examples=14, deadline=None)
@example(CROWDED)
@example(msgspec.structs.replace(CROWDED, calm=60))
@example(msgspec.structs.replace(CROWDED, calm=60, digits=24))
@example(LONG_VALUES)
@example(LATE_LONG_VALUES)
@given(HOSTILE)
def test_no_state_is_larger_than_its_bound_and_no_open_alert_is_lost(hostile: Hostile) -> None:
    """CONTRACT 8, law 3: no alert that was opened gets lost.

    Each is still open at its priority, or was published as resolved.
    """
    siege, open_now, applied = Siege(hostile), dict[str, Alert](), 0
    for judged in siege.run():
        patient = siege.patient
        assert len(pack_patient(patient)) <= STATE_BYTES
        assert max((size_of(patient, vital) for vital in hostile.vitals), default=0) <= VITAL_BYTES
        open_now |= {alert.id: alert for alert in judged.alerts}
        open_now = {name: alert for name, alert in open_now.items() if alert.state != "resolved"}
        kept = {episode.alert.id: episode.alert for episode in patient.state.episodes.values()}
        assert kept.keys() == open_now.keys()
        assert all(
            (alert.priority, alert.state) == (open_now[name].priority, open_now[name].state)
            for name, alert in kept.items()
        )
        assert len(patient.state.applied) >= applied
        applied = len(patient.state.applied)
    assert applied == min(32, hostile.messages)


@settings(max_examples=4, deadline=None)
@given(HOSTILE)
def test_what_is_given_up_follows_from_the_messages_alone(hostile: Hostile) -> None:
    """Law 2: the state may be sealed and restored after every message.

    It gives up the same and publishes the same.
    """
    straight, restarted = Siege(hostile), Siege(hostile, restarts=True)
    for one, other in zip(straight.run(), restarted.run(), strict=True):
        assert one == other
    assert pack_patient(straight.patient) == pack_patient(restarted.patient)


# published one by one: a tick that is ahead of its data also closes windows, which makes room
SINGLE = tuple(name for name, row in KNOWLEDGE.vitals.items() if row.publish != "summary")


@settings(max_examples=6, deadline=None)
@example(CROWDED)
@example(LONG_VALUES)
@example(LATE_LONG_VALUES)
@given(HOSTILE)
def test_what_is_given_up_does_not_depend_on_ticks(hostile: Hostile) -> None:
    """A worker ahead of its data escalates early. All else of its states is the same."""
    hostile = msgspec.structs.replace(hostile, vitals=SINGLE)
    straight, ticked = Siege(hostile), Siege(hostile)
    chance, at = random.Random(hostile.seed), START
    for number in range(hostile.messages):
        # a time with microseconds takes four bytes more
        parts = chance.choice((0, 2130))
        at += timedelta(seconds=chance.choice(hostile.seconds), microseconds=parts)
        message = _without_streams(_message(hostile, chance, number, at))
        for siege in (straight, ticked):
            siege.judge.step(siege.patient, message)
        ticked.judge.tick(ticked.patient, at + timedelta(minutes=chance.choice((0, 40, 3000))))
        assert _untouched(ticked) == _untouched(straight)


def _without_streams(message: Readings) -> Readings:
    """Return the message with readings of no continuous characteristic."""
    readings = tuple(
        msgspec.structs.replace(each, attributes={"hung": each.attributes["hung"]})
        for each in message.readings
    )
    return msgspec.structs.replace(message, readings=readings)


def _untouched(siege: Siege) -> tuple[Any, ...]:
    """Return what ticks must leave as it is: all but silence, escalations and marks of time."""
    state = siege.patient.state
    episodes = {
        group: msgspec.structs.replace(
            episode,
            escalated=None,
            alert=msgspec.structs.replace(
                episode.alert,
                stale=False,
                escalation=0,
                updated_at=episode.alert.opened_at,
                history=tuple(step for step in episode.alert.history if step.event != "escalated"),
            ),
        )
        for group, episode in state.episodes.items()
        if group != SILENCE
    }
    score = msgspec.structs.replace(state.score, told_silent={})
    return episodes, score, state.applied, state.actions


@pytest.mark.parametrize("besieged", [False, True])
def test_a_limit_that_must_last_is_told_in_time_however_values_jump_and_whatever_else_is_sent(
    besieged: bool,
) -> None:
    """Law 3: there are 62 runs within half an hour.

    The state keeps few of them, and the rest of it is full.
    """
    hostile = Hostile(
        seed=1, vitals=VITALS[:12] if besieged else (), letter="device" * 16, tiers=1, words=0
    )
    siege, chance = Siege(hostile), random.Random(1)
    lasting = Limit(vital="weight", high="80", unit="kg", owner="dr-7", priority="high", for_=30)
    entry = PatientEntry(
        patient="p",
        limits=(lasting, Limit(vital="weight", high="90", unit="kg", owner="dr-7", priority="low")),
    )
    siege.judge.registry.put(entry)
    told: list[int] = []
    for number in range(62):
        at = START + timedelta(seconds=30 * number)
        message = _message(hostile, chance, number, at)
        weight = _message(
            msgspec.structs.replace(hostile, vitals=("weight",), late=0),
            chance,
            99_000 + number,
            at,
        )
        (weighed,) = weight.readings
        weighed = msgspec.structs.replace(weighed, value="85" if number % 2 else "95", flags=())
        message = msgspec.structs.replace(message, readings=(*message.readings, weighed))
        judged = siege.judge.step(siege.patient, message)
        assert judged is not None
        told += [
            number for alert in judged.alerts if (alert.group, alert.priority) == ("weight", "high")
        ]
    assert told[:1] == [60]


class Silenced:
    """A patient each of whose ``vitals`` came once, an hour before it is missed."""

    def __init__(self, vitals: tuple[str, ...]) -> None:
        self.vitals, self.calm = vitals, Hostile(seed=1, vitals=vitals, late=0, hung=0, devices=1)
        entry = PatientEntry(patient="p", expected_every=dict.fromkeys(vitals, 60))
        self.judge, self.patient = Judge(KNOWLEDGE, Registry([entry])), unpack_patient(None, "p")
        self.heard(vitals, 0)

    def heard(self, vitals: tuple[str, ...], minutes: int) -> None:
        message = _message(
            msgspec.structs.replace(self.calm, vitals=vitals),
            random.Random(1),
            minutes,
            START + _minutes(minutes),
        )
        readings = (
            msgspec.structs.replace(each, flags=(), value="50") for each in message.readings
        )
        judged = self.judge.step(
            self.patient, msgspec.structs.replace(message, readings=tuple(readings))
        )
        assert judged is not None and not judged.rejects

    def tick(self, minutes: int) -> None:
        self.judge.tick(self.patient, START + _minutes(minutes))

    def comment(self, letters: int, minutes: int, letter: str = "w") -> None:
        action = Action(
            patient="p",
            alert=self.alert.id,
            action="comment",
            who="nurse",
            at=START + _minutes(minutes),
            reason=letter * letters,
        )
        self.judge.act(self.patient, action)

    @property
    def alert(self) -> Alert:
        return self.patient.state.episodes["device:silence"].alert

    @property
    def said(self) -> list[tuple[str, str]]:
        """Return people's words, as the alert's history has them."""
        return [(step.who, step.reason) for step in self.alert.history if step.who == "nurse"]


def _minutes(minutes: int) -> timedelta:
    return timedelta(minutes=minutes)


@pytest.mark.parametrize(("silent", "comments"), [(7, 3), (12, 0), (len(VITALS), 12)])
def test_a_silence_lasts_until_every_vital_is_heard_however_much_is_said(
    silent: int, comments: int
) -> None:
    ward = Silenced(VITALS[:silent])
    ward.tick(61)
    for number in range(comments):
        ward.comment(900, 62 + number)
    ward.tick(80)
    assert set(ward.patient.state.episodes["device:silence"].members) == {
        f"silence:{each}" for each in ward.vitals
    }
    ward.heard(ward.vitals[1:], 90)
    ward.tick(91)
    assert ward.alert.state == "open"
    ward.heard(ward.vitals[:1], 92)
    assert "device:silence" not in ward.patient.state.episodes
    assert len(pack_patient(ward.patient)) <= STATE_BYTES


def test_what_people_say_of_a_silence_stays_until_they_are_told_that_there_is_no_room() -> None:
    """CONTRACT 8: 12,000 bytes of words, as for any other alert."""
    ward = Silenced(VITALS[:9])
    ward.tick(61)
    for number in range(20):
        ward.comment(900, 62 + number)
        ward.tick(62 + number)
    told = ward.said
    assert told[-1] == ("nurse", FULL)
    assert told[:-1] == [("nurse", "w" * 900)] * (len(told) - 1)
    assert 11 <= len(told) - 1 <= 13


def test_what_people_say_is_kept_whenever_a_tick_comes() -> None:
    """Law 2: a replay, whose ticks come at other moments, has the same words."""
    often, seldom = Silenced(VITALS[:12]), Silenced(VITALS[:12])
    for ward in (often, seldom):
        ward.tick(61)
    for number in range(14):
        for ward in (often, seldom):
            ward.comment(900, 62 + number, chr(97 + number))
        often.tick(62 + number)
    seldom.tick(75)
    assert often.said == seldom.said
    assert len(often.said) > 10
