"""The engine at the doors that Faust calls: nothing that was fetched is dropped."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from faust.tables.recovery import Recovery
from faust.types import TP

from rpm_stream.app.agents.ingest import ingest_app
from rpm_stream.app.engine.recovery import BatchRecovery
from rpm_stream.app.engine.watermark import parts
from rpm_stream.app.kafka.layout import Layout
from rpm_stream.app.kafka.names import ACTIONS, FRAMES
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.knowledge import shipped

CHANGELOG = TopicPartition("rpm-ingest-state-changelog", 2)


def record(offset: int) -> ConsumerRecord:
    return ConsumerRecord(
        CHANGELOG.topic, CHANGELOG.partition, offset, 0, 1, b"device", b"state", None, 6, 5, ()
    )


@pytest.mark.asyncio
async def test_state_that_is_fetched_as_a_rebalance_ends_is_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fetch loop waits through a rebalance; what it fetches next belongs to the new generation,
    not to the old.

    Dropped, the records would never come again: the position has moved on. Recovery hangs, or
    misses them.
    """
    app = ingest_app(
        Settings(data_dir=tmp_path), shipped(), Layout({FRAMES: 4, ACTIONS: 4}, grown=False)
    )
    consumer = app.consumer
    restored: list[int] = []
    fetches: list[dict[TopicPartition, list[ConsumerRecord]]] = [
        {CHANGELOG: [record(7), record(8)]}
    ]

    async def getmany(active_partitions: Any, timeout: float) -> Any:
        await asyncio.sleep(0)
        return fetches.pop() if fetches else {}

    async def seek(offsets: dict[Any, int]) -> None:
        fetches.extend(
            {CHANGELOG: [record(offset), record(8)]}
            for tp, offset in offsets.items()
            if tp == CHANGELOG
        )

    monkeypatch.setattr(consumer, "_getmany", getmany)
    monkeypatch.setattr(consumer, "_get_active_partitions", lambda: {CHANGELOG})
    monkeypatch.setattr(consumer._thread, "seek_wait", seek)
    monkeypatch.setattr(
        app.tables.recovery,
        "apply_records",
        lambda tp, found: restored.extend(each.offset for each in found),
    )
    consumer.stop_flow()
    draining = asyncio.create_task(
        consumer._drain_messages(SimpleNamespace(_stopped=asyncio.Event()))
    )
    for _ in range(20):  # the loop comes to wait for the flow
        await asyncio.sleep(0)
    app.consumer_generation_id += 1
    consumer.resume_flow()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            while len(restored) < 2:
                await asyncio.sleep(0.01)
    draining.cancel()
    await asyncio.gather(draining, return_exceptions=True)
    assert restored == [7, 8]


def test_a_large_fetch_is_acked_in_parts() -> None:
    """In order, none left out, each part about a mebibyte of values; a record that is larger
    alone.
    """
    sizes = [10, 700_000, 400_000, 2_000_000, 0, 5]
    records = [
        ConsumerRecord("t", 0, place, 0, 0, None, bytes(size), None, 0, size, ())
        for place, size in enumerate(sizes)
    ]
    found = list(parts(records))
    assert [[one.offset for one in part] for part in found] == [[0, 1, 2], [3], [4, 5]]
    assert not list(parts([]))


@pytest.mark.asyncio
async def test_nothing_is_delivered_while_the_tables_look_at_what_was_restored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Faust lets the flow go before: a source would be read from wherever it stands, and not
    from the commit.
    """
    done: list[str] = []

    async def resumed(_recovery: Any, _generation: int = 0) -> None:
        done.append("resumed")

    async def looked(partitions: set[int]) -> None:
        assert done == ["stopped", "suspended"]
        done.append(f"looked at {sorted(partitions)}")

    async def commits(_sources: Any) -> dict[Any, Any]:
        return {}

    monkeypatch.setattr(Recovery, "on_recovery_completed", resumed)
    table: Any = SimpleNamespace(
        on_restored=looked,
        source="frames",
        changelog_topic=SimpleNamespace(get_topic_name=lambda: "changelog"),
    )
    consumer = SimpleNamespace(stop_flow=lambda: done.append("stopped"), commits=commits)
    recovery: Any = BatchRecovery.__new__(BatchRecovery)
    recovery.app = SimpleNamespace(
        consumer=consumer, flow_control=SimpleNamespace(suspend=lambda: done.append("suspended"))
    )
    recovery.tables = {"state": table}
    recovery.tp_to_table = {TP("changelog", 1): table, TP("changelog", 3): table}
    recovery.active_tps = set(recovery.tp_to_table)
    await recovery.on_recovery_completed(1)
    assert done == ["stopped", "suspended", "looked at [1, 3]", "resumed"]
