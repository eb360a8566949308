"""The gateway client against a real broker: nothing lost, nothing under two names, in order per
device.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from rich.progress import Progress
from support.rejects import reject_of

from rpm_stream.app.broker.broker import Broker
from rpm_stream.app.gateway import BadFrame, FrameTooLarge, Gateway, GatewayOptions
from rpm_stream.app.gateway.spool_disk import SpoolFull, SpoolInUse
from rpm_stream.app.simulator.encode.files import frame_lines
from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.device_state import DeviceState
from rpm_stream.pipeline.ingest import FrameMessage, Ingest
from rpm_stream.records import (
    Assignment,
    DeviceEntry,
    Frame,
    Measurement,
    Notification,
    Position,
    Reject,
)

AT = datetime(2026, 1, 1, 8, tzinfo=UTC)
NOWHERE = "127.0.0.1:9"  # the discard port: nobody listens
PULSE = Notification(at=AT, characteristic="2A37", payload="0048")


def options(**changes: Any) -> GatewayOptions:
    """Quick to give up at the end, with a fixed clock."""
    return GatewayOptions(
        **{"close_within": 0.05, "clock": lambda: AT, "retry_longest": 0.5, **changes}
    )


async def create(bootstrap: str, *names: str) -> None:
    """Topics of the test's own."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 3, 1) for name in names])
    finally:
        await admin.close()


async def taken(bootstrap: str, topic: str, count: int) -> list[ConsumerRecord]:
    """The first ``count`` messages of a topic, or a failed test."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()


def run(story: Callable[[], Awaitable[None]]) -> None:
    """One test's asynchronous part, bounded."""
    asyncio.run(asyncio.wait_for(story(), 90))


def test_a_broker_that_is_away_costs_disk_only(kafka: str, tmp_path: Path) -> None:
    """Frames wait over a restart of the gateway and arrive under their first names, in order per
    device, keyed.
    """
    topic = f"t-{uuid4().hex}"

    async def story() -> None:
        sent: list[str] = []
        async with Gateway(NOWHERE, "gw", spool_dir=tmp_path, options=options()) as gateway:
            for number in range(60):
                sent += await gateway.send(f"strap-{number % 3}", notifications=[PULSE])
            assert gateway.spooled == 60
        await create(kafka, topic)
        async with Gateway(
            kafka, "gw", spool_dir=tmp_path, options=options(topic=topic)
        ) as gateway:
            assert gateway.spooled == 60
            sent += await gateway.send(
                "strap-0", measurements=[Measurement(at=AT, vital="steps", value="9", unit="1")]
            )
            assert await gateway.drain(30)
            assert gateway.spooled == 0
        messages = await taken(kafka, topic, 61)
        frames = [msgspec.json.decode(message.value, type=Frame) for message in messages]
        assert sorted(frame.frame for frame in frames) == sorted(sent)
        assert all(
            message.key == frame.device.encode()
            for message, frame in zip(messages, frames, strict=True)
        )
        for device, count in (("strap-0", 21), ("strap-1", 20), ("strap-2", 20)):
            assert [frame.seq for frame in frames if frame.device == device] == list(range(count))
        assert len({frame.boot for frame in frames}) == 1
        assert {frame.sent_at for frame in frames} == {AT}

    run(story)


SEND_UNTIL_KILLED = """
import asyncio, sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from rpm_stream.app.gateway import Gateway, GatewayOptions
from rpm_stream.records import Notification
bootstrap, topic, spool = sys.argv[1:]
async def main():
    options = GatewayOptions(topic=topic)
    async with Gateway(bootstrap, "gw", spool_dir=Path(spool), options=options) as gateway:
        while True:
            pulse = Notification(at=datetime.now(UTC), characteristic="2A37", payload="0048")
            print(*await gateway.send("strap", notifications=[pulse]), flush=True)
asyncio.run(main())
"""


