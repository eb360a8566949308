"""A host's clock that is a day off is named, and nothing in the service follows it."""

from __future__ import annotations

import ast
import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka.errors import InvalidTimestampError, KafkaConnectionError
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from support.source import MODULES, aliases, dotted, name_of, tree, unit_of

from rpm_stream.app.feed.machines import FRESH, Machines
from rpm_stream.app.feed.page.wording import wrong_clocks
from rpm_stream.app.feed.progress import UNKNOWN
from rpm_stream.app.kafka import broker_time
from rpm_stream.app.kafka.broker_time import AHEAD, BrokerTime, Look, read_look
from rpm_stream.app.registry.topic import _away
from rpm_stream.app.runtime import clock as clock_module
from rpm_stream.app.runtime.clock import Clock, steady, wall
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.settings import Settings

DAY = timedelta(days=1)


def looked(ahead: timedelta, clock: Clock) -> BrokerTime:
    """What knows that the host is so far ahead of the broker."""
    found = BrokerTime(Settings(), clock, "judge")
    found._note(wall() - ahead, wall(), steady())
    return found


@pytest.mark.parametrize("ahead", [DAY, -DAY, timedelta(minutes=2)])
def test_a_wrong_clock_is_named_and_not_followed(ahead: timedelta) -> None:
    clock = Clock()
    with capture_logs() as logs:
        looked(ahead, clock)
    assert abs(clock.now() - (wall() - ahead)) < timedelta(seconds=1)
    assert AHEAD.labels("judge")._value.get() == pytest.approx(ahead.total_seconds(), abs=1)
    [entry] = logs
    assert entry["event"] == "clock.host_clock_wrong"
    assert entry["seconds_ahead"] == pytest.approx(ahead.total_seconds(), abs=1)


def test_it_is_said_once_and_again_when_it_is_right() -> None:
    clock = Clock()
    with capture_logs() as logs:
        found = looked(DAY, clock)
        found._note(wall() - DAY, wall(), steady())
        found._note(wall(), wall(), steady())
    events = [entry["event"] for entry in logs if "host_clock" in entry["event"]]
    assert events == [
        "clock.host_clock_wrong",
        "clock.host_clock_right",
    ]


def test_a_right_clock_is_not_talked_about() -> None:
    with capture_logs() as logs:
        looked(timedelta(seconds=1), Clock())
    assert logs == []


def test_a_host_whose_clock_is_set_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two looks too: the counter goes on, whatever the host's clock shows."""
    clock = Clock()
    looked(timedelta(), clock)
    before, real = clock.now(), time.time
    monkeypatch.setattr(time, "time", lambda: real() + DAY.total_seconds())
    assert wall() - before > timedelta(hours=23)
    assert timedelta() <= clock.now() - before < timedelta(seconds=5)


def test_a_fast_clock_is_of_the_brokers_time_too() -> None:
    clock = Clock(60.0, wall())
    looked(-timedelta(minutes=1), clock)  # the broker is a minute ahead: an hour in the demo's time
    assert timedelta(minutes=59) < clock.now() - wall() < timedelta(minutes=62)


def test_looks_that_agree_move_nothing() -> None:
    """The way to the broker takes now longer, now shorter: time must not run back and forth for
    it.
    """
    clock = Clock()
    found = looked(timedelta(), clock)
    followed = clock._followed
    found._note(wall() + timedelta(milliseconds=40), wall(), steady())
    assert clock._followed == followed


def test_a_broker_whose_clock_is_set_is_followed_and_told() -> None:
    clock = Clock()
    found = looked(timedelta(), clock)
    with capture_logs() as logs:
        found._note(wall() + DAY, wall(), steady())
    assert clock.now() - wall() > timedelta(hours=23)
    assert "clock.broker_clock_set" in [entry["event"] for entry in logs]


