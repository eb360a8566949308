"""Cut readings into messages that the broker accepts.

A limit on the count alone is not enough. A frame of 256 KiB can become megabytes, because the
attributes of a compound are repeated with each of its numbers. A message that the broker refuses
would end the stage at the same frame again and again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from rpm_stream.records import Reading

# rpm.readings accepts 2 MiB and rpm.actions 1 MiB, and other fields are beside the readings
MOST_BYTES: Final = 512 * 1024

_encode = msgspec.json.Encoder().encode


def chunks(readings: Sequence[Reading], most: int) -> Iterator[tuple[Reading, ...]]:
    """Yield ``readings`` in their order, at most ``most`` and half a MiB in each chunk.

    A larger reading comes alone.
    """
    # encoding all at once costs half as much as one by one
    if 0 < len(readings) <= most and len(_encode(readings)) <= MOST_BYTES:
        yield tuple(readings)
        return
    chunk: list[Reading] = []
    size = 0
    for reading in readings:
        bytes_ = len(_encode(reading))
        if chunk and (len(chunk) == most or size + bytes_ > MOST_BYTES):
            yield tuple(chunk)
            chunk = []
            size = 0
        chunk.append(reading)
        size += bytes_
    if chunk:
        yield tuple(chunk)
