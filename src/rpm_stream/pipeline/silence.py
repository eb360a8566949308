"""Time-driven facts of a patient: a vital that is expected and does not come, an alert without fresh readings.

A time-driven alert has the id of the last reading before it and is opened at that reading's time plus the limit,
whenever it is noticed (CONTRACT 3): so a restart or a slow tick changes nothing but the moment of noticing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from rpm_stream.alert.episode import Episode, Episodes
from rpm_stream.knowledge import Knowledge
from rpm_stream.records import Finding, PatientEntry, Reading
from rpm_stream.registry import Registry, wearers
from rpm_stream.score.state import ScoreState

GROUP = "device:silence"


class Silence:
    """Silence and staleness, bound to the tables."""

    def __init__(self, knowledge: Knowledge, registry: Registry) -> None:
        self._knowledge, self._registry = knowledge, registry
        self._stale_after = timedelta(hours=knowledge.news2.fresh_for_hours)

    def findings(self, score: ScoreState, patient: PatientEntry, now: datetime) -> Iterator[tuple[Finding, datetime]]:
        """A finding for each expected vital that is overdue, with the moment at which it became so.

        A silence is told once: what a person has ended does not come again before the vital was heard.
        """
        for vital, minutes in sorted(patient.expected_every.items()):
            last = score.latest.get(vital)
            if last is None or score.told_silent.get(vital) == last.id:
                continue
            due = last.measured_at + timedelta(minutes=minutes)
            if due <= now and self._assigned(last, due):
                score.told_silent[vital] = last.id
                yield self._finding(last, minutes), due

    def _assigned(self, last: Reading, at: datetime) -> bool:
        """Whether the device that was heard last still belongs to the patient; an unregistered one does."""
        device = self._registry.devices.get(last.device)
        return device is None or last.patient in wearers(device, at)

    def _finding(self, last: Reading, minutes: int) -> Finding:
        row = self._knowledge.vitals[last.vital]
        return Finding(
            member=f"silence:{last.vital}",
            rule=f"silence.{last.vital}@{self._knowledge.limits.version}",
            group=GROUP,
            priority=self._knowledge.limits.silence_priority,
            title=f"No {row.plain} reading",
            why=f"no {row.plain} for {minutes} minutes, one is expected every {minutes} minutes: "
            "device off, empty or not worn?",
            evidence=(last,),
            vital=last.vital,
            measured_at=last.measured_at,
        )

    def heard(self, score: ScoreState, member: str, episodes: Episodes) -> bool:
        """Whether a silent vital has spoken again."""
        known = episodes[GROUP].members[member]
        last = score.latest.get(known.vital)
        return last is not None and last.measured_at > known.measured_at

    def ended(self, score: ScoreState, patient: PatientEntry, episodes: Episodes, now: datetime) -> Iterator[str]:
        """The silence episode, when none of its vitals that are not heard is expected any more (device unassigned,
        setting removed). Of a vital whose last reading is forgotten or taken back nobody knows that it is not.
        """
        if GROUP not in episodes:
            return
        members = episodes[GROUP].members
        silent = [member.vital for name, member in members.items() if not self.heard(score, name, episodes)]
        if not any(self._expected(score, patient, vital, now) for vital in silent):
            yield GROUP

    def _expected(self, score: ScoreState, patient: PatientEntry, vital: str, now: datetime) -> bool:
        last = score.latest.get(vital)
        return vital in patient.expected_every and (last is None or self._assigned(last, now))

    def stale(self, score: ScoreState, episodes: Episodes, now: datetime) -> Iterator[tuple[str, datetime]]:
        """Groups with an open alert none of whose vitals was heard within the freshness of NEWS2 (12 hours)."""
        for group, episode in sorted(episodes.items()):
            heard = self._heard_at(score, episode)
            if not group.startswith("device:") and heard is not None and heard + self._stale_after <= now:
                yield group, heard + self._stale_after

    def is_stale(self, score: ScoreState, episode: Episode, now: datetime) -> bool:
        """Whether none of the episode's vitals was heard within the freshness of NEWS2."""
        heard = self._heard_at(score, episode)
        return heard is None or heard + self._stale_after <= now

    def _heard_at(self, score: ScoreState, episode: Episode) -> datetime | None:
        vitals = {member.vital for member in episode.members.values()}
        return max((score.latest[vital].measured_at for vital in vitals if vital in score.latest), default=None)
