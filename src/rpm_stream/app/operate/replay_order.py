"""Replays frames through ingest, and judges the result in the order of record.

The order of a patient's data is the order of ``rpm.readings``, because frames of several devices
and people's decisions meet only there. So that topic leads. Each of its messages of readings names
a frame. Frames up to that one are ingested, and the message that they give for this place is judged
at this point. A decision is applied at its place.

Ingest wrote the messages of one partition of frames in order. Other code or tables may give
messages that the topic does not have. Those are judged just before the next message that the topic
has, and the rest at the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Collection, Iterator
from itertools import takewhile
from typing import NamedTuple

from aiokafka.structs import ConsumerRecord

from rpm_stream.app.kafka.frame_record import frame_message
from rpm_stream.app.kafka.moved import MovedFrom
from rpm_stream.app.kafka.partitions import home_of
from rpm_stream.pipeline.order import read_message
from rpm_stream.pipeline.replay import Replay, ReplayLine
from rpm_stream.records import UNREADABLE, Forwarded, Readings

# the time on the broker (ms) of the record from which a line follows, and the line
StampedLine = tuple[int, ReplayLine]


class Made(NamedTuple):
    """A message of readings that this replay made of a frame.

    ``stamp`` is the frame's time on the broker in ms.
    """

    message: Readings
    stamp: int


class Frames:
    """The frames of one partition, read as needed, without those ``moved`` to another partition."""

    def __init__(
        self, records: AsyncIterator[ConsumerRecord], moved: Collection[MovedFrom] = ()
    ) -> None:
        self._records = records
        self._moved = moved
        self._next: ConsumerRecord | None = None

    async def up_to(self, offset: int | None) -> AsyncIterator[ConsumerRecord]:
        """Yield the next frames up to ``offset``, each only once. None: all the rest."""
        while True:
            if self._next is None:
                self._next = await anext(self._records, None)
            if self._next is None or (offset is not None and self._next.offset > offset):
                return
            record = self._next
            self._next = None
            if (record.partition, record.offset) not in self._moved:
                yield record


class OrderOfRecord:
    """One run in the order of record.

    ``frames`` are by partition of rpm.frames, and ``partitions`` is the number of partitions of
    rpm.readings.
    """

    def __init__(self, run: Replay, frames: dict[int, Frames], partitions: int) -> None:
        self._run = run
        self._frames = frames
        self._partitions = partitions
        # by partition of rpm.readings and of rpm.frames
        self._waiting: dict[tuple[int, int], deque[Made]] = {}

    async def follow(self, record: ConsumerRecord) -> AsyncIterator[StampedLine]:
        """Yield the lines that follow from a message of rpm.readings.

        There are none if its frame is not among ``frames``.
        """
        try:
            message = read_message(record.value or b"")
        except UNREADABLE:
            return
        if isinstance(message, Forwarded):
            for line in self._run.applied(message):
                yield record.timestamp, line
            return
        if message.partition in self._frames:
            async for lines in self._ingested(message.partition, message.offset):
                yield lines
        # Before a growth the message lay in another partition.
        home = home_of(message.patient.encode(), self._partitions)
        for lines in self._judged(home, message):
            yield lines

    async def finish(self) -> AsyncIterator[StampedLine]:
        """Yield the rest: the lines of later frames, and of messages that are not on the topic."""
        for number in self._frames:
            async for lines in self._ingested(number, None):
                yield lines
        left = [made for waiting in self._waiting.values() for made in waiting]
        self._waiting.clear()
        for made in sorted(left, key=lambda each: each.stamp):
            for line in self._run.read(made.message):
                yield made.stamp, line

    async def _ingested(self, number: int, offset: int | None) -> AsyncIterator[StampedLine]:
        async for record in self._frames[number].up_to(offset):
            done = self._run.ingested(frame_message(record))
            for line in self._run.refused(done):
                yield record.timestamp, line
            for message in done.readings:
                home = home_of(message.patient.encode(), self._partitions)
                self._waiting.setdefault((home, number), deque()).append(
                    Made(message, record.timestamp)
                )

    def _judged(self, home: int, message: Readings) -> Iterator[StampedLine]:
        """Judge the message that was made here for the place of ``message``.

        Earlier messages that the topic does not have are judged first.
        """
        waiting = self._waiting.get((home, message.partition), deque())
        so_far = takewhile(lambda made: made.message.offset <= message.offset, waiting)
        is_here = any(_place(made.message) == _place(message) for made in so_far)
        while waiting and (is_here or waiting[0].message.offset < message.offset):
            made = waiting.popleft()
            is_here = is_here and _place(made.message) != _place(message)
            for line in self._run.read(made.message):
                yield made.stamp, line


def _place(message: Readings) -> tuple[int, str, int]:
    return message.offset, message.patient, message.chunk
