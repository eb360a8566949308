"""Law 2a from the frames on.

Frames that are ingested again and judged in the order of record give what a replay of rpm.readings
gives.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import AsyncIterator, Collection, Iterable
from typing import Any

import msgspec
import pytest
from aiokafka.structs import ConsumerRecord
from support.frames import frame, measurement, worn
from support.replaying import new_replay

from rpm_stream.app.kafka import names
from rpm_stream.app.kafka.frame_record import frame_message
from rpm_stream.app.kafka.moved import MovedFrom
from rpm_stream.app.kafka.partitions import home_of
from rpm_stream.app.operate.replay_order import Frames, OrderOfRecord
from rpm_stream.pipeline.order import forward
from rpm_stream.records import Position

PARTITIONS = 2
DEVICES = {"d0": 0, "d1": 1}  # two devices of one patient, each in its own partition of rpm.frames
ENTRIES = [worn("p", device) for device in DEVICES] + [worn("q", "d2")]
VALUES = ("84", "97", "83", "82", "96", "97", "80", "90")


def record(topic: str, partition: int, offset: int, value: bytes, key: str) -> ConsumerRecord:
    return ConsumerRecord(
        topic, partition, offset, 1000 * offset, 1, key.encode(), value, None, 0, len(value), ()
    )


def frames_of(device: str, partition: int) -> list[ConsumerRecord]:
    return [
        record(
            names.FRAMES,
            partition,
            place,
            msgspec.json.encode(
                frame(
                    [measurement(10 * place + partition, "oxygen_saturation", value)],
                    10 * place + partition,
                    place,
                    device=device,
                    frame=f"{device}{place}",
                )
            ),
            device,
        )
        for place, value in enumerate(VALUES)
    ]


FRAMES = {partition: frames_of(device, partition) for device, partition in DEVICES.items()}


def written() -> dict[int, list[bytes]]:
    """Return what ingest writes to rpm.readings, by partition of the frames."""
    run = new_replay(ENTRIES)
    return {
        number: [
            msgspec.json.encode(each)
            for one in found
            for each in run.ingested(frame_message(one)).readings
        ]
        for number, found in FRAMES.items()
    }


WRITTEN = written()
ALERT = next(
    msgspec.json.decode(bytes(line.record))["id"]
    for run in [new_replay(ENTRIES)]
    for line in run.message(WRITTEN[0][0])
    if line.type == "alert"
)


def action(offset: int, kind: str, minutes: int) -> bytes:
    body = {"v": 1, "patient": "p", "alert": ALERT, "action": kind, "who": "nurse", "reason": "r"}
    value = msgspec.json.encode({**body, "at": f"2026-03-01T08:{minutes:02}:00Z"})
    return forward(value, "p", Position(topic=names.ACTIONS, partition=0, offset=offset), None)


def order_of(chance: random.Random) -> list[bytes]:
    """Return a partition of rpm.readings.

    It holds both devices' messages and decisions, each in its order, and some twice.
    """
    queues = [
        list(one)
        for one in (*WRITTEN.values(), [action(0, "acknowledge", 7), action(1, "resolve", 31)])
    ]
    order: list[bytes] = []
    while any(queues):
        queue = chance.choice([one for one in queues if one])
        order.append(queue.pop(0))
    place = chance.randint(1, len(order))
    return [*order[:place], *order[max(0, place - 3) : place], *order[place:]]


async def records(found: Iterable[ConsumerRecord]) -> AsyncIterator[ConsumerRecord]:
    for one in found:
        yield one


def from_frames(
    order: list[bytes],
    frames: dict[int, list[ConsumerRecord]] = FRAMES,
    moved: Collection[MovedFrom] = (),
    grew_at: int = 0,
) -> list[bytes]:
    """Replay from the frames. Until ``grew_at`` the patient's messages are in another partition."""

    async def run() -> list[bytes]:
        replay = new_replay(ENTRIES)
        follow = OrderOfRecord(
            replay, {no: Frames(records(one), moved) for no, one in frames.items()}, PARTITIONS
        )
        home, found = home_of(b"p", PARTITIONS), []
        for offset, value in enumerate(order):
            place = home if offset >= grew_at else 1 - home
            found += [
                line
                async for _, line in follow.follow(
                    record(names.READINGS, place, offset, value, "p")
                )
            ]
        found += [line async for _, line in follow.finish()]
        return [line.encode() for line in [*found, *replay.finish(None)] if line.type != "reading"]

    return asyncio.run(run())


def from_readings(order: list[bytes]) -> list[bytes]:
    replay = new_replay(ENTRIES)
    lines = [line for value in order for line in replay.message(value)]
    return [line.encode() for line in [*lines, *replay.finish(None)]]


@pytest.mark.parametrize("seed", range(20))
def test_both_begin_where_they_may_and_say_the_same(seed: int) -> None:
    order = order_of(random.Random(seed))
    assert from_frames(order) == from_readings(order)


@pytest.mark.parametrize("seed", range(10))
def test_a_growth_in_the_middle_changes_nothing(seed: int) -> None:
    """The first messages of the patient are in the partition where its key was before."""
    order = order_of(random.Random(seed))
    grew_at = random.Random(seed).randint(1, len(order))
    assert from_frames(order, grew_at=grew_at) == from_readings(order)


def test_a_frame_that_was_written_once_more_elsewhere_is_read_there() -> None:
    """Ingest never read the frame in its first place, so that gives nothing.

    The topic names the place of the copy.
    """
    stay, go = FRAMES[0][:2], FRAMES[0][2:]
    behind = [
        dataclasses.replace(one, partition=0, offset=len(FRAMES[0]) + place)
        for place, one in enumerate(FRAMES[1])
    ]
    copies = [
        record(names.FRAMES, 2, place, one.value or b"", "d0") for place, one in enumerate(go)
    ]
    frames = {0: [*FRAMES[0], *behind], 2: copies}
    replay = new_replay(ENTRIES)
    order = [
        msgspec.json.encode(each)
        for one in (*stay, *behind, *copies)
        for each in replay.ingested(frame_message(one)).readings
    ]
    moved = {(one.partition, one.offset) for one in go}
    assert from_frames(order, frames, moved) == from_readings(order)
    assert from_frames(order, frames) != from_readings(order), (
        "the originals would be told before their time"
    )


def test_what_the_topic_does_not_have_is_judged_before_the_next_of_its_frames() -> None:
    """Other code or other tables give a reading where there was a reject.

    It is judged in its place, as far as that is known.
    """
    order = [*WRITTEN[0][:3], *WRITTEN[0][4:]]
    assert from_frames([*order, *WRITTEN[1]]) == from_readings([*WRITTEN[0], *WRITTEN[1]])
    assert from_frames([]) == from_readings(
        [each for pair in zip(*WRITTEN.values(), strict=True) for each in pair]
    )


def test_what_the_frames_do_not_give_any_more_is_passed_over() -> None:
    message: dict[str, Any] = msgspec.json.decode(WRITTEN[0][0])
    elsewhere = [{**message, "partition": 7}, {**message, "offset": 0, "chunk": 3}]
    strange = [msgspec.json.encode(one) for one in elsewhere]
    assert from_frames([b"{}", *strange, *WRITTEN[0], *WRITTEN[1]]) == from_readings(
        [*WRITTEN[0], *WRITTEN[1]]
    )
