"""An alert's life follows the table of alert/life_cycle.py.

No other transition happens, and each row is used.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any, get_args

import msgspec
import pytest
from support.ward import Ward, after

from rpm_stream.alert.decisions import EVENTS
from rpm_stream.alert.episodes import apply, end
from rpm_stream.alert.life_cycle import LAST, TABLE, is_a_row, next_state
from rpm_stream.records import Alert, AlertState, Event, Finding, Key

Row = tuple[AlertState | None, Event | None, AlertState]
ROWS: set[Row] = {(state, event, to) for state, rows in TABLE.items() for event, to in rows.items()}
# Rows that have tests of their own: the registry changes, and a learned detector (low) joins what a
# person has snoozed.
ENDED = {row for row in ROWS if row[1] == "ended"}
JOINED: Row = ("snoozed", "joined", "snoozed")
WALKS, STEPS = 200, 90
VALUES = {
    "glucose": ("35", "50", "65", "68", "110", "120", "130", "255", "300"),
    "oxygen_saturation": ("80", "90", "91", "92", "97", "97", "98"),
    "heart_rate": ("28", "45", "72", "75", "78", "112", "135"),
}
DECISIONS = (
    "acknowledge acknowledge snooze snooze resolve assign comment new_normal withdraw".split()
)


def rows_of(alert: Alert) -> set[Row]:
    befores = (None, *(step.state for step in alert.history))
    return {
        (was, step.event, step.state) for was, step in zip(befores, alert.history, strict=False)
    }


class Walk:
    """One patient, with values, decisions, corrections and time in a random order."""

    def __init__(self, seed: int) -> None:
        self.random, self.ward, self.minutes = random.Random(seed), Ward(), 0.0
        self.alerts: dict[str, Alert] = {}
        self.sent: list[Any] = []
        self.found: set[Row] = set()

    def _take(self, alerts: tuple[Alert, ...]) -> None:
        for alert in alerts:
            self.alerts[alert.id] = alert
            self.found |= rows_of(alert)

    def step(self) -> None:
        self.minutes += self.random.choice((1, 2, 5, 20, 45, 70))
        what = self.random.random()
        if what < 0.55:
            self._value()
        elif what < 0.9:
            self._decide()
        elif what < 0.93 and self.sent:
            self._void()
        else:
            self._take(self.ward.tick(self.minutes))

    def _value(self) -> None:
        vital = self.random.choice(tuple(VALUES))
        message = self.ward.message(
            self.minutes, (self.minutes, vital, self.random.choice(VALUES[vital]))
        )
        self.sent += message.readings
        judged = self.ward.judge.step(self.ward.patient, message)
        self._take(judged.alerts if judged else ())

    def _decide(self) -> None:
        listed = [alert for alert in self.alerts.values() if alert.state != "resolved"]
        if not listed:
            return
        alert, kind = self.random.choice(listed), self.random.choice((*DECISIONS, "see"))
        if kind in ("resolve", "withdraw") and self.random.random() < 0.5:
            return
        until = after(self.minutes) + timedelta(minutes=self.random.choice((30, 120, 100_000)))
        side = self.random.choice((None, "low", "high"))
        fields: dict[str, Any] = {
            "until": until,
            "direction": side,
            "to": "doctor",
            "reason": "because",
        }
        self._take(self.ward.act(kind, alert.id, self.minutes, at=after(self.minutes), **fields))

    def _void(self) -> None:
        reading = self.random.choice(self.sent[-6:])
        self._take(self.ward.act("void", None, self.minutes, readings=(reading,), reason="wrong"))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def found() -> set[Row]:
    rows: set[Row] = set()
    for seed in range(WALKS):
        walk = Walk(seed)
        for _ in range(STEPS):
            walk.step()
        rows |= walk.found
    return rows


def test_no_other_transition_happens(found: set[Row]) -> None:
    wrong = {row for row in found if row[1] is None or not is_a_row(row[0], row[1], row[2])}
    assert not wrong


def test_no_row_is_dead(found: set[Row]) -> None:
    """Each row is taken by a patient. A row that is never taken would only seem to be handled."""
    dead = ROWS - ENDED - {JOINED} - found
    assert not dead, sorted(map(str, dead))


@pytest.mark.parametrize("state", [state for state in TABLE if state != "resolved"])
def test_what_is_gone_ends_without_a_reading(state: AlertState) -> None:
    ward = Ward()
    ward.now("glucose", "65", 0)
    episodes = ward.patient.state.episodes
    (group,) = episodes
    episodes[group].alert = msgspec.structs.replace(episodes[group].alert, state=state)
    assert end(episodes, group, after(1), "").state == "resolved"


def learned(ward: Ward, minutes: float) -> Finding:
    """Return what only a learned detector finds: it is low, and a person may call it the new
    normal.
    """
    (reading,) = ward.message(minutes, (minutes, "glucose", "66")).readings
    return Finding(
        kind="detector",
        key=Key(vital="glucose"),
        member="detector:glucose",
        rule="detector.gaussian@1",
        group="glucose",
        priority="low",
        title="Unusual",
        why="unusual",
        evidence=(reading,),
        vital="glucose",
        measured_at=reading.measured_at,
    )


def test_a_lower_finding_joins_what_a_person_has_snoozed() -> None:
    ward = Ward()
    (alert,) = ward.now("glucose", "65", 0)
    ward.act("snooze", alert.id, 1, until=after(120))
    changed = apply(ward.patient.state.episodes, "p", learned(ward, 2), after(2))
    assert changed is not None
    assert JOINED in rows_of(changed)


def test_a_new_normal_ends_what_learned_detectors_alone_hold() -> None:
    ward = Ward()
    opened = apply(ward.patient.state.episodes, "p", learned(ward, 0), after(0))
    assert opened is not None
    (alert,) = ward.act("new_normal", opened.id, 1)
    assert ("open", "new_normal", LAST["new_normal"]) in rows_of(alert)


def test_every_event_and_every_decision_is_in_the_table() -> None:
    events = {event for rows in TABLE.values() for event in rows} | {"opened"}
    assert events == set(get_args(Event))
    assert set(EVENTS.values()) <= events
    assert not TABLE["resolved"], "nothing follows the end"


def test_what_the_table_lacks_leaves_the_state() -> None:
    """The alert stays listed whatever comes, and never resolves by mistake."""
    for state in get_args(AlertState):
        for event in set(get_args(Event)) - set(TABLE[state]):
            assert next_state(state, event) == state
            assert not is_a_row(state, event, state)
