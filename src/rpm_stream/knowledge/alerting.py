"""The rows of priorities.toml and device_rules.toml: how urgent an alert is, and when a device needs a hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from rpm_stream.knowledge.tables import Table
from rpm_stream.records import Priority

Harm = Literal["death_or_irreversible", "reversible", "minor"]
Onset = Literal["immediate", "prompt", "delayed"]
# What may be the matter with a device or its signal; each is a group of alerts, device:<kind>.
DeviceKind = Literal[
    "battery", "contact", "clock", "stuck", "fault", "measurement", "refused", "unit", "step", "disagreement"
]


class ByOnset(Table, frozen=True, forbid_unknown_fields=True):
    """One row of the IEC table."""

    immediate: Priority
    prompt: Priority
    delayed: Priority


class Matrix(Table, frozen=True, forbid_unknown_fields=True):
    """The IEC table: harm by onset."""

    death_or_irreversible: ByOnset
    reversible: ByOnset
    minor: ByOnset


class Escalation(Table, frozen=True, forbid_unknown_fields=True):
    """How often an alert may escalate before somebody acknowledges it."""

    most: int


class Snooze(Table, frozen=True, forbid_unknown_fields=True):
    """Which alerts nobody may snooze, and for how long the others."""

    never: frozenset[Priority]
    at_most_hours: int


class RuleRisk(Table, frozen=True, forbid_unknown_fields=True):
    """What a rule is about, in the words of the IEC table."""

    harm: Harm
    onset: Onset
    why: str


class Priorities(Table, frozen=True, forbid_unknown_fields=True):
    """The IEC table, each shipped rule's place in it, and what may be done with an open alert."""

    version: str
    matrix: Matrix
    escalate_after_minutes: dict[Priority, int]
    escalation: Escalation
    snooze: Snooze
    rule: dict[str, RuleRisk]

    def of(self, name: str) -> Priority:
        """The priority that follows from a rule's harm and onset."""
        risk = self.rule[name]
        by_harm: dict[Harm, ByOnset] = {
            "death_or_irreversible": self.matrix.death_or_irreversible,
            "reversible": self.matrix.reversible,
            "minor": self.matrix.minor,
        }
        row = by_harm[risk.harm]
        by_onset: dict[Onset, Priority] = {"immediate": row.immediate, "prompt": row.prompt, "delayed": row.delayed}
        return by_onset[risk.onset]


class Battery(Table, frozen=True, forbid_unknown_fields=True):
    """Percent below which a battery is low, and from which it is well again."""

    below: Decimal
    recover: Decimal


class OnlyWithoutValue(Table, frozen=True, forbid_unknown_fields=True):
    """The vitals whose contact flags count only where there is no value."""

    vitals: frozenset[str]


class Contact(Table, frozen=True, forbid_unknown_fields=True):
    """Flags by vital that say "not on the body", and for how many minutes before it is told."""

    minutes: int
    flags: dict[str, frozenset[str]]
    only_without_value: OnlyWithoutValue


class ClockFault(Table, frozen=True, forbid_unknown_fields=True):
    """Flags of a wrong clock, and how many in a row before it is told."""

    flags: frozenset[str]
    count: int


class Stuck(Table, frozen=True, forbid_unknown_fields=True):
    """More than ``count`` equal values in a row over at least ``minutes``."""

    vital: str
    count: int
    minutes: int


class Fault(Table, frozen=True, forbid_unknown_fields=True):
    """Flags by which a device says that it cannot measure; told at the ``count``-th in a row over so many minutes."""

    name: str
    kind: Literal["fault", "measurement"]
    flags: frozenset[str]
    count: int
    minutes: int
    title: str
    advice: str
    source: str


class RefusedValues(Table, frozen=True, forbid_unknown_fields=True):
    """``count`` values in a row over at least ``minutes`` that no body can have."""

    count: int
    minutes: int
    source: str


class DeviceRuleTable(Table, frozen=True, forbid_unknown_fields=True):
    """All device rules."""

    version: str
    battery: Battery
    contact: Contact
    clock: ClockFault
    stuck: tuple[Stuck, ...]
    refused: RefusedValues
    fault: tuple[Fault, ...]

    def vitals(self) -> set[str]:
        """Every vital that a rule names."""
        return {row.vital for row in self.stuck} | set(self.contact.flags) | self.contact.only_without_value.vitals
