"""Corrects the wearer of a device in the registry, and gives each person their own readings.

It is for a device that was on another person than the registry had.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import msgspec
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.kafka.clients import answering, producer
from rpm_stream.app.kafka.names import ACTIONS, OBSERVATIONS, READINGS
from rpm_stream.app.kafka.range_reader import KafkaClients, reaching, records, window
from rpm_stream.app.operate.assign_device import device_entry
from rpm_stream.app.operate.assignments import assigned, taken_back
from rpm_stream.app.registry.topic import PATIENCE_SECONDS, write
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.knowledge import Knowledge
from rpm_stream.pipeline.holdings import Correction, Holdings, as_message
from rpm_stream.publish.fhir.ids import observation_id
from rpm_stream.publish.fhir.remaining import Remaining
from rpm_stream.records import UNREADABLE, Action, Assignment, Reading, Readings, Record

# Every worker follows the registry by itself, within milliseconds. Readings that ingest makes after
# this time go to the right person.
WORKERS_KNOW_SECONDS = 2.0

Message = TypeVar("Message")


class Corrected(Record, frozen=True, kw_only=True):
    """The result of a correction: how many readings moved, and how many actions were sent."""

    readings: int
    actions: int


class _Published(msgspec.Struct, frozen=True):
    """The part of an Observation that is needed here."""

    id: str = ""


_readings = msgspec.json.Decoder(Readings)
_action = msgspec.json.Decoder(Action)
_published = msgspec.json.Decoder(_Published)


async def correct(
    bootstrap: str, device: str, span: Assignment, order: Correction, knowledge: Knowledge
) -> Corrected:
    """Give the readings of ``device`` in ``span`` to ``order.patient``.

    It changes the registry and sends actions, and the judge does the rest. The command may be
    repeated after an interruption. Raises ``UsageError`` when the broker is away or the registry
    does not have the device.
    """
    known = await device_entry(bootstrap, device)
    if known is None:
        raise UsageError("the registry has no such device")
    await write(
        bootstrap, [taken_back(known, span) if order.patient is None else assigned(known, span)]
    )
    await asyncio.sleep(WORKERS_KNOW_SECONDS)
    holdings = Holdings(device, span)
    async with reaching(bootstrap, (READINGS, ACTIONS, OBSERVATIONS)) as broker:
        name = msgspec.json.encode(device)
        async for message in _messages(
            broker, _readings, READINGS, lambda record: name in record.value
        ):
            holdings.add(message.readings)
        # The order of corrections does not matter, but none may be missing, not even one that is
        # not forwarded yet.
        async for action in _messages(broker, _action, ACTIONS):
            holdings.act(action)
        wrong = holdings.wrong(order.patient)
        if not knowledge.vitals.keys() >= {reading.vital for reading in wrong}:
            raise UsageError(
                "the tables lack a vital of these readings: name the clinic's own in RPM_KNOWLEDGE"
            )
        shown = await _shown(broker, wrong)
        remaining = Remaining(wrong, holdings.voided, knowledge)
        await _fill(broker, remaining)
    actions = holdings.corrections(order, shown, remaining)
    await _send(bootstrap, actions)
    return Corrected(readings=len(wrong), actions=len(actions))


async def _shown(broker: KafkaClients, wrong: list[Reading]) -> set[str]:
    """Return the ids of those readings that have an Observation of their own."""
    ids = {observation_id(reading.id): reading.id for reading in wrong}
    if not ids:
        return set()
    return {
        ids[found.id]
        async for found in _messages(broker, _published, OBSERVATIONS)
        if found.id in ids
    }


async def _fill(broker: KafkaClients, remaining: Remaining) -> None:
    """Count the other readings in the windows of the wrong ones.

    The windows are known only after the wrong readings were found.
    """
    wearers = {patient.encode() for patient in remaining.patients}
    if not wearers:
        return
    async for message in _messages(
        broker, _readings, READINGS, lambda record: record.key in wearers
    ):
        remaining.add(message.readings)
    async for action in _messages(broker, _action, ACTIONS):
        if action.action == "adopt":
            remaining.add(as_message(action, action.patient).readings)


async def _messages(
    broker: KafkaClients,
    decoder: msgspec.json.Decoder[Message],
    topic: str,
    wanted: Callable[[ConsumerRecord], bool] = lambda _: True,
) -> AsyncIterator[Message]:
    """Yield every ``wanted`` message that is in ``topic`` now."""
    async for batch in records(broker, await window(broker, topic, None, None), lambda *_: None):
        for record in batch:
            if (
                record.value
                and wanted(record)
                and (message := _decoded(decoder, record.value)) is not None
            ):
                yield message


def _decoded(decoder: msgspec.json.Decoder[Message], value: bytes) -> Message | None:
    """Return the message, or None for another kind of record, such as an action among readings."""
    try:
        return decoder.decode(value)
    except UNREADABLE:
        return None


async def _send(bootstrap: str, actions: list[Action]) -> None:
    async with answering(bootstrap), producer(bootstrap) as writer:
        for action in actions:  # in order: adopted before taken back
            send = writer.send_and_wait(
                ACTIONS, msgspec.json.encode(action), key=action.patient.encode()
            )
            await asyncio.wait_for(send, PATIENCE_SECONDS)
