"""After a growth: a frame is worked on where its device's state is, and is passed on there from
anywhere else.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.app.agents.ingest import IngestStep
from rpm_stream.app.agents.strays import Strays
from rpm_stream.app.engine.application import Copy
from rpm_stream.app.kafka.moved import headers_of, origin_of
from rpm_stream.app.kafka.names import ACCOUNTS, FRAMES, MOVED, REDRIVEN, REJECTS
from rpm_stream.app.kafka.partitions import home_of
from rpm_stream.ingest.frames import MOST_BYTES
from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.ingest import Ingest

PARTITIONS = st.integers(1, 32)


def record(partition: int, offset: int, key: bytes | None, headers: Any = ()) -> ConsumerRecord:
    return ConsumerRecord(FRAMES, partition, offset, 0, 1, key, b"frame", None, 0, 5, headers)


def strays(partitions: int, states: dict[bytes, int]) -> Strays:
    table: Any = SimpleNamespace(place_of=lambda key: (states.get(key), None))
    return Strays(
        partitions, table, lambda record: [(REJECTS, record.key, b"%d" % record.offset, None)]
    )


@given(st.binary(max_size=20), PARTITIONS, st.data(), st.integers(0, 2**62))
def test_a_frame_has_one_place_and_reaches_it_in_one_step(
    key: bytes, count: int, data: Any, offset: int
) -> None:
    """Whatever partition it came to; a device of before, whose client hashes in another way,
    keeps its own.
    """
    partition = data.draw(st.integers(0, count - 1))
    states = data.draw(st.dictionaries(st.just(key), st.integers(0, count - 1)))
    where = strays(count, states)
    passed_on = where.passed_on(record(partition, offset, key, ((REDRIVEN, b""),)))
    if partition in (home_of(key, count), states.get(key)):
        assert passed_on is None
        return
    assert passed_on is not None
    (copy,) = passed_on
    assert isinstance(copy, Copy)
    assert copy == (FRAMES, key, b"frame", home_of(key, count))
    assert copy.headers == [(REDRIVEN, b""), (MOVED, b"%d:%d" % (partition, offset))]
    there = record(home_of(key, count), 7, key, tuple(copy.headers))
    assert (origin_of(there), where.passed_on(there)) == ((partition, offset), None)


def test_a_frame_without_a_key_is_refused_where_it_is() -> None:
    assert strays(8, {}).passed_on(record(3, 0, None)) is None


@given(
    st.binary(max_size=8),
    PARTITIONS,
    st.data(),
    st.sampled_from([MOST_BYTES, MOST_BYTES + 1, 3 << 20]),
)
def test_a_frame_above_the_limit_is_refused_wherever_it_came_to(
    key: bytes, count: int, data: Any, size: int
) -> None:
    """Kafka need not take a copy of it: ingest would end, and meet it again at its next start."""
    partition = data.draw(st.integers(0, count - 1))
    large = ConsumerRecord(FRAMES, partition, 7, 0, 1, key, bytes(size), None, 0, size, ())
    passed_on = strays(count, {}).passed_on(large)
    assert (passed_on is None) == (partition == home_of(key, count))
    if passed_on is not None:
        assert isinstance(passed_on[0], Copy) == (size <= MOST_BYTES)


def test_the_refusal_of_a_stray_is_the_one_it_would_get_at_home() -> None:
    """One reject and one account, from the place that it has."""
    step = IngestStep(Ingest(shipped(), Registry()))
    table: Any = SimpleNamespace(place_of=lambda _: (None, None))
    here = next(partition for partition in range(8) if partition != home_of(b"d", 8))
    large = ConsumerRecord(FRAMES, here, 7, 0, 1, b"d", bytes(3 << 20), None, 0, 0, ())
    outputs = Strays(8, table, step.refused).passed_on(large) or []
    assert [topic for topic, *_ in outputs] == [REJECTS, ACCOUNTS]
    reject, account = (msgspec.json.decode(value) for _, _, value, _ in outputs)
    assert reject["reason"] == "too_large"
    assert (account["partition"], account["offset"], account["rejects"]) == (
        here,
        7,
        {"too_large": 1},
    )


def test_a_copy_of_a_copy_names_the_place_of_the_copy() -> None:
    once = record(2, 5, b"d", ((MOVED, b"1:4"),))
    assert headers_of(once) == [(MOVED, b"2:5")]


def test_a_header_that_we_did_not_write_names_nothing() -> None:
    for strange in (b"", b"x:1", b"1", b"-1:3", b"1:", b"\xd9\xa1:2", None):
        assert origin_of(record(0, 0, b"d", ((MOVED, strange),))) is None
