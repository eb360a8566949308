"""Law 3 as a state machine: a high alert stays listed until it is resolved, with a reason.

The model is the feed: the last record of each alert id. Readings in and out of order, ticks,
people's decisions and restarts come in any order. After a reading beyond the query bound there must
always be a listed high alert with it.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.frames import START, frame, measurement, registry_of, worn
from support.ward import Ward

from rpm_stream.knowledge import Knowledge, shipped
from rpm_stream.pipeline.ingest import DeviceState, FrameMessage, Ingest
from rpm_stream.pipeline.judge import Judge, Judged
from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient
from rpm_stream.pipeline.state_envelope import pack_device, unpack_device
from rpm_stream.records import Action, Alert, Position

GROUPS = {
    "heart_rate": "vital_signs",
    "oxygen_saturation": "vital_signs",
    "glucose": "glucose",
    "systolic": "vital_signs",
}
GROSS = {
    "heart_rate": ("28", "225"),
    "oxygen_saturation": ("60",),
    "glucose": ("35", "420"),
    "systolic": ("60", "255"),
}
USUAL = {
    "heart_rate": ("70", "112", "135"),
    "oxygen_saturation": ("97", "90"),
    "glucose": ("110", "60"),
    "systolic": ("120", "185"),
}
ACTIONS = ("acknowledge", "snooze", "resolve", "assign", "comment", "new_normal", "withdraw", "see")
OPENS = ("opened", "raised", "reopened", "worse", "returned")


def _was_seen(alert: Alert) -> bool:
    """Return whether a person has seen the alert since it last became open."""
    places = [place for place, step in enumerate(alert.history) if step.event in OPENS]
    return any(step.event in ("seen", "acknowledged") for step in alert.history[places[-1] :])


vitals = st.sampled_from(sorted(GROUPS))


class Feed(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.registry = registry_of(
            [worn(), {"v": 1, "patient": "p", "expected_every": {"heart_rate": 30}}]
        )
        self.ingest, self.judge = (
            Ingest(shipped(), self.registry, recorded_time=True),
            Judge(shipped(), self.registry),
        )
        self.device, self.patient = DeviceState(), unpack_patient(None, "p")
        self.minutes, self.offset = 0.0, 0
        self.feed: dict[str, Alert] = {}
        self.newest: dict[str, tuple[float, str]] = {}

    def _take(self, judged: Judged | None) -> None:
        for alert in judged.alerts if judged else ():
            known = self.feed.get(alert.id)
            if known is not None:
                assert known.state != "resolved", "a resolved alert came back under its id"
                assert not (known.priority == "high" and alert.priority != "high"), (
                    "a high alert fell"
                )
                assert alert.history[: len(known.history)] == known.history, "history was rewritten"
            if alert.state == "resolved" and alert.history[-1].who == "rpm-stream":
                assert alert.history[-1].event in ("recovered", "ended")
                assert alert.priority != "high" or _was_seen(alert), (
                    "a high alert that nobody saw ended by itself"
                )
                here = [
                    vital
                    for vital, group in GROUPS.items()
                    if group == alert.group and vital in self.newest
                ]
                assert not any(self.newest[vital][1] in GROSS[vital] for vital in here), (
                    "one of its vitals is not back"
                )
            if alert.state == "resolved" and alert.history[-1].event == "new_normal":
                assert alert.priority == "low", "new normal ended more than what a detector held"
            assert (alert.priority, alert.state) != ("high", "snoozed"), "a high alert sleeps"
            self.feed[alert.id] = alert

    def _send(self, vital: str, value: str, at: float) -> bool:
        """Send a value. Return whether it is a reading, and not the same one a second time."""
        self.offset += 1
        self.newest[vital] = max(self.newest.get(vital, (at, "")), (at, value))
        sent = frame([measurement(at, vital, value)], self.minutes, seq=self.offset)
        position = Position(topic="rpm.frames", partition=0, offset=self.offset)
        message = FrameMessage(
            key="d", value=msgspec.json.encode(sent), position=position, received_at=START
        )
        sent_on = self.ingest.step(self.device, message).readings
        for readings in sent_on:
            self._take(self.judge.step(self.patient, readings))
        return bool(sent_on)

    @rule(vital=vitals, later=st.floats(0.1, 700), data=st.data())
    def usual(self, vital: str, later: float, data: st.DataObject) -> None:
        self.minutes += later
        self._send(vital, data.draw(st.sampled_from(USUAL[vital])), self.minutes)

    @rule(vital=vitals, later=st.floats(0.1, 90), data=st.data())
    def gross(self, vital: str, later: float, data: st.DataObject) -> None:
        self.minutes += later
        self._send(vital, data.draw(st.sampled_from(GROSS[vital])), self.minutes)
        assert any(
            each.group == GROUPS[vital] and each.priority == "high" for each in self._listed()
        )

    @rule(vital=vitals, ago=st.floats(0.1, 2000), data=st.data())
    def gross_and_late(self, vital: str, ago: float, data: st.DataObject) -> None:
        """A gross value comes late, and may be over by now.

        Then it was in the feed, as historical, and is resolved. It is always published. The same
        value of the same time is no second reading.
        """
        told = {
            key: len(each.history) for key, each in self.feed.items() if each.priority == "high"
        }
        listed = any(
            each.group == GROUPS[vital] and each.priority == "high" for each in self._listed()
        )
        came = self._send(vital, data.draw(st.sampled_from(GROSS[vital])), self.minutes - ago)
        new = {key: len(each.history) for key, each in self.feed.items() if each.priority == "high"}
        assert listed or new != told or not came

    @rule(later=st.floats(0.1, 1500))
    def time_passes(self, later: float) -> None:
        self.minutes += later
        listed = self._listed()
        self._take(self.judge.tick(self.patient, START + timedelta(minutes=self.minutes)))
        assert all(self.feed[each.id].state != "resolved" for each in listed), (
            "missing data resolved something"
        )

    @rule(action=st.sampled_from(ACTIONS), choice=st.integers(0, 5), data=st.data())
    def person(self, action: str, choice: int, data: st.DataObject) -> None:
        """Decide anything, with all fields or without, about any open alert."""
        listed = self._listed()
        if not listed:
            return
        alert, at = listed[choice % len(listed)], START + timedelta(minutes=self.minutes)
        given = {"patient": "p", "alert": alert.id, "action": action, "who": "nurse", "at": at}
        if (lasts := data.draw(st.none() | st.floats(-10, 6000))) is not None:
            given |= {"until": at + timedelta(minutes=lasts), "reason": "because", "to": "doctor"}
        given["direction"] = data.draw(st.sampled_from([None, "low", "high"]))
        before = len(self.feed[alert.id].history)
        self._take(self.judge.act(self.patient, msgspec.convert(given, Action)))
        if action != "withdraw" and alert.priority == "high" and not alert.over:
            values = [
                self.newest[vital][1] for vital, group in GROUPS.items() if vital in self.newest
            ]
            is_back = action == "resolve" and not any(
                value in GROSS[v] for v in GROUPS for value in values
            )
            assert self.feed[alert.id].state in ("open", "acknowledged") or is_back
        history = self.feed[alert.id].history
        if action not in ("acknowledge", "see") and len(history) == before:
            last = next(step for step in reversed(history) if step.who == "nurse")
            assert last.event == "refused", (
                "a decision that left no word, and none before it that was refused"
            )

    @rule(lasts=st.floats(5, 600), direction=st.sampled_from([None, "low", "high"]))
    def sleep(self, lasts: float, direction: str | None) -> None:
        """A low glucose, and a snooze of all that may be snoozed.

        Random fields alone get there too seldom.
        """
        self.minutes += 1
        self._send("glucose", "60", self.minutes)
        at = START + timedelta(minutes=self.minutes)
        for alert in self._listed():
            given = {
                "patient": "p",
                "alert": alert.id,
                "action": "snooze",
                "who": "nurse",
                "at": at,
            }
            given |= {"until": at + timedelta(minutes=lasts), "direction": direction}
            self._take(self.judge.act(self.patient, msgspec.convert(given, Action)))
            assert self.feed[alert.id].state == "snoozed" or alert.priority == "high"

    @rule()
    def restart(self) -> None:
        self.device, self.patient = (
            unpack_device(pack_device(self.device)),
            unpack_patient(pack_patient(self.patient), "p"),
        )
        self.judge = Judge(shipped(), self.registry)

    def _listed(self) -> list[Alert]:
        return [alert for alert in self.feed.values() if alert.state != "resolved"]

    @invariant()
    def the_feed_lists_exactly_the_open_episodes(self) -> None:
        """The last records show what the judge holds.

        No episode is open without being listed, and none is listed for ever.
        """
        held = {episode.alert.id: episode.alert for episode in self.patient.state.episodes.values()}
        assert {alert.id: alert for alert in self._listed()} == held

    @invariant()
    def one_alert_an_episode(self) -> None:
        groups = [alert.group for alert in self._listed()]
        assert len(groups) == len(set(groups))

    @invariant()
    def no_snooze_outlasts_its_end(self) -> None:
        """After a tick, the end of every snoozed alert is in the future."""
        now = START + timedelta(minutes=self.minutes)
        self._take(self.judge.tick(self.patient, now))
        sleeping = [
            each for each in self.patient.state.episodes.values() if each.alert.state == "snoozed"
        ]
        assert all(each.snoozed is not None and each.snoozed.until > now for each in sleeping)


Feed.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestRedIsNeverSilenced = Feed.TestCase


# --- what doubts a value takes nothing from it ----------------------------------------------------

DOUBTED = {
    "heart_rate": ("72", "38", "135", "225", "140"),
    "pulse_rate": ("72", "131", "28", "224"),
    "oxygen_saturation": ("97", "60", "88", "78"),
    "glucose": ("110", "6", "12", "50", "420", "35"),
    "systolic": ("120", "185", "255", "60", "17"),
    "body_temperature": ("36.6", "41.8", "98.4", "33.9"),
    "weight": ("80", "176", "36", "86"),
    "cadence": ("120", "0"),
}
FLAGS = st.lists(
    st.sampled_from(sorted(shipped().signal.ask_repeat | shipped().signal.informs)), max_size=3
)
LATER = st.sampled_from([0.05, 1.0, 6.0, 200.0])
# of one vital, because neighbouring values are compared
runs = st.sampled_from(sorted(DOUBTED)).flatmap(
    lambda vital: st.lists(
        st.tuples(st.just(vital), st.sampled_from(DOUBTED[vital]), FLAGS, LATER),
        min_size=1,
        max_size=5,
    )
)
courses = st.lists(runs, min_size=1, max_size=6).map(
    lambda found: [each for run in found for each in run]
)
HELD = {
    "title",
    "group",
    "priority",
    "state",
    "opened_at",
    "measured_at",
    "historical",
    "late",
    "escalation",
}


def without_doubts() -> Knowledge:
    """Return tables of a service that doubts no value and compares none with another."""
    known = shipped()
    signal = msgspec.structs.replace(
        known.signal, ask_repeat=frozenset(), step=(), other_unit=(), resent=()
    )
    motion = msgspec.structs.replace(known.signal.motion, vitals=frozenset())
    agreement = msgspec.structs.replace(known.signal.agreement, gap=Decimal(1000))
    signal = msgspec.structs.replace(signal, motion=motion, agreement=agreement)
    rules = msgspec.structs.replace(known.device_rules, fault=(), stuck=())
    return msgspec.structs.replace(known, signal=signal, device_rules=rules)


@settings(max_examples=80, deadline=None)
@given(courses, st.randoms(use_true_random=False))
def test_no_doubt_about_a_value_takes_an_alert_away_or_lowers_it(
    course: list[tuple[str, str, list[str], float]], chance: Random
) -> None:
    """Law 3: doubts about values change only the words of a patient's alerts.

    A doubt comes from the device or from a comparison of values. The alerts stay the same
    otherwise, in particular every high one.
    """
    ward = Ward()
    judges = [Judge(shipped(), ward.registry), Judge(without_doubts(), ward.registry)]
    patients = [unpack_patient(None, "p"), unpack_patient(None, "p")]
    told: list[list[dict[str, object]]] = [[], []]
    minutes = 0.0
    for vital, value, flags, later in course:
        minutes += later
        late = minutes - 30 if chance.random() < 0.15 else minutes
        message = ward.message(minutes, (late, vital, value))
        given = [
            msgspec.structs.replace(each, flags=(*each.flags, *flags)) for each in message.readings
        ]
        message = msgspec.structs.replace(message, readings=tuple(given))
        for judge, patient, found in zip(judges, patients, told, strict=True):
            judged = judge.step(patient, message)
            alerts = [msgspec.to_builtins(alert) for alert in judged.alerts] if judged else []
            found += [
                {k: v for k, v in each.items() if k in HELD}
                for each in alerts
                if "device:" not in each["group"]
            ]
    assert told[0] == told[1]


def test_the_doubts_are_there_to_be_told() -> None:
    """Guards the law above: the values that it draws from do jump and mix units."""
    ward = Ward()
    groups = set()
    for minutes, vital, value in [
        *((day * 10, "glucose", "110") for day in range(3)),
        (40, "glucose", "12"),
        (50, "weight", "80"),
        (60, "weight", "86"),
        (70, "body_temperature", "98.4"),
        (120, "body_temperature", "98.4"),
    ]:
        groups |= {alert.group for alert in ward.now(vital, value, minutes)}
    assert {"device:unit", "device:step", "device:refused"} <= groups
