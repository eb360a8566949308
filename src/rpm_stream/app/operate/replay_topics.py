"""Replays a window of the broker's topics, for a comparison with what the topics hold.

It reads and computes, and does not write to a topic. The exception is ``publish_observations``,
which a person runs after looking at the differences. It writes Observations only. An alert that
only the corrected run gives is shown to that person, and is not raised anywhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Literal

from rpm_stream.app.kafka.growth_journal import last_growth
from rpm_stream.app.kafka.merged import Reader
from rpm_stream.app.kafka.moved import MovedFrom
from rpm_stream.app.kafka.names import FRAMES, READINGS
from rpm_stream.app.kafka.range_reader import KafkaClients, ReportProgress, Spans, reaching, window
from rpm_stream.app.operate.growth.groups_and_copies import copied_after
from rpm_stream.app.operate.replay_order import Frames, OrderOfRecord, StampedLine
from rpm_stream.pipeline.replay import Replay, ReplayLine
from rpm_stream.records import Record

ReplayStage = Literal["ingest", "judge"]
SOURCES: dict[ReplayStage, tuple[str, ...]] = {"ingest": (FRAMES, READINGS), "judge": (READINGS,)}


class ReplayRequest(Record, frozen=True, kw_only=True):
    """What to replay: the records from [since, until) by their times on the broker.

    None is no limit. ``stage`` "ingest" begins with frames, and "judge" with readings. Both follow
    the order of record, which is that of rpm.readings. ``warm_up`` is a time before the window that
    is replayed for its state only, so its results are left out.
    """

    bootstrap: str
    since: datetime | None = None
    until: datetime | None = None
    stage: ReplayStage = "ingest"
    warm_up: timedelta = timedelta()


async def replayed(
    asked: ReplayRequest, run: Replay, progress: ReportProgress
) -> AsyncIterator[ReplayLine]:
    """Yield the lines of a window. Raises ``UsageError`` without a broker or without a topic."""
    first = asked.since and asked.since - asked.warm_up
    topics = SOURCES[asked.stage]
    async with reaching(asked.bootstrap, topics) as broker:
        spans = {topic: await window(broker, topic, first, asked.until) for topic in topics}
        moved = (
            await _moved(broker, asked.bootstrap, first, progress) if FRAMES in topics else set()
        )
    begin = 0.0 if asked.since is None else asked.since.timestamp() * 1000
    async with AsyncExitStack() as stack:
        reader = Reader(asked.bootstrap, stack, progress)
        lines = (
            _from_readings(reader, run, spans[READINGS])
            if asked.stage == "judge"
            else _from_frames(reader, run, (spans[FRAMES], moved), spans[READINGS])
        )
        async for stamp, line in lines:
            if stamp >= begin:
                yield line
    for line in run.finish(asked.until):
        yield line


async def _from_readings(reader: Reader, run: Replay, spans: Spans) -> AsyncIterator[StampedLine]:
    """Yield the lines by time, because after a growth a patient is in two partitions.

    An unreadable record has no effect, as in the service.
    """
    async for record in reader.merged(spans):
        for line in run.message(record.value or b""):
            yield record.timestamp, line


async def _moved(
    broker: KafkaClients, bootstrap: str, since: datetime | None, progress: ReportProgress
) -> set[MovedFrom]:
    """Return the frames that were copied into another partition.

    Ingest has read the copies and never these.
    """
    if await last_growth(bootstrap) is None:
        return set()
    return await copied_after(broker, await window(broker, FRAMES, since, None), progress)


async def _from_frames(
    reader: Reader, run: Replay, frames: tuple[Spans, set[MovedFrom]], order: Spans
) -> AsyncIterator[StampedLine]:
    """Yield the lines of frames, in the order in which rpm.readings has their readings."""
    made = {tp.partition: Frames(reader.one(tp, span), frames[1]) for tp, span in frames[0].items()}
    replay = OrderOfRecord(run, made, len(order))
    async for record in reader.merged(order):
        async for lines in replay.follow(record):
            yield lines
    async for lines in replay.finish():
        yield lines
