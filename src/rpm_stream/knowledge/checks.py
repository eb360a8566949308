"""What must hold between the tables, and in each beyond its types."""

from __future__ import annotations

from itertools import combinations
from typing import get_args

from rpm_stream.knowledge.alerting import DeviceKind, DeviceRuleTable, Priorities
from rpm_stream.knowledge.devices import DeviceModel
from rpm_stream.knowledge.scoring import Limits
from rpm_stream.knowledge.signal import Signal
from rpm_stream.knowledge.tables import Unit, Vital

USED_RULES = tuple(f"device.{kind}" for kind in get_args(DeviceKind))  # priority read by name


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
    """Device rules name known vitals, every rule that is used has its priority, and high is never snoozed."""
    if unknown := sorted(rules.vitals() - vitals.keys()):
        raise KnowledgeError(f"device_rules.toml: unknown vital {', '.join(unknown)}")
    if missing := sorted(name for name in USED_RULES if name not in priorities.rule):
        raise KnowledgeError(f"priorities.toml: no rule {', '.join(missing)}")
    if "high" not in priorities.snooze.never:
        raise KnowledgeError("priorities.toml: snooze.never: a high alert must not be snoozed")


def check_devices(devices: dict[str, DeviceModel], vitals: dict[str, Vital]) -> None:
    """Every device model names known vitals, and each annunciation octet once."""
    for name, row in devices.items():
        named = row.not_measured | {each.vital for each in row.placeholders}
        if unknown := sorted(named - vitals.keys()):
            raise KnowledgeError(f"devices.toml: {name}: unknown vital {', '.join(unknown)}")
        if len(set(row.cgm_octets)) != len(row.cgm_octets):
            raise KnowledgeError(f"devices.toml: {name}.cgm_octets: an octet stands there twice")


def check_signal(signal: Signal, vitals: dict[str, Vital]) -> None:
    """A flag means one thing, and the rules name known vitals."""
    lists = {"never_judged": signal.never_judged, "ask_repeat": signal.ask_repeat, "informs": signal.informs}
    for (one, flags), (other, more) in combinations(lists.items(), 2):
        if twice := sorted(flags & more):
            raise KnowledgeError(f"signal.toml: {', '.join(twice)} stands in {one} and in {other}")
    if unknown := sorted(signal.vitals() - vitals.keys()):
        raise KnowledgeError(f"signal.toml: unknown vital {', '.join(unknown)}")
