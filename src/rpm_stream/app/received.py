"""A record of ``rpm.frames`` as the pure core takes it: one way for the agent, a replay and a rebuilt state."""

from __future__ import annotations

from datetime import UTC, datetime

from aiokafka.structs import ConsumerRecord

from rpm_stream.pipeline.frames import FrameMessage
from rpm_stream.records import Position


def received_at(record: ConsumerRecord) -> datetime:
    """The broker's append time, UTC."""
    return datetime.fromtimestamp(record.timestamp / 1000, UTC)


def frame_message(record: ConsumerRecord) -> FrameMessage:
    """The record with its place and the time of its receipt."""
    return FrameMessage(
        key=(record.key or b"").decode(errors="replace"),
        value=record.value or b"",
        position=Position(topic=record.topic, partition=record.partition, offset=record.offset),
        received_at=received_at(record),
    )
