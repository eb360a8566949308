"""A real broker with TLS, passwords and rights: every stage works with its own user, and nobody can
do more.

The broker writes each refusal into its log. No stage may meet one: so the table of roles is
complete. Every right of the table is used or named here with its reason: so it is no larger than
the work.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from support.kafka.secure_broker import STAGES, World, started, working

from rpm_stream.app.broker import config as broker_config
from rpm_stream.app.broker import keys as broker_keys
from rpm_stream.app.broker.keys import Folder
from rpm_stream.app.gateway import Gateway
from rpm_stream.app.gateway.link import GatewayOptions
from rpm_stream.app.kafka import clients, names
from rpm_stream.app.kafka.access import CLOCK, Right, Role, rights_of
from rpm_stream.records import Measurement

# Rights that a run without a mishap does not use.
FOR_LATER = {
    ("judge", "Write", names.REJECTS): "a defect in a pure step is a reject",
    ("feed", "Read", names.ACTIONS): "how old the oldest unread decision is",
    ("feed", "Read", names.OBSERVATIONS): "how old the oldest undelivered Observation is",
    ("feed", "Read", names.FRAMES): "how old the oldest unread frame is",
    ("feed", "Read", names.READINGS): "how old the oldest unjudged reading is",
    **{(stage, "Create", CLOCK): "the stage that starts first makes the topic" for stage in STAGES},
    ("reconcile", "Create", CLOCK): "as a stage",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("secure")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(broker_config, "DENIALS", broker_config.DENIALS.replace("info", "debug"))
        yield from started(folder)


async def reds(feed: httpx.AsyncClient) -> list[dict[str, Any]]:
    """The alerts of the feed, as far as it answers."""
    try:
        answer = await feed.get("/api/alerts")
    except httpx.TransportError:
        return []
    return answer.json()["alerts"] if answer.status_code == 200 else []


@pytest.mark.asyncio
async def test_every_stage_and_command_works_with_its_own_user(world: World) -> None:
    """A frame becomes an alert in the feed and an Observation at the sink, a decision comes
    back, the books balance.
    """
    world.prepare()
    async with working(world) as (stages, feed, fhir):
        await send_and_be_refused(world)

        async def alerted() -> bool:
            return bool(await reds(feed))

        async def published() -> bool:
            return any(key.startswith("Observation/") for key in fhir.versions)

        async def acknowledged() -> bool:
            return [each["row"]["state"] for each in await reds(feed)] == ["acknowledged"]

        await stages.until("the alert is in the feed", alerted)
        await stages.until("an Observation is at the FHIR server", published)
        [view] = await reds(feed)
        answer = await feed.post(
            f"/api/alerts/{view['row']['id']}/acknowledge", json={"who": "nurse"}
        )
        assert answer.status_code == 202, answer.text
        await stages.until("the decision came back", acknowledged)
        world.worked("operator", "registry", "assign", "dev-2", "pat-1")
        commands(world)
    refused = {each for each in world.noted("Denied") if each[0] in set(Role)}
    assert refused == set()


async def send_and_be_refused(world: World) -> None:
    """The gateway's client sends a red value and one of a device that nobody wears, and reads
    what was refused.
    """
    arguments = world.client("gw-17")
    bootstrap = arguments.pop("bootstrap_servers")
    options = GatewayOptions(kafka=arguments)
    async with Gateway(
        bootstrap, "gw-17", spool_dir=world.folder / "spool", options=options
    ) as gateway:
        red = Measurement(at=datetime.now(UTC), vital="oxygen_saturation", value="79", unit="%")
        await gateway.send("dev-1", measurements=[red])
        await gateway.send("dev-2", measurements=[red])
        assert await gateway.drain(30)
        async with asyncio.timeout(60):
            reject = await anext(gateway.rejects())
        assert reject.reason == "unknown_device"


def commands(world: World) -> None:
    """What an operator runs on a day."""
    assert world.worked("operator", "topics", "check", "--partitions", "2") == ""
    world.worked("operator", "registry", "show")
    world.worked("operator", "rejects", "list")
    world.worked(
        "operator", "rejects", "redrive", "--reason", "unknown_device", "--device", "dev-2"
    )
    world.worked("operator", "state", "check")
    world.worked("operator", "replay", "--from-kafka")
    world.worked("reconcile", "gateways")
    world.worked("reconcile", "reconcile")


@pytest.mark.asyncio
async def test_the_topics_grow_and_every_stage_may_see_it(world: World) -> None:
    world.worked("operator", "topics", "grow", "--partitions", "3")
    for stage in STAGES:
        assert await may_read(names.GROWTH, world.client(stage)), stage
        assert not await may_write(names.GROWTH, world.client(stage)), stage


def test_no_right_is_more_than_the_work_needs(world: World) -> None:
    """Every right of a stage was used above, or says at the top what it is for."""
    allowed = world.noted("Allowed")
    unused = {
        (role.value, operation, right.name)
        for role in Role
        if role not in (Role.OPERATOR, Role.GATEWAY)
        for right in rights_of(role, role)
        for operation in right.operations
        if not any(uses(each, role, right, operation) for each in allowed)
    }
    assert unused - FOR_LATER.keys() == set()


def uses(noted: tuple[str, str, str], role: Role, right: Right, operation: str) -> bool:
    """Whether what the broker noted is this right's."""
    user, done, resource = noted
    kind, _, name = resource.split(":", 2)
    named = name.startswith(right.name) if right.prefix else name == right.name
    return (
        user == role
        and done == re.sub("(?<!^)([A-Z])", r"_\1", operation).upper()
        and named
        and kind == right.kind.title()
    )


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
    """Whether Kafka takes a record from this client.

    Not idempotent: so each topic is asked by itself.
    """
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
        world.client("gw-17")
        if signed_in_by == "password"
        else world.certified("gw-17", world.broker.secure.folder)
    )
    assert await may_write(names.FRAMES, gateway)
    assert await may_read(names.REJECTS, gateway)
    assert not await may_read(names.FRAMES, gateway)
    assert not await may_write(names.REJECTS, gateway)
    for topic in OTHERS:
        assert not await may_read(topic, gateway), topic
        assert not await may_write(topic, gateway), topic


