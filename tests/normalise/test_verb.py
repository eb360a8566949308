"""The verb: every value ends once, by one precedence, and a stream's short path decides as the
long one.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpm_stream.entries import APP, Entry
from rpm_stream.ingest.gatt.decoders import decode
from rpm_stream.knowledge import shipped
from rpm_stream.normalise import outcome, stream, verb
from rpm_stream.normalise.device_memory import DeviceMemory
from rpm_stream.normalise.frame_context import FrameContext
from rpm_stream.normalise.outcome import Normalised
from rpm_stream.normalise.placement import Placed, place
from rpm_stream.normalise.value_identity import PlacedValue, identify
from rpm_stream.normalise.verb import Normalise
from rpm_stream.records import Assignment, Decoded, DeviceEntry, Payload, Reading

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
WORN = DeviceEntry(device="d", assignments=(Assignment(patient="p"),))
NOBODYS = DeviceEntry(device="d")
NORMALISE = Normalise(shipped())


def context(
    registered: DeviceEntry | None = WORN, entries: tuple[Entry, ...] = (), is_known: bool = False
) -> FrameContext:
    return FrameContext(
        frame="f",
        device="d",
        received_at=START,
        registered=registered,
        unregistered=None,
        offset=None,
        is_known=is_known,
        entries=list(entries),
    )


def notified(characteristic: str, data: bytes, at: datetime = START) -> Entry:
    return Entry(
        index=0,
        at=at,
        characteristic=characteristic,
        content=data.hex(),
        original=data,
        payload=decode(characteristic, data),
    )


def measured(vital: str, value: str, unit: str, at: datetime = START, **fields: Any) -> Entry:
    decoded = Decoded(vital=vital, value=value, unit=unit, **fields)
    return Entry(
        index=0,
        at=at,
        characteristic=APP,
        content=f"{vital} {value} {unit}",
        original=b"{}",
        payload=Payload(readings=(decoded,)),
    )


def ended(done: Normalised) -> list[str]:
    """What became of each part, in words."""
    refused = [part.why.reason for part in done.refusals for _ in part.parts]
    return ["reading"] * len(done.readings) + ["duplicate"] * done.duplicates + refused


LONG_AGO = START - timedelta(days=200)
# an entry, who has the device, and how it ends: each line has the fault of the line below it as
# well
PRECEDENCE = [
    (measured("heart_rate", "72", "furlong", LONG_AGO), NOBODYS, "unassigned"),
    (measured("zaphod", "900", "/min", START + timedelta(days=1)), WORN, "future_time"),
    (measured("heart_rate", "900", "furlong", LONG_AGO), WORN, "unknown_unit"),
    (measured("heart_rate", "900", "/min", LONG_AGO), WORN, "too_old"),
    (measured("heart_rate", "900", "/min"), WORN, "implausible"),
    (measured("glucose", "90", "mg/dL", flags=("control_solution",)), WORN, "implausible"),
    (measured("heart_rate", "72", "/min"), WORN, "reading"),
]


@pytest.mark.parametrize(
    ("entry", "registered", "expected"), PRECEDENCE, ids=[line[2] for line in PRECEDENCE]
)
def test_precedence(entry: Entry, registered: DeviceEntry, expected: str) -> None:
    memory = DeviceMemory()
    # from now on what is 7 days older is too old
    NORMALISE.entry(memory, context(), measured("weight", "80", "kg"))
    assert ended(NORMALISE.entry(memory, context(registered), entry)) == [expected]


@pytest.mark.parametrize("again", [NOBODYS, None, WORN])
def test_what_was_read_is_a_duplicate_whosever_the_device_is_now(again: DeviceEntry | None) -> None:
    memory = DeviceMemory()
    entry = notified("2A37", b"\x00\x48")
    assert ended(NORMALISE.entry(memory, context(), entry)) == ["reading"]
    assert ended(NORMALISE.entry(memory, context(again), entry)) == ["duplicate"]


def test_an_implausible_value_is_for_the_judge_and_control_solution_is_not() -> None:
    memory = DeviceMemory()
    (refused,) = NORMALISE.entry(memory, context(), measured("heart_rate", "900", "/min")).refusals
    assert refused.implausible is not None
    assert (refused.implausible.patient, refused.implausible.flags) == ("p", ("refused",))
    solution = measured("glucose", "900", "mg/dL", flags=("control_solution",))
    (refused,) = NORMALISE.entry(memory, context(), solution).refusals
    assert refused.implausible is None


def test_memory_changes_only_when_the_whole_entry_is_decided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bug that shows at the second value of an entry refuses the entry: its first value must
    not be known then.
    """
    make = verb.make_reading

    def failing(shared: Any, decoded: Decoded, patient: str, is_query: bool) -> Reading:
        if decoded.part:
            raise ZeroDivisionError
        return make(shared, decoded, patient, is_query)

    for module in (verb, stream):
        monkeypatch.setattr(module, "make_reading", failing)
    memory = DeviceMemory()
    strap = notified("2A37", bytes.fromhex("164e1b031203"))
    with pytest.raises(ZeroDivisionError):
        NORMALISE.entry(memory, context(), strap)
    assert memory == DeviceMemory()
    monkeypatch.undo()
    assert ended(NORMALISE.entry(memory, context(), strap)) == ["reading"] * 3


