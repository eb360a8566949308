"""The short way for the entries of a stream (``normalise/stream.py``) decides as the verb does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.frames import START, frame, measurement, registry_of, stamp
from support.ward import Ward

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.gatt.decoders import DECODERS, decode, decode_by
from rpm_stream.knowledge import shipped
from rpm_stream.normalise import verb
from rpm_stream.pipeline.ingest import DeviceState, FrameMessage, Ingest
from rpm_stream.pipeline.state_envelope import pack_device
from rpm_stream.records import Position

WORN: dict[str, list[dict[str, Any]]] = {
    "by one": [{"patient": "p"}],
    "by one for a while": [{"patient": "p", "from": stamp(1), "until": stamp(3)}],
    "by two in turn": [
        {"patient": "p", "until": stamp(2)},
        {"patient": "q", "from": stamp(2)},
    ],
    "by two at once": [{"patient": "p"}, {"patient": "q"}],
    "by a user of it": [{"patient": "p", "user": 1}],
    "by nobody": [],
}
PAYLOADS = {
    "2A37": ["0048", "0648", "16480b03", "16480b030c03", "0400", "0648ff", "00ff", "1048"],
    "2A5F": ["006100f04800", "00610048 00", "0061004800", "00fe07ff07", "0cff0f4800200000"],
    "2A5E": ["0161004800ea070301080000", "0061004800"],
    "2A1C": ["006d0100ff", "026d0100ffea0703010800000"],
    "2A35": ["00780050005d00", "00500078005d00"],
    "2A9D": ["00803e", "0e803eea070301080000ff0000"],
    "2AA7": ["0600640001 00", "060064000100"],
    "2A19": ["50"],
    "FFFF": ["00"],
}
notification = st.sampled_from(sorted(PAYLOADS)).flatmap(
    lambda name: st.tuples(
        st.just(name), st.sampled_from(PAYLOADS[name]), st.sampled_from([0, 1, 1, 2, 60, 90, 600])
    )
)
sent_once = st.lists(notification, min_size=1, max_size=12)
courses = st.lists(
    st.tuples(sent_once, st.sampled_from(["new", "again", "as a new frame", "ahead", "of old"])),
    min_size=1,
    max_size=5,
)


def frames(course: Sequence[tuple[list[tuple[str, str, int]], str]]) -> list[dict[str, Any]]:
    """Frames one after another; some are sent twice, or under another number."""
    found: list[dict[str, Any]] = []
    now = 0.0
    for seq, (given_ones, how) in enumerate(course):
        if how == "again" and found:
            found.append(found[-1])
            continue
        if how == "as a new frame" and found:
            found.append({**found[-1], "frame": f"f-{seq}", "seq": seq})
            continue
        shift = {"ahead": 20.0, "of old": -60.0 * 24 * 9}.get(how, 0.0)
        entries = []
        for name, payload, step in given_ones:
            now += step / 60
            entries.append({"at": stamp(now + shift), "characteristic": name, "payload": payload})
        whole = frame([measurement(now, "heart_rate", "70")], now, seq=seq)
        del whole["measurements"]
        found.append({**whole, "notifications": entries})
    return found


@pytest.mark.parametrize("worn", WORN)
@settings(max_examples=60, deadline=None)
@given(course=courses)
def test_as_the_verb(worn: str, course: Any) -> None:
    sent = frames(course)
    device = sent[0]["device"]
    registry = registry_of([{"v": 1, "device": device, "assignments": WORN[worn]}])
    results = []
    for short in (verb.stream_readings, lambda *_: None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(verb, "stream_readings", short)
            ingest = Ingest(shipped(), registry, recorded_time=True)
            state = DeviceState()
            outputs = []
            for offset, one in enumerate(sent):
                message = FrameMessage(
                    key=device,
                    value=msgspec.json.encode(one),
                    position=Position(topic="rpm.frames", partition=0, offset=offset),
                    received_at=START,
                )
                outputs.append(msgspec.json.encode(ingest.step(state, message)))
                outputs.append(pack_device(state))
            results.append(outputs)
    assert results[0] == results[1]


def test_nothing_changes_what_was_decoded() -> None:
    """A payload is decoded once and shared by all that send it."""
    ward = Ward()
    for minute, (name, payloads) in enumerate(PAYLOADS.items()):
        given_ones = [(name, payload, 1) for payload in payloads]
        (sent,) = frames([(given_ones, "new")])
        message = FrameMessage(
            key="d",
            value=msgspec.json.encode({**sent, "device": "d", "seq": minute}),
            position=Position(topic="rpm.frames", partition=0, offset=minute),
            received_at=START,
        )
        for readings in ward.ingest.step(ward.device, message).readings:
            ward.judge.step(ward.patient, readings)
    for name, payload in ((name, each) for name, payloads in PAYLOADS.items() for each in payloads):
        try:
            octets = bytes.fromhex(payload)
            expected = decode_by(DECODERS, name, octets)
        except (ValueError, DecodeError):
            continue
        assert decode(name, octets) == expected
