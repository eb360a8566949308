"""One silent gateway among many: counted, named by the command, and known again after a restart."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.app.kafka import topics
from rpm_stream.app.kafka.names import ACCOUNTS
from rpm_stream.app.operate.silent_gateways import (
    DAYS,
    KNOWN,
    SILENT,
    SLOT,
    GatewayHistory,
    Gateways,
    Heard,
    show,
    silent_after,
    usual,
)
from rpm_stream.app.registry.topic import write
from rpm_stream.knowledge.registry import Registry
from rpm_stream.records import Account, Assignment, DeviceEntry

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def account(gateway: str, at: datetime, device: str = "d") -> bytes:
    place = {"frame": "f", "seq": 0, "boot": "b", "partition": 0, "offset": 0}
    counted = {"entries": 1, "context": 0, "parts": 1, "readings": 1, "duplicates": 0}
    given: dict[str, Any] = {**place, **counted, "rejects": {}}
    return msgspec.json.encode(Account(gateway=gateway, device=device, received_at=at, **given))


def worn(*devices: str, until: datetime | None = None) -> Registry:
    assignments = (Assignment(patient="p", until=until),)
    return Registry(DeviceEntry(device=device, assignments=assignments) for device in devices)


def heard(times: dict[str, list[datetime]], registry: Registry | None = None) -> dict[str, Heard]:
    gateways = Gateways("kafka:9092")
    for name, moments in times.items():
        for at in moments:
            gateways.note(account(name, at))
    return {each.gateway: each for each in gateways.heard(registry or worn("d"), NOW)}


def every(step: timedelta, until: datetime, days: int = 10) -> list[datetime]:
    return [until - number * step for number in range(int(days * DAY / step))]


def by_day(until: datetime, days: int = 10) -> list[datetime]:
    """Each minute from 6 to 22 h: off at night."""
    return [at for at in every(10 * MINUTE, until, days) if 6 <= at.hour < 22]


CASES = {
    "a relay that never rests, away for two hours": (every(MINUTE * 5, NOW - 2 * HOUR), True),
    "the same, away for half an hour": (every(MINUTE * 5, NOW - HOUR / 2), False),
    "a strap that is off at night, in the morning": (by_day(NOW.replace(hour=6) - 8 * HOUR), False),
    "the same, two days later": (by_day(NOW - 2 * DAY), True),
    "a scale each morning, at noon": (
        [NOW - 4 * HOUR - number * DAY for number in range(10)],
        False,
    ),
    "the same, after a morning was left out": (
        [NOW - 40 * HOUR - number * DAY for number in range(10)],
        True,
    ),
    "one that had an outage of two days last week": (
        [at for at in every(MINUTE * 5, NOW - 3 * HOUR) if not 4 * DAY < NOW - at < 6 * DAY],
        True,
    ),
    "one that began yesterday": ([NOW - 20 * HOUR], False),
    "one that was heard once, two days ago": ([NOW - 2 * DAY], True),
}


@pytest.mark.parametrize("case", CASES)
def test_silent_is_who_pauses_for_longer_than_usual(case: str) -> None:
    times, silent = CASES[case]
    assert heard({"gw": times})["gw"].silent is silent


def test_a_gateway_whose_devices_nobody_wears_is_not_missed() -> None:
    """It was handed in: nobody waits for it."""
    times = {"gw": every(MINUTE * 5, NOW - 2 * DAY)}
    found = heard(times, worn("d", until=NOW - DAY))["gw"]
    assert (found.expected, found.silent) == (False, False)
    assert heard(times, Registry())["gw"].expected is False


def test_one_that_was_not_heard_for_two_weeks_is_forgotten() -> None:
    assert heard({"gw": every(HOUR, NOW - (DAYS + 1) * DAY, 2)}) == {}


def test_one_silent_among_many_is_counted_and_first_in_the_list() -> None:
    times = {f"gw-{number:03}": every(10 * MINUTE, NOW, 2) for number in range(200)}
    times["gw-117"] = every(10 * MINUTE, NOW - 5 * HOUR, 2)
    found = heard(times)
    assert next(iter(found)) == "gw-117"
    show(found.values())
    assert (KNOWN._value.get(), SILENT._value.get()) == (200, 1)


moments = st.lists(st.integers(0, DAYS * 24 * 60 - 1), min_size=1, max_size=60)


@given(moments, st.randoms())
def test_the_order_of_the_accounts_does_not_matter(minutes: list[int], chance: Any) -> None:
    """Partitions are read one after the other, a whole fortnight of each."""
    at = [NOW - minute * MINUTE for minute in minutes]
    shuffled = chance.sample(at, len(at))
    one, two = GatewayHistory(), GatewayHistory()
    for course, times in ((one, sorted(at)), (two, shuffled)):
        for each in times:
            course.note("d", each)
    assert (one.last, one.pauses()) == (two.last, two.pauses())


@given(moments)
def test_a_pause_is_what_lies_between_two_frames(minutes: list[int]) -> None:
    """The longest of all is within a slot of the longest between two neighbours."""
    at = sorted(NOW - minute * MINUTE for minute in minutes)
    course = GatewayHistory()
    for each in at:
        course.note("d", each)
    longest = max((after - before for before, after in pairwise(at)), default=timedelta())
    assert abs(max(course.pauses(), default=timedelta()) - longest) <= SLOT


@given(st.lists(st.timedeltas(timedelta(), timedelta(days=14)), max_size=20))
def test_nobody_is_silent_before_an_hour_or_before_the_usual_pause(pauses: list[timedelta]) -> None:
    assert silent_after(usual(pauses)) >= max(HOUR, usual(pauses) or HOUR)


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"[]", b'{"gateway":null,"device":"d"}'])
def test_what_is_no_account_is_passed_over(value: bytes | None) -> None:
    gateways = Gateways("kafka:9092")
    gateways.note(value)
    assert gateways.courses == {}


def test_the_command_names_it_from_the_topics_alone(kafka: str) -> None:
    """And whoever looks a second time reads only what is new."""
    name, now = f"gw-{uuid4()}", datetime.now(UTC)
    device = f"d-{uuid4()}"

    async def sent(at: datetime) -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
            await producer.send_and_wait(ACCOUNTS, account(name, at, device), key=device.encode())

    async def story() -> tuple[bool, bool]:
        await topics.apply(kafka)
        await write(kafka, [DeviceEntry(device=device, assignments=(Assignment(patient="p"),))])
        await sent(now - 2 * DAY)
        gateways = Gateways(kafka)

        async def is_silent() -> bool:
            found = {each.gateway: each for each in await gateways.look(now, lambda *_: None)}
            return found[name].silent

        before = await is_silent()
        command = [sys.executable, "-m", "rpm_stream", "gateways", "--silent", "--bootstrap", kafka]
        run = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, check=True, env={**os.environ}
        )
        assert name in [json.loads(line)["gateway"] for line in run.stdout.splitlines()]
        await sent(now)
        return before, await is_silent()

    assert asyncio.run(story()) == (True, False)
