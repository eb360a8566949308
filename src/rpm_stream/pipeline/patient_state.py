"""What judge remembers of one patient, and how a step that failed is undone.

A copy of the state before every step would cost more than the step. Instead the patient keeps the
last sealed state and what was applied since: after a failure both give the state as it was. Sealing
(the agents do it for the changelog) begins the list anew.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, TypeAlias

import msgspec

from rpm_stream.alert.episode import Episodes
from rpm_stream.publish.fhir.summaries import Summaries
from rpm_stream.records import Action, Readings
from rpm_stream.score.baseline.learning import LiveDetectors
from rpm_stream.score.memory.state import ScoreState

# weight of what is kept since the last seal: an input weighs one, and each of its readings one
MOST_SINCE = 64


class Acted(NamedTuple):
    """What a person decided, and when it was received."""

    action: Action
    received_at: datetime


Input: TypeAlias = Readings | Acted | datetime  # of a step, of a person, of a tick


class PatientState(msgspec.Struct):
    """What judge remembers of one patient. ``applied``: partition of rpm.frames (``line_of``) ->
    (offset, chunk); ``actions``: partition of rpm.actions -> offset last applied; ``first_at``:
    when the first record was received.
    """

    patient: str
    now: datetime | None = None
    first_at: datetime | None = None
    applied: dict[int, tuple[int, int]] = {}
    actions: dict[int, int] = {}
    score: ScoreState = msgspec.field(default_factory=ScoreState)
    episodes: Episodes = {}
    summaries: Summaries | None = None


class Patient:
    """A patient's state together with its live detectors.

    ``sealed`` and ``since`` rebuild it after a failure.
    """

    def __init__(self, state: PatientState, sealed: bytes | None = None) -> None:
        self.restore(state)
        self.sealed = sealed
        self.since: list[Input] = []
        self.weight = 0

    def restore(self, state: PatientState) -> None:
        """Take ``state`` as the present one; detectors are restored from it when next needed."""
        self.state = state
        self.detectors = LiveDetectors()
        if state.summaries is None:
            state.summaries = Summaries(patient=state.patient)

    def note(self, applied: Input) -> None:
        """Remember what was applied since the last seal."""
        self.since.append(applied)
        self.weight += 1 + _readings(applied)

    def note_sealed(self, blob: bytes) -> None:
        """``blob`` holds everything up to now."""
        self.sealed = blob
        self.since = []
        self.weight = 0

    @property
    def windows(self) -> Summaries:
        """The patient's 15-minute windows."""
        assert self.state.summaries is not None
        return self.state.summaries


def line_of(message: Readings) -> int:
    """The line in which a message's place counts, the key of ``applied``: a partition of
    rpm.frames, but for what was kept while its device's state could not be read.
    """
    return message.partition if message.line is None else message.line


def _readings(applied: Input) -> int:
    """How many readings an input holds."""
    if isinstance(applied, datetime):
        return 0
    return len(applied.action.readings if isinstance(applied, Acted) else applied.readings)
