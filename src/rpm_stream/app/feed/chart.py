"""The chart of a vital around an alert: its points in one unit, the limits, and the evidence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from rpm_stream.app.feed.read_model import ChartReading, FeedState
from rpm_stream.knowledge import Knowledge, Points, Vital
from rpm_stream.knowledge.registry import years_old
from rpm_stream.records import Absent, Alert, Limit, PatientEntry, Priority, Record

# before the first evidence and after the last change, enough to see what led to the alert
AROUND = timedelta(hours=6)
MOST_CHARTS = 4
NEWS2_BANDS: dict[int, tuple[Priority, str]] = {
    3: ("high", "NEWS2 red"),
    2: ("medium", "NEWS2 amber"),
}

# UCUM units as people write them.
UNIT_WORDS = {
    "mm[Hg]": "mmHg",
    "Cel": "°C",
    "[degF]": "°F",
    "{beats}/min": "/min",
    "{breaths}/min": "/min",
}
UNIT_WORDS |= {"[lb_av]": "lb", "[in_i]": "in", "{steps}": "steps", "{score}": "", "1": ""}


class ChartPoint(Record, frozen=True, kw_only=True):
    """A reading in the chart's unit.

    ``value`` is None, with ``absent``, where the device gave none.
    """

    at: datetime
    value: float | None
    absent: Absent | None
    flags: tuple[str, ...]
    evidence: bool


class LimitLine(Record, frozen=True, kw_only=True):
    """A limit in the chart's unit.

    With ``side`` low, values below it are out. With high, values above it are.
    """

    value: float
    side: str
    priority: Priority
    label: str
    owner: str


class FeedChart(Record, frozen=True, kw_only=True):
    """One vital from ``since`` to ``until``, in order of measured time. ``unit`` is UCUM."""

    vital: str
    title: str
    unit: str
    unit_words: str
    since: datetime
    until: datetime
    points: tuple[ChartPoint, ...]
    limits: tuple[LimitLine, ...]


def charts(state: FeedState, alert: Alert, knowledge: Knowledge, now: datetime) -> list[FeedChart]:
    """Return charts of the evidence's vitals, or else of the known vitals of the alert's group.

    There are at most ``MOST_CHARTS``. They end at ``now`` at the latest, to the minute, because a
    chart that moves every second cannot be read.
    """
    readings = state.readings
    evidence = readings.evidence(alert)
    vitals = list(dict.fromkeys(vital for vital, _ in evidence.values()))
    if not vitals:
        vitals = [
            v
            for v in readings.vitals(alert.patient)
            if v in knowledge.vitals and _in_group(v, alert, knowledge)
        ]
    end = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    return [_chart(state, alert, (vital, end), knowledge) for vital in vitals[:MOST_CHARTS]]


def _in_group(vital: str, alert: Alert, knowledge: Knowledge) -> bool:
    return knowledge.vitals[vital].group == alert.group


def _chart(
    state: FeedState, alert: Alert, vital_and_end: tuple[str, datetime], knowledge: Knowledge
) -> FeedChart:
    readings = state.readings
    vital, end = vital_and_end
    proof = {point.id: point for name, point in readings.evidence(alert).values() if name == vital}
    first = min([alert.opened_at, alert.measured_at, *(point.at for point in proof.values())])
    last = max([alert.updated_at, alert.measured_at, *(point.at for point in proof.values())])
    since = first - AROUND
    until = max(min(last + AROUND, end), last)
    seen = readings.series(alert.patient, vital, since, until)
    points = {point.id: point for point in seen} | proof
    ordered = sorted(points.values(), key=lambda point: (point.at, point.id))
    known = knowledge.vitals.get(vital)
    unit = ordered[-1].unit if ordered else (known.unit if known else "")
    entry = state.registry.patient(alert.patient)
    return FeedChart(
        vital=vital,
        title=known.plain.capitalize() if known else vital,
        unit=unit,
        unit_words=UNIT_WORDS.get(unit, unit),
        since=since,
        until=until,
        points=tuple(
            _shown(point, (known, unit), point.id in proof, knowledge) for point in ordered
        ),
        limits=tuple(limit_lines(entry, vital, (unit, alert.measured_at), knowledge)),
    )


def _shown(
    point: ChartReading, chart: tuple[Vital | None, str], evidence: bool, knowledge: Knowledge
) -> ChartPoint:
    """Return the point in the chart's unit, without value where its unit has no conversion."""
    known, unit = chart
    value = point.value
    if value is not None and point.unit != unit:
        units = known.units if known else ()
        same = point.unit in units and unit in units
        value = float(knowledge.convert(Decimal(str(value)), point.unit, unit)) if same else None
    return ChartPoint(
        at=point.at, value=value, absent=point.absent, flags=point.flags, evidence=evidence
    )


