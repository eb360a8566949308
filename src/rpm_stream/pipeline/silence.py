"""Time-driven facts of a patient: an expected vital that does not come, and stale alerts.

A silence runs from the last reading while its device is assigned. Otherwise it runs from the
earliest assignment of another device that may measure the vital, so that a device that never sends
is noticed too. Its alert has the id of that reading, or of device and assignment. It is opened at
that time plus the limit, whenever it is noticed (CONTRACT 3). It ends when the registry unassigned
the device, whatever was assigned since.

So a slow tick changes only the moment of noticing, with two exceptions. A silence that was over
before any tick is never reported (a replay ticks before each record and reports it). And the moment
when a setting was removed is known only as the moment of noticing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from statistics import median

from rpm_stream.alert.episode import Episode, Episodes
from rpm_stream.ids import deterministic_id, utc_text
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.registry import Registry, first_not_worn, holders
from rpm_stream.pipeline.patient_rule import Ending, PatientRule, TimedFinding
from rpm_stream.pipeline.patient_state import PatientState
from rpm_stream.publish.windows import SPAN_SECONDS
from rpm_stream.records import Assignment, DeviceEntry, Finding, Key, PatientEntry, Reading, Record
from rpm_stream.score.memory.continuous import is_continuous
from rpm_stream.score.memory.expected import expected_of
from rpm_stream.score.memory.member_names import member_name
from rpm_stream.score.memory.state import ScoreState
from rpm_stream.score.rules.protocol import MemberView
from rpm_stream.text import is_of_values

GROUP = "device:silence"
LEAST_DISTANCES = 2  # from three readings on, the median of their distances counts
DAILY = 1440  # minutes: the usual distance of a scale's values (vitals.toml)
# values of a scale that are closer belong to one sitting; design choice
SITTING = timedelta(hours=1)
# usual distance of a stream before that: the window of its summaries
CONTINUOUS = timedelta(seconds=SPAN_SECONDS)
# CONTRACT 10: design choice
STALE_TIMES = 3
STALE_LEAST = timedelta(hours=1)
STALE_MOST = timedelta(hours=48)
LAST_MOMENT = datetime.max.replace(tzinfo=UTC)


def later(moment: datetime, span: timedelta) -> datetime:
    """Return ``moment`` plus ``span``, at most the last representable moment.

    A registry may name any time.
    """
    return moment + span if span <= LAST_MOMENT - moment else LAST_MOMENT


class _Run(Record, frozen=True, kw_only=True):
    """A silence that may have begun.

    ``start`` is the time of the last reading, else when ``device`` was assigned.
    """

    start: datetime
    until: datetime | None
    last: Reading | None
    device: str
    is_given: bool = False  # it begins with the assignment of the device

    @property
    def opened_by(self) -> tuple[str, ...]:
        """What the alert's id is made of if there was no reading before."""
        return () if self.last else (self.device, utc_text(self.start))

    @property
    def key(self) -> str:
        """What the state keeps of a silence that was reported."""
        return self.last.id if self.last else deterministic_id(*self.opened_by)


def may_measure(knowledge: Knowledge, device: DeviceEntry, vital: str) -> bool:
    """Return whether a device may measure a vital.

    A device of an unknown model may measure every vital.
    """
    row = knowledge.devices.get(device.model or "")
    return row is None or vital not in row.not_measured


