"""Alerts that are about a device and not about its wearer, and their end with its assignment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rpm_stream.alert.episode import Member
from rpm_stream.knowledge.registry import Registry, first_not_worn
from rpm_stream.pipeline.patient_rule import Ending
from rpm_stream.pipeline.patient_state import PatientState
from rpm_stream.records import DeviceEntry, PatientEntry
from rpm_stream.score.rules.device_runs import KINDS

GROUPS = frozenset(f"device:{kind}" for kind in KINDS)


class DeviceAlerts:
    """Ends alerts about devices by the registry, which knows whose a device is."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def ended(self, state: PatientState, entry: PatientEntry, until: datetime) -> list[Ending]:
        """Return the alerts none of whose devices belongs to the patient any more."""
        ended = self._ended(state, until)
        return [
            Ending(group, at, "no longer worn: the device is unassigned") for group, at in ended
        ]

    def _ended(self, state: PatientState, now: datetime) -> Iterator[tuple[str, datetime]]:
        """Yield open groups whose devices no longer belong to the patient, and since when."""
        for group in sorted(GROUPS & state.episodes.keys()):
            episode = state.episodes[group]
            devices = [self._device(state, member) for member in episode.members.values()]
            if not all(devices):  # an unregistered device belongs to the patient
                continue
            assignments = [each for device in devices if device for each in device.assignments]
            own = [each for each in assignments if each.patient == state.patient]
            moment = first_not_worn(own, episode.alert.history[-1].at)
            if moment is not None and moment <= now:
                yield group, moment

    def _device(self, state: PatientState, member: Member) -> DeviceEntry | None:
        """Return the registry's entry of a member's device.

        An individual limit for a value of the device itself, such as its battery, names the vital
        and no device. The device that was heard last is meant.
        """
        latest = state.score.latest.get(member.key.vital)
        heard = member.key.device or (latest.device if latest is not None else "")
        return self._registry.devices.get(heard)
