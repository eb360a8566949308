"""The table of roles in the forms of other clusters.

The forms are commands of ``kafka-acls.sh`` and Strimzi's KafkaUser. A gateway's user gets a quota
too. Frames beyond it wait in the gateway's own spool and delay no other gateway.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

import yaml

from rpm_stream.app.kafka.access import ResourceType, Right, Role, rights_of

# Bytes a second on the wire. A day of 1 Hz is about 0.6 MB with lz4, 8 MB without.
GATEWAY_QUOTAS = {"producerByteRate": 32768, "consumerByteRate": 1048576, "requestPercentage": 10}


def commands(users: Mapping[str, Role], bootstrap: str) -> Iterator[str]:
    """Yield one ``kafka-acls.sh --add`` command for each right."""
    for user, role in users.items():
        for right in rights_of(role, user):
            words = [
                "kafka-acls.sh",
                "--bootstrap-server",
                bootstrap,
                "--add",
                "--allow-principal",
                f"User:{user}",
            ]
            for operation in right.operations:
                words += ["--operation", operation]
            yield shlex.join([*words, *_resource_words(right)])


def kafka_users(users: Mapping[str, Role], cluster: str) -> str:
    """Return Strimzi's KafkaUsers, a YAML document each.

    ``cluster`` is the name of the Kafka resource.
    """
    return "---\n".join(
        yaml.safe_dump(_kafka_user(user, role, cluster), sort_keys=False)
        for user, role in users.items()
    )


def _resource_words(right: Right) -> list[str]:
    if right.kind is ResourceType.CLUSTER:
        return ["--cluster"]
    pattern = "prefixed" if right.prefix else "literal"
    return [f"--{right.kind}", right.name, "--resource-pattern-type", pattern]


def _kafka_user(user: str, role: Role, cluster: str) -> dict[str, object]:
    spec: dict[str, object] = {
        "authentication": {"type": "scram-sha-512"},
        "authorization": {
            "type": "simple",
            "acls": [_acl(right) for right in rights_of(role, user)],
        },
    }
    if role is Role.GATEWAY:
        spec["quotas"] = dict(GATEWAY_QUOTAS)
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaUser",
        "metadata": {"name": user, "labels": {"strimzi.io/cluster": cluster}},
        "spec": spec,
    }


def _acl(right: Right) -> dict[str, object]:
    resource: dict[str, str] = {"type": right.kind.value}
    if right.kind is not ResourceType.CLUSTER:
        resource |= {"name": right.name, "patternType": "prefix" if right.prefix else "literal"}
    return {"resource": resource, "operations": list(right.operations)}
