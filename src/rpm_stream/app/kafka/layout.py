"""The topics that must have equally many partitions, and what is reported when they differ.

It is checked before anything starts, by ``topics check``, and by every stage while it runs. Kafka
lets anybody add partitions, and a key then has another partition than its state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple, NoReturn

import structlog
from aiokafka.admin import AIOKafkaAdminClient

from rpm_stream.app.kafka.clients import AWAY, admin, answering
from rpm_stream.app.kafka.growth_journal import last_growth
from rpm_stream.app.kafka.names import (
    ALERTS,
    FRAMES,
    OBSERVATIONS,
    READINGS,
    REGISTRY,
    STATE_INGEST,
    STATE_JUDGE,
    TOPICS,
)
from rpm_stream.app.kafka.partitions import partitions_of
from rpm_stream.app.runtime.end import EXIT_CRASHED, asked_to_end, die
from rpm_stream.app.runtime.errors import MustNotGoOn

LOOK_SECONDS = 5.0
REQUEST_TIMEOUT_MS = 10_000
ALL = frozenset({"ingest", "judge", "sink", "feed"})
REGISTRY_WRITER = frozenset({"registry"})
STATES = (STATE_INGEST, STATE_JUDGE)

log = structlog.get_logger()


class Together(NamedTuple):
    """Two topics that need equally many partitions.

    ``why`` is the reason, and ``stages`` are those that would do harm otherwise.
    """

    first: str
    second: str
    why: str
    stages: frozenset[str]


TOGETHER = (
    Together(
        FRAMES,
        STATE_INGEST,
        "a device's state lies in the partition of its frames",
        frozenset({"ingest"}),
    ),
    Together(
        READINGS,
        STATE_JUDGE,
        "a patient's state lies in the partition of the readings",
        frozenset({"judge"}),
    ),
    Together(
        READINGS,
        ALERTS,
        "an alert lies in the partition of its patient, else an old record passes for new",
        ALL,
    ),
    Together(
        READINGS,
        REGISTRY,
        "a key has all its records in one partition, else an old one passes for new",
        ALL | REGISTRY_WRITER,
    ),
    Together(
        READINGS,
        OBSERVATIONS,
        "an Observation written again follows the one before",
        frozenset({"sink"}),
    ),
)
ONE_IS_ENOUGH = (REGISTRY,)  # with a single partition every key is in it


def disagreement(
    counts: Mapping[str, int], bootstrap: str, stages: frozenset[str] = ALL
) -> str | None:
    """Return one line for topics that do not agree, or None when all do.

    The line holds topics, counts, reason, and the command that mends it. A topic that does not
    exist (0) agrees with all, because it is created with the right number.

    >>> disagreement({"rpm.frames": 6, "rpm-ingest-state-changelog": 4}, "kafka:9092")
    "rpm.frames has 6 partitions, rpm-ingest-state-changelog 4: \
a device's state lies in the partition of its frames. \
Stop the stages, then: rpm-stream topics grow --partitions 6 --bootstrap kafka:9092"
    """
    wrong = [each for each in TOGETHER if each.stages & stages and not _agree(each, counts)]
    if not wrong:
        return None
    most = max(counts.values())
    words = "; ".join(
        f"{each.first} has {counts[each.first]} partitions, {each.second} {counts[each.second]}:"
        f" {each.why}"
        for each in wrong
    )
    return (
        f"{words}. Stop the stages, then: rpm-stream topics grow --partitions {most} --bootstrap"
        f" {bootstrap}"
    )


def _agree(each: Together, counts: Mapping[str, int]) -> bool:
    first = counts.get(each.first, 0)
    second = counts.get(each.second, 0)
    return (
        not first or not second or first == second or (each.second in ONE_IS_ENOUGH and second == 1)
    )


class Layout(NamedTuple):
    """The partitions of each topic, and whether they ever grew.

    After a growth, frames may arrive in the partition where their device was before.
    """

    counts: dict[str, int]
    grown: bool


async def layout_of(bootstrap: str, stages: frozenset[str] = ALL) -> Layout:
    """Return the layout of the topics.

    Raises MustNotGoOn where ``stages`` would do harm, BrokerAway, and UsageError where this user
    may not see a topic.
    """
    async with answering(bootstrap), admin(bootstrap, REQUEST_TIMEOUT_MS) as client:
        counts = await all_counts(client)
        for topic in sorted(_needed(stages)):
            if not counts[topic]:
                await partitions_of(client, topic)  # raises where this user may not see it
        growth = await last_growth(bootstrap)
    if growth is not None and not growth.done:
        raise MustNotGoOn(
            f"the topics are growing to {growth.partitions} partitions, or that was interrupted:"
            f" wait for it, or go on with: rpm-stream topics grow --partitions {growth.partitions}"
            f" --bootstrap {bootstrap}"
        )
    if fault := disagreement(counts, bootstrap, stages):
        raise MustNotGoOn(fault)
    return Layout(counts, growth is not None)


def _needed(stages: frozenset[str]) -> set[str]:
    """Return the topics whose partitions ``stages`` must know."""
    return {
        topic for each in TOGETHER if each.stages & stages for topic in (each.first, each.second)
    }


async def fault_of(bootstrap: str) -> str | None:
    """Return what keeps stages from starting here, in one line. Raises BrokerAway."""
    try:
        await layout_of(bootstrap)
    except MustNotGoOn as error:
        return str(error)
    return None


async def all_counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """Return the partitions of every public topic and of the agents' states, asked freshly.

    It is 0 where there is no such topic.
    """
    found = {each["topic"]: len(each["partitions"]) for each in await admin.describe_topics()}
    return {topic: found.get(topic, 0) for topic in (*TOPICS, *STATES)}


async def watch_counts(bootstrap: str, stage: str, known: Mapping[str, int]) -> NoReturn:
    """Look for ever, and end the process when a topic's number of partitions changes.

    A stage that read on would miss messages in the new partitions, and look for a key's state in
    the wrong one. A topic that is missing for a while was deleted, which shows elsewhere. A broker
    that does not answer only delays the look.
    """
    while True:
        try:
            await _watch(bootstrap, stage, known)
        except (*AWAY, asyncio.CancelledError) as error:
            if asked_to_end():
                raise asyncio.CancelledError from None
            log.debug("topics.partitions_not_watched", error=type(error).__name__)
        await asyncio.sleep(LOOK_SECONDS)


async def _watch(bootstrap: str, stage: str, known: Mapping[str, int]) -> None:
    async with admin(bootstrap, REQUEST_TIMEOUT_MS) as client:
        while True:
            now = await all_counts(client)
            if changed := {
                topic: now[topic]
                for topic, was in known.items()
                if was and now[topic] not in (0, was)
            }:
                end_of_change(stage, known, changed)
            await asyncio.sleep(LOOK_SECONDS)


def end_of_change(stage: str, known: Mapping[str, int], changed: Mapping[str, int]) -> NoReturn:
    """End this process, with one record that names topics and counts."""
    words = ", ".join(
        f"{topic} has {count} partitions, had {known[topic]}" for topic, count in changed.items()
    )
    die(
        "topics.partitions_changed",
        EXIT_CRASHED,
        stage=stage,
        fault=words,
        hint="nothing was lost: stop the stages, then: rpm-stream topics grow --partitions"
        f" {max(changed.values())}",
    )