class SilentRuns:
    """Finds when a vital was silent, by its last reading and the devices of the patient."""

    def __init__(self, knowledge: Knowledge, registry: Registry) -> None:
        self._knowledge = knowledge
        self._registry = registry

    def of(self, state: PatientState, vital: str, every: timedelta, now: datetime) -> list[_Run]:
        """Return the silences of a vital up to now, one after the other.

        Each was overdue while its device was assigned.
        """
        found: list[_Run] = []
        ends: datetime | None = None
        for run in sorted(
            self._candidates(state, vital, every),
            key=lambda run: (run.start, run.last is None, run.device),
        ):
            due = later(run.start, every)
            if due > now or (run.until is not None and run.until <= due):
                continue
            # the device of the earlier one is still assigned
            if found and (ends is None or run.start < ends):
                ends = None if ends is None or run.until is None else max(ends, run.until)
                continue
            found.append(run)
            ends = run.until
        return found

    def _candidates(self, state: PatientState, vital: str, every: timedelta) -> Iterator[_Run]:
        last = state.score.latest.get(vital)
        heard = last.measured_at if last is not None else state.score.heard.get(vital)
        if last is not None:
            yield from self._from_last(last, every)
        for device in self._registry.worn_by(state.patient):
            for each in device.assignments if may_measure(self._knowledge, device, vital) else ():
                begin = each.from_ or state.first_at
                if each.patient == state.patient and begin is not None:
                    start = (begin if heard is None else max(begin, heard)).astimezone(UTC)
                    known = last if last is not None and start == last.measured_at else None
                    is_given = heard is None or begin > heard
                    yield _Run(
                        start=start,
                        until=each.until,
                        last=known,
                        device=device.device,
                        is_given=is_given,
                    )

    def _from_last(self, last: Reading, every: timedelta) -> Iterator[_Run]:
        """Yield the silence from the last reading on, while its device belongs to the patient.

        An unregistered device always does.
        """
        device = self._registry.devices.get(last.device)
        if device is None:
            yield _Run(start=last.measured_at, until=None, last=last, device=last.device)
            return
        for each in holders(device, later(last.measured_at, every)):
            if each.patient == last.patient:
                yield _Run(start=last.measured_at, until=each.until, last=last, device=last.device)


class Silence(PatientRule):
    """Finds silence, bound to the tables."""

    kind = "silence"
    source = ("limits.toml", "vitals.toml")
    words = "A measurement that is expected of this patient and has not come"
    keeps = "the newest reading that is left decides, at each tick"
    when = "tick"

    def __init__(self, knowledge: Knowledge, registry: Registry) -> None:
        self._knowledge = knowledge
        self._registry = registry
        self._runs = SilentRuns(knowledge, registry)

    def due(self, state: PatientState, entry: PatientEntry, now: datetime) -> list[TimedFinding]:
        """Return a finding for each expected vital that is overdue, in order of time.

        Each comes with the moment since when the vital is overdue. A silence is reported once. If a
        person has ended it, it does not come again before the vital was heard.
        """
        if not entry.expected_every:
            return []
        found: list[TimedFinding] = []
        last = state.score.told_silent
        for vital, minutes in sorted(expected_of(entry, self._knowledge).items()):
            runs = self._runs.of(state, vital, timedelta(minutes=minutes), now)
            known = [run.key for run in runs]
            for run in runs[known.index(last[vital]) + 1 if last.get(vital) in known else 0 :]:
                last[vital] = run.key
                found.append(
                    TimedFinding(
                        self._finding(vital, run, minutes),
                        later(run.start, timedelta(minutes=minutes)),
                    )
                )
        return sorted(found, key=lambda each: each.at)

    def _finding(self, vital: str, run: _Run, minutes: int) -> Finding:
        row = self._knowledge.vitals[vital]
        since = " since the device was given out" if run.is_given else ""
        key = Key(vital=vital)
        return Finding(
            kind=self.kind,
            key=key,
            member=member_name(self.kind, key),
            rule=f"silence.{vital}@{self._knowledge.limits.version}",
            group=GROUP,
            priority=self._knowledge.limits.silence_priority,
            title=f"No {row.reading or row.plain} reading",
            why=(
                f"no reading of {row.plain} for {minutes} minutes{since}, one is expected every"
                f" {minutes} minutes: device off, empty or not worn?"
            ),
            evidence=(run.last,) if run.last else (),
            vital=vital,
            measured_at=run.start,
            opened_by=run.opened_by,
        )

    def recovered(
        self, state: ScoreState, entry: PatientEntry, name: str, held: MemberView
    ) -> bool:
        """Return whether a silent vital was measured again, or for the first time."""
        last = state.latest.get(held.vital)
        return last is not None and last.measured_at > held.measured_at

    def ended(self, state: PatientState, entry: PatientEntry, until: datetime) -> list[Ending]:
        """Return the end of the silence episode, if there is one.

        It ends if its devices are not worn any more or none of its vitals is expected any more.
        """
        ended = self._ended(state.score, entry, state.episodes, until)
        return [Ending(GROUP, at, "no longer expected from this device") for at in ended]

    def _ended(
        self, score: ScoreState, patient: PatientEntry, episodes: Episodes, now: datetime
    ) -> Iterator[datetime]:
        """Yield when the silence episode ended because no silent vital is expected any more.

        The registry has the time when a device was unassigned. It has no time for a removed
        setting, for which ``now`` is used. If a vital's last reading is forgotten or was taken
        back, the episode does not end here, because the device is unknown.
        """
        if GROUP not in episodes:
            return
        episode = episodes[GROUP]
        members = episode.members.items()
        silent = [
            each.vital for name, each in members if not self.recovered(score, patient, name, each)
        ]
        expected = [vital for vital in silent if vital in expected_of(patient, self._knowledge)]
        if not expected:
            yield now
            return
        assignments: list[Assignment] = []
        for vital in expected:
            if (of_vital := self._measuring(score, patient.patient, vital)) is None:
                return
            assignments += of_vital
        moment = first_not_worn(assignments, episode.alert.history[-1].at)
        if moment is not None and moment <= now:
            yield moment

    def _measuring(self, score: ScoreState, patient: str, vital: str) -> list[Assignment] | None:
        """Return the patient's assignments of devices that may measure a vital.

        Returns None if the registry does not know the device.
        """
        last = score.latest.get(vital)
        worn = list(self._registry.worn_by(patient))
        if (last is None and not worn) or (
            last is not None and last.device not in self._registry.devices
        ):
            return None
        return [
            each
            for device in worn
            if may_measure(self._knowledge, device, vital)
            or (last is not None and last.device == device.device)
            for each in device.assignments
            if each.patient == patient
        ]


