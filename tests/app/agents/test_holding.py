"""Whatever is damaged, killed and made anew in whatever order: each message is applied once, in
its order, and told.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, ClassVar

import msgspec
import pytest
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata, TopicPartition
from faust.types import TP
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rpm_stream.app.agents import catch_up
from rpm_stream.app.agents import holding as module
from rpm_stream.app.agents.batches import BatchWork, TurnPolicy
from rpm_stream.app.agents.catch_up import CatchUp
from rpm_stream.app.agents.hold_notices import FeedNotices, NoNotices
from rpm_stream.app.agents.holding import Holding, HoldNotices
from rpm_stream.app.agents.states import Form, KeyedStates
from rpm_stream.app.agents.steps import StateSteps
from rpm_stream.app.engine.bytes_table import BytesTable
from rpm_stream.app.engine.lost import read_note, written
from rpm_stream.app.kafka.names import ALERTS, MOVED
from rpm_stream.app.runtime import end
from rpm_stream.app.runtime.clock import Clock, steady, wall
from rpm_stream.pipeline.held import HeldState, hold, kept_from, read_held
from rpm_stream.pipeline.state_envelope import StateError
from rpm_stream.records import Alert

SOURCE, CHANGELOG, OUT = "source", "changelog", "out"
KEYS = (b"a", b"b", b"c", b"d")
JUNK = b"\xffdamaged"
DAY = timedelta(days=1)


class Counted(msgspec.Struct):
    """A state: how many messages, the last of them, and a digest of all in their order."""

    count: int = 0
    last: int = -1
    digest: int = 0


_encode, _decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(Counted).decode


def unpack(blob: bytes | None, _name: str) -> Counted:
    try:
        return Counted() if blob is None else _decode(blob)
    except msgspec.MsgspecError:
        raise StateError("damaged") from None


def check(blob: bytes) -> None:
    unpack(blob, "")


def step(state: Counted, record: ConsumerRecord, is_late: bool = False) -> list[Any] | None:
    """One output a message, which says what came before it, and in which line it counts."""
    if record.offset <= state.last:
        return None
    state.count, state.last = state.count + 1, record.offset
    state.digest = hash((state.digest, record.offset)) % 1_000_003
    return [(OUT, record.key, _encode((record.offset, state.count, state.digest, is_late)), None)]


class World:
    """A broker: a source, a changelog, a commit, and what was put out.

    All that is sent is durable at once.
    """

    def __init__(self) -> None:
        self.topics: dict[str, list[ConsumerRecord]] = {
            SOURCE: [],
            CHANGELOG: [],
            OUT: [],
            ALERTS: [],
        }
        self.commit, self.metadata = 0, ""
        self.told: HoldNotices = NoNotices()
        self.worker: Worker | None = None

    @property
    def is_told(self) -> bool:
        return isinstance(self.told, FeedNotices)

    def append(self, topic: str, key: bytes, value: bytes) -> int:
        offset = len(self.topics[topic])
        self.topics[topic].append(
            ConsumerRecord(topic, 0, offset, 0, 1, key, value, None, 0, 0, ())
        )
        return offset

    def last(self, key: bytes) -> bytes | None:
        return next((one.value for one in reversed(self.topics[CHANGELOG]) if one.key == key), None)

    def made_anew(self, key: bytes, upto: int) -> Counted:
        state = Counted()
        for record in self.topics[SOURCE][:upto]:
            if record.key == key:
                step(state, record)
        return state

    def rebuild(self) -> None:
        """As ``rpm-stream state rebuild``: every state that cannot be read, up to where its
        messages are kept.
        """
        note, done = read_note(self.metadata), self.commit
        last = {key: value for key in KEYS if (value := self.last(key)) is not None}
        for key, value in last.items():
            held = read_held(value)
            try:
                check(held.blob if held else value)
            except StateError as error:
                upto = held.offset if held else kept_from(done, note.held if note else None)
                one = held or hold(upto, Clock().now(), str(error), b"")
                self.append(CHANGELOG, key, one.mended(_encode(self.made_anew(key, upto))))

    def check(self) -> None:
        """Each message is told once, as if nothing had happened, and the states are those of all
        messages.
        """
        told: dict[int, set[bytes]] = {}
        for record in self.topics[OUT]:
            told.setdefault(msgspec.json.decode(record.value)[0], set()).add(record.value)
        wanted: dict[int, set[bytes]] = {}
        states = {key: Counted() for key in KEYS}
        for record in self.topics[SOURCE]:
            [(_, _, value, _)] = step(states[record.key], record) or []
            offset, count, digest, _ = msgspec.json.decode(value)
            wanted[offset] = {value, _encode((offset, count, digest, True))}
        assert told.keys() == wanted.keys()
        for offset, values in told.items():
            assert len(values) == 1, "put out in two lines, or with two contents"
            assert values <= wanted[offset]
        for key in {record.key for record in self.topics[SOURCE]}:
            assert unpack(self.last(key), "") == states[key]


class Worker:
    """The agent's own classes over that world, from its start to its end by SIGKILL at whatever
    it awaits.
    """

    source: ClassVar[str] = SOURCE

    def __init__(self, world: World) -> None:
        self.world = world
        self.table: Any = BytesTable.__new__(BytesTable)
        self.table.__dict__.update(
            _data=SimpleNamespace(data={}, _key_partition={}),
            places={},
            several={},
            ends={},
            there=defaultdict(set),
            replaced={},
            held={},
            source=SOURCE,
            _changelog_topic=SimpleNamespace(get_topic_name=lambda: CHANGELOG),
            app=self,
        )
        self.states, self.clock = self.table, Clock()
        self.rebalancing = self.in_recovery = self.should_stop = False
        self.consumer = SimpleNamespace(
            revoked=False,
            owns=lambda _: True,
            commits=self._commits,
            next_of=lambda *_: world.commit,
        )
        self.producer = SimpleNamespace(send_all=self._send)
        app: Any = self
        states = KeyedStates[Counted](self.table, Form(unpack, _encode, check))
        self.holding = Holding("judge", app, world.told)
        steps = self.steps = StateSteps(states, self.holding)
        self.work = BatchWork[Counted](
            app, self.table, TurnPolicy("judge", lambda one: one.key, 40, 20), steps
        )
        self.catch_up = CatchUp[Counted](app, steps, self.work.alone, self._late, "")
        self.acked: dict[int, int] = {}  # first offset of a batch that is done: the one behind it
        self.read = world.commit
        self.tasks: list[asyncio.Task[None]] = []

    async def _commits(self, _sources: Any) -> dict[TP, OffsetAndMetadata]:
        await asyncio.sleep(0)
        return {TP(SOURCE, 0): OffsetAndMetadata(self.world.commit, self.world.metadata)}

    async def _late(self, _broker: Any, key: bytes, _partition: int, held: HeldState) -> Any:
        """As of ingest: what had been put out before comes again as it was."""
        told = [msgspec.json.decode(one.value) for one in self.world.topics[OUT] if one.key == key]
        known = {offset for offset, _, _, is_late in told if not is_late and offset >= held.offset}
        return lambda state, record: step(state, record, record.offset not in known)

    async def _send(self, records: list[Any]) -> list[asyncio.Future[Any]]:
        await asyncio.sleep(0)
        found = []
        for topic, key, value, _ in records:
            future = asyncio.get_running_loop().create_future()
            future.set_result(
                SimpleNamespace(offset=self.world.append(topic, key, value), timestamp=0)
            )
            found.append(future)
        return found

    async def start(self) -> None:
        if self.world.topics[CHANGELOG]:
            self.table.apply_records(0, self.world.topics[CHANGELOG])
        await self.work._restored({0})
        ready = asyncio.Event()
        ready.set()
        self.tasks = [
            asyncio.create_task(self.work.run()),
            asyncio.create_task(self.catch_up.run(ready)),
        ]

    def deliver(self, most: int) -> None:
        batch = self.world.topics[SOURCE][self.read : self.read + most]
        if batch:
            first, self.read = self.read, self.read + len(batch)
            ack = SimpleNamespace(
                value=batch, ack=lambda: self.acked.update({first: first + len(batch)})
            )
            self.work.add(ack, step)

    def commit(self) -> None:
        world, moved = self.world, False
        while world.commit in self.acked:
            world.commit, moved = self.acked[world.commit], True
        if moved:
            world.metadata = written(self.table.note(0))

    async def end(self) -> None:
        writing = self.work._writer._writing
        tasks = [*self.tasks, *([writing] if writing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def broker(world: World, few: int = len(KEYS)) -> Iterator[None]:
    """What holding asks of a broker beside the agent's own consumer."""

    @asynccontextmanager
    async def reaching(_bootstrap: str) -> AsyncIterator[Any]:
        await asyncio.sleep(0)

        async def end_offsets(tps: list[TopicPartition]) -> dict[TopicPartition, int]:
            return {tp: len(world.topics[tp.topic]) for tp in tps}

        yield SimpleNamespace(consumer=SimpleNamespace(end_offsets=end_offsets))

    async def records(
        _broker: Any, spans: Any, _progress: Any
    ) -> AsyncIterator[list[ConsumerRecord]]:
        for tp, (first, last) in spans.items():
            for start in range(first, last, 2):
                await asyncio.sleep(0)
                yield world.topics[tp.topic][start : min(start + 2, last)]

    async def starts(_broker: Any, topic: str) -> dict[TopicPartition, int]:
        return {TopicPartition(topic, 0): 0}

    def died(reason: str, *_: Any, **facts: Any) -> None:
        raise AssertionError(f"{reason} {facts}")

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "reaching": reaching,
            "records": records,
            "starts": starts,
            "LOOK_SECONDS": 0,
        }.items():
            patch.setattr(catch_up, name, value)
        patch.setattr(module, "FEW", few)
        patch.setattr(end, "die", died)
        patch.setattr(module, "die", died)
        yield


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def lived(world: World, moves: list[tuple[str, Any]]) -> None:
    """Do to the service what ``moves`` say; then mend all, and let it work until nothing changes
    any more.
    """
    for what, how in moves:
        if what == "send":
            world.append(SOURCE, how, b"12345678")
        elif what == "work":
            if world.worker is None:
                world.worker = Worker(world)
                await world.worker.start()
            world.worker.deliver(how)
            await turns(how * 3)
            world.worker.commit()
        elif what == "rebuild":
            world.rebuild()
        elif world.worker is not None:
            await world.worker.end()
            world.worker = None
        is_held = read_held(world.last(how)) is not None if what == "damage" else False
        if what == "damage" and world.last(how) is not None and not (is_held and world.is_told):
            world.append(CHANGELOG, how, JUNK)
    if world.worker is None:
        world.worker = Worker(world)
        await world.worker.start()
    for _ in range(6):
        world.rebuild()
        world.worker.deliver(len(world.topics[SOURCE]) + 1)
        await turns(300)
        world.worker.commit()
    assert world.commit == len(world.topics[SOURCE])
    assert not world.worker.holding.kept
    await world.worker.end()


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from(KEYS)),
        st.tuples(st.just("send"), st.sampled_from(KEYS)),
        st.tuples(st.just("work"), st.integers(1, 12)),
        st.tuples(st.just("work"), st.integers(1, 12)),
        st.tuples(st.sampled_from(["damage", "kill"]), st.sampled_from(KEYS)),
        st.tuples(st.just("rebuild"), st.none()),
    ),
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@example(
    [("send", b"c"), ("work", 2), ("damage", b"c"), ("send", b"c"), ("work", 2), ("damage", b"c")]
)
@example(
    [
        ("send", b"a"),
        ("send", b"c"),
        ("work", 3),
        ("send", b"a"),
        ("damage", b"a"),
        ("damage", b"c"),
        ("work", 2),
        ("damage", b"a"),
    ]
)
@given(MOVES)
def test_nothing_is_lost_or_told_in_two_ways_whatever_is_damaged_killed_and_made_anew(
    moves: list[tuple[str, Any]],
) -> None:
    world = World()
    with broker(world):
        asyncio.run(lived(world, moves))
    world.check()


