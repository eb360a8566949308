"""In which line the place of a frame counts that was kept while its device's state could not be
read.

Frames of others, from behind it, have gone to the same patients meanwhile, so the judge would take
it for one that it knows: it counts in the device's own line. But what had been put out of it
before, by a worker that was killed before it could commit, counts in its partition's, and comes
again as it was.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec
from aiokafka import TopicPartition

from rpm_stream.app.kafka.frame_record import received_at
from rpm_stream.app.kafka.names import FRAMES, READINGS
from rpm_stream.app.kafka.range_reader import Broker, records, window
from rpm_stream.pipeline.held import Held, line_of
from rpm_stream.records import UNREADABLE, Readings

APART: Final = timedelta(minutes=1)  # clocks of brokers


class _Place(msgspec.Struct):
    """Where a message of rpm.readings came from.

    ``topic`` stands in those that hold an action alone.
    """

    patient: str
    partition: int
    offset: int
    chunk: int = 0
    line: int | None = None
    topic: str | None = None


_place = msgspec.json.Decoder(_Place)


class Lines:
    """The lines for one device's kept frames."""

    def __init__(self, key: bytes, partition: int) -> None:
        self._line = line_of(key, partition)
        self._partition = partition
        self._known: set[tuple[int, str, int]] = set()

    @classmethod
    async def of(cls, broker: Broker, key: bytes, partition: int, held: Held) -> Lines:
        """With what had been put out before the state was held."""
        lines = cls(key, partition)
        first = {TopicPartition(FRAMES, partition): (held.offset, held.offset + 1)}
        stamps = [
            received_at(record)
            async for batch in records(broker, first, _quiet)
            for record in batch
        ]
        for stamp in stamps[:1]:
            # to its end: what ``at`` says may be wrong
            spans = await window(broker, READINGS, stamp - APART, None)
            async for some in records(broker, spans, _quiet):
                for record in some:
                    lines.note(record.value or b"", held.offset)
        return lines

    def note(self, value: bytes, first: int) -> None:
        """A message of rpm.readings; of interest from the offset ``first`` of the partition on."""
        try:
            place = _place.decode(value)
        except UNREADABLE:
            return
        if (
            place.topic is None
            and place.line is None
            and place.partition == self._partition
            and place.offset >= first
        ):
            self._known.add((place.offset, place.patient, place.chunk))

    def placed(self, message: Readings) -> Readings:
        """The message in its line."""
        if (message.offset, message.patient, message.chunk) in self._known:
            return message
        return msgspec.structs.replace(message, line=self._line)


def _quiet(_topic: str, _done: int, _total: int) -> None:
    """Nobody waits for it."""
