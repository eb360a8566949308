"""Take the moments of a message in order: those without news at once, and each other one by one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from rpm_stream.alert.episodes import note_well
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.pipeline.alert_records import put
from rpm_stream.pipeline.alerting import Alerting
from rpm_stream.pipeline.device_alerts import GROUPS as DEVICE_GROUPS
from rpm_stream.pipeline.message_end import recover
from rpm_stream.pipeline.score_instant import Scoring
from rpm_stream.pipeline.silence import GROUP as SILENCE
from rpm_stream.pipeline.work import Work
from rpm_stream.records import Reading
from rpm_stream.score.rules.stretch import MOST_MOMENTS, stretch_of

LEAST_CALM = 4  # moments; of fewer a stretch would save nothing
DEVICES = DEVICE_GROUPS | {SILENCE}


class Moments:
    """The moments of one message, bound to the verbs score and alert."""

    def __init__(self, knowledge: Knowledge, scoring: Scoring, alerting: Alerting) -> None:
        self._vitals = knowledge.vitals
        self._scoring = scoring
        self._alerting = alerting

    def take(self, work: Work, moments: Sequence[Sequence[Reading]]) -> None:
        """Take moments without news at once, and look at each other one.

        A try that gains little costs as much as it would have saved. So after each such try twice
        as many moments are looked at before the next one, which is the shorter for it.
        """
        place = 0
        next_try = 0
        pause = 1
        size = MOST_MOMENTS
        while place < len(moments):
            passed = 0
            is_calm = not work.state.episodes and len(moments) - place >= LEAST_CALM
            if is_calm and place >= next_try:
                ahead = moments[place : place + size]
                stretch = stretch_of(work.entry, work.patient.detectors, ahead)
                if stretch is not None:
                    passed = self._scoring.pass_calm(work.patient, stretch)
                pause = 1 if passed >= LEAST_CALM else 2 * pause
                next_try = place + passed + (0 if pause == 1 else pause)
                size = min(MOST_MOMENTS, max(2 * LEAST_CALM, 2 * passed))
            if not passed:
                self.instant(work, moments[place])
            place += passed or 1

    def instant(self, work: Work, readings: Sequence[Reading]) -> None:
        """Judge all readings of one moment: findings of all rules first, then episodes."""
        state = work.state
        found = self._scoring.instant(work.patient, work.entry, readings)
        work.scores += found.scores
        work.also_seen += found.also_seen
        self._alerting.enter(work, found, found.findings)
        # A late reading ends nothing: a night that arrives in the morning is one alert that
        # somebody can see. For a reading that no rule keeps (a mean pressure, one without a value)
        # it is unknown whether it came late.
        latest = state.score.latest
        vitals = self._vitals
        heard = {
            vitals[reading.vital].group
            for reading in found.judged
            if latest.get(reading.vital) is reading
        }
        recover(work, heard | DEVICE_GROUPS, self._scoring)
        self.note_well(work)

    def note_well(self, work: Work) -> None:
        """Remove from alerts about devices what is well or heard again.

        Other members stay.
        """
        groups = DEVICES & work.state.episodes.keys()
        if not groups:
            return
        recovered = partial(self._scoring.recovered, work.state, work.entry)
        for group in sorted(groups):
            if note_well(work.state.episodes[group], recovered, work.now):
                put(work, work.state.episodes[group])
