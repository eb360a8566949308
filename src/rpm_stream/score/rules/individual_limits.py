"""Limits that people have set: which of them hold for a patient at a moment, and their faults.

A limit holds in [valid_from, until). Of those that hold, the patient's own come before the panel's,
and the panel's before the programme's, for each vital and side (CONTRACT 7). Within one level and
priority the limit that began last replaces the others, no matter who set it. A person may therefore
have tiers of different priorities. A limit that cannot be used is left out, and the next one in
this order holds. Limits that have ended stay listed, so a late reading meets the limits of its own
time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.registry import Registry
from rpm_stream.knowledge.tables import Vital
from rpm_stream.records import (
    Direction,
    Limit,
    LimitValue,
    PatientEntry,
    Record,
    Recovery,
)
from rpm_stream.text import cleaned, plain_given, with_unit

LimitOwner = Literal["patient", "panel", "programme"]
LEVELS: tuple[LimitOwner, ...] = ("patient", "panel", "programme")  # in order of precedence
REMEMBERED = 50_000
# level, name of the panel or programme, its limits
LimitSet = tuple[LimitOwner, str, tuple[Limit, ...]]


class OwnSide(Record, frozen=True, kw_only=True):
    """One side of a limit that a person has set.

    ``group`` names the panel or programme.
    """

    source: Limit
    side: Direction
    bound: Decimal
    recover: Decimal
    level: LimitOwner
    group: str = ""

    def words(self) -> str:
        """Who set the limit (law 12): ``limit set by dr-7 for the panel heart-failure``."""
        whose = f" for the {self.level} {cleaned(self.group)}" if self.group else ""
        return f"limit set by {self.source.owner}{whose}"


class LimitPeriod(msgspec.Struct, frozen=True):
    """The sides that hold for one vital during a period.

    ``serial`` distinguishes periods. It is 0 where nothing is set.
    """

    serial: int
    sides: tuple[OwnSide, ...]


NOTHING = LimitPeriod(0, ())


class Timeline(msgspec.Struct, frozen=True):
    """The periods of one vital.

    The first period holds before all ``boundaries``, and each other one from its boundary on.
    """

    boundaries: tuple[datetime, ...]
    periods: tuple[LimitPeriod, ...]


class _Known(msgspec.Struct, frozen=True):
    """Timelines by vital, with the limits that they were made of."""

    held: tuple[LimitSet, ...]
    timelines: dict[str, Timeline]


class OwnLimits:
    """The set limits of all patients.

    Each patient's limits are computed once as long as the registry stays the same.
    """

    def __init__(self, registry: Registry, knowledge: Knowledge) -> None:
        self._registry = registry
        self._knowledge = knowledge
        self._known: dict[object, _Known] = {}
        self._serial = 0

    def at(self, patient: PatientEntry, vital: str, at: datetime) -> LimitPeriod:
        """The limits that hold for ``vital`` at ``at``."""
        if not (patient.limits or patient.panel or patient.programme):
            return NOTHING
        timeline = self._timelines(patient).get(vital)
        return timeline.periods[bisect_right(timeline.boundaries, at)] if timeline else NOTHING

    def is_steady(
        self, patient: PatientEntry, vital: str, since: datetime, until: datetime
    ) -> bool:
        """Whether the same holds of ``vital`` from ``since`` to ``until``."""
        if not (patient.limits or patient.panel or patient.programme):
            return True
        timeline = self._timelines(patient).get(vital)
        return timeline is None or (
            bisect_right(timeline.boundaries, since) == bisect_right(timeline.boundaries, until)
        )

    def _timelines(self, patient: PatientEntry) -> dict[str, Timeline]:
        held = self._held(patient)
        key = patient.patient if patient.limits else (patient.panel, patient.programme)
        known = self._known.get(key)
        if known is None or not all(
            one[2] is other[2] and one[1] == other[1]
            for one, other in zip(known.held, held, strict=True)
        ):
            if len(self._known) > REMEMBERED:
                self._known.clear()
            known = self._known[key] = _Known(held, self._worked_out(held))
        return known.timelines

    def _held(self, patient: PatientEntry) -> tuple[LimitSet, ...]:
        panel = self._registry.panels.get(patient.panel or "")
        programme = self._registry.programmes.get(patient.programme or "")
        return (
            ("patient", "", patient.limits),
            ("panel", patient.panel or "", panel.limits if panel else ()),
            ("programme", patient.programme or "", programme.limits if programme else ()),
        )

    def _worked_out(self, held: Iterable[LimitSet]) -> dict[str, Timeline]:
        by_vital: dict[str, list[OwnSide]] = {}
        for level, group, limits in held:
            for limit in limits:
                # the reader of the registry reports the faulty ones
                if limit_fault(limit, self._knowledge) is None:
                    own = (
                        each
                        for each in _sides(limit, level, group)
                        if _can_ring(each, self._knowledge)
                    )
                    by_vital.setdefault(limit.vital, []).extend(own)
        return {vital: self._timeline(sides) for vital, sides in by_vital.items()}

    def _timeline(self, sides: list[OwnSide]) -> Timeline:
        moments = {
            moment
            for own in sides
            for moment in (own.source.valid_from, own.source.until)
            if moment
        }
        boundaries = tuple(sorted(moments))
        return Timeline(
            boundaries, tuple(self._period(sides, moment) for moment in (None, *boundaries))
        )

    def _period(self, sides: list[OwnSide], at: datetime | None) -> LimitPeriod:
        """The limits that hold from ``at`` on, or before all time if it is None."""
        holding = [own for own in sides if _holds(own.source, at)]
        kept: list[OwnSide] = []
        for side in ("low", "high"):
            here = [own for own in holding if own.side == side]
            first = min((LEVELS.index(own.level) for own in here), default=0)
            here = [own for own in here if LEVELS.index(own.level) == first]
            tiers = {
                own.source.priority: own for own in sorted(here, key=lambda own: _begin(own.source))
            }
            kept += [own for own in here if tiers[own.source.priority] is own]
        if not kept:
            return NOTHING
        self._serial += 1
        return LimitPeriod(self._serial, tuple(kept))


def _holds(limit: Limit, at: datetime | None) -> bool:
    if at is None:
        return limit.valid_from is None
    return (limit.valid_from is None or limit.valid_from <= at) and (
        limit.until is None or at < limit.until
    )


def _begin(limit: Limit) -> float:
    return float("-inf") if limit.valid_from is None else limit.valid_from.timestamp()


def _recoveries(limit: Limit) -> tuple[LimitValue | None, LimitValue | None]:
    """The recovery limits of the low and the high side.

    A single value belongs to the limit's one side.
    """
    if isinstance(limit.recover, Recovery):
        return limit.recover.low, limit.recover.high
    return (
        limit.recover if limit.high is None else None,
        limit.recover if limit.low is None else None,
    )


def _sides(limit: Limit, level: LimitOwner, group: str) -> Iterator[OwnSide]:
    sides: tuple[Direction, Direction] = ("low", "high")
    for side, bound, recover in zip(
        sides, (limit.low, limit.high), _recoveries(limit), strict=True
    ):
        if bound is not None:
            number = _number(bound)
            back = number if recover is None else _number(recover)
            yield OwnSide(
                source=limit, side=side, bound=number, recover=back, level=level, group=group
            )


def _number(value: LimitValue) -> Decimal:
    return Decimal(str(value))


def _can_ring(own: OwnSide, knowledge: Knowledge) -> bool:
    """Whether a value can be beyond a side.

    A bound on the edge of what a body can have sets nothing. It is a way to set no limit.
    """
    row = knowledge.vitals[own.source.vital]
    unit = own.source.unit
    edge = row.reject.below if own.side == "low" else row.reject.above
    return knowledge.convert(own.bound, unit, row.unit) != edge


def _unreachable(limit: Limit, row: Vital, knowledge: Knowledge) -> str | None:
    """The fault of a limit with a bound that no value can be beyond.

    A bound or a recovery that no body can have is a fault too.
    """
    sides = list(_sides(limit, "patient", ""))
    if not any(_can_ring(own, knowledge) for own in sides):
        bound_words = with_unit(plain_given(str(sides[0].bound)), limit.unit)
        return f"has a {sides[0].side} of {bound_words}, which no value of a body can be beyond"
    low, high = _recoveries(limit)
    for name, bound in (
        ("low", limit.low),
        ("high", limit.high),
        ("recover", low),
        ("recover", high),
    ):
        if bound is not None and row.reject.excludes(
            knowledge.convert(_number(bound), limit.unit, row.unit)
        ):
            bound_words = with_unit(plain_given(bound), limit.unit)
            return f"has a {name} of {bound_words}, which no body has: is the unit right?"
    return None


def _recovery_fault(limit: Limit) -> str | None:
    """The fault of a recovery that is ambiguous, or that no value can be inside of."""
    if (
        limit.recover is not None
        and not isinstance(limit.recover, Recovery)
        and None not in (limit.low, limit.high)
    ):
        return "has two sides and one recover: write recover with low and high"
    sides = list(_sides(limit, "patient", ""))
    for own in sides:
        if own.recover < own.bound if own.side == "low" else own.recover > own.bound:
            return f"recovers at {own.recover}, on the wrong side of its {own.side}"
    if len(sides) > 1 and sides[0].recover > sides[1].recover:
        return "recovers where no value is inside both sides"
    return None


def limit_fault(limit: Limit, knowledge: Knowledge) -> str | None:
    """Why a limit cannot be used, in words, or None for a good one.

    A faulty limit leaves the others in force.
    """
    row = knowledge.vitals.get(limit.vital)
    if row is None:
        return f"there is no vital {limit.vital!r}"
    if limit.unit not in row.units:
        return f"{row.plain} is not measured in {limit.unit!r}; it may be {', '.join(row.units)}"
    if limit.low is None and limit.high is None:
        return f"the limit of {limit.vital} has neither low nor high"
    if (
        limit.low is not None
        and limit.high is not None
        and _number(limit.low) >= _number(limit.high)
    ):
        return f"the limit of {limit.vital} has a low that is not below its high"
    if (fault := _unreachable(limit, row, knowledge) or _recovery_fault(limit)) is not None:
        return f"the limit of {limit.vital} {fault}"
    if limit.of is not None and limit.of.count > limit.of.last:
        return f"the limit of {limit.vital} wants more readings than the last {limit.of.last}"
    if limit.valid_from is not None and limit.until is not None and limit.until <= limit.valid_from:
        return f"the limit of {limit.vital} ends before it begins"
    return None