def limit_lines(
    entry: PatientEntry, vital: str, unit_and_time: tuple[str, datetime], knowledge: Knowledge
) -> Iterator[LimitLine]:
    """Yield the limits that judge the vital at the time.

    On each side they are the patient's own limits, or else the shipped ones and the NEWS2 bands.
    """
    unit, at = unit_and_time
    known = knowledge.vitals.get(vital)
    if known is None or unit not in known.units:
        return
    own = [
        (side, limit)
        for side in ("low", "high")
        for limit in _own(entry, vital, side, at)
        if limit.unit in known.units
    ]
    for side, limit in own:
        yield _own_line(limit, side, unit, knowledge)
    covered = {side for side, _ in own}
    for line in _shipped_lines(entry, vital, unit_and_time, knowledge):
        if line.side not in covered:
            yield line


def _shipped_lines(
    entry: PatientEntry, vital: str, unit_and_time: tuple[str, datetime], knowledge: Knowledge
) -> Iterator[LimitLine]:
    unit, at = unit_and_time
    for row in knowledge.limits.limit:
        if row.vital == vital:
            low = row.below is not None
            bound = row.below if row.below is not None else row.above
            if bound is not None:
                yield _line(
                    (bound, row.unit, unit),
                    "low" if low else "high",
                    (row.first, "shipped"),
                    knowledge,
                )
    age = years_old(entry, at)
    if entry.pregnant or (age is not None and age < knowledge.news2.adult_from_years):
        return  # NEWS2 is for adults who are not pregnant
    for chart in knowledge.news2.parameters().values():
        if vital in chart.vitals:
            yield from _news2_lines(chart, entry, unit, knowledge)


def _own(entry: PatientEntry, vital: str, side: str, at: datetime) -> list[Limit]:
    """Return the newest of the patient's limits of this side that are valid at ``at``."""
    valid = [
        limit
        for limit in entry.limits
        if limit.vital == vital
        and (limit.low if side == "low" else limit.high) is not None
        and (limit.valid_from is None or limit.valid_from <= at)
    ]
    newest = max((_begin(limit) for limit in valid), default=float("-inf"))
    return [limit for limit in valid if _begin(limit) == newest]


def _begin(limit: Limit) -> float:
    return limit.valid_from.timestamp() if limit.valid_from is not None else float("-inf")


def _own_line(limit: Limit, side: str, unit: str, knowledge: Knowledge) -> LimitLine:
    bound = limit.low if side == "low" else limit.high
    return _line(
        (Decimal(str(bound)), limit.unit, unit), side, (limit.priority, limit.owner), knowledge
    )


def _line(
    bound: tuple[Decimal, str, str],
    side: str,
    priority_and_owner: tuple[Priority, str],
    knowledge: Knowledge,
) -> LimitLine:
    value, written, unit = bound
    priority, owner = priority_and_owner
    words = UNIT_WORDS.get(written, written)
    sign = "<" if side == "low" else ">"
    return LimitLine(
        value=float(knowledge.convert(value, written, unit)),
        side=side,
        priority=priority,
        label=f"Limit {sign} {value} {words}".strip(),
        owner=owner,
    )


def _news2_lines(
    chart: Points, entry: PatientEntry, unit: str, knowledge: Knowledge
) -> Iterator[LimitLine]:
    """Yield the beginnings of the red and amber bands of NEWS2.

    It is the last value of a low band, and the first value of a high band.
    """
    rows = chart.rows
    if entry.oxygen_scale == 2 and chart.rows_scale_2_air:
        rows = chart.rows_scale_2_oxygen if entry.on_oxygen else chart.rows_scale_2_air
    healthy = next(index for index, (_, points) in enumerate(rows) if points == 0)
    for index, (upto, points) in enumerate(rows):
        if points not in NEWS2_BANDS:
            continue
        low = index < healthy
        bound = Decimal(upto) if low else Decimal(rows[index - 1][0]) + chart.step
        priority, name = NEWS2_BANDS[points]
        yield LimitLine(
            value=float(knowledge.convert(bound, chart.unit, unit)),
            side="low" if low else "high",
            priority=priority,
            label=f"{name} {'≤' if low else '≥'} {bound} {UNIT_WORDS.get(chart.unit, chart.unit)}",
            owner="shipped",
        )
