"""Reading on and on: the end that was there at the start is told once, when all before it is
applied; and how far a group has come.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from rpm_stream.app.kafka.follow import follow, reached
from rpm_stream.app.kafka.lag import commits_of, offsets_of

PLACES = (TopicPartition("topic", 0), TopicPartition("topic", 1))


class Consumer:
    """``batches`` come one after the other, by partition; then nothing more."""

    def __init__(self, ends: dict[TopicPartition, int], *batches: dict[TopicPartition, list[str]]):
        self._ends = ends
        self._batches = list(batches)
        self._read = dict.fromkeys(ends, 0)

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self._ends)

    async def end_offsets(self, places: frozenset[TopicPartition]) -> dict[TopicPartition, int]:
        return {place: self._ends[place] for place in places}

    async def position(self, place: TopicPartition) -> int:
        return self._read[place]

    async def getmany(self, **_: Any) -> dict[TopicPartition, list[str]]:
        if not self._batches:
            await asyncio.Event().wait()
        batch = self._batches.pop(0)
        for place, records in batch.items():
            self._read[place] += len(records)
        return batch


def followed(consumer: Consumer) -> list[str]:
    """What happened, in order."""
    seen: list[str] = []

    async def story() -> None:
        async with asyncio.timeout(0.2):
            await follow(consumer, seen.append, lambda: seen.append("end"))  # type: ignore[arg-type]

    with pytest.raises(TimeoutError):
        asyncio.run(story())
    return seen


def test_the_end_is_told_once_after_all_that_was_there() -> None:
    first, second = PLACES
    batches = ({first: ["a"]}, {second: ["b", "c"]}, {first: ["d"]}, {second: ["e"]})
    assert followed(Consumer({first: 2, second: 2}, *batches)) == ["a", "b", "c", "d", "end", "e"]


@pytest.mark.parametrize("ends", [{}, dict.fromkeys(PLACES, 0)])
def test_where_nothing_is_there_the_end_is_reached_at_once(ends: dict[TopicPartition, int]) -> None:
    assert followed(Consumer(ends)) == ["end"]


def test_one_partition_that_is_behind_is_not_the_end() -> None:
    consumer: Any = Consumer(dict.fromkeys(PLACES, 0))
    assert asyncio.run(reached(consumer, dict.fromkeys(PLACES, 0)))
    assert not asyncio.run(reached(consumer, {PLACES[0]: 0, PLACES[1]: 1}))


class Admin:
    """One group that has read of two topics."""

    async def list_consumer_group_offsets(
        self, group: str
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        assert group == "group"
        return {
            PLACES[0]: OffsetAndMetadata(7, "note"),
            PLACES[1]: OffsetAndMetadata(-1, ""),
            TopicPartition("other", 0): OffsetAndMetadata(3, ""),
        }


def test_what_a_group_has_committed_is_told_by_topic_and_nothing_is_no_place() -> None:
    """Kafka says -1 where nothing was committed: nobody is to go on there."""
    admin: Any = Admin()
    assert asyncio.run(commits_of(admin, "group", "topic")) == {
        PLACES[0]: OffsetAndMetadata(7, "note")
    }
    assert len(asyncio.run(commits_of(admin, "group", "topic", "other"))) == 2
    assert asyncio.run(offsets_of(admin, "group", "topic")) == {0: 7}
    assert asyncio.run(offsets_of(admin, "group", "nothing")) == {}
