"""States damaged or lost in a changelog: one is held and the others go on; a lost partition
begins nobody anew.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic
from aiokafka.structs import ConsumerRecord
from support.faults.stand import TOKEN
from support.faults.states import damage, topics_without
from support.feed.records import alert as listed_alert
from support.frames import frame, measurement
from support.kafka.against_replay import is_summary, replay_command, without_time_driven
from support.kafka.service import Service, committed_notes, drained, read, running, send, until

from rpm_stream.app.kafka import names
from rpm_stream.app.kafka.range_reader import ends, reaching
from rpm_stream.app.operate.rebuild_state import changelog
from rpm_stream.app.registry.topic import write
from rpm_stream.app.runtime.end import EXIT_STATE
from rpm_stream.app.stages.demo import free_ports
from rpm_stream.pipeline.held import RULE, read_held
from rpm_stream.records import Assignment, DeviceEntry

PEOPLE = ("zaphod", "trillian", "marvin")
STAGES = ("ingest", "judge")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    port = str(free_ports(23_000 + os.getpid() % 20_000, 1))
    settings = {"RPM_TIME": "recorded", "RPM_TOKEN": TOKEN, "RPM_FEED_PORT": port}
    with running(tmp_path_factory.mktemp("state"), settings) as service:
        yield service


def frames(turns: range) -> list[bytes]:
    """A frame of each person a turn: their oxygen is low, and stays so."""
    return [
        msgspec.json.encode(
            frame(
                [
                    measurement(5 * turn, "oxygen_saturation", "84"),
                    measurement(5 * turn, "heart_rate", "80"),
                ],
                5 * turn,
                seq=turn,
                device=f"{name}-ring",
                frame=f"{name}{turn}",
            )
        )
        for turn in turns
        for name in PEOPLE
    ]


def last_states(service: Service, stage: Any) -> dict[bytes, ConsumerRecord]:
    last = {record.key: record for record in asyncio.run(read(service.bootstrap, changelog(stage)))}
    return {key: record for key, record in last.items() if record.value is not None}


def decoded(service: Service, topic: str) -> list[dict[str, Any]]:
    return [
        msgspec.json.decode(record.value) for record in asyncio.run(read(service.bootstrap, topic))
    ]


def cli(service: Service, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    ran = subprocess.run(
        [sys.executable, "-m", "rpm_stream", *arguments],
        env={**os.environ, "RPM_BOOTSTRAP": service.bootstrap, "RPM_TIME": "recorded"},
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, [json.loads(line) for line in ran.stdout.splitlines()], ran.stderr


async def acknowledge(service: Service, patient: str, alert: str | None = None) -> None:
    """Somebody is on the patient's alert, or on the one with this id."""
    found = [
        msgspec.json.decode(record.value) for record in await read(service.bootstrap, names.ALERTS)
    ]
    last = [one for one in found if one["patient"] == patient and alert in (None, one["id"])][-1]
    action = {
        "v": 1,
        "patient": patient,
        "alert": last["id"],
        "action": "acknowledge",
        "who": "nurse",
    }
    action["at"] = last["updated_at"]
    async with AIOKafkaProducer(bootstrap_servers=service.bootstrap) as producer:
        await producer.send_and_wait(
            names.ACTIONS, msgspec.json.encode(action), key=patient.encode()
        )


