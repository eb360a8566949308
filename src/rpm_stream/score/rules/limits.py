"""Judge one reading by the limits that hold for its patient.

These are the query bound, the limits that people have set, the shipped limits and the bands of a
chart. Precedence (CONTRACT 7): a limit that a person has set (``individual_limits.py``) replaces
the shipped ones for its vital and side. If only an upper limit is set, the shipped lower one stays.
A value beyond the query bound is high whatever limits hold. Values are compared in the unit of the
limit, exactly. If the device doubts its own value, the text names the doubt, and nothing is
silenced (law 3).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TypedDict

import msgspec

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.registry import Registry
from rpm_stream.knowledge.scoring import ShippedLimit
from rpm_stream.records import Key, PatientEntry, Reading
from rpm_stream.score.memory.member_names import member_name
from rpm_stream.score.rules.bands import PREGNANT, Bands, Person
from rpm_stream.score.rules.individual_limits import OwnLimits, OwnSide
from rpm_stream.score.rules.limit_wording import LimitWords, lasting
from rpm_stream.score.rules.news2 import News2Chart
from rpm_stream.score.rules.oxygen_scale import OxygenScale
from rpm_stream.score.rules.verdict import WORD, Breach, Side, Verdict

__all__ = ["Breach", "LimitTable", "Side", "Verdict"]

REMEMBERED = 50_000


class Breaches:
    """Makes the breaches of a reading: of query bounds, bands, shipped limits and set ones."""

    def __init__(
        self, knowledge: Knowledge, bands: Bands, rows: Mapping[str, Sequence[ShippedLimit]]
    ) -> None:
        self._knowledge = knowledge
        self._bands = bands
        self._rows = rows
        self._words = LimitWords(knowledge)

    def beyond_query(self, reading: Reading, person: Person) -> Iterator[Breach]:
        """Yield the breach of a value that is rarely real."""
        row = self._knowledge.vitals[reading.vital]
        limits = self._knowledge.limits
        vital = reading.vital
        number = self._knowledge.convert(Decimal(reading.value or 0), reading.unit, row.unit)
        if vital not in limits.beyond_query.vitals or not self._bands.has_query(person, vital):
            return
        if not row.query.excludes(number):
            return
        side: Side = "high" if row.query.above is not None and number > row.query.above else "low"
        bound = row.query.above if side == "high" else row.query.below
        assert bound is not None
        yield Breach(
            limit="red",
            **_place(Key(vital=vital, side=side)),
            side=side,
            bound=bound,
            unit=row.unit,
            beyond_query=True,
            first=limits.beyond_query.first,
            repeated=limits.beyond_query.repeated,
            rule=f"limit.query.{vital}.{WORD[side]}_{bound}@{limits.version}",
            title=self._words.title(reading, side, "very "),
            why=(
                f"{self._words.value(reading)}: {WORD[side]}"
                f" {self._words.limit(reading, bound, row.unit)}, rarely real: look and repeat now"
                " (shipped)"
            ),
        )

    def band(self, reading: Reading, person: Person) -> Iterator[Breach]:
        """Yield the breach of a value that lies in a band of the patient's chart."""
        found = self._bands.of(person, reading)
        if found is None:
            return
        yield Breach(
            limit=found.band,
            **_place(Key(vital=reading.vital, side=found.side)),
            side=found.side,
            bound=found.bound,
            unit=found.unit,
            first=found.priority.first,
            repeated=found.priority.repeated,
            partner=found.partner,
            rule=f"limit.{found.rule}.{reading.vital}@{found.version}",
            title=self._words.title(reading, found.side),
            why=f"{self._words.value(reading)}: {found.words}",
        )

    def shipped(self, row: ShippedLimit, reading: Reading) -> Breach:
        """Return the breach of a shipped limit."""
        side = _side(row)
        bound = _bound(row)
        limit = _name(row)
        return Breach(
            limit=limit,
            **_place(Key(vital=row.vital, side=side)),
            side=side,
            bound=bound,
            unit=row.unit,
            first=row.first,
            repeated=row.repeated,
            partner=self._partner(row),
            rule=f"limit.shipped.{row.vital}.{limit}@{self._knowledge.limits.version}",
            title=self._words.title(reading, side),
            why=(
                f"{self._words.value(reading)}: {WORD[side]}"
                f" {self._words.limit(reading, bound, row.unit)}"
                f" (shipped){f'; {row.advice}' if row.advice else ''}"
            ),
        )

    def _partner(self, row: ShippedLimit) -> tuple[str, str] | None:
        """The limit of the other pressure of a cuff.

        A breach of each in one measurement counts as one pressure twice.
        """
        if row.together_with is None:
            return None
        rows = self._rows.get(row.together_with, ())
        return next(
            ((other.vital, _name(other)) for other in rows if _side(other) == _side(row)), None
        )

    def own(self, sides: Sequence[OwnSide], reading: Reading, value: Decimal) -> Iterator[Breach]:
        """Yield the breaches of limits that a person has set."""
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
                **_place(Key(vital=limit.vital, side=own.side, what=name)),
                side=own.side,
                bound=own.bound,
                unit=limit.unit,
                first=limit.priority,
                minutes=limit.for_,
                of=limit.of,
                rule=f"limit.{own.level}.{group}{limit.vital}.{name}",
                title=self._words.title(reading, own.side),
                why=(
                    f"{self._words.value(reading)}: {WORD[own.side]}"
                    f" {self._words.limit(reading, own.bound, limit.unit)}{lasting(limit)}"
                    f" ({own.words()})"
                ),
            )


