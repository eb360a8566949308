"""Who waits for whom: live people beside a gateway that uplinks a whole day at once, and beside a
slow FHIR server.

Figures below the table of faults; RPM_FAULTS=full only. Ratios are of one run.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from time import monotonic

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from support.faults.live_ward import LiveWard
from support.fhir_server import fhir_server
from support.kafka.quotas import limit_client
from support.kafka.service import Service, lag, read, running, until

from rpm_stream.app.gateway import Gateway
from rpm_stream.app.kafka import names
from rpm_stream.records import Notification

CALM_SECONDS = float(os.environ.get("RPM_CALM", "30"))
DAY, A_FRAME = 86_400, 300
AWAY = "away"  # whose gateway was cut off for a day
RED_WITHIN = 20.0  # seconds; on a machine that is busy with other work half of what the day takes
QUOTA = 32_768  # octets a second, as they come (lz4): what deploy/kafka gives a gateway


@asynccontextmanager
async def watched(service: Service, *more: str) -> AsyncIterator[LiveWard]:
    """A live ward whose first readings have been judged."""
    ward = LiveWard(service.bootstrap)
    await ward.register(*more)
    for stage in ("ingest", "judge"):
        service.start(stage)
    tasks = [asyncio.create_task(ward.follow()), asyncio.create_task(ward.live())]

    async def judged() -> bool:
        for task in tasks:
            if task.done():
                task.result()
        return len({person for person, _ in ward.seen}) >= 20

    try:
        await until("everybody was judged once", judged)
        yield ward
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def all_seen(ward: LiveWard, end: float) -> None:
    """Wait until what was sent before ``end`` has been judged."""

    async def none_owed() -> bool:
        return not ward.owed(end)

    await until("every reading of that time was judged", none_owed)


async def behind(bootstrap: str) -> int:
    """Messages that the agents have not worked through."""
    return sum(
        [
            await lag(bootstrap, group, topic)
            for group, topics in names.GROUPS.items()
            for topic in topics
        ]
    )


def a_day(now: datetime) -> list[list[Notification]]:
    """A heart rate every second until now, in frames of five minutes; three minutes of 150 in
    the morning.
    """
    start = now - timedelta(seconds=DAY)
    red = range(DAY // 3, DAY // 3 + 180)
    seconds = [
        Notification(
            at=start + timedelta(seconds=second),
            characteristic="2A37",
            payload="0096" if second in red else "0048",
        )
        for second in range(DAY)
    ]
    return [seconds[first : first + A_FRAME] for first in range(0, DAY, A_FRAME)]


async def catching_up(service: Service, folder: Path) -> tuple[str, float, float]:
    """The day is uplinked; meanwhile somebody else turns red, and so does somebody on the same
    gateway.

    The figures, the seconds until red was told, and those that the day took.
    """
    async with watched(service, AWAY, "same-hub") as ward:
        calm = monotonic()
        await asyncio.sleep(CALM_SECONDS)
        began = monotonic()
        async with Gateway(service.bootstrap, "hub", spool_dir=folder) as gateway:
            for entries in a_day(datetime.now(UTC)):
                await gateway.send(f"d-{AWAY}", notifications=entries)
            await gateway.send(
                "d-same-hub",
                notifications=[
                    Notification(at=datetime.now(UTC), characteristic="2A37", payload="00e1")
                ],
            )
            async with AIOKafkaProducer(bootstrap_servers=service.bootstrap) as producer:
                await ward.uplink(producer, "p7", "60")
            asked = monotonic()
            waiting = gateway.spooled + await behind(service.bootstrap)

            async def both_red() -> bool:
                return {"p7", "same-hub"} <= ward.alerts.keys()

            await until("both red readings are high alerts", both_red)
            assert await gateway.drain(120)

        async def caught_up() -> bool:
            return await behind(service.bootstrap) < 5  # the live ones go on

        await until("the day is worked through", caught_up)
        end = monotonic()
        await all_seen(ward, end)
        red = max(ward.alerts[person][0] - asked for person in ("p7", "same-hub"))
        before, during = ward.delays(calm, began), ward.delays(began, end)
        assert waiting > 0
    return (
        (
            f"a day at 1 Hz at once ({end - began:.0f} s to work through): live readings p50"
            f" {before.middle:.2f} -> {during.middle:.2f} s (x{during.middle / before.middle:.1f}),"
            f" p99 {before.p99:.2f} -> {during.p99:.2f} s (x{during.p99 / before.p99:.1f}); two red"
            f" readings meanwhile were high alerts after {red:.1f} s"
        ),
        red,
        end - began,
    )


async def in_order_and_over(bootstrap: str) -> None:
    """The day came in its order, whole, and what was red in the morning is told as over."""
    messages = [msgspec.json.decode(one.value) for one in await read(bootstrap, names.READINGS)]
    times = [
        one["measured_at"]
        for each in messages
        if each["patient"] == AWAY
        for one in each["readings"]
    ]
    assert len(times) == DAY
    assert all(earlier <= later for earlier, later in pairwise(times))
    alerts = [msgspec.json.decode(one.value) for one in await read(bootstrap, names.ALERTS)]
    told = [one for one in alerts if one["patient"] == AWAY and one["group"] == "vital_signs"]
    assert told
    assert all(one["historical"] or one["state"] == "resolved" for one in told)


@pytest.mark.parametrize("quota", [None, QUOTA], ids=["no quota", "quota"])
def test_a_day_at_once_delays_no_live_person_for_long(
    quota: int | None, tmp_path: Path, figures: list[str]
) -> None:
    """Between gateways the broker's quota bounds what lasts, between a gateway's devices the
    client gives turns.
    """
    with running(tmp_path) as service:
        if quota is not None:
            limit_client(service.bootstrap, "rpm-gateway-hub", quota)
        said, red, took = asyncio.run(catching_up(service, tmp_path / "spool"))
        figures.append(f"{'no quota' if quota is None else f'quota {quota // 1024} KiB/s'}: {said}")
        asyncio.run(in_order_and_over(service.bootstrap))
    assert red < max(RED_WITHIN, took / 2)


async def beside_a_slow_server(folder: Path) -> tuple[str, float]:
    """Live readings without a sink, then with one whose server takes 2 s an answer."""
    async with fhir_server() as server:
        server.always = "slow"
        context = running(folder, {"RPM_FHIR_URL": server.url})
        service = await asyncio.to_thread(context.__enter__)
        try:
            async with watched(service) as ward:
                calm = monotonic()
                await asyncio.sleep(CALM_SECONDS)
                began = monotonic()
                service.start("sink")
                await server.until(lambda: len(server.requests) >= 3)
                slow = monotonic()
                await asyncio.sleep(CALM_SECONDS)
                end = monotonic()
                assert await lag(service.bootstrap, names.GROUP_SINK, names.OBSERVATIONS) > 0
                await all_seen(ward, end)
                before, during = ward.delays(calm, began), ward.delays(slow, end)
                answers = len(server.requests)
        finally:
            await asyncio.to_thread(context.__exit__, None, None, None)
    ratio = during.middle / before.middle
    return (
        (
            f"a FHIR server that takes 2 s an answer ({answers} requests): live readings p50"
            f" {before.middle:.2f} -> {during.middle:.2f} s (x{ratio:.1f}), p99 {before.p99:.2f} ->"
            f" {during.p99:.2f} s"
        ),
        ratio,
    )


def test_a_slow_sink_delays_no_judging(tmp_path: Path, figures: list[str]) -> None:
    """A consumer group of its own: what waits for the FHIR server waits in Kafka."""
    said, ratio = asyncio.run(beside_a_slow_server(tmp_path))
    figures.append(said)
    assert ratio < 2
