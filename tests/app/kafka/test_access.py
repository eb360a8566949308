"""The table of roles: nobody may do more on Kafka than the work asks for."""

from __future__ import annotations

import shlex
from itertools import pairwise
from typing import Any

import pytest
import yaml

from rpm_stream.app.broker.access import OPERATIONS, rules_of
from rpm_stream.app.kafka import broker_time, names, retention
from rpm_stream.app.kafka.access import CLOCK, RIGHTS, ResourceType, Right, Role, rights_of
from rpm_stream.app.kafka.acl_text import commands, kafka_users

STAGES = frozenset({Role.INGEST, Role.JUDGE, Role.SINK, Role.FEED})
WRITERS = {
    names.FRAMES: {Role.GATEWAY},
    names.READINGS: {Role.INGEST},
    names.SCORES: {Role.JUDGE},
    names.ALERTS: {Role.JUDGE},
    names.OBSERVATIONS: {Role.JUDGE},
    names.ACTIONS: {Role.FEED},
    names.REGISTRY: set(),  # the operator alone says who wears what
    names.ACCOUNTS: {Role.INGEST},
    names.REJECTS: {Role.INGEST, Role.JUDGE},
    names.STATE_INGEST: {Role.INGEST},
    names.STATE_JUDGE: {Role.JUDGE},
    names.GROWTH: set(),
    CLOCK: {*STAGES, Role.RECONCILE},
}


def may(role: Role, operation: str, kind: ResourceType, name: str, user: str | None = None) -> bool:
    """What Kafka's authorizer would say."""
    includes = {"Describe": {"Describe", "Read", "Write", "Delete", "Alter"}}.get(
        operation, {operation}
    )
    return any(
        right.kind is kind
        and (name.startswith(right.name) if right.prefix else name == right.name)
        and includes & set(right.operations)
        for right in rights_of(role, user or role)
    )


def test_every_role_has_rights() -> None:
    assert set(RIGHTS) == set(Role)
    assert CLOCK == broker_time.TOPIC


@pytest.mark.parametrize("topic", WRITERS)
def test_one_writer_a_topic(topic: str) -> None:
    """Whoever else could write alerts or readings could hide a red one, or invent it."""
    writers = {role for role in Role if may(role, "Write", ResourceType.TOPIC, topic)}
    assert writers == {*WRITERS[topic], Role.OPERATOR}


def test_every_topic_of_ours_has_its_writers_named() -> None:
    assert set(WRITERS) == {
        *names.TOPICS,
        names.STATE_INGEST,
        names.STATE_JUDGE,
        names.GROWTH,
        CLOCK,
    }


def test_the_feed_may_look_at_what_waits() -> None:
    """A refusal there would end the watch over what is about to be deleted unread."""
    for group, topic in retention.READ:
        assert may(Role.FEED, "Read", ResourceType.TOPIC, topic), topic
        assert may(Role.FEED, "DescribeConfigs", ResourceType.TOPIC, topic), topic
        assert may(Role.FEED, "Describe", ResourceType.GROUP, group), group


@pytest.mark.parametrize("user", ["gateway", "gw-17"])
def test_a_gateway_writes_frames_and_reads_rejects_and_nothing_else(user: str) -> None:
    operations = [name for name in OPERATIONS if name != "Describe"]
    allowed = {
        (topic, operation)
        for topic in WRITERS
        for operation in operations
        if may(Role.GATEWAY, operation, ResourceType.TOPIC, topic, user)
    }
    assert allowed == {(names.FRAMES, "Write"), (names.REJECTS, "Read")}


def test_a_gateway_with_a_user_of_its_own_reads_by_its_own_group() -> None:
    assert may(Role.GATEWAY, "Read", ResourceType.GROUP, "rpm-gateway-gw-17", "gw-17")
    for other in ("rpm-gateway-gw-18", "rpm-gateway-gw-171", "rpm-ingest"):
        assert not may(Role.GATEWAY, "Read", ResourceType.GROUP, other, "gw-17")
    assert not may(Role.GATEWAY, "Read", ResourceType.GROUP, "rpm-ingest", "gateway")


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.OPERATOR])
def test_none_but_the_operator_changes_topics_or_deletes(role: Role) -> None:
    """A stage makes its own state topic and the clock's, if they are missing; no more."""
    changes = {"Alter", "AlterConfigs", "Delete"}
    assert not any(changes & set(right.operations) for right in RIGHTS[role])
    created = {right.name for right in RIGHTS[role] if "Create" in right.operations}
    assert created <= {CLOCK, names.STATE_INGEST, names.STATE_JUDGE}


@pytest.mark.parametrize("role", Role)
def test_nobody_changes_users_or_the_cluster(role: Role) -> None:
    cluster = [right for right in RIGHTS[role] if right.kind is ResourceType.CLUSTER]
    assert all(right.operations == ("Describe",) for right in cluster)
    assert all(
        right.name.startswith(("rpm.", "rpm-"))
        for right in RIGHTS[role]
        if right.kind is not ResourceType.CLUSTER
    )


@pytest.mark.parametrize("role", Role)
def test_the_text_forms_say_what_the_table_says(role: Role) -> None:
    """The broker's rules, the commands and Strimzi's users name the same rights."""
    user = "gw-17" if role is Role.GATEWAY else role.value
    expected = {
        (right, operation) for right in rights_of(role, user) for operation in right.operations
    }
    assert {read_command(line, user) for line in commands({user: role}, "kafka:9092")} == set(
        rights_of(role, user)
    )
    [document] = yaml.safe_load_all(kafka_users({user: role}, "rpm"))
    assert document["metadata"] == {"name": user, "labels": {"strimzi.io/cluster": "rpm"}}
    assert {read_acl(acl) for acl in document["spec"]["authorization"]["acls"]} == set(
        rights_of(role, user)
    )
    assert len(rules_of(role, user)) == len(
        {(right.kind, right.name, right.prefix, one) for right, one in expected}
    )


def read_command(line: str, user: str) -> Right:
    words = shlex.split(line)
    assert words[:6] == [
        "kafka-acls.sh",
        "--bootstrap-server",
        "kafka:9092",
        "--add",
        "--allow-principal",
        f"User:{user}",
    ]
    pairs = list(pairwise(words))
    operations = tuple(value for option, value in pairs if option == "--operation")
    if "--cluster" in words:
        return Right(ResourceType.CLUSTER, "kafka-cluster", operations)
    [(kind, name)] = [
        (option, value) for option, value in pairs if option in ("--topic", "--group")
    ]
    return Right(ResourceType(kind[2:]), name, operations, words[-1] == "prefixed")


def read_acl(acl: dict[str, Any]) -> Right:
    resource = acl["resource"]
    if resource["type"] == "cluster":
        return Right(ResourceType.CLUSTER, "kafka-cluster", tuple(acl["operations"]))
    prefix = resource["patternType"] == "prefix"
    return Right(ResourceType(resource["type"]), resource["name"], tuple(acl["operations"]), prefix)
