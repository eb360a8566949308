"""Whoever waits is served soon, whatever others have waiting, and each in order."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.app.agents.fair_queue import QueuedRecord, Turns

ARRIVALS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 300)), max_size=60)


def waiting(place: int, octets: int) -> QueuedRecord[int]:
    record: Any = SimpleNamespace(offset=place, value=bytes(octets) or None)
    return QueuedRecord(place, record)


def taken(turns: Turns[int], octets: int) -> list[int]:
    return [one.delivery for one in turns.take(octets)]


def test_one_of_each_round_and_round() -> None:
    turns: Turns[int] = Turns(1)
    turns.add("backlog", [waiting(place, 100) for place in range(5)])
    turns.add("live", [waiting(10, 100)])
    assert taken(turns, 250) == [0, 10, 1]
    turns.add("late", [waiting(20, 100)])
    assert taken(turns, 150) == [20, 2]
    assert taken(turns, 1000) == [3, 4]
    assert not turns
    assert taken(turns, 1000) == []


def test_a_turn_is_over_after_so_many_octets() -> None:
    turns: Turns[int] = Turns(200)
    turns.add("backlog", [waiting(place, 100) for place in range(5)])
    turns.add("live", [waiting(10, 100)])
    assert taken(turns, 1000) == [0, 1, 10, 2, 3, 4]


@given(ARRIVALS, st.integers(1, 500), st.integers(1, 500))
def test_each_comes_once_and_in_its_order(
    arrivals: list[tuple[str, int]], octets: int, at_once: int
) -> None:
    turns: Turns[int] = Turns(at_once)
    came: dict[str, list[int]] = defaultdict(list)
    for place, (key, size) in enumerate(arrivals):
        turns.add(key, [waiting(place, size)])
        came[key].append(place)
    key_of = {place: key for place, (key, _) in enumerate(arrivals)}
    gone: dict[str, list[int]] = defaultdict(list)
    while turns:
        found = taken(turns, octets)
        assert found
        for place in found:
            gone[key_of[place]].append(place)
    assert gone == came


@given(ARRIVALS, st.integers(1, 500))
def test_who_has_one_waits_for_one_of_each_other(
    arrivals: list[tuple[str, int]], octets: int
) -> None:
    turns: Turns[int] = Turns(1)
    for place, (key, size) in enumerate(arrivals):
        turns.add(key, [waiting(place, size)])
    turns.add("live", [waiting(-1, 10)])
    before = []
    while -1 not in (found := taken(turns, octets)):
        before += found
    before += found[: found.index(-1)]
    assert len(before) <= len({key for key, _ in arrivals})


def test_a_lone_record_waits_for_no_backlog() -> None:
    turns: Turns[int] = Turns(100)
    for place, key in enumerate("abcdefgh"):
        turns.add(key, [waiting(place, 100)] * 5)
    taken(turns, 800)
    turns.add("live", [waiting(20, 100)])
    assert taken(turns, 100) == [20]


def test_what_comes_again_and_again_lets_the_backlogs_have_their_turns() -> None:
    turns: Turns[int] = Turns(100)
    turns.add("a", [waiting(0, 100)] * 9)
    turns.add("b", [waiting(1, 100)] * 9)
    taken(turns, 200)
    found = [2]
    for _ in range(12):
        if found[-1] == 2:
            turns.add("live", [waiting(2, 100)])
        found += taken(turns, 100)
    assert found[1:] == [2, 0, 1, 2] * 3


@given(
    st.lists(st.sampled_from("abcd"), min_size=10, max_size=60),
    st.sampled_from([100, 200, 300]),
    st.sampled_from([100, 200]),
)
def test_a_waiting_key_waits_for_two_turns_of_each_other_at_most(
    arrivals: list[str], slice_bytes: int, at_once: int
) -> None:
    turns: Turns[str] = Turns(at_once)
    record: Any = SimpleNamespace(value=bytes(100))
    waits: dict[str, int] = defaultdict(int)
    since: dict[str, list[str]] = defaultdict(list)  # by waiting key: the records of others
    for key, count in [("c", 20), ("d", 20), *((key, 1) for key in arrivals)]:
        turns.add(key, [QueuedRecord(key, record)] * count)
        waits[key] += count
        for taken_key in (one.delivery for one in turns.take(slice_bytes)):
            waits[taken_key] -= 1
            since[taken_key].clear()
            for other, left in waits.items():
                if left and other != taken_key:
                    since[other].append(taken_key)
                    assert 100 * since[other].count(taken_key) <= 2 * at_once


def test_a_turn_that_a_slice_cuts_short_goes_on_in_the_next() -> None:
    """Lone records, one a slice, take nothing from any one backlog."""
    turns: Turns[str] = Turns(200)
    record: Any = SimpleNamespace(value=bytes(100))
    for key in "abcd":
        turns.add(key, [QueuedRecord(key, record)] * 1000)
    found: list[str] = []
    for lone in range(100):
        turns.add(lone, [QueuedRecord("lone", record)])
        found += [one.delivery for one in turns.take(800)]
    shares = [found.count(key) for key in "abcd"]
    assert max(shares) - min(shares) <= 2, shares


def test_what_is_let_go_of_does_not_come() -> None:
    turns: Turns[int] = Turns(1)
    turns.add("a", [waiting(0, 1), waiting(1, 1)])
    turns.clear()
    assert not turns
    turns.add("a", [waiting(2, 1)])
    assert taken(turns, 10) == [2]
