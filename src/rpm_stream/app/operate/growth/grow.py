"""The steps of ``rpm-stream topics grow`` in their order.

Each step can be repeated. None deletes anything that was not compared.

1. Begin: no stage runs and no group lags behind on the alerts. The journal then keeps stages from
   starting.
2. Every topic gets its partitions. The ends of all partitions are noted as the cut.
3. The queues: what waits before the cut is moved in its order.
4. The compacted topics: what counts of each key is written after the cut into the key's partition,
   and compared.
5. Only then are the records before the cut deleted from them, and everything is compared again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from rpm_stream.app.kafka import growth_journal as journal
from rpm_stream.app.kafka.growth_journal import Growth
from rpm_stream.app.kafka.lag import offsets_of
from rpm_stream.app.kafka.layout import all_counts
from rpm_stream.app.kafka.names import (
    ALERTS,
    GROUP_INGEST,
    GROUP_JUDGE,
    GROUP_SINK,
    GROWTH,
    QUEUES,
    REGISTRY,
    TOPICS,
)
from rpm_stream.app.kafka.range_reader import KafkaClients, ReportProgress, ends, reaching
from rpm_stream.app.operate.growth.groups_and_copies import (
    add_partitions,
    commit,
    configure,
    cut_off,
    deletable,
    groups_of,
    living,
    own_settings,
)
from rpm_stream.app.operate.growth.keyed import (
    KEYED,
    astray,
    before_cut,
    check_whole,
    counting,
    index,
    move,
    moved,
    proof,
)
from rpm_stream.app.operate.growth.queues import is_read, take, unread, waiting
from rpm_stream.app.runtime.errors import MustNotGoOn, UsageError

OURS = (GROUP_INGEST, GROUP_JUDGE, GROUP_SINK)
FOLLOWED_TOPICS = (
    ALERTS,
    REGISTRY,
)  # compacted topics that other consumers may follow with their own group
SESSION_SECONDS = 10.0  # session timeout of the stages
# after this time a stage that was stopped or killed is no longer a member
GIVEN_UP_SECONDS = SESSION_SECONDS + 4.0
# within this time a stage joins its group if it looked before the journal refused it
JOIN_SECONDS = 4.0

Tell = Callable[[str], None]


class GrowthRequest(NamedTuple):
    """The request: which broker, how many partitions, and the replicas of the journal's topic."""

    bootstrap: str
    partitions: int
    replication: int


class GrowthRun(NamedTuple):
    """The objects that every step needs. ``tell`` gets a line for each thing done."""

    asked: GrowthRequest
    broker: KafkaClients
    tell: Tell
    progress: ReportProgress

    def shown(self, what: str) -> ReportProgress:
        """Return the progress of one pass over a topic."""
        return lambda topic, done, total: self.progress(f"{topic}: {what}", done, total)


async def plan(asked: GrowthRequest, tell: Tell, progress: ReportProgress) -> bool:
    """Report what ``grow`` would do, and return whether there is anything to do.

    It changes nothing. Raises ``UsageError`` like ``grow``.
    """
    async with reaching(asked.bootstrap, TOPICS) as broker:
        run = GrowthRun(asked, broker, tell, progress)
        growth = await journal.last_growth(asked.bootstrap)
        if growth is not None and not growth.done:
            tell(f"goes on with a growth to {growth.partitions} partitions that was interrupted")
            return True
        return await _planned(run, await _counts(run))


async def _planned(run: GrowthRun, counts: dict[str, int]) -> bool:
    partitions = run.asked.partitions
    much = False
    for topic, count in counts.items():
        if count and count < partitions:
            run.tell(f"{topic}: {count} partitions become {partitions}")
            much = True
    for topic, group in QUEUES:
        commits = await offsets_of(run.broker.admin, group, topic)
        cut = {tp.partition: end for tp, end in (await ends(run.broker, topic)).items()}
        if is_read(group, commits):
            spans = await unread(run.broker, topic, commits, cut)
            found = await waiting(run.broker, spans, partitions, run.shown("what waits"))
            run.tell(
                f"{topic}: {found.records} unread records, {found.elsewhere} of them not where"
                " their keys will be"
            )
            much = much or found.elsewhere > 0
    for topic in (each for each in KEYED if counts[each]):
        cut = {tp.partition: end for tp, end in (await ends(run.broker, topic)).items()}
        spans = await before_cut(run.broker, topic, cut)
        held = await index(run.asked.bootstrap, run.broker, spans, partitions, run.shown("keys"))
        check_whole(topic, held)
        moving = sum(each.home != each.partition for each in counting(held).values())
        run.tell(f"{topic}: {len(counting(held))} keys, {moving} of them move")
        much = much or moving > 0
    return much


