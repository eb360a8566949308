"""Law 2a with people at work: whatever is killed while they decide, an alert's history is that
of the replay.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import msgspec
import pytest
from support.faults.cases import kills_at_random, kills_between
from support.faults.decisions import (
    KINDS,
    between_readings,
    by_the_order_of_record,
    deciding,
    ward,
    without_marks,
)
from support.faults.run import HOW_MANY, SEED
from support.faults.stand import Stand, standing, survived
from support.kafka.against_replay import check_against_replay, last_by_id
from support.kafka.service import read

from rpm_stream.app.kafka import names

PARTS = 12  # of the load, to each kill of the broker: people need time to see and decide


async def broker_killed(stand: Stand, times: int) -> str:
    """SIGKILL of the broker while readings and decisions come; it comes back with what it had."""
    await stand.start()
    for part in range(PARTS * times):
        if part % PARTS == PARTS // 2:
            await asyncio.sleep(stand.chance.uniform(0, 0.6))
            await asyncio.to_thread(stand.service.broker.kill)
            await asyncio.sleep(stand.chance.uniform(0, 5))
            await asyncio.to_thread(stand.service.broker.start)
        await stand.judged(part / (PARTS * times), (part + 1) / (PARTS * times))
    await stand.settled()
    return f"{times} times"


class Harm(NamedTuple):
    """A row of the table, and how it is done in each form of the suite; None: not there."""

    name: str
    run: Callable[..., Any]
    short: Mapping[str, Any] | None
    full: Mapping[str, Any]
    long: Mapping[str, Any]
    rounds: int = 150


HARMS = (
    Harm(
        "kill -9 while people decide", kills_at_random, {"times": 8}, {"times": 30}, {"times": 120}
    ),
    Harm(
        "kill -9 between outputs, state and ack while people decide",
        kills_between,
        None,
        {"times": 1},
        {"times": 3},
    ),
    Harm("broker killed while people decide", broker_killed, None, {"times": 2}, {"times": 4}),
)


def arguments(harm: Harm) -> Mapping[str, Any] | None:
    return {"short": harm.short, "full": harm.full}.get(HOW_MANY, harm.long)


async def compared(stand: Stand, stage: str, kinds: str) -> list[dict[str, Any]]:
    """What ``replay --from-kafka --compare`` says from the frames on, or from the readings on."""
    command = [
        sys.executable,
        "-m",
        "rpm_stream",
        "replay",
        "--from-kafka",
        "--stage",
        stage,
        "--compare",
    ]
    options = ["--emit", kinds, "--bootstrap", stand.bootstrap]
    run = await asyncio.to_thread(
        subprocess.run,
        [*command, *options],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "RPM_TIME": "recorded"},
    )
    assert run.returncode in (0, 1), run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


async def decided_everything(stand: Stand) -> dict[str, int]:
    """The verdict: topics, books, and the tool that an operator has for it.

    Returns the repeated records by kind.
    """
    wanted = await by_the_order_of_record(stand.service, stand.load)
    repeated = await check_against_replay(
        stand.service, wanted, len(stand.load.frames), alert_as=without_marks
    )
    await stand.books_balance()
    assert await compared(stand, "judge", "scores,alerts,observations") == []
    assert await compared(stand, "ingest", "all") == []
    return repeated


@pytest.mark.parametrize(
    "harm", [harm for harm in HARMS if arguments(harm) is not None], ids=lambda one: one.name
)
def test_decisions_have_their_place_whatever_is_killed(
    harm: Harm, tmp_path: Path, table: list[list[str]]
) -> None:
    given, chance = arguments(harm), random.Random(f"{SEED}/{harm.name}")
    assert given is not None
    load = ward(tmp_path, harm.rounds)
    print(f"RPM_SEED={SEED}")

    async def run() -> tuple[Stand, str, dict[str, int], int]:
        async with standing(tmp_path, load, chance) as stand:
            stand.stages = ("ingest", "judge")
            async with deciding(stand.service, random.Random(f"{SEED}/people")) as people:
                note = await harm.run(stand, **given)
            await stand.settled()
            repeated = await decided_everything(stand)
            between, copies = await between_readings(stand.service)
            repeated["decision"] = copies
            alerts, _ = last_by_id(await read(stand.bootstrap, names.ALERTS), "alert")
            said = msgspec.json.encode(
                [step["who"] for alert in alerts.values() for step in alert["history"]]
            )
            assert b"nurse" in said
            assert set(KINDS) <= people.sent.keys()
            return stand, f"{note}; {people.sent.total()} decisions", repeated, between

    began = monotonic()
    stand, note, repeated, between = asyncio.run(run())
    assert between > 50, "hardly a decision lay between readings"
    seconds = monotonic() - began
    table.append(survived(harm.name, note, stand, sum(repeated.values()), seconds))
