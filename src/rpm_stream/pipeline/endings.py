"""End alerts without readings: a device is not worn any more, or a setting was corrected."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rpm_stream.alert.episodes import end
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.alert_records import put, put_unchanged
from rpm_stream.pipeline.device_alerts import DeviceAlerts
from rpm_stream.pipeline.patient_rule import Ends, PatientRule
from rpm_stream.pipeline.settings import GROUP as SETTINGS
from rpm_stream.pipeline.settings import SettingsRule
from rpm_stream.pipeline.work import Work


class Endings:
    """Ends alerts because of the registry. ``rules`` are those of ``patient_rules.py``."""

    def __init__(self, registry: Registry, rules: Sequence[PatientRule]) -> None:
        self._endings: tuple[Ends, ...] = (*rules, DeviceAlerts(registry))
        self._settings = next(rule for rule in rules if isinstance(rule, SettingsRule))

    def unworn(self, work: Work, until: datetime) -> None:
        """End alerts about devices that were unassigned up to a moment, as of that moment."""
        if not work.state.episodes:
            return
        for rule in self._endings:
            for ended in rule.ended(work.state, work.entry, until):
                _end(work, ended.group, ended.why, ended.at)

    def settings(self, work: Work) -> None:
        """Remove corrected settings from the alert about settings.

        The alert ends with the last of them.
        """
        episode = work.state.episodes.get(SETTINGS)
        if episode is None:
            return
        wrong = {
            each.member for each in self._settings.problems(work.state.score, work.entry, work.now)
        }
        mended = episode.members.keys() - wrong
        if mended == episode.members.keys():
            why = self._settings.mended(work.state.score, work.entry, mended, work.now)
            _end(work, SETTINGS, why, work.now)
        elif mended:
            episode.members = {
                name: each for name, each in episode.members.items() if name in wrong
            }
            put(work, episode)


def _end(work: Work, group: str, reason: str, at: datetime) -> None:
    episode = work.state.episodes[group]
    end(work.state.episodes, group, at, reason)
    put_unchanged(work, episode)
