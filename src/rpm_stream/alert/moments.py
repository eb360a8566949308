"""What stood after each message of an alert, and what came after it: for decisions about it that
are on their way.

A decision is measured by what its person could see: the record that it names (CONTRACT 10, Worse is
told again).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from rpm_stream.alert.episode import Episode, Moment
from rpm_stream.alert.episodes import is_worse
from rpm_stream.alert.situation import Situation

# moments that a person may have seen: two hours of records, where nothing gets worse
MOST_RECORDS = 8
MOST_OTHERS = 3  # moments since the last record
LEAST_LATER = timedelta(microseconds=1)  # a record is told from the one before by its time


def stands_at(episode: Episode, now: datetime) -> datetime:
    """From when on the next moment stands: after the one before, though it may have been received
    earlier.

    No tick has a part in it, so that a decision means the same whenever somebody ticked.
    """
    moments = episode.moments
    return max(now, moments[-1].at + LEAST_LATER) if moments else now


def note_moment(episode: Episode, situation: Situation, at: datetime, is_record: bool) -> None:
    """Keep what stands after a message, for a decision about it that is on its way."""
    vitals = {member.vital for member in episode.members.values()}
    numbers = {
        vital: str(number)
        for vital in sorted(vitals & situation.latest.keys())
        if (number := situation.number(situation.latest[vital])) is not None
    }
    moments = episode.moments
    at = stands_at(episode, at)
    minimum = situation.total.minimum if situation.total is not None else None
    beyond = tuple(
        f"{member.vital}:{member.direction}"
        for member in episode.members.values()
        if member.direction is not None and situation.level(member) == "beyond"
    )
    moments.append(
        Moment(at, is_record, numbers, minimum, beyond=beyond, priority=episode.alert.priority)
    )
    for kind, most in ((True, MOST_RECORDS), (False, MOST_OTHERS)):
        places = [place for place, moment in enumerate(moments) if moment.is_record is kind]
        if len(places) > most:
            _drop(moments, places[0])


def _drop(moments: list[Moment], place: int) -> None:
    """Forget a moment; what came after it came after the one before."""
    gone = moments.pop(place)
    if place:
        for key, number in gone.worst.items():
            note_worst(moments[place - 1], key, number)
        note_worst_total(moments[place - 1], gone.worst_news2)
        if moments[place - 1].priority != gone.priority:
            moments[place - 1].priority = None


def note_worst(moment: Moment, key: str, number: str) -> None:
    """A value that came after a moment, by vital and side."""
    known = moment.worst.get(key)
    if known is None or is_worse("low" if key.endswith(":low") else "high", number, known):
        moment.worst[key] = number


def note_worst_total(moment: Moment, total: int | None) -> None:
    """A NEWS2 that came after a moment."""
    if total is not None and total > (moment.worst_news2 or -1):
        moment.worst_news2 = total
