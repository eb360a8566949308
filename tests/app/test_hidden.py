"""A topic that a user may not look at is not one that is missing: that is said, and nothing is
begun without it.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import TopicAuthorizationFailedError, UnknownTopicOrPartitionError

from rpm_stream.app.kafka import clients
from rpm_stream.app.kafka.layout import layout_of
from rpm_stream.app.kafka.names import FRAMES, GROWTH, READINGS, STATE_INGEST, STATE_JUDGE, TOPICS
from rpm_stream.app.kafka.partitions import partitions_of
from rpm_stream.app.kafka.preflight import partition_counts
from rpm_stream.app.kafka.range_reader import reaching, starts
from rpm_stream.app.kafka.state_topic import make_topic
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.settings import Settings

BOOTSTRAP = "kafka:9092"


class Admin:
    """A Kafka that checks rights: every topic of ours is there; ``hidden`` are not shown,
    ``missing`` are not there.
    """

    def __init__(self, hidden: set[str], missing: set[str]) -> None:
        self._hidden, self._missing = hidden, missing
        self.created: list[Any] = []

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def describe_topics(self) -> list[dict[str, Any]]:
        there = {*TOPICS, STATE_INGEST, STATE_JUDGE, GROWTH} - self._hidden - self._missing
        return [self._described(topic) for topic in there]

    async def list_topics(self) -> list[str]:
        return [each["topic"] for each in await self.describe_topics()]

    async def _send_request(self, request: Any) -> Any:
        [topic] = request._topics
        assert request._allow_auto_topic_creation is False
        return SimpleNamespace(to_object=lambda: {"topics": [self._described(topic)]})

    async def create_topics(self, topics: list[Any]) -> Any:
        self.created += topics
        return SimpleNamespace(topic_errors=[])

    def _described(self, topic: str) -> dict[str, Any]:
        error = 0
        if topic in self._hidden:
            error = TopicAuthorizationFailedError.errno
        elif topic in self._missing:
            error = UnknownTopicOrPartitionError.errno
        partitions = [] if error else [{"partition": number} for number in (1, 0)]
        return {"topic": topic, "error_code": error, "partitions": partitions}


@pytest.fixture
def kafka_with(monkeypatch: pytest.MonkeyPatch) -> Any:
    def made(hidden: set[str], missing: set[str]) -> Admin:
        admin = Admin(hidden, missing)
        monkeypatch.setattr(clients, "AIOKafkaAdminClient", lambda **_: admin)
        consumer = SimpleNamespace(start=admin.start, stop=admin.close)
        monkeypatch.setattr(clients, "AIOKafkaConsumer", lambda **_: consumer)
        return admin

    return made


def test_what_is_there_what_is_not_and_what_nobody_may_know() -> None:
    admin: Any = Admin({FRAMES}, {READINGS})
    assert [tp.partition for tp in asyncio.run(partitions_of(admin, GROWTH))] == [0, 1]
    assert asyncio.run(partitions_of(admin, READINGS)) == []
    with pytest.raises(TopicAuthorizationFailedError):
        asyncio.run(partitions_of(admin, FRAMES))


@pytest.mark.parametrize("hidden", [GROWTH, STATE_INGEST, FRAMES])
def test_no_stage_starts_on_what_it_may_not_know(hidden: str, kafka_with: Any) -> None:
    """Whether the topics ever grew, or grow now; how many partitions a state has."""
    kafka_with({hidden}, set())
    with pytest.raises(
        UsageError, match=f"look at {hidden}: it needs the rights Describe and Read"
    ):
        asyncio.run(layout_of(BOOTSTRAP, frozenset({"ingest"})))


def test_a_stage_needs_no_right_on_the_states_of_another(kafka_with: Any) -> None:
    kafka_with({STATE_INGEST, STATE_JUDGE}, {GROWTH})
    assert not asyncio.run(layout_of(BOOTSTRAP, frozenset({"feed"}))).grown


def test_topics_that_are_to_be_made_may_be_missing(kafka_with: Any) -> None:
    kafka_with(set(), {GROWTH, STATE_INGEST, STATE_JUDGE})
    assert not asyncio.run(layout_of(BOOTSTRAP)).grown


def test_whoever_asks_for_a_hidden_topic_is_told_so(kafka_with: Any) -> None:
    admin = kafka_with({FRAMES}, set())

    async def window() -> None:
        async with reaching(BOOTSTRAP) as broker:
            await starts(broker, FRAMES)

    for asked in (partition_counts(BOOTSTRAP), make_topic(Settings(), FRAMES, 2, {}), window()):
        with pytest.raises(UsageError, match=r"Authorization|Describe"):
            asyncio.run(asked)
    assert admin.created == []
