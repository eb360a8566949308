"""The small parts of the radio gateway: silence, marks, what was stored, the screen."""

from __future__ import annotations

import asyncio
import random
import stat
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from rich.console import Console
from support.radio.fast import FastLoop

from rpm_stream.app.gateway.ble.board import Board, Presence
from rpm_stream.app.gateway.ble.commands import offset_text
from rpm_stream.app.gateway.ble.marks import Mark, Marks, marks_of
from rpm_stream.app.gateway.ble.quiet import (
    FIRST_SECONDS,
    LEAST_SECONDS,
    MOST_SECONDS,
    PATIENCE,
    Quiet,
)
from rpm_stream.app.gateway.ble.radio import LinkLost, Sighting
from rpm_stream.app.gateway.ble.screen import board_table, in_order, near_table
from rpm_stream.app.gateway.ble.stacks import radio_of
from rpm_stream.app.gateway.ble.stored import BUSY_SECONDS, QUIET_SECONDS, StoredRecords
from rpm_stream.app.runtime.errors import UsageError

# --- silence --------------------------------------------------------------------------------------


def test_a_stream_teaches_its_own_pace() -> None:
    quiet = Quiet(0.0)
    assert quiet.deadline == FIRST_SECONDS
    for second in range(10):
        quiet.heard(float(second))
    assert quiet.deadline == 9 + LEAST_SECONDS
    watch = Quiet(0.0)
    for minute in range(0, 60, 5):
        watch.heard(minute * 60.0)
    assert watch.deadline == 55 * 60 + PATIENCE * 300
    slow = Quiet(0.0)
    slow.heard(0.0)
    slow.heard(3600.0)
    assert slow.deadline == 3600 + MOST_SECONDS


def test_the_pause_that_a_subscription_ended_is_no_pace() -> None:
    quiet = Quiet(0.0)
    for second in range(5):
        quiet.heard(float(second))
    quiet.subscribed(100.0)
    assert (quiet.asked, quiet.deadline) == (True, 100 + LEAST_SECONDS)
    quiet.heard(110.0)
    assert (quiet.asked, quiet.deadline) == (False, 110 + LEAST_SECONDS)


# --- marks ----------------------------------------------------------------------------------------


def test_marks_are_kept_and_hold_no_value(tmp_path: Path) -> None:
    record = bytes.fromhex("020701ea070b1e0a0000") + bytes.fromhex("64b0f1")
    [mark] = marks_of("2A18", record)
    assert mark.number == 263
    again = marks_of("2A18", record[:10] + b"\x99\xb0\xf1")
    assert again == [mark], "sequence and base time are what a record is known by"
    assert marks_of("2A18", record[:9]) == []
    assert marks_of("2A35", record) == []
    path = tmp_path / "deeper" / "marks.json"
    Marks(path).put("meter-1", "2A18", mark)
    assert Marks(path).get("meter-1", "2A18") == mark
    assert Marks(path).get("meter-2", "2A18") is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert record.hex() not in path.read_text()


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', "\x00"])
def test_marks_that_cannot_be_read_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "marks.json"
    path.write_text(text)
    assert Marks(path).get("a", "2A18") is None


# --- stored records -------------------------------------------------------------------------------


def record(number: int, minute: int = 0) -> bytes:
    return bytes([0]) + number.to_bytes(2, "little") + bytes([0xEA, 7, 11, 30, 10, minute, 0])


Answer = Callable[[StoredRecords, bytes], Awaitable[None]]


def reading(marks: Marks, answers: list[Answer]) -> tuple[list[str], float]:
    """The requests of one reading, each answered by the next of ``answers``, and how long it
    took.
    """
    requests: list[str] = []

    async def play() -> float:
        store = StoredRecords("1808", "meter-1", marks)
        tasks = []

        async def write(data: bytes) -> None:
            requests.append(data.hex())
            if data[0] != 3 and answers:
                tasks.append(asyncio.ensure_future(answers.pop(0)(store, data)))

        await store.read(write)
        store.keep()
        await asyncio.gather(*tasks)
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        return requests, runner.run(play())


def gives(*records: bytes, code: int = 1) -> Answer:
    async def answer(store: StoredRecords, _: bytes) -> None:
        for each in records:
            await asyncio.sleep(0.1)
            store.record(each)
        store.answer(bytes([6, 0, 1, code]))

    return answer