def test_kill_dash_nine_loses_no_frame_that_was_sent(kafka: str, tmp_path: Path) -> None:
    """Twice killed in the middle of sending: all that send() returned for is in the topic, one
    content an id.
    """
    topic = f"t-{uuid4().hex}"
    promised: list[str] = []
    asyncio.run(create(kafka, topic))
    for _ in range(2):
        arguments = [sys.executable, "-c", SEND_UNTIL_KILLED, kafka, topic, str(tmp_path)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            promised += [child.stdout.readline().strip() for _ in range(150)]
            child.send_signal(signal.SIGKILL)
            promised += [
                line.strip()
                for line in child.stdout.read().splitlines(keepends=True)
                if line.endswith("\n")
            ]

    async def story() -> None:
        async with Gateway(
            kafka, "gw", spool_dir=tmp_path, options=options(topic=topic)
        ) as gateway:
            assert await gateway.drain(30)
            [last] = await gateway.send("strap", notifications=[PULSE])
            assert await gateway.drain(30)
        found: dict[str, bytes] = {}
        order: list[int] = []
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest")
        await consumer.start()
        try:
            while last not in found:
                message = await consumer.getone()
                frame = msgspec.json.decode(message.value, type=Frame)
                assert found.setdefault(frame.frame, message.value) == message.value
                if frame.seq not in order:
                    order.append(frame.seq)
        finally:
            await consumer.stop()
        assert set(promised) <= set(found)
        assert order == list(range(len(order)))

    run(story)


def test_a_broker_that_dies_while_sending(tmp_path: Path) -> None:
    """SIGKILL to the broker in the middle, a start, and everything is there once, in order."""
    with Broker(tmp_path / "broker", port=0) as broker:

        async def story() -> None:
            await create(broker.bootstrap, "t")
            async with Gateway(
                broker.bootstrap, "gw", spool_dir=tmp_path, options=options(topic="t")
            ) as gateway:
                for number in range(200):
                    await gateway.send("strap", notifications=[PULSE])
                    if number == 100:
                        broker.kill()
                assert gateway.spooled >= 99
                await asyncio.to_thread(broker.start)
                assert await gateway.drain(60)
            messages = await taken(broker.bootstrap, "t", 200)
            assert [
                msgspec.json.decode(message.value, type=Frame).seq for message in messages
            ] == list(range(200))

        run(story)


def test_rejects_are_the_gateways_own_and_come_once(kafka: str, tmp_path: Path) -> None:
    """Those of other gateways' devices are passed over; the next start reads on behind the last."""
    topic, rejects = f"t-{uuid4().hex}", f"r-{uuid4().hex}"

    def reject(number: int, device: str) -> Reject:
        place = Position(topic=topic, partition=0, offset=number)
        return reject_of(AT, id=str(number), device=device, position=place)

    async def publish(*several: Reject) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=kafka)
        await producer.start()
        try:
            for one in several:
                await producer.send_and_wait(
                    rejects, msgspec.json.encode(one), key=one.device.encode()
                )
        finally:
            await producer.stop()

    async def story() -> None:
        gateway_id = f"gw-{uuid4().hex[:8]}"
        await create(kafka, topic, rejects)
        await publish(reject(1, "strap"), reject(2, "stranger"), reject(3, "cuff"))
        chosen = options(topic=topic, rejects_topic=rejects)
        async with Gateway(kafka, gateway_id, spool_dir=tmp_path, options=chosen) as gateway:
            await gateway.send("strap", notifications=[PULSE])
            await gateway.send("cuff", notifications=[PULSE])
            reading = gateway.rejects()
            assert {(await anext(reading)).id, (await anext(reading)).id} == {"1", "3"}
            await publish(reject(4, "strap"))
            assert (await anext(reading)).id == "4"
            await reading.aclose()
        await publish(reject(5, "cuff"), reject(6, "strap"))
        async with Gateway(kafka, gateway_id, spool_dir=tmp_path, options=chosen) as gateway:
            reading = gateway.rejects()
            seen = {(await anext(reading)).id for _ in range(2)}
            seen |= {(await anext(reading)).id} if "4" in seen else set()
            assert {"5", "6"} <= seen <= {"4", "5", "6"}
            await reading.aclose()

    run(story)


def test_a_full_spool_is_told_to_the_caller(tmp_path: Path) -> None:
    """Nothing is dropped silently: the frames before it wait, the caller still has this one."""

    async def story() -> None:
        async with Gateway(
            NOWHERE, "gw", spool_dir=tmp_path, options=options(max_spool_bytes=300_000)
        ) as gateway:
            many = [PULSE] * 300
            with pytest.raises(SpoolFull):
                for _ in range(100):
                    await gateway.send("strap", notifications=many)
            assert 0 < gateway.spooled < 100

    run(story)


