"""What a commit says of a changelog: read back exactly, silent where it says nothing, and rung
by what is less.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.app.engine.bytes_table import BytesTable
from rpm_stream.app.engine.lost import (
    BEGUN_ANEW,
    BEGUN_ANEW_KEY,
    Note,
    is_lost,
    read_note,
    replaced_end,
    written,
)
from rpm_stream.pipeline.held import hold, packed

NOTES = st.builds(Note, st.integers(0, 2**50), st.integers(0, 10**6))


@given(NOTES)
def test_a_note_comes_back_and_fits_into_a_commit(note: Note) -> None:
    assert read_note(written(note)) == note
    assert len(written(note)) < 100


@pytest.mark.parametrize("metadata", ["", None, "x", "[]", "{}", '{"end":"7"}'])
def test_a_commit_of_an_older_release_or_another_tool_says_nothing(metadata: str | None) -> None:
    assert read_note(metadata) is None
    assert not is_lost(Note(0, 0), read_note(metadata), -1)


@given(NOTES, NOTES)
def test_less_is_lost_and_what_has_grown_is_not(found: Note, known: Note) -> None:
    assert is_lost(found, known, -1) == (found.end < known.end or found.states == 0 < known.states)
    assert not is_lost(Note(known.end + found.end, known.states + found.states), known, -1)
    assert not is_lost(found, known, known.end)  # made anew for it since
    assert is_lost(found, known, known.end - 1) == is_lost(found, known, -1)  # for an earlier one


def record(
    offset: int, key: bytes, value: bytes | None, headers: Any = (), at: int = 0
) -> ConsumerRecord:
    return ConsumerRecord("changelog", 0, offset, at, 1, key, value, None, 0, 0, headers)


def table() -> Any:
    """The table's own bookkeeping, without Faust."""
    data = SimpleNamespace(data={}, _key_partition={})
    bare: Any = BytesTable.__new__(BytesTable)
    bare.__dict__.update(
        _data=data, places={}, several={}, ends={}, there=defaultdict(set), replaced={}, held={}
    )
    return bare


HELD = packed(hold(3, datetime(2026, 1, 1, tzinfo=UTC), "damaged", b""))
CHANGES = st.lists(
    st.tuples(
        st.sampled_from([b"a", b"b", b"c"]),
        st.sampled_from([None, b"1", b"2", HELD]),
        st.integers(0, 2),
    ),
    max_size=30,
)


@given(CHANGES, st.data())
def test_what_is_durable_of_a_partition_does_not_hang_on_the_order_in_which_partitions_are_read(
    changes: list[tuple[bytes, bytes | None, int]], data: st.DataObject
) -> None:
    """A device comes to two partitions where its clients hash in different ways: no later start
    takes it for a loss.

    And of what lies in several partitions the same counts: what is held, else the newest.
    """
    lanes: dict[int, list[ConsumerRecord]] = {0: [], 1: [], 2: []}
    left: dict[tuple[bytes, int], tuple[bool, int, bytes]] = {}
    worked = table()
    for at, (key, value, partition) in enumerate(changes):
        one = record(len(lanes[partition]), key, value, at=at)
        lanes[partition].append(one)
        worked.apply_records(partition, [one])
        left.pop((key, partition), None)
        if value is not None:
            left[key, partition] = (value == HELD, at, value)
    read, order = table(), [lane for partition, lane in lanes.items() for _ in lane]
    places = {id(lane): partition for partition, lane in lanes.items()}
    done = dict.fromkeys(lanes, 0)
    for lane in data.draw(st.permutations(order)):
        partition = places[id(lane)]
        read.apply_records(partition, [lane[done[partition]]])
        done[partition] += 1
    for partition in lanes:
        here = {key for key, where in left if where == partition}
        assert read.there[partition] == worked.there[partition] == here
        assert (
            read.note(partition) == worked.note(partition) == Note(len(lanes[partition]), len(here))
        )
    for key in (b"a", b"b", b"c"):
        lying = {where: each for (whose, where), each in left.items() if whose == key}
        best = max(lying, key=lambda where: lying[where][:2], default=None)
        assert read.place_of(key)[0] == best
        assert read.blob(key) == (None if best is None else lying[best][2])


def test_a_device_that_comes_over_two_clients_is_no_loss_at_the_next_start() -> None:
    """The agent writes its state into one partition, commits, then into the other one, and
    commits.
    """
    worked, notes = table(), {}
    for at, partition in enumerate((0, 1)):
        worked.apply_records(partition, [record(0, b"d", b"state", at=at)])
        notes[partition] = worked.note(partition)
    for order in ((0, 1), (1, 0)):
        again = table()
        for partition in order:
            again.apply_records(partition, [record(0, b"d", b"state", at=partition)])
        assert not any(is_lost(again.note(each), note, -1) for each, note in notes.items())


def test_the_mark_of_a_rebuild_is_seen_and_is_no_state() -> None:
    one, mark = table(), record(3, BEGUN_ANEW_KEY, None, ((BEGUN_ANEW, b"57"),))
    assert (
        replaced_end(mark),
        replaced_end(record(3, b"a", None)),
        replaced_end(record(3, b"a", b"x")),
    ) == (57, None, None)
    one.apply_records(0, [record(2, b"a", b"state"), mark])
    assert (one.replaced, one.note(0)) == ({0: 57}, Note(4, 1))
