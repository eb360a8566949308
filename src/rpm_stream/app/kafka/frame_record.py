"""Turns records of Kafka into messages of the pure core.

The agents, a replay and a rebuilt state share this code.
"""

from __future__ import annotations

from datetime import UTC, datetime

from aiokafka.structs import ConsumerRecord

from rpm_stream.app.kafka.names import REDRIVEN
from rpm_stream.pipeline.frame_message import FrameMessage
from rpm_stream.records import Position


def received_at(record: ConsumerRecord) -> datetime:
    """The broker's append time, UTC."""
    return datetime.fromtimestamp(record.timestamp / 1000, UTC)


def position(record: ConsumerRecord) -> Position:
    """The place of the record."""
    return Position(topic=record.topic, partition=record.partition, offset=record.offset)


def is_redriven(record: ConsumerRecord) -> bool:
    """Whether the service itself sent this frame again, after a fix."""
    return any(name == REDRIVEN for name, _ in record.headers)


def frame_message(record: ConsumerRecord) -> FrameMessage:
    """The record of ``rpm.frames`` with its place and the time of its receipt."""
    return FrameMessage(
        key=(record.key or b"").decode(errors="replace"),
        value=record.value or b"",
        position=position(record),
        received_at=received_at(record),
    )
