"""The door: any octets for any characteristic give a Payload or a DecodeError (law 7), and what
they say is sound.
"""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpm_stream.ingest.gatt.decoders import DECODERS, DecodeError, decode, short_form
from rpm_stream.records import Payload

PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?")
NO_VITAL = {"2A08", "2A34", "2A52", "2AA8", "2AA9", "2AAA", "2AAB", "2B40"}


def check_sound(characteristic: str, payload: Payload) -> None:
    assert [reading.part for reading in payload.readings] == list(range(len(payload.readings)))
    assert not (payload.readings and payload.attributes)
    assert not (payload.readings and characteristic in NO_VITAL)
    for reading in payload.readings:
        assert (reading.value is None) == (reading.absent is not None)
        assert reading.value is None or PLAIN.fullmatch(reading.value)
        assert len(set(reading.flags)) == len(reading.flags)
        assert reading.device_time is None or reading.device_time.tzinfo is None
    msgspec.json.encode(payload)


@settings(max_examples=600, deadline=None)
@given(characteristic=st.sampled_from(sorted(DECODERS)), octets=st.binary(max_size=64))
def test_any_octets(characteristic: str, octets: bytes) -> None:
    try:
        payload = decode(characteristic, octets)
    except DecodeError as error:
        assert error.reason != "internal_error" and error.detail
    else:
        check_sound(characteristic, payload)


# A body that is likely to be right up to its last fields: few flags, small numbers, a valid date in
# places.
PIECES = st.sampled_from(
    [
        b"\x00",
        b"\x01",
        b"\x02",
        b"\x03",
        b"\x06",
        b"\x07",
        b"\x11",
        b"\xff",
        b"\xe9\x07\x03\x0e\x07\x1e\x00",
        b"\x78\x00",
    ]
)


@settings(max_examples=600, deadline=None)
@given(characteristic=st.sampled_from(sorted(DECODERS)), pieces=st.lists(PIECES, max_size=16))
def test_likely_octets(characteristic: str, pieces: list[bytes]) -> None:
    try:
        payload = decode(characteristic, b"".join(pieces))
    except DecodeError as error:
        assert error.reason != "internal_error" and error.detail
    else:
        check_sound(characteristic, payload)


@given(name=st.text(max_size=40), octets=st.binary(max_size=8))
def test_any_name(name: str, octets: bytes) -> None:
    if short_form(name) in DECODERS:
        return
    with pytest.raises(DecodeError) as caught:
        decode(name, octets)
    assert caught.value.reason == "unknown_characteristic"


@pytest.mark.parametrize(
    "name", ["", "2A3", "2A377", "2A38", "0x2A37", "2A\ufb00", "patient-4711", "2A37\n"]
)
def test_unknown_names_are_not_repeated(name: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(name, b"\x00\x48")
    assert caught.value.reason == "unknown_characteristic"
    assert "4711" not in str(caught.value)


def test_the_same_octets_say_the_same() -> None:
    octets = bytes.fromhex("164e1b031203")
    assert decode("2A37", octets) == decode("2A37", octets)