def test_the_spool_shows_in_metrics(kafka: str, tmp_path: Path) -> None:
    """What waits, for how long, and what was refused; gone when the broker has it."""
    now = [AT]
    topic = f"t-{uuid4().hex}"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    async def story() -> None:
        chosen = options(max_spool_bytes=300_000, metrics_port=port, clock=lambda: now[0])
        async with Gateway(NOWHERE, "gw", spool_dir=tmp_path, options=chosen) as gateway:
            with pytest.raises(SpoolFull):
                for _ in range(100):
                    await gateway.send("strap", notifications=[PULSE] * 300)
            now[0] += timedelta(minutes=5)
            waiting = gateway.spooled
            shown = samples(
                (await asyncio.to_thread(httpx.get, f"http://127.0.0.1:{port}/metrics")).text
            )
        assert shown["rpm_gateway_spooled_frames"] == waiting > 0
        assert shown["rpm_gateway_oldest_spooled_age_seconds"] == 300
        assert shown["rpm_gateway_spool_bytes"] > 100_000
        assert shown["rpm_gateway_refused_frames_total"] == 1
        await create(kafka, topic)
        async with Gateway(
            kafka, "gw", spool_dir=tmp_path, options=options(topic=topic)
        ) as gateway:
            assert await gateway.drain(60)
            shown = samples(generate_latest(gateway.meters.registry).decode())
        assert shown["rpm_gateway_acknowledged_frames_total"] == waiting
        assert (
            shown["rpm_gateway_spooled_frames"]
            == shown["rpm_gateway_oldest_spooled_age_seconds"]
            == 0
        )

    run(story)


