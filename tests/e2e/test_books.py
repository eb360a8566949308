"""The operator's books over a real broker: reconcile, rejects, and the topics replayed, on one
short run.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import CommitFailedError
from support.frames import frame, measurement, stamp, worn
from support.kafka.against_replay import without_time_driven
from support.kafka.service import Service, drained, read, running, send, until
from typer.testing import CliRunner

from rpm_stream.app.cli.main import app
from rpm_stream.app.kafka import names
from rpm_stream.app.kafka.clients import consumer
from rpm_stream.app.registry.topic import write
from rpm_stream.app.runtime.errors import CheckFailed
from rpm_stream.app.stages.demo import free_ports
from rpm_stream.knowledge.registry import parse_entry

Record = dict[str, Any]
SETTINGS = {"RPM_TIME": "recorded"}  # the frames' own times, as a file has them
STRANGER = "stranger"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that has worked through an hour of two devices, one of which nobody registered."""
    with running(tmp_path_factory.mktemp("books"), SETTINGS) as found:
        register(found, worn())
        found.start("ingest")
        found.start("judge")
        asyncio.run(send(found.bootstrap, [msgspec.json.encode(each) for each in frames()]))
        asyncio.run(drained(found))
        asyncio.run(until("summaries of a past day are ticked", lambda: summed(found)))
        yield found


def register(service: Service, entry: Record) -> None:
    asyncio.run(write(service.bootstrap, [parse_entry(msgspec.json.encode(entry))]))


def frames() -> list[Record]:
    """An hour of a strap and an oximeter: summaries, evidence, a high alert, a duplicate, a
    refused value, a gap.
    """
    found = []
    for minute in range(60):
        beats = [
            {"at": stamp(minute + part / 4), "characteristic": "2A37", "payload": "0048"}
            for part in range(4)
        ]
        found.append(frame(beats, minute + 1, minute))
    red = [measurement(61, "oxygen_saturation", "82"), measurement(61, "weight", "9000")]
    found += [
        frame(red, 61, 60),
        frame(red[:1], 62, 61),
        frame([measurement(63, "oxygen_saturation", "82")], 63, 64),
    ]
    found += [frame([measurement(64, "weight", "80.50"), red[1]], 64, 0, device=STRANGER)]
    return found


async def summed(service: Service) -> bool:
    """Whether the five windows of the strap have been told."""
    bodies = [record.value for record in await read(service.bootstrap, names.OBSERVATIONS)]
    return len({json.loads(body)["id"] for body in bodies if b"valueInteger" in body}) == 4


def run(service: Service, *arguments: str) -> tuple[int, list[Record]]:
    """A command of the operator, in this process: its exit status and what it printed."""
    ran = CliRunner().invoke(app, arguments, env=environment(service))
    if ran.exception is not None and not isinstance(ran.exception, CheckFailed):
        raise ran.exception
    return int(ran.exception is not None), [json.loads(line) for line in ran.stdout.splitlines()]


