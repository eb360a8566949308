"""Of every key the newest record is moved, to where everybody will look for it."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st
from support.frames import START

from rpm_stream.app.kafka.growth_journal import Growth
from rpm_stream.app.kafka.moved import origin_of
from rpm_stream.app.kafka.names import (
    ACTIONS,
    ALERTS,
    FRAMES,
    GROUP_INGEST,
    READINGS,
    REGISTRY,
    STATE_INGEST,
    STATE_JUDGE,
)
from rpm_stream.app.kafka.partitions import home_of
from rpm_stream.app.kafka.range_reader import reaching, records
from rpm_stream.app.operate.growth import queues
from rpm_stream.app.operate.growth.groups_and_copies import Copier, copying, fits, largest_batch
from rpm_stream.app.operate.growth.keyed import (
    Index,
    NewestRecord,
    check_whole,
    counting,
    held_with,
    proof,
)
from rpm_stream.app.operate.growth.queues import home, waiting
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.pipeline.device_state import DeviceState
from rpm_stream.pipeline.held import hold, packed
from rpm_stream.pipeline.order import forward
from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient
from rpm_stream.pipeline.state_envelope import pack_device
from rpm_stream.records import Position

COUNT = 8


def record(
    topic: str, partition: int, offset: int, at: int, value: bytes | None, key: bytes = b"k"
) -> ConsumerRecord:
    return ConsumerRecord(topic, partition, offset, at, 0, key, value, None, 1, 1, ())


def held(records: list[ConsumerRecord]) -> NewestRecord:
    found: NewestRecord | None = None
    for one in records:
        found = held_with(found, one, COUNT) or found
    assert found is not None
    return found


@given(st.data(), st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_the_newest_of_a_key_counts_whatever_partition_is_read_first(
    data: st.DataObject, places: list[int]
) -> None:
    """A key was written here and there, as time went on; whoever reads knows the order of each
    partition alone.
    """
    by_partition: dict[int, list[ConsumerRecord]] = {}
    for at, partition in enumerate(places):
        lane = by_partition.setdefault(partition, [])
        lane.append(record(REGISTRY, partition, len(lane), at, b"%d" % at))
    newest = by_partition[places[-1]][-1]
    lanes, read = [list(lane) for lane in by_partition.values()], []
    while any(lanes):
        read.append(data.draw(st.sampled_from([lane for lane in lanes if lane])).pop(0))
    assert held(read)[:2] == (newest.partition, newest.offset)


def test_in_one_partition_the_last_counts_though_a_copy_has_its_old_time() -> None:
    found = held([record(REGISTRY, 1, 0, 900, b"before"), record(REGISTRY, 1, 1, 100, b"after")])
    assert (found.offset, found.home) == (1, home_of(b"k", COUNT))


def test_an_alert_belongs_where_its_patient_does_and_an_unreadable_one_stays() -> None:
    alert = msgspec.json.encode({"id": "k", "patient": "zaphod"})
    assert held([record(ALERTS, 0, 0, 0, alert)]).home == home_of(b"zaphod", COUNT)
    assert held([record(ALERTS, 0, 0, 0, alert), record(ALERTS, 0, 1, 1, b"?")]).home == home_of(
        b"zaphod", COUNT
    )
    assert held([record(ALERTS, 5, 0, 0, b"?")]).home == 5


def test_a_deleted_key_is_not_moved_and_a_damaged_state_is_known() -> None:
    assert (
        counting({b"k": held([record(REGISTRY, 0, 0, 0, b"v"), record(REGISTRY, 0, 1, 1, None)])})
        == {}
    )
    assert not held([record(STATE_JUDGE, 0, 0, 0, b"no state")]).whole
    assert held([record("rpm-ingest-state-changelog", 0, 0, 0, pack_device(DeviceState()))]).whole


@pytest.mark.parametrize("topic", [STATE_INGEST, STATE_JUDGE])
def test_whoever_must_act_before_a_growth_is_told_what_to_do(topic: str) -> None:
    """A state that is damaged, also a held one, is made anew; one that is made anew is caught up
    with by its stage.
    """
    state = (
        pack_device(DeviceState())
        if topic == STATE_INGEST
        else pack_patient(unpack_patient(None, "k"))
    )
    one = hold(5, datetime(2026, 1, 1, tzinfo=UTC), "damaged", state[:-3])
    check_whole(topic, {b"k": held([record(topic, 0, 0, 0, state)])})
    check_whole(
        topic, {b"k": held([record(topic, 0, 0, 0, packed(one)), record(topic, 0, 1, 1, state)])}
    )
    for value, first in (
        (state[:-3], "state rebuild"),
        (packed(one), "state rebuild"),
        (one.mended(b""), "state rebuild"),
        (one.mended(state), "let them catch up"),
        (one.mended(state)[:-1], "state rebuild"),
    ):
        with pytest.raises(UsageError, match=f"{topic}: 1 states .* {first}"):
            check_whole(topic, {b"k": held([record(topic, 0, 0, 0, value)])})


@pytest.mark.parametrize("change", ["lost", "other", "renamed"])
def test_a_proof_sees_each_difference(change: str) -> None:
    whole: Index = {
        name: held([record(REGISTRY, 0, 0, 0, b"v" + name, name)]) for name in (b"a", b"b", b"ab")
    }
    other = dict(whole)
    one = other.pop(b"b")
    if change == "other":
        other[b"b"] = one._replace(crc=one.crc ^ 1)
    elif change == "renamed":
        other[b"c"] = one
    assert proof(whole) == proof(dict(reversed(whole.items()))) != proof(other)


def test_what_has_no_key_stays_in_its_queue() -> None:
    assert home(ConsumerRecord(FRAMES, 3, 0, 0, 1, None, b"", None, 0, 0, ()), COUNT) == 3
    assert home(record(FRAMES, 3, 0, 0, b""), COUNT) == home_of(b"k", COUNT)


# --- what Kafka takes no copy of ------------------------------------------------------------------

LIMIT = 1 << 20
NOISE = random.Random(4).randbytes(LIMIT)


@pytest.mark.parametrize(
    ("value", "does"),
    [
        (b"", True),
        (NOISE[:-600], True),
        (NOISE, False),
        (bytes(3 * LIMIT), True),
        (NOISE * 3, False),
        (None, True),
    ],
)
def test_what_fits_is_measured_as_it_would_be_written(value: bytes | None, does: bool) -> None:
    """A client's compressed batch holds more than its octets on the way; a copy has a header
    more than its original.
    """
    assert fits(record(FRAMES, 0, 0, 0, value), LIMIT) == does


def asked(monkeypatch: pytest.MonkeyPatch, *lane: ConsumerRecord) -> Any:
    """``waiting`` over records of rpm.frames, which is to get eight partitions."""

    async def records(*_: Any) -> Any:
        yield list(lane)

    async def most_octets(*_: Any) -> int:
        return LIMIT

    monkeypatch.setattr(queues, "records", records)
    monkeypatch.setattr(queues, "largest_batch", most_octets)
    broker: Any = SimpleNamespace(admin=None)
    return asyncio.run(waiting(broker, {TopicPartition(FRAMES, 0): (0, 9)}, COUNT, lambda *_: None))


def test_a_growth_that_could_not_copy_what_waits_says_so_before_it_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stays, moves = (
        record(FRAMES, at, 4, 0, NOISE) for at in (home_of(b"k", COUNT), home_of(b"k", COUNT) ^ 1)
    )
    assert asked(monkeypatch, stays) == (1, 0)
    with pytest.raises(
        UsageError, match=r"rpm\.frames: .* raise max\.message\.bytes of rpm\.frames"
    ):
        asked(monkeypatch, stays, moves)


@pytest.mark.parametrize("late", [False, True])
def test_a_copy_that_is_refused_names_its_record(late: bool) -> None:
    """By our producer at once, or by the broker: what came after the growth had been planned."""

    async def send(*_: Any, **__: Any) -> asyncio.Future[Any]:
        if not late:
            raise MessageSizeTooLargeError
        future = asyncio.get_running_loop().create_future()
        future.set_exception(MessageSizeTooLargeError())
        return future

    async def copied() -> None:
        producer: Any = SimpleNamespace(send=send)
        copier = Copier(producer, set())
        await copier.copy(record(FRAMES, 2, 5, 0, NOISE), 3)
        await copier.flush()

    with pytest.raises(UsageError, match=r"rpm\.frames: the record at 2:5 "):
        asyncio.run(copied())


# --- what was forwarded before a kill -------------------------------------------------------------


class Topics:
    """A broker with rpm.actions in two partitions, which become eight, and rpm.readings; times
    are in seconds.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.logs: dict[TopicPartition, list[ConsumerRecord]] = {}
        self.commits: list[dict[int, int]] = []
        self.sent: list[tuple[int, int]] = []

        async def records(_broker: Any, spans: Any, _progress: Any) -> Any:
            for tp, (first, end) in spans.items():
                if found := [one for one in self.logs[tp] if first <= one.offset < end]:
                    yield found

        async def starts(_broker: Any, topic: str) -> Any:
            return {tp: 0 for tp in self.logs if tp.topic == topic}

        async def ends(_broker: Any, topic: str) -> Any:
            return {tp: len(log) for tp, log in self.logs.items() if tp.topic == topic}

        async def window(_broker: Any, topic: str, since: datetime, until: Any) -> Any:
            assert until is None
            stamp = since.timestamp() * 1000
            return {
                tp: (sum(one.timestamp < stamp for one in log), len(log))
                for tp, log in self.logs.items()
                if tp.topic == topic
            }

        async def commit(_bootstrap: str, _group: str, _topic: str, places: dict[int, int]) -> None:
            self.commits.append(places)

        async def most_octets(*_: Any) -> int:
            return LIMIT

        async def copied_after(*_: Any) -> set[Any]:
            return set()

        @asynccontextmanager
        async def copying(_bootstrap: str, copied: set[Any]) -> Any:
            async def send(*_: Any, headers: Any, **__: Any) -> Any:
                origin = origin_of(
                    ConsumerRecord(ACTIONS, 0, 0, 0, 0, b"", b"", None, 0, 0, headers)
                )
                assert origin is not None
                self.sent.append(origin)
                future = asyncio.get_running_loop().create_future()
                future.set_result(None)
                return future

            producer: Any = SimpleNamespace(send=send)
            copier = Copier(producer, copied)
            yield copier
            await copier.flush()

        class Reader:
            def __init__(self, *_: Any) -> None: ...

            async def merged(self, spans: Any) -> Any:
                async for batch in records(None, spans, None):
                    for one in batch:
                        yield one

        patched: dict[str, Any] = {
            "records": records,
            "starts": starts,
            "ends": ends,
            "window": window,
            "commit": commit,
            "largest_batch": most_octets,
            "copied_after": copied_after,
            "copying": copying,
            "Reader": Reader,
        }
        for name, value in patched.items():
            monkeypatch.setattr(queues, name, value)

    def take(self, commits: dict[int, int], cut: dict[int, int]) -> str:
        growth = Growth(
            partitions=COUNT, was={ACTIONS: 2}, cuts={ACTIONS: cut}, commits={ACTIONS: commits}
        )
        broker: Any = SimpleNamespace(admin=None)
        return asyncio.run(
            queues.take(broker, "kafka:9092", growth, (ACTIONS, GROUP_INGEST), lambda *_: None)
        )


