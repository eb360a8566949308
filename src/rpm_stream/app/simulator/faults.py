"""Faults between a device and the broker, which can be switched on. Pure and seeded.

Each fault is a function from frames to frames, in the order of receipt. It has its own stream of
random numbers, so switching one fault on does not change another. ``inject`` composes the faults in
the order of the way to the broker: device, radio, gateway, network.

The expected effects on the service are in ``tests/app/gateway/test_fault_effects.py``.
"""

from __future__ import annotations

import heapq
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from rpm_stream.app.simulator.payload_faults import clock_shifted, corrupted, unit_flipped
from rpm_stream.knowledge import shipped
from rpm_stream.records import Frame, Record

FARTHEST = 8  # the most frames by which one is late
# Minutes for which a device is held back or silent: longer than a walk, shorter than a night.
SPELL_MINUTES = (120, 480)
# Minutes by which a clock is off: from more than is tolerated (5) to a wrong time zone.
SKEW_MINUTES = (6, 300)

Probability = Annotated[float, Meta(ge=0, le=1)]


class Faults(Record, frozen=True, kw_only=True):
    """The probability of each fault, 0 to 1.

    It is the probability for each frame. For ``skew`` it is the probability for each device. For
    ``late`` and ``silent`` it is the probability that a spell begins with a frame.

    - duplicate: a frame is sent twice.
    - reorder: a frame comes up to ``FARTHEST`` frames later.
    - corrupt: one entry is cut short.
    - late: the device's frames wait for hours and come all at once.
    - skew: the device's clock is off.
    - drop: a frame never arrives, so ``seq`` has a gap.
    - silent: the device measures nothing for hours, so ``seq`` has no gap.
    - unit_flip: one entry has a wrong unit.
    """

    duplicate: Probability = 0.0
    reorder: Probability = 0.0
    corrupt: Probability = 0.0
    late: Probability = 0.0
    skew: Probability = 0.0
    drop: Probability = 0.0
    silent: Probability = 0.0
    unit_flip: Probability = 0.0


def inject(frames: Iterable[Frame], faults: Faults, seed: int) -> Iterator[Frame]:
    """Yield ``frames`` with faults. The same frames and seed give the same faults."""
    found = iter(frames)
    if faults.silent:
        found = silenced(found, faults.silent, _chance("silent", seed))
    if faults.skew:
        found = skewed(found, faults.skew, seed)
    if faults.unit_flip:
        found = mixed_up(found, faults.unit_flip, _chance("unit_flip", seed))
    if faults.drop:
        found = dropped(found, faults.drop, _chance("drop", seed))
    if faults.late:
        found = held_back(found, faults.late, _chance("late", seed))
    return _delivered(found, faults, random.Random(f"faults/{seed}"))


def silenced(frames: Iterable[Frame], probability: float, chance: random.Random) -> Iterator[Frame]:
    """Add spells in which a device measures nothing.

    There was nothing to send, so its gateway counts on without a gap.
    """
    ends: dict[str, datetime] = {}
    missing: dict[tuple[str, str, str | int], int] = defaultdict(int)
    for frame in frames:
        counter = (frame.gateway, frame.device, frame.boot)
        now = received(frame)
        if frame.device in ends and now < ends[frame.device]:
            missing[counter] += 1
        elif chance.random() < probability:
            ends[frame.device] = now + _spell(chance)
            missing[counter] += 1
        else:
            yield msgspec.structs.replace(frame, seq=frame.seq - missing[counter])


def skewed(frames: Iterable[Frame], probability: float, seed: int) -> Iterator[Frame]:
    """Shift the clocks of some devices by minutes to hours, ahead or behind, all the time."""
    shifts: dict[str, timedelta] = {}
    for frame in frames:
        if frame.device not in shifts:
            chance = _chance(f"skew/{frame.device}", seed)
            is_off = chance.random() < probability
            shifts[frame.device] = (
                is_off * chance.choice((-1, 1)) * timedelta(minutes=chance.randint(*SKEW_MINUTES))
            )
        shift = shifts[frame.device]
        yield clock_shifted(frame, shift) if shift else frame


def mixed_up(frames: Iterable[Frame], probability: float, chance: random.Random) -> Iterator[Frame]:
    """Put one entry of some frames into a wrong unit."""
    knowledge = shipped()
    for frame in frames:
        yield unit_flipped(frame, chance, knowledge) if chance.random() < probability else frame


def dropped(frames: Iterable[Frame], probability: float, chance: random.Random) -> Iterator[Frame]:
    """Leave out some frames. The ``seq`` of the device's next frame shows the gap."""
    return (frame for frame in frames if chance.random() >= probability)


def held_back(
    frames: Iterable[Frame], probability: float, chance: random.Random
) -> Iterator[Frame]:
    """Add spells in which a device's frames wait in their gateway.

    At the end of a spell the frames are received all at once, in order.
    """
    waiting: dict[str, tuple[datetime, list[Frame]]] = {}
    for frame in frames:
        now = received(frame)
        for until, device in sorted(
            (until, device) for device, (until, _) in waiting.items() if until <= now
        ):
            yield from _released(until, waiting.pop(device)[1])
        if frame.device in waiting:
            waiting[frame.device][1].append(frame)
        elif chance.random() < probability:
            waiting[frame.device] = (now + _spell(chance), [frame])
        else:
            yield frame
    for until, held in sorted(waiting.values(), key=lambda spell: spell[0]):
        yield from _released(until, held)


def _released(until: datetime, held: list[Frame]) -> Iterator[Frame]:
    for frame in held:
        yield msgspec.structs.replace(frame, received_at=max(until, received(frame)))


def received(frame: Frame) -> datetime:
    """Return the time at which a frame reaches the broker, as far as the frame has it."""
    return frame.received_at or frame.sent_at


def _delivered(frames: Iterable[Frame], faults: Faults, chance: random.Random) -> Iterator[Frame]:
    """Apply the faults of the network: payloads cut short, frames duplicated and reordered."""
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


def _chance(fault: str, seed: int) -> random.Random:
    return random.Random(f"faults/{fault}/{seed}")


def _spell(chance: random.Random) -> timedelta:
    return timedelta(minutes=chance.randint(*SPELL_MINUTES))
