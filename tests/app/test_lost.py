"""What a commit says of a changelog: read back exactly, silent where it says nothing, and rung by what is less."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.app.engine.lost import BEGUN_ANEW, BEGUN_ANEW_KEY, Note, begun_anew, is_lost, read_note, written
from rpm_stream.app.engine.recovery import BytesTable

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
    assert is_lost(found, known, -1) == (found.end < known.end or found.states < known.states)
    assert not is_lost(Note(known.end + found.end, known.states + found.states), known, -1)
    assert not is_lost(found, known, known.end)  # made anew for it since
    assert is_lost(found, known, known.end - 1) == is_lost(found, known, -1)  # for an earlier one


def record(offset: int, key: bytes, value: bytes | None, headers: Any = ()) -> ConsumerRecord:
    return ConsumerRecord("changelog", 0, offset, 0, 1, key, value, None, 0, 0, headers)


def table() -> Any:
    """The table's own bookkeeping, without Faust."""
    data = SimpleNamespace(data={}, _key_partition={})
    from collections import Counter

    bare: Any = BytesTable.__new__(BytesTable)
    bare.__dict__.update(_data=data, places={}, ends={}, counts=Counter(), anew={}, held={})
    return bare


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.booleans(), st.integers(0, 2)), max_size=30))
def test_the_count_of_states_is_that_of_the_keys_whatever_came(changes: list[tuple[bytes, bool, int]]) -> None:
    one = table()
    for offset, (key, is_state, partition) in enumerate(changes):
        one.apply_records(partition, [record(offset, key, b"state" if is_state else None)])
    for partition in range(3):
        assert one.note(partition).states == len(one.keys_of({partition}))
    assert max((one.note(partition).end for partition in range(3)), default=0) == len(changes)


def test_the_mark_of_a_rebuild_is_seen_and_is_no_state() -> None:
    one, mark = table(), record(3, BEGUN_ANEW_KEY, None, ((BEGUN_ANEW, b"57"),))
    assert (begun_anew(mark), begun_anew(record(3, b"a", None)), begun_anew(record(3, b"a", b"x"))) == (57, None, None)
    one.apply_records(0, [record(2, b"a", b"state"), mark])
    assert (one.anew, one.note(0)) == ({0: 57}, Note(4, 1))