@given(
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from("abcdefgh")), min_size=1, max_size=12),
    st.data(),
)
def test_a_decision_is_forwarded_once_whatever_was_out_before_a_kill(
    sent: list[tuple[int, str]], data: st.DataObject
) -> None:
    """Ingest had put out more than it could commit; then the topics grow, and it goes on."""
    with pytest.MonkeyPatch.context() as patch:
        topics = Topics(patch)
        lanes: dict[int, list[ConsumerRecord]] = {0: [], 1: []}
        for at, (partition, name) in enumerate(sent):
            body = {
                "v": 1,
                "patient": name,
                "alert": "a",
                "action": "comment",
                "who": "n",
                "reason": "x",
                "at": START,
            }
            offset = len(lanes[partition])
            value = msgspec.json.encode(body)
            lanes[partition].append(
                record(ACTIONS, partition, offset, at * 1000, value, name.encode())
            )
        commits = {number: data.draw(st.integers(0, len(lane))) for number, lane in lanes.items()}
        out = {
            number: data.draw(st.integers(commits[number], len(lane)))
            for number, lane in lanes.items()
        }
        topics.logs = {TopicPartition(ACTIONS, number): lane for number, lane in lanes.items()}
        readings = topics.logs[TopicPartition(READINGS, 0)] = [
            record(READINGS, 0, 0, 0, b"?"),
            record(READINGS, 0, 1, 0, b'{"partition":0,"offset":0}'),
            record(READINGS, 0, 2, 0, b'{"partition":1,"offset":99,"topic":"rpm.actions"}'),
        ]
        for number, lane in lanes.items():
            for one in lane[: out[number]]:
                place = Position(topic=ACTIONS, partition=number, offset=one.offset)
                value = forward(one.value, one.key.decode(), place, START)
                readings.append(record(READINGS, 0, len(readings), one.timestamp + 5, value))
        said = topics.take(commits, {number: len(lane) for number, lane in lanes.items()})
        waiting = [one for number, lane in lanes.items() for one in lane[commits[number] :]]
        if all(home(one, COUNT) == one.partition for one in waiting):
            assert (topics.sent, "left as they are" in said) == ([], True)
        else:
            left = [
                (one.partition, one.offset) for one in waiting if one.offset >= out[one.partition]
            ]
            assert topics.sent == left
            assert topics.commits == [{number: len(lane) for number, lane in lanes.items()}]