async def grow(asked: GrowthRequest, tell: Tell, progress: ReportProgress) -> None:
    """Give every topic ``asked.partitions`` partitions and move each key's records to its new one.

    Raises ``UsageError`` for what a person must do first (stop the stages, let a reader reach its
    end), and when the broker goes away. Run it again, and it continues. Raises ``MustNotGoOn`` when
    a comparison fails, and then nothing was deleted.
    """
    async with reaching(asked.bootstrap, TOPICS) as broker:
        run = GrowthRun(asked, broker, tell, progress)
        growth = await journal.last_growth(asked.bootstrap)
        if growth is None or growth.done:
            begun = await _begin(run)
            if begun is None:
                return
            growth = begun
        elif growth.partitions != asked.partitions:
            raise UsageError(
                f"a growth to {growth.partitions} partitions was interrupted: --partitions"
                f" {growth.partitions}"
            )
        else:
            tell("goes on where it was interrupted")
            await _stopped(run, OURS, GIVEN_UP_SECONDS)
        growth = await _cut(run, growth)
        growth = await _queues(run, growth)
        growth = await _keyed(run, growth)
        growth = await _old_ones_cut_off(run, growth)
        await _noted(run, growth, done=True)
        tell(
            f"done: {growth.partitions} partitions everywhere; set"
            f" RPM_PARTITIONS={growth.partitions}, start the stages"
        )


async def _noted(run: GrowthRun, growth: Growth, **changes: object) -> Growth:
    noted: Growth = msgspec.structs.replace(growth, **changes)
    await journal.write(run.asked.bootstrap, noted, run.asked.replication)
    return noted


async def _counts(run: GrowthRun) -> dict[str, int]:
    """Return the number of partitions of each topic.

    Raises ``UsageError`` for more partitions than asked for: Kafka cannot remove any.
    """
    counts = await all_counts(run.broker.admin)
    most = max(counts, key=lambda topic: counts[topic])
    if counts[most] > run.asked.partitions:
        raise UsageError(
            f"{most} has {counts[most]} partitions already: --partitions {counts[most]} or more"
        )
    return counts


async def _stopped(run: GrowthRun, groups: tuple[str, ...], seconds: float) -> None:
    if found := await living(run.broker.admin, groups, seconds):
        raise UsageError(
            "stop the stages first, and any other reader of what is moved: members are in"
            f" {', '.join(found)} (a stage that ended less than {SESSION_SECONDS:.0f} s ago may"
            " count)"
        )


async def _begin(run: GrowthRun) -> Growth | None:
    """Return the journal of a new growth, None when there is nothing to do."""
    counts = await _counts(run)
    followed = {topic: await groups_of(run.broker.admin, topic) for topic in FOLLOWED_TOPICS}
    groups = (*OURS, *(name for groups in followed.values() for name in groups if name not in OURS))
    await _stopped(run, groups, GIVEN_UP_SECONDS)
    for topic, found in followed.items():
        end = {tp.partition: offset for tp, offset in (await ends(run.broker, topic)).items()}
        for group, commits in found.items():
            if left := sum(max(0, end[number] - offset) for number, offset in commits.items()):
                raise UsageError(
                    f"the group {group} has {left} unread records of {topic}: let it read them"
                    " first"
                )
    if not await _planned(run._replace(tell=lambda _: None), counts):
        run.tell(
            f"nothing to do: {run.asked.partitions} partitions everywhere, and every key is in"
            " its own"
        )
        return None
    growth = Growth(partitions=run.asked.partitions, was=counts)
    await journal.write(run.asked.bootstrap, growth, run.asked.replication)
    await asyncio.sleep(JOIN_SECONDS)
    if joined := await living(run.broker.admin, groups, 0.0):
        await _noted(run, growth, done=True)
        raise UsageError(
            f"{', '.join(joined)} joined meanwhile, nothing was done: stop the stages first"
        )
    return growth


