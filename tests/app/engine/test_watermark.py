"""A commit never passes a batch that is not done, and done batches keep no partition closed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.app.engine.delivery import MOST_BATCHES, DeliveringConsumer
from rpm_stream.app.engine.watermark import Batch, Watermark

HERE = TP("source", 0)


@given(st.permutations(range(8)))
def test_the_commit_is_the_end_of_the_done_batches_before_any_other(order: list[int]) -> None:
    mark = Watermark()
    batches = [Batch(10 * place + 9) for place in range(8)]
    mark.batches.extend(batches)
    for count, place in enumerate(order, 1):
        batches[place].acked = True
        mark.settle()
        first = min((place for place in range(8) if place not in order[:count]), default=8)
        assert mark.commit == (10 * first if first else None)
        assert mark.unacked == 8 - count


@given(st.lists(st.booleans(), max_size=3 * MOST_BATCHES))
def test_a_partition_is_closed_by_batches_that_are_not_done_alone(done: list[bool]) -> None:
    mark = Watermark()
    for place, acked in enumerate(done):
        mark.batches.append(Batch(place))
        mark.batches[-1].acked = acked
    consumer: Any = SimpleNamespace(_watermarks={HERE: mark})
    assert DeliveringConsumer._is_full(consumer, HERE) == (done.count(False) >= MOST_BATCHES)
    assert not DeliveringConsumer._is_full(consumer, TP("source", 1))
