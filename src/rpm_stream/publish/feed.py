"""An alert as a clinician reads it: the order of the list, and the plain words of a row.

What lives here: ranking, wording of times and marks, who acknowledged. What must not: a clock (``now`` is given),
colours, a socket. Nothing here leaves an alert out: ``listed`` is the only filter, and only resolved ones fail it.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from rpm_stream.records import Alert, PatientEntry, Priority, Record, State, Transition
from rpm_stream.registry import years_old

PRIORITIES: tuple[Priority, ...] = ("high", "medium", "low")
RESOLVED_SHOWN_FOR = timedelta(hours=24)

# How each mark of an alert reads on the page: (field of Alert, word, what it means).
MARKS: tuple[tuple[str, str, str], ...] = (
    ("historical", "Already over", "A newer measurement is back inside its limits."),
    ("stale", "No new data", "Nothing newer was measured; the situation may have changed."),
    ("late", "Arrived late", "These measurements reached the service after newer ones."),
)

# How a rule's name begins, and what kind of rule that is.
RULE_KINDS: tuple[tuple[str, str], ...] = (
    ("limit.patient.", "A limit set for this patient"),
    ("limit.shipped.", "A limit that is shipped with the service"),
    ("limit.news2_", "A single vital on the NEWS2 chart"),
    ("limit.query.", "A value so far out that it alerts at once"),
    ("news2@", "NEWS2, the score of all vital signs together"),
    ("detector.", "Learned: unusual for this person"),
    ("silence.", "A measurement that is expected and has not come"),
)


class Mark(Record, frozen=True, kw_only=True):
    """A word beside the title, and its meaning in a sentence."""

    word: str
    meaning: str


class Row(Record, frozen=True, kw_only=True):
    """One line of the feed. Times are UTC; ``*_words`` say the same relative to the moment that the row was made."""

    id: str
    patient: str
    patient_ref: str
    name: str
    age: int | None
    group: str
    priority: Priority
    state: State
    title: str
    why: tuple[str, ...]
    rule: str
    marks: tuple[Mark, ...]
    opened_at: datetime
    measured_at: datetime
    updated_at: datetime
    since_words: str
    measured_words: str
    acknowledged_by: str | None
    acknowledged_at: datetime | None
    historical: bool
    stale: bool
    late: bool
    escalation: int


def patient_ref(patient: str, key: bytes) -> str:
    """The opaque name of a patient for URLs and logs: 16 hex digits, the same as long as ``key`` (a secret) is.

    Keyed, because a bare hash of a hospital number is undone by trying all numbers.
    """
    return hmac.digest(key, patient.encode(errors="surrogatepass"), "sha256").hex()[:16]


def listed(alert: Alert) -> bool:
    """Whether the alert needs somebody: all but the resolved."""
    return alert.state != "resolved"


def recently_resolved(alert: Alert, now: datetime) -> bool:
    """Resolved, and not longer ago than ``RESOLVED_SHOWN_FOR`` before ``now``."""
    return alert.state == "resolved" and now - alert.updated_at <= RESOLVED_SHOWN_FOR


def ranked(alerts: Iterable[Alert]) -> list[Alert]:
    """High before medium before low, then what nobody has acknowledged, then the newest; ties by id."""
    return sorted(alerts, key=_rank)


def _rank(alert: Alert) -> tuple[int, bool, float, str]:
    return (PRIORITIES.index(alert.priority), alert.state != "open", -alert.opened_at.timestamp(), alert.id)


def counts(alerts: Iterable[Alert]) -> dict[Priority, int]:
    """How many listed alerts there are of each priority, zeros included."""
    found = Counter(alert.priority for alert in alerts if listed(alert))
    return {priority: found[priority] for priority in PRIORITIES}


def duration_words(length: timedelta) -> str:
    """A length of time in the largest fitting unit: "less than a minute", "1 minute", "26 hours", "3 days"."""
    minutes = int(length.total_seconds() // 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 120:
        return _count(minutes, "minute")
    if minutes < 48 * 60:
        return _count(minutes // 60, "hour")
    return _count(minutes // 1440, "day")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def ago_words(at: datetime, now: datetime) -> str:
    """How long before ``now`` something happened; what a clock puts up to a minute ahead is "just now"."""
    if at - now > timedelta(minutes=1):
        return f"{duration_words(at - now)} ahead of this clock"
    if now - at < timedelta(minutes=1):
        return "just now"
    return f"{duration_words(now - at)} ago"


def acknowledgement(alert: Alert) -> Transition | None:
    """The step that put the alert into the acknowledged state, when it is in that state.

    Later steps may keep the state (a further finding of lower priority): those acknowledged nothing.
    """
    found: Transition | None = None
    for step in reversed(alert.history if alert.state == "acknowledged" else ()):
        if step.state != "acknowledged":
            break
        found = step
    return found


def rule_words(rule: str) -> str:
    """What kind of rule it is, such as "A limit set for this patient"; "Another rule" for one not known here."""
    return next((words for start, words in RULE_KINDS if rule.startswith(start)), "Another rule")


def row(alert: Alert, entry: PatientEntry, ref: str, now: datetime) -> Row:
    """The alert with its patient, in words as of ``now``; ``ref`` is the ``patient_ref``."""
    step = acknowledgement(alert)
    return Row(
        id=alert.id,
        patient=alert.patient,
        patient_ref=ref,
        name=entry.display or alert.patient,
        age=years_old(entry, now),
        group=alert.group,
        priority=alert.priority,
        state=alert.state,
        title=alert.title,
        why=alert.why,
        rule=alert.rule,
        marks=tuple(Mark(word=word, meaning=meaning) for field, word, meaning in MARKS if getattr(alert, field)),
        opened_at=alert.opened_at,
        measured_at=alert.measured_at,
        updated_at=alert.updated_at,
        since_words=duration_words(max(now - alert.opened_at, timedelta())),
        measured_words=ago_words(alert.measured_at, now),
        acknowledged_by=step.who if step else None,
        acknowledged_at=step.at if step else None,
        historical=alert.historical,
        stale=alert.stale,
        late=alert.late,
        escalation=alert.escalation,
    )