def run_outside(service: Service, *arguments: str) -> tuple[int, list[Record]]:
    """The same in a process of its own, as the operator has it."""
    ran = subprocess.run(
        [sys.executable, "-m", "rpm_stream", *arguments],
        env={**os.environ, **environment(service)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=service.folder,
    )
    assert ran.returncode in (0, 1), ran.stderr
    return ran.returncode, [json.loads(line) for line in ran.stdout.splitlines()]


def environment(service: Service) -> dict[str, str]:
    """The settings of the operator's commands."""
    return {
        **SETTINGS,
        "RPM_BOOTSTRAP": service.bootstrap,
        "RPM_DATA_DIR": str(service.folder / "operator"),
    }


def last(service: Service, topic: str) -> dict[str, Record]:
    """The last record of each id."""
    bodies = [json.loads(record.value) for record in asyncio.run(read(service.bootstrap, topic))]
    return {body["id"]: body for body in bodies}


def rung(service: Service) -> dict[str, list[Record]]:
    """What the alerts said, one after the other, by id: all but the marks that ticks of wall
    time put on them.
    """
    found: dict[str, list[Record]] = {}
    for record in asyncio.run(read(service.bootstrap, names.ALERTS)):
        body = without_time_driven(json.loads(record.value))
        said = found.setdefault(body["id"], [])
        if body not in said:
            said.append(body)
    return found


def test_the_topics_hold_what_the_replay_says(service: Service) -> None:
    """CONTRACT 4 a, by the operator's own command: from frames, and from the order of record."""
    for stage, emit in (("ingest", "all"), ("judge", "scores,alerts,observations")):
        status, told = run(
            service, "replay", "--from-kafka", "--stage", stage, "--emit", emit, "--compare"
        )
        assert (status, told) == (0, [])
    status, told = run(service, "replay", "--from-kafka", "--emit", "alerts")
    assert status == 0
    assert {line["record"]["id"] for line in told} == last(service, names.ALERTS).keys()


def test_reconcile_names_the_gap_and_nothing_else(service: Service) -> None:
    """Every part is somewhere; what the gateway counted and never sent is said.

    It may be interrupted and resumed.
    """
    for asked in (run_outside, run):
        status, told = asked(service, "reconcile", "--resume", str(service.folder / "books.sqlite"))
        assert status == 1
        assert [line for line in told if line["type"] in ("gap", "missing")] == [
            {
                "type": "gap",
                "gateway": "g",
                "device": "d",
                "boot": "b",
                "first": 62,
                "last": 63,
                "frames": 2,
                "unreadable": 0,
            }
        ]
        total = told[-1]
        assert (total["frames"], total["readings"], total["duplicates"], total["rejects"]) == (
            64,
            242,
            1,
            3,
        )
        assert (total["missing"], total["in_flight"], total["open_windows"]) == (
            0,
            {"frames": 0, "readings": 0},
            0,
        )
    status, told = run(service, "reconcile", "--until", "2026-01-01T00:00:00Z")
    assert (status, [line["type"] for line in told]) == (0, ["total"])


def test_what_was_refused_is_read_after_mending_and_rings_once(service: Service) -> None:
    """A device is registered; its refused frame is sent again by its place, twice; nothing else
    changes.
    """
    _, refused = run(service, "rejects", "list", "--reason", "unknown_device")
    assert [line["device"] for line in refused] == [STRANGER, STRANGER]
    _, [shown] = run(service, "rejects", "show", refused[0]["id"])
    assert (
        json.loads(shown["text"])["value"] in ("80.50", "9000")
        and "registry assign" in shown["mend"]
    )
    assert bytes.fromhex(shown["hexadecimal"]).decode() == shown["text"]
    alerts, observations = rung(service), last(service, names.OBSERVATIONS)
    register(service, worn(device=STRANGER))
    select = ("rejects", "redrive", "--reason", "unknown_device")
    assert run(service, *select, "--dry-run")[1] == [
        {"dry_run": True, "rejects": 2, "frames": 1, "judge": 0}
    ]
    for _ in range(2):
        assert run(service, *select)[1] == [{"rejects": 2, "frames": 1, "gone": 0, "judge": 0}]
        asyncio.run(drained(service))
    new = last(service, names.OBSERVATIONS)
    [found] = [body for name, body in new.items() if name not in observations]
    assert (found["device"]["reference"], found["valueQuantity"]["value"]) == (
        f"Device/{STRANGER}",
        80.5,
    )
    assert rung(service) == alerts
    status, told = run(service, "reconcile")
    assert [line["type"] for line in told if line["type"] != "hour"] == ["gap", "total"]
    assert (status, told[-1]["readings"]) == (1, 243)


def test_corrected_observations_are_published_and_no_alert(service: Service) -> None:
    """An Observation on the topic is wrong: compare names it, publish puts it right under its
    id, once.
    """
    alerts = rung(service)
    wrong = next(
        body for body in last(service, names.OBSERVATIONS).values() if "component" not in body
    )
    spoilt = {**wrong, "issued": "2020-01-01T00:00:00Z"}
    asyncio.run(put(service, names.OBSERVATIONS, b"p", spoilt))
    command = (
        "replay",
        "--from-kafka",
        "--stage",
        "judge",
        "--emit",
        "alerts,observations",
        "--compare",
    )
    difference = {
        "type": "difference",
        "kind": "observation",
        "id": wrong["id"],
        "what": "different",
        "fields": ["issued"],
    }
    assert run(service, *command) == (1, [difference])
    assert run(service, *command, "--publish", "observations") == (
        1,
        [difference, {"type": "published", "observations": 1}],
    )
    assert run(service, *command) == (0, [])
    assert last(service, names.OBSERVATIONS)[wrong["id"]] == {**wrong, "status": "corrected"}
    assert rung(service) == alerts


async def put(service: Service, topic: str, key: bytes, body: Record) -> tuple[int, int]:
    producer = AIOKafkaProducer(bootstrap_servers=service.bootstrap, enable_idempotence=True)
    await producer.start()
    try:
        sent = await producer.send_and_wait(topic, msgspec.json.encode(body), key=key)
        return sent.partition, sent.offset
    finally:
        await producer.stop()


def test_a_periodic_run_shows_its_sums(service: Service) -> None:
    """The gauges that deploy/prometheus/alerts.yml asks for, from a run that goes on by itself."""
    port = free_ports(19468, 1)
    command = [
        "reconcile",
        "--every",
        "1s",
        "--metrics-port",
        str(port),
        "--from",
        "2026-01-01T00:00:00Z",
    ]
    with (service.folder / "periodic.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "rpm_stream", *command],
            env={**os.environ, **environment(service)},
            stderr=log,
        )
    try:
        asyncio.run(until("a run has come to its end", lambda: shown_at(port)))
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=20).text
        assert "rpm_reconcile_gaps 1.0" in text and "rpm_reconcile_lost_frames 2.0" in text
        # the spoilt Observation of the test before
        assert "rpm_reconcile_missing_parts 1.0" in text
        assert "rpm_reconcile_in_flight_frames 0.0" in text
    finally:
        process.terminate()
        assert process.wait(30) == 0


