"""The rows of priorities.toml and device_rules.toml: alert priorities and device rules."""

from __future__ import annotations

from decimal import Decimal
from itertools import product
from typing import Literal, get_args

from rpm_stream.knowledge.tables import Table
from rpm_stream.records.terms import Priority

Harm = Literal["death_or_irreversible", "reversible", "minor"]
Onset = Literal["immediate", "prompt", "delayed"]
# Possible faults of a device or its signal. Each is a group of alerts, device:<kind>.
DeviceKind = Literal[
    "battery",
    "contact",
    "clock",
    "stuck",
    "fault",
    "measurement",
    "refused",
    "unit",
    "step",
    "disagreement",
]


class Escalation(Table, frozen=True):
    """How often an alert may escalate before it is acknowledged."""

    most: int


class Snooze(Table, frozen=True):
    """Which alerts can never be snoozed, and for how long the others can."""

    never: frozenset[Priority]
    at_most_hours: int


class RuleRisk(Table, frozen=True):
    """The risk of a rule, in the terms of the IEC table."""

    harm: Harm
    onset: Onset
    why: str


class Priorities(Table, frozen=True):
    """The IEC table, each shipped rule's place in it, and what may be done with an open alert."""

    version: str
    matrix: dict[Harm, dict[Onset, Priority]]
    escalate_after_minutes: dict[Priority, int]
    escalation: Escalation
    snooze: Snooze
    rule: dict[str, RuleRisk]

    def __post_init__(self) -> None:
        """Raise ValueError if the matrix has no priority for a harm and an onset."""
        for harm, onset in product(get_args(Harm), get_args(Onset)):
            if onset not in self.matrix.get(harm, {}):
                raise ValueError(f"matrix.{harm}: no priority for the onset {onset}")

    def of(self, name: str) -> Priority:
        """Return the priority for a rule's harm and onset."""
        risk = self.rule[name]
        return self.matrix[risk.harm][risk.onset]


class Battery(Table, frozen=True):
    """The percentage below which a battery is low, and the one from which it is well again."""

    below: Decimal
    recover: Decimal


class OnlyWithoutValue(Table, frozen=True):
    """The vitals whose contact flags count only if there is no value."""

    vitals: frozenset[str]


class Contact(Table, frozen=True):
    """Flags by vital that mean "not on the body".

    An alert follows after ``minutes``.
    """

    minutes: int
    flags: dict[str, frozenset[str]]
    only_without_value: OnlyWithoutValue


class ClockFault(Table, frozen=True):
    """Flags of a wrong clock, and how many in a row raise an alert."""

    flags: frozenset[str]
    count: int


class Stuck(Table, frozen=True):
    """More than ``count`` equal values in a row over at least ``minutes``."""

    vital: str
    count: int
    minutes: int


class Fault(Table, frozen=True):
    """Flags with which a device reports that it cannot measure.

    An alert follows at the ``count``-th in a row over so many minutes.
    """

    name: str
    kind: Literal["fault", "measurement"]
    flags: frozenset[str]
    count: int
    minutes: int
    title: str
    advice: str
    source: str


class RefusedValues(Table, frozen=True):
    """``count`` impossible values in a row over at least ``minutes``."""

    count: int
    minutes: int
    source: str


class DeviceRuleTable(Table, frozen=True):
    """All device rules."""

    version: str
    battery: Battery
    contact: Contact
    clock: ClockFault
    stuck: tuple[Stuck, ...]
    refused: RefusedValues
    fault: tuple[Fault, ...]

    def vitals(self) -> set[str]:
        """Return every vital that a rule names."""
        return (
            {row.vital for row in self.stuck}
            | set(self.contact.flags)
            | self.contact.only_without_value.vitals
        )
