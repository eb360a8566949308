"""What the score stage gives up where a patient's state would grow too large.

``pipeline/state_budget.py`` decides when and in which order. All of it shortens what is kept and
does not change it: no reading is judged in another way when it comes. A time beyond a limit never
gets shorter. A time inside gets shorter only where a whole vital is dropped (``history.py``).
Doubts about a signal are no longer named.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from rpm_stream.records.in_house import Key
from rpm_stream.records.readings import Reading
from rpm_stream.score.memory.history import Segment, shorten
from rpm_stream.score.memory.member_names import member_name
from rpm_stream.score.memory.state import ScoreState

# Characters of an attribute that is kept. The kinds of samples and sites have under 40.
MOST_TEXT = 128
RECENT = 12  # the most readings that a limit may count (records.Of)

_encode = msgspec.msgpack.Encoder().encode


def vitals(state: ScoreState) -> frozenset[str]:
    """All vitals of which something is kept."""
    return frozenset(vital for kept in _by_vital(state) for vital in kept)


def size(state: ScoreState, vital: str) -> int:
    """Bytes that the state takes for one vital, without its detectors."""
    kept = [one[vital] for one in _by_vital(state) if vital in one]
    counted = [state.recent.get(name) for name in _counted(vital)]
    return len(_encode((kept, counted, [_of_vital(one, vital) for one in _by_device(state)])))


def _of_vital(kept: dict[str, Any], vital: str) -> dict[str, Any]:
    """What is kept of a vital by device.

    The vital is a part of the name, alone or after the name of a rule.
    """
    return {
        name: each for name, each in kept.items() if f":{vital}:" in f":{name.replace('.', ':')}"
    }


def slim_readings(state: ScoreState, vitals: Collection[str], attributes: Collection[str]) -> None:
    """Keep only these ``attributes`` of the kept readings.

    A device may attach kilobytes to each value.
    """
    for vital in vitals:
        for segment in _segments(state, vital):
            if segment.reading is not None:
                segment.reading = _slim(segment.reading, attributes)
            if segment.prior is not None:
                segment.prior = _slim(segment.prior, attributes)
        if vital in state.latest:
            state.latest[vital] = _slim(state.latest[vital], attributes)


def _slim(reading: Reading, attributes: Collection[str]) -> Reading:
    kept = {
        name: value
        for name, value in reading.attributes.items()
        if name in attributes and isinstance(value, str) and len(value) <= MOST_TEXT
    }
    return (
        reading
        if len(kept) == len(reading.attributes)
        else msgspec.structs.replace(reading, attributes=kept)
    )


def forget_twins(state: ScoreState, vitals: Collection[str]) -> None:
    """Drop second readings of a measurement. If the first is voided, no other replaces it."""
    for vital in vitals:
        state.twins.pop(vital, None)


def forget_hours(state: ScoreState) -> None:
    """Drop the last hours of the vitals. The deterioration score begins again."""
    state.hours = msgspec.UNSET


def forget_evidence(state: ScoreState, vitals: Collection[str], most: int) -> None:
    """Drop the readings of all but the ``most`` newest runs.

    A NEWS2 then names fewer of the readings that it counts.
    """
    for vital in vitals:
        segments = _segments(state, vital)
        for segment in segments:
            segment.prior = None
        for segment in segments[: len(segments) - most]:
            segment.reading = None


def forget_runs(state: ScoreState, vitals: Collection[str], most: int) -> None:
    """Drop all but the ``most`` newest runs of each vital.

    Single readings that no limit counts are dropped too.
    """
    for vital in vitals:
        for history in (state.histories.get(vital), state.drops.get(vital)):
            if history is not None:
                shorten(history, most)
        for name in _counted(vital):
            del state.recent.get(name, [])[:-RECENT]


def forget_signal(state: ScoreState, most: int) -> None:
    """Drop what finds a bad signal by comparing values, and most device runs.

    Of each kind of run the ``most`` newest are kept, and one that was reported is dropped last.
    Such a fault is reported again, and an alert about it waits for a person.
    """
    for kept in (state.signal, state.usual, state.sequences):
        kept.clear()
    for runs in (state.faults, state.repeats, state.doubts):
        for name in sorted(runs, key=lambda name: (runs[name].reported, runs[name].until, name))[
            :-most
        ]:
            del runs[name]


def forget_vital(state: ScoreState, vital: str) -> None:
    """Drop all that is known of a vital, except what a later red alert depends on (law 3).

    What was learned and reported stays. So does a run beyond a limit that still lasts or that gives
    NEWS2 points, and what the vital's limits count. The rest begins again.
    """
    history = state.histories.get(vital)
    if vital in state.latest:
        state.heard[vital] = state.latest[vital].measured_at
    for kept in _by_vital(state):
        kept.pop(vital, None)
    state.recent.pop(_counted(vital)[1], None)
    if history is not None:
        shorten(history, 1)
        history.segments = [each for each in history.segments if each.broken or each.points]
        for segment in history.segments:
            segment.reading = segment.prior = None
        state.histories |= {vital: history} if history.segments else {}


def forget_counts(state: ScoreState, vital: str) -> None:
    """Drop what the limits of a vital count, so that "3 of the last 4" begins again."""
    state.recent.pop(vital, None)


def _by_vital(state: ScoreState) -> tuple[dict[str, Any], ...]:
    return (
        state.histories,
        state.latest,
        state.courses,
        state.days,
        state.drops,
        state.points,
        state.trail,
        state.forecasts,
        state.seen,
        state.copies,
        state.twins,
        state.distances,
    )


def _by_device(state: ScoreState) -> tuple[dict[str, Any], ...]:
    return state.faults, state.repeats, state.doubts, state.signal, state.sequences


def _counted(vital: str) -> tuple[str, str]:
    """The names under which readings of a vital are kept one by one.

    They are for limits and for trends (``score/rules/trends.py``).
    """
    return vital, member_name("trend", Key(vital=vital))


def _segments(state: ScoreState, vital: str) -> list[Segment]:
    history = state.histories.get(vital)
    return history.segments if history is not None else []
