"""A gateway that sends what is no frame, or is built to cost: each a Reject by name, and nobody
else waits for it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from time import thread_time

import pytest
from support.frames import START, registry_of, stamp, worn

from rpm_stream.ingest.frames import LEAST_ENTRY_BYTES, MOST_BYTES
from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.device_state import DeviceState
from rpm_stream.pipeline.ingest import FrameMessage, Ingest, Ingested
from rpm_stream.records import Position

PULSE = {"at": stamp(0), "characteristic": "2A37", "payload": "0048"}
DEEP = 100_000
LONG = 250_000


def frame(seq: int = 0, **more: object) -> bytes:
    """A frame, of the hostile device "d"."""
    head = {
        "v": 1,
        "frame": f"f{seq}",
        "gateway": "g",
        "device": "d",
        "seq": seq,
        "boot": "1",
        "sent_at": stamp(0),
    }
    return json.dumps({**head, **more}).encode()


def with_entry(text: bytes) -> bytes:
    """A frame of one notification, as text."""
    return frame(notifications=[])[:-2] + text + b"]}"


def with_field(text: bytes) -> bytes:
    """A good frame with something before its end."""
    return frame(notifications=[PULSE])[:-1] + text + b"}"


def resource(value: bytes) -> bytes:
    """A FHIR Observation with this number."""
    return (
        frame(resources=[])[:-2]
        + b'{"resourceType":"Observation","status":"final",'
        + b'"effectiveDateTime":"2026-01-01T00:00:00Z",'
        + b'"code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},'
        + b'"valueQuantity":{"system":"http://unitsofmeasure.org","code":"/min","value":'
        + value
        + b"}}]}"
    )


def value(text: str) -> bytes:
    """An app's measurement with this value."""
    return frame(
        measurements=[{"at": stamp(0), "vital": "heart_rate", "value": text, "unit": "/min"}]
    )