def test_more_copies_than_there_are_brokers_is_one_line_and_not_tried_again(
    service: Service,
) -> None:
    """Before any state was kept: a wrong setting, and no broker that is away."""
    ran = subprocess.run(
        [sys.executable, "-m", "rpm_stream", "worker"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={
            **os.environ,
            "RPM_BOOTSTRAP": service.bootstrap,
            "RPM_REPLICATION": "3",
            "RPM_METRICS_PORT": "0",
            "RPM_LOG_LEVEL": "ERROR",
            "RPM_DATA_DIR": str(service.folder),
        },
    )
    assert (ran.returncode, ran.stdout) == (2, ""), ran.stderr
    others = [
        line
        for line in ran.stderr.splitlines()
        if not re.search("InvalidReplicationFactorError$", line)
    ]
    assert all("rpm-clock" in line for line in others), others


def begin(service: Service) -> None:
    """Everybody has a device, and four frames are judged."""
    worn = [
        DeviceEntry(device=f"{name}-ring", assignments=(Assignment(patient=name),))
        for name in PEOPLE
    ]
    asyncio.run(write(service.bootstrap, worn))
    asyncio.run(send(service.bootstrap, frames(range(4))))
    for stage in STAGES:
        service.start(stage)
    asyncio.run(drained(service))


def stop(service: Service, number: int = signal.SIGTERM) -> None:
    for name in list(service.processes):
        service.kill(name, number)


def alerts_of(service: Service, patient: str) -> dict[str, dict[str, Any]]:
    """The last record of each alert of a patient."""
    return {one["id"]: one for one in decoded(service, names.ALERTS) if one["patient"] == patient}


def by_whom(service: Service, topic: str) -> Counter[str]:
    """How many records there are of each device or patient."""
    is_account = topic == names.ACCOUNTS
    return Counter(
        one["device"] if is_account else one["subject"]["reference"]
        for one in decoded(service, topic)
    )


def check_as_replayed(service: Service, folder: Path) -> None:
    """Law 2a: the last record of each id is what a replay over the order of record gives."""
    file, registry = folder / "readings.jsonl", folder / "registry.jsonl"
    records = sorted(
        asyncio.run(read(service.bootstrap, names.READINGS)),
        key=lambda one: (one.partition, one.offset),
    )
    file.write_bytes(b"\n".join(record.value for record in records))
    registry.write_bytes(
        b"\n".join(record.value for record in asyncio.run(read(service.bootstrap, names.REGISTRY)))
    )
    ran = subprocess.run(
        replay_command(file, registry),
        capture_output=True,
        check=True,
    )
    wanted: dict[str, dict[str, Any]] = {}
    for line in map(msgspec.json.decode, ran.stdout.splitlines()):
        wanted.setdefault(line["type"], {})[line["record"]["id"]] = line["record"]
    found = {
        one["id"]: one for one in decoded(service, names.ALERTS) if not one["rule"].startswith(RULE)
    }
    assert found.keys() == wanted["alert"].keys()
    for key, alert in wanted["alert"].items():
        assert without_time_driven(found[key]) == without_time_driven(alert)
    assert {one["id"]: one for one in decoded(service, names.SCORES)} == wanted.get("score", {})
    observations = {one["id"]: one for one in decoded(service, names.OBSERVATIONS)}
    missing = wanted["observation"].keys() - observations.keys()
    # windows that are still open
    assert all(is_summary(wanted["observation"][key]) for key in missing)
    assert observations == {
        key: one for key, one in wanted["observation"].items() if key not in missing
    }


def count_readings(service: Service) -> int:
    """How many readings there are, each once."""
    made = [
        one["id"]
        for message in decoded(service, names.READINGS)
        for one in message.get("readings", ())
    ]
    accounts = {
        (one["partition"], one["offset"]): one["readings"]
        for one in decoded(service, names.ACCOUNTS)
    }
    assert sum(accounts.values()) == len(set(made)), "a reading in two frames"
    return len(set(made))


def test_a_damaged_state_is_held_the_others_are_judged_and_mended_all_is_as_replayed(
    service: Service, tmp_path: Path
) -> None:
    """Of one patient, and of another's device."""
    begin(service)
    asyncio.run(acknowledge(service, "zaphod"))
    asyncio.run(drained(service))
    asyncio.run(send(service.bootstrap, frames(range(4, 6))))
    asyncio.run(drained(service))
    stop(service)
    hit = {"ingest": b"trillian-ring", "judge": b"zaphod"}
    whole = {stage: last_states(service, stage)[key] for stage, key in hit.items()}
    for record in whole.values():
        asyncio.run(damage(service.bootstrap, record))
    damaged = {stage: last_states(service, stage)[key] for stage, key in hit.items()}

    # The stages go on; each says what is held, and where.
    accounts, published = by_whom(service, names.ACCOUNTS), by_whom(service, names.OBSERVATIONS)
    alerts = alerts_of(service, "zaphod")
    said_before = service.log.stat().st_size
    asyncio.run(send(service.bootstrap, frames(range(6, 8))))
    for stage in STAGES:
        service.start(stage)
    asyncio.run(drained(service))
    said = service.log.read_text(errors="replace")[said_before:]
    lines = [line for line in said.splitlines() if '"state.held"' in line]
    assert len(lines) == 2
    for stage, record in damaged.items():
        [line] = [line for line in lines if f'"{stage}"' in line]
        for fact in (
            "state rebuild",
            "checksum is wrong",
            str(record.partition),
            str(record.offset),
        ):
            assert fact in line
    assert not any(name in said for name in PEOPLE)
    assert by_whom(service, names.ACCOUNTS) - accounts == {"zaphod-ring": 2, "marvin-ring": 2}
    assert (by_whom(service, names.OBSERVATIONS) - published).keys() == {"Patient/marvin"}
    [alert] = [one for key, one in alerts_of(service, "zaphod").items() if one != alerts.get(key)]
    assert (alert["group"], alert["priority"], alert["state"]) == (
        "device:not_judged",
        "medium",
        "open",
    )

    # Somebody takes it on; killed, the stages hold what they held, and keep what comes.
    asyncio.run(acknowledge(service, "zaphod", alert["id"]))
    asyncio.run(drained(service))
    stop(service, signal.SIGKILL)
    asyncio.run(send(service.bootstrap, frames(range(8, 10))))
    for stage in STAGES:
        service.start(stage)
    asyncio.run(drained(service))
    held = alerts_of(service, "zaphod")[alert["id"]]
    assert (held["state"], [step["who"] for step in held["history"]]) == (
        "acknowledged",
        ["rpm-stream", "nurse"],
    )
    assert sum(one["state"] != "resolved" for one in alerts_of(service, "zaphod").values()) == 2

    # What the message says to do; the agents notice it while they run.
    status, found, _ = cli(service, "state", "check")
    assert (status, [one["stage"] for one in found]) == (1, ["ingest", "judge"])
    assert all("kept_from" in one for one in found)
    status, made, fault = cli(service, "state", "rebuild")
    assert (status, [one["messages"] for one in made], fault) == (0, [6, 7], "")
    assert cli(service, "state", "check")[:2] == (0, [])

    async def caught_up() -> bool:
        states = {
            stage: {one.key: one.value for one in await read(service.bootstrap, changelog(stage))}
            for stage in hit
        }
        return not any(read_held(states[stage][key]) for stage, key in hit.items())

    asyncio.run(until("both are mended", caught_up, 30))
    asyncio.run(drained(service))
    assert alerts_of(service, "zaphod")[alert["id"]]["state"] == "resolved"
    assert count_readings(service) == len(PEOPLE) * 10 * 2
    check_as_replayed(service, tmp_path)

    # And all goes on: what was sent before is known, nobody's alert is opened again.
    asyncio.run(send(service.bootstrap, frames(range(11))))
    asyncio.run(drained(service))
    assert count_readings(service) == len(PEOPLE) * 11 * 2
    assert (
        len([one for one in alerts_of(service, "zaphod").values() if one["group"] == "vital_signs"])
        == 1
    )
    check_as_replayed(service, tmp_path)
    stop(service)


@pytest.mark.parametrize("how", ["deleted", pytest.param("emptied", marks=pytest.mark.heavy)])
def test_a_lost_changelog_is_not_begun_anew_in_silence(
    service: Service, tmp_path: Path, how: str
) -> None:
    """Deleted (the stage makes it again), or put back empty; the one of the judge first, then
    that of ingest.
    """
    begin(service)
    opened = set(alerts_of(service, "zaphod"))
    for stage in STAGES:
        stop(service)
        notes = asyncio.run(committed_notes(service.bootstrap, stage))
        known = last_states(service, stage)
        assert sum(note.states for note in notes) == len(known)
        if how == "deleted":
            asyncio.run(topics_without(service.bootstrap, changelog(stage)))
        else:
            asyncio.run(emptied(service, changelog(stage)))
        said_before = service.log.stat().st_size
        service.start(stage)
        assert service.processes.pop(f"{stage}-a").wait(90) == EXIT_STATE
        said = service.log.read_text(errors="replace")[said_before:]
        assert (
            sum('"state.lost"' in line and "state rebuild" in line for line in said.splitlines())
            == 1
        )
        status, found, _ = cli(service, "state", "check")
        assert (status, {one["stage"] for one in found}) == (1, {stage})
        status, made, fault = cli(service, "state", "rebuild")
        assert (status, sum(one["states"] for one in made), fault) == (0, len(known), "")
        assert cli(service, "state", "check")[:2] == (0, [])
        asyncio.run(send(service.bootstrap, frames(range(12))))
        for each in STAGES:
            service.start(each)
        asyncio.run(drained(service))
        stop(service, signal.SIGKILL)
        for each in STAGES:
            service.start(each)  # and once more: the commits say what there is now
        asyncio.run(drained(service))
        assert all(process.poll() is None for process in service.processes.values())
    stop(service)
    assert alerts_of(service, "zaphod").keys() == opened, "a second alert for the same cause"
    assert {status for _, status in service.exits} <= {EXIT_STATE}, service.exits
    check_as_replayed(service, tmp_path)


async def emptied(service: Service, topic: str) -> None:
    """The topic as an operator would put it back without a backup."""
    async with reaching(service.bootstrap) as broker:
        partitions = len(await ends(broker, topic))
    await topics_without(service.bootstrap, topic)
    async with reaching(service.bootstrap) as broker:
        await broker.admin.create_topics(
            [NewTopic(topic, partitions, 1, topic_configs={"cleanup.policy": "compact"})]
        )


def test_a_decision_on_an_alert_that_the_judge_does_not_know_is_answered_and_can_end_it(
    service: Service,
) -> None:
    """As of a state that was lost: the record stands in the feed, and nothing else is left of
    the alert.
    """
    begin(service)
    key = str(uuid4())
    left = listed_alert(key, "zaphod", "high", title="Oxygen low")

    async def put() -> None:
        async with AIOKafkaProducer(bootstrap_servers=service.bootstrap) as producer:
            await producer.send_and_wait(names.ALERTS, msgspec.json.encode(left), key=key.encode())

    asyncio.run(put())
    service.start("feed")
    url = f"http://127.0.0.1:{service.settings['RPM_FEED_PORT']}/api/alerts"
    body = {"who": "N. Adeyemi", "reason": "looked at"}

    async def decide() -> None:
        async with httpx.AsyncClient(
            headers={"authorization": f"Bearer {TOKEN}"}, timeout=20
        ) as client:

            async def waits(what: str, wanted: Callable[[dict[str, Any]], Any]) -> None:
                async def shown() -> bool:
                    try:
                        found = await client.get(f"{url}/{key}")
                    except httpx.TransportError:
                        return False
                    return found.status_code == 200 and bool(wanted(found.json()["alert"]))

                await until(what, shown, 60)

            await waits("the alert is listed", lambda view: view["row"]["state"] == "open")
            assert (await client.post(f"{url}/{key}/acknowledge", json=body)).status_code == 202
            await waits(
                "it is answered",
                lambda view: "keeps nothing of this alert" in (view["answer"] or ""),
            )
            assert (await client.post(f"{url}/{key}/resolve", json=body)).status_code == 202
            await waits(
                "it is ended",
                lambda view: view["row"]["state"] == "resolved" and not view["pending"],
            )

    asyncio.run(decide())
    stop(service)
