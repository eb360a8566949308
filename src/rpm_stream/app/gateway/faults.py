"""Three faults of the real world, to switch on: an uplink twice, uplinks out of order, octets cut short. Pure.

Duplicating and reordering change no frame; the service must give the same readings. A corrupted frame loses one entry:
the service must name it in a reject and carry on.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

from rpm_stream.records import Frame, Record

FARTHEST = 8  # frames by which one is late

Probability = Annotated[float, Meta(ge=0, le=1)]


class Faults(Record, frozen=True, kw_only=True):
    """How likely each fault is for each frame, 0 to 1."""

    duplicate: Probability = 0.0
    reorder: Probability = 0.0
    corrupt: Probability = 0.0


def inject(frames: Iterable[Frame], faults: Faults, seed: int) -> Iterator[Frame]:
    """``frames`` with faults; none is lost. The same seed gives the same faults."""
    chance = random.Random(f"faults/{seed}")
    late: list[tuple[int, int, Frame]] = []  # (place at which it is due, running number, frame)
    number = 0
    for place, intact in enumerate(frames):
        frame = corrupted(intact, chance) if chance.random() < faults.corrupt else intact
        held = chance.random() < faults.reorder
        if not held:
            yield frame
        for _ in range(held + (chance.random() < faults.duplicate)):
            number += 1
            heapq.heappush(late, (place + chance.randint(1, FARTHEST), number, frame))
        while late and late[0][0] <= place:
            yield heapq.heappop(late)[2]
    while late:
        yield heapq.heappop(late)[2]


def corrupted(frame: Frame, chance: random.Random) -> Frame:
    """``frame`` with one entry spoilt: a payload without its last octet (a transfer cut short), a unit lost.

    A flipped bit is not simulated: Bluetooth's own checksum drops it, and it would make false vitals.
    """
    if frame.notifications:
        place = chance.randrange(len(frame.notifications))
        entry = frame.notifications[place]
        cut = msgspec.structs.replace(entry, payload=entry.payload[:-2])
        notifications = [*frame.notifications[:place], cut, *frame.notifications[place + 1 :]]
        return msgspec.structs.replace(frame, notifications=notifications)
    if frame.measurements:
        place = chance.randrange(len(frame.measurements))
        lost = msgspec.structs.replace(frame.measurements[place], unit="")
        measurements = [*frame.measurements[:place], lost, *frame.measurements[place + 1 :]]
        return msgspec.structs.replace(frame, measurements=measurements)
    return frame
