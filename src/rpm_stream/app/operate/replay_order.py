"""Frames through ingest again, and what comes of them judged in the order of record.

The order of a patient's data is the one of ``rpm.readings``: frames of several devices and what
people decide meet only there. So that topic leads. Each of its messages of readings names a frame:
frames up to that one are ingested, and the message that they give for this place is judged now. A
decision is applied where it lies.

Ingest wrote the messages of one partition of frames in order, so whatever the frames before a
message give and the topic has not had by then (other code, other tables) is judged right before it;
what is left, at the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Collection, Iterator
from itertools import takewhile
from typing import NamedTuple

from aiokafka.structs import ConsumerRecord

from rpm_stream.app.kafka.frame_record import frame_message
from rpm_stream.app.kafka.moved import Origin
from rpm_stream.app.kafka.partitions import home_of
from rpm_stream.pipeline.order import read_message
from rpm_stream.pipeline.replay import Line, Replay
from rpm_stream.records import UNREADABLE, Forwarded, Readings

# a line, and the time on the broker (ms) of the record that it follows from
Told = tuple[int, Line]


class Made(NamedTuple):
    """A message of readings that was made here of a frame, and that frame's time on the broker
    (ms).
    """

    message: Readings
    stamp: int


class Frames:
    """The frames of one partition, as far as they are asked for; without those that were
    ``moved`` to another one.
    """

    def __init__(
        self, records: AsyncIterator[ConsumerRecord], moved: Collection[Origin] = ()
    ) -> None:
        self._records = records
        self._moved = moved
        self._next: ConsumerRecord | None = None

    async def up_to(self, offset: int | None) -> AsyncIterator[ConsumerRecord]:
        """Those that have not been given yet and lie at or before ``offset``; None: all."""
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
    """One run. ``frames`` by partition; ``partitions`` of rpm.readings."""

    def __init__(self, run: Replay, frames: dict[int, Frames], partitions: int) -> None:
        self._run = run
        self._frames = frames
        self._partitions = partitions
        # by partition of rpm.readings and of rpm.frames
        self._waiting: dict[tuple[int, int], deque[Made]] = {}

    async def follow(self, record: ConsumerRecord) -> AsyncIterator[Told]:
        """What a message of rpm.readings leads to; nothing where its frame is not among
        ``frames``.
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
            async for told in self._ingested(message.partition, message.offset):
                yield told
        # before a growth it lay in another partition
        home = home_of(message.patient.encode(), self._partitions)
        for told in self._judged(home, message):
            yield told

    async def finish(self) -> AsyncIterator[Told]:
        """All that is left: the other frames, and what was not on the topic."""
        for number in self._frames:
            async for told in self._ingested(number, None):
                yield told
        left = [made for waiting in self._waiting.values() for made in waiting]
        self._waiting.clear()
        for made in sorted(left, key=lambda each: each.stamp):
            for line in self._run.read(made.message):
                yield made.stamp, line

    async def _ingested(self, number: int, offset: int | None) -> AsyncIterator[Told]:
        async for record in self._frames[number].up_to(offset):
            done = self._run.ingested(frame_message(record))
            for line in self._run.refused(done):
                yield record.timestamp, line
            for message in done.readings:
                home = home_of(message.patient.encode(), self._partitions)
                self._waiting.setdefault((home, number), deque()).append(
                    Made(message, record.timestamp)
                )

    def _judged(self, home: int, message: Readings) -> Iterator[Told]:
        """Judge what was made here for the place of ``message``; before it, what the topic will
        not have any more.
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
