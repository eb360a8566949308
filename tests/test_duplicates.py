"""What a device has sent already: nothing is doubled, and nothing new is lost silently."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpm_stream.normalise.seen_entries import (
    EXACT,
    FORGET_EVERY,
    KNOWN_FOR,
    EntryMarks,
    SeenEntries,
    check,
    frame_known,
    leave_out,
    mark,
    remember,
    was_left_out,
)
from rpm_stream.pipeline.device_state import DeviceState
from rpm_stream.pipeline.state_envelope import pack_device, unpack_device

START = datetime(2026, 3, 1, tzinfo=UTC)
moments = st.lists(st.integers(0, 6 * 86_400), min_size=1, max_size=200)


def filled(count: int, step: int) -> SeenEntries:
    seen = SeenEntries()
    for number in range(count):
        at = START + timedelta(seconds=number * step)
        remember(seen, mark("2A37", f"{number}", at))
    return seen


@settings(max_examples=60, deadline=None)
@given(moments, st.booleans())
def test_what_was_remembered_is_never_new(seconds: list[int], dense: bool) -> None:
    seen = SeenEntries()
    marks = [
        mark("k", f"{place}", START + timedelta(seconds=each)) for place, each in enumerate(seconds)
    ]
    for each in marks:
        remember(seen, each)
    assert {check(seen, each, dense, of_known_frame=False) for each in marks} == {"duplicate"}


def test_an_old_entry_in_a_second_that_was_not_seen_is_new() -> None:
    seen = filled(3 * EXACT, step=2)
    odd = mark("2A37", "late", START + timedelta(seconds=101))
    assert check(seen, odd, dense=True, of_known_frame=False) == "new"


def test_an_old_entry_that_cannot_be_told_from_a_resent_one_is_refused_and_not_swallowed() -> None:
    seen = filled(3 * EXACT, step=1)
    other = mark("2A37", "another value of that second", START + timedelta(seconds=100))
    assert check(seen, other, dense=True, of_known_frame=False) == "too_old"
    assert check(seen, other, dense=True, of_known_frame=True) == "duplicate"
    assert check(seen, other, dense=False, of_known_frame=False) == "duplicate"


def test_seven_days_are_known_and_no_more() -> None:
    seen = filled(2, step=int(KNOWN_FOR.total_seconds()))
    newest = START + KNOWN_FOR
    assert (
        check(seen, mark("2A37", "x", newest - KNOWN_FOR), dense=False, of_known_frame=False)
        == "new"
    )
    just_before = newest - KNOWN_FOR - timedelta(microseconds=1)
    assert (
        check(seen, mark("2A37", "x", just_before), dense=False, of_known_frame=False) == "too_old"
    )


def test_frames_are_known_by_gateway_boot_and_number() -> None:
    seen = SeenEntries()
    assert [frame_known(seen, "g/1", seq) for seq in (1, 2, 4, 2, 3, 4)] == [
        False,
        False,
        False,
        True,
        False,
        True,
    ]
    assert not frame_known(seen, "g/2", 1)


def test_a_burst_within_few_seconds_is_taken_whole() -> None:
    """A thousand values a second, each a millisecond apart: none of them looks like the re-send
    of another.
    """
    seen = SeenEntries()
    start = datetime(2026, 3, 1, 8, tzinfo=UTC)
    for number in range(3000):
        entry = mark("2A37", str(number), start + timedelta(milliseconds=number))
        assert check(seen, entry, dense=True, of_known_frame=False) == "new"
        remember(seen, entry)


@settings(max_examples=100)
@given(
    st.dictionaries(
        st.integers(0, 2**64 - 1), st.integers(-62_135_596_800, 253_402_300_799), max_size=60
    )
)
def test_marks_hold_what_was_added_and_nothing_else_before_and_after_they_were_packed(
    entries: dict[int, int],
) -> None:
    """Any order, any second that a datetime can have."""
    marks = EntryMarks()
    assert all(marks.add(digest, second) for digest, second in entries.items())
    assert not any(marks.add(digest, second + 1) for digest, second in entries.items())
    for each in (marks, EntryMarks.unpacked(marks.packed())):
        assert dict(zip(each.digests, each.seconds, strict=True)) == entries
        assert all(each.holds(digest) for digest in entries)
        assert not any(each.holds(digest ^ 1) for digest in entries if digest ^ 1 not in entries)
    assert marks == EntryMarks.unpacked(marks.packed())


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\0\1I", b"\1\0\0\0x", EntryMarks([1], [2]).packed()[:-1]]
)
def test_marks_of_another_machine_or_cut_ones_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="marks"):
        EntryMarks.unpacked(data)


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.booleans())
def test_the_newest_are_known_one_by_one_whatever_their_kinds_and_order(
    seed: int, restarts: bool
) -> None:
    """EXACT of them, by their time; nothing that was remembered is new, nothing that was not is
    a duplicate of them.
    """
    state, chance = DeviceState(), Random(seed)
    sent = {(chance.choice("abc"), chance.randrange(7_000)) for _ in range(1_500)}
    marks = [
        mark(kind, f"{kind}{second}", START + timedelta(seconds=second))
        for kind, second in sorted(sent)
    ]
    chance.shuffle(marks)
    for number, each in enumerate(marks):
        remember(state.seen, each)
        if restarts and number % 100 == 0:
            state = unpack_device(pack_device(state))
    newest = sorted(marks, key=lambda each: each.at)[-EXACT:]
    assert all(state.seen.exact[each.kind].holds(each.digest) for each in newest)
    assert {check(state.seen, each, dense=True, of_known_frame=True) for each in marks} == {
        "duplicate"
    }
    twin = newest[-1]
    assert (
        check(state.seen, mark(twin.kind, "another", twin.at), dense=True, of_known_frame=False)
        == "new"
    )


def test_a_device_at_1_hz_takes_little() -> None:
    """12 octets an entry: 20,000 devices are what a stage reads before its first output
    (CONTRACT 8, recovery).
    """
    assert (
        len(pack_device(DeviceState(seen=filled(5_000, step=1))))
        < (EXACT + FORGET_EVERY) * 12 + 200
    )


def test_entries_of_very_many_refused_parts_do_not_fill_the_state() -> None:
    """CONTRACT 8: what is left out of whole panels of implausible values is bounded in all; the
    newest is known.
    """
    seen = SeenEntries()
    for number in range(300):
        entry = mark("2B8B", str(number), START + timedelta(minutes=number))
        remember(seen, entry)
        leave_out(seen, (entry.digest,), list(range(1, 2000 if number == 150 else 180)))
    assert len(pack_device(DeviceState(seen=seen))) < 12 * 1024
    assert was_left_out(seen, (entry.digest,), 179)
    assert not was_left_out(seen, (entry.digest,), 0)
