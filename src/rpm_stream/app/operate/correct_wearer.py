"""A device was on another person than the registry said: mend the registry, and give everybody
their own readings.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import msgspec
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.kafka.clients import producer
from rpm_stream.app.kafka.names import ACTIONS, OBSERVATIONS, READINGS
from rpm_stream.app.kafka.range_reader import Broker, reaching, records, window
from rpm_stream.app.operate.assign_device import device_entry
from rpm_stream.app.operate.assignments import assigned, taken_back
from rpm_stream.app.registry.topic import PATIENCE_SECONDS, write
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.knowledge import Knowledge
from rpm_stream.pipeline.corrections import Correction, Holdings, as_message
from rpm_stream.publish.fhir.ids import observation_id
from rpm_stream.publish.fhir.remaining import Remaining
from rpm_stream.records import UNREADABLE, Action, Assignment, Reading, Readings, Record

# Every worker follows the registry by itself, in milliseconds: what ingest reads after this it
# gives to the right one.
WORKERS_KNOW_SECONDS = 2.0

Message = TypeVar("Message")


class Corrected(Record, frozen=True, kw_only=True):
    """What a correction moved: readings, and the actions that were sent for them."""

    readings: int
    actions: int


class _Published(msgspec.Struct, frozen=True):
    """An Observation as far as it is looked at."""

    id: str = ""


_readings = msgspec.json.Decoder(Readings)
_action = msgspec.json.Decoder(Action)
_published = msgspec.json.Decoder(_Published)


async def correct(
    bootstrap: str, device: str, span: Assignment, order: Correction, knowledge: Knowledge
) -> Corrected:
    """The readings of ``device`` in ``span`` are ``order.patient``'s; the judge does the rest by
    what is sent to it.

    May be given again after an interruption. Raises UsageError when the broker is away or nobody
    knows the device.
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
        # Of corrections the order does not matter, but that none is missing: also one that is not
        # forwarded yet.
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


async def _shown(broker: Broker, wrong: list[Reading]) -> set[str]:
    """The ids of those readings that have an Observation of their own."""
    ids = {observation_id(reading.id): reading.id for reading in wrong}
    if not ids:
        return set()
    return {
        ids[found.id]
        async for found in _messages(broker, _published, OBSERVATIONS)
        if found.id in ids
    }


async def _fill(broker: Broker, remaining: Remaining) -> None:
    """Count what else is in the windows: nobody knew which they are before the wrong readings
    were found.
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
    broker: Broker,
    decoder: msgspec.json.Decoder[Message],
    topic: str,
    wanted: Callable[[ConsumerRecord], bool] = lambda _: True,
) -> AsyncIterator[Message]:
    """Every ``wanted`` message that is in ``topic`` now."""
    async for batch in records(broker, await window(broker, topic, None, None), lambda *_: None):
        for record in batch:
            if (
                record.value
                and wanted(record)
                and (message := _decoded(decoder, record.value)) is not None
            ):
                yield message


def _decoded(decoder: msgspec.json.Decoder[Message], value: bytes) -> Message | None:
    """None for what is no such message: a forwarded action among readings, or nothing of ours."""
    try:
        return decoder.decode(value)
    except UNREADABLE:
        return None


async def _send(bootstrap: str, actions: list[Action]) -> None:
    try:
        async with producer(bootstrap) as writer:
            for action in actions:  # in this order: adopted before taken back
                send = writer.send_and_wait(
                    ACTIONS, msgspec.json.encode(action), key=action.patient.encode()
                )
                await asyncio.wait_for(send, PATIENCE_SECONDS)
    except (KafkaError, TimeoutError) as error:
        raise UsageError(
            f"Kafka at {bootstrap} stopped answering ({type(error).__name__}): run it again"
        ) from None
