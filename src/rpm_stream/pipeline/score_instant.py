"""The verb score for one moment of one patient: every rule of the table looks at it in turn.

After the rules comes the deterioration score, which finds nothing and writes a record.

Some questions depend on the kind of a finding: has it recovered, does it pause learning, what is
left after a correction. The rule with that kind answers them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from rpm_stream.alert.episode import Episode, Episodes, Member
from rpm_stream.pipeline.patient_state import Patient, PatientState
from rpm_stream.records import Finding, FindingKind, PatientEntry, Reading
from rpm_stream.score.baseline.learning import Paused
from rpm_stream.score.memory.column import FOREVER
from rpm_stream.score.memory.history import PlacingLevel
from rpm_stream.score.rules.deterioration import Deterioration
from rpm_stream.score.rules.moment import Moment
from rpm_stream.score.rules.oxygen_scale import SATURATION, OxygenScale
from rpm_stream.score.rules.protocol import MomentRule, Rule, RuleTables
from rpm_stream.score.rules.same_measurement import Same
from rpm_stream.score.rules.stretch import Passing, Stretch


class NoRule(Rule):
    """The placeholder for a rule of another release.

    Nothing that such a rule found recovers. A person ends it.
    """

    kind = "unknown"
    source = ()
    words = "A rule of another release"
    keeps = "there is no rule"


class Scoring:
    """All rules, bound to the tables, with one call for each moment.

    ``rules`` look at the readings of a moment, in this order. ``others`` do not.
    """

    def __init__(
        self, tables: RuleTables, rules: Iterable[MomentRule], others: Iterable[Rule] = ()
    ) -> None:
        self._never_judged = tables.knowledge.signal.never_judged
        self._vitals = tables.knowledge.vitals
        self._oxygen = tables.oxygen
        self._same = Same(tables.knowledge)
        self._rules = tuple(rules)
        self._deterioration = Deterioration(tables)
        self._passing: tuple[Passing, ...] = (self._same, *self._rules, self._deterioration)
        self._by_kind: dict[FindingKind, Rule] = {
            rule.kind: rule for rule in (*self._rules, *others, NoRule())
        }

    def rule(self, kind: FindingKind) -> Rule:
        """Return the rule with this kind of findings."""
        return self._by_kind[kind]

    def instant(self, patient: Patient, entry: PatientEntry, readings: Sequence[Reading]) -> Moment:
        """Score all readings of one moment and move the patient's score state on."""
        state = patient.state
        judged = [reading for reading in readings if not reading.flags or self._is_judged(reading)]
        also = self._same.also_seen(state.score, judged)
        if also:
            again = {reading.id for reading in also}
            judged = [reading for reading in judged if reading.id not in again]
        moment = Moment(
            entry=entry,
            readings=readings,
            judged=judged,
            live=patient.detectors,
            paused=Paused(since=self._paused(state.episodes), accepted=state.score.accepted),
            open_groups=state.episodes.keys(),
            also_seen=also,
        )
        for rule in self._rules:
            rule.look(state.score, moment)
        self._deterioration.look(state.score, moment)
        return moment

    def pass_calm(self, patient: Patient, stretch: Stretch) -> int:
        """Take the moments at the begin of the stretch that hold no news for any rule; how many.

        ``look`` at each of them would leave the same state and find nothing.
        """
        state = patient.state.score
        until = FOREVER
        for rule in reversed(self._passing):  # the last ones answer soonest
            until = min(until, rule.calm_until(state, stretch))
            if until <= stretch.begin:
                return 0
        calm = stretch.cut(until)
        for rule in self._passing:
            rule.pass_by(state, calm)
        return len(calm.times.moments)

    def _paused(self, episodes: Episodes) -> dict[str, datetime]:
        """Return by group since when learning waits for an open alert."""
        return {
            group: each.since
            for group, each in episodes.items()
            if any(map(self._pauses, each.members.values()))
        }

    def _pauses(self, member: Member) -> bool:
        return self._by_kind[member.kind].pauses_learning(member.key)

    def _is_judged(self, reading: Reading) -> bool:
        """Return whether a reading describes the patient now.

        A weight of an unknown user may be another person's.
        """
        if not self._never_judged.isdisjoint(reading.flags):
            return False
        return "user_unknown" not in reading.flags or not self._vitals[reading.vital].by_user

    # --- what became of what was found ------------------------------------------------------------

    def recovered(
        self, state: PatientState, entry: PatientEntry, name: str, member: Member
    ) -> bool:
        """Return whether readings of a member have been back inside for its recovery time."""
        return self._by_kind[member.kind].recovered(state.score, entry, name, member)

    def is_back(self, state: PatientState, entry: PatientEntry, name: str, member: Member) -> bool:
        """Return whether readings newer than those that raised the alert are back inside.

        Any time inside counts, however short.
        """
        return self._by_kind[member.kind].is_back(state.score, entry, name, member)

    def are_recovered(self, state: PatientState, entry: PatientEntry, episode: Episode) -> bool:
        """Return whether all members of an episode have recovered."""
        return all(
            self.recovered(state, entry, name, member) for name, member in episode.members.items()
        )

    def are_back(self, state: PatientState, entry: PatientEntry, episode: Episode) -> bool:
        """Return whether newer readings of all members are back inside, however shortly."""
        return all(
            self.is_back(state, entry, name, member) for name, member in episode.members.items()
        )

    def level(self, state: PatientState, entry: PatientEntry, member: Member) -> PlacingLevel:
        """Return how the newest value of a member relates to its limit."""
        return self._by_kind[member.kind].level(state.score, entry, member)

    def may_be_new_normal(self, member: Member) -> bool:
        """Return whether a person may declare a member's values the patient's new normal."""
        return self._by_kind[member.kind].may_be_new_normal

    def waits_for_a_person(self, member: Member) -> bool:
        """Return whether a high member that has recovered stays until a person has seen it."""
        return self._by_kind[member.kind].waits_for_a_person

    def scale(self, state: PatientState, entry: PatientEntry, reading: Reading) -> OxygenScale:
        """Return the scale by which a reading counts: other than 1 only for a saturation."""
        if reading.vital != SATURATION:
            return "1"
        return self._oxygen.scale(entry, state.score.histories, reading.measured_at)

    # --- when readings are taken back -------------------------------------------------------------

    def standing(self, patient: Patient, entry: PatientEntry, vital: str) -> list[Finding]:
        """Return the findings in the kept readings of a vital, oldest first, after a correction."""
        return [
            finding
            for rule in self._rules
            for finding in rule.standing(patient.state.score, entry, vital)
        ]

    def holds_unnamed(self, state: PatientState, entry: PatientEntry, member: Member) -> bool:
        """Return whether a member still holds by values of which only the time is kept."""
        return self._by_kind[member.kind].holds_unnamed(state.score, entry, member)

    def forget(self, state: PatientState, entry: PatientEntry, wrong: Sequence[Reading]) -> None:
        """Remove judged readings of one vital that were taken back from what each rule keeps."""
        judged = [reading for reading in wrong if not reading.flags or self._is_judged(reading)]
        if judged:
            for rule in self._rules:
                rule.forget(state.score, entry, judged)
            self._deterioration.forget(state.score, judged)

    def renew(self, state: PatientState, entry: PatientEntry) -> None:
        """Update what follows from the remaining readings, after all wrong ones are forgotten."""
        for rule in self._rules:
            rule.renew(state.score, entry)