@pytest.mark.asyncio
async def test_a_running_client_takes_a_renewed_certificate(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate of another user, written over that of a gateway, gives the other's rights to
    the next connection of the same client.
    """
    assert world.broker.secure is not None
    folder = world.broker.secure.folder
    place = world.folder / "renewed"
    place.mkdir()
    names_of = {"CA": folder.authority}
    for name, made in zip(
        ("CERTIFICATE", "KEY"), broker_keys.client_certificate(folder, "gw-17"), strict=True
    ):
        names_of[name] = Path(shutil.copy(made, place))
    monkeypatch.setenv("RPM_KAFKA_PROTOCOL", "SSL")
    for name, path in names_of.items():
        monkeypatch.setenv(f"RPM_KAFKA_{name}", str(path))
    bootstrap = world.broker.certificates_bootstrap or ""
    async with clients.producer(
        bootstrap, enable_idempotence=False, connections_max_idle_ms=500
    ) as producer:
        await producer.send_and_wait(names.FRAMES, b"{}", key=b"nobody")
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait(names.READINGS, b"{}", key=b"nobody")
        for made in broker_keys.client_certificate(folder, "ingest"):
            shutil.copy(made, place)
        await asyncio.sleep(2)  # the client closes its idle connection
        await producer.send_and_wait(names.READINGS, b"{}", key=b"nobody")


@pytest.mark.asyncio
async def test_one_gateway_cannot_commit_for_another(world: World) -> None:
    """It could else skip what was refused of the other."""
    consumer = AIOKafkaConsumer(
        names.REJECTS, group_id="rpm-gateway-gw-18", **world.client("gw-17")
    )
    with pytest.raises(KafkaError, match=r"(?i)authoriz"):
        await consumer.start()
    await consumer.stop()


@pytest.mark.asyncio
async def test_who_is_not_known_does_not_get_in(world: World) -> None:
    """In the clear, with a wrong password, with a certificate of a foreign authority: none is a
    client.
    """
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


REFUSALS = {
    "in the clear": "RPM_KAFKA_PROTOCOL is PLAINTEXT",
    "no settings": "it may want TLS or a user",
    "wrong password": "does not let the user operator in",
    "foreign authority": "certificate is not accepted",
    "unknown user": "does not let the user nobody in",
    "no right": "refused",
}


@pytest.mark.parametrize(("why", "line"), REFUSALS.items())
def test_a_command_that_is_refused_ends_with_one_line(world: World, why: str, line: str) -> None:
    foreign, guessed = Folder(world.folder / "foreign"), world.folder / "guessed"
    broker_keys.prepare(foreign, ("localhost",))
    guessed.write_text("guessed")
    other: dict[str, dict[str, str]] = {
        "in the clear": {"RPM_KAFKA_PROTOCOL": "PLAINTEXT"},
        "no settings": {"RPM_BOOTSTRAP": world.broker.bootstrap},
        "wrong password": {"RPM_KAFKA_PASSWORD_FILE": str(guessed)},
        "foreign authority": {"RPM_KAFKA_CA": str(foreign.authority)},
        "unknown user": {"RPM_KAFKA_USER": "nobody"},
        "no right": {},
    }
    user = {"no right": "gw-17", "no settings": None}.get(why, "operator")
    ran = world.command(user, "topics", "apply", **other[why])
    assert (ran.returncode, ran.stdout) == (2, "")
    assert re.fullmatch(r"rpm-stream: [^\n]+\n", ran.stderr), ran.stderr
    assert line in ran.stderr
    assert "guessed" not in ran.stderr.replace(str(guessed), "")


@pytest.mark.asyncio
async def test_users_rights_and_keys_outlive_a_restart(world: World) -> None:
    assert world.broker.secure is not None
    before = world.broker.secure.folder.authority.read_bytes(), world.settings("gw-17")
    world.broker.kill()
    world.broker.start()
    assert (world.broker.secure.folder.authority.read_bytes(), world.settings("gw-17")) == before
    assert await may_write(names.FRAMES, world.client("gw-17"))
    assert not await may_write(names.READINGS, world.client("gw-17"))
