"""One message, decision or tick on its way through alert."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from rpm_stream.alert.episode import Episode
from rpm_stream.alert.moments import stands_at
from rpm_stream.pipeline.patient_state import Patient, PatientState
from rpm_stream.pipeline.situation import PatientSituation
from rpm_stream.records import Alert, PatientEntry, Reading, Score


class Work:
    """One message, decision or tick on its way: its patient, and what came of it so far."""

    def __init__(
        self, patient: Patient, entry: PatientEntry, now: datetime, situation: PatientSituation
    ) -> None:
        self.patient = patient
        self.entry = entry
        self.now = now
        self.situation = situation
        self.scores: list[Score] = []
        self.alerts: list[Alert] = []
        self.evidence: dict[str, Reading] = {}  # readings that an alert names for the first time
        self.readings: Sequence[Reading] = ()  # of the message
        self.found: list[Reading] = []  # readings of its findings
        self._known: dict[str, Reading] = {}
        self.told: dict[str, Episode] = {}  # alert id -> its episode, of those with a record
        # alert id -> place of its first record whose words are not made yet
        self.unsaid: dict[str, int] = {}
        self.graver: set[str] = set()  # alerts that had a value a tier worse than what was told
        self.touched: set[str] = set()  # vitals that had a reading
        self.is_totalled = False  # whether NEWS2 was looked at
        # readings that tell again of a measurement that is known
        self.also_seen: list[Reading] = []

    def known(self, identity: str) -> Reading | None:
        """A reading of this message or of its findings, by its id."""
        if len(self._known) < len(self.readings) + len(self.found):
            self._known = {reading.id: reading for reading in (*self.readings, *self.found)}
        return self._known.get(identity)

    def date(self, episode: Episode) -> None:
        """Let a record be later than all that stood: a decision names it by its time.

        What a person decided may have been received before readings whose turn is later.
        """
        later = stands_at(episode, episode.alert.updated_at)
        if episode.alert.updated_at < later:
            episode.alert = msgspec.structs.replace(episode.alert, updated_at=later)

    @property
    def state(self) -> PatientState:
        """What judge remembers of the patient."""
        return self.patient.state