def samples(text: str) -> dict[str, float]:
    """What a scrape says, by name."""
    return {
        one.name: one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_one_process_a_spool(tmp_path: Path) -> None:
    """Two gateways on one spool would number frames twice."""

    async def story() -> None:
        async with Gateway(NOWHERE, "gw", spool_dir=tmp_path, options=options()):
            with pytest.raises(SpoolInUse):
                async with Gateway(NOWHERE, "gw", spool_dir=tmp_path, options=options()):
                    raise AssertionError("two gateways share a spool")

    run(story)


def test_large_uplinks_become_frames_that_the_service_takes(tmp_path: Path) -> None:
    """1,000 entries and 256 KiB a frame, nothing lost at the seams; one entry too large is
    refused.
    """

    async def story() -> None:
        async with Gateway(NOWHERE, "gw", spool_dir=tmp_path, options=options()) as gateway:
            assert len(await gateway.send("strap", notifications=[PULSE] * 2500)) == 3
            long = Notification(at=AT, characteristic="2A37", payload="00" * 2000)
            assert len(await gateway.send("strap", notifications=[long] * 130)) == 3
            resource = {"resourceType": "Observation", "note": [{"text": "x" * 300_000}]}
            with pytest.raises(FrameTooLarge):
                await gateway.send("strap", resources=[resource])
            assert gateway.spooled == 6

    run(story)


def test_a_meters_lo_and_what_the_clinic_has_for_no_value_leave(tmp_path: Path) -> None:
    """A placeholder only where this gateway was told that the clinic has it."""
    low = Measurement(at=AT, vital="glucose", value="LO", unit="mg/dL")
    high = Measurement(at=AT, vital="glucose", absent="positive-infinity", unit="mg/dL")
    nothing = Measurement(at=AT, vital="steps", value="--", unit="1")

    async def story() -> None:
        told = replace(options(), placeholders=frozenset({"--"}))
        async with Gateway(NOWHERE, "gw", spool_dir=tmp_path, options=told) as gateway:
            await gateway.send("app", measurements=[low, high, nothing])
            assert gateway.spooled == 1

    run(story)


@pytest.mark.parametrize(
    "entries",
    [
        {
            "notifications": [
                Notification(at=datetime(2026, 1, 1), characteristic="2A37", payload="00")
            ]
        },
        {"measurements": [Measurement(at=AT, vital="steps", value="1e3", unit="1")]},
        {"measurements": [Measurement(at=AT, vital="steps", value="--", unit="1")]},
        {"measurements": [Measurement(at=AT, vital="glucose", unit="mg/dL")]},
        {
            "measurements": [
                Measurement(
                    at=AT, vital="glucose", value="52", absent="negative-infinity", unit="mg/dL"
                )
            ]
        },
        {"notifications": [Notification(at=AT, characteristic="2A", payload="00")]},
    ],
)
def test_what_the_service_would_refuse_whole_does_not_leave(
    tmp_path: Path, entries: dict[str, Any]
) -> None:
    """A time without a zone, an exponent, half a characteristic: told at once, and no number is
    used up.
    """

    async def story() -> None:
        async with Gateway(NOWHERE, "gw", spool_dir=tmp_path, options=options()) as gateway:
            with pytest.raises(BadFrame):
                await gateway.send("strap", **entries)
            [first] = await gateway.send("strap", notifications=[PULSE])
            assert first.endswith("-0")
            assert gateway.spooled == 1

    run(story)


def test_exactly_one_kind_of_entries(tmp_path: Path) -> None:
    """As the contract says."""

    async def story() -> None:
        async with Gateway(NOWHERE, "gw", spool_dir=tmp_path, options=options()) as gateway:
            several: list[dict[str, Any]] = [
                {},
                {"notifications": []},
                {"notifications": [PULSE], "measurements": []},
            ]
            for wrong in several:
                with pytest.raises(ValueError, match="exactly one"):
                    await gateway.send("strap", **wrong)
            assert gateway.spooled == 0

    run(story)


def test_times_are_written_in_utc(kafka: str, tmp_path: Path) -> None:
    """A phone's local time is the same moment, with Z; fields without a value are not on the
    wire.
    """
    topic = f"t-{uuid4().hex}"

    async def story() -> None:
        await create(kafka, topic)
        async with Gateway(
            kafka, "gw", spool_dir=tmp_path, options=options(topic=topic)
        ) as gateway:
            gateway.utc_offset = "+02:00"
            local = datetime.fromisoformat("2026-01-01T10:00:00+02:00")
            await gateway.send(
                "strap",
                notifications=[Notification(at=local, characteristic="2A37", payload="0048")],
            )
            assert await gateway.drain(30)
        [message] = await taken(kafka, topic, 1)
        said = json.loads(message.value)
        assert said["notifications"][0]["at"] == "2026-01-01T08:00:00Z"
        assert said["utc_offset"] == "+02:00"
        assert None not in said.values()

    run(story)


def test_a_gateway_id_is_a_file_name() -> None:
    """No path, no empty name."""
    for wrong in ("", "../x", "a b", "x" * 65):
        with pytest.raises(ValueError, match="gateway id"):
            Gateway(NOWHERE, wrong, spool_dir=Path())


PULSE_RESOURCE = (
    '{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},"effectiveDateTime":"2026-01-01T09:00:00+01:00","valueQuantity":{"value":72.10,"unit":"beats'
    ' a minute","system":"http://unitsofmeasure.org","code":"/min"}}'
)


def digits(wire: bytes) -> str | None:
    """The value of the one reading that a frame becomes."""
    ingest = Ingest(
        shipped(), Registry([DeviceEntry(device="d", assignments=(Assignment(patient="p"),))])
    )
    place = Position(topic="rpm.frames", partition=0, offset=0)
    done = ingest.step(
        DeviceState(), FrameMessage(key="d", value=wire, position=place, received_at=AT)
    )
    ((reading,),) = (message.readings for message in done.readings)
    return reading.value


def test_the_digits_of_a_resource_survive_from_the_sender_to_the_reading(
    kafka: str, tmp_path: Path
) -> None:
    """By the client, and by a file that is sent again: 72.10 is not 72.1."""
    topic = f"t-{uuid4().hex}"

    async def story() -> None:
        await create(kafka, topic)
        async with Gateway(
            kafka, "g", spool_dir=tmp_path, options=options(topic=topic, close_within=30)
        ) as gateway:
            await gateway.send("d", resources=[json.loads(PULSE_RESOURCE, parse_float=Decimal)])
            (first,) = await taken(kafka, topic, 1)
            assert digits(first.value) == "72.10"
            (tmp_path / "sent.jsonl").write_bytes(first.value)
            await gateway.send_frames(
                list(frame_lines(str(tmp_path / "sent.jsonl"), Progress(disable=True)))
            )
            again = (await taken(kafka, topic, 2))[1]
            assert digits(again.value) == "72.10"

    run(story)
