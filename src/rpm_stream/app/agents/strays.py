"""Frames that come to a partition where their device was before the topics grew.

A producer learns of new partitions within minutes, a gateway may hold a frame for days, and a
client that hashes in another way goes where it will. What ingest knows of a device is in one
partition; so such a frame is written into that one once more, and done with here. The copy names
the place that it had (header ``rpm-moved``), for the books.

A frame above the limit is refused where it is: nothing has to be known of its device for that, and
Kafka might take no copy of it (a client's compressed batch holds more than one of ours).
"""

from __future__ import annotations

from collections.abc import Callable

from aiokafka.structs import ConsumerRecord

from rpm_stream.app.engine.application import Copy, Outgoing
from rpm_stream.app.engine.recovery import BytesTable
from rpm_stream.app.kafka.moved import headers_of
from rpm_stream.app.kafka.partitions import home_of
from rpm_stream.ingest.frames import MOST_BYTES

Refuse = Callable[[ConsumerRecord], list[Outgoing] | None]


class Strays:
    """Of one worker. ``partitions``: of rpm.frames; ``table``: the states of its devices.

    ``refuse``: what a frame above the limit causes, whatever is known of its device.
    """

    def __init__(self, partitions: int, table: BytesTable, refuse: Refuse) -> None:
        self._partitions = partitions
        self._table = table
        self._refuse = refuse

    def passed_on(self, record: ConsumerRecord) -> list[Outgoing] | None:
        """The copy for its device's partition, or its refusal; None for a record that is where
        its device is.
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
