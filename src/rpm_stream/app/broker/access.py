"""Sets the users and rights of a secure broker, as SCRAM passwords and ACLs of the table of roles.

aiokafka's admin client has no call for either, so the requests are built here. The administrator
signs in with the broker's own certificate. A SCRAM password never leaves this process, because the
broker gets the salted one.
"""

from __future__ import annotations

import hashlib
import secrets
import ssl
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from rpm_stream.app.broker.keys import Folder
from rpm_stream.app.kafka.access import ResourceType, Role, rights_of
from rpm_stream.app.kafka.clients import admin, answering
from rpm_stream.app.kafka.security import Security
from rpm_stream.app.runtime.errors import UsageError

REQUEST_TIMEOUT_MS = 30_000
SCRAM_SHA_512 = 2
# the password is 32 random bytes; more rounds would only slow down each connection
ITERATIONS = 4096
RESOURCES = {ResourceType.TOPIC: 2, ResourceType.GROUP: 3, ResourceType.CLUSTER: 4}
OPERATIONS = {
    "Read": 3,
    "Write": 4,
    "Create": 5,
    "Delete": 6,
    "Alter": 7,
    "Describe": 8,
    "DescribeConfigs": 10,
    "AlterConfigs": 11,
}
ANY = 1
ALLOW = 3
LITERAL = 3
PREFIXED = 4


class AccessRule(NamedTuple):
    """One ACL with Kafka's numbers."""

    resource: int
    name: str
    pattern: int
    principal: str
    host: str
    operation: int
    permission: int


class UpsertResponse(Response):  # type: ignore[misc]
    """The response of AlterUserScramCredentials v0."""

    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString("utf-8")),
                ("error_code", Int16),
                ("error_message", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class UpsertStruct(RequestStruct):  # type: ignore[misc]
    """The request of AlterUserScramCredentials v0."""

    API_KEY = 51
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = UpsertResponse
    SCHEMA = Schema(
        (
            "deletions",
            CompactArray(
                ("name", CompactString("utf-8")), ("mechanism", Int8), ("tags", TaggedFields)
            ),
        ),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class Upsert(Request[UpsertStruct]):  # type: ignore[misc]
    """Sets the passwords of ``users`` (name to password), and deletes those of ``gone``."""

    API_KEY: ClassVar[int] = 51

    def __init__(self, users: Mapping[str, str], gone: Sequence[str] = ()) -> None:
        self._users = users
        self._gone = gone

    def build(self, request_struct_class: type[UpsertStruct]) -> UpsertStruct:
        """Return the request, with a fresh salt for each user."""
        rows: list[tuple[object, ...]] = []
        for name, password in self._users.items():
            salt = secrets.token_bytes(32)
            salted = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
            rows.append((name, SCRAM_SHA_512, ITERATIONS, salt, salted, {}))
        return request_struct_class([(name, SCRAM_SHA_512, {}) for name in self._gone], rows, {})


def admin_context(folder: Folder) -> ssl.SSLContext:
    """Return a TLS context with the broker's own certificate.

    Raises UsageError where its files are missing.
    """
    try:
        context = ssl.create_default_context(cafile=str(folder.authority))
        context.load_cert_chain(folder.broker / "broker.pem", folder.broker / "broker.key")
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"{folder.root} holds no keys of a secure broker: rpm-stream broker keys makes them"
        ) from error
    return context


async def apply(bootstrap: str, folder: Folder, users: Mapping[str, tuple[Role, str]]) -> None:
    """Set the password of each user, and exactly the rights of its role.

    ``users`` maps the name to role and password. ``bootstrap`` is the listener that accepts
    certificates. Raises BrokerAway, and UsageError where the broker refuses.
    """
    async with answering(bootstrap), _admin(bootstrap, folder) as client:
        await _send_passwords(
            client, Upsert({name: password for name, (_, password) in users.items()})
        )
        wanted = {rule for name, (role, _) in users.items() for rule in rules_of(role, name)}
        found = await _found(client, {_principal(name) for name in users})
        for rule in sorted(wanted - found):
            answer = await client._send_request(CreateAclsRequest(*rule))
            [(code, message)] = answer.creation_responses
            _raise_for(code, message)
        for rule in sorted(found - wanted):
            answer = await client._send_request(DeleteAclsRequest(*rule))
            _raise_for(answer.filter_responses[0][0], answer.filter_responses[0][1])


async def remove(bootstrap: str, folder: Folder, name: str) -> None:
    """Remove password and rights of a user. Raises as ``apply``."""
    async with answering(bootstrap), _admin(bootstrap, folder) as client:
        await _send_passwords(client, Upsert({}, [name]))
        for rule in sorted(await _found(client, {_principal(name)})):
            answer = await client._send_request(DeleteAclsRequest(*rule))
            _raise_for(answer.filter_responses[0][0], answer.filter_responses[0][1])


def rules_of(role: Role, user: str) -> set[AccessRule]:
    """Return the ACLs of a user."""
    return {
        AccessRule(
            RESOURCES[right.kind],
            right.name,
            PREFIXED if right.prefix else LITERAL,
            _principal(user),
            "*",
            OPERATIONS[operation],
            ALLOW,
        )
        for right in rights_of(role, user)
        for operation in right.operations
    }


def _principal(user: str) -> str:
    return f"User:{user}"


async def _send_passwords(client: AIOKafkaAdminClient, request: Upsert) -> None:
    answer = await client._send_request(request)
    for _user, code, message, _tags in answer.results:
        _raise_for(code, message)


async def _found(client: AIOKafkaAdminClient, principals: set[str]) -> set[AccessRule]:
    answer = await client._send_request(DescribeAclsRequest(ANY, None, ANY, None, None, ANY, ANY))
    _raise_for(answer.error_code, answer.error_message)
    return {
        AccessRule(resource, name, pattern, *row)
        for resource, name, pattern, rows in answer.resources
        for row in rows
        if row[0] in principals
    }


def _raise_for(code: int, message: str | None) -> None:
    if code:
        kind: Any = for_code(code)
        raise UsageError(
            f"Kafka refused to set users and rights: {kind.__name__}: {message or 'no message'}"
        )


def _admin(bootstrap: str, folder: Folder) -> AbstractAsyncContextManager[AIOKafkaAdminClient]:
    return admin(bootstrap, REQUEST_TIMEOUT_MS, Security("SSL", admin_context(folder)))
