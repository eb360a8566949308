"""The life of an alert as a table: state x event -> state.

An alert begins ``open`` with ``opened``. It ends ``resolved``, and nothing follows. Every step of
its history is one row of ``TABLE``, and each event of ``records.Event`` occurs in it. Other modules
decide which event happens and whether it may happen now: ``alert/episodes.py`` for findings and
recovery, ``alert/decisions.py`` for people, ``alert/escalation.py`` for time.

Ugly parts, and why they stay:

- ``new_normal`` ends the alert only if no other member is left. ``LAST`` is the second column for
  that.
- ``over`` is a field of the alert beside its state, because readers of the topic know four states.
  Only an open high alert is over. ``returned`` and ``escalated`` therefore occur from ``open``
  alone.
- ``next_state`` leaves the state as it is where the table has no row. Such a step is a defect, and
  tests find it. An exception here would leave the patient without monitoring.
"""

from __future__ import annotations

from rpm_stream.records import AlertState, Event

FIRST: AlertState = "open"

# The events that end an alert in every state: two of readings and time, and two of people.
ENDING: tuple[Event, ...] = ("recovered", "ended", "resolved", "withdrawn")
ENDS: dict[Event, AlertState] = dict.fromkeys(ENDING, "resolved")
# In each table the events of findings, time and readings come first, and those of ENDS follow.
FROM_OPEN: dict[Event, AlertState] = {
    "raised": "open",
    "joined": "open",
    "returned": "open",
    "over": "open",
    "escalated": "open",
    "corrected": "open",
    **ENDS,
    # people
    "acknowledged": "acknowledged",
    "snoozed": "snoozed",
    "new_normal": "open",
    "assigned": "open",
    "commented": "open",
    "seen": "open",
    "refused": "open",
}
FROM_ACKNOWLEDGED: dict[Event, AlertState] = {
    "raised": "open",
    "joined": "acknowledged",
    "reopened": "open",
    "worse": "open",
    "corrected": "acknowledged",
    **ENDS,
    # people
    "snoozed": "snoozed",
    "new_normal": "acknowledged",
    "assigned": "acknowledged",
    "commented": "acknowledged",
    "seen": "acknowledged",
    "refused": "acknowledged",
}
FROM_SNOOZED: dict[Event, AlertState] = {
    "raised": "open",
    "joined": "snoozed",
    "reopened": "open",
    "worse": "open",
    "snooze_ended": "open",
    "corrected": "snoozed",
    **ENDS,
    # people
    "acknowledged": "acknowledged",
    "snoozed": "snoozed",
    "new_normal": "snoozed",
    "assigned": "snoozed",
    "commented": "snoozed",
    "seen": "snoozed",
    "refused": "snoozed",
}
TABLE: dict[AlertState, dict[Event, AlertState]] = {
    "open": FROM_OPEN,
    "acknowledged": FROM_ACKNOWLEDGED,
    "snoozed": FROM_SNOOZED,
    "resolved": {},
}
LAST: dict[Event, AlertState] = {"new_normal": "resolved"}  # if no member is left


def next_state(state: AlertState, event: Event, is_last: bool = False) -> AlertState:
    """The state after an event.

    ``is_last`` is true if no member of the alert is left.
    """
    if is_last and event in LAST:
        return LAST[event]
    return TABLE[state].get(event, state)


def is_a_row(before: AlertState | None, event: Event, after: AlertState) -> bool:
    """Whether the table has this transition.

    ``before`` is None for an alert that begins.
    """
    if before is None:
        return (event, after) == ("opened", FIRST)
    rows = TABLE[before]
    return event in rows and after in (rows[event], LAST.get(event))
