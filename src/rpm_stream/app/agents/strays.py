"""Frames that arrive in the partition where their device was before the topics grew.

A producer learns of new partitions within minutes, a gateway may hold a frame for days, and a
client that hashes in another way writes to any partition. The state of a device is in one
partition. So ingest writes such a frame again into that partition and is done with it here. The
copy names its first place in the header ``rpm-moved``, for the books.

A frame above the limit is refused where it is. That needs no state of its device, and Kafka might
accept no copy of it, because a client's compressed batch holds more than one of ours.
"""

from __future__ import annotations

from collections.abc import Callable

from aiokafka.structs import ConsumerRecord

from rpm_stream.app.engine.application import Copy, Outgoing
from rpm_stream.app.engine.bytes_table import BytesTable
from rpm_stream.app.kafka.moved import headers_of
from rpm_stream.app.kafka.partitions import home_of
from rpm_stream.ingest.frames import MOST_BYTES

Refuse = Callable[[ConsumerRecord], list[Outgoing] | None]


class Strays:
    """The strays of one worker.

    ``partitions`` is the number of partitions of rpm.frames, and ``table`` holds the states of its
    devices. ``refuse`` returns the outputs for a frame above the limit.
    """

    def __init__(self, partitions: int, table: BytesTable, refuse: Refuse) -> None:
        self._partitions = partitions
        self._table = table
        self._refuse = refuse

    def passed_on(self, record: ConsumerRecord) -> list[Outgoing] | None:
        """Return the copy for the device's partition, or the frame's refusal.

        Returns None for a record that is where its device is.
        """
        if record.key is None:
            return None
        home = home_of(record.key, self._partitions)
        here = record.partition in (home, self._table.place_of(record.key)[0])
        if here:
            return None
        if len(record.value or b"") > MOST_BYTES:
            return self._refuse(record)
        return [Copy((record.topic, record.key, record.value or b"", home), headers_of(record))]
