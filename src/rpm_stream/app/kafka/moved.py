"""The header of a record that was copied into its key's partition: where it lay before."""

from __future__ import annotations

from aiokafka.structs import ConsumerRecord

from rpm_stream.app.kafka.names import MOVED

Origin = tuple[int, int]  # partition and offset in the same topic
Headers = list[tuple[str, bytes]]


def headers_of(record: ConsumerRecord) -> Headers:
    """The headers of a copy of ``record``: its own, and the place that it has; a copy's copy
    names its own place.
    """
    kept = [each for each in record.headers if each[0] != MOVED]
    return [*kept, (MOVED, b"%d:%d" % (record.partition, record.offset))]


def origin_of(record: ConsumerRecord) -> Origin | None:
    """Where a copy lay before; None for what is no copy, or has a header that we did not write."""
    for name, value in record.headers:
        partition, _, offset = (value or b"").partition(b":")
        if name == MOVED and partition.isdigit() and offset.isdigit():
            return int(partition), int(offset)
    return None