@settings(max_examples=100, deadline=None)
@example(
    [
        ("send", b"a"),
        ("work", 3),
        ("damage", b"a"),
        ("work", 2),
        ("rebuild", None),
        ("work", 2),
        ("damage", b"a"),
    ]
)
@given(MOVES)
def test_an_alert_of_a_held_state_has_one_content_and_ends_whenever_its_agent_is_killed(
    moves: list[tuple[str, Any]],
) -> None:
    """Each record of an alert goes on with the same history.

    What stands for a held state is not damaged itself.
    """
    world = World()
    world.told = FeedNotices(lambda _: 0)
    with broker(world):
        asyncio.run(lived(world, moves))
    world.check()
    last: dict[str, Alert] = {}
    for record in world.topics[ALERTS]:
        alert = msgspec.json.decode(record.value, type=Alert)
        before = last.setdefault(alert.id, alert)
        assert before.history == alert.history[: len(before.history)]
        assert (alert == before) == (len(alert.history) == len(before.history)), (
            "one id with two contents"
        )
        last[alert.id] = alert
    assert {alert.state for alert in last.values()} <= {"resolved"}


@pytest.mark.parametrize("after", range(1, 125))
def test_killed_at_whatever_it_awaits_the_alert_goes_on(after: int) -> None:
    """From the start that meets the damage, until it is mended and caught up with."""
    world = World()
    world.told = FeedNotices(lambda _: 0)

    async def life(worker: Worker) -> None:
        await worker.start()
        worker.deliver(len(KEYS) + 1)
        await turns(30)
        worker.commit()
        world.rebuild()
        await turns(60)

    async def killed() -> None:
        for key in KEYS:
            world.append(SOURCE, key, b"1")
        await life(first := Worker(world))
        await first.end()
        world.append(CHANGELOG, b"a", JUNK)
        world.append(SOURCE, b"a", b"1")
        second = Worker(world)
        living = asyncio.create_task(life(second))
        await turns(after)
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)
        await second.end()
        await lived(world, [])

    with broker(world):
        asyncio.run(killed())
    world.check()
    records = [msgspec.json.decode(one.value, type=Alert) for one in world.topics[ALERTS]]
    assert len({one.id for one in records}) == 1
    assert len({one.history for one in records}) == 2
    assert records[-1].state == "resolved"