def test_an_entry_that_is_read_whole_is_missing_nothing_any_more() -> None:
    """Also where the device's memory has forgotten the parts of it that were read before."""
    memory = DeviceMemory()
    oximeter = notified("2A5F", b"\x00" + struct.pack("<HH", 97, 60))
    left_out = identify(
        PlacedValue(context(), oximeter, oximeter.payload.readings[0], placed(oximeter), False)
    ).mark.digest
    memory.seen.partial[left_out] = [1]
    assert ended(NORMALISE.entry(memory, context(), oximeter)) == ["reading"] * 2
    assert memory.seen.partial == {}


def placed(entry: Entry) -> Placed:
    return place(entry.at, entry.payload.readings[0], None)


def stamped(at: datetime) -> bytes:
    return struct.pack("<HBBBBB", at.year, at.month, at.day, at.hour, at.minute, at.second)


@st.composite
def entries(draw: st.DrawFn) -> tuple[Entry, FrameContext]:
    """One entry of few kinds, times and values, so that the same comes again; and its frame."""
    at = START + timedelta(
        seconds=draw(st.integers(-2, 2)), days=draw(st.sampled_from((0, 0, -9, -40, 1)))
    )
    value = draw(st.integers(60, 62))
    clock = stamped(
        START - timedelta(days=draw(st.sampled_from((0, 1, 40, 200))), seconds=value % 2)
    )
    sugar = draw(st.sampled_from((0xB05A, 0xB06E)))
    data = {
        "2A37": draw(st.sampled_from((b"\x00", b"\x04")))
        + bytes([draw(st.sampled_from((value, 0)))]),
        "2A5F": b"\x00"
        + struct.pack("<HH", draw(st.sampled_from((97, 127))), draw(st.sampled_from((value, 511)))),
        "2A35": struct.pack("<BHHH", 2, draw(st.sampled_from((120, 70))), 80, 0x07FF) + clock,
        "2A1C": b"\x02" + draw(st.sampled_from((366, 900))).to_bytes(3, "little") + b"\xff" + clock,
        "2A18": struct.pack("<BH", 2, value) + clock + struct.pack("<HB", sugar, 0x11),
        "2AA7": struct.pack("<BBHH", 6, 0, 100, value),
        "2AAA": clock + b"\x04\x00",
    }
    characteristic = draw(st.sampled_from(("2A37", "2A37", "2A5F", "2A5F", *data)))
    entry = notified(characteristic, data[characteristic], at)
    registered = draw(st.sampled_from((WORN, WORN, WORN, NOBODYS)))
    return entry, context(registered, (entry,), draw(st.booleans()))


@settings(max_examples=300, deadline=None)
@given(st.lists(entries(), min_size=1, max_size=12))
def test_the_short_path_decides_as_the_long_one(sent: list[tuple[Entry, FrameContext]]) -> None:
    """The same outcomes and the same memory, entry by entry; and each value of an entry ends
    once.
    """
    short = DeviceMemory()
    long = DeviceMemory()
    encode = msgspec.msgpack.Encoder(enc_hook=lambda columns: columns.packed()).encode
    for entry, frame in sent:
        done = NORMALISE.entry(short, frame, entry)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(verb, "conclude", outcome._concluded)
            assert NORMALISE.entry(long, frame, entry) == done
        assert encode(short) == encode(long)
        assert len(ended(done)) == len(entry.payload.readings)
        assert done.is_context == (not entry.payload.readings)
