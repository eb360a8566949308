""" "Judged up to": what the feed says of the workers, from outside."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from rpm_stream.app.feed.page.wording import alarm, judged
from rpm_stream.app.feed.progress import UNKNOWN, Progress, Watcher, aged, judge
from rpm_stream.app.kafka.lag import GroupLag

NOW = datetime(2026, 7, 14, 7, 2, 11, tzinfo=UTC)
EARLIER = NOW - timedelta(minutes=3)


def seen(
    lag: int = 0, members: int = 1, first: datetime | None = None, group: str = "g"
) -> GroupLag:
    """One look at a group."""
    return GroupLag(group=group, lag=lag, members=members, first_waiting=first)


def test_nothing_waits_and_all_live_is_now() -> None:
    found = judge([seen(), seen(group="h", members=2)], NOW, UNKNOWN)
    assert (found.status, found.judged_up_to, found.workers) == ("current", NOW, {"g": 1, "h": 2})
    assert judged(found, UTC) == "Judged up to 07:02:11 UTC"
    assert alarm(found) is None


@pytest.mark.parametrize(("seconds", "status"), [(59, "current"), (60, "current"), (61, "behind")])
def test_the_oldest_waiting_record_is_how_far_judging_is(seconds: int, status: str) -> None:
    """Red from 60 seconds on."""
    oldest = NOW - timedelta(seconds=seconds)
    found = judge([seen(5, first=NOW), seen(7, first=oldest, group="h")], NOW, UNKNOWN)
    assert (found.status, found.judged_up_to) == (status, oldest)


def test_a_dead_worker_shows_although_nothing_waits() -> None:
    """Silence and escalation are not judged either: the time stays where it was."""
    before = judge([seen()], EARLIER, UNKNOWN)
    found = judge([seen(members=0)], NOW, before)
    assert (found.status, found.judged_up_to) == ("no_worker", EARLIER)
    assert (
        alarm(found)
        == "No worker is judging. New measurements raise no alerts. Last judged 3 minutes ago."
    )


def test_one_dead_agent_of_two_is_no_worker() -> None:
    assert judge([seen(), seen(members=0, group="h")], NOW, UNKNOWN).status == "no_worker"


def test_a_record_stamped_ahead_does_not_push_the_time_into_the_future() -> None:
    assert judge([seen(1, first=NOW + timedelta(hours=1))], NOW, UNKNOWN).judged_up_to == NOW


def test_an_old_finding_is_unknown() -> None:
    """A feed that no longer reaches the broker must not go on saying that all is well."""
    found = judge([seen()], EARLIER, UNKNOWN)
    assert aged(found, EARLIER + timedelta(seconds=60)).status == "current"
    assert aged(found, NOW).status == "unknown"
    assert "cannot be reached" in (alarm(aged(found, NOW)) or "")


def test_before_the_first_look_nothing_is_claimed() -> None:
    assert aged(UNKNOWN, NOW).status == "unknown"
    assert judged(UNKNOWN, UTC) == "Not judged yet"


async def _eventually(watcher: Watcher, told: asyncio.Event, wanted: str) -> Progress:
    async def look() -> Progress:
        while watcher.progress().status != wanted:
            told.clear()
            await told.wait()
        return watcher.progress()

    return await asyncio.wait_for(look(), 40)


async def _life_of_a_worker(bootstrap: str) -> list[Progress]:
    topic, group = f"t-{uuid4()}", f"g-{uuid4()}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics(
        [NewTopic(topic, 2, 1, topic_configs={"message.timestamp.type": "LogAppendTime"})]
    )
    await admin.close()
    told = asyncio.Event()
    watcher = Watcher(bootstrap, {group: (topic,)}, lambda: datetime.now(UTC))
    watching = asyncio.create_task(watcher.run(told.set))
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    worker = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    try:
        found = [await _eventually(watcher, told, "no_worker")]
        await producer.send_and_wait(topic, b"first", partition=0)
        await producer.send_and_wait(topic, b"second", partition=0)
        await worker.start()
        found.append(await _eventually(watcher, told, "current"))
        await worker.commit({TopicPartition(topic, 0): 2})
        while watcher.progress().lag[group]:
            told.clear()
            await asyncio.wait_for(told.wait(), 20)
        found.append(watcher.progress())
        await worker.stop()
        await producer.send_and_wait(topic, b"third", partition=1)
        found.append(await _eventually(watcher, told, "no_worker"))
        return found
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await worker.stop()
        await producer.stop()


def test_a_worker_comes_works_and_goes(kafka: str) -> None:
    """Against a real broker: no worker, then one that lags, then one that is done, then none
    again.
    """
    none, lagging, done, gone = asyncio.run(_life_of_a_worker(kafka))
    assert sum(none.workers.values()) == 0 and none.judged_up_to is None
    assert list(lagging.lag.values()) == [2] and lagging.judged_up_to is not None
    assert lagging.judged_up_to < lagging.checked_at
    assert list(done.lag.values()) == [0] and done.judged_up_to == done.checked_at
    assert sum(gone.workers.values()) == 0
    assert gone.judged_up_to is not None and gone.judged_up_to >= lagging.judged_up_to
