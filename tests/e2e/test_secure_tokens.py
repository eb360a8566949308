"""A real broker that takes OAUTHBEARER tokens, checks them by the issuer's key set, and ends a
session with its token.

aiokafka signs in when it connects, and not again. So the broker closes the connection with the
first request after the token's end, before it does that request. The client sends it again on a new
connection with a new token.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer
from support.fhir_server import FhirServer
from support.kafka.secure_broker import STAGES, Stages, World, started, working
from support.kafka.tokens import AUDIENCE, ISSUER, Issuer

from rpm_stream.app.broker import config as broker_config
from rpm_stream.app.gateway import Gateway
from rpm_stream.app.gateway.link import GatewayOptions
from rpm_stream.app.kafka import clients, names
from rpm_stream.app.kafka.security import security
from rpm_stream.app.runtime.end import EXIT_AWAY
from rpm_stream.records import Account, Measurement

OAUTH = "org.apache.kafka.common.security.oauthbearer.OAuthBearer"
VALIDATOR = "org.apache.kafka.common.security.oauthbearer.BrokerJwtValidator"
REAUTHENTICATE_MS = 600_000  # longer than a token of these tests: a session ends with its token
# Life of a token, in seconds. The first is longer than a start: Faust ends when it loses a
# connection while it starts, and is then started again.
FIRST = 15.0
SHORT = 4.0
SECONDS = FIRST + 4 * SHORT
# How long the endpoint is away: until every token has ended. Much longer, and a stage loses its
# place in its group (10 s) and ends, as when a broker is away.
AWAY = SHORT + 0.5
EVERY = 0.1
GATEWAY = "gw-17"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer() as made:
        yield made


@pytest.fixture(scope="module")
def world(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("tokens")
    issuer.users = folder / "kafka" / "secure" / "users"
    secure = {
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,OAUTHBEARER",
        # The default of Kafka 4.1.0 and 4.1.1 checks neither signature nor audience nor issuer
        # (CVE-2026-33557).
        "sasl.oauthbearer.jwt.validator.class": VALIDATOR,
        "sasl.oauthbearer.jwks.endpoint.url": issuer.keys,
        "sasl.oauthbearer.expected.audience": AUDIENCE,
        "sasl.oauthbearer.expected.issuer": ISSUER,
    }
    listener = {
        "oauthbearer.sasl.jaas.config": f"{OAUTH}LoginModule required;",
        "oauthbearer.sasl.server.callback.handler.class": f"{OAUTH}ValidatorCallbackHandler",
        "oauthbearer.connections.max.reauth.ms": str(REAUTHENTICATE_MS),
    }
    allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={issuer.keys}"
    by_token = {"RPM_KAFKA_MECHANISM": "OAUTHBEARER", "RPM_KAFKA_TOKEN_URL": issuer.tokens}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(broker_config, "SECURITY", broker_config.SECURITY | secure)
        patch.setattr(broker_config, "LISTENER_SASL", broker_config.LISTENER_SASL | listener)
        patch.setattr(broker_config, "QUIET", (*broker_config.QUIET, allowed))
        yield from started(folder, by_token)


@pytest.fixture(autouse=True)
def as_before(issuer: Issuer) -> Iterator[None]:
    yield
    issuer.reset()


REFUSALS = {
    "wrong audience": "it refuses our token (invalid_token): the token's audience",
    "foreign key": "it refuses our token (invalid_token): the token's audience",
    "wrong secret": "the token endpoint says 401: look at RPM_KAFKA_USER and its password",
    "endpoint away": "the token endpoint gives no token (ConnectError): look at RPM_KAFKA_TOKEN",
}


@pytest.mark.parametrize(("why", "line"), REFUSALS.items(), ids=REFUSALS)
def test_a_command_that_is_refused_ends_with_one_line(
    world: World, issuer: Issuer, why: str, line: str
) -> None:
    other: dict[str, str] = {}
    if why == "wrong audience":
        issuer.audience = "billing"
    elif why == "foreign key":
        issuer.sign_with_foreign_key()
    elif why == "wrong secret":
        guessed = world.folder / "guessed"
        guessed.write_text("guessed")
        other = {"RPM_KAFKA_PASSWORD_FILE": str(guessed)}
    else:
        issuer.stop()
    ran = world.command("operator", "topics", "apply", **other)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert re.fullmatch(r"rpm-stream: [^\n]+\n", ran.stderr), ran.stderr
    assert line in ran.stderr


def test_a_stage_without_a_token_endpoint_is_started_again(world: World, issuer: Issuer) -> None:
    """It ends as without a broker, for which the worker starts it again."""
    issuer.stop()
    ran = world.command("ingest", "stage", "ingest")
    assert (ran.returncode, ran.stdout) == (EXIT_AWAY, "")
    assert re.fullmatch(
        r"rpm-stream: [^\n]+ the token endpoint gives no token [^\n]+\n", ran.stderr
    )


@pytest.mark.asyncio
@pytest.mark.heavy
async def test_work_goes_on_over_the_ends_of_tokens(
    world: World, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every stage, the gateway and a consumer work through several tokens. Then the endpoint is
    away until the last token has ended. No frame is lost or doubled, and no stage ends.
    """
    world.prepare()
    issuer.life = FIRST
    async with working(world) as (stages, feed, fhir):
        become(world, "operator", monkeypatch)
        async with clients.consumer(world.broker.bootstrap, names.ACCOUNTS) as accounts:
            become(world, GATEWAY, monkeypatch)
            await stages.until("the feed answers", lambda: answers(feed))
            issuer.life = SHORT
            away = asyncio.create_task(leave(issuer))
            sent = await send(world)
            await away
            frames = await read(accounts, stages, len(sent))
        await stages.until("all that was sent is out", lambda: is_out(feed, fhir))
        stages.all_run()
    assert Counter(frames) == Counter(sent)
    tokens = Counter(issuer.given)  # a client asks for one when it connects
    assert {each: tokens[each] for each in (*STAGES, GATEWAY) if tokens[each] < 3} == {}
    books = world.command("reconcile", "reconcile")
    assert books.returncode == 0, books.stdout + books.stderr


