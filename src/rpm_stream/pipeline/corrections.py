"""Correct readings that were wrong or another person's: the record, the open alerts and the memory.

Two things are not corrected. A learned detector keeps what it has learned, as it forgets by itself.
Alerts that are already resolved stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rpm_stream.ahead import as_judged, as_stamped
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.pipeline.holdings import correction_message
from rpm_stream.pipeline.patient_state import PatientState
from rpm_stream.pipeline.publishing import publish
from rpm_stream.pipeline.score_instant import Scoring
from rpm_stream.pipeline.withdraw import correct_alerts
from rpm_stream.pipeline.work import Work
from rpm_stream.publish.fhir.corrections import taken_back
from rpm_stream.publish.fhir.observation import Published
from rpm_stream.publish.fhir.summaries import drop_again, note_again
from rpm_stream.publish.windows import SPAN_SECONDS, place_of
from rpm_stream.records import Action, Reading, Readings
from rpm_stream.sameness import measured
from rpm_stream.score.memory.state import ScoreState
from rpm_stream.score.rules import same_measurement as same


def void(
    work: Work, action: Action, scoring: Scoring, knowledge: Knowledge
) -> tuple[tuple[Published, ...], Readings | None]:
    """Take ``action.readings`` back and add records of the alerts that change.

    Returns the Observations that change, and a message or None. The message has the readings that
    report the same measurements as the removed ones, and takes their place.
    """
    state = work.state
    windows = work.patient.windows
    wrong = [reading for reading in action.readings if reading.patient == state.patient]
    ids = frozenset(reading.id for reading in wrong)
    second = same.not_counted(state.score, wrong)
    evidence = {each for episode in state.episodes.values() for each in episode.alert.evidence}
    shown = frozenset(ids & (evidence | set(action.shown)))
    first = [as_judged(reading) for reading in wrong if reading.id not in second]
    heirs = tuple(map(as_stamped, same.heirs(state.score, state.patient, wrong)))
    right = list(_right_copies(state, wrong, heirs))
    for reading in heirs:
        drop_again(windows, reading, knowledge)
    _forget_all(work, first, scoring)
    for reading in wrong:
        if reading.id in second:
            same.forget(state.score, reading)
            if reading.id not in shown:
                drop_again(windows, reading, knowledge)
    if wrong:
        scoring.renew(state, work.entry)
        correct_alerts(work, action, ids, scoring)
    singly = publish(windows, (), work.evidence.values(), knowledge) if work.evidence else ()
    published = [reading for reading in wrong if reading.id not in second - shown]
    # these keep no place of a wrong reading
    right = [each for each in right if drop_again(windows, each, knowledge)]
    observations = taken_back(windows, published, shown, action.windows, knowledge)
    for reading in right:
        note_again(windows, reading, knowledge)
    return (*observations, *singly), correction_message(
        work.now, state.patient, heirs
    ) if heirs else None


def _right_copies(
    state: PatientState, wrong: Sequence[Reading], heirs: Sequence[Reading]
) -> Iterator[Reading]:
    """Yield readings that stand for correct copies in a window.

    A window counts how often a value came again, but not for which measurement. A copy may belong
    to a measurement that stays, or that an heir takes over. For each such copy this yields one of
    the wrong readings with its value and in its window.
    """
    withdrawn, taking = (
        {measured(each) for each in some if each.value is not None} for some in (wrong, heirs)
    )
    alike = {
        (place_of(each), measured(each).value): each for each in wrong if each.value is not None
    }
    for vital in sorted({reading.vital for reading in wrong}):
        known = sorted(same.copies(state.score, vital))
        gone = withdrawn - {first for first, copy in known if copy in taking}
        for first, copy in known:
            place = state.patient, vital, copy.at // (SPAN_SECONDS * 1_000_000) * SPAN_SECONDS
            if (
                first not in gone
                and copy not in withdrawn | taking
                and (place, copy.value) in alike
            ):
                yield alike[place, copy.value]


def _forget_all(work: Work, wrong: Sequence[Reading], scoring: Scoring) -> None:
    score = work.state.score
    for vital in sorted({reading.vital for reading in wrong}):
        of_vital = [reading for reading in wrong if reading.vital == vital]
        scoring.forget(work.state, work.entry, of_vital)
        _forget_newest(score, vital, of_vital)
    for reading in wrong:
        same.forget(score, reading)
    if wrong:
        score.calm.clear()  # the calm period may have been another person's, so each starts again


def _forget_newest(score: ScoreState, vital: str, wrong: Sequence[Reading]) -> None:
    """Replace the newest reading of a vital by the newest that is left.

    Also note up to when readings of the vital were taken back.
    """
    times = [reading.measured_at for reading in wrong]
    ids = {reading.id for reading in wrong}
    history = score.histories.get(vital)
    latest = score.latest.get(vital)
    if history is not None:
        score.cut[vital] = max(*times, score.cut.get(vital, times[0]))
    if latest is None or latest.id not in ids:
        return
    tail = history.segments[-1].reading if history is not None and history.segments else None
    if tail is not None:
        score.latest[vital] = tail
    else:  # only the time of its last value is kept, or nothing
        del score.latest[vital]
        score.heard[vital] = (
            latest.measured_at
            if history is None or not history.segments
            else history.segments[-1].end
        )
