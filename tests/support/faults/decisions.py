"""People who decide about alerts during a fault, and the replay that the topics must equal."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from support.faults.load import Load, encoded, load_of
from support.kafka.against_replay import Wanted, replayed
from support.kafka.service import Service, read

from rpm_stream.app.kafka import names
from rpm_stream.records import Action, Alert

KINDS = ("acknowledge", "snooze", "comment", "resolve", "see", "assign", "withdraw", "new_normal")
SHARE = 0.5  # of the alert records that somebody decides about, soon and more than once
PEOPLE = 12


def ward(folder: Path, rounds: int) -> Load:
    """Return people whose oxygen falls and recovers and whose glucose swings.

    Each begins at another time, from the day after tomorrow on. Their time is recorded and lies
    ahead of every clock, so no tick of wall time can come between two records. Everything that time
    does to an alert (it escalates, a snooze ends) is therefore decided by the records too, and can
    be compared.
    """
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    lines = ["patient,measured_at,vital,value,unit\n"]
    for turn in range(rounds):
        at = (start + timedelta(minutes=5 * turn)).isoformat()
        for person in range(PEOPLE):
            low = (turn + 7 * person) % 30 < 8
            lines.append(
                f"p{person},{at},oxygen_saturation,{90 - (turn + person) % 7 if low else 97},%\n"
            )
            if turn % 3 == person % 3:
                glucose = (65, 120, 130, 260)[(turn // 3 + person) % 4]
                lines.append(f"p{person},{at},glucose,{glucose},mg/dL\n")
    (folder / "ward.csv").write_text("".join(lines))
    registry = folder / "registry.jsonl"
    return load_of(folder, encoded(folder / "ward.csv", registry), registry)


class People:
    """People who read rpm.alerts and decide about what they see.

    ``sent`` counts the decisions by kind.
    """

    def __init__(self, service: Service, chance: random.Random) -> None:
        self._service, self._chance = service, chance
        self.sent: Counter[str] = Counter()

    async def decide(self) -> None:
        """Decide until cancelled. A broker that is away only delays the decisions."""
        consumer = AIOKafkaConsumer(
            names.ALERTS, bootstrap_servers=self._service.bootstrap, auto_offset_reset="earliest"
        )
        producer = AIOKafkaProducer(
            bootstrap_servers=self._service.bootstrap, enable_idempotence=True
        )
        async with consumer, producer:
            async for record in consumer:
                alert = msgspec.json.decode(record.value, type=Alert)
                if self._chance.random() < SHARE:
                    action = self._action(alert)
                    self.sent[action.action] += 1
                    await producer.send(
                        names.ACTIONS, msgspec.json.encode(action), key=action.patient.encode()
                    )

    def _action(self, alert: Alert) -> Action:
        """Return an action a little after the alert's record.

        About one in ten is by a person who has seen a lower priority of the alert.
        """
        chance = self._chance
        at = alert.updated_at + timedelta(minutes=chance.randint(0, 12))
        seen = "low" if chance.random() < 0.1 else alert.priority
        return Action(
            patient=alert.patient,
            alert=alert.id,
            action=chance.choice(KINDS),
            who=f"nurse {chance.randint(1, 3)}",
            at=at,
            reason="calling",
            until=at + timedelta(minutes=chance.randint(5, 90)),
            to="M. Keller",
            seen=seen,
            record=alert.updated_at,
        )


@asynccontextmanager
async def deciding(service: Service, chance: random.Random) -> AsyncIterator[People]:
    """Let people decide until the end of the block."""
    people = People(service, chance)
    work = asyncio.create_task(people.decide())
    try:
        yield people
        assert not work.done(), work.exception()
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


async def by_the_order_of_record(service: Service, load: Load) -> Wanted:
    """Return what the topics must hold (CONTRACT 4 a): the replay of rpm.readings.

    It includes copies. For readings and rejects it is the replay of the frames.
    """
    messages = [record.value for record in await read(service.bootstrap, names.READINGS)]
    folder = service.folder / "order"
    folder.mkdir(exist_ok=True)
    wanted = await asyncio.to_thread(replayed, folder, load.registry, messages)
    return {**wanted, "reading": load.wanted["reading"], "reject": load.wanted.get("reject", {})}


def without_marks(body: dict[str, Any]) -> dict[str, Any]:
    """Return an alert with its whole history, but without marks.

    A replay sets the marks before each record, the service only with a tick.
    """
    return {
        name: part
        for name, part in body.items()
        if name not in ("stale", "historical", "updated_at")
    }


async def between_readings(service: Service) -> tuple[int, int]:
    """Count the decisions between readings of their patient, and the copies of forwarded ones."""
    open_: Counter[str] = Counter()
    between, places, copies = 0, set(), 0
    for record in await read(service.bootstrap, names.READINGS):
        body = msgspec.json.decode(record.value)
        if "action" not in body:
            between += open_.pop(body["patient"], 0)
        elif (place := (body["partition"], body["offset"])) in places:
            copies += 1
        else:
            places.add(place)
            open_[body["patient"]] += 1
    return between, copies
