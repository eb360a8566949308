"""Rebuilds states: runs the pure steps over messages of the source and returns each key's state."""

from __future__ import annotations

from typing import Protocol

from aiokafka.structs import ConsumerRecord

from rpm_stream.app.kafka.frame_record import frame_message
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.knowledge import Knowledge
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.ingest import DeviceState, Ingest
from rpm_stream.pipeline.replay import Replay
from rpm_stream.pipeline.state_envelope import pack_device


class Making(Protocol):
    """Builds states from messages. ``keys`` are in the order in which they came."""

    keys: dict[bytes, None]

    def apply(self, record: ConsumerRecord) -> None:
        """Apply one message of the source to the state of its key."""

    def state_of(self, key: bytes) -> bytes:
        """Return the sealed state of a key, an empty one for a key without messages."""


class _Devices(Making):
    def __init__(self, ingest: Ingest) -> None:
        self.keys = {}
        self._ingest = ingest
        self._states = dict[bytes, DeviceState]()

    def apply(self, record: ConsumerRecord) -> None:
        key = record.key or b""
        self.keys[key] = None
        state = self._states.setdefault(key, DeviceState())
        self._ingest.step(state, frame_message(record))
        state.applied[record.partition] = record.offset

    def state_of(self, key: bytes) -> bytes:
        return pack_device(self._states.get(key, DeviceState()))


class _Patients(Making):
    def __init__(self, run: Replay) -> None:
        self.keys = {}
        self._run = run

    def apply(self, record: ConsumerRecord) -> None:
        self.keys[record.key or b""] = None
        for _ in self._run.message(record.value or b""):
            pass  # the lines were written when the message was first applied

    def state_of(self, key: bytes) -> bytes:
        return self._run.state_of(key.decode(errors="replace"))


def making_of(
    settings: Settings, knowledge: Knowledge, registry: Registry, of_devices: bool
) -> Making:
    """Return a ``Making`` for states of devices or of patients."""
    if of_devices:
        return _Devices(Ingest(knowledge, registry, recorded_time=settings.time == "recorded"))
    return _Patients(Replay(knowledge, registry, emit=()))