class LimitTable:
    """The limits of all patients.

    Verdicts are cached, because values repeat.
    """

    def __init__(self, knowledge: Knowledge, chart: News2Chart, registry: Registry) -> None:
        self._knowledge = knowledge
        self._chart = chart
        self._own_limits = OwnLimits(registry, knowledge)
        self._bands = Bands(knowledge)
        self._rows: dict[str, list[ShippedLimit]] = {}
        for row in knowledge.limits.limit:
            self._rows.setdefault(row.vital, []).append(row)
        self._breaches = Breaches(knowledge, self._bands, self._rows)
        self._known: dict[tuple[object, ...], Verdict | None] = {}

    def judge(self, reading: Reading, patient: PatientEntry, scale: OxygenScale) -> Verdict | None:
        """The verdict on a reading.

        It is None where no limit knows the vital, or where the reading has no value that matters.
        """
        if reading.value is None:
            return self._meter(reading)
        at = reading.measured_at
        held = self._own_limits.at(patient, reading.vital, at)
        doubts = reading.flags and tuple(
            flag for flag in reading.flags if flag in self._knowledge.signal.ask_repeat
        )
        chart = self._bands.chart_of(patient, at)
        key = (held.serial, reading.vital, reading.value, reading.unit, doubts, chart, scale)
        if key not in self._known:
            if len(self._known) > REMEMBERED:
                self._known.clear()
            person = Person(chart=chart, scale=scale, exempt=self._chart.exempt(patient, at))
            self._known[key] = self._judge(reading, person, held.sides)
        return self._known[key]

    def is_steady(
        self, patient: PatientEntry, vital: str, since: datetime, until: datetime
    ) -> bool:
        """Whether a value of ``vital`` has one verdict from ``since`` to ``until``.

        Age moves one way, so that a chart which holds at both ends holds between them.
        """
        return self._own_limits.is_steady(patient, vital, since, until) and (
            self._bands.chart_of(patient, since) == self._bands.chart_of(patient, until)
        )

    def _judge(self, reading: Reading, person: Person, own: Sequence[OwnSide]) -> Verdict | None:
        assert reading.value is not None
        vital = reading.vital
        unit = reading.unit
        value = Decimal(reading.value)
        if not own and not self._has_limits(vital):
            return None
        covered = {side.side for side in own}
        bands = tuple(side for side in self._bands.sides(person, vital) if side not in covered)
        replaced = covered.union(bands) if person.chart == PREGNANT else covered
        rows = [row for row in self._rows.get(vital, ()) if _side(row) not in replaced]
        points = None if person.exempt else self._chart.points(vital, value, unit, person.scale)
        breaches = [
            *self._breaches.beyond_query(reading, person),
            *self._breaches.own(own, reading, value),
            *(
                self._breaches.shipped(row, reading)
                for row in rows
                if self._beyond(row, unit, value)
            ),
            *(breach for breach in self._breaches.band(reading, person) if breach.side in bands),
        ]
        off = [
            *(breach.side for breach in breaches),
            *(each.side for each in own if not self._recovered(each, unit, value)),
            *(_side(row) for row in rows if not self._back(row, unit, value)),
            *(side for side in self._bands.not_back(person, reading) if side in bands),
        ]
        written = {_side(row) for row in rows}
        return Verdict(
            level="beyond" if breaches else "between" if off else "inside",
            side=off[0] if off else None,
            banded=tuple(side for side in bands if side not in written),
            points=points,
            counted=any(side.source.of for side in own),
            breaches=tuple(self._with_exemption(breach, vital, person) for breach in breaches),
            broken=tuple(dict.fromkeys(breach.limit for breach in breaches)),
        )

    def _with_exemption(self, breach: Breach, vital: str, person: Person) -> Breach:
        if not person.exempt or not self._chart.knows(vital):
            return breach
        return msgspec.structs.replace(
            breach, why=f"{breach.why}; NEWS2 does not apply ({person.exempt})"
        )

    def _has_limits(self, vital: str) -> bool:
        named = vital in self._rows or vital in self._knowledge.limits.beyond_query.vitals
        return named or self._chart.knows(vital) or self._bands.knows(vital)

    def _beyond(self, row: ShippedLimit, unit: str, value: Decimal) -> bool:
        number = self._knowledge.convert(value, unit, row.unit)
        return (
            number < row.below
            if row.below is not None
            else row.above is not None and number > row.above
        )

    def _back(self, row: ShippedLimit, unit: str, value: Decimal) -> bool:
        number = self._knowledge.convert(value, unit, row.unit)
        return number >= row.recover if row.below is not None else number <= row.recover

    def _meter(self, reading: Reading) -> Verdict | None:
        """The verdict on a meter that shows HI or LO, which is a finding without a number."""
        beyond: Side | None = None
        if reading.absent == "negative-infinity" or "result_too_low" in reading.flags:
            beyond = "low"
        elif reading.absent == "positive-infinity" or "result_too_high" in reading.flags:
            beyond = "high"
        rows = [
            row
            for row in self._rows.get(reading.vital, ())
            if beyond is not None and row.meter == beyond
        ]
        if not rows:
            return None
        breach = self._breaches.shipped(rows[0], reading)
        return Verdict(
            level="beyond",
            side=breach.side,
            points=None,
            breaches=(breach,),
            broken=(breach.limit,),
        )

    def _recovered(self, own: OwnSide, unit: str, value: Decimal) -> bool:
        number = self._knowledge.convert(value, unit, own.source.unit)
        return number >= own.recover if own.side == "low" else number <= own.recover


class _Place(TypedDict):
    key: Key
    member: str


def _place(key: Key) -> _Place:
    return _Place(key=key, member=member_name("limit", key))


def _side(row: ShippedLimit) -> Side:
    return "low" if row.below is not None else "high"


def _bound(row: ShippedLimit) -> Decimal:
    bound = row.above if row.below is None else row.below
    assert bound is not None
    return bound


def _name(row: ShippedLimit) -> str:
    return f"{WORD[_side(row)]}_{_bound(row)}"