class Way:
    """A broker that is so far from this host, and so slow there and back; the counter and the
    clocks are a test's.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, off: float) -> None:
        self.time, self.off = 1_000_000.0, off
        self.clock = Clock(anchor=datetime.fromtimestamp(0, UTC))
        self.found = BrokerTime(Settings(), self.clock, "judge")
        monkeypatch.setattr(broker_time, "steady", lambda: self.time)
        monkeypatch.setattr(clock_module, "steady", lambda: self.time)
        monkeypatch.setattr(time, "time", lambda: self.time)

    def ask(self, there: float, back: float) -> None:
        async def send_and_wait(*_: Any, **__: Any) -> Any:
            self.time += there
            stamp = (self.time + self.off) * 1000
            self.time += back
            return SimpleNamespace(timestamp_type=1, timestamp=stamp)

        producer: Any = SimpleNamespace(send_and_wait=send_and_wait)
        asyncio.run(self.found._ask(producer))

    def error(self) -> float:
        """How far the clock is from the broker's, in seconds."""
        return abs(self.clock.real().timestamp() - self.time - self.off)


SECONDS = st.floats(0, 30)
WAYS = st.lists(st.tuples(SECONDS, SECONDS, SECONDS), min_size=1, max_size=8)


@given(st.floats(-90_000, 90_000), WAYS)
def test_the_clock_is_as_right_as_the_quickest_answer(
    off: float, ways: list[tuple[float, float, float]]
) -> None:
    """An answer that was held up for half a minute says nothing better than what is known."""
    with pytest.MonkeyPatch.context() as patch:
        way = Way(patch, off)
        for number, (there, back, pause) in enumerate(ways, 1):
            way.ask(there, back)
            way.time += pause
            quickest = min(one[0] + one[1] for one in ways[:number])
            assert way.error() <= quickest / 2 + 0.11
            assert way.found.ahead is not None
            assert abs(way.found.ahead.total_seconds() + off) <= quickest / 2 + 0.11


def test_one_slow_answer_moves_nothing_and_a_broker_that_was_set_is_followed_though_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    way = Way(monkeypatch, 0)
    way.ask(0.001, 0.001)
    with capture_logs() as logs:
        way.ask(0, 200)
        assert way.error() < 0.01
        assert logs == []
        way.off = 3600
        way.ask(0.9, 0.9)
    assert way.error() < 1
    assert "clock.broker_clock_set" in [entry["event"] for entry in logs]


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"[]", b'{"stage":1}', b'{"stage":"judge"}'])
def test_what_is_no_look_is_passed_over(value: bytes | None) -> None:
    assert read_look(value) is None


