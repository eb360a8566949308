"""Kafka clients: in one wording what keeps them out, and closed whatever happens."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Self
from uuid import uuid4

import pytest
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError

from rpm_stream.app.broker.broker import Broker
from rpm_stream.app.feed.consumer import follow_alerts
from rpm_stream.app.feed.machines import Machines
from rpm_stream.app.feed.progress import Watcher
from rpm_stream.app.feed.read_model import FeedState
from rpm_stream.app.kafka import clients, growth_journal, retention, topics
from rpm_stream.app.kafka.clients import admin, answering, consumer, producer
from rpm_stream.app.kafka.growth_journal import Growth
from rpm_stream.app.kafka.layout import layout_of, watch_counts
from rpm_stream.app.kafka.names import ALERTS
from rpm_stream.app.kafka.preflight import partition_counts
from rpm_stream.app.kafka.range_reader import ends, reaching
from rpm_stream.app.kafka.state_topic import make_topic
from rpm_stream.app.operate.compare_replay import publish
from rpm_stream.app.operate.growth.groups_and_copies import commit, copying
from rpm_stream.app.registry.reader import RegistryReader
from rpm_stream.app.registry.topic import read, write
from rpm_stream.app.runtime.clock import wall
from rpm_stream.app.runtime.errors import BrokerAway, UsageError
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.app.simulator.replay import check_broker

NOWHERE = "127.0.0.1:9"  # nothing listens there
AWAY = r"^no Kafka answers at 127\.0\.0\.1:9 \(KafkaConnectionError\): start one .*--bootstrap"


Make = Callable[[str], AbstractAsyncContextManager[Any]]
MAKERS: tuple[Make, ...] = (consumer, producer, admin)


async def entered(context: AbstractAsyncContextManager[Any]) -> None:
    async with context:
        pass


# Every way into Kafka that one may come to first.
DOORS: dict[str, Callable[[str], Awaitable[Any]]] = {
    "consumer": lambda at: entered(consumer(at)),
    "consumer of a topic": lambda at: entered(consumer(at, "topic")),
    "member of a group": lambda at: entered(consumer(at, group_id="group")),
    "producer": lambda at: entered(producer(at)),
    "admin": lambda at: entered(admin(at)),
    "preflight": partition_counts,
    "layout": layout_of,
    "reading a stretch": lambda at: entered(reaching(at)),
    "topics": topics.check,
    "making a topic": lambda at: make_topic(Settings(bootstrap=at), "topic", 1, {}),
    "the journal": growth_journal.last_growth,
    "writing the journal": lambda at: growth_journal.write(at, Growth(partitions=2, was={}), 1),
    "committing": lambda at: commit(at, "group", "topic", {0: 1}),
    "copying": lambda at: entered(copying(at, set())),
    "correcting": lambda at: publish(at, iter([("patient", b"{}")])),
    "following the registry": lambda at: RegistryReader(at).run(),
    "reading the registry": read,
    "writing the registry": lambda at: write(at, ()),
    "simulating": check_broker,
}


@pytest.mark.parametrize("door", DOORS)
def test_whoever_finds_no_broker_is_told_the_same(door: str) -> None:
    with pytest.raises(BrokerAway, match=AWAY):
        asyncio.run(DOORS[door](NOWHERE))  # type: ignore[arg-type]


@pytest.mark.parametrize("door", DOORS)
def test_what_is_no_address_is_called_so(door: str) -> None:
    with pytest.raises(UsageError, match=r"^not a Kafka address, .*: 127\.0\.0\.1:kafka$"):
        asyncio.run(DOORS[door]("127.0.0.1:kafka"))  # type: ignore[arg-type]


# ApiVersions v0, the answer: of each call that a client needs at first, versions 0 and 1
CALLS = tuple(range(20))
VERSIONS = struct.pack(
    f">hi{3 * len(CALLS)}h", 0, len(CALLS), *(part for call in CALLS for part in (call, 0, 1))
)


class Silent:
    """A listener that takes connections and answers no request, or with ``greets`` only the first;
    counts the connections that are open.
    """

    def __init__(self, greets: bool = False) -> None:
        self._greets = greets
        self.open = 0
        self.taken = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._hold, "127.0.0.1", 0)
        self.bootstrap = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        if self._greets:
            request = await reader.readexactly(struct.unpack(">i", await reader.readexactly(4))[0])
            answer = request[4:8] + VERSIONS
            writer.write(struct.pack(">i", len(answer)) + answer)
            await reader.readexactly(4)  # the next one has come
        self.taken.set()
        while await reader.read(1024):
            pass
        self.open -= 1
        writer.close()


# These try again by themselves: nobody is told.
PATIENT: dict[str, Callable[[str], Awaitable[Any]]] = {
    "feed": lambda at: follow_alerts(at, ALERTS, FeedState(), wall),
    "progress": lambda at: Watcher(at, {"group": ("topic",)}, wall).run(lambda: None),
    "clocks": lambda at: Machines(wall).follow(at),
    "retention": lambda at: retention.watch(at, [("group", "topic")]),
    "partitions": lambda at: watch_counts(at, "stage", {}),
}


@pytest.mark.parametrize("greets", [False, True])
@pytest.mark.parametrize("door", DOORS | PATIENT)
def test_who_is_cancelled_while_starting_leaves_nothing_open(door: str, greets: bool) -> None:
    """A stage may be ended before its broker has answered, or when it was asked for the others."""

    async def story() -> None:
        async with Silent(greets) as kafka:
            task = asyncio.ensure_future((DOORS | PATIENT)[door](kafka.bootstrap))
            await asyncio.wait_for(kafka.taken.wait(), 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as raised:
                await task
            async with asyncio.timeout(10):
                while kafka.open:
                    await asyncio.sleep(0.01)
            assert raised.tb  # as long as it is held, the garbage collector closes nothing

    asyncio.run(story())


@pytest.mark.parametrize("door", PATIENT)
def test_who_tries_again_goes_on(door: str) -> None:
    """A broker that is away ends none of them."""

    async def story() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await PATIENT[door](NOWHERE)

    asyncio.run(story())


def test_a_broker_that_listens_and_says_nothing_is_told_apart() -> None:
    async def story() -> None:
        async with Silent() as kafka:
            with pytest.raises(BrokerAway, match=f"^Kafka at {kafka.bootstrap}: it listens and"):
                await entered(admin(kafka.bootstrap, request_timeout_ms=200))

    asyncio.run(story())


class Client:
    """A client that ends with ``fault`` while it starts, or without one never has started."""

    fault: ClassVar[BaseException | None] = None
    closed: ClassVar[int] = 0
    _sender: ClassVar[Any] = SimpleNamespace(sender_task=None)

    def __init__(self, *_: Any, **__: Any) -> None:
        self.client = self

    async def start(self) -> None:
        if self.fault is not None:
            raise self.fault
        await asyncio.Event().wait()

    async def stop(self) -> None:
        Client.closed += 1

    close = stop


@pytest.fixture
def doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIOKafkaConsumer", "AIOKafkaProducer", "AIOKafkaAdminClient"):
        monkeypatch.setattr(clients, name, Client)
    monkeypatch.setattr(Client, "closed", 0)


@pytest.mark.usefixtures("doubles")
@pytest.mark.parametrize("make", MAKERS)
def test_a_client_that_is_cancelled_while_it_starts_is_closed(make: Make) -> None:
    async def story() -> None:
        task = asyncio.create_task(entered(make(NOWHERE)))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(story())
    assert Client.closed == 1


@pytest.mark.parametrize(
    ("fault", "kind", "line"),
    [
        (KafkaConnectionError(), BrokerAway, r"^no Kafka answers at 127\.0\.0\.1:9 "),
        (asyncio.CancelledError(), BrokerAway, r"^no Kafka answers at 127\.0\.0\.1:9 "),
        (OSError(), BrokerAway, r"^no Kafka answers at 127\.0\.0\.1:9 "),
        (
            TopicAuthorizationFailedError("rpm.x"),
            UsageError,
            "^Kafka does not let .* look at rpm.x",
        ),
        (ValueError(), UsageError, "^not a Kafka address"),
    ],
)
@pytest.mark.usefixtures("doubles")
@pytest.mark.parametrize("make", MAKERS)
def test_what_keeps_a_client_from_starting_is_one_line(
    make: Make,
    fault: BaseException,
    kind: type[UsageError],
    line: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also a cancellation that nobody asked for: the client gave its connection up."""
    monkeypatch.setattr(Client, "fault", fault)
    with pytest.raises(UsageError, match=line) as raised:
        asyncio.run(entered(make(NOWHERE)))
    assert type(raised.value) is kind and "\n" not in str(raised.value)
    assert Client.closed == 1


