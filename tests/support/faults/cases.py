"""The faults, one function each: start the service, send the load, do harm, wait until all is done.

Each returns a note for the table. The verdict (``Stand.verdict``) is the same after all of them.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
from support.faults.gateways import (
    a_day_off,
    an_hour_off,
    reordered,
    same_but_for_a_day,
    same_but_for_the_clock,
    same_whatever_the_order,
    twice,
)
from support.faults.stand import ALL, PUTS_OUT, Stand
from support.faults.states import changelog_lost, states_damaged, topics_without
from support.kafka.against_replay import POISON, Wanted
from support.kafka.growth import add_partitions, every_key_is_at_home, grown
from support.kafka.service import Service, read, until

from rpm_stream.app.kafka import names, topics
from rpm_stream.app.runtime.end import EXIT_CRASHED, EXIT_STUCK

LAUNCHER = Path(__file__).parent / "stage_killed_at.py"
WITH_CLOCK = Path(__file__).parent / "stage_with_clock.py"
DAY_S = 86_400
POINTS = ("among-outputs", "before-state", "before-ack", "after-ack")


async def _sent_during(stand: Stand, fault: Coroutine[Any, Any, None], batches: int) -> None:
    """Send so many batches while ``fault`` runs, then wait until all is worked through."""
    busy = asyncio.create_task(fault)
    await stand.send_while(busy, batches)
    await busy
    await stand.settled()


async def kills_at_random(stand: Stand, times: int) -> str:
    """SIGKILL of ingest or judge at random moments of work in progress."""
    await stand.start()

    async def killing() -> None:
        for _ in range(times):
            await stand.kill(stand.chance.choice(sorted(PUTS_OUT)))

    await _sent_during(stand, killing(), times)
    return f"{times} kills, each at work"


async def kills_between(stand: Stand, times: int) -> str:
    """SIGKILL of both agents among the outputs, before the state, before the ack and before the
    commit.
    """
    points = [(point, stage) for point in POINTS for stage in sorted(PUTS_OUT)] * times
    stand.chance.shuffle(points)
    await stand.start(*(stage for stage in stand.stages if stage not in PUTS_OUT))
    other = {"ingest": "judge", "judge": "ingest"}
    for place, (point, stage) in enumerate(points):
        if f"{other[stage]}-a" not in stand.service.processes:
            stand.service.start(other[stage])
        command = (str(LAUNCHER), point, str(stand.chance.randint(1, 2)))
        if f"{stage}-a" in stand.service.processes:
            stand.service.kill(f"{stage}-a")
        stand.service.start(stage, command=command)
        process = stand.service.processes[f"{stage}-a"]
        await stand.send(place / len(points), (place + 0.5) / len(points), lambda: 0.05)

        async def gone(process: Any = process) -> bool:
            return process.poll() is not None

        await until(f"{stage} has reached the point {point}", gone)
        # Wait until what it left is worked through: people see it and decide before the next kill.
        stand.service.revive()
        await stand.send((place + 0.5) / len(points), (place + 1) / len(points))
        await stand.settled()
    return f"{len(points)} kills, {len(POINTS)} points of both agents"


async def worker_stopped(stand: Stand, seconds: tuple[float, ...]) -> str:
    """SIGSTOP of one of two workers of each agent until the other has its partitions.

    Then the worker continues as a zombie. The stop also lasts about as long as the worker's
    session, so that it may or may not have been dropped. It must end in both cases.
    """
    await stand.start()

    async def stopping() -> None:
        for stage in PUTS_OUT:
            await stand.at_work(stage)  # alone: a worker that has not begun cannot be a zombie
        for stage in PUTS_OUT:
            stand.service.start(stage, "b")
        for stage, length in zip(sorted(PUTS_OUT), lengths, strict=True):
            await stand.at_work(stage)
            process = stand.service.processes[f"{stage}-a"]
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(length)
            process.send_signal(signal.SIGCONT)

            async def gone(process: Any = process) -> bool:
                return process.poll() is not None

            await until(f"{stage} ends for having stood still", gone, 20)

    lengths = stand.chance.sample(seconds, len(seconds))
    busy = asyncio.create_task(stopping())
    await stand.send_while(busy, 3 * len(PUTS_OUT))  # the last third while it is stopped
    await busy
    await stand.settled()
    zombies = [status for _, status in stand.service.exits if status == EXIT_STUCK]
    assert len(zombies) >= len(PUTS_OUT), stand.service.exits
    return "beside a second worker, for " + ", ".join(f"{length:.0f}" for length in lengths) + " s"


async def broker_stopped(stand: Stand, seconds: tuple[float, ...]) -> str:
    """SIGSTOP of the broker in the middle of the load."""
    await stand.start()

    async def stopping() -> None:
        for length in seconds:
            await asyncio.sleep(stand.chance.uniform(2, 6))
            await asyncio.to_thread(stand.service.broker.pause)
            await asyncio.sleep(length)
            await asyncio.to_thread(stand.service.broker.resume)

    busy = asyncio.create_task(stopping())
    await stand.send_while(busy)
    await busy
    await stand.settled()
    return "for " + ", ".join(f"{length:.0f}" for length in seconds) + " s"


async def broker_killed(stand: Stand, times: int) -> str:
    """SIGKILL of the broker in the middle of the load. It comes back with the data that it had."""
    await stand.start()

    async def killing() -> None:
        for _ in range(times):
            await asyncio.sleep(stand.chance.uniform(3, 8))
            await asyncio.to_thread(stand.service.broker.kill)
            await asyncio.sleep(stand.chance.uniform(0, 5))
            await asyncio.to_thread(stand.service.broker.start)

    busy = asyncio.create_task(killing())
    await stand.send_while(busy)
    await busy
    await stand.settled()
    return f"{times} times"


async def disk_full(stand: Stand, disk: Path) -> str:
    """The broker's disk is full in the middle of the load, and has room again later."""
    await stand.start()
    ballast = disk / "ballast"

    async def filling() -> None:
        await asyncio.sleep(5)
        await asyncio.to_thread(_fill, ballast)

        async def gone() -> bool:
            return not stand.service.broker.running

        await until("the broker gives up on a full disk", gone, 60)
        ballast.unlink()
        await asyncio.to_thread(stand.service.broker.start)

    busy = asyncio.create_task(filling())
    await stand.send_while(busy)
    await busy
    await stand.settled()
    return "ENOSPC, the broker ended itself"


