"""Measure the time from the receipt of a red reading to its alert, at half load.

Run: ``python benchmarks/latency.py [seconds] [notifications a second] [--quick]``

The default is 60 s. Without a rate, half of what the worker gets through in a first run is used.
``--quick`` sends 600 notifications a second for 3 s.
Both stages run. Every person gets one frame with a heart rate of 190. "Alert" is from the append
time of that frame in rpm.frames to the time of the alert's record in rpm.alerts. "Feed" is to the
moment at which a client of the feed's event stream has it. Broker, stages, feed and this sender
share the machine.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from statistics import quantiles

import httpx
import msgspec
from aiokafka import AIOKafkaProducer
from rig import options
from rig.load import NOTIFICATIONS, Load, frames_of, patient_name, red_frames
from rig.stages import STAGES, Stage, Stages, Watch, broker_with, fill, measure

from rpm_stream.app.kafka import names
from rpm_stream.records import Alert, Record

SECONDS = 60.0
QUICK = (3.0, 600.0)  # seconds, notifications a second
CALIBRATION_FRAMES = 2_000
MOST_PATIENTS = 600
ROUNDS = 8  # frames a person, at least; the red one is in the second half
EVERY_SECONDS = 0.02  # the sender's turn
FEED_DEADLINE = 60.0
FIELD = "event: "
DATA = "data: "


class _FrameName(msgspec.Struct):
    frame: str


class _Row(msgspec.Struct):
    id: str


class _View(msgspec.Struct):
    row: _Row


class Latencies(Record, frozen=True, kw_only=True):
    """Milliseconds from receipt to the alert's record and to the feed's client.

    Also the CPU seconds of the stages meanwhile.
    """

    alert: list[float]
    feed: list[float]
    cpu: dict[Stage, float]


class Feed:
    """A client of the event stream.

    ``seen`` has the moment at which each alert's first event came, by alert id.
    """

    def __init__(self, port: int, token: str) -> None:
        self.seen: dict[str, float] = {}
        self.ready = asyncio.Event()
        self._url = f"http://127.0.0.1:{port}"
        self._headers = {"authorization": f"Bearer {token}"}

    async def follow(self) -> None:
        """Follow the stream until cancelled."""
        async with httpx.AsyncClient(
            base_url=self._url, headers=self._headers, timeout=None
        ) as client:
            await self._await_feed(client)
            async with client.stream("GET", "/api/alerts/stream") as response:
                response.raise_for_status()
                event = ""
                async for line in response.aiter_lines():
                    if line.startswith(FIELD):
                        event = line.removeprefix(FIELD)
                        self.ready.set()
                    elif event == "alert" and line.startswith(DATA):
                        view = msgspec.json.decode(line.removeprefix(DATA), type=_View)
                        self.seen.setdefault(view.row.id, time.time())

    async def _await_feed(self, client: httpx.AsyncClient) -> None:
        end = time.monotonic() + FEED_DEADLINE
        while time.monotonic() < end:
            with suppress(httpx.TransportError):
                if (await client.get("/healthz")).status_code == httpx.codes.OK:
                    return
            await asyncio.sleep(0.2)
        raise TimeoutError(f"the feed was not ready within {FEED_DEADLINE:.0f} s")


@contextmanager
def feed_process(bootstrap: str) -> Iterator[tuple[int, str]]:
    """Run the feed as its own process. Yield its port and its token."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    token = secrets.token_urlsafe(16)
    environment = {
        **os.environ,
        "RPM_BOOTSTRAP": bootstrap,
        "RPM_TOKEN": token,
        "RPM_FEED_PORT": str(port),
        "RPM_METRICS_PORT": "0",
        "RPM_LOG_LEVEL": "WARNING",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "rpm_stream", "stage", "feed"], env=environment
    )
    try:
        yield port, token
    finally:
        process.terminate()
        process.wait(30)


def worker_rate() -> float:
    """Return notifications a second that the worker gets through, from a short run."""
    load = Load(frames=CALIBRATION_FRAMES)
    with broker_with(load) as (broker, folder):
        asyncio.run(fill(broker.bootstrap, list(frames_of(load))))
        stages = Stages("worker", broker.bootstrap, folder, {"RPM_TIME": "recorded"})
        try:
            return NOTIFICATIONS * load.frames / asyncio.run(measure(stages, load.frames)).wall
        finally:
            stages.stop()


