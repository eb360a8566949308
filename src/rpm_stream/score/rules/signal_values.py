"""The newest values of each device, as the rules of signal quality compare them."""

from __future__ import annotations

from rpm_stream.records import Reading
from rpm_stream.score.memory.state import LastValue, ScoreState
from rpm_stream.score.rules.device_runs import MOST_RUNS


def key_of(reading: Reading) -> str:
    """The name of a vital's device in the state."""
    return f"{reading.vital}:{reading.device}"


def keep_last(state: ScoreState, key: str, reading: Reading) -> None:
    """Keep the newest value under ``key``."""
    assert reading.value is not None
    last = state.signal.get(key)
    if last is None:
        make_place(state.signal, MOST_RUNS)
        state.signal[key] = LastValue(reading.value, reading.unit, reading.measured_at)
    elif reading.measured_at >= last.at:
        last.value = reading.value
        last.unit = reading.unit
        last.at = reading.measured_at


def make_place(kept: dict[str, LastValue] | dict[str, list[str]], most: int) -> None:
    """Drop the entries that were entered first until there is room for one more."""
    while len(kept) >= most:
        del kept[next(iter(kept))]


def is_part_of(tail: list[str], values: list[str]) -> bool:
    """Whether ``tail`` is in ``values`` in the same order."""
    size = len(tail)
    newest = tail[-1]
    ends = (end for end, value in enumerate(values, start=1) if value == newest and end >= size)
    return any(values[end - size : end] == tail for end in ends)
