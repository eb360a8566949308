"""What one device sent, on its way into frames."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from support.radio.fast import FastLoop

from rpm_stream.app.gateway.ble import outbox as module
from rpm_stream.app.gateway.ble.outbox import BATCH, Outbox
from rpm_stream.records import Notification

BEGIN = datetime(2026, 11, 30, tzinfo=UTC)


def glucose(number: int, follows: bool) -> bytes:
    return bytes([0x10 if follows else 0, number, 0]) + bytes(10)


def context(number: int) -> bytes:
    return bytes([0, number, 0])


class Rig:
    """An outbox, and the frames that it made with the moment of each."""

    def __init__(self) -> None:
        self.frames: list[tuple[float, list[str]]] = []
        self.full, self.slow = False, 0.0
        self.loop = asyncio.get_running_loop()
        self.box = Outbox("d", self.send, lambda: BEGIN + timedelta(seconds=self.loop.time()))
        self.task = asyncio.create_task(self.box.run())

    async def send(self, device: str, *, notifications: Sequence[Notification]) -> None:
        await asyncio.sleep(self.slow)
        if self.full:
            raise OSError("full")
        self.frames.append(
            (
                round(self.loop.time(), 3),
                [each.characteristic + each.payload[:6] for each in notifications],
            )
        )


def fast(work: Callable[[Rig], Awaitable[None]]) -> Rig:
    async def play() -> Rig:
        rig = Rig()
        await work(rig)
        rig.task.cancel()
        await asyncio.gather(rig.task, return_exceptions=True)
        return rig

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        return runner.run(play())


def test_a_single_value_is_sent_at_once() -> None:
    async def work(rig: Rig) -> None:
        rig.box.put("2A35", b"\x01")
        await asyncio.sleep(1)

    assert fast(work).frames == [(0.0, ["2A3501"])]


def test_values_of_a_stream_wait_for_each_other_and_not_for_ever() -> None:
    async def work(rig: Rig) -> None:
        for beat in range(8):
            rig.box.put("2A37", bytes([beat]), gather=5.0)
            await asyncio.sleep(1)
        await asyncio.sleep(10)

    assert [(at, len(said)) for at, said in fast(work).frames] == [(5.0, 6), (11.0, 2)]


def test_a_value_that_is_due_takes_the_earlier_ones_along() -> None:
    async def work(rig: Rig) -> None:
        rig.box.put("2A37", b"\x01", gather=5.0)
        rig.box.put("2A35", b"\x02")
        await asyncio.sleep(1)

    assert fast(work).frames == [(0.0, ["2A3701", "2A3502"])]


def test_a_glucose_value_waits_for_its_context_and_what_is_behind_it_too() -> None:
    async def work(rig: Rig) -> None:
        rig.box.put("2A18", glucose(1, True))
        rig.box.put("2A19", b"\x50")
        await asyncio.sleep(1)
        assert rig.frames == []
        rig.box.put("2A34", context(1))
        await asyncio.sleep(1)

    assert fast(work).frames == [(1.0, ["2A18100100", "2A1950", "2A34000100"])]


def test_a_context_that_never_comes_is_not_waited_for_longer() -> None:
    async def work(rig: Rig) -> None:
        rig.box.put("2A18", glucose(1, True))
        rig.box.put("2A34", context(2))
        await asyncio.sleep(5)

    assert fast(work).frames == [(2.0, ["2A18100100", "2A34000200"])]


def test_a_value_without_context_does_not_wait() -> None:
    async def work(rig: Rig) -> None:
        rig.box.put("2A18", glucose(1, False))
        await asyncio.sleep(0)
        await asyncio.sleep(0.1)

    assert fast(work).frames == [(0.0, ["2A18000100"])]


def test_a_long_transfer_is_cut_between_pairs() -> None:
    async def work(rig: Rig) -> None:
        rig.slow = 0.5
        rig.box.put("2A35", b"\x01")
        for number in range(BATCH):
            rig.box.put("2A18", glucose(number % 250, True))
            rig.box.put("2A34", context(number % 250))
        await rig.box.flush()

    frames = [said for _, said in fast(work).frames]
    assert sum(map(len, frames)) == 2 * BATCH + 1
    for said in frames:
        assert len(said) <= BATCH
        assert sum(each.startswith("2A18") for each in said) == sum(
            each.startswith("2A34") for each in said
        )


def test_a_full_disk_loses_nothing_and_keeps_the_order() -> None:
    async def work(rig: Rig) -> None:
        rig.full = True
        for number in range(3):
            rig.box.put("2A35", bytes([number]))
            await asyncio.sleep(1)
        assert len(rig.box) == 3
        rig.full = False
        await rig.box.flush()

    assert [each for _, said in fast(work).frames for each in said] == [
        "2A3500",
        "2A3501",
        "2A3502",
    ]


def test_memory_has_a_bound_and_what_goes_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 10)

    async def work(rig: Rig) -> None:
        rig.full = True
        for number in range(15):
            rig.box.put("2A35", bytes([number]))
        assert rig.box.take_dropped() == 5
        assert rig.box.take_dropped() == 0
        rig.full = False
        await rig.box.flush()

    assert [said for _, said in fast(work).frames] == [
        [f"2A35{number:02x}" for number in range(5, 15)]
    ]


def test_flush_waits_for_what_is_being_written() -> None:
    async def work(rig: Rig) -> None:
        rig.slow = 3.0
        rig.box.put("2A35", b"\x01")
        await asyncio.sleep(0.1)
        await rig.box.flush()
        assert rig.loop.time() == pytest.approx(3.0, abs=0.01)

    assert len(fast(work).frames) == 1


@pytest.mark.parametrize("seed", range(100))
def test_whatever_comes_is_sent_once_and_in_its_order(seed: int) -> None:
    """The law, with a disk that is full at times and slow at others."""
    chance = random.Random(seed)
    told: list[str] = []

    async def work(rig: Rig) -> None:
        for number in range(chance.randrange(1, 80)):
            kind = chance.choice(["2A37", "2A35", "2A18", "2A34", "2A19"])
            value = bytes([chance.choice([0, 0x10]), number % 7, number])
            rig.box.put(kind, value, gather=chance.choice([0.0, 5.0]))
            told.append(kind + value.hex())
            rig.full, rig.slow = chance.random() < 0.2, chance.choice([0.0, 0.0, 1.5])
            if chance.random() < 0.5:
                await asyncio.sleep(chance.uniform(0.0, 3.0))
        rig.full = False
        await rig.box.flush()

    assert [each for _, said in fast(work).frames for each in said] == told
