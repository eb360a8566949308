"""Through a real broker: refused for want of a wearer, assigned, sent again; then found to be
another person's.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2
from support.kafka.service import Service, drained, read, running, send, until

from rpm_stream.app.kafka import names
from rpm_stream.app.operate.compare_replay import Comparison
from rpm_stream.app.operate.redrive import redrive, rejects_where
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.pipeline.replay import ReplayLine
from rpm_stream.publish.fhir.ids import summary_id

DEVICE = "strap-é"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("corrections")) as service:
        service.start("ingest")
        service.start("judge")
        yield service


def records(service: Service, topic: str) -> list[dict[str, Any]]:
    return [
        msgspec.json.decode(record.value) for record in asyncio.run(read(service.bootstrap, topic))
    ]


def cli(service: Service, *arguments: str) -> list[dict[str, Any]]:
    """The lines of a command that succeeds."""
    done = subprocess.run(
        [sys.executable, "-m", "rpm_stream", *arguments],
        env={**os.environ, "RPM_BOOTSTRAP": service.bootstrap},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def settled(service: Service, topic: str, count: int) -> list[dict[str, Any]]:
    """The records of ``topic`` once there are so many and both agents are level."""

    async def there() -> bool:
        service.revive()
        return len(await read(service.bootstrap, topic)) >= count

    asyncio.run(until(f"{count} records of {topic}", there))
    asyncio.run(drained(service))
    return records(service, topic)


def frame(now: datetime) -> bytes:
    entries = [
        {
            "at": (now - timedelta(minutes=minutes)).isoformat(),
            "vital": "heart_rate",
            "value": value,
            "unit": "/min",
        }
        for minutes, value in ((20, "140"), (15, "141"))
    ]
    sent = {
        "v": 1,
        "frame": "f",
        "gateway": "g",
        "device": DEVICE,
        "seq": 0,
        "boot": "b",
        "sent_at": now.isoformat(),
    }
    return msgspec.json.encode({**sent, "measurements": entries})


def strap_frame(begin: datetime, minutes: list[int], now: datetime) -> bytes:
    """A chest strap's uplink of one notification a minute named: a continuous vital, which is
    summed.
    """
    entries = [
        {
            "at": (begin + timedelta(minutes=minute)).isoformat(),
            "characteristic": "2A37",
            "payload": "0046",
        }
        for minute in minutes
    ]
    sent = {"v": 1, "frame": "s", "gateway": "g", "device": "strap-2", "seq": 0, "boot": "b"}
    return msgspec.json.encode({**sent, "sent_at": now.isoformat(), "notifications": entries})


def test_refused_assigned_read_and_given_to_whom_it_belongs(
    service: Service, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    start, end = ((now - timedelta(minutes=minutes)).isoformat() for minutes in (60, 5))
    # by a gateway whose Kafka client puts keys elsewhere than ours does
    elsewhere = ((murmur2(DEVICE.encode()) & 0x7FFFFFFF) + 1) % Settings().partitions
    asyncio.run(send(service.bootstrap, [frame(now)], partition=elsewhere))
    assert {each["reason"] for each in settled(service, names.REJECTS, 2)} == {"unknown_device"}

    # a wearer, and with it what was refused
    entry, again = cli(service, "registry", "assign", DEVICE, "ada", "--at", start)
    assert [(each["patient"], each["until"]) for each in entry["assignments"]] == [("ada", None)]
    assert again == {"sent_again": {"rejects": 2, "frames": 1, "gone": 0, "judge": 0}}
    assert {each["patient"] for each in settled(service, names.READINGS, 1)} == {"ada"}

    # again and again: nothing new
    rejects = asyncio.run(rejects_where(service.bootstrap, lambda reject: reject.device == DEVICE))
    assert asyncio.run(redrive(service.bootstrap, rejects)).frames == 1
    accounts = settled(service, names.ACCOUNTS, 3)
    assert [(each["readings"], each["duplicates"], len(each["rejects"])) for each in accounts] == [
        (0, 0, 1),
        (2, 0, 0),
        (0, 2, 0),
    ]

    sent = asyncio.run(read(service.bootstrap, names.FRAMES))
    assert [(record.partition, [name for name, _ in record.headers]) for record in sent] == [
        (elsewhere, []),
        (elsewhere, [names.REDRIVEN]),
        (elsewhere, [names.REDRIVEN]),
    ]

    # it was somebody else's
    span = f"--device {DEVICE} --from {start} --until {end}".split()
    order = [*span, *"--to ben --who nurse --reason swapped".split()]
    assert cli(service, "registry", "correct", *order) == [
        {"corrected": {"readings": 2, "actions": 2}}
    ]
    observations = settled(service, names.OBSERVATIONS, 6)
    last = {each["id"]: (each["subject"]["reference"], each["status"]) for each in observations}
    assert sorted(last.values()) == [
        ("Patient/ada", "entered-in-error"),
        ("Patient/ada", "entered-in-error"),
        ("Patient/ben", "final"),
        ("Patient/ben", "final"),
    ]
    alerts = {
        each["id"]: each
        for each in records(service, names.ALERTS)
        if each["group"] == "vital_signs"
    }
    found = {each["patient"]: (each["priority"], each["state"]) for each in alerts.values()}
    assert found == {"ada": ("high", "resolved"), "ben": ("high", "open")}
    (withdrawn,) = (each for each in alerts.values() if each["patient"] == "ada")
    assert (withdrawn["history"][-1]["event"], withdrawn["history"][-1]["reason"]) == (
        "withdrawn",
        "swapped",
    )
    (entry,) = cli(service, "registry", "show", f"device/{DEVICE}")
    assert [each["patient"] for each in entry["assignments"]] == ["ada", "ben"]
    assert cli(service, "registry", "correct", *order) == [
        {"corrected": {"readings": 0, "actions": 0}}
    ]


def test_half_of_an_old_window_was_another_persons_and_the_other_half_stays(
    service: Service,
) -> None:
    """The judge has closed the window: the command counts from the topics what is left of it,
    and nothing is lost.
    """
    now = datetime.now(UTC)
    # a window's beginning
    begin = datetime.fromtimestamp(now.timestamp() // 900 * 900 - 4 * 3600, UTC)
    # one window, and newer ones until it is kept no more
    minutes = [*range(15), *range(30, 225, 15)]
    asyncio.run(send(service.bootstrap, [strap_frame(begin, minutes, now)]))
    settled(service, names.REJECTS, 2 + len(minutes))
    cli(service, "registry", "assign", "strap-2", "cleo", "--at", begin.isoformat())

    async def told(count: int) -> bool:
        """Whether so many readings are in the last word on the window."""
        service.revive()
        said = [
            msgspec.json.decode(record.value)
            for record in await read(service.bootstrap, names.OBSERVATIONS)
        ]
        of_it = [each for each in said if each["id"] == summary_id("cleo", "heart_rate", begin)]
        return bool(of_it) and (of_it[-1]["status"], of_it[-1]["component"][0]["valueInteger"]) == (
            "final",
            count,
        )

    asyncio.run(until("the summary of the whole window", lambda: told(15)))
    times = ("--from", begin.isoformat(), "--until", (begin + timedelta(minutes=7)).isoformat())
    order = (
        "--device",
        "strap-2",
        *times,
        "--to",
        "dan",
        "--who",
        "nurse",
        "--reason",
        "his until then",
    )
    assert cli(service, "registry", "correct", *order) == [
        {"corrected": {"readings": 7, "actions": 2}}
    ]
    asyncio.run(until("the summary without the wrong half", lambda: told(8)))
    asyncio.run(drained(service))
    total = cli(service, "reconcile")[-1]
    assert (total["type"], total["balanced"], total["missing"]) == ("total", True, 0)
    assert (
        cli(
            service,
            "replay",
            "--from-kafka",
            "--stage",
            "judge",
            "--emit",
            "observations",
            "--compare",
        )
        == []
    )


def test_a_frame_that_the_topic_has_dropped_is_counted_as_gone(service: Service) -> None:
    reject, *_ = asyncio.run(rejects_where(service.bootstrap, lambda _: True))
    far = msgspec.structs.replace(reject.position, offset=10**9)
    judged = msgspec.structs.replace(reject.position, topic=names.READINGS)
    selection = [msgspec.structs.replace(reject, position=place) for place in (far, judged)]
    done = asyncio.run(redrive(service.bootstrap, selection))
    assert msgspec.structs.asdict(done) == {"rejects": 2, "frames": 0, "gone": 1, "judge": 1}


def observation(name: str, value: int, status: str = "final") -> bytes:
    return msgspec.json.encode(
        {
            "id": name,
            "status": status,
            "subject": {"reference": "Patient/p"},
            "valueQuantity": {"value": value},
        }
    )


def test_a_replay_corrects_nothing_that_was_written_since_it_began_or_taken_back(
    service: Service, tmp_path: Path
) -> None:
    """A summary that the running service completed would lose what came meanwhile; a value that is
    another person's would stand in the record again.
    """

    async def write(*bodies: bytes) -> None:
        async with AIOKafkaProducer(bootstrap_servers=service.bootstrap) as producer:
            for body in bodies:
                await producer.send_and_wait(names.OBSERVATIONS, body, key=b"p")

    async def corrected() -> set[str]:
        await write(
            observation("wrong", 1),
            observation("completed", 1),
            observation("back", 1, "entered-in-error"),
        )
        comparison = Comparison(tmp_path / "records.sqlite")
        try:
            await comparison.begin(service.bootstrap, None)
            for name in ("wrong", "completed", "back"):
                comparison.replayed(ReplayLine("observation", msgspec.Raw(observation(name, 2))))
            await write(observation("completed", 3))
            await comparison.read(service.bootstrap, "observation", (None, None), lambda *_: None)
            return {msgspec.json.decode(body)["id"] for _, body in comparison.corrections()}
        finally:
            comparison.close()

    assert asyncio.run(corrected()) == {"wrong"}
