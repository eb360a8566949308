"""What a device has sent already: nothing is doubled, and nothing new is lost silently."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from rpm_stream.duplicates import EXACT, KNOWN_FOR, Seen, check, frame_known, mark, remember

START = datetime(2026, 3, 1, tzinfo=UTC)
moments = st.lists(st.integers(0, 6 * 86_400), min_size=1, max_size=200)


def filled(count: int, step: int) -> Seen:
    seen = Seen()
    for number in range(count):
        at = START + timedelta(seconds=number * step)
        remember(seen, mark("2A37", f"{number}", at))
    return seen


@settings(max_examples=60, deadline=None)
@given(moments, st.booleans())
def test_what_was_remembered_is_never_new(seconds: list[int], dense: bool) -> None:
    seen = Seen()
    marks = [mark("k", f"{place}", START + timedelta(seconds=each)) for place, each in enumerate(seconds)]
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
    assert check(seen, mark("2A37", "x", newest - KNOWN_FOR), dense=False, of_known_frame=False) == "new"
    just_before = newest - KNOWN_FOR - timedelta(microseconds=1)
    assert check(seen, mark("2A37", "x", just_before), dense=False, of_known_frame=False) == "too_old"


def test_frames_are_known_by_gateway_boot_and_number() -> None:
    seen = Seen()
    assert [frame_known(seen, "g/1", seq) for seq in (1, 2, 4, 2, 3, 4)] == [False, False, False, True, False, True]
    assert not frame_known(seen, "g/2", 1)


def test_a_burst_within_few_seconds_is_taken_whole() -> None:
    """A thousand values a second, each a millisecond apart: none of them looks like the re-send of another."""
    seen = Seen()
    start = datetime(2026, 3, 1, 8, tzinfo=UTC)
    for number in range(3000):
        entry = mark("2A37", str(number), start + timedelta(milliseconds=number))
        assert check(seen, entry, dense=True, of_known_frame=False) == "new"
        remember(seen, entry)
