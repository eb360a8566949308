"""Law 1, the arithmetic: gaps, and what a window may and may not count."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.app.operate.reconcile.balance import WindowCounts, gaps, window_fault


@given(st.sets(st.integers(0, 200)), st.integers(0, 3))
def test_gaps_are_exactly_what_lies_between(numbers: set[int], repeats: int) -> None:
    """Between the first and the last number each is there or named once; nothing beyond them is."""
    ordered = sorted([*numbers, *sorted(numbers)[:repeats]])
    named = [number for first, last in gaps(ordered) for number in range(first, last + 1)]
    whole = range(min(numbers), max(numbers) + 1) if numbers else range(0)
    assert named == [number for number in whole if number not in numbers]


@given(st.integers(0, 40), st.data())
def test_a_window_that_holds_what_it_owes_is_no_fault(came: int, data: st.DataObject) -> None:
    """Whatever was evidence, too late, withdrawn or still waiting: a count that the judge can
    reach is right.
    """
    fates = data.draw(
        st.lists(
            st.sampled_from(["in", "evidence", "too late", "taken back", "waiting"]), max_size=came
        )
    )
    seen = data.draw(st.integers(0, fates.count("waiting")))
    n = fates.count("in") + fates.count("evidence") + seen
    books = WindowCounts(
        judged=len(fates) - fates.count("waiting"),
        waiting=fates.count("waiting"),
        single=fates.count("evidence") + fates.count("too late"),
        taken_back=fates.count("taken back"),
        n=n or None,
        whole=True,
    )
    assert window_fault(books) is None


@given(st.integers(1, 50), st.integers(0, 49), st.booleans())
def test_a_reading_that_is_nowhere_is_a_fault(judged: int, n: int, whole: bool) -> None:
    """Without Observations of their own, all judged readings must be counted, and no more than
    came.
    """
    fault = window_fault(
        WindowCounts(judged=judged, waiting=0, single=0, taken_back=0, n=n, whole=whole)
    )
    if n < judged:
        assert fault is not None and (fault.kind, fault.parts) == ("summary_too_small", judged - n)
    elif n > judged and whole:
        assert fault is not None and (fault.kind, fault.parts) == ("summary_too_large", n - judged)
    else:
        assert fault is None
