"""The header of a record that was copied into its key's partition, with its place before."""

from __future__ import annotations

from aiokafka.structs import ConsumerRecord

from rpm_stream.app.kafka.names import MOVED

MovedFrom = tuple[int, int]  # partition and offset in the same topic
Headers = list[tuple[str, bytes]]


def headers_of(record: ConsumerRecord) -> Headers:
    """Return the headers of a copy of ``record``: its own, and its present place.

    The header of an earlier copy is replaced.
    """
    kept = [each for each in record.headers if each[0] != MOVED]
    return [*kept, (MOVED, b"%d:%d" % (record.partition, record.offset))]


def origin_of(record: ConsumerRecord) -> MovedFrom | None:
    """Return the place of a copy before, or None for a record that is no copy.

    A header that the service did not write counts as none.
    """
    for name, value in record.headers:
        partition, _, offset = (value or b"").partition(b":")
        if name == MOVED and partition.isdigit() and offset.isdigit():
            return int(partition), int(offset)
    return None
