"""Kept frames reach the judge once each, whatever of them had been put out before a kill."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from replaying import START
from ward_for_tests import Ward

from rpm_stream.app.agents.kept_frames import Lines
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
    """``put_out`` were, of six; then ``between`` of another device; catching up breaks off after ``interrupted``."""
    ward = Ward()
    mine = [ward.message(minute, (minute, "heart_rate", "80")) for minute in range(6)]
    others = [ward.message(10 + minute, (10 + minute, "heart_rate", "80")) for minute in range(between)]
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


def test_only_what_came_of_the_partition_s_frames_from_there_on_is_known() -> None:
    ward = Ward()
    message = ward.message(0, (0, "heart_rate", "80"))
    body = {"v": 1, "patient": "p", "alert": "a", "action": "comment", "who": "n", "reason": "x", "at": START}
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
