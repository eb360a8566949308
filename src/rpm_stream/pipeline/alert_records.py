"""Add the records of one step's alerts: each with its text, and with the readings that it names.

The text tells how things are after all findings of a moment. So a record is added first, and its
text is written when they are known.
"""

from __future__ import annotations

import msgspec

from rpm_stream.alert.episode import Episode
from rpm_stream.alert.size import shorten_history
from rpm_stream.alert.telling import describe
from rpm_stream.pipeline.work import Work
from rpm_stream.records import Alert, Reading


def put(work: Work, episode: Episode) -> None:
    """Add a record of an episode with its current text."""
    add(work, episode)
    describe_all(work)


def put_unchanged(work: Work, episode: Episode) -> None:
    """Add a record that only time has caused.

    Its text stays as it was, so that no tick changes what later records report.
    """
    shorten_history(episode)
    work.alerts.append(episode.alert)


def add(work: Work, episode: Episode) -> None:
    """Add a record whose text follows when all findings of its moment are known."""
    work.date(episode)
    shorten_history(episode)
    work.alerts.append(episode.alert)
    work.recorded[episode.alert.id] = episode
    work.unsaid.setdefault(episode.alert.id, len(work.alerts) - 1)


def describe_all(work: Work) -> None:
    """Write the text of the records of this moment."""
    for identity, first in work.unsaid.items():
        episode = work.recorded[identity]
        named = set(episode.alert.evidence) if len(work.alerts[first].history) > 1 else set()
        current = describe(episode, work.situation)
        for place in range(first, len(work.alerts)):
            if work.alerts[place].id == identity:
                work.alerts[place] = msgspec.structs.replace(
                    work.alerts[place],
                    title=current.title,
                    why=current.why,
                    evidence=current.evidence,
                    now=current.now,
                    measured_at=current.measured_at,
                )
        for each in current.evidence:
            if (
                each not in named
                and each not in work.evidence
                and (reading := _reading(work, each))
            ):
                work.evidence[each] = reading
    work.unsaid.clear()


def _reading(work: Work, identity: str) -> Reading | None:
    if (known := work.known(identity)) is not None:
        return known
    score = work.state.score
    kept = (segment.reading for history in score.histories.values() for segment in history.segments)
    others = (*score.latest.values(), *(reading for reading in kept if reading is not None))
    return next((reading for reading in others if reading.id == identity), None)


def describe_last(work: Work, episode: Episode) -> None:
    """Complete the records of an alert at the end of a message.

    The last record gets the text after the whole message. All of them get the same
    ``historical``.
    """
    is_open = work.state.episodes.get(episode.alert.group) is episode
    if is_open:
        describe(episode, work.situation)
    last = episode.alert
    historical = last.historical or (last.state == "resolved" and last.opened_at == last.updated_at)
    places = [place for place, alert in enumerate(work.alerts) if alert.id == last.id]
    for place in places:
        work.alerts[place] = msgspec.structs.replace(work.alerts[place], historical=historical)
    if is_open:
        work.alerts[places[-1]] = msgspec.structs.replace(
            last, history=work.alerts[places[-1]].history
        )
        _note_evidence(work, last)


def _note_evidence(work: Work, alert: Alert) -> None:
    for each in alert.evidence:
        if each not in work.evidence and (reading := work.known(each)):
            work.evidence[each] = reading
