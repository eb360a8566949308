"""A window of the broker's topics through the pure replay, and what differs from what the topics
hold.

It reads and computes; it never writes to a topic, but for ``publish_observations``, which a person
asks for after looking at the differences. That writes Observations alone: an alert that only the
corrected run gives is told to the person who runs it, and rings nowhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Literal

from rpm_stream.app.kafka.growth_journal import last_growth
from rpm_stream.app.kafka.merged import Reader
from rpm_stream.app.kafka.moved import Origin
from rpm_stream.app.kafka.names import FRAMES, READINGS
from rpm_stream.app.kafka.range_reader import Broker, Progress, Spans, reaching, window
from rpm_stream.app.operate.growth.groups_and_copies import copied_after
from rpm_stream.app.operate.replay_order import Frames, OrderOfRecord, Told
from rpm_stream.pipeline.replay import Line, Replay
from rpm_stream.records import Record

Stage = Literal["ingest", "judge"]
SOURCES: dict[Stage, tuple[str, ...]] = {"ingest": (FRAMES, READINGS), "judge": (READINGS,)}


class Asked(Record, frozen=True, kw_only=True):
    """Which window: records from [since, until) by their times on the broker (None: all that is
    there).

    ``stage`` "ingest" begins with frames, "judge" with readings; both in the order of record, which
    rpm.readings has. ``warm_up`` before the window is replayed for its state alone: what it causes
    is not told.
    """

    bootstrap: str
    since: datetime | None = None
    until: datetime | None = None
    stage: Stage = "ingest"
    warm_up: timedelta = timedelta()


async def replayed(asked: Asked, run: Replay, progress: Progress) -> AsyncIterator[Line]:
    """The lines of a window. Raises UsageError when the broker is away or lacks a topic."""
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
        told = (
            _from_readings(reader, run, spans[READINGS])
            if asked.stage == "judge"
            else _from_frames(reader, run, (spans[FRAMES], moved), spans[READINGS])
        )
        async for stamp, line in told:
            if stamp >= begin:
                yield line
    for line in run.finish(asked.until):
        yield line


async def _from_readings(reader: Reader, run: Replay, spans: Spans) -> AsyncIterator[Told]:
    """By time: after a growth a patient is in two partitions.

    What cannot be read causes nothing, as in the service.
    """
    async for record in reader.merged(spans):
        for line in run.message(record.value or b""):
            yield record.timestamp, line


async def _moved(
    broker: Broker, bootstrap: str, since: datetime | None, progress: Progress
) -> set[Origin]:
    """The frames that were written once more into another partition: ingest has read the copy,
    never these.
    """
    if await last_growth(bootstrap) is None:
        return set()
    return await copied_after(broker, await window(broker, FRAMES, since, None), progress)


async def _from_frames(
    reader: Reader, run: Replay, frames: tuple[Spans, set[Origin]], order: Spans
) -> AsyncIterator[Told]:
    """Frames, in the order in which rpm.readings has what came of them."""
    made = {tp.partition: Frames(reader.one(tp, span), frames[1]) for tp, span in frames[0].items()}
    replay = OrderOfRecord(run, made, len(order))
    async for record in reader.merged(order):
        async for told in replay.follow(record):
            yield told
    async for told in replay.finish():
        yield told