async def shown_at(port: int) -> bool:
    try:
        async with httpx.AsyncClient() as client:
            text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    except httpx.TransportError:
        return False
    return "rpm_reconcile_last_success_timestamp_seconds 0.0" not in text


def test_a_frame_that_a_commit_jumped_over_is_missing(service: Service) -> None:
    """In flight while ingest has not come to it; missing once the group says that it was worked
    through.
    """
    service.kill("ingest-a")
    lost = frame([measurement(200, "weight", "80")], 200, 65)
    partition, offset = asyncio.run(put(service, names.FRAMES, b"d", lost))
    _, told = run(service, "reconcile")
    assert told[-1]["in_flight"]["frames"] == 1
    # the spoilt Observation of the test before: one id, two contents
    assert told[-1]["missing"] == 1
    asyncio.run(
        until(
            "the dead worker has left its group", lambda: jumped(service, partition, offset + 1), 60
        )
    )
    status, told = run(service, "reconcile")
    assert status == 1, told
    [found] = [line for line in told if line.get("kind") == "no_account"]
    assert (
        found["device"],
        found["frame"],
        found["topic"],
        found["partition"],
        found["offset"],
    ) == (
        "d",
        "f65",
        names.FRAMES,
        partition,
        offset,
    )


async def jumped(service: Service, partition: int, offset: int) -> bool:
    """Commit for ingest what it has not done; False while its dead worker is still a member.

    A client that commits by itself could put its own position back over this one as it ends.
    """
    frames = TopicPartition(names.FRAMES, partition)
    try:
        async with consumer(service.bootstrap, group_id=names.GROUP_INGEST) as group:
            group.assign([frames])
            await group.commit({frames: offset})
            return True
    except CommitFailedError:
        return False
