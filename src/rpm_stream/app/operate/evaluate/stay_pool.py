"""Stays through the pipeline in several processes. The order of the results is that of the stays.

A process loads the tables of a folder once. It gets stays in small chunks, so that a long stay at
the end does not leave the others without work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from rpm_stream.app.operate.evaluate.labelled_files import frames_of
from rpm_stream.evaluation.collect import NEEDED, collect
from rpm_stream.evaluation.stays import Stay, StayLabel, Traits, registry_entry
from rpm_stream.knowledge import Knowledge, load
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.replay import Replay, ReplayLine
from rpm_stream.records import Record

CHUNK = 16  # stays that a process takes at once


class StayInput(Record, frozen=True, kw_only=True):
    """All that a process needs for one stay. ``tables`` is a folder with own tables."""

    label: StayLabel
    packed: tuple[bytes, ...]
    tables: Path | None = None
    traits: Traits | None = None


def run_stays(
    inputs: Sequence[StayInput], jobs: int, progress: Callable[[int], None]
) -> list[Stay]:
    """Return the stays of ``inputs``, in their order.

    ``progress`` is called with the number of stays that are done.
    """
    found: list[Stay] = []
    for made in _made(inputs, jobs):
        found += made
        progress(len(found))
    return found


def _made(inputs: Sequence[StayInput], jobs: int) -> Iterator[list[Stay]]:
    chunks = [inputs[start : start + CHUNK] for start in range(0, len(inputs), CHUNK)]
    if jobs == 1:
        yield from map(_run, chunks)
        return
    # Spawned processes share no thread of a progress bar with this one.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_run, chunks)


def _run(inputs: Sequence[StayInput]) -> list[Stay]:
    return [collect(each.label, _replayed(each, _tables(each.tables))) for each in inputs]


def _replayed(stay: StayInput, tables: Knowledge) -> Iterator[ReplayLine]:
    entry = registry_entry(stay.label.patient, stay.traits)
    replay = Replay(tables, Registry([entry]), NEEDED)
    for frame in frames_of(stay.packed):
        yield from replay.csv(frame)
    yield from replay.finish(None)


@cache
def _tables(folder: Path | None) -> Knowledge:
    return load(folder)