def planned(rate: float, seconds: float) -> Load:
    """Return the load of ``seconds`` at ``rate`` notifications a second.

    The measurements that come last were made about now.
    """
    count = int(rate * seconds / NOTIFICATIONS)
    patients = max(1, min(MOST_PATIENTS, count // ROUNDS))
    turns = count // patients
    start = datetime.now(UTC) - timedelta(seconds=(turns // 2 + 1) * NOTIFICATIONS)
    return Load(frames=turns * patients, patients=patients, start=start, red=True)


async def send_evenly(
    bootstrap: str, frames: Sequence[tuple[bytes, bytes]], a_second: float
) -> None:
    """Send frames at an even pace."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True) as producer:
        began = time.monotonic()
        sent = 0
        while sent < len(frames):
            due = min(len(frames), int((time.monotonic() - began) * a_second) + 1)
            for key, value in frames[sent:due]:
                await producer.send(names.FRAMES, value, key=key)
            sent = due
            await asyncio.sleep(EVERY_SECONDS)
        await producer.flush()


async def run(stages: Stages, load: Load, a_second: float, feed: Feed) -> Latencies:
    """Send all, wait until both stages are through, and compare the times."""
    bootstrap = stages.bootstrap
    frames = list(frames_of(load))
    following = asyncio.create_task(feed.follow())
    ready = asyncio.create_task(feed.ready.wait())
    await asyncio.wait([following, ready], return_when=asyncio.FIRST_COMPLETED)
    if following.done():
        following.result()
    async with Watch(bootstrap) as watch:
        # when this one came through, both stages have their partitions
        await fill(bootstrap, frames[:1])
        while not await watch.count(names.SCORES):
            await asyncio.sleep(EVERY_SECONDS)
        began = {stage: stages.cpu(stage) for stage in STAGES}
        await send_evenly(bootstrap, frames[1:], a_second)
        while not (
            await watch.count(names.ACCOUNTS) >= len(frames)
            and await watch.is_drained(names.GROUP_JUDGE, names.READINGS)
        ):
            await asyncio.sleep(10 * EVERY_SECONDS)
        await asyncio.sleep(1)  # the feed gathers for 0.1 s
        following.cancel()
        cpu = {stage: stages.cpu(stage) - began[stage] for stage in STAGES}
        return await _latencies(watch, load, feed, cpu)


async def _latencies(watch: Watch, load: Load, feed: Feed, cpu: dict[Stage, float]) -> Latencies:
    red = {
        f"strap-{number:04d}.{count // load.patients}": number
        for count, number in red_frames(load).items()
    }
    received: dict[str, float] = {}
    for record in await watch.read(names.FRAMES):
        frame = msgspec.json.decode(record.value, type=_FrameName).frame
        if frame in red:
            received[patient_name(red[frame])] = record.timestamp / 1000
    to_alert: dict[str, float] = {}
    to_feed: list[float] = []
    for record in await watch.read(names.ALERTS):
        alert = msgspec.json.decode(record.value, type=Alert)
        if (
            alert.group == "vital_signs"
            and alert.priority != "low"
            and alert.patient not in to_alert
        ):
            to_alert[alert.patient] = record.timestamp / 1000 - received[alert.patient]
            if alert.id in feed.seen:
                to_feed.append(feed.seen[alert.id] - received[alert.patient])
    if len(to_alert) != load.patients:
        raise RuntimeError(f"{len(to_alert)} of {load.patients} red readings led to an alert")
    return Latencies(
        alert=[1000 * each for each in to_alert.values()],
        feed=[1000 * each for each in to_feed],
        cpu=cpu,
    )


def main(seconds: float, rate: float | None) -> None:
    """Measure and print."""
    if rate is None:
        full = worker_rate()
        print(
            f"worker: {full:.0f} notifications/s through; half of that for {seconds:.0f} s",
            flush=True,
        )
        rate = full / 2
    load = planned(rate, seconds)
    with broker_with(load) as (broker, folder), feed_process(broker.bootstrap) as (port, token):
        stages = Stages("worker", broker.bootstrap, folder, {})
        try:
            found = asyncio.run(run(stages, load, rate / NOTIFICATIONS, Feed(port, token)))
        finally:
            stages.stop()
    each = ", ".join(
        f"{stage} {found.cpu[stage] / load.frames / NOTIFICATIONS * 1e6:.0f} us" for stage in STAGES
    )
    print(
        f"{rate:.0f} notifications/s, {load.frames} frames, {load.patients} patients; cpu a"
        f" notification: {each}"
    )
    print(f"{'received to':12}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'samples':>9}")
    for name, latencies in (("alert", found.alert), ("feed", found.feed)):
        cuts = quantiles(latencies, n=100, method="inclusive")
        print(f"{name:12}{cuts[49]:>9.0f}{cuts[98]:>9.0f}{max(latencies):>9.0f}{len(latencies):>9}")


if __name__ == "__main__":
    parser = options.parser(__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=SECONDS)
    parser.add_argument("rate", nargs="?", type=float, metavar="notifications a second")
    asked = parser.parse_args()
    main(*(QUICK if asked.quick else (asked.seconds, asked.rate)))
