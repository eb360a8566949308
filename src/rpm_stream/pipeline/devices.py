"""Alerts about a device and not about its wearer: what readings say of it, and their end with its assignment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rpm_stream.knowledge import Knowledge
from rpm_stream.pipeline.patient import PatientState
from rpm_stream.records import DeviceEntry
from rpm_stream.registry import Registry, first_not_worn
from rpm_stream.score.device_rules import DeviceRules
from rpm_stream.score.device_runs import KINDS, device_of

GROUPS = frozenset(f"device:{kind}" for kind in KINDS)


class DeviceAlerts(DeviceRules):
    """The device rules, with the registry that says whose a device is."""

    def __init__(self, knowledge: Knowledge, registry: Registry) -> None:
        super().__init__(knowledge)
        self._registry = registry

    def ended(self, state: PatientState, now: datetime) -> Iterator[tuple[str, datetime]]:
        """Groups with an open alert none of whose devices belongs to the patient any more, and since when."""
        for group in sorted(GROUPS & state.episodes.keys()):
            episode = state.episodes[group]
            devices = [self._device(state, name) for name in episode.members]
            if not all(devices):  # an unregistered one belongs to the patient
                continue
            assignments = [each for device in devices if device for each in device.assignments]
            own = [each for each in assignments if each.patient == state.patient]
            moment = first_not_worn(own, episode.alert.history[-1].at)
            if moment is not None and moment <= now:
                yield group, moment

    def _device(self, state: PatientState, name: str) -> DeviceEntry | None:
        """The registry's entry of a member's device.

        A limit that somebody has set for what a device says, ``limit:battery:...``, names the vital: the device that
        was heard last is meant.
        """
        latest = state.score.latest.get(name.split(":")[1])
        heard = device_of(name) if name.startswith("device:") else latest.device if latest is not None else ""
        return self._registry.devices.get(heard)
