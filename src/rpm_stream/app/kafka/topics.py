"""The nine public topics: their descriptions, and their creation on a broker.

A topic is a folder of ``topics/``. It holds ``topic.yaml`` (a Strimzi ``KafkaTopic``, so that
``kubectl apply`` accepts it too), ``schema-1.json``, and messages that must ``pass/`` or ``fail/``.
``apply`` creates missing topics and sets the configuration. ``check`` only reports differences.
Both leave the number of partitions of an existing topic alone. A key would move to another
partition, and the order of a patient's data would be lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import BrokerResponseError, TopicAlreadyExistsError, for_code

from rpm_stream.app.kafka.clients import admin, answering
from rpm_stream.app.runtime.errors import UsageError

FOLDERS = {
    "rpm.frames": "01-frames",
    "rpm.readings": "02-readings",
    "rpm.scores": "03-scores",
    "rpm.alerts": "04-alerts",
    "rpm.observations": "05-observations",
    "rpm.actions": "06-actions",
    "rpm.registry": "07-registry",
    "rpm.accounts": "08-accounts",
    "rpm.rejects": "09-rejects",
}
# Kafka's ConfigSource DYNAMIC_TOPIC_CONFIG: set on the topic itself, not inherited
SET_ON_TOPIC = 1
REQUEST_TIMEOUT_MS = 15_000
SHOWN_SECONDS = 15.0
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Topic:
    """A topic as it should be. ``config`` holds Kafka's own names and values, as text."""

    name: str
    partitions: int
    replicas: int
    config: dict[str, str]


@dataclass(frozen=True)
class TopicDescription:
    """A topic as it is on a broker.

    ``config`` holds every setting in force, and ``own`` the names of those set on the topic.
    """

    partitions: int
    replicas: int
    config: dict[str, str]
    own: frozenset[str]


def topics_root() -> Path:
    """Return the folder ``topics/``, of the installed package or of an editable checkout."""
    here = Path(__file__).resolve()
    for place in (here.parents[2] / "topics", here.parents[4] / "topics"):
        if (place / FOLDERS["rpm.frames"] / "topic.yaml").is_file():
            return place
    raise UsageError("the folder topics/ is missing: install rpm-stream again")


def wanted(partitions: int | None = None, replication: int | None = None) -> tuple[Topic, ...]:
    """Return all topics in the order of the flow, with their own counts or the given ones."""
    root = topics_root()
    topics = (_read(root / folder / "topic.yaml") for folder in FOLDERS.values())
    return tuple(
        replace(
            each, partitions=partitions or each.partitions, replicas=replication or each.replicas
        )
        for each in topics
    )


async def apply(
    bootstrap: str, partitions: int | None = None, replication: int | None = None
) -> list[str]:
    """Create missing topics, set the configuration of the others, and return the changes.

    Settings that ``topic.yaml`` does not name keep their value. Raises UsageError when no broker
    answers or it refuses.
    """
    topics = wanted(partitions, replication)
    done = []
    async with _admin(bootstrap) as admin:
        there = await _found(admin, topics)
        for topic in topics:
            found = there.get(topic.name)
            if found is None:
                done.append(await _create(admin, topic))
            elif changes := _config_differences(topic, found):
                await _configure(admin, topic, found)
                done.extend(
                    f"{topic.name}: {name} set to {new}, was {old}" for name, old, new in changes
                )
            if found is not None:
                done.extend(
                    f"{topic.name}: left as it is, {each}"
                    for each in _shape_differences(topic, found)
                )
        await _await_shown(admin, topics)
    return done


async def check(
    bootstrap: str, partitions: int | None = None, replication: int | None = None
) -> list[str]:
    """Return the differences from the wanted topics, one line each.

    Changes nothing.
    """
    topics = wanted(partitions, replication)
    async with _admin(bootstrap) as admin:
        there = await _found(admin, topics)
    differences = []
    for topic in topics:
        found = there.get(topic.name)
        if found is None:
            differences.append(f"{topic.name}: missing")
        else:
            differences.extend(f"{topic.name}: {each}" for each in _shape_differences(topic, found))
            changes = _config_differences(topic, found)
            differences.extend(
                f"{topic.name}: {name} is {old}, should be {new}" for name, old, new in changes
            )
    return differences


