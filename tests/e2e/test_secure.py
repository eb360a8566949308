"""A real broker with TLS, passwords and rights: every stage works with its own user, and nobody can do more.

The broker writes each refusal into its log. No stage may meet one: so the table of roles is complete. Every right of
the table is used or named here with its reason: so it is no larger than the work.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from rpm_stream.app import broker_keys, names
from rpm_stream.app.broker import Broker
from rpm_stream.app.broker_keys import Folder
from rpm_stream.app.topics import wanted

COMMAND_SECONDS = 90


@dataclass(frozen=True)
class World:
    """A secure broker, and how to be one of its users."""

    broker: Broker
    folder: Path

    def settings(self, user: str) -> dict[str, str]:
        """What stands in the user's own file."""
        assert self.broker.secure is not None
        text = (self.broker.secure.folder.user(user) / "kafka.env").read_text()
        return dict(line.split("=", 1) for line in text.splitlines())

    def command(
        self, user: str, *words: str, more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run ``rpm-stream`` as a user."""
        environment = {**os.environ, "RPM_DATA_DIR": str(self.folder), **self.settings(user), **(more or {})}
        return subprocess.run(
            [sys.executable, "-m", "rpm_stream", *words], env=environment, capture_output=True, text=True, check=False,
            timeout=COMMAND_SECONDS,
        )  # fmt: skip

    def client(self, user: str, password: str | None = None) -> dict[str, Any]:
        """aiokafka's own arguments for a user, without any code of ours."""
        settings = self.settings(user)
        return {
            "bootstrap_servers": settings["RPM_BOOTSTRAP"],
            "security_protocol": "SASL_SSL",
            "ssl_context": ssl.create_default_context(cafile=settings["RPM_KAFKA_CA"]),
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": user,
            "sasl_plain_password": password or Path(settings["RPM_KAFKA_PASSWORD_FILE"]).read_text().strip(),
        }

    def certified(self, user: str, folder: Folder) -> dict[str, Any]:
        """aiokafka's own arguments for a user with a certificate of ``folder``'s authority."""
        assert self.broker.secure is not None
        context = ssl.create_default_context(cafile=str(self.broker.secure.folder.authority))
        context.load_cert_chain(*broker_keys.client_certificate(folder, user))
        return {
            "bootstrap_servers": self.broker.certificates_bootstrap,
            "security_protocol": "SSL",
            "ssl_context": context,
        }

    def denied(self) -> list[tuple[str, str, str]]:
        """Principal, operation and resource of each refusal."""
        return re.findall(
            r"Principal = User:(\S+) is Denied operation = (\S+) from host = \S+ on resource = (\S+) ",
            self.broker.log.read_text(errors="replace"),
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("secure")
    with Broker(folder, port=0, secure=True) as broker:
        made = World(broker, folder)
        subprocess.run(
            [sys.executable, "-m", "rpm_stream", "broker", "user", "add", "gw-17", "--certificate"],
            env={**os.environ, "RPM_DATA_DIR": str(folder)}, check=True, capture_output=True,
        )  # fmt: skip
        asyncio.run(make_topics(made))
        yield made


async def make_topics(world: World) -> None:
    admin = AIOKafkaAdminClient(**world.client("operator"))
    await admin.start()
    await admin.create_topics([NewTopic(each.name, 2, 1, topic_configs=each.config) for each in wanted()])
    await admin.close()


async def may_read(topic: str, arguments: Mapping[str, Any]) -> bool:
    """Whether Kafka lets this client fetch from a topic."""
    consumer = AIOKafkaConsumer(topic, group_id=None, auto_offset_reset="earliest", **arguments)
    try:
        await consumer.start()
        await consumer.getmany(timeout_ms=500)
    except TopicAuthorizationFailedError:
        return False
    finally:
        await consumer.stop()
    return True


async def may_write(topic: str, arguments: Mapping[str, Any]) -> bool:
    """Whether Kafka takes a record from this client. Not idempotent: so each topic is asked by itself."""
    producer = AIOKafkaProducer(**arguments)
    await producer.start()
    try:
        await producer.send_and_wait(topic, b"{}", key=b"nobody")
    except TopicAuthorizationFailedError:
        return False
    finally:
        await producer.stop()
    return True


OTHERS = tuple(topic for topic in names.TOPICS if topic not in (names.FRAMES, names.REJECTS))


@pytest.mark.asyncio
@pytest.mark.parametrize("signed_in_by", ["password", "certificate"])
async def test_a_gateway_may_do_nothing_but_its_work(world: World, signed_in_by: str) -> None:
    assert world.broker.secure is not None
    gateway = (
        world.client("gw-17") if signed_in_by == "password" else world.certified("gw-17", world.broker.secure.folder)
    )
    assert await may_write(names.FRAMES, gateway)
    assert await may_read(names.REJECTS, gateway)
    assert not await may_read(names.FRAMES, gateway)
    assert not await may_write(names.REJECTS, gateway)
    for topic in OTHERS:
        assert not await may_read(topic, gateway), topic
        assert not await may_write(topic, gateway), topic


@pytest.mark.asyncio
async def test_one_gateway_cannot_commit_for_another(world: World) -> None:
    """It could else skip what was refused of the other."""
    consumer = AIOKafkaConsumer(names.REJECTS, group_id="rpm-gateway-gw-18", **world.client("gw-17"))
    with pytest.raises(KafkaError, match=r"(?i)authoriz"):
        await consumer.start()
    await consumer.stop()


@pytest.mark.asyncio
async def test_who_is_not_known_does_not_get_in(world: World) -> None:
    """In the clear, with a wrong password, with a certificate of a foreign authority: none is a client."""
    foreign = Folder(world.folder / "foreign")
    broker_keys.prepare(foreign, ("localhost",))
    plain = {"bootstrap_servers": world.broker.bootstrap}
    wrong = world.client("gw-17", password="guessed")
    forged = world.certified("broker", foreign)
    for arguments in (plain, wrong, forged):
        admin = AIOKafkaAdminClient(request_timeout_ms=5_000, **arguments)
        with pytest.raises(KafkaError):
            await admin.start()
        await admin.close()


@pytest.mark.asyncio
async def test_users_rights_and_keys_outlive_a_restart(world: World) -> None:
    assert world.broker.secure is not None
    before = world.broker.secure.folder.authority.read_bytes(), world.settings("gw-17")
    world.broker.kill()
    world.broker.start()
    assert (world.broker.secure.folder.authority.read_bytes(), world.settings("gw-17")) == before
    assert await may_write(names.FRAMES, world.client("gw-17"))
    assert not await may_write(names.READINGS, world.client("gw-17"))