def test_real_looks_at_a_real_broker(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host is a day ahead when it asks; the second message says what the first look found."""
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + DAY.total_seconds())
    monkeypatch.setattr(broker_time, "EVERY_SECONDS", 0.2)
    clock = Clock()
    found = BrokerTime(Settings(bootstrap=kafka, data_dir=tmp_path), clock, "judge")
    machines = Machines(clock.real)

    async def story() -> None:
        await found.begin()
        tasks = [asyncio.create_task(found.run()), asyncio.create_task(machines.follow(kafka))]
        async with asyncio.timeout(30):
            while not machines.off():
                await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(story())
    assert abs(clock.now().timestamp() - real()) < 5
    assert found.ahead is not None and abs(found.ahead - DAY) < timedelta(seconds=5)
    assert machines.off() == {"judge": pytest.approx(86_400, abs=5)}


# --- what the feed says ---------------------------------------------------------------------------

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)


def said(*looks: tuple[str, float, timedelta]) -> dict[str, int]:
    machines = Machines(lambda: NOW)
    for stage, ahead, ago in looks:
        machines.note(msgspec.json.encode(Look(stage=stage, ahead=ahead)), NOW - ago)
    return machines.off()


def test_of_several_workers_the_one_that_is_off_counts() -> None:
    at_once = timedelta(seconds=1)
    assert said(("judge", 86_400.4, at_once), ("judge", 0.01, timedelta())) == {"judge": 86_400}
    assert said(("judge", 0.01, at_once), ("feed", -0.2, timedelta())) == {}


def test_one_that_was_mended_or_has_gone_is_forgotten() -> None:
    assert said(("judge", 86_400.0, FRESH * 2)) == {}
    assert said(("judge", 86_400.0, FRESH * 2), ("judge", 0.0, timedelta())) == {}


def test_the_page_names_it_in_a_sentence() -> None:
    progress = msgspec.structs.replace(UNKNOWN, clocks={"feed": -5_400, "judge": 86_400})
    assert (
        wrong_clocks(progress)
        == "A machine's clock is wrong (feed: 2 hours behind, judge: 1 day ahead). "
        "Times here follow Kafka's clock. Tell the operator."
    )
    assert wrong_clocks(UNKNOWN) is None


# --- the law: one object reads the time -----------------------------------------------------------

READS = frozenset(
    {
        "time.time",
        "time.time_ns",
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "datetime.date.today",
    }
)
OWN_CLOCKS = {
    "app/runtime/clock.py": "the one place",
    "app/gateway/link.py": "a gateway is another machine: its time is data",
    "app/gateway/ble/commands.py": "so is one with a radio",
}


def test_no_other_module_reads_the_hosts_clock() -> None:
    """What reads it by itself is a day off when the host is."""
    found = {
        name_of(path)
        for path in MODULES
        if unit_of(path) == "app"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and dotted(node.func, aliases(path)) in READS
    }
    assert found == OWN_CLOCKS.keys()


OWN = {
    "app/kafka/broker_time.py": (
        "follows the broker's clock, or measures how far the host's is from it"
    ),
    "app/stages/stage.py": (
        "hands one that follows to the agent; the sink's measures how far the host's clock is off"
    ),
    "app/feed/server.py": "follows",
    "app/operate/reconcile/run.py": "follows",
    "app/cli/gateways.py": "follows",
    "app/engine/application.py": "until the agent is given one that follows",
    "app/agents/ingest.py": "where the stage gives none: in tests",
    "app/agents/judge.py": "where the stage gives none: in tests",
    "app/runtime/clock.py": "where it begins",
    "app/simulator/commands.py": "a gateway is another machine",
    "app/stages/demo.py": "broker, stages and gateways of a demo are one machine",
    "app/registry/file.py": "a person's machine: a time of an entry that has none",
    "app/cli/registry.py": "a person's machine",
    "app/cli/registry_limits.py": "a person's machine",
    "app/cli/reconcile.py": "a day is the least that it reads",
    "app/operate/assign_device.py": "a day is the least that it reads",
    "app/ehr/client.py": "a time of another server's",
    "app/broker/keys.py": "the time of a certificate, on the machine that makes it",
}


def test_nobody_else_has_a_clock_of_his_own() -> None:
    """A clock that nobody keeps on the broker's time is the host's, whatever it is called."""
    clock = "rpm_stream.app.runtime.clock"
    makes = {f"{clock}.wall", f"{clock}.Clock", f"{clock}.Clock.of", "wall", "cls"}
    found = {
        name_of(path)
        for path in MODULES
        if unit_of(path) == "app"
        and (
            "rpm_stream.app.runtime.clock" in path.read_text()
            or name_of(path) == "app/runtime/clock.py"
        )
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and dotted(node.func, aliases(path)) in makes
    }
    assert found == OWN.keys()


def test_what_is_made_for_a_few_looks_follows_or_does_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def begin(of: BrokerTime) -> None:
        of._note(wall() - DAY, wall(), steady())

    monkeypatch.setattr(BrokerTime, "begin", begin)
    clock = asyncio.run(BrokerTime.clock_for(Settings(), "ingest"))
    assert abs(clock.now() - (wall() - DAY)) < timedelta(seconds=1)

    async def refused(_: BrokerTime) -> None:
        raise UsageError("no right")

    monkeypatch.setattr(BrokerTime, "begin", refused)
    assert abs(asyncio.run(BrokerTime.clock_for(Settings(), "ingest")).now() - wall()) < timedelta(
        seconds=1
    )


def test_a_command_on_a_machine_that_is_ahead_says_so() -> None:
    """Kafka refuses what says that it is of more than an hour from now: that is no broker that
    is away.
    """
    assert "the clock of this machine is over an hour ahead" in str(
        _away("kafka:9092", InvalidTimestampError())
    )
    assert "kafka:9092 does not answer any more" in str(_away("kafka:9092", KafkaConnectionError()))
