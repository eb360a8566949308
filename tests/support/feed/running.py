"""A running feed for tests: its own process, a real broker and topics of its own.

Tests put records into the topics.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from rpm_stream.records import Action

T = TypeVar("T")
TOKEN = "a token with ümlaut; and more"
DRIVER = """
import asyncio, json, signal, sys
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.app.feed.consumer import Sources
from rpm_stream.app.feed.server import run

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings, sources = json.loads(sys.argv[1])
    await run(Settings(**settings), stop, Sources(**sources))

asyncio.run(main())
"""


def in_a_loop_of_its_own(work: Coroutine[Any, Any, T]) -> T:
    """Run it in a thread, because the browser's driver keeps a loop running in the test's own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@dataclass
class RunningFeed:
    """A feed's address and topics. ``log`` holds what it printed."""

    bootstrap: str
    base: str
    sources: dict[str, object]
    log: Path
    process: subprocess.Popen[bytes]

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """Return a client that has signed in."""
        with httpx.Client(base_url=self.base, timeout=20) as client:
            answer = client.post("/login", data={"token": TOKEN})
            assert answer.status_code == 303, answer.text
            yield client

    def put(self, topic: str, *records: tuple[str, msgspec.Struct | bytes]) -> None:
        """Produce (key, record) to one of the feed's topics: alerts, registry, readings."""
        in_a_loop_of_its_own(self._put(str(self.sources[topic]), records))

    async def _put(
        self, topic: str, records: tuple[tuple[str, msgspec.Struct | bytes], ...]
    ) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap)
        await producer.start()
        try:
            for key, record in records:
                value = record if isinstance(record, bytes) else msgspec.json.encode(record)
                await producer.send_and_wait(topic, value, key=key.encode())
        finally:
            await producer.stop()

    def actions(self) -> list[tuple[str, Action]]:
        """Return all actions that the feed has sent so far, with their keys."""
        return in_a_loop_of_its_own(self._actions())

    async def _actions(self) -> list[tuple[str, Action]]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False)
        await consumer.start()
        try:
            partitions = [
                TopicPartition(str(self.sources["actions"]), number) for number in range(2)
            ]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            ends = await consumer.end_offsets(partitions)
            found: list[tuple[str, Action]] = []
            while len(found) < sum(ends.values()):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found += [
                        (r.key.decode(), msgspec.json.decode(r.value, type=Action)) for r in records
                    ]
            return found
        finally:
            await consumer.stop()

    @contextmanager
    def worker(self) -> Iterator[None]:
        """Run live members of both agents' groups, which read and commit and do nothing else."""
        ending = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._work(ending)))
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()

    async def _work(self, ending: threading.Event) -> None:
        groups = self.sources["groups"]
        assert isinstance(groups, dict)
        consumers = [
            AIOKafkaConsumer(
                topic,
                bootstrap_servers=self.bootstrap,
                group_id=group,
                auto_offset_reset="earliest",
                auto_commit_interval_ms=200,
            )
            for group, topic in groups.items()
        ]
        for consumer in consumers:
            await consumer.start()
        while not ending.is_set():
            for consumer in consumers:
                await consumer.getmany(timeout_ms=100)
        for consumer in consumers:
            await consumer.stop()


@contextmanager
def running_feed(bootstrap: str, folder: Path, token: str | None = TOKEN) -> Iterator[RunningFeed]:
    """Run a feed on topics of its own, and end it with SIGTERM."""
    prefix = f"feed-{uuid4().hex[:8]}"
    sources: dict[str, object] = {
        n: f"{prefix}.{n}" for n in ("alerts", "registry", "readings", "actions")
    }
    sources["groups"] = {
        f"{prefix}-ingest": f"{prefix}.frames",
        f"{prefix}-judge": f"{prefix}.readings",
    }
    topics = [f"{prefix}.{n}" for n in ("alerts", "registry", "readings", "actions", "frames")]
    in_a_loop_of_its_own(_create(bootstrap, topics))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"bootstrap": bootstrap, "feed_port": port, "token": token}
    log = folder / f"{prefix}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, json.dumps([settings, sources])],
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("RPM_", "PYTEST_"))
            },
        )
    feed = RunningFeed(bootstrap, f"http://127.0.0.1:{port}", sources, log, process)
    try:
        wait_until(lambda: _healthy(feed), feed)
        yield feed
    finally:
        process.terminate()
        process.wait(30)


async def _create(bootstrap: str, topics: list[str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    stamps = {"message.timestamp.type": "LogAppendTime"}
    await admin.create_topics([NewTopic(topic, 2, 1, topic_configs=stamps) for topic in topics])
    await admin.close()


def _healthy(feed: RunningFeed) -> bool:
    try:
        return httpx.get(f"{feed.base}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def wait_until(condition: Callable[[], bool], feed: RunningFeed, seconds: float = 40) -> None:
    """Ask again until it is true.

    Fails with the feed's log when it never is, or when the feed has ended.
    """
    end = time.monotonic() + seconds
    while not condition():
        assert feed.process.poll() is None, f"the feed ended: {feed.log.read_text()}"
        assert time.monotonic() < end, f"waited in vain; the feed said: {feed.log.read_text()}"
        time.sleep(0.05)