def test_a_message_of_a_clients_compressed_batch_is_copied_by_a_real_broker(kafka: str) -> None:
    """Three times as large as what the topic takes, packed to a thousandth of that; it is copied
    as it is.
    """
    topic, value = "growth-of-large-ones", bytes(3 * LIMIT)

    async def story() -> list[ConsumerRecord]:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        await admin.create_topics(
            [NewTopic(topic, 2, 1, topic_configs={"max.message.bytes": str(LIMIT)})]
        )
        await admin.close()
        async with AIOKafkaProducer(
            bootstrap_servers=kafka, compression_type="gzip", max_request_size=4 * LIMIT
        ) as client:
            await client.send_and_wait(topic, value, key=b"d", partition=0)
        async with reaching(kafka, (topic,)) as broker:
            assert await largest_batch(broker.admin, topic) == LIMIT
            spans = {TopicPartition(topic, 0): (0, 1)}
            assert (await waiting(broker, spans, COUNT, lambda *_: None)).records == 1
            async with copying(kafka, set()) as copier:
                async for batch in records(broker, spans, lambda *_: None):
                    for one in batch:
                        await copier.copy(one, 1)
            with pytest.raises(UsageError, match="has 3145728 bytes"):
                async with copying(kafka, set()) as copier:
                    large = ConsumerRecord(topic, 0, 9, 0, 0, b"d", NOISE * 3, None, 1, 1, ())
                    await copier.copy(large, 1)
            spans = {TopicPartition(topic, 1): (0, 1)}
            return [one async for batch in records(broker, spans, lambda *_: None) for one in batch]

    [copy] = asyncio.run(story())
    assert (copy.key, copy.value, origin_of(copy)) == (b"d", value, (0, 0))
