"""What judge remembers of one patient, and how a failed step is undone.

A copy of the state before every step would cost more than the step. Instead the patient keeps the
last sealed state and the inputs applied since. After a failure both together give the earlier
state. Sealing, which the agents do for the changelog, empties the list of inputs.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, TypeAlias

import msgspec

from rpm_stream.alert.episode import Episodes
from rpm_stream.publish.window_state import Summaries
from rpm_stream.records import Action, Forwarded, Readings
from rpm_stream.score.baseline.learning import LiveDetectors
from rpm_stream.score.memory.state import ScoreState

# weight of the inputs kept since the last seal: each counts one, and each of its readings one
MOST_SINCE = 64


class Acted(NamedTuple):
    """A person's decision, and when it was received."""

    action: Action
    received_at: datetime


Input: TypeAlias = Readings | Acted | datetime  # the input of a step, of a person, of a tick


class PatientState(msgspec.Struct):
    """What judge remembers of one patient.

    - ``now`` is the latest receipt of data so far, which no later step goes back behind.
    - ``first_at`` is when the first record was received.
    - ``applied`` maps a partition of rpm.frames (``line_of``) to the last (offset, chunk) applied.
    - ``actions`` maps a partition of rpm.actions to the last offset applied.
    - ``score``, ``episodes`` and ``summaries`` are what the verbs score, alert and publish
      remember.
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
        """Make ``state`` the present one.

        Detectors are restored from it when they are next needed.
        """
        self.state = state
        self.detectors = LiveDetectors()
        if state.summaries is None:
            state.summaries = Summaries(patient=state.patient)

    def note(self, applied: Input) -> None:
        """Remember an input that was applied since the last seal."""
        self.since.append(applied)
        self.weight += 1 + _readings(applied)

    def note_sealed(self, blob: bytes) -> None:
        """Note that ``blob`` holds everything up to now."""
        self.sealed = blob
        self.since = []
        self.weight = 0

    @property
    def windows(self) -> Summaries:
        """The patient's 15-minute windows."""
        assert self.state.summaries is not None
        return self.state.summaries


def line_of(message: Readings) -> int:
    """Return the line in which a message's place counts, the key of ``applied``.

    It is a partition of rpm.frames, except for messages that were kept while their device's state
    could not be read.
    """
    return message.partition if message.line is None else message.line


def is_applied(state: PatientState, message: Readings | Forwarded) -> bool:
    """Return whether a patient's state has applied this message or a later one.

    Only messages of the same partition are compared.
    """
    if isinstance(message, Forwarded):
        return message.offset <= state.actions.get(message.partition, -1)
    return (message.offset, message.chunk) <= state.applied.get(line_of(message), (-1, -1))


def _readings(applied: Input) -> int:
    if isinstance(applied, datetime):
        return 0
    return len(applied.action.readings if isinstance(applied, Acted) else applied.readings)
