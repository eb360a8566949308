"""Chooses the line in which the place of a kept frame counts.

A frame is kept while its device's state cannot be read. Meanwhile later frames of other devices
have gone to the same patients, so the judge would take the kept frame for one that it has applied.
It therefore counts in the line of its device. The exception is a frame whose outputs a worker had
written before it was killed without a commit. Such outputs count in the line of the partition, and
come again unchanged.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec
from aiokafka import TopicPartition

from rpm_stream.app.kafka.frame_record import received_at
from rpm_stream.app.kafka.names import FRAMES, READINGS
from rpm_stream.app.kafka.range_reader import KafkaClients, ends, records, window
from rpm_stream.pipeline.held import HeldState, line_of
from rpm_stream.records import UNREADABLE, Readings

APART: Final = timedelta(minutes=1)  # how far the clocks of brokers may differ


class _Place(msgspec.Struct):
    """The place that a message of rpm.readings came from.

    ``topic`` is set only in a message with an action.
    """

    patient: str
    partition: int
    offset: int
    chunk: int = 0
    line: int | None = None
    topic: str | None = None


_place = msgspec.json.Decoder(_Place)


class Lines:
    """The lines for the kept frames of one device."""

    def __init__(self, key: bytes, partition: int) -> None:
        self._line = line_of(key, partition)
        self._partition = partition
        self._known: set[tuple[int, str, int]] = set()

    @classmethod
    async def of(cls, broker: KafkaClients, key: bytes, partition: int, held: HeldState) -> Lines:
        """Return the lines, with the outputs that were written before the state was held."""
        lines = cls(key, partition)
        tp = TopicPartition(FRAMES, partition)
        # none, if the state was mended before another frame came
        end = min(held.offset + 1, (await ends(broker, FRAMES))[tp])
        first = {tp: (held.offset, end)}
        stamps = [
            received_at(record)
            async for batch in records(broker, first, _quiet)
            for record in batch
        ]
        for stamp in stamps[:1]:
            # The window is open to the end of the topic, because ``at`` may be wrong.
            spans = await window(broker, READINGS, stamp - APART, None)
            async for some in records(broker, spans, _quiet):
                for record in some:
                    lines.note(record.value or b"", held.offset)
        return lines

    def note(self, value: bytes, first: int) -> None:
        """Note a message of rpm.readings whose frame is at or behind ``first`` in the partition."""
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
        """Return the message in its line."""
        if (message.offset, message.patient, message.chunk) in self._known:
            return message
        return msgspec.structs.replace(message, line=self._line)


def _quiet(_topic: str, _done: int, _total: int) -> None:
    """Show no progress."""
