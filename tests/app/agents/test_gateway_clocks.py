"""Kafka's own clock is named by the gateways: the quickest frame of each, and the middle one of
all.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.agents.gateway_clocks import EACH, GATEWAYS, HEARD_S, GatewayClocks

RECEIVED = datetime(2026, 1, 31, 8, tzinfo=UTC)
DAY = timedelta(days=1)


class Heard:
    """Gateway clocks with a counter that a test moves; every frame of ``send`` is one that is
    looked at.
    """

    def __init__(self) -> None:
        self.time = 0.0
        self.clocks = GatewayClocks(lambda: self.time)

    def send(self, gateway: str, lead: timedelta) -> None:
        body = json.dumps(
            {"v": 1, "gateway": gateway, "sent_at": (RECEIVED + lead).isoformat(), "more": [1]}
        ).encode()
        for _ in range(EACH):
            self.raw(body)

    def raw(self, value: bytes | None) -> None:
        stamp = int(RECEIVED.timestamp() * 1000)
        self.clocks.note(ConsumerRecord("rpm.frames", 0, 0, stamp, 1, b"d", value, 0, 0, 0, ()))


@pytest.mark.parametrize("off", [DAY, -DAY])
def test_where_all_differ_it_is_kafkas(off: timedelta) -> None:
    heard = Heard()
    for number in range(5):
        heard.send(f"gw-{number}", off - timedelta(seconds=number))
    assert heard.clocks.ahead() == pytest.approx(off.total_seconds(), abs=5)


def test_one_wrong_gateway_of_three_is_not() -> None:
    heard = Heard()
    for name, lead in (("a", DAY), ("b", timedelta(seconds=-1)), ("c", timedelta(seconds=-2))):
        heard.send(name, lead)
    assert heard.clocks.ahead() == -1


def test_a_spool_that_empties_says_nothing_about_clocks() -> None:
    """A day of frames comes late, then the one of now."""
    heard = Heard()
    for hours in range(24, -1, -1):
        heard.send("gw", -timedelta(hours=hours))
    assert heard.clocks.ahead() == 0


def test_who_is_not_heard_any_more_is_forgotten() -> None:
    heard = Heard()
    heard.send("gw", DAY)
    heard.time = HEARD_S + 1
    assert heard.clocks.ahead() == 0
    heard.send("gw", timedelta(seconds=-3))
    assert heard.clocks.ahead() == -3


def test_what_is_kept_is_bounded() -> None:
    heard = Heard()
    for number in range(GATEWAYS + 50):
        heard.clocks._count = 0
        heard.raw(json.dumps({"gateway": f"gw-{number}", "sent_at": RECEIVED.isoformat()}).encode())
    assert len(heard.clocks._leads) == GATEWAYS


def test_it_is_asked_by_another_thread_while_frames_come() -> None:
    """The metrics are served by a thread of their own: none of its looks may fail, or the page
    of all metrics does.
    """
    heard, looks, faults = Heard(), 0, list[Exception]()
    bodies = [
        json.dumps({"gateway": f"gw-{n}", "sent_at": RECEIVED.isoformat()}).encode()
        for n in range(5000)
    ]
    done = threading.Event()

    def look() -> None:
        nonlocal looks
        while not done.is_set():
            try:
                heard.clocks.ahead()
            except Exception as error:  # noqa: BLE001
                faults.append(error)
            looks += 1

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    asking = threading.Thread(target=look)
    asking.start()
    try:
        until = monotonic() + 1.5
        for number in itertools.count():
            if monotonic() > until:
                break
            heard.clocks._count = 0
            heard.time += 0.001  # a lead as large as before is one of now: the order changes
            heard.raw(bodies[number % len(bodies)])
    finally:
        done.set()
        asking.join()
        sys.setswitchinterval(before)
    assert looks > 10
    assert faults == []


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff",
        b"[]",
        b'{"gateway":"g"}',
        b'{"gateway":"g","sent_at":"2026-01-31T08:00:00"}',
        b'{"gateway":"g","sent_at":"0001-01-01T00:00:00+14:00"}',
    ],
)
def test_what_is_no_frame_is_passed_over(value: bytes | None) -> None:
    heard = Heard()
    heard.raw(value)
    assert heard.clocks.ahead() == 0 or b"0001" in (value or b"")  # a year is a time like any other
