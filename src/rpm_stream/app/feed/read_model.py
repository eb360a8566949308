"""The feed's state in memory: alerts, patients, and a bounded window of readings for the charts.

It is built from the topics at each start, and dropped at the end. Readings are bounded by
``WINDOW``, by ``SERIES_POINTS`` a patient and vital, and by ``TOTAL_POINTS``. Alerts are bounded to
the listed ones and those that were resolved in the last 24 hours.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from rpm_stream.alert.decisions import EVENTS, is_needless
from rpm_stream.knowledge.registry import Registry
from rpm_stream.publish.feed import rows as feed
from rpm_stream.publish.old_life import typed
from rpm_stream.records import (
    Absent,
    Alert,
    Event,
    PatientEntry,
    Reading,
    Readings,
    RegistryEntry,
    Transition,
)

# of measured time before the patient's newest, as a home device is used daily or so
WINDOW = timedelta(hours=72)
SERIES_POINTS = 2_000
TOTAL_POINTS = 400_000  # about 150 MB
# a decision without confirmation after this time is shown as unconfirmed
PENDING_FOR = timedelta(seconds=30)


# for a decision that was judged and that the alert does not show
DecisionAnswer = Literal["kept", "refused", "unkept"]
ActionKind = Literal[
    "see", "acknowledge", "snooze", "assign", "comment", "new_normal", "resolve", "withdraw"
]


@dataclass(frozen=True, slots=True)
class ChartReading:
    """The fields of a reading that a chart shows. Value and unit are as sensed."""

    id: str
    at: datetime
    value: float | None
    unit: str
    absent: Absent | None
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pending:
    """A decision that was sent and is not yet in the alert.

    ``known`` is the alert's history when it was sent. From ``overdue_at`` on it is shown as
    unconfirmed. That is None while the broker has not stored it. ``answer`` is its result where the
    alert does not show it. The three times, by the feed's clock, show how far it is known to have
    come (``answers.py``).
    """

    who: str
    action: ActionKind
    known: tuple[Transition, ...]
    overdue_at: datetime | None = None
    stored_at: datetime | None = None
    forwarded_at: datetime | None = None
    judged_at: datetime | None = None
    answer: DecisionAnswer | None = None

    def is_confirmed_by(self, alert: Alert) -> bool:
        """Whether the alert shows the decision.

        It does by a new step, or when there is nothing left to wait for. No clock decides this,
        because the steps have the broker's time and the feed's clock may be ahead of it.
        """
        shown = msgspec.structs.replace(alert, history=typed(alert.history))
        if alert.state == "resolved" or is_needless(shown, self.action, self.who):
            return True
        return bool(self._answers(alert.history) - self._answers(self.known))

    def _answers(self, history: tuple[Transition, ...]) -> Counter[tuple[datetime, Event | None]]:
        """Return the steps that the decision may lead to: the requested one, or a refusal."""
        events = (EVENTS[self.action], "refused")
        steps = typed(history)
        return Counter(
            (step.at, step.event) for step in steps if step.who == self.who and step.event in events
        )


Series = dict[str, ChartReading]


def is_over(alert: Alert, now: datetime) -> bool:
    """Whether the alert was resolved too long ago to be shown."""
    return not feed.listed(alert) and not feed.recently_resolved(alert, now)


def thinned(points: Iterable[ChartReading]) -> list[ChartReading]:
    """Return about half of the points, in time order.

    Of each four neighbours the lowest and the highest stay, so a chart still shows every extreme.
    Points without value are left out.
    """
    ordered = sorted(
        (point for point in points if point.value is not None), key=lambda point: point.at
    )
    kept: list[ChartReading] = []
    for start in range(0, len(ordered), 4):
        block = ordered[start : start + 4]
        ends = {min(block, key=_value).id, max(block, key=_value).id}
        kept += [point for point in block if point.id in ends]
    return kept


def _value(point: ChartReading) -> float:
    return point.value if point.value is not None else 0.0


class ChartReadings:
    """The readings that the charts show, and those that an alert names as evidence."""

    def __init__(self) -> None:
        # patient -> vital, least recent first
        self._vitals: OrderedDict[str, dict[str, Series]] = OrderedDict()
        self._points = 0
        # patient -> reading ids that an alert names as evidence
        self._wanted: dict[str, set[str]] = {}
        # patient -> reading id -> vital, point
        self._evidence: dict[str, dict[str, tuple[str, ChartReading]]] = {}

    def put(self, message: Readings) -> None:
        """Keep the readings that a chart may show, and all that an alert names as evidence."""
        vitals = self._vitals.setdefault(message.patient, {})
        self._vitals.move_to_end(message.patient)
        wanted = self._wanted.get(message.patient, set())
        for reading in message.readings:
            point = _point(reading)
            if reading.id in wanted:
                self._evidence.setdefault(message.patient, {})[reading.id] = (reading.vital, point)
            series = vitals.setdefault(reading.vital, {})
            self._points += reading.id not in series
            series[reading.id] = point
            if len(series) > SERIES_POINTS:
                vitals[reading.vital] = self._shrunk(series)
        while self._points > TOTAL_POINTS and len(self._vitals) > 1:
            _, oldest = self._vitals.popitem(last=False)
            self._points -= sum(len(series) for series in oldest.values())

    def want(self, alert: Alert) -> None:
        """Keep from now on what an alert names as evidence."""
        wanted = self._wanted.setdefault(alert.patient, set())
        wanted.update(alert.evidence)
        for vital, series in self._vitals.get(alert.patient, {}).items():
            for key in wanted & series.keys():
                self._evidence.setdefault(alert.patient, {})[key] = (vital, series[key])

    def take_back(self, patient: str, readings: Iterable[Reading]) -> None:
        """Forget readings that were wrong or of another person, also as evidence."""
        vitals = self._vitals.get(patient, {})
        evidence = self._evidence.get(patient, {})
        for reading in readings:
            evidence.pop(reading.id, None)
            if vitals.get(reading.vital, {}).pop(reading.id, None) is not None:
                self._points -= 1

    def prune(self, alerts: Iterable[Alert]) -> None:
        """Forget readings outside the window, and evidence that none of ``alerts`` names."""
        self._wanted = {}
        for alert in alerts:
            self._wanted.setdefault(alert.patient, set()).update(alert.evidence)
        self._evidence = {
            patient: {key: found for key, found in kept.items() if key in self._wanted[patient]}
            for patient, kept in self._evidence.items()
            if patient in self._wanted
        }
        for patient in list(self._vitals):
            self._prune_patient(patient)

    def _prune_patient(self, patient: str) -> None:
        vitals = self._vitals[patient]
        newest = max(
            (point.at for series in vitals.values() for point in series.values()), default=None
        )
        if newest is None:
            del self._vitals[patient]
            return
        for vital, series in list(vitals.items()):
            kept = {key: point for key, point in series.items() if newest - point.at <= WINDOW}
            self._points -= len(series) - len(kept)
            vitals[vital] = kept

    def _shrunk(self, series: Series) -> Series:
        ordered = sorted(series.values(), key=lambda point: point.at)
        half = len(ordered) // 2
        kept = {point.id: point for point in [*thinned(ordered[:half]), *ordered[half:]]}
        self._points -= len(series) - len(kept)
        return kept

    def evidence(self, alert: Alert) -> dict[str, tuple[str, ChartReading]]:
        """Return the known evidence, from reading id to vital and point."""
        known = self._evidence.get(alert.patient, {})
        return {key: known[key] for key in alert.evidence if key in known}

    def series(
        self, patient: str, vital: str, since: datetime, until: datetime
    ) -> list[ChartReading]:
        """Return the readings of one vital in [since, until], in order of measured time."""
        points = self._vitals.get(patient, {}).get(vital, {}).values()
        return sorted(
            (p for p in points if since <= p.at <= until), key=lambda point: (point.at, point.id)
        )

    def vitals(self, patient: str) -> list[str]:
        """Return the names of the vitals with readings in the window."""
        return sorted(vital for vital, series in self._vitals.get(patient, {}).items() if series)

    @property
    def points(self) -> int:
        """How many readings are held."""
        return self._points


class FeedState:
    """The state of one process, used from one event loop.

    ``version`` grows with every change that a viewer can see.
    """

    def __init__(self) -> None:
        self.alerts: dict[str, Alert] = {}
        self.registry = Registry()
        self.readings = ChartReadings()
        self.pending: dict[str, Pending] = {}
        self.unkept: set[str] = set()  # alerts of which the judge was found to have no state
        self.ready = False  # the alerts that were there at the start have been read
        # unreadable messages of rpm.alerts; the page reports them, because one could be an alert
        self.unreadable = 0
        self.version = 0
        self.list_version = 0  # the last version that changed more than the progress
        self.removed_at = 0  # the last version at which an alert was removed
        self._changed_at: dict[str, int] = {}
        self._change = asyncio.Event()

    # --- changes ----------------------------------------------------------------------------------

    def touch(self, alert: str | None = None) -> None:
        """Wake all waiters. ``alert`` is the changed one, or None if all may have changed."""
        self.list_version = self.version + 1
        if alert is not None:
            self._changed_at[alert] = self.list_version
        self.beat()

    def beat(self) -> None:
        """Wake all waiters after a look at the progress, with the list unchanged."""
        self.version += 1
        self._change.set()
        self._change = asyncio.Event()

    async def wait(self, seen: int) -> int:
        """Return the version as soon as it is above ``seen``."""
        while self.version <= seen:
            await self._change.wait()
        return self.version

    def changed_since(self, seen: int) -> list[Alert]:
        """Return the alerts that changed after version ``seen``, ranked."""
        return feed.ranked(self.alerts[key] for key, at in self._changed_at.items() if at > seen)

    # --- input ------------------------------------------------------------------------------------

    def put_alert(self, alert: Alert) -> None:
        """Replace an alert by its newest record."""
        if (
            before := self.alerts.get(alert.id)
        ) is not None and before.updated_at < alert.updated_at:
            self.unkept.discard(alert.id)
        self.alerts[alert.id] = alert
        pending = self.pending.get(alert.id)
        if pending is not None and pending.is_confirmed_by(alert):
            del self.pending[alert.id]
        self.readings.want(alert)
        self.touch(alert.id)

    def remove_alert(self, key: str) -> None:
        """Apply a tombstone."""
        if self.alerts.pop(key, None) is None:
            return
        self._changed_at.pop(key, None)
        self.pending.pop(key, None)
        self.touch()
        self.removed_at = self.version

    def put_entry(self, entry: RegistryEntry) -> None:
        """Store a registry entry. A patient's name may change every row of that patient."""
        self.registry.put(entry)
        if isinstance(entry, PatientEntry):
            for alert in [
                alert for alert in self.alerts.values() if alert.patient == entry.patient
            ]:
                self.touch(alert.id)

    def prune(self, now: datetime) -> None:
        """Forget alerts that were resolved over 24 hours ago, and readings outside the window.

        The evidence of those alerts is forgotten too.
        """
        gone = [alert.id for alert in self.alerts.values() if is_over(alert, now)]
        for key in gone:
            del self.alerts[key]
            self._changed_at.pop(key, None)
            self.pending.pop(key, None)
            self.unkept.discard(key)
        if gone:
            self.touch()
            self.removed_at = self.version
        self.readings.prune(self.alerts.values())

    # --- questions --------------------------------------------------------------------------------

    def listed(self) -> list[Alert]:
        """Return the alerts that need a person, ranked."""
        return feed.ranked(alert for alert in self.alerts.values() if feed.listed(alert))

    def resolved(self, now: datetime) -> list[Alert]:
        """Return the alerts that were resolved in the last 24 hours, the latest first."""
        found = [alert for alert in self.alerts.values() if feed.recently_resolved(alert, now)]
        return sorted(found, key=lambda alert: (alert.updated_at, alert.id), reverse=True)


def _point(reading: Reading) -> ChartReading:
    value = float(reading.value) if reading.value is not None else None
    return ChartReading(
        reading.id, reading.measured_at, value, reading.unit, reading.absent, reading.flags
    )
