"""One reading against the limits that hold for its patient: query bound, own limits, the shipped chart and table.

Precedence (CONTRACT 7): a limit that somebody has set (own_limits.py) takes the place of the shipped ones for its vital
and side (who sets only an upper limit keeps the shipped lower one); a value beyond the query bound is high whoever's
limits hold. Values are compared in the limit's unit, exactly. A doubt of the device about its own value is said, and
silences nothing (law 3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec

from rpm_stream.knowledge import Knowledge, ShippedLimit
from rpm_stream.records import Direction, Limit, Of, PatientEntry, Priority, Reading, Record
from rpm_stream.registry import Registry
from rpm_stream.score.bands import Bands
from rpm_stream.score.history import Level
from rpm_stream.score.news2 import Chart, Scale
from rpm_stream.score.own_limits import OwnLimits, OwnSide
from rpm_stream.words import decimals_of, plain_flags, plain_number, plain_unit, plain_value

Side = Direction
WORD: dict[Side, str] = {"low": "below", "high": "above"}
REMEMBERED = 50_000


class Breach(Record, frozen=True, kw_only=True):
    """One limit that a reading is beyond. ``limit`` names it in the history; ``member`` is its place in an episode.

    ``bound`` in ``unit`` is the number that it is beyond, as the limit is written; of a band its edge towards the
    normal. ``first`` is the priority of one such reading, ``repeated`` that of a second in a row, or of one of
    ``partner``, the (vital, limit) that one measurement gives together with it; ``minutes`` and ``of``: how long it
    must last before it counts at all.
    """

    limit: str
    member: str
    side: Side
    bound: Decimal
    unit: str
    first: Priority
    repeated: Priority | None = None
    partner: tuple[str, str] | None = None
    minutes: int = 0
    of: Of | None = None
    beyond_query: bool = False
    rule: str
    title: str
    why: str


class Verdict(Record, frozen=True, kw_only=True):
    """What the limits say of one reading. ``counted``: one of them counts the last readings.

    ``side``: the one that is not inside its recovery limits, None where both are. ``banded``: the sides on which no
    limit holds but the bands of a chart.
    """

    level: Level
    side: Side | None = None
    banded: tuple[Side, ...] = ()
    points: int | None
    counted: bool = False
    breaches: tuple[Breach, ...] = ()
    broken: tuple[str, ...] = ()


class LimitTable:
    """The limits of all patients; answers for the shipped ones are remembered (values repeat)."""

    def __init__(self, knowledge: Knowledge, chart: Chart, registry: Registry) -> None:
        self._knowledge, self._chart = knowledge, chart
        self._own_limits, self._bands = OwnLimits(registry, knowledge.vitals), Bands(knowledge)
        self._rows: dict[str, list[ShippedLimit]] = {}
        for row in knowledge.limits.limit:
            self._rows.setdefault(row.vital, []).append(row)
        self._known: dict[tuple[object, ...], Verdict | None] = {}

    def judge(self, reading: Reading, patient: PatientEntry, scale: Scale) -> Verdict | None:
        """The verdict; None where no limit knows the vital or the reading has no value that matters."""
        if reading.value is None:
            return self._meter(reading)
        held = self._own_limits.at(patient, reading.vital, reading.measured_at)
        doubts = reading.flags and tuple(flag for flag in reading.flags if flag in self._knowledge.signal.ask_repeat)
        exempt = self._chart.exempt(patient, reading.measured_at)
        key = (held.serial, reading.vital, reading.value, reading.unit, doubts, exempt, scale)
        if key not in self._known:
            if len(self._known) > REMEMBERED:
                self._known.clear()
            self._known[key] = self._judge(reading, exempt, scale, held.sides)
        return self._known[key]

    def _judge(self, reading: Reading, exempt: str, scale: Scale, own: Sequence[OwnSide]) -> Verdict | None:
        assert reading.value is not None
        if not own and not self._has_limits(reading.vital):
            return None
        value, unit = Decimal(reading.value), reading.unit
        covered = {side.side for side in own}
        rows = [row for row in self._rows.get(reading.vital, ()) if _side(row) not in covered]
        points = None if exempt else self._chart.points(reading.vital, value, unit, scale)
        breaches = [
            *self._beyond_query(reading, value),
            *self._own(own, reading, value),
            *(self._shipped(row, reading) for row in rows if self._beyond(row, unit, value)),
            *self._band(reading, value, scale, covered, bool(exempt)),
        ]
        if exempt and self._chart.knows(reading.vital):
            words = f"; NEWS2 does not apply ({exempt})"
            breaches = [msgspec.structs.replace(breach, why=f"{breach.why}{words}") for breach in breaches]
        off = [
            *(breach.side for breach in breaches),
            *(each.side for each in own if not self._recovered(each, unit, value)),
            *(_side(row) for row in rows if not self._back(row, unit, value)),
            *(side for side in self._not_back(reading.vital, value, unit, scale, bool(exempt)) if side not in covered),
        ]
        written = covered | {_side(row) for row in rows}
        bands = () if exempt else self._bands.sides(reading.vital, scale)
        return Verdict(
            level="beyond" if breaches else "between" if off else "inside",
            side=off[0] if off else None,
            banded=tuple(side for side in bands if side not in written),
            points=points,
            counted=any(side.source.of for side in own),
            breaches=tuple(breaches),
            broken=tuple(dict.fromkeys(breach.limit for breach in breaches)),
        )

    def _has_limits(self, vital: str) -> bool:
        return vital in self._rows or self._chart.knows(vital)

    def _said(self, reading: Reading) -> str:
        """The value, and whether the device itself doubts it."""
        doubts = plain_flags(flag for flag in reading.flags if flag in self._knowledge.signal.ask_repeat)
        row = self._knowledge.vitals[reading.vital]
        word = row.word(reading.value)
        value = f"{row.plain}: {word}" if word else plain_value(reading)
        return f"{value}{f' (the device doubts it: {doubts})' if doubts else ''}"

    def _title(self, reading: Reading, side: Side, how: str = "") -> str:
        row = self._knowledge.vitals[reading.vital]
        word = row.word(reading.value)
        return f"{row.display}: {word}" if word else f"{row.display} {how}{side}"

    def _beyond_query(self, reading: Reading, value: Decimal) -> Iterator[Breach]:
        row, limits = self._knowledge.vitals[reading.vital], self._knowledge.limits
        number = self._knowledge.convert(value, reading.unit, row.unit)
        if not self._has_limits(reading.vital) or not row.query.excludes(number):
            return
        side: Side = "high" if row.query.above is not None and number > row.query.above else "low"
        bound = row.query.above if side == "high" else row.query.below
        assert bound is not None
        yield Breach(
            limit="red",
            member=f"limit:{reading.vital}:{side}",
            side=side,
            bound=bound,
            unit=row.unit,
            beyond_query=True,
            first=limits.beyond_query.first,
            repeated=limits.beyond_query.repeated,
            rule=f"limit.query.{reading.vital}.{WORD[side]}_{bound}@{limits.version}",
            title=self._title(reading, side, "very "),
            why=f"{self._said(reading)}: {WORD[side]} {self._limit_said(reading, bound, row.unit)}, rarely real: "
            "look and repeat now (shipped)",
        )

    def _band(
        self, reading: Reading, value: Decimal, scale: Scale, covered: set[Side], exempt: bool
    ) -> Iterator[Breach]:
        found = None if exempt else self._bands.of(reading.vital, value, reading.unit, scale)
        if found is None or found.side in covered:
            return
        limits = self._knowledge.limits
        band = limits.red if found.band == "red" else limits.amber
        yield Breach(
            limit=found.band,
            member=f"limit:{reading.vital}:{found.side}",
            side=found.side,
            bound=found.bound,
            unit=found.unit,
            first=band.first,
            repeated=band.repeated,
            rule=f"limit.news2_{found.band}.{reading.vital}@{limits.version}",
            title=self._title(reading, found.side),
            why=f"{self._said(reading)}: {found.words} (shipped)",
        )

    def _not_back(self, vital: str, value: Decimal, unit: str, scale: Scale, exempt: bool) -> Iterator[Side]:
        if not exempt:
            yield from self._bands.not_back(vital, value, unit, scale)

    def _limit_said(self, reading: Reading, bound: Decimal, unit: str) -> str:
        """A limit as it is written, and in the reading's unit where that is another one."""
        said = f"{bound} {plain_unit(unit)}"
        if unit == reading.unit or plain_unit(unit) == plain_unit(reading.unit):
            return said
        number = self._knowledge.convert(bound, unit, reading.unit)
        beside = None if reading.value is None else Decimal(reading.value)
        return f"{said} ({plain_number(number, decimals_of(bound) + 1, beside)} {plain_unit(reading.unit)})"

    def _beyond(self, row: ShippedLimit, unit: str, value: Decimal) -> bool:
        number = self._knowledge.convert(value, unit, row.unit)
        return number < row.below if row.below is not None else row.above is not None and number > row.above

    def _back(self, row: ShippedLimit, unit: str, value: Decimal) -> bool:
        number = self._knowledge.convert(value, unit, row.unit)
        return number >= row.recover if row.below is not None else number <= row.recover

    def _shipped(self, row: ShippedLimit, reading: Reading) -> Breach:
        side = _side(row)
        limit = _name(row)
        return Breach(
            limit=limit,
            member=f"limit:{row.vital}:{side}",
            side=side,
            bound=_bound(row),
            unit=row.unit,
            first=row.first,
            repeated=row.repeated,
            partner=self._partner(row),
            rule=f"limit.shipped.{row.vital}.{limit}@{self._knowledge.limits.version}",
            title=self._title(reading, side),
            why=f"{self._said(reading)}: {WORD[side]} {self._limit_said(reading, _bound(row), row.unit)} (shipped)"
            f"{f'; {row.advice}' if row.advice else ''}",
        )

    def _meter(self, reading: Reading) -> Verdict | None:
        """A meter that shows HI or LO has no number, and means it."""
        beyond: Side | None = None
        if reading.absent == "negative-infinity" or "result_too_low" in reading.flags:
            beyond = "low"
        elif reading.absent == "positive-infinity" or "result_too_high" in reading.flags:
            beyond = "high"
        rows = [row for row in self._rows.get(reading.vital, ()) if beyond is not None and row.meter == beyond]
        if not rows:
            return None
        breach = self._shipped(rows[0], reading)
        return Verdict(level="beyond", side=breach.side, points=None, breaches=(breach,), broken=(breach.limit,))

    def _partner(self, row: ShippedLimit) -> tuple[str, str] | None:
        """The limit of the other pressure of a cuff: one of either, then one of the other, is one pressure twice."""
        if row.together_with is None:
            return None
        rows = self._rows.get(row.together_with, ())
        return next(((other.vital, _name(other)) for other in rows if _side(other) == _side(row)), None)

    def _own(self, sides: Sequence[OwnSide], reading: Reading, value: Decimal) -> Iterator[Breach]:
        for own in sides:
            limit = own.source
            number = self._knowledge.convert(value, reading.unit, limit.unit)
            if not (number < own.bound if own.side == "low" else number > own.bound):
                continue
            written = limit.low if own.side == "low" else limit.high
            name = f"{WORD[own.side]}_{written}_{limit.unit}"
            group = f"{own.group}." if own.group else ""
            yield Breach(
                limit=name,
                member=f"limit:{limit.vital}:{name}",
                side=own.side,
                bound=own.bound,
                unit=limit.unit,
                first=limit.priority,
                minutes=limit.for_,
                of=limit.of,
                rule=f"limit.{own.level}.{group}{limit.vital}.{name}",
                title=self._title(reading, own.side),
                why=f"{self._said(reading)}: {WORD[own.side]} {self._limit_said(reading, own.bound, limit.unit)}"
                f"{_lasting(limit)} ({own.said()})",
            )

    def _recovered(self, own: OwnSide, unit: str, value: Decimal) -> bool:
        number = self._knowledge.convert(value, unit, own.source.unit)
        return number >= own.recover if own.side == "low" else number <= own.recover


def _side(row: ShippedLimit) -> Side:
    return "low" if row.below is not None else "high"


def _bound(row: ShippedLimit) -> Decimal:
    bound = row.above if row.below is None else row.below
    assert bound is not None
    return bound


def _name(row: ShippedLimit) -> str:
    return f"{WORD[_side(row)]}_{_bound(row)}"


def _lasting(limit: Limit) -> str:
    """How long it must last, in words; of two forms the reading's cadence chooses one, so both are said."""
    spans = [f"for {limit.for_} minutes"] if limit.for_ else []
    if limit.of is not None:
        spans.append(f"in {limit.of.count} of the last {limit.of.last} readings")
    return f" {' or '.join(spans)}" if spans else ""
