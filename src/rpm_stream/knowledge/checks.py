"""What must hold between the tables, and in each beyond its types."""

from __future__ import annotations

from itertools import combinations
from typing import get_args

from rpm_stream.knowledge.alerting import DeviceKind, DeviceRuleTable, Priorities
from rpm_stream.knowledge.devices import DeviceModel
from rpm_stream.knowledge.scoring import Limits, ShippedLimit
from rpm_stream.knowledge.signal import Signal
from rpm_stream.knowledge.tables import Unit, Vital
from rpm_stream.knowledge.trends import Trends
from rpm_stream.records import Priority

# The rules that are no row of limits.toml.
OTHER_RULES = (
    *(f"device.{kind}" for kind in get_args(DeviceKind)),
    "device.not_judged",
    "detector",
    "limits.silence",
    "news2.medium",
    "news2.high",
    "trend.average",
    "trend.drop",
    "trend.joined",
    "rate.falling",
)


class KnowledgeError(Exception):
    """A table cannot be used; the text names file, key and reason."""


def check_units(vitals: dict[str, Vital], units: dict[str, Unit]) -> None:
    """Every unit that a vital accepts converts to its first one."""
    for name, vital in vitals.items():
        for unit in vital.units[1:]:
            if unit not in units or units[unit].to != vital.unit:
                raise KnowledgeError(f"vitals.toml: {name}.units: no row of units.toml turns {unit} into {vital.unit}")


def check_limits(limits: Limits, vitals: dict[str, Vital]) -> None:
    """Every shipped limit has a known vital, a unit of it, and one side."""
    for number, row in enumerate(limits.limit, start=1):
        if row.vital not in vitals:
            raise KnowledgeError(f"limits.toml: limit {number}: unknown vital {row.vital}")
        if row.unit not in vitals[row.vital].units:
            raise KnowledgeError(f"limits.toml: limit {number}: {row.vital} has no unit {row.unit}")
        if (row.below is None) == (row.above is None):
            raise KnowledgeError(f"limits.toml: limit {number}: give one of below and above")


def check_rules(priorities: Priorities, rules: DeviceRuleTable, vitals: dict[str, Vital]) -> None:
    """Device rules name known vitals, and high is never snoozed."""
    if unknown := sorted(rules.vitals() - vitals.keys()):
        raise KnowledgeError(f"device_rules.toml: unknown vital {', '.join(unknown)}")
    if "high" not in priorities.snooze.never:
        raise KnowledgeError("priorities.toml: snooze.never: a high alert must not be snoozed")


def check_priorities(priorities: Priorities, limits: Limits) -> None:
    """Every rule says its harm and onset, from which its priority follows."""
    for name in (*OTHER_RULES, *limit_rules(limits)):
        if name not in priorities.rule:
            raise KnowledgeError(
                f'priorities.toml: no row [rule."{name}"]: a rule needs its harm, onset and why before it may alert'
            )


def limit_rules(limits: Limits) -> dict[str, Priority]:
    """The rules of limits.toml by the names that they have in priorities.toml, with the priority that each gives."""
    bands = {"limits.amber": limits.amber, "limits.red": limits.red, "limits.beyond_query": limits.beyond_query}
    found: dict[str, Priority] = {}
    for name, row in [*bands.items(), *((name_of_limit(row), row) for row in limits.limit)]:
        found[f"{name}.first"] = row.first
        if row.repeated is not None:
            found[f"{name}.repeated"] = row.repeated
    return found


def name_of_limit(row: ShippedLimit) -> str:
    """One for glucose in blood and under the skin; with its number for glucose, whose sides have several."""
    side, bound = ("below", row.below) if row.below is not None else ("above", row.above)
    vital = row.vital.removesuffix("_interstitial")
    return f"limits.{vital}.{side}_{bound}" if vital == "glucose" else f"limits.{vital}.{side}"


def check_devices(devices: dict[str, DeviceModel], vitals: dict[str, Vital]) -> None:
    """Every device model names known vitals, and each annunciation octet once."""
    for name, row in devices.items():
        named = row.not_measured | {each.vital for each in row.placeholders}
        if unknown := sorted(named - vitals.keys()):
            raise KnowledgeError(f"devices.toml: {name}: unknown vital {', '.join(unknown)}")
        if len(set(row.cgm_octets)) != len(row.cgm_octets):
            raise KnowledgeError(f"devices.toml: {name}.cgm_octets: an octet stands there twice")


def check_trends(trends: Trends, vitals: dict[str, Vital]) -> None:
    """Trend rules name known vitals, no window is longer than what is kept, and what a rule leans on is there."""
    if unknown := sorted(trends.vitals() - vitals.keys()):
        raise KnowledgeError(f"trends.toml: unknown vital {', '.join(unknown)}")
    for row in trends.average:
        if row.fast_days + row.slow_days > trends.kept_days + 1:
            raise KnowledgeError(f"trends.toml: average of {row.vital}: its windows are longer than kept_days")
    averaged = {row.vital for row in trends.average}
    for joined in trends.joined:
        if missing := sorted({joined.vital, *joined.averages} - averaged):
            raise KnowledgeError(f"trends.toml: joined of {joined.vital}: there is no average of {', '.join(missing)}")


def check_signal(signal: Signal, vitals: dict[str, Vital]) -> None:
    """A flag means one thing, and the rules name known vitals."""
    lists = {"never_judged": signal.never_judged, "ask_repeat": signal.ask_repeat, "informs": signal.informs}
    for (one, flags), (other, more) in combinations(lists.items(), 2):
        if twice := sorted(flags & more):
            raise KnowledgeError(f"signal.toml: {', '.join(twice)} stands in {one} and in {other}")
    if elsewhere := sorted(signal.said_beside - signal.informs):
        raise KnowledgeError(f"signal.toml: said_beside: {', '.join(elsewhere)} does not stand in informs")
    if "refused" not in signal.never_judged:
        raise KnowledgeError("signal.toml: never_judged: a refused value is a reject and must not be judged")
    if unknown := sorted(signal.vitals() - vitals.keys()):
        raise KnowledgeError(f"signal.toml: unknown vital {', '.join(unknown)}")
