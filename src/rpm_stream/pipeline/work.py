"""One message, decision or tick while alert processes it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from rpm_stream.alert.episode import Episode
from rpm_stream.alert.snapshots import next_snapshot_at
from rpm_stream.pipeline.patient_state import Patient, PatientState
from rpm_stream.pipeline.situation import PatientSituation
from rpm_stream.records import Alert, PatientEntry, Reading, Score


class Work:
    """One message, decision or tick in process: its patient and its results so far."""

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
        self.readings: Sequence[Reading] = ()  # the message's readings
        self.found: list[Reading] = []  # readings of the message's findings
        self._known: dict[str, Reading] = {}
        self.recorded: dict[str, Episode] = {}  # alert id -> its episode, for those with a record
        # alert id -> place of its first record whose text is not written yet
        self.unsaid: dict[str, int] = {}
        self.graver: set[str] = set()  # alerts with a value one tier worse than what was reported
        self.touched: set[str] = set()  # vitals with a reading
        self.is_totalled = False  # whether NEWS2 was looked at
        # readings that repeat a known measurement
        self.also_seen: list[Reading] = []

    def known(self, identity: str) -> Reading | None:
        """Return a reading of this message or of its findings by its id."""
        if len(self._known) < len(self.readings) + len(self.found):
            self._known = {reading.id: reading for reading in (*self.readings, *self.found)}
        return self._known.get(identity)

    def date(self, episode: Episode) -> None:
        """Make a record later than all earlier ones, because a decision refers to it by its time.

        A person's decision may have been received before readings that are processed later.
        """
        later = next_snapshot_at(episode, episode.alert.updated_at)
        if episode.alert.updated_at < later:
            episode.alert = msgspec.structs.replace(episode.alert, updated_at=later)

    @property
    def state(self) -> PatientState:
        """What judge remembers of the patient."""
        return self.patient.state
