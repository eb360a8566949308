"""From Kafka to the EHR: nothing lost, nothing committed that was not answered, nothing told in
the log.
"""

from __future__ import annotations

import asyncio
import json
import logging
import stat
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from prometheus_client import REGISTRY as METRICS
from support.fhir_server import FhirServer, fhir_server

from rpm_stream.app.ehr.sink import run
from rpm_stream.app.kafka import topics
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.settings import Settings


def observation(name: str, patient: str, value: int = 72) -> bytes:
    body = {
        "resourceType": "Observation",
        "id": name,
        "subject": {"reference": f"Patient/{patient}"},
        "device": {"reference": f"Device/device-of-{patient}"},
        "valueQuantity": {"value": value},
    }
    return msgspec.json.encode(body)


def counted(name: str, **labels: str) -> float:
    return METRICS.get_sample_value(f"rpm_sink_{name}_total", labels) or 0.0


async def produce(bootstrap: str, *records: tuple[str, str, bytes | None]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for topic, key, value in records:
            await producer.send_and_wait(topic, value, key.encode())


async def lag(bootstrap: str) -> int:
    """Records of rpm.observations that the sink has not committed."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id="rpm-sink", enable_auto_commit=False
    )
    await consumer.start()
    try:
        (count,) = [
            topic.partitions for topic in topics.wanted() if topic.name == "rpm.observations"
        ]
        partitions = [TopicPartition("rpm.observations", number) for number in range(count)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        return sum([ends[one] - (await consumer.committed(one) or 0) for one in partitions])
    finally:
        await consumer.stop()


async def committed(bootstrap: str) -> None:
    while await lag(bootstrap):
        pass


@asynccontextmanager
async def sink(
    settings: Settings,
) -> AsyncIterator[Callable[[Coroutine[Any, Any, None]], Coroutine[Any, Any, None]]]:
    """A running sink; yields a function that awaits something while it runs, and fails when the
    sink ends first.
    """
    stop = asyncio.Event()
    task = asyncio.create_task(run(settings, stop))

    async def meanwhile(wanted: Coroutine[Any, Any, None]) -> None:
        waiting = asyncio.create_task(wanted)
        await asyncio.wait({waiting, task}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            assert task.done(), "nothing happened for 60 seconds"
            task.result()
        await waiting

    try:
        yield meanwhile
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


def settings_for(bootstrap: str, server: FhirServer, folder: Path) -> Settings:
    return Settings(bootstrap=bootstrap, fhir_url=server.url, data_dir=folder, _env_file=None)


def test_from_kafka_to_the_server(
    kafka: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Conflict, overload, a dropped connection, a refusal, garbage, a tombstone, and a stop in
    the middle.
    """
    caplog.set_level(logging.INFO)
    run_id = uuid4().hex
    name = {key: f"{key}-{run_id}" for key in ("one", "two", "bad", "late")}
    patient = f"patient-{run_id}"

    async def body() -> None:
        await topics.apply(kafka)
        await produce(
            kafka,
            (
                "rpm.registry",
                f"patient/{patient}",
                msgspec.json.encode({"v": 1, "patient": patient, "display": "Ada"}),
            ),
            ("rpm.registry", "device/broken", b"{"),
            ("rpm.observations", patient, observation(name["one"], patient, 71)),
            ("rpm.observations", patient, observation(name["one"], patient, 72)),
            ("rpm.observations", patient, observation(name["bad"], patient)),
            ("rpm.observations", patient, b"\xff not json"),
            ("rpm.observations", patient, None),
            ("rpm.observations", patient, observation(name["two"], patient)),
        )
        async with fhir_server() as server:
            settings = settings_for(kafka, server, tmp_path)
            server.refused = {f"Observation/{name['bad']}": 422}
            server.faults = [409, (429, {"Retry-After": "0"}), "drop_after_storing"]
            async with sink(settings) as meanwhile:
                await meanwhile(
                    server.until(lambda: f"Observation/{name['two']}" in server.versions)
                )
                await meanwhile(committed(kafka))
            assert server.versions[f"Patient/{patient}"][-1]["name"] == [{"text": "Ada"}]
            kept = [
                one["valueQuantity"]["value"]
                for one in server.versions[f"Observation/{name['one']}"]
            ]
            assert kept[-1] == 72
            assert f"Observation/{name['bad']}" not in server.versions
            server.always = 500
            await produce(kafka, ("rpm.observations", patient, observation(name["late"], patient)))
            async with sink(settings) as meanwhile:
                sent = len(server.requests)
                await meanwhile(server.until(lambda: len(server.requests) > sent))
            assert await lag(kafka) == 1, "what was not answered is not committed"
            server.always = None
            async with sink(settings) as meanwhile:
                await meanwhile(
                    server.until(lambda: f"Observation/{name['late']}" in server.versions)
                )
                await meanwhile(committed(kafka))
            assert len(server.versions[f"Observation/{name['one']}"]) == len(kept), (
                "nothing was sent again"
            )

    refused = counted("refused_resources", kind="Observation")
    written = counted("written_resources", kind="Observation")
    asyncio.run(body())
    assert counted("refused_resources", kind="Observation") - refused == 2
    assert counted("written_resources", kind="Observation") - written >= 3
    file = tmp_path / "sink-refused.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["status"], line.get("body", {}).get("id")) for line in lines] == [
        (0, None),
        (422, name["bad"]),
    ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run_id not in caplog.text


def test_a_second_member_takes_over_what_the_first_could_not_deliver(
    kafka: str, tmp_path: Path
) -> None:
    """A delivery under way ends when its partitions are taken; no old version is written after a
    newer one.
    """
    run_id = uuid4().hex
    patients = [f"{run_id}-{number}" for number in range(8)]

    async def body() -> None:
        await topics.apply(kafka)
        await produce(
            kafka, *[("rpm.observations", one, observation(one, one, 1)) for one in patients]
        )
        async with fhir_server() as server:
            server.always = 503
            async with sink(settings_for(kafka, server, tmp_path / "first")) as meanwhile:
                await meanwhile(server.until(lambda: len(server.requests) > 1))
                await produce(
                    kafka,
                    *[("rpm.observations", one, observation(one, one, 2)) for one in patients],
                )
                async with sink(settings_for(kafka, server, tmp_path / "second")) as besides:
                    sent = len(server.requests)
                    await besides(server.until(lambda: len(server.requests) > sent + 2))
                    server.always = None
                    await besides(committed(kafka))
            values = [
                [kept["valueQuantity"]["value"] for kept in server.versions[f"Observation/{one}"]]
                for one in patients
            ]
            assert all(versions in ([2], [1, 2]) for versions in values), values

    asyncio.run(body())


def test_logs_name_no_patient(kafka: str, tmp_path: Path) -> None:
    """Law 11, for our own log lines."""
    run_id = uuid4().hex

    async def body() -> None:
        await topics.apply(kafka)
        await produce(kafka, ("rpm.observations", run_id, observation(run_id, run_id)))
        async with fhir_server() as server:
            server.refused = {f"Observation/{run_id}": 400}
            async with sink(settings_for(kafka, server, tmp_path)) as meanwhile:
                await meanwhile(server.until(lambda: f"Patient/{run_id}" in server.versions))
                await meanwhile(committed(kafka))

    with structlog.testing.capture_logs() as logs:
        asyncio.run(body())
    refused = [log for log in logs if log["event"] == "sink.resource_refused"]
    assert [(log["status"], log["issues"]) for log in refused] == [(400, ["business-rule"])]
    assert run_id not in repr(logs)


def test_without_a_server_address_there_is_one_clear_line() -> None:
    with pytest.raises(UsageError, match="RPM_FHIR_URL"):
        asyncio.run(run(Settings(fhir_url=None, _env_file=None), asyncio.Event()))
