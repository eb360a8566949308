"""Kept frames reach the judge once each, whatever of them had been put out before a kill."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st
from support.frames import START
from support.ward import Ward

from rpm_stream.app.agents import kept_frames
from rpm_stream.app.agents.kept_frames import Lines
from rpm_stream.app.kafka.names import FRAMES
from rpm_stream.app.kafka.range_reader import reaching
from rpm_stream.pipeline.held import hold
from rpm_stream.pipeline.judge import Judged
from rpm_stream.pipeline.order import forward
from rpm_stream.records import Position, Readings

_encode = msgspec.json.Encoder().encode


def applied(ward: Ward, message: Readings) -> Judged | None:
    return ward.judge.step(ward.patient, message)


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6))
def test_each_message_counts_once_though_a_part_was_out_before_the_kill_and_others_went_on(
    put_out: int, between: int, interrupted: int
) -> None:
    """``put_out`` were, of six; then ``between`` of another device; catching up breaks off after
    ``interrupted``.
    """
    ward = Ward()
    mine = [ward.message(minute, (minute, "heart_rate", "80")) for minute in range(6)]
    others = [
        ward.message(10 + minute, (10 + minute, "heart_rate", "80")) for minute in range(between)
    ]
    topic = [*mine[:put_out], *others]
    counted = sum(applied(ward, message) is not None for message in topic)
    lines = Lines(b"d", 0)
    for message in topic:
        lines.note(_encode(message), mine[0].offset)
    late = [lines.placed(message) for message in (*mine[:interrupted], *mine)]
    counted += sum(applied(ward, message) is not None for message in late)
    assert counted == len(mine) + between
    again = Lines(b"d", 0)  # a worker after the next kill finds the same
    for message in (*topic, *late):
        again.note(_encode(message), mine[0].offset)
    assert [again.placed(message) for message in mine] == late[interrupted:]


@pytest.mark.parametrize("behind", [timedelta(), timedelta(days=1), timedelta(days=-1)])
def test_what_was_out_before_a_kill_is_known_however_wrong_the_clock_was(
    behind: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By when the state was found unreadable, the worker's clock may have been of any day."""
    ward = Ward()
    message = ward.message(0, (0, "heart_rate", "80"))
    frame_at, put_out_at = START, START + timedelta(seconds=2)

    async def window(_broker: Any, topic: str, since: datetime, until: datetime | None) -> Any:
        inside = since <= put_out_at and (until is None or put_out_at < until)
        return {TopicPartition(topic, 0): (0, int(inside))}

    async def records(_broker: Any, spans: Any, _: Any) -> Any:
        for tp, (first, end) in spans.items():
            at, value = (frame_at, b"") if tp.topic == FRAMES else (put_out_at, _encode(message))
            stamp = int(at.timestamp() * 1000)
            yield [
                ConsumerRecord(tp.topic, 0, one, stamp, 1, b"d", value, None, 0, 0, ())
                for one in range(first, end)
            ]

    async def ends(_broker: Any, topic: str) -> Any:
        return {TopicPartition(topic, 0): message.offset + 1}

    monkeypatch.setattr(kept_frames, "ends", ends)
    monkeypatch.setattr(kept_frames, "window", window)
    monkeypatch.setattr(kept_frames, "records", records)
    held = hold(message.offset, START + timedelta(minutes=1) - behind, "damaged", b"")
    broker: Any = None
    assert asyncio.run(Lines.of(broker, b"d", 0, held)).placed(message) == message


def test_a_state_that_is_mended_before_another_frame_came_waits_for_none(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would not catch up before the next frame of its partition, whosever that is."""
    topic = f"frames-{uuid4().hex[:8]}"
    monkeypatch.setattr(kept_frames, "FRAMES", topic)

    async def lines() -> Lines:
        async with reaching(kafka) as broker:
            await broker.admin.create_topics([NewTopic(topic, 1, 1)])
            held = hold(0, START, "damaged", b"")
            return await asyncio.wait_for(Lines.of(broker, b"d", 0, held), 10)

    message = Ward().message(0, (0, "heart_rate", "80"))
    assert asyncio.run(lines()).placed(message).line is not None


def test_only_what_came_of_the_partition_s_frames_from_there_on_is_known() -> None:
    ward = Ward()
    message = ward.message(0, (0, "heart_rate", "80"))
    body = {
        "v": 1,
        "patient": "p",
        "alert": "a",
        "action": "comment",
        "who": "n",
        "reason": "x",
        "at": START,
    }
    place = Position(topic="rpm.actions", partition=0, offset=message.offset)
    for value in (
        b"",
        b"{}",
        forward(_encode(body), "p", place, START),
        _encode(msgspec.structs.replace(message, partition=1)),
        _encode(msgspec.structs.replace(message, patient="q")),
        _encode(msgspec.structs.replace(message, chunk=1)),
        _encode(msgspec.structs.replace(message, offset=message.offset - 1)),
        _encode(msgspec.structs.replace(message, line=-(2**40))),
    ):
        lines = Lines(b"d", 0)
        lines.note(value, message.offset)
        assert lines.placed(message).line is not None
    lines.note(_encode(message), message.offset)
    assert lines.placed(message) == message
