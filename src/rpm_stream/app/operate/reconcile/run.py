"""Reads the topics into the books, once or periodically, and reports the result.

The order of requests makes a running service harmless. First come the commits of the agents: all
messages up to there have their outputs in the topics. Then come the ends of the topics, those of
derived topics before those of their sources. So every account, reject or Observation that is read
has its frame or reading in the books. What lies after the commits is in flight, and is reported so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic

import structlog

from rpm_stream.app.kafka.broker_time import BrokerTime
from rpm_stream.app.kafka.lag import offsets_of
from rpm_stream.app.kafka.names import ACCOUNTS, FRAMES, GROUPS, OBSERVATIONS, READINGS, REJECTS
from rpm_stream.app.kafka.range_reader import (
    KafkaClients,
    ReportProgress,
    Spans,
    at_time,
    ends,
    reaching,
    records,
    starts,
)
from rpm_stream.app.operate.reconcile import gauges
from rpm_stream.app.operate.reconcile.collect import HOUR_MS, Collector
from rpm_stream.app.operate.reconcile.lines import Missing, ReconcileLine, ReconcileTotal
from rpm_stream.app.operate.reconcile.report import Report
from rpm_stream.app.operate.reconcile.store import Store
from rpm_stream.app.operate.silent_gateways import Gateways, show
from rpm_stream.app.runtime.clock import Clock
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.knowledge import Knowledge
from rpm_stream.records import Record

log = structlog.get_logger()

READ = (FRAMES, ACCOUNTS, READINGS, REJECTS, OBSERVATIONS)  # each after its source
ASKED = (OBSERVATIONS, ACCOUNTS, REJECTS, READINGS, FRAMES)  # for the ends, in reverse order
# The broker stamps a frame, and a worker's clock stamps what is derived from it.
CLOCKS_APART = timedelta(minutes=10)

MOST_LOGGED = 20  # most lines in the log per run


class ReconcileWindow(Record, frozen=True, kw_only=True):
    """The window of time, by the broker's receipt of the frames. None: no limit."""

    since: datetime | None = None
    until: datetime | None = None


class Reconciliation:
    """One file of books. ``update`` reads new records, and ``report`` balances."""

    def __init__(
        self, settings: Settings, knowledge: Knowledge, path: Path, bounds: ReconcileWindow
    ) -> None:
        self._settings = settings
        self.clock = Clock.of(settings)  # the broker's time, as in the books
        self._broker_time = BrokerTime(settings, self.clock, "reconcile")
        self._store = Store(path)
        token = settings.token.get_secret_value() if settings.token else None
        self._notes = Collector(self._store, knowledge, self._store.ref_key(token))
        self._bounds = bounds
        known = self._store.fact("bounds", f"{bounds.since} to {bounds.until}")
        if known != f"{bounds.since} to {bounds.until}":
            self._store.close()
            raise UsageError(
                f"{path} holds the books of {known}: ask for the same window, or name another file"
            )

    @property
    def bootstrap(self) -> str:
        """The Kafka whose topics are in these books."""
        return self._settings.bootstrap

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    async def update(self, progress: ReportProgress) -> None:
        """Read every topic up to its current end.

        Raises ``UsageError`` when the broker is away or lacks a topic.
        """
        await self._broker_time.try_to_begin()
        async with reaching(self._settings.bootstrap, READ) as broker:
            for group, topics in GROUPS.items():
                for topic in topics:
                    self._store.set_done(topic, await offsets_of(broker.admin, group, topic))
            spans = {topic: await self._span(broker, topic) for topic in ASKED}
            for topic in READ:
                async for batch in records(broker, spans[topic], progress):
                    last = batch[-1]
                    self._store.write(
                        topic, last.partition, last.offset + 1, self._notes.rows(topic, batch)
                    )

    def report(self) -> Report:
        """Return the report as of now."""
        return Report(self._store, self.clock, self.clock.real())

    def prune(self, before: datetime) -> None:
        """Forget the frames that were received before a time, by whole hours."""
        self._store.prune(int(before.timestamp() * 1000) // HOUR_MS)

    async def _span(self, broker: KafkaClients, topic: str) -> Spans:
        """Return the spans from the books' position to the current end (for frames ``until``)."""
        upto = await ends(broker, topic)
        since = self._bounds.since
        until = self._bounds.until
        if topic == FRAMES and until is not None:
            upto = await at_time(broker, upto, until)
        if since is None:
            firsts = await starts(broker, topic)
        else:
            firsts = await at_time(broker, upto, since if topic == FRAMES else since - CLOCKS_APART)
        self._store.begin(topic, firsts)
        places = self._store.next_places(topic)
        return {
            tp: (places[tp.partition], max(places[tp.partition], end)) for tp, end in upto.items()
        }


async def balance(
    reconciliation: Reconciliation, progress: ReportProgress, tell: Callable[[ReconcileLine], None]
) -> ReconcileTotal:
    """Read new records, pass every line to ``tell`` and return the sum.

    Raises ``UsageError`` like ``Reconciliation.update``.
    """
    await reconciliation.update(progress)
    report = reconciliation.report()
    for line in report.lines():
        tell(line)
    return report.total


async def balance_for_ever(
    reconciliation: Reconciliation, every: timedelta, kept: timedelta, stop: asyncio.Event
) -> None:
    """Balance periodically until ``stop``, and set the gauges to the sums.

    An absent broker only causes a delay.
    """
    gateways = Gateways(reconciliation.bootstrap)
    while not stop.is_set():
        began = monotonic()
        try:
            total = await balance(reconciliation, _quiet, _Log())
        except UsageError as error:
            log.warning("reconcile.run_failed", fault=str(error))
        else:
            reconciliation.prune(reconciliation.clock.real() - kept)
            gauges.show(total, monotonic() - began)
        await _look_for_silent(gateways, reconciliation.clock.real())
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every.total_seconds())


async def _look_for_silent(gateways: Gateways, now: datetime) -> None:
    """Count the silent gateways. The gauges do not change while the count is not possible."""
    try:
        heard = await gateways.look(now, _quiet)
    except UsageError as error:
        log.warning("reconcile.silent_gateways_unknown", fault=str(error))
        return
    show(heard)


def _quiet(*_: object) -> None:
    """Show no progress, in a periodic run."""


class _Log:
    """Logs the first few faults of a run. The sums are in the gauges."""

    def __init__(self) -> None:
        self._shown = 0

    def __call__(self, line: ReconcileLine) -> None:
        if isinstance(line, Missing) and self._shown < MOST_LOGGED:
            self._shown += 1
            log.error(
                "reconcile.not_balanced",
                kind=line.kind,
                parts=line.parts,
                topic=line.topic,
                partition=line.partition,
                offset=line.offset,
            )
