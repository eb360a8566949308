"""The questions and the decisions of a viewer, which the API and the page share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
import structlog

from rpm_stream.alert import unkept
from rpm_stream.alert.decisions import has_risen, refusal
from rpm_stream.alert.refusals import sentence
from rpm_stream.app.feed.answers import WORDS, overdue_since
from rpm_stream.app.feed.chart import FeedChart, charts
from rpm_stream.app.feed.progress import Progress
from rpm_stream.app.feed.read_model import PENDING_FOR, ActionKind, FeedState, Pending
from rpm_stream.errors import RpmStreamError
from rpm_stream.knowledge import Knowledge
from rpm_stream.publish.feed import rows as feed
from rpm_stream.publish.feed import timeline as life
from rpm_stream.publish.feed.rows import FeedRow, Filter
from rpm_stream.publish.feed.timeline import TimelineStep
from rpm_stream.records import Action, Alert, Direction, Event, Priority, Record, Transition
from rpm_stream.text import SERVICE, is_clean

ANSWER_S = 5.0  # how long a request waits until the broker has stored a decision
KEPT = (
    "the broker does not answer; your decision is kept here and stored when it does: look again"
    " later"
)
# These need no check that the alert became worse.
WHATEVER_CAME: frozenset[ActionKind] = frozenset({"comment", "assign"})
NEEDS_REASON: dict[ActionKind, str] = {"comment": "something", "resolve": "why", "withdraw": "why"}

log = structlog.get_logger("rpm_stream.feed")


class Unlisted(RpmStreamError):
    """There is no such alert, or it is resolved."""


class DecisionRefused(RpmStreamError):
    """A request that cannot be done. The text is one plain line for the person who asked."""


class Worse(DecisionRefused):
    """The alert has become worse since the person who decides saw it."""


class Unanswered(RpmStreamError):
    """The broker does not answer. The decision is kept and stored when it does."""


class Seen(Record, frozen=True, kw_only=True):
    """The alert as a person saw it when deciding: its priority and its reasons.

    With ``why`` None only the priority counts. The reasons count only where no ``record`` is named.
    They hold values, and differ with each newer record.
    """

    priority: Priority
    why: tuple[str, ...] | None = None


class Decision(Record, frozen=True, kw_only=True):
    """A person's decision about an alert, with fields as in ``records.Action``.

    ``seen`` and ``record`` hold the alert as the person saw it. A decision about an alert that has
    become worse since is refused. Without them the decision holds for the alert as it is.
    """

    action: ActionKind
    who: str
    reason: str = ""
    until: datetime | None = None
    direction: Direction | None = None
    to: str | None = None
    seen: Seen | None = None
    record: datetime | None = None


class View(Record, frozen=True, kw_only=True):
    """A row, and the pending decision about it.

    The decision is shown with its kind and its person, and as unconfirmed when its answer is
    overdue. ``answer`` is the result in words, where the decision was judged and the alert does not
    show it.
    """

    row: FeedRow
    pending: ActionKind | None
    pending_by: str | None
    unconfirmed: bool
    answer: str | None = None


class Listing(Record, frozen=True, kw_only=True):
    """The whole feed at one moment.

    ``ready`` is false while the past alerts are being read.
    """

    ready: bool
    now: datetime
    counts: dict[Priority, int]
    unreadable: int
    progress: Progress
    alerts: tuple[View, ...]


class Detail(Record, frozen=True, kw_only=True):
    """One alert with its life and the charts of its vitals.

    ``evidence_known`` of the ``evidence_total`` readings are drawn. ``can_snooze`` is false where
    no person may snooze it, as with a high alert.
    """

    alert: View
    history: tuple[Transition, ...]
    steps: tuple[TimelineStep, ...]
    can_snooze: bool
    evidence_total: int
    evidence_known: int
    charts: tuple[FeedChart, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """State, progress, knowledge and clock, and the function that sends an action.

    ``act`` returns a future that ends when the broker has the action. ``ref_key`` is the key of the
    opaque patient names.
    """

    state: FeedState
    progress: Callable[[], Progress]
    act: Callable[[Action], Awaitable[asyncio.Future[Any]]]
    now: Callable[[], datetime]
    knowledge: Knowledge
    ref_key: bytes

    def view(self, alert: Alert) -> View:
        """Return the alert as it reads now."""
        now = self.now()
        ref = feed.patient_ref(alert.patient, self.ref_key)
        pending = self.state.pending.get(alert.id)
        return View(
            row=feed.row(
                alert, self.state.registry.patient(alert.patient), ref, now, self.knowledge.vitals
            ),
            pending=pending.action if pending else None,
            pending_by=pending.who if pending else None,
            unconfirmed=pending is not None and overdue_since(pending, now),
            answer=WORDS[pending.answer] if pending is not None and pending.answer else None,
        )

    def listing(self, *, resolved: bool = False, wanted: Filter | None = None) -> Listing:
        """Return the alerts that need a person, ranked.

        With ``resolved`` it is those that were resolved in the last 24 hours. ``wanted`` filters
        the rows, but keeps every high alert. The counts are of everything.
        """
        now = self.now()
        views = [
            self.view(alert)
            for alert in (self.state.resolved(now) if resolved else self.state.listed())
        ]
        return Listing(
            ready=self.state.ready,
            now=now,
            counts=feed.counts(self.state.alerts.values()),
            unreadable=self.state.unreadable,
            progress=self.progress(),
            alerts=tuple(view for view in views if wanted is None or feed.kept(wanted, view.row)),
        )

    def detail(self, key: str) -> Detail | None:
        """Return one alert by its id, or None when there is none."""
        alert = self.state.alerts.get(key)
        if alert is None:
            return None
        return Detail(
            alert=self.view(alert),
            history=alert.history,
            steps=life.steps(alert.history, words=life.words_of(alert.group)),
            can_snooze=self.can_snooze(alert.priority),
            evidence_total=len(alert.evidence),
            evidence_known=len(self.state.readings.evidence(alert)),
            charts=tuple(charts(self.state, alert, self.knowledge, self.now())),
        )

    def can_snooze(self, priority: Priority) -> bool:
        """Whether an alert of this priority may be snoozed."""
        return priority not in self.knowledge.priorities.snooze.never

    async def decide(self, key: str, decision: Decision) -> None:
        """Send a person's decision.

        Raises Unlisted, or DecisionRefused where nothing was sent. Worse means that the alert is
        not the one that the person saw. KafkaError means that the person may try again. Unanswered
        means that the decision is stored later, so no further attempt is needed.
        """
        alert = self.state.alerts.get(key)
        if alert is None or not feed.listed(alert):
            raise Unlisted
        if worse := _worse(alert, decision):
            raise Worse(worse)
        now = self.now()
        action = _action(alert, decision, now)
        if key in self.state.unkept and action.action in unkept.ENDS:
            action = msgspec.structs.replace(action, listed=alert)
        if cause := refusal(alert, action, self.knowledge.priorities, now):
            why = sentence(cause, alert.priority, self.knowledge.priorities)
            raise DecisionRefused(f"{decision.action} refused: {why}")
        if decision.action == "acknowledge" and alert.state == "acknowledged":
            raise DecisionRefused("acknowledge refused: somebody has acknowledged it already")
        sent = await self.act(action)
        pending = Pending(action.who, decision.action, alert.history)
        self._note(key, pending)
        sent.add_done_callback(partial(self._ended, key, pending))
        await asyncio.wait([sent], timeout=ANSWER_S)  # leaves it going when the time is over
        if not sent.done():
            raise Unanswered
        sent.result()

    def _ended(self, key: str, pending: Pending, sent: asyncio.Future[Any]) -> None:
        """Note that the broker has the decision, or never will.

        A decision that the broker never gets is shown as unconfirmed, so that somebody tries again.
        """
        error = asyncio.CancelledError() if sent.cancelled() else sent.exception()
        if error is not None:
            log.error("feed.decision_lost", error=type(error).__name__)
        # no later decision and no answer has replaced it
        if self.state.pending.get(key) is pending:
            now = self.now()
            if error is None:
                self._note(key, replace(pending, stored_at=now, overdue_at=now + PENDING_FOR))
            else:
                self._note(key, replace(pending, overdue_at=now))

    def _note(self, key: str, pending: Pending) -> None:
        current = self.state.alerts.get(key)
        if current is not None and not pending.is_confirmed_by(current):
            self.state.pending[key] = pending
            self.state.touch(key)


FURTHER = "it has a further reason since you looked; please look again"
# Texts for an alert that got worse since the person looked.
WORSE_WORDS: dict[Event, str] = {
    "raised": "it has become {priority} since you looked; please look again",
    "worse": "it got worse since you looked; please look again",
    "returned": "it is there again since you looked; please look again",
    "joined": FURTHER,
    "reopened": FURTHER,
}


def _worse(alert: Alert, decision: Decision) -> str | None:
    """Return a sentence about a change for the worse since the alert was seen, or None.

    It saves a person a decision that the judge would not carry out. The judge decides in the end,
    and may know records that have not reached this process yet.
    """
    seen = decision.seen
    if decision.action in WHATEVER_CAME:
        return None
    if has_risen(alert, seen.priority if seen else None, decision.record):
        return WORSE_WORDS["raised"].format(priority=alert.priority)
    # The steps show what changed. The lines hold values, which also change when better.
    if decision.record is not None:
        step = life.worse_since(alert.history, decision.record)
        return WORSE_WORDS[step.event or "worse"].format(priority=step.priority) if step else None
    if seen is not None and seen.why is not None and not set(alert.why) <= set(seen.why):
        return FURTHER
    return None


def _action(alert: Alert, decision: Decision, now: datetime) -> Action:
    """Return the action to send.

    Raises DecisionRefused where it names no person, or no reason where one is needed.
    """
    if not decision.who.strip():
        raise DecisionRefused("please say who you are")
    if not (is_clean(decision.who.strip()) and is_clean((decision.to or "").strip())):
        raise DecisionRefused("a name holds no control characters and no line ends")
    if decision.who.strip() == SERVICE:
        raise DecisionRefused(f"{SERVICE} is the service's own name; please say yours")
    if decision.action in NEEDS_REASON and not decision.reason.strip():
        raise DecisionRefused(
            f"{decision.action} refused: please say {NEEDS_REASON[decision.action]}"
        )
    return Action(
        patient=alert.patient,
        alert=alert.id,
        action=decision.action,
        who=decision.who.strip(),
        at=now,
        reason=decision.reason.strip(),
        until=decision.until,
        direction=decision.direction,
        to=decision.to.strip() or None if decision.to else None,
        seen=decision.seen.priority if decision.seen else None,
        record=decision.record,
    )
