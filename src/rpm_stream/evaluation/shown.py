"""What the feed really shows at its shipped settings, and whether it means anything.

An event is an alert that opens, a rise of its priority, or values that leave their limits again
before a person has looked. Each kind of event is compared with itself: how often it comes in the 12
hours before an onset, and how often in the same hours of stays without one. A kind for which the
first is not above the second is noise, and is named so.

No person acts on an alert during an evaluation. An alert that waits therefore stays one alert, and
what joins it is no event.

For an onset in hour ``h`` the same hours are ``h - 11`` to ``h`` of all stays without onset that
were monitored in hour ``h``. The shares are averaged over the onsets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np

from rpm_stream.evaluation.alarms import first_before_onset
from rpm_stream.evaluation.bootstrap import Interval, drawn_means, interval_of
from rpm_stream.evaluation.cohort import Cohort, Counts, Flags, Floats
from rpm_stream.evaluation.report import ShownResult, ShownRow, Verdict
from rpm_stream.evaluation.stays import START, WINDOW, ShownEvent, Stay
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records import RANK, PatientEntry, Priority
from rpm_stream.score.rules.bands import Bands

Wanted: TypeAlias = Callable[[ShownEvent], bool]


class Kind(NamedTuple):
    """Some events: their name, and which they are."""

    name: str
    wanted: Wanted
    priority: Priority | None = None
    returned: bool = False


def red_rules(knowledge: Knowledge) -> frozenset[str]:
    """Return the names of the rules of red bands of the adult chart, one for each vital."""
    bands = Bands(knowledge)
    person = bands.person(PatientEntry(patient="any adult"), START)
    return frozenset(
        f"limit.{band.rule}.{vital}@{band.version}"
        for vital in knowledge.vitals
        for band in bands.all(person, vital)
        if band.band == "red"
    )


def selections(single_red: Collection[str]) -> Iterator[Kind]:
    """Yield the sums of events that are reported.

    A red value that is not repeated has a rule of ``single_red`` and medium priority. A repeated
    one is high.
    """
    for priority in sorted(RANK, key=lambda each: -RANK[each]):
        yield Kind(f"{priority} alone", _of_priority(priority), priority)
    yield Kind("all", lambda _: True)
    yield Kind("medium and high", lambda event: event.priority != "low")
    yield Kind(
        "medium and high without single red values",
        lambda event: (
            event.priority == "high"
            or (event.priority == "medium" and event.rule not in single_red)
        ),
    )


def show(
    cohort: Cohort,
    stays: Sequence[Stay],
    knowledge: Knowledge,
    chances: tuple[Counts, Callable[[float], float | None]],
) -> ShownResult:
    """Return what the feed shows.

    ``chances`` are the draws of the bootstrap, and the share of onsets that random alarms of a rate
    reach.
    """
    counts, random_share = chances
    sums = [_row(cohort, stays, kind, counts) for kind in selections(red_rules(knowledge))]
    return ShownResult(
        selections=tuple(
            row if not row.events else _with_random(row, random_share(row.per_day)) for row in sums
        ),
        rules=tuple(_row(cohort, stays, kind, counts) for kind in _rules(cohort, stays)),
        matched=int(np.isfinite(shares(cohort, np.zeros_like(cohort.counted))[1]).sum()),
        listed=_share_of_hours(cohort, [stay.listed for stay in stays]),
        red=_share_of_hours(cohort, [stay.red for stay in stays]),
        red_known=_share_of_hours(cohort, [stay.red_known for stay in stays]),
    )


def verdict_of(ratio: float | None, interval: Interval | None) -> Verdict:
    """Return what a ratio and its interval mean.

    >>> verdict_of(0.9, (0.5, 1.4)), verdict_of(1.2, (0.8, 1.6)), verdict_of(1.6, (1.1, 2.1))
    ('noise', 'unclear', 'signal')
    """
    if ratio is not None and ratio <= 1:
        return "noise"
    return "signal" if ratio is not None and interval and interval[0] > 1 else "unclear"


def within_window(rung: Flags) -> Flags:
    """Return for each hour whether an event came in it or in the 11 hours before.

    >>> rung = np.zeros((14, 1), dtype=np.bool_)
    >>> rung[1, 0] = True
    >>> within_window(rung)[:, 0].nonzero()[0].tolist()
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    """
    total = np.cumsum(rung, axis=0, dtype=np.int64)
    earlier = np.zeros_like(total)
    earlier[WINDOW:] = total[:-WINDOW]
    return total > earlier


def _of_priority(priority: Priority) -> Wanted:
    return lambda event: event.priority == priority


def _rules(cohort: Cohort, stays: Sequence[Stay]) -> Iterator[Kind]:
    """Yield each rule and priority that occurs, the most frequent first."""
    found = Counter(
        (event.rule, event.priority, event.returned)
        for label, stay in zip(cohort.labels, stays, strict=True)
        for event in stay.events
        if 0 <= event.hour < label.counted
    )
    for (rule, priority, returned), _ in sorted(
        found.items(), key=lambda each: (-each[1], each[0])
    ):
        yield Kind(
            rule,
            lambda event, key=(rule, priority, returned): (  # type: ignore[misc]
                (event.rule, event.priority, event.returned) == key
            ),
            priority,
            returned,
        )


def _row(cohort: Cohort, stays: Sequence[Stay], kind: Kind, counts: Counts) -> ShownRow:
    events = 0
    rung = np.zeros(cohort.counted.shape, dtype=np.bool_)
    for column, (label, stay) in enumerate(zip(cohort.labels, stays, strict=True)):
        for event in stay.events:
            if 0 <= event.hour < label.counted and kind.wanted(event):
                events += 1
                rung[event.hour, column] = True
    before, otherwise = shares(cohort, rung)
    known = np.isfinite(otherwise)
    share = float(otherwise[known].mean()) if known.any() else None
    ratio = float(before[known].mean()) / share if share else None
    leads = first_before_onset(cohort, rung)
    leads = leads[leads >= 0]
    interval = _ratio_interval(counts[:, cohort.onsets[known]], before[known], otherwise[known])
    return ShownRow(
        name=kind.name,
        priority=kind.priority,
        returned=kind.returned,
        events=events,
        per_day=events / cohort.days,
        reached=int(before.sum()),
        lead=float(np.median(leads)) if len(leads) else None,
        before_onset=float(before.mean()) if len(before) else None,
        otherwise=share,
        ratio=ratio,
        ratio_interval=interval,
        verdict=verdict_of(ratio, interval),
    )


def shares(cohort: Cohort, rung: Flags) -> tuple[Floats, Floats]:
    """Return for each onset whether an event came before it, and the share of others with one.

    The share is NaN where no stay without onset was monitored in the onset's hour.
    """
    window = rung[:, cohort.onsets] & cohort.positive[:, cohort.onsets]
    before = window.any(axis=0).astype(np.float64)
    near = within_window(rung) & cohort.counted
    controls = cohort.counted & cohort.controls
    size = controls.sum(axis=1)
    of_hour = np.full(cohort.hours + 1, np.nan)
    some = np.flatnonzero(size)
    of_hour[some] = (near & controls).sum(axis=1)[some] / size[some]
    return before, of_hour[np.minimum(cohort.onset_hours, cohort.hours)]


def _ratio_interval(counts: Counts, before: Floats, otherwise: Floats) -> Interval | None:
    if not len(before):
        return None
    means = drawn_means(counts, otherwise)
    positive = means > 0
    return interval_of(drawn_means(counts, before)[positive] / means[positive])


def _with_random(row: ShownRow, share: float | None) -> ShownRow:
    return msgspec.structs.replace(row, random=share)


def _share_of_hours(cohort: Cohort, flags: Sequence[Sequence[bool]]) -> float | None:
    """Return the share of the hours of stays without an onset that have a flag."""
    hours = cohort.counted & cohort.controls
    return float((cohort.matrix(flags, fill=0.0) > 0)[hours].mean()) if hours.any() else None