POISON = {
    "brackets": (b"[" * LONG, "bad_schema"),
    "objects in objects": (b'{"a":' * (LONG // 5), "bad_json"),
    "an entry of brackets": (with_entry(b"[" * DEEP + b"]" * DEEP), "bad_json"),
    "an unknown field of brackets": (with_field(b',"x":' + b"[" * DEEP + b"]" * DEEP), "bad_json"),
    "a resource of brackets": (
        frame(resources=[])[:-2] + b'{"component":' + b"[" * DEEP + b"]" * DEEP + b"}]}",
        "bad_json",
    ),
    "a number of 250,000 digits": (b'{"v":' + b"1" * LONG + b"}", "bad_schema"),
    "a count of 250,000 digits": (
        frame().replace(b'"seq": 0', b'"seq": ' + b"9" * LONG),
        "bad_schema",
    ),
    "a fraction of 250,000 digits": (b'{"boot":1.' + b"1" * LONG + b"}", "bad_schema"),
    "an exponent of 10 digits": (b'{"v":1e9999999999}', "bad_schema"),
    "an exponent of 250,000 digits": (b'{"boot":1e' + b"9" * LONG + b"}", "bad_schema"),
    "a value of 250,000 digits": (value("9" * LONG), "bad_schema"),
    "a value with an exponent": (value("1e999999999"), "bad_schema"),
    "a resource's exponent": (resource(b"1e999999999"), "bad_schema"),
    "a resource's 250,000 digits": (resource(b"9" * LONG), "bad_schema"),
    "NaN": (b'{"v":NaN}', "bad_json"),
    "NaN in an entry": (with_entry(json.dumps({**PULSE, "x": float("nan")}).encode()), "bad_json"),
    "Infinity": (b'{"v":Infinity}', "bad_json"),
    "a resource's NaN": (resource(b"NaN"), "bad_json"),
    "no UTF-8": (b'{"v":1,"frame":"\xff\xfe"}', "bad_json"),
    "no UTF-8 in an entry": (
        with_entry(json.dumps(PULSE).encode().replace(b"0048", b"\xff")),
        "bad_schema",
    ),
    "half a surrogate": (b'{"v":1,"frame":"\\ud800"}', "bad_json"),
    "half a surrogate in an entry": (
        with_entry(json.dumps({**PULSE, "payload": "\ud800"}).encode()),
        "bad_json",
    ),
    "a long name": (frame(frame="a" * LONG, notifications=[PULSE]), "bad_schema"),
    "a long name of escapes": (b'{"v":1,"frame":"' + b"\\u0041" * 40_000 + b'"}', "bad_schema"),
    "over 256 KiB": (with_field(b',"x":"' + b"x" * MOST_BYTES + b'"'), "too_large"),
    "1 MiB of anything": (bytes(2**20), "too_large"),
    "100,000 entries": (frame(notifications=[0] * 80_000), "too_large"),
    "1,000 entries that are none": (frame(notifications=[0] * 1000), "bad_schema"),
    "the entries twice": (
        with_field(b',"notifications":' + json.dumps([PULSE]).encode()),
        "bad_schema",
    ),
    "not a byte": (b"", "bad_json"),
}


class Line:
    """One ingest agent with the state of each device."""

    def __init__(self) -> None:
        self.ingest = Ingest(shipped(), registry_of([worn("p", "d"), worn("q", "e")]))
        self.states: dict[str, DeviceState] = defaultdict(DeviceState)
        self.offset = 0

    def take(self, key: str, octets: bytes) -> Ingested:
        """One message of rpm.frames under this key."""
        self.offset += 1
        position = Position(topic="rpm.frames", partition=0, offset=self.offset)
        return self.ingest.step(
            self.states[key],
            FrameMessage(key=key, value=octets, position=position, received_at=START),
        )

    def seconds(self, key: str, frames: Sequence[bytes]) -> float:
        """What these frames cost, in time of this thread."""
        began = thread_time()
        for octets in frames:
            self.take(key, octets)
        return thread_time() - began


def good(count: int, entries: int = 30) -> list[bytes]:
    """Frames of the other device, "e", whose notifications are all read."""
    return [
        frame(
            seq,
            device="e",
            notifications=[
                {**PULSE, "at": (START - timedelta(seconds=seq * entries + place)).isoformat()}
                for place in range(entries)
            ],
        )
        for seq in range(count)
    ]


@pytest.mark.parametrize("name", POISON)
def test_poison_is_one_reject_by_name(name: str) -> None:
    """One part in, one reject out; and the same device's next frame is read."""
    octets, reason = POISON[name]
    line = Line()
    done = line.take("d", octets)
    assert [reject.reason for reject in done.rejects] == [reason]
    assert (done.account.parts, done.account.readings) == (1, 0)
    assert line.take("d", frame(1, notifications=[PULSE])).account.readings == 1


@pytest.mark.parametrize("name", POISON)
def test_poison_costs_no_more_than_good_frames(name: str) -> None:
    """By octet at most half as much again as good frames; short poison at most as much as a
    frame of 30 readings.
    """
    octets, _ = POISON[name]
    line, frames = Line(), good(10)
    per_octet = min(line.seconds("e", frames) for line in (Line(), Line(), Line())) / sum(
        map(len, frames)
    )
    most = per_octet * max(1.5 * len(octets), len(frames[0]))
    assert min(line.seconds("d", [octets]) for _ in range(5)) < most


def test_five_thousand_poison_frames_delay_nobody_for_long() -> None:
    """The other device's frames take what they took, and one good frame outweighs ten short
    poison frames.
    """
    clean, burst = Line(), Line()
    frames = good(200)
    poison = [b"\xff" * (8 + number % 300) + str(number).encode() for number in range(5_000)]
    assert sum(Line().take("e", octets).account.readings for octets in frames[:20]) == 600
    clean.seconds("e", frames[:20])
    alone = clean.seconds("e", frames[20:])
    burst.seconds("e", frames[:20])
    between = spent = 0.0
    for place, octets in enumerate(frames[20:]):
        spent += burst.seconds("d", poison[place * 27 : (place + 1) * 27])
        between += burst.seconds("e", [octets])
    assert between < 2 * alone
    assert spent / len(poison) < alone / 180 / 10


def test_an_entry_that_is_none_refuses_only_itself() -> None:
    """The bound is on the frame: entries that can be read outweigh those that cannot."""
    entries = [*({**PULSE, "at": stamp(-second)} for second in range(12)), 0, {}]
    done = Line().take("d", frame(notifications=entries))
    assert (done.account.readings, done.account.rejects) == (12, {"bad_schema": 2})
    shortest = json.dumps(
        {"at": "2026-01-01T00:00:00Z", "characteristic": "2A37", "payload": ""},
        separators=(",", ":"),
    )
    assert len(shortest) > 1.5 * LEAST_ENTRY_BYTES


def test_a_name_that_stands_elsewhere_is_not_the_list_twice() -> None:
    """In a field that nobody knows, or as a text."""
    octets = with_field(b',"x":{"notifications":["notifications"]},"y":"notifications"')
    assert Line().take("d", octets).account.readings == 1
