"""Laws 2 and 3 through the judge's public methods, with every kind of input.

Inputs are all vitals, flags, absent and late values, valid and invalid decisions, time, messages
that come twice, and restarts. The model is the feed as it is served. Beside the patient whose judge
is restarted at random there is a twin whose judge never is. Both must write the same bytes.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.frames import START, registry_of, worn
from support.readings import message_of, reading_at

from rpm_stream.alert.life_cycle import is_a_row
from rpm_stream.app.feed.read_model import FeedState
from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.judge import Judge, Judged
from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient
from rpm_stream.publish.feed import rows as feed
from rpm_stream.records import (
    RANK,
    Action,
    Alert,
    Origin,
    PatientEntry,
    Reading,
    Readings,
    Transition,
)

HEAVY = os.environ.get("RPM_HEAVY") == "1"
VITALS = sorted(shipped().vitals)
USUAL = (
    "heart_rate",
    "oxygen_saturation",
    "respiratory_rate",
    "systolic",
    "body_temperature",
    "glucose",
    "battery",
)
NUMBERS = (
    "0",
    "12",
    "20",
    "36.8",
    "39.5",
    "54",
    "60",
    "66",
    "70",
    "88",
    "90",
    "97",
    "120",
    "135",
    "185",
    "260",
)
GROSS = {
    "heart_rate": ("28", "225"),
    "oxygen_saturation": ("60",),
    "glucose": ("35",),
    "systolic": ("60", "255"),
}
GROUPS = {"glucose": "glucose"}  # the group of all others is vital_signs
SIGNAL = shipped().signal
FLAGS = sorted(
    {
        *SIGNAL.never_judged,
        *SIGNAL.ask_repeat,
        "no_contact",
        "clock_ahead",
        "device_time_ignored",
        "query",
    }
)
ABSENT = ("not-a-number", "positive-infinity", "negative-infinity", "error")
HIDES_MOST = feed.Filter(
    priorities=frozenset(), only_open=True, patient="nobody", group="none", person="nobody"
)
ENTRIES = [worn(), {"v": 1, "patient": "p", "expected_every": {"heart_rate": 45}}]
KINDS = "acknowledge snooze resolve assign comment new_normal withdraw void adopt".split()
moments = st.floats(0.1, 240)


NEARLY_FULL = 24 * 1024  # bytes of a state that may have to give up words


def is_beginning(kept: str, whole: str) -> bool:
    return kept == whole or (kept.endswith("…") and whole.startswith(kept[:-1]))


def is_shortened(held: Alert, listed: Alert) -> bool:
    """Whether a state at its limit has kept less of the texts and steps of an alert that is in the
    feed (``alert/size.py``), and all else as it is there.
    """

    def without(alert: Alert) -> Alert:
        return msgspec.structs.replace(alert, history=(), why=(), evidence=())

    return (
        without(held) == without(listed)
        and set(held.evidence) <= set(listed.evidence)
        and all(any(is_beginning(line, whole) for whole in listed.why) for line in held.why)
        and steps_kept(held.history, listed.history) == len(held.history)
    )


def steps_kept(history: tuple[Transition, ...], before: tuple[Transition, ...]) -> int:
    """The number of steps at the beginning of ``history`` that are steps of ``before``, in their
    order and at most shortened.
    """
    steps = iter(before)
    return sum(
        1
        for _ in takewhile(
            lambda step: any(
                msgspec.structs.replace(step, reason="")
                == msgspec.structs.replace(whole, reason="")
                and is_beginning(step.reason, whole.reason)
                for whole in steps
            ),
            history,
        )
    )


def goes_on(history: tuple[Transition, ...], before: tuple[Transition, ...]) -> bool:
    """Whether a history is what a state at its limit has kept of the one before, with new steps."""
    kept = steps_kept(history, before)
    return kept > 0 and all(step.at >= before[-1].at for step in history[kept:])


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.registry = registry_of(ENTRIES)
        self.judge, self.twin_judge = (
            Judge(shipped(), self.registry),
            Judge(shipped(), self.registry),
        )
        self.patient, self.twin = unpack_patient(None, "p"), unpack_patient(None, "p")
        self.minutes, self.offset = 0.0, 0
        self.last: Readings | None = None
        self.sent: set[str] = set()
        self.feed = FeedState()
        self.red: set[str] = set()

    # --- what comes out ---------------------------------------------------------------------------

    def _take(self, judged: Judged | None, twin: Judged | None) -> None:
        assert judged == twin, "a restart changed what is put out"
        for alert in judged.alerts if judged else ():
            self._check(alert, self.feed.alerts.get(alert.id))
            self.feed.put_alert(alert)
            if alert.state == "resolved":
                self.red.discard(alert.id)
            elif alert.priority == "high":
                self.red.add(alert.id)

    def _check(self, alert: Alert, known: Alert | None) -> None:
        assert alert.rule and alert.title and alert.why, "an alert that does not explain itself"
        assert len(alert.evidence) <= 8 and set(alert.evidence) <= self.sent, (
            "evidence that nobody sent"
        )
        assert alert.evidence or alert.group == "device:silence", (
            "a value that rang and is not named"
        )
        assert (alert.priority, alert.state) != ("high", "snoozed"), "a high alert sleeps"
        before = (None, *(step.state for step in alert.history))
        wrong = [
            (was, step.event, step.state)
            for was, step in zip(before, alert.history, strict=False)
            if step.event is None or not is_a_row(was, step.event, step.state)
        ]
        assert not wrong, "a step that the table of states does not have"
        if known is not None:
            assert known.state != "resolved", "a resolved alert came back under its id"
            assert RANK[alert.priority] >= RANK[known.priority], "a priority fell"
            assert alert.history[: len(known.history)] == known.history or (
                len(pack_patient(self.patient)) > NEARLY_FULL
                and goes_on(alert.history, known.history)
            ), "history was rewritten"
            assert alert.opened_at == known.opened_at and alert.updated_at >= known.updated_at

    # --- what comes in ----------------------------------------------------------------------------

    def _now(self) -> datetime:
        return START + timedelta(minutes=self.minutes)

    def _reading(self, vital: str, value: str | None, ago: float, **other: Any) -> Reading:
        key = f"r{len(self.sent)}"
        self.sent.add(key)
        given: dict[str, Any] = {
            "id": key,
            "received_at": self._now(),
            "origin": Origin(frame="f", index=len(self.sent), part=0),
        }
        at = self._now() - timedelta(minutes=ago)
        return reading_at(at, vital, value, **(given | other))

    def _send(self, *readings: Reading) -> None:
        self.offset += 1
        self.last = message_of(*readings, offset=self.offset, received_at=self._now())
        self._take(
            self.judge.step(self.patient, self.last), self.twin_judge.step(self.twin, self.last)
        )

    @rule(later=moments, data=st.data())
    def readings(self, later: float, data: st.DataObject) -> None:
        """Send a few readings in one message.

        Each has any vital, value, flag or reason for no value, and is on time or late.
        """
        self.minutes += later
        found = []
        for _ in range(data.draw(st.integers(1, 3))):
            vital = data.draw(st.sampled_from(USUAL) | st.sampled_from(VITALS))
            absent = data.draw(st.sampled_from((None, None, None, *ABSENT)))
            value = None if absent else data.draw(st.sampled_from(NUMBERS))
            flags = tuple(data.draw(st.lists(st.sampled_from(FLAGS), max_size=2, unique=True)))
            ago = data.draw(st.sampled_from((0.0, 0.0, 1.0, 90.0, 2000.0)))
            found.append(self._reading(vital, value, ago, absent=absent, flags=flags))
        self._send(*found)

    @rule(vital=st.sampled_from(sorted(GROSS)), later=moments, data=st.data())
    def gross(self, vital: str, later: float, data: st.DataObject) -> None:
        """An improbable value is high at once, even where the device doubts it."""
        self.minutes += later
        doubts = tuple(data.draw(st.lists(st.sampled_from(sorted(SIGNAL.ask_repeat)), max_size=1)))
        self._send(self._reading(vital, data.draw(st.sampled_from(GROSS[vital])), 0, flags=doubts))
        group = GROUPS.get(vital, "vital_signs")
        assert any(each.group == group and each.priority == "high" for each in self.feed.listed())

    @rule(later=st.floats(0.1, 900))
    def time_passes(self, later: float) -> None:
        self.minutes += later
        judged = self.judge.tick(self.patient, self._now())
        self._take(judged, self.twin_judge.tick(self.twin, self._now()))
        self.feed.prune(self._now())
        ended = {alert.group for alert in judged.alerts if alert.state == "resolved"}
        assert ended <= {"device:silence"}, "missing data resolved something"

    @rule(
        kind=st.sampled_from(KINDS),
        choice=st.integers(-1, 4),
        has_sense=st.booleans(),
        data=st.data(),
    )
    def person(self, kind: str, choice: int, has_sense: bool, data: st.DataObject) -> None:
        """Decide anything about any alert or none, with the fields that it needs or nonsense."""
        listed = self.feed.listed()
        alert = listed[choice % len(listed)].id if listed and choice >= 0 else "nothing"
        given: dict[str, Any] = {
            "patient": "p",
            "alert": alert,
            "action": kind,
            "who": "nurse",
            "at": self._now(),
        }
        given["seen"] = data.draw(st.sampled_from((None, None, *RANK)))
        if has_sense:
            until = self._now() + timedelta(minutes=data.draw(st.sampled_from((60, 240, 1500))))
            given |= {"reason": "because", "to": "doctor", "until": until}
            given["direction"] = data.draw(st.sampled_from((None, "low", "high")))
        else:
            given["at"] = self._now() + timedelta(minutes=data.draw(st.sampled_from((0, -600, 5))))
            given["until"] = data.draw(
                st.sampled_from((None, START - timedelta(days=1), START + timedelta(days=9000)))
            )
            given["to"] = data.draw(st.sampled_from((None, ":", "a: b")))
            given["who"] = data.draw(st.sampled_from(("nurse", "rpm-stream", ":")))
            given["reason"] = data.draw(
                st.sampled_from(("", "snoozed for 9 minutes", "assigned to x", "x" * 1000))
            )
        action = msgspec.convert(given, Action)
        red = self.red & {alert}
        self._take(self.judge.act(self.patient, action), self.twin_judge.act(self.twin, action))
        if kind not in ("resolve", "withdraw") or given["seen"] in ("low", "medium"):
            assert red <= self.red, (
                "a decision that ends nothing, or was about less, took a high alert away"
            )

    @precondition(lambda self: self.last is not None)
    @rule()
    def the_last_message_comes_again(self) -> None:
        assert self.last is not None
        before = pack_patient(self.patient)
        assert self.judge.step(self.patient, self.last) is None
        assert pack_patient(self.patient) == before

    @rule()
    def restart(self) -> None:
        self.judge = Judge(shipped(), self.registry)
        self.patient = unpack_patient(pack_patient(self.patient), "p")

    # --- what holds always ------------------------------------------------------------------------

    @invariant()
    def every_high_alert_is_listed_above_all_others_whatever_is_asked_for(self) -> None:
        listed = self.feed.listed()
        assert {each.id for each in listed if each.priority == "high"} == self.red
        assert all(each.priority == "high" for each in listed[: len(self.red)])
        rows = [feed.row(each, PatientEntry(patient="p"), "ref", self._now()) for each in listed]
        assert {row.id for row in rows if feed.kept(HIDES_MOST, row)} == self.red
        assert all(row.section == "now" for row in rows if row.id in self.red)

    @invariant()
    def one_alert_an_episode_and_none_in_secret(self) -> None:
        held = {episode.alert.id: episode.alert for episode in self.patient.state.episodes.values()}
        listed = {alert.id: alert for alert in self.feed.listed()}
        assert listed.keys() == held.keys()
        for name, alert in listed.items():
            assert held[name] == alert or is_shortened(held[name], alert)
        groups = [alert.group for alert in held.values()]
        assert len(groups) == len(set(groups))

    def teardown(self) -> None:
        """At the end the restarted patient's state is the twin's, byte for byte."""
        assert pack_patient(self.patient) == pack_patient(self.twin)


Machine.TestCase.settings = settings(
    max_examples=1500 if HEAVY else 100, stateful_step_count=30, deadline=None
)
TestAlertMachine = Machine.TestCase
