"""Checks within each table beyond its types, and between the tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import combinations
from typing import get_args

from rpm_stream.errors import RpmStreamError
from rpm_stream.knowledge.alerting import DeviceKind, DeviceRuleTable, Priorities
from rpm_stream.knowledge.charts import Child, Maternity
from rpm_stream.knowledge.devices import DeviceModel
from rpm_stream.knowledge.scoring import (
    Detectors,
    Limits,
    News2,
    Points,
    ScoreRows,
    ShippedLimit,
)
from rpm_stream.knowledge.signal import Signal
from rpm_stream.knowledge.tables import Band, Bounds, UnitTable, Vital
from rpm_stream.knowledge.trends import TrendsTable
from rpm_stream.records.terms import Priority

# The rules that are not a row of limits.toml.
OTHER_RULES = (
    *(f"device.{kind}" for kind in get_args(DeviceKind)),
    "device.not_judged",
    "detector",
    "limits.silence",
    *(f"settings.{kind}" for kind in ("limit", "born", "no_limits", "oxygen")),
    "news2.medium",
    "news2.high",
    "trend.average",
    "trend.discharge",
    "trend.drop",
    "trend.joined",
    "rate.falling",
    "predicted.low",
    "predicted.very_low",
    "predicted.pressure",
)


# Design choices. With so many, what is learned and reported of each fits into a patient's 48 KB
# (pipeline/state_budget.py) and leaves 14 KB for what is heard.
MOST_VITALS = 48
MOST_LEARNED = 16
MOST_TOGETHER = 7  # what the detector of several vitals takes (score/detectors/half_space_trees.py)

MOST_SHADOW = 4096  # bytes for each patient that detectors in shadow may store
MOST_BUDGET_US = 10_000  # CPU time that one vector of a detector in shadow may be declared to take
# the same for all that a detector learns when it is rebuilt, while the messages of others wait
MOST_REBUILD_US = 500_000
SHADOW_FRAME = 160  # bytes for the name, versions and checksum of one state
SHADOW_NAME = re.compile("[a-z][a-z0-9_]{0,23}")
TAKEN_NAMES = frozenset(
    {
        *("news2", "gaussian", "quantile", "drift", "half_space_trees"),
        *("glucose_forecast_30", "glucose_forecast_60"),
    }
)

SCALES = ("1", "2 on air", "2 on oxygen")  # scales of oxygen saturation
BAND_POINTS = 2  # from so many NEWS2 points on, a value raises an alert by itself
# oxygen is a treatment and raises no alert
UNBANDED = frozenset({"oxygen_flow", "inspired_oxygen"})

CATEGORIES = frozenset(
    "social-history vital-signs imaging laboratory procedure survey exam therapy activity".split()
)  # http://terminology.hl7.org/CodeSystem/observation-category


class KnowledgeError(RpmStreamError):
    """A table cannot be used.

    The text names file, key and reason.
    """


def check_units(vitals: dict[str, Vital], units: dict[str, UnitTable]) -> Iterator[str]:
    """Yield units of a vital that do not convert to its first one."""
    for name, vital in vitals.items():
        for unit in vital.units[1:]:
            if unit not in units or units[unit].to != vital.unit:
                yield (
                    f"vitals.toml: {name}.units: no row of units.toml turns {unit} into"
                    f" {vital.unit}"
                )


def check_vitals(vitals: dict[str, Vital]) -> Iterator[str]:
    """Yield the faults of the vitals.

    Categories are those of FHIR R4, LOINC codes have a correct check digit, and a patient's state
    has room for all vitals.
    """
    if len(vitals) > MOST_VITALS:
        yield f"vitals.toml: {len(vitals)} vitals; a patient's state has room for {MOST_VITALS}"
    for name, row in vitals.items():
        if row.reject.above is None or (
            row.reject.below is None and row.reject.at_or_below is None
        ):
            yield (
                f"vitals.toml: {name}.reject: what no body can have needs a bound below and one"
                " above"
            )
        if row.category not in CATEGORIES:
            yield (
                f"vitals.toml: {name}.category: {row.category} is none of FHIR's:"
                f" {', '.join(sorted(CATEGORIES))}"
            )
        pairs = [*row.loinc, *(pair for pairs in row.loinc_by_unit.values() for pair in pairs)]
        also = [code for codes in row.loinc_also_by_unit.values() for code in codes]
        for code in [*(code for code, _ in pairs), *row.loinc_also, *also]:
            if not _is_loinc(code):
                yield (
                    f"vitals.toml: {name}.loinc: {code} is no LOINC code, its check digit is"
                    " another one"
                )


def _is_loinc(code: str) -> bool:
    """Return whether the check digit is correct (LOINC's modulus 10).

    >>> [_is_loinc(code) for code in ("8867-4", "8876-4")]
    [True, False]
    """
    number, _, check = code.partition("-")
    if not (number.isdigit() and check.isdigit()):
        return False
    doubled = [
        int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(number))
    ]
    return (10 - sum(each // 10 + each % 10 for each in doubled) % 10) % 10 == int(check)


def check_news2(news2: News2, vitals: dict[str, Vital]) -> Iterator[str]:
    """Yield the faults of the NEWS2 chart.

    Each line names known vitals, ascends, and ends without an upper end.
    """
    lines = {
        **news2.parameters(),
        "oxygen_flow": news2.oxygen_flow,
        "inspired_oxygen": news2.inspired_oxygen,
    }
    for name, line in lines.items():
        if unknown := [vital for vital in line.vitals if vital not in vitals]:
            yield f"news2.toml: {name}: unknown vital {', '.join(unknown)}"
        for rows in filter(None, (line.rows, line.rows_scale_2_air, line.rows_scale_2_oxygen)):
            ends = [Decimal(upto) for upto, _ in rows[:-1]]
            if rows[-1][0] or ends != sorted(set(ends)):
                yield f"news2.toml: {name}: rows ascend, and only the last has no upper end"
            if all(points for _, points in rows):
                yield f"news2.toml: {name}: no row of 0 points, and so no sides"
        for scale in SCALES:
            yield from (f"news2.toml: {name}: {fault}" for fault in _recover_faults(line, scale))


def _recover_faults(line: Points, scale: str) -> Iterator[str]:
    """Yield the faults of a line's recoveries.

    A band without a recovery of its side would never end. A recovery inside a band would end at
    once.
    """
    rows, recover = line.on(scale)
    normal = next((place for place, row in enumerate(rows) if row[1] == 0), 0)
    for side, back, beside in (
        ("low", recover.low, rows[:normal]),
        ("high", recover.high, rows[normal + 1 :]),
    ):
        banded = any(points >= BAND_POINTS for _, points in beside)
        if banded and back is not None and _points(rows, back) >= BAND_POINTS:
            yield f"recover.{side} of scale {scale} lies in a band of {BAND_POINTS} points or more"
        elif banded and back is None and not set(line.vitals) <= UNBANDED:
            yield (
                f"no recover.{side} of scale {scale}, and that side has a band of {BAND_POINTS}"
                " points or more"
            )


def _points(rows: ScoreRows, value: Decimal) -> int:
    return next(points for upto, points in rows if not upto or value <= Decimal(upto))


def check_limits(limits: Limits, vitals: dict[str, Vital]) -> Iterator[str]:
    """Yield shipped limits without a known vital, a unit of it, or exactly one side."""
    for number, row in enumerate(limits.limit, start=1):
        if row.vital not in vitals:
            yield f"limits.toml: limit {number}: unknown vital {row.vital}"
        elif row.unit not in vitals[row.vital].units:
            yield f"limits.toml: limit {number}: {row.vital} has no unit {row.unit}"
        if (row.below is None) == (row.above is None):
            yield f"limits.toml: limit {number}: give one of below and above"
        if row.together_with is not None and row.together_with not in vitals:
            yield f"limits.toml: limit {number}: together_with: unknown vital {row.together_with}"
    query = limits.beyond_query.vitals
    if unknown := sorted(query - vitals.keys()):
        yield f"limits.toml: beyond_query.vitals: unknown vital {', '.join(unknown)}"
    for name in sorted({row.vital for row in limits.limit} & vitals.keys() - query):
        if vitals[name].query != Bounds():
            yield (
                f"limits.toml: beyond_query.vitals: {name} has limits and a query bound, and is"
                " not listed"
            )
    for name, step in limits.step.items():
        if name not in vitals:
            yield f"limits.toml: step.{name}: unknown vital"
        elif step.unit != vitals[name].unit:
            yield (
                f"limits.toml: step.{name}: a step is a difference in the vital's first unit,"
                f" {vitals[name].unit}"
            )
        if min(step.low, step.high) <= 0:
            yield f"limits.toml: step.{name}: a step is more than nothing"


def check_detectors(detectors: Detectors, vitals: dict[str, Vital]) -> Iterator[str]:
    """Yield unknown vitals of detectors, and lists that a patient's state has no room for."""
    rows = {
        "personal": detectors.personal,
        "combined": detectors.combined,
        "lasting": detectors.lasting,
    }
    for name, row in rows.items():
        key = f"{name}.inputs"
        # the pulse is from the device that sent it last
        known = vitals.keys() if row.is_of_each else {*vitals, "pulse"}
        if unknown := sorted(row.vitals - known):
            yield f"detectors.toml: {key}: unknown vital {', '.join(unknown)}"
        if not row.inputs or len(row.vitals) != len(row.inputs):
            yield f"detectors.toml: {key}: inputs are different vitals, one at least"
        if not row.is_of_each and not 2 <= len(row.inputs) <= MOST_TOGETHER:
            yield f"detectors.toml: {key}: 2 to {MOST_TOGETHER} vitals together"
        if row.is_of_each and len(row.inputs) > MOST_LEARNED:
            yield (
                f"detectors.toml: {key}: {len(row.inputs)} vitals; a patient's state has room for"
                f" {MOST_LEARNED}"
            )


def check_shadow(detectors: Detectors, vitals: dict[str, Vital]) -> Iterator[str]:
    """Yield the faults of detectors in shadow.

    Each names known vitals and a class of River that runs, and a patient's state has room for all
    of them.
    """
    taken = 0
    if unknown := sorted(detectors.off - detectors.shadow.keys()):
        yield f"detectors.toml: off: no row [shadow.{unknown[0]}]"
    for name, row in detectors.shadow.items():
        place = f"detectors.toml: shadow.{name}"
        taken += (row.vectors_bytes + SHADOW_FRAME) * (len(row.inputs) if row.is_of_each else 1)
        if unknown := sorted(row.vitals - vitals.keys() - (set() if row.is_of_each else {"pulse"})):
            yield f"{place}: unknown vital {', '.join(unknown)}"
        if SHADOW_NAME.fullmatch(name) is None or name in TAKEN_NAMES:
            yield (
                f"{place}: a name is up to 24 small letters, digits and _, and no other detector's"
            )
        if not row.inputs or len(row.vitals) != len(row.inputs):
            yield f"{place}: inputs are different vitals, one at least"
        elif bool(row.class_) == bool(row.pipeline):
            yield f"{place}: it has a class or a pipeline"
        elif not 10 <= row.keep <= 1000 or not 1 <= row.budget_us <= MOST_BUDGET_US:
            yield f"{place}: keep is 10 to 1000, budget_us 1 to {MOST_BUDGET_US}"
        elif row.keep * row.budget_us > MOST_REBUILD_US:
            yield (
                f"{place}: keep times budget_us is at most {MOST_REBUILD_US}, as all of them are"
                " learned again at once"
            )
        else:
            # imported here because River is slow to load
            from rpm_stream.knowledge.estimators import fault_of

            if fault := fault_of(row):
                yield f"{place}: {fault}"
    if taken > MOST_SHADOW:
        yield (
            f"detectors.toml: shadow: {taken} bytes a patient; a patient's state has room for"
            f" {MOST_SHADOW}"
        )


def check_rules(
    priorities: Priorities, rules: DeviceRuleTable, vitals: dict[str, Vital]
) -> Iterator[str]:
    """Yield unknown vitals of device rules, and a snooze that would allow high."""
    if unknown := sorted(rules.vitals() - vitals.keys()):
        yield f"device_rules.toml: unknown vital {', '.join(unknown)}"
    if "high" not in priorities.snooze.never:
        yield "priorities.toml: snooze.never: a high alert must not be snoozed"


def check_priorities(priorities: Priorities, limits: Iterable[str]) -> Iterator[str]:
    """Yield rules without the harm and onset that give their priority."""
    for name in (*OTHER_RULES, *limits):
        if name not in priorities.rule:
            yield (
                f'priorities.toml: no row [rule."{name}"]: a rule needs its harm, onset and why'
                " before it may alert"
            )


def limit_rules(limits: Limits, maternity: Maternity, child: Child) -> dict[str, Priority]:
    """Return the rules of the limit tables by name, with the priority of each.

    The names are those of priorities.toml.
    """
    rows: list[tuple[str, Band | ShippedLimit]] = [
        ("limits.amber", limits.amber),
        ("limits.red", limits.red),
        ("limits.beyond_query", limits.beyond_query),
        ("limits.maternity_amber", maternity.amber),
        ("limits.maternity_red", maternity.red),
        ("limits.child_amber", child.amber),
        ("limits.child_red", child.red),
    ]
    found: dict[str, Priority] = {}
    for name, row in [*rows, *((name_of_limit(row), row) for row in limits.limit)]:
        found[f"{name}.first"] = row.first
        if row.repeated is not None:
            found[f"{name}.repeated"] = row.repeated
    return found


def name_of_limit(row: ShippedLimit) -> str:
    """Return the name of a limit in priorities.toml.

    Glucose in blood and under the skin share a name. Its names have the number, because a side of
    glucose has several limits.
    """
    side, bound = ("below", row.below) if row.below is not None else ("above", row.above)
    vital = row.vital.removesuffix("_interstitial")
    return f"limits.{vital}.{side}_{bound}" if vital == "glucose" else f"limits.{vital}.{side}"


def check_devices(devices: dict[str, DeviceModel], vitals: dict[str, Vital]) -> Iterator[str]:
    """Yield device models with unknown vitals or a repeated annunciation byte."""
    for name, row in devices.items():
        named = row.not_measured | {each.vital for each in row.placeholders}
        if unknown := sorted(named - vitals.keys()):
            yield f"devices.toml: {name}: unknown vital {', '.join(unknown)}"
        if len(set(row.cgm_octets)) != len(row.cgm_octets):
            yield f"devices.toml: {name}.cgm_octets: an octet is listed twice"


def check_trends(trends: TrendsTable, vitals: dict[str, Vital]) -> Iterator[str]:
    """Yield the faults of the trend rules.

    They name known vitals, no window is longer than what is kept, and each average that a rule
    needs is there.
    """
    if unknown := sorted(trends.vitals() - vitals.keys()):
        yield f"trends.toml: unknown vital {', '.join(unknown)}"
    for row in trends.average:
        if row.fast_days + row.slow_days > trends.kept_days + 1:
            yield f"trends.toml: average of {row.vital}: its windows are longer than kept_days"
    averaged = {row.vital for row in trends.average}
    if strangers := sorted({row.vital for row in trends.discharge} - averaged):
        yield (
            f"trends.toml: discharge: there is no average of {', '.join(strangers)} that would"
            " follow it"
        )
    for joined in trends.joined:
        if missing := sorted({joined.vital, *joined.averages} - averaged):
            yield (
                f"trends.toml: joined of {joined.vital}: there is no average of"
                f" {', '.join(missing)}"
            )


def check_signal(signal: Signal, vitals: dict[str, Vital]) -> Iterator[str]:
    """Yield flags in more than one list, and unknown vitals."""
    lists = {
        "never_judged": signal.never_judged,
        "ask_repeat": signal.ask_repeat,
        "informs": signal.informs,
    }
    for (one, flags), (other, more) in combinations(lists.items(), 2):
        if twice := sorted(flags & more):
            yield f"signal.toml: {', '.join(twice)} is in {one} and in {other}"
    if elsewhere := sorted(signal.said_beside - signal.informs):
        yield f"signal.toml: said_beside: {', '.join(elsewhere)} is not in informs"
    if "refused" not in signal.never_judged:
        yield "signal.toml: never_judged: a refused value is a reject and must not be judged"
    if unknown := sorted(signal.vitals() - vitals.keys()):
        yield f"signal.toml: unknown vital {', '.join(unknown)}"
