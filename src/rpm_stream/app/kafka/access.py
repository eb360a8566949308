"""The rights on Kafka, in one table with a role for each stage.

The embedded broker, ``rpm-stream topics acls`` and ``deploy/kafka/users.yaml`` all use this table.
A right that no row gives is refused. Kafka gives two rights by itself. Read or Write includes
Describe, and Write on a topic is enough for an idempotent producer, so no row names
IdempotentWrite.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from rpm_stream.app.kafka.names import (
    ACCOUNTS,
    ACTIONS,
    ALERTS,
    FRAMES,
    GROUP_INGEST,
    GROUP_JUDGE,
    GROUP_SINK,
    GROWTH,
    OBSERVATIONS,
    READINGS,
    REGISTRY,
    REJECTS,
    SCORES,
    STATE_INGEST,
    STATE_JUDGE,
)

CLOCK = "rpm-clock"
GATEWAY_GROUPS = "rpm-gateway-"
# all that an operator may do with a topic
OPERATIONS = "Create Alter AlterConfigs DescribeConfigs Delete Describe Read Write".split()
CLUSTER = "kafka-cluster"  # Kafka's own name for the one cluster resource
BROKER = "broker"  # the broker's own certificate, the one user without limits
USER_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,58}")


class Role(StrEnum):
    """A role, with a user of the same name."""

    INGEST = "ingest"
    JUDGE = "judge"
    SINK = "sink"
    FEED = "feed"
    # the books, balanced while the service runs; also other commands that only read
    RECONCILE = "reconcile"
    OPERATOR = "operator"  # the commands: topics, registry, rejects, reconcile, state, replay
    GATEWAY = "gateway"


class ResourceType(StrEnum):
    """The kind of the resource of a right."""

    TOPIC = "topic"
    GROUP = "group"
    CLUSTER = "cluster"


@dataclass(frozen=True, order=True)
class Right:
    """Operations, by Kafka's names, on one resource.

    With ``prefix`` they are on all resources whose name begins with ``name``.
    """

    kind: ResourceType
    name: str
    operations: tuple[str, ...]
    prefix: bool = False


def _topic(name: str, *operations: str) -> Right:
    return Right(ResourceType.TOPIC, name, operations)


def _topics(prefix: str, *operations: str) -> Right:
    return Right(ResourceType.TOPIC, prefix, operations, prefix=True)


def _group(name: str, *operations: str) -> Right:
    return Right(ResourceType.GROUP, name, operations)


def _groups(prefix: str, *operations: str) -> Right:
    return Right(ResourceType.GROUP, prefix, operations, prefix=True)


# Every stage lists the topics, asks the broker for the time, and checks whether the topics are
# growing.
TIME = _topic(CLOCK, "Create", "Write")
STAGE = (_topics("rpm.", "Describe"), _topic(GROWTH, "Read"), TIME)
AGENT_STATE = ("Create", "Describe", "Read", "Write")

RIGHTS: dict[Role, tuple[Right, ...]] = {
    Role.INGEST: (
        *STAGE,
        _topic(FRAMES, "Read"),
        _topic(ACTIONS, "Read"),
        _topic(REGISTRY, "Read"),
        _topic(READINGS, "Write"),
        _topic(REJECTS, "Write"),
        _topic(ACCOUNTS, "Write"),
        _topic(STATE_INGEST, *AGENT_STATE),
        _group(GROUP_INGEST, "Read"),
    ),
    Role.JUDGE: (
        *STAGE,
        _topic(READINGS, "Read"),
        _topic(REGISTRY, "Read"),
        _topic(SCORES, "Write"),
        _topic(ALERTS, "Write"),
        _topic(OBSERVATIONS, "Write"),
        _topic(REJECTS, "Write"),
        _topic(STATE_JUDGE, *AGENT_STATE),
        _group(GROUP_JUDGE, "Read"),
        _group(GROUP_INGEST, "Describe"),  # a tick waits until ingest has caught up
    ),
    Role.SINK: (
        *STAGE,
        _topic(REGISTRY, "Read"),
        _topic(OBSERVATIONS, "Read"),
        _group(GROUP_SINK, "Read"),
    ),
    Role.FEED: (
        *STAGE,
        _topic(CLOCK, "Read"),
        _topic(ALERTS, "Read"),
        _topic(READINGS, "Read"),
        _topic(REGISTRY, "Read"),
        _topic(ACTIONS, "Write"),
        # The feed watches the retention, for which it reads the age of the oldest unread record.
        _topic(FRAMES, "Read"),
        _topic(ACTIONS, "Read"),
        _topic(OBSERVATIONS, "Read"),
        _topics("rpm.", "DescribeConfigs"),
        _groups("rpm-", "Describe"),
    ),
    Role.RECONCILE: (
        TIME,
        _topics("rpm.", "Read"),
        _groups("rpm-", "Describe"),
    ),
    Role.OPERATOR: (
        _topics("rpm.", *OPERATIONS),
        _topics("rpm-", *OPERATIONS),
        _groups("rpm-", "Describe", "Read"),
        Right(ResourceType.CLUSTER, CLUSTER, ("Describe",)),
    ),
    Role.GATEWAY: (
        _topic(FRAMES, "Write"),
        _topic(REJECTS, "Read"),
        _groups(GATEWAY_GROUPS, "Read"),
    ),
}


def rights_of(role: Role, user: str) -> tuple[Right, ...]:
    """Return the rights of a user of ``role``.

    A gateway with a user of its own commits only under its own consumer group. The user has the
    gateway's id.

    >>> rights_of(Role.GATEWAY, "gw-17")[-1].name
    'rpm-gateway-gw-17'
    """
    if role is Role.GATEWAY and user != Role.GATEWAY:
        return (*RIGHTS[role][:-1], _group(f"{GATEWAY_GROUPS}{user}", "Read"))
    return RIGHTS[role]
