"""What the API and the page share: the questions that a viewer can ask and the one thing that a viewer can do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from rpm_stream.app.web.chart import Chart, charts
from rpm_stream.app.web.feed_state import PENDING_FOR, FeedState, Pending
from rpm_stream.app.web.progress import Progress
from rpm_stream.knowledge import Knowledge
from rpm_stream.publish import feed
from rpm_stream.publish.feed import Row
from rpm_stream.records import Action, Alert, Priority, Record, Transition


class View(Record, frozen=True, kw_only=True):
    """A row, and whether an acknowledgement of it is on its way: by whom, and whether it is overdue."""

    row: Row
    acknowledging_by: str | None
    unconfirmed: bool


class Listing(Record, frozen=True, kw_only=True):
    """The whole feed at one moment. ``ready`` is false while the alerts of the past are still being read."""

    ready: bool
    now: datetime
    counts: dict[Priority, int]
    unreadable: int
    progress: Progress
    alerts: tuple[View, ...]


class Detail(Record, frozen=True, kw_only=True):
    """One alert with its life and the charts of its vitals; ``evidence_known`` of ``evidence_total`` are drawn."""

    alert: View
    history: tuple[Transition, ...]
    evidence_total: int
    evidence_known: int
    charts: tuple[Chart, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """State, progress, knowledge and clock, and how an action is sent. ``ref_key`` keys the opaque patient names."""

    state: FeedState
    progress: Callable[[], Progress]
    act: Callable[[Action], Awaitable[None]]
    now: Callable[[], datetime]
    knowledge: Knowledge
    ref_key: bytes

    def view(self, alert: Alert) -> View:
        """The alert as it reads now."""
        now = self.now()
        ref = feed.patient_ref(alert.patient, self.ref_key)
        pending = self.state.pending.get(alert.id)
        return View(
            row=feed.row(alert, self.state.registry.patient(alert.patient), ref, now),
            acknowledging_by=pending.who if pending else None,
            unconfirmed=pending is not None and now - pending.at > PENDING_FOR,
        )

    def listing(self, *, resolved: bool = False) -> Listing:
        """What needs somebody, ranked; or, with ``resolved``, what was resolved in the last 24 hours."""
        now = self.now()
        alerts = self.state.resolved(now) if resolved else self.state.listed()
        return Listing(
            ready=self.state.ready,
            now=now,
            counts=feed.counts(self.state.alerts.values()),
            unreadable=self.state.unreadable,
            progress=self.progress(),
            alerts=tuple(self.view(alert) for alert in alerts),
        )

    def detail(self, key: str) -> Detail | None:
        """One alert by its id; None when there is none."""
        alert = self.state.alerts.get(key)
        if alert is None:
            return None
        return Detail(
            alert=self.view(alert),
            history=alert.history,
            evidence_total=len(alert.evidence),
            evidence_known=len(self.state.evidence(alert)),
            charts=tuple(charts(self.state, alert, self.knowledge, self.now())),
        )

    async def acknowledge(self, key: str, who: str, reason: str) -> bool:
        """Send the acknowledgement; False when there is no such alert or it is resolved. Raises KafkaError."""
        alert = self.state.alerts.get(key)
        if alert is None or not feed.listed(alert):
            return False
        now = self.now()
        await self.act(
            Action(patient=alert.patient, alert=alert.id, action="acknowledge", who=who, at=now, reason=reason)
        )
        current = self.state.alerts.get(key)
        if current is not None and current.state == "open":  # the answer may have overtaken us
            self.state.pending[key] = Pending(who, now)
            self.state.touch(key)
        return True
