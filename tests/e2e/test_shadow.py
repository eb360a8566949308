"""A clinic's rows in shadow on a real broker: counted, silent, and kept exactly over kills."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.frames import frame, measurement
from support.kafka.against_replay import Wanted, check_against_replay
from support.kafka.service import Service, drained, lag, read, running, send, until
from support.replaying import decoded

from rpm_stream.app.kafka import names
from rpm_stream.app.kafka.range_reader import ends, reaching
from rpm_stream.app.operate.rebuild_state import changelog
from rpm_stream.app.registry.topic import write
from rpm_stream.app.runtime.metrics import STAGES
from rpm_stream.app.stages.demo import free_ports
from rpm_stream.knowledge import Knowledge, load, shipped
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.patient_codec import unpack_patient
from rpm_stream.pipeline.replay import Replay
from rpm_stream.records import Assignment, DeviceEntry

PEOPLE = tuple(f"p{number}" for number in range(8))
TURNS = 90  # one in five minutes
# The declared cost is far too low, so the stage reports the row and must score it all the same.
TABLE = """
[shadow.odd]
source = "a trial"
class = "river.anomaly.LocalOutlierFactor"
parameters = { n_neighbors = 5 }
inputs = ["heart_rate", "oxygen_saturation"]
threshold = 1.5
keep = 12
budget_us = 1
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "detectors.toml").write_text(TABLE)
    port = free_ports(26_000 + os.getpid() % 20_000, len(STAGES))
    settings = {
        "RPM_TIME": "recorded",
        "RPM_KNOWLEDGE": str(tmp_path / "tables"),
        "RPM_METRICS_PORT": str(port),
    }
    with running(tmp_path, settings) as found:
        yield found


def frames() -> list[bytes]:
    """Usual values of everybody, and now and then low oxygen with a quick pulse."""
    chance = random.Random(8)
    return [
        msgspec.json.encode(
            frame(
                [
                    measurement(
                        5 * turn, "heart_rate", f"{chance.gauss(140 if odd else 72, 3):.0f}"
                    ),
                    measurement(5 * turn, "oxygen_saturation", f"{84 if odd else 97}"),
                ],
                5 * turn,
                seq=turn,
                device=f"{name}-ring",
                frame=f"{name}-{turn}",
            )
        )
        for turn in range(TURNS)
        for place, name in enumerate(PEOPLE)
        for odd in [(turn + place) % 25 == 24]
    ]


def replay(knowledge: Knowledge, entries: list[DeviceEntry]) -> Replay:
    return Replay(knowledge, Registry(entries))


def lines_of(run: Replay, sent: Iterable[bytes]) -> list[tuple[str, dict[str, Any]]]:
    return decoded(
        [line for place, value in enumerate(sent, 1) for line in run.jsonl(value, place)]
    )


def by_id(lines: list[tuple[str, dict[str, Any]]]) -> Wanted:
    found: Wanted = {}
    for kind, record in lines:
        found.setdefault(kind, {})[record["id"]] = record
    return found


def judge_metric(service: Service, name: str) -> float:
    """Return the sample of the shadow row in a metric of the judge."""
    port = int(service.settings["RPM_METRICS_PORT"]) + STAGES.index("judge")
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=20).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and sample.labels == {"detector": "odd"}
    )


def learned(state: bytes, patient: str) -> tuple[Any, ...]:
    """Return all that a patient's state keeps of the row."""
    score = unpack_patient(state, patient).state.score
    return tuple(
        kept["shadow.odd"]
        for kept in (score.detectors, score.learned_at, score.emitted, score.scored_at)
    )


async def kill_in_the_middle(service: Service, sent: list[bytes]) -> None:
    """Kill the judge while frames arrive, and start it again when more of them are there."""
    until_then = len(sent) * 2 // 3
    sending = asyncio.create_task(
        send(service.bootstrap, sent[:until_then], pause=lambda: 0.3, size=40)
    )

    async def has_scored() -> bool:
        async with reaching(service.bootstrap) as broker:
            return sum((await ends(broker, names.SCORES)).values()) > len(PEOPLE) * 20

    await until("the judge has scored", has_scored)
    service.kill("judge-a")
    await sending
    await send(service.bootstrap, sent[until_then:])

    async def has_more_to_judge() -> bool:
        return await lag(service.bootstrap, names.GROUP_JUDGE, names.READINGS) > 0

    await until("ingest has written more", has_more_to_judge)
    service.start("judge")
    await drained(service)


async def go_on_after_a_kill(service: Service, sent: list[bytes]) -> None:
    """Kill the judge at rest, so that the next one counts exactly what ``sent`` brings."""
    service.kill("judge-a")
    await send(service.bootstrap, sent)
    service.start("judge")
    await drained(service)


def test_a_row_in_shadow_counts_is_silent_and_survives_kills(service: Service) -> None:
    """Law 2 and law 12: all that it scores and keeps is what an undisturbed replay gives."""
    entries = [
        DeviceEntry(device=f"{name}-ring", assignments=(Assignment(patient=name),))
        for name in PEOPLE
    ]
    knowledge = load(Path(service.settings["RPM_KNOWLEDGE"]))
    all_frames = frames()
    half = len(all_frames) * 2 // 3
    run, plain = replay(knowledge, entries), replay(shipped(), entries)
    first = lines_of(run, all_frames[:half])
    second = decoded(
        line
        for place, value in enumerate(all_frames[half:], half + 1)
        for line in run.jsonl(value, place)
    )
    wanted_states = {name: learned(run.state_of(name), name) for name in PEOPLE}
    wanted = by_id([*first, *second, *decoded(run.finish(None))])
    without = by_id([*lines_of(plain, all_frames), *decoded(plain.finish(None))])

    asyncio.run(write(service.bootstrap, entries))
    service.start("ingest")
    service.start("judge")
    asyncio.run(kill_in_the_middle(service, all_frames[:half]))
    assert judge_metric(service, "rpm_scores_total") > 0
    asyncio.run(go_on_after_a_kill(service, all_frames[half:]))

    # counted: by the last process exactly what the second part brings
    counted = Counter(record["detector"] for kind, record in second if kind == "score")
    assert judge_metric(service, "rpm_scores_total") == counted["odd"] > 0
    assert judge_metric(service, "rpm_detectors_slow") == 1.0
    assert service.log.read_text().count("judge.detector_slow") == 3
    # what was written is what the replay gives, the row's scores among it
    asyncio.run(check_against_replay(service, wanted, len(all_frames)))
    odd = {key: one for key, one in wanted["score"].items() if one["detector"] == "odd"}
    assert any(one["score"] >= one["threshold"] for one in odd.values())
    # silent: the alerts and the other scores are those without the row
    assert wanted["alert"] == without["alert"] != {}
    assert wanted["score"] == {**without["score"], **odd}
    # kept exactly: the last state of each patient holds what the replay's holds
    records = asyncio.run(read(service.bootstrap, changelog("judge")))
    states = {record.key.decode(): record.value for record in records if record.value}
    assert {name: learned(states[name], name) for name in PEOPLE} == wanted_states
