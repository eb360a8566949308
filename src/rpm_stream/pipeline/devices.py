"""Alerts about a device and not about its wearer: what readings say of it, and their end with its assignment."""

from __future__ import annotations

from datetime import datetime

from rpm_stream.knowledge import Knowledge
from rpm_stream.pipeline.patient import PatientState
from rpm_stream.registry import Registry, wearers
from rpm_stream.score.device_rules import DeviceRules
from rpm_stream.score.device_runs import KINDS, device_of

GROUPS = frozenset(f"device:{kind}" for kind in KINDS)


class DeviceAlerts(DeviceRules):
    """The device rules, with the registry that says whose a device is."""

    def __init__(self, knowledge: Knowledge, registry: Registry) -> None:
        super().__init__(knowledge)
        self._registry = registry

    def ended(self, state: PatientState, now: datetime) -> list[str]:
        """Groups with an open alert none of whose devices belongs to the patient any more."""
        return [
            group
            for group in sorted(GROUPS & state.episodes.keys())
            if not any(self._is_worn(state, name, now) for name in state.episodes[group].members)
        ]

    def _is_worn(self, state: PatientState, name: str, now: datetime) -> bool:
        """Whether the member's device still belongs to the patient; an unregistered one does.

        A limit that somebody has set for what a device says, ``limit:battery:...``, names the vital: the device that
        was heard last is meant.
        """
        latest = state.score.latest.get(name.split(":")[1])
        heard = device_of(name) if name.startswith("device:") else latest.device if latest is not None else ""
        device = self._registry.devices.get(heard)
        return device is None or state.patient in wearers(device, now)