class Staleness:
    """Finds what has nothing new for three times the usual distance, bound to the tables."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge

    def stale(
        self, score: ScoreState, patient: PatientEntry, episodes: Episodes, now: datetime
    ) -> Iterator[tuple[str, datetime]]:
        """Yield open groups without new data, and since when.

        A group is stale if none of its vitals was heard for three times its usual distance.
        """
        for group, episode in sorted(episodes.items()):
            moment = self._stale_at(score, patient, episode)
            if is_of_values(group) and moment is not None and moment <= now:
                yield group, moment

    def is_stale(
        self, score: ScoreState, patient: PatientEntry, episode: Episode, now: datetime
    ) -> bool:
        """Return whether no vital of the episode was heard for three times its usual distance."""
        moment = self._stale_at(score, patient, episode)
        return moment is None or moment <= now

    def _stale_at(
        self, score: ScoreState, patient: PatientEntry, episode: Episode
    ) -> datetime | None:
        vitals = {member.vital for member in episode.members.values()} & score.latest.keys()
        expected = expected_of(patient, self._knowledge)
        return max((self._of_today_until(score, vital, expected) for vital in vitals), default=None)

    def _of_today_until(
        self, score: ScoreState, vital: str, expected: Mapping[str, int]
    ) -> datetime:
        """Return until when the newest value counts as current: three times the usual distance.

        A person who uses a scale three times in a morning measures once a day. So the distances
        within one sitting do not count for a vital that is usually measured daily (design choice).
        They do count for others: a pulse that was measured each minute is missed within the hour.
        """
        last = score.latest[vital]
        known = score.distances.get(vital, [])
        if self._knowledge.vitals[vital].usual_every >= DAILY:
            known = [each for each in known if each >= SITTING.total_seconds()]
        if vital in expected:
            usual = timedelta(minutes=expected[vital])
        elif len(known) >= LEAST_DISTANCES:
            usual = timedelta(seconds=median(known))
        elif is_continuous(last, self._knowledge):
            usual = CONTINUOUS
        else:
            usual = timedelta(minutes=self._knowledge.vitals[vital].usual_every)
        return later(last.measured_at, min(STALE_MOST, max(STALE_LEAST, STALE_TIMES * usual)))
