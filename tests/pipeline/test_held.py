"""What stands in a changelog for a state that is held: exact, checked, and read by no older
release as a state.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.ward import Ward, after

from rpm_stream.pipeline.held import (
    alert_of,
    ended,
    hold,
    line_of,
    opened,
    packed,
    read_held,
    with_alert,
)
from rpm_stream.pipeline.patient_codec import check_patient, pack_patient, unpack_patient
from rpm_stream.pipeline.state_envelope import StateError, check_device, unpack_device

AT = datetime(2026, 3, 1, 7, tzinfo=UTC)
HELD = hold(57, AT, "its checksum is wrong", b"\x93octets as they were found")


@given(st.integers(0, 2**40), st.text(max_size=50), st.binary(max_size=200))
def test_it_comes_back_as_it_went(offset: int, fault: str, blob: bytes) -> None:
    held = read_held(packed(hold(offset, AT, fault, blob)))
    assert held is not None
    assert (held.offset, held.upto, held.at, held.fault, held.blob) == (
        offset,
        offset,
        AT,
        fault,
        blob,
    )


@given(st.integers(0, len(packed(HELD)) - 1), st.integers(1, 255))
def test_one_that_is_damaged_itself_is_none(place: int, change: int) -> None:
    octets = bytearray(packed(HELD))
    octets[place] ^= change
    assert read_held(bytes(octets)) is None


@given(st.binary(max_size=80) | st.binary(max_size=40).map(lambda end: packed(HELD)[:9] + end))
def test_whatever_stands_there_is_read_or_is_a_fault_that_is_told(blob: bytes) -> None:
    read_held(blob)
    for check in (check_device, check_patient):
        with pytest.raises(StateError):
            check(blob)


def test_it_is_no_state_for_whoever_takes_it_for_one() -> None:
    for read in (
        check_device,
        unpack_device,
        check_patient,
        lambda blob: unpack_patient(blob, "p"),
    ):
        with pytest.raises(StateError):
            read(packed(HELD))
    assert read_held(pack_patient(Ward().patient)) is None
    assert read_held(None) is None


def test_mended_it_holds_the_new_state_and_still_says_from_where_on_to_go_on() -> None:
    held = read_held(HELD.mended(pack_patient(Ward().patient)))
    assert held is not None
    assert (held.offset, unpack_patient(held.blob, "p").state.patient) == (57, "p")


def test_the_alert_is_the_same_one_after_every_restart_and_ends_when_all_was_judged() -> None:
    first, again = opened("p", 2, HELD), opened("p", 2, HELD)
    assert first == again
    assert (first.priority, first.state, first.group) == ("medium", "open", "device:not_judged")
    assert len({first.id, opened("p", 3, HELD).id, opened("q", 2, HELD).id}) == 3
    held = read_held(packed(with_alert(HELD, first)))
    assert held is not None
    assert alert_of(held) == first
    whole, short = ended(first, after(60), True), ended(first, after(60), False)
    assert (whole.state, short.state) == ("resolved", "resolved")
    assert whole.history[-1].reason != short.history[-1].reason


def test_kept_frames_are_judged_though_others_from_behind_them_were() -> None:
    """Another device of the same patient and partition has gone on while the first one was held."""
    ward = Ward()
    kept = [ward.message(minute, (minute, "heart_rate", "80")) for minute in range(3)]
    assert ward.judge.step(ward.patient, ward.message(5, (5, "heart_rate", "81"))) is not None
    # in the partition's line it would be taken for known
    assert ward.judge.step(ward.patient, kept[0]) is None
    line = line_of(b"d", 0)
    late = [msgspec.structs.replace(message, line=line) for message in kept]
    assert [ward.judge.step(ward.patient, message) is not None for message in (*late, *late)] == [
        True
    ] * 3 + [False] * 3
    assert ward.judge.step(ward.patient, ward.message(6, (6, "heart_rate", "82"))) is not None


@given(st.binary(max_size=130), st.integers(0, 500))
def test_a_line_is_no_partition_and_fits_into_a_state(key: bytes, partition: int) -> None:
    line = line_of(key, partition)
    assert -(2**63) <= line < -1
    assert line_of(key + b"x", partition) != line != line_of(key, partition + 1)