def _fill(ballast: Path) -> None:
    """Write until the disk is full."""
    with ballast.open("wb") as file:
        try:
            while True:
                file.write(bytes(1 << 16))
                file.flush()
        except OSError:
            return


async def topic_missing(stand: Stand) -> str:
    """A topic is missing when the stages start, and an operator creates it a while later."""
    await topics_without(stand.bootstrap, names.SCORES)
    await stand.start()
    sending = asyncio.create_task(stand.send(0, 1))

    async def all_ended() -> bool:
        return all(process.poll() is not None for process in stand.service.processes.values())

    await until("every stage says that a topic is missing and ends", all_ended, 60)
    said = stand.service.log.read_text(errors="replace")
    assert "rpm-stream topics apply" in said, said[-2000:]
    assert names.SCORES in said, said[-2000:]
    await sending
    await topics.apply(stand.bootstrap)
    await stand.settled()
    return "named, and nothing begun without it"


async def poison(stand: Stand, count: int) -> str:
    """Thousands of messages in a row that are not frames, from another device, amid the load."""
    await stand.start()
    await stand.send(0, 0.5)
    bad = [stand.chance.randbytes(stand.chance.randint(8, 400)) for _ in range(count)]
    await send_raw(stand.bootstrap, bad)
    await stand.send(0.5, 1)
    await stand.settled()
    rejects = [msgspec.json.decode(one.value) for one in await read(stand.bootstrap, names.REJECTS)]
    poisoned = {one["sha256"] for one in rejects if one["device"] == POISON}
    assert len(poisoned) == len(set(bad))
    return f"{count:,} in a row, each a reject"


async def send_raw(bootstrap: str, values: list[bytes]) -> None:
    """Send any bytes to rpm.frames under one key."""
    from aiokafka import AIOKafkaProducer

    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, linger_ms=5)
    async with producer:
        for future in [
            await producer.send(names.FRAMES, value, key=POISON.encode()) for value in values
        ]:
            await future


async def fhir_server_fails(stand: Stand) -> str:
    """The FHIR server fails in several ways.

    It is away, then slow, answers 409, 429, 500 or a log-in page, and ends connections after it has
    stored the data.
    """
    kinds: list[Any] = [
        409,
        (429, {"Retry-After": "1"}),
        500,
        503,
        "log_in",
        "drop",
        "drop_after_storing",
        "slow",
    ]
    stand.server.always = 503
    await stand.start()
    sending = asyncio.create_task(stand.send(0, 1))
    await asyncio.sleep(8)
    stand.server.always = None
    # The server takes something between two faults. In a row they would test the length of the
    # client's waits only.
    bad = [stand.chance.choice(kinds) for _ in range(24)] + kinds
    stand.server.faults = [answer for fault in bad for answer in (fault, None)]
    await sending
    await stand.settled()
    assert not stand.server.faults, "the load was too short to use up the faults"
    return f"503 for 8 s, then {len(bad)} bad answers of eight kinds"


async def sink_and_feed_killed(stand: Stand, times: int) -> str:
    """SIGKILL of the sink and of the feed while they work."""
    await stand.start()

    async def killing() -> None:
        for _ in range(times):
            await asyncio.sleep(stand.chance.uniform(1, 4))
            await stand.kill(stand.chance.choice(["sink", "feed"]))

    await _sent_during(stand, killing(), times)
    return f"{times} kills"