def test_a_held_key_keeps_its_messages_and_lets_the_others_go_on() -> None:
    world = World()
    with broker(world):

        async def held() -> None:
            for key in KEYS * 2:
                world.append(SOURCE, key, b"1")
            world.worker = worker = Worker(world)
            await worker.start()
            worker.deliver(4)
            await turns(60)
            worker.commit()
            await worker.end()
            world.append(CHANGELOG, b"b", JUNK)
            world.worker = worker = Worker(world)
            await worker.start()
            worker.deliver(4)
            await turns(60)
            worker.commit()
            assert (world.commit, set(worker.holding.kept)) == (8, {b"b"})
            assert Counter(one.key for one in world.topics[OUT]) == {
                b"a": 2,
                b"b": 1,
                b"c": 2,
                b"d": 2,
            }
            note = read_note(world.metadata)
            assert note is not None
            assert note.held == 4
            await worker.end()

        asyncio.run(held())


@given(st.integers(0, 3), st.integers(0, 5000), st.booleans())
def test_a_message_that_comes_to_another_partition_waits_in_that_of_the_held_key(
    partition: int, offset: int, is_large: bool
) -> None:
    """Its offset there says nothing of those of the partition whose messages are kept; one too
    large is refused.
    """
    world, sent, done = World(), [], []
    came = ConsumerRecord(
        SOURCE, partition, offset, 0, 1, b"b", b"frame", None, 0, 0, (("x", b"y"),)
    )

    async def send(records: list[Any]) -> list[asyncio.Future[Any]]:
        sent.extend(records)
        return await Worker._send(worker, records)

    async def held() -> None:
        nonlocal worker
        world.append(CHANGELOG, b"b", JUNK)
        worker = Worker(world)
        await worker.start()
        worker.producer.send_all = send
        if is_large:
            worker.steps.too_large = lambda record: [("rejects", record.key, b"", None)]
        kept = worker.holding.kept[b"b"]
        kept.partition = 1
        before = (kept.held, kept.passed)
        worker.work.add(SimpleNamespace(value=[came], ack=lambda: done.append(True)), step)
        await turns(40)
        assert done
        if partition == 1:
            assert (kept.held, kept.passed, b"b" in worker.holding.kept) == (
                before[0],
                max(0, offset + 1),
                True,
            )
            assert sent == []
        else:
            assert (kept.held, kept.passed) == before
            [(topic, key, value, place)] = sent
            assert (topic, place) == (("rejects", None) if is_large else (SOURCE, 1))
            assert is_large or (key, value, sent[0].headers) == (
                b"b",
                b"frame",
                [("x", b"y"), (MOVED, b"%d:%d" % (partition, offset))],
            )
        assert worker.steps.states.live == {}
        await worker.end()

    worker: Any = None
    world.topics["rejects"] = []
    with broker(world):
        asyncio.run(held())


def test_most_states_of_a_partition_unreadable_end_the_stage() -> None:
    """As with the changelog of another release."""
    world = World()
    for key in KEYS:
        world.append(CHANGELOG, key, JUNK)
    with (
        broker(world, module.FEW),
        pytest.raises(
            AssertionError, match=r"state\.most_unreadable .*'unreadable': 4, 'states': 4"
        ),
    ):
        asyncio.run(Worker(world).start())


def test_what_is_held_is_dated_by_the_clock_that_the_stage_keeps_on_the_brokers_time() -> None:
    """A host that is a day behind: its own clock is nobody's."""
    world = World()
    world.append(CHANGELOG, b"b", JUNK)
    with broker(world):

        async def held() -> HeldState:
            worker = Worker(world)
            worker.table.apply_records(0, world.topics[CHANGELOG])
            worker.clock.follow(wall() + DAY, steady())
            await worker.work._restored({0})
            return worker.holding.kept[b"b"].held

        assert abs(asyncio.run(held()).at - (wall() + DAY)) < timedelta(minutes=1)
