"""A host's clock a day ahead or behind: nobody is called silent who is not, nobody is missed, and
it is named.

With libfaketime (Debian: libfaketime) the stage's process really has that clock; else its
``time.time`` shows it.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
from support.faults.cases import begin_off
from support.kafka.service import Service, drained, read, running, send, until

from rpm_stream.app.kafka import names
from rpm_stream.app.registry.topic import write
from rpm_stream.app.stages.demo import free_ports
from rpm_stream.records import Assignment, DeviceEntry, PatientEntry

DAY_S = 86_400
METRICS = 24_000


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    port = free_ports(METRICS, 4)
    with running(tmp_path, {"RPM_METRICS_PORT": str(port), "RPM_LOG_LEVEL": "INFO"}) as started:
        yield started


def frame(name: str, at: datetime, number: int) -> bytes:
    body = {
        "v": 1,
        "frame": f"f-{name}-{number}",
        "gateway": "gw",
        "device": f"strap-{name}",
        "seq": number,
        "boot": "b",
        "sent_at": at.isoformat(),
        "measurements": [
            {"at": at.isoformat(), "vital": "heart_rate", "value": "72", "unit": "/min"}
        ],
    }
    return json.dumps(body).encode()


def people() -> list[DeviceEntry | PatientEntry]:
    """Two who are expected to be heard every hour."""
    found: list[DeviceEntry | PatientEntry] = []
    for name in ("heard", "silent"):
        found.append(PatientEntry(patient=name, expected_every={"heart_rate": 60}))
        found.append(DeviceEntry(device=f"strap-{name}", assignments=(Assignment(patient=name),)))
    return found


async def silences(service: Service) -> set[str]:
    alerts = [
        msgspec.json.decode(record.value) for record in await read(service.bootstrap, names.ALERTS)
    ]
    return {alert["patient"] for alert in alerts if alert["group"] == "device:silence"}


async def offset(service: Service, stage: str) -> float | None:
    """The gauge of a stage, as Prometheus would read it; None while it does not answer."""
    port = int(service.settings["RPM_METRICS_PORT"]) + ["ingest", "judge"].index(stage)
    try:
        async with httpx.AsyncClient() as client:
            text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    except httpx.TransportError:
        return None
    found = [
        line
        for line in text.splitlines()
        if line.startswith(f'rpm_clock_offset_seconds{{stage="{stage}"}}')
    ]
    return float(found[0].split()[-1]) if found else None


# `make test` has the one that would ring for everybody
ALL = os.environ.get("RPM_FAULTS", "short") != "short"


@pytest.mark.parametrize(
    "off", [DAY_S, *([-DAY_S] if ALL else [])], ids=lambda off: "ahead" if off > 0 else "behind"
)
def test_a_worker_a_day_off(service: Service, off: int) -> None:
    """Who was heard just now is not silent, who was not heard for two hours is, and both agents
    say what is wrong.
    """

    async def story() -> None:
        await write(service.bootstrap, people())
        for stage in ("ingest", "judge"):
            begin_off(service, stage, off)
        now = datetime.now(UTC)
        frames = [frame("silent", now - timedelta(hours=2), 0)] + [
            frame("heard", now, n) for n in range(3)
        ]
        await send(service.bootstrap, frames)
        await drained(service)

        async def told() -> bool:
            return "silent" in await silences(service)

        await until("the one who is silent is told", told, 60)
        # ten more looks of the barrier: whoever else were silent would be told by now
        await asyncio.sleep(5)
        assert await silences(service) == {"silent"}
        for stage in ("ingest", "judge"):
            assert await offset(service, stage) == pytest.approx(off, abs=60)

    asyncio.run(story())
    said = [
        json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")
    ]
    named = {line["stage"] for line in said if line["event"] == "clock.host_clock_wrong"}
    assert named == {"ingest", "judge"}
    assert service.exits == []
