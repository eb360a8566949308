"""What holds after a whole message: which alerts are over, stale or news, and their last texts."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import msgspec

from rpm_stream.alert.episode import Episode
from rpm_stream.alert.episodes import settle_recovered
from rpm_stream.alert.snapshots import note_snapshot
from rpm_stream.alert.telling import is_news, note_last_record
from rpm_stream.pipeline.alert_records import (
    describe_last,
    put,
    put_unchanged,
)
from rpm_stream.pipeline.score_instant import Scoring
from rpm_stream.pipeline.silence import GROUP as SILENCE
from rpm_stream.pipeline.silence import Staleness
from rpm_stream.pipeline.work import Work
from rpm_stream.records import Alert
from rpm_stream.score.rules.news2_findings import NEWS2
from rpm_stream.text import is_of_values


def recover(work: Work, groups: Iterable[str], scoring: Scoring) -> None:
    """Settle the episodes that have recovered, among the groups with new data."""
    episodes = work.state.episodes
    if not episodes:
        return
    for episode, _ in settle_recovered(
        episodes,
        (*groups, SILENCE),
        partial(scoring.recovered, work.state, work.entry),
        work.now,
        scoring.waits_for_a_person,
    ):
        put(work, episode)


class MessageEnd:
    """Completes the alerts of a patient after the last reading of a message."""

    def __init__(self, scoring: Scoring, staleness: Staleness) -> None:
        self._scoring = scoring
        self._staleness = staleness

    def finish(self, work: Work) -> tuple[Alert, ...]:
        """Return the message's alert records, with what holds after the whole message."""
        state = work.state
        for group, episode in list(state.episodes.items()):
            if not is_of_values(group):
                continue
            late = episode.alert.priority == "high" and not (
                episode.seen or episode.alert.state == "acknowledged"
            )
            # a late reading ends nothing, but the alert may be over already
            if late and episode.alert.id in work.recorded:
                self._settle_late(work, group)
            was_stale = self._freshen(work, episode)
            if episode.alert.id not in work.recorded:
                self._put_what_is_so(work, episode, was_stale)
            self._mark(work, episode)
        for episode in work.recorded.values():
            describe_last(work, episode)
        for episode in state.episodes.values():
            if episode.alert.id in work.recorded:
                note_last_record(episode, work.situation, work.now)
            elif is_of_values(episode.alert.group) and self._is_touched(work, episode):
                note_snapshot(episode, work.situation, work.now, is_record=False)
        return tuple(work.alerts)

    def _settle_late(self, work: Work, group: str) -> None:
        episode = work.state.episodes[group]
        if not episode.alert.over and self._scoring.are_recovered(work.state, work.entry, episode):
            recover(work, [group], self._scoring)

    def _freshen(self, work: Work, episode: Episode) -> bool:
        """Clear the mark "stale" if newer data came, and return whether it was cleared."""
        alert = episode.alert
        if alert.stale and not self._staleness.is_stale(
            work.state.score, work.entry, episode, work.now
        ):
            episode.alert = msgspec.structs.replace(
                alert, stale=False, updated_at=max(work.now, alert.updated_at)
            )
            return True
        return False

    def _mark(self, work: Work, episode: Episode) -> None:
        """Set whether all values of an alert are back inside, for however short a time."""
        alert = episode.alert
        if not (alert.id in work.recorded or alert.historical):
            return
        is_back = self._scoring.are_back(work.state, work.entry, episode)
        if is_back != episode.alert.historical:
            episode.alert = msgspec.structs.replace(episode.alert, historical=is_back)
            if alert.id not in work.recorded:
                put(work, episode)

    def _is_touched(self, work: Work, episode: Episode) -> bool:
        if not work.touched.isdisjoint(member.vital for member in episode.members.values()):
            return True
        return NEWS2 in episode.members and work.is_totalled

    def _put_what_is_so(self, work: Work, episode: Episode, was_stale: bool) -> None:
        """Add a record about the current values if they are news.

        They are news if they are a step worse, if they cross a limit, or after a while without a
        record.
        """
        is_graver = episode.alert.id in work.graver
        if is_graver or (
            self._is_touched(work, episode) and is_news(episode, work.situation, work.now)
        ):
            at = max(work.now, episode.alert.updated_at)
            episode.alert = msgspec.structs.replace(episode.alert, updated_at=at)
            put(work, episode)
        elif was_stale:
            put_unchanged(work, episode)
