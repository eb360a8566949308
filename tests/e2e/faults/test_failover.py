"""How long a nurse waits: from the uplink of a red reading to the high alert in the feed, and
across a killed worker.

Figures of README's fault table; RPM_FAULTS=full only. A new person turns red every half second, so
that each moment has somebody whose alert is due.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import httpx
import msgspec
from aiokafka import AIOKafkaProducer
from support.faults.run import SEED
from support.kafka.service import until
from support.kafka.world import TOKEN, World, world

from rpm_stream.app.kafka import names
from rpm_stream.app.registry.topic import write
from rpm_stream.records import Assignment, DeviceEntry, PatientEntry

EVERY_SECONDS = 0.5
QUIET_SECONDS = 40.0
KILLS = ("judge", "ingest", "judge", "ingest", "judge", "ingest")
BETWEEN_KILLS = 18.0
PEOPLE = int((QUIET_SECONDS + len(KILLS) * BETWEEN_KILLS) / EVERY_SECONDS) + 60
# seconds that must not be exceeded: p99, p99, each
FIGURES = {"calm": 2.0, "kill": 20.0, "failover": 15.0}


class Row(msgspec.Struct):
    patient: str
    priority: str


class View(msgspec.Struct):
    row: Row


class Snapshot(msgspec.Struct):
    alerts: list[View]


class Watched(NamedTuple):
    """Monotonic times by patient: when the red reading left, and when the feed's stream told its
    high alert.
    """

    sent: dict[str, float]
    told: dict[str, float]


async def follow(world: World, watched: Watched) -> None:
    """The feed's event stream, as the page reads it."""
    base = f"http://127.0.0.1:{world.settings['RPM_FEED_PORT']}"
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with (
        httpx.AsyncClient(base_url=base, headers=headers, timeout=None) as client,
        client.stream("GET", "/api/alerts/stream") as response,
    ):
        response.raise_for_status()
        event = ""
        async for line in response.aiter_lines():
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: ") and event in ("alert", "snapshot"):
                data = line.removeprefix("data: ").encode()
                if event == "alert":
                    views = [msgspec.json.decode(data, type=View)]
                else:
                    views = msgspec.json.decode(data, type=Snapshot).alerts
                for view in views:
                    if view.row.priority == "high":
                        watched.told.setdefault(view.row.patient, time.monotonic())


async def uplink(world: World, watched: Watched, people: list[str], stop: asyncio.Event) -> None:
    """A heart rate of 225 (beyond the query bound: high at once) of another person every half
    second.
    """
    async with AIOKafkaProducer(
        bootstrap_servers=world.bootstrap, enable_idempotence=True
    ) as producer:
        for number, person in enumerate(people):
            if stop.is_set():
                return
            at = datetime.now(UTC).isoformat()
            frame = {
                "v": 1,
                "frame": f"f{number}",
                "gateway": "zaphod-gateway",
                "device": f"strap-{person}",
                "seq": 0,
                "boot": "1",
                "sent_at": at,
                "notifications": [{"at": at, "characteristic": "2A37", "payload": "00e1"}],
            }
            watched.sent[person] = time.monotonic()
            await producer.send_and_wait(
                names.FRAMES, json.dumps(frame).encode(), key=frame["device"].encode()
            )
            await asyncio.sleep(EVERY_SECONDS)


def p99(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]


async def measure(world: World, chance: random.Random) -> dict[str, list[float]]:
    """Seconds from uplink to feed without a fault and around kills; from each kill to the first
    alert of a later uplink."""
    people = [f"person-{number}" for number in range(PEOPLE)]
    chance.shuffle(people)
    await write(world.bootstrap, [PatientEntry(patient=person) for person in people])
    worn = [
        DeviceEntry(device=f"strap-{one}", assignments=(Assignment(patient=one),)) for one in people
    ]
    await write(world.bootstrap, worn)
    await asyncio.to_thread(world.up)
    watched, stop = Watched({}, {}), asyncio.Event()
    following = asyncio.create_task(follow(world, watched))
    sending = asyncio.create_task(uplink(world, watched, people, stop))

    async def first_told() -> bool:
        if following.done():
            following.result()
        return bool(watched.told)

    await until("the first alert", first_told)
    begun = time.monotonic()
    await asyncio.sleep(QUIET_SECONDS)
    kills: list[float] = []
    for stage in KILLS:
        await asyncio.sleep(chance.uniform(0, 2))
        kills.append(time.monotonic())
        await asyncio.to_thread(world.kill, stage)
        await asyncio.sleep(BETWEEN_KILLS - 2)
    stop.set()
    await sending

    async def all_told() -> bool:
        return watched.told.keys() >= watched.sent.keys()

    await until("every red reading is in the feed", all_told)
    following.cancel()
    waits = {person: watched.told[person] - at for person, at in watched.sent.items()}
    calm = [waits[one] for one, at in watched.sent.items() if begun < at < kills[0] - 5]
    disturbed = [waits[one] for one, at in watched.sent.items() if at >= kills[0] - 5]
    failover = [
        min(
            watched.told[one]
            for one, at in watched.sent.items()
            if kill < at and watched.told[one] > kill
        )
        - kill
        for kill in kills
    ]
    return {"calm": calm, "kill": disturbed, "failover": failover}


def test_a_nurse_waits_seconds(tmp_path: Path, figures: list[str]) -> None:
    """Every red reading reaches the feed as a high alert, soon."""
    print(f"RPM_SEED={SEED}")
    with world(tmp_path, speed=1.0, time="broker") as found:
        seconds = asyncio.run(measure(found, random.Random(SEED)))
    calm, kill, failover = p99(seconds["calm"]), p99(seconds["kill"]), max(seconds["failover"])
    figures.append(
        f"uplink to feed, high alerts: p99 {calm:.2f} s of {len(seconds['calm'])} without a fault;"
        f" p99 {kill:.1f} s of {len(seconds['kill'])} across {len(KILLS)} kills; from a kill to the"
        f" first new alert at most {failover:.1f} s"
    )
    assert calm < FIGURES["calm"], sorted(seconds["calm"])[-5:]
    assert kill < FIGURES["kill"], sorted(seconds["kill"])[-5:]
    assert failover < FIGURES["failover"], seconds["failover"]
