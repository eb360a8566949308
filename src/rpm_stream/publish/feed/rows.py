"""An alert as a clinician reads it: the order of the list, and the text of a row.

This module has the ranking, the sections, a reader's filter, and the text of marks and rules. The
text of an alert's life is in timeline.py, that of its newest values in latest.py. It has no clock
(``now`` is given), no colours and no socket. ``listed`` leaves out resolved alerts and nothing
else. A reader's ``Filter`` and the separate sections never affect a high alert (law 3).
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Literal

from rpm_stream.knowledge.registry import years_old
from rpm_stream.knowledge.tables import Vital
from rpm_stream.publish.feed import timeline as life
from rpm_stream.publish.latest import Latest, latest
from rpm_stream.publish.time_words import ago_words, duration_words
from rpm_stream.records import Alert, AlertState, Direction, PatientEntry, Priority, Record
from rpm_stream.text import is_of_values

PRIORITIES: tuple[Priority, ...] = ("high", "medium", "low")
RESOLVED_SHOWN_FOR = timedelta(hours=24)

NO_VITALS: Mapping[str, Vital] = MappingProxyType({})

# The part of the list that an alert is in: those that need attention now, the snoozed ones, and
# lower ones whose values are back inside their limits.
Section = Literal["now", "snoozed", "back"]

# The text of each mark of an alert: (field of Alert, word, meaning).
MARKS: tuple[tuple[str, str, str], ...] = (
    ("historical", "Values are back", "Newer measurements are back inside their limits."),
    ("stale", "No new data", "Nothing newer was measured; the situation may have changed."),
    ("late", "Arrived late", "These measurements reached the service after newer ones."),
)
# for alerts about values, and for all others
BACK = "All values are back inside their limits"
NOTHING_LEFT = "What it told of is over"
OVER = ("Over, not seen", "{back}; it stays until somebody has looked at it.")
OVER_SEEN = ("Over", "{back}. Looked at by {names}.")

# How a rule's name begins, and the text of its kind, with whose setting it is (law 12).
RULE_KINDS: tuple[tuple[str, str], ...] = (
    ("limit.patient.", "A limit set for this patient"),
    ("limit.panel.", "A limit set for a panel of patients"),
    ("limit.programme.", "A limit set for a programme"),
    ("limit.shipped.", "A limit that is shipped with the service"),
    ("limit.news2_", "A single vital on the NEWS2 chart, as shipped with the service"),
    ("limit.maternity_", "A single vital in the chart for pregnancy, as shipped with the service"),
    (
        "limit.child_",
        "A single vital in the chart for children of this age, as shipped with the service",
    ),
    ("limit.query.", "A value so far out that it alerts at once, as shipped with the service"),
    ("news2@", "NEWS2, the score of all vital signs together, as shipped with the service"),
    ("detector.", "Learned: unusual for this person"),
    ("trend.", "A course over days, by a rule that is shipped with the service"),
    ("rate.", "A value that moves fast, by a rule that is shipped with the service"),
    (
        "predicted.",
        "A value that is expected within the hour, by a forecast that is shipped with the service",
    ),
    ("settings.", "A setting of this patient that somebody has to mend"),
    ("silence.", "A measurement that is expected of this patient and has not come"),
    ("device.not_judged@", "A fault of the service itself"),
    ("device.not_judged.", "A fault of the service itself"),
    ("device.", "A device that needs a hand, by a rule that is shipped with the service"),
)


class Badge(Record, frozen=True, kw_only=True):
    """A word beside the title, and its meaning in a sentence."""

    word: str
    meaning: str


class FeedRow(Record, frozen=True, kw_only=True):
    """One line of the feed.

    Times are UTC. ``*_words`` give the same times relative to the moment when the row was made.
    ``snoozed_side`` is the side of the limits that a snooze covers, if it covers only one. ``over``
    means that all values are back and the alert waits until a person looks at it. ``seen_by`` has
    the people who have looked since it last opened or rose. ``now`` has the newest value of each of
    its vitals, the most important first.
    """

    id: str
    patient: str
    patient_ref: str
    name: str
    age: int | None
    group: str
    group_words: str
    section: Section
    priority: Priority
    state: AlertState
    title: str
    why: tuple[str, ...]
    rule: str
    marks: tuple[Badge, ...]
    opened_at: datetime
    measured_at: datetime
    updated_at: datetime
    since_words: str
    measured_words: str
    acknowledged_by: str | None
    acknowledged_at: datetime | None
    assigned_to: str | None
    snoozed_until: datetime | None
    snoozed_side: Direction | None
    historical: bool
    stale: bool
    late: bool
    escalation: int
    over: bool
    seen_by: tuple[str, ...]
    now: tuple[Latest, ...]


class Filter(Record, frozen=True, kw_only=True):
    """What a reader wants to see.

    ``patient`` is a part of the name or number. ``person`` is who has taken the alert on.
    """

    priorities: frozenset[Priority] = frozenset(PRIORITIES)
    only_open: bool = False
    patient: str = ""
    group: str | None = None
    person: str | None = None


def patient_ref(patient: str, key: bytes) -> str:
    """Return the opaque name of a patient for URLs and logs: 16 hex digits.

    It stays the same as long as ``key`` (a secret) does. A plain hash of a hospital number could be
    reversed by trying all numbers.
    """
    return hmac.digest(key, patient.encode(errors="surrogatepass"), "sha256").hex()[:16]


def listed(alert: Alert) -> bool:
    """Return whether the alert needs attention, which is so until it is resolved."""
    return alert.state != "resolved"


def recently_resolved(alert: Alert, now: datetime) -> bool:
    """Return whether the alert was resolved within ``RESOLVED_SHOWN_FOR`` before ``now``."""
    return alert.state == "resolved" and now - alert.updated_at <= RESOLVED_SHOWN_FOR


def is_over(alert: Alert) -> bool:
    """Return whether all values are back and the alert only waits until somebody looks at it."""
    return alert.over and listed(alert)


def ranked(alerts: Iterable[Alert]) -> list[Alert]:
    """Return the alerts in the order of the list: high before medium before low.

    Within a priority, alerts that go on come before those that are over. Then come those that are
    not acknowledged, then the newest, and ties are sorted by id. So a high alert that is over is
    below every high one that goes on, and above every medium one.
    """
    return sorted(alerts, key=_rank)


def _rank(alert: Alert) -> tuple[int, bool, bool, float, str]:
    opened = -alert.opened_at.timestamp()
    return (
        PRIORITIES.index(alert.priority),
        is_over(alert),
        alert.state != "open",
        opened,
        alert.id,
    )


def section_of(alert: Alert) -> Section:
    """Return the section of an alert.

    A high alert, and one that waits until a person looks at it, are in the section "now".
    """
    if alert.priority == "high" or is_over(alert):
        return "now"
    if alert.state == "snoozed":
        return "snoozed"
    return "back" if alert.historical else "now"


def is_of(row: FeedRow, person: str) -> bool:
    """Return whether ``person`` has the alert.

    It is assigned to them, or it is not assigned and they acknowledged it.
    """
    has = row.assigned_to or row.acknowledged_by
    return has is not None and has.strip().casefold() == person.strip().casefold()


def kept(wanted: Filter, row: FeedRow) -> bool:
    """Return whether a reader's filter leaves the row in the list.

    By law 3 a high alert stays with any filter.
    """
    if row.priority == "high" and row.state != "resolved":
        return True
    part = wanted.patient.strip().casefold()
    return (
        row.priority in wanted.priorities
        and not (wanted.only_open and row.state != "open")
        and (not part or part in row.name.casefold() or part in row.patient.casefold())
        and wanted.group in (None, row.group)
        and (wanted.person is None or is_of(row, wanted.person))
    )


def counts(alerts: Iterable[Alert]) -> dict[Priority, int]:
    """Return how many listed alerts there are of each priority, zeros included."""
    found = Counter(alert.priority for alert in alerts if listed(alert))
    return {priority: found[priority] for priority in PRIORITIES}


def group_words(group: str) -> str:
    """Return what an episode is about: "Vital signs", "Device: stuck"."""
    words = group.replace("_", " ").replace(":", ": ")
    return words[:1].upper() + words[1:]


def back_words(group: str) -> str:
    """Return why an alert of this group is over."""
    return BACK if is_of_values(group) else NOTHING_LEFT


def rule_words(rule: str) -> str:
    """Return what kind of rule it is, such as "A limit set for this patient".

    An unknown rule is "Another rule".
    """
    return next((words for start, words in RULE_KINDS if rule.startswith(start)), "Another rule")


def _marks(alert: Alert, seen_by: tuple[str, ...]) -> Iterator[Badge]:
    if is_over(alert):
        word, meaning = OVER_SEEN if seen_by else OVER
        yield Badge(
            word=word,
            meaning=meaning.format(back=back_words(alert.group), names=", ".join(seen_by)),
        )
    if alert.escalation and alert.state == "open":
        times = {1: "once", 2: "twice"}.get(alert.escalation, f"{alert.escalation} times")
        yield Badge(word="Escalated", meaning=f"Nobody acknowledged it in time: escalated {times}.")
    for field, word, meaning in MARKS:
        # the mark "over" includes this
        if getattr(alert, field) and not (field == "historical" and is_over(alert)):
            yield Badge(word=word, meaning=meaning)


# Fields that a row takes from its alert unchanged.
AS_RECORDED = (
    "id",
    "patient",
    "group",
    "priority",
    "state",
    "title",
    "why",
    "rule",
    "opened_at",
    "measured_at",
    "updated_at",
    "historical",
    "stale",
    "late",
    "escalation",
)


def row(
    alert: Alert,
    entry: PatientEntry,
    ref: str,
    now: datetime,
    vitals: Mapping[str, Vital] = NO_VITALS,
) -> FeedRow:
    """Return the alert with its patient as text, as of ``now``.

    ``ref`` is the ``patient_ref``. ``vitals`` have the names of vitals.
    """
    step = life.acknowledgement(alert)
    sleep = life.sleep(alert)
    seen_by = life.seen_by(alert)
    return FeedRow(
        **{field: getattr(alert, field) for field in AS_RECORDED},
        patient_ref=ref,
        name=entry.display or alert.patient,
        age=years_old(entry, now),
        group_words=group_words(alert.group),
        section=section_of(alert),
        marks=tuple(_marks(alert, seen_by)),
        since_words=duration_words(max(now - alert.opened_at, timedelta())),
        measured_words=ago_words(alert.measured_at, now),
        acknowledged_by=step.who if step else None,
        acknowledged_at=step.at if step else None,
        assigned_to=life.assignee(alert),
        snoozed_until=sleep.until if sleep else None,
        snoozed_side=sleep.direction if sleep else None,
        over=is_over(alert),
        seen_by=seen_by,
        now=latest(alert, vitals, now),
    )