def _read(path: Path) -> Topic:
    spec = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]
    config = {name: str(value) for name, value in spec["config"].items()}
    return Topic(spec["topicName"], spec["partitions"], spec["replicas"], config)


@asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """A started admin client; every way in which Kafka can say no becomes one line for the user."""
    async with answering(bootstrap), admin(bootstrap, REQUEST_TIMEOUT_MS) as client:
        try:
            yield client
        except BrokerResponseError as error:
            raise UsageError(f"Kafka at {bootstrap} refused: {error}") from error


async def _found(
    admin: AIOKafkaAdminClient, topics: tuple[Topic, ...]
) -> dict[str, TopicDescription]:
    names = {topic.name for topic in topics}
    # All topics are listed, because asking for a missing one by name would create it on a broker
    # with auto-create.
    shapes = {
        each["topic"]: each["partitions"]
        for each in await admin.describe_topics()
        if each["topic"] in names
    }
    if not shapes:
        return {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in shapes]
    found = {}
    for response in await admin.describe_configs(asked):
        for code, message, _, name, entries in response.resources:
            _raise_for(code, f"{name}: {message}")
            parts = shapes[name]
            found[name] = TopicDescription(
                partitions=len(parts),
                replicas=min(len(part["replicas"]) for part in parts),
                config={entry[0]: entry[1] or "" for entry in entries},
                own=frozenset(entry[0] for entry in entries if entry[3] == SET_ON_TOPIC),
            )
    return found


async def _await_shown(admin: AIOKafkaAdminClient, topics: tuple[Topic, ...]) -> None:
    """Wait until all brokers know the topics.

    The controller confirms earlier than that, and the next client would find a topic missing.
    """
    try:
        async with asyncio.timeout(SHOWN_SECONDS):
            while not _all_as_wanted(await _found(admin, topics), topics):
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError as error:
        raise UsageError(
            f"Kafka took the topics, but does not show them after {SHOWN_SECONDS:.0f} s"
        ) from error


def _all_as_wanted(there: dict[str, TopicDescription], topics: tuple[Topic, ...]) -> bool:
    return all(
        topic.name in there and not _config_differences(topic, there[topic.name])
        for topic in topics
    )


async def _create(admin: AIOKafkaAdminClient, topic: Topic) -> str:
    new = NewTopic(topic.name, topic.partitions, topic.replicas, topic_configs=topic.config)
    response = await admin.create_topics([new])
    for name, code, *message in response.topic_errors:
        if for_code(code) is TopicAlreadyExistsError:
            return f"{name}: created by somebody else at the same time"
        _raise_for(code, f"{name}: {' '.join(map(str, message))}")
    return f"{topic.name}: created with {topic.partitions} partitions, {topic.replicas} replicas"


async def _configure(admin: AIOKafkaAdminClient, topic: Topic, found: TopicDescription) -> None:
    # aiokafka has only the older AlterConfigs, which drops every setting that is not given. So the
    # topic's own settings are given too.
    config = {name: found.config[name] for name in found.own} | topic.config
    for response in await admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, topic.name, config)]
    ):
        for code, message, *_ in response.resources:
            _raise_for(code, f"{topic.name}: {message}")


def _raise_for(code: int, text: str) -> None:
    if code:
        kind: Any = for_code(code)
        raise kind(text)


def _shape_differences(topic: Topic, found: TopicDescription) -> list[str]:
    pairs = (
        ("number of partitions", found.partitions, topic.partitions),
        ("number of replicas", found.replicas, topic.replicas),
    )
    return [f"{what} is {is_}, should be {should}" for what, is_, should in pairs if is_ != should]


def _config_differences(topic: Topic, found: TopicDescription) -> list[tuple[str, str, str]]:
    """Return name, present value and wanted value of each setting that differs."""
    return [
        (name, found.config.get(name, "unset"), value)
        for name, value in topic.config.items()
        if found.config.get(name) != value
    ]
