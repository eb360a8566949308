"""Creates the topic of an agent's state on all brokers before the agent joins its group.

Faust declares the topic while the agent starts. On a fresh cluster the first assignment can come
earlier. The group's leader then knows no such topic and "ignores" it for as long as its view of the
cluster lasts (minutes). Every partition that moves meanwhile begins with empty state. So the topic
is created here first, and Faust finds it and leaves it as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import BrokerResponseError, KafkaError, TopicAlreadyExistsError, for_code

from rpm_stream.app.kafka.clients import admin
from rpm_stream.app.kafka.partitions import partitions_of
from rpm_stream.app.runtime.errors import BrokerAway, UsageError
from rpm_stream.app.runtime.settings import Settings

SHOWN_SECONDS = 15.0
POLL_SECONDS = 0.1


async def make_state_topic(settings: Settings, topic: Any, partitions: int) -> None:
    """Create ``topic``, the changelog of a Faust table, unless it exists.

    Raises UsageError if refused, BrokerAway.
    """
    name: str = topic.get_topic_name()
    await make_topic(settings, name, partitions, {"cleanup.policy": "compact", **topic.config})


async def make_topic(
    settings: Settings, name: str, partitions: int, configuration: Mapping[str, str]
) -> None:
    """Create one of the service's private topics, unless it exists.

    Raises UsageError if refused, BrokerAway.
    """
    async with admin(settings.bootstrap) as client:
        try:
            if not await partitions_of(client, name):
                own = dict(configuration)
                wanted = NewTopic(name, partitions, settings.replication, topic_configs=own)
                await _create(client, wanted)
                async with asyncio.timeout(SHOWN_SECONDS):
                    while len(await partitions_of(client, name)) < partitions:
                        await asyncio.sleep(POLL_SECONDS)
        except (KafkaError, OSError) as error:
            # no right, or too few brokers
            refused = isinstance(error, BrokerResponseError) and not error.retriable
            raise (UsageError if refused else BrokerAway)(
                f"Kafka at {settings.bootstrap} did not create the topic {name}:"
                f" {type(error).__name__}"
            ) from None


async def _create(admin: AIOKafkaAdminClient, topic: NewTopic) -> None:
    response = await admin.create_topics([topic])
    for _name, code, *_ in response.topic_errors:
        if code and for_code(code) is not TopicAlreadyExistsError:  # another worker was quicker
            raise for_code(code)
