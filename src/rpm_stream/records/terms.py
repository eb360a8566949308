"""The closed lists of words that records use: priorities, states, events and reasons."""

from __future__ import annotations

from typing import Literal, TypeAlias

Priority: TypeAlias = Literal["high", "medium", "low"]
RANK: dict[Priority, int] = {"low": 1, "medium": 2, "high": 3}
AlertState: TypeAlias = Literal["open", "acknowledged", "snoozed", "resolved"]
Stage: TypeAlias = Literal["ingest", "normalise", "judge"]
Reason: TypeAlias = Literal[
    "truncated",
    "trailing_bytes",
    "reserved_value",
    "bad_size",
    "crc_mismatch",
    "unknown_characteristic",
    "bad_json",
    "bad_schema",
    "too_large",
    "unknown_unit",
    "unknown_vital",
    "implausible",
    "unknown_device",
    "unassigned",
    "identity_conflict",
    "future_time",
    "too_old",
    "internal_error",
]
Direction: TypeAlias = Literal["low", "high"]
Trend: TypeAlias = Literal["rising", "falling", "steady"]
Event: TypeAlias = Literal[
    # made by the service
    "opened",  # the first finding
    "raised",  # a finding of higher priority than the alert had
    "joined",  # a further finding that changes neither state nor priority
    "reopened",  # a further rule at the alert's priority, or a side that a snooze does not cover
    "worse",  # a tier of danger beyond what a person decided about
    "returned",  # a further finding after all values had been back
    "over",  # all values are back and no person has seen the alert
    "escalated",
    "snooze_ended",
    "recovered",  # resolved by readings
    "ended",  # resolved without readings: the device is unassigned, the setting was corrected
    "corrected",  # readings were taken back, or given to whom they belong
    # made by a person
    "acknowledged",
    "snoozed",
    "resolved",
    "withdrawn",
    "new_normal",
    "assigned",
    "commented",
    "seen",
    "refused",  # a person's action was not carried out, the reason has the text
]
Absent: TypeAlias = Literal[
    "not-a-number", "positive-infinity", "negative-infinity", "error", "not-performed", "unknown"
]
ActionName: TypeAlias = Literal[
    "acknowledge",
    "snooze",
    "resolve",
    "assign",
    "comment",
    "new_normal",
    "withdraw",
    "see",
    "void",
    "adopt",
]
Cause: TypeAlias = Literal[
    # Why a decision was not carried out. alert/refusals.py has the sentence of each.
    "risen",  # the alert's priority is higher than what the person saw
    "overtaken",  # the alert has got worse by a tier since the record that the person saw
    "never_snoozed",  # alerts of this priority cannot be snoozed
    "no_end",  # a snooze without an end
    "end_past",  # a snooze whose end is past
    "too_long",  # a snooze beyond the longest that is allowed
    "no_assignee",  # no assignee is named
    "no_words",  # a comment without text
    "no_reason",  # a withdrawal without a reason
    "not_back",  # the values are not back; the alert is acknowledged instead of resolved
    "no_room",  # the history has no room for more notes of people
    "not_kept",  # the judge has lost the alert except for its record
    "ends_by_itself",  # the service ends the alert when its condition is over
]
