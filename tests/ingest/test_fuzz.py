"""Fuzzing: payloads and whole frames, mutated from what devices sent. RPM_FUZZ_SECONDS (10) is the
time for all of it.

Never an exception but DecodeError, never ``internal_error``, in = out, and no input that costs out
of proportion. Each input follows from the seed and its number: the failure names both, and
``RPM_FUZZ_SEED=… RPM_FUZZ_FROM=…`` begins there.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from statistics import median
from time import monotonic, thread_time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.frames import START, registry_of, stamp, worn
from support.paths import shared_data

from rpm_stream.ingest.gatt.decoders import DECODERS, DecodeError, decode
from rpm_stream.ingest.gatt.quirks import reader
from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.frame_output import parts_of
from rpm_stream.pipeline.ingest import DeviceState, FrameMessage, Ingest, Ingested
from rpm_stream.pipeline.state_envelope import pack_device, unpack_device
from rpm_stream.records import Position, Readings

FILE = shared_data("gatt", "vectors.jsonl")
SECONDS = float(os.environ.get("RPM_FUZZ_SECONDS", "10"))
SEED = int(os.environ.get("RPM_FUZZ_SEED") or random.SystemRandom().randrange(2**32))
FROM = int(os.environ.get("RPM_FUZZ_FROM", "0"))
READINGS_TAKES = 2 * 1024 * 1024  # topics/02-readings/topic.yaml
BLOCK = 64  # frames that share a device's state
# slow: so many times the run's median by octet, and seconds of this thread
TIMES_MEDIAN, TOO_LONG = 200, 0.020
KNOWN_REASONS = frozenset(
    "truncated trailing_bytes reserved_value bad_size crc_mismatch unknown_characteristic"
    " unknown_unit unknown_vital".split()
)

# of each characteristic one that is read, so that there is something to mutate without the shared
# vectors
OWN = {
    "2A08": "e907030e071e00",
    "2A18": "1b2d00e907030e030f00fbff34b0112000",
    "2A19": "64",
    "2A1C": "066c0100ffe907030e071e0002",
    "2A1E": "006c0100ff",
    "2A34": "5f0500013cd00111 3c0032043cd04500",
    "2A35": "1e780050006000e907030e071e00480001 0400",
    "2A36": "00780000000000",
    "2A37": "1e5532002100",
    "2A52": "06000106",
    "2A53": "07800250640000000000",
    "2A5E": "0f61004800e907030e071e00200000010a0a00",
    "2A5F": "1f610048006100480061004800200000010a0a00",
    "2A9C": "0612e700e907030e071e00028813",
    "2A9D": "0ed43fe907030e071e0001f5000307",
    "2AA7": "0d4373002c010324001a003e0406000c100600",
    "2AA8": "00000011ffff",
    "2AA9": "0500011404",
    "2AAA": "e20704180d08180804e0c2",
    "2AAB": "5001",
    "2B34": "7e780050006000000000004800010000000000 00",
    "2B35": "407800",
    "2B40": "03010100020000000000090000001122",
    "2B8B": (
        "030735002300044a02003ac0acbf28b900060401"
        " 03054a020001200f80000000064a020001200f52000000074a020001200f61000000"
    ),
    "2BDD": "03090000000118000300b84b02003ac0acbf28b9000604200261000000",
}
BUNDLE = (  # of a number, a string, type-length-values, a state, codes and samples
    "03ff85002300044a02003ac0acbf28b900060401060116004900b84b02004200013c4c0200200261000000030a0000000300"
    "6162630819000000029c0901000200060700010000000300196162630609000000010f030105120010000900000002010000"
    "0002000000041d00000020020100000000000000080000fe01020200000001000200"
)


def corpus() -> list[tuple[str, bytes]]:
    lines = FILE.read_text("utf-8").splitlines() if FILE.exists() else []
    shared = [(one["characteristic"], bytes.fromhex(one["hex"])) for one in map(json.loads, lines)]
    return (
        [(name, bytes.fromhex(text)) for name, text in OWN.items()]
        + [("2B8B", bytes.fromhex(BUNDLE))]
        + shared
    )


CORPUS = corpus()
READERS = [decode, *(reader(row) for row in shipped().devices.values())]
MODELS: list[str | None] = [None, *shipped().devices]
EDGES = (0x00, 0x01, 0x03, 0x06, 0x07, 0x08, 0x7F, 0x80, 0xFE, 0xFF)


def mutated(source: random.Random, octets: bytes) -> bytes:
    """One to six small changes: an octet, a bit, a cut, a repetition, an insertion, a splice
    with another payload.
    """
    work = bytearray(octets)
    for _ in range(source.randint(1, 6)):
        place, length = source.randint(0, len(work)), source.randint(1, 8)
        match source.randrange(7):
            case 0 if work:
                work[place % len(work)] = source.choice(EDGES)
            case 1 if work:
                work[place % len(work)] ^= 1 << source.randrange(8)
            case 2:
                del work[place : place + length]
            case 3:
                work[place:place] = work[place : place + length] * source.choice((1, 1, 2, 40))
            case 4:
                work[place:place] = source.randbytes(length)
            case 5:
                work = work[:place] + source.choice(CORPUS)[1][source.randint(0, 8) :]
            case _:
                work = work[:place]
    return bytes(work[:2048])


def payload(source: random.Random) -> tuple[str, bytes]:
    characteristic, octets = source.choice(CORPUS)
    if source.random() < 0.1:
        characteristic = source.choice(sorted(DECODERS))
    return characteristic, octets if source.random() < 0.1 else mutated(source, octets)


def numbers(seconds: float) -> Iterator[int]:
    """Counts until the time is over; at least once."""
    end, number = monotonic() + seconds, FROM
    while number == FROM or monotonic() < end:
        yield number
        number += 1


def at(number: int) -> str:
    return f"RPM_FUZZ_SEED={SEED} RPM_FUZZ_FROM={number}"


def check_decoding(read: Any, characteristic: str, octets: bytes) -> None:
    try:
        found = read(characteristic, octets)
    except DecodeError as error:
        assert error.reason in KNOWN_REASONS, error
        assert error.detail
    else:
        msgspec.json.encode(found)
        parts = [reading.part for reading in found.readings]
        assert parts == sorted(set(parts))
        assert all(
            (reading.value is None) == (reading.absent is not None) for reading in found.readings
        )


class Clock:
    """CPU time by octet.

    What seems slow is measured again: another process may have been at work.
    """

    def __init__(self) -> None:
        self.by_octet: list[float] = []
        self.slow: list[tuple[float, int, int]] = []  # seconds, octets, number

    def note(self, seconds: float, octets: int, number: int) -> None:
        if len(self.by_octet) < 100_000:
            self.by_octet.append(seconds / (octets + 16))
        if seconds > TOO_LONG:
            self.slow.append((seconds, octets, number))

    def judge(self, what: str) -> None:
        """Print the usual time, and fail if anything took much longer."""
        print(f"\n{at(FROM)}: {what}, median {median(self.by_octet) * 1e9:.0f} ns an octet")
        slow = self.out_of_proportion()
        assert not slow, f"RPM_FUZZ_SEED={SEED}: slow: {slow}"

    def out_of_proportion(self) -> list[tuple[float, int, int]]:
        usual = median(self.by_octet)
        return [one for one in self.slow if one[0] / (one[1] + 16) > TIMES_MEDIAN * usual]


def seconds_of(check: Callable[..., None], given: tuple[Any, ...], again: tuple[Any, ...]) -> float:
    """Return the CPU time of a check. What seems slow is measured ``again``."""
    before = thread_time()
    check(*given)
    seconds = thread_time() - before
    if seconds > TOO_LONG:
        before = thread_time()
        check(*again)
        seconds = min(seconds, thread_time() - before)
    return seconds


def test_payloads() -> None:
    """``decode``, plain and of every device model."""
    clock, number = Clock(), FROM
    for number in numbers(SECONDS / 2):
        source = random.Random(f"payload {SEED} {number}")
        characteristic, octets = payload(source)
        read = source.choice(READERS)
        given = (read, characteristic, octets)
        try:
            seconds = seconds_of(check_decoding, given, given)
        except Exception as error:
            raise AssertionError(f"{at(number)}: {characteristic} {octets.hex()}") from error
        clock.note(seconds, len(octets), number)
    clock.judge(f"{number - FROM + 1} payloads")


def entry(source: random.Random) -> dict[str, Any]:
    characteristic, octets = payload(source)
    if characteristic in ("2B8B", "2BDD") and source.random() < 0.5:  # in segments
        octets = bytes([source.choice((0, 1, 2)) | source.randrange(4) << 2]) + octets[1:]
    minutes = source.choice((0, 1, 2, 5, 60, -60, 20000, -20000))
    return {"at": stamp(minutes), "characteristic": characteristic, "payload": octets.hex()}


def frame_of(source: random.Random, number: int) -> bytes:
    sent = {
        "v": 1,
        "frame": f"f{number}",
        "gateway": "g",
        "device": "d",
        "seq": source.choice((number, number // 2)),
        "boot": "b",
        "sent_at": stamp(0),
        "utc_offset": source.choice((None, "+02:00", "-09:30")),
        "notifications": [entry(source) for _ in range(source.randint(1, 12))],
    }
    text = json.dumps(sent).encode()
    return text if source.random() < 0.8 else mutated(source, text)


def check_frame(done: Ingested) -> None:
    account = done.account
    assert "internal_error" not in account.rejects
    assert account.parts == account.readings + account.duplicates + sum(account.rejects.values())
    assert account.readings == sum(len(message.readings) for message in done.readings)
    assert sum(account.rejects.values()) == sum(map(parts_of, done.rejects))
    assert account.context <= account.entries <= account.context + account.parts
    # the judge must be able to read what the broker must be able to take
    for message in done.readings:
        encoded = msgspec.json.encode(message)
        assert len(encoded) < READINGS_TAKES
        assert msgspec.json.decode(encoded, type=Readings) == message


def check_step(ingest: Ingest, state: DeviceState, message: FrameMessage) -> None:
    check_frame(ingest.step(state, message))


def test_frames() -> None:
    """The whole of ingest, with its state sealed and restored now and then, and frames that come
    again.
    """
    ingests = {
        model: Ingest(shipped(), registry_of([worn(model=model)]), recorded_time=True)
        for model in MODELS
    }
    state, clock, number, model = DeviceState(), Clock(), FROM, MODELS[0]
    for number in numbers(SECONDS / 2):
        if number % BLOCK == 0 or number == FROM:
            state, model = DeviceState(), MODELS[number // BLOCK % len(MODELS)]
        source = random.Random(f"frame {SEED} {number}")
        value = frame_of(source, number)
        position = Position(topic="rpm.frames", partition=0, offset=number)
        message = FrameMessage(key="d", value=value, position=position, received_at=START)
        restored = unpack_device(pack_device(state))
        ingest = ingests[model]
        try:
            seconds = seconds_of(check_step, (ingest, state, message), (ingest, restored, message))
        except Exception as error:
            raise AssertionError(
                f"{at(number // BLOCK * BLOCK)}, frame {number}: {value!r}"
            ) from error
        clock.note(seconds, len(value), number)
    clock.judge(f"{number - FROM + 1} frames")


EDITS = st.lists(st.tuples(st.integers(0, 63), st.integers(0, 255)), max_size=4)


@given(st.sampled_from(CORPUS), EDITS, st.integers(0, 64), st.sampled_from(range(len(READERS))))
def test_edited_payloads(
    one: tuple[str, bytes], edits: list[tuple[int, int]], size: int, read: int
) -> None:
    """The same law where hypothesis can shrink what breaks it."""
    characteristic, octets = one
    work = bytearray(octets)
    for place, octet in edits:
        if place < len(work):
            work[place] = octet
    check_decoding(READERS[read], characteristic, bytes(work[:size]))


@pytest.mark.parametrize(("characteristic", "octets"), [*OWN.items(), ("2B8B", BUNDLE)])
def test_what_is_mutated_can_be_read(characteristic: str, octets: str) -> None:
    """A seed that is refused at once would leave the fields behind its fault untried."""
    decode(characteristic, bytes.fromhex(octets))


def test_a_number_gives_the_same_input_again() -> None:
    assert payload(random.Random(f"payload {SEED} 7")) == payload(
        random.Random(f"payload {SEED} 7")
    )
    assert frame_of(random.Random("frame 1 7"), 7) == frame_of(random.Random("frame 1 7"), 7)