def test_all_then_from_the_last_on(tmp_path: Path) -> None:
    marks = Marks(tmp_path / "marks.json")
    assert reading(marks, [gives(record(1), record(2))])[0] == ["0101"]
    assert reading(marks, [gives(record(2), record(3))])[0] == ["0103010200"]
    assert marks.get("meter-1", "2A18") == marks_of("2A18", record(3))[0]


def test_no_record_at_the_mark_means_a_memory_that_began_again(tmp_path: Path) -> None:
    marks = Marks(tmp_path / "marks.json")
    reading(marks, [gives(record(500))])
    assert reading(marks, [gives(code=6), gives(record(0), record(1))])[0] == ["010301f401", "0101"]
    assert marks.get("meter-1", "2A18") == marks_of("2A18", record(1))[0]


def test_a_device_without_filters_is_asked_for_all(tmp_path: Path) -> None:
    marks = Marks(tmp_path / "marks.json")
    reading(marks, [gives(record(5))])
    assert reading(marks, [gives(code=9), gives(record(5), record(6))])[0] == ["0103010500", "0101"]
    assert marks.get("meter-1", "2A18") == marks_of("2A18", record(6))[0]


def test_a_busy_device_is_asked_again(tmp_path: Path) -> None:
    marks = Marks(tmp_path / "marks.json")
    requests, took = reading(marks, [gives(code=10), gives(code=10), gives(record(1))])
    assert requests == ["0101"] * 3
    assert took >= 2 * BUSY_SECONDS


def test_a_device_that_does_not_answer_is_given_up_and_told_to_stop(tmp_path: Path) -> None:
    marks = Marks(tmp_path / "marks.json")
    requests, took = reading(marks, [])
    assert requests == ["0101", "0300"]
    assert took == pytest.approx(QUIET_SECONDS, abs=1)


def test_a_slow_transfer_is_not_given_up_while_records_come(tmp_path: Path) -> None:
    async def slowly(store: StoredRecords, _: bytes) -> None:
        for number in range(10):
            await asyncio.sleep(20.0)
            store.record(record(number))
        store.answer(bytes([6, 0, 1, 1]))

    marks = Marks(tmp_path / "marks.json")
    requests, took = reading(marks, [slowly])
    assert (requests, took) == (["0101"], pytest.approx(200.0, abs=1))


def test_half_a_transfer_counts_only_where_it_came_in_order(tmp_path: Path) -> None:
    def halves(*records: bytes) -> Answer:
        async def answer(store: StoredRecords, _: bytes) -> None:
            for each in records:
                store.record(each)

        return answer

    marks = Marks(tmp_path / "marks.json")
    reading(marks, [halves(record(9), record(8))])
    assert marks.get("meter-1", "2A18") is None, "the older ones have not come yet"
    reading(marks, [halves(record(1), record(2))])
    assert marks.get("meter-1", "2A18") == marks_of("2A18", record(2))[0]


@pytest.mark.parametrize("octets", ["", "06", "060001", "0600010101", "07000101", "06010101"])
def test_an_answer_that_is_none_ends_the_reading(tmp_path: Path, octets: str) -> None:
    async def answer(store: StoredRecords, _: bytes) -> None:
        store.answer(bytes.fromhex(octets))

    requests, _ = reading(Marks(tmp_path / "marks.json"), [answer])
    assert requests == ["0101"]


