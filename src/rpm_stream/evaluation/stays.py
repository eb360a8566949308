"""A labelled stay, and what the pipeline returned for it, hour by hour.

Time is counted in whole hours from ``START``. A value of 02:40 or of 03:00 belongs to hour 2. An
onset at 14:00 lies in hour 13. Hour 0 of every stay ends at 01:00.

The window before an onset in hour ``o`` has the 12 hours from ``o - 11`` to ``o``. An hour is
positive if the onset comes within the 12 hours that begin with it, which are the same hours. Hours
after the onset count nowhere.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Literal

from rpm_stream.records import PatientEntry, Priority, Record

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOW = 12  # hours before an onset in which an alarm counts
CARRIED = (
    12  # hours for which a score counts, as a part of NEWS2 does (news2.toml, fresh_for_hours)
)

Part = Literal["all", "fit", "check"]


class StayLabel(Record, frozen=True, kw_only=True):
    """One row of the events file: how many hours a patient was monitored, and the onset's hour.

    ``onset`` is None for a patient without one. It may lie after the last monitored hour.
    """

    patient: str
    hours: int
    onset: int | None = None

    @property
    def counted(self) -> int:
        """The number of hours that count: all monitored hours up to that of the onset."""
        return self.hours if self.onset is None else min(self.hours, self.onset + 1)


class Traits(Record, frozen=True, kw_only=True):
    """Age in years at ``START`` (90 is 90 and over) and sex of a patient."""

    age: int
    sex: str


class ShownEvent(Record, frozen=True, kw_only=True):
    """One moment at which the feed calls for attention.

    An alert opened or its priority rose, or with ``returned`` values left their limits again before
    a person had seen the alert. Escalations are none, because nothing new was found. ``rule`` is
    that of the alert's record. For a return it is the rule that decided the alert's priority, which
    need not be the one that found something now.
    """

    hour: int
    priority: Priority
    rule: str
    returned: bool = False


class Stay(Record, frozen=True, kw_only=True):
    """What the pipeline returned for one stay.

    ``series`` has one value for each monitored hour and score, NaN where there is none. ``listed``
    tells for each hour whether a medium or high alert was in the list at its end, and ``red``
    whether NEWS2 was made in it and counted a part with 3 points. ``red_known`` tells whether the
    last NEWS2 did, for as long as a score counts.
    """

    label: StayLabel
    series: dict[str, tuple[float, ...]]
    events: tuple[ShownEvent, ...]
    listed: tuple[bool, ...]
    red: tuple[bool, ...]
    red_known: tuple[bool, ...]


def hour_of(at: datetime) -> int:
    """Return the hour in which a time lies. A full hour belongs to the one that it ends.

    >>> hour_of(START + timedelta(minutes=160)), hour_of(START + timedelta(hours=2))
    (2, 1)
    """
    return -((START - at) // HOUR) - 1


def fold_of(patient: str, folds: int) -> int:
    """Return the fold of the cut by person: the first 8 bytes of the SHA-256 of the patient's id.

    >>> fold_of("p100004", 5), fold_of("p100007", 5)
    (4, 1)
    """
    return int.from_bytes(hashlib.sha256(patient.encode()).digest()[:8]) % folds


def part_of(patient: str) -> Part:
    """Return the part of the cut by person.

    The first byte of the SHA-256 of the patient's id is even for ``fit``, on which a model may be
    fitted, and odd for ``check``, which no model may have seen.

    >>> part_of("p100004"), part_of("p100007")
    ('fit', 'check')
    """
    return "check" if hashlib.sha256(patient.encode()).digest()[0] % 2 else "fit"


def seed_of(patient: str, purpose: str) -> int:
    """Return the seed of a patient's random numbers, which other patients do not change."""
    return int.from_bytes(hashlib.sha256(f"{purpose}/{patient}".encode()).digest()[:8])


def registry_entry(patient: str, traits: Traits | None) -> PatientEntry:
    """Return the registry's entry of a patient. Without traits it is an adult of unknown age."""
    born = None if traits is None else f"{START.year - traits.age:04}-01-01"
    return PatientEntry(patient=patient, born=born)
