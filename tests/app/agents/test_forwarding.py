"""What ingest forwards: acked when the broker has it, in the order of its partition, and without
any state.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from rpm_stream.app.agents.batches import BatchWork, TurnPolicy
from rpm_stream.app.agents.forwarding import Forwarding
from rpm_stream.app.agents.states import Form, KeyedStates
from rpm_stream.app.agents.steps import StateSteps
from rpm_stream.app.kafka.names import ACTIONS, READINGS
from rpm_stream.pipeline.order import read_message
from rpm_stream.records import Forwarded
from rpm_stream.text import is_clean

AT_MS = 1_772_352_000_000


def record(offset: int, key: bytes | None = b"ada", **changes: Any) -> ConsumerRecord:
    body = {
        "v": 1,
        "patient": "ada",
        "alert": "a",
        "action": "comment",
        "who": "n",
        "reason": f"{offset}",
    }
    value = msgspec.json.encode({**body, "at": "2026-03-01T07:00:00Z", **changes})
    return ConsumerRecord(ACTIONS, 1, offset, AT_MS, 1, key, value, None, 0, len(value), ())


class World:
    """What ``BatchWork`` needs of Faust: a producer that is answered by hand, and a table that
    must not be used.
    """

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.answers: list[asyncio.Future[None]] = []
        self.acked: list[int] = []
        self.consumer = SimpleNamespace(revoked=False)
        self.producer = SimpleNamespace(send_all=self._send)
        self.should_stop = False
        table: Any = SimpleNamespace(keys_of=pytest.fail, blob=pytest.fail, write=pytest.fail)
        states = KeyedStates[Any](table, Form(pytest.fail, pytest.fail, pytest.fail))
        place = TurnPolicy("ingest", lambda record: (record.topic, record.partition), 1000, 1000)
        app: Any = self
        holding: Any = SimpleNamespace()
        self.work = BatchWork[Any](app, table, place, StateSteps(states, holding))

    async def _send(self, outputs: list[Any]) -> list[asyncio.Future[None]]:
        self.sent += outputs
        found = [asyncio.get_running_loop().create_future() for _ in outputs]
        self.answers += found
        return found

    def event(self, *offsets: int) -> Any:
        records = [record(offset) for offset in offsets]
        return SimpleNamespace(value=records, ack=lambda: self.acked.append(offsets[-1]))


async def settled(turns: int = 50) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_it_is_acked_when_the_broker_has_it_and_no_state_is_touched() -> None:
    world = World()
    for offsets in ((3, 4), (5,)):
        world.work.pass_on(world.event(*offsets), Forwarding(recorded_time=False).apply)
    running = asyncio.create_task(world.work.run())
    await settled()
    sent = [read_message(value) for _, _, value, _ in world.sent]
    assert [one.offset for one in sent] == [3, 4, 5]
    assert world.acked == []
    for answer in world.answers:
        answer.set_result(None)
    await settled()
    assert world.acked == [4, 5]
    running.cancel()


@pytest.mark.asyncio
async def test_nothing_is_begun_in_the_moment_of_a_revocation() -> None:
    """Who has the partition next forwards it from the commit."""
    world = World()
    world.consumer.revoked = True
    world.work.pass_on(world.event(3), Forwarding(recorded_time=False).apply)
    running = asyncio.create_task(world.work.run())
    await settled()
    assert (world.sent, world.acked) == ([], [])
    running.cancel()


def test_it_goes_to_the_patient_of_the_key_with_the_time_of_the_broker() -> None:
    [(topic, key, value, partition)] = Forwarding(recorded_time=False).apply(record(7))
    message = read_message(value)
    assert isinstance(message, Forwarded)
    assert (topic, key, partition) == (READINGS, b"ada", None)
    assert (message.patient, message.topic, message.partition, message.offset) == (
        "ada",
        ACTIONS,
        1,
        7,
    )
    assert message.received_at.timestamp() * 1000 == AT_MS
    [(_, _, value, _)] = Forwarding(recorded_time=True).apply(record(7))
    assert b'"received_at":"2026-03-01T07:00:00Z"' in value


@pytest.mark.parametrize("key", [b"", b"a" * 129])
def test_a_key_that_is_no_name_of_a_patient_goes_no_further_and_is_told_with_its_place(
    key: bytes,
) -> None:
    with capture_logs() as logs:
        assert Forwarding(recorded_time=False).apply(record(7, key=key)) == []
    assert [(each["event"], each["partition"], each["offset"]) for each in logs] == [
        ("ingest.not_an_action", 1, 7)
    ]
    assert "aaa" not in str(logs)


@pytest.mark.parametrize("key", [b"p\n1", "p\u2028".encode()])
def test_a_patient_whom_an_older_release_named_with_a_control_character_can_be_decided_on(
    key: bytes,
) -> None:
    [(_, to, value, _)] = Forwarding(recorded_time=False).apply(record(7, key=key))
    assert (to, read_message(value).patient) == (key, key.decode())


@given(
    st.text(min_size=0, max_size=130) | st.sampled_from(["p\n", "p"]),
    st.text(max_size=5),
    st.text(max_size=5),
)
def test_what_is_forwarded_can_be_read_and_what_cannot_be_is_not(
    key: str, who: str, to: str
) -> None:
    """The judge's reader is no stricter than what lets an action in."""
    forwarded = Forwarding(recorded_time=False).apply(
        record(7, key=key.encode(errors="replace"), who=who, to=to)
    )
    for _, _, value, _ in forwarded:
        message = read_message(value)
        assert isinstance(message, Forwarded)
        assert all(is_clean(name) for name in (message.action.who, message.action.to or ""))


def test_without_a_key_it_is_nobodys() -> None:
    with capture_logs() as logs:
        assert Forwarding(recorded_time=False).apply(record(7, key=None)) == []
    assert [(each["event"], each["partition"], each["offset"]) for each in logs] == [
        ("ingest.not_an_action", 1, 7)
    ]