class Memory:
    """A glucose meter or a sensor (``service``) whose links break anywhere, and which may send
    live values between.
    """

    def __init__(self, service: str, chance: random.Random) -> None:
        self.service, self.chance = service, chance
        self.records: list[bytes] = []
        self.made = 0

    def measure(self) -> None:
        self.made += 1
        number = len(self.records).to_bytes(2, "little")
        if self.service == "1808":
            self.records.append(
                b"\x00" + number + bytes([0xEA, 7, 11, 30, self.made // 60 % 24, self.made % 60, 0])
            )
        else:
            self.records.append(b"\x06\x00" + self.made.to_bytes(2, "little") + number)

    async def session(self, marks: Marks, got: set[bytes], breaks: bool) -> None:
        """One connection; where it ``breaks``, nothing after a random moment arrives."""
        store = StoredRecords(self.service, "device-1", marks)
        left = self.chance.randrange(12) if breaks else 10**6

        def arrives(value: bytes) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise LinkLost("broken")
            got.add(value)
            store.record(value)

        def live() -> None:
            if self.service == "181F" and self.chance.random() < 0.3:
                self.measure()
                arrives(self.records[-1])

        async def write(data: bytes) -> None:
            if data[0] == 3:
                return
            first = int.from_bytes(data[3:5], "little") if data[1] == 3 else 0
            wanted = list(self.records[first:])
            for value in wanted:
                live()
                arrives(value)
            left_over = b"\x06\x00\x01" + (b"\x01" if wanted else b"\x06")
            asyncio.get_running_loop().call_soon(store.answer, left_over)

        try:
            live()
            await store.read(write)
            live()
        except LinkLost:
            pass
        store.keep()


@pytest.mark.parametrize("service", ["1808", "181F"])
@pytest.mark.parametrize("seed", range(150))
def test_whatever_breaks_no_stored_record_is_passed_over(
    tmp_path: Path, service: str, seed: int
) -> None:
    """The law: what is in the memory at the end of a connection that did not break has been
    received.
    """

    async def play() -> None:
        chance = random.Random(seed)
        memory, got = Memory(service, chance), set[bytes]()
        for _ in range(chance.randrange(2, 12)):
            if chance.random() < 0.15:
                memory.records.clear()
            for _ in range(chance.randrange(8)):
                memory.measure()
            breaks = chance.random() < 0.6
            await memory.session(Marks(tmp_path / "marks.json"), got, breaks)
            assert breaks or set(memory.records) <= got
        await memory.session(Marks(tmp_path / "marks.json"), got, False)
        assert set(memory.records) <= got

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(play())


# --- the screen -----------------------------------------------------------------------------------


def drawn(table: object) -> str:
    console = Console(width=140, force_terminal=False)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_health_devices_come_first_and_names_cannot_move_the_cursor() -> None:
    near = [
        Sighting("AA:00:00:00:00:01", "TV\x1b[2J", frozenset(), -20),
        Sighting("AA:00:00:00:00:02", "HR-70A", frozenset({"180D"}), -70),
        Sighting("AA:00:00:00:00:03", None, frozenset({"1810"}), -50),
    ]
    assert [each.address[-1] for each in in_order(near)] == ["3", "2", "1"]
    said = drawn(near_table(near))
    assert "\x1b" not in said
    assert "blood pressure" in said
    assert "-70 dBm" in said


def test_the_table_says_how_old_the_last_value_is() -> None:
    now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    moment = [now]
    board = Board(lambda: moment[0], CollectorRegistry())
    board.moved("strap-1", Presence.connected)
    board.heard("strap-1")
    moment[0] = now + timedelta(minutes=7)
    board.moved("strap-1", Presence.away, "the connection has ended")
    board.refused["unknown_device"] += 3
    said = drawn(board_table(board, 12))
    assert "7 min ago" in said
    assert "away" in said
    assert "12 frames wait" in said
    assert "3 unknown_device" in said


def test_metrics_name_no_device() -> None:
    registry = CollectorRegistry()
    board = Board(lambda: datetime(2026, 11, 30, tzinfo=UTC), registry)
    board.row("strap-ada", "HR").battery = 12
    board.moved("strap-ada", Presence.connected)
    board.rows["strap-ada"].rssi = -81
    said = generate_latest(registry).decode()
    assert "strap-ada" not in said
    assert "rpm_gateway_ble_lowest_battery_percent 12.0" in said
    assert "rpm_gateway_ble_weakest_signal_dbm -81.0" in said
    assert "rpm_gateway_ble_connected_devices 1.0" in said


@pytest.mark.parametrize(
    ("month", "zone", "text"),
    [
        (1, "Europe/Berlin", "+01:00"),
        (7, "Europe/Berlin", "+02:00"),
        (1, "America/St_Johns", "-03:30"),
        (1, "UTC", "+00:00"),
    ],
)
def test_the_offset_follows_summer_time(month: int, zone: str, text: str) -> None:
    assert offset_text(datetime(2026, month, 15, 12, tzinfo=UTC), ZoneInfo(zone)) == text


@pytest.mark.parametrize("name", ["", "blub", "usb", "usb:", "serial:", "file:/etc/passwd", "pty"])
def test_a_radio_that_is_none_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="--radio"):
        radio_of(name, tmp_path / "keys", "gw", False)


def test_a_mark_is_small() -> None:
    assert Mark(1, "ab") == (1, "ab")
