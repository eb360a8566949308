"""Finds the result of a decision that the alert does not show, within seconds of its judging.

The judge writes what it carries out or refuses into the alert. It writes nothing where it has no
state of the alert, because its patient's state was lost, where it has refused the same before, or
where it holds the patient's messages. So the progress is watched. Once ingest has forwarded the
decision, and the judge has applied all messages that were there then, the newest record of the
alert gives the result.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from rpm_stream.alert.refusals import refuses
from rpm_stream.app.feed.progress import Progress
from rpm_stream.app.feed.read_model import DecisionAnswer, FeedState, Pending
from rpm_stream.pipeline.held import RULE
from rpm_stream.publish.old_life import typed
from rpm_stream.records import Alert

# the broker's clock stamps waiting records, the feed's clock the decision
CLOCKS_APART: Final = timedelta(seconds=2)
WORDS: Final[dict[DecisionAnswer, str]] = {
    "kept": (
        "is kept: this patient is not judged for now, and it is carried out when that is mended"
    ),
    "refused": "is not carried out, and its history says why",
    "unkept": (
        "is not carried out: the service keeps nothing of this alert but its record. Look at the"
        " patient; to resolve it ends it"
    ),
}


def look(state: FeedState, progress: Progress) -> None:
    """Answer the decisions that were judged without a result. Called after each look."""
    for key, pending in list(state.pending.items()):
        alert = state.alerts.get(key)
        if alert is None:
            continue
        changed = after(pending, alert, progress, is_held(alert, state.alerts.values()))
        if changed is not pending:
            state.pending[key] = changed
            if changed.answer == "unkept":
                state.unkept.add(key)
            if changed.answer != pending.answer:
                state.touch(key)
    state.beat()


def is_held(alert: Alert, alerts: Iterable[Alert]) -> bool:
    """Whether the messages of the alert's patient wait until their state is mended.

    The alert that reports this is itself not held.
    """
    return alert.rule != RULE and any(
        each.patient == alert.patient and each.rule == RULE and each.state != "resolved"
        for each in alerts
    )


def after(pending: Pending, alert: Alert, progress: Progress, held: bool) -> Pending:
    """Return a decision with what a look at the progress shows of it."""
    upto = progress.judged_up_to
    at = progress.checked_at
    if pending.answer == "kept" and not held:
        return replace(pending, answer=None, stored_at=at, forwarded_at=None, judged_at=None)
    if pending.stored_at is None or upto is None or pending.answer is not None:
        return pending
    if pending.forwarded_at is None:
        return (
            replace(pending, forwarded_at=at)
            if upto > pending.stored_at + CLOCKS_APART
            else pending
        )
    if pending.judged_at is None:
        return (
            replace(pending, judged_at=at)
            if upto > pending.forwarded_at + CLOCKS_APART
            else pending
        )
    if at <= pending.judged_at + CLOCKS_APART:  # leaves time for the alert's record to arrive
        return pending
    return replace(pending, answer=_answer(pending, alert, held))


def _answer(pending: Pending, alert: Alert, held: bool) -> DecisionAnswer:
    if held:
        return "kept"
    # The judge writes a refusal once for all people, so the history may hold it from before.
    return "refused" if refuses(typed(alert.history), pending.action) else "unkept"


def overdue_since(pending: Pending, now: datetime) -> bool:
    """Whether a decision is shown as unconfirmed.

    That is so when neither the alert nor the progress has answered it in time.
    """
    return pending.answer is None and pending.overdue_at is not None and now >= pending.overdue_at
