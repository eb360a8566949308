"""Time-driven facts of a patient: a vital that is expected and does not come, an alert without
fresh readings.

A silence runs from the last reading while its device is assigned; else from the earliest assignment
of another device that may measure the vital, so that a device that never speaks is missed too. Its
alert has the id of that reading, or of device and assignment, and is opened at that time plus the
limit, whenever it is noticed (CONTRACT 3); it ends when the device was unassigned, by the registry,
whatever was given out since. So a slow tick changes nothing but the moment of noticing. Two things
it does change: a silence that was over before any tick is told by nobody (a replay, which ticks
before each record, tells it), and when a setting was removed is known by who notices it alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from statistics import median

from rpm_stream.alert.episode import Episode, Episodes
from rpm_stream.ids import deterministic_id, utc_text
from rpm_stream.knowledge import Knowledge
from rpm_stream.knowledge.registry import Registry, first_not_worn, holders
from rpm_stream.pipeline.patient_rule import Due, Ending, PatientRule
from rpm_stream.pipeline.patient_state import PatientState
from rpm_stream.publish.windows import SPAN_SECONDS
from rpm_stream.records import Assignment, DeviceEntry, Finding, Key, PatientEntry, Reading, Record
from rpm_stream.score.memory.continuous import is_continuous
from rpm_stream.score.memory.expected import expected_of
from rpm_stream.score.memory.member_names import member_name
from rpm_stream.score.memory.state import ScoreState
from rpm_stream.score.rules.protocol import Held
from rpm_stream.text import is_of_values

GROUP = "device:silence"
LEAST_DISTANCES = 2  # of three readings: from then on their median counts
DAILY = 1440  # minutes: the usual distance of what a scale says (vitals.toml)
SITTING = timedelta(hours=1)  # values of a scale closer than this are of one sitting; design choice
# what is usual of a stream before that: its summaries' window
CONTINUOUS = timedelta(seconds=SPAN_SECONDS)
# CONTRACT 10: design choice
STALE_TIMES = 3
STALE_LEAST = timedelta(hours=1)
STALE_MOST = timedelta(hours=48)
LAST_MOMENT = datetime.max.replace(tzinfo=UTC)


def later(moment: datetime, span: timedelta) -> datetime:
    """``moment`` and ``span`` together, at most the last moment that there is: a registry may
    name any time.
    """
    return moment + span if span <= LAST_MOMENT - moment else LAST_MOMENT


class _Run(Record, frozen=True, kw_only=True):
    """A silence that may have begun: ``start`` is the last reading, else when a ``device`` was
    given out.
    """

    start: datetime
    until: datetime | None
    last: Reading | None
    device: str
    is_given: bool = False  # it begins when the device was given out

    @property
    def opened_by(self) -> tuple[str, ...]:
        """What its alert's id is made of where no reading was before it."""
        return () if self.last else (self.device, utc_text(self.start))

    @property
    def key(self) -> str:
        """What is kept of a silence that was told."""
        return self.last.id if self.last else deterministic_id(*self.opened_by)


class Silence(PatientRule):
    """Silence and staleness, bound to the tables."""

    kind = "silence"
    source = ("limits.toml", "vitals.toml")
    words = "A measurement that is expected of this patient and has not come"
    keeps = "the newest reading that is left decides, at each tick"
    when = "tick"

    def __init__(self, knowledge: Knowledge, registry: Registry) -> None:
        self._knowledge = knowledge
        self._registry = registry

    def due(self, state: PatientState, entry: PatientEntry, now: datetime) -> list[Due]:
        """A finding for each expected vital that is overdue, with the moment at which it became so,
        in their order.

        A silence is told once: what a person has ended does not come again before the vital was
        heard.
        """
        if not entry.expected_every:
            return []
        found: list[Due] = []
        told = state.score.told_silent
        for vital, minutes in sorted(expected_of(entry, self._knowledge).items()):
            runs = self._runs(state, vital, timedelta(minutes=minutes), now)
            known = [run.key for run in runs]
            for run in runs[known.index(told[vital]) + 1 if told.get(vital) in known else 0 :]:
                told[vital] = run.key
                found.append(
                    Due(
                        self._finding(vital, run, minutes),
                        later(run.start, timedelta(minutes=minutes)),
                    )
                )
        return sorted(found, key=lambda each: each.at)

    def _runs(self, state: PatientState, vital: str, every: timedelta, now: datetime) -> list[_Run]:
        """The silences of a vital up to now, one after the other: each was overdue while its
        device was assigned.
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
            if found and (ends is None or run.start < ends):  # the earlier one is still assigned
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
            for each in device.assignments if self._carries(device, vital) else ():
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
        """From the last reading on, while its device belongs to the patient; an unregistered one
        does.
        """
        device = self._registry.devices.get(last.device)
        if device is None:
            yield _Run(start=last.measured_at, until=None, last=last, device=last.device)
            return
        for each in holders(device, later(last.measured_at, every)):
            if each.patient == last.patient:
                yield _Run(start=last.measured_at, until=each.until, last=last, device=last.device)

    def _carries(self, device: DeviceEntry, vital: str) -> bool:
        """Whether a device may measure a vital: of a model that nobody has described everything
        is possible.
        """
        row = self._knowledge.devices.get(device.model or "")
        return row is None or vital not in row.not_measured

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

    def recovered(self, state: ScoreState, entry: PatientEntry, name: str, held: Held) -> bool:
        """Whether a silent vital has spoken again, or for the first time."""
        last = state.latest.get(held.vital)
        return last is not None and last.measured_at > held.measured_at

    def ended(self, state: PatientState, entry: PatientEntry, until: datetime) -> list[Ending]:
        """The silence episode, if its devices are no longer worn or nothing of it is expected
        any more.
        """
        ended = self._ended(state.score, entry, state.episodes, until)
        return [Ending(GROUP, at, "no longer expected from this device") for at in ended]

    def _ended(
        self, score: ScoreState, patient: PatientEntry, episodes: Episodes, now: datetime
    ) -> Iterator[datetime]:
        """When the silence episode ended, once none of its vitals that are not heard is expected
        any more.

        The registry says when a device was unassigned; when a setting was removed it does not: that
        is ``now``. Of a vital whose last reading is forgotten or taken back nobody knows that it is
        not expected.
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
        """The patient's assignments of devices that may measure a vital; None where the registry
        does not know.
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
            if self._carries(device, vital) or (last is not None and last.device == device.device)
            for each in device.assignments
            if each.patient == patient
        ]

    # --- stale: nothing new for three times the usual distance ------------------------------------

    def stale(
        self, score: ScoreState, patient: PatientEntry, episodes: Episodes, now: datetime
    ) -> Iterator[tuple[str, datetime]]:
        """Groups with an open alert none of whose vitals was heard for three times its usual
        distance, since when.
        """
        for group, episode in sorted(episodes.items()):
            moment = self._stale_at(score, patient, episode)
            if is_of_values(group) and moment is not None and moment <= now:
                yield group, moment

    def is_stale(
        self, score: ScoreState, patient: PatientEntry, episode: Episode, now: datetime
    ) -> bool:
        """Whether none of the episode's vitals was heard for three times its usual distance."""
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
        """Until when the newest value is of today: three times the usual distance.

        Who steps on a scale three times in a morning measures once a day: of a vital that is
        usually measured daily the distances within one sitting do not count (design choice). Of
        others they do: a pulse that was measured each minute is missed within the hour.
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
