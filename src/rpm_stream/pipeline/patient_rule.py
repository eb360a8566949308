"""The protocol of a rule over a patient as a whole.

As ``score/rules/protocol.py``, with other inputs, and with an end by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Literal, NamedTuple, Protocol, TypeAlias

from rpm_stream.pipeline.patient_state import PatientState
from rpm_stream.records import Finding, PatientEntry
from rpm_stream.score.rules.protocol import Rule

When: TypeAlias = Literal["tick", "step", "failure"]


class Due(NamedTuple):
    """A finding, and the moment from which it holds, whenever it is noticed."""

    finding: Finding
    at: datetime


class Ending(NamedTuple):
    """A group whose open alert has ended without readings: when, and why in words."""

    group: str
    at: datetime
    why: str


class Ends(Protocol):
    """What ends alerts because of the registry, without readings."""

    def ended(self, state: PatientState, entry: PatientEntry, until: datetime) -> Sequence[Ending]:
        """Alerts that have ended up to a moment."""


class PatientRule(Rule, Protocol):
    """A rule that looks at a patient ``when`` time has passed (tick), a message was applied
    (step), or one failed.
    """

    when: ClassVar[When]

    def due(self, state: PatientState, entry: PatientEntry, now: datetime) -> Sequence[Due]:
        """What holds and was not told yet, in the order of its moments; notes it as told."""
        return ()

    def ended(self, state: PatientState, entry: PatientEntry, until: datetime) -> Sequence[Ending]:
        """Alerts of the rule that have ended up to a moment because the registry says so."""
        return ()
