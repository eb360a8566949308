"""Twenty people who are measured all the time, and the delay until each reading is judged."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from statistics import median, quantiles
from time import monotonic
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from rpm_stream.app.kafka import names
from rpm_stream.app.registry.topic import write
from rpm_stream.records import Assignment, DeviceEntry, PatientEntry

PEOPLE = 20
EVERY_SECONDS = 5.0  # between two frames of a person


class Delays(NamedTuple):
    """Seconds from the uplink of a reading to its Observation.

    They are of the readings that were sent in one stretch of time.
    """

    seconds: list[float]

    @property
    def middle(self) -> float:
        return median(self.seconds)

    @property
    def p99(self) -> float:
        return quantiles(self.seconds, n=100)[-1]


class LiveWard:
    """``task`` sends until it is cancelled. ``seen`` fills as the judge writes Observations."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.sent: dict[tuple[str, str], float] = {}
        self.seen: dict[tuple[str, str], float] = {}
        # time of a patient's first high alert
        self.alerts: dict[str, tuple[float, dict[str, Any]]] = {}
        self._count = 0

    async def register(self, *more: str) -> None:
        """Give each person a device of the same number, and register others by name."""
        people = [*(f"p{number}" for number in range(PEOPLE)), *more]
        entries: list[DeviceEntry | PatientEntry] = [PatientEntry(patient=name) for name in people]
        entries += [
            DeviceEntry(device=f"d-{name}", assignments=(Assignment(patient=name),))
            for name in people
        ]
        await write(self.bootstrap, entries)

    async def uplink(self, producer: AIOKafkaProducer, person: str, saturation: str) -> None:
        """Send one reading of now."""
        self._count += 1
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        frame = {
            "v": 1,
            "frame": f"{person}.{self._count}",
            "gateway": f"g-{person}",
            "device": f"d-{person}",
            "seq": self._count,
            "boot": "1",
            "sent_at": at,
            "measurements": [
                {"at": at, "vital": "respiratory_rate", "value": "16", "unit": "/min"},
                {"at": at, "vital": "oxygen_saturation", "value": saturation, "unit": "%"},
            ],
        }
        self.sent[person, at] = monotonic()
        await producer.send_and_wait(
            names.FRAMES, json.dumps(frame).encode(), key=f"d-{person}".encode()
        )

    async def live(self) -> None:
        """Send for each person in turn, until cancelled."""
        async with AIOKafkaProducer(
            bootstrap_servers=self.bootstrap, enable_idempotence=True
        ) as producer:
            while True:
                for number in range(PEOPLE):
                    await self.uplink(producer, f"p{number}", "97")
                    await asyncio.sleep(EVERY_SECONDS / PEOPLE)

    async def follow(self) -> None:
        """Note when Observations and high alerts come."""
        consumer = AIOKafkaConsumer(
            names.OBSERVATIONS, names.ALERTS, bootstrap_servers=self.bootstrap
        )
        await consumer.start()
        try:
            async for record in consumer:
                self._note(record.topic, msgspec.json.decode(record.value))
        finally:
            await consumer.stop()

    def _note(self, topic: str, body: dict[str, Any]) -> None:
        if topic == names.ALERTS:
            if body["priority"] == "high":
                self.alerts.setdefault(body["patient"], (monotonic(), body))
        elif "effectiveDateTime" in body:
            at = datetime.fromisoformat(body["effectiveDateTime"]).astimezone(UTC)
            person = body["subject"]["reference"].removeprefix("Patient/")
            stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            self.seen.setdefault((person, stamp), monotonic())

    def delays(self, since: float, until: float) -> Delays:
        """Return the delays of what was sent in a stretch of the monotonic clock.

        Each must have been seen.
        """
        sent = {key: at for key, at in self.sent.items() if since <= at < until}
        return Delays([self.seen[key] - at for key, at in sent.items()])

    def owed(self, until: float) -> int:
        """Return readings that were sent before then and have no Observation yet."""
        return sum(at < until and key not in self.seen for key, at in self.sent.items())
