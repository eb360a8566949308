"""The values of an alert after each message, and what came after it.

A decision that is still on its way is measured by what its person could see: the record that the
decision names (CONTRACT 10). The moments kept here make that possible.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from rpm_stream.alert.episode import Episode, Snapshot
from rpm_stream.alert.episodes import is_worse
from rpm_stream.alert.situation import Situation

# moments with a record that a person may have seen: two hours of records, if nothing gets worse
MOST_RECORDS = 8
MOST_OTHERS = 3  # moments without a record
LEAST_LATER = timedelta(microseconds=1)  # records of an alert are distinguished by their times


def next_snapshot_at(episode: Episode, now: datetime) -> datetime:
    """The time from which the next moment holds.

    It is after the moment before, even if its message was received earlier. Ticks have no influence
    on it, so a decision means the same whenever a tick ran.
    """
    moments = episode.moments
    return max(now, moments[-1].at + LEAST_LATER) if moments else now


def note_snapshot(episode: Episode, situation: Situation, at: datetime, is_record: bool) -> None:
    """Keep the values after a message, for a decision about it that is still on its way."""
    vitals = {member.vital for member in episode.members.values()}
    numbers = {
        vital: str(number)
        for vital in sorted(vitals & situation.latest.keys())
        if (number := situation.number(situation.latest[vital])) is not None
    }
    moments = episode.moments
    at = next_snapshot_at(episode, at)
    minimum = situation.total.minimum if situation.total is not None else None
    beyond = tuple(
        f"{member.vital}:{member.direction}"
        for member in episode.members.values()
        if member.direction is not None and situation.level(member) == "beyond"
    )
    moments.append(
        Snapshot(at, is_record, numbers, minimum, beyond=beyond, priority=episode.alert.priority)
    )
    for kind, most in ((True, MOST_RECORDS), (False, MOST_OTHERS)):
        places = [place for place, moment in enumerate(moments) if moment.is_record is kind]
        if len(places) > most:
            _drop(moments, places[0])


def _drop(moments: list[Snapshot], place: int) -> None:
    """Drop a moment, and add what came after it to the moment before."""
    gone = moments.pop(place)
    if place:
        for key, number in gone.worst.items():
            note_worst(moments[place - 1], key, number)
        note_worst_total(moments[place - 1], gone.worst_news2)
        if moments[place - 1].priority != gone.priority:
            moments[place - 1].priority = None


def note_worst(moment: Snapshot, key: str, number: str) -> None:
    """Keep a value that came after a moment, by vital and side, if it is the worst so far."""
    known = moment.worst.get(key)
    if known is None or is_worse("low" if key.endswith(":low") else "high", number, known):
        moment.worst[key] = number


def note_worst_total(moment: Snapshot, total: int | None) -> None:
    """Keep a NEWS2 total that came after a moment, if it is the highest so far."""
    if total is not None and total > (moment.worst_news2 or -1):
        moment.worst_news2 = total