async def partitions_added(stand: Stand, kills: int) -> str:
    """Partitions are added by hand while the service runs.

    Every stage ends and gives the reason. ``topics grow``, killed at random, takes what came since.
    What was unread then waits in partitions of three counts, with frames, readings and
    Observations.
    """
    await stand.start()
    await stand.judged(0, 0.3)
    await stand.send(0.3, 0.4)
    await add_partitions(
        stand.bootstrap, dict.fromkeys((names.FRAMES, names.READINGS, names.OBSERVATIONS), 6)
    )

    async def ended() -> bool:
        return {process.poll() for process in stand.service.processes.values()} == {EXIT_CRASHED}

    await until("every stage has said why it ends", ended, 60)
    await stand.send(0.4, 0.6)
    done = await asyncio.to_thread(grown, stand.service, 8, kills, stand.chance)
    await every_key_is_at_home(stand.service, 8)
    stand.service.revive()
    await stand.send(0.6, 1)
    await stand.settled()
    return f"4 to 6 by hand, grown to 8, {done} kills of that"


async def as_it_comes(stand: Stand) -> str:
    """The load as the gateways send it, with one kill of each agent."""
    await stand.start()

    async def killing() -> None:
        for stage in ("ingest", "judge"):
            await stand.kill(stage)

    busy = asyncio.create_task(killing())
    await stand.send_while(busy, 2)
    await busy
    await stand.settled()
    return "and a kill of each agent"


def faketime() -> Path | None:
    """Return the library that gives a process another clock, or None if it is not installed.

    ``RPM_FAKETIME`` names another place to look.
    """
    places = [
        *Path("/usr/lib").glob("*/faketime/libfaketime.so.1"),
        Path(os.environ.get("RPM_FAKETIME", "/nowhere")),
    ]
    return next((place for place in places if place.is_file()), None)


def begin_off(service: Service, stage: str, seconds: int) -> None:
    """Start a stage whose host's clock is so many seconds ahead."""
    library = faketime()
    if library is None:
        service.start(stage, command=(str(WITH_CLOCK), str(seconds)))
    else:
        service.start(
            stage,
            more={
                "LD_PRELOAD": str(library),
                "FAKETIME": f"{seconds:+d}s",
                "DONT_FAKE_MONOTONIC": "1",
            },
        )


async def worker_a_day_off(stand: Stand, seconds: int) -> str:
    """The hosts of all stages have a wrong clock.

    One agent is killed and comes back on a host whose clock is right.
    """
    await stand.start("sink")
    for stage in ("ingest", "judge", "feed"):
        begin_off(stand.service, stage, seconds)

    async def killing() -> None:
        for stage in sorted(PUTS_OUT):
            await stand.kill(stage)

    busy = asyncio.create_task(killing())
    await stand.send_while(busy, 2)
    await busy
    await stand.settled()
    assert "clock.host_clock_wrong" in stand.service.log.read_text(errors="replace")
    return (
        f"ingest, judge and feed {abs(seconds) // 3600} h {'ahead' if seconds > 0 else 'behind'},"
        " named by each"
    )


class Fault(NamedTuple):
    """A row of the table.

    ``mangle`` changes what gateways send. With ``on_small_disk`` the broker has a disk of its own.
    """

    name: str
    run: Callable[..., Awaitable[str]]
    short: Mapping[str, Any] | None = None  # arguments in `make test`; None: not there
    full: Mapping[str, Any] = MappingProxyType({})
    long: Mapping[str, Any] | None = None
    mangle: Callable[[list[bytes], random.Random], list[bytes]] | None = None
    same: Callable[[Wanted, Wanted], None] = same_whatever_the_order
    extra: int = 0  # messages on rpm.frames beside the load
    on_small_disk: bool = False
    small: bool = False  # in `make test` with a small load: the fault itself takes long


FAULTS = (
    Fault("kill -9 at random", kills_at_random, {"times": 12}, {"times": 50}, {"times": 200}),
    Fault(
        "kill -9 between outputs, state and ack", kills_between, None, {"times": 1}, {"times": 4}
    ),
    Fault("worker stopped (SIGSTOP)", worker_stopped, None, {"seconds": (9.0, 16.0)}),
    Fault("broker stopped (SIGSTOP)", broker_stopped, None, {"seconds": (5, 15, 30)}),
    Fault("broker killed", broker_killed, None, {"times": 3}),
    Fault("broker's disk full", disk_full, None, {}, on_small_disk=True),
    Fault("topic missing", topic_missing),
    Fault("partitions added", partitions_added, None, {"kills": 4}, {"kills": 12}),
    Fault("both changelogs lost", changelog_lost, None, {"stages": ALL}, small=True),
    Fault("states damaged", states_damaged, None, {"stages": ALL}, small=True),
    Fault("uplinks twice", as_it_comes, mangle=twice),
    Fault("uplinks reordered and late", as_it_comes, mangle=reordered),
    Fault(
        "gateway clocks an hour off", as_it_comes, mangle=an_hour_off, same=same_but_for_the_clock
    ),
    Fault("gateway clocks a day off", as_it_comes, mangle=a_day_off, same=same_but_for_a_day),
    Fault("host clocks a day ahead", worker_a_day_off, None, {"seconds": DAY_S}),
    Fault("host clocks a day behind", worker_a_day_off, None, {"seconds": -DAY_S}),
    Fault("poison in a burst", poison, None, {"count": 5000}, extra=5000),
    Fault("FHIR server fails in eight ways", fhir_server_fails),
    Fault("sink and feed killed", sink_and_feed_killed, None, {"times": 6}),
)
