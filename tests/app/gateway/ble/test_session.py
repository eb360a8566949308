"""One connection on a link without a stack, in time that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from support.radio.fast import FastDevice, FastLink, FastLoop

from rpm_stream.app.gateway.ble.board import Board
from rpm_stream.app.gateway.ble.known import KnownDevice
from rpm_stream.app.gateway.ble.marks import Marks
from rpm_stream.app.gateway.ble.options import GatewayContext, SessionOptions
from rpm_stream.app.gateway.ble.outbox import Outbox
from rpm_stream.app.gateway.ble.quiet import FIRST_SECONDS
from rpm_stream.app.gateway.ble.radio import GattCharacteristic, LinkLost, PairingFailed, Refused
from rpm_stream.app.gateway.ble.session import Session, is_frequent, is_stream
from rpm_stream.ingest.gatt.decoders import DECODERS
from rpm_stream.records import Notification

BEGIN = datetime(2026, 11, 30, tzinfo=UTC)
HEART = GattCharacteristic("180D", "2A37", frozenset({"notify"}), 3)
STEPS = GattCharacteristic("1814", "2A53", frozenset({"notify"}), 5)
BATTERY = GattCharacteristic("180F", "2A19", frozenset({"read", "notify"}), 7)
VENDOR = GattCharacteristic(
    "FEED", "6E400003-B5A3-F393-E0A9-E50E24DCCA9E", frozenset({"notify"}), 9
)


class Played:
    """A session at work, and what came of it."""

    def __init__(self, found: Sequence[GattCharacteristic], folder: Path) -> None:
        loop = asyncio.get_running_loop()
        clock = lambda: BEGIN + timedelta(seconds=loop.time())  # noqa: E731
        self.entries: list[Notification] = []
        self.link = FastLink(FastDevice("F0:F1:F2:F3:F4:F5", found, lambda _: None))
        self.board = Board(clock, CollectorRegistry())
        self.outbox = Outbox("strap-1", self.send, clock)
        self.sending = asyncio.create_task(self.outbox.run())
        shared = GatewayContext(
            Marks(folder / "marks.json"), self.board, SessionOptions(clock=clock, zone=UTC)
        )
        self.session = Session(
            self.link, KnownDevice(device="strap-1", name="x"), self.outbox, shared
        )

    async def send(self, device: str, *, notifications: Sequence[Notification]) -> None:
        self.entries += notifications


def play(
    found: Sequence[GattCharacteristic], folder: Path, life: Callable[[Played], Awaitable[None]]
) -> tuple[Played, BaseException | None]:
    """``life`` beside a session; what ended the session."""

    async def both() -> tuple[Played, BaseException | None]:
        played = Played(found, folder)
        task = asyncio.ensure_future(played.session.run())
        await life(played)
        played.link.end() if not task.done() else None
        [ended] = await asyncio.gather(task, return_exceptions=True)
        await played.outbox.flush()
        played.sending.cancel()
        return played, ended

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        return runner.run(both())


def test_what_streams_is_what_the_table_calls_continuous() -> None:
    """A glucose sensor streams a value every few minutes, which does not wait for others."""
    assert {uuid for uuid in DECODERS if is_stream(uuid)} == {"2A37", "2A53", "2A5F", "2AA7"}
    assert {uuid for uuid in DECODERS if is_frequent(uuid)} == {"2A37", "2A53", "2A5F"}
    assert not is_stream(VENDOR.uuid) and not is_frequent(VENDOR.uuid)


def test_what_one_characteristic_refuses_costs_the_others_nothing(tmp_path: Path) -> None:
    async def life(played: Played) -> None:
        played.link.locked, played.link.refuse_pairing = {"2A19"}, True
        await asyncio.sleep(5)
        assert played.link.say("2A37", b"\x00\x48")

    played, ended = play([BATTERY, HEART], tmp_path, life)
    assert ended is None
    assert "0048" in [entry.payload for entry in played.entries]


def test_a_device_that_lets_nobody_in_is_not_paired(tmp_path: Path) -> None:
    async def life(played: Played) -> None:
        played.link.locked, played.link.refuse_pairing = {"2A37"}, True
        await asyncio.sleep(5)

    _, ended = play([HEART], tmp_path, life)
    assert isinstance(ended, PairingFailed)


def test_a_device_without_anything_known_is_told(tmp_path: Path) -> None:
    async def life(played: Played) -> None:
        await asyncio.sleep(5)
        assert "6E400003" not in "".join(played.link.receivers), (
            "what nobody can read is not subscribed"
        )

    _, ended = play([VENDOR], tmp_path, life)
    assert isinstance(ended, Refused)


def test_a_stream_that_never_flowed_does_not_end_one_that_does(tmp_path: Path) -> None:
    """Not every wearer of a strap runs."""

    async def life(played: Played) -> None:
        await asyncio.sleep(1)
        for beat in range(2000):
            assert played.link.say("2A37", bytes([0, beat % 200]))
            await asyncio.sleep(1)

    played, ended = play([HEART, STEPS], tmp_path, life)
    assert ended is None
    assert sum(entry.characteristic == "2A37" for entry in played.entries) == 2000


def test_a_link_that_never_says_anything_is_given_up(tmp_path: Path) -> None:
    async def life(played: Played) -> None:
        await asyncio.sleep(3 * FIRST_SECONDS)

    _, ended = play([HEART], tmp_path, life)
    assert isinstance(ended, LinkLost)


def test_battery_and_signal_are_asked_again_and_again(tmp_path: Path) -> None:
    async def life(played: Played) -> None:
        await asyncio.sleep(1)
        for beat in range(25 * 360):
            played.link.say("2A37", bytes([0, beat % 200]))
            await asyncio.sleep(10)

    played, _ = play([HEART, BATTERY], tmp_path, life)
    assert [entry.payload for entry in played.entries if entry.characteristic == "2A19"] == [
        "32"
    ] * 5
    assert played.board.row("strap-1").battery == 50


@pytest.mark.parametrize("octets", ["", "65", "ff", "5050"])
def test_a_battery_level_that_is_none_is_sent_and_not_shown(tmp_path: Path, octets: str) -> None:
    async def life(played: Played) -> None:
        await asyncio.sleep(5)
        played.board.row("strap-1").battery = None
        played.link.say("2A19", bytes.fromhex(octets))

    played, _ = play([HEART, BATTERY], tmp_path, life)
    assert played.board.row("strap-1").battery is None
    assert octets in [entry.payload for entry in played.entries]
