"""The protocol of a rule over a patient as a whole.

It is that of ``score/rules/protocol.py`` with other inputs. Its alerts can also end without
readings.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Literal, NamedTuple, Protocol, TypeAlias

from rpm_stream.pipeline.patient_state import PatientState
from rpm_stream.records import Finding, PatientEntry
from rpm_stream.score.rules.protocol import Rule

RuleTrigger: TypeAlias = Literal["tick", "step", "failure"]


class TimedFinding(NamedTuple):
    """A finding, and the moment from which it holds, whenever it is noticed."""

    finding: Finding
    at: datetime


class Ending(NamedTuple):
    """A group whose open alert has ended without readings: when, and the reason as text."""

    group: str
    at: datetime
    why: str


class Ends(Protocol):
    """Something that ends alerts because of the registry, without readings."""

    def ended(self, state: PatientState, entry: PatientEntry, until: datetime) -> Sequence[Ending]:
        """Return the alerts that have ended up to a moment."""


class PatientRule(Rule, Protocol):
    """A rule that looks at the whole patient.

    ``when`` gives the occasion: time has passed (tick), a message was applied (step), or one failed
    (failure).
    """

    when: ClassVar[RuleTrigger]

    def due(
        self, state: PatientState, entry: PatientEntry, now: datetime
    ) -> Sequence[TimedFinding]:
        """Return what holds and was not reported yet, in order of time, and note it as reported."""
        return ()

    def ended(self, state: PatientState, entry: PatientEntry, until: datetime) -> Sequence[Ending]:
        """Return the rule's alerts that the registry has ended up to a moment."""
        return ()