@pytest.mark.parametrize(
    ("fault", "kind", "line"),
    [
        (KafkaConnectionError(), BrokerAway, "does not answer any more .KafkaConnectionError."),
        (TimeoutError(), BrokerAway, "does not answer any more .TimeoutError.: run it again"),
        (asyncio.CancelledError(), BrokerAway, "does not answer any more .CancelledError."),
        (TopicAuthorizationFailedError("rpm.x"), UsageError, "look at rpm.x"),
    ],
)
def test_what_comes_later_is_one_line_too(
    fault: BaseException, kind: type[UsageError], line: str
) -> None:
    async def story() -> None:
        async with answering(NOWHERE):
            raise fault

    with pytest.raises(UsageError, match=line) as raised:
        asyncio.run(story())
    assert type(raised.value) is kind


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["member", "producer", "admin"])
async def test_no_work_is_left_of_a_client_wherever_its_start_is_cancelled(
    kind: str, kafka: str
) -> None:
    """Of a real broker: at moments from the first contact until all is started."""
    topic = f"started-{uuid4()}"
    await make_topic(Settings(bootstrap=kafka), topic, 1, {})
    make: Make = {
        "member": lambda at: consumer(at, topic, group_id=topic),
        "producer": producer,
        "admin": admin,
    }[kind]
    before = asyncio.all_tasks()
    for step in range(40):
        task = asyncio.create_task(entered(make(kafka)))
        await asyncio.wait({task}, timeout=step * 0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        end = asyncio.get_running_loop().time() + 10
        while left := asyncio.all_tasks() - before:
            assert asyncio.get_running_loop().time() < end, left
            await asyncio.sleep(0.01)


@pytest.mark.asyncio
async def test_a_broker_that_goes_away_while_something_is_sent_ends_the_producer(
    tmp_path: Path,
) -> None:
    """Whoever gave up waiting is not made to wait for ever: an idempotent producer never gives up
    what it was given.
    """
    topic = f"sent-{uuid4()}"
    with Broker(tmp_path, port=0) as broker:
        await make_topic(Settings(bootstrap=broker.bootstrap), topic, 1, {})
        async with asyncio.timeout(30):
            with pytest.raises(TimeoutError):
                async with producer(broker.bootstrap) as writer:
                    await writer.send_and_wait(topic, b"first")
                    broker.kill()
                    await asyncio.wait_for(writer.send_and_wait(topic, b"second"), 1)


@pytest.mark.asyncio
async def test_all_is_sent_when_the_block_ends(kafka: str) -> None:
    topic = f"sent-{uuid4()}"
    await make_topic(Settings(bootstrap=kafka), topic, 1, {})
    async with producer(kafka, linger_ms=500) as writer:
        for number in range(20):
            await writer.send(topic, b"%d" % number)
    async with reaching(kafka) as broker:
        [(place, end)] = (await ends(broker, topic)).items()
        assert (place.topic, end) == (topic, 20)