async def leave(issuer: Issuer) -> None:
    await asyncio.sleep(SECONDS - 2 * SHORT)
    issuer.stop()
    await asyncio.sleep(AWAY)
    issuer.start()


def become(world: World, user: str, patch: pytest.MonkeyPatch) -> None:
    """Let clients of this process be the user."""
    for name, value in world.settings(user).items():
        patch.setenv(name, value)


async def send(world: World) -> list[str]:
    """Send frames for SECONDS, the last of them red. Return the names of all."""
    options = GatewayOptions(kafka=security().arguments())
    sent = []
    end = time.monotonic() + SECONDS
    async with Gateway(
        world.broker.bootstrap, GATEWAY, spool_dir=world.folder / "spool", options=options
    ) as gateway:
        while (left := end - time.monotonic()) > 0:
            value = "97" if left > EVERY else "79"
            measured = Measurement(
                at=datetime.now(UTC), vital="oxygen_saturation", value=value, unit="%"
            )
            sent += await gateway.send("dev-1", measurements=[measured])
            await asyncio.sleep(EVERY)
        assert await gateway.drain(60)
    return sent


async def read(accounts: AIOKafkaConsumer, stages: Stages, count: int) -> list[str]:
    """Return the frame of each account, until there are as many as frames and no more come."""
    found: list[str] = []

    async def is_quiet() -> bool:
        fetched = await accounts.getmany(timeout_ms=1_000)
        found.extend(
            msgspec.json.decode(record.value, type=Account).frame or ""
            for records in fetched.values()
            for record in records
        )
        return len(found) >= count and not fetched

    await stages.until("every frame has an account", is_quiet)
    return found


async def answers(feed: httpx.AsyncClient) -> bool:
    try:
        return (await feed.get("/healthz")).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


async def is_out(feed: httpx.AsyncClient, fhir: FhirServer) -> bool:
    """Whether the red value, which was sent last, is in the feed and at the FHIR server."""
    alerts = (await feed.get("/api/alerts")).json()["alerts"]
    return bool(alerts) and any(
        '"value": 79' in json.dumps(each) for each in fhir.versions.values()
    )