async def _cut(run: GrowthRun, growth: Growth) -> Growth:
    """Add partitions, then note the end of everything and the position of each reader."""
    wanted = {topic: growth.partitions for topic, count in growth.was.items() if count}
    now = await all_counts(run.broker.admin)
    missing = {topic: count for topic, count in wanted.items() if now[topic] < count}
    await add_partitions(run.broker, missing)
    for topic in missing:
        run.tell(f"{topic}: {growth.was[topic]} partitions became {growth.partitions}")
    if growth.cuts:
        return growth
    topics = dict.fromkeys(
        (*(topic for topic, _ in QUEUES), *(topic for topic in KEYED if growth.was[topic]))
    )
    cuts = {
        topic: {tp.partition: offset for tp, offset in (await ends(run.broker, topic)).items()}
        for topic in topics
    }
    commits: dict[str, dict[int, int]] = {
        topic: await offsets_of(run.broker.admin, group, topic) for topic, group in QUEUES
    }
    return await _noted(run, growth, cuts=cuts, commits=commits)


async def _queues(run: GrowthRun, growth: Growth) -> Growth:
    for queue in QUEUES:
        if queue[0] not in growth.taken:
            run.tell(
                await take(run.broker, run.asked.bootstrap, growth, queue, run.shown("what waits"))
            )
            growth = await _noted(run, growth, taken=(*growth.taken, queue[0]))
    return growth


async def _keyed(run: GrowthRun, growth: Growth) -> Growth:
    for topic in (each for each in KEYED if each in growth.cuts and each not in growth.proofs):
        done = await move(run.broker, run.asked.bootstrap, growth, topic, run.shown("moving"))
        if done.wrong:
            raise MustNotGoOn(
                f"{topic}: of {done.wanted} keys that were to be moved {done.wrong} are not there"
                " or not equal; nothing was deleted: run it again"
            )
        run.tell(f"{topic}: {done.found.keys} keys are in their partitions, and equal")
        growth = await _noted(run, growth, proofs={**growth.proofs, topic: done.found})
    return growth


async def _old_ones_cut_off(run: GrowthRun, growth: Growth) -> Growth:
    admin = run.broker.admin
    bootstrap = run.asked.bootstrap
    for topic in (each for each in growth.proofs if each not in growth.cut_off):
        if topic in FOLLOWED_TOPICS:
            await _not_again(run, topic)
        if topic not in growth.settings:
            own = await own_settings(admin, topic)
            growth = await _noted(run, growth, settings={**growth.settings, topic: own})
        await configure(admin, topic, deletable(growth.settings[topic]))
        await cut_off(admin, topic, growth.cuts[topic])
        await configure(admin, topic, growth.settings[topic])
        found = proof(await moved(run.broker, bootstrap, growth, topic, run.shown("comparing")))
        wrong = await astray(
            run.broker, bootstrap, growth.partitions, topic, run.shown("comparing")
        )
        if found != growth.proofs[topic] or wrong:
            raise MustNotGoOn(
                f"{topic}: {growth.proofs[topic].keys} keys were moved, {found.keys} are there, but"
                f" not equal, or elsewhere too ({wrong} are): another program writes to it."
                f" {GROWTH} lists what was moved"
            )
        run.tell(
            f"{topic}: what lay before was cut off; {found.keys} keys, each in its partition, and"
            " equal"
        )
        growth = await _noted(run, growth, cut_off=(*growth.cut_off, topic))
    return growth


async def _not_again(run: GrowthRun, topic: str) -> None:
    """Commit the ends for the groups that follow the topic.

    They had read all of it. So they do not get it again, and they miss nothing.
    """
    end = {tp.partition: offset for tp, offset in (await ends(run.broker, topic)).items()}
    for group in await groups_of(run.broker.admin, topic):
        await commit(run.asked.bootstrap, group, topic, end)
