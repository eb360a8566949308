"""Measures from outside how far the service has judged, so that a dead worker shows.

For each agent's consumer group, the committed offsets are compared with the ends of its input
topics, and its live members are counted. "Judged up to" is the present when nothing waits and every
agent lives. Otherwise it is the append time of the first waiting record. A worker that hangs
commits nothing, so the time stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec
import structlog

from rpm_stream.app.kafka.clients import AWAY, admin, consumer
from rpm_stream.app.kafka.lag import GroupLag, observe
from rpm_stream.records import Record

BEHIND_AFTER = timedelta(seconds=60)  # from here on the page is red
INTERVAL_S = 2.0
REQUEST_TIMEOUT_MS = 10_000

JudgeStatus = Literal["unknown", "current", "behind", "no_worker"]
log = structlog.get_logger("rpm_stream.feed")


class Progress(Record, frozen=True, kw_only=True):
    """How far the service has judged.

    ``judged_up_to`` is a broker append time. ``lag`` counts messages and ``workers`` live members,
    each by group. ``clocks`` holds the stages on a machine with a wrong clock, and by how many
    seconds it is ahead.
    """

    status: JudgeStatus
    judged_up_to: datetime | None
    checked_at: datetime
    lag: dict[str, int]
    workers: dict[str, int]
    clocks: dict[str, int] = msgspec.field(default_factory=dict)


UNKNOWN = Progress(
    status="unknown",
    judged_up_to=None,
    checked_at=datetime.fromtimestamp(0, UTC),
    lag={},
    workers={},
)


def judge(observed: Iterable[GroupLag], now: datetime, before: Progress) -> Progress:
    """Return the progress that the groups show together at ``now``.

    With a worker missing and nothing waiting, the time stays where it was when all was last well.
    No message waits then, but silence and escalation are not judged.
    """
    groups = list(observed)
    names = dict.fromkeys(group.group for group in groups)
    waiting = [group.first_waiting for group in groups if group.first_waiting is not None]
    missing = any(group.members == 0 for group in groups)
    judged = min(waiting) if waiting else (before.judged_up_to if missing else now)
    status: JudgeStatus = "current"
    if missing:
        status = "no_worker"
    elif judged is not None and now - judged > BEHIND_AFTER:
        status = "behind"
    return Progress(
        status=status,
        judged_up_to=min(judged, now) if judged else None,
        checked_at=now,
        lag={name: sum(group.lag for group in groups if group.group == name) for name in names},
        workers={group.group: group.members for group in groups},
    )


def aged(progress: Progress, now: datetime) -> Progress:
    """Return the same finding, or an unknown one if it is more than a minute old at ``now``."""
    if now - progress.checked_at > BEHIND_AFTER:
        return Progress(
            status="unknown",
            judged_up_to=progress.judged_up_to,
            checked_at=now,
            lag=progress.lag,
            workers=progress.workers,
        )
    return progress


class Watcher:
    """Looks every ``INTERVAL_S`` seconds and keeps the last finding.

    An unreachable broker makes it unknown.
    """

    def __init__(
        self, bootstrap: str, groups: Mapping[str, Sequence[str]], now: Callable[[], datetime]
    ) -> None:
        self._bootstrap = bootstrap
        self._groups = groups
        self._now = now
        self.latest = UNKNOWN

    def progress(self) -> Progress:
        """Return the last finding as of now."""
        return aged(self.latest, self._now())

    async def run(self, tell: Callable[[], None]) -> None:
        """Look until cancelled. ``tell`` is called after each look."""
        while True:
            try:
                await self._watch(tell)
            except AWAY as error:
                log.warning("feed.progress_unreachable", error=type(error).__name__)
                tell()
                await asyncio.sleep(INTERVAL_S)

    async def _watch(self, tell: Callable[[], None]) -> None:
        asking = admin(self._bootstrap, REQUEST_TIMEOUT_MS)
        async with asking as client, consumer(self._bootstrap) as reader:
            while True:
                seen = [
                    await observe(client, reader, group, topic)
                    for group, topics in self._groups.items()
                    for topic in topics
                ]
                self.latest = judge(seen, self._now(), self.latest)
                tell()
                await asyncio.sleep(INTERVAL_S)
