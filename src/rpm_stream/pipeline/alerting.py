"""The verb alert for one patient.

Findings enter episodes. Time and readings end them. Every alert record goes through ``put``
(``alert_records.py``), which renews the text about the current situation. It also notes which
readings the record names, so that each of them is published.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rpm_stream.alert.episode import Episode, Member
from rpm_stream.alert.episodes import apply, found_member
from rpm_stream.alert.escalation import overdue
from rpm_stream.alert.snapshots import note_snapshot, note_worst, note_worst_total
from rpm_stream.alert.telling import note_graver
from rpm_stream.alert.tiers import decision_at, is_graver, last_beyond, look, look_at_total
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.pipeline.alert_records import (
    add,
    describe_all,
    put,
    put_unchanged,
)
from rpm_stream.pipeline.patient_state import Patient
from rpm_stream.pipeline.score_instant import Scoring
from rpm_stream.pipeline.situation import PatientSituation
from rpm_stream.pipeline.work import Work
from rpm_stream.records import RANK, Finding, PatientEntry
from rpm_stream.score.rules.moment import Moment

VITAL_SIGNS = "vital_signs"


class Alerting:
    """Changes the alerts of a patient, bound to the knowledge tables."""

    def __init__(self, knowledge: Knowledge, scoring: Scoring) -> None:
        self._knowledge = knowledge
        self._scoring = scoring

    def work(self, patient: Patient, entry: PatientEntry, now: datetime) -> Work:
        """Return the work of one step."""
        return Work(
            patient,
            entry,
            now,
            PatientSituation(self._knowledge, self._scoring, patient.state, entry),
        )

    # --- time -------------------------------------------------------------------------------------

    def wait(self, work: Work) -> None:
        """Apply what time alone has changed in alerts up to now."""
        for episode, alert in overdue(
            work.state.episodes, self._knowledge.priorities, work.situation, work.now
        ):
            if alert.history[-1].event == "worse":
                put(work, episode)
            else:
                put_unchanged(work, episode)

    def begin(self, work: Work) -> None:
        """Prepare episodes before readings are looked at.

        A decision that an older release stored has no moment with it. It counts as made now.
        """
        for episode in work.state.episodes.values():
            if episode.alert.state in ("acknowledged", "snoozed") and episode.decided is None:
                note_snapshot(episode, work.situation, work.now, is_record=False)
                episode.decided = decision_at(episode, work.now)

    # --- one moment -------------------------------------------------------------------------------

    def enter(self, work: Work, found: Moment, findings: Sequence[Finding]) -> None:
        """Let the findings of one moment enter their episodes, the highest priority first.

        Then add a record for each alert that has become worse.
        """
        if not (findings or work.state.episodes):
            return
        work.found += [reading for finding in findings for reading in finding.evidence]
        work.touched.update([reading.vital for reading in found.judged])
        for finding in sorted(findings, key=lambda finding: -RANK[finding.priority]):
            self._enter(work, finding, work.now)
        self._look_at_total(work, found, findings)
        describe_all(work)

    def _look_at_total(self, work: Work, found: Moment, findings: Sequence[Finding]) -> None:
        episode = work.state.episodes.get(VITAL_SIGNS)
        total = found.total
        if episode is None or total is None:
            return
        work.is_totalled = True
        if episode.moments:
            note_worst_total(episode.moments[-1], total.minimum)
        apart = min(
            (each.apart for each in findings if each.apart is not None), default=found.apart
        )
        if look_at_total(episode, total, apart, work.situation, work.now):
            add(work, episode)

    def enter_one(self, work: Work, finding: Finding, now: datetime) -> None:
        """Let one finding enter its episode and write the record's text."""
        self._enter(work, finding, now)
        describe_all(work)

    def _enter(self, work: Work, finding: Finding, now: datetime) -> None:
        state = work.state
        episode = state.episodes.get(finding.group)
        last = None if episode is None else last_beyond(episode, finding)
        still_over = episode is not None and self._is_still_over(work, episode, finding)
        alert = apply(state.episodes, state.patient, finding, now, still_over)
        episode = state.episodes[finding.group]
        if finding.direction is not None and finding.number is not None and episode.moments:
            note_worst(
                episode.moments[-1], f"{finding.vital}:{finding.direction}", str(finding.number)
            )
        if note_graver(episode.members[finding.member], finding, work.situation):
            work.graver.add(episode.alert.id)
        worse = look(episode, finding, last, work.situation, now)
        if alert is not None or worse is not None:
            add(work, episode)

    def _is_still_over(self, work: Work, episode: Episode, finding: Finding) -> bool:
        """Return whether the alert stays over although a late finding came.

        It stays over if the finding is over again and not worse than what the alert reports.
        """
        if not (episode.alert.over and finding.late) or is_graver(episode, finding, work.situation):
            return False
        members = {finding.member: found_member(finding), **episode.members}
        return all(self._recovered(work, name, member) for name, member in members.items())

    def _recovered(self, work: Work, name: str, member: Member) -> bool:
        return self._scoring.recovered(work.state, work.entry, name, member)
